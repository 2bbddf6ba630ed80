//! COPY … FROM a URL: files into a table or stream, all or nothing.

use crate::copy_chunk;
use crate::load::{Defaults, File, Load, Reading};
use futures::TryStreamExt;
use object_store::{ObjectMeta, ObjectStoreExt};
use serde::Deserialize;
use std::sync::Arc;
use tidegate_catalog::RelationKind;
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::{Copy, CopyFormat, CopyOptions, CopySubject, CredentialRef};
use tidegate_query::formats::list_files;
use tidegate_query::stream_sql::insertable;
use tidegate_query::{Outcome, Planner, Spread, Work, access, check_files, insert};
use tidegate_storage::{Place, S3Access, object_error};

/// Bytes of a manifest.
const MANIFEST_BYTES_MAX: u64 = 64 << 20;

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
    let files = match copy.options.manifest {
        true => manifest(work, url, &access).await?,
        false => matching(work, url, &access).await?,
    };
    let sources = insert::sources(&work.scope, &relation, &chosen).await?;
    let load = Load {
        relation,
        chosen,
        defaults: Defaults::of(&sources)?,
        reading: Reading::of(&copy.options)?,
        access,
        timezone: work.scope.timezone.clone(),
    };
    let rows = match spread_for(work, &load, &files) {
        Some(spread) => copy_chunk::copy(work, spread.as_ref(), &load, &files).await?,
        None => copy_here(work, &load, &files).await?,
    };
    let relation = &load.relation;
    work.notice(format!("Load into table '{}' completed, {rows} record(s) loaded successfully.", relation.name));
    Ok(Outcome::Done { tag: format!("COPY {rows}") })
}

/// What loads the files on all nodes, where that is worth it: several files, of more than a task's bytes, into a table.
fn spread_for(work: &Work<'_>, load: &Load, files: &[File]) -> Option<Arc<dyn Spread>> {
    let task_bytes = work.scope.task_bytes? as u64;
    let bytes: u64 = files.iter().map(|file| file.bytes).sum();
    // Only the leader counts.
    let counts = load.relation.columns.iter().any(|column| column.identity.is_some());
    let is_table = matches!(load.relation.kind, RelationKind::Table(_));
    let is_worth_it = files.len() > 1 && bytes > task_bytes && is_table && !counts;
    work.engine().spread().filter(|_| is_worth_it).cloned()
}

/// Loads the files one after the other.
async fn copy_here(work: &mut Work<'_>, load: &Load, files: &[File]) -> Result<u64> {
    let planner = Planner::new(&work.scope)?;
    let mut sink = work.sink(&load.relation)?;
    let mut rows = 0;
    for file in files {
        match load.file(planner.state(), work.engine().stores(), file, sink.as_mut()).await {
            Ok(loaded) => rows += loaded,
            Err(error) => {
                sink.abort().await;
                return Err(error);
            }
        }
    }
    let changes = sink.finish().await?;
    work.push(changes)?;
    Ok(rows)
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

/// The objects whose names begin with a URL's; or the files of a glob.
async fn matching(work: &Work<'_>, url: &str, access: &S3Access) -> Result<Vec<File>> {
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
    let file = |meta: ObjectMeta| File {
        url: format!("{base}://{bucket}/{}", meta.location),
        path: meta.location.to_string(),
        bytes: meta.size,
    };
    Ok(metas.into_iter().map(file).collect())
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

async fn manifest(work: &Work<'_>, url: &str, access: &S3Access) -> Result<Vec<File>> {
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
    let mut files = Vec::new();
    for entry in manifest.entries {
        let place = work.engine().stores().resolve(&entry.url, access)?;
        match place.store.head(&place.path).await {
            Ok(meta) => {
                files.push(File { url: entry.url, path: meta.location.to_string(), bytes: meta.size });
            }
            Err(object_store::Error::NotFound { .. }) if !entry.mandatory => {}
            Err(error) => return Err(object_error(error, &entry.url)),
        }
    }
    Ok(files)
}
