//! PartiQL in a statement's text: paths at a table's place, attributes behind subscripts, the case of attributes.
//!
//! `FROM t, t.items AS i AT at` becomes a lateral subquery of functions that stand for the items and their places; what
//! the parser has made of `AT`, UNPIVOT and subscripts there is in `tidegate_parser`'s `partiql`.

use sqlparser::ast::{
    AccessExpr, Expr, FunctionArg, FunctionArgExpr, Ident, OrderByKind, Query, Select, SelectItem, SetExpr, Statement,
    Subscript, TableAlias, TableFactor, TableWithJoins, Value, Visit, VisitMut, Visitor, VisitorMut,
};
use std::collections::HashSet;
use std::ops::ControlFlow;
use tidegate_parser::{ITEMS_OF, MEMBERS_OF, fold, name_parts};

use crate::pg::build;

/// Rewrites what is PartiQL. With `keep_case` the attributes of paths are as they are written, with and without quotes
/// (`enable_case_sensitive_super_attribute`).
pub fn read(statement: &mut Statement, keep_case: bool) {
    let tables = if keep_case { Some(tables(statement)) } else { None };
    // It never breaks off: what it does not know, it leaves to the planner to refuse.
    let _ = statement.visit(&mut Reader { tables });
}

/// The names that stand for tables anywhere in a statement.
fn tables(statement: &Statement) -> HashSet<String> {
    struct Names(HashSet<String>);
    impl Visitor for Names {
        type Break = ();
        fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
            self.0.extend(name_of(factor));
            ControlFlow::Continue(())
        }
    }
    let mut names = Names(HashSet::new());
    let _ = statement.visit(&mut names);
    names.0
}

fn name_of(factor: &TableFactor) -> Option<String> {
    match factor {
        TableFactor::Table { alias: Some(alias), .. } | TableFactor::Derived { alias: Some(alias), .. } => {
            Some(fold(&alias.name))
        }
        TableFactor::Table { name, .. } => name_parts(name).pop(),
        _ => None,
    }
}

struct Reader {
    /// With the case of attributes kept: the names of tables, behind which a column stands.
    tables: Option<HashSet<String>>,
}

impl VisitorMut for Reader {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        bodies(&mut query.body, &mut |select| {
            crate::builtin::read_json_sources(&mut select.from);
            sources(&mut select.from);
        });
        order_by_place(query);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let (Some(tables), Expr::CompoundIdentifier(parts)) = (&self.tables, &mut *expr) {
            keep_case(tables, parts);
        }
        if let Expr::CompoundFieldAccess { root, access_chain } = expr {
            let named = matches!(root.as_ref(), Expr::Identifier(_));
            attributes(access_chain, named, self.tables.is_some());
        }
        ControlFlow::Continue(())
    }
}

fn bodies(body: &mut SetExpr, each: &mut impl FnMut(&mut Select)) {
    match body {
        SetExpr::Select(select) => each(select),
        SetExpr::SetOperation { left, right, .. } => {
            bodies(left, each);
            bodies(right, each);
        }
        _ => {}
    }
}

/// Orders what is DISTINCT by the place of its column where that is a path: the engine knows a path in ORDER BY as
/// another expression than the one that is selected.
fn order_by_place(query: &mut Query) {
    let (SetExpr::Select(select), Some(order)) = (query.body.as_ref(), &mut query.order_by) else { return };
    let OrderByKind::Expressions(by) = &mut order.kind else { return };
    let wild = |item: &SelectItem| build::item_expr(item).is_none();
    if select.distinct.is_none() || select.projection.iter().any(wild) {
        return;
    }
    for one in by {
        let is_path = matches!(one.expr, Expr::CompoundIdentifier(_) | Expr::CompoundFieldAccess { .. });
        let place = select.projection.iter().position(|item| build::item_expr(item) == Some(&one.expr));
        if let (true, Some(place)) = (is_path, place) {
            one.expr = build::value(Value::Number((place + 1).to_string(), false));
        }
    }
}

/// Puts quotes around the attributes of a path, so that their case is kept.
fn keep_case(tables: &HashSet<String>, parts: &mut [Ident]) {
    let columns = if parts.first().is_some_and(|first| tables.contains(&fold(first))) { 2 } else { 1 };
    for part in parts.iter_mut().skip(columns).filter(|part| part.quote_style.is_none()) {
        part.quote_style = Some('"');
    }
}

/// Attributes behind a subscript, and behind what is no name, as the engine takes them: as texts. Where a name is the
/// root, those that follow it are a column's.
fn attributes(chain: &mut [AccessExpr], named: bool, keep_case: bool) {
    let mut behind = !named;
    for step in chain {
        match step {
            AccessExpr::Subscript(_) => behind = true,
            AccessExpr::Dot(expr) if behind => {
                if let Expr::Identifier(name) = expr {
                    let name = if keep_case { name.value.clone() } else { fold(name) };
                    *expr = build::text(&name);
                }
            }
            AccessExpr::Dot(_) => {}
        }
    }
}

/// A name in FROM that paths may begin with.
struct Source {
    name: String,
    /// Of a path's rows: the column of their values.
    value: Option<Ident>,
}

fn sources(from: &mut [TableWithJoins]) {
    let mut known: Vec<Source> = Vec::new();
    for table in from {
        source(&mut table.relation, &mut known);
        for join in &mut table.joins {
            source(&mut join.relation, &mut known);
        }
    }
}

/// Notes what a table is called, or makes a path's rows of it.
fn source(factor: &mut TableFactor, known: &mut Vec<Source>) {
    match path(factor, known) {
        Some((rows, source)) => {
            *factor = rows;
            known.push(source);
        }
        None => known.extend(name_of(factor).map(|name| Source { name, value: None })),
    }
}

fn path(factor: &TableFactor, known: &[Source]) -> Option<(TableFactor, Source)> {
    let TableFactor::Table { name, alias, args, .. } = factor else { return None };
    let parts: Vec<Ident> = name.0.iter().filter_map(|part| part.as_ident().cloned()).collect();
    let function = parts.first().filter(|_| parts.len() == 1).map(|name| name.value.as_str());
    let (value, of_members) = match (function, args) {
        (Some(ITEMS_OF), Some(args)) => (argument(&args.args)?, false),
        (Some(MEMBERS_OF), Some(args)) => (argument(&args.args)?, true),
        (_, None) if parts.len() > 1 => (Expr::CompoundIdentifier(parts), false),
        _ => return None,
    };
    let (value, last) = value_of(value, known)?;
    let names = Names::of(alias.as_ref(), last);
    let each = |item: bool| match (of_members, item) {
        (false, true) => "super_each_item",
        (false, false) => "super_each_place",
        (true, true) => "super_each_value",
        (true, false) => "super_each_key",
    };
    let mut subquery = tidegate_parser::parse_query("SELECT 1").ok()?;
    let SetExpr::Select(select) = subquery.body.as_mut() else { return None };
    let item = |function: &str, alias: &Ident| SelectItem::ExprWithAlias {
        expr: build::call(function, vec![value.clone()]),
        alias: alias.clone(),
    };
    select.projection = vec![item(each(true), &names.value)];
    select.projection.extend(names.place.as_ref().map(|place| item(each(false), place)));
    let alias = TableAlias { explicit: true, name: names.table.clone(), columns: Vec::new(), at: None };
    let rows = TableFactor::Derived { lateral: true, subquery, alias: Some(alias), sample: None };
    Some((rows, Source { name: fold(&names.table), value: Some(names.value) }))
}

fn argument(arguments: &[FunctionArg]) -> Option<Expr> {
    match arguments {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))] => Some(expr.clone()),
        _ => None,
    }
}

/// What the rows of a path are called.
struct Names {
    table: Ident,
    value: Ident,
    place: Option<Ident>,
}

impl Names {
    fn of(alias: Option<&TableAlias>, last: Ident) -> Names {
        let table = alias.map_or(last, |alias| alias.name.clone());
        let mut columns = alias.into_iter().flat_map(|alias| &alias.columns).map(|column| column.name.clone());
        Names { value: columns.next().unwrap_or_else(|| table.clone()), place: columns.next(), table }
    }
}

/// The value that a path leads to, and the last name in it. None: it does not begin with a source.
fn value_of(path: Expr, known: &[Source]) -> Option<(Expr, Ident)> {
    let (mut names, mut rest) = match path {
        Expr::CompoundIdentifier(names) => (names, Vec::new()),
        Expr::CompoundFieldAccess { root, access_chain } => match *root {
            Expr::Identifier(name) => (vec![name], access_chain),
            Expr::CompoundIdentifier(names) => (names, access_chain),
            _ => return None,
        },
        Expr::Identifier(name) => (vec![name], Vec::new()),
        _ => return None,
    };
    let leading = rest.iter().take_while(|step| matches!(step, AccessExpr::Dot(Expr::Identifier(_)))).count();
    for step in rest.drain(..leading) {
        if let AccessExpr::Dot(Expr::Identifier(name)) = step {
            names.push(name);
        }
    }
    let first = names.first()?;
    let source = known.iter().find(|source| source.name == fold(first))?;
    let last = names.last()?.clone();
    let column = match &source.value {
        Some(value) => vec![first.clone(), value.clone()],
        None => vec![first.clone(), names.get(1)?.clone()],
    };
    let steps = names.iter().skip(if source.value.is_some() { 1 } else { 2 }).map(|name| build::text(&fold(name)));
    let value = steps.fold(Expr::CompoundIdentifier(column), got);
    let value = rest.into_iter().try_fold(value, |value, step| match step {
        AccessExpr::Dot(Expr::Identifier(name)) => Some(got(value, build::text(&fold(&name)))),
        AccessExpr::Dot(Expr::Value(name)) if matches!(name.value, Value::SingleQuotedString(_)) => {
            Some(got(value, Expr::Value(name)))
        }
        AccessExpr::Subscript(Subscript::Index { index }) => Some(got(value, index)),
        _ => None,
    })?;
    Some((value, last))
}

fn got(value: Expr, step: Expr) -> Expr {
    build::call("super_get", vec![value, step])
}
