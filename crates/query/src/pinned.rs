//! Rows that pin the state they are read from: its files are not removed while the rows are being sent.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::error::Result as EngineResult;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream};
use futures::Stream;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tidegate_catalog::State;

/// A stream of rows and the state it needs.
pub struct Pinned {
    rows: SendableRecordBatchStream,
    _state: Arc<State>,
}

impl Pinned {
    /// Holds the state as long as the rows.
    pub fn hold(rows: SendableRecordBatchStream, state: Arc<State>) -> SendableRecordBatchStream {
        Box::pin(Pinned { rows, _state: state })
    }
}

impl Stream for Pinned {
    type Item = EngineResult<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.rows.as_mut().poll_next(context)
    }
}

impl RecordBatchStream for Pinned {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }
}
