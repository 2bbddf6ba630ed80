//! A location that a user named, opened: its store, known to the engine, and its files.

use arrow::datatypes::Field;
use chrono::Timelike;
use datafusion::common::ScalarValue;
use datafusion::execution::object_store::ObjectStoreUrl;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};
use tidegate_query::formats::{list, list_files, list_partitioned};
use tidegate_query::{Scope, access, is_s3};

/// Nanoseconds of a second.
const SECOND_NANOS: u64 = 1_000_000_000;

/// A file, folder or glob.
#[derive(Debug, Clone)]
pub struct Location {
    /// As the user wrote it.
    pub url: String,
    /// Where it lies.
    pub store: Arc<dyn ObjectStore>,
    /// The store's name in the engine.
    pub store_url: ObjectStoreUrl,
    /// The path in the store; a folder that was written with a slash at its end has it.
    key: String,
    /// What stands before a path to make it a URL.
    base: String,
}

impl Location {
    /// Opens it with the named credential, or the one that covers it. Nothing is asked over the network.
    pub fn open(scope: &Scope, url: &str, credential: Option<&str>) -> Result<Self> {
        let access = access(&scope.state, &scope.engine, url, credential)?;
        let place = scope.engine.stores().resolve(url, &access)?;
        scope.engine.runtime().register_object_store(&place.registry_url, Arc::clone(&place.store));
        let base = match place.registry_url.host_str().filter(|_| is_s3(url)) {
            Some(bucket) => format!("s3://{bucket}"),
            None => "file://".to_string(),
        };
        let slash = if url.ends_with('/') { "/" } else { "" };
        let store_url = ObjectStoreUrl::parse(place.registry_url.as_str()).map_err(Error::internal)?;
        Ok(Location {
            url: url.to_string(),
            store: place.store,
            store_url,
            key: format!("{}{slash}", place.path),
            base,
        })
    }

    /// Its files, by path.
    pub async fn list(&self) -> Result<Vec<ObjectMeta>> {
        self.found(list_files(&self.store, &self.key).await)
    }

    /// Its files, those left out that lie in folders of other values than wanted.
    pub async fn list_wanted(&self, columns: &[Field], wanted: &[Option<ScalarValue>]) -> Result<Vec<ObjectMeta>> {
        self.found(list_partitioned(&self.store, &self.key, columns, wanted).await)
    }

    fn found(&self, listed: Result<Vec<ObjectMeta>>) -> Result<Vec<ObjectMeta>> {
        let files = listed.map_err(|error| error.context(&self.url))?;
        Ok(files.into_iter().map(|file| told_apart(file, self.store_url.as_str())).collect())
    }

    /// 58P01: there is nothing.
    pub fn missing(&self) -> Error {
        Error::new(Kind::UndefinedFile, format!("there is no file at {}", self.url))
            .hint("Check the path; ** in a glob stands for folders at any depth.")
    }

    /// Whether the location is one file rather than a folder or a glob, by its name.
    pub fn is_file(&self) -> bool {
        let name = self.key.rsplit('/').next().unwrap_or_default();
        name.contains('.') && !self.key.contains(['*', '?', '[', '{'])
    }

    /// The path of a file below the folder that Hive partitions are in.
    pub fn relative<'a>(&self, path: &'a Path) -> &'a str {
        let root = Path::parse(list::root_of(&self.key)).unwrap_or_default();
        list::relative(&root, path)
    }

    /// The URL of a file.
    pub fn url_of(&self, path: &Path) -> String {
        format!("{}/{path}", self.base)
    }
}

/// The engine's caches of footers know a file by its path, size and time. Files of two buckets, or the old and the new one
/// of a store that counts seconds only, may have all three in common: the time's fraction tells them apart.
fn told_apart(mut file: ObjectMeta, store: &str) -> ObjectMeta {
    let mut hasher = DefaultHasher::new();
    (store, &file.e_tag, &file.version, file.last_modified.nanosecond()).hash(&mut hasher);
    let nanos = u32::try_from(hasher.finish() % SECOND_NANOS).unwrap_or(0);
    file.last_modified = file.last_modified.with_nanosecond(nanos).unwrap_or(file.last_modified);
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_a_cache_would_confuse_differ() {
        let file = |tag: &str| ObjectMeta {
            location: Path::from("a"),
            last_modified: chrono::DateTime::from_timestamp(1_000, 0).unwrap(),
            size: 1,
            e_tag: Some(tag.into()),
            version: None,
        };
        let time = |tag, store| told_apart(file(tag), store).last_modified;
        assert_eq!(time("x", "s"), time("x", "s"));
        assert_ne!(time("x", "s"), time("y", "s"));
        assert_ne!(time("x", "s"), time("x", "t"));
        assert_eq!(time("x", "s").timestamp(), 1_000);
    }
}
