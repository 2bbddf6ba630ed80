//! Joins under a memory limit.
//!
//! A hash join holds the whole of its smaller input, and cannot go to disk; a sort-merge join can. So a plan is made
//! without hash joins where statistics say that an input does not fit, and made again without them where one has run
//! out of memory before its first row. A join that must be by hash (NOT IN over what may be NULL) stays one.

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::JoinType;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, ExecutionPlan, ExecutionPlanProperties, ReplaceChildrenOptions,
};
use futures::{StreamExt, TryStreamExt};
use std::sync::Arc;

/// How the engine calls what a hash join holds.
const HASH_JOIN_INPUT: &str = "HashJoinInput";

/// Largest input of a hash join that is held whole, rather than in a part for each task.
const HELD_WHOLE_BYTES_MAX: usize = 100 << 20;
const HELD_WHOLE_ROWS_MAX: usize = 10_000_000;

/// Has joins planned by sorting and merging.
pub fn without_hash(options: &mut ConfigOptions) {
    options.optimizer.prefer_hash_join = false;
    // The planner takes sort-merge joins only where joins are dealt out to more than one task.
    options.optimizer.repartition_joins = true;
    options.execution.target_partitions = options.execution.target_partitions.max(2);
}

/// Has the smaller input of a hash join held whole up to a size at which cutting both into parts is still dearer. On
/// one node only: other nodes would be sent the whole.
pub fn hold_whole(options: &mut ConfigOptions) {
    options.optimizer.hash_join_single_partition_threshold = HELD_WHOLE_BYTES_MAX;
    options.optimizer.hash_join_single_partition_threshold_rows = HELD_WHOLE_ROWS_MAX;
}

/// Whether a plan has a join that can be planned without a hash table.
pub fn by_hash(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.exists(|plan| Ok(plan.downcast_ref::<HashJoinExec>().is_some_and(|join| !join.null_aware))).unwrap_or(false)
}

/// Whether statistics say of a hash join that what it holds is larger than `limit`. What is said of rows that come out
/// of another join is a guess, and not taken for more.
pub fn does_not_fit(plan: &Arc<dyn ExecutionPlan>, limit: usize) -> bool {
    let statistics = StatisticsContext::new();
    let too_large = |join: &HashJoinExec| {
        let told = statistics.compute(join.left().as_ref(), &StatisticsArgs::new());
        let bytes = told.ok().and_then(|told| told.total_byte_size.get_value().copied());
        !join.null_aware && !joins_below(join.left()) && bytes.is_some_and(|bytes| bytes > limit)
    };
    plan.exists(|plan| Ok(plan.downcast_ref::<HashJoinExec>().is_some_and(too_large))).unwrap_or(false)
}

fn joins_below(plan: &Arc<dyn ExecutionPlan>) -> bool {
    let mut found = false;
    let looked = plan.apply(|plan| {
        found |= plan.is::<HashJoinExec>() || plan.is::<SortMergeJoinExec>() || plan.is::<NestedLoopJoinExec>();
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found || looked.is_err()
}

/// Whether a hash join is what memory has run out for, or what holds most of it.
pub fn ran_out(error: &DataFusionError) -> bool {
    let text = error.to_string();
    text.contains("Resources exhausted") && text.contains(HASH_JOIN_INPUT)
}

/// The rows of a plan, or, where a hash join runs out of memory before the first of them, those of another.
pub fn or_else<F>(mut rows: SendableRecordBatchStream, again: F) -> SendableRecordBatchStream
where
    F: Future<Output = Result<SendableRecordBatchStream>> + Send + 'static,
{
    let schema = rows.schema();
    let begun = async move {
        match rows.next().await {
            Some(Err(error)) if ran_out(&error) => {
                tracing::info!(%error, "a hash join does not fit, and is planned as a sort-merge join");
                drop(rows);
                again.await
            }
            first => {
                let schema = rows.schema();
                let all = futures::stream::iter(first).chain(rows);
                Ok(Box::pin(RecordBatchStreamAdapter::new(schema, all)) as SendableRecordBatchStream)
            }
        }
    };
    Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::once(begun).try_flatten()))
}

/// Makes one stream of the right input of a nested loop join that tells which rows of its left are matched. When such
/// a join goes to disk, DataFusion 55 counts matches for each stream of its own, and rows come out more than once.
#[derive(Debug, Default)]
pub struct OneProbe;

impl PhysicalOptimizerRule for OneProbe {
    fn name(&self) -> &str {
        "one_probe_of_nested_loops"
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| match plan.downcast_ref::<NestedLoopJoinExec>().filter(|join| tells_left(join)) {
            Some(join) => {
                let right = Arc::new(CoalescePartitionsExec::new(Arc::clone(join.right())));
                let children = vec![Arc::clone(join.left()), right as Arc<dyn ExecutionPlan>];
                let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
                Ok(Transformed::yes(plan.replace_children(children, options)?))
            }
            None => Ok(Transformed::no(plan)),
        })
        .data()
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn tells_left(join: &NestedLoopJoinExec) -> bool {
    let tells =
        matches!(join.join_type(), JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark);
    tells && join.right().output_partitioning().partition_count() > 1
}
