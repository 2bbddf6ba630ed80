//! What joins move between slices, in the words of Redshift's EXPLAIN (DST-02): `DS_DIST_NONE`, `DS_DIST_INNER`,
//! `DS_DIST_OUTER`, `DS_DIST_BOTH`, `DS_BCAST_INNER`.
//!
//! A slice is a task here, on this node or on another. All of them read the same files, so no label tells of copies
//! that a table has (`DS_DIST_ALL_NONE`, `DS_DIST_ALL_INNER`).

use datafusion::logical_expr::{PlanType, StringifiedPlan};
use datafusion::physical_plan::explain::ExplainExec;
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, NestedLoopJoinExec, PartitionMode, SortMergeJoinExec,
};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, Partitioning};
use std::sync::Arc;

/// How the distributed engine calls what sends rows to the node of their key, and to all nodes.
const BY_KEY: &str = "NetworkShuffleExec";
const TO_ALL: &str = "NetworkBroadcastExec";

/// What happens to the rows of one side of a join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moved {
    No,
    ByKey,
    ToAll,
}

/// EXPLAIN's answer with a line for each join of the plan that it explains, in the plan's order.
pub fn told(shown: Arc<dyn ExecutionPlan>, explained: &Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    let Some(explain) = shown.downcast_ref::<ExplainExec>() else { return shown };
    let lines = labels(explained);
    if lines.is_empty() {
        return shown;
    }
    let longer = |one: &StringifiedPlan| match one.plan_type {
        PlanType::FinalPhysicalPlan => {
            let text = format!("{}\n{}\n", one.plan.trim_end(), lines.join("\n"));
            StringifiedPlan::new(PlanType::FinalPhysicalPlan, text)
        }
        _ => one.clone(),
    };
    let plans = explain.stringified_plans().iter().map(longer).collect();
    Arc::new(ExplainExec::new(explain.schema(), plans, explain.verbose()))
}

fn labels(plan: &Arc<dyn ExecutionPlan>) -> Vec<String> {
    let own = label(plan.as_ref()).map(|label| format!("{}: {label}", named(plan.as_ref())));
    own.into_iter().chain(plan.children().into_iter().flat_map(labels)).collect()
}

/// A join and its keys.
fn named(plan: &dyn ExecutionPlan) -> String {
    let keys = match (plan.downcast_ref::<HashJoinExec>(), plan.downcast_ref::<SortMergeJoinExec>()) {
        (Some(join), _) => join.on(),
        (_, Some(join)) => join.on(),
        _ => return plan.name().to_string(),
    };
    let keys: Vec<String> = keys.iter().map(|(left, right)| format!("{left} = {right}")).collect();
    format!("{} on {}", plan.name(), keys.join(", "))
}

/// None: it is no join.
fn label(plan: &dyn ExecutionPlan) -> Option<&'static str> {
    let (inner, outer) = if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        let outer = moved(join.right());
        match join.partition_mode() {
            PartitionMode::CollectLeft => (held_by_all(join.left(), join.right()), outer),
            _ => (moved(join.left()), outer),
        }
    } else if let Some(join) = plan.downcast_ref::<SortMergeJoinExec>() {
        (moved(join.right()), moved(join.left()))
    } else if let Some(join) = plan.downcast_ref::<NestedLoopJoinExec>() {
        (held_by_all(join.left(), join.right()), Moved::No)
    } else if let Some(join) = plan.downcast_ref::<CrossJoinExec>() {
        (held_by_all(join.left(), join.right()), Moved::No)
    } else {
        return None;
    };
    Some(match (inner, outer) {
        (Moved::ToAll, _) => "DS_BCAST_INNER",
        (Moved::ByKey, Moved::No) => "DS_DIST_INNER",
        (Moved::ByKey, _) => "DS_DIST_BOTH",
        (Moved::No, Moved::No) => "DS_DIST_NONE",
        (Moved::No, _) => "DS_DIST_OUTER",
    })
}

/// The side that each task of the other one sees whole.
fn held_by_all(inner: &Arc<dyn ExecutionPlan>, outer: &Arc<dyn ExecutionPlan>) -> Moved {
    match outer.output_partitioning().partition_count() > 1 {
        true => Moved::ToAll,
        false => moved(inner),
    }
}

/// What moves the rows that come out of a plan, up to the next join or aggregation below it.
fn moved(plan: &Arc<dyn ExecutionPlan>) -> Moved {
    let by_key = |moves: &RepartitionExec| matches!(moves.partitioning(), Partitioning::Hash(..));
    match plan.name() {
        BY_KEY => return Moved::ByKey,
        TO_ALL => return Moved::ToAll,
        _ if plan.downcast_ref::<RepartitionExec>().is_some_and(by_key) => return Moved::ByKey,
        _ => {}
    }
    match plan.children().as_slice() {
        [only] if !plan.name().contains("Aggregate") => moved(only),
        _ => Moved::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::prelude::{SessionConfig, SessionContext};

    async fn labels_of(partitions: usize, held_whole: usize, sql: &str) -> Vec<String> {
        let mut config = SessionConfig::new().with_target_partitions(partitions);
        let optimizer = &mut config.options_mut().optimizer;
        optimizer.hash_join_single_partition_threshold = held_whole;
        optimizer.hash_join_single_partition_threshold_rows = held_whole;
        let context = SessionContext::new_with_config(config);
        for table in ["a", "b"] {
            context.sql(&format!("CREATE TABLE {table} AS SELECT * FROM (VALUES (1), (2)) v(n)")).await.unwrap();
        }
        let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        labels(&plan).into_iter().filter_map(|line| Some(line.rsplit_once(": ")?.1.to_string())).collect()
    }

    #[tokio::test]
    async fn joins_are_labelled_by_what_they_move() {
        let keys = "SELECT * FROM a JOIN b ON a.n = b.n";
        let tasks = "SELECT * FROM a JOIN (SELECT n FROM a UNION ALL SELECT n FROM b) c ON a.n = c.n";
        assert_eq!(labels_of(1, 1000, keys).await, ["DS_DIST_NONE"]);
        assert_eq!(labels_of(4, 0, tasks).await, ["DS_DIST_BOTH"]);
        assert_eq!(labels_of(4, 1000, tasks).await, ["DS_BCAST_INNER"]);
        assert_eq!(labels_of(1, 1000, "SELECT * FROM a JOIN b ON a.n < b.n").await, ["DS_DIST_NONE"]);
        assert_eq!(labels_of(4, 1000, "SELECT n FROM a").await, Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_join_says_its_keys() {
        let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
        context.sql("CREATE TABLE a AS SELECT 1 AS n").await.unwrap();
        let plan = context.sql("SELECT * FROM a JOIN a b ON a.n = b.n").await.unwrap();
        let told = labels(&plan.create_physical_plan().await.unwrap());
        assert_eq!(told, ["HashJoinExec on n@0 = n@0: DS_DIST_NONE"]);
    }
}
