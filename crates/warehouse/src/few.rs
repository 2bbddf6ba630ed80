//! The first rows of a statement, held back: if they stay few they go into the table's tail, and no file is made.

use arrow::array::{Array, ArrayRef, RecordBatch};
use tidegate_catalog::compact;
use tidegate_core::Result;

/// Most rows that a statement puts into the tail.
pub const ROWS_MAX: usize = 10_000;
/// Most bytes that they may take.
pub const BYTES_MAX: usize = 1 << 20;

/// Rows of which there may not be many.
#[derive(Default)]
pub struct Few {
    batches: Vec<RecordBatch>,
    rows: usize,
    bytes: usize,
}

impl Few {
    /// Takes rows. False once there are too many.
    pub fn push(&mut self, batch: RecordBatch) -> Result<bool> {
        self.rows += batch.num_rows();
        let batch = if self.rows <= ROWS_MAX { compact(&batch)? } else { batch };
        self.bytes += batch.columns().iter().map(bytes).sum::<usize>();
        self.batches.push(batch);
        Ok(self.rows <= ROWS_MAX && self.bytes <= BYTES_MAX)
    }

    /// The rows.
    pub fn batches(self) -> Vec<RecordBatch> {
        self.batches
    }
}

/// What a column's rows take. Of text and of lists it is what their buffers hold, which is all theirs once they are
/// compact: the size of a slice leaves out what views point to.
fn bytes(column: &ArrayRef) -> usize {
    match column.data_type() {
        plain if plain.is_primitive() => column.to_data().get_slice_memory_size().unwrap_or(BYTES_MAX + 1),
        _ => column.get_buffer_memory_size(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, StringViewArray};
    use std::sync::Arc;

    fn numbers(count: usize) -> RecordBatch {
        RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![1; count])) as ArrayRef)]).unwrap()
    }

    #[test]
    fn few_are_few_by_rows_and_by_bytes() {
        let mut few = Few::default();
        assert!(few.push(numbers(ROWS_MAX)).unwrap());
        assert!(!few.push(numbers(1)).unwrap());
        assert_eq!(few.batches().len(), 2);
        let long = "x".repeat(BYTES_MAX);
        let texts = StringViewArray::from(vec![long.as_str(), "short, but not so short that it fits into a view"]);
        let texts = RecordBatch::try_from_iter([("t", Arc::new(texts) as ArrayRef)]).unwrap();
        assert!(!Few::default().push(texts.clone()).unwrap());
        assert!(Few::default().push(texts.slice(1, 1)).unwrap());
    }
}
