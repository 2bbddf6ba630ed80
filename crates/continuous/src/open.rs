//! What the windows that are open hold: the engine's own partial results, merged when there are many.

use crate::aggregate::Aggregation;
use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{Result, exec_err};
use datafusion::execution::TaskContext;
use std::sync::Arc;
use tidegate_catalog::Window;

/// Rows of partial results from which on merging them is worth it.
const MERGE_ROWS_MIN: usize = 1 << 16;

/// What open windows hold.
#[derive(Debug, Default)]
pub struct Open {
    parts: Vec<RecordBatch>,
    rows: usize,
    merged_rows: usize,
}

impl Open {
    /// Rows of partial results.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of them.
    pub fn bytes(&self) -> usize {
        self.parts.iter().map(RecordBatch::get_array_memory_size).sum()
    }

    /// Takes partial results; those of windows that end at `closed_us` or before are left out: they came too late.
    pub async fn take(
        &mut self,
        aggregation: &Aggregation,
        window: &Window,
        parts: Vec<RecordBatch>,
        closed_us: Option<i64>,
        context: &Arc<TaskContext>,
    ) -> Result<()> {
        for part in parts {
            let kept = match closed_us {
                Some(closed_us) => split(aggregation, window, &part, closed_us)?.1,
                None => part,
            };
            if kept.num_rows() > 0 {
                self.rows += kept.num_rows();
                self.parts.push(kept);
            }
        }
        // Merging costs what is held: so it is done when that has doubled, and no row is merged more than some times.
        if self.rows > MERGE_ROWS_MIN.max(2 * self.merged_rows) {
            let merged = aggregation.merged(std::mem::take(&mut self.parts), Arc::clone(context)).await?;
            self.parts = merged.into_iter().filter(|batch| batch.num_rows() > 0).collect();
            self.rows = self.parts.iter().map(RecordBatch::num_rows).sum();
            self.merged_rows = self.rows;
        }
        Ok(())
    }

    /// Takes out what belongs to windows that end at this time or before.
    pub fn close(&mut self, aggregation: &Aggregation, window: &Window, closed_us: i64) -> Result<Vec<RecordBatch>> {
        let (mut closed, mut open) = (Vec::new(), Vec::new());
        for part in std::mem::take(&mut self.parts) {
            let (ended, goes_on) = split(aggregation, window, &part, closed_us)?;
            closed.extend((ended.num_rows() > 0).then_some(ended));
            open.extend((goes_on.num_rows() > 0).then_some(goes_on));
        }
        self.parts = open;
        self.rows = self.parts.iter().map(RecordBatch::num_rows).sum();
        self.merged_rows = self.merged_rows.min(self.rows);
        Ok(closed)
    }
}

/// The rows of windows that end at a time or before, and the others.
fn split(
    aggregation: &Aggregation,
    window: &Window,
    part: &RecordBatch,
    at_us: i64,
) -> Result<(RecordBatch, RecordBatch)> {
    let (place, size_us) = match (aggregation.group("window_end"), aggregation.group("window_start")) {
        (Some(end), _) => (end, 0),
        (None, Some(start)) => (start, window.size_us),
        _ => return exec_err!("a windowed query groups by no window"),
    };
    let times = cast(part.column(place), &DataType::Timestamp(TimeUnit::Microsecond, None))?;
    let times = times.as_primitive::<TimestampMicrosecondType>();
    let ended: BooleanArray =
        times.iter().map(|time| Some(time.is_none_or(|time| time.saturating_add(size_us) <= at_us))).collect();
    if ended.true_count() == ended.len() {
        return Ok((part.clone(), part.slice(0, 0)));
    }
    if ended.true_count() == 0 {
        return Ok((part.slice(0, 0), part.clone()));
    }
    Ok((filter_record_batch(part, &ended)?, filter_record_batch(part, &arrow::compute::not(&ended)?)?))
}
