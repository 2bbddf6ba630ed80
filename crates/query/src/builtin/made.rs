//! Dates, times and intervals made of numbers, and intervals made regular (Postgres: sections 9.9 and 9.9.5).

use super::scalar::{Call, MOMENT, Scalar, from_zone, zone_of, zoned};
use crate::datetime::{self, INTERVAL};
use crate::fault::carried;
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, IntervalMonthDayNanoArray, Time64MicrosecondArray,
    TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Float64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, TimeUnit};
use datafusion::error::Result;
use std::sync::Arc;
use tidegate_core::{Error, Kind};

const DAY_US: i64 = 86_400_000_000;

/// All of them.
pub fn functions() -> Vec<Scalar> {
    let interval = |_: &[DataType]| INTERVAL;
    vec![
        Scalar::new("make_date", 3..=3, |_| DataType::Date32, make_date),
        Scalar::new("make_time", 3..=3, |_| DataType::Time64(TimeUnit::Microsecond), make_time),
        Scalar::new("make_timestamp", 6..=6, |_| MOMENT, make_timestamp),
        Scalar::new("make_timestamptz", 6..=7, |_| zoned(), make_timestamptz),
        Scalar::new("make_interval", 0..=7, interval, make_interval),
        Scalar::new("justify_days", 1..=1, interval, |call| justified(call, justify_days)),
        Scalar::new("justify_hours", 1..=1, interval, |call| justified(call, justify_hours)),
        Scalar::new("justify_interval", 1..=1, interval, |call| justified(call, justify_interval)),
        Scalar::new("isfinite", 1..=1, |_| DataType::Boolean, is_finite),
    ]
}

/// The arguments of a row as numbers, from a place on; None where one is NULL.
struct Numbers(Vec<arrow::array::Float64Array>);

impl Numbers {
    fn of(call: &Call, places: std::ops::Range<usize>) -> Result<Numbers> {
        let number = |place| Ok(cast(call.array(place)?, &DataType::Float64)?.as_primitive::<Float64Type>().clone());
        places.map(number).collect::<Result<_>>().map(Numbers)
    }

    fn row(&self, row: usize) -> Option<Vec<f64>> {
        self.0.iter().map(|array| array.is_valid(row).then(|| array.value(row))).collect()
    }
}

fn overflow(message: String) -> datafusion::error::DataFusionError {
    carried(Error::new(Kind::DatetimeOverflow, message))
}

/// Days since 1970. Years before Christ are below zero, and there is no year 0.
fn days(parts: &[f64]) -> Result<i64> {
    let [year, month, day, ..] = parts else { return Err(overflow("date field value out of range".to_string())) };
    let (year, month, day) = (*year as i64, *month as i64, *day as i64);
    let wrong = || overflow(format!("date field value out of range: {year}-{month:02}-{day:02}"));
    let astronomical = if year < 0 { year + 1 } else { year };
    let fits = year != 0 && (1..=12).contains(&month) && year.abs() < 300_000;
    if !fits || !(1..=datetime::days_of_month(astronomical, month)).contains(&day) {
        return Err(wrong());
    }
    Ok(datetime::days(astronomical, month, day))
}

/// Microseconds of the day.
fn time(parts: &[f64]) -> Result<i64> {
    let [hour, minute, second] = parts else { return Err(overflow("time field value out of range".to_string())) };
    let micros = (hour * 60.0 + minute) * 60e6 + (second * 1e6).round();
    let fits = (0.0..=24.0).contains(hour) && (0.0..60.0).contains(minute) && (0.0..=60.0).contains(second);
    match fits && micros <= DAY_US as f64 {
        true => Ok(micros as i64),
        false => Err(overflow(format!("time field value out of range: {hour}:{minute:02}:{second:02}"))),
    }
}

fn make_date(call: &Call) -> Result<ArrayRef> {
    let numbers = Numbers::of(call, 0..3)?;
    let row = |row| numbers.row(row).map(|parts| days(&parts).map(|days| days as i32)).transpose();
    Ok(Arc::new((0..call.rows).map(row).collect::<Result<Date32Array>>()?))
}

fn make_time(call: &Call) -> Result<ArrayRef> {
    let numbers = Numbers::of(call, 0..3)?;
    let row = |row| numbers.row(row).map(|parts| time(&parts)).transpose();
    Ok(Arc::new((0..call.rows).map(row).collect::<Result<Time64MicrosecondArray>>()?))
}

fn moments(call: &Call) -> Result<Vec<Option<i64>>> {
    let numbers = Numbers::of(call, 0..6)?;
    let moment = |parts: Vec<f64>| Ok(days(&parts)? * DAY_US + time(parts.get(3..).unwrap_or_default())?);
    (0..call.rows).map(|row| numbers.row(row).map(moment).transpose()).collect()
}

fn make_timestamp(call: &Call) -> Result<ArrayRef> {
    Ok(Arc::new(TimestampMicrosecondArray::from(moments(call)?)))
}

fn make_timestamptz(call: &Call) -> Result<ArrayRef> {
    let session = zone_of(&call.zone)?;
    let zones = if call.arrays.len() == 7 { Some(call.texts(6)?) } else { None };
    let in_utc = |(row, local): (usize, Option<i64>)| {
        let Some(local) = local else { return Ok(None) };
        match &zones {
            None => Ok(from_zone(local, &session)),
            Some(zones) if zones.is_null(row) => Ok(None),
            Some(zones) => datetime::utc_of(local, zones.value(row)).map(Some).map_err(carried),
        }
    };
    let moments = moments(call)?.into_iter().enumerate().map(in_utc);
    Ok(Arc::new(moments.collect::<Result<TimestampMicrosecondArray>>()?.with_timezone("UTC")))
}

/// Years, months, weeks, days, hours, minutes and seconds; those that are not given are 0.
fn make_interval(call: &Call) -> Result<ArrayRef> {
    let numbers = Numbers::of(call, 0..call.arrays.len())?;
    let interval = |parts: Vec<f64>| {
        let part = |place: usize| parts.get(place).copied().unwrap_or(0.0);
        let small = |value: f64| match value.abs() <= f64::from(i32::MAX) {
            true => Ok(value as i32),
            false => Err(overflow("interval out of range".to_string())),
        };
        let micros = (part(4) * 3600.0 + part(5) * 60.0) * 1e6 + (part(6) * 1e6).round();
        if micros.is_nan() || micros.abs() >= i64::MAX as f64 / 1000.0 {
            return Err(overflow("interval out of range".to_string()));
        }
        let (months, days) = (small(part(0) * 12.0 + part(1))?, small(part(2) * 7.0 + part(3))?);
        Ok(IntervalMonthDayNano::new(months, days, micros as i64 * 1000))
    };
    let row = |row| numbers.row(row).map(interval).transpose();
    Ok(Arc::new((0..call.rows).map(row).collect::<Result<IntervalMonthDayNanoArray>>()?))
}

/// Months, days and microseconds.
type Fields = (i64, i64, i64);
/// Makes them regular.
type Justify = fn(Fields) -> Fields;

fn justified(call: &Call, justify: Justify) -> Result<ArrayRef> {
    let intervals = cast(call.array(0)?, &INTERVAL)?;
    let row = |interval: Option<IntervalMonthDayNano>| -> Result<Option<IntervalMonthDayNano>> {
        let Some(interval) = interval else { return Ok(None) };
        let fields = (i64::from(interval.months), i64::from(interval.days), interval.nanoseconds / 1000);
        let (months, days, micros) = justify(fields);
        let small = |value: i64| i32::try_from(value).map_err(|_| overflow("interval out of range".to_string()));
        Ok(Some(IntervalMonthDayNano::new(small(months)?, small(days)?, micros * 1000)))
    };
    let rows = intervals.as_primitive::<IntervalMonthDayNanoType>().iter().map(row);
    Ok(Arc::new(rows.collect::<Result<IntervalMonthDayNanoArray>>()?))
}

/// Days of which there are 30 become months; days have the sign of months.
fn justify_days((months, days, micros): Fields) -> Fields {
    let (months, days) = same_sign(months + days / 30, days % 30, 30);
    (months, days, micros)
}

/// Hours of which there are 24 become days, likewise.
fn justify_hours((months, days, micros): Fields) -> Fields {
    let (days, micros) = same_sign(days + micros / DAY_US, micros % DAY_US, DAY_US);
    (months, days, micros)
}

/// Both, all with the sign of the largest.
fn justify_interval((months, days, micros): Fields) -> Fields {
    let days = days + micros / DAY_US;
    let (mut months, mut days, mut micros) = (months + days / 30, days % 30, micros % DAY_US);
    if months > 0 && (days < 0 || days == 0 && micros < 0) {
        (months, days) = (months - 1, days + 30);
    } else if months < 0 && (days > 0 || days == 0 && micros > 0) {
        (months, days) = (months + 1, days - 30);
    }
    (days, micros) = same_sign(days, micros, DAY_US);
    (months, days, micros)
}

fn same_sign(large: i64, small: i64, per: i64) -> (i64, i64) {
    match (large.signum(), small.signum()) {
        (1, -1) => (large - 1, small + per),
        (-1, 1) => (large + 1, small - per),
        _ => (large, small),
    }
}

/// Neither `infinity` nor `-infinity`. Intervals are always finite.
fn is_finite(call: &Call) -> Result<ArrayRef> {
    let values = call.array(0)?;
    let finite: BooleanArray = match values.data_type() {
        DataType::Date32 => {
            let days = values.as_primitive::<Date32Type>().iter();
            days.map(|days| days.map(|days| days != i32::MAX && days != i32::MIN)).collect()
        }
        DataType::Interval(_) => (0..values.len()).map(|row| values.is_valid(row).then_some(true)).collect(),
        _ => {
            let moments = cast(values, &MOMENT)?;
            let moments = moments.as_primitive::<arrow::datatypes::TimestampMicrosecondType>().iter();
            moments.map(|moment| moment.map(|moment| moment != i64::MAX && moment != i64::MIN)).collect()
        }
    };
    Ok(Arc::new(finite))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers of PostgreSQL 15.
    #[test]
    fn intervals_are_made_regular() {
        let hour = DAY_US / 24;
        let cases: [(Justify, Fields, Fields); 6] = [
            (justify_hours, (6, 3, 52 * hour), (6, 5, 4 * hour)),
            (justify_days, (6, 36, 5), (7, 6, 5)),
            (justify_interval, (1, 0, -hour), (0, 29, 23 * hour)),
            (justify_interval, (0, -1, 25 * hour), (0, 0, hour)),
            (justify_days, (1, -1, 0), (0, 29, 0)),
            (justify_interval, (-1, 1, 0), (0, -29, 0)),
        ];
        for (justify, given, expected) in cases {
            assert_eq!(justify(given), expected, "{given:?}");
        }
    }

    #[test]
    fn fields_have_their_ranges() {
        assert_eq!(days(&[-44.0, 3.0, 15.0]).unwrap(), datetime::days(-43, 3, 15));
        for parts in [[0.0, 7.0, 15.0], [2013.0, 2.0, 30.0], [2013.0, 13.0, 1.0], [2013.0, 11.0, -1.0]] {
            assert!(days(&parts).is_err(), "{parts:?}");
        }
        assert_eq!(time(&[8.0, 20.0, 0.5]).unwrap(), 30_000_500_000);
        for parts in [[10.0, 55.0, 100.1], [24.0, 0.0, 2.1]] {
            assert!(time(&parts).is_err(), "{parts:?}");
        }
    }
}
