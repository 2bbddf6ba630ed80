//! Scalar subqueries over catalogs that refer to the query around them, in the forms the engine can turn into joins.
//!
//! The engine wants one row at most, and that inner and outer columns meet in equalities only:
//!
//! - `(SELECT x …)` becomes `(SELECT first_value(x) …)`.
//! - A condition on outer columns alone goes around the subquery, as `CASE WHEN … THEN (…) END`.
//! - Where `i.a = o.a`, `i.a` stands for `o.a` in the other conditions.

use super::barren::is_aggregate;
use super::build;
use super::calls::take;
use super::sources::{Names, Source};
use sqlparser::ast::helpers::attached_token::AttachedToken;
use sqlparser::ast::{
    BinaryOperator, CaseWhen, Expr, GroupByExpr, LimitClause, Query, Select, SetExpr, Visit, VisitMut, Visitor,
    VisitorMut,
};
use std::ops::ControlFlow;
use tidegate_parser::fold;

/// Rewrites one expression, if it is such a subquery.
pub fn expression(names: &Names<'_>, expr: &mut Expr) {
    let Expr::Subquery(query) = expr else { return };
    let Some(hoisted) = subquery(names, query) else { return };
    let Some(condition) = hoisted.into_iter().reduce(and) else { return };
    let result = take(expr);
    *expr = Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen { condition, result }],
        else_result: None,
    };
}

/// Conditions that went out of the subquery; nothing if it stays as it is.
fn subquery(names: &Names<'_>, query: &mut Query) -> Option<Vec<Expr>> {
    let at_most_one = is_limit_one(query);
    if query.limit_clause.is_some() && !at_most_one {
        return None;
    }
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    let inner = Inner(names.sources(select));
    let grouped = !matches!(&select.group_by, GroupByExpr::Expressions(by, _) if by.is_empty());
    if grouped || select.projection.len() != 1 || !inner.0.iter().any(|source| source.system.is_some()) {
        return None;
    }
    let outer_in_items = select.projection.iter().any(|item| inner.refers(item).outer);
    let outer_in_condition = select.selection.as_ref().is_some_and(|condition| inner.refers(condition).outer);
    if !outer_in_items && !outer_in_condition {
        return None;
    }
    let hoisted = sort_conditions(&inner, select);
    let item = select.projection.first_mut().and_then(build::item_expr_mut)?;
    if !is_aggregate(item) {
        *item = build::call("first_value", vec![take(item)]);
        query.limit_clause = None;
        query.order_by = None;
    }
    Some(hoisted)
}

fn is_limit_one(query: &Query) -> bool {
    matches!(&query.limit_clause, Some(LimitClause::LimitOffset { limit: Some(limit), offset: None, .. })
        if limit.to_string() == "1")
}

/// Leaves in the subquery what must be there, and gives back what need not.
fn sort_conditions(inner: &Inner, select: &mut Select) -> Vec<Expr> {
    let Some(selection) = select.selection.take() else { return Vec::new() };
    let mut conditions = Vec::new();
    split(selection, &mut conditions);
    let (hoisted, mut kept): (Vec<_>, Vec<_>) = conditions.into_iter().partition(|condition| {
        let refers = inner.refers(condition);
        refers.outer && !refers.inner && !refers.nested
    });
    let equal: Vec<(Expr, Expr)> = kept.iter().filter_map(|condition| inner.equality(condition)).collect();
    let mut substitute = Substitute(&equal);
    for condition in kept.iter_mut().filter(|condition| inner.equality(condition).is_none()) {
        let _ = VisitMut::visit(condition, &mut substitute);
    }
    let _ = VisitMut::visit(&mut select.projection, &mut substitute);
    select.selection = kept.into_iter().reduce(and);
    hoisted
}

fn and(left: Expr, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op: BinaryOperator::And, right: Box::new(right) }
}

/// The parts that are joined by AND.
fn split(expr: Expr, parts: &mut Vec<Expr>) {
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            split(*left, parts);
            split(*right, parts);
        }
        Expr::Nested(inner) if matches!(*inner, Expr::BinaryOp { op: BinaryOperator::And, .. }) => split(*inner, parts),
        other => parts.push(other),
    }
}

/// What a subquery reads from.
struct Inner(Vec<Source>);

/// What an expression refers to.
#[derive(Default, Clone, Copy)]
struct Refers {
    inner: bool,
    outer: bool,
    nested: bool,
}

impl Inner {
    fn refers(&self, part: &impl Visit) -> Refers {
        let mut found = Find { inner: self, refers: Refers::default() };
        let _ = part.visit(&mut found);
        found.refers
    }

    /// The outer and the inner side of `inner = outer`.
    fn equality(&self, condition: &Expr) -> Option<(Expr, Expr)> {
        let Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = build::bare(condition) else { return None };
        let (of_left, of_right) = (self.refers(left.as_ref()), self.refers(right.as_ref()));
        let is_inner = |refers: Refers| refers.inner && !refers.outer && !refers.nested;
        let is_outer = |refers: Refers, expr: &Expr| refers.outer && !refers.inner && is_column(expr);
        if is_inner(of_left) && is_outer(of_right, right) {
            return Some((right.as_ref().clone(), left.as_ref().clone()));
        }
        (is_inner(of_right) && is_outer(of_left, left)).then(|| (left.as_ref().clone(), right.as_ref().clone()))
    }

    fn has_source(&self, name: &str) -> bool {
        self.0.iter().any(|source| source.alias == name)
    }

    /// A bare name is the inner one if there is such a column, or may be.
    fn has_column(&self, name: &str) -> bool {
        self.0.iter().any(|source| match &source.columns {
            Some(columns) => columns.iter().any(|(column, _)| column == name),
            None => true,
        })
    }
}

fn is_column(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
}

struct Find<'a> {
    inner: &'a Inner,
    refers: Refers,
}

impl Visitor for Find<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let is_inner = match expr {
            Expr::Identifier(ident) => self.inner.has_column(&fold(ident)),
            Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                [.., source, _] => self.inner.has_source(&fold(source)),
                _ => true,
            },
            Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => {
                self.refers.nested = true;
                return ControlFlow::Continue(());
            }
            _ => return ControlFlow::Continue(()),
        };
        self.refers.inner |= is_inner;
        self.refers.outer |= !is_inner;
        ControlFlow::Continue(())
    }
}

/// Puts the inner side of an equality where the outer one stands.
struct Substitute<'a>(&'a [(Expr, Expr)]);

impl VisitorMut for Substitute<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let same = |outer: &Expr| outer.to_string() == expr.to_string();
        if is_column(expr)
            && let Some((_, inner)) = self.0.iter().find(|(outer, _)| same(outer))
        {
            *expr = inner.clone();
        }
        ControlFlow::Continue(())
    }
}
