//! Columns under construction: typed vectors that take text and can take back the last row, so that a bad field leaves
//! no half row behind.

use super::nested;
use super::values::{self, Bad};
use crate::partiql::{self, Wrong};
use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, BooleanBufferBuilder, Date32Array, Decimal128Array,
    Float32Array, Float64Array, Int16Array, Int32Array, Int64Array, StringArray, Time64MicrosecondArray,
    TimestampMicrosecondArray,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::{CastOptions, can_cast_types, cast, cast_with_options};
use arrow::datatypes::{DataType, FieldRef};
use arrow::error::ArrowError;
use std::borrow::Cow;
use std::sync::Arc;
use tidegate_catalog::{SUPER, is_super};
use tidegate_core::{Error, Kind, Result};

/// One column of the batch that is being filled.
pub(super) struct ColumnBuilder {
    field: FieldRef,
    values: Values,
    valid: BooleanBufferBuilder,
}

/// Values of the types that have a parser of their own; others go through text and arrow's cast.
enum Values {
    Bool(BooleanBufferBuilder),
    Int16(Vec<i16>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float32(Vec<f32>),
    Float64(Vec<f64>),
    Decimal(Vec<i128>, u8, i8),
    Date(Vec<i32>),
    Time(Vec<i64>),
    Timestamp(Vec<i64>, bool),
    Text(Strings),
    Bytes(Strings),
    Cast(Strings),
    /// As JSON.
    Nested(Strings),
    /// JSON, made compact.
    Super(Strings),
}

/// Values of any length behind one another.
#[derive(Default)]
struct Strings {
    bytes: Vec<u8>,
    ends: Vec<i32>,
}

impl Strings {
    fn close(&mut self) {
        // A batch is cut long before 2 GB: BATCH_BYTES_MAX in the row parser.
        self.ends.push(i32::try_from(self.bytes.len()).unwrap_or(i32::MAX));
    }

    fn truncate(&mut self, rows: usize) {
        self.ends.truncate(rows);
        self.bytes.truncate(self.ends.last().map_or(0, |&end| end as usize));
    }

    fn take(&mut self) -> (OffsetBuffer<i32>, Buffer) {
        let mut offsets = Vec::with_capacity(self.ends.len() + 1);
        offsets.push(0);
        offsets.append(&mut self.ends);
        let bytes = Buffer::from_vec(std::mem::take(&mut self.bytes));
        (OffsetBuffer::new(ScalarBuffer::from(offsets)), bytes)
    }
}

impl ColumnBuilder {
    /// An empty column of the field's type, or an error that names it when text cannot become it.
    pub(super) fn new(field: FieldRef) -> Result<Self> {
        let values = match field.data_type() {
            DataType::Boolean => Values::Bool(BooleanBufferBuilder::new(0)),
            DataType::Int16 => Values::Int16(Vec::new()),
            DataType::Int32 => Values::Int32(Vec::new()),
            DataType::Int64 => Values::Int64(Vec::new()),
            DataType::Float32 => Values::Float32(Vec::new()),
            DataType::Float64 => Values::Float64(Vec::new()),
            DataType::Decimal128(precision, scale) => Values::Decimal(Vec::new(), *precision, *scale),
            DataType::Date32 => Values::Date(Vec::new()),
            DataType::Time64(_) => Values::Time(Vec::new()),
            DataType::Timestamp(_, zone) => Values::Timestamp(Vec::new(), zone.is_some()),
            DataType::Utf8View if is_super(&field) => Values::Super(Strings::default()),
            DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => Values::Text(Strings::default()),
            DataType::Binary | DataType::BinaryView | DataType::LargeBinary => Values::Bytes(Strings::default()),
            other if other.is_nested() => Values::Nested(Strings::default()),
            other if can_cast_types(&DataType::Utf8, other) => Values::Cast(Strings::default()),
            other => {
                let message = format!("column \"{}\" of type {other} cannot be read from text", field.name());
                return Err(Error::new(Kind::Unsupported, message)
                    .hint("declare the column as text, or bring the data as Parquet"));
            }
        };
        Ok(ColumnBuilder { field, values, valid: BooleanBufferBuilder::new(0) })
    }

    /// The column's name.
    pub(super) fn name(&self) -> &str {
        self.field.name()
    }

    /// Whether NULL may stand in it.
    pub(super) fn nullable(&self) -> bool {
        self.field.is_nullable()
    }

    /// Whether an empty text is a value of it.
    pub(super) fn holds_empty(&self) -> bool {
        matches!(self.values, Values::Text(_) | Values::Bytes(_))
    }

    /// Whether it takes JSON as it is written.
    pub(super) fn takes_json(&self) -> bool {
        matches!(self.values, Values::Super(_))
    }

    /// A JSON number as the column reads it: many writers put `5.0` for a whole number.
    pub(super) fn json_number<'t>(&self, text: Cow<'t, str>) -> Cow<'t, str> {
        let whole = matches!(self.values, Values::Int16(_) | Values::Int32(_) | Values::Int64(_));
        match text.split_once('.') {
            Some((digits, zeros)) if whole && !zeros.is_empty() && zeros.bytes().all(|b| b == b'0') => {
                Cow::Owned(digits.to_string())
            }
            _ => text,
        }
    }

    /// The type as a Postgres client knows it.
    pub(super) fn type_name(&self) -> String {
        match self.field.data_type() {
            DataType::Boolean => "boolean".into(),
            DataType::Int16 => "smallint".into(),
            DataType::Int32 => "integer".into(),
            DataType::Int64 => "bigint".into(),
            DataType::Float32 => "real".into(),
            DataType::Float64 => "double precision".into(),
            DataType::Decimal128(precision, scale) => format!("numeric({precision},{scale})"),
            DataType::Date32 => "date".into(),
            DataType::Time64(_) => "time".into(),
            DataType::Timestamp(_, None) => "timestamp".into(),
            DataType::Timestamp(_, Some(_)) => "timestamp with time zone".into(),
            DataType::Utf8View if is_super(&self.field) => SUPER.into(),
            DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => "text".into(),
            DataType::Binary | DataType::BinaryView | DataType::LargeBinary => "bytea".into(),
            other => other.to_string(),
        }
    }

    /// Adds a NULL.
    pub(super) fn push_null(&mut self) {
        self.valid.append(false);
        match &mut self.values {
            Values::Bool(v) => v.append(false),
            Values::Int16(v) => v.push(0),
            Values::Int32(v) | Values::Date(v) => v.push(0),
            Values::Int64(v) | Values::Time(v) | Values::Timestamp(v, _) => v.push(0),
            Values::Float32(v) => v.push(0.0),
            Values::Float64(v) => v.push(0.0),
            Values::Decimal(v, ..) => v.push(0),
            Values::Text(v) | Values::Bytes(v) | Values::Cast(v) | Values::Nested(v) | Values::Super(v) => v.close(),
        }
    }

    /// Adds the value that a text means. On an error the column may hold half of it: [`Self::truncate`] follows.
    pub(super) fn push(&mut self, text: &[u8]) -> Result<(), Bad> {
        match &mut self.values {
            Values::Bool(v) => v.append(values::boolean(text)?),
            Values::Int16(v) => v.push(i16::try_from(values::integer(text)?).map_err(|_| Bad::Range)?),
            Values::Int32(v) => v.push(i32::try_from(values::integer(text)?).map_err(|_| Bad::Range)?),
            Values::Int64(v) => v.push(values::integer(text)?),
            Values::Float32(v) => v.push(values::real(text)?),
            Values::Float64(v) => v.push(values::float(text)?),
            Values::Decimal(v, precision, scale) => v.push(values::decimal(text, *precision, *scale)?),
            Values::Date(v) => v.push(values::date(text)?),
            Values::Time(v) => v.push(values::time(text)?),
            Values::Timestamp(v, zoned) => v.push(values::timestamp(text, *zoned)?),
            Values::Text(v) => {
                std::str::from_utf8(text).map_err(|_| Bad::Encoding)?;
                v.bytes.extend_from_slice(text);
                v.close();
            }
            Values::Bytes(v) => {
                values::bytea(text, &mut v.bytes)?;
                v.close();
            }
            Values::Cast(v) => {
                castable(text, self.field.data_type())?;
                v.bytes.extend_from_slice(text);
                v.close();
            }
            Values::Super(v) => {
                let text = std::str::from_utf8(text).map_err(|_| Bad::Encoding)?;
                let json = partiql::normalize(text).map_err(|wrong| match wrong {
                    Wrong::Syntax(_) => Bad::Syntax,
                    Wrong::Long | Wrong::Deep => Bad::Range,
                })?;
                v.bytes.extend_from_slice(json.as_bytes());
                v.close();
            }
            Values::Nested(v) => {
                let text = std::str::from_utf8(text).map_err(|_| Bad::Encoding)?;
                v.bytes.extend_from_slice(nested::to_json(text, self.field.data_type())?.as_bytes());
                v.close();
            }
        }
        self.valid.append(true);
        Ok(())
    }

    /// Back to so many rows.
    pub(super) fn truncate(&mut self, rows: usize) {
        if self.valid.len() > rows {
            self.valid.truncate(rows);
        }
        match &mut self.values {
            Values::Bool(v) => {
                if v.len() > rows {
                    v.truncate(rows);
                }
            }
            Values::Int16(v) => v.truncate(rows),
            Values::Int32(v) | Values::Date(v) => v.truncate(rows),
            Values::Int64(v) | Values::Time(v) | Values::Timestamp(v, _) => v.truncate(rows),
            Values::Float32(v) => v.truncate(rows),
            Values::Float64(v) => v.truncate(rows),
            Values::Decimal(v, ..) => v.truncate(rows),
            Values::Text(v) | Values::Bytes(v) | Values::Cast(v) | Values::Nested(v) | Values::Super(v) => {
                v.truncate(rows);
            }
        }
    }

    /// The rows so far as an array of the field's type; the column is empty afterwards.
    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let nulls = Some(NullBuffer::new(self.valid.finish())).filter(|n| n.null_count() > 0);
        let array: ArrayRef = match &mut self.values {
            Values::Bool(v) => Arc::new(BooleanArray::new(v.finish(), nulls)),
            Values::Int16(v) => Arc::new(Int16Array::new(std::mem::take(v).into(), nulls)),
            Values::Int32(v) => Arc::new(Int32Array::new(std::mem::take(v).into(), nulls)),
            Values::Int64(v) => Arc::new(Int64Array::new(std::mem::take(v).into(), nulls)),
            Values::Float32(v) => Arc::new(Float32Array::new(std::mem::take(v).into(), nulls)),
            Values::Float64(v) => Arc::new(Float64Array::new(std::mem::take(v).into(), nulls)),
            Values::Decimal(v, precision, scale) => {
                let array = Decimal128Array::new(std::mem::take(v).into(), nulls);
                Arc::new(array.with_precision_and_scale(*precision, *scale)?)
            }
            Values::Date(v) => Arc::new(Date32Array::new(std::mem::take(v).into(), nulls)),
            Values::Time(v) => Arc::new(Time64MicrosecondArray::new(std::mem::take(v).into(), nulls)),
            Values::Timestamp(v, _) => {
                let array = TimestampMicrosecondArray::new(std::mem::take(v).into(), nulls);
                match self.field.data_type() {
                    DataType::Timestamp(_, zone) => Arc::new(array.with_timezone_opt(zone.clone())),
                    _ => Arc::new(array),
                }
            }
            Values::Text(v) | Values::Cast(v) | Values::Super(v) => {
                let (offsets, bytes) = v.take();
                Arc::new(StringArray::try_new(offsets, bytes, nulls)?)
            }
            Values::Nested(v) => {
                let (offsets, bytes) = v.take();
                let texts = StringArray::try_new(offsets, bytes, nulls)?;
                let or_null = texts.iter().map(|text| text.unwrap_or("null"));
                nested::from_json(or_null, texts.len(), self.field.data_type())?
            }
            Values::Bytes(v) => {
                let (offsets, bytes) = v.take();
                Arc::new(BinaryArray::try_new(offsets, bytes, nulls)?)
            }
        };
        if array.data_type() == self.field.data_type() { Ok(array) } else { cast(&array, self.field.data_type()) }
    }
}

/// Whether arrow's cast reads the text as a type that has no parser here. Slow, and for rare types only.
fn castable(text: &[u8], to: &DataType) -> Result<(), Bad> {
    let text = std::str::from_utf8(text).map_err(|_| Bad::Encoding)?;
    let one = StringArray::from(vec![text]);
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(&one, to, &strict).map(drop).map_err(|_| Bad::Syntax)
}

/// Text as the bytes it means: hex after `\\x`, else Postgres' escapes. 22P02 for what means none.
pub fn bytes_of_text(array: &ArrayRef) -> Result<ArrayRef> {
    let text = cast(array, &DataType::Utf8).map_err(Error::internal)?;
    let mut bytes = arrow::array::BinaryBuilder::new();
    let mut value = Vec::new();
    for text in text.as_string::<i32>() {
        let Some(text) = text else {
            bytes.append_null();
            continue;
        };
        value.clear();
        let invalid = |_| Error::new(Kind::InvalidText, "invalid input syntax for type bytea");
        values::bytea(text.as_bytes(), &mut value).map_err(invalid)?;
        bytes.append_value(&value);
    }
    Ok(Arc::new(bytes.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::AsArray;
    use arrow::datatypes::{Field, Int64Type};

    #[test]
    fn a_bad_value_leaves_no_row() {
        for data_type in [DataType::Int64, DataType::Utf8View, DataType::Boolean, DataType::Decimal128(9, 2)] {
            let mut column = ColumnBuilder::new(Arc::new(Field::new("c", data_type.clone(), true))).unwrap();
            column.push(b"1").unwrap();
            column.push_null();
            assert!(column.push(b"\xff").is_err());
            column.truncate(2);
            let array = column.finish().unwrap();
            assert_eq!((array.len(), array.null_count(), array.data_type()), (2, 1, &data_type));
        }
    }

    #[test]
    fn numbers_fit_or_fail() {
        let mut column = ColumnBuilder::new(Arc::new(Field::new("c", DataType::Int16, true))).unwrap();
        assert_eq!(column.push(b"40000"), Err(Bad::Range));
        let mut wide = ColumnBuilder::new(Arc::new(Field::new("c", DataType::Int64, true))).unwrap();
        wide.push(b"40000").unwrap();
        assert_eq!(wide.finish().unwrap().as_primitive::<Int64Type>().value(0), 40_000);
    }
}
