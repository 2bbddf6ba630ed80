//! System columns are hidden from `*`: streams and files show theirs only to a statement that names one.

use crate::formats::FILE_COLUMNS;
use crate::scope::Scope;
use sqlparser::ast::{Visit, VisitMut, Visitor, VisitorMut};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use tidegate_catalog::RelationKind;
use tidegate_parser::ast::{self, ExcludeSelectItem, SelectItem, SelectItemQualifiedWildcardKind, TableFactor};
use tidegate_parser::{fold, name_parts, path_of};
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
            let hidden = |name: String| [SYSTEM_COLUMNS.as_slice(), &FILE_COLUMNS].concat().contains(&name.as_str());
            match last.is_some_and(|word| hidden(fold(word))) {
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
    let sources: Vec<Source> = select.from.iter().flat_map(tables).filter_map(|table| source(table, scope)).collect();
    if sources.is_empty() {
        return;
    }
    for item in &mut select.projection {
        match item {
            SelectItem::Wildcard(options) if options.opt_exclude.is_none() => {
                options.opt_exclude = Some(exclude(sources.iter()));
            }
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options)
                if options.opt_exclude.is_none() =>
            {
                let alias = name_parts(name).pop().unwrap_or_default();
                if let Some(source) = sources.iter().find(|source| source.alias == alias) {
                    options.opt_exclude = Some(exclude(std::iter::once(source)));
                }
            }
            _ => {}
        }
    }
}

fn exclude<'a>(sources: impl Iterator<Item = &'a Source>) -> ExcludeSelectItem {
    let names: BTreeSet<&str> = sources.flat_map(|source| source.hidden.iter().copied()).collect();
    let quoted = |name| vec![ast::Ident::with_quote('"', name)].into();
    ExcludeSelectItem::Multiple(names.into_iter().map(quoted).collect())
}

fn tables(from: &ast::TableWithJoins) -> impl Iterator<Item = &TableFactor> {
    std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation))
}

/// What hides columns in a FROM, by the name it has there.
struct Source {
    alias: String,
    hidden: &'static [&'static str],
}

fn source(table: &TableFactor, scope: &Scope) -> Option<Source> {
    let TableFactor::Table { name, alias, .. } = table else { return None };
    let (own, hidden): (&str, &[&str]) = if let Some(path) = path_of(name) {
        (path, &FILE_COLUMNS)
    } else {
        let relation = scope.find_parts(&name_parts(name))?;
        match &relation.kind {
            // A stream without columns of its own has nothing else to show.
            RelationKind::Stream(_) if !relation.columns.is_empty() => (&relation.name, &SYSTEM_COLUMNS),
            RelationKind::External(_) => (&relation.name, &FILE_COLUMNS),
            _ => return None,
        }
    };
    Some(Source { alias: alias.as_ref().map_or_else(|| own.to_string(), |alias| fold(&alias.name)), hidden })
}
