//! What a Parquet file's first rows tell of how to write it: which columns are not worth a dictionary, and which texts
//! are not worth bounds.
//!
//! The writer begins a dictionary for each column, looks every value up in it, and gives it up when it has grown too
//! large: dear for keys, prices and comments, of which hardly two are alike. It compares every text with the least and
//! the greatest of its page: dear too, and for nothing where texts come in no order, since then all pages have the same.

use arrow::array::{Array, RecordBatch, make_comparator};
use arrow::compute::SortOptions;
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

/// The columns of text whose values come in no order, as far as some rows tell: more than one in eight is less than the
/// one before it.
pub(super) fn unordered_texts(sample: &[RecordBatch]) -> Result<Vec<String>> {
    let rows: usize = sample.iter().map(|batch| batch.num_rows().saturating_sub(1)).sum();
    let Some(first) = sample.first() else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for (index, field) in first.schema_ref().fields().iter().enumerate() {
        if field.data_type().is_string() && steps_back(sample, index)? * 8 > rows {
            found.push(field.name().clone());
        }
    }
    Ok(found)
}

/// Rows of a column that are less than the one before them in their batch.
fn steps_back(sample: &[RecordBatch], column: usize) -> Result<usize> {
    let mut found = 0;
    for batch in sample {
        let array = batch.column(column);
        let compare = make_comparator(array, array, SortOptions::default())?;
        found += (1..array.len()).filter(|row| compare(row - 1, *row).is_gt()).count();
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

    #[test]
    fn texts_in_no_order_are_not_worth_bounds() {
        let column =
            |text: &dyn Fn(i64) -> Option<String>| Arc::new((0..1024).map(text).collect::<StringArray>()) as ArrayRef;
        let columns = [
            ("sorted", column(&|row| Some(format!("{row:05}")))),
            ("same", column(&|_| Some("a".to_string()))),
            ("none", column(&|_| None)),
            ("long runs", column(&|row| Some(format!("{}", row / 16 % 3)))),
            ("mixed", column(&|row| Some(format!("{}", row * 7919 % 31)))),
            ("mixed with gaps", column(&|row| (row % 2 == 0).then(|| format!("{}", row * 7919 % 31)))),
            ("numbers", Arc::new(Int64Array::from_iter_values((0..1024).map(|row| row * 7919 % 31)))),
        ];
        let batch = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap();
        assert_eq!(unordered_texts(&[batch.clone(), batch.slice(0, 0)]).unwrap(), ["mixed", "mixed with gaps"]);
        assert_eq!(unordered_texts(&[]).unwrap(), Vec::<String>::new());
    }
}
