//! Functions, casts and literals of Postgres and Redshift that the engine lacks or does otherwise.
//!
//! What can be said in SQL is a [`templates`] table; the rest are scalar functions over arrays, on every node alike:
//! moments ([`moments`], [`made`]), parts of them ([`field`], [`parts`], [`truncate`]), their texts ([`to_char`], [`from_text`]),
//! numbers' texts ([`number`]), documents ([`json`]), [`uuid`]. [`literals`] gives types of moments their microseconds.
//!
//! Specified by `tests/slt/door/functions.slt`, whose expectations are those of Postgres 15, or Redshift's documents.

mod array_text;
mod field;
mod from_text;
mod json;
mod literals;
mod made;
mod moments;
mod number;
mod parts;
mod scalar;
mod templates;
mod to_char;
mod truncate;
mod uuid;

pub use array_text::ArrayTextPlanner;
pub use json::{EACH as JSON_EACH, JsonPlanner, read_sources as read_json_sources};
pub use scalar::{from_zone, in_zone};

use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr as Expression, ScalarUDF};
use sqlparser::ast::{Expr, VisitMut, VisitorMut};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock};
use tidegate_parser::ast;

/// All functions.
pub fn all() -> Vec<Arc<ScalarUDF>> {
    let of_text = to_char::functions().into_iter().chain(from_text::functions());
    let moments = moments::functions().into_iter().chain(made::functions()).chain(truncate::functions());
    let all = moments.chain(of_text).chain(json::functions()).chain([uuid::function()]);
    all.map(|function| Arc::new(ScalarUDF::from(function))).chain(parts::functions()).collect()
}

/// A call of one of them.
pub fn call(name: &str, arguments: Vec<Expression>) -> Result<Expression> {
    static BY_NAME: LazyLock<HashMap<String, Arc<ScalarUDF>>> =
        LazyLock::new(|| all().into_iter().map(|function| (function.name().to_string(), function)).collect());
    match BY_NAME.get(name) {
        Some(function) => Ok(function.call(arguments)),
        None => plan_err!("function {name} does not exist"),
    }
}

/// Puts them where they are meant.
pub fn rewrite(statement: &mut ast::Statement) {
    struct Rewriter;
    impl VisitorMut for Rewriter {
        type Break = ();
        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            literals::rewrite(expr);
            json::rewrite(expr);
            json::rewrite_items(expr);
            uuid::rewrite(expr);
            templates::rewrite(expr);
            ControlFlow::Continue(())
        }
    }
    // It never breaks off.
    let _ = statement.visit(&mut Rewriter);
}
