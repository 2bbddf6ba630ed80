//! Plans that stop when they are told to.
//!
//! A cancelled query ends where it next yields. DataFusion makes sources yield (`EnsureCooperative`), but an operator
//! that makes many rows of few (a join of two large inputs on a few keys) goes on for hours over one batch of its
//! input, and never comes back to it.

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::unnest::UnnestExec;
use std::sync::Arc;

/// Puts a node that yields above each operator that multiplies rows. It comes last, so that no other rule has to look
/// through what it puts in.
#[derive(Debug, Default)]
pub struct YieldAboveJoins;

impl PhysicalOptimizerRule for YieldAboveJoins {
    fn name(&self) -> &str {
        "yield_above_joins"
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let wrapped = |plan: Arc<dyn ExecutionPlan>| match multiplies_rows(plan.as_ref()) {
            true => Transformed::yes(Arc::new(CooperativeExec::new(plan)) as Arc<dyn ExecutionPlan>),
            false => Transformed::no(plan),
        };
        plan.transform_up(|plan| Ok(wrapped(plan))).data()
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn multiplies_rows(plan: &dyn ExecutionPlan) -> bool {
    plan.is::<HashJoinExec>()
        || plan.is::<CrossJoinExec>()
        || plan.is::<NestedLoopJoinExec>()
        || plan.is::<SortMergeJoinExec>()
        || plan.is::<UnnestExec>()
}
