//! A column of a stream or an external table.

use sqlparser::ast::{DataType, Ident};
use tidegate_core::Result;

use crate::cursor::Cursor;
use crate::hive_type;

/// A column as declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnDef {
    /// Its name.
    pub name: Ident,
    /// Its type, in sqlparser's terms; Hive's names are mapped to Postgres' ones.
    pub data_type: DataType,
    /// Whether NULL is refused.
    pub not_null: bool,
}

impl ColumnDef {
    /// `name type [NOT NULL | NULL] [COMMENT '…']`.
    pub(crate) fn parse(cursor: &mut Cursor) -> Result<ColumnDef> {
        let name = cursor.ident()?;
        let data_type = hive_type::parse(cursor)?;
        let not_null = cursor.accept(&["NOT", "NULL"]);
        if !not_null {
            cursor.accept(&["NULL"]);
        }
        if cursor.accept(&["COMMENT"]) {
            cursor.string()?;
        }
        Ok(ColumnDef { name, data_type, not_null })
    }
}
