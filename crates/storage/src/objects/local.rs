//! Local files as an object store that keeps its word: an object is there after a crash, whole, or was never there.
//!
//! `object_store`'s own local store does not sync. This one writes an object beside its place, syncs it, moves it there
//! and syncs the folder, so that a name never stands for half an object.

mod staged;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
};
use staged::Staged;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

/// The server's file system, from its root, durably.
#[derive(Debug, Clone)]
pub struct DurableLocal {
    plain: LocalFileSystem,
}

impl Default for DurableLocal {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Display for DurableLocal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DurableLocal(file:///)")
    }
}

impl DurableLocal {
    /// Rooted at `/`.
    pub fn new() -> Self {
        DurableLocal { plain: LocalFileSystem::new() }
    }

    /// Prepares a move of `from` to `to`, where the folders of `to` may have to be made.
    async fn prepare(&self, from: &Path, to: &Path) -> Result<(PathBuf, PathBuf)> {
        let (source, target) = (self.plain.path_to_filesystem(from)?, self.plain.path_to_filesystem(to)?);
        blocking(move || {
            fs::metadata(&source).map_err(|error| store_error(error, &source))?;
            make_parents(&target).map_err(|error| store_error(error, &target))?;
            Ok((source, target))
        })
        .await
    }

    async fn placed(&self, location: &Path) -> Result<PutResult> {
        let meta = self.plain.head(location).await?;
        Ok(PutResult { e_tag: meta.e_tag, version: meta.version })
    }
}

#[async_trait]
impl ObjectStore for DurableLocal {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let create = match options.mode {
            PutMode::Overwrite if options.attributes.is_empty() => false,
            PutMode::Create if options.attributes.is_empty() => true,
            // What files cannot do: the plain store has the words for it.
            _ => return self.plain.put_opts(location, payload, options).await,
        };
        let path = self.plain.path_to_filesystem(location)?;
        blocking(move || {
            let mut staged = Staged::new(&path).map_err(|error| store_error(error, &path))?;
            let written = payload.iter().try_for_each(|bytes| staged.write(bytes));
            written.and_then(|()| staged.place(create)).map_err(|error| store_error(error, &path))
        })
        .await?;
        self.placed(location).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        if !options.attributes.is_empty() {
            return self.plain.put_multipart_opts(location, options).await;
        }
        let path = self.plain.path_to_filesystem(location)?;
        let staged = blocking(move || Staged::new(&path).map_err(|error| store_error(error, &path))).await?;
        let parts = Parts { staged: Arc::new(staged), offset: 0, over: false };
        Ok(Box::new(Upload { store: self.clone(), location: location.clone(), parts }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.plain.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.plain.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.plain.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.plain.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.plain.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.plain.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let (_, target) = self.prepare(from, to).await?;
        self.plain.copy_opts(from, to, options).await?;
        blocking(move || sync(&target, None).map_err(|error| store_error(error, &target))).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let (source, target) = self.prepare(from, to).await?;
        self.plain.rename_opts(from, to, options).await?;
        blocking(move || sync(&target, source.parent()).map_err(|error| store_error(error, &target))).await
    }
}

/// An object that is written in parts.
#[derive(Debug)]
struct Upload {
    store: DurableLocal,
    location: Path,
    parts: Parts,
}

#[derive(Debug)]
struct Parts {
    staged: Arc<Staged>,
    offset: u64,
    over: bool,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let mut offset = self.parts.offset;
        self.parts.offset += data.content_length() as u64;
        let staged = self.parts.staged.clone();
        Box::pin(blocking(move || {
            for bytes in data.iter() {
                staged.write_at(bytes, offset).map_err(|error| store_error(error, staged.target()))?;
                offset += bytes.len() as u64;
            }
            Ok(())
        }))
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.parts.end()?;
        let (staged, length) = (self.parts.staged.clone(), self.parts.offset);
        blocking(move || staged.place_whole(length).map_err(|error| store_error(error, staged.target()))).await?;
        self.store.placed(&self.location).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.parts.end()?;
        let staged = self.parts.staged.clone();
        blocking(move || staged.remove().map_err(|error| store_error(error, staged.target()))).await
    }
}

impl Parts {
    fn end(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.over, true) {
            let source = "the upload was completed or aborted before".into();
            return Err(Error::Generic { store: "DurableLocal", source });
        }
        Ok(())
    }
}

/// Runs file work where it does not hold up others.
fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> BoxFuture<'static, Result<T>> {
    Box::pin(async move {
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => runtime.spawn_blocking(work).await?,
            Err(_) => work(),
        }
    })
}

fn store_error(error: io::Error, path: &FilePath) -> Error {
    let shown = path.display().to_string();
    match error.kind() {
        io::ErrorKind::NotFound => Error::NotFound { path: shown, source: error.into() },
        io::ErrorKind::AlreadyExists => Error::AlreadyExists { path: shown, source: error.into() },
        io::ErrorKind::PermissionDenied => Error::PermissionDenied { path: shown, source: error.into() },
        _ => Error::Generic { store: "DurableLocal", source: error.into() },
    }
}

/// Makes the folders above a file, so that a crash cannot take them away again.
fn make_parents(path: &FilePath) -> io::Result<()> {
    let missing: Vec<_> = path.ancestors().skip(1).take_while(|folder| !folder.exists()).collect();
    let Some(nearest) = missing.first() else { return Ok(()) };
    fs::create_dir_all(nearest)?;
    missing.iter().filter_map(|folder| folder.parent()).try_for_each(sync_folder)
}

fn sync_folder(folder: &FilePath) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Syncs a file, its folder, and the folder it came from.
fn sync(path: &FilePath, other: Option<&FilePath>) -> io::Result<()> {
    File::open(path)?.sync_all()?;
    path.parent().into_iter().chain(other).try_for_each(sync_folder)
}
