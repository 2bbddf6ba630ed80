//! Bound parameters: text or binary of a Postgres type, to the value that the engine takes.

use crate::encode::Format;
use crate::types::{self, WireType, oid};
use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType, Decimal256Type, DecimalType as _, Field,
    IntervalMonthDayNano, i256,
};
use datafusion::common::ScalarValue;
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};
use tidegate_query::datetime::{self, Reading};

mod array;
pub mod reader;

use reader::Reader;

/// Microseconds from 1970-01-01 to 2000-01-01, where Postgres begins to count.
const EPOCH_US: i64 = 946_684_800_000_000;
/// The same in days.
const EPOCH_DAYS: i32 = 10_957;
/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;

/// Reads one parameter. `reading` is the session's, for timestamps without an offset.
pub fn decode(told: u32, format: Format, bytes: Option<&[u8]>, reading: &Reading) -> Result<ScalarValue> {
    if let Some(element) = WireType::element_of(told) {
        return array::decode(element, format, bytes, reading);
    }
    let Some(bytes) = bytes else { return null_of(told) };
    match format {
        Format::Text => {
            let text = std::str::from_utf8(bytes).map_err(|_| {
                Error::new(Kind::InvalidText, "invalid byte sequence for encoding \"UTF8\" in a parameter")
            })?;
            of_text(told, text, reading)
        }
        Format::Binary => of_binary(told, bytes),
    }
}

/// The Arrow type that a parameter of a Postgres type becomes.
pub fn arrow_type(told: u32) -> Result<DataType> {
    if let Some(element) = WireType::element_of(told) {
        return Ok(DataType::List(Arc::new(Field::new("item", arrow_type(element)?, true))));
    }
    null_of(told).map(|value| value.data_type())
}

fn null_of(told: u32) -> Result<ScalarValue> {
    Ok(match told {
        oid::BOOL => ScalarValue::Boolean(None),
        oid::INT2 => ScalarValue::Int16(None),
        oid::INT4 => ScalarValue::Int32(None),
        oid::INT8 => ScalarValue::Int64(None),
        oid::FLOAT4 => ScalarValue::Float32(None),
        oid::FLOAT8 => ScalarValue::Float64(None),
        oid::NUMERIC => ScalarValue::Decimal128(None, DECIMAL128_MAX_PRECISION, 10),
        oid::BYTEA => ScalarValue::Binary(None),
        oid::DATE => ScalarValue::Date32(None),
        oid::TIME | oid::TIMETZ => ScalarValue::Time64Microsecond(None),
        oid::TIMESTAMP => ScalarValue::TimestampMicrosecond(None, None),
        oid::TIMESTAMPTZ => ScalarValue::TimestampMicrosecond(None, Some("UTC".into())),
        oid::INTERVAL => ScalarValue::IntervalMonthDayNano(None),
        0
        | oid::TEXT
        | oid::VARCHAR
        | oid::BPCHAR
        | oid::NAME
        | oid::CHAR
        | oid::UNKNOWN
        | oid::JSON
        | oid::JSONB
        | oid::UUID => ScalarValue::Utf8(None),
        other if types::is_integer(other) => ScalarValue::Int64(None),
        other => {
            return Err(Error::new(
                Kind::Unsupported,
                format!("parameters of the type with oid {other} are not supported"),
            )
            .hint("Send the value as text and cast it in the statement."));
        }
    })
}

fn invalid(name: &str, text: &str) -> Error {
    Error::new(Kind::InvalidText, format!("invalid input syntax for type {name}: \"{text}\""))
}

fn whole<T: TryFrom<i64>>(name: &str, text: &str) -> Result<T> {
    let number: i128 = text.trim().parse().map_err(|_| invalid(name, text))?;
    let narrowed = i64::try_from(number).ok().and_then(|n| T::try_from(n).ok());
    narrowed.ok_or_else(|| Error::new(Kind::OutOfRange, format!("value \"{text}\" is out of range for type {name}")))
}

fn of_text(told: u32, text: &str, reading: &Reading) -> Result<ScalarValue> {
    let bare = text.trim();
    Ok(match told {
        oid::BOOL => ScalarValue::Boolean(Some(match bare.to_ascii_lowercase().as_str() {
            "t" | "true" | "y" | "yes" | "on" | "1" => true,
            "f" | "false" | "n" | "no" | "off" | "0" => false,
            _ => return Err(invalid("boolean", text)),
        })),
        oid::INT2 => ScalarValue::Int16(Some(whole("smallint", text)?)),
        oid::INT4 => ScalarValue::Int32(Some(whole("integer", text)?)),
        oid::INT8 => ScalarValue::Int64(Some(whole("bigint", text)?)),
        oid::FLOAT4 => ScalarValue::Float32(Some(bare.parse().map_err(|_| invalid("real", text))?)),
        oid::FLOAT8 => ScalarValue::Float64(Some(bare.parse().map_err(|_| invalid("double precision", text))?)),
        oid::NUMERIC => numeric_of_text(bare)?,
        oid::BYTEA => ScalarValue::Binary(Some(bytea_of_text(text)?)),
        oid::DATE => ScalarValue::Date32(Some(datetime::date(bare, reading)?)),
        oid::TIME => ScalarValue::Time64Microsecond(Some(datetime::time(bare, reading)?)),
        oid::TIMETZ => ScalarValue::Time64Microsecond(Some(datetime::timetz(bare, reading)?)),
        oid::TIMESTAMP => ScalarValue::TimestampMicrosecond(Some(datetime::timestamp(bare, reading)?), None),
        oid::TIMESTAMPTZ => {
            ScalarValue::TimestampMicrosecond(Some(datetime::timestamptz(bare, reading)?), Some("UTC".into()))
        }
        oid::INTERVAL => ScalarValue::IntervalMonthDayNano(Some(datetime::interval(bare)?)),
        oid::UUID => ScalarValue::Utf8(Some(uuid_of_text(bare)?)),
        other if types::is_integer(other) => ScalarValue::Int64(Some(whole("oid", text)?)),
        other => {
            null_of(other)?;
            ScalarValue::Utf8(Some(text.to_string()))
        }
    })
}

fn uuid_of_text(text: &str) -> Result<String> {
    let hex: String = text.chars().filter(|c| !matches!(c, '-' | '{' | '}')).collect();
    if hex.len() != 32 {
        return Err(invalid("uuid", text));
    }
    let bits = u128::from_str_radix(&hex, 16).map_err(|_| invalid("uuid", text))?;
    Ok(uuid_text(bits))
}

fn uuid_text(bits: u128) -> String {
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

fn bytea_of_text(text: &str) -> Result<Vec<u8>> {
    let wrong = || invalid("bytea", text);
    if let Some(hex) = text.strip_prefix("\\x") {
        let digits: Vec<u32> = hex.chars().map(|c| c.to_digit(16).ok_or_else(wrong)).collect::<Result<_>>()?;
        if !digits.len().is_multiple_of(2) {
            return Err(wrong());
        }
        return Ok(digits.chunks(2).map(|two| (two[0] * 16 + two[1]) as u8).collect());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match bytes.next().ok_or_else(wrong)? {
            b'\\' => out.push(b'\\'),
            first => {
                let mut value = 0u32;
                for digit in [Some(first), bytes.next(), bytes.next()] {
                    let digit = digit.filter(|d| (b'0'..=b'7').contains(d)).ok_or_else(wrong)?;
                    value = value * 8 + u32::from(digit - b'0');
                }
                out.push(u8::try_from(value).map_err(|_| wrong())?);
            }
        }
    }
    Ok(out)
}

/// A decimal as exact as it was written: 38 digits where they suffice, else 76.
fn numeric_of_text(text: &str) -> Result<ScalarValue> {
    let wrong = || invalid("numeric", text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| wrong())?),
        None => (text, 0),
    };
    let (sign, unsigned) = match mantissa.as_bytes().first() {
        Some(b'-') => ("-", &mantissa[1..]),
        Some(b'+') => ("", &mantissa[1..]),
        _ => ("", mantissa),
    };
    let (before, after) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = format!("{before}{after}");
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    decimal(sign, &digits, (after.len() as i32).saturating_sub(exponent))
}

/// Builds a decimal from its digits and scale.
fn decimal(sign: &str, digits: &str, scale: i32) -> Result<ScalarValue> {
    let too_long = || {
        Error::new(
            Kind::OutOfRange,
            format!("a numeric of more than {DECIMAL256_MAX_PRECISION} digits is not supported"),
        )
    };
    if scale.unsigned_abs() > u32::from(DECIMAL256_MAX_PRECISION) {
        return Err(too_long());
    }
    let mut digits = digits.trim_start_matches('0').to_string();
    let shift = usize::try_from(-scale).unwrap_or(0);
    digits.extend(std::iter::repeat_n('0', if digits.is_empty() { 0 } else { shift }));
    let scale = scale.max(0) as usize;
    let precision = digits.len().max(scale).max(1);
    let signed = format!("{sign}{}", if digits.is_empty() { "0" } else { &digits });
    if precision <= usize::from(DECIMAL128_MAX_PRECISION) {
        let value: i128 = signed.parse().map_err(|_| too_long())?;
        return Ok(ScalarValue::Decimal128(Some(value), precision as u8, scale as i8));
    }
    if precision > usize::from(Decimal256Type::MAX_PRECISION) {
        return Err(too_long());
    }
    let value = i256::from_string(&signed).ok_or_else(too_long)?;
    Ok(ScalarValue::Decimal256(Some(value), precision as u8, scale as i8))
}

fn of_binary(told: u32, bytes: &[u8]) -> Result<ScalarValue> {
    let mut reader = Reader::new(bytes);
    let value = match told {
        oid::BOOL => ScalarValue::Boolean(Some(reader.u8()? != 0)),
        oid::INT2 => ScalarValue::Int16(Some(reader.i16()?)),
        oid::INT4 => ScalarValue::Int32(Some(reader.i32()?)),
        oid::INT8 => ScalarValue::Int64(Some(reader.i64()?)),
        oid::FLOAT4 => ScalarValue::Float32(Some(f32::from_bits(reader.u32()?))),
        oid::FLOAT8 => ScalarValue::Float64(Some(f64::from_bits(reader.i64()? as u64))),
        oid::NUMERIC => numeric_of_binary(&mut reader)?,
        oid::BYTEA => ScalarValue::Binary(Some(reader.rest().to_vec())),
        oid::DATE => {
            let days = reader.i32()?;
            let is_infinite = matches!(days, i32::MAX | i32::MIN);
            let days = if is_infinite { Some(days) } else { days.checked_add(EPOCH_DAYS) };
            ScalarValue::Date32(Some(days.ok_or_else(|| range("date"))?))
        }
        oid::TIME => ScalarValue::Time64Microsecond(Some(reader.i64()?)),
        oid::TIMETZ => ScalarValue::Time64Microsecond(Some(timetz_of_binary(&mut reader)?)),
        oid::TIMESTAMP | oid::TIMESTAMPTZ => {
            let us = reader.i64()?;
            let is_infinite = matches!(us, i64::MAX | i64::MIN);
            let us = if is_infinite { Some(us) } else { us.checked_add(EPOCH_US) };
            let us = us.ok_or_else(|| range("timestamp"))?;
            ScalarValue::TimestampMicrosecond(Some(us), (told == oid::TIMESTAMPTZ).then(|| "UTC".into()))
        }
        oid::INTERVAL => {
            let (us, days, months) = (reader.i64()?, reader.i32()?, reader.i32()?);
            let nanos = us.checked_mul(1000).ok_or_else(|| range("interval"))?;
            ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(months, days, nanos)))
        }
        oid::UUID => ScalarValue::Utf8(Some(uuid_text(reader.u128()?))),
        oid::JSONB => {
            if reader.u8()? != 1 {
                return Err(Error::new(Kind::Protocol, "unsupported jsonb version number"));
            }
            text_of(reader.rest())?
        }
        other if types::is_integer(other) => ScalarValue::Int64(Some(i64::from(reader.u32()?))),
        other => {
            null_of(other)?;
            text_of(reader.rest())?
        }
    };
    reader.end()?;
    Ok(value)
}

/// Microseconds of the day, and seconds west of Greenwich (Postgres: `timetz_recv`).
fn timetz_of_binary(reader: &mut Reader<'_>) -> Result<i64> {
    let (local, west) = (reader.i64()?, i64::from(reader.i32()?));
    let utc = local.checked_add(west * 1_000_000).ok_or_else(|| range("time"))?;
    Ok(utc.rem_euclid(DAY_US))
}

fn range(name: &str) -> Error {
    Error::new(Kind::OutOfRange, format!("{name} out of range"))
}

fn text_of(bytes: &[u8]) -> Result<ScalarValue> {
    let text = std::str::from_utf8(bytes);
    let text =
        text.map_err(|_| Error::new(Kind::InvalidText, "invalid byte sequence for encoding \"UTF8\" in a parameter"))?;
    Ok(ScalarValue::Utf8(Some(text.to_string())))
}

fn numeric_of_binary(reader: &mut Reader<'_>) -> Result<ScalarValue> {
    let groups = reader.u16()?;
    let weight = i32::from(reader.i16()?);
    let sign = match reader.u16()? {
        0 => "",
        0x4000 => "-",
        _ => return Err(Error::new(Kind::OutOfRange, "NaN and infinity are not values of numeric here")),
    };
    let shown = i32::from(reader.u16()?);
    let mut digits = String::with_capacity(usize::from(groups) * 4);
    for _ in 0..groups {
        digits.push_str(&format!("{:04}", reader.u16()?));
    }
    // The digits end at this many places after the point; cut or pad to what is shown.
    let have = (i32::from(groups) - 1 - weight) * 4;
    let mut scale = have;
    if groups == 0 {
        return decimal("", "0", shown);
    }
    while scale > shown && digits.ends_with('0') {
        digits.pop();
        scale -= 1;
    }
    if scale < shown && shown <= i32::from(DECIMAL256_MAX_PRECISION) && scale >= -400 {
        digits.extend(std::iter::repeat_n('0', (shown - scale) as usize));
        scale = shown;
    }
    decimal(sign, &digits, scale)
}

#[cfg(test)]
mod tests;
