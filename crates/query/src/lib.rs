//! Sessions and planning: a statement goes in, rows or a tag come out.
//!
//! Owns the [`Engine`] (one for the server) and the [`Session`]s (one for each connection: settings, transaction, user).
//! Refuses to know a wire protocol: what a client is sent is [`Outcome`], and how it is encoded is the gateway's.
//!
//! 1. [`Session::statements`] cuts a script into pieces, each run on its own.
//! 2. [`Session::run`] parses a piece; settings and transactions are answered by the session.
//! 3. A query is planned on a [`Scope`]: one version of the state, and names looked up along the search path.
//! 4. Everything else is a [`Service`]'s: it performs a statement in a [`Work`], whose transaction takes the changes.
//! 5. Rows go in through a [`TableSink`], whatever brings them; they come out as streams, and nothing is collected.
//! 6. Errors of the engine become ours in one place, with SQLSTATE and position.
//!
//! Specified by `tests/slt/door`.

mod access;
mod arithmetic;
mod block;
mod build_sides;
mod builtin;
mod call;
mod chunk;
mod compat;
pub mod conform;
mod cooperative;
mod copy_in;
mod cursors;
pub mod datetime;
pub mod ddl;
mod dispatch;
mod engine;
mod fault;
pub mod formats;
mod functions;
pub mod history;
mod identity;
pub mod insert;
mod joins;
mod last;
mod late_reads;
mod like_escape;
mod locking;
mod memory;
mod movement;
mod notify;
mod origin;
mod outcome;
mod parameter;
mod partiql;
mod pass;
pub mod pg;
mod pg_snapshot;
mod pinned;
mod plan_rewrite;
mod planner;
mod prepared;
mod returning;
mod scope;
mod selectivity;
mod semi_joins;
mod service;
pub mod service_table;
mod session;
mod sessions;
mod spread;
mod sql_function;
pub mod sql_type;
pub mod stream_sql;
pub mod system_table;
mod table_arguments;
pub mod temporary;
mod text_cast;
mod timetz;
mod variables;
pub mod view;
mod work;

pub use access::{
    Asker, Need, RowBarrierExec, RowCheck, access, check_files, check_outside, checked, denied, is_s3, mentioned,
    require_superuser, returned, undefined_credential,
};
pub use call::Called;
pub use chunk::{Bench, ChunkWork, Performed, PlanReader};
pub use engine::{DATABASE, Engine, with_functions};
pub use fault::{carried, from_datafusion};
pub use memory::{disk_limit, runtime};
pub use movement::told as with_movement;
pub use notify::{Notification, Notifier};
pub use origin::{Origin, of_field as origin_of_field};
pub use outcome::{CopyIn, Notice, Outcome, RowsTag, TxStatus};
pub use parameter::{Known, Prepared, bind, number_of};
pub use pass::Pass;
pub use pg::plain_name;
pub use planner::{Planner, shown_schema, text_rows};
pub use returning::{ReturnedColumn, Returning, columns_of};
pub use scope::{Consumed, Scope, StandIn, TARGET, undefined_table};
pub use service::{Described, Service, SystemTable, SystemView, TableSink, sink_of};
pub use session::Session;
pub use spread::Spread;
pub use tidegate_parser::Piece;
pub use work::Work;
