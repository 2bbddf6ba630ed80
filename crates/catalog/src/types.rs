//! Columns: their SQL type, as the user wrote it, and the Arrow type that carries it.

use crate::encoding::Encoding;
use arrow::datatypes::{DataType, Field, IntervalUnit, Schema, SchemaRef, TimeUnit};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// Most bytes of a name, of a table as of a column (LIM-06 in Redshift's limits).
pub const NAME_BYTES_MAX: usize = 127;

/// The metadata key under which a field of ours carries its SQL type, where the Arrow type does not say it.
pub const PG_TYPE_KEY: &str = "pg_type";

/// What a field of SUPER values carries under [`PG_TYPE_KEY`].
pub const SUPER: &str = "super";

/// What a field of `time with time zone` carries under [`PG_TYPE_KEY`].
pub const TIMETZ: &str = "time with time zone";

/// Whether a field's values are `time with time zone`.
pub fn is_timetz(field: &Field) -> bool {
    field.metadata().get(PG_TYPE_KEY).is_some_and(|name| name == TIMETZ)
}

/// Whether a field's values are SUPER: JSON as compact text.
pub fn is_super(field: &Field) -> bool {
    field.metadata().get(PG_TYPE_KEY).is_some_and(|name| name == SUPER)
}

/// A SQL type of a column.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SqlType {
    /// `boolean`.
    Bool,
    /// `smallint`.
    Int2,
    /// `integer`.
    Int4,
    /// `bigint`.
    Int8,
    /// `real`.
    Float4,
    /// `double precision`.
    Float8,
    /// `numeric(precision, scale)`.
    Numeric(u8, i8),
    /// `text`.
    Text,
    /// `varchar(n)`, with n in bytes.
    Varchar(u32),
    /// `char(n)`, with n in bytes; kept without the blanks at its end.
    Char(u32),
    /// `bytea`.
    Bytea,
    /// `date`.
    Date,
    /// `time`.
    Time,
    /// `timetz`, kept and shown in UTC, as Redshift does ("TIMETZ values are UTC in user tables and system tables"):
    /// times at different offsets compare and sort as the moments that they are.
    Timetz,
    /// `timestamp`, in microseconds.
    Timestamp,
    /// `timestamptz`, in microseconds.
    Timestamptz,
    /// `interval`.
    Interval,
    /// `uuid`, kept as text.
    Uuid,
    /// `json` and `jsonb`, kept as text.
    Json,
    /// Redshift's `super`: any JSON value, kept as its compact text.
    Super,
    /// An array of another type.
    Array(Box<SqlType>),
    /// A nested type that only files have; kept by Arrow's own name for it.
    Nested(String),
}

impl SqlType {
    /// The Arrow type that carries it through the engine and in files.
    pub fn arrow(&self) -> DataType {
        match self {
            SqlType::Bool => DataType::Boolean,
            SqlType::Int2 => DataType::Int16,
            SqlType::Int4 => DataType::Int32,
            SqlType::Int8 => DataType::Int64,
            SqlType::Float4 => DataType::Float32,
            SqlType::Float8 => DataType::Float64,
            SqlType::Numeric(precision, scale) => DataType::Decimal128(*precision, *scale),
            SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_) | SqlType::Uuid | SqlType::Json | SqlType::Super => {
                DataType::Utf8View
            }
            SqlType::Bytea => DataType::Binary,
            SqlType::Date => DataType::Date32,
            SqlType::Time | SqlType::Timetz => DataType::Time64(TimeUnit::Microsecond),
            SqlType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            SqlType::Timestamptz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            SqlType::Interval => DataType::Interval(IntervalUnit::MonthDayNano),
            SqlType::Array(item) => DataType::List(Arc::new(Field::new("item", item.arrow(), true))),
            SqlType::Nested(name) => name.parse().unwrap_or(DataType::Utf8View),
        }
    }

    /// The SQL type nearest to an Arrow type: how a column of a file or of a query's result becomes a table's.
    pub fn of_arrow(arrow: &DataType) -> SqlType {
        match arrow {
            DataType::Boolean => SqlType::Bool,
            DataType::Int8 | DataType::Int16 | DataType::UInt8 => SqlType::Int2,
            DataType::Int32 | DataType::UInt16 => SqlType::Int4,
            DataType::Int64 | DataType::UInt32 => SqlType::Int8,
            DataType::UInt64 => SqlType::Numeric(20, 0),
            DataType::Float16 | DataType::Float32 => SqlType::Float4,
            DataType::Float64 => SqlType::Float8,
            DataType::Decimal32(p, s) | DataType::Decimal64(p, s) | DataType::Decimal128(p, s) => {
                SqlType::Numeric(*p, *s)
            }
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
                SqlType::Bytea
            }
            DataType::Date32 => SqlType::Date,
            DataType::Time32(_) | DataType::Time64(_) => SqlType::Time,
            DataType::Date64 | DataType::Timestamp(_, None) => SqlType::Timestamp,
            DataType::Timestamp(_, Some(_)) => SqlType::Timestamptz,
            DataType::Interval(_) | DataType::Duration(_) => SqlType::Interval,
            DataType::List(f) | DataType::LargeList(f) | DataType::FixedSizeList(f, _) => {
                SqlType::Array(Box::new(SqlType::of_arrow(f.data_type())))
            }
            DataType::Dictionary(_, value) => SqlType::of_arrow(value),
            DataType::Struct(_) | DataType::Map(_, _) | DataType::Decimal256(_, _) => {
                SqlType::Nested(arrow.to_string())
            }
            _ => SqlType::Text,
        }
    }

    /// The SQL type of a field: what it says itself, or what its Arrow type is nearest to.
    pub fn of_field(field: &Field) -> SqlType {
        let by_arrow = Self::of_arrow(field.data_type());
        // A cast hands on what its source said: only what is still a text can be what is told of texts.
        let told = field.metadata().get(PG_TYPE_KEY).and_then(|text| Self::of_metadata(text));
        told.filter(|told| Self::of_arrow(&told.arrow()) == by_arrow).unwrap_or(by_arrow)
    }

    /// What [`SqlType::metadata`] wrote.
    fn of_metadata(text: &str) -> Option<SqlType> {
        let (name, length) = match text.strip_suffix(')').and_then(|text| text.split_once('(')) {
            Some((name, length)) => (name, length.parse().ok()),
            None => (text, None),
        };
        match name {
            "character varying" => length.map(SqlType::Varchar),
            "character" => length.map(SqlType::Char),
            "uuid" => Some(SqlType::Uuid),
            "jsonb" => Some(SqlType::Json),
            SUPER => Some(SqlType::Super),
            TIMETZ => Some(SqlType::Timetz),
            _ => None,
        }
    }

    /// Its name without a length: what tells functions of one name apart.
    pub fn family(&self) -> String {
        match self {
            SqlType::Numeric(..) => "numeric".to_string(),
            SqlType::Varchar(_) => "character varying".to_string(),
            SqlType::Char(_) => "character".to_string(),
            other => other.to_string(),
        }
    }

    /// What a field must say beside its Arrow type so that a client is told the SQL type.
    fn metadata(&self) -> Option<String> {
        match self {
            SqlType::Varchar(_)
            | SqlType::Char(_)
            | SqlType::Uuid
            | SqlType::Json
            | SqlType::Super
            | SqlType::Timetz => Some(self.to_string()),
            _ => None,
        }
    }
}

impl fmt::Display for SqlType {
    /// As Postgres' `format_type` writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SqlType::Bool => f.write_str("boolean"),
            SqlType::Int2 => f.write_str("smallint"),
            SqlType::Int4 => f.write_str("integer"),
            SqlType::Int8 => f.write_str("bigint"),
            SqlType::Float4 => f.write_str("real"),
            SqlType::Float8 => f.write_str("double precision"),
            SqlType::Numeric(p, s) => write!(f, "numeric({p},{s})"),
            SqlType::Text => f.write_str("text"),
            SqlType::Varchar(n) => write!(f, "character varying({n})"),
            SqlType::Char(n) => write!(f, "character({n})"),
            SqlType::Bytea => f.write_str("bytea"),
            SqlType::Date => f.write_str("date"),
            SqlType::Time => f.write_str("time without time zone"),
            SqlType::Timetz => f.write_str(TIMETZ),
            SqlType::Timestamp => f.write_str("timestamp without time zone"),
            SqlType::Timestamptz => f.write_str("timestamp with time zone"),
            SqlType::Interval => f.write_str("interval"),
            SqlType::Uuid => f.write_str("uuid"),
            SqlType::Json => f.write_str("jsonb"),
            SqlType::Super => f.write_str(SUPER),
            SqlType::Array(item) => write!(f, "{item}[]"),
            SqlType::Nested(_) => f.write_str("jsonb"),
        }
    }
}

/// A column of a relation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// As users see it.
    pub name: String,
    /// Its SQL type.
    pub sql_type: SqlType,
    /// NOT NULL.
    #[serde(default)]
    pub not_null: bool,
    /// The DEFAULT, as SQL text.
    #[serde(default)]
    pub default: Option<String>,
    /// Its name in the table's files; None: its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub physical: Option<String>,
    /// IDENTITY: its values are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// ENCODE, as declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// COMMENT ON COLUMN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// How an IDENTITY column counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The first value.
    pub seed: i64,
    /// What is added for the next; never 0.
    pub step: i64,
    /// GENERATED BY DEFAULT: an INSERT may give values of its own.
    #[serde(default)]
    pub by_default: bool,
}

impl Column {
    /// A column that takes NULL and has no default.
    pub fn new(name: impl Into<String>, sql_type: SqlType) -> Self {
        Column {
            name: name.into(),
            sql_type,
            not_null: false,
            default: None,
            physical: None,
            identity: None,
            encoding: None,
            comment: None,
        }
    }

    /// Its name in the table's files.
    pub fn in_files(&self) -> &str {
        self.physical.as_deref().unwrap_or(&self.name)
    }

    /// The Arrow field. Fields are nullable whatever the constraint says: files may come from elsewhere.
    pub fn field(&self) -> Field {
        let field = Field::new(&self.name, self.sql_type.arrow(), true);
        match self.sql_type.metadata() {
            Some(text) => field.with_metadata(HashMap::from([(PG_TYPE_KEY.to_string(), text)])),
            None => field,
        }
    }
}

/// The Arrow schema of a list of columns.
pub fn arrow_schema(columns: &[Column]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(Column::field).collect::<Vec<_>>()))
}

/// The Arrow schema of a table's files: the same columns by their names there. Intervals are texts in them, as neither
/// Parquet nor Delta has a type of months, days and microseconds.
pub fn file_schema(columns: &[Column]) -> SchemaRef {
    let field = |column: &Column| {
        let field = column.field().with_name(column.in_files());
        if column.sql_type == SqlType::Interval { field.with_data_type(DataType::Utf8View) } else { field }
    };
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_tells_its_type() {
        let types = [
            SqlType::Varchar(9),
            SqlType::Char(3),
            SqlType::Uuid,
            SqlType::Timetz,
            SqlType::Json,
            SqlType::Text,
            SqlType::Numeric(10, 2),
            SqlType::Array(Box::new(SqlType::Int4)),
        ];
        for sql_type in types {
            assert_eq!(SqlType::of_field(&Column::new("c", sql_type.clone()).field()), sql_type);
        }
    }
}
