//! Streams: durable sharded logs with Kinesis semantics.
//!
//! Owns hashes, sequence numbers, positions, segments and retention; the log itself and the places that records get in it
//! are the catalog's commit. Refuses to know SQL: how records become columns is a [`Decoder`]'s.
//!
//! 1. A record's key is hashed ([`hash_for`]); the commit routes it to the shard of that range and numbers it.
//! 2. It is durable, and readable from the shard's tail in memory.
//! 3. The sealer writes tails as Parquet [`segment`]s, typed columns beside the raw bytes.
//! 4. A reader goes by index: [`Streams::position`] finds where it begins, [`Streams::read`] goes on from there.
//!    [`backlog`] is what it has not read yet.
//! 5. What is older than the retention is trimmed, and its objects go when nobody reads them.

pub mod backlog;
mod batch;
mod sealer;
pub mod segment;
mod sequence;
mod streams;

pub use batch::{Decoder, Row, SYSTEM_COLUMNS, batch, full_schema, rows_from};
pub use segment::StoredRecord;
pub use sequence::{hash_of, parse_sequence, sequence_number, shard_id, shard_number, starting_sequence};
pub use streams::{Batch, Start, Streams, append_of, find_stream, hash_for, tail_bytes};
