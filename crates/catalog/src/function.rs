//! SQL functions: an expression over arguments, under a name that others may share.

use crate::object::Oid;
use crate::types::SqlType;
use serde::{Deserialize, Serialize};

/// Arguments of a function at most (Redshift).
pub const ARGUMENTS_MAX: usize = 32;

/// A function that a user has made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Function {
    /// Its number.
    pub oid: Oid,
    /// The schema it stands in.
    pub schema: Oid,
    /// Its name and the types of its arguments, which tell it from others of its name: `f(integer, text)`.
    pub name: String,
    /// Counts its changes.
    pub revision: u64,
    /// The user who made it.
    pub owner: Oid,
    /// When it was made, in milliseconds of the Unix epoch.
    pub created_ms: i64,
    /// The name that it is called by.
    pub called: String,
    /// Its arguments.
    pub arguments: Vec<Argument>,
    /// The type of its result.
    pub returns: SqlType,
    /// Whether its result may differ for the same arguments.
    pub volatility: Volatility,
    /// The SELECT of one expression, as text.
    pub body: String,
    /// search_path when it was made: names in its body are looked up so for ever.
    pub search_path: Vec<String>,
}

/// An argument of a function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Argument {
    /// Its name, if it has one beside its number.
    #[serde(default)]
    pub name: Option<String>,
    /// Its type.
    pub sql_type: SqlType,
}

/// What a function promises (Postgres).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Volatility {
    /// Each call may give another result.
    Volatile,
    /// The same result within a statement.
    Stable,
    /// The same result for ever.
    Immutable,
}

impl Function {
    /// Name and types of the arguments, as [`Function::name`] has them. Lengths say nothing here, as in Postgres.
    pub fn signature(called: &str, arguments: &[Argument]) -> String {
        let types: Vec<String> = arguments.iter().map(|argument| argument.sql_type.family()).collect();
        format!("{called}({})", types.join(", "))
    }
}
