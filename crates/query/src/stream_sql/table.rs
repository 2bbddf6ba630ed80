//! A stream as a table: its segments, then its tails, as they stood when the query was planned.

use crate::fault::carried;
use crate::formats::{Compression, FileFormat, FileScan};
use crate::scope::{Consumed, Scope, StandIn};
use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{MemTable, Session, TableProvider};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::error::Result as EngineResult;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::union::UnionExec;
use object_store::ObjectMeta;
use std::fmt;
use std::sync::Arc;
use tidegate_catalog::{Chunk, Oid, RecordsBuilder, Relation, Segment, Shard, ShardSpec, State, StreamSpec};
use tidegate_core::{Error, Result};
use tidegate_storage::S3Access;
use tidegate_stream::{Decoder, Streams, batch, full_schema, rows_from, segment};

/// Rows of a batch that is decoded from a tail.
const BATCH_ROWS: usize = 8192;

/// A stream at one version of the state.
pub struct StreamTable {
    streams: Streams,
    state: Arc<State>,
    relation: Arc<Relation>,
    spec: Arc<StreamSpec>,
    schema: SchemaRef,
    /// The part that is read; None reads all of it.
    part: Option<Consumed>,
    runtime: Arc<datafusion::execution::runtime_env::RuntimeEnv>,
}

impl fmt::Debug for StreamTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamTable").field("stream", &self.relation.name).finish_non_exhaustive()
    }
}

impl StreamTable {
    /// As a statement sees it: with its system columns if the statement names one, from where its consumer stands if it
    /// consumes.
    pub fn new(streams: &Streams, scope: &Scope, relation: &Relation, spec: &StreamSpec) -> Result<Self> {
        let full = full_schema(&relation.columns);
        let shown = if scope.system_columns || relation.columns.is_empty() {
            full.fields().len()
        } else {
            relation.columns.len()
        };
        let schema = Arc::new(Schema::new(full.fields().iter().take(shown).cloned().collect::<Vec<_>>()));
        let part = scope.consumed.clone().filter(|part| part.stream == relation.oid);
        Ok(StreamTable {
            streams: streams.clone(),
            state: Arc::clone(&scope.state),
            relation: Arc::new(relation.clone()),
            spec: Arc::new(spec.clone()),
            schema,
            part,
            runtime: Arc::clone(scope.engine.runtime()),
        })
    }

    /// A table of rows that are in memory already, under the columns that a statement sees.
    pub fn stood_in_for(&self, stand_in: &StandIn) -> Result<MemTable> {
        let shown: Vec<usize> = (0..self.schema.fields().len()).collect();
        let part = |batches: &Vec<RecordBatch>| batches.iter().map(|batch| batch.project(&shown)).collect();
        let parts = stand_in.parts.iter().map(part).collect::<std::result::Result<Vec<_>, _>>();
        let parts = parts.map_err(Error::internal)?;
        MemTable::try_new(Arc::clone(&self.schema), parts).map_err(crate::from_datafusion)
    }

    /// The stream.
    pub fn oid(&self) -> Oid {
        self.relation.oid
    }

    fn start_of(&self, shard: &Shard) -> u64 {
        let from = self.part.as_ref().and_then(|part| part.from.get(&shard.spec.number));
        from.map_or(shard.oldest, |from| (*from).max(shard.oldest))
    }

    fn end_of(&self, shard: &Shard) -> u64 {
        let upto = self.part.as_ref().and_then(|part| part.upto.as_ref()).and_then(|upto| upto.get(&shard.spec.number));
        upto.map_or(shard.next, |upto| (*upto).min(shard.next))
    }

    fn file(&self, segment: &Segment, root: &object_store::path::Path) -> Result<PartitionedFile> {
        let location = object_store::path::Path::parse(format!("{root}/{}", segment.path)).map_err(Error::internal)?;
        let last_modified = std::time::UNIX_EPOCH.into();
        let meta = ObjectMeta { location, last_modified, size: segment.bytes, e_tag: None, version: None };
        Ok(PartitionedFile::from(meta))
    }

    async fn files(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
    ) -> EngineResult<Option<Arc<dyn ExecutionPlan>>> {
        let place = self.streams.stores().resolve(&self.spec.location, &S3Access::default()).map_err(carried)?;
        self.runtime.register_object_store(&place.registry_url, place.store);
        let mut files = Vec::new();
        for shard in self.state.shards(self.relation.oid) {
            let (start, end) = (self.start_of(shard), self.end_of(shard));
            for segment in shard.segments.values().filter(|segment| segment.first >= start && segment.end <= end) {
                files.push(self.file(segment, &place.path).map_err(carried)?);
            }
        }
        if files.is_empty() {
            return Ok(None);
        }
        let scan = FileScan {
            format: FileFormat::Parquet,
            compression: Compression::None,
            file_schema: Arc::clone(&self.schema),
            partition_columns: Vec::new(),
            store_url: ObjectStoreUrl::parse(place.registry_url.as_str())?,
            files,
        };
        scan.plan(state, projection, filters, None).await.map(Some)
    }

    /// The tails, and the rest of segments that are read from their middle on.
    async fn tails(&self, projection: &[usize]) -> Result<Vec<Arc<dyn PartitionStream>>> {
        let schema = Arc::new(self.schema.project(projection).map_err(Error::internal)?);
        let mut tails: Vec<Arc<dyn PartitionStream>> = Vec::new();
        for shard in self.state.shards(self.relation.oid) {
            let (from, upto) = (self.start_of(shard), self.end_of(shard));
            let mut chunks = Vec::new();
            let cut = |segment: &&Arc<Segment>| {
                let wanted = segment.first.max(from) < segment.end.min(upto);
                wanted && (segment.first < from || segment.end > upto)
            };
            for segment in shard.segments.values().filter(cut) {
                chunks.extend(self.rest_of(segment, segment.first.max(from), segment.end.min(upto)).await?);
            }
            chunks.extend(shard.tail.iter().cloned());
            if chunks.is_empty() || from >= upto {
                continue;
            }
            tails.push(Arc::new(Tail {
                decoder: Arc::clone(self.streams.decoder()),
                relation: Arc::clone(&self.relation),
                spec: Arc::clone(&self.spec),
                shard: shard.spec.clone(),
                chunks: chunks.into(),
                from,
                upto,
                projection: projection.into(),
                schema: Arc::clone(&schema),
            }));
        }
        Ok(tails)
    }

    async fn rest_of(&self, sealed: &Segment, from: u64, upto: u64) -> Result<Vec<Arc<Chunk>>> {
        let rest = usize::try_from(upto - from).unwrap_or(usize::MAX);
        let records = segment::read(self.streams.stores(), &self.spec, sealed, from, rest).await?;
        let mut chunks = Vec::new();
        for same in records.chunk_by(|a, b| a.arrival_ms == b.arrival_ms) {
            let mut builder = RecordsBuilder::default();
            for record in same {
                builder.push(&record.key, &record.data)?;
            }
            let Some(first) = same.first() else { continue };
            let chunk =
                Chunk { first: first.index, arrival_ms: first.arrival_ms, position: 0, records: builder.finish() };
            chunks.push(Arc::new(chunk));
        }
        Ok(chunks)
    }
}

#[async_trait]
impl TableProvider for StreamTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> EngineResult<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let columns: Vec<usize> = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        let mut inputs: Vec<Arc<dyn ExecutionPlan>> =
            self.files(state, projection, filters).await?.into_iter().collect();
        let tails = self.tails(&columns).await.map_err(carried)?;
        if !tails.is_empty() || inputs.is_empty() {
            let schema = Arc::new(self.schema.project(&columns)?);
            if tails.is_empty() {
                return Ok(Arc::new(datafusion::physical_plan::empty::EmptyExec::new(schema)));
            }
            inputs.push(Arc::new(StreamingTableExec::try_new(schema, tails, None, Vec::new(), false, None)?));
        }
        match inputs.len() {
            1 => Ok(inputs.remove(0)),
            _ => UnionExec::try_new(inputs),
        }
    }
}

/// The tail of a shard.
struct Tail {
    decoder: Arc<dyn Decoder>,
    relation: Arc<Relation>,
    spec: Arc<StreamSpec>,
    shard: ShardSpec,
    chunks: Arc<[Arc<Chunk>]>,
    from: u64,
    upto: u64,
    projection: Arc<[usize]>,
    schema: SchemaRef,
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tail")
            .field("stream", &self.relation.name)
            .field("shard", &self.shard.number)
            .finish_non_exhaustive()
    }
}

impl PartitionStream for Tail {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let reader = TailReader {
            decoder: Arc::clone(&self.decoder),
            relation: Arc::clone(&self.relation),
            spec: Arc::clone(&self.spec),
            shard: self.shard.clone(),
            chunks: Arc::clone(&self.chunks),
            next: self.from,
            upto: self.upto,
            at: 0,
            projection: Arc::clone(&self.projection),
        };
        let batches = futures::stream::iter(reader.map(|batch| batch.map_err(carried)));
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches))
    }
}

/// Goes through a tail, some thousand records at a time.
struct TailReader {
    decoder: Arc<dyn Decoder>,
    relation: Arc<Relation>,
    spec: Arc<StreamSpec>,
    shard: ShardSpec,
    chunks: Arc<[Arc<Chunk>]>,
    next: u64,
    upto: u64,
    at: usize,
    projection: Arc<[usize]>,
}

impl Iterator for TailReader {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let chunks = self.chunks.get(self.at..)?;
        let rows: Vec<_> =
            rows_from(chunks, self.next).take_while(|row| row.index < self.upto).take(BATCH_ROWS).collect();
        let last = rows.last()?;
        self.next = last.index + 1;
        let made = batch(self.decoder.as_ref(), &self.relation, &self.spec, &self.shard, &rows, &self.projection);
        self.at += chunks.iter().take_while(|chunk| chunk.end() <= self.next).count();
        Some(made)
    }
}
