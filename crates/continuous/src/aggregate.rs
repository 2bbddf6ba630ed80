//! The aggregation of a planned query, taken apart: what runs over each batch, what merges, and what comes after.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Result, exec_err};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::{ExecutionPlan, collect};
use std::sync::Arc;

/// The aggregation of one plan.
pub struct Aggregation {
    plan: Arc<dyn ExecutionPlan>,
    partial: Arc<AggregateExec>,
    output: SchemaRef,
}

impl Aggregation {
    /// Of a plan that has one above its stream.
    pub fn of(plan: Arc<dyn ExecutionPlan>) -> Result<Self> {
        let Some(top) = find(&plan, &|_| true) else {
            return exec_err!("a windowed query was planned without windows");
        };
        let Some(node) = top.downcast_ref::<AggregateExec>() else { return exec_err!("an aggregation is none") };
        let partial = match node.mode() {
            AggregateMode::Final | AggregateMode::FinalPartitioned => {
                let below = find(node.input(), &|mode| *mode == AggregateMode::Partial);
                let Some(partial) = below.as_ref().and_then(|plan| plan.downcast_ref::<AggregateExec>()) else {
                    return exec_err!("an aggregation has no part that runs over each batch");
                };
                partial.clone()
            }
            _ => AggregateExec::try_new(
                AggregateMode::Partial,
                Arc::new(node.group_expr().clone()),
                node.aggr_expr().to_vec(),
                node.filter_expr().to_vec(),
                Arc::clone(node.input()),
                node.input_schema(),
            )?,
        };
        Ok(Aggregation { output: top.schema(), plan, partial: Arc::new(partial) })
    }

    /// The place of a column among the groups.
    pub fn group(&self, name: &str) -> Option<usize> {
        self.partial.group_expr().expr().iter().position(|(_, own)| own == name)
    }

    /// What the plan's rows come to, by group, not yet final.
    pub async fn over_batch(&self, context: Arc<TaskContext>) -> Result<Vec<RecordBatch>> {
        collect(Arc::clone(&self.partial) as Arc<dyn ExecutionPlan>, context).await
    }

    /// The same groups, each once.
    pub async fn merged(&self, parts: Vec<RecordBatch>, context: Arc<TaskContext>) -> Result<Vec<RecordBatch>> {
        collect(self.above(AggregateMode::PartialReduce, parts)?, context).await
    }

    /// The rows of the whole query for groups that get nothing more.
    pub async fn finished(&self, parts: Vec<RecordBatch>, context: Arc<TaskContext>) -> Result<Vec<RecordBatch>> {
        let rows = collect(self.above(AggregateMode::Final, parts)?, Arc::clone(&context)).await?;
        let rows: Vec<RecordBatch> = rows.into_iter().filter(|batch| batch.num_rows() > 0).collect();
        let mut rest = Some(MemorySourceConfig::try_new_exec(&[rows], Arc::clone(&self.output), None)?);
        let whole = Arc::clone(&self.plan).transform_down(|plan| match (is_top(&plan), rest.take()) {
            (true, Some(rows)) => Ok(Transformed::new(
                rows as Arc<dyn ExecutionPlan>,
                true,
                datafusion::common::tree_node::TreeNodeRecursion::Jump,
            )),
            (_, kept) => {
                rest = kept;
                Ok(Transformed::no(plan))
            }
        });
        collect(whole.data()?, context).await
    }

    fn above(&self, mode: AggregateMode, parts: Vec<RecordBatch>) -> Result<Arc<dyn ExecutionPlan>> {
        let aggregates = self.partial.aggr_expr().to_vec();
        let input = MemorySourceConfig::try_new_exec(&[parts], self.partial.schema(), None)?;
        let made = AggregateExec::try_new(
            mode,
            Arc::new(self.partial.group_expr().as_final()),
            aggregates.clone(),
            vec![None; aggregates.len()],
            input,
            self.partial.input_schema(),
        )?;
        Ok(Arc::new(made))
    }
}

fn is_top(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.downcast_ref::<AggregateExec>().is_some_and(|node| *node.mode() != AggregateMode::Partial)
}

/// The first aggregation of a mode, from the top.
fn find(plan: &Arc<dyn ExecutionPlan>, wanted: &dyn Fn(&AggregateMode) -> bool) -> Option<Arc<dyn ExecutionPlan>> {
    if plan.downcast_ref::<AggregateExec>().is_some_and(|node| wanted(node.mode())) {
        return Some(Arc::clone(plan));
    }
    plan.children().into_iter().find_map(|child| find(child, wanted))
}
