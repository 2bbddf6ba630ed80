//! COPY over the wire: rows out as text or CSV, and the client's rows in.

mod line;

pub use line::LineFormat;

use crate::backend;
use crate::connection::Connection;
use crate::encode::{Format, RowEncoder, wire_types};
use crate::frontend::Frontend;
use crate::guard::Guard;
use crate::rows::next_batch;
use crate::transport::{Failure, Outgoing, Wire};
use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use tidegate_core::{Error, Kind};
use tidegate_parser::CopyOptions;
use tidegate_query::CopyIn;

/// Sends a result as COPY … TO STDOUT.
pub async fn send_out(
    connection: &mut Connection,
    guard: &Guard,
    schema: &SchemaRef,
    mut rows: SendableRecordBatchStream,
    options: &CopyOptions,
) -> Wire<()> {
    let format = LineFormat::of(options)?;
    let columns = schema.fields().len();
    let encoder = RowEncoder::new(schema, vec![Format::Text; columns], connection.zone());
    let Connection { incoming, outgoing, .. } = &mut *connection;
    backend::put_copy_start(&mut outgoing.buffer, b'H', Format::Text, columns);
    if format.header {
        backend::put(&mut outgoing.buffer, b'd', |out| format.put_header(schema, out));
    }
    let plain: Vec<bool> = wire_types(schema).iter().map(|wire| format.is_plain(wire.oid)).collect();
    let work = send_lines(&encoder, &format, &plain, &mut rows, outgoing);
    let sent = guard.run(incoming, work).await?;
    backend::put_bare(&mut connection.outgoing.buffer, b'c');
    connection.complete(&format!("COPY {sent}"));
    Ok(())
}

async fn send_lines(
    encoder: &RowEncoder,
    format: &LineFormat,
    plain: &[bool],
    rows: &mut SendableRecordBatchStream,
    outgoing: &mut Outgoing,
) -> Wire<u64> {
    let mut sent = 0;
    let mut scratch = Vec::new();
    while let Some(batch) = next_batch(rows, outgoing).await? {
        let batch = encoder.bind(&batch)?;
        for row in 0..batch.rows() {
            let start = outgoing.buffer.len();
            let mut written = Ok(());
            backend::put(&mut outgoing.buffer, b'd', |out| {
                written = format.put_row(&batch, plain, row, &mut scratch, out);
            });
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
    backend::put_copy_start(&mut connection.outgoing.buffer, b'G', Format::Text, sink.columns());
    let fed = match guard.run(&mut connection.incoming, connection.outgoing.flush()).await {
        Ok(()) => feed(connection, guard, sink.as_mut()).await,
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

async fn feed(connection: &mut Connection, guard: &Guard, sink: &mut dyn CopyIn) -> Wire<()> {
    loop {
        let message = tokio::select! {
            biased;
            reason = guard.stopped() => return Err(reason),
            message = connection.incoming.next() => message?,
        };
        match message {
            Frontend::CopyData(bytes) => {
                let work = async { sink.push(bytes).await.map_err(Failure::from) };
                guard.run(&mut connection.incoming, work).await?;
            }
            Frontend::CopyDone => return Ok(()),
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
