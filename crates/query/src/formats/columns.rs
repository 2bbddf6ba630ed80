//! Columns under construction: typed vectors that take text and can take back the last row, so that a bad field leaves
//! no half row behind.

use super::field_rules::{FieldRules, Lengths};
use super::load_error::Family;
use super::nested;
use super::values::{self, Bad};
use crate::partiql::{self, Wrong};
use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, BooleanBufferBuilder, Date32Array, Decimal128Array,
    Float32Array, Float64Array, Int16Array, Int32Array, Int64Array, IntervalMonthDayNanoArray, StringArray,
    Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::{CastOptions, can_cast_types, cast, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, IntervalMonthDayNano, IntervalUnit};
use arrow::error::ArrowError;
use std::borrow::Cow;
use std::sync::Arc;
use tidegate_catalog::{PG_TYPE_KEY, SUPER, TIMETZ, is_super, is_timetz};
use tidegate_core::{Error, Kind, Result};

/// One column of the batch that is being filled.
pub(super) struct ColumnBuilder {
    field: FieldRef,
    values: Values,
    rows: usize,
    /// Which rows hold a value; None as long as all do.
    valid: Option<BooleanBufferBuilder>,
    rules: Arc<FieldRules>,
    limit: Option<Limit>,
    scratch: Vec<u8>,
    /// Values in which bytes were replaced since this was last asked.
    replaced: bool,
}

/// The declared length of a text column.
#[derive(Debug, Clone, Copy)]
struct Limit {
    bytes: usize,
    /// `char(n)`: of single bytes only, in Redshift.
    is_char: bool,
}

impl Limit {
    /// Of a field that says its SQL type.
    fn of(field: &Field) -> Option<Limit> {
        let name = field.metadata().get(PG_TYPE_KEY)?;
        let (word, rest) = name.split_once('(')?;
        let bytes = rest.trim_end_matches(')').parse().ok()?;
        matches!(word, "character varying" | "character").then_some(Limit { bytes, is_char: word == "character" })
    }

    /// Where a text that is too long is to be cut: between characters. Blanks at its end do not count.
    fn cut(self, text: &[u8]) -> Option<usize> {
        if text.len() <= self.bytes {
            return None;
        }
        let end = text.iter().rposition(|byte| *byte != b' ').map_or(0, |at| at + 1);
        if end <= self.bytes {
            return None;
        }
        let is_start = |at: &usize| text.get(*at).is_some_and(|byte| *byte & 0xc0 != 0x80);
        (0..=self.bytes).rev().find(is_start)
    }
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
    /// Whether it is of UTC.
    Time(Vec<i64>, bool),
    Timestamp(Vec<i64>, bool),
    Interval(Vec<IntervalMonthDayNano>),
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
        (OffsetBuffer::new(ScalarBuffer::from(offsets)), Buffer::from_vec(taken(&mut self.bytes)))
    }
}

/// What is there, and room for as much again: the next batch is mostly of the same size.
fn taken<T>(values: &mut Vec<T>) -> Vec<T> {
    let room = Vec::with_capacity(values.len());
    std::mem::replace(values, room)
}

impl ColumnBuilder {
    /// An empty column of the field's type, or an error that names it when text cannot become it.
    pub(super) fn new(field: FieldRef, rules: &Arc<FieldRules>) -> Result<Self> {
        let values = match field.data_type() {
            DataType::Boolean => Values::Bool(BooleanBufferBuilder::new(0)),
            DataType::Int16 => Values::Int16(Vec::new()),
            DataType::Int32 => Values::Int32(Vec::new()),
            DataType::Int64 => Values::Int64(Vec::new()),
            DataType::Float32 => Values::Float32(Vec::new()),
            DataType::Float64 => Values::Float64(Vec::new()),
            DataType::Decimal128(precision, scale) => Values::Decimal(Vec::new(), *precision, *scale),
            DataType::Date32 => Values::Date(Vec::new()),
            DataType::Time64(_) => Values::Time(Vec::new(), is_timetz(&field)),
            DataType::Timestamp(_, zone) => Values::Timestamp(Vec::new(), zone.is_some()),
            DataType::Interval(IntervalUnit::MonthDayNano) => Values::Interval(Vec::new()),
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
        let limit = Limit::of(&field).filter(|_| rules.lengths != Lengths::Free);
        let (rules, scratch) = (Arc::clone(rules), Vec::new());
        Ok(ColumnBuilder { field, values, rows: 0, valid: None, rules, limit, scratch, replaced: false })
    }

    /// How values are read.
    pub(super) fn rules(&self) -> &FieldRules {
        &self.rules
    }

    /// Whether it is text of some length.
    pub(super) fn is_text(&self) -> bool {
        matches!(self.values, Values::Text(_))
    }

    /// Whether it is a date or a time, which ACCEPTANYDATE lets be anything.
    pub(super) fn is_date(&self) -> bool {
        matches!(self.values, Values::Date(_) | Values::Timestamp(..))
    }

    /// Whether the last value had bytes that were replaced.
    pub(super) fn take_replaced(&mut self) -> bool {
        std::mem::take(&mut self.replaced)
    }

    /// The type as Redshift abbreviates it (`stl_load_errors.type`).
    pub(super) fn short_type(&self) -> String {
        match self.field.data_type() {
            DataType::Boolean => "bool".into(),
            DataType::Int16 => "int2".into(),
            DataType::Int32 => "int4".into(),
            DataType::Int64 => "int8".into(),
            DataType::Float32 => "float4".into(),
            DataType::Float64 => "float8".into(),
            DataType::Decimal128(..) => "numeric".into(),
            DataType::Timestamp(_, Some(_)) => "timestamptz".into(),
            DataType::Time64(_) if is_timetz(&self.field) => "timetz".into(),
            _ if self.is_text() && self.limit.is_some_and(|limit| limit.is_char) => "char".into(),
            _ if self.is_text() => "varchar".into(),
            _ => self.type_name(),
        }
    }

    /// The length as it was declared (`stl_load_errors.col_length`); 0 for types of one size.
    pub(super) fn length(&self) -> String {
        match self.field.data_type() {
            DataType::Decimal128(precision, scale) => format!("{precision}, {scale}"),
            _ => self.limit.map_or(0, |limit| limit.bytes).to_string(),
        }
    }

    /// What sort of value it takes.
    pub(super) fn family(&self) -> Family {
        match &self.values {
            Values::Bool(_) => Family::Boolean,
            Values::Int16(_) => Family::Short,
            Values::Int32(_) => Family::Integer,
            Values::Int64(_) => Family::Long,
            Values::Float32(_) => Family::Real,
            Values::Float64(_) => Family::Double,
            Values::Decimal(..) => Family::Decimal,
            Values::Date(_) => Family::Date,
            Values::Timestamp(..) | Values::Time(..) => Family::Time,
            Values::Super(_) => Family::Super,
            _ => Family::Other,
        }
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
        if !matches!(self.values, Values::Int16(_) | Values::Int32(_) | Values::Int64(_)) {
            return text;
        }
        let point = memchr::memchr(b'.', text.as_bytes()).and_then(|at| text.split_at_checked(at));
        match point {
            Some((digits, zeros)) if zeros.len() > 1 && zeros.bytes().skip(1).all(|b| b == b'0') => {
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
            DataType::Time64(_) if is_timetz(&self.field) => TIMETZ.into(),
            DataType::Time64(_) => "time".into(),
            DataType::Timestamp(_, None) => "timestamp".into(),
            DataType::Timestamp(_, Some(_)) => "timestamp with time zone".into(),
            DataType::Interval(_) => "interval".into(),
            DataType::Utf8View if is_super(&self.field) => SUPER.into(),
            DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => "text".into(),
            DataType::Binary | DataType::BinaryView | DataType::LargeBinary => "bytea".into(),
            other => other.to_string(),
        }
    }

    /// Adds a NULL.
    pub(super) fn push_null(&mut self) {
        let rows = self.rows;
        let all_so_far = || {
            let mut valid = BooleanBufferBuilder::new(rows + 1);
            valid.append_n(rows, true);
            valid
        };
        self.valid.get_or_insert_with(all_so_far).append(false);
        self.rows += 1;
        match &mut self.values {
            Values::Bool(v) => v.append(false),
            Values::Int16(v) => v.push(0),
            Values::Int32(v) | Values::Date(v) => v.push(0),
            Values::Int64(v) | Values::Time(v, _) | Values::Timestamp(v, _) => v.push(0),
            Values::Interval(v) => v.push(IntervalMonthDayNano::ZERO),
            Values::Float32(v) => v.push(0.0),
            Values::Float64(v) => v.push(0.0),
            Values::Decimal(v, ..) => v.push(0),
            Values::Text(v) | Values::Bytes(v) | Values::Cast(v) | Values::Nested(v) | Values::Super(v) => v.close(),
        }
    }

    /// Adds the value that a text means. On an error the column may hold half of it: [`Self::truncate`] follows. `is_utf8`
    /// tells that somebody has looked.
    pub(super) fn push(&mut self, text: &[u8], is_utf8: bool) -> Result<(), Bad> {
        match &mut self.values {
            Values::Bool(v) => v.append(values::boolean(text)?),
            Values::Int16(v) => v.push(i16::try_from(values::integer(text)?).map_err(|_| Bad::Range)?),
            Values::Int32(v) => v.push(i32::try_from(values::integer(text)?).map_err(|_| Bad::Range)?),
            Values::Int64(v) => v.push(values::integer(text)?),
            Values::Float32(v) => v.push(values::real(text)?),
            Values::Float64(v) => v.push(values::float(text)?),
            Values::Decimal(v, precision, scale) => {
                v.push(values::decimal(text, *precision, *scale, !self.rules.cut_decimals)?);
            }
            Values::Date(v) => v.push(match &self.rules.date_format {
                Some(pattern) => pattern.date(text)?,
                None => self.rules.date(text)?,
            }),
            Values::Time(v, zoned) => v.push(self.rules.time(text, *zoned)?),
            Values::Timestamp(v, zoned) => v.push(self.rules.timestamp(text, *zoned)?),
            Values::Interval(v) => v.push(values::interval(text)?),
            Values::Text(v) => {
                let text = if is_utf8 || std::str::from_utf8(text).is_ok() {
                    text
                } else {
                    let stand_in = self.rules.invalid_char.ok_or(Bad::Encoding)?;
                    self.replaced = true;
                    replace_invalid(text, stand_in, &mut self.scratch)
                };
                let text = trimmed(text, &self.rules, self.limit)?;
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
        if let Some(valid) = &mut self.valid {
            valid.append(true);
        }
        self.rows += 1;
        Ok(())
    }

    /// Back to so many rows.
    pub(super) fn truncate(&mut self, rows: usize) {
        self.rows = self.rows.min(rows);
        if let Some(valid) = self.valid.as_mut().filter(|valid| valid.len() > rows) {
            valid.truncate(rows);
        }
        match &mut self.values {
            Values::Bool(v) => {
                if v.len() > rows {
                    v.truncate(rows);
                }
            }
            Values::Int16(v) => v.truncate(rows),
            Values::Int32(v) | Values::Date(v) => v.truncate(rows),
            Values::Int64(v) | Values::Time(v, _) | Values::Timestamp(v, _) => v.truncate(rows),
            Values::Interval(v) => v.truncate(rows),
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
        let nulls = self.valid.take().map(|mut valid| NullBuffer::new(valid.finish()));
        let nulls = nulls.filter(|nulls| nulls.null_count() > 0);
        self.rows = 0;
        let array: ArrayRef = match &mut self.values {
            Values::Bool(v) => Arc::new(BooleanArray::new(v.finish(), nulls)),
            Values::Int16(v) => Arc::new(Int16Array::new(taken(v).into(), nulls)),
            Values::Int32(v) => Arc::new(Int32Array::new(taken(v).into(), nulls)),
            Values::Int64(v) => Arc::new(Int64Array::new(taken(v).into(), nulls)),
            Values::Float32(v) => Arc::new(Float32Array::new(taken(v).into(), nulls)),
            Values::Float64(v) => Arc::new(Float64Array::new(taken(v).into(), nulls)),
            Values::Decimal(v, precision, scale) => {
                let array = Decimal128Array::new(taken(v).into(), nulls);
                Arc::new(array.with_precision_and_scale(*precision, *scale)?)
            }
            Values::Date(v) => Arc::new(Date32Array::new(taken(v).into(), nulls)),
            Values::Time(v, _) => Arc::new(Time64MicrosecondArray::new(taken(v).into(), nulls)),
            Values::Timestamp(v, _) => {
                let array = TimestampMicrosecondArray::new(taken(v).into(), nulls);
                match self.field.data_type() {
                    DataType::Timestamp(_, zone) => Arc::new(array.with_timezone_opt(zone.clone())),
                    _ => Arc::new(array),
                }
            }
            Values::Interval(v) => Arc::new(IntervalMonthDayNanoArray::new(taken(v).into(), nulls)),
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

/// A text without what the rules cut off.
fn trimmed<'t>(text: &'t [u8], rules: &FieldRules, limit: Option<Limit>) -> Result<&'t [u8], Bad> {
    let text = if rules.trim_blanks { text.trim_ascii_end() } else { text };
    let Some(limit) = limit else { return Ok(text) };
    if limit.is_char && !text.is_ascii() {
        return Err(Bad::Multibyte);
    }
    match (limit.cut(text), rules.lengths) {
        (Some(end), Lengths::Cut) => Ok(text.get(..end).unwrap_or(text)),
        (Some(_), _) => Err(Bad::Long),
        (None, _) => Ok(text),
    }
}

/// The text with each byte that is not UTF-8 replaced.
fn replace_invalid<'s>(text: &[u8], stand_in: u8, scratch: &'s mut Vec<u8>) -> &'s [u8] {
    scratch.clear();
    for chunk in text.utf8_chunks() {
        scratch.extend_from_slice(chunk.valid().as_bytes());
        scratch.extend(std::iter::repeat_n(stand_in, chunk.invalid().len()));
    }
    scratch
}

/// Whether arrow's cast reads the text as a type that has no parser here. Slow, and for rare types only.
fn castable(text: &[u8], to: &DataType) -> Result<(), Bad> {
    let text = std::str::from_utf8(text).map_err(|_| Bad::Encoding)?;
    let one = StringArray::from(vec![text]);
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(&one, to, &strict).map(drop).map_err(|_| Bad::Syntax)
}

/// Days since 1970 of a date in ISO 8601: what most dates are.
pub fn plain_date(text: &str) -> Option<i32> {
    values::date(text.as_bytes()).ok().filter(|_| has_year(text))
}

/// Microseconds since 1970 of a moment in ISO 8601. With `zoned`, an offset in the text counts and its absence means UTC.
pub fn plain_timestamp(text: &str, zoned: bool) -> Option<i64> {
    // What is finer than microseconds is rounded with care.
    let fraction = text.split_once('.').map_or("", |(_, rest)| rest);
    let is_fine = fraction.bytes().take_while(u8::is_ascii_digit).count() <= 6;
    values::timestamp(text.as_bytes(), zoned).ok().filter(|_| is_fine && has_year(text))
}

/// There is no year 0 in SQL.
fn has_year(text: &str) -> bool {
    !text.trim_start().starts_with("0000")
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
    use arrow::datatypes::Int64Type;

    #[test]
    fn a_bad_value_leaves_no_row() {
        for data_type in [DataType::Int64, DataType::Utf8View, DataType::Boolean, DataType::Decimal128(9, 2)] {
            let mut column =
                ColumnBuilder::new(Arc::new(Field::new("c", data_type.clone(), true)), &Arc::default()).unwrap();
            column.push(b"1", true).unwrap();
            column.push_null();
            assert!(column.push(b"\xff", false).is_err());
            column.truncate(2);
            let array = column.finish().unwrap();
            assert_eq!((array.len(), array.null_count(), array.data_type()), (2, 1, &data_type));
        }
    }

    #[test]
    fn numbers_fit_or_fail() {
        let mut column = ColumnBuilder::new(Arc::new(Field::new("c", DataType::Int16, true)), &Arc::default()).unwrap();
        assert_eq!(column.push(b"40000", true), Err(Bad::Range));
        let mut wide = ColumnBuilder::new(Arc::new(Field::new("c", DataType::Int64, true)), &Arc::default()).unwrap();
        wide.push(b"40000", true).unwrap();
        assert_eq!(wide.finish().unwrap().as_primitive::<Int64Type>().value(0), 40_000);
    }

    #[test]
    fn text_is_as_long_as_it_may_be() {
        let field = |name: &str| {
            let metadata = [(PG_TYPE_KEY.to_string(), name.to_string())].into();
            Arc::new(Field::new("c", DataType::Utf8View, true).with_metadata(metadata))
        };
        let cases = [
            ("character varying(3)", Lengths::Checked, "hé  ", Ok("hé  ")),
            ("character varying(3)", Lengths::Checked, "héé", Err(Bad::Long)),
            ("character varying(4)", Lengths::Cut, "héé", Ok("hé")),
            ("character(3)", Lengths::Checked, "é", Err(Bad::Multibyte)),
            ("character(3)", Lengths::Cut, "abcd", Ok("abc")),
            ("character varying(3)", Lengths::Free, "abcd", Ok("abcd")),
        ];
        for (name, lengths, text, expected) in cases {
            let rules = Arc::new(FieldRules { lengths, ..FieldRules::default() });
            let mut column = ColumnBuilder::new(field(name), &rules).unwrap();
            let found = column.push(text.as_bytes(), true).map(|()| column.finish().unwrap());
            let found = found.map(|array| array.as_string_view().value(0).to_string());
            assert_eq!(found, expected.map(str::to_string), "{name} {lengths:?} {text}");
        }
    }
}
