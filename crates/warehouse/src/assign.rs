//! `SET column = value, (column, …) = …`: the new value of each column of a table.

use crate::dml::{Target, named, of};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use tidegate_catalog::{Column, Relation};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::ast::{self, AssignmentTarget, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, SetExpr};
use tidegate_parser::{fold, name_parts};
use tidegate_query::insert::column_index;
use tidegate_query::number_of;

/// What is assigned.
#[derive(Debug, Default)]
pub struct Assigned {
    by_column: BTreeMap<usize, Expr>,
    /// Parameters that are assigned as they are, with their columns.
    pub parameters: Vec<(usize, Column)>,
}

impl Assigned {
    /// Each column's new value: what is assigned, or what it has.
    pub fn values(&self, target: &Target) -> Vec<Expr> {
        let old = old_values(target).into_iter().enumerate();
        old.map(|(index, old)| self.by_column.get(&index).cloned().unwrap_or(old)).collect()
    }

    fn add(&mut self, relation: &Relation, name: &ast::ObjectName, value: Expr) -> Result<()> {
        let name = name_parts(name).pop().unwrap_or_default();
        let index = column_index(relation, &name)?;
        let column = relation.columns.get(index).ok_or_else(|| Error::internal("a column is missing"))?;
        self.parameters.extend(number_of(&value).map(|number| (number, column.clone())));
        if self.by_column.insert(index, or_default(value, column)?).is_some() {
            return Err(Error::new(Kind::Syntax, format!("multiple assignments to same column \"{name}\"")));
        }
        Ok(())
    }
}

/// The values that a row has.
pub fn old_values(target: &Target) -> Vec<Expr> {
    target.relation.columns.iter().map(|column| of(&target.alias, &column.name)).collect()
}

/// Reads a SET list. 42703 for a column that there is not, 42601 for one that is assigned twice.
pub fn assignments(target: &Target, given: &[ast::Assignment]) -> Result<Assigned> {
    let relation = &target.relation;
    let mut assigned = Assigned::default();
    for assignment in given {
        match &assignment.target {
            AssignmentTarget::ColumnName(name) => assigned.add(relation, name, assignment.value.clone())?,
            AssignmentTarget::Tuple(names) => {
                for (name, value) in names.iter().zip(row(&assignment.value, names.len(), &target.alias)?) {
                    assigned.add(relation, name, value)?;
                }
            }
        }
    }
    Ok(assigned)
}

/// A value, or the column's default where DEFAULT is written.
pub fn or_default(value: Expr, column: &Column) -> Result<Expr> {
    match &value {
        Expr::Identifier(word) if word.quote_style.is_none() && fold(word) == "default" => match &column.default {
            Some(text) => tidegate_parser::parse_expression(text),
            None => Ok(Expr::Value(ast::Value::Null.into())),
        },
        _ => Ok(value),
    }
}

/// The values of a row: `(1, 2)`, `ROW (1, 2)` or a subquery that gives one row.
fn row(value: &Expr, width: usize, target: &ast::Ident) -> Result<Vec<Expr>> {
    let values = match value {
        Expr::Tuple(values) => values.clone(),
        Expr::Nested(value) => vec![value.as_ref().clone()],
        Expr::Function(function) if fold_name(&function.name) == "row" => arguments(&function.args)?,
        Expr::Subquery(query) => return columns_of(query, width, target),
        other => vec![other.clone()],
    };
    match values.len() == width {
        true => Ok(values),
        false => Err(Error::new(Kind::Syntax, "number of columns does not match number of values")),
    }
}

fn fold_name(name: &ast::ObjectName) -> String {
    name_parts(name).pop().unwrap_or_default()
}

fn arguments(arguments: &FunctionArguments) -> Result<Vec<Expr>> {
    let value = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => Ok(value.clone()),
        other => Err(Error::new(Kind::Syntax, format!("{other} is no value of a row"))),
    };
    match arguments {
        FunctionArguments::List(list) => list.args.iter().map(value).collect(),
        _ => Ok(Vec::new()),
    }
}

/// A subquery of several columns as that many of one. What speaks of the row that is changed cannot stand in FROM, and is
/// cut column by column; else each is a column of the whole, which may be an aggregate.
fn columns_of(query: &ast::Query, width: usize, target: &ast::Ident) -> Result<Vec<Expr>> {
    let SetExpr::Select(select) = query.body.as_ref() else { return Err(only_select()) };
    let is_plain = |item: &ast::SelectItem| {
        matches!(item, ast::SelectItem::UnnamedExpr(_) | ast::SelectItem::ExprWithAlias { .. })
    };
    if !select.projection.iter().all(is_plain) {
        return Err(only_select());
    }
    if select.projection.len() != width {
        return Err(Error::new(Kind::Syntax, "number of columns does not match number of values"));
    }
    if !speaks_of(query, target) {
        return (0..width).map(|nth| column_of(query, nth)).collect();
    }
    let one = |item: &ast::SelectItem| {
        let mut query = query.clone();
        if let SetExpr::Select(select) = query.body.as_mut() {
            select.projection = vec![item.clone()];
        }
        Expr::Subquery(Box::new(query))
    };
    Ok(select.projection.iter().map(one).collect())
}

/// Whether a query names a column of a table by the table.
fn speaks_of(query: &ast::Query, table: &ast::Ident) -> bool {
    let found = ast::visit_expressions(query, |expr| match expr {
        Expr::CompoundIdentifier(parts) if parts.first().is_some_and(|first| fold(first) == table.value) => {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

/// `(SELECT "$n" FROM (query) AS "$values")`.
fn column_of(query: &ast::Query, nth: usize) -> Result<Expr> {
    let mut whole = query.clone();
    if let SetExpr::Select(select) = whole.body.as_mut() {
        for (place, item) in select.projection.iter_mut().enumerate() {
            if let ast::SelectItem::UnnamedExpr(expr) | ast::SelectItem::ExprWithAlias { expr, .. } = item {
                *item = named(expr.clone(), &format!("${place}"));
            }
        }
    }
    let mut column = tidegate_parser::parse_query(&format!("SELECT \"${nth}\" FROM (SELECT 1) AS \"$values\""))?;
    if let SetExpr::Select(select) = column.body.as_mut()
        && let Some(ast::TableFactor::Derived { subquery, .. }) =
            select.from.first_mut().map(|table| &mut table.relation)
    {
        **subquery = whole;
    }
    Ok(Expr::Subquery(column))
}

fn only_select() -> Error {
    let message = "SET (…) = (subquery) is supported for a SELECT that names its columns";
    Error::new(Kind::Unsupported, message)
}
