//! Joins of a few rows with groups of many: the few are held, and tell the groups which of them are asked for.
//!
//! `… WHERE l_quantity < (SELECT 0.2 * avg(l_quantity) FROM lineitem WHERE l_partkey = p_partkey)` becomes a join of some
//! parts' lines with the averages of all parts. The planner takes the averages for the smaller input and holds them; then
//! all of them are made. Held the other way round, the join tells the scan below the grouping (by a dynamic filter,
//! which passes a grouping by its keys) which parts there are.

use crate::selectivity::kept;
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::logical_expr::JoinType;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use std::sync::Arc;

/// Share of rows up to which an input is taken to be few.
const FEW: f64 = 1.0 / 100.0;

/// The rule. It comes after the planner has chosen which input of a join is held, and before filters are pushed down.
#[derive(Debug, Default)]
pub struct HoldTheFew;

impl PhysicalOptimizerRule for HoldTheFew {
    fn name(&self) -> &str {
        "hold_the_few"
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| match plan.downcast_ref::<HashJoinExec>().filter(|join| holds_groups_of_many(join)) {
            Some(join) => Ok(Transformed::yes(join.swap_inputs(*join.partition_mode())?)),
            None => Ok(Transformed::no(plan)),
        })
        .data()
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn holds_groups_of_many(join: &HashJoinExec) -> bool {
    // The others would say nothing of their right input, swapped.
    let tells =
        matches!(join.join_type(), JoinType::Inner | JoinType::LeftSemi | JoinType::RightSemi | JoinType::Right);
    let keys = join.on().iter().map(|(left, _)| left.downcast_ref::<Column>());
    let by_key = |key: Option<&Column>| key.is_some_and(|key| is_group_key(join.left(), key.index()));
    tells && !join.null_aware && keys.into_iter().any(by_key) && kept(join.right()) <= FEW && kept(join.left()) > FEW
}

/// Whether a column of a plan is what its rows have been grouped by.
fn is_group_key(plan: &Arc<dyn ExecutionPlan>, column: usize) -> bool {
    if let Some(groups) = plan.downcast_ref::<AggregateExec>() {
        return column < groups.group_expr().expr().len();
    }
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let from = projection.expr().get(column).and_then(|one| one.expr.downcast_ref::<Column>());
        return from.is_some_and(|from| is_group_key(projection.input(), from.index()));
    }
    let passes = plan.is::<CoalescePartitionsExec>() || plan.is::<RepartitionExec>();
    passes && plan.children().first().is_some_and(|input| is_group_key(input, column))
}
