//! Selects that have no rows whatever they ask, as they read a catalog that has none here.
//!
//! Clients ask in exotic ways for what this server does not have: policies, publications, indexes, inheritance. Such a
//! select becomes its columns' names and types over nothing, and what is built on it follows.

use super::build;
use super::output;
use super::sources::{Names, Source, expanded};
use sqlparser::ast::{
    BinaryOperator, DataType, Expr, GroupByExpr, Ident, JoinOperator, Query, Select, SelectItem, TableWithJoins,
    UnaryOperator, Value, ValueWithSpan, Visit, Visitor,
};
use std::ops::ControlFlow;
use tidegate_parser::fold;

/// Aggregates make a row of none.
const AGGREGATES: &[&str] = &[
    "array_agg",
    "avg",
    "bit_and",
    "bit_or",
    "bool_and",
    "bool_or",
    "count",
    "every",
    "json_agg",
    "json_object_agg",
    "jsonb_agg",
    "max",
    "min",
    "string_agg",
    "sum",
    "first_value",
    "last_value",
];

/// Makes a select that never has rows plain. Whether it is one.
pub fn select(names: &Names<'_>, select: &mut Select) -> bool {
    if is_barren(select) {
        return true;
    }
    let barren = !select.from.is_empty() && select.from.iter().any(|table| is_barren_join(names, table));
    if !barren || makes_a_row(select) {
        return false;
    }
    let sources = names.sources(select);
    let Some(items) = expanded(&sources, &select.projection) else { return false };
    select.projection = nulls(&sources, items);
    select.from.clear();
    select.distinct = None;
    select.selection = Some(build::boolean(false));
    select.group_by = GroupByExpr::Expressions(Vec::new(), Vec::new());
    select.having = None;
    true
}

/// The types of a query's columns, if it never has rows.
pub fn types(query: &Query) -> Option<Vec<DataType>> {
    let select = build::plain_select(query).filter(|select| is_barren(select))?;
    let type_of = |item: &SelectItem| match build::item_expr(item) {
        Some(Expr::Cast { data_type, .. }) => data_type.clone(),
        _ => DataType::Text,
    };
    Some(select.projection.iter().map(type_of).collect())
}

/// What an expression over such a query comes to.
pub fn expression(expr: &mut Expr) {
    let known = match expr {
        Expr::Subquery(query) => types(query).map(|types| null(types.into_iter().next().unwrap_or(DataType::Text))),
        Expr::Exists { subquery, negated } => types(subquery).map(|_| build::boolean(*negated)),
        Expr::InSubquery { subquery, negated, .. } => types(subquery).map(|_| build::boolean(*negated)),
        _ => None,
    };
    if let Some(known) = known {
        *expr = known;
    }
}

fn null(data_type: DataType) -> Expr {
    build::cast(build::value(Value::Null), data_type)
}

fn is_false(expr: &Expr) -> bool {
    matches!(build::bare(expr), Expr::Value(ValueWithSpan { value: Value::Boolean(false), .. }))
}

/// Whether it is what [`select`] makes.
fn is_barren(select: &Select) -> bool {
    let nothing = |item: &SelectItem| match build::item_expr(item) {
        Some(Expr::Cast { expr, .. }) => matches!(**expr, Expr::Value(ValueWithSpan { value: Value::Null, .. })),
        _ => false,
    };
    select.from.is_empty() && select.selection.as_ref().is_some_and(is_false) && select.projection.iter().all(nothing)
}

/// Whether an inner part of a join never has rows.
fn is_barren_join(names: &Names<'_>, table: &TableWithJoins) -> bool {
    let keeps = |join: &JoinOperator| {
        matches!(
            join,
            JoinOperator::Join(_)
                | JoinOperator::Inner(_)
                | JoinOperator::CrossJoin(_)
                | JoinOperator::Left(_)
                | JoinOperator::LeftOuter(_)
        )
    };
    if !table.joins.iter().all(|join| keeps(&join.join_operator)) {
        return false;
    }
    let inner = |join: &JoinOperator| !matches!(join, JoinOperator::Left(_) | JoinOperator::LeftOuter(_));
    let joined = table.joins.iter().filter(|join| inner(&join.join_operator)).map(|join| &join.relation);
    std::iter::once(&table.relation).chain(joined).any(|factor| match names.source(factor).as_slice() {
        [source] => source.barren,
        _ => false,
    })
}

/// Whether a select without input still has a row.
fn makes_a_row(select: &Select) -> bool {
    let grouped = !matches!(&select.group_by, GroupByExpr::Expressions(by, _) if by.is_empty());
    !grouped && (select.having.is_some() || select.projection.iter().any(is_aggregate))
}

/// Whether something is made of all rows together.
pub fn is_aggregate(part: &impl Visit) -> bool {
    part.visit(&mut FindAggregate { depth: 0 }).is_break()
}

/// Those of a subquery are its own.
struct FindAggregate {
    depth: usize,
}

impl Visitor for FindAggregate {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Function(function)
                if self.depth == 0
                    && function.over.is_none()
                    && AGGREGATES.contains(&build::function_name(function).as_str()) =>
            {
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

/// Items of the same names and types that say nothing.
fn nulls(sources: &[Source], items: Vec<SelectItem>) -> Vec<SelectItem> {
    let mut taken: Vec<String> = Vec::new();
    let each = items.into_iter().map(|item| {
        let mut name = output::item_name(&item);
        if taken.contains(&name) {
            name = output::fresh(&name, &taken);
        }
        taken.push(name.clone());
        let data_type = build::item_expr(&item).map_or(DataType::Text, |expr| type_of(sources, expr));
        SelectItem::ExprWithAlias { expr: null(data_type), alias: Ident::with_quote('"', name) }
    });
    each.collect()
}

/// The type of an expression, as far as it is plain to see; else text.
fn type_of(sources: &[Source], expr: &Expr) -> DataType {
    match build::bare(expr) {
        Expr::Identifier(ident) => column_type(sources.iter(), &fold(ident)),
        Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [.., source, column] => {
                let source = fold(source);
                column_type(sources.iter().filter(|one| one.alias == source), &fold(column))
            }
            _ => DataType::Text,
        },
        Expr::Cast { data_type, .. } => data_type.clone(),
        Expr::Value(ValueWithSpan { value: Value::Boolean(_), .. })
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::AnyOp { .. }
        | Expr::AllOp { .. }
        | Expr::InList { .. }
        | Expr::Exists { .. }
        | Expr::UnaryOp { op: UnaryOperator::Not, .. } => DataType::Boolean,
        Expr::Value(ValueWithSpan { value: Value::Number(..), .. }) => DataType::Integer(None),
        Expr::BinaryOp { op, .. } if is_comparison(op) => DataType::Boolean,
        Expr::Case { conditions, .. } => {
            conditions.first().map_or(DataType::Text, |first| type_of(sources, &first.result))
        }
        _ => DataType::Text,
    }
}

fn column_type<'a>(mut sources: impl Iterator<Item = &'a Source>, name: &str) -> DataType {
    let found = sources.find_map(|source| source.columns.as_ref()?.iter().find(|(column, _)| column == name));
    found.map_or(DataType::Text, |(_, data_type)| data_type.clone())
}

fn is_comparison(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::Lt
            | BinaryOperator::LtEq
            | BinaryOperator::Gt
            | BinaryOperator::GtEq
            | BinaryOperator::And
            | BinaryOperator::Or
            | BinaryOperator::PGRegexMatch
            | BinaryOperator::PGRegexNotMatch
    )
}
