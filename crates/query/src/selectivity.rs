//! How many rows pass a filter, guessed from what it asks: statistics know no distinct values.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, InListExpr, LikeExpr};
use datafusion::physical_expr::utils::split_conjunction;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use std::sync::Arc;

/// Shares of rows that are taken to pass a condition.
const PASS_EQUAL: f64 = 1.0 / 50.0;
const PASS_LIKE: f64 = 1.0 / 20.0;
const PASS_RANGE: f64 = 1.0 / 3.0;
const PASS_HAVING: f64 = 1.0 / 500.0;

/// The share of its tables' rows that a plan is taken to keep.
pub fn kept(plan: &Arc<dyn ExecutionPlan>) -> f64 {
    let mut share = 1.0;
    // It never fails: what it looks at has been planned.
    let _ = plan.apply(|plan| {
        if let Some(filter) = plan.downcast_ref::<FilterExec>() {
            let having = filter.input().is::<AggregateExec>();
            share *= if having { PASS_HAVING } else { passes(filter.predicate(), rows(filter.input())) };
        }
        Ok(TreeNodeRecursion::Continue)
    });
    share
}

/// Rows of the scan that a plan reads alone; infinite where it is not known.
fn rows(plan: &Arc<dyn ExecutionPlan>) -> f64 {
    let told = StatisticsContext::new().compute(plan.as_ref(), &StatisticsArgs::new());
    told.ok().and_then(|told| told.num_rows.get_value().copied()).map_or(f64::INFINITY, |rows| rows as f64)
}

/// The share of so many rows that pass a filter: of one that asks for equality not less than one row.
fn passes(filter: &Arc<dyn PhysicalExpr>, rows: f64) -> f64 {
    split_conjunction(filter).into_iter().map(|part| passes_part(part, rows)).product()
}

fn passes_part(part: &Arc<dyn PhysicalExpr>, rows: f64) -> f64 {
    let equal = PASS_EQUAL.max(1.0 / rows.max(1.0));
    if let Some(binary) = part.downcast_ref::<BinaryExpr>() {
        let sides = || passes(binary.left(), rows) + passes(binary.right(), rows);
        return match binary.op() {
            Operator::Eq => equal,
            Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq => PASS_RANGE,
            Operator::Or => sides().min(1.0),
            _ => 1.0,
        };
    }
    if let Some(list) = part.downcast_ref::<InListExpr>().filter(|list| !list.negated()) {
        return (equal * list.list().len() as f64).min(1.0);
    }
    match part.downcast_ref::<LikeExpr>() {
        Some(like) if !like.negated() => PASS_LIKE,
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion::physical_expr::expressions::{Column, in_list, like, lit};

    #[test]
    fn how_many_rows_pass_is_guessed_from_the_conditions() {
        let schema = Schema::new(vec![Field::new("n", DataType::Int64, true), Field::new("t", DataType::Utf8, true)]);
        let column = |index: usize| Arc::new(Column::new(schema.field(index).name(), index)) as Arc<dyn PhysicalExpr>;
        let both = |left, op, right| Arc::new(BinaryExpr::new(left, op, right)) as Arc<dyn PhysicalExpr>;
        let equal = || both(column(0), Operator::Eq, lit(1_i64));
        let cases = [
            (equal(), 1000.0, PASS_EQUAL),
            (equal(), 5.0, 0.2),
            (both(equal(), Operator::And, equal()), 1000.0, PASS_EQUAL * PASS_EQUAL),
            (both(equal(), Operator::Or, equal()), 1000.0, PASS_EQUAL * 2.0),
            (both(column(0), Operator::Gt, lit(1_i64)), 1000.0, PASS_RANGE),
            (both(column(0), Operator::NotEq, lit(1_i64)), 1000.0, 1.0),
            (like(false, false, column(1), lit("a%"), &schema).unwrap(), 1000.0, PASS_LIKE),
            (in_list(column(0), vec![lit(1_i64), lit(2_i64)], &false, &schema).unwrap(), 1000.0, PASS_EQUAL * 2.0),
        ];
        for (filter, rows, expected) in cases {
            assert!((passes(&filter, rows) - expected).abs() < 1e-9, "{filter} of {rows}");
        }
    }
}
