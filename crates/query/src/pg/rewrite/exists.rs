//! EXISTS as a part of a select's items, where the engine knows it in WHERE only: the number of rows is not 0.

use super::build;
use super::calls::take;
use super::correlated;
use super::sources::Names;
use sqlparser::ast::{
    BinaryOperator, Expr, GroupByExpr, Ident, Query, Select, SelectItem, SetExpr, Value, VisitMut, VisitorMut,
};
use std::ops::ControlFlow;

/// Rewrites those of a select's items; of a subquery in them they are its own.
pub fn items(names: &Names<'_>, select: &mut Select) {
    for item in &mut select.projection {
        // As Postgres calls it.
        if let SelectItem::UnnamedExpr(expr @ Expr::Exists { negated: false, .. }) = item {
            *item = SelectItem::ExprWithAlias { expr: take(expr), alias: Ident::new("exists") };
        }
    }
    let mut counting = Counting { names, depth: 0 };
    // It never breaks off.
    let _ = VisitMut::visit(&mut select.projection, &mut counting);
}

struct Counting<'a> {
    names: &'a Names<'a>,
    depth: usize,
}

impl VisitorMut for Counting<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.depth > 0 {
            return ControlFlow::Continue(());
        }
        if let Expr::Exists { subquery, negated } = expr
            && let Some(counted) = counted(subquery)
        {
            let mut count = Expr::Subquery(counted);
            correlated::expression(self.names, &mut count);
            let zero = || build::value(Value::Number("0".to_string(), false));
            let op = if *negated { BinaryOperator::Eq } else { BinaryOperator::Gt };
            // Where a condition around it is not met, there is no count.
            let count = build::call("coalesce", vec![count, zero()]);
            *expr = Expr::Nested(Box::new(Expr::BinaryOp { left: Box::new(count), op, right: Box::new(zero()) }));
        }
        ControlFlow::Continue(())
    }
}

/// The query that counts the rows of a plain select.
fn counted(query: &Query) -> Option<Box<Query>> {
    let mut query = query.clone();
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    let grouped = !matches!(&select.group_by, GroupByExpr::Expressions(by, _) if by.is_empty());
    let cut = query.limit_clause.is_some() || query.fetch.is_some() || select.top.is_some();
    let whole = select.projection.iter().any(super::barren::is_aggregate);
    if grouped || cut || whole || select.having.is_some() || select.qualify.is_some() {
        return None;
    }
    let one = build::value(Value::Number("1".to_string(), false));
    select.projection = vec![SelectItem::UnnamedExpr(build::call("count", vec![one]))];
    select.distinct = None;
    query.order_by = None;
    Some(Box::new(query))
}
