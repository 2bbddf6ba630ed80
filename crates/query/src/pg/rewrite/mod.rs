//! What Postgres alone understands, made plain for the engine: one walk over a statement.
//!
//! 1. [`casts`]: `reg…` types, object ids, types qualified with `pg_catalog`, arrays in quotes.
//! 2. [`calls`]: functions qualified with `pg_catalog`, or called without parentheses; `OPERATOR(…)`, COLLATE.
//! 3. [`barren`]: selects from catalogs that have no rows here, which is what exotic queries mostly ask.
//! 4. [`correlated`]: scalar subqueries in the forms that the engine can turn into joins.
//! 5. [`exists`]: EXISTS among a select's items.
//! 6. [`role_names`]: the roles of a policy, as psql asks for them.
//! 7. [`output`]: names and texts of what is shown.
//!
//! A query that needs none of it is only walked.

mod barren;
pub mod build;
mod calls;
mod casts;
mod correlated;
mod exists;
mod output;
pub mod role_names;
mod sources;

pub use output::plain_name;

use super::snapshot::PgSnapshot;
use sqlparser::ast::{Expr, Query, SetExpr, Statement, TableFactor, VisitMut, VisitorMut};
use std::ops::ControlFlow;
use tidegate_core::Result;
use tidegate_parser::fold;

/// Rewrites a parsed statement so that the engine can plan it. Other statements stay as they are.
pub fn rewrite(statement: &mut Statement, snapshot: &PgSnapshot) -> Result<()> {
    let mut rewriter = Rewriter { snapshot, ctes: Vec::new() };
    // It never breaks off: what it does not know, it leaves to the planner to refuse.
    let _ = statement.visit(&mut rewriter);
    Ok(())
}

struct Rewriter<'a> {
    snapshot: &'a PgSnapshot,
    /// Names that WITH gives, of each query around this place.
    ctes: Vec<Vec<String>>,
}

impl Rewriter<'_> {
    fn names(&self) -> sources::Names<'_> {
        sources::Names { snapshot: self.snapshot, ctes: &self.ctes }
    }

    fn set_expr(&self, body: &mut SetExpr) -> bool {
        match body {
            SetExpr::Select(select) => {
                let names = self.names();
                sources::table_oids(&names, select);
                exists::items(&names, select);
                sources::expand_wildcards(&names, select);
                barren::select(&names, select)
            }
            SetExpr::SetOperation { left, right, .. } => {
                self.set_expr(left);
                self.set_expr(right);
                false
            }
            _ => false,
        }
    }
}

impl VisitorMut for Rewriter<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let ctes = query.with.iter().flat_map(|with| &with.cte_tables).map(|cte| fold(&cte.alias.name));
        self.ctes.push(ctes.collect());
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if self.set_expr(&mut query.body) {
            // Its order is of no matter, and what it orders by may be gone.
            query.order_by = None;
        }
        if self.ctes.len() == 1 {
            output::show(&mut query.body);
        }
        output::name_items(&mut query.body);
        self.ctes.pop();
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        sources::qualify(&self.names(), factor);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        role_names::expression(expr);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let gathers = calls::expression(expr);
        casts::expression(expr);
        barren::expression(expr);
        correlated::expression(&self.names(), expr);
        if gathers {
            calls::or_empty(expr);
        }
        ControlFlow::Continue(())
    }
}
