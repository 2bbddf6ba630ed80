//! SUPER: Redshift's type for any JSON value, and PartiQL's ways into it.
//!
//! A SUPER value is compact JSON text; a field of them says so in its metadata, and so does each function that gives one.
//!
//! 1. [`json`] walks values, [`normal`] makes them of what comes in, [`number`] and [`compare`] know what they mean.
//! 2. [`function`] is what functions have in common; [`json_functions`], [`arrays`], [`cast`] and [`operators`] are they.
//! 3. [`from`] reads PartiQL in a statement: paths in FROM, `AT`, attributes behind a subscript.
//! 4. [`expressions`] gives the engine's planner the functions for paths and operators, where it sees a SUPER value.
//! 5. [`resolve`] ends the work on the plan, where types are known: casts, comparisons of the other forms, order.
//!    [`unnest`] makes FROM's paths the engine's own UNNEST.
//!
//! Specified by `tests/slt/warehouse/super*.slt`.

mod arrays;
mod cast;
mod compare;
mod convert;
mod expressions;
mod from;
mod function;
mod json;
mod json_functions;
mod normal;
mod number;
mod operators;
mod resolve;
mod unnest;

pub use convert::to_super;
pub use expressions::SuperPlanner;
pub use from::read;
pub use normal::{Wrong, normalize};
pub use resolve::{Lenience, resolve};

use datafusion::logical_expr::{Expr, ScalarUDF};
use function::Rule;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

fn rules() -> impl Iterator<Item = &'static Rule> {
    json_functions::RULES.iter().chain(arrays::RULES).chain(cast::RULES).chain(operators::RULES).chain(unnest::RULES)
}

static FUNCTIONS: LazyLock<HashMap<&'static str, (&'static Rule, Arc<ScalarUDF>)>> =
    LazyLock::new(|| rules().map(|rule| (rule.name, (rule, rule.udf()))).collect());

/// All functions.
pub fn functions() -> Vec<Arc<ScalarUDF>> {
    FUNCTIONS.values().map(|(_, udf)| Arc::clone(udf)).chain([arrays::array_concat()]).collect()
}

/// The rule of a function of ours.
fn rule_of(name: &str) -> Option<&'static Rule> {
    FUNCTIONS.get(name).map(|(rule, _)| *rule)
}

/// An expression as a SUPER value; of one that is, nothing changes.
pub fn made_super(expr: Expr) -> Expr {
    call("to_super", vec![expr])
}

/// A call of a function of ours.
fn call(name: &'static str, arguments: Vec<Expr>) -> Expr {
    match FUNCTIONS.get(name) {
        // A path's own name says nothing inside of an expression.
        Some((_, udf)) => udf.call(arguments.into_iter().map(Expr::unalias).collect()),
        None => datafusion::logical_expr::lit(datafusion::common::ScalarValue::Null),
    }
}
