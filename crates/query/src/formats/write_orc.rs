//! Writing ORC, zstd inside.
//!
//! The encoder of the library cannot change threads, so each file's has a thread of its own, which lives as long as the
//! writer. Both ways one message is under way at most.

use super::upload::Upload;
use super::write::{FileWriter, WrittenFile, fit};
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use orc_rust::arrow_writer::{ArrowWriter, ArrowWriterBuilder};
use orc_rust::compression::CompressionType;
use orc_rust::error::OrcError;
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Bytes of an ORC stripe.
const STRIPE_BYTES: usize = 64 * 1024 * 1024;
/// Rows that are encoded at once: between them a full stripe is noticed.
const ENCODED_ROWS: usize = 1024;

/// What the encoder's thread is asked; `None` instead of rows: to close the file.
type Ask = Option<RecordBatch>;
/// The file's next bytes.
type Answer = Result<Vec<u8>, String>;

/// One ORC file.
pub(super) struct OrcFileWriter {
    ask: Sender<Ask>,
    answer: Receiver<Answer>,
    upload: Upload,
    schema: SchemaRef,
    rows: u64,
    /// Bytes of the rows in the stripe that is being filled, roughly.
    held: u64,
}

impl OrcFileWriter {
    pub(super) fn new(upload: Upload, schema: &SchemaRef) -> Result<Self> {
        let schema = orc_schema(schema)?;
        let (ask, asked) = channel(1);
        let (answering, answer) = channel(1);
        let of_thread = Arc::clone(&schema);
        std::thread::Builder::new()
            .name("orc-encoder".into())
            .spawn(move || encode(of_thread, asked, &answering))
            .map_err(|e| Error::new(Kind::LimitExceeded, format!("writing {}: {e}", upload.path())))?;
        Ok(OrcFileWriter { ask, answer, upload, schema, rows: 0, held: 0 })
    }

    /// Hands the rows to the thread and what it made of them to the store.
    async fn encoded(&mut self, ask: Ask) -> Result<usize> {
        let gone = || Error::internal("the ORC encoder ended early");
        self.ask.send(ask).await.map_err(|_| gone())?;
        let answer = self.answer.recv().await.ok_or_else(gone)?;
        let bytes = answer.map_err(|e| Error::new(Kind::Io, format!("writing {}: {e}", self.upload.path())))?;
        let length = bytes.len();
        self.upload.put(bytes).await?;
        Ok(length)
    }
}

#[async_trait]
impl FileWriter for OrcFileWriter {
    async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = fit(batch, &self.schema)?;
        let (rows, size) = (batch.num_rows() as u64, batch.get_array_memory_size() as u64);
        let sent = self.encoded(Some(batch)).await?;
        self.rows += rows;
        self.held = if sent > 0 { 0 } else { self.held + size };
        Ok(())
    }

    fn size_hint(&self) -> u64 {
        self.upload.bytes() + self.held
    }

    async fn finish(mut self: Box<Self>) -> Result<WrittenFile> {
        self.encoded(None).await?;
        self.upload.complete().await?;
        let (path, bytes) = (self.upload.path().clone(), self.upload.bytes());
        Ok(WrittenFile { path, bytes, rows: self.rows, stats: Vec::new() })
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        self.upload.abort().await
    }
}

/// The thread: ends when the file is closed or its writer is gone.
fn encode(schema: SchemaRef, mut asked: Receiver<Ask>, answering: &Sender<Answer>) {
    let pending = Pending::default();
    let built = ArrowWriterBuilder::new(pending.clone(), schema)
        .with_compression(CompressionType::Zstd)
        .with_stripe_byte_size(STRIPE_BYTES)
        .with_batch_size(ENCODED_ROWS)
        .try_build();
    let mut writer = Some(built);
    while let Some(ask) = asked.blocking_recv() {
        let Some(current) = writer.take() else { return };
        let answer = match step(current, ask) {
            Ok(next) => {
                writer = next.map(Ok);
                Ok(pending.take())
            }
            Err(error) => Err(error.to_string()),
        };
        if answering.blocking_send(answer).is_err() {
            return;
        }
    }
}

/// Writes the rows, or closes the file; returns the writer that goes on.
fn step(writer: Result<ArrowWriter<Pending>, OrcError>, ask: Ask) -> Result<Option<ArrowWriter<Pending>>, OrcError> {
    let mut writer = writer?;
    match ask {
        Some(batch) => writer.write(&batch).map(|()| Some(writer)),
        None => writer.close().map(|()| None),
    }
}

/// Bytes that the encoder made and the store has not got yet: at most one batch's stripes.
#[derive(Clone, Default)]
struct Pending(Arc<Mutex<Vec<u8>>>);

impl Pending {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock())
    }
}

impl io::Write for Pending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The types that ORC's writer takes for a schema, or an error that names the column.
fn orc_schema(schema: &SchemaRef) -> Result<SchemaRef> {
    let fields = schema.fields().iter().map(|field| {
        let data_type = match field.data_type() {
            DataType::Utf8View | DataType::Time32(_) | DataType::Time64(_) | DataType::Null => DataType::Utf8,
            DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
            DataType::UInt8 => DataType::Int16,
            DataType::UInt16 => DataType::Int32,
            DataType::UInt32 | DataType::UInt64 => DataType::Int64,
            DataType::Date64 => DataType::Date32,
            DataType::Timestamp(_, zone) => {
                DataType::Timestamp(TimeUnit::Microsecond, zone.as_ref().map(|_| "UTC".into()))
            }
            plain @ (DataType::Boolean
            | DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::Float32
            | DataType::Float64
            | DataType::Date32
            | DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Binary
            | DataType::LargeBinary) => plain.clone(),
            other => {
                let message = format!("column \"{}\" of type {other} cannot be written as ORC", field.name());
                return Err(Error::new(Kind::Unsupported, message)
                    .hint("cast it to double precision or text, or choose FORMAT PARQUET"));
            }
        };
        Ok(Field::new(field.name(), data_type, true))
    });
    Ok(Arc::new(Schema::new(fields.collect::<Result<Vec<_>>>()?)))
}
