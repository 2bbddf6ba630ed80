//! The server's streams as the Kinesis endpoint asks for them.

use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidegate_catalog::{
    ADMIN, Change, Delivery, Oid, PUBLIC, RecordPlace, RecordsBuilder, Relation, RelationKind, RowSecurity, Shard,
    Space, State, StreamSpec,
};
use tidegate_core::{Error, Kind, Result};
use tidegate_http::kinesis::service::{
    NewRecord, PutResult, Read, ShardDescription, Start, StoredRecord, StreamDescription, Streams as Endpoint,
};
use tidegate_query::Engine;
use tidegate_stream::{Streams, append_of, hash_for, sequence_number, starting_sequence};

/// Kinesis' own: 24 hours.
const RETENTION_MS: i64 = 24 * 3600 * 1000;
/// Shards of a new stream in on-demand mode, as in Kinesis.
const ON_DEMAND_SHARDS: u32 = 4;

/// Streams of schema `public`, by name.
pub struct KinesisStreams {
    /// The streams.
    pub streams: Streams,
    /// Where new ones lie.
    pub engine: Engine,
}

impl KinesisStreams {
    fn state(&self) -> Arc<State> {
        self.streams.catalog().state()
    }
}

/// A stream of schema `public`; 42P01.
fn find<'a>(state: &'a State, name: &str) -> Result<(&'a Relation, &'a StreamSpec)> {
    let relation = state.relation_named("public", name);
    let found = relation.and_then(|relation| state.stream(relation.oid));
    found.ok_or_else(|| Error::new(Kind::UndefinedTable, format!("Stream {name} not found.")))
}

fn describe(state: &State, relation: &Relation, spec: &StreamSpec) -> StreamDescription {
    let shard = |shard: &Arc<Shard>| ShardDescription {
        number: shard.spec.number,
        start_hash: shard.spec.start_hash,
        end_hash: shard.spec.end_hash,
        parent: None,
        adjacent_parent: None,
        starting_sequence: starting_sequence(shard.spec.number, shard.spec.created_s),
        ending_sequence: None,
    };
    StreamDescription {
        name: relation.name.clone(),
        created_ms: relation.created_ms,
        retention_hours: u32::try_from(spec.retention_ms / 3_600_000).unwrap_or(u32::MAX),
        on_demand: spec.on_demand,
        shards: state.shards(relation.oid).map(shard).collect(),
    }
}

fn start(start: &Start) -> tidegate_stream::Start {
    match start {
        Start::TrimHorizon => tidegate_stream::Start::TrimHorizon,
        Start::Latest => tidegate_stream::Start::Latest,
        Start::AtSequence(number) => tidegate_stream::Start::AtSequence(number.clone()),
        Start::AfterSequence(number) => tidegate_stream::Start::AfterSequence(number.clone()),
        Start::AtTimestampMs(at_ms) => tidegate_stream::Start::AtTimestampMs(*at_ms),
    }
}

#[async_trait]
impl Endpoint for KinesisStreams {
    async fn create(&self, name: &str, shards: Option<u32>, tags: Vec<(String, String)>) -> Result<()> {
        let state = self.state();
        if state.find(Space::Relation(PUBLIC), name).is_some() {
            return Err(Error::new(Kind::DuplicateTable, format!("Stream {name} already exists.")));
        }
        let oid: Oid = self.streams.catalog().next_oid()?;
        let spec = StreamSpec {
            partition_key: Vec::new(),
            format: None,
            watermark: None,
            retention_ms: RETENTION_MS,
            on_demand: shards.is_none(),
            tags: tags.into_iter().collect::<BTreeMap<_, _>>(),
            location: format!("{}/streams/{oid}", self.engine.objects_url()),
        };
        let relation = Relation {
            oid,
            schema: PUBLIC,
            name: name.to_string(),
            revision: 1,
            columns: Vec::new(),
            owner: ADMIN,
            comment: None,
            created_ms: self.engine.clock().now_ms(),
            row_security: RowSecurity::default(),
            kind: RelationKind::Stream(spec),
        };
        let changes = self.streams.creation(relation, shards.unwrap_or(ON_DEMAND_SHARDS))?;
        self.streams.catalog().commit(changes).await.map(drop)
    }

    async fn delete(&self, name: &str) -> Result<()> {
        let state = self.state();
        let (relation, _) = find(&state, name)?;
        if let Some(delivery) = state.all::<Delivery>().find(|delivery| delivery.spec.source == relation.oid) {
            let message = format!("Stream {name} is read by delivery stream {}.", delivery.name);
            return Err(Error::new(Kind::DuplicateTable, message).hint("Drop the delivery stream first."));
        }
        let drop_it = Change::Drop { oid: relation.oid, revision: relation.revision };
        self.streams.catalog().commit(vec![drop_it]).await.map(drop)
    }

    fn describe(&self, name: &str) -> Result<StreamDescription> {
        let state = self.state();
        find(&state, name).map(|(relation, spec)| describe(&state, relation, spec))
    }

    fn names(&self) -> Vec<StreamDescription> {
        let state = self.state();
        let streams = state.relations().filter(|relation| relation.schema == PUBLIC);
        let mut all: Vec<StreamDescription> = streams
            .filter_map(|relation| state.stream(relation.oid))
            .map(|(relation, spec)| describe(&state, relation, spec))
            .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    async fn put(&self, name: &str, records: Vec<NewRecord>) -> Result<Vec<PutResult>> {
        let oid = find(&self.state(), name)?.0.oid;
        let mut builder = RecordsBuilder::default();
        let mut hashes = Vec::with_capacity(records.len());
        for record in &records {
            hashes.push(hash_for(&record.partition_key, record.explicit_hash));
            builder.push(&record.partition_key, &record.data)?;
        }
        let receipt = self.streams.put(append_of(oid, builder, hashes, true)).await?;
        Ok(receipt
            .places
            .iter()
            .map(|place| PutResult { shard: place.shard, sequence: sequence_number(place) })
            .collect())
    }

    async fn position(&self, name: &str, shard: u32, from: &Start) -> Result<u64> {
        let state = self.state();
        let oid = find(&state, name)?.0.oid;
        self.streams.position(&state, oid, shard, &start(from)).await
    }

    async fn read(&self, name: &str, shard: u32, index: u64, limit: usize, bytes: usize) -> Result<Read> {
        let state = self.state();
        let (relation, _) = find(&state, name)?;
        let created_s = state.shard(relation.oid, shard).map_or(0, |shard| shard.spec.created_s);
        let batch = self.streams.read(&state, relation.oid, shard, index, limit, bytes).await?;
        let stored = |record: tidegate_stream::StoredRecord| StoredRecord {
            sequence: sequence_number(&RecordPlace {
                shard,
                created_s,
                index: record.index,
                arrival_ms: record.arrival_ms,
            }),
            partition_key: record.key,
            data: record.data,
            arrival_ms: record.arrival_ms,
        };
        Ok(Read {
            records: batch.records.into_iter().map(stored).collect(),
            next: Some(batch.next),
            millis_behind: batch.behind_ms,
        })
    }
}
