//! `ARRAY(SELECT rolname FROM pg_roles WHERE oid = ANY (list) ORDER BY 1)`, as psql asks for the roles of a policy: a
//! subquery for each row, which the engine cannot turn into a join. It becomes a call.

use super::build;
use sqlparser::ast::{Expr, FunctionArguments, Query, TableFactor};
use tidegate_parser::{fold, name_parts};

/// The function that the subquery becomes.
pub const FUNCTION: &str = "pg_role_names";

/// Rewrites one expression, if it is such a subquery.
pub fn expression(expr: &mut Expr) {
    let list = match expr {
        Expr::Function(call) if name_parts(&call.name).last().is_some_and(|name| name == "array") => match &call.args {
            FunctionArguments::Subquery(query) => list(query),
            _ => None,
        },
        _ => None,
    };
    if let Some(list) = list {
        *expr = build::call(FUNCTION, vec![list]);
    }
}

/// The list of roles whose names a query gives.
fn list(query: &Query) -> Option<Expr> {
    let select = build::plain_select(query)?;
    let [from] = select.from.as_slice() else { return None };
    let TableFactor::Table { name, .. } = &from.relation else { return None };
    let [item] = select.projection.as_slice() else { return None };
    let is_name = matches!(build::item_expr(item), Some(Expr::Identifier(word)) if fold(word) == "rolname");
    let is_roles = from.joins.is_empty() && name_parts(name).last().is_some_and(|name| name == "pg_roles");
    match &select.selection {
        Some(Expr::AnyOp { left, right, .. }) if is_name && is_roles => match left.as_ref() {
            Expr::Identifier(word) if fold(word) == "oid" => Some(right.as_ref().clone()),
            _ => None,
        },
        _ => None,
    }
}
