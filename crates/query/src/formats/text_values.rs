//! Values as text, in Postgres' spelling: a writer for the values of one column, chosen once for a batch.

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryViewArray, BooleanArray, Date32Array, Decimal128Array, Float32Array,
    Float64Array, Int16Array, Int32Array, Int64Array, RecordBatch, StringArray, StringViewArray,
    Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, FieldRef, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type,
    Time64MicrosecondType, TimeUnit, TimestampMicrosecondType,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use std::fmt::Write as _;
use std::io::Write as _;
use tidegate_catalog::is_timetz;
use tidegate_core::{Error, Kind, Result};

const TIMESTAMP: &str = "%Y-%m-%d %H:%M:%S%.f";
const TIMESTAMP_TZ: &str = "%Y-%m-%d %H:%M:%S%.f%:z";
const TIME: &str = "%H:%M:%S%.f";
const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// Writes the values of one array.
pub(super) enum ColumnText<'a> {
    Bool(&'a BooleanArray),
    Int16(&'a Int16Array),
    Int32(&'a Int32Array),
    Int64(&'a Int64Array),
    Float32(&'a Float32Array),
    Float64(&'a Float64Array),
    Decimal(&'a Decimal128Array, i8),
    Date(&'a Date32Array),
    /// Whether it is of UTC, which the text then says.
    Time(&'a Time64MicrosecondArray, bool),
    /// Whether it is of UTC, which the text then says.
    Timestamp(&'a TimestampMicrosecondArray, bool),
    Text(&'a StringArray),
    TextView(&'a StringViewArray),
    Bytes(&'a BinaryArray),
    BytesView(&'a BinaryViewArray),
    /// Anything else, in Arrow's own words.
    Other(ArrayFormatter<'a>),
}

impl<'a> ColumnText<'a> {
    /// The writer for an array's type. 0A000 for a type that has no text.
    pub(super) fn new(array: &'a ArrayRef) -> Result<Self> {
        Ok(match array.data_type() {
            DataType::Boolean => ColumnText::Bool(array.as_boolean()),
            DataType::Int16 => ColumnText::Int16(array.as_primitive::<Int16Type>()),
            DataType::Int32 => ColumnText::Int32(array.as_primitive::<Int32Type>()),
            DataType::Int64 => ColumnText::Int64(array.as_primitive::<Int64Type>()),
            DataType::Float32 => ColumnText::Float32(array.as_primitive::<Float32Type>()),
            DataType::Float64 => ColumnText::Float64(array.as_primitive::<Float64Type>()),
            DataType::Decimal128(_, scale) if *scale >= 0 => {
                ColumnText::Decimal(array.as_primitive::<Decimal128Type>(), *scale)
            }
            DataType::Date32 => ColumnText::Date(array.as_primitive::<Date32Type>()),
            DataType::Time64(TimeUnit::Microsecond) => {
                ColumnText::Time(array.as_primitive::<Time64MicrosecondType>(), false)
            }
            DataType::Timestamp(TimeUnit::Microsecond, zone) if zone.as_deref().is_none_or(is_utc) => {
                ColumnText::Timestamp(array.as_primitive::<TimestampMicrosecondType>(), zone.is_some())
            }
            DataType::Utf8 => ColumnText::Text(array.as_string::<i32>()),
            DataType::Utf8View => ColumnText::TextView(array.as_string_view()),
            DataType::Binary => ColumnText::Bytes(array.as_binary::<i32>()),
            DataType::BinaryView => ColumnText::BytesView(array.as_binary_view()),
            _ => ColumnText::Other(formatter(array)?),
        })
    }

    /// The writers for a batch's columns, whose fields may say more than their types.
    pub(super) fn of_batch(batch: &'a RecordBatch) -> Result<Vec<Self>> {
        let one = |(field, array): (&'a FieldRef, &'a ArrayRef)| match ColumnText::new(array)? {
            ColumnText::Time(times, _) => Ok(ColumnText::Time(times, is_timetz(field))),
            other => Ok(other),
        };
        batch.schema_ref().fields().iter().zip(batch.columns()).map(one).collect()
    }

    /// Adds a value that is not NULL.
    pub(super) fn write(&self, row: usize, out: &mut Vec<u8>) -> Result<()> {
        match self {
            ColumnText::Bool(array) => out.push(if array.value(row) { b't' } else { b'f' }),
            ColumnText::Int16(array) => integer(i64::from(array.value(row)), out),
            ColumnText::Int32(array) => integer(i64::from(array.value(row)), out),
            ColumnText::Int64(array) => integer(array.value(row), out),
            ColumnText::Float32(array) => real(array.value(row), out),
            ColumnText::Float64(array) => float(array.value(row), out),
            ColumnText::Decimal(array, scale) => decimal(array.value(row), *scale, out),
            ColumnText::Date(array) => date(i64::from(array.value(row)), out),
            ColumnText::Time(array, zoned) => {
                time(array.value(row), out);
                if *zoned {
                    out.extend_from_slice(b"+00");
                }
            }
            ColumnText::Timestamp(array, zoned) => timestamp(array.value(row), *zoned, out),
            ColumnText::Text(array) => out.extend_from_slice(array.value(row).as_bytes()),
            ColumnText::TextView(array) => out.extend_from_slice(array.value(row).as_bytes()),
            ColumnText::Bytes(array) => hex(array.value(row), out),
            ColumnText::BytesView(array) => hex(array.value(row), out),
            ColumnText::Other(formatter) => return other(formatter, row, out),
        }
        Ok(())
    }
}

fn is_utc(zone: &str) -> bool {
    matches!(zone, "UTC" | "+00:00" | "Z")
}

fn refused(error: &dyn std::fmt::Display) -> Error {
    Error::new(Kind::Unsupported, format!("writing text: {error}"))
}

fn formatter(array: &ArrayRef) -> Result<ArrayFormatter<'_>> {
    // Formatting borrows its options for as long as the array.
    static OPTIONS: FormatOptions<'static> = FormatOptions::new()
        .with_timestamp_format(Some(TIMESTAMP))
        .with_timestamp_tz_format(Some(TIMESTAMP_TZ))
        .with_time_format(Some(TIME));
    ArrayFormatter::try_new(array.as_ref(), &OPTIONS).map_err(|error| refused(&error))
}

fn other(formatter: &ArrayFormatter<'_>, row: usize, out: &mut Vec<u8>) -> Result<()> {
    let mut text = String::new();
    write!(text, "{}", formatter.value(row)).map_err(|error| refused(&error))?;
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

fn integer(value: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// As short as it can be and still be read as the same number.
fn float(value: f64, out: &mut Vec<u8>) {
    if value.is_finite() {
        // Memory does not fail.
        let _ = write!(out, "{value:?}");
        trim_point(out);
    } else {
        special(value.is_nan(), value > 0.0, out);
    }
}

fn real(value: f32, out: &mut Vec<u8>) {
    if value.is_finite() {
        let _ = write!(out, "{value:?}");
        trim_point(out);
    } else {
        special(value.is_nan(), value > 0.0, out);
    }
}

fn special(nan: bool, positive: bool, out: &mut Vec<u8>) {
    let text: &[u8] = match (nan, positive) {
        (true, _) => b"NaN",
        (false, true) => b"Infinity",
        (false, false) => b"-Infinity",
    };
    out.extend_from_slice(text);
}

/// Rust writes `1.0` where Postgres writes `1`.
fn trim_point(out: &mut Vec<u8>) {
    if out.ends_with(b".0") {
        out.truncate(out.len() - 2);
    }
}

fn decimal(value: i128, scale: i8, out: &mut Vec<u8>) {
    let scale = usize::from(scale.unsigned_abs());
    let mut buffer = itoa::Buffer::new();
    // Most decimals are small, and small ones are cheaper.
    let digits = match u64::try_from(value.unsigned_abs()) {
        Ok(small) => buffer.format(small).as_bytes(),
        Err(_) => buffer.format(value.unsigned_abs()).as_bytes(),
    };
    if value < 0 {
        out.push(b'-');
    }
    if scale == 0 {
        out.extend_from_slice(digits);
        return;
    }
    let (whole, fraction) = digits.split_at(digits.len().saturating_sub(scale));
    out.extend_from_slice(if whole.is_empty() { b"0" } else { whole });
    out.push(b'.');
    out.extend(std::iter::repeat_n(b'0', scale - fraction.len()));
    out.extend_from_slice(fraction);
}

/// Two digits.
fn two(value: i64, out: &mut Vec<u8>) {
    out.push(b'0' + (value / 10 % 10) as u8);
    out.push(b'0' + (value % 10) as u8);
}

/// `YYYY-MM-DD`; years before the first have ` BC` behind all that follows, which is told.
fn days(days: i64, out: &mut Vec<u8>) -> bool {
    let (year, month, day) = civil(days);
    let before = year <= 0;
    let year = if before { 1 - year } else { year };
    if year < 10_000 {
        two(year / 100, out);
        two(year % 100, out);
    } else {
        integer(year, out);
    }
    out.push(b'-');
    two(month, out);
    out.push(b'-');
    two(day, out);
    before
}

/// Year, month and day of a number of days since 1970, by Howard Hinnant's `civil_from_days`.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, of_year - (153 * shifted + 2) / 5 + 1)
}

fn infinity(after: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if after { b"infinity" } else { b"-infinity" });
}

fn date(value: i64, out: &mut Vec<u8>) {
    if value == i64::from(i32::MAX) || value == i64::from(i32::MIN) {
        return infinity(value > 0, out);
    }
    if days(value, out) {
        out.extend_from_slice(b" BC");
    }
}

pub(super) fn time(micros: i64, out: &mut Vec<u8>) {
    let seconds = micros.div_euclid(MICROS_PER_SECOND);
    two(seconds / 3600, out);
    out.push(b':');
    two(seconds / 60 % 60, out);
    out.push(b':');
    two(seconds % 60, out);
    let mut fraction = micros.rem_euclid(MICROS_PER_SECOND);
    if fraction > 0 {
        out.push(b'.');
        let mut unit = MICROS_PER_SECOND / 10;
        while fraction > 0 {
            out.push(b'0' + (fraction / unit) as u8);
            fraction %= unit;
            unit /= 10;
        }
    }
}

fn timestamp(micros: i64, zoned: bool, out: &mut Vec<u8>) {
    if matches!(micros, i64::MAX | i64::MIN) {
        return infinity(micros > 0, out);
    }
    let before = days(micros.div_euclid(MICROS_PER_DAY), out);
    out.push(b' ');
    time(micros.rem_euclid(MICROS_PER_DAY), out);
    if zoned {
        out.extend_from_slice(b"+00");
    }
    if before {
        out.extend_from_slice(b" BC");
    }
}

fn hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
    out.extend_from_slice(b"\\x");
    out.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::*;
    use std::sync::Arc;

    fn written(array: ArrayRef) -> Vec<String> {
        let text = ColumnText::new(&array).unwrap();
        let value = |row| {
            let mut out = Vec::new();
            text.write(row, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        (0..array.len()).map(value).collect()
    }

    #[test]
    fn numbers() {
        assert_eq!(written(Arc::new(Int64Array::from(vec![i64::MIN, 0, 7]))), ["-9223372036854775808", "0", "7"]);
        let floats = vec![1.0, -0.5, 1e300, 5e-324, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        let expected = ["1", "-0.5", "1e300", "5e-324", "NaN", "Infinity", "-Infinity"];
        assert_eq!(written(Arc::new(Float64Array::from(floats))), expected);
        assert_eq!(written(Arc::new(Float32Array::from(vec![0.1, f32::MAX]))), ["0.1", "3.4028235e38"]);
        let decimals = Decimal128Array::from(vec![0, 5, -5, 12345, i128::pow(10, 38) - 1]);
        let decimals = decimals.with_precision_and_scale(38, 2).unwrap();
        let expected = ["0.00", "0.05", "-0.05", "123.45", "999999999999999999999999999999999999.99"];
        assert_eq!(written(Arc::new(decimals)), expected);
        let whole = Decimal128Array::from(vec![-7]).with_precision_and_scale(38, 0).unwrap();
        assert_eq!(written(Arc::new(whole)), ["-7"]);
    }

    #[test]
    fn times() {
        let dates = Date32Array::from(vec![0, -1, 19_782, -719_162, -719_163, 2_932_897]);
        let expected = ["1970-01-01", "1969-12-31", "2024-02-29", "0001-01-01", "0001-12-31 BC", "10000-01-01"];
        assert_eq!(written(Arc::new(dates)), expected);
        let stamps = TimestampMicrosecondArray::from(vec![0, 1_500_000, -1]);
        let expected = ["1970-01-01 00:00:00", "1970-01-01 00:00:01.5", "1969-12-31 23:59:59.999999"];
        assert_eq!(written(Arc::new(stamps.clone())), expected);
        assert_eq!(written(Arc::new(stamps.with_timezone("UTC")))[1], "1970-01-01 00:00:01.5+00");
        let times = Time64MicrosecondArray::from(vec![MICROS_PER_DAY - 1, 3_600_000_000]);
        assert_eq!(written(Arc::new(times)), ["23:59:59.999999", "01:00:00"]);
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for day in (-800_000..3_000_000).step_by(97) {
            let found = chrono::NaiveDate::from_num_days_from_ce_opt(day + 719_163).unwrap();
            let (year, month, day) = civil(i64::from(day));
            let expected =
                (chrono::Datelike::year(&found), chrono::Datelike::month(&found), chrono::Datelike::day(&found));
            assert_eq!((year as i32, month as u32, day as u32), expected);
        }
    }

    #[test]
    fn others() {
        assert_eq!(written(Arc::new(BooleanArray::from(vec![true, false]))), ["t", "f"]);
        assert_eq!(written(Arc::new(BinaryArray::from(vec![&b"\x00\xff"[..]]))), ["\\x00ff"]);
        let seconds = TimestampSecondArray::from(vec![1]);
        assert_eq!(written(Arc::new(seconds)), ["1970-01-01 00:00:01"]);
    }
}
