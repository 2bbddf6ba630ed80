//! System columns are hidden from `*`: a stream shows them only to a statement that names one.

use crate::scope::Scope;
use sqlparser::ast::{Visit, VisitMut, Visitor, VisitorMut};
use std::ops::ControlFlow;
use tidegate_catalog::RelationKind;
use tidegate_parser::ast::{self, ExcludeSelectItem, SelectItem, SelectItemQualifiedWildcardKind, TableFactor};
use tidegate_parser::{fold, name_parts};
use tidegate_stream::SYSTEM_COLUMNS;

/// Whether a statement names a system column.
pub fn names_system_columns(statement: &ast::Statement) -> bool {
    struct Finder;
    impl Visitor for Finder {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<()> {
            let last = match expr {
                ast::Expr::Identifier(word) => Some(word),
                ast::Expr::CompoundIdentifier(words) => words.last(),
                _ => None,
            };
            match last.is_some_and(|word| SYSTEM_COLUMNS.contains(&fold(word).as_str())) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        }
    }
    statement.visit(&mut Finder).is_break()
}

/// Makes each `*` that would show a stream's system columns leave them out.
pub fn hide_from_wildcards(statement: &mut ast::Statement, scope: &Scope) {
    struct Hider<'a>(&'a Scope);
    impl VisitorMut for Hider<'_> {
        type Break = ();
        fn pre_visit_query(&mut self, query: &mut ast::Query) -> ControlFlow<()> {
            hide_in(query.body.as_mut(), self.0);
            ControlFlow::Continue(())
        }
    }
    let _ = statement.visit(&mut Hider(scope));
}

fn hide_in(body: &mut ast::SetExpr, scope: &Scope) {
    match body {
        ast::SetExpr::Select(select) => hide_in_select(select, scope),
        ast::SetExpr::SetOperation { left, right, .. } => {
            hide_in(left, scope);
            hide_in(right, scope);
        }
        _ => {}
    }
}

fn hide_in_select(select: &mut ast::Select, scope: &Scope) {
    let streams: Vec<String> =
        select.from.iter().flat_map(tables).filter_map(|table| stream_alias(table, scope)).collect();
    if streams.is_empty() {
        return;
    }
    let hidden =
        || ExcludeSelectItem::Multiple(SYSTEM_COLUMNS.iter().map(|name| vec![ast::Ident::new(*name)].into()).collect());
    for item in &mut select.projection {
        match item {
            SelectItem::Wildcard(options) if options.opt_exclude.is_none() => options.opt_exclude = Some(hidden()),
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options)
                if options.opt_exclude.is_none() && streams.contains(&name_parts(name).pop().unwrap_or_default()) =>
            {
                options.opt_exclude = Some(hidden());
            }
            _ => {}
        }
    }
}

fn tables(from: &ast::TableWithJoins) -> impl Iterator<Item = &TableFactor> {
    std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation))
}

/// The name by which a stream is known in a FROM.
fn stream_alias(table: &TableFactor, scope: &Scope) -> Option<String> {
    let TableFactor::Table { name, alias, .. } = table else { return None };
    // A stream without columns of its own has nothing else to show.
    let relation = scope.find_parts(&name_parts(name)).filter(|relation| !relation.columns.is_empty())?;
    match (&relation.kind, alias) {
        (RelationKind::Stream(_), Some(alias)) => Some(fold(&alias.name)),
        (RelationKind::Stream(_), None) => Some(relation.name.clone()),
        _ => None,
    }
}
