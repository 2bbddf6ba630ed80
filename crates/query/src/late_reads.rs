//! Scans that read their filters' columns first, and the others only of rows that pass.
//!
//! What a join tells a scan of its keys (a dynamic filter) skips row groups by their bounds; asked of each row while it
//! is decoded, it spares the decoding of the rest, at the price of a look-up for each row. That pays where few rows
//! pass, and where they would be grouped before they reach the join. How many pass is guessed from the filters on what
//! is joined: see [`crate::selectivity`].

use crate::selectivity::kept;
use datafusion::catalog::memory::DataSourceExec;
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNode;
use datafusion::datasource::physical_plan::{FileScanConfig, FileScanConfigBuilder, ParquetSource};
use datafusion::logical_expr::JoinType;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::DynamicFilterPhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};
use std::sync::Arc;

/// Share of rows up to which a filter is asked of each row.
const FEW: f64 = 1.0 / 400.0;
/// The same where the rows would be grouped otherwise.
const FEW_OF_GROUPS: f64 = 0.5;

/// The rule. It comes after filters have been pushed down.
#[derive(Debug, Default)]
pub struct LateReads;

impl PhysicalOptimizerRule for LateReads {
    fn name(&self) -> &str {
        "late_reads"
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        chosen(plan, Above { passed: 1.0, grouped: false })
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// What stands above a node: the share of rows that joins let pass, and whether they are grouped before that.
#[derive(Debug, Clone, Copy)]
struct Above {
    passed: f64,
    grouped: bool,
}

fn chosen(plan: Arc<dyn ExecutionPlan>, above: Above) -> Result<Arc<dyn ExecutionPlan>> {
    if let Some(scan) = plan.downcast_ref::<DataSourceExec>() {
        return Ok(late(scan, above).unwrap_or(plan));
    }
    let made = match plan.downcast_ref::<HashJoinExec>() {
        Some(join) => {
            let probed = Above { passed: above.passed * told_by(join), grouped: false };
            vec![chosen(Arc::clone(join.left()), above)?, chosen(Arc::clone(join.right()), probed)?]
        }
        None => {
            let grouped = above.grouped || plan.is::<AggregateExec>() && above.passed < 1.0;
            let below = Above { grouped, ..above };
            plan.children().into_iter().map(|child| chosen(Arc::clone(child), below)).collect::<Result<_>>()?
        }
    };
    if plan.children().into_iter().zip(&made).all(|(old, new)| Arc::ptr_eq(old, new)) {
        return Ok(plan);
    }
    plan.replace_children(made, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
}

/// The share of rows on its right that a join lets pass, as far as it tells them before they are read.
fn told_by(join: &HashJoinExec) -> f64 {
    match join.join_type() {
        JoinType::Inner | JoinType::Left | JoinType::RightSemi | JoinType::LeftSemi => kept(join.left()),
        _ => 1.0,
    }
}

/// The scan with its filters asked of each row; None where that does not pay.
fn late(scan: &DataSourceExec, above: Above) -> Option<Arc<dyn ExecutionPlan>> {
    let pays = above.passed <= FEW || above.grouped && above.passed <= FEW_OF_GROUPS;
    let config = scan.data_source().downcast_ref::<FileScanConfig>().filter(|_| pays)?;
    let source = config.file_source().downcast_ref::<ParquetSource>()?;
    let told = config.file_source().filter().is_some_and(|filter| is_told(&filter));
    let source = told.then(|| source.clone().with_pushdown_filters(true))?;
    let config = FileScanConfigBuilder::from(config.clone()).with_source(Arc::new(source)).build();
    Some(DataSourceExec::from_data_source(config))
}

/// Whether a part of a filter comes from a join while it runs.
fn is_told(filter: &Arc<dyn PhysicalExpr>) -> bool {
    filter.exists(|part| Ok(part.is::<DynamicFilterPhysicalExpr>())).unwrap_or(false)
}
