//! EXTRACT and DATE_PART: fields of dates, times, moments and intervals (Postgres: section 9.9.1).
//!
//! EXTRACT gives whole fields as integers and those with a fraction as exact numbers, DATE_PART all as `double
//! precision`. Weeks, years of weeks and centuries are counted as ISO 8601 and Postgres count them: no year 0.

use super::field::Field;
use super::scalar::{clock, in_zone, zone_of};
use crate::datetime::INTERVAL;
use crate::fault::carried;
use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Decimal128Array, Float64Array, Int32Array, IntervalMonthDayNanoArray,
    Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Field as ArrowField, FieldRef, IntervalMonthDayNano, IntervalMonthDayNanoType,
    Time64MicrosecondType, TimeUnit, TimestampMicrosecondType,
};
use chrono::{Datelike, NaiveDateTime, Offset, TimeZone};
use datafusion::common::{ScalarValue, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;
use tidegate_core::{Error, Kind};

const SECOND_US: i128 = 1_000_000;
const DAY_US: i128 = 86_400 * SECOND_US;
/// From the Julian epoch to 1970, in days.
const JULIAN_OF_EPOCH: i64 = 2_440_588;

/// Both functions.
pub fn functions() -> [Arc<ScalarUDF>; 2] {
    [true, false]
        .map(|exact| Arc::new(ScalarUDF::from(Part { exact, signature: Signature::any(2, Volatility::Stable) })))
}

/// One of the functions.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Part {
    exact: bool,
    signature: Signature,
}

impl Part {
    fn returns(&self, field: Option<&str>, of: Option<&DataType>) -> DataType {
        match field.and_then(Field::of).map(Field::scale) {
            _ if !self.exact => DataType::Float64,
            // Days have no fractions of seconds.
            Some(Some(_)) if of == Some(&DataType::Date32) => DataType::Decimal128(38, 0),
            Some(None) => DataType::Int32,
            Some(Some(scale)) => DataType::Decimal128(38, scale),
            // Which field it is only the rows tell.
            None => DataType::Decimal128(38, 6),
        }
    }
}

impl ScalarUDFImpl for Part {
    fn name(&self) -> &str {
        if self.exact { "extract" } else { "date_part" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        plan_err!("what {} returns depends on its field", self.name())
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> Result<FieldRef> {
        let field =
            arguments.scalar_arguments.first().copied().flatten().and_then(|field| field.try_as_str().flatten());
        let of = arguments.arg_fields.get(1).map(|of| of.data_type());
        Ok(Arc::new(ArrowField::new(self.name(), self.returns(field, of), true)))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [word, value] = arguments.args.as_slice() else { return plan_err!("{} takes two arguments", self.name()) };
        let zone = arguments.config_options.execution.time_zone.as_deref().unwrap_or("UTC");
        let is_scalar = matches!((word, value), (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_)));
        let rows = if is_scalar { 1 } else { arguments.number_rows };
        let values = value.to_array(rows)?;
        let words = cast(&word.to_array(rows)?, &DataType::Utf8)?;
        let values = Values::of(values, zone)?;
        let words = words.as_string::<i32>();
        let mut parts: Vec<Option<i128>> = Vec::with_capacity(rows);
        let mut known: Option<(&str, Field)> = None;
        for row in 0..rows {
            if words.is_null(row) || values.is_null(row) {
                parts.push(None);
                continue;
            }
            let word = words.value(row);
            let field = match known {
                Some((same, field)) if same == word => field,
                _ => Field::of(word).ok_or_else(|| values.unknown(word))?,
            };
            known = Some((word, field));
            parts.push(Some(values.part(row, field, word)?));
        }
        let answer = answer(parts, arguments.return_field.data_type())?;
        Ok(match is_scalar {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&answer, 0)?),
            false => ColumnarValue::Array(answer),
        })
    }
}

/// Parts, in millionths, as the type that they are returned in.
fn answer(parts: Vec<Option<i128>>, data_type: &DataType) -> Result<ArrayRef> {
    let parts = parts.into_iter();
    Ok(match data_type {
        DataType::Int32 => {
            Arc::new(parts.map(|part| part.map(|part| (part / SECOND_US) as i32)).collect::<Int32Array>())
        }
        DataType::Float64 => Arc::new(parts.map(|part| part.map(|part| part as f64 / 1e6)).collect::<Float64Array>()),
        DataType::Decimal128(_, scale) => {
            let unit = 10i128.pow(u32::try_from(6 - scale).unwrap_or(0));
            let parts = parts.map(|part| part.map(|part| part / unit));
            Arc::new(parts.collect::<Decimal128Array>().with_precision_and_scale(38, *scale)?)
        }
        other => return plan_err!("a part of a date is no {other}"),
    })
}

/// What parts are taken of.
enum Values {
    Dates(Date32Array),
    Times(Time64MicrosecondArray),
    /// With the zone in which clocks show them; None: they show themselves.
    Moments(TimestampMicrosecondArray, Option<arrow::array::timezone::Tz>),
    Intervals(IntervalMonthDayNanoArray),
}

impl Values {
    fn of(values: ArrayRef, zone: &str) -> Result<Values> {
        Ok(match values.data_type() {
            DataType::Date32 => Values::Dates(values.as_primitive::<Date32Type>().clone()),
            DataType::Time32(_) | DataType::Time64(_) => {
                let times = cast(&values, &DataType::Time64(TimeUnit::Microsecond))?;
                Values::Times(times.as_primitive::<Time64MicrosecondType>().clone())
            }
            DataType::Interval(_) | DataType::Duration(_) => {
                Values::Intervals(cast(&values, &INTERVAL)?.as_primitive::<IntervalMonthDayNanoType>().clone())
            }
            DataType::Timestamp(_, Some(_)) => {
                let moments = cast(&values, &super::scalar::zoned())?;
                Values::Moments(moments.as_primitive::<TimestampMicrosecondType>().clone(), Some(zone_of(zone)?))
            }
            text if text.is_string() => {
                let reading = crate::datetime::Reading::new(zone, None).map_err(carried)?;
                let read = crate::datetime::fitted(&values, &super::scalar::MOMENT, false, &reading);
                let moments = read.transpose().map_err(carried)?.unwrap_or(values);
                Values::Moments(moments.as_primitive::<TimestampMicrosecondType>().clone(), None)
            }
            _ => {
                let moments = cast(&values, &super::scalar::MOMENT)?;
                Values::Moments(moments.as_primitive::<TimestampMicrosecondType>().clone(), None)
            }
        })
    }

    fn type_name(&self) -> &'static str {
        match self {
            Values::Dates(_) => "date",
            Values::Times(_) => "time without time zone",
            Values::Moments(_, None) => "timestamp without time zone",
            Values::Moments(_, Some(_)) => "timestamp with time zone",
            Values::Intervals(_) => "interval",
        }
    }

    fn unknown(&self, word: &str) -> datafusion::error::DataFusionError {
        let message = format!("unit \"{}\" not recognized for type {}", word.to_lowercase(), self.type_name());
        carried(Error::new(Kind::InvalidParameter, message))
    }

    fn without(&self, word: &str) -> datafusion::error::DataFusionError {
        let message = format!("unit \"{}\" not supported for type {}", word.to_lowercase(), self.type_name());
        carried(Error::new(Kind::Unsupported, message))
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Values::Dates(values) => values.is_null(row),
            Values::Times(values) => values.is_null(row),
            Values::Moments(values, _) => values.is_null(row),
            Values::Intervals(values) => values.is_null(row),
        }
    }

    /// A part in millionths.
    fn part(&self, row: usize, field: Field, word: &str) -> Result<i128> {
        let part = match self {
            Values::Dates(values) => {
                let days = i64::from(values.value(row));
                match field {
                    Field::Epoch => Some(i128::from(days) * DAY_US),
                    _ => of_day(days, field),
                }
            }
            Values::Times(values) => match field {
                Field::Epoch => Some(i128::from(values.value(row))),
                _ => of_clock(i128::from(values.value(row)), field),
            },
            Values::Moments(values, zone) => of_moment(values.value(row), zone.as_ref(), field),
            Values::Intervals(values) => of_interval(values.value(row), field),
        };
        part.ok_or_else(|| self.without(word))
    }
}

fn of_moment(moment: i64, zone: Option<&arrow::array::timezone::Tz>, field: Field) -> Option<i128> {
    let utc = i128::from(moment);
    if field == Field::Epoch {
        return Some(utc);
    }
    let local = match zone {
        Some(zone) => in_zone(moment, zone)?,
        None => moment,
    };
    if let (Field::Zone | Field::ZoneHour | Field::ZoneMinute, Some(zone)) = (field, zone) {
        let offset = zone.offset_from_utc_datetime(&clock(moment)?).fix().local_minus_utc();
        let whole = match field {
            Field::Zone => offset,
            Field::ZoneHour => offset / 3600,
            _ => offset / 60 % 60,
        };
        return Some(i128::from(whole) * SECOND_US);
    }
    let day_us = DAY_US as i64;
    let (days, time) = (local.div_euclid(day_us), i128::from(local.rem_euclid(day_us)));
    match field {
        Field::Julian => {
            let whole = i128::from(days + JULIAN_OF_EPOCH) * SECOND_US;
            Some(whole + time * SECOND_US / DAY_US)
        }
        _ => of_clock(time, field).or_else(|| of_day(days, field)),
    }
}

/// A part of a time of day, or of the time of an interval.
fn of_clock(time: i128, field: Field) -> Option<i128> {
    Some(match field {
        Field::Microseconds => time % (60 * SECOND_US) * SECOND_US,
        Field::Milliseconds => time % (60 * SECOND_US) * 1000,
        Field::Second => time % (60 * SECOND_US),
        Field::Minute => time / (60 * SECOND_US) % 60 * SECOND_US,
        Field::Hour => time / (3600 * SECOND_US) * SECOND_US,
        _ => return None,
    })
}

fn of_day(days: i64, field: Field) -> Option<i128> {
    let date: NaiveDateTime = clock(days.checked_mul(DAY_US as i64)?)?;
    let (year, month) = (i64::from(date.year()), i64::from(date.month()));
    let whole = match field {
        Field::Day => i64::from(date.day()),
        Field::Month => month,
        Field::Quarter => (month - 1) / 3 + 1,
        Field::Week => i64::from(date.iso_week().week()),
        Field::Year => without_zero(year),
        Field::IsoYear => without_zero(i64::from(date.iso_week().year())),
        Field::Decade => year.div_euclid(10),
        Field::Century => of_years(year, 100),
        Field::Millennium => of_years(year, 1000),
        Field::Dow => i64::from(date.weekday().num_days_from_sunday()),
        Field::IsoDow => i64::from(date.weekday().number_from_monday()),
        Field::Doy => i64::from(date.ordinal()),
        Field::Julian => days + JULIAN_OF_EPOCH,
        _ => return None,
    };
    Some(i128::from(whole) * SECOND_US)
}

/// A year as people count: the year before the first is the first before Christ.
fn without_zero(year: i64) -> i64 {
    if year > 0 { year } else { year - 1 }
}

/// Which century or millennium: the first begins with year 1, and there is no zeroth.
fn of_years(year: i64, years: i64) -> i64 {
    if year > 0 { (year + years - 1) / years } else { -((years - year) / years) }
}

fn of_interval(interval: IntervalMonthDayNano, field: Field) -> Option<i128> {
    let time = i128::from(interval.nanoseconds / 1000);
    let months = i128::from(interval.months);
    let (years, month) = (months / 12, months % 12);
    let whole = match field {
        Field::Day => i128::from(interval.days),
        Field::Month => month,
        Field::Quarter => month / 3 + 1,
        Field::Year => years,
        Field::Decade => years / 10,
        Field::Century => years / 100,
        Field::Millennium => years / 1000,
        Field::Epoch => {
            // A year has 365.25 days here, and a month 30.
            let days = i128::from(interval.days) + month * 30;
            return Some(years * DAY_US * 1461 / 4 + days * DAY_US + time);
        }
        _ => return of_clock(time, field),
    };
    Some(whole * SECOND_US)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(field: &str, text: &str) -> Option<f64> {
        let micros = crate::datetime::timestamp(text, &crate::datetime::Reading::utc().unwrap()).unwrap();
        of_moment(micros, None, Field::of(field).unwrap()).map(|part| part as f64 / 1e6)
    }

    /// Answers of PostgreSQL 15.
    #[test]
    fn parts_of_moments() {
        let moment = "2020-05-26 13:30:25.575401";
        let cases = [
            ("microseconds", 25_575_401.0),
            ("milliseconds", 25_575.401),
            ("second", 25.575_401),
            ("minute", 30.0),
            ("hour", 13.0),
            ("day", 26.0),
            ("month", 5.0),
            ("quarter", 2.0),
            ("week", 22.0),
            ("year", 2020.0),
            ("decade", 202.0),
            ("century", 21.0),
            ("millennium", 3.0),
            ("isoyear", 2020.0),
            ("dow", 2.0),
            ("isodow", 2.0),
            ("doy", 147.0),
            ("epoch", 1_590_499_825.575_401),
        ];
        for (field, expected) in cases {
            assert_eq!(part(field, moment), Some(expected), "{field}");
        }
        assert_eq!(part("timezone", moment), None);
    }

    #[test]
    fn years_before_christ() {
        let cases = [
            ("0001-01-01 BC", -1.0, -1.0, -1.0),
            ("0100-12-31 BC", -100.0, -1.0, -1.0),
            ("0101-12-31 BC", -101.0, -2.0, -1.0),
            ("0001-01-01", 1.0, 1.0, 1.0),
            ("1900-12-31", 1900.0, 19.0, 2.0),
            ("1901-01-01", 1901.0, 20.0, 2.0),
            ("2001-01-01", 2001.0, 21.0, 3.0),
        ];
        for (text, year, century, millennium) in cases {
            let found = ["year", "century", "millennium"].map(|field| part(field, text));
            assert_eq!(found, [Some(year), Some(century), Some(millennium)], "{text}");
        }
    }

    #[test]
    fn parts_of_intervals() {
        let interval = crate::datetime::interval("1017 years 5 mons -3 days 25:02:03.5").unwrap();
        let of = |field: &str| of_interval(interval, Field::of(field).unwrap()).map(|part| part as f64 / 1e6);
        let cases = [
            ("millennium", Some(1.0)),
            ("century", Some(10.0)),
            ("decade", Some(101.0)),
            ("year", Some(1017.0)),
            ("month", Some(5.0)),
            ("quarter", Some(2.0)),
            ("day", Some(-3.0)),
            ("hour", Some(25.0)),
            ("minute", Some(2.0)),
            ("second", Some(3.5)),
            ("epoch", Some(32_106_870_123.5)),
            ("dow", None),
        ];
        for (field, expected) in cases {
            assert_eq!(of(field), expected, "{field}");
        }
    }
}
