//! Segments: records of one shard in one Parquet object, in order; row `n` is record `first + n`.

use crate::batch::{Decoder, batch, full_schema, rows_from};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
#[expect(deprecated, reason = "its successor is a trait that each user implements anew")]
use parquet::arrow::async_reader::ParquetObjectReader;
use parquet::arrow::async_reader::ParquetRecordBatchStreamBuilder;
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::WriterProperties;
use std::sync::Arc;
use tidegate_catalog::{Chunk, Relation, Segment, ShardSpec, StreamSpec};
use tidegate_core::{Error, Kind, Result};
use tidegate_storage::{Place, S3Access, Stores, object_error};

/// Rows of a row group: what a reader of records by index has to decode to find one.
const ROW_GROUP_ROWS: usize = 64 * 1024;

/// Rows that are decoded at once.
const BATCH_ROWS: usize = 8192;

/// A record as it was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Its index in the shard.
    pub index: u64,
    /// When it came, in milliseconds of the Unix epoch.
    pub arrival_ms: i64,
    /// Its partition key.
    pub key: String,
    /// Its data.
    pub data: Bytes,
}

/// Writes chunks that follow each other as one segment. CPU-bound; the object is durable when it returns.
pub async fn write(
    stores: &Stores,
    decoder: Arc<dyn Decoder>,
    relation: &Relation,
    spec: &StreamSpec,
    shard: &ShardSpec,
    chunks: Vec<Arc<Chunk>>,
) -> Result<Segment> {
    let (Some(front), Some(back)) = (chunks.first().cloned(), chunks.last().cloned()) else {
        return Err(Error::internal("a segment of no records"));
    };
    let (relation, spec, shard) = (relation.clone(), spec.clone(), shard.clone());
    let path = format!("{:06}-{:020}.parquet", shard.number, front.first);
    let url = format!("{}/{path}", spec.location);
    let encode = move || encode(decoder.as_ref(), &relation, &spec, &shard, &chunks);
    let bytes = tokio::task::spawn_blocking(encode).await.map_err(Error::internal)??;
    let size = bytes.len() as u64;
    let Place { store, path: key, .. } = stores.resolve(&url, &S3Access::default())?;
    store.put(&key, bytes.into()).await.map_err(|error| object_error(error, &url))?;
    Ok(Segment {
        first: front.first,
        end: back.end(),
        first_ms: front.arrival_ms,
        last_ms: back.arrival_ms,
        path,
        bytes: size,
    })
}

fn encode(
    decoder: &dyn Decoder,
    relation: &Relation,
    spec: &StreamSpec,
    shard: &ShardSpec,
    chunks: &[Arc<Chunk>],
) -> Result<Vec<u8>> {
    let schema = full_schema(&relation.columns);
    let all: Vec<usize> = (0..schema.fields().len()).collect();
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).map_err(Error::internal)?))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_column_dictionary_enabled("sequence_number".into(), false)
        .set_column_encoding("sequence_number".into(), Encoding::DELTA_BYTE_ARRAY)
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties)).map_err(Error::internal)?;
    let rows: Vec<_> = rows_from(chunks, 0).collect();
    for rows in rows.chunks(BATCH_ROWS) {
        writer.write(&batch(decoder, relation, spec, shard, rows, &all)?).map_err(Error::internal)?;
    }
    writer.into_inner().map_err(Error::internal)
}

/// Reads at most `limit` records from index `from` on.
pub async fn read(
    stores: &Stores,
    spec: &StreamSpec,
    segment: &Segment,
    from: u64,
    limit: usize,
) -> Result<Vec<StoredRecord>> {
    let mut records = Vec::new();
    let mut index = from.max(segment.first);
    let mut batches =
        open(stores, spec, segment, index, limit, &["approximate_arrival_timestamp", "partition_key", "data"]).await?;
    while let Some(batch) = batches.try_next().await? {
        let (arrival, key, data) = columns(&batch, segment)?;
        for row in 0..batch.num_rows() {
            let data = if data.is_null(row) { Bytes::new() } else { Bytes::copy_from_slice(data.value(row)) };
            records.push(StoredRecord {
                index,
                arrival_ms: arrival.value(row) / 1000,
                key: key.value(row).to_string(),
                data,
            });
            index += 1;
        }
    }
    Ok(records)
}

/// Index of the first record that came at `at_ms` or later; the segment's end when none did.
pub async fn index_at(stores: &Stores, spec: &StreamSpec, segment: &Segment, at_ms: i64) -> Result<u64> {
    let mut index = segment.first;
    let rows = (segment.end - segment.first) as usize;
    let mut batches = open(stores, spec, segment, index, rows, &["approximate_arrival_timestamp"]).await?;
    while let Some(batch) = batches.try_next().await? {
        let arrival = batch.column(0).as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(|| damaged(segment))?;
        for row in 0..arrival.len() {
            if arrival.value(row) / 1000 >= at_ms {
                return Ok(index);
            }
            index += 1;
        }
    }
    Ok(segment.end)
}

type Batches = std::pin::Pin<Box<dyn futures::Stream<Item = Result<RecordBatch>> + Send>>;

async fn open(
    stores: &Stores,
    spec: &StreamSpec,
    segment: &Segment,
    from: u64,
    limit: usize,
    columns: &[&str],
) -> Result<Batches> {
    let url = format!("{}/{}", spec.location, segment.path);
    let Place { store, path, .. } = stores.resolve(&url, &S3Access::default())?;
    let unreadable = {
        let url = url.clone();
        move |error: parquet::errors::ParquetError| {
            Error::new(Kind::DataCorrupted, format!("stream segment {url} cannot be read: {error}"))
        }
    };
    let store: Arc<dyn ObjectStore> = store;
    #[expect(deprecated, reason = "its successor is a trait that each user implements anew")]
    let reader = ParquetObjectReader::new(store, path).with_file_size(segment.bytes);
    let builder = ParquetRecordBatchStreamBuilder::new_with_options(reader, ArrowReaderOptions::new())
        .await
        .map_err(&unreadable)?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
    let offset = from.saturating_sub(segment.first) as usize;
    let batches = builder.with_projection(mask).with_offset(offset).with_limit(limit).build().map_err(&unreadable)?;
    Ok(Box::pin(batches.map_err(unreadable)))
}

type Columns<'a> =
    (&'a arrow::array::TimestampMicrosecondArray, &'a arrow::array::StringArray, &'a arrow::array::BinaryArray);

fn columns<'a>(batch: &'a RecordBatch, segment: &Segment) -> Result<Columns<'a>> {
    let column = |name| batch.column_by_name(name).ok_or_else(|| damaged(segment));
    Ok((
        column("approximate_arrival_timestamp")?.as_primitive_opt().ok_or_else(|| damaged(segment))?,
        column("partition_key")?.as_string_opt().ok_or_else(|| damaged(segment))?,
        column("data")?.as_binary_opt().ok_or_else(|| damaged(segment))?,
    ))
}

fn damaged(segment: &Segment) -> Error {
    Error::new(Kind::DataCorrupted, format!("stream segment {} lacks a system column", segment.path))
}
