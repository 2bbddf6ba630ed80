//! Streams: made, dropped, written and read.

use crate::batch::{Decoder, SYSTEM_COLUMNS};
use crate::segment::{self, StoredRecord};
use crate::sequence::{hash_of, parse_sequence};
use std::sync::Arc;
use tidegate_catalog::{
    Append, Catalog, Change, Column, Object, Oid, Receipt, RecordsBuilder, Relation, RelationKind, Shard, State,
    StreamSpec, even_shards,
};
use tidegate_core::{Error, Kind, Result, Settings};
use tidegate_storage::Stores;

/// Where a reader begins in a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// At the oldest record that is kept.
    TrimHorizon,
    /// After the newest.
    Latest,
    /// At the record of this sequence number.
    AtSequence(String),
    /// After it.
    AfterSequence(String),
    /// At the first record that came then or later, in milliseconds of the Unix epoch.
    AtTimestampMs(i64),
}

/// Records of a shard that follow each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// The records.
    pub records: Vec<StoredRecord>,
    /// The index after the last one.
    pub next: u64,
    /// How far behind the newest record the reader is then, in milliseconds.
    pub behind_ms: i64,
}

/// All streams of a server; clones share them.
#[derive(Clone)]
pub struct Streams {
    settings: Settings,
    catalog: Catalog,
    stores: Arc<Stores>,
    decoder: Arc<dyn Decoder>,
}

impl Streams {
    /// Over a catalog.
    pub fn new(settings: Settings, catalog: Catalog, stores: Arc<Stores>, decoder: Arc<dyn Decoder>) -> Self {
        Streams { settings, catalog, stores, decoder }
    }

    /// The server's settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The catalog they stand in.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Where their segments lie.
    pub fn stores(&self) -> &Arc<Stores> {
        &self.stores
    }

    /// What reads their records.
    pub fn decoder(&self) -> &Arc<dyn Decoder> {
        &self.decoder
    }

    /// The changes that make a stream. 54000 when there would be more shards than `stream_shard_limit`.
    pub fn creation(&self, relation: Relation, shards: u32) -> Result<Vec<Change>> {
        check_columns(&relation)?;
        let limit = u64::try_from(self.settings.whole("stream_shard_limit")).unwrap_or(0);
        let state = self.catalog.state();
        let open = state.relations().map(|stream| state.shards(stream.oid).count() as u64).sum::<u64>();
        if open + u64::from(shards) > limit {
            let message =
                format!("{shards} more shards than the {open} that are open would exceed the limit of {limit}");
            return Err(Error::new(Kind::LimitExceeded, message).hint("ALTER SYSTEM SET stream_shard_limit raises it."));
        }
        let created_s = u64::try_from(relation.created_ms / 1000).unwrap_or(0);
        let shards = Change::AddShards { stream: relation.oid, shards: even_shards(shards, created_s)? };
        Ok(vec![Change::Put(Arc::new(Object::Relation(relation))), shards])
    }

    /// Puts records that have been hashed, and gives their places. Durable when it returns.
    pub async fn put(&self, append: Append) -> Result<Receipt> {
        self.make_room().await?;
        self.catalog.commit(vec![Change::Append(append)]).await
    }

    /// Waits until the tails are below their maximum.
    pub async fn make_room(&self) -> Result<()> {
        let mut versions = self.catalog.versions();
        while tail_bytes(&self.catalog.state()) as u64 > self.settings.mebibytes("stream_tail_mb_max") {
            let stopped = || Error::new(Kind::Shutdown, "the server is shutting down");
            versions.changed().await.map_err(|_| stopped())?;
        }
        Ok(())
    }

    /// The index of the record at which a reader begins.
    pub async fn position(&self, state: &State, stream: Oid, number: u32, start: &Start) -> Result<u64> {
        let shard = find_shard(state, stream, number)?;
        match start {
            Start::TrimHorizon => Ok(shard.oldest),
            Start::Latest => Ok(shard.next),
            Start::AtSequence(text) => Ok(own_index(text, number)?.max(shard.oldest)),
            Start::AfterSequence(text) => Ok((own_index(text, number)? + 1).max(shard.oldest)),
            Start::AtTimestampMs(at_ms) => self.index_at(state, stream, shard, *at_ms).await,
        }
    }

    async fn index_at(&self, state: &State, stream: Oid, shard: &Shard, at_ms: i64) -> Result<u64> {
        let (_, spec) = find_stream(state, stream)?;
        if let Some(segment) = shard.segments.values().find(|segment| segment.last_ms >= at_ms) {
            return Ok(segment::index_at(&self.stores, spec, segment, at_ms).await?.max(shard.oldest));
        }
        let chunk = shard.tail.iter().find(|chunk| chunk.arrival_ms >= at_ms);
        Ok(chunk.map_or(shard.next, |chunk| chunk.first.max(shard.oldest)))
    }

    /// Reads records of a shard from an index on: at most `limit` and about `bytes`, at least one if there is one.
    pub async fn read(
        &self,
        state: &State,
        stream: Oid,
        number: u32,
        from: u64,
        limit: usize,
        bytes: usize,
    ) -> Result<Batch> {
        let (_, spec) = find_stream(state, stream)?;
        let shard = find_shard(state, stream, number)?;
        let from = from.max(shard.oldest);
        let mut records = match shard.segments.get_prev(&from).filter(|(_, segment)| segment.end > from) {
            Some((_, segment)) => segment::read(&self.stores, spec, segment, from, limit).await?,
            None => from_tail(shard, from, limit, bytes),
        };
        let mut size = 0;
        let fits = records.iter().take_while(|record| {
            size += record.data.len() + record.key.len();
            size <= bytes
        });
        let keep = fits.count().max(1);
        records.truncate(keep);
        let next = records.last().map_or(from, |record| record.index + 1);
        let last_ms = records.last().map_or(shard.last_ms, |record| record.arrival_ms);
        let behind_ms = if next >= shard.next { 0 } else { (self.catalog.clock().now_ms() - last_ms).max(0) };
        Ok(Batch { records, next, behind_ms })
    }
}

/// Every shard, with its stream; those of the history too.
pub fn all_shards(state: &State) -> impl Iterator<Item = (Oid, &Arc<Shard>)> {
    let all = state.relations().chain(state.history());
    let streams = all.filter(|relation| matches!(relation.kind, RelationKind::Stream(_)));
    streams.flat_map(|stream| state.shards(stream.oid).map(|shard| (stream.oid, shard)))
}

fn from_tail(shard: &Shard, from: u64, limit: usize, bytes: usize) -> Vec<StoredRecord> {
    let (mut found, mut size) = (Vec::new(), 0);
    for chunk in shard.tail.iter().skip_while(|chunk| chunk.end() <= from) {
        for index in from.max(chunk.first)..chunk.end() {
            let nth = (index - chunk.first) as usize;
            let (Some(record), Some(data)) = (chunk.records.get(nth), chunk.records.data(nth)) else { continue };
            size += record.key.len() + data.len();
            if found.len() >= limit || (size > bytes && !found.is_empty()) {
                return found;
            }
            found.push(StoredRecord { index, arrival_ms: chunk.arrival_ms, key: record.key.to_string(), data });
        }
    }
    found
}

/// An append of records, each hashed by its key.
pub fn append_of(stream: Oid, builder: RecordsBuilder, hashes: Vec<u128>, places: bool) -> Append {
    Append { stream, hashes: hashes.into(), records: builder.finish(), places }
}

/// Bytes of all tails.
pub fn tail_bytes(state: &State) -> usize {
    all_shards(state).map(|(_, shard)| shard.tail_bytes()).sum()
}

/// The hash that a record is routed by.
pub fn hash_for(key: &str, explicit: Option<u128>) -> u128 {
    explicit.unwrap_or_else(|| hash_of(key))
}

fn own_index(text: &str, number: u32) -> Result<u64> {
    let (shard, index) = parse_sequence(text)?;
    if shard != number {
        return Err(Error::new(Kind::InvalidParameter, format!("sequence number {text} is not of shard {number}")));
    }
    Ok(index)
}

/// A stream by number. 42P01 when it is gone.
pub fn find_stream(state: &State, stream: Oid) -> Result<(&Relation, &StreamSpec)> {
    state.stream(stream).ok_or_else(|| Error::new(Kind::UndefinedTable, "the stream has been dropped"))
}

fn find_shard(state: &State, stream: Oid, number: u32) -> Result<&Arc<Shard>> {
    let missing = || Error::new(Kind::UndefinedObject, format!("the stream has no shard {number}"));
    state.shard(stream, number).ok_or_else(missing)
}

fn check_columns(relation: &Relation) -> Result<()> {
    let reserved = |column: &&Column| SYSTEM_COLUMNS.contains(&column.name.as_str());
    match relation.columns.iter().find(reserved) {
        Some(column) => {
            let message = format!("column name \"{}\" is taken by a system column of streams", column.name);
            Err(Error::new(Kind::DuplicateColumn, message).hint("Choose another name."))
        }
        None => Ok(()),
    }
}
