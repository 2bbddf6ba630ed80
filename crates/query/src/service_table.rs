//! Tables that a service makes with an argument, `FROM batch.logs('…')`, and those it makes when they are scanned.
//!
//! The engine knows table functions by bare names only, and paths at a table's place: such a table becomes the path
//! `batch.logs://…`, which the service that offers it knows.

use crate::engine::Engine;
use sqlparser::ast::{Ident, ObjectName, TableAlias, TableFactor, VisitMut, VisitorMut};
use std::ops::ControlFlow;
use std::sync::Arc;
use tidegate_parser::ast::{self, Expr, FunctionArg, FunctionArgExpr, Value};
use tidegate_parser::name_parts;

/// Turns the tables of services into their paths.
pub fn rewrite(statement: &mut ast::Statement, engine: &Engine) {
    let mut rewriter = Rewriter { engine };
    // It never breaks off: what it does not know, it leaves to the planner.
    let _ = statement.visit(&mut rewriter);
}

/// The argument in the path of a table: `Some("x")` of `batch.logs://x`, `Some("")` where there was none.
pub fn argument<'a>(url: &'a str, namespace: &str, name: &str) -> Option<&'a str> {
    url.strip_prefix(namespace)?.strip_prefix('.')?.strip_prefix(name)?.strip_prefix("://")
}

struct Rewriter<'a> {
    engine: &'a Engine,
}

impl VisitorMut for Rewriter<'_> {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, args, alias, .. } = factor
            && let Some((schema, table)) = qualified(name_parts(name), args.is_some())
            && self.offers(&schema, &table)
        {
            let given = args.as_ref().map(|args| args.args.as_slice()).unwrap_or_default();
            if let Some(argument) = literal(given) {
                *name = ObjectName::from(vec![Ident::with_quote('"', format!("{schema}.{table}://{argument}"))]);
                *args = None;
                alias.get_or_insert_with(|| named(&table));
            }
        }
        ControlFlow::Continue(())
    }
}

/// A function of `pg_catalog` needs no schema.
fn qualified(parts: Vec<String>, called: bool) -> Option<(String, String)> {
    match <[String; 2]>::try_from(parts) {
        Ok([schema, table]) => Some((schema, table)),
        Err(mut parts) if parts.len() == 1 && called => Some(("pg_catalog".to_string(), parts.pop()?)),
        Err(_) => None,
    }
}

impl Rewriter<'_> {
    fn offers(&self, schema: &str, table: &str) -> bool {
        let offers = |service: &Arc<dyn crate::Service>| service.scanned_tables().contains(&(schema, table));
        self.engine.services().iter().any(offers)
    }
}

/// The one text among the arguments, empty where there are none; None for anything else.
fn literal(arguments: &[FunctionArg]) -> Option<String> {
    match arguments {
        [] => Some(String::new()),
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value)))] => match &value.value {
            // What describes a statement puts a number in the place of a parameter.
            Value::SingleQuotedString(text) | Value::Number(text, _) => Some(text.clone()),
            _ => None,
        },
        _ => None,
    }
}

fn named(table: &str) -> TableAlias {
    TableAlias { explicit: true, name: Ident::new(table), columns: Vec::new(), at: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let cases = [
            ("batch.logs://x:1", Some("x:1")),
            ("batch.logs://", Some("")),
            ("batch.jobs://x", None),
            ("s3://batch.logs://", None),
        ];
        for (url, found) in cases {
            assert_eq!(argument(url, "batch", "logs"), found, "{url}");
        }
    }
}
