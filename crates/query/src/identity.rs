//! IDENTITY columns: a sink that counts where a row gives no value, and what an INSERT may give.

use crate::service::TableSink;
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, Int64Type};
use async_trait::async_trait;
use std::sync::Arc;
use tidegate_catalog::{Catalog, Change, Column, Counter, Relation};
use tidegate_core::{Error, Kind, Result};

/// Puts the next number wherever an IDENTITY column is NULL.
pub struct CountingSink {
    inner: Box<dyn TableSink>,
    counted: Vec<(usize, Counter)>,
}

/// The sink of a relation, which counts if the relation has an IDENTITY column.
pub fn counting(catalog: &Catalog, relation: &Relation, inner: Box<dyn TableSink>) -> Box<dyn TableSink> {
    let counted = counters_of(catalog, relation);
    if counted.is_empty() {
        return inner;
    }
    Box::new(CountingSink { inner, counted })
}

/// Rows as the sink would number them, for who wants to see them before.
pub fn numbered(catalog: &Catalog, relation: &Relation, batch: RecordBatch) -> Result<RecordBatch> {
    filled(&batch, &counters_of(catalog, relation))
}

fn counters_of(catalog: &Catalog, relation: &Relation) -> Vec<(usize, Counter)> {
    let counter = |(index, column): (usize, &Column)| Some((index, counter_of(catalog, relation, column)?));
    relation.columns.iter().enumerate().filter_map(counter).collect()
}

fn filled(batch: &RecordBatch, counted: &[(usize, Counter)]) -> Result<RecordBatch> {
    let mut columns = batch.columns().to_vec();
    for (index, counter) in counted {
        if let Some(column) = columns.get_mut(*index).filter(|column| column.null_count() > 0) {
            *column = fill(column, counter)?;
        }
    }
    RecordBatch::try_new(batch.schema(), columns).map_err(Error::internal)
}

/// The counter of a column, if it is an IDENTITY column.
pub fn counter_of(catalog: &Catalog, relation: &Relation, column: &Column) -> Option<Counter> {
    Some(catalog.counter(relation.oid, column.in_files(), column.identity?))
}

/// 428C9 for a value that an INSERT gives to a column whose values are generated.
pub fn given_value(column: &Column) -> Error {
    let message = format!("cannot insert a non-DEFAULT value into column \"{}\"", column.name);
    Error::new(Kind::GeneratedAlways, message)
        .detail(format!("Column \"{}\" is an identity column.", column.name))
        .hint("Leave the column out of the list, or write DEFAULT.")
}

/// The values, with numbers in place of NULLs. 22003 when one is too large for the type.
fn fill(array: &ArrayRef, counter: &Counter) -> Result<ArrayRef> {
    let wide = cast(array, &DataType::Int64).map_err(Error::internal)?;
    let number = |value: Option<i64>| value.map_or_else(|| counter.take(), Ok);
    let filled = wide.as_primitive::<Int64Type>().iter().map(number).collect::<Result<Vec<i64>>>()?;
    let filled: ArrayRef = Arc::new(Int64Array::from(filled));
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(&filled, array.data_type(), &options)
        .map_err(|_| Error::new(Kind::OutOfRange, "an IDENTITY column has used up the values of its type"))
}

#[async_trait]
impl TableSink for CountingSink {
    async fn write(&mut self, batch: RecordBatch) -> Result<()> {
        self.inner.write(filled(&batch, &self.counted)?).await
    }

    async fn finish(self: Box<Self>) -> Result<Vec<Change>> {
        self.inner.finish().await
    }

    async fn abort(self: Box<Self>) {
        self.inner.abort().await;
    }
}
