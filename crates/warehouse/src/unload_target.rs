//! Where UNLOAD writes to: what lies there already, what of it must go, and the paths of new objects.

use crate::unload::object_path;
use crate::unload_files::WrittenFile;
use crate::unload_form::Form;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use std::collections::BTreeSet;
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::UnloadOptions;
use tidegate_storage::{S3Access, Stores, object_error};

/// Objects that one CLEANPATH may have to look at.
const OLD_OBJECTS_MAX: usize = 1_000_000;

/// The prefix of all names, in its store.
#[derive(Clone)]
pub struct Target {
    /// Where objects lie.
    pub store: Arc<dyn ObjectStore>,
    /// The prefix of their paths; of a folder with the `/` at its end.
    prefix: String,
    /// The prefix as the statement says it.
    url: String,
    has_folders: bool,
}

impl Target {
    /// Of a form.
    pub fn of(stores: &Stores, form: &Form) -> Result<Self> {
        let target = Self::at(stores, &form.url, &form.access)?;
        Ok(Target { has_folders: !form.folders.is_empty(), ..target })
    }

    /// The prefix that a URL is.
    pub fn at(stores: &Stores, url: &str, access: &S3Access) -> Result<Self> {
        let place = stores.resolve(url, access)?;
        let in_folder = url.ends_with('/') && !place.path.as_ref().is_empty();
        let prefix = format!("{}{}", place.path, if in_folder { "/" } else { "" });
        Ok(Target { store: place.store, prefix, url: url.to_string(), has_folders: false })
    }

    /// Readies the destination: an error where something is there, unless that may be written over (ALLOWOVERWRITE) or
    /// goes (CLEANPATH). Gives the objects that go once it is known which folders have new ones.
    pub async fn make_room(&self, options: &UnloadOptions) -> Result<Vec<Path>> {
        if options.manifest && options.rewrites() {
            // A manifest tells of an UNLOAD that has succeeded: this one has not yet.
            self.remove(&[self.manifest_path()?]).await;
        }
        if options.clean_path {
            let old = self.old().await?;
            if self.has_folders {
                return Ok(old);
            }
            self.delete(old).await?;
        } else if !options.allow_overwrite
            && let Some(there) = self.below().try_next().await?
        {
            let message = format!("cannot unload to {}: object {there} is there already", self.url);
            return Err(Error::new(Kind::NotInState, message)
                .hint("Choose another prefix, or say ALLOWOVERWRITE or CLEANPATH."));
        }
        Ok(Vec::new())
    }

    async fn old(&self) -> Result<Vec<Path>> {
        let old: Vec<Path> = self.below().take(OLD_OBJECTS_MAX + 1).try_collect().await?;
        match old.len() > OLD_OBJECTS_MAX {
            true => Err(Error::new(
                Kind::ProgramLimit,
                format!("CLEANPATH removes {OLD_OBJECTS_MAX} objects at most, and more are below {}", self.url),
            )),
            false => Ok(old),
        }
    }

    /// Removes the old objects of the folders that have new ones.
    pub async fn clear(&self, old: &[Path], written: &[WrittenFile]) -> Result<()> {
        let new: BTreeSet<&Path> = written.iter().map(|file| &file.path).collect();
        let folders: BTreeSet<&str> = new.iter().map(|path| folder_of(path)).collect();
        let goes = |path: &&Path| folders.contains(folder_of(path)) && !new.contains(path);
        self.delete(old.iter().filter(goes).cloned().collect()).await
    }

    async fn delete(&self, paths: Vec<Path>) -> Result<()> {
        let paths = futures::stream::iter(paths.into_iter().map(Ok)).boxed();
        let removed: std::result::Result<Vec<Path>, _> = self.store.delete_stream(paths).try_collect().await;
        match removed {
            Ok(_) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(object_error(error, &self.url)),
        }
    }

    /// Takes away what may be there, as far as that goes.
    pub async fn remove(&self, paths: &[Path]) {
        for path in paths {
            match self.store.delete(path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => tracing::warn!(%error, %path, "a file of UNLOAD could not be removed"),
            }
        }
    }

    /// The objects whose names begin with the prefix.
    pub fn below(&self) -> BoxStream<'_, Result<Path>> {
        let folder = self.prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
        let folder = Path::parse(folder).unwrap_or_default();
        let found = self.store.list((!folder.as_ref().is_empty()).then_some(&folder));
        let known = move |found: std::result::Result<ObjectMeta, object_store::Error>| match found {
            Ok(meta) => meta.location.as_ref().starts_with(&self.prefix).then_some(Ok(meta.location)),
            Err(object_store::Error::NotFound { .. }) => None,
            Err(error) => Some(Err(object_error(error, &self.url))),
        };
        found.filter_map(move |found| std::future::ready(known(found))).boxed()
    }

    /// The path of a file in a folder, which is empty or ends with `/`.
    pub fn path(&self, folder: &str, name: &str) -> Result<Path> {
        object_path(&format!("{}{folder}{name}", self.prefix))
    }

    /// What a path has behind the prefix.
    pub fn name_of<'a>(&self, path: &'a Path) -> Option<&'a str> {
        path.as_ref().strip_prefix(&self.prefix)
    }

    /// Where a path of this store is, as people write it.
    pub fn url_of(&self, path: &Path) -> String {
        match self.url.split_once("://") {
            Some(("file", _)) | None => format!("file:///{path}"),
            Some((scheme, rest)) => format!("{scheme}://{}/{path}", rest.split('/').next().unwrap_or_default()),
        }
    }

    fn manifest_path(&self) -> Result<Path> {
        object_path(&format!("{}manifest", self.prefix))
    }

    /// Writes the manifest: the last of all.
    pub async fn put_manifest(&self, text: String) -> Result<()> {
        let put = self.store.put(&self.manifest_path()?, text.into()).await;
        put.map(drop).map_err(|error| object_error(error, &self.url))
    }
}

fn folder_of(path: &Path) -> &str {
    path.as_ref().rsplit_once('/').map_or("", |(folder, _)| folder)
}
