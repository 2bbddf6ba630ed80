//! How a piece of a file becomes rows of its table: the same for all of them, and on all nodes.

use crate::copy_plan::{Reading, TextReading, TextSource};
use crate::defaults::Defaults;
use crate::dynamo::{self, Wanted};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::session_state::SessionState;
use datafusion::physical_plan::execute_stream;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tidegate_catalog::{Column, Relation, SqlType};
use tidegate_core::{Error, Kind, Result};
use tidegate_query::conform::{Source, conform};
use tidegate_query::datetime;
use tidegate_query::formats::read::{
    ByteStream, OBJECT_LOOK_BACK_BYTES, from_first_line, from_first_object, read_range, sniff,
};
use tidegate_query::formats::{
    Compression, FileFormat, FileScan, LoadError, Loader, REDSHIFT_RECORD_BYTES_MAX, Replaced, TextFormat,
    avro_as_json, guarded, infer_schema,
};
use tidegate_query::{TableSink, from_datafusion};
use tidegate_storage::{Place, S3Access, Stores, object_error};

/// What all files of a COPY have in common.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Load {
    /// Where rows go.
    pub relation: Relation,
    /// The relation's columns that the files have, in their order.
    pub chosen: Vec<usize>,
    /// What the others hold.
    pub defaults: Defaults,
    /// What the files' bytes mean.
    pub reading: Reading,
    /// With what they are reached.
    pub access: S3Access,
    /// In which times without a zone are read.
    pub timezone: String,
    /// Rows are read and checked, and go nowhere (NOLOAD).
    pub no_load: bool,
}

/// A file that is loaded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct File {
    /// As people see it.
    pub url: String,
    /// Where it is in its store.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// What tells that it has not changed meanwhile.
    pub etag: Option<String>,
}

/// A file, or the rows that begin in a part of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Piece {
    /// The file.
    pub file: File,
    /// First byte, and the one after the last; None: all of it.
    pub range: Option<(u64, u64)>,
}

impl Piece {
    /// Bytes of it.
    pub fn bytes(&self) -> u64 {
        self.range.map_or(self.file.bytes, |(start, end)| end - start)
    }
}

/// What became of a piece.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Report {
    /// The file's URL.
    pub url: String,
    /// Who loaded it: a number among those that work at one time.
    pub slice: usize,
    /// Its bytes.
    pub bytes: u64,
    /// Where its first row begins, and where the row after its last one does.
    pub span: (u64, u64),
    /// Whether it is a part of a file.
    pub is_part: bool,
    /// Good rows.
    pub rows: u64,
    /// Lines, the passed over included.
    pub lines: u64,
    /// Bad rows, all of them.
    pub error_count: u64,
    /// Bad rows that are told of.
    pub errors: Vec<LoadError>,
    /// Values in which bytes were replaced.
    pub replaced: Vec<Replaced>,
    /// Why the load fails here.
    pub failure: Option<Error>,
}

/// How far a load is.
#[derive(Debug, Default)]
pub struct Progress {
    /// Bytes that were read from files.
    pub bytes: AtomicU64,
    /// Rows that were read.
    pub rows: AtomicU64,
}

/// What pieces are loaded with.
pub struct Tools<'a> {
    /// Reads columns.
    pub session: &'a SessionState,
    /// Where objects lie.
    pub stores: &'a Stores,
    /// Is told how far it is.
    pub progress: &'a Arc<Progress>,
}

impl Load {
    fn place(&self, tools: &Tools<'_>, file: &File) -> Result<Place> {
        let path = Path::parse(&file.path).map_err(Error::internal)?;
        Ok(Place { path, ..tools.stores.resolve(&root_of(&file.url), &self.access)? })
    }

    /// The plain bytes of a piece from its first row on, and where that begins. None: no row begins in it.
    async fn open(&self, tools: &Tools<'_>, piece: &Piece, reading: &TextReading) -> Result<Option<(u64, ByteStream)>> {
        let file = &piece.file;
        match reading.source {
            TextSource::File => Ok(open_text(tools, &self.place(tools, file)?, piece, reading).await?),
            TextSource::Avro => {
                let place = self.place(tools, file)?;
                Ok(Some((0, avro_as_json(&place.store, &place.path, file.bytes).await?)))
            }
            TextSource::Dynamo(ratio) => {
                let columns = self.chosen.iter().filter_map(|index| self.relation.columns.get(*index));
                let is_text =
                    |column: &Column| matches!(column.sql_type, SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_));
                let empty = !reading.options.empty_as_null;
                let wanted =
                    columns.map(|column| Wanted { name: column.name.clone(), empty: empty && is_text(column) });
                let items = dynamo::items(tools.stores, &file.url, &self.access, ratio, wanted.collect()).await?;
                Ok(Some((0, items)))
            }
        }
    }

    /// Puts the rows of a piece into a sink, where there is one. A bad row too many is the report's failure; what keeps the
    /// file from being read is an error.
    pub async fn piece(
        &self,
        tools: &Tools<'_>,
        piece: &Piece,
        sink: Option<&mut (dyn TableSink + 'static)>,
    ) -> Result<Report> {
        let url = piece.file.url.as_str();
        let sources = self.defaults.sources(&self.chosen)?;
        let report =
            Report { url: url.to_string(), bytes: piece.bytes(), is_part: piece.range.is_some(), ..Report::default() };
        match &self.reading {
            Reading::Text(text) => guarded(url, self.text(tools, piece, text, &sources, sink, report)).await,
            Reading::Columns(format, fill) => {
                guarded(url, self.columns(tools, piece, (format, *fill), sources, sink, report)).await
            }
        }
    }

    async fn text(
        &self,
        tools: &Tools<'_>,
        piece: &Piece,
        reading: &TextReading,
        sources: &[Source],
        sink: Option<&mut (dyn TableSink + 'static)>,
        mut report: Report,
    ) -> Result<Report> {
        let opened = self.open(tools, piece, reading).await;
        let opened = opened.map_err(|error| unreadable(error, &piece.file.url))?;
        let Some((first, bytes)) = opened else {
            report.span = (piece.file.bytes, piece.file.bytes);
            return Ok(report);
        };
        let end = piece.range.map_or(u64::MAX, |(_, end)| end);
        let (schema, options) = (self.file_schema(), reading.options.clone());
        let mut loader = Loader::part(&piece.file.url, bytes, &schema, options, first..end)?;
        let outcome = self.pour(&mut loader, tools, sources, sink, &mut report).await;
        let parser = loader.parser();
        report.errors.extend(parser.take_errors());
        report.replaced.extend(parser.take_replaced());
        report.error_count = parser.error_count() as u64;
        (report.lines, report.span) = (parser.lines(), (first, parser.position()));
        match outcome {
            // A bad row too many: the report has it.
            Err(error) if report.error_count > reading.options.max_errors as u64 => report.failure = Some(error),
            outcome => outcome.map_err(|error| unreadable(error, &piece.file.url))?,
        }
        Ok(report)
    }

    async fn pour(
        &self,
        loader: &mut Loader,
        tools: &Tools<'_>,
        sources: &[Source],
        mut sink: Option<&mut (dyn TableSink + 'static)>,
        report: &mut Report,
    ) -> Result<()> {
        while let Some(loaded) = loader.next().await? {
            report.rows += loaded.batch.num_rows() as u64;
            report.errors.extend(loaded.errors);
            tools.progress.rows.fetch_add(loaded.batch.num_rows() as u64, Ordering::Relaxed);
            let batch = conform(&loaded.batch, &self.relation, sources, &datetime::Reading::utc()?)?;
            if let Some(sink) = sink.as_deref_mut() {
                sink.write(batch).await?;
            }
        }
        Ok(())
    }

    /// Parquet and ORC: columns by place, as in Redshift.
    async fn columns(
        &self,
        tools: &Tools<'_>,
        piece: &Piece,
        (format, fill): (&FileFormat, bool),
        mut sources: Vec<Source>,
        mut sink: Option<&mut (dyn TableSink + 'static)>,
        mut report: Report,
    ) -> Result<Report> {
        let (session, url) = (tools.session, piece.file.url.as_str());
        let place = self.place(tools, &piece.file)?;
        session.runtime_env().register_object_store(&place.registry_url, Arc::clone(&place.store));
        let meta = place.store.head(&place.path).await.map_err(|error| object_error(error, url))?;
        let file_schema = infer_schema(session, &place.store, format, Compression::None, std::slice::from_ref(&meta))
            .await
            .map_err(|error| error.context(url))?;
        let order = self.order_of(&file_schema, url, fill, &mut sources)?;
        let mut file = PartitionedFile::from(meta);
        if let Some((start, end)) = piece.range {
            let signed = |at: u64| i64::try_from(at).unwrap_or(i64::MAX);
            file = file.with_range(signed(start), signed(end));
        }
        let scan = FileScan {
            format: format.clone(),
            compression: Compression::None,
            file_schema,
            partition_columns: Vec::new(),
            store_url: ObjectStoreUrl::parse(place.registry_url.as_str()).map_err(Error::internal)?,
            files: vec![file],
        };
        let plan = scan.plan(session, Some(&order), &[], None).await.map_err(from_datafusion)?;
        let mut batches = execute_stream(plan, session.task_ctx()).map_err(from_datafusion)?;
        while let Some(batch) = batches.try_next().await.map_err(|error| from_datafusion(error).context(url))? {
            report.rows += batch.num_rows() as u64;
            tools.progress.rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
            match conform(&batch, &self.relation, &sources, &datetime::Reading::utc()?) {
                Ok(batch) => {
                    if let Some(sink) = sink.as_deref_mut() {
                        sink.write(batch).await?;
                    }
                }
                Err(error) => {
                    fail(&mut report, error);
                    return Ok(report);
                }
            }
        }
        tools.progress.bytes.fetch_add(piece.bytes(), Ordering::Relaxed);
        report.lines = report.rows;
        Ok(report)
    }

    /// The columns that a file has, in its order; NULL is refused where the table refuses it.
    fn file_schema(&self) -> SchemaRef {
        let columns = self.chosen.iter().filter_map(|index| self.relation.columns.get(*index));
        let fields = columns.map(|column| column.field().with_nullable(!column.not_null));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// The places of the file's columns. 22P04 when they are not as many as the table's; fewer fill up with NULL if told.
    fn order_of(&self, file: &SchemaRef, url: &str, fill: bool, sources: &mut [Source]) -> Result<Vec<usize>> {
        let (wanted, found) = (self.chosen.len(), file.fields().len());
        if found > wanted || (found < wanted && !fill) {
            let message = format!(
                "Unmatched number of columns between table and file. Table columns: {wanted}, Data columns: {found}, File name: {url}"
            );
            return Err(Error::new(Kind::BadCopyFormat, message)
                .hint("Columns are taken in their order. Name those that the file has: COPY t (a, b) FROM …"));
        }
        for source in sources {
            if matches!(source, Source::Input(index) if *index >= found) {
                *source = Source::Value(ScalarValue::Null);
            }
        }
        Ok((0..found).collect())
    }
}

/// The plain bytes of a piece from its first row on, and where that begins. None: no row begins in it.
async fn open_text(
    tools: &Tools<'_>,
    place: &Place,
    piece: &Piece,
    reading: &TextReading,
) -> std::io::Result<Option<(u64, ByteStream)>> {
    let counted = |range: std::ops::Range<u64>| -> ByteStream {
        let progress = Arc::clone(tools.progress);
        let raw = read_range(&place.store, &place.path, range, piece.file.etag.clone());
        raw.inspect_ok(move |chunk| {
            progress.bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        })
        .boxed()
    };
    match piece.range {
        Some((start, end)) if start > 0 && matches!(reading.options.format, TextFormat::Json(_)) => {
            let from = start.saturating_sub(OBJECT_LOOK_BACK_BYTES);
            let within = start..end + REDSHIFT_RECORD_BYTES_MAX as u64;
            from_first_object(counted(from..piece.file.bytes), from, within).await
        }
        Some((start, _)) if start > 0 => from_first_line(counted(start - 1..piece.file.bytes), start).await,
        _ => {
            let raw = counted(0..piece.file.bytes);
            let (compression, raw) = match reading.compression {
                Compression::None => sniff(raw).await?,
                named => (named, raw),
            };
            Ok(Some((0, reading.encoding.decode(compression.decode(raw)))))
        }
    }
}

/// A file of columns fails with its first bad value.
fn fail(report: &mut Report, error: Error) {
    let code = match error.kind() {
        Kind::NotNullViolation => 1213,
        Kind::StringTooLong | Kind::OutOfRange => 1204,
        _ => 1223,
    };
    let none = String::new();
    report.errors.push(LoadError {
        file: report.url.clone(),
        line: 0,
        column: error.message().split('"').nth(1).map(str::to_string),
        column_type: none.clone(),
        column_length: none.clone(),
        position: 0,
        raw_line: none.clone(),
        raw: none,
        code,
        reason: error.message().to_string(),
        kind: error.kind(),
        fields: Vec::new(),
    });
    report.error_count += 1;
    report.failure = Some(error.context(format_args!("file {}", report.url)));
}

/// The whole of the store that holds a URL.
fn root_of(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("file", url));
    format!("{scheme}://{}/", rest.split('/').next().unwrap_or_default())
}

/// What cannot be read as text: a damaged file is no bad disk.
fn unreadable(error: Error, url: &str) -> Error {
    if error.kind() != Kind::Io {
        return error;
    }
    let message =
        if error.message().contains(url) { error.message().to_string() } else { format!("file {url}: {error}") };
    Error::new(Kind::BadCopyFormat, message).hint("Check that the file is whole and of the compression that is named.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_root() {
        for (url, root) in [("s3://b/a/b%20c", "s3://b/"), ("file:///a/b", "file:///")] {
            assert_eq!(root_of(url), root);
        }
    }
}
