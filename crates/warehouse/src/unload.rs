//! UNLOAD: a query's rows into files.

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{partition, take_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, SortField};
use datafusion::common::ScalarValue;
use datafusion::execution::SendableRecordBatchStream;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::{CopyFormat, Unload, UnloadOptions, ast, fold};
use tidegate_query::formats::partitions::hive_folder;
use tidegate_query::formats::{
    Compression, CsvOptions, FileFormat, FileWriter, WriteOptions, compression_of, create_writer, one_byte,
};
use tidegate_query::{Outcome, Planner, Scope, Spread, Work, from_datafusion};
use tidegate_storage::{S3Access, Stores, object_error};

use crate::copy::access_for;
use crate::unload_chunk;

/// Redshift's own: 6.2 GB.
const FILE_BYTES_DEFAULT: u64 = 6_200_000_000;
/// Most folders that one UNLOAD writes at the same time: each holds a buffer.
const OPEN_FILES_MAX: usize = 256;

/// Performs UNLOAD.
pub async fn unload(work: &mut Work<'_>, unload: &Unload) -> Result<Outcome> {
    let options = &unload.options;
    if options.clean_path {
        return Err(Error::new(Kind::Unsupported, "UNLOAD option CLEANPATH is not supported"));
    }
    let query = ast::Statement::Query(tidegate_parser::parse_query(&unload.query)?);
    let planner = Planner::new(&work.scope)?;
    let plan = planner.plan(&query).await?;
    let schema: SchemaRef = Arc::new(plan.schema().as_arrow().clone());
    let access = access_for(work, &unload.to, options.credential.as_ref())?;
    let place = work.engine().stores().resolve(&unload.to, &access)?;
    let columns = partition_columns(&schema, options)?;
    let written = Written {
        url: unload.to.clone(),
        access,
        format: format_of(options)?,
        compression: compression_of(options.compression).unwrap_or(Compression::None),
        extension: options.extension.clone(),
        bytes_max: options.max_file_size.unwrap_or(FILE_BYTES_DEFAULT),
        kept: kept_columns(&schema, &columns, options)?,
        columns,
    };
    if !options.allow_overwrite {
        refuse_overwrite(place.store.as_ref(), &place.path, &unload.to).await?;
    }
    let mut files = Files::new(work.engine().stores(), &written, None, &schema)?;
    match pieces(work, &query, options).await? {
        Some((spread, pieces)) => {
            files.written =
                unload_chunk::unload(work, spread.as_ref(), pieces, &written, options.allow_overwrite).await?;
        }
        None => {
            let mut rows = planner.stream(plan).await?;
            if let Err(error) = pour(&mut rows, &mut files, &written).await {
                files.abort().await;
                return Err(error);
            }
        }
    }
    let count: u64 = files.written.iter().map(|(_, _, rows)| rows).sum();
    if count == 0 && written.columns.is_empty() {
        // An empty result is a file without rows, so that whoever reads the prefix finds it.
        files.write("", RecordBatch::new_empty(Arc::clone(&files.schema))).await?;
        files.finish().await?;
    }
    if options.manifest {
        files.write_manifest(&unload.to).await?;
    }
    work.notice(format!("UNLOAD completed, {count} record(s) unloaded successfully."));
    Ok(Outcome::Done { tag: "UNLOAD".to_string() })
}

/// How rows become files: the same on all nodes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Written {
    /// Where, as the statement says it.
    pub url: String,
    /// With what it is reached.
    pub access: S3Access,
    format: FileFormat,
    compression: Compression,
    extension: Option<String>,
    bytes_max: u64,
    /// PARTITION BY.
    columns: Vec<usize>,
    /// The columns that are in the files.
    kept: Vec<usize>,
}

/// Parts of a query that is worth all nodes, and may be written in any order.
async fn pieces(
    work: &Work<'_>,
    query: &ast::Statement,
    options: &UnloadOptions,
) -> Result<Option<(Arc<dyn Spread>, Vec<String>)>> {
    let (Some(spread), Some(bytes), true) = (work.engine().spread(), work.scope.task_bytes, options.parallel) else {
        return Ok(None);
    };
    // In one partition: its files are not cut yet.
    let planner = Planner::new(&Scope { partitions: 1, ..work.scope.clone() })?;
    let plan = planner.plan(query).await?;
    let plan = planner.state().create_physical_plan(&plan).await.map_err(from_datafusion)?;
    Ok(spread.pieces(&plan, bytes)?.map(|pieces| (Arc::clone(spread), pieces)))
}

/// Puts all rows into files.
pub async fn pour(rows: &mut SendableRecordBatchStream, files: &mut Files, written: &Written) -> Result<()> {
    while let Some(batch) = rows.try_next().await.map_err(from_datafusion)? {
        for (folder, part) in split(&batch, &written.columns)? {
            files.write(&folder, part.project(&written.kept).map_err(Error::internal)?).await?;
        }
    }
    files.finish().await
}

fn partition_columns(schema: &SchemaRef, options: &UnloadOptions) -> Result<Vec<usize>> {
    let index = |name: &ast::Ident| {
        let name = fold(name);
        let missing =
            || Error::new(Kind::UndefinedColumn, format!("PARTITION BY column \"{name}\" is not in the query"));
        schema.fields().iter().position(|field| *field.name() == name).ok_or_else(missing)
    };
    options.partition_by.iter().map(index).collect()
}

fn kept_columns(schema: &SchemaRef, columns: &[usize], options: &UnloadOptions) -> Result<Vec<usize>> {
    let kept: Vec<usize> =
        (0..schema.fields().len()).filter(|index| options.partition_include || !columns.contains(index)).collect();
    match kept.is_empty() {
        true => Err(Error::new(Kind::InvalidDefinition, "UNLOAD would leave no column in the files")
            .hint("Add INCLUDE to PARTITION BY.")),
        false => Ok(kept),
    }
}

fn format_of(options: &UnloadOptions) -> Result<FileFormat> {
    let delimiter = options.delimiter.map(|given| one_byte("DELIMITER", given)).transpose()?;
    let quoted = options.format == CopyFormat::Csv || options.add_quotes;
    match options.format {
        CopyFormat::Parquet => Ok(FileFormat::Parquet),
        CopyFormat::Json => Ok(FileFormat::Json),
        CopyFormat::Csv | CopyFormat::Text => Ok(FileFormat::Csv(CsvOptions {
            delimiter: delimiter.unwrap_or(if options.format == CopyFormat::Csv { b',' } else { b'|' }),
            quote: quoted.then_some(b'"'),
            escape: options.escape.then_some(b'\\'),
            header: options.header,
            skip_lines: 0,
            null: options.null.clone(),
        })),
        other => Err(Error::new(Kind::Unsupported, format!("UNLOAD as {other:?} is not supported"))),
    }
}

async fn refuse_overwrite(store: &dyn ObjectStore, prefix: &Path, url: &str) -> Result<()> {
    match below(store, prefix, url).try_next().await? {
        Some(there) => {
            let message = format!("cannot unload to {url}: object {there} is there already");
            Err(Error::new(Kind::NotInState, message).hint("Choose another prefix, or say ALLOWOVERWRITE."))
        }
        None => Ok(()),
    }
}

/// The objects whose names begin with a prefix.
pub fn below<'a>(store: &'a dyn ObjectStore, prefix: &'a Path, url: &'a str) -> BoxStream<'a, Result<Path>> {
    let text = prefix.as_ref();
    let folder = if url.ends_with('/') { text } else { text.rsplit_once('/').map_or("", |(folder, _)| folder) };
    let folder = Path::from(folder);
    let found = store.list((!folder.as_ref().is_empty()).then_some(&folder));
    let known = move |found: std::result::Result<ObjectMeta, object_store::Error>| match found {
        Ok(meta) => meta.location.as_ref().starts_with(text).then_some(Ok(meta.location)),
        Err(object_store::Error::NotFound { .. }) => None,
        Err(error) => Some(Err(object_error(error, url))),
    };
    found.filter_map(move |found| std::future::ready(known(found))).boxed()
}

/// A batch by the folder that its rows belong to.
fn split(batch: &RecordBatch, columns: &[usize]) -> Result<Vec<(String, RecordBatch)>> {
    if columns.is_empty() {
        return Ok(vec![(String::new(), batch.clone())]);
    }
    let keys: Vec<_> = columns.iter().map(|index| Arc::clone(batch.column(*index))).collect();
    let fields = keys.iter().map(|key| SortField::new(key.data_type().clone())).collect();
    let rows =
        RowConverter::new(fields).and_then(|converter| converter.convert_columns(&keys)).map_err(Error::internal)?;
    let mut order: Vec<u32> = (0..batch.num_rows() as u32).collect();
    order.sort_by(|a, b| rows.row(*a as usize).cmp(&rows.row(*b as usize)));
    let sorted = take_record_batch(batch, &UInt32Array::from(order)).map_err(Error::internal)?;
    let keys: Vec<_> = columns.iter().map(|index| Arc::clone(sorted.column(*index))).collect();
    let mut parts = Vec::new();
    for range in partition(&keys).map_err(Error::internal)?.ranges() {
        let mut folder = String::new();
        for (key, index) in keys.iter().zip(columns) {
            let value = ScalarValue::try_from_array(key, range.start).map_err(from_datafusion)?;
            folder.push_str(&hive_folder(sorted.schema().field(*index).name(), &value));
            folder.push('/');
        }
        parts.push((folder, sorted.slice(range.start, range.len())));
    }
    Ok(parts)
}

/// Path, bytes and rows of a file.
pub type WrittenFile = (Path, u64, u64);

/// The files of one UNLOAD, or of one slice of it.
pub struct Files {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    in_folder: bool,
    slice: Option<usize>,
    schema: SchemaRef,
    format: FileFormat,
    compression: Compression,
    extension: Option<String>,
    bytes_max: u64,
    /// By folder: the file that is being written.
    open: BTreeMap<String, Box<dyn FileWriter>>,
    /// Those that are whole.
    pub written: Vec<WrittenFile>,
}

impl Files {
    /// For rows of a schema.
    pub fn new(stores: &Stores, written: &Written, slice: Option<usize>, schema: &SchemaRef) -> Result<Self> {
        let place = stores.resolve(&written.url, &written.access)?;
        Ok(Files {
            store: place.store,
            prefix: place.path,
            in_folder: written.url.ends_with('/'),
            slice,
            schema: Arc::new(schema.project(&written.kept).map_err(Error::internal)?),
            format: written.format.clone(),
            compression: written.compression,
            extension: written.extension.clone(),
            bytes_max: written.bytes_max,
            open: BTreeMap::new(),
            written: Vec::new(),
        })
    }

    async fn write(&mut self, folder: &str, batch: RecordBatch) -> Result<()> {
        if !self.open.contains_key(folder) {
            if self.open.len() >= OPEN_FILES_MAX {
                self.finish().await?;
            }
            let writer = self.begin(folder)?;
            self.open.insert(folder.to_string(), writer);
        }
        let Some(writer) = self.open.get_mut(folder) else { return Ok(()) };
        writer.write(&batch).await?;
        if writer.size_hint() >= self.bytes_max {
            self.end(folder).await?;
        }
        Ok(())
    }

    /// `prefix0000_part_00.parquet`, as Redshift names them.
    fn begin(&self, folder: &str) -> Result<Box<dyn FileWriter>> {
        let number = self.written.len() + self.open.len();
        let ending = match &self.extension {
            Some(extension) => format!(".{}", extension.trim_start_matches('.')),
            None if self.format == FileFormat::Parquet => ".parquet".to_string(),
            None => self.compression.extension().to_string(),
        };
        let name = match self.slice {
            Some(slice) => format!("{slice:04}_part_{number:02}{ending}"),
            None => format!("{number:04}_part_00{ending}"),
        };
        let text = match (self.in_folder || !folder.is_empty(), self.prefix.as_ref()) {
            (true, "") => format!("{folder}{name}"),
            (true, prefix) => format!("{prefix}/{folder}{name}"),
            (false, prefix) => format!("{prefix}{name}"),
        };
        let path = Path::parse(&text).map_err(Error::internal)?;
        let options = WriteOptions { compression: self.compression, ..WriteOptions::default() };
        create_writer(&self.store, &path, &self.format, &self.schema, &options)
    }

    async fn end(&mut self, folder: &str) -> Result<()> {
        if let Some(writer) = self.open.remove(folder) {
            let file = writer.finish().await?;
            self.written.push((file.path, file.bytes, file.rows));
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<()> {
        for folder in self.open.keys().cloned().collect::<Vec<_>>() {
            self.end(&folder).await?;
        }
        Ok(())
    }

    /// Takes away what was written.
    pub async fn abort(mut self) {
        self.abandon().await;
        remove(self.store.as_ref(), &self.written).await;
    }

    /// Takes away what is not whole. The files that are whole may be another attempt's by now, under the same names.
    pub async fn abandon(&mut self) {
        for writer in std::mem::take(&mut self.open).into_values() {
            if let Err(error) = writer.abort().await {
                tracing::warn!(%error, "an unfinished file of UNLOAD could not be removed");
            }
        }
    }

    async fn write_manifest(&mut self, url: &str) -> Result<()> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("file", url));
        let bucket = rest.split('/').next().unwrap_or_default();
        let entry = |(path, bytes, rows): &WrittenFile| json!({"url": format!("{scheme}://{bucket}/{path}"), "meta": {"content_length": bytes, "record_count": rows}});
        let text = json!({"entries": self.written.iter().map(entry).collect::<Vec<_>>()}).to_string();
        let name =
            if self.in_folder { format!("{}/manifest", self.prefix) } else { format!("{}manifest", self.prefix) };
        let path = Path::parse(&name).map_err(Error::internal)?;
        self.store.put(&path, text.into()).await.map(drop).map_err(|error| object_error(error, url))
    }
}

/// Takes away files of a failed UNLOAD.
pub async fn remove(store: &dyn ObjectStore, files: &[WrittenFile]) {
    for (path, ..) in files {
        if let Err(error) = store.delete(path).await {
            tracing::warn!(%error, %path, "a file of a failed UNLOAD could not be removed");
        }
    }
}
