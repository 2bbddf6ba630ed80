//! COPY over the wire: rows out as text, CSV or binary, and the client's rows in.

mod binary;
mod line;

pub use line::LineFormat;

use crate::backend;
use crate::connection::Connection;
use crate::encode::{BoundBatch, Format, RowEncoder, wire_types};
use crate::frontend::Frontend;
use crate::guard::Guard;
use crate::rows::next_batch;
use crate::transport::{Failure, Outgoing, Wire};
use arrow::datatypes::SchemaRef;
use binary::BinaryRows;
use bytes::Bytes;
use datafusion::execution::SendableRecordBatchStream;
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::{CopyFormat, CopyOptions};
use tidegate_query::CopyIn;
use tidegate_query::datetime::Reading;

/// How rows are written.
enum Writer {
    Lines {
        format: LineFormat,
        plain: Vec<bool>,
        scratch: Vec<u8>,
    },
    /// In Postgres the header is in one message with what comes first, and some drivers count on it.
    Binary {
        begun: bool,
    },
}

impl Writer {
    fn of(options: &CopyOptions, schema: &SchemaRef) -> Result<Self> {
        if options.format == Some(CopyFormat::Binary) {
            return Ok(Writer::Binary { begun: false });
        }
        let format = LineFormat::of(options)?;
        let plain = wire_types(schema).iter().map(|wire| format.is_plain(wire.oid)).collect();
        Ok(Writer::Lines { format, plain, scratch: Vec::new() })
    }

    fn wire(&self) -> Format {
        match self {
            Writer::Lines { .. } => Format::Text,
            Writer::Binary { .. } => Format::Binary,
        }
    }

    /// The line that stands before the rows.
    fn put_head(&self, schema: &SchemaRef, out: &mut Vec<u8>) {
        if let Writer::Lines { format, .. } = self
            && format.header
        {
            backend::put(out, b'd', |out| format.put_header(schema, out));
        }
    }

    fn put_row(&mut self, batch: &BoundBatch, row: usize, out: &mut Vec<u8>) -> Result<()> {
        match self {
            Writer::Lines { format, plain, scratch } => format.put_row(batch, plain, row, scratch, out),
            Writer::Binary { begun } => {
                begin_binary(begun, out);
                batch.put_fields(row, out)
            }
        }
    }

    /// What stands behind them.
    fn put_end(&mut self, out: &mut Vec<u8>) {
        if let Writer::Binary { begun } = self {
            backend::put(out, b'd', |out| {
                begin_binary(begun, out);
                binary::put_trailer(out);
            });
        }
    }
}

fn begin_binary(begun: &mut bool, out: &mut Vec<u8>) {
    if !std::mem::replace(begun, true) {
        binary::put_header(out);
    }
}

/// Sends a result as COPY … TO STDOUT.
pub async fn send_out(
    connection: &mut Connection,
    guard: &Guard,
    schema: &SchemaRef,
    mut rows: SendableRecordBatchStream,
    options: &CopyOptions,
) -> Wire<()> {
    let mut writer = Writer::of(options, schema)?;
    let columns = schema.fields().len();
    let encoder = RowEncoder::new(schema, vec![writer.wire(); columns], connection.zone());
    let Connection { incoming, outgoing, .. } = &mut *connection;
    backend::put_copy_start(&mut outgoing.buffer, b'H', writer.wire(), columns);
    writer.put_head(schema, &mut outgoing.buffer);
    let sent = guard.run(incoming, send_rows(&encoder, &mut writer, &mut rows, outgoing)).await?;
    let out = &mut connection.outgoing.buffer;
    writer.put_end(out);
    backend::put_bare(out, b'c');
    connection.complete(&format!("COPY {sent}"));
    Ok(())
}

async fn send_rows(
    encoder: &RowEncoder,
    writer: &mut Writer,
    rows: &mut SendableRecordBatchStream,
    outgoing: &mut Outgoing,
) -> Wire<u64> {
    let mut sent = 0;
    while let Some(batch) = next_batch(rows, outgoing).await? {
        let batch = encoder.bind(&batch)?;
        for row in 0..batch.rows() {
            let start = outgoing.buffer.len();
            let mut written = Ok(());
            backend::put(&mut outgoing.buffer, b'd', |out| written = writer.put_row(&batch, row, out));
            if let Err(error) = written {
                outgoing.buffer.truncate(start);
                return Err(error.into());
            }
            sent += 1;
            outgoing.flush_if_full().await?;
        }
    }
    Ok(sent)
}

/// Takes the client's rows for COPY … FROM STDIN. Whatever ends it but the client's own end leaves nothing loaded.
pub async fn take_in(connection: &mut Connection, guard: &Guard, mut sink: Box<dyn CopyIn>) -> Wire<()> {
    let mut reader = Reader::of(sink.as_ref(), connection.session.reading()?)?;
    let columns = sink.schema().fields().len();
    backend::put_copy_start(&mut connection.outgoing.buffer, b'G', reader.wire(), columns);
    let fed = match guard.run(&mut connection.incoming, connection.outgoing.flush()).await {
        Ok(()) => feed(connection, guard, &mut reader, sink.as_mut()).await,
        Err(failure) => Err(failure),
    };
    if let Err(failure) = fed {
        sink.abort().await;
        return Err(failure);
    }
    let Connection { incoming, session, .. } = &mut *connection;
    let tag = guard.run(incoming, async { session.finish_copy(sink).await.map_err(Failure::from) }).await?;
    connection.complete(&tag);
    Ok(())
}

/// How the client's rows are read.
enum Reader {
    /// By what takes them.
    Lines,
    Binary(BinaryRows),
}

impl Reader {
    fn of(sink: &dyn CopyIn, reading: Reading) -> Result<Self> {
        Ok(if sink.is_binary() { Reader::Binary(BinaryRows::new(sink.schema(), reading)?) } else { Reader::Lines })
    }

    fn wire(&self) -> Format {
        match self {
            Reader::Lines => Format::Text,
            Reader::Binary(_) => Format::Binary,
        }
    }

    async fn take(&mut self, bytes: Bytes, sink: &mut dyn CopyIn) -> Result<()> {
        let Reader::Binary(rows) = self else { return sink.push(bytes).await };
        rows.feed(&bytes)?;
        match rows.batch()? {
            Some(batch) => sink.write(&batch).await,
            None => Ok(()),
        }
    }

    async fn finish(&mut self, sink: &mut dyn CopyIn) -> Result<()> {
        let Reader::Binary(rows) = self else { return Ok(()) };
        match rows.finish()? {
            Some(batch) => sink.write(&batch).await,
            None => Ok(()),
        }
    }
}

async fn feed(connection: &mut Connection, guard: &Guard, reader: &mut Reader, sink: &mut dyn CopyIn) -> Wire<()> {
    loop {
        let message = tokio::select! {
            biased;
            reason = guard.stopped() => return Err(reason),
            message = connection.incoming.next() => message?,
        };
        match message {
            Frontend::CopyData(bytes) => {
                let work = async { reader.take(bytes, sink).await.map_err(Failure::from) };
                guard.run(&mut connection.incoming, work).await?;
            }
            Frontend::CopyDone => {
                let work = async { reader.finish(sink).await.map_err(Failure::from) };
                return guard.run(&mut connection.incoming, work).await;
            }
            Frontend::CopyFail(why) => {
                return Err(Error::new(Kind::Cancelled, format!("COPY from stdin failed: {why}")).into());
            }
            // Drivers send one with the Execute that begins the COPY.
            Frontend::Flush | Frontend::Sync => {}
            Frontend::Terminate => return Err(Failure::Gone),
            _ => {
                let message = "unexpected message type during COPY from stdin";
                return Err(Failure::Fatal(Error::new(Kind::Protocol, message)));
            }
        }
    }
}
