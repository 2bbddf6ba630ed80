//! A result on its way to the client: batch by batch, row by row, never more of it in memory than one batch.

use crate::encode::{BoundBatch, Format, RowEncoder, Zone};
use crate::transport::{Outgoing, Wire};
use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use futures::{FutureExt, StreamExt};

/// A result that may be suspended between any two rows.
pub struct RowCursor {
    encoder: RowEncoder,
    stream: SendableRecordBatchStream,
    current: Option<(BoundBatch, usize)>,
}

/// What one call of [`RowCursor::send`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Rows of this call.
    pub rows: u64,
    /// Whether the result is at its end.
    pub finished: bool,
}

impl RowCursor {
    /// A result, none of it sent.
    pub fn new(schema: &SchemaRef, formats: Vec<Format>, zone: Zone, stream: SendableRecordBatchStream) -> Self {
        RowCursor { encoder: RowEncoder::new(schema, formats, zone), stream, current: None }
    }

    /// Sends rows, at most `limit` of them.
    pub async fn send(&mut self, out: &mut Outgoing, limit: Option<u64>) -> Wire<Sent> {
        let mut sent = 0;
        loop {
            if let Some((batch, next)) = &mut self.current {
                while *next < batch.rows() {
                    if limit == Some(sent) {
                        return Ok(Sent { rows: sent, finished: false });
                    }
                    batch.put_row(*next, &mut out.buffer)?;
                    *next += 1;
                    sent += 1;
                    out.flush_if_full().await?;
                }
                self.current = None;
            }
            match next_batch(&mut self.stream, out).await? {
                Some(batch) => self.current = Some((self.encoder.bind(&batch)?, 0)),
                None => return Ok(Sent { rows: sent, finished: true }),
            }
        }
    }
}

/// The next batch. When it is not there yet, what is ready goes to the client first, so that a live result is seen.
pub async fn next_batch(
    stream: &mut SendableRecordBatchStream,
    out: &mut Outgoing,
) -> Wire<Option<arrow::array::RecordBatch>> {
    let next = match stream.next().now_or_never() {
        Some(next) => next,
        None => {
            out.flush().await?;
            stream.next().await
        }
    };
    Ok(next.transpose().map_err(tidegate_query::from_datafusion)?)
}
