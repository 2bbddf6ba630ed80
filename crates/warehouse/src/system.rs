//! What the system's tables say of tables and their columns, under Redshift's names.

mod columns;
mod ddl_text;
mod external;
pub mod late_binding;
mod schemas;
mod table_def;
mod table_info;
mod tables;

use arrow::datatypes::DataType;
use tidegate_query::SystemTable;

/// A column of such a table.
type Column = (&'static str, DataType);

const TEXT: DataType = DataType::Utf8;
const INT: DataType = DataType::Int32;
const LONG: DataType = DataType::Int64;
const FLOAT: DataType = DataType::Float64;
const BOOL: DataType = DataType::Boolean;

/// All of them.
pub fn tables() -> Vec<SystemTable> {
    let mut all = vec![table_def::table(), table_info::table(), ddl_text::table()];
    all.extend(tables::tables());
    all.extend(columns::tables());
    all.extend(schemas::tables());
    all.extend(external::tables());
    all
}
