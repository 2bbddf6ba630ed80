//! What the server knows: schemas, relations, files, shards, positions; and the one way to change it.
//!
//! Owns the [`State`], an immutable value at one position of the log, and the committer that makes the next one.
//! Refuses to know what a query or a Parquet file is: services hand it [`Change`]s.
//!
//! 1. A [`Transaction`] is an overlay on a state; its changes are checked as they are added.
//! 2. [`Catalog::commit`] queues them; one thread checks them again on the newest state (40001), gives stream records
//!    their places, and renders the exports of the tables touched.
//! 3. All that has queued is one write and one sync of the log; then the new state is published and all are answered.
//! 4. Every few seconds the entries that changed are written to the key-value store with the position they stand for.
//! 5. On start that is read, and the frames after it are replayed; the tails of streams and tables come from the log alone.

mod access;
mod batch;
mod catalog;
mod change;
mod committer;
mod continuous;
mod copy_job;
mod counters;
mod default_access;
mod encoding;
mod export;
mod function;
mod janitor;
mod lock_graph;
mod locks;
mod object;
mod persist;
mod pins;
mod policy;
mod quota;
mod records;
mod resource;
mod rounds;
mod rows;
mod shard;
mod snapshots;
mod state;
mod table;
mod table_spec;
mod transaction;
mod types;
mod user;
mod verifier;

pub use access::{
    AccessItem, AccessList, DATABASE_OID, EVERYBODY, Guarded, Membership, Rights, granted, handed_over, revoked,
};
pub use batch::{
    ArrayChild, AttemptMark, ComputeEnvironment, ContainerSpec, Dependency, Job, JobAttempt, JobDefinition, JobQueue,
    JobSpec, JobState, JobStatus, Mount, ProcessMark, Retry, RetryRule, Runner, Ulimit,
};
pub use catalog::{Catalog, Receipt};
pub use change::{AddedRows, Append, Appended, Change};
pub use continuous::{ContinuousQuery, ContinuousSpec, ContinuousState, LateRecord, Refreshed, Seen, Window};
pub use copy_job::{CopiedObject, CopyJob};
pub use counters::{Counter, Counters};
pub use default_access::{DefaultAccess, MadeKind};
pub use encoding::Encoding;
pub use export::Exporter;
pub use function::{ARGUMENTS_MAX, Argument, Function, Volatility};
pub use janitor::Janitor;
pub use locks::{LockHolder, ShownLock, TableLocks, Who};
pub use object::*;
pub use policy::{Policy, PolicyCommand, RowSecurity};
pub use quota::{QuotaUse, quota_breach, quota_uses};
pub use records::{APPEND_BYTES_MAX, RecordRef, Records, RecordsBuilder};
pub use resource::Resource;
pub use rounds::{Backoff, Rounds, Turn, Turns};
pub use rows::{Rows, compact};
pub use shard::{Chunk, SHARDS_MAX, Segment, Shard, ShardSpec, even_shards};
pub use snapshots::Snapshot;
pub use state::{RecordPlace, State};
pub use table::{Analysis, DataFile, GoneFile, Part, TableFiles, TailRows};
pub use table_spec::{Constraint, ConstraintKind, DistStyle, SortKey, TableSpec};
pub use transaction::Transaction;
pub use types::{
    Column, Identity, NAME_BYTES_MAX, PG_TYPE_KEY, SUPER, SqlType, TIMETZ, arrow_schema, file_schema, is_super,
    is_timetz,
};
pub use user::User;
pub use verifier::{Scram, Verifier, hmac_sha256, md5_hex, same, sha256};
