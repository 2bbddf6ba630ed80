//! Operators of `json` and `jsonb` where the planner sees one: those that texts have, too, mean something else there.

use crate::builtin;
use datafusion::common::DFSchema;
use datafusion::error::Result;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable};
use sqlparser::ast::BinaryOperator;
use tidegate_catalog::PG_TYPE_KEY;

/// Plans them.
#[derive(Debug)]
pub struct JsonPlanner;

impl ExprPlanner for JsonPlanner {
    fn plan_binary_op(&self, binary: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let (left, right) = (side(&binary.left, schema), side(&binary.right, schema));
        if left != Side::Jsonb && right != Side::Jsonb && left != Side::Json && !is_arrow(&binary.op) {
            return Ok(PlannerResult::Original(binary));
        }
        let RawBinaryExpr { op, left: l, right: r } = binary;
        let name = match (&op, left, right) {
            (BinaryOperator::Arrow, Side::Jsonb, _) => "jsonb_get",
            (BinaryOperator::Arrow, ..) => "json_get",
            (BinaryOperator::HashArrow, Side::Jsonb, _) => "jsonb_get_path",
            (BinaryOperator::HashArrow, ..) => "json_get_path",
            (BinaryOperator::AtArrow, ..) => "jsonb_contains",
            (BinaryOperator::ArrowAt, ..) => "jsonb_contained",
            (BinaryOperator::StringConcat, Side::Jsonb, Side::Jsonb | Side::Unknown)
            | (BinaryOperator::StringConcat, Side::Unknown, Side::Jsonb) => "jsonb_concat",
            (BinaryOperator::Minus, Side::Jsonb, _) => "jsonb_delete",
            (op, ..) if compares(op) => {
                let left = as_jsonb(l, left)?;
                let right = as_jsonb(r, right)?;
                return Ok(PlannerResult::Original(RawBinaryExpr { op: op.clone(), left, right }));
            }
            _ => return Ok(PlannerResult::Original(RawBinaryExpr { op, left: l, right: r })),
        };
        let both = ["jsonb_contains", "jsonb_contained", "jsonb_concat"].contains(&name);
        let arguments = if both { vec![as_jsonb(l, left)?, as_jsonb(r, right)?] } else { vec![l, r] };
        Ok(PlannerResult::Planned(builtin::call(name, arguments)?))
    }
}

/// What stands on a side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Json,
    Jsonb,
    /// A text in quotes, whose type what stands beside it says.
    Unknown,
    Other,
}

fn side(expr: &Expr, schema: &DFSchema) -> Side {
    let Ok((_, field)) = expr.to_field(schema) else { return Side::Other };
    match field.metadata().get(PG_TYPE_KEY).map(String::as_str) {
        Some("jsonb") => Side::Jsonb,
        Some("json") => Side::Json,
        _ if field.data_type().is_string() && matches!(expr, Expr::Literal(..)) => Side::Unknown,
        _ => Side::Other,
    }
}

fn is_arrow(op: &BinaryOperator) -> bool {
    matches!(op, BinaryOperator::Arrow | BinaryOperator::HashArrow)
}

fn compares(op: &BinaryOperator) -> bool {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq)
}

fn as_jsonb(expr: Expr, side: Side) -> Result<Expr> {
    match side {
        Side::Unknown => builtin::call("jsonb_in", vec![expr]),
        _ => Ok(expr),
    }
}
