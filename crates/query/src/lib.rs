//! Sessions and planning: a statement goes in, rows or a tag come out.
//!
//! Owns the [`Engine`] (one for the server) and the [`Session`]s (one for each connection: settings, transaction, user).
//! Refuses to know a wire protocol: what a client is sent is [`Outcome`], and how it is encoded is the gateway's.
//!
//! 1. [`Session::statements`] cuts a script into pieces, each run on its own.
//! 2. [`Session::run`] parses a piece; settings and transactions are answered by the session.
//! 3. A query is planned on a state cloned from one shared base, with the session's settings put in.
//! 4. Its batches are streamed; nothing is collected.
//! 5. Errors of the engine become ours in one place, with SQLSTATE and position.
//!
//! Specified by `tests/slt/door`.

mod engine;
mod fault;
pub mod files;
pub mod formats;
mod outcome;
mod parameter;
mod planner;
mod session;
mod variables;

pub use engine::{DATABASE, Engine};
pub use fault::from_datafusion;
pub use outcome::{CopyIn, Notice, Outcome, RowsTag, TxStatus};
pub use parameter::Prepared;
pub use session::Session;
pub use tidegate_parser::Piece;
