//! Arithmetic of dates and times: Redshift's DATEADD and its kin, Postgres' AGE, time zones.

use super::scalar::{Call, MOMENT, Scalar, clock, from_zone, in_zone, is_zoned, zone_of, zoned};
use crate::datetime::INTERVAL;
use crate::fault::carried;
use arrow::array::{
    ArrayRef, AsArray, Date32Array, Decimal128Array, Float64Array, Int64Array, IntervalMonthDayNanoArray,
    TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Float64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, TimestampMicrosecondType,
};
use chrono::{Datelike, Months, NaiveDate, NaiveDateTime, Weekday};
use datafusion::error::Result;
use std::sync::Arc;
use tidegate_core::{Error, Kind};

const SECOND_US: i64 = 1_000_000;
const DAY_US: i64 = 86_400 * SECOND_US;

/// All of them.
pub fn functions() -> Vec<Scalar> {
    let moment = |types: &[DataType]| if types.get(2).is_some_and(is_zoned) { zoned() } else { MOMENT };
    let interval = |_: &[DataType]| INTERVAL;
    let swapped = |types: &[DataType]| if types.get(1).is_some_and(is_zoned) { MOMENT } else { zoned() };
    vec![
        Scalar::new("dateadd", 3..=3, moment, date_add),
        Scalar::new("datediff", 3..=3, |_| DataType::Int64, date_diff),
        Scalar::new("date_diff", 3..=3, |_| DataType::Int64, date_diff),
        Scalar::new("last_day", 1..=1, |_| DataType::Date32, last_day),
        Scalar::new("next_day", 2..=2, |_| DataType::Date32, next_day),
        Scalar::new("months_between", 2..=2, |_| DataType::Float64, months_between),
        Scalar::new("age", 2..=2, interval, age),
        Scalar::new("interval_times", 2..=2, interval, interval_times),
        Scalar::new("interval_over", 2..=2, interval, interval_over),
        Scalar::new("interval_span", 1..=1, |_| DataType::Decimal128(38, 0), interval_span),
        Scalar::new("convert_timezone", 2..=3, |_| MOMENT, convert_timezone),
        Scalar::new("convert_timezone_pg", 2..=2, swapped, at_time_zone),
    ]
}

/// A date part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    /// So many months.
    Months(i64),
    /// Weeks, which begin on Sunday where boundaries are counted (Redshift).
    Week,
    /// So many microseconds.
    Micros(i64),
}

/// Date parts by their words (Redshift, "Date parts for date or timestamp functions").
const UNITS: &[(&[&str], Unit)] = &[
    (&["millennium", "millennia", "mil", "mils"], Unit::Months(12_000)),
    (&["century", "centuries", "c", "cent", "cents"], Unit::Months(1_200)),
    (&["decade", "decades", "dec", "decs"], Unit::Months(120)),
    (&["year", "years", "y", "yr", "yrs"], Unit::Months(12)),
    (&["quarter", "quarters", "qtr", "qtrs"], Unit::Months(3)),
    (&["month", "months", "mon", "mons"], Unit::Months(1)),
    (&["week", "weeks", "w"], Unit::Week),
    (&["day", "days", "d", "dayofyear", "doy", "dy", "yearday"], Unit::Micros(DAY_US)),
    (&["hour", "hours", "h", "hr", "hrs"], Unit::Micros(3600 * SECOND_US)),
    (&["minute", "minutes", "m", "min", "mins"], Unit::Micros(60 * SECOND_US)),
    (&["second", "seconds", "s", "sec", "secs"], Unit::Micros(SECOND_US)),
    (&["millisecond", "milliseconds", "ms", "msec", "msecs"], Unit::Micros(1000)),
    (&["microsecond", "microseconds", "us", "usec", "usecs", "useconds"], Unit::Micros(1)),
];

fn unit(word: &str) -> Result<Unit> {
    let lower = word.trim().to_lowercase();
    let unknown = || carried(Error::new(Kind::InvalidParameter, format!("date part \"{word}\" is not known")));
    UNITS.iter().find(|(words, _)| words.contains(&lower.as_str())).map(|(_, unit)| *unit).ok_or_else(unknown)
}

fn out_of_range() -> datafusion::error::DataFusionError {
    carried(Error::new(Kind::OutOfRange, "timestamp out of range"))
}

/// A moment and a number of units; the last day of a month stands for days that it has not.
fn added(moment: i64, unit: Unit, count: i64) -> Option<i64> {
    match unit {
        Unit::Micros(micros) => moment.checked_add(micros.checked_mul(count)?),
        Unit::Week => moment.checked_add((7 * DAY_US).checked_mul(count)?),
        Unit::Months(months) => {
            let months = months.checked_mul(count)?;
            let size = Months::new(u32::try_from(months.unsigned_abs()).ok()?);
            let shown = clock(moment)?;
            let moved = if months < 0 { shown.checked_sub_months(size)? } else { shown.checked_add_months(size)? };
            Some(moved.and_utc().timestamp_micros())
        }
    }
}

/// How many boundaries of a unit lie between.
fn boundaries(from: i64, to: i64, unit: Unit) -> Option<i64> {
    let number = |moment: i64| match unit {
        Unit::Micros(micros) => Some(moment.div_euclid(micros)),
        // The first day of 1970 was a Thursday.
        Unit::Week => Some((moment.div_euclid(DAY_US) + 4).div_euclid(7)),
        Unit::Months(months) => {
            let shown = clock(moment)?;
            Some((i64::from(shown.year()) * 12 + i64::from(shown.month0())).div_euclid(months))
        }
    };
    Some(number(to)? - number(from)?)
}

fn date_add(call: &Call) -> Result<ArrayRef> {
    let (units, counts, moments) = (call.texts(0)?, call.integers(1)?, call.moments(2)?);
    let zone = zone_of(&call.zone)?;
    let row = |((word, count), moment): ((Option<&str>, Option<i64>), Option<i64>)| {
        let (Some(word), Some(count), Some(moment)) = (word, count, moment) else { return Ok(None) };
        let moved = added(moment, unit(word)?, count).ok_or_else(out_of_range)?;
        Ok(if call.is_zoned(2) { from_zone(moved, &zone) } else { Some(moved) })
    };
    let rows = units.iter().zip(&counts).zip(&moments).map(row);
    let made = rows.collect::<Result<TimestampMicrosecondArray>>()?;
    Ok(Arc::new(if call.is_zoned(2) { made.with_timezone("UTC") } else { made }))
}

fn date_diff(call: &Call) -> Result<ArrayRef> {
    let (units, from, to) = (call.texts(0)?, call.moments(1)?, call.moments(2)?);
    let row = |((word, from), to): ((Option<&str>, Option<i64>), Option<i64>)| {
        let (Some(word), Some(from), Some(to)) = (word, from, to) else { return Ok(None) };
        boundaries(from, to, unit(word)?).map(Some).ok_or_else(out_of_range)
    };
    Ok(Arc::new(units.iter().zip(&from).zip(&to).map(row).collect::<Result<Int64Array>>()?))
}

fn days_of_month(date: NaiveDate) -> u32 {
    date.num_days_in_month().into()
}

fn since_1970(date: NaiveDate) -> i32 {
    date.num_days_from_ce() - 719_163
}

fn last_day(call: &Call) -> Result<ArrayRef> {
    let last = |moment: i64| {
        let date = clock(moment)?.date();
        date.with_day(days_of_month(date)).map(since_1970)
    };
    Ok(Arc::new(call.moments(0)?.iter().map(|moment| moment.and_then(last)).collect::<Date32Array>()))
}

/// The next such day of the week behind a date.
fn next_day(call: &Call) -> Result<ArrayRef> {
    let row = |(moment, day): (Option<i64>, Option<&str>)| {
        let (Some(moment), Some(day)) = (moment, day) else { return Ok(None) };
        let unknown = |_| carried(Error::new(Kind::InvalidParameter, format!("\"{day}\" is not a day of the week")));
        // Two letters are enough.
        let wanted = match day.trim().to_lowercase().as_str() {
            "m" | "mo" => Weekday::Mon,
            "tu" => Weekday::Tue,
            "w" | "we" => Weekday::Wed,
            "th" => Weekday::Thu,
            "f" | "fr" => Weekday::Fri,
            "sa" => Weekday::Sat,
            "su" => Weekday::Sun,
            other => other.parse().map_err(unknown)?,
        };
        let Some(date) = clock(moment).map(|shown| shown.date()) else { return Ok(None) };
        let ahead = (wanted.num_days_from_monday() + 6 - date.weekday().num_days_from_monday()) % 7 + 1;
        Ok(Some(since_1970(date) + ahead as i32))
    };
    let rows = call.moments(0)?;
    Ok(Arc::new(rows.iter().zip(call.texts(1)?.iter()).map(row).collect::<Result<Date32Array>>()?))
}

/// Whole months where the days are the same or both the last; else a fraction of 31 days (Redshift).
fn months_between(call: &Call) -> Result<ArrayRef> {
    let between = |(left, right): (Option<i64>, Option<i64>)| {
        let (left, right) = (clock(left?)?, clock(right?)?);
        let months = i64::from(left.year() - right.year()) * 12 + i64::from(left.month0()) - i64::from(right.month0());
        let is_last = |shown: NaiveDateTime| shown.day() == days_of_month(shown.date());
        if left.day() == right.day() || is_last(left) && is_last(right) {
            return Some(months as f64);
        }
        let days = |shown: NaiveDateTime| {
            f64::from(shown.day()) + f64::from(chrono::Timelike::num_seconds_from_midnight(&shown)) / 86_400.0
        };
        Some(months as f64 + (days(left) - days(right)) / 31.0)
    };
    let (left, right) = (call.moments(0)?, call.moments(1)?);
    Ok(Arc::new(left.iter().zip(&right).map(between).collect::<Float64Array>()))
}

/// Postgres' AGE: years, months and days as people count them.
fn age(call: &Call) -> Result<ArrayRef> {
    let (left, right) = (call.moments(0)?, call.moments(1)?);
    let between = |(left, right): (Option<i64>, Option<i64>)| counted(left?, right?);
    Ok(Arc::new(left.iter().zip(&right).map(between).collect::<IntervalMonthDayNanoArray>()))
}

fn counted(left: i64, right: i64) -> Option<IntervalMonthDayNano> {
    let negative = left < right;
    let (late, early) = (clock(left.max(right))?, clock(left.min(right))?);
    let mut months = i64::from(late.year() - early.year()) * 12 + i64::from(late.month0()) - i64::from(early.month0());
    let mut days = i64::from(late.day()) - i64::from(early.day());
    let time = |shown: NaiveDateTime| shown.and_utc().timestamp_micros().rem_euclid(DAY_US);
    let mut micros = time(late) - time(early);
    if micros < 0 {
        (micros, days) = (micros + DAY_US, days - 1);
    }
    if days < 0 {
        // Postgres borrows the days of the earlier one's month.
        (days, months) = (days + i64::from(days_of_month(early.date())), months - 1);
    }
    let sign = if negative { -1 } else { 1 };
    let (months, days) = (i32::try_from(sign * months).ok()?, i32::try_from(sign * days).ok()?);
    Some(IntervalMonthDayNano::new(months, days, sign * micros * 1000))
}

/// An interval so many times: what is left of a month goes into days of which it has 30, of a day into its hours
/// (Postgres).
fn interval_times(call: &Call) -> Result<ArrayRef> {
    each_interval(call, |part, number| Ok(part * number))
}

/// An interval divided by a number, likewise. 22012.
fn interval_over(call: &Call) -> Result<ArrayRef> {
    each_interval(call, |part, number| match number {
        0.0 => Err(carried(Error::new(Kind::DivisionByZero, "division by zero"))),
        number => Ok(part / number),
    })
}

fn each_interval(call: &Call, of_part: fn(f64, f64) -> Result<f64>) -> Result<ArrayRef> {
    let intervals = cast(call.array(0)?, &INTERVAL)?;
    let numbers = cast(call.array(1)?, &DataType::Float64)?;
    let rows = intervals.as_primitive::<IntervalMonthDayNanoType>().iter().zip(numbers.as_primitive::<Float64Type>());
    let row = |(interval, number): (Option<IntervalMonthDayNano>, Option<f64>)| match (interval, number) {
        (Some(interval), Some(number)) => scaled(interval, |part| of_part(part, number)).map(Some),
        _ => Ok(None),
    };
    Ok(Arc::new(rows.map(row).collect::<Result<IntervalMonthDayNanoArray>>()?))
}

/// Each part scaled, what is left over going into the next smaller one. 22008.
fn scaled(interval: IntervalMonthDayNano, scale: impl Fn(f64) -> Result<f64>) -> Result<IntervalMonthDayNano> {
    let too_long = || carried(Error::new(Kind::DatetimeOverflow, "interval out of range"));
    let whole = |value: f64| if value.abs() <= f64::from(i32::MAX) { Ok(value as i32) } else { Err(too_long()) };
    // What floating-point numbers lose below a microsecond is nothing that was asked for.
    let micro_days = |days: f64| (days * DAY_US as f64).round() / DAY_US as f64;
    let months = scale(f64::from(interval.months))?;
    let of_months = micro_days(months.fract() * 30.0);
    let days = scale(f64::from(interval.days))?;
    let of_days = micro_days(days.fract()) + of_months.fract();
    let micros = (scale(interval.nanoseconds as f64 / 1000.0)? + of_days * DAY_US as f64).round();
    match micros.abs() < i64::MAX as f64 / 1000.0 {
        true => Ok(IntervalMonthDayNano::new(
            whole(months.trunc())?,
            whole(days.trunc() + of_months.trunc())?,
            micros as i64 * 1000,
        )),
        false => Err(too_long()),
    }
}

/// How long an interval is, in microseconds, a month having 30 days: what intervals are compared by.
fn interval_span(call: &Call) -> Result<ArrayRef> {
    let intervals = cast(call.array(0)?, &INTERVAL)?;
    let span = |interval: IntervalMonthDayNano| {
        let days = i128::from(interval.months) * 30 + i128::from(interval.days);
        days * i128::from(DAY_US) + i128::from(interval.nanoseconds / 1000)
    };
    let spans = intervals.as_primitive::<IntervalMonthDayNanoType>().iter().map(|interval| interval.map(span));
    Ok(Arc::new(spans.collect::<Decimal128Array>().with_precision_and_scale(38, 0)?))
}

/// Redshift's CONVERT_TIMEZONE: what clocks of the last zone show when those of the first, or of UTC, show this.
fn convert_timezone(call: &Call) -> Result<ArrayRef> {
    let (from, to, place) = match call.arrays.len() {
        2 => (None, call.texts(0)?, 1),
        _ => (Some(call.texts(0)?), call.texts(1)?, 2),
    };
    let moments = call.moments(place)?;
    let mut rows = Vec::with_capacity(call.rows);
    for at in 0..call.rows {
        let own = |texts: &arrow::array::StringArray| texts.iter().nth(at).flatten().map(str::to_string);
        let (Some(to), Some(moment)) = (own(&to), moments.iter().nth(at).flatten()) else {
            rows.push(None);
            continue;
        };
        let utc = match from.as_ref().map(own) {
            Some(Some(from)) => from_zone(moment, &zone_of(&from)?),
            Some(None) => None,
            None => Some(moment),
        };
        let to = zone_of(&to)?;
        rows.push(utc.and_then(|utc| in_zone(utc, &to)));
    }
    Ok(Arc::new(TimestampMicrosecondArray::from(rows)))
}

/// `timezone(zone, moment)`, which is AT TIME ZONE: with a zone what clocks there show, without the moment they show it.
fn at_time_zone(call: &Call) -> Result<ArrayRef> {
    let zones = call.texts(0)?;
    let has_zone = call.is_zoned(1);
    let moments = match has_zone {
        true => cast(call.array(1)?, &zoned())?.as_primitive::<TimestampMicrosecondType>().clone(),
        false => call.moments(1)?,
    };
    let row = |(zone, moment): (Option<&str>, Option<i64>)| {
        let (Some(zone), Some(moment)) = (zone, moment) else { return Ok(None) };
        let zone = zone_of(zone)?;
        Ok(if has_zone { in_zone(moment, &zone) } else { from_zone(moment, &zone) })
    };
    let made = zones.iter().zip(&moments).map(row).collect::<Result<TimestampMicrosecondArray>>()?;
    Ok(Arc::new(if has_zone { made.with_timezone_opt(None::<Arc<str>>) } else { made.with_timezone("UTC") }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        crate::formats::plain_timestamp(text, false).unwrap()
    }

    #[test]
    fn units_are_added() {
        for (from, word, count, to) in [
            ("2020-01-31", "month", 1, "2020-02-29"),
            ("2020-02-29", "yr", -1, "2019-02-28"),
            ("2020-01-01", "qtr", 2, "2020-07-01"),
            ("2020-01-01 23:00", "hours", 2, "2020-01-02 01:00"),
            ("2020-01-01", "w", -1, "2019-12-25"),
            ("2020-01-01", "ms", 1500, "2020-01-01 00:00:01.5"),
        ] {
            assert_eq!(added(at(from), unit(word).unwrap(), count), Some(at(to)), "{from} {word} {count}");
        }
        assert!(unit("fortnight").is_err() && added(at("2020-01-01"), Unit::Months(12), i64::MAX).is_none());
    }

    #[test]
    fn boundaries_are_counted() {
        for (from, to, word, expected) in [
            ("2008-12-31 23:59:59", "2009-01-01", "year", 1),
            ("2009-01-01", "2009-12-31", "week", 52),
            ("2023-01-07", "2023-01-08", "week", 1),
            ("2009-06-30", "2009-01-01", "qtr", -1),
            ("2009-01-01", "2009-01-01 23:59", "day", 0),
            ("1969-12-31 23:59:59", "1970-01-01", "hour", 1),
        ] {
            assert_eq!(boundaries(at(from), at(to), unit(word).unwrap()), Some(expected), "{from} {to} {word}");
        }
    }

    #[test]
    fn ages_are_those_of_postgres() {
        for (left, right, months, days, micros) in [
            ("2001-04-10", "1957-06-13", 43 * 12 + 9, 27, 0),
            ("2013-05-01", "2012-01-01", 16, 0, 0),
            ("2012-03-01", "2012-02-28 12:00", 0, 1, 43_200_000_000),
            ("2012-01-01", "2013-05-01", -16, 0, 0),
        ] {
            let expected = IntervalMonthDayNano::new(months, days, micros * 1000);
            assert_eq!(counted(at(left), at(right)), Some(expected), "{left} {right}");
        }
    }
}
