//! TO_CHAR: moments, intervals and numbers by a template (Postgres 15, "Data Type Formatting Functions").

use super::number::NumberTemplate;
use super::scalar::{Call, Scalar, clock, zone_of, zoned};
use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, IntervalMonthDayNanoType, IntervalUnit, TimestampMicrosecondType};
use chrono::{Datelike, NaiveDateTime, Offset, TimeZone, Timelike};
use datafusion::error::Result;
use std::sync::Arc;

/// TO_CHAR.
pub fn functions() -> Vec<Scalar> {
    vec![Scalar::new("to_char", 2..=2, |_| DataType::Utf8, to_char)]
}

fn to_char(call: &Call) -> Result<ArrayRef> {
    let templates = call.texts(1)?;
    let made: StringArray = match call.array(0)?.data_type() {
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => moments(call, &templates)?,
        DataType::Interval(_) => intervals(call, &templates)?,
        data_type if data_type.is_numeric() || data_type.is_null() => numbers(call, &templates)?,
        _ => moments(call, &templates)?,
    };
    Ok(Arc::new(made))
}

fn moments(call: &Call, templates: &StringArray) -> Result<StringArray> {
    let zone = zone_of(&call.zone)?;
    let offsets: Option<Vec<i64>> = match call.is_zoned(0) {
        true => {
            let utc = cast(call.array(0)?, &zoned())?;
            let offset = |micros: Option<i64>| {
                let shown = micros.and_then(clock);
                shown.map_or(0, |shown| i64::from(zone.offset_from_utc_datetime(&shown).fix().local_minus_utc()))
            };
            Some(utc.as_primitive::<TimestampMicrosecondType>().iter().map(offset).collect())
        }
        false => None,
    };
    let row = |(at, (moment, template)): (usize, (Option<i64>, Option<&str>))| {
        let (clock, template) = (clock(moment?)?, template?);
        let offset = offsets.as_ref().and_then(|offsets| offsets.get(at)).copied();
        let zone = offset.map(|seconds| (call.zone.as_str(), seconds));
        Some(shown(template, &Shown { clock, hours: i64::from(clock.hour()), zone }))
    };
    Ok(call.moments(0)?.iter().zip(templates.iter()).enumerate().map(row).collect())
}

fn intervals(call: &Call, templates: &StringArray) -> Result<StringArray> {
    let intervals = cast(call.array(0)?, &DataType::Interval(IntervalUnit::MonthDayNano))?;
    let row = |(interval, template): (Option<arrow::datatypes::IntervalMonthDayNano>, Option<&str>)| {
        let (interval, template) = (interval?, template?);
        let micros = interval.nanoseconds / 1000;
        let date = chrono::NaiveDate::from_ymd_opt(
            interval.months.div_euclid(12),
            interval.months.rem_euclid(12).unsigned_abs().max(1),
            interval.days.unsigned_abs().clamp(1, 28),
        )?;
        let time = clock(micros.rem_euclid(86_400_000_000))?.time();
        Some(shown(template, &Shown { clock: date.and_time(time), hours: micros / 3_600_000_000, zone: None }))
    };
    Ok(intervals.as_primitive::<IntervalMonthDayNanoType>().iter().zip(templates.iter()).map(row).collect())
}

fn numbers(call: &Call, templates: &StringArray) -> Result<StringArray> {
    // Floating-point numbers without their exponents, as a template has no place for them.
    let texts = match call.array(0)?.data_type().is_floating() {
        true => cast(&call.decimals(0, 10)?, &DataType::Utf8)?.as_string::<i32>().clone(),
        false => call.texts(0)?,
    };
    let row = |(number, template): (Option<&str>, Option<&str>)| {
        let (number, template) = (number?, template?);
        Some(NumberTemplate::parse(template).shown(number))
    };
    Ok(texts.iter().zip(templates.iter()).map(row).collect())
}

/// What a template is filled with.
pub struct Shown<'a> {
    clock: NaiveDateTime,
    /// Of an interval more than a day has.
    hours: i64,
    /// The zone's name and its offset in seconds.
    zone: Option<(&'a str, i64)>,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const ROMAN: [&str; 12] = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"];
/// Width that names of months and days are filled up to.
const NAME_WIDTH: usize = 9;

/// How letters are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    Upper,
    Title,
    Lower,
}

/// What a word of a template shows.
#[derive(Clone, Copy)]
enum Part {
    /// A number, in so many digits at least.
    Number(fn(&Shown<'_>) -> i64, usize),
    /// A text, filled up to a width.
    Name(fn(&Shown<'_>) -> String, usize, Case),
}

fn hour12(shown: &Shown<'_>) -> i64 {
    match shown.hours.rem_euclid(12) {
        0 => 12,
        hour => hour,
    }
}

fn month(shown: &Shown<'_>) -> String {
    MONTHS.get(shown.clock.month0() as usize).copied().unwrap_or_default().to_string()
}

fn day(shown: &Shown<'_>) -> String {
    DAYS.get(shown.clock.weekday().num_days_from_monday() as usize).copied().unwrap_or_default().to_string()
}

fn short(name: String) -> String {
    name.chars().take(3).collect()
}

fn meridiem(shown: &Shown<'_>) -> String {
    if shown.hours.rem_euclid(24) < 12 { "am" } else { "pm" }.to_string()
}

fn dotted(shown: &Shown<'_>) -> String {
    if shown.hours.rem_euclid(24) < 12 { "a.m." } else { "p.m." }.to_string()
}

fn roman(shown: &Shown<'_>) -> String {
    ROMAN.get(shown.clock.month0() as usize).copied().unwrap_or_default().to_string()
}

fn zone_name(shown: &Shown<'_>) -> String {
    shown.zone.map_or(String::new(), |(name, _)| name.to_string())
}

fn offset(shown: &Shown<'_>) -> String {
    let seconds = shown.zone.map_or(0, |(_, seconds)| seconds);
    let (sign, size) = (if seconds < 0 { '-' } else { '+' }, seconds.abs());
    match size % 3600 / 60 {
        0 => format!("{sign}{:02}", size / 3600),
        minutes => format!("{sign}{:02}:{minutes:02}", size / 3600),
    }
}

fn era(shown: &Shown<'_>) -> String {
    if shown.clock.year() > 0 { "ad" } else { "bc" }.to_string()
}

fn year(shown: &Shown<'_>) -> i64 {
    let year = i64::from(shown.clock.year());
    if year > 0 { year } else { 1 - year }
}

fn micros(shown: &Shown<'_>) -> i64 {
    i64::from(shown.clock.nanosecond() % 1_000_000_000) / 1000
}

/// The words of templates; the longer ones first where one begins with another.
const WORDS: &[(&str, Part)] = &[
    ("HH24", Part::Number(|s| s.hours, 2)),
    ("HH12", Part::Number(hour12, 2)),
    ("HH", Part::Number(hour12, 2)),
    ("MI", Part::Number(|s| s.clock.minute().into(), 2)),
    ("SSSSS", Part::Number(|s| s.clock.num_seconds_from_midnight().into(), 1)),
    ("SSSS", Part::Number(|s| s.clock.num_seconds_from_midnight().into(), 1)),
    ("SS", Part::Number(|s| s.clock.second().into(), 2)),
    ("MS", Part::Number(|s| micros(s) / 1000, 3)),
    ("US", Part::Number(micros, 6)),
    ("FF1", Part::Number(|s| micros(s) / 100_000, 1)),
    ("FF2", Part::Number(|s| micros(s) / 10_000, 2)),
    ("FF3", Part::Number(|s| micros(s) / 1000, 3)),
    ("FF4", Part::Number(|s| micros(s) / 100, 4)),
    ("FF5", Part::Number(|s| micros(s) / 10, 5)),
    ("FF6", Part::Number(micros, 6)),
    ("A.M.", Part::Name(dotted, 0, Case::Upper)),
    ("P.M.", Part::Name(dotted, 0, Case::Upper)),
    ("a.m.", Part::Name(dotted, 0, Case::Lower)),
    ("p.m.", Part::Name(dotted, 0, Case::Lower)),
    ("AM", Part::Name(meridiem, 0, Case::Upper)),
    ("PM", Part::Name(meridiem, 0, Case::Upper)),
    ("am", Part::Name(meridiem, 0, Case::Lower)),
    ("pm", Part::Name(meridiem, 0, Case::Lower)),
    ("AD", Part::Name(era, 0, Case::Upper)),
    ("BC", Part::Name(era, 0, Case::Upper)),
    ("ad", Part::Name(era, 0, Case::Lower)),
    ("bc", Part::Name(era, 0, Case::Lower)),
    ("YYYY", Part::Number(year, 4)),
    ("YYY", Part::Number(|s| year(s) % 1000, 3)),
    ("YY", Part::Number(|s| year(s) % 100, 2)),
    ("Y", Part::Number(|s| year(s) % 10, 1)),
    ("IYYY", Part::Number(|s| s.clock.iso_week().year().into(), 4)),
    ("IYY", Part::Number(|s| i64::from(s.clock.iso_week().year()) % 1000, 3)),
    ("IY", Part::Number(|s| i64::from(s.clock.iso_week().year()) % 100, 2)),
    ("IDDD", Part::Number(|s| i64::from(s.clock.iso_week().week0() * 7 + s.clock.weekday().number_from_monday()), 3)),
    ("ID", Part::Number(|s| s.clock.weekday().number_from_monday().into(), 1)),
    ("IW", Part::Number(|s| s.clock.iso_week().week().into(), 2)),
    ("I", Part::Number(|s| i64::from(s.clock.iso_week().year()) % 10, 1)),
    ("MONTH", Part::Name(month, NAME_WIDTH, Case::Upper)),
    ("Month", Part::Name(month, NAME_WIDTH, Case::Title)),
    ("month", Part::Name(month, NAME_WIDTH, Case::Lower)),
    ("MON", Part::Name(|s| short(month(s)), 0, Case::Upper)),
    ("Mon", Part::Name(|s| short(month(s)), 0, Case::Title)),
    ("mon", Part::Name(|s| short(month(s)), 0, Case::Lower)),
    ("MM", Part::Number(|s| s.clock.month().into(), 2)),
    ("DAY", Part::Name(day, NAME_WIDTH, Case::Upper)),
    ("Day", Part::Name(day, NAME_WIDTH, Case::Title)),
    ("day", Part::Name(day, NAME_WIDTH, Case::Lower)),
    ("DY", Part::Name(|s| short(day(s)), 0, Case::Upper)),
    ("Dy", Part::Name(|s| short(day(s)), 0, Case::Title)),
    ("dy", Part::Name(|s| short(day(s)), 0, Case::Lower)),
    ("DDD", Part::Number(|s| s.clock.ordinal().into(), 3)),
    ("DD", Part::Number(|s| s.clock.day().into(), 2)),
    ("D", Part::Number(|s| s.clock.weekday().number_from_sunday().into(), 1)),
    ("WW", Part::Number(|s| i64::from(s.clock.ordinal0() / 7 + 1), 2)),
    ("W", Part::Number(|s| i64::from(s.clock.day0() / 7 + 1), 1)),
    ("CC", Part::Number(|s| (year(s) + 99) / 100, 2)),
    ("J", Part::Number(|s| i64::from(s.clock.num_days_from_ce()) + 1_721_425, 1)),
    ("Q", Part::Number(|s| i64::from(s.clock.month0() / 3 + 1), 1)),
    ("RM", Part::Name(roman, 4, Case::Upper)),
    ("rm", Part::Name(roman, 4, Case::Lower)),
    ("TZH", Part::Name(|s| offset(s).chars().take(3).collect(), 0, Case::Upper)),
    ("TZM", Part::Number(|s| s.zone.map_or(0, |(_, seconds)| seconds.abs() % 3600 / 60), 2)),
    ("TZ", Part::Name(zone_name, 0, Case::Upper)),
    ("tz", Part::Name(zone_name, 0, Case::Lower)),
    ("OF", Part::Name(offset, 0, Case::Upper)),
];

/// The word that a template begins with. Words of numbers are the same in small letters.
fn word(template: &str) -> Option<(&'static str, Part)> {
    let begins = |(known, part): &&(&'static str, Part)| {
        let Some(start) = template.get(..known.len()) else { return false };
        start == *known || matches!(part, Part::Number(..)) && start.eq_ignore_ascii_case(known)
    };
    WORDS.iter().filter(begins).max_by_key(|(known, _)| known.len()).copied()
}

/// A template filled.
fn shown(template: &str, with: &Shown<'_>) -> String {
    let (mut out, mut rest) = (String::new(), template);
    while !rest.is_empty() {
        let (fills, after) = match rest.strip_prefix("FM").or_else(|| rest.strip_prefix("fm")) {
            Some(after) => (false, after),
            None => (true, rest),
        };
        if let Some((known, part)) = word(after) {
            rest = after.get(known.len()..).unwrap_or_default();
            let number = fill(part, fills, with, &mut out);
            rest = suffix(rest, number, &mut out);
        } else if let Some((quoted, after)) =
            rest.strip_prefix('"').map(|rest| rest.split_once('"').unwrap_or((rest, "")))
        {
            out.push_str(quoted);
            rest = after;
        } else {
            let mut chars = rest.chars();
            out.extend(chars.next());
            rest = chars.as_str();
        }
    }
    out
}

/// Writes a part, and gives its number if it is one.
fn fill(part: Part, fills: bool, with: &Shown<'_>, out: &mut String) -> Option<i64> {
    match part {
        Part::Number(value, width) => {
            let value = value(with);
            let width = if fills { width } else { 0 };
            let sign = if value < 0 { "-" } else { "" };
            out.push_str(&format!("{sign}{:0width$}", value.abs()));
            Some(value)
        }
        Part::Name(value, width, case) => {
            let value = value(with);
            let value = match case {
                Case::Upper => value.to_uppercase(),
                Case::Title => value,
                Case::Lower => value.to_lowercase(),
            };
            let width = if fills { width } else { 0 };
            out.push_str(&format!("{value:<width$}"));
            None
        }
    }
}

/// `TH` and `th` behind a number.
fn suffix<'t>(rest: &'t str, number: Option<i64>, out: &mut String) -> &'t str {
    let Some(number) = number else { return rest };
    let Some(start) = rest.get(..2).filter(|start| matches!(*start, "TH" | "th")) else { return rest };
    let ending = ordinal(number);
    out.push_str(&if start == "TH" { ending.to_uppercase() } else { ending.to_string() });
    rest.get(2..).unwrap_or_default()
}

/// The ending of an ordinal number.
pub fn ordinal(number: i64) -> &'static str {
    match (number.abs() % 100, number.abs() % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, template: &str) -> String {
        let clock = clock(crate::formats::plain_timestamp(text, false).unwrap()).unwrap();
        shown(template, &Shown { clock, hours: i64::from(clock.hour()), zone: Some(("UTC", 7200)) })
    }

    /// Each was asked of Postgres 15.
    #[test]
    fn templates() {
        for (template, expected) in [
            ("YYYY-MM-DD HH24:MI:SS", "2013-05-01 14:03:09"),
            ("yyyy-mm-dd hh12:mi:ss.ms am", "2013-05-01 02:03:09.123 pm"),
            ("Day, DD Month YYYY", "Wednesday, 01 May       2013"),
            ("FMDay, FMDD FMMonth YYYY", "Wednesday, 1 May 2013"),
            ("DY DDth MON YY", "WED 01st MAY 13"),
            ("Q IYYY-IW ID D DDD WW W", "2 2013-18 3 4 121 18 1"),
            ("\"at\" HH24\"h\"", "at 14h"),
            ("YYYYMMDD", "20130501"),
            ("HH24MISSUS", "140309123456"),
            ("J CC RM", "2456414 21 V   "),
            ("A.M. P.M.", "P.M. P.M."),
            ("TZ OF", "UTC +02"),
            ("FF3", "123"),
            ("xyz", "x3z"),
        ] {
            assert_eq!(of("2013-05-01 14:03:09.123456", template), expected, "{template}");
        }
    }
}
