//! SQL's type names as our types.

use tidegate_catalog::{Column, SqlType};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::ast::{ArrayElemTypeDef, CharacterLength, DataType, ExactNumberInfo, TimezoneInfo};
use tidegate_parser::fold;

/// Most digits of a numeric.
const DIGITS_MAX: u64 = 38;
/// Digits of a numeric without any: Redshift's is (18,0); Postgres' has no limit, and this is the widest with a fraction.
const NUMERIC_DEFAULT: (u8, i8) = (38, 10);

/// The type that a name means. 42704 for one that there is not.
pub fn sql_type(data_type: &DataType) -> Result<SqlType> {
    Ok(match data_type {
        DataType::Boolean | DataType::Bool => SqlType::Bool,
        DataType::SmallInt(_) | DataType::Int2(_) | DataType::TinyInt(_) => SqlType::Int2,
        DataType::Int(_) | DataType::Integer(_) | DataType::Int4(_) => SqlType::Int4,
        DataType::BigInt(_) | DataType::Int8(_) => SqlType::Int8,
        DataType::Real | DataType::Float4 => SqlType::Float4,
        DataType::Double(_) | DataType::DoublePrecision | DataType::Float8 => SqlType::Float8,
        DataType::Float(info) => float(info),
        DataType::Numeric(info) | DataType::Decimal(info) | DataType::Dec(info) => numeric(info)?,
        DataType::Text | DataType::String(_) => SqlType::Text,
        DataType::Varchar(length)
        | DataType::CharacterVarying(length)
        | DataType::CharVarying(length)
        | DataType::Nvarchar(length) => length_of(length)?.map_or(SqlType::Text, SqlType::Varchar),
        DataType::Char(length) | DataType::Character(length) => SqlType::Char(length_of(length)?.unwrap_or(1)),
        DataType::Bytea | DataType::Varbinary(_) | DataType::Binary(_) => SqlType::Bytea,
        DataType::Date => SqlType::Date,
        DataType::Time(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => SqlType::Time,
        DataType::Timestamp(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => SqlType::Timestamp,
        DataType::Timestamp(_, TimezoneInfo::Tz | TimezoneInfo::WithTimeZone) => SqlType::Timestamptz,
        DataType::Time(..) => {
            let message = "type time with time zone is not supported";
            return Err(Error::new(Kind::Unsupported, message).hint("Use time, or timestamp with time zone."));
        }
        DataType::Interval { .. } => SqlType::Interval,
        DataType::Uuid => SqlType::Uuid,
        DataType::JSON | DataType::JSONB => SqlType::Json,
        DataType::Array(ArrayElemTypeDef::SquareBracket(item, _) | ArrayElemTypeDef::AngleBracket(item)) => {
            SqlType::Array(Box::new(sql_type(item)?))
        }
        DataType::Custom(name, arguments) => custom(&name.to_string(), arguments)?,
        other => return Err(unknown(&other.to_string())),
    })
}

fn custom(name: &str, arguments: &[String]) -> Result<SqlType> {
    let length = arguments.first().and_then(|text| text.parse::<u32>().ok());
    Ok(match name.to_ascii_lowercase().trim_start_matches("pg_catalog.") {
        "bpchar" => SqlType::Char(length.unwrap_or(256)),
        "nchar" => SqlType::Char(length.unwrap_or(1)),
        "name" | "string" => SqlType::Text,
        "super" => SqlType::Super,
        "timestamptz" => SqlType::Timestamptz,
        "varbyte" => SqlType::Bytea,
        _ => return Err(unknown(name)),
    })
}

fn unknown(name: &str) -> Error {
    Error::new(Kind::UndefinedObject, format!("type \"{}\" does not exist", name.to_lowercase()))
}

fn float(info: &ExactNumberInfo) -> SqlType {
    match info {
        ExactNumberInfo::Precision(bits) if *bits <= 24 => SqlType::Float4,
        _ => SqlType::Float8,
    }
}

fn numeric(info: &ExactNumberInfo) -> Result<SqlType> {
    let (precision, scale) = match info {
        ExactNumberInfo::None => return Ok(SqlType::Numeric(NUMERIC_DEFAULT.0, NUMERIC_DEFAULT.1)),
        ExactNumberInfo::Precision(precision) => (*precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (*precision, *scale),
    };
    let fits = (1..=DIGITS_MAX).contains(&precision) && scale >= 0 && scale.unsigned_abs() <= precision;
    match (fits, u8::try_from(precision), i8::try_from(scale)) {
        (true, Ok(precision), Ok(scale)) => Ok(SqlType::Numeric(precision, scale)),
        _ => Err(Error::new(Kind::InvalidParameter, format!("numeric({precision},{scale}) is out of range"))
            .hint(format!("A numeric has 1 to {DIGITS_MAX} digits, and no more of them after the point."))),
    }
}

fn length_of(length: &Option<CharacterLength>) -> Result<Option<u32>> {
    match length {
        Some(CharacterLength::IntegerLength { length, .. }) if *length >= 1 => u32::try_from(*length)
            .map(Some)
            .map_err(|_| Error::new(Kind::InvalidParameter, format!("length {length} is too large for a type"))),
        Some(CharacterLength::IntegerLength { .. }) => {
            Err(Error::new(Kind::InvalidParameter, "the length of a type must be at least 1"))
        }
        // varchar(max) is Redshift's widest.
        Some(CharacterLength::Max) => Ok(Some(65_535)),
        None => Ok(None),
    }
}

/// Columns of our own statements.
pub fn columns(definitions: &[tidegate_parser::ColumnDef]) -> Result<Vec<Column>> {
    let column = |definition: &tidegate_parser::ColumnDef| {
        let column = Column::new(fold(&definition.name), sql_type(&definition.data_type)?);
        Ok(Column { not_null: definition.not_null, ..column })
    };
    distinct(definitions.iter().map(column).collect::<Result<_>>()?)
}

/// 42701 when a name is given twice.
pub fn distinct(columns: Vec<Column>) -> Result<Vec<Column>> {
    let mut names = std::collections::HashSet::new();
    match columns.iter().find(|column| !names.insert(column.name.as_str())) {
        Some(twice) => {
            Err(Error::new(Kind::DuplicateColumn, format!("column \"{}\" specified more than once", twice.name)))
        }
        None => Ok(columns),
    }
}
