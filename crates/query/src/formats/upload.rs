//! One object on its way to a store: small ones in one request, large ones in parts. What is neither completed nor
//! aborted takes its parts back when it is dropped.

use super::store_error;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, path::Path};
use parquet::arrow::async_writer::AsyncFileWriter;
use parquet::errors::ParquetError;
use std::sync::Arc;
use tidegate_core::{Error, Result};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// Bytes of one part of a large object; smaller objects go up in one request.
const PART_BYTES: usize = 8 * 1024 * 1024;
/// Parts on their way at the same time.
const PARTS_IN_FLIGHT_MAX: usize = 4;

/// The bytes of an object, in order.
pub(super) struct Upload {
    store: Arc<dyn ObjectStore>,
    path: Path,
    /// What is no whole part yet.
    pending: Vec<Bytes>,
    pending_bytes: usize,
    /// There from the first whole part to the end.
    multipart: Option<Box<dyn MultipartUpload>>,
    in_flight: JoinSet<object_store::Result<()>>,
    bytes: u64,
}

impl Upload {
    /// Nothing is sent before the first whole part, or the end.
    pub(super) fn new(store: &Arc<dyn ObjectStore>, path: &Path) -> Self {
        Upload {
            store: Arc::clone(store),
            path: path.clone(),
            pending: Vec::new(),
            pending_bytes: 0,
            multipart: None,
            in_flight: JoinSet::new(),
            bytes: 0,
        }
    }

    /// Where the object will be.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes taken so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes the next bytes, which are not copied; waits while too many parts are on their way.
    pub(super) async fn put(&mut self, bytes: impl Into<Bytes>) -> Result<()> {
        let mut bytes = bytes.into();
        self.bytes += bytes.len() as u64;
        while self.pending_bytes + bytes.len() >= PART_BYTES {
            // All parts but the last have the same size: some stores insist.
            let head = bytes.split_to(PART_BYTES - self.pending_bytes);
            self.pending.push(head);
            let part = self.take_pending();
            self.send(part).await?;
        }
        self.pending_bytes += bytes.len();
        self.pending.push(bytes);
        Ok(())
    }

    fn take_pending(&mut self) -> PutPayload {
        self.pending_bytes = 0;
        self.pending.drain(..).collect()
    }

    async fn send(&mut self, part: PutPayload) -> Result<()> {
        self.wait_below(PARTS_IN_FLIGHT_MAX).await?;
        let begun = match self.multipart.take() {
            Some(begun) => begun,
            None => begin(&self.store, &self.path).await?,
        };
        let sending = self.multipart.insert(begun).put_part(part);
        self.in_flight.spawn(sending);
        Ok(())
    }

    async fn wait_below(&mut self, most: usize) -> Result<()> {
        while self.in_flight.len() >= most.max(1) {
            match self.in_flight.join_next().await {
                Some(Ok(sent)) => sent.map_err(|e| store_error(e, self.path.as_ref()))?,
                Some(Err(died)) => return Err(Error::internal(format!("writing {}: {died}", self.path))),
                None => break,
            }
        }
        Ok(())
    }

    /// Makes the object whole and visible. On an error nothing of it is.
    pub(super) async fn complete(&mut self) -> Result<()> {
        let last = self.take_pending();
        if self.multipart.is_none() {
            let put = self.store.put(&self.path, last).await;
            return put.map(drop).map_err(|e| store_error(e, self.path.as_ref()));
        }
        if last.content_length() > 0 {
            self.send(last).await?;
        }
        self.wait_below(1).await?;
        if let Some(multipart) = &mut self.multipart {
            multipart.complete().await.map_err(|e| store_error(e, self.path.as_ref()))?;
        }
        self.multipart = None;
        Ok(())
    }

    /// Takes back what went up.
    pub(super) async fn abort(&mut self) -> Result<()> {
        self.in_flight.shutdown().await;
        match self.multipart.take() {
            Some(mut multipart) => multipart.abort().await.map_err(|e| store_error(e, self.path.as_ref())),
            None => Ok(()),
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(multipart) = self.multipart.take() {
            take_back(multipart, std::mem::take(&mut self.in_flight), self.path.clone());
        }
    }
}

/// An upload that has begun, and that nobody has taken over yet.
struct Begun {
    multipart: Option<Box<dyn MultipartUpload>>,
    path: Path,
}

impl Drop for Begun {
    fn drop(&mut self) {
        if let Some(multipart) = self.multipart.take() {
            take_back(multipart, JoinSet::new(), self.path.clone());
        }
    }
}

/// Begins an upload. In a task of its own: the store may have begun it when its caller no longer waits for the answer,
/// and then it is taken back.
async fn begin(store: &Arc<dyn ObjectStore>, path: &Path) -> Result<Box<dyn MultipartUpload>> {
    let (store, of_task) = (Arc::clone(store), path.clone());
    let (tell, told) = oneshot::channel();
    tokio::spawn(async move {
        let begun = store.put_multipart(&of_task).await;
        // Where nobody listens, what is told is dropped here.
        drop(tell.send(begun.map(|multipart| Begun { multipart: Some(multipart), path: of_task })));
    });
    let mut begun = told.await.map_err(Error::internal)?.map_err(|e| store_error(e, path.as_ref()))?;
    begun.multipart.take().ok_or_else(|| Error::internal("an upload that has not begun"))
}

fn take_back(mut multipart: Box<dyn MultipartUpload>, mut in_flight: JoinSet<object_store::Result<()>>, path: Path) {
    // Outside of a runtime nothing can be sent: the store's own rule for unfinished uploads is left.
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(async move {
            in_flight.shutdown().await;
            if let Err(error) = multipart.abort().await {
                tracing::warn!(%path, %error, "an unfinished upload could not be taken back");
            }
        });
    }
}

impl AsyncFileWriter for Upload {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, parquet::errors::Result<()>> {
        async move { self.put(bytes).await.map_err(|e| ParquetError::External(Box::new(e))) }.boxed()
    }

    fn complete(&mut self) -> BoxFuture<'_, parquet::errors::Result<()>> {
        async move { Upload::complete(self).await.map_err(|e| ParquetError::External(Box::new(e))) }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use futures::stream::BoxStream;
    use object_store::memory::InMemory;
    use object_store::{
        CopyOptions, GetOptions, GetResult, ListResult, ObjectMeta, PutMultipartOptions, PutOptions, PutResult,
        UploadPart,
    };
    use std::fmt;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    type Stored<T> = object_store::Result<T>;

    /// A store in memory that counts aborted uploads, and fails the part of that number.
    #[derive(Debug, Default)]
    struct Watched {
        inner: InMemory,
        aborted: Arc<AtomicUsize>,
        fails_at: Option<usize>,
    }

    impl fmt::Display for Watched {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("watched")
        }
    }

    #[derive(Debug)]
    struct WatchedParts {
        inner: Box<dyn MultipartUpload>,
        aborted: Arc<AtomicUsize>,
        fails_in: Option<usize>,
    }

    #[async_trait]
    impl MultipartUpload for WatchedParts {
        fn put_part(&mut self, data: PutPayload) -> UploadPart {
            let fails = self.fails_in == Some(0);
            self.fails_in = self.fails_in.and_then(|left| left.checked_sub(1));
            if fails {
                let source = Box::new(std::io::Error::from(std::io::ErrorKind::StorageFull));
                return async { Err(object_store::Error::Generic { store: "watched", source }) }.boxed();
            }
            self.inner.put_part(data)
        }

        async fn complete(&mut self) -> Stored<PutResult> {
            self.inner.complete().await
        }

        async fn abort(&mut self) -> Stored<()> {
            self.aborted.fetch_add(1, Ordering::SeqCst);
            self.inner.abort().await
        }
    }

    #[async_trait]
    impl ObjectStore for Watched {
        async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> Stored<PutResult> {
            self.inner.put_opts(at, payload, options).await
        }

        async fn put_multipart_opts(
            &self,
            at: &Path,
            options: PutMultipartOptions,
        ) -> Stored<Box<dyn MultipartUpload>> {
            let inner = self.inner.put_multipart_opts(at, options).await?;
            Ok(Box::new(WatchedParts { inner, aborted: Arc::clone(&self.aborted), fails_in: self.fails_at }))
        }

        async fn get_opts(&self, at: &Path, options: GetOptions) -> Stored<GetResult> {
            self.inner.get_opts(at, options).await
        }

        fn delete_stream(&self, at: BoxStream<'static, Stored<Path>>) -> BoxStream<'static, Stored<Path>> {
            self.inner.delete_stream(at)
        }

        fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Stored<ObjectMeta>> {
            self.inner.list(prefix)
        }

        async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Stored<ListResult> {
            self.inner.list_with_delimiter(prefix).await
        }

        async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Stored<()> {
            self.inner.copy_opts(from, to, options).await
        }
    }

    fn watched(fails_at: Option<usize>) -> (Arc<dyn ObjectStore>, Arc<AtomicUsize>) {
        let aborted = Arc::new(AtomicUsize::new(0));
        (Arc::new(Watched { inner: InMemory::new(), aborted: Arc::clone(&aborted), fails_at }), aborted)
    }

    #[tokio::test]
    async fn bytes_arrive_in_order_whatever_their_number() {
        for size in [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES + 7] {
            let (store, aborted) = watched(None);
            let mut upload = Upload::new(&store, &Path::from("a"));
            let bytes: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            for piece in bytes.chunks(3_000_000) {
                upload.put(piece.to_vec()).await.unwrap();
            }
            upload.complete().await.unwrap();
            assert_eq!(upload.bytes(), size as u64);
            drop(upload);
            let found = store.get(&Path::from("a")).await.unwrap().bytes().await.unwrap();
            assert!(found == bytes, "{size} bytes");
            assert_eq!(aborted.load(Ordering::SeqCst), 0);
        }
    }

    #[tokio::test]
    async fn a_dropped_or_aborted_upload_leaves_nothing() {
        for explicit in [true, false] {
            let (store, aborted) = watched(None);
            let mut upload = Upload::new(&store, &Path::from("a"));
            upload.put(vec![0; PART_BYTES + 1]).await.unwrap();
            if explicit {
                upload.abort().await.unwrap();
            }
            drop(upload);
            for _ in 0..100 {
                if aborted.load(Ordering::SeqCst) > 0 {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert_eq!(aborted.load(Ordering::SeqCst), 1, "explicit: {explicit}");
            assert!(store.head(&Path::from("a")).await.is_err());
        }
    }

    #[tokio::test]
    async fn a_failed_part_fails_the_object_and_tells_a_full_disk() {
        let (store, _) = watched(Some(1));
        let mut upload = Upload::new(&store, &Path::from("dir/a"));
        let put = upload.put(vec![0; 3 * PART_BYTES]).await;
        let error = match put {
            Err(error) => error,
            Ok(()) => upload.complete().await.unwrap_err(),
        };
        assert_eq!(error.kind(), tidegate_core::Kind::DiskFull);
        assert!(error.message().contains("dir/a"), "{}", error.message());
        assert!(store.head(&Path::from("dir/a")).await.is_err());
    }
}
