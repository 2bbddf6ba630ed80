//! TO_DATE, TO_TIMESTAMP and TO_NUMBER: texts by a template.

use super::number;
use super::scalar::{Call, Scalar, from_zone, zone_of, zoned};
use crate::datetime;
use crate::fault::carried;
use crate::formats::Pattern;
use arrow::array::{ArrayRef, AsArray, Date32Array, StringArray, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use datafusion::error::Result;
use std::sync::Arc;
use tidegate_core::{Error, Kind};

const DAY_US: i64 = 86_400_000_000;
/// Digits behind the point of what TO_NUMBER gives.
const NUMBER_SCALE: i8 = 10;

/// All of them.
pub fn functions() -> Vec<Scalar> {
    vec![
        Scalar::new("to_date", 2..=3, |_| DataType::Date32, to_date),
        Scalar::new("to_timestamp", 1..=2, |_| zoned(), to_timestamp),
        Scalar::new("to_number", 2..=2, |_| DataType::Decimal128(38, NUMBER_SCALE), to_number),
    ]
}

/// Microseconds that a text means by a template. 22007.
fn read(text: &str, template: &str) -> Result<i64> {
    let pattern = Pattern::parse("template", template).map_err(carried)?;
    let unreadable = || {
        let message = format!("\"{text}\" does not fit the template \"{template}\"");
        carried(Error::new(Kind::DatetimeFormat, message))
    };
    pattern.micros(text).ok_or_else(unreadable)
}

fn by_template(call: &Call) -> Result<Vec<Option<i64>>> {
    let (texts, templates) = (call.texts(0)?, call.texts(1)?);
    let row = |(text, template): (Option<&str>, Option<&str>)| match (text, template) {
        (Some(text), Some(template)) => read(text, template).map(Some),
        _ => Ok(None),
    };
    texts.iter().zip(templates.iter()).map(row).collect()
}

fn to_date(call: &Call) -> Result<ArrayRef> {
    let days = by_template(call)?.into_iter().map(|micros| micros.map(|micros| micros.div_euclid(DAY_US) as i32));
    Ok(Arc::new(days.collect::<Date32Array>()))
}

/// Of a text by a template, which the session's clocks show; of a number as seconds since 1970.
fn to_timestamp(call: &Call) -> Result<ArrayRef> {
    let zone = zone_of(&call.zone)?;
    let first = call.array(0)?;
    let utc: Vec<Option<i64>> = match (call.arrays.len(), first.data_type()) {
        (2, _) => {
            by_template(call)?.into_iter().map(|micros| micros.and_then(|micros| from_zone(micros, &zone))).collect()
        }
        (_, data_type) if data_type.is_numeric() => {
            let seconds = cast(first, &DataType::Float64)?;
            let micros = |seconds: f64| (seconds * 1e6).round() as i64;
            seconds.as_primitive::<Float64Type>().iter().map(|seconds| seconds.map(micros)).collect()
        }
        (_, data_type) if data_type.is_string() => {
            let reading = call.reading()?;
            let read = |text: &str| datetime::timestamptz(text, &reading).map_err(carried);
            call.texts(0)?.iter().map(|text| text.map(read).transpose()).collect::<Result<_>>()?
        }
        _ => return Ok(cast(first, &zoned())?),
    };
    Ok(Arc::new(TimestampMicrosecondArray::from(utc).with_timezone("UTC")))
}

fn to_number(call: &Call) -> Result<ArrayRef> {
    let row = |text: Option<&str>| match text {
        None => Ok(None),
        Some(text) => match number::read(text) {
            Some(digits) => Ok(Some(digits)),
            None => {
                let message = format!("invalid input syntax for type numeric: \"{text}\"");
                Err(carried(Error::new(Kind::InvalidText, message)))
            }
        },
    };
    let digits: StringArray = call.texts(0)?.iter().map(row).collect::<Result<_>>()?;
    Ok(cast(&digits, &DataType::Decimal128(38, NUMBER_SCALE))?)
}
