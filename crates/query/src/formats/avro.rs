//! Avro files for COPY: each record as a JSON object, so that names, paths, bad rows and nested values are those of JSON.

use super::read::ByteStream;
use arrow::array::RecordBatch;
use arrow::json::LineDelimitedWriter;
use arrow_avro::errors::AvroError;
use arrow_avro::reader::{AsyncAvroFileReader, AsyncFileReader};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// Records that are decoded at once.
const BATCH_ROWS: usize = 1024;

/// Reads parts of an object.
struct Parts {
    store: Arc<dyn ObjectStore>,
    path: Path,
}

impl AsyncFileReader for Parts {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, AvroError>> {
        let part = async move { self.store.get_range(&self.path, range).await };
        part.map(|bytes| bytes.map_err(|error| AvroError::External(Box::new(error)))).boxed()
    }
}

/// The records of a file of so many bytes, a line for each.
pub async fn avro_as_json(store: &Arc<dyn ObjectStore>, path: &Path, bytes: u64) -> io::Result<ByteStream> {
    let reader = Parts { store: Arc::clone(store), path: path.clone() };
    let batches =
        AsyncAvroFileReader::builder(reader, bytes, BATCH_ROWS).try_build().await.map_err(io::Error::other)?;
    Ok(batches.map(|batch| lines(&batch.map_err(io::Error::other)?)).boxed())
}

fn lines(batch: &RecordBatch) -> io::Result<Bytes> {
    let mut writer = LineDelimitedWriter::new(Vec::new());
    writer.write(batch).and_then(|()| writer.finish()).map_err(io::Error::other)?;
    Ok(writer.into_inner().into())
}
