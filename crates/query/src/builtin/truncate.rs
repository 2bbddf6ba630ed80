//! DATE_TRUNC: moments and intervals without what is smaller than a field (Postgres: section 9.9.2).

use super::field::Field;
use super::scalar::{Call, MOMENT, Scalar, clock, from_zone, in_zone, is_zoned, zone_of, zoned};
use crate::datetime::{self, INTERVAL};
use crate::fault::carried;
use arrow::array::timezone::Tz;
use arrow::array::{ArrayRef, AsArray, IntervalMonthDayNanoArray, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalMonthDayNanoType, TimestampMicrosecondType};
use chrono::Datelike;
use datafusion::error::Result;
use std::sync::Arc;
use tidegate_core::{Error, Kind};

const SECOND_US: i64 = 1_000_000;
const DAY_US: i64 = 86_400 * SECOND_US;

/// The function.
pub fn functions() -> Vec<Scalar> {
    vec![Scalar::new("date_trunc", 2..=3, returns, date_trunc)]
}

/// Dates are moments at midnight of the session's zone, as in Postgres.
fn returns(types: &[DataType]) -> DataType {
    match types.get(1) {
        Some(DataType::Interval(_)) => INTERVAL,
        Some(DataType::Date32) => zoned(),
        Some(data_type) if is_zoned(data_type) || types.len() == 3 => zoned(),
        _ => MOMENT,
    }
}

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Micros(i64),
    Week,
    /// So many months, counted from January.
    Months(i64),
    /// So many years, counted from year 0; from year 1 where the flag is set.
    Years(i64, bool),
}

fn unit(word: &str, type_name: &str) -> Result<Unit> {
    let told = |kind, what: &str| {
        let message = format!("unit \"{}\" not {what} for type {type_name}", word.to_lowercase());
        carried(Error::new(kind, message))
    };
    let field = Field::of(word).ok_or_else(|| told(Kind::InvalidParameter, "recognized"))?;
    Ok(match field {
        Field::Microseconds => Unit::Micros(1),
        Field::Milliseconds => Unit::Micros(1000),
        Field::Second => Unit::Micros(SECOND_US),
        Field::Minute => Unit::Micros(60 * SECOND_US),
        Field::Hour => Unit::Micros(3600 * SECOND_US),
        Field::Day => Unit::Micros(DAY_US),
        Field::Week if type_name != "interval" => Unit::Week,
        Field::Month => Unit::Months(1),
        Field::Quarter => Unit::Months(3),
        Field::Year => Unit::Years(1, false),
        Field::Decade => Unit::Years(10, false),
        Field::Century => Unit::Years(100, true),
        Field::Millennium => Unit::Years(1000, true),
        _ => return Err(told(Kind::Unsupported, "supported")),
    })
}

fn date_trunc(call: &Call) -> Result<ArrayRef> {
    let words = call.texts(0)?;
    let values = call.array(1)?;
    let types: Vec<DataType> = call.arrays.iter().map(|array| array.data_type().clone()).collect();
    match returns(&types) {
        DataType::Interval(_) => {
            let intervals = cast(values, &INTERVAL)?;
            let rows = words.iter().zip(intervals.as_primitive::<IntervalMonthDayNanoType>().iter());
            let row = |(word, interval): (Option<&str>, Option<IntervalMonthDayNano>)| match (word, interval) {
                (Some(word), Some(interval)) => Ok(Some(of_interval(interval, unit(word, "interval")?))),
                _ => Ok(None),
            };
            Ok(Arc::new(rows.map(row).collect::<Result<IntervalMonthDayNanoArray>>()?))
        }
        data_type if is_zoned(&data_type) => Ok(Arc::new(in_zones(call)?.with_timezone("UTC"))),
        _ => {
            let rows = words.iter().zip(call.moments(1)?.iter().collect::<Vec<_>>());
            let row = |(word, moment): (Option<&str>, Option<i64>)| match (word, moment) {
                (Some(word), Some(moment)) => Ok(of_moment(moment, unit(word, "timestamp without time zone")?)),
                _ => Ok(None),
            };
            Ok(Arc::new(rows.map(row).collect::<Result<TimestampMicrosecondArray>>()?))
        }
    }
}

/// Moments as clocks show them in a zone that is given, or in the session's.
fn in_zones(call: &Call) -> Result<TimestampMicrosecondArray> {
    let words = call.texts(0)?;
    let session = zone_of(&call.zone)?;
    let values = call.array(1)?;
    let moments = match values.data_type() {
        text if text.is_string() => {
            let read = datetime::fitted(values, &zoned(), false, &call.reading()?);
            read.transpose().map_err(carried)?.unwrap_or_else(|| Arc::clone(values))
        }
        other if is_zoned(other) => cast(values, &zoned())?,
        _ => {
            let local = call.moments(1)?;
            let utc = local.iter().map(|local| local.and_then(|local| from_zone(local, &session)));
            Arc::new(utc.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
        }
    };
    let zones = if call.arrays.len() == 3 { Some(call.texts(2)?) } else { None };
    let zone_at = |row: usize| -> Result<Tz> {
        match &zones {
            Some(zones) if arrow::array::Array::is_valid(zones, row) => zone_of(zones.value(row)),
            _ => Ok(session),
        }
    };
    let rows = words.iter().zip(moments.as_primitive::<TimestampMicrosecondType>().iter()).enumerate();
    let row = |(row, (word, moment)): (usize, (Option<&str>, Option<i64>))| match (word, moment) {
        (Some(word), Some(moment)) => {
            let (zone, unit) = (zone_at(row)?, unit(word, "timestamp with time zone")?);
            let local = in_zone(moment, &zone).and_then(|local| of_moment(local, unit));
            Ok(local.and_then(|local| from_zone(local, &zone)))
        }
        _ => Ok(None),
    };
    rows.map(row).collect()
}

fn of_moment(moment: i64, unit: Unit) -> Option<i64> {
    if let Unit::Micros(micros) = unit {
        return Some(moment - moment.rem_euclid(micros));
    }
    let date = clock(moment)?;
    let day = moment.div_euclid(DAY_US);
    let first = |year: i64, month: i64| datetime::days(year, month, 1) * DAY_US;
    Some(match unit {
        Unit::Micros(_) => moment,
        Unit::Week => (day - i64::from(date.weekday().num_days_from_monday())) * DAY_US,
        Unit::Months(months) => {
            let month = i64::from(date.month0());
            first(i64::from(date.year()), month - month % months + 1)
        }
        Unit::Years(years, from_one) => {
            let (year, from) = (i64::from(date.year()), i64::from(from_one));
            first((year - from).div_euclid(years) * years + from, 1)
        }
    })
}

fn of_interval(interval: IntervalMonthDayNano, unit: Unit) -> IntervalMonthDayNano {
    let IntervalMonthDayNano { months, days, nanoseconds } = interval;
    let whole = |months: i32, per: i64| i32::try_from(i64::from(months) / per * per).unwrap_or(months);
    match unit {
        Unit::Micros(DAY_US) | Unit::Week => IntervalMonthDayNano::new(months, days, 0),
        Unit::Micros(micros) => IntervalMonthDayNano::new(months, days, nanoseconds / (micros * 1000) * micros * 1000),
        Unit::Months(per) => IntervalMonthDayNano::new(whole(months, per), 0, 0),
        Unit::Years(years, _) => IntervalMonthDayNano::new(whole(months, years * 12), 0, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers of PostgreSQL 15.
    #[test]
    fn moments_are_cut() {
        let reading = datetime::Reading::utc().unwrap();
        let cases = [
            ("microsecond", "2020-05-26 13:30:25.575401", "2020-05-26 13:30:25.575401"),
            ("millisecond", "2020-05-26 13:30:25.575401", "2020-05-26 13:30:25.575"),
            ("hour", "1969-05-26 13:30:25.575401", "1969-05-26 13:00:00"),
            ("day", "2020-05-26 13:30:25", "2020-05-26"),
            ("week", "2020-01-01", "2019-12-30"),
            ("quarter", "2020-06-30", "2020-04-01"),
            ("year", "2020-06-30", "2020-01-01"),
            ("decade", "0005-05-01 BC", "0011-01-01 BC"),
            ("century", "2000-05-01", "1901-01-01"),
            ("century", "0101-05-01 BC", "0200-01-01 BC"),
            ("millennium", "0001-01-01 BC", "1000-01-01 BC"),
        ];
        for (word, text, expected) in cases {
            let read = |text: &str| datetime::timestamp(text, &reading).unwrap();
            let cut = of_moment(read(text), unit(word, "timestamp").unwrap());
            assert_eq!(cut, Some(read(expected)), "{word} {text}");
        }
    }

    #[test]
    fn intervals_are_cut() {
        let read = |text: &str| datetime::interval(text).unwrap();
        let cases =
            [("hour", "1 year 2 days 03:00:00"), ("day", "1 year 2 days"), ("year", "1 year"), ("century", "0")];
        for (word, expected) in cases {
            let cut = of_interval(read("1 year 2 days 3:04:05.678"), unit(word, "interval").unwrap());
            assert_eq!(cut, read(expected), "{word}");
        }
        assert!(unit("week", "interval").is_err());
    }
}
