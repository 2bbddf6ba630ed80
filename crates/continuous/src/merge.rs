//! Rows of the same groups made one.

use datafusion::common::Column;
use datafusion::functions_aggregate::expr_fn::{max, min, sum};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use tidegate_core::Result;
use tidegate_query::from_datafusion;

/// How two rows of a group become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merge {
    /// They are of one group because it is equal.
    Key,
    /// Sums and counts.
    Sum,
    /// The least.
    Min,
    /// The greatest.
    Max,
}

/// One row for each group of a plan's rows: how its columns merge, and the names that they get. Without a key there is
/// one row.
pub fn merged(all: LogicalPlan, columns: &[(&str, Merge)]) -> Result<LogicalPlan> {
    let (mut keys, mut made, mut order) = (Vec::new(), Vec::new(), Vec::new());
    for (column, (name, merge)) in all.schema().columns().into_iter().map(Expr::Column).zip(columns) {
        let one = match merge {
            Merge::Key => {
                order.push(column.clone().alias(*name));
                keys.push(column);
                continue;
            }
            Merge::Sum => sum(column),
            Merge::Min => min(column),
            Merge::Max => max(column),
        };
        let place = format!("$merged {}", made.len());
        order.push(Expr::Column(Column::new_unqualified(&place)).alias(*name));
        made.push(one.alias(place));
    }
    let merged = LogicalPlanBuilder::from(all).aggregate(keys, made).and_then(|plan| plan.project(order));
    merged.and_then(LogicalPlanBuilder::build).map_err(from_datafusion)
}

/// The rows of a plan, and of others with the same columns.
pub fn together(first: LogicalPlan, others: impl IntoIterator<Item = LogicalPlan>) -> Result<LogicalPlan> {
    let all = others.into_iter().try_fold(LogicalPlanBuilder::from(first), LogicalPlanBuilder::union);
    all.and_then(LogicalPlanBuilder::build).map_err(from_datafusion)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::common::ScalarValue;
    use datafusion::logical_expr::lit;
    use datafusion::prelude::{SessionContext, col};

    fn row(key: i64, sum: Option<i64>, least: i64) -> LogicalPlan {
        let row = vec![lit(key), lit(ScalarValue::Int64(sum)), lit(least)];
        LogicalPlanBuilder::values(vec![row]).and_then(LogicalPlanBuilder::build).unwrap()
    }

    #[tokio::test]
    async fn rows_of_a_group_become_one() {
        let added = [row(2, None, 9), row(1, Some(-2), 1), row(2, None, 8)];
        let columns = [("k", Merge::Key), ("s", Merge::Sum), ("m", Merge::Min)];
        let plan = merged(together(row(1, Some(5), 3), added).unwrap(), &columns).unwrap();
        let found = SessionContext::new().execute_logical_plan(plan).await.unwrap();
        let found = found.sort_by(vec![col("k")]).unwrap().collect().await.unwrap();
        let shown = pretty_format_batches(&found).unwrap().to_string();
        let rows: Vec<&str> = shown.lines().filter(|line| line.starts_with("| ")).collect();
        assert_eq!(rows, ["| k | s | m |", "| 1 | 3 | 1 |", "| 2 |   | 8 |"], "{shown}");
    }
}
