//! Writing objects: Parquet, CSV, JSON lines and ORC behind one trait. Large objects go up in parts; what is dropped or
//! aborted takes them away again.

use super::FileFormat;
use super::compress::Compression;
use super::pack::Packer;
use super::text_write::TextEncoder;
use super::upload::Upload;
use super::write_orc::OrcFileWriter;
use super::write_parquet::ParquetFileWriter;
use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{FieldRef, SchemaRef};
use async_trait::async_trait;
use datafusion::common::ScalarValue;
use object_store::{ObjectStore, path::Path};
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};

/// Choices of a writer.
#[derive(Debug, Clone, Default)]
pub struct WriteOptions {
    /// Of text files; Parquet and ORC compress inside.
    pub compression: Compression,
    /// Inside of Parquet.
    pub parquet: ParquetCodec,
    /// Rows of a Parquet row group; `None`: [`super::ROW_GROUP_ROWS`].
    pub row_group_rows: Option<usize>,
}

/// How pages of a Parquet file are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ParquetCodec {
    /// Level 1.
    #[default]
    Zstd,
    /// What most readers of old know.
    Snappy,
    /// Smaller and slower than Snappy.
    Gzip,
    /// Not at all.
    None,
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

/// One object under construction. Dropped before it is finished, it takes back what went up, as [`Self::abort`] does.
#[async_trait]
pub trait FileWriter: Send {
    /// Adds rows; columns by place, cast to the writer's schema. After an error the object can only be aborted.
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
    let upload = Upload::new(store, path);
    match format {
        FileFormat::Parquet => Ok(Box::new(ParquetFileWriter::new(upload, schema, options)?)),
        FileFormat::Orc => Ok(Box::new(OrcFileWriter::new(upload, schema)?)),
        text => {
            let encoder = TextEncoder::new(text, schema)?;
            let packer = Packer::new(options.compression);
            Ok(Box::new(TextFileWriter { upload, packer, encoder, schema: Arc::clone(schema), rows: 0 }))
        }
    }
}

/// CSV and JSON lines.
struct TextFileWriter {
    upload: Upload,
    packer: Packer,
    encoder: TextEncoder,
    schema: SchemaRef,
    rows: u64,
}

impl TextFileWriter {
    fn packing(&self, error: &std::io::Error) -> Error {
        Error::new(Kind::Io, format!("compressing {}: {error}", self.upload.path()))
    }
}

#[async_trait]
impl FileWriter for TextFileWriter {
    async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = fit(batch, &self.schema)?;
        let mut text = Vec::new();
        self.encoder.encode(&batch, &mut text)?;
        self.rows += batch.num_rows() as u64;
        let packed = self.packer.pack(text).await.map_err(|e| self.packing(&e))?;
        self.upload.put(&packed).await
    }

    fn size_hint(&self) -> u64 {
        self.upload.bytes()
    }

    async fn finish(mut self: Box<Self>) -> Result<WrittenFile> {
        let mut text = Vec::new();
        self.encoder.end(&mut text);
        let packed = self.packer.end(text).await.map_err(|e| self.packing(&e))?;
        self.upload.put(&packed).await?;
        self.upload.complete().await?;
        let (path, bytes) = (self.upload.path().clone(), self.upload.bytes());
        Ok(WrittenFile { path, bytes, rows: self.rows, stats: Vec::new() })
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        self.upload.abort().await
    }
}

/// A batch as the schema wants it, columns by place.
pub(super) fn fit(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    if batch.num_columns() != schema.fields().len() {
        let message = format!("{} columns where the file has {}", batch.num_columns(), schema.fields().len());
        return Err(Error::internal(message));
    }
    let columns = batch.columns().iter().zip(schema.fields());
    let arrays = columns.map(|(array, field)| fit_column(array, field)).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options)
        .map_err(|e| Error::new(Kind::DatatypeMismatch, e.to_string()))
}

fn fit_column(array: &ArrayRef, field: &FieldRef) -> Result<ArrayRef> {
    if !field.is_nullable() && array.logical_null_count() > 0 {
        let message = format!("null value in column \"{}\" violates not-null constraint", field.name());
        return Err(Error::new(Kind::NotNullViolation, message));
    }
    if array.data_type() == field.data_type() {
        return Ok(Arc::clone(array));
    }
    // Strict: a value that does not fit must not become NULL in silence.
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(array, field.data_type(), &strict)
        .map_err(|e| Error::new(Kind::DatatypeMismatch, format!("column \"{}\": {e}", field.name())))
}
