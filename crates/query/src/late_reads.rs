//! Scans that read their filters' columns first, and the others only of rows that pass.
//!
//! What a join tells a scan of its keys (a dynamic filter) skips row groups by their bounds; asked of each row while it
//! is decoded, it spares the decoding of the rest, at the price of a look-up for each row. That pays where few rows
//! pass, and where they would be grouped before they reach the join. How many pass is guessed from the filters on what
//! is joined: statistics know no distinct values.

use datafusion::catalog::memory::DataSourceExec;
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::physical_plan::{FileScanConfig, FileScanConfigBuilder, ParquetSource};
use datafusion::logical_expr::{JoinType, Operator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, DynamicFilterPhysicalExpr, InListExpr, LikeExpr};
use datafusion::physical_expr::utils::split_conjunction;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};
use std::sync::Arc;

/// Share of rows up to which a filter is asked of each row.
const FEW: f64 = 1.0 / 400.0;
/// The same where the rows would be grouped otherwise.
const FEW_OF_GROUPS: f64 = 0.5;
/// Shares of rows that are taken to pass a condition.
const PASS_EQUAL: f64 = 1.0 / 50.0;
const PASS_LIKE: f64 = 1.0 / 20.0;
const PASS_RANGE: f64 = 1.0 / 3.0;
const PASS_HAVING: f64 = 1.0 / 500.0;

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

/// The share of its tables' rows that a plan is taken to keep.
fn kept(plan: &Arc<dyn ExecutionPlan>) -> f64 {
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
