//! Paths and operators on SUPER values, where the engine's planner sees them: it knows the columns' types by then.

use super::call;
use arrow::datatypes::{DataType, Field};
use datafusion::common::{Column, DFSchema, ScalarValue, TableReference, not_impl_err};
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr, RawFieldAccessExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, GetFieldAccess, cast, lit};
use tidegate_catalog::is_super;
use tidegate_parser::ast::BinaryOperator;

/// Plans what touches a SUPER value, and leaves the rest to the engine.
#[derive(Debug)]
pub struct SuperPlanner;

/// Whether an expression gives SUPER values.
pub fn is_super_expr(expr: &Expr, schema: &DFSchema) -> bool {
    expr.to_field(schema).is_ok_and(|(_, field)| is_super(&field))
}

impl ExprPlanner for SuperPlanner {
    /// `column.a.b`: its name is that of its last step.
    fn plan_compound_identifier(
        &self,
        field: &Field,
        qualifier: Option<&TableReference>,
        steps: &[String],
    ) -> EngineResult<PlannerResult<Vec<Expr>>> {
        let (true, Some(name)) = (is_super(field), steps.last()) else {
            return Ok(PlannerResult::Original(Vec::new()));
        };
        let column = Expr::Column(Column::new(qualifier.cloned(), field.name()));
        let path = steps.iter().fold(column, |value, step| call("super_get", vec![value, lit(step.as_str())]));
        Ok(PlannerResult::Planned(path.alias(name)))
    }

    fn plan_field_access(
        &self,
        access: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> EngineResult<PlannerResult<RawFieldAccessExpr>> {
        if !is_super_expr(&access.expr, schema) {
            return Ok(PlannerResult::Original(access));
        }
        let step = match access.field_access {
            GetFieldAccess::NamedStructField { name } => lit(name),
            GetFieldAccess::ListIndex { key } => *key,
            GetFieldAccess::ListRange { .. } => {
                return not_impl_err!("a part of a SUPER array is SUBARRAY(array, from, count)");
            }
        };
        Ok(PlannerResult::Planned(call("super_get", vec![access.expr, step])))
    }

    fn plan_binary_op(&self, binary: RawBinaryExpr, schema: &DFSchema) -> EngineResult<PlannerResult<RawBinaryExpr>> {
        let (left, right) = (is_super_expr(&binary.left, schema), is_super_expr(&binary.right, schema));
        if !left && !right {
            return Ok(PlannerResult::Original(binary));
        }
        if let Some(name) = function_of(&binary.op) {
            return Ok(PlannerResult::Planned(call(name, vec![binary.left, binary.right])));
        }
        let wanted = match binary.op {
            BinaryOperator::And | BinaryOperator::Or => DataType::Boolean,
            _ => DataType::Utf8View,
        };
        // Cast as `::` does; what such a cast becomes is decided with all the others.
        let plain = |is_super, expr: Expr| if is_super { cast(expr.unalias(), wanted.clone()) } else { expr };
        Ok(PlannerResult::Original(RawBinaryExpr {
            op: binary.op,
            left: plain(left, binary.left),
            right: plain(right, binary.right),
        }))
    }
}

/// The function that performs an operator on SUPER values.
fn function_of(op: &BinaryOperator) -> Option<&'static str> {
    Some(match op {
        BinaryOperator::Eq => "super_eq",
        BinaryOperator::NotEq => "super_ne",
        BinaryOperator::Lt => "super_lt",
        BinaryOperator::LtEq => "super_le",
        BinaryOperator::Gt => "super_gt",
        BinaryOperator::GtEq => "super_ge",
        BinaryOperator::Plus => "super_add",
        BinaryOperator::Minus => "super_subtract",
        BinaryOperator::Multiply => "super_multiply",
        BinaryOperator::Divide => "super_divide",
        BinaryOperator::Modulo => "super_modulo",
        _ => return None,
    })
}

/// NULL of a type, which tells a cast what is asked for.
pub fn null_of(data_type: &DataType) -> EngineResult<Expr> {
    Ok(lit(ScalarValue::try_from(data_type)?))
}
