//! COPY … FROM a URL: files into a table or stream, all or nothing.

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_plan::execute_stream;
use futures::TryStreamExt;
use object_store::{ObjectMeta, ObjectStoreExt};
use serde::Deserialize;
use std::sync::Arc;
use tidegate_catalog::Relation;
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::{Copy, CopyFormat, CopyOptions, CopySubject, CredentialRef};
use tidegate_query::conform::{Source, conform};
use tidegate_query::formats::{
    Compression, FileFormat, FileScan, LoadOptions, Loader, TextFormat, apply_copy_options, compression_of,
    infer_schema, list_files,
};
use tidegate_query::stream_sql::insertable;
use tidegate_query::{Outcome, Planner, TableSink, Work, access, check_files, from_datafusion, insert};
use tidegate_storage::{Place, S3Access, object_error};

/// Bytes of a manifest.
const MANIFEST_BYTES_MAX: u64 = 64 << 20;

/// A file to be loaded.
struct Input {
    url: String,
    place: Place,
    meta: ObjectMeta,
}

/// Performs COPY … FROM 'url'.
pub async fn copy_from(work: &mut Work<'_>, copy: &Copy, url: &str) -> Result<Outcome> {
    let CopySubject::Table { name, columns } = &copy.subject else {
        return Err(Error::new(Kind::Syntax, "COPY (query) can only be TO"));
    };
    let relation = insertable(&work.relation(name)?);
    let chosen = insert::chosen_idents(&relation, columns)?;
    refuse_options(&copy.options)?;
    copy.options.no_ops.iter().for_each(|option| work.notice(format!("COPY option {option} has no meaning here")));
    let access = access_for(work, url, copy.options.credential.as_ref())?;
    let inputs = match copy.options.manifest {
        true => manifest(work, url, &access).await?,
        false => matching(work, url, &access).await?,
    };
    let sources = insert::sources(&work.scope, &relation, &chosen).await?;
    let target = Target { relation: &relation, chosen: &chosen, sources: &sources };
    let mut sink = work.sink(&relation)?;
    let mut rows = 0;
    for input in &inputs {
        let loaded = match copy.options.format {
            Some(CopyFormat::Parquet) => load_columns(work, input, FileFormat::Parquet, &target, sink.as_mut()).await,
            Some(CopyFormat::Orc) => load_columns(work, input, FileFormat::Orc, &target, sink.as_mut()).await,
            _ => load_text(input, &copy.options, &target, sink.as_mut()).await,
        };
        match loaded {
            Ok(loaded) => rows += loaded,
            Err(error) => {
                sink.abort().await;
                return Err(error);
            }
        }
    }
    let changes = sink.finish().await?;
    work.push(changes)?;
    work.notice(format!("Load into table '{}' completed, {rows} record(s) loaded successfully.", relation.name));
    Ok(Outcome::Done { tag: format!("COPY {rows}") })
}

/// The credential that a statement names, or what fits the path.
pub fn access_for(work: &Work<'_>, url: &str, named: Option<&CredentialRef>) -> Result<S3Access> {
    let named = match named {
        Some(CredentialRef::Named(name)) => Some(name.as_str()),
        Some(CredentialRef::Default) | None => None,
    };
    check_files(&work.scope, url)?;
    access(work.state(), work.engine(), url, named)
}

fn refuse_options(options: &CopyOptions) -> Result<()> {
    let refused = [
        ("NOLOAD", options.no_load),
        ("jsonpaths", options.json_path.as_deref().is_some_and(|path| !path.eq_ignore_ascii_case("auto"))),
        ("MAXERROR", options.max_error > 0),
        ("REMOVEQUOTES", options.remove_quotes),
        ("TRUNCATECOLUMNS", options.truncate_columns),
        ("ACCEPTINVCHARS", options.accept_invalid_chars.is_some()),
        ("DATEFORMAT", options.date_format.as_deref().is_some_and(|format| !format.eq_ignore_ascii_case("auto"))),
        ("TIMEFORMAT", options.time_format.as_deref().is_some_and(|format| !format.eq_ignore_ascii_case("auto"))),
        ("FORMAT AVRO", options.format == Some(CopyFormat::Avro)),
        ("FORMAT BINARY", options.format == Some(CopyFormat::Binary)),
    ];
    match refused.iter().find(|(_, given)| *given) {
        Some((option, _)) => Err(Error::new(Kind::Unsupported, format!("COPY option {option} is not supported"))),
        None => Ok(()),
    }
}

/// Where rows go and what they become.
struct Target<'a> {
    relation: &'a Relation,
    chosen: &'a [usize],
    sources: &'a [Source],
}

impl Target<'_> {
    /// The columns that a file has, in its order.
    fn file_schema(&self) -> SchemaRef {
        let fields =
            self.chosen.iter().filter_map(|index| self.relation.columns.get(*index)).map(|column| column.field());
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }
}

async fn load_text(
    input: &Input,
    options: &CopyOptions,
    target: &Target<'_>,
    sink: &mut (dyn TableSink + '_),
) -> Result<u64> {
    let mut load = match options.format {
        // What is not quoted and empty is NULL, as UNLOAD writes it.
        Some(CopyFormat::Csv) => LoadOptions::postgres_csv(),
        Some(CopyFormat::Json) => LoadOptions::json(),
        // Redshift's delimited text.
        _ => {
            LoadOptions { format: TextFormat::Csv { delimiter: b'|', quote: None, escape: None }, ..LoadOptions::csv() }
        }
    };
    apply_copy_options(&mut load, options)?;
    let compression = compression_of(options.compression).unwrap_or(Compression::None);
    let Place { store, path, .. } = &input.place;
    let schema = target.file_schema();
    let mut loader = Loader::open(store, path, input.url.as_str(), compression, &schema, load)
        .await
        .map_err(|error| unreadable(error, compression))?;
    let mut rows = 0;
    while let Some(loaded) = loader.next().await.map_err(|error| unreadable(error, compression))? {
        if let Some(error) = loaded.errors.first() {
            return Err(error.to_error());
        }
        rows += loaded.batch.num_rows() as u64;
        sink.write(conform(&loaded.batch, target.relation, target.sources)?).await?;
    }
    Ok(rows)
}

/// What cannot be decompressed is a bad file, not a bad disk.
fn unreadable(error: Error, compression: Compression) -> Error {
    match (error.kind(), compression) {
        (Kind::Io, Compression::Gzip | Compression::Bzip2 | Compression::Zstd) => {
            let again = Error::new(Kind::BadCopyFormat, error.message());
            again.hint("Check that the file is whole and of the compression that is named.")
        }
        _ => error,
    }
}

/// Parquet and ORC: columns by name, whatever their letter case; by place where no name matches.
async fn load_columns(
    work: &Work<'_>,
    input: &Input,
    format: FileFormat,
    target: &Target<'_>,
    sink: &mut (dyn TableSink + '_),
) -> Result<u64> {
    let planner = Planner::new(&work.scope)?;
    let Place { store, registry_url, .. } = &input.place;
    work.engine().runtime().register_object_store(registry_url, Arc::clone(store));
    let metas = std::slice::from_ref(&input.meta);
    let file_schema = infer_schema(planner.state(), store, &format, Compression::None, metas)
        .await
        .map_err(|error| error.context(&input.url))?;
    let order = order_of(&file_schema, target, &input.url)?;
    let scan = FileScan {
        format,
        compression: Compression::None,
        file_schema,
        partition_columns: Vec::new(),
        store_url: ObjectStoreUrl::parse(registry_url.as_str()).map_err(Error::internal)?,
        files: vec![PartitionedFile::from(input.meta.clone())],
    };
    let plan = scan.plan(planner.state(), Some(&order), &[], None).await.map_err(from_datafusion)?;
    let mut batches = execute_stream(plan, planner.state().task_ctx()).map_err(from_datafusion)?;
    let mut rows = 0;
    while let Some(batch) = batches.try_next().await.map_err(|error| from_datafusion(error).context(&input.url))? {
        rows += batch.num_rows() as u64;
        sink.write(conform(&batch, target.relation, target.sources)?).await?;
    }
    Ok(rows)
}

fn order_of(file: &SchemaRef, target: &Target<'_>, url: &str) -> Result<Vec<usize>> {
    let wanted: Vec<&str> =
        target.chosen.iter().filter_map(|index| target.relation.columns.get(*index)).map(|c| c.name.as_str()).collect();
    let by_name = |name: &&str| file.fields().iter().position(|field| field.name().eq_ignore_ascii_case(name));
    if let Some(order) = wanted.iter().map(by_name).collect::<Option<Vec<usize>>>() {
        return Ok(order);
    }
    if wanted.iter().all(|name| by_name(name).is_none()) && file.fields().len() == wanted.len() {
        return Ok((0..wanted.len()).collect());
    }
    let missing = wanted.iter().find(|name| by_name(name).is_none()).copied().unwrap_or_default();
    Err(Error::new(Kind::UndefinedColumn, format!("{url} has no column \"{missing}\""))
        .hint("Name the columns that the file has: COPY t (a, b) FROM …"))
}

/// The objects whose names begin with a URL's; or the files of a glob.
async fn matching(work: &Work<'_>, url: &str, access: &S3Access) -> Result<Vec<Input>> {
    let place = work.engine().stores().resolve(url, access)?;
    let metas = if url.contains(['*', '?', '[']) {
        list_files(&place.store, place.path.as_ref()).await?
    } else {
        match place.store.head(&place.path).await {
            Ok(meta) if !url.ends_with('/') => vec![meta],
            Ok(_) | Err(object_store::Error::NotFound { .. }) => beginning(&place, url).await?,
            Err(error) => return Err(object_error(error, url)),
        }
    };
    if metas.is_empty() {
        let message = format!("The specified prefix '{url}' does not exist");
        return Err(Error::new(Kind::UndefinedFile, message).hint("Check the path, and which credential opens it."));
    }
    let base = url.split_once("://").map_or("file", |(scheme, _)| scheme).to_string();
    let bucket = url.split_once("://").and_then(|(_, rest)| rest.split('/').next()).unwrap_or_default().to_string();
    let input = |meta: ObjectMeta| Input {
        url: format!("{base}://{bucket}/{}", meta.location),
        place: Place { path: meta.location.clone(), ..place.clone() },
        meta,
    };
    Ok(metas.into_iter().map(input).collect())
}

async fn beginning(place: &Place, url: &str) -> Result<Vec<ObjectMeta>> {
    let whole = url.ends_with('/');
    let prefix = place.path.as_ref().to_string();
    let folder = if whole { place.path.clone() } else { object_store::path::Path::from_iter(parent(&prefix)) };
    let folder = (!folder.as_ref().is_empty()).then_some(folder);
    let mut found: Vec<ObjectMeta> = match place.store.list(folder.as_ref()).try_collect().await {
        Ok(found) => found,
        Err(object_store::Error::NotFound { .. }) => Vec::new(),
        Err(error) => return Err(object_error(error, url)),
    };
    found.retain(|meta| meta.location.as_ref().starts_with(&prefix) && meta.size > 0);
    found.sort_by(|a, b| a.location.cmp(&b.location));
    Ok(found)
}

fn parent(path: &str) -> impl Iterator<Item = &str> {
    path.rsplit_once('/').map_or("", |(folder, _)| folder).split('/').filter(|part| !part.is_empty())
}

#[derive(Deserialize)]
struct Manifest {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    url: String,
    #[serde(default)]
    mandatory: bool,
}

async fn manifest(work: &Work<'_>, url: &str, access: &S3Access) -> Result<Vec<Input>> {
    let place = work.engine().stores().resolve(url, access)?;
    let object = place.store.get(&place.path).await.map_err(|error| object_error(error, url))?;
    if object.meta.size > MANIFEST_BYTES_MAX {
        return Err(Error::new(
            Kind::ProgramLimit,
            format!("manifest {url} is larger than {MANIFEST_BYTES_MAX} bytes"),
        ));
    }
    let text = object.bytes().await.map_err(|error| object_error(error, url))?;
    let manifest: Manifest = serde_json::from_slice(&text)
        .map_err(|error| Error::new(Kind::BadCopyFormat, format!("manifest {url} cannot be read: {error}")))?;
    let mut inputs = Vec::new();
    for entry in manifest.entries {
        let place = work.engine().stores().resolve(&entry.url, access)?;
        match place.store.head(&place.path).await {
            Ok(meta) => inputs.push(Input { url: entry.url, place, meta }),
            Err(object_store::Error::NotFound { .. }) if !entry.mandatory => {}
            Err(error) => return Err(object_error(error, &entry.url)),
        }
    }
    Ok(inputs)
}
