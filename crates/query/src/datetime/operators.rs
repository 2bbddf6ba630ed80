//! Operators of intervals that the engine lacks or does otherwise: products with numbers, comparisons, in which a month
//! has 30 days and a day 24 hours (Postgres: `interval_cmp_value`), and texts that stand beside one.

use crate::builtin;
use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::error::Result;
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator};
use sqlparser::ast::BinaryOperator;

/// Plans them.
#[derive(Debug)]
pub struct IntervalPlanner;

impl ExprPlanner for IntervalPlanner {
    fn plan_binary_op(&self, binary: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let (left, right) = (side(&binary.left, schema), side(&binary.right, schema));
        if left != Side::Interval && right != Side::Interval {
            return Ok(PlannerResult::Original(binary));
        }
        let RawBinaryExpr { op, left: l, right: r } = binary;
        let planned = match (&op, left, right) {
            (BinaryOperator::Multiply, Side::Interval, _) => builtin::call("interval_times", vec![l, r])?,
            (BinaryOperator::Multiply, ..) => builtin::call("interval_times", vec![r, l])?,
            (BinaryOperator::Divide, Side::Interval, _) => builtin::call("interval_over", vec![l, r])?,
            _ => match comparison(&op) {
                Some(operator) => {
                    let span = |expr: Expr, side| builtin::call("interval_span", vec![as_interval(expr, side)]);
                    Expr::BinaryExpr(BinaryExpr::new(Box::new(span(l, left)?), operator, Box::new(span(r, right)?)))
                }
                None => {
                    let (left, right) = (as_interval(l, left), as_interval(r, right));
                    return Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }));
                }
            },
        };
        Ok(PlannerResult::Planned(planned))
    }
}

/// What stands on a side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Interval,
    /// A text in quotes, whose type what stands beside it says.
    Unknown,
    Other,
}

fn side(expr: &Expr, schema: &DFSchema) -> Side {
    match expr.get_type(schema) {
        Ok(DataType::Interval(_)) => Side::Interval,
        Ok(data_type) if data_type.is_string() && matches!(expr, Expr::Literal(..)) => Side::Unknown,
        _ => Side::Other,
    }
}

fn as_interval(expr: Expr, side: Side) -> Expr {
    match side {
        Side::Unknown => Expr::Cast(Cast::new(Box::new(expr), super::INTERVAL)),
        _ => expr,
    }
}

fn comparison(op: &BinaryOperator) -> Option<Operator> {
    Some(match op {
        BinaryOperator::Eq => Operator::Eq,
        BinaryOperator::NotEq => Operator::NotEq,
        BinaryOperator::Lt => Operator::Lt,
        BinaryOperator::LtEq => Operator::LtEq,
        BinaryOperator::Gt => Operator::Gt,
        BinaryOperator::GtEq => Operator::GtEq,
        _ => return None,
    })
}
