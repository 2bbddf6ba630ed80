//! What the endpoint asks of the stream engine, and in which terms they speak.

use async_trait::async_trait;
use bytes::Bytes;
use tidegate_core::Result;

/// The streams of this server. Errors are told by their [`Kind`](tidegate_core::Kind): `UndefinedTable` for a stream that
/// is not there, `DuplicateTable` for one that is, `LimitExceeded` for one too many, `InvalidParameter` for a sequence
/// number of another stream or shard.
#[async_trait]
pub trait Streams: Send + Sync {
    /// Makes a stream with this many shards; without a number, on demand.
    async fn create(&self, name: &str, shards: Option<u32>, tags: Vec<(String, String)>) -> Result<()>;
    /// Drops a stream with all its records.
    async fn delete(&self, name: &str) -> Result<()>;
    /// The stream of this name.
    fn describe(&self, name: &str) -> Result<StreamDescription>;
    /// All streams, sorted by name.
    fn names(&self) -> Vec<StreamDescription>;
    /// Appends records; all are durable when it returns, and there is one result for each, in their order.
    async fn put(&self, name: &str, records: Vec<NewRecord>) -> Result<Vec<PutResult>>;
    /// The index of the record at which a reader starts in a shard.
    async fn position(&self, name: &str, shard: u32, start: &Start) -> Result<u64>;
    /// At most `limit` records and `bytes` of data from `index` on; at least one if there is one.
    async fn read(&self, name: &str, shard: u32, index: u64, limit: usize, bytes: usize) -> Result<Read>;
}

/// A stream as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamDescription {
    /// Its name.
    pub name: String,
    /// When it was made, in milliseconds after the Unix epoch; tells it from an earlier stream of the same name.
    pub created_ms: i64,
    /// How long records are kept.
    pub retention_hours: u32,
    /// Whether the server chooses the number of shards.
    pub on_demand: bool,
    /// Open and closed shards, by number.
    pub shards: Vec<ShardDescription>,
}

/// A shard as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardDescription {
    /// Its number in the stream.
    pub number: u32,
    /// The first hash key it takes.
    pub start_hash: u128,
    /// The last hash key it takes.
    pub end_hash: u128,
    /// The shard it was split or merged from.
    pub parent: Option<u32>,
    /// The other shard it was merged from.
    pub adjacent_parent: Option<u32>,
    /// Below that of every record.
    pub starting_sequence: String,
    /// Above that of every record; there is one once the shard is closed.
    pub ending_sequence: Option<String>,
}

/// A record to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecord {
    /// 1 to 256 characters.
    pub partition_key: String,
    /// Chooses the shard in place of the partition key's hash.
    pub explicit_hash: Option<u128>,
    /// What it says.
    pub data: Bytes,
}

/// Where a record went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutResult {
    /// The shard's number.
    pub shard: u32,
    /// Decimal digits.
    pub sequence: String,
}

/// Where a reader starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// The oldest record there is.
    TrimHorizon,
    /// After the newest record there is.
    Latest,
    /// The record of this number, or the first after it.
    AtSequence(String),
    /// The first record after this number.
    AfterSequence(String),
    /// The first record that arrived at this time or later, in milliseconds after the Unix epoch.
    AtTimestampMs(i64),
}

/// A record as it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Decimal digits.
    pub sequence: String,
    /// As it was put.
    pub partition_key: String,
    /// As it was put.
    pub data: Bytes,
    /// When it came, in milliseconds after the Unix epoch.
    pub arrival_ms: i64,
}

/// What a read found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// In the order of their numbers.
    pub records: Vec<StoredRecord>,
    /// The index to go on from; none when the shard is closed and read to its end.
    pub next: Option<u64>,
    /// How far the next unread record lies behind now; 0 when there is none.
    pub millis_behind: i64,
}
