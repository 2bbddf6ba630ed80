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
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub struct WriteOptions {
    /// Of text files; Parquet and ORC compress inside.
    pub compression: Compression,
    /// Inside of Parquet.
    pub parquet: ParquetCodec,
    /// Rows of a Parquet row group; `None`: [`super::ROW_GROUP_ROWS`].
    pub row_group_rows: Option<usize>,
    /// Bytes that an unfinished row group of Parquet may have; `None`: 128 MB.
    pub row_group_bytes: Option<usize>,
    /// Parquet: no bounds of texts that come in no order. Readers skip hardly anything by them, and they are dear to find.
    pub useful_bounds: bool,
    /// Delimited text: quotes around every value that is not NULL, even where it needs none.
    pub quote_all: bool,
    /// Text: the width of each column in characters, in place of delimiters.
    pub widths: Option<Vec<usize>>,
    /// JSON as Redshift's UNLOAD writes it: booleans are `"t"` and `"f"`, and JSON in a column is JSON, not a text of it.
    pub redshift_json: bool,
}

/// How pages of a Parquet file are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum ParquetCodec {
    /// Level 1.
    #[default]
    Zstd,
    /// Fastest to read, and half the size of none: LZ4_RAW.
    Lz4,
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
            let encoder = TextEncoder::new(text, schema, options)?;
            let packer = Packer::new(options.compression);
            Ok(Box::new(TextFileWriter { upload, packer, encoder, schema: Arc::clone(schema), rows: 0, text_bytes: 0 }))
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
    /// What the last batch came to: the next one mostly needs as much.
    text_bytes: usize,
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
        let mut text = Vec::with_capacity(self.text_bytes);
        self.encoder.encode(&batch, &mut text)?;
        self.text_bytes = text.len();
        self.rows += batch.num_rows() as u64;
        let packed = self.packer.pack(text).await.map_err(|e| self.packing(&e))?;
        self.upload.put(packed).await
    }

    fn size_hint(&self) -> u64 {
        self.upload.bytes()
    }

    async fn finish(mut self: Box<Self>) -> Result<WrittenFile> {
        let mut text = Vec::new();
        self.encoder.end(&mut text);
        let packed = self.packer.end(text).await.map_err(|e| self.packing(&e))?;
        self.upload.put(packed).await?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};
    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;
    use parquet::basic::Compression as Codec;
    use parquet::file::reader::{FileReader, SerializedFileReader};

    fn schema(id: DataType, nullable: bool) -> SchemaRef {
        let fields = vec![Field::new("id", id, nullable), Field::new("name", DataType::Utf8View, true)];
        Arc::new(Schema::new(fields))
    }

    fn batch() -> RecordBatch {
        let ids = Int64Array::from(vec![Some(5), None, Some(70_000)]);
        let names = StringArray::from(vec![Some("b"), Some("a"), None]);
        RecordBatch::try_from_iter_with_nullable([("x", Arc::new(ids) as ArrayRef, true), ("y", Arc::new(names), true)])
            .unwrap()
    }

    fn store() -> Arc<dyn ObjectStore> {
        Arc::new(InMemory::new())
    }

    #[tokio::test]
    async fn parquet_tells_bounds_and_takes_its_codec() {
        let codecs = [
            (ParquetCodec::Zstd, Codec::ZSTD(parquet::basic::ZstdLevel::default())),
            (ParquetCodec::Snappy, Codec::SNAPPY),
            (ParquetCodec::None, Codec::UNCOMPRESSED),
        ];
        for (parquet, codec) in codecs {
            let (store, path) = (store(), Path::from("a/b.parquet"));
            let options = WriteOptions { parquet, row_group_rows: Some(2), ..WriteOptions::default() };
            let schema = schema(DataType::Int32, true);
            let mut writer = create_writer(&store, &path, &FileFormat::Parquet, &schema, &options).unwrap();
            writer.write(&batch()).await.unwrap();
            assert!(store.head(&path).await.is_err(), "visible before it is whole");
            let written = writer.finish().await.unwrap();
            let bytes = store.get(&path).await.unwrap().bytes().await.unwrap();
            assert_eq!((written.path, written.rows, written.bytes), (path, 3, bytes.len() as u64));
            let id = ColumnStats { min: Some(5i32.into()), max: Some(70_000i32.into()), null_count: Some(1) };
            assert_eq!(written.stats[0], id);
            assert_eq!(written.stats[1].min, Some(ScalarValue::Utf8View(Some("a".into()))));
            let reader = SerializedFileReader::new(bytes).unwrap();
            assert_eq!(reader.metadata().num_row_groups(), 2);
            assert_eq!(reader.metadata().row_group(0).column(0).compression(), codec);
        }
    }

    #[tokio::test]
    async fn texts_in_no_order_have_bounds_only_where_all_have() {
        let names = Arc::new(StringArray::from_iter_values((0..64).map(|row| format!("{}", row * 7919 % 31))));
        let batch = RecordBatch::try_from_iter_with_nullable([("name", names as ArrayRef, true)]).unwrap();
        for useful_bounds in [false, true] {
            let options = WriteOptions { useful_bounds, ..WriteOptions::default() };
            let (store, path) = (store(), Path::from("a"));
            let mut writer = create_writer(&store, &path, &FileFormat::Parquet, &batch.schema(), &options).unwrap();
            writer.write(&batch).await.unwrap();
            let written = writer.finish().await.unwrap();
            assert_eq!(written.stats[0].min.is_none(), useful_bounds);
        }
    }

    #[tokio::test]
    async fn what_does_not_fit_is_refused() {
        let cases = [
            (schema(DataType::Int16, true), Kind::DatatypeMismatch, "id"),
            (schema(DataType::Int64, false), Kind::NotNullViolation, "id"),
        ];
        for (schema, kind, column) in cases {
            for format in [FileFormat::Parquet, FileFormat::Json, FileFormat::Orc] {
                let options = WriteOptions::default();
                let mut writer = create_writer(&store(), &Path::from("a"), &format, &schema, &options).unwrap();
                let wrote = writer.write(&batch()).await;
                // ORC has no NOT NULL.
                if format == FileFormat::Orc && kind == Kind::NotNullViolation {
                    continue;
                }
                let error = wrote.unwrap_err();
                assert_eq!(error.kind(), kind, "{format:?}");
                assert!(error.message().contains(column), "{error}");
            }
        }
    }

    #[tokio::test]
    async fn types_without_a_spelling_are_refused_by_column() {
        let list = DataType::List(Arc::new(Field::new("item", DataType::Int64, true)));
        let cases = [
            (FileFormat::Csv(super::super::CsvOptions::default()), list.clone()),
            (FileFormat::Orc, list),
            (FileFormat::Orc, DataType::Decimal128(10, 2)),
        ];
        for (format, data_type) in cases {
            let schema = schema(data_type, true);
            let made = create_writer(&store(), &Path::from("a"), &format, &schema, &WriteOptions::default());
            let error = made.err().unwrap();
            assert_eq!(error.kind(), Kind::Unsupported);
            assert!(error.message().contains("\"id\""), "{error}");
        }
    }

    #[tokio::test]
    async fn an_aborted_or_dropped_writer_leaves_nothing() {
        let formats = [
            FileFormat::Parquet,
            FileFormat::Orc,
            FileFormat::Json,
            FileFormat::Csv(super::super::CsvOptions::default()),
        ];
        for format in formats {
            for abort in [true, false] {
                let (store, path) = (store(), Path::from("a"));
                let schema = schema(DataType::Int64, true);
                let mut writer = create_writer(&store, &path, &format, &schema, &WriteOptions::default()).unwrap();
                writer.write(&batch()).await.unwrap();
                if abort {
                    writer.abort().await.unwrap();
                } else {
                    drop(writer);
                }
                assert!(store.head(&path).await.is_err(), "{format:?}");
            }
        }
    }
}
