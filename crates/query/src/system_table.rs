//! Tables of the system: columns by name, rows made from the state.

use crate::scope::Scope;
use crate::service::SystemTable;
use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use std::sync::Arc;
use tidegate_catalog::State;
use tidegate_core::{Error, Result};

/// One value of a column of a system table.
pub enum Cell {
    /// Text, or NULL.
    Text(Option<String>),
    /// A number.
    Number(i64),
    /// A number with a fraction.
    Float(f64),
    /// Yes or no.
    Bool(bool),
    /// Milliseconds of the Unix epoch, or NULL.
    Time(Option<i64>),
    /// NULL of any type.
    Null,
}

/// A system table from its columns' names and a function that gives its rows as of a state.
pub fn table(
    namespace: &'static str,
    name: &'static str,
    columns: &[(&'static str, DataType)],
    rows: impl Fn(&State) -> Vec<Vec<Cell>> + Send + Sync + 'static,
) -> SystemTable {
    scoped_table(namespace, name, columns, move |scope| rows(&scope.state))
}

/// The same where the rows depend on who asks, too. Those of `pg_catalog` are found without their schema.
pub fn scoped_table(
    namespace: &'static str,
    name: &'static str,
    columns: &[(&'static str, DataType)],
    rows: impl Fn(&Scope) -> Vec<Vec<Cell>> + Send + Sync + 'static,
) -> SystemTable {
    let fields: Vec<Field> =
        columns.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let made = Arc::clone(&schema);
    let rows = move |scope: &Scope| -> Result<RecordBatch> {
        let rows = rows(scope);
        let column = |index: usize| -> ArrayRef {
            let cells = || rows.iter().filter_map(|row| row.get(index));
            match made.field(index).data_type() {
                DataType::Int64 => Arc::new(
                    cells()
                        .map(|cell| if let Cell::Number(n) = cell { Some(*n) } else { None })
                        .collect::<Int64Array>(),
                ),
                DataType::Int32 => Arc::new(
                    cells()
                        .map(|cell| if let Cell::Number(n) = cell { i32::try_from(*n).ok() } else { None })
                        .collect::<Int32Array>(),
                ),
                DataType::Float64 => Arc::new(
                    cells()
                        .map(|cell| if let Cell::Float(n) = cell { Some(*n) } else { None })
                        .collect::<Float64Array>(),
                ),
                DataType::Boolean => Arc::new(
                    cells()
                        .map(|cell| if let Cell::Bool(yes) = cell { Some(*yes) } else { None })
                        .collect::<BooleanArray>(),
                ),
                DataType::Timestamp(..) => {
                    let us = cells().map(|cell| if let Cell::Time(ms) = cell { ms.map(|ms| ms * 1000) } else { None });
                    Arc::new(us.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
                }
                _ => Arc::new(
                    cells()
                        .map(|cell| if let Cell::Text(text) = cell { text.clone() } else { None })
                        .collect::<StringArray>(),
                ),
            }
        };
        let columns = (0..made.fields().len()).map(column).collect();
        RecordBatch::try_new(Arc::clone(&made), columns).map_err(Error::internal)
    };
    SystemTable { namespace, name, schema, rows: Arc::new(rows) }
}

/// A text that is there.
pub fn text(value: impl Into<String>) -> Cell {
    Cell::Text(Some(value.into()))
}

/// A count.
pub fn number(value: impl TryInto<i64>) -> Cell {
    Cell::Number(value.try_into().unwrap_or(i64::MAX))
}

/// The type of a time in a system table.
pub fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}
