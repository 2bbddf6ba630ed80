//! Records as Arrow: the typed columns that the stream declares, and the system columns beside them.

use crate::sequence::{sequence_number, shard_id};
use arrow::array::{
    ArrayRef, BinaryBuilder, Int64Array, RecordBatch, RecordBatchOptions, StringArray, StringBuilder,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use std::sync::Arc;
use tidegate_catalog::{Chunk, Column, RecordPlace, RecordRef, Relation, ShardSpec, StreamSpec};
use tidegate_core::{Error, Result};

/// The system columns: hidden from `SELECT *`, refused as names of a user's column.
pub const SYSTEM_COLUMNS: [&str; 7] = [
    "shard_id",
    "sequence_number",
    "partition_key",
    "subsequence_number",
    "approximate_arrival_timestamp",
    "data",
    "decode_error",
];

/// Reads records' bytes as the columns that a stream declares.
pub trait Decoder: Send + Sync {
    /// The columns, in the relation's order, with a row for each record; and why each record that does not decode does
    /// not (its columns are NULL).
    fn decode(
        &self,
        relation: &Relation,
        spec: &StreamSpec,
        records: &[&[u8]],
    ) -> Result<(Vec<ArrayRef>, Vec<Option<String>>)>;
}

/// The declared columns, then the system columns.
pub fn full_schema(columns: &[Column]) -> SchemaRef {
    let system = SYSTEM_COLUMNS.iter().map(|name| Field::new(*name, system_type(name), true));
    Arc::new(Schema::new(columns.iter().map(Column::field).chain(system).collect::<Vec<_>>()))
}

fn system_type(name: &str) -> DataType {
    match name {
        "subsequence_number" => DataType::Int64,
        "approximate_arrival_timestamp" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        "data" => DataType::Binary,
        _ => DataType::Utf8,
    }
}

/// A record and its place in its shard.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// Its index in the shard.
    pub index: u64,
    /// When it came, in milliseconds of the Unix epoch.
    pub arrival_ms: i64,
    /// The record.
    pub record: RecordRef<'a>,
}

/// The rows of chunks whose index is `from` or more, in order.
pub fn rows_from(chunks: &[Arc<Chunk>], from: u64) -> impl Iterator<Item = Row<'_>> {
    chunks.iter().filter(move |chunk| chunk.end() > from).flat_map(move |chunk| {
        let skipped = usize::try_from(from.saturating_sub(chunk.first)).unwrap_or(usize::MAX);
        chunk.records.iter().enumerate().skip(skipped).map(|(nth, record)| Row {
            index: chunk.first + nth as u64,
            arrival_ms: chunk.arrival_ms,
            record,
        })
    })
}

/// Rows as the columns of [`full_schema`] that `projection` names.
pub fn batch(
    decoder: &dyn Decoder,
    relation: &Relation,
    spec: &StreamSpec,
    shard: &ShardSpec,
    rows: &[Row<'_>],
    projection: &[usize],
) -> Result<RecordBatch> {
    let typed = relation.columns.len();
    let error_column = typed + SYSTEM_COLUMNS.len() - 1;
    let decoded = if projection.iter().any(|column| *column < typed || *column == error_column) {
        let data: Vec<&[u8]> = rows.iter().map(|row| row.record.data).collect();
        Some(decoder.decode(relation, spec, &data)?)
    } else {
        None
    };
    let column = |index: &usize| -> Result<ArrayRef> {
        match (&decoded, index.checked_sub(typed)) {
            (Some((_, errors)), Some(6)) => Ok(Arc::new(StringArray::from(errors.clone()))),
            (Some((columns, _)), None) => {
                columns.get(*index).cloned().ok_or_else(|| Error::internal("a column is not decoded"))
            }
            (None, None) => Err(Error::internal("a column is not decoded")),
            (_, Some(system)) => Ok(system_column(system, shard, rows)),
        }
    };
    let columns = projection.iter().map(column).collect::<Result<Vec<_>>>()?;
    let schema = Arc::new(full_schema(&relation.columns).project(projection).map_err(Error::internal)?);
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(schema, columns, &options).map_err(Error::internal)
}

fn system_column(which: usize, shard: &ShardSpec, rows: &[Row<'_>]) -> ArrayRef {
    match which {
        0 => Arc::new(StringArray::from_iter_values(std::iter::repeat_n(shard_id(shard.number), rows.len()))),
        1 => {
            let mut numbers = StringBuilder::with_capacity(rows.len(), rows.len() * 56);
            for row in rows {
                numbers.append_value(sequence_number(&RecordPlace {
                    shard: shard.number,
                    created_s: shard.created_s,
                    index: row.index,
                    arrival_ms: row.arrival_ms,
                }));
            }
            Arc::new(numbers.finish())
        }
        2 => Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.record.key))),
        3 => Arc::new(Int64Array::from(vec![0_i64; rows.len()])),
        4 => {
            let times = rows.iter().map(|row| row.arrival_ms * 1000);
            Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))
        }
        5 => {
            let bytes = rows.iter().map(|row| row.record.data.len()).sum();
            let mut data = BinaryBuilder::with_capacity(rows.len(), bytes);
            rows.iter().for_each(|row| data.append_value(row.record.data));
            Arc::new(data.finish())
        }
        _ => Arc::new(StringArray::new_null(rows.len())),
    }
}
