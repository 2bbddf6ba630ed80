//! Writing objects: Parquet, CSV and JSON lines behind one trait. Large objects go up in parts; `abort` takes them
//! away again.

use super::compress::Compression;
use super::text_write::TextEncoder;
use super::{FileFormat, store_error};
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema, SchemaRef, TimeUnit};
use async_compression::tokio::write::{BzEncoder, GzipEncoder, ZstdEncoder};
use async_trait::async_trait;
use datafusion::common::ScalarValue;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use object_store::buffered::BufWriter;
use object_store::{ObjectStore, path::Path};
use parquet::arrow::AsyncArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression as ParquetCompression, ZstdLevel};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::WriterProperties;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tidegate_core::{Error, Kind, Result};
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// Rows of a Parquet row group.
pub const ROW_GROUP_ROWS: usize = 1024 * 1024;
/// Bytes that an unfinished row group may hold in memory.
const ROW_GROUP_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Bytes of one part of a large object; smaller objects go up in one request.
const PART_BYTES: usize = 8 * 1024 * 1024;
/// Parts on their way at the same time.
const PARTS_IN_FLIGHT_MAX: usize = 4;

/// Choices of a writer.
#[derive(Debug, Clone, Default)]
pub struct WriteOptions {
    /// Of text files; Parquet is zstd inside.
    pub compression: Compression,
    /// `None`: [`ROW_GROUP_ROWS`].
    pub row_group_rows: Option<usize>,
}

/// An object that is written and whole.
#[derive(Debug, Clone)]
pub struct WrittenFile {
    /// Where.
    pub path: Path,
    /// Its size.
    pub bytes: u64,
    /// Its rows.
    pub rows: u64,
    /// By column; empty for formats other than Parquet.
    pub stats: Vec<ColumnStats>,
}

/// Bounds of one column in one file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ColumnStats {
    /// Not above any value; shortened for long text.
    pub min: Option<ScalarValue>,
    /// Not below any value.
    pub max: Option<ScalarValue>,
    /// How many are NULL.
    pub null_count: Option<u64>,
}

/// One object under construction. Neither finished nor aborted, it leaves the parts that went up to the store's own
/// clean-up.
#[async_trait]
pub trait FileWriter: Send {
    /// Adds rows; columns by place, cast to the writer's schema.
    async fn write(&mut self, batch: &RecordBatch) -> Result<()>;
    /// Bytes that went to the store so far, and those still in memory, roughly: for rolling over by size.
    fn size_hint(&self) -> u64;
    /// Makes the object whole and visible.
    async fn finish(self: Box<Self>) -> Result<WrittenFile>;
    /// Takes back what went up.
    async fn abort(self: Box<Self>) -> Result<()>;
}

/// A writer of a format at a path. The object appears at `finish`.
pub fn create_writer(
    store: &Arc<dyn ObjectStore>,
    path: &Path,
    format: &FileFormat,
    schema: &SchemaRef,
    options: &WriteOptions,
) -> Result<Box<dyn FileWriter>> {
    let object = ObjectWriter::new(store, path);
    match format {
        FileFormat::Parquet => Ok(Box::new(ParquetFileWriter::new(object, schema, options)?)),
        FileFormat::Orc => {
            let message = "writing ORC is not supported";
            Err(Error::new(Kind::Unsupported, message).hint("Choose PARQUET, CSV or JSON."))
        }
        text => {
            let encoder = TextEncoder::new(text, schema)?;
            let sink = Sink::new(object, options.compression);
            Ok(Box::new(TextFileWriter { sink, encoder, schema: Arc::clone(schema), rows: 0, buffer: Vec::new() }))
        }
    }
}

/// The object's bytes on their way to the store, counted.
struct ObjectWriter {
    inner: BufWriter,
    path: Path,
    bytes: u64,
}

impl ObjectWriter {
    fn new(store: &Arc<dyn ObjectStore>, path: &Path) -> Self {
        let inner = BufWriter::with_capacity(Arc::clone(store), path.clone(), PART_BYTES);
        ObjectWriter { inner: inner.with_max_concurrency(PARTS_IN_FLIGHT_MAX), path: path.clone(), bytes: 0 }
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await.map_err(|e| store_error(e, self.path.as_ref()))
    }
}

impl AsyncWrite for ObjectWriter {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, bytes);
        if let Poll::Ready(Ok(written)) = &polled {
            self.bytes += *written as u64;
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// An I/O error with the object's name; a full disk keeps its kind.
fn io_error(error: io::Error, path: &Path) -> Error {
    let kind = super::io_cause(&error).unwrap_or(Kind::Io);
    Error::new(kind, format!("writing {path}: {error}"))
}

/// Plain or compressed bytes into an object.
enum Sink {
    Plain(ObjectWriter),
    Gzip(GzipEncoder<ObjectWriter>),
    Bzip2(BzEncoder<ObjectWriter>),
    Zstd(ZstdEncoder<ObjectWriter>),
}

impl Sink {
    fn new(object: ObjectWriter, compression: Compression) -> Self {
        match compression {
            Compression::None => Sink::Plain(object),
            Compression::Gzip => Sink::Gzip(GzipEncoder::new(object)),
            Compression::Bzip2 => Sink::Bzip2(BzEncoder::new(object)),
            Compression::Zstd => Sink::Zstd(ZstdEncoder::new(object)),
        }
    }

    fn object(&mut self) -> &mut ObjectWriter {
        match self {
            Sink::Plain(w) => w,
            Sink::Gzip(w) => w.get_mut(),
            Sink::Bzip2(w) => w.get_mut(),
            Sink::Zstd(w) => w.get_mut(),
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            Sink::Plain(w) => w.bytes,
            Sink::Gzip(w) => w.get_ref().bytes,
            Sink::Bzip2(w) => w.get_ref().bytes,
            Sink::Zstd(w) => w.get_ref().bytes,
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let written = match self {
            Sink::Plain(w) => w.write_all(bytes).await,
            Sink::Gzip(w) => w.write_all(bytes).await,
            Sink::Bzip2(w) => w.write_all(bytes).await,
            Sink::Zstd(w) => w.write_all(bytes).await,
        };
        written.map_err(|e| io_error(e, &self.object().path))
    }

    /// Closes the object; returns its path and size. On a failure the parts are taken back.
    async fn finish(mut self) -> Result<(Path, u64)> {
        let closed = match &mut self {
            Sink::Plain(w) => w.shutdown().await,
            Sink::Gzip(w) => w.shutdown().await,
            Sink::Bzip2(w) => w.shutdown().await,
            Sink::Zstd(w) => w.shutdown().await,
        };
        let bytes = self.bytes();
        closed.map_err(|e| io_error(e, &self.object().path))?;
        Ok((self.object().path.clone(), bytes))
    }
}

/// CSV and JSON lines.
struct TextFileWriter {
    sink: Sink,
    encoder: TextEncoder,
    schema: SchemaRef,
    rows: u64,
    buffer: Vec<u8>,
}

#[async_trait]
impl FileWriter for TextFileWriter {
    async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = fit(batch, &self.schema)?;
        self.buffer.clear();
        self.encoder.encode(&batch, &mut self.buffer)?;
        self.rows += batch.num_rows() as u64;
        self.sink.write(&self.buffer).await
    }

    fn size_hint(&self) -> u64 {
        self.sink.bytes()
    }

    async fn finish(mut self: Box<Self>) -> Result<WrittenFile> {
        self.buffer.clear();
        self.encoder.end(&mut self.buffer);
        self.sink.write(&self.buffer).await?;
        let (path, bytes) = self.sink.finish().await?;
        Ok(WrittenFile { path, bytes, rows: self.rows, stats: Vec::new() })
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        self.sink.object().abort().await
    }
}

/// Parquet: zstd, microseconds, no Arrow schema inside, which other readers would take literally.
struct ParquetFileWriter {
    writer: AsyncArrowWriter<ObjectWriter>,
    schema: SchemaRef,
    path: Path,
    rows: u64,
}

impl ParquetFileWriter {
    fn new(object: ObjectWriter, schema: &SchemaRef, options: &WriteOptions) -> Result<Self> {
        let path = object.path.clone();
        let schema = parquet_schema(schema);
        let properties = WriterProperties::builder()
            .set_compression(ParquetCompression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(options.row_group_rows.unwrap_or(ROW_GROUP_ROWS).max(1)))
            .set_created_by(concat!("tidegate ", env!("CARGO_PKG_VERSION")).to_string())
            .build();
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let writer = AsyncArrowWriter::try_new_with_options(object, Arc::clone(&schema), options)
            .map_err(|e| parquet_error(e, &path))?;
        Ok(ParquetFileWriter { writer, schema, path, rows: 0 })
    }
}

fn parquet_error(error: parquet::errors::ParquetError, path: &Path) -> Error {
    let kind = super::io_cause(&error).unwrap_or(Kind::Io);
    Error::new(kind, format!("writing {path}: {error}"))
}

#[async_trait]
impl FileWriter for ParquetFileWriter {
    async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = fit(batch, &self.schema)?;
        self.writer.write(&batch).await.map_err(|e| parquet_error(e, &self.path))?;
        self.rows += batch.num_rows() as u64;
        if self.writer.in_progress_size() > ROW_GROUP_BYTES_MAX {
            self.writer.flush().await.map_err(|e| parquet_error(e, &self.path))?;
        }
        Ok(())
    }

    fn size_hint(&self) -> u64 {
        (self.writer.bytes_written() + self.writer.in_progress_size()) as u64
    }

    async fn finish(mut self: Box<Self>) -> Result<WrittenFile> {
        let metadata = self.writer.finish().await.map_err(|e| parquet_error(e, &self.path))?;
        let stats = column_stats(&metadata, &self.schema);
        let bytes = self.writer.into_inner().bytes;
        Ok(WrittenFile { path: self.path, bytes, rows: self.rows, stats })
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        self.writer.into_inner().abort().await
    }
}

/// Bounds as the footer has them.
fn column_stats(metadata: &ParquetMetaData, schema: &SchemaRef) -> Vec<ColumnStats> {
    let Ok(statistics) = DFParquetMetadata::statistics_from_parquet_metadata(metadata, schema) else {
        return vec![ColumnStats::default(); schema.fields().len()];
    };
    let known = |value: Option<&ScalarValue>| value.filter(|v| !v.is_null()).cloned();
    let column = |column: &datafusion::common::ColumnStatistics| ColumnStats {
        min: known(column.min_value.get_value()),
        max: known(column.max_value.get_value()),
        null_count: column.null_count.get_value().map(|n| *n as u64),
    };
    statistics.column_statistics.iter().map(column).collect()
}

/// The types that go into Parquet.
fn parquet_schema(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| {
        let data_type = match field.data_type() {
            DataType::Timestamp(_, zone) => {
                DataType::Timestamp(TimeUnit::Microsecond, zone.as_ref().map(|_| "UTC".into()))
            }
            DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Microsecond),
            DataType::Dictionary(_, values) => values.as_ref().clone(),
            // Parquet has no column of nothing that others read.
            DataType::Null => DataType::Utf8,
            other => other.clone(),
        };
        field.as_ref().clone().with_data_type(data_type)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// A batch as the schema wants it, columns by place.
fn fit(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    if batch.num_columns() != schema.fields().len() {
        let message = format!("{} columns where the file has {}", batch.num_columns(), schema.fields().len());
        return Err(Error::internal(message));
    }
    let column = |(array, field): (&ArrayRef, &Arc<arrow::datatypes::Field>)| -> Result<ArrayRef> {
        if array.data_type() == field.data_type() {
            return Ok(Arc::clone(array));
        }
        cast(array, field.data_type())
            .map_err(|e| Error::new(Kind::DatatypeMismatch, format!("column \"{}\": {e}", field.name())))
    };
    let arrays = batch.columns().iter().zip(schema.fields()).map(column).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options)
        .map_err(|e| Error::new(Kind::DatatypeMismatch, e.to_string()))
}
