//! A column of a batch, downcast once: each value is then written by one match on an enum, without dynamic dispatch.

use super::number::{put_float4, put_float8, put_integer, put_unsigned};
use super::numeric::{Digits, put_decimal};
use super::scalar::{out_of_range, put_bytes_text, put_integer_binary, put_text_binary};
use super::time::{self, Zone};
use super::{array, json};
use crate::types::{WireType, oid};
use arrow::array::*;
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::*;
use tidegate_core::{Error, Result};

/// The values of a column, in the few forms that are written apart.
pub enum Values {
    /// Nothing but NULL.
    Null,
    /// True and false.
    Bool(BooleanArray),
    /// Signed integers.
    I8(Int8Array),
    /// Signed integers.
    I16(Int16Array),
    /// Signed integers.
    I32(Int32Array),
    /// Signed integers.
    I64(Int64Array),
    /// Unsigned integers.
    U8(UInt8Array),
    /// Unsigned integers.
    U16(UInt16Array),
    /// Unsigned integers.
    U32(UInt32Array),
    /// Unsigned integers, a numeric to Postgres.
    U64(UInt64Array),
    /// `real`.
    F32(Float32Array),
    /// `double precision`.
    F64(Float64Array),
    /// Decimals up to 38 digits.
    Dec128(Decimal128Array, i8),
    /// Decimals up to 76 digits.
    Dec256(Decimal256Array, i8),
    /// Text.
    Utf8(StringArray),
    /// Text with long offsets.
    LargeUtf8(LargeStringArray),
    /// Text as views.
    Utf8View(StringViewArray),
    /// Bytes.
    Binary(BinaryArray),
    /// Bytes with long offsets.
    LargeBinary(LargeBinaryArray),
    /// Bytes as views.
    BinaryView(BinaryViewArray),
    /// Bytes of one length.
    FixedBinary(FixedSizeBinaryArray),
    /// Days.
    Date(Date32Array),
    /// Microseconds of a day.
    Time(Time64MicrosecondArray),
    /// Instants in a unit; with a zone or without.
    Timestamp(ScalarBuffer<i64>, TimeUnit, bool),
    /// Months.
    IntervalMonths(IntervalYearMonthArray),
    /// Days and milliseconds.
    IntervalDays(IntervalDayTimeArray),
    /// Months, days and nanoseconds.
    IntervalFull(IntervalMonthDayNanoArray),
    /// Lengths of time in a unit.
    Duration(ScalarBuffer<i64>, TimeUnit),
    /// Arrays.
    List(OffsetBuffer<i64>, Box<Column>),
    /// Fields by name, shown as JSON.
    Struct(Vec<(String, Column)>),
    /// Keys and values, shown as JSON.
    Map(OffsetBuffer<i64>, Box<Column>, Box<Column>),
}

/// A column of a batch with the type that its client was told.
pub struct Column {
    pub(super) values: Values,
    nulls: Option<arrow::buffer::NullBuffer>,
    pub(super) wire: WireType,
    zone: Zone,
}

/// To microseconds; None when it does not fit.
fn to_micros(value: i64, unit: TimeUnit) -> Option<i64> {
    match unit {
        TimeUnit::Second => value.checked_mul(1_000_000),
        TimeUnit::Millisecond => value.checked_mul(1_000),
        TimeUnit::Microsecond => Some(value),
        TimeUnit::Nanosecond => Some(value.div_euclid(1_000)),
    }
}

fn long_offsets(offsets: &OffsetBuffer<i32>) -> OffsetBuffer<i64> {
    OffsetBuffer::new(offsets.iter().map(|o| i64::from(*o)).collect::<Vec<_>>().into())
}

impl Column {
    /// Downcasts an array.
    pub fn new(array: &ArrayRef, wire: WireType, zone: Zone) -> Result<Self> {
        let nulls = array.logical_nulls();
        let padded = padded(array, &wire)?;
        let values = Self::values_of(padded.as_ref().unwrap_or(array), &wire, zone)?;
        Ok(Column { values, nulls, wire, zone })
    }

    fn values_of(array: &ArrayRef, wire: &WireType, zone: Zone) -> Result<Values> {
        let recast = |to: &DataType| -> Result<Values> {
            let array = cast(array, to).map_err(|e| Error::internal(format!("cannot send a column: {e}")))?;
            Self::values_of(&array, wire, zone)
        };
        Ok(match array.data_type() {
            DataType::Null => Values::Null,
            DataType::Boolean => Values::Bool(array.as_boolean().clone()),
            DataType::Int8 => Values::I8(array.as_primitive().clone()),
            DataType::Int16 => Values::I16(array.as_primitive().clone()),
            DataType::Int32 => Values::I32(array.as_primitive().clone()),
            DataType::Int64 => Values::I64(array.as_primitive().clone()),
            DataType::UInt8 => Values::U8(array.as_primitive().clone()),
            DataType::UInt16 => Values::U16(array.as_primitive().clone()),
            DataType::UInt32 => Values::U32(array.as_primitive().clone()),
            DataType::UInt64 => Values::U64(array.as_primitive().clone()),
            DataType::Float16 => recast(&DataType::Float32)?,
            DataType::Float32 => Values::F32(array.as_primitive().clone()),
            DataType::Float64 => Values::F64(array.as_primitive().clone()),
            DataType::Decimal32(p, s) | DataType::Decimal64(p, s) => recast(&DataType::Decimal128(*p, *s))?,
            DataType::Decimal128(_, s) => Values::Dec128(array.as_primitive().clone(), *s),
            DataType::Decimal256(_, s) => Values::Dec256(array.as_primitive().clone(), *s),
            DataType::Utf8 => Values::Utf8(array.as_string().clone()),
            DataType::LargeUtf8 => Values::LargeUtf8(array.as_string().clone()),
            DataType::Utf8View => Values::Utf8View(array.as_string_view().clone()),
            DataType::Binary => Values::Binary(array.as_binary().clone()),
            DataType::LargeBinary => Values::LargeBinary(array.as_binary().clone()),
            DataType::BinaryView => Values::BinaryView(array.as_binary_view().clone()),
            DataType::FixedSizeBinary(_) => Values::FixedBinary(array.as_fixed_size_binary().clone()),
            DataType::Date32 => Values::Date(array.as_primitive().clone()),
            DataType::Date64 => recast(&DataType::Timestamp(TimeUnit::Millisecond, None))?,
            DataType::Time64(TimeUnit::Microsecond) => Values::Time(array.as_primitive().clone()),
            DataType::Time32(_) | DataType::Time64(_) => recast(&DataType::Time64(TimeUnit::Microsecond))?,
            DataType::Timestamp(unit, tz) => Values::Timestamp(timestamps(array, *unit), *unit, tz.is_some()),
            DataType::Interval(IntervalUnit::YearMonth) => Values::IntervalMonths(array.as_primitive().clone()),
            DataType::Interval(IntervalUnit::DayTime) => Values::IntervalDays(array.as_primitive().clone()),
            DataType::Interval(IntervalUnit::MonthDayNano) => Values::IntervalFull(array.as_primitive().clone()),
            DataType::Duration(unit) => Values::Duration(durations(array, *unit), *unit),
            DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(_, _) => list(array, wire, zone)?,
            DataType::Struct(fields) => {
                let parts = fields.iter().zip(array.as_struct().columns());
                let part = |(f, c): (&FieldRef, &ArrayRef)| -> Result<(String, Column)> {
                    Ok((f.name().clone(), Column::new(c, WireType::of_field(f), zone)?))
                };
                Values::Struct(parts.map(part).collect::<Result<_>>()?)
            }
            DataType::Map(_, _) => {
                let map = array.as_map();
                let child = |a: &ArrayRef| Column::new(a, WireType::of_arrow(a.data_type()), zone).map(Box::new);
                Values::Map(long_offsets(map.offsets()), child(map.keys())?, child(map.values())?)
            }
            DataType::Dictionary(_, value) => recast(value)?,
            DataType::RunEndEncoded(_, values) => recast(values.data_type())?,
            _ => recast(&DataType::Utf8)?,
        })
    }

    /// Whether a row is NULL.
    #[inline]
    pub fn is_null(&self, row: usize) -> bool {
        match &self.nulls {
            Some(nulls) => nulls.is_null(row),
            None => matches!(self.values, Values::Null),
        }
    }

    fn integer(&self, row: usize) -> Option<i64> {
        Some(match &self.values {
            Values::I8(a) => i64::from(a.value(row)),
            Values::I16(a) => i64::from(a.value(row)),
            Values::I32(a) => i64::from(a.value(row)),
            Values::I64(a) => a.value(row),
            Values::U8(a) => i64::from(a.value(row)),
            Values::U16(a) => i64::from(a.value(row)),
            Values::U32(a) => i64::from(a.value(row)),
            _ => return None,
        })
    }

    /// The text of a textual column.
    #[inline]
    pub(super) fn str(&self, row: usize) -> Option<&str> {
        match &self.values {
            Values::Utf8(a) => Some(a.value(row)),
            Values::LargeUtf8(a) => Some(a.value(row)),
            Values::Utf8View(a) => Some(a.value(row)),
            _ => None,
        }
    }

    fn bytes(&self, row: usize) -> Option<&[u8]> {
        match &self.values {
            Values::Binary(a) => Some(a.value(row)),
            Values::LargeBinary(a) => Some(a.value(row)),
            Values::BinaryView(a) => Some(a.value(row)),
            Values::FixedBinary(a) => Some(a.value(row)),
            _ => None,
        }
    }

    fn interval(&self, row: usize) -> Result<Option<(i32, i32, i64)>> {
        Ok(Some(match &self.values {
            Values::IntervalMonths(a) => (a.value(row), 0, 0),
            Values::IntervalDays(a) => (0, a.value(row).days, i64::from(a.value(row).milliseconds) * 1000),
            Values::IntervalFull(a) => {
                let v = a.value(row);
                (v.months, v.days, v.nanoseconds / 1000)
            }
            Values::Duration(a, unit) => {
                let us = to_micros(a[row], *unit).ok_or_else(|| out_of_range("interval"))?;
                (0, (us / time::DAY_US) as i32, us % time::DAY_US)
            }
            _ => return Ok(None),
        }))
    }

    fn digits(&self, row: usize) -> Option<Digits> {
        Some(match &self.values {
            Values::Dec128(a, scale) => Digits::of_i128(a.value(row), *scale),
            Values::Dec256(a, scale) => Digits::of_i256(a.value(row), *scale),
            Values::U64(a) => Digits::of_i128(i128::from(a.value(row)), 0),
            _ => return None,
        })
    }

    /// Writes a value that is not NULL as text.
    pub fn put_text(&self, row: usize, out: &mut Vec<u8>) -> Result<()> {
        match &self.values {
            Values::Null => {}
            Values::Bool(a) => out.push(if a.value(row) { b't' } else { b'f' }),
            Values::I8(a) => put_integer(out, i64::from(a.value(row))),
            Values::I16(a) => put_integer(out, i64::from(a.value(row))),
            Values::I32(a) => put_integer(out, i64::from(a.value(row))),
            Values::I64(a) => put_integer(out, a.value(row)),
            Values::U8(a) => put_unsigned(out, u64::from(a.value(row))),
            Values::U16(a) => put_unsigned(out, u64::from(a.value(row))),
            Values::U32(a) => put_unsigned(out, u64::from(a.value(row))),
            Values::U64(a) => put_unsigned(out, a.value(row)),
            Values::F32(a) => put_float4(out, a.value(row)),
            Values::F64(a) => put_float8(out, a.value(row)),
            Values::Dec128(a, scale) => put_decimal(out, a.value(row), *scale),
            Values::Dec256(a, scale) => Digits::of_i256(a.value(row), *scale).put_text(out),
            Values::Utf8(a) => out.extend_from_slice(a.value(row).as_bytes()),
            Values::LargeUtf8(a) => out.extend_from_slice(a.value(row).as_bytes()),
            Values::Utf8View(a) => out.extend_from_slice(a.value(row).as_bytes()),
            Values::Binary(_) | Values::LargeBinary(_) | Values::BinaryView(_) | Values::FixedBinary(_) => {
                put_bytes_text(out, self.bytes(row).unwrap_or_default(), self.wire.oid);
            }
            Values::Date(a) => time::put_date(out, a.value(row)),
            Values::Time(a) => {
                time::put_time(out, a.value(row));
                if self.wire.oid == oid::TIMETZ {
                    out.extend_from_slice(b"+00");
                }
            }
            Values::Timestamp(a, unit, zoned) => {
                let us = to_micros(a[row], *unit).ok_or_else(|| out_of_range("timestamp"))?;
                if *zoned { time::put_timestamptz(out, us, self.zone) } else { time::put_timestamp(out, us) }
            }
            Values::IntervalMonths(_) | Values::IntervalDays(_) | Values::IntervalFull(_) | Values::Duration(..) => {
                if let Some((months, days, us)) = self.interval(row)? {
                    time::put_interval(out, months, days, us);
                }
            }
            Values::List(offsets, items) => {
                array::put_text(offsets, items, row, matches!(self.wire.oid, oid::INT2VECTOR | oid::OIDVECTOR), out)?;
            }
            Values::Struct(_) | Values::Map(..) => json::put(self, row, out)?,
        }
        Ok(())
    }

    /// Writes a value that is not NULL in Postgres' binary form of the type that the client was told.
    pub fn put_binary(&self, row: usize, out: &mut Vec<u8>) -> Result<()> {
        if let Some(value) = self.integer(row) {
            return put_integer_binary(out, value, self.wire.oid);
        }
        if let Some(text) = self.str(row) {
            return put_text_binary(out, text, self.wire.oid);
        }
        if let Some(bytes) = self.bytes(row) {
            out.extend_from_slice(bytes);
            return Ok(());
        }
        if let Some(digits) = self.digits(row) {
            digits.put_binary(out);
            return Ok(());
        }
        if let Some((months, days, us)) = self.interval(row)? {
            out.extend_from_slice(&us.to_be_bytes());
            out.extend_from_slice(&days.to_be_bytes());
            out.extend_from_slice(&months.to_be_bytes());
            return Ok(());
        }
        match &self.values {
            Values::Bool(a) => out.push(u8::from(a.value(row))),
            Values::F32(a) => out.extend_from_slice(&a.value(row).to_be_bytes()),
            Values::F64(a) => out.extend_from_slice(&a.value(row).to_be_bytes()),
            Values::Date(a) => {
                let days = time::days_from_2000(a.value(row)).ok_or_else(|| out_of_range("date"))?;
                out.extend_from_slice(&days.to_be_bytes());
            }
            Values::Time(a) => {
                out.extend_from_slice(&a.value(row).to_be_bytes());
                if self.wire.oid == oid::TIMETZ {
                    out.extend_from_slice(&0i32.to_be_bytes());
                }
            }
            Values::Timestamp(a, unit, _) => {
                let us = to_micros(a[row], *unit).and_then(time::micros_from_2000);
                out.extend_from_slice(&us.ok_or_else(|| out_of_range("timestamp"))?.to_be_bytes());
            }
            Values::List(offsets, items) => array::put_binary(offsets, items, row, self.wire, out)?,
            _ => {
                if self.wire.oid == oid::JSONB {
                    out.push(1);
                }
                self.put_text(row, out)?;
            }
        }
        Ok(())
    }
}

/// The values of a char(n) with the blanks at their end that the server does not keep. None: it is none.
fn padded(array: &ArrayRef, wire: &WireType) -> Result<Option<ArrayRef>> {
    let length = usize::try_from(wire.typmod.saturating_sub(4)).unwrap_or(0);
    if wire.oid != oid::BPCHAR || length == 0 {
        return Ok(None);
    }
    let texts = cast(array, &DataType::Utf8).map_err(|e| Error::internal(format!("cannot send a column: {e}")))?;
    let pad = |text: &str| format!("{text}{}", " ".repeat(length.saturating_sub(text.len())));
    let padded: StringArray = texts.as_string::<i32>().iter().map(|text| text.map(pad)).collect();
    Ok(Some(std::sync::Arc::new(padded)))
}

fn timestamps(array: &ArrayRef, unit: TimeUnit) -> ScalarBuffer<i64> {
    match unit {
        TimeUnit::Second => array.as_primitive::<TimestampSecondType>().values().clone(),
        TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().values().clone(),
        TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().values().clone(),
        TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().values().clone(),
    }
}

fn durations(array: &ArrayRef, unit: TimeUnit) -> ScalarBuffer<i64> {
    match unit {
        TimeUnit::Second => array.as_primitive::<DurationSecondType>().values().clone(),
        TimeUnit::Millisecond => array.as_primitive::<DurationMillisecondType>().values().clone(),
        TimeUnit::Microsecond => array.as_primitive::<DurationMicrosecondType>().values().clone(),
        TimeUnit::Nanosecond => array.as_primitive::<DurationNanosecondType>().values().clone(),
    }
}

fn list(array: &ArrayRef, wire: &WireType, zone: Zone) -> Result<Values> {
    let (offsets, items, field) = match array.data_type() {
        DataType::List(f) => {
            let list = array.as_list::<i32>();
            (long_offsets(list.offsets()), list.values().clone(), f)
        }
        DataType::LargeList(f) => {
            let list = array.as_list::<i64>();
            (list.offsets().clone(), list.values().clone(), f)
        }
        DataType::FixedSizeList(f, size) => {
            let list = array.as_fixed_size_list();
            (OffsetBuffer::from_lengths((0..list.len()).map(|_| *size as usize)), list.values().clone(), f)
        }
        other => return Err(Error::internal(format!("{other} is not a list"))),
    };
    let mut item = WireType::of_field(field);
    match (wire.oid, wire.element) {
        (oid::INT2VECTOR, _) => item.oid = oid::INT2,
        (oid::OIDVECTOR, _) => item.oid = oid::OID,
        (_, Some(element)) if item.element.is_none() => item.oid = element,
        _ => {}
    }
    Ok(Values::List(offsets, Box::new(Column::new(&items, item, zone)?)))
}
