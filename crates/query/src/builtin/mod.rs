//! Functions, casts and literals of Postgres and Redshift that the engine lacks or does otherwise.
//!
//! What can be said in SQL is a [`templates`] table; the rest are scalar functions over arrays, on every node alike:
//! moments ([`moments`]), their texts ([`to_char`], [`from_text`]), numbers' texts ([`number`]), documents
//! ([`documents`]). [`literals`] makes what people write as dates and times plain for the engine.
//!
//! Specified by `tests/slt/door/functions.slt`, whose expectations are those of Postgres 15, or Redshift's documents.

mod documents;
mod from_text;
mod literals;
mod moments;
mod number;
mod scalar;
mod templates;
mod to_char;

use datafusion::logical_expr::ScalarUDF;
use sqlparser::ast::{Expr, VisitMut, VisitorMut};
use std::ops::ControlFlow;
use std::sync::Arc;
use tidegate_parser::ast;

/// All functions.
pub fn all() -> Vec<Arc<ScalarUDF>> {
    let of_text = to_char::functions().into_iter().chain(from_text::functions());
    let all = moments::functions().into_iter().chain(of_text).chain(documents::functions());
    all.map(|function| Arc::new(ScalarUDF::from(function))).collect()
}

/// Puts them where they are meant.
pub fn rewrite(statement: &mut ast::Statement) {
    struct Rewriter;
    impl VisitorMut for Rewriter {
        type Break = ();
        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            literals::rewrite(expr);
            documents::rewrite(expr);
            templates::rewrite(expr);
            ControlFlow::Continue(())
        }
    }
    // It never breaks off.
    let _ = statement.visit(&mut Rewriter);
}
