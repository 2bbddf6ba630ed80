//! Writing Parquet: row groups bounded by rows and bytes, and the bounds of each column for the catalog.

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
use parquet::file::properties::WriterProperties;
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};

/// Rows of a row group, unless options say otherwise.
pub const ROW_GROUP_ROWS: usize = 1024 * 1024;
/// Bytes that an unfinished row group may hold in memory, unless options say otherwise.
const ROW_GROUP_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Parquet: microseconds, no Arrow schema inside, which other readers would take literally.
pub(super) struct ParquetFileWriter {
    writer: AsyncArrowWriter<Upload>,
    schema: SchemaRef,
    path: Path,
    rows: u64,
    row_group_bytes: usize,
}

impl ParquetFileWriter {
    pub(super) fn new(upload: Upload, schema: &SchemaRef, options: &WriteOptions) -> Result<Self> {
        let path = upload.path().clone();
        let row_group_bytes = options.row_group_bytes.unwrap_or(ROW_GROUP_BYTES_MAX);
        let schema = parquet_schema(schema);
        let properties = WriterProperties::builder()
            .set_compression(codec(options.parquet))
            .set_max_row_group_row_count(Some(options.row_group_rows.unwrap_or(ROW_GROUP_ROWS).max(1)))
            .set_created_by(concat!("tidegate ", env!("CARGO_PKG_VERSION")).to_string())
            .build();
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let writer = AsyncArrowWriter::try_new_with_options(upload, Arc::clone(&schema), options)
            .map_err(|e| parquet_error(e, &path))?;
        Ok(ParquetFileWriter { writer, schema, path, rows: 0, row_group_bytes })
    }
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
        self.writer.write(&batch).await.map_err(|e| parquet_error(e, &self.path))?;
        self.rows += batch.num_rows() as u64;
        if self.writer.in_progress_size() >= self.row_group_bytes {
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
        let bytes = self.writer.into_inner().bytes();
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
