//! Loading one text file, exact to the row: options, the error of one bad row, and the stream of batches.

use super::compress::Compression;
use super::records::Dialect;
use super::row_parser::RowParser;
use super::{CsvOptions, store_error};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::{ObjectStore, path::Path};
use std::io;
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};

/// Rows of a batch.
pub const LOAD_BATCH_ROWS: usize = 8192;
/// Bytes of a bad value that its error keeps.
const RAW_BYTES_MAX: usize = 1024;

/// How text is cut into rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
}

impl TextFormat {
    pub(super) fn dialect(self) -> Dialect {
        match self {
            TextFormat::Csv { delimiter, quote, escape } => Dialect { delimiter, quote, escape, postgres: false },
            TextFormat::PostgresText { delimiter } => {
                Dialect { delimiter, quote: None, escape: Some(b'\\'), postgres: true }
            }
            TextFormat::JsonLines => Dialect { delimiter: b',', quote: None, escape: None, postgres: false },
        }
    }
}

/// How a file is loaded.
#[derive(Debug, Clone)]
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
    /// Bad rows to pass over; one more ends the load. Bounds what is kept of them.
    pub max_errors: usize,
    /// Rows of a batch.
    pub batch_rows: usize,
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
            max_errors: 0,
            batch_rows: LOAD_BATCH_ROWS,
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

/// One bad row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadError {
    /// The file.
    pub file: String,
    /// The line where the row begins, from 1.
    pub line: u64,
    /// The column, when one value is to blame.
    pub column: Option<String>,
    /// The value, or the row, cut to 1 KB.
    pub raw: String,
    /// What is wrong.
    pub reason: String,
    /// The class of the error.
    pub kind: Kind,
}

impl LoadError {
    pub(super) fn new(file: &str, line: u64, column: Option<String>, raw: &[u8], reason: String, kind: Kind) -> Self {
        let raw = raw.get(..RAW_BYTES_MAX).unwrap_or(raw).trim_ascii_end();
        LoadError { file: file.to_string(), line, column, raw: String::from_utf8_lossy(raw).into_owned(), reason, kind }
    }

    /// As the error that ends a statement.
    pub fn to_error(&self) -> Error {
        let column = self.column.as_ref().map(|c| format!(", column \"{c}\"")).unwrap_or_default();
        let message = format!("file {}, line {}{column}: {}: \"{}\"", self.file, self.line, self.reason, self.raw);
        Error::new(self.kind, message)
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
    bytes: BoxStream<'static, io::Result<Bytes>>,
    parser: RowParser,
    ended: bool,
}

impl Loader {
    /// Loads plain bytes; `name` is what errors call the file.
    pub fn new(
        name: impl Into<String>,
        bytes: BoxStream<'static, io::Result<Bytes>>,
        schema: &SchemaRef,
        options: LoadOptions,
    ) -> Result<Self> {
        let name = name.into();
        let parser = RowParser::new(name.clone(), schema, options)?;
        Ok(Loader { name, bytes, parser, ended: false })
    }

    /// Loads an object; `name` is its URL.
    pub async fn open(
        store: &Arc<dyn ObjectStore>,
        path: &Path,
        name: impl Into<String>,
        compression: Compression,
        schema: &SchemaRef,
        options: LoadOptions,
    ) -> Result<Self> {
        let name = name.into();
        let bytes = compression.open(store, path).await.map_err(|e| store_error(e, &name))?;
        Self::new(name, bytes, schema, options)
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
            match self.bytes.next().await {
                Some(Ok(bytes)) if !self.parser.ended() => self.parser.feed(&bytes)?,
                Some(Ok(_)) => {}
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
