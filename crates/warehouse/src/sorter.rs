//! Rows put in the order of a table's sort key, by the engine's own sort: what does not fit into memory is on the disk
//! meanwhile.

use crate::z_order::ZOrder;
use arrow::array::RecordBatch;
use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use datafusion::error::Result as EngineResult;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::stream::{RecordBatchReceiverStreamBuilder, RecordBatchStreamAdapter};
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::StreamExt;
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use tidegate_core::{Error, Result};
use tidegate_query::from_datafusion;
use tokio::sync::mpsc;

/// Batches on their way into the sort, and out of it.
const BATCHES_MAX: usize = 4;

/// As Redshift sorts: from the least on, NULL last.
const ASCENDING: SortOptions = SortOptions { descending: false, nulls_first: false };

/// Takes rows in any order and gives them back in that of a key. Dropped, it stops.
pub struct Sorter {
    input: mpsc::Sender<RecordBatch>,
    sorted: SendableRecordBatchStream,
    z_order: Option<ZOrder>,
}

impl Sorter {
    /// By these columns; `interleaved`, all of them weigh the same.
    pub fn new(schema: &SchemaRef, columns: &[usize], interleaved: bool, context: Arc<TaskContext>) -> Result<Self> {
        let z_order = interleaved.then(|| ZOrder::new(schema, columns)).transpose()?;
        let (schema, columns) = match &z_order {
            Some(z_order) => (z_order.schema(), vec![z_order.column()]),
            None => (Arc::clone(schema), columns.to_vec()),
        };
        let (input, rows) = mpsc::channel(BATCHES_MAX);
        let sort = sort(&schema, &columns, rows).map_err(from_datafusion)?;
        let mut output = RecordBatchReceiverStreamBuilder::new(schema, BATCHES_MAX);
        let sender = output.tx();
        output.spawn(async move {
            let mut sorted = sort.execute(0, context)?;
            while let Some(batch) = sorted.next().await {
                if sender.send(batch).await.is_err() {
                    break;
                }
            }
            Ok(())
        });
        Ok(Sorter { input, sorted: output.build(), z_order })
    }

    /// Takes rows.
    pub async fn push(&mut self, batch: RecordBatch) -> Result<()> {
        let batches = match &mut self.z_order {
            Some(z_order) => z_order.push(batch)?,
            None => vec![batch],
        };
        self.send(batches).await
    }

    async fn send(&mut self, batches: Vec<RecordBatch>) -> Result<()> {
        for batch in batches {
            if self.input.send(batch).await.is_err() {
                // It ends early only where it fails.
                let error = self.sorted.next().await.and_then(|sorted| sorted.err());
                return Err(error.map_or_else(|| Error::internal("a sort has ended early"), from_datafusion));
            }
        }
        Ok(())
    }

    /// The rows in order, once all have been given.
    pub async fn finish(mut self) -> Result<SendableRecordBatchStream> {
        let Some(mut z_order) = self.z_order.take() else { return Ok(self.sorted) };
        let rest = z_order.finish()?;
        self.send(rest).await?;
        let (schema, column) = (z_order.shown(), z_order.column());
        let shown: Vec<usize> = (0..column).collect();
        let rows = self.sorted.map(move |batch| Ok(batch?.project(&shown)?));
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}

fn sort(schema: &SchemaRef, columns: &[usize], rows: mpsc::Receiver<RecordBatch>) -> EngineResult<SortExec> {
    let expr = |index: &usize| {
        let column = Column::new(schema.field(*index).name(), *index);
        PhysicalSortExpr::new(Arc::new(column), ASCENDING)
    };
    let no_key = || datafusion::error::DataFusionError::Internal("a sort key without a column".to_string());
    let ordering = LexOrdering::new(columns.iter().map(expr)).ok_or_else(no_key)?;
    let source = Source { schema: Arc::clone(schema), rows: Mutex::new(Some(rows)) };
    let scan = StreamingTableExec::try_new(Arc::clone(schema), vec![Arc::new(source)], None, [], false, None)?;
    Ok(SortExec::new(ordering, Arc::new(scan)))
}

/// What is pushed, read once.
struct Source {
    schema: SchemaRef,
    rows: Mutex<Option<mpsc::Receiver<RecordBatch>>>,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").finish_non_exhaustive()
    }
}

impl PartitionStream for Source {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = self.rows.lock().take();
        let batches = futures::stream::unfold(rows, async |rows| {
            let mut rows = rows?;
            let batch = rows.recv().await?;
            Some((Ok(batch), Some(rows)))
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, AsArray, Int64Array};
    use arrow::datatypes::Int64Type;
    use futures::TryStreamExt;

    fn batch(a: &[Option<i64>], b: &[i64]) -> RecordBatch {
        let columns: [(&str, ArrayRef, bool); 2] =
            [("a", Arc::new(Int64Array::from(a.to_vec())), true), ("b", Arc::new(Int64Array::from(b.to_vec())), true)];
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    }

    async fn sorted(batches: &[RecordBatch], columns: &[usize], interleaved: bool) -> Vec<(Option<i64>, i64)> {
        let schema = batches[0].schema();
        let mut sorter = Sorter::new(&schema, columns, interleaved, Arc::default()).unwrap();
        for batch in batches {
            sorter.push(batch.clone()).await.unwrap();
        }
        let rows: Vec<_> = sorter.finish().await.unwrap().try_collect().await.unwrap();
        let pairs = |batch: &RecordBatch| {
            let (a, b) = (batch.column(0).as_primitive::<Int64Type>(), batch.column(1).as_primitive::<Int64Type>());
            a.iter().zip(b.values().to_vec()).collect::<Vec<_>>()
        };
        assert!(rows.iter().all(|batch| batch.num_columns() == 2));
        rows.iter().flat_map(pairs).collect()
    }

    #[tokio::test]
    async fn rows_come_in_the_order_of_the_key() {
        let batches = [batch(&[Some(3), None, Some(1)], &[1, 2, 9]), batch(&[Some(1), Some(2)], &[4, 5])];
        let by_both = [(Some(1), 4), (Some(1), 9), (Some(2), 5), (Some(3), 1), (None, 2)];
        assert_eq!(sorted(&batches, &[0, 1], false).await, by_both);
        let by_second = [(Some(3), 1), (None, 2), (Some(1), 4), (Some(2), 5), (Some(1), 9)];
        assert_eq!(sorted(&batches, &[1], false).await, by_second);
    }

    #[tokio::test]
    async fn an_interleaved_key_keeps_what_is_near_in_both_columns_together() {
        let numbers: Vec<i64> = (0..64).collect();
        let a: Vec<_> = numbers.iter().map(|n| Some(n % 8)).collect();
        let b: Vec<_> = numbers.iter().map(|n| n / 8).collect();
        let rows = sorted(&[batch(&a, &b)], &[0, 1], true).await;
        assert_eq!(rows.len(), 64);
        // A quarter of the rows holds half of the values of each column.
        for quarter in rows.chunks(16) {
            let span = |values: Vec<i64>| values.iter().max().unwrap() - values.iter().min().unwrap();
            assert_eq!(span(quarter.iter().map(|row| row.0.unwrap()).collect()), 3, "{quarter:?}");
            assert_eq!(span(quarter.iter().map(|row| row.1).collect()), 3, "{quarter:?}");
        }
    }
}
