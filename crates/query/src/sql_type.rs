//! SQL's type names as our types.

use tidegate_catalog::{Column, SqlType};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::ast::{ArrayElemTypeDef, CharacterLength, DataType, ExactNumberInfo, TimezoneInfo};
use tidegate_parser::fold;

/// Most bytes of a varchar and of a char (TYP-06, TYP-05).
const VARCHAR_MAX: u32 = 65_535;
const CHAR_MAX: u32 = 4096;
/// Most digits of a numeric.
const DIGITS_MAX: u64 = 38;
/// Digits of a numeric without any: Postgres' has no limit, and this is the widest with a fraction. Redshift's is (18,0),
/// which `compat_mode = redshift` gives.
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
        | DataType::Nvarchar(length) => {
            length_of(length, "varchar", VARCHAR_MAX)?.map_or(SqlType::Text, SqlType::Varchar)
        }
        DataType::Char(length) | DataType::Character(length) => {
            SqlType::Char(length_of(length, "char", CHAR_MAX)?.unwrap_or(1))
        }
        DataType::Bytea | DataType::Varbinary(_) | DataType::Binary(_) => SqlType::Bytea,
        DataType::Date => SqlType::Date,
        DataType::Time(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => SqlType::Time,
        DataType::Timestamp(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => SqlType::Timestamp,
        DataType::Timestamp(_, TimezoneInfo::Tz | TimezoneInfo::WithTimeZone) => SqlType::Timestamptz,
        DataType::Time(_, TimezoneInfo::Tz | TimezoneInfo::WithTimeZone) => SqlType::Timetz,
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
    let length = arguments.first().and_then(|text| text.parse::<u64>().ok());
    let length = length.map(|length| checked_length(length, "char", CHAR_MAX));
    Ok(match name.to_ascii_lowercase().trim_start_matches("pg_catalog.") {
        "bpchar" => SqlType::Char(length.unwrap_or(Ok(256))?),
        "nchar" => SqlType::Char(length.unwrap_or(Ok(1))?),
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

/// The length that is given, MAX being the most; 22023 for one that no such type has.
fn length_of(length: &Option<CharacterLength>, name: &str, most: u32) -> Result<Option<u32>> {
    match length {
        Some(CharacterLength::IntegerLength { length, .. }) => checked_length(*length, name, most).map(Some),
        Some(CharacterLength::Max) => Ok(Some(most)),
        None => Ok(None),
    }
}

fn checked_length(length: u64, name: &str, most: u32) -> Result<u32> {
    match u32::try_from(length) {
        Ok(0) => Err(Error::new(Kind::InvalidParameter, format!("length for type {name} must be at least 1"))),
        Ok(length) if length <= most => Ok(length),
        _ => Err(Error::new(Kind::InvalidParameter, format!("length for type {name} cannot exceed {most}"))
            .hint("Text without a length is as long as it has to be.")),
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
