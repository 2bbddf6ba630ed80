//! Continuous queries: materialized views over streams and pumps, exact across a kill.
//!
//! A materialized view over tables is one, too: a commit to a table is its stream. `tables` says what of its query can be kept
//! up by added rows alone, `refresh` takes them in, or makes the view anew. What is `merge`d are the view's own rows, or
//! those of a state table beside it (`kept`) with `partials` of what they show.
//!
//! Owns watermarks, windows and micro-batches; what a row is and how it is aggregated is the query engine's, whose own
//! partial, merging and final operators are used. Refuses what cannot be kept up record by record (sorting, limits, groups
//! without windows).
//!
//! 1. `spec`: what the user asked, checked when it is created: one stream, in a place where its rows come once.
//! 2. `engine`: runs the query over what has come, and commits rows and position in one frame. `input`: reads it, a batch
//!    ahead, by the columns that the query needs.
//! 3. `aggregate`: of a query over windows, the part that runs over each batch, the part that merges, and the part that
//!    runs when a window closes. `open`: what the windows that are open hold.
//! 4. `event`: event times of a batch, how far each shard is, and which records are late. `state`: the pure steps.
//! 5. `service`: statements; `view`: `tidegate.continuous_queries` and `tidegate.late_records`.
//!
//! What open windows hold is a cache of the log: after a restart it is made again from the records they came of, so it is
//! stored once. Specified by `tests/slt/continuous` and
//! `tests/slt/warehouse/materialized_views.slt`.

mod aggregate;
mod engine;
mod event;
mod input;
mod kept;
mod merge;
mod mv_view;
mod open;
mod partials;
mod refresh;
mod service;
mod spec;
mod state;
mod tables;
mod view;

pub use engine::Continuous;
pub use service::ContinuousService;
