//! Writing one object of a delivery, whole, in the place of what an earlier try left there.

use crate::query;
use arrow::array::{Array, AsArray, RecordBatch};
use async_compression::tokio::write::{BzEncoder, GzipEncoder, ZstdEncoder};
use async_trait::async_trait;
use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;
use object_store::buffered::BufWriter;
use std::sync::Arc;
use tidegate_catalog::{Delivery, DeliveryAttempt, DeliverySpec, State};
use tidegate_core::{Error, Result};
use tidegate_query::formats::{Compression, CsvOptions, FileFormat, FileWriter, WriteOptions, create_writer};
use tidegate_query::{Engine, access, from_datafusion};
use tidegate_storage::{Place, object_error};
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// The ending of an object's name, with its dot.
pub fn ending(spec: &DeliverySpec) -> String {
    let compression = match spec.options.get("compression").map(String::as_str) {
        Some("gzip") => Compression::Gzip,
        Some("bzip2") => Compression::Bzip2,
        Some("zstd") => Compression::Zstd,
        _ => Compression::None,
    };
    match format(spec) {
        // It is compressed inside.
        FileFormat::Parquet => ".parquet".to_string(),
        format => format!(".{}{}", format.name(), compression.extension()),
    }
}

fn format(spec: &DeliverySpec) -> FileFormat {
    match spec.format.as_str() {
        "PARQUET" => FileFormat::Parquet,
        // With a header: it is what tells the columns' names, and a reader by path expects it.
        "CSV" => FileFormat::Csv(CsvOptions { header: true, ..CsvOptions::default() }),
        _ => FileFormat::Json,
    }
}

/// Writes an attempt's object and gives the number of its rows. A query that lets nothing through makes no object.
pub async fn write(engine: &Engine, state: &Arc<State>, delivery: &Delivery, attempt: &DeliveryAttempt) -> Result<u64> {
    let rows = query::rows(engine, state, delivery, &attempt.range).await?;
    let named = delivery.spec.options.get("credential").map(String::as_str);
    let access = access(state, engine, &attempt.object, named)?;
    let place = engine.stores().resolve(&attempt.object, &access)?;
    // Its name says how it is compressed, even if the option has been changed since it was given.
    let compression = Compression::of_name(&attempt.object);
    let mut target = Target { raw: query::is_raw(state, &delivery.spec)?, spec: &delivery.spec, place, compression };
    target.pour(rows, &attempt.object).await
}

/// Where rows go, and how.
struct Target<'a> {
    raw: bool,
    spec: &'a DeliverySpec,
    place: Place,
    compression: Compression,
}

impl Target<'_> {
    async fn pour(&mut self, mut rows: SendableRecordBatchStream, url: &str) -> Result<u64> {
        let (mut writer, mut count) = (None, 0);
        let written: Result<()> = async {
            while let Some(batch) = rows.try_next().await.map_err(from_datafusion)? {
                if batch.num_rows() > 0 {
                    let open: &mut Box<dyn Lines> = match &mut writer {
                        Some(open) => open,
                        none => none.insert(self.open(&batch, url)?),
                    };
                    open.write(&batch).await?;
                    count += batch.num_rows() as u64;
                }
            }
            Ok(())
        }
        .await;
        match (writer, written) {
            (Some(writer), Ok(())) => writer.finish().await.map(|()| count),
            (None, Ok(())) => Ok(0),
            (Some(writer), Err(error)) => {
                writer.abort().await;
                Err(error)
            }
            (None, Err(error)) => Err(error),
        }
    }

    fn open(&self, batch: &RecordBatch, url: &str) -> Result<Box<dyn Lines>> {
        if self.raw {
            return Ok(Box::new(Raw::new(&self.place, self.compression, url)));
        }
        let options = WriteOptions { compression: self.compression, ..WriteOptions::default() };
        let Place { store, path, .. } = &self.place;
        Ok(Box::new(Typed(create_writer(store, path, &format(self.spec), &batch.schema(), &options)?)))
    }
}

/// An object under construction.
#[async_trait]
trait Lines: Send {
    async fn write(&mut self, batch: &RecordBatch) -> Result<()>;
    async fn finish(self: Box<Self>) -> Result<()>;
    async fn abort(self: Box<Self>);
}

/// Rows in a file's format.
struct Typed(Box<dyn FileWriter>);

#[async_trait]
impl Lines for Typed {
    async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.0.write(batch).await
    }

    async fn finish(self: Box<Self>) -> Result<()> {
        self.0.finish().await.map(drop)
    }

    async fn abort(self: Box<Self>) {
        if let Err(error) = self.0.abort().await {
            tracing::warn!(%error, "what was written of an object could not be taken back");
        }
    }
}

/// Records as they came, each ended by a line's end.
struct Raw {
    bytes: Box<dyn AsyncWrite + Send + Unpin>,
    buffer: Vec<u8>,
    url: String,
}

impl Raw {
    fn new(place: &Place, compression: Compression, url: &str) -> Self {
        let object = BufWriter::new(Arc::clone(&place.store), place.path.clone());
        let bytes: Box<dyn AsyncWrite + Send + Unpin> = match compression {
            Compression::None => Box::new(object),
            Compression::Gzip => Box::new(GzipEncoder::new(object)),
            Compression::Bzip2 => Box::new(BzEncoder::new(object)),
            Compression::Zstd => Box::new(ZstdEncoder::new(object)),
        };
        Raw { bytes, buffer: Vec::new(), url: url.to_string() }
    }

    fn failed(&self, error: std::io::Error) -> Error {
        // The store's own error, if it is one, tells a missing bucket from a refusal.
        match error.downcast::<object_store::Error>() {
            Ok(inner) => object_error(inner, &self.url),
            Err(error) => Error::from(error).context(&self.url),
        }
    }
}

#[async_trait]
impl Lines for Raw {
    async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let data = batch.columns().first().and_then(|column| column.as_binary_opt::<i32>());
        let data = data.ok_or_else(|| Error::internal("records without columns have no data"))?;
        self.buffer.clear();
        for record in (0..data.len()).filter(|row| data.is_valid(*row)).map(|row| data.value(row)) {
            self.buffer.extend_from_slice(record);
            if record.last().is_some_and(|byte| *byte != b'\n') {
                self.buffer.push(b'\n');
            }
        }
        let written = self.bytes.write_all(&self.buffer).await;
        written.map_err(|error| self.failed(error))
    }

    async fn finish(mut self: Box<Self>) -> Result<()> {
        let closed = self.bytes.shutdown().await;
        closed.map_err(|error| self.failed(error))
    }

    async fn abort(self: Box<Self>) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, BinaryArray, Int32Array};
    use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
    use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory, path::Path};
    use tidegate_catalog::DeliveryTarget;

    fn spec(format: &str, compression: Option<&str>) -> DeliverySpec {
        DeliverySpec {
            source: 1,
            select: None,
            search_path: Vec::new(),
            target: DeliveryTarget::Objects("s3://b/".into()),
            format: format.into(),
            buffer_bytes: 1,
            buffer_interval_ms: 1,
            options: compression.map(|name| ("compression".to_string(), name.to_string())).into_iter().collect(),
        }
    }

    fn rows(columns: Vec<ArrayRef>) -> SendableRecordBatchStream {
        let names = (0..).map(|n| format!("c{n}"));
        let batch = RecordBatch::try_from_iter_with_nullable(names.zip(columns).map(|(n, c)| (n, c, true))).unwrap();
        let schema = batch.schema();
        let empty = RecordBatch::new_empty(schema.clone());
        let batches = [empty.clone(), batch.clone(), batch, empty].map(Ok);
        Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::iter(batches)))
    }

    async fn poured(raw: bool, rows: SendableRecordBatchStream) -> (u64, Option<Vec<u8>>) {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let path = Path::from("a/b.json");
        store.put(&path, "of an earlier try".into()).await.unwrap();
        let spec = spec("JSON", None);
        let place = Place { store: store.clone(), path: path.clone(), registry_url: "s3://b".try_into().unwrap() };
        let mut target = Target { raw, spec: &spec, place, compression: Compression::None };
        let count = target.pour(rows, "s3://b/a/b.json").await.unwrap();
        let bytes = store.get(&path).await.unwrap().bytes().await.unwrap().to_vec();
        (count, (bytes != b"of an earlier try").then_some(bytes))
    }

    #[tokio::test]
    async fn rows_replace_what_an_earlier_try_left() {
        let numbers: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None]));
        let line = "{\"c0\":1}\n{\"c0\":null}\n";
        assert_eq!(poured(false, rows(vec![numbers])).await, (4, Some(line.repeat(2).into_bytes())));
        let none: ArrayRef = Arc::new(Int32Array::from(Vec::<i32>::new()));
        assert_eq!(poured(false, rows(vec![none])).await, (0, None), "no rows, no object");
    }

    #[tokio::test]
    async fn raw_records_are_a_line_each_and_untouched() {
        let data: ArrayRef =
            Arc::new(BinaryArray::from(vec![Some(&b"{\"a\":1}"[..]), Some(b"\xff\n"), Some(b""), None]));
        assert_eq!(poured(true, rows(vec![data])).await, (8, Some(b"{\"a\":1}\n\xff\n".repeat(2))));
    }

    #[test]
    fn names_end_as_their_format() {
        let cases = [
            ("PARQUET", None, ".parquet"),
            ("PARQUET", Some("zstd"), ".parquet"),
            ("JSON", None, ".json"),
            ("JSON", Some("gzip"), ".json.gz"),
            ("CSV", Some("none"), ".csv"),
            ("CSV", Some("bzip2"), ".csv.bz2"),
        ];
        for (format, compression, expected) in cases {
            assert_eq!(ending(&spec(format, compression)), expected, "{format} {compression:?}");
        }
    }
}
