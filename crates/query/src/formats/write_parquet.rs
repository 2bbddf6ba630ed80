//! Writing Parquet: row groups bounded by rows and bytes, and the bounds of each column for the catalog.

use super::sample::{self, SAMPLE_BYTES, SAMPLE_ROWS};
use super::upload::Upload;
use super::write::{ColumnStats, FileWriter, ParquetCodec, WriteOptions, WrittenFile, fit};
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use datafusion::common::ScalarValue;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use object_store::path::Path;
use parquet::arrow::AsyncArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};

/// Rows of a row group, unless options say otherwise.
pub const ROW_GROUP_ROWS: usize = 1024 * 1024;
/// Bytes that an unfinished row group may hold in memory, unless options say otherwise.
const ROW_GROUP_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Parquet: microseconds, no Arrow schema inside, which other readers would take literally.
pub(super) struct ParquetFileWriter {
    state: State,
    properties: WriterPropertiesBuilder,
    schema: SchemaRef,
    path: Path,
    rows: u64,
    row_group_bytes: usize,
    useful_bounds: bool,
}

/// How far a file is.
enum State {
    /// Its first rows tell how to write it.
    Sampling(Upload, Vec<RecordBatch>),
    Writing(Box<AsyncArrowWriter<Upload>>),
    /// It could not be begun.
    Failed,
}

impl ParquetFileWriter {
    pub(super) fn new(upload: Upload, schema: &SchemaRef, options: &WriteOptions) -> Result<Self> {
        let path = upload.path().clone();
        let row_group_bytes = options.row_group_bytes.unwrap_or(ROW_GROUP_BYTES_MAX);
        let schema = parquet_schema(schema);
        let properties = WriterProperties::builder()
            .set_compression(codec(options.parquet))
            .set_max_row_group_row_count(Some(options.row_group_rows.unwrap_or(ROW_GROUP_ROWS).max(1)))
            .set_created_by(concat!("tidegate ", env!("CARGO_PKG_VERSION")).to_string());
        let state = State::Sampling(upload, Vec::new());
        let useful_bounds = options.useful_bounds;
        Ok(ParquetFileWriter { state, properties, schema, path, rows: 0, row_group_bytes, useful_bounds })
    }

    /// The writer of rows, with those that told how to write them.
    async fn begun(&mut self) -> Result<&mut AsyncArrowWriter<Upload>> {
        self.state = match std::mem::replace(&mut self.state, State::Failed) {
            State::Sampling(upload, sample) => {
                let mut writer = self.begin(upload, &sample)?;
                for batch in &sample {
                    writer.write(batch).await.map_err(|error| parquet_error(error, &self.path))?;
                }
                State::Writing(Box::new(writer))
            }
            begun => begun,
        };
        match &mut self.state {
            State::Writing(writer) => Ok(writer),
            _ => Err(Error::internal(format!("writing {}: it could not be begun", self.path))),
        }
    }

    fn begin(&self, upload: Upload, sample: &[RecordBatch]) -> Result<AsyncArrowWriter<Upload>> {
        let without = sample::too_many_values(sample).map_err(Error::internal)?;
        let mut properties = without.into_iter().fold(self.properties.clone(), |properties, column| {
            properties.set_column_dictionary_enabled(ColumnPath::new(vec![column]), false)
        });
        if self.useful_bounds {
            let without = sample::unordered_texts(sample).map_err(Error::internal)?;
            properties = without.into_iter().fold(properties, |properties, column| {
                properties.set_column_statistics_enabled(ColumnPath::new(vec![column]), EnabledStatistics::None)
            });
        }
        let options = ArrowWriterOptions::new().with_properties(properties.build()).with_skip_arrow_metadata(true);
        AsyncArrowWriter::try_new_with_options(upload, Arc::clone(&self.schema), options)
            .map_err(|error| parquet_error(error, &self.path))
    }
}

fn memory_of(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::get_array_memory_size).sum()
}

fn codec(codec: ParquetCodec) -> Compression {
    match codec {
        ParquetCodec::Zstd => Compression::ZSTD(ZstdLevel::default()),
        ParquetCodec::Lz4 => Compression::LZ4_RAW,
        ParquetCodec::Snappy => Compression::SNAPPY,
        ParquetCodec::Gzip => Compression::GZIP(GzipLevel::default()),
        ParquetCodec::None => Compression::UNCOMPRESSED,
    }
}

fn parquet_error(error: ParquetError, path: &Path) -> Error {
    match &error {
        ParquetError::External(inner) => match inner.downcast_ref::<Error>() {
            Some(ours) => ours.clone(),
            None => Error::new(Kind::Io, format!("writing {path}: {error}")),
        },
        _ => Error::internal(format!("writing {path}: {error}")),
    }
}

#[async_trait]
impl FileWriter for ParquetFileWriter {
    async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = fit(batch, &self.schema)?;
        self.rows += batch.num_rows() as u64;
        if let State::Sampling(_, sample) = &mut self.state {
            sample.push(batch);
            if self.rows < SAMPLE_ROWS as u64 && memory_of(sample) < SAMPLE_BYTES {
                return Ok(());
            }
            return self.begun().await.map(drop);
        }
        let (path, most) = (self.path.clone(), self.row_group_bytes);
        let writer = self.begun().await?;
        writer.write(&batch).await.map_err(|error| parquet_error(error, &path))?;
        if writer.in_progress_size() >= most {
            writer.flush().await.map_err(|error| parquet_error(error, &path))?;
        }
        Ok(())
    }

    fn size_hint(&self) -> u64 {
        match &self.state {
            State::Sampling(_, sample) => memory_of(sample) as u64,
            State::Writing(writer) => (writer.bytes_written() + writer.in_progress_size()) as u64,
            State::Failed => 0,
        }
    }

    async fn finish(mut self: Box<Self>) -> Result<WrittenFile> {
        let path = self.path.clone();
        let metadata = self.begun().await?.finish().await.map_err(|error| parquet_error(error, &path))?;
        let stats = column_stats(&metadata, &self.schema);
        let bytes = match self.state {
            State::Writing(writer) => writer.into_inner().bytes(),
            _ => 0,
        };
        Ok(WrittenFile { path, bytes, rows: self.rows, stats })
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        match self.state {
            State::Sampling(mut upload, _) => upload.abort().await,
            State::Writing(writer) => writer.into_inner().abort().await,
            State::Failed => Ok(()),
        }
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
