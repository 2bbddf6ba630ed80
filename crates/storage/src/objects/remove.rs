//! Removing what nobody names any more.

use super::url::Location;
use super::{S3Access, Stores, object_error};
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use std::io::ErrorKind;
use tidegate_core::{Error, Kind, Result};

impl Stores {
    /// Removes an object, or with a `/` at the URL's end a folder with all that is in it. What is not there is removed.
    pub async fn remove(&self, url: &str) -> Result<()> {
        let Some(folder) = url.strip_suffix('/') else { return self.remove_object(url).await };
        // Of a folder on disk the folders themselves go too, and what a crash left half written.
        if let Location::Local { path } = Location::parse(folder)? {
            return match tokio::fs::remove_dir_all(format!("/{path}")).await {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::from(error).context(folder)),
                _ => Ok(()),
            };
        }
        let place = self.resolve(folder, &S3Access::default())?;
        let listed = place.store.list(Some(&place.path)).map_ok(|meta| meta.location).boxed();
        let removed: std::result::Result<Vec<Path>, _> = place.store.delete_stream(listed).try_collect().await;
        removed.map(drop).map_err(|error| object_error(error, url))
    }

    async fn remove_object(&self, url: &str) -> Result<()> {
        let place = self.resolve(url, &S3Access::default())?;
        match place.store.delete(&place.path).await.map_err(|error| object_error(error, url)) {
            Err(error) if error.kind() == Kind::UndefinedFile => Ok(()),
            other => other,
        }
    }

    /// The names of the folders in a folder.
    pub async fn folders(&self, url: &str) -> Result<Vec<String>> {
        let place = self.resolve(url, &S3Access::default())?;
        let found = place.store.list_with_delimiter(Some(&place.path)).await;
        let found = found.map_err(|error| object_error(error, url))?;
        Ok(found.common_prefixes.iter().filter_map(|path| path.filename().map(str::to_string)).collect())
    }

    /// The names of the objects in a folder, those in its folders left out.
    pub async fn names(&self, url: &str) -> Result<Vec<String>> {
        let place = self.resolve(url, &S3Access::default())?;
        let found = place.store.list_with_delimiter(Some(&place.path)).await;
        let found = found.map_err(|error| object_error(error, url))?;
        Ok(found.objects.iter().filter_map(|meta| meta.location.filename().map(str::to_string)).collect())
    }
}
