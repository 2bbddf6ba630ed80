//! A node that no filter passes: what lies below has decided which rows are seen, and what lies above sees only these.

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use std::fmt;
use std::sync::Arc;

/// Gives its input's rows as they are. DataFusion would otherwise put a query's filters into the scan beside the
/// policies' own, where they could fail on a row that is not seen.
#[derive(Debug)]
pub struct RowBarrierExec {
    input: Arc<dyn ExecutionPlan>,
}

impl RowBarrierExec {
    /// Above a plan.
    pub fn above(input: Arc<dyn ExecutionPlan>) -> RowBarrierExec {
        RowBarrierExec { input }
    }
}

impl DisplayAs for RowBarrierExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RowSecurity")
    }
}

impl ExecutionPlan for RowBarrierExec {
    fn name(&self) -> &str {
        "RowBarrierExec"
    }

    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    // What splits the input's rows further is put above, not below: it is planned already.
    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(RowBarrierExec { input })),
            _ => datafusion::common::internal_err!("a barrier stands above one plan"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }
}
