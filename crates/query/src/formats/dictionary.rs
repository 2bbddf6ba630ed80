//! Which columns of a Parquet file are not worth a dictionary.
//!
//! The writer begins a dictionary for each column, looks every value up in it, and gives it up when it has grown too
//! large: dear for keys, prices and comments, of which hardly two are alike. A file's first rows tell them apart.

use arrow::array::RecordBatch;
use datafusion::common::Result;
use datafusion::common::hash_utils::{RandomState, create_hashes};
use std::collections::HashSet;

/// Rows that tell enough.
pub(super) const SAMPLE_ROWS: usize = 16 * 1024;
/// Bytes of rows that tell enough.
pub(super) const SAMPLE_BYTES: usize = 1 << 20;
/// Values that a dictionary holds before the writer gives it up: 1 MiB, of eight bytes each.
const VALUES_MAX: usize = 128 * 1024;

/// The columns whose dictionary would grow too large, as far as some rows tell.
pub(super) fn too_many_values(sample: &[RecordBatch]) -> Result<Vec<String>> {
    let rows = sample.iter().map(RecordBatch::num_rows).sum::<usize>().min(SAMPLE_ROWS);
    let Some(first) = sample.first() else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for (index, field) in first.schema_ref().fields().iter().enumerate() {
        if !field.data_type().is_nested() && values(sample, index)? > values_if_too_many(rows) {
            found.push(field.name().clone());
        }
    }
    Ok(found)
}

/// Different values of a column.
fn values(sample: &[RecordBatch], column: usize) -> Result<usize> {
    let (mut seen, mut seen_rows, mut hashes, state) = (HashSet::new(), 0, Vec::new(), RandomState::default());
    for batch in sample {
        // The estimate is of few rows.
        let batch = batch.slice(0, batch.num_rows().min(SAMPLE_ROWS - seen_rows));
        seen_rows += batch.num_rows();
        hashes.clear();
        hashes.resize(batch.num_rows(), 0);
        create_hashes(batch.columns().iter().skip(column).take(1), &state, &mut hashes)?;
        seen.extend(hashes.iter().copied());
    }
    Ok(seen.len())
}

/// How many different ones so many rows show when there are as many values as a dictionary holds, all as frequent:
/// n rows of v values show about n - n²/2v.
fn values_if_too_many(rows: usize) -> usize {
    rows - rows * rows / (2 * VALUES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use std::sync::Arc;

    #[test]
    fn keys_have_no_dictionary_and_codes_have_one() {
        let column =
            |value: &dyn Fn(i64) -> i64| Arc::new(Int64Array::from_iter_values((0..8192).map(value))) as ArrayRef;
        let none = Arc::new(Int64Array::from(vec![None; 8192])) as ArrayRef;
        let texts = Arc::new(StringArray::from_iter_values((0..8192).map(|row| format!("text {row}")))) as ArrayRef;
        let columns = [
            ("key", column(&|row| row)),
            ("few", column(&|row| row % 7)),
            // As many as half of the rows: there will be more of each.
            ("half", column(&|row| row / 2)),
            ("none", none),
            ("text", texts),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        assert_eq!(too_many_values(&[batch.clone(), batch.slice(0, 0)]).unwrap(), ["key", "text"]);
        assert_eq!(too_many_values(&[]).unwrap(), Vec::<String>::new());
    }
}
