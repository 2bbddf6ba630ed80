//! FROM's paths: a lateral join with the items of a SUPER value becomes the engine's UNNEST of a list.

use super::call;
use super::function::{Arguments, Gives, Rule, Supers};
use super::resolve::is_true;
use crate::builtin::{self, JSON_EACH};
use arrow::array::ArrayRef;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, JoinType, TableReference, UnnestOptions};
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::{Expr, Join, LogicalPlan, LogicalPlanBuilder, lit};
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};

/// What stands for the rows of a path until the plan is known, and the function whose list they are of.
const EACH: &[(&str, &str)] = &[
    ("super_each_item", "super_items"),
    ("super_each_place", "super_places"),
    ("super_each_value", "super_values"),
    ("super_each_key", "super_keys"),
];

/// They are functions so that the planner knows their types.
pub const RULES: &[Rule] = &[
    Rule {
        name: "super_of",
        takes: (1, 1),
        supers: Supers::None,
        gives: Gives::Super,
        run: |given| Ok(Arc::new(given.texts(0)?)),
    },
    Rule { name: "super_each_item", takes: (1, 1), supers: Supers::First, gives: Gives::Super, run: misplaced },
    Rule { name: "super_each_place", takes: (1, 1), supers: Supers::First, gives: Gives::Whole, run: misplaced },
    Rule { name: "super_each_value", takes: (1, 1), supers: Supers::First, gives: Gives::Super, run: misplaced },
    Rule { name: "super_each_key", takes: (1, 1), supers: Supers::First, gives: Gives::Text, run: misplaced },
];

fn misplaced(_: &Arguments) -> Result<ArrayRef> {
    Err(Error::new(
        Kind::Unsupported,
        "the items of a SUPER value can be read in FROM only, behind the table they are of",
    ))
}

/// A column of a path's rows: the list, and what says of an item what it is.
struct Part {
    list: &'static str,
    of: Option<&'static str>,
    path: Expr,
    name: String,
}

/// Turns a join with a path's rows into an UNNEST over the other side. Other plans stay as they are.
pub fn joined(plan: LogicalPlan) -> EngineResult<LogicalPlan> {
    let LogicalPlan::Join(join) = plan else { return Ok(plan) };
    let Some((alias, parts)) = parts(&join.right) else { return Ok(LogicalPlan::Join(join)) };
    let outer = join.join_type == JoinType::Left;
    let condition = join.filter.clone().filter(|condition| !is_true(condition));
    if !(outer || join.join_type == JoinType::Inner) || (outer && condition.is_some()) || !join.on.is_empty() {
        let error = Error::new(Kind::Unsupported, "this join with the items of a SUPER value is not supported");
        return Err(crate::carried(error.hint("Use FROM t, t.items AS i, or LEFT JOIN t.items AS i ON true.")));
    }
    let unnested = unnest(&join, &alias, parts, outer)?;
    match condition {
        Some(condition) => LogicalPlanBuilder::from(unnested).filter(condition)?.build(),
        None => Ok(unnested),
    }
}

/// The columns of a path's rows, if a plan is that.
fn parts(plan: &LogicalPlan) -> Option<(TableReference, Vec<Part>)> {
    let LogicalPlan::SubqueryAlias(named) = plan else { return None };
    let inner = match named.input.as_ref() {
        LogicalPlan::Subquery(subquery) => subquery.subquery.as_ref(),
        other => other,
    };
    let LogicalPlan::Projection(projection) = inner else { return None };
    let parts = projection.expr.iter().map(part).collect::<Option<Vec<_>>>()?;
    Some((named.alias.clone(), parts))
}

fn part(expr: &Expr) -> Option<Part> {
    let Expr::Alias(alias) = expr else { return None };
    let Expr::ScalarFunction(function) = unaliased(&alias.expr) else { return None };
    let (list, of) = list_of(function.name())?;
    Some(Part { list, of, path: function.args.first()?.clone(), name: alias.name.clone() })
}

/// Whether a function stands for the rows of a list.
pub fn is_each(name: &str) -> bool {
    list_of(name).is_some()
}

/// The list of what stands for its rows, of SUPER values and of JSON, and what an item is.
fn list_of(each: &str) -> Option<(&'static str, Option<&'static str>)> {
    if let Some((_, list, of)) = JSON_EACH.iter().find(|(name, ..)| *name == each) {
        return Some((list, *of));
    }
    let (_, list) = EACH.iter().find(|(name, _)| *name == each)?;
    Some((list, Some("super_of").filter(|_| ["super_items", "super_values"].contains(list))))
}

/// A function of SUPER values, or of JSON.
fn function(name: &'static str, arguments: Vec<Expr>) -> EngineResult<Expr> {
    match super::rule_of(name) {
        Some(_) => Ok(call(name, arguments)),
        None => builtin::call(name, arguments),
    }
}

fn unaliased(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => unaliased(&alias.expr),
        other => other,
    }
}

fn unnest(join: &Join, alias: &TableReference, parts: Vec<Part>, outer: bool) -> EngineResult<LogicalPlan> {
    let schema = join.left.schema();
    let columns: Vec<Expr> = schema.columns().into_iter().map(Expr::Column).collect();
    let mut lists = columns.clone();
    let mut shown = columns;
    let mut names = Vec::new();
    for part in parts {
        // A name of its own, whatever the tables' columns are called.
        let name = format!("{alias}.{}\u{2}", part.name);
        let path = part.path.transform(|expr| match expr {
            Expr::OuterReferenceColumn(_, column) if schema.has_column(&column) => {
                Ok(Transformed::yes(Expr::Column(column)))
            }
            other => Ok(Transformed::no(other)),
        })?;
        refuse_other(&path.data, alias)?;
        lists.push(function(part.list, vec![path.data, lit(outer)])?.alias(&name));
        let column = Expr::Column(Column::new_unqualified(&name));
        let column = match part.of {
            Some(of) => function(of, vec![column])?,
            None => column,
        };
        shown.push(column.alias_qualified(Some(alias.clone()), part.name));
        names.push(Column::new_unqualified(name));
    }
    LogicalPlanBuilder::from(join.left.as_ref().clone())
        .project(lists)?
        .unnest_columns_with_options(names, UnnestOptions::default())?
        .project(shown)?
        .build()
}

/// 42804 for the items of what is not SUPER: it has been made so.
fn refuse_other(path: &Expr, alias: &TableReference) -> EngineResult<()> {
    match path {
        Expr::ScalarFunction(function) if function.name() == "to_super" => {
            let message = format!("\"{}\" in FROM is of no SUPER column", alias.table());
            Err(crate::carried(Error::new(Kind::DatatypeMismatch, message)))
        }
        _ => Ok(()),
    }
}
