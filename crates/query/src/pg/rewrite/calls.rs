//! Functions and operators of `pg_catalog` by their plain names; COLLATE is dropped.

use super::super::functions::subscripts;
use super::build;
use sqlparser::ast::{
    BinaryOperator, DataType, Expr, Function, FunctionArgumentClause, FunctionArguments, Ident, ObjectName, OrderBy,
    OrderByKind, Query, SetExpr, TableFactor, Value,
};

/// Called without parentheses.
const BARE: &[&str] = &["current_catalog", "current_role", "current_schema", "current_user", "session_user", "user"];

/// Rewrites one expression, its parts being done. Whether it is now a subquery that was `ARRAY(SELECT …)`.
pub fn expression(expr: &mut Expr) -> bool {
    match expr {
        // Comparison is by bytes throughout, so that a collation says nothing.
        Expr::Collate { expr: inner, .. } => *expr = take(inner),
        Expr::BinaryOp { op, .. } => operator(op),
        Expr::Identifier(ident) if ident.quote_style.is_none() => {
            let name = ident.value.to_lowercase();
            if BARE.contains(&name.as_str()) {
                *expr = build::call(&name, Vec::new());
            }
        }
        Expr::Function(function) => {
            name(function);
            if let Some(places) = places(function) {
                *expr = places;
            } else if let Some(query) = array_query(function) {
                *expr = array_of(query);
                return matches!(expr, Expr::Subquery(_));
            }
        }
        _ => {}
    }
    false
}

/// Of no rows, too, `ARRAY(SELECT …)` is an array.
pub fn or_empty(expr: &mut Expr) {
    *expr = build::call("coalesce", vec![take(expr), build::array(Vec::new())]);
}

/// Columns of the catalogs' vectors, whose first subscript is 0.
const VECTORS: &[&str] = &["indkey", "indclass", "indcollation", "indoption", "partattrs", "proargtypes", "prattrs"];

/// A function that gives a row for each item of an array, as `unnest` of a list.
fn places(function: &mut Function) -> Option<Expr> {
    let name = function.name.0.last()?.as_ident()?.value.to_lowercase();
    let array = || build::arguments(function).and_then(|arguments| arguments.first().map(|one| (*one).clone()));
    let list = match name.as_str() {
        "generate_subscripts" => {
            let array = array()?;
            let first = if is_vector(&array) { 0 } else { 1 };
            build::call(subscripts::SUBSCRIPTS, vec![array, build::value(Value::Number(first.to_string(), false))])
        }
        // There are no partitions in Postgres' sense.
        "pg_partition_ancestors" | "pg_partition_tree" => {
            build::cast(build::array(Vec::new()), build::array_type(DataType::BigInt(None)))
        }
        subscripts::EXPANDED => build::call(subscripts::EXPANDED, vec![array()?]),
        _ => return None,
    };
    Some(build::call("unnest", vec![list]))
}

fn is_vector(expr: &Expr) -> bool {
    let name = match build::bare(expr) {
        Expr::Identifier(name) => Some(name),
        Expr::CompoundIdentifier(names) => names.last(),
        _ => None,
    };
    name.is_some_and(|name| VECTORS.contains(&name.value.to_lowercase().as_str()))
}

/// Takes an expression out of its place.
pub fn take(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, build::boolean(false))
}

fn name(function: &mut Function) {
    if let [schema, last] = function.name.0.as_slice()
        && schema.as_ident().is_some_and(|schema| schema.value.eq_ignore_ascii_case("pg_catalog"))
        && let Some(last) = last.as_ident()
    {
        function.name = ObjectName::from(vec![last.clone()]);
    }
    if function.args == FunctionArguments::None && BARE.contains(&build::function_name(function).as_str()) {
        let Expr::Function(made) = build::call("", Vec::new()) else { return };
        function.args = made.args;
    }
}

/// `OPERATOR(pg_catalog.~)` is `~`.
fn operator(op: &mut BinaryOperator) {
    let BinaryOperator::PGCustomBinaryOperator(parts) = op else { return };
    let ([_, symbol] | [symbol]) = parts.as_slice() else { return };
    *op = match symbol.as_str() {
        "=" => BinaryOperator::Eq,
        "<>" | "!=" => BinaryOperator::NotEq,
        "<" => BinaryOperator::Lt,
        "<=" => BinaryOperator::LtEq,
        ">" => BinaryOperator::Gt,
        ">=" => BinaryOperator::GtEq,
        "+" => BinaryOperator::Plus,
        "-" => BinaryOperator::Minus,
        "*" => BinaryOperator::Multiply,
        "/" => BinaryOperator::Divide,
        "%" => BinaryOperator::Modulo,
        "||" => BinaryOperator::StringConcat,
        "~" => BinaryOperator::PGRegexMatch,
        "~*" => BinaryOperator::PGRegexIMatch,
        "!~" => BinaryOperator::PGRegexNotMatch,
        "!~*" => BinaryOperator::PGRegexNotIMatch,
        "~~" => BinaryOperator::PGLikeMatch,
        "~~*" => BinaryOperator::PGILikeMatch,
        "!~~" => BinaryOperator::PGNotLikeMatch,
        "!~~*" => BinaryOperator::PGNotILikeMatch,
        _ => return,
    };
}

/// The query of `ARRAY(SELECT …)`.
fn array_query(function: &mut Function) -> Option<Box<Query>> {
    if build::function_name(function) != "array" {
        return None;
    }
    match std::mem::replace(&mut function.args, FunctionArguments::None) {
        FunctionArguments::Subquery(query) => Some(query),
        other => {
            function.args = other;
            None
        }
    }
}

/// `ARRAY(SELECT x …)` is all `x` in one array.
fn array_of(mut query: Box<Query>) -> Expr {
    if let Some(item) = super::barren::types(&query).and_then(|types| types.into_iter().next()) {
        return build::cast(build::array(Vec::new()), build::array_type(item));
    }
    let plain = build::plain_select(&query).is_some_and(|select| {
        select.distinct.is_none() && select.projection.len() == 1 && query.limit_clause.is_none()
    });
    if plain
        && let SetExpr::Select(select) = query.body.as_mut()
        && let Some(item) = select.projection.first_mut().and_then(build::item_expr_mut)
    {
        let inner = take(item);
        *item = aggregated(inner, query.order_by.take());
        return Expr::Subquery(query);
    }
    match aggregated_query(query) {
        Some(query) => Expr::Subquery(query),
        None => build::value(Value::Null),
    }
}

/// The same around a query that is no plain select.
fn aggregated_query(query: Box<Query>) -> Option<Box<Query>> {
    let mut around = tidegate_parser::parse_query("SELECT array_agg(item) FROM (SELECT 1) AS items (item)").ok()?;
    let SetExpr::Select(select) = around.body.as_mut() else { return None };
    let TableFactor::Derived { subquery, .. } = &mut select.from.first_mut()?.relation else { return None };
    *subquery = query;
    Some(around)
}

fn aggregated(item: Expr, order: Option<OrderBy>) -> Expr {
    let mut made = build::call("array_agg", vec![item.clone()]);
    if let (Expr::Function(function), Some(order)) = (&mut made, order)
        && let (FunctionArguments::List(list), OrderByKind::Expressions(mut by)) = (&mut function.args, order.kind)
    {
        // ORDER BY 1 is the item itself.
        for one in &mut by {
            if matches!(&one.expr, Expr::Value(value) if value.to_string() == "1") {
                one.expr = item.clone();
            }
        }
        list.clauses.push(FunctionArgumentClause::OrderBy(by));
    }
    made
}

/// A name without quotes.
pub fn ident(name: &str) -> Ident {
    let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { Ident::new(name) } else { Ident::with_quote('"', name) }
}
