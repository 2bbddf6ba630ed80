//! SQL functions (Redshift's scalar UDFs): one expression over arguments, put in the place of each call.
//!
//! 1. [`define`] makes and drops them: the body is planned when the function is made, so that its mistakes are told then.
//! 2. [`body`] reads a body as an expression over columns that are named as its arguments are numbered.
//! 3. [`overload`] says which of several functions of a name a call means.
//! 4. [`call`] finds the calls of a statement, offers the functions to the engine's planner, and ends with their bodies in
//!    the plan: workers never hear of them.
//!
//! Specified by `tests/slt/warehouse/functions.slt`.

mod body;
mod call;
mod define;
mod overload;

pub use call::{Calls, inline};
pub use define::{create, drop_functions, drop_of_schema, wanted};
