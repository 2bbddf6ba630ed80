//! Intervals in text: `1 year -2 days 04:05:06.7`, units by name or letter, `1-2` for years and months, `ago`, and
//! ISO 8601 (Postgres: `DecodeInterval`).

use super::Fault;
use super::fields::clock;
use super::tokens::{Shape, Token, tokens};
use arrow::array::{ArrayRef, AsArray, StringViewArray};
use arrow::datatypes::{IntervalMonthDayNano, IntervalMonthDayNanoType};
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};

const DAY_US: f64 = 86_400e6;

/// Reads an interval. 22007 for what is none, 22015 for one that is too long.
pub fn interval(text: &str) -> Result<IntervalMonthDayNano> {
    interval_of_fields(text, None)
}

/// The same of which only what is down to a field counts, and in which a number alone is of it: `INTERVAL '1-2' YEAR TO
/// MONTH`. Seconds, where none is named.
pub fn interval_of_fields(text: &str, last: Option<&str>) -> Result<IntervalMonthDayNano> {
    let last = last.and_then(|field| unit(&field.to_ascii_lowercase())).unwrap_or(SECOND);
    read(text.trim(), last).map(|read| cut(read, last)).map_err(|fault| match fault {
        Fault::Overflow => Error::new(Kind::IntervalOverflow, format!("interval field value out of range: \"{text}\"")),
        _ => Error::new(Kind::DatetimeFormat, format!("invalid input syntax for type interval: \"{text}\"")),
    })
}

/// What is smaller than a field counts no more.
fn cut(read: IntervalMonthDayNano, last: Unit) -> IntervalMonthDayNano {
    let IntervalMonthDayNano { months, days, nanoseconds } = read;
    match last {
        Unit::Months(per) => {
            let per = i32::try_from(per).unwrap_or(1);
            IntervalMonthDayNano::new(months - months % per, 0, 0)
        }
        Unit::Days(_) => IntervalMonthDayNano::new(months, days, 0),
        SECOND => read,
        Unit::Micros(per) => IntervalMonthDayNano::new(months, days, nanoseconds - nanoseconds % (per * 1000)),
    }
}

fn read(text: &str, last: Unit) -> Result<IntervalMonthDayNano, Fault> {
    if let Some(rest) = text.strip_prefix(['P', 'p']) {
        return iso(rest);
    }
    let mut sums = Sums::default();
    let mut unit = Some(last);
    // From the end, as a unit stands behind its number.
    for token in tokens(text)?.iter().rev() {
        sums.take(token, &mut unit)?;
    }
    sums.whole()
}

/// ISO 8601 behind its P: `1Y2M3DT4H5M6S`, or `0001-02-03T04:05:06`.
fn iso(text: &str) -> Result<IntervalMonthDayNano, Fault> {
    let mut sums = Sums::default();
    let upper = text.to_ascii_uppercase();
    let (date, time) = upper.split_once('T').map_or((upper.as_str(), None), |(date, time)| (date, Some(time)));
    if date.get(1..).is_some_and(|date| date.contains('-') && date.ends_with(|c: char| c.is_ascii_digit())) {
        for (number, unit) in date.splitn(3, '-').zip([Unit::Months(12), Unit::Months(1), DAY]) {
            sums.take_number(number, &mut Some(unit))?;
        }
    } else {
        sums.take_designated(
            date,
            &[('Y', Unit::Months(12)), ('M', Unit::Months(1)), ('W', Unit::Days(7)), ('D', DAY)],
        )?;
    }
    match time {
        Some(time) if time.contains(':') => sums.take_clock(time, 1, &mut None)?,
        Some(time) => sums.take_designated(time, &[('H', HOUR), ('M', MINUTE), ('S', SECOND)])?,
        None => {}
    }
    sums.whole()
}

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Micros(i64),
    Days(i64),
    Months(i64),
}

const SECOND: Unit = Unit::Micros(1_000_000);
const MINUTE: Unit = Unit::Micros(60_000_000);
const HOUR: Unit = Unit::Micros(3_600_000_000);
const DAY: Unit = Unit::Days(1);

fn unit(word: &str) -> Option<Unit> {
    Some(match word {
        "us" | "usec" | "usecs" | "usecond" | "useconds" | "microsecond" | "microseconds" => Unit::Micros(1),
        "ms" | "msec" | "msecs" | "msecond" | "mseconds" | "millisecond" | "milliseconds" => Unit::Micros(1000),
        "s" | "sec" | "secs" | "second" | "seconds" => SECOND,
        "m" | "min" | "mins" | "minute" | "minutes" => MINUTE,
        "h" | "hr" | "hrs" | "hour" | "hours" => HOUR,
        "d" | "day" | "days" => DAY,
        "w" | "week" | "weeks" => Unit::Days(7),
        "mon" | "mons" | "month" | "months" => Unit::Months(1),
        "qtr" | "quarter" => Unit::Months(3),
        "y" | "yr" | "yrs" | "year" | "years" => Unit::Months(12),
        "dec" | "decs" | "decade" | "decades" => Unit::Months(120),
        "c" | "cent" | "century" | "centuries" => Unit::Months(1200),
        "mil" | "mils" | "millennium" | "millennia" => Unit::Months(12_000),
        _ => return None,
    })
}

/// Months, days and microseconds, each in its own sum.
#[derive(Default)]
struct Sums {
    months: i64,
    days: i64,
    micros: i64,
    /// The units that were counted, which may not come twice.
    seen: Vec<Unit>,
    is_clocked: bool,
    found: bool,
    ago: bool,
}

impl Sums {
    fn take(&mut self, token: &Token, awaited: &mut Option<Unit>) -> Result<(), Fault> {
        let text = token.text.as_str();
        match token.shape {
            Shape::Time => self.take_clock(text, 1, awaited),
            Shape::Signed if text.contains(':') => {
                let sign = if text.starts_with('-') { -1 } else { 1 };
                self.take_clock(text.get(1..).unwrap_or_default(), sign, awaited)
            }
            Shape::Signed | Shape::Number | Shape::Date => self.take_number(text, awaited),
            Shape::Word if text == "ago" => {
                self.ago = true;
                Ok(())
            }
            Shape::Word | Shape::SignedWord => {
                *awaited = Some(unit(text).ok_or(Fault::Format)?);
                Ok(())
            }
        }
    }

    /// Numbers each with a letter behind it.
    fn take_designated(&mut self, text: &str, units: &[(char, Unit)]) -> Result<(), Fault> {
        let mut rest = text;
        while let Some(at) = rest.find(|c: char| c.is_ascii_alphabetic()) {
            let (number, letter) = rest.split_at(at);
            let unit = units.iter().find(|(designator, _)| letter.starts_with(*designator)).ok_or(Fault::Format)?.1;
            if number.trim_start_matches(['+', '-']).is_empty() {
                return Err(Fault::Format);
            }
            self.take_number(number, &mut Some(unit))?;
            rest = letter.get(1..).unwrap_or_default();
        }
        if rest.is_empty() { Ok(()) } else { Err(Fault::Format) }
    }

    /// What stands before a clock without a unit is days.
    fn take_clock(&mut self, text: &str, sign: i64, awaited: &mut Option<Unit>) -> Result<(), Fault> {
        let counted = self.seen.iter().any(|unit| matches!(unit, Unit::Micros(_)));
        if std::mem::replace(&mut self.is_clocked, true) || counted {
            return Err(Fault::Format);
        }
        self.micros = self.micros.checked_add(sign * clock(text)?).ok_or(Fault::Overflow)?;
        *awaited = Some(DAY);
        self.found = true;
        Ok(())
    }

    fn take_number(&mut self, text: &str, awaited: &mut Option<Unit>) -> Result<(), Fault> {
        let (sign, digits) = match text.split_at_checked(1) {
            Some(("-", rest)) => (-1, rest),
            Some(("+", rest)) => (1, rest),
            _ => (1, text),
        };
        let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
            true if text.is_empty() => Ok(0),
            true => text.parse::<i64>().map_err(|_| Fault::Overflow),
            false => Err(Fault::Format),
        };
        if let Some((years, months)) = digits.split_once('-') {
            let months = number(months)?;
            if months > 11 {
                return Err(Fault::Overflow);
            }
            let total = number(years)?.checked_mul(12).and_then(|years| years.checked_add(months));
            return self.add(sign * total.ok_or(Fault::Overflow)?, 0.0, Unit::Months(1));
        }
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        number(fraction.get(..fraction.len().min(9)).unwrap_or_default())?;
        let fraction: f64 = format!("0.{fraction}0").parse().map_err(|_| Fault::Format)?;
        let unit = awaited.unwrap_or(SECOND);
        // A clock's hours, minutes and seconds have been counted.
        if self.seen.contains(&unit) || self.is_clocked && matches!(unit, Unit::Micros(_)) {
            return Err(Fault::Format);
        }
        self.seen.push(unit);
        // Without a unit of its own, what stands before hours is days.
        if unit == HOUR {
            *awaited = Some(DAY);
        }
        self.add(sign * number(whole)?, fraction * sign as f64, unit)
    }

    /// Adds a number of units. What is left of a fraction goes to the next smaller sum.
    fn add(&mut self, whole: i64, fraction: f64, unit: Unit) -> Result<(), Fault> {
        self.found = true;
        let sum = |sum: &mut i64, per: i64| -> Result<(), Fault> {
            *sum = whole.checked_mul(per).and_then(|more| sum.checked_add(more)).ok_or(Fault::Overflow)?;
            Ok(())
        };
        match unit {
            Unit::Micros(per) => {
                sum(&mut self.micros, per)?;
                self.micros += (fraction * per as f64).round() as i64;
            }
            Unit::Days(per) => {
                sum(&mut self.days, per)?;
                self.add_days(fraction * per as f64);
            }
            Unit::Months(1) => {
                sum(&mut self.months, 1)?;
                self.add_days(fraction * 30.0);
            }
            // Of a year's fraction only whole months are kept.
            Unit::Months(per) => {
                sum(&mut self.months, per)?;
                self.months += (fraction * per as f64).round_ties_even() as i64;
            }
        }
        Ok(())
    }

    fn add_days(&mut self, days: f64) {
        self.days += days.trunc() as i64;
        self.micros += (days.fract() * DAY_US).round() as i64;
    }

    fn whole(&self) -> Result<IntervalMonthDayNano, Fault> {
        if !self.found {
            return Err(Fault::Format);
        }
        let sign = if self.ago { -1 } else { 1 };
        let small = |value: i64| i32::try_from(sign * value).map_err(|_| Fault::Overflow);
        let nanos = self.micros.checked_mul(sign * 1000).ok_or(Fault::Overflow)?;
        Ok(IntervalMonthDayNano::new(small(self.months)?, small(self.days)?, nanos))
    }
}

/// Intervals as texts from which [`interval`] reads the same again: how tables keep them.
pub fn intervals_as_texts(intervals: &ArrayRef) -> ArrayRef {
    let text = |value: IntervalMonthDayNano| {
        format!("{} mons {} days {} us", value.months, value.days, value.nanoseconds / 1000)
    };
    let texts = intervals.as_primitive_opt::<IntervalMonthDayNanoType>().map(|values| values.iter());
    Arc::new(texts.into_iter().flatten().map(|value| value.map(text)).collect::<StringViewArray>())
}
