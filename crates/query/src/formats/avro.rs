//! Avro files for COPY: each record as a JSON object, so that names, paths, bad rows and nested values are those of JSON.

use super::read::ByteStream;
use arrow::array::RecordBatch;
use arrow::json::LineDelimitedWriter;
use arrow_avro::reader::{AsyncAvroFileReader, AvroObjectReader};
use bytes::Bytes;
use futures::StreamExt;
use object_store::ObjectStore;
use object_store::path::Path;
use std::io;
use std::sync::Arc;

/// Records that are decoded at once.
const BATCH_ROWS: usize = 1024;

/// The records of a file of so many bytes, a line for each.
pub async fn avro_as_json(store: &Arc<dyn ObjectStore>, path: &Path, bytes: u64) -> io::Result<ByteStream> {
    let reader = AvroObjectReader::new(Arc::clone(store), path.clone());
    let batches =
        AsyncAvroFileReader::builder(reader, bytes, BATCH_ROWS).try_build().await.map_err(io::Error::other)?;
    Ok(batches.map(|batch| lines(&batch.map_err(io::Error::other)?)).boxed())
}

fn lines(batch: &RecordBatch) -> io::Result<Bytes> {
    let mut writer = LineDelimitedWriter::new(Vec::new());
    writer.write(batch).and_then(|()| writer.finish()).map_err(io::Error::other)?;
    Ok(writer.into_inner().into())
}
