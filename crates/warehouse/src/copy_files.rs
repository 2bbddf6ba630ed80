//! The files of a COPY: those of a prefix, a glob or a manifest, and with what they are reached.

use crate::dynamo;
use crate::load::File;
use futures::TryStreamExt;
use object_store::{ObjectMeta, ObjectStoreExt};
use serde::Deserialize;
use tidegate_catalog::Credential;
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::{CopyOptions, CredentialRef, Keys};
use tidegate_query::formats::{JsonColumns, json_paths, list_files};
use tidegate_query::{Work, access, check_files, check_outside};
use tidegate_storage::{Place, S3Access, object_error};

/// Bytes of a manifest.
const MANIFEST_BYTES_MAX: u64 = 64 << 20;
/// Bytes of a JSONPaths file.
const PATHS_BYTES_MAX: u64 = 1 << 20;

/// The files that a COPY loads. 58P01 when there are none.
pub async fn files(work: &Work<'_>, url: &str, options: &CopyOptions, access: &S3Access) -> Result<Vec<File>> {
    let by_columns =
        matches!(options.format, Some(tidegate_parser::CopyFormat::Parquet | tidegate_parser::CopyFormat::Orc));
    if url.starts_with(dynamo::SCHEME) {
        return Ok(vec![File { url: url.to_string(), path: String::new(), bytes: 0, etag: None }]);
    }
    match options.manifest {
        true => manifest(work, url, access, by_columns).await,
        false => matching(work, url, access).await,
    }
}

/// The access that a statement of COPY asks for: its credential, with the region and the endpoint that it names.
pub fn copy_access(work: &Work<'_>, url: &str, options: &CopyOptions) -> Result<S3Access> {
    let mut access = access_for(work, url, options.credential.as_ref())?;
    access.region = options.region.clone().or(access.region);
    if let Some(endpoint) = &options.endpoint {
        (access.endpoint, access.path_style) = (Some(endpoint.clone()), true);
    }
    Ok(access)
}

/// The credential that a statement names or holds, or what fits the path.
pub fn access_for(work: &Work<'_>, url: &str, named: Option<&CredentialRef>) -> Result<S3Access> {
    if !url.starts_with(dynamo::SCHEME) {
        check_files(&work.scope, url)?;
    }
    // Keys in the statement are the user's own.
    let name = match named {
        Some(CredentialRef::Keys(keys)) => return with_keys(work, keys),
        Some(CredentialRef::Named(name)) => Some(role_name(work, name)),
        Some(CredentialRef::Default) | None => None,
    };
    check_outside(&work.scope, url, name)?;
    access(work.state(), work.engine(), url, name)
}

/// The credential of a role: the one of its ARN, or of its last part. Of a chain it is the last role's.
fn role_name<'n>(work: &Work<'_>, name: &'n str) -> &'n str {
    let last = name.rsplit(',').next().unwrap_or(name).trim();
    let known = |name: &str| work.state().named::<Credential>(name).is_some();
    match last.starts_with("arn:") && !known(last) {
        true => last.rsplit(['/', ':']).next().filter(|short| known(short)).unwrap_or(last),
        false => last,
    }
}

fn with_keys(work: &Work<'_>, keys: &Keys) -> Result<S3Access> {
    let values = [Some(&keys.key), Some(&keys.secret), keys.token.as_ref()];
    // They go into headers of requests.
    if values.into_iter().flatten().any(|value| value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_graphic()))
    {
        return Err(Error::new(
            Kind::InvalidParameter,
            "a key or token in the statement is empty or has a character that none has",
        ));
    }
    // A path outside of every scope: what is left is the server's endpoint.
    let mut access = access(work.state(), work.engine(), "", None)?;
    access.key = Some(keys.key.clone());
    (access.secret, access.token) = (Some(keys.secret.clone()), keys.token.clone());
    Ok(access)
}

/// What JSON's argument asks for.
pub async fn json_columns(work: &Work<'_>, options: &CopyOptions, columns: usize) -> Result<JsonColumns> {
    let url = match options.json_path.as_deref().unwrap_or("auto") {
        "auto" => return Ok(JsonColumns::Exact),
        "auto ignorecase" => return Ok(JsonColumns::AnyCase),
        "noshred" if columns == 1 => return Ok(JsonColumns::Whole),
        "noshred" => {
            return Err(Error::new(Kind::InvalidParameter, "JSON 'noshred' loads one column")
                .hint("Name it: COPY t (document) FROM …"));
        }
        url => url,
    };
    if !url.contains("://") && !url.starts_with('/') {
        let message = format!("JSON '{url}' is neither auto, auto ignorecase, noshred nor the URL of a JSONPaths file");
        return Err(Error::new(Kind::InvalidParameter, message));
    }
    let access = copy_access(work, url, options)?;
    let text = whole(work, url, &access, PATHS_BYTES_MAX).await?;
    let Some(paths) = json_paths(url, &text)? else { return Ok(JsonColumns::Exact) };
    if paths.len() != columns {
        let message = format!(
            "Number of jsonpaths and the number of columns should match. JSONPath size: {}, Number of columns in table or column list: {columns}",
            paths.len()
        );
        return Err(Error::new(Kind::BadCopyFormat, message));
    }
    Ok(JsonColumns::Paths(paths))
}

/// A small object as a whole. 54000 when it is none.
async fn whole(work: &Work<'_>, url: &str, access: &S3Access, most: u64) -> Result<bytes::Bytes> {
    let place = work.engine().stores().resolve(url, access)?;
    let object = place.store.get(&place.path).await.map_err(|error| object_error(error, url))?;
    if object.meta.size > most {
        return Err(Error::new(Kind::ProgramLimit, format!("{url} is larger than {most} bytes")));
    }
    object.bytes().await.map_err(|error| object_error(error, url))
}

/// The objects whose names begin with a URL's; or the files of a glob. One that is there by the whole name is the only one.
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
        let message = format!("The specified S3 prefix '{url}' does not exist");
        return Err(Error::new(Kind::UndefinedFile, message).hint("Check the path, and which credential opens it."));
    }
    let base = url.split_once("://").map_or("file", |(scheme, _)| scheme).to_string();
    let bucket = url.split_once("://").and_then(|(_, rest)| rest.split('/').next()).unwrap_or_default().to_string();
    Ok(metas.into_iter().map(|meta| file(format!("{base}://{bucket}/{}", meta.location), meta)).collect())
}

fn file(url: String, meta: ObjectMeta) -> File {
    File { url, path: meta.location.to_string(), bytes: meta.size, etag: meta.e_tag }
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
    #[serde(default)]
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct Meta {
    content_length: Option<u64>,
}

async fn manifest(work: &Work<'_>, url: &str, access: &S3Access, by_columns: bool) -> Result<Vec<File>> {
    let text = whole(work, url, access, MANIFEST_BYTES_MAX).await?;
    let manifest: Manifest = serde_json::from_slice(&text)
        .map_err(|error| Error::new(Kind::BadCopyFormat, format!("manifest {url} cannot be read: {error}")))?;
    let mut files = Vec::new();
    for entry in manifest.entries {
        // What a manifest names is no better than what a user types.
        check_files(&work.scope, &entry.url)?;
        let length = entry.meta.and_then(|meta| meta.content_length);
        check_entry(&entry.url, length, by_columns)?;
        let place = work.engine().stores().resolve(&entry.url, access)?;
        match place.store.head(&place.path).await {
            Ok(meta) if length.is_some_and(|length| length != meta.size) => {
                let message = format!(
                    "{} has {} bytes, but the manifest says {}",
                    entry.url,
                    meta.size,
                    length.unwrap_or_default()
                );
                return Err(Error::new(Kind::BadCopyFormat, message));
            }
            Ok(meta) => files.push(file(entry.url, meta)),
            Err(object_store::Error::NotFound { .. }) if !entry.mandatory => {}
            Err(error) => return Err(object_error(error, &entry.url)),
        }
    }
    if files.is_empty() {
        let message = format!("manifest {url} names no file that exists");
        return Err(Error::new(Kind::UndefinedFile, message).hint("Mandatory entries say which one is missing."));
    }
    Ok(files)
}

/// An entry is one whole object (Redshift's error 8001), and of columns it says how long.
fn check_entry(url: &str, length: Option<u64>, by_columns: bool) -> Result<()> {
    let key = url.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, key)| key);
    if key.is_empty() || key.ends_with('/') {
        let message = format!("COPY with MANIFEST parameter requires full path of an S3 object: {url} (error 8001)");
        return Err(Error::new(Kind::BadCopyFormat, message));
    }
    if by_columns && length.is_none() {
        let message = format!("manifest entry {url} has no meta.content_length, which PARQUET and ORC need");
        return Err(Error::new(Kind::BadCopyFormat, message));
    }
    Ok(())
}
