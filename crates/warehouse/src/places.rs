//! The places of rows: what UPDATE, DELETE and MERGE find rows by. A row's place is its part of the table and its number
//! there.

use arrow::array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::error::{DataFusionError, Result as EngineResult};
use std::sync::Arc;
use tidegate_query::formats::row_number;

/// Number of the part that a row is in.
pub const FILE_COLUMN: &str = "$file";
/// Number of a row in its part, from 0.
pub const ROW_COLUMN: &str = "$row";

/// The part's number, as a column of which each file has one value.
pub fn part_column() -> Field {
    Field::new(FILE_COLUMN, DataType::Int64, false)
}

/// A table's columns, then the places.
pub fn with_places(schema: &SchemaRef) -> SchemaRef {
    let places: [FieldRef; 2] = [Arc::new(part_column()), row_number(ROW_COLUMN)];
    Arc::new(Schema::new(schema.fields().iter().cloned().chain(places).collect::<Vec<_>>()))
}

/// All rows of a part that lies in memory, with these columns of its own and then the places. `schema` is that of what
/// comes out, which `columns` chooses from the part's columns and the places behind them.
pub fn placed(batch: &RecordBatch, columns: &[usize], schema: &SchemaRef, part: u64) -> EngineResult<RecordBatch> {
    let (rows, width) = (batch.num_rows(), batch.num_columns());
    let part = i64::try_from(part).unwrap_or(i64::MAX);
    let column = |index: &usize| -> EngineResult<ArrayRef> {
        let missing = || DataFusionError::Internal("a part's scan lacks a column".to_string());
        match *index {
            index if index < width => batch.columns().get(index).cloned().ok_or_else(missing),
            index if index == width => Ok(Arc::new(Int64Array::from(vec![part; rows]))),
            _ => Ok(Arc::new(Int64Array::from_iter_values(0..rows as i64))),
        }
    };
    let arrays = columns.iter().map(column).collect::<EngineResult<_>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options)?)
}
