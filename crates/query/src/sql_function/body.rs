//! The body of a function as an expression: planned as a query over one row of NULLs, whose columns are the arguments.

use crate::pg::build;
use crate::planner::Planner;
use crate::scope::Scope;
use datafusion::logical_expr::{Expr, LogicalPlan};
use std::ops::ControlFlow;
use tidegate_catalog::Function;
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::ast::{self, GroupByExpr, SelectItem, SetExpr, VisitMut, VisitorMut};
use tidegate_parser::fold;

/// Functions in functions: deeper ones are refused.
const DEPTH_MAX: usize = 32;

/// The name of the column that stands for an argument.
pub fn column(place: usize) -> String {
    format!("${}", place + 1)
}

/// Plans a body. 0A000 for what is more than one expression, 42P13's kin for one that calls itself.
pub async fn plan(scope: &Scope, function: &Function) -> Result<Expr> {
    if scope.depth >= DEPTH_MAX {
        let message = format!("function {} calls itself, or functions call each other too deeply", function.name);
        return Err(Error::new(Kind::InvalidDefinition, message));
    }
    let query = query(function)?;
    let scope = Scope { search_path: function.search_path.clone(), depth: scope.depth + 1, ..scope.clone() };
    let planned = Box::pin(Planner::new(&scope)?.plan(&ast::Statement::Query(query))).await;
    let plan = planned.map_err(|error| match error.kind() {
        Kind::InvalidDefinition => error,
        _ => error.context(format_args!("function {}", function.name)),
    })?;
    let LogicalPlan::Projection(projection) = &plan else { return Err(refused(function)) };
    let over_arguments =
        matches!(projection.input.as_ref(), LogicalPlan::SubqueryAlias(_) | LogicalPlan::EmptyRelation(_));
    match projection.expr.as_slice() {
        [expr] if over_arguments && !has_subquery(expr) => Ok(expr.clone().unalias_nested().data.unalias()),
        _ => Err(refused(function)),
    }
}

fn refused(function: &Function) -> Error {
    let message =
        format!("function {}: a body that is more than SELECT and one expression is not supported", function.name);
    Error::new(Kind::Unsupported, message).hint("It reads its arguments only: no FROM, no aggregates, no subqueries.")
}

fn has_subquery(expr: &Expr) -> bool {
    use datafusion::common::tree_node::TreeNode;
    let is = |part: &Expr| matches!(part, Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_));
    expr.exists(|part| Ok(is(part))).unwrap_or(true)
}

/// The body over a row of its arguments.
fn query(function: &Function) -> Result<Box<ast::Query>> {
    let body = tidegate_parser::parse_query(function.body.trim().trim_end_matches(';'))
        .map_err(|error| error.context(format_args!("function {}", function.name)))?;
    let mut item = item(&body).ok_or_else(|| refused(function))?.clone();
    let mut arguments = Arguments { function, wrong: None };
    let _ = item.visit(&mut arguments);
    if let Some(wrong) = arguments.wrong {
        return Err(wrong);
    }
    let columns: Vec<String> = function
        .arguments
        .iter()
        .enumerate()
        .map(|(place, argument)| format!("CAST(NULL AS {}) AS \"{}\"", argument.sql_type, column(place)))
        .collect();
    let text = match columns.is_empty() {
        true => "SELECT 1".to_string(),
        false => format!("SELECT 1 FROM (SELECT {}) AS \"$arguments\"", columns.join(", ")),
    };
    let mut query = tidegate_parser::parse_query(&text)?;
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.projection = vec![SelectItem::ExprWithAlias { expr: item, alias: ast::Ident::new("result") }];
    }
    Ok(query)
}

/// The expression of a SELECT that is nothing else.
fn item(query: &ast::Query) -> Option<&ast::Expr> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let grouped = !matches!(&select.group_by, GroupByExpr::Expressions(by, _) if by.is_empty());
    let more = query.with.is_some() || query.order_by.is_some() || query.limit_clause.is_some() || grouped;
    if more
        || !select.from.is_empty()
        || select.selection.is_some()
        || select.having.is_some()
        || select.distinct.is_some()
    {
        return None;
    }
    match select.projection.as_slice() {
        [SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }] => Some(expr),
        _ => None,
    }
}

/// Puts columns in the place of `$1` and of arguments' names.
struct Arguments<'a> {
    function: &'a Function,
    wrong: Option<Error>,
}

impl VisitorMut for Arguments<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut ast::Expr) -> ControlFlow<()> {
        let place = match expr {
            ast::Expr::Value(value) => match &value.value {
                ast::Value::Placeholder(text) => match self.numbered(text) {
                    Some(place) => Some(place),
                    None => {
                        let message = format!("function {}: there is no argument {text}", self.function.name);
                        self.wrong = Some(Error::new(Kind::UndefinedColumn, message));
                        return ControlFlow::Break(());
                    }
                },
                _ => None,
            },
            ast::Expr::Identifier(name) => {
                let name = fold(name);
                self.function.arguments.iter().position(|argument| argument.name.as_deref() == Some(name.as_str()))
            }
            _ => None,
        };
        if let Some(place) = place {
            *expr = ast::Expr::Identifier(ast::Ident::with_quote('"', column(place)));
        }
        ControlFlow::Continue(())
    }
}

impl Arguments<'_> {
    fn numbered(&self, text: &str) -> Option<usize> {
        let place = text.strip_prefix('$')?.parse::<usize>().ok()?.checked_sub(1)?;
        (place < self.function.arguments.len()).then_some(place)
    }
}

/// The functions that an expression or a query calls, by the parts of their names.
pub fn called(part: &impl ast::Visit) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let _ = ast::visit_expressions(part, |expr| {
        if let ast::Expr::Function(function) = expr {
            found.push(tidegate_parser::name_parts(&function.name));
        }
        ControlFlow::<()>::Continue(())
    });
    found
}

/// A name that no function of the engine has.
pub fn renamed(function: &mut ast::Function, name: &str) {
    let ast::Expr::Function(made) = build::call(name, Vec::new()) else { return };
    function.name = made.name;
    for part in &mut function.name.0 {
        if let ast::ObjectNamePart::Identifier(ident) = part {
            ident.quote_style = Some('"');
        }
    }
}
