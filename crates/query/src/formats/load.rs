//! Loading one text file, exact to the row: options, the error of one bad row, and the stream of batches.

use super::CsvOptions;
use super::encoding::EncodingMismatch;
use super::field_rules::FieldRules;
use super::json_path::JsonPath;
use super::load_error::LoadError;
use super::read::ByteStream;
use super::records::Dialect;
use super::row_parser::RowParser;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::StreamExt;
use std::ops::Range;
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};

/// Rows of a batch.
pub const LOAD_BATCH_ROWS: usize = 8192;

/// How text is cut into rows.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum TextFormat {
    /// CSV (with a quote), or delimited text (without; `escape` then works anywhere).
    Csv {
        /// Between fields.
        delimiter: u8,
        /// Around fields.
        quote: Option<u8>,
        /// Before a character that stands for itself.
        escape: Option<u8>,
    },
    /// Postgres's text format: backslash escapes, `\.` at the end.
    PostgresText {
        /// Between fields.
        delimiter: u8,
    },
    /// One JSON object per line; members go to columns by name, letter case aside.
    JsonLines,
    /// JSON values with nothing but whitespace between them.
    Json(JsonColumns),
    /// Columns of so many characters.
    Fixed(Vec<usize>),
}

/// Which parts of a JSON value go to which columns.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum JsonColumns {
    /// Members by the exact name of the column (`auto`).
    Exact,
    /// Members by name, letter case aside (`auto ignorecase`).
    AnyCase,
    /// All of it, to the one column (`noshred`).
    Whole,
    /// What each column's path leads to.
    Paths(Vec<JsonPath>),
}

impl LoadOptions {
    pub(super) fn dialect(&self) -> Dialect {
        let plain = Dialect {
            delimiter: b',',
            quote: None,
            escape: None,
            postgres: false,
            loose: self.rules.redshift,
            any_quote: self.rules.remove_quotes,
        };
        match self.format {
            TextFormat::Csv { delimiter, quote, escape } => Dialect { delimiter, quote, escape, ..plain },
            TextFormat::PostgresText { delimiter } => {
                Dialect { delimiter, escape: Some(b'\\'), postgres: true, ..plain }
            }
            TextFormat::JsonLines | TextFormat::Json(_) | TextFormat::Fixed(_) => plain,
        }
    }
}

/// How a file is loaded.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct LoadOptions {
    /// How text is cut.
    pub format: TextFormat,
    /// Lines to pass over at the start (IGNOREHEADER).
    pub ignore_header: usize,
    /// One more line to pass over: the columns' names.
    pub header: bool,
    /// The unquoted text that means NULL.
    pub null: Option<String>,
    /// An unquoted empty field is NULL in text columns too; in others it always is, Postgres's text format aside.
    pub empty_as_null: bool,
    /// Missing fields at the end of a row are NULL (FILLRECORD).
    pub fill_missing: bool,
    /// Fields beyond the last column are passed over.
    pub ignore_extra: bool,
    /// Empty lines are passed over (IGNOREBLANKLINES) rather than bad rows.
    pub ignore_blank_lines: bool,
    /// Bad rows to pass over; one more ends the load. Bounds what is kept of them.
    pub max_errors: usize,
    /// Rows of a batch.
    pub batch_rows: usize,
    /// How single fields are read.
    pub rules: FieldRules,
}

impl LoadOptions {
    /// Comma, double quotes, nothing skipped, no bad row allowed; unquoted empty is NULL only where '' is no value.
    pub fn csv() -> Self {
        LoadOptions {
            format: TextFormat::Csv { delimiter: b',', quote: Some(b'"'), escape: None },
            ignore_header: 0,
            header: false,
            null: None,
            empty_as_null: false,
            fill_missing: false,
            ignore_extra: false,
            ignore_blank_lines: true,
            max_errors: 0,
            batch_rows: LOAD_BATCH_ROWS,
            rules: FieldRules::default(),
        }
    }

    /// Postgres's `COPY … (FORMAT csv)`: unquoted empty is NULL, `""` is the empty text.
    pub fn postgres_csv() -> Self {
        LoadOptions { empty_as_null: true, ..Self::csv() }
    }

    /// Postgres's default format: tabs, `\N`.
    pub fn postgres_text() -> Self {
        LoadOptions { format: TextFormat::PostgresText { delimiter: b'\t' }, null: Some("\\N".into()), ..Self::csv() }
    }

    /// JSON lines.
    pub fn json() -> Self {
        LoadOptions { format: TextFormat::JsonLines, ..Self::csv() }
    }

    /// What a lake's scan of such files wants: ragged rows are no errors, empty is NULL.
    pub fn of_lake_csv(csv: &CsvOptions) -> Self {
        LoadOptions {
            format: TextFormat::Csv { delimiter: csv.delimiter, quote: csv.quote, escape: csv.escape },
            ignore_header: csv.skip_lines,
            header: csv.header,
            null: csv.null.clone(),
            empty_as_null: true,
            fill_missing: true,
            ignore_extra: true,
            ..Self::csv()
        }
    }
}

/// A batch, and the bad rows that were passed over since the last one.
#[derive(Debug)]
pub struct Loaded {
    /// Good rows; may be empty when only errors are left.
    pub batch: RecordBatch,
    /// Bad rows.
    pub errors: Vec<LoadError>,
}

/// The batches of one file.
pub struct Loader {
    name: String,
    bytes: ByteStream,
    parser: RowParser,
    ended: bool,
}

impl Loader {
    /// Loads plain bytes; `name` is what errors call the file.
    pub fn new(name: impl Into<String>, bytes: ByteStream, schema: &SchemaRef, options: LoadOptions) -> Result<Self> {
        let name = name.into();
        let parser = RowParser::new(name.clone(), schema, options)?;
        Ok(Loader { name, bytes, parser, ended: false })
    }

    /// Loads plain bytes that begin at an offset of their file, at the start of a row, and ends with the first row that
    /// begins at `end` or behind it.
    pub fn part(
        name: impl Into<String>,
        bytes: ByteStream,
        schema: &SchemaRef,
        options: LoadOptions,
        range: Range<u64>,
    ) -> Result<Self> {
        let mut loader = Self::new(name, bytes, schema, options)?;
        loader.parser.within(range);
        Ok(loader)
    }

    /// How far the file has been read, and what is known of it.
    pub fn parser(&mut self) -> &mut RowParser {
        &mut self.parser
    }

    /// The next batch; `None` at the end of the file.
    pub async fn next(&mut self) -> Result<Option<Loaded>> {
        loop {
            if let Some(batch) = self.parser.next_batch() {
                return Ok(Some(Loaded { batch, errors: self.parser.take_errors() }));
            }
            if self.ended {
                let errors = self.parser.take_errors();
                let batch = RecordBatch::new_empty(Arc::clone(self.parser.schema()));
                return Ok((!errors.is_empty()).then_some(Loaded { batch, errors }));
            }
            if self.parser.ended() {
                self.parser.finish()?;
                self.ended = true;
                continue;
            }
            match self.bytes.next().await {
                Some(Ok(bytes)) => self.parser.feed(&bytes)?,
                Some(Err(error)) if is_mismatch(&error) => self.parser.mismatch(&error)?,
                Some(Err(error)) => {
                    let hint = "check that the file is whole and of the compression that is named";
                    return Err(Error::new(Kind::Io, format!("file {}: {error}", self.name)).hint(hint));
                }
                None => {
                    self.parser.finish()?;
                    self.ended = true;
                }
            }
        }
    }
}

fn is_mismatch(error: &std::io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<EncodingMismatch>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::read::read_range;
    use crate::formats::{Compression, FileFormat, WriteOptions, create_writer};
    use arrow::array::{Array, Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};
    use bytes::Bytes;
    use futures::StreamExt;
    use object_store::ObjectStore;
    use object_store::local::LocalFileSystem;
    use object_store::path::Path;
    use object_store::{ObjectStoreExt, PutPayload};

    fn schema() -> SchemaRef {
        let fields = vec![Field::new("id", DataType::Int64, false), Field::new("name", DataType::Utf8View, true)];
        Arc::new(Schema::new(fields))
    }

    async fn open(
        store: &Arc<dyn ObjectStore>,
        path: &Path,
        compression: Compression,
        options: LoadOptions,
    ) -> Result<Loader> {
        let meta = store.head(path).await.unwrap();
        let bytes = compression.decode(read_range(store, path, 0..meta.size, meta.e_tag));
        Loader::new("s3://b/f.csv", bytes, &schema(), options)
    }

    async fn load(loader: &mut Loader) -> Result<(usize, Vec<LoadError>)> {
        let (mut rows, mut errors) = (0, Vec::new());
        while let Some(loaded) = loader.next().await? {
            rows += loaded.batch.num_rows();
            errors.extend(loaded.errors);
        }
        Ok((rows, errors))
    }

    /// Real files: 30000 rows, and a bad one behind each ten thousand.
    async fn file(store: &Arc<dyn ObjectStore>, path: &Path, compression: Compression) {
        let fields = vec![Field::new("id", DataType::Utf8, true), Field::new("name", DataType::Utf8, true)];
        let written = Arc::new(Schema::new(fields));
        let csv = FileFormat::Csv(CsvOptions { header: true, ..CsvOptions::default() });
        let options = WriteOptions { compression, ..WriteOptions::default() };
        let mut writer = create_writer(store, path, &csv, &written, &options).unwrap();
        for part in 0..3 {
            let ids: Int64Array = (0..10_000).map(|i| Some(part * 10_000 + i)).collect();
            let ids = arrow::compute::cast(&ids, &DataType::Utf8).unwrap();
            let names = StringArray::from(vec!["a,b"; 10_000]);
            writer
                .write(&RecordBatch::try_new(Arc::clone(&written), vec![ids, Arc::new(names)]).unwrap())
                .await
                .unwrap();
            let bad = [Arc::new(StringArray::from(vec!["x"])) as _, Arc::new(StringArray::from(vec!["bad"])) as _];
            writer.write(&RecordBatch::try_new(Arc::clone(&written), bad.to_vec()).unwrap()).await.unwrap();
        }
        writer.finish().await.unwrap();
    }

    #[tokio::test]
    async fn bad_rows_are_passed_over_and_told() {
        for compression in [Compression::None, Compression::Gzip, Compression::Bzip2, Compression::Zstd] {
            let folder = tempfile::tempdir().unwrap();
            let store: Arc<dyn ObjectStore> = Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap());
            let path = Path::from("f.csv");
            file(&store, &path, compression).await;
            let options = LoadOptions { header: true, max_errors: 3, ..LoadOptions::csv() };
            let mut loader = open(&store, &path, compression, options.clone()).await.unwrap();
            let (rows, errors) = load(&mut loader).await.unwrap();
            assert_eq!(rows, 30_000, "{compression:?}");
            let lines: Vec<u64> = errors.iter().map(|e| e.line).collect();
            assert_eq!(lines, [10_002, 20_003, 30_004], "{compression:?}");
            let first = &errors[0];
            assert_eq!((first.column.as_deref(), first.raw.as_str()), (Some("id"), "x"));
            let strict = LoadOptions { max_errors: 2, ..options };
            let mut loader = open(&store, &path, compression, strict).await.unwrap();
            let error = load(&mut loader).await.unwrap_err();
            assert_eq!(error.kind(), Kind::InvalidText);
            assert!(error.message().contains("s3://b/f.csv, line 30004, column \"id\""), "{error}");
        }
    }

    #[tokio::test]
    async fn a_cut_file_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn ObjectStore> = Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap());
        for compression in [Compression::Gzip, Compression::Bzip2, Compression::Zstd] {
            let path = Path::from("f");
            file(&store, &path, compression).await;
            let whole = store.get(&path).await.unwrap().bytes().await.unwrap();
            store.put(&path, PutPayload::from_bytes(whole.slice(..whole.len() / 2))).await.unwrap();
            let options = LoadOptions { header: true, max_errors: 9, ..LoadOptions::csv() };
            let mut loader = open(&store, &path, compression, options).await.unwrap();
            let error = load(&mut loader).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Io, "{compression:?}");
            assert!(error.message().contains("s3://b/f.csv"), "{error}");
        }
    }

    #[tokio::test]
    async fn options_decide_on_null_and_width() {
        let csv = LoadOptions::csv;
        type Case<'a> = (&'a str, LoadOptions, Result<(usize, usize), Kind>);
        let cases: [Case<'_>; 10] = [
            ("1,\n2,\"\"\n", csv(), Ok((2, 0))),
            ("1,\n2,\"\"\n", LoadOptions::postgres_csv(), Ok((2, 1))),
            ("1,-\n", LoadOptions { null: Some("-".into()), ..csv() }, Ok((1, 1))),
            (",a\n", csv(), Err(Kind::NotNullViolation)),
            ("1\n", csv(), Err(Kind::BadCopyFormat)),
            // CPY-28: a text that is missing is empty where an empty one is no NULL.
            ("1\n", LoadOptions { fill_missing: true, ..csv() }, Ok((1, 0))),
            ("1\n", LoadOptions { fill_missing: true, ..LoadOptions::postgres_csv() }, Ok((1, 1))),
            ("1,a,b\n", csv(), Err(Kind::BadCopyFormat)),
            ("1,a,b\n", LoadOptions { ignore_extra: true, ..csv() }, Ok((1, 0))),
            ("99999999999999999999,a\n", csv(), Err(Kind::OutOfRange)),
        ];
        for (text, options, expected) in cases {
            let bytes = futures::stream::iter([Ok(Bytes::from(text.to_string()))]).boxed();
            let mut loader = Loader::new("f", bytes, &schema(), options).unwrap();
            let found = match loader.next().await {
                Ok(loaded) => loaded.map(|l| (l.batch.num_rows(), l.batch.column(1).null_count())).ok_or(Kind::Io),
                Err(error) => Err(error.kind()),
            };
            assert_eq!(found, expected, "{text}");
        }
    }
}
