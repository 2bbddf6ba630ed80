//! DATEFORMAT and TIMEFORMAT: how dates and times are spelled (Redshift, "DATEFORMAT and TIMEFORMAT strings").

use super::values::{Bad, MICROS_PER_SECOND, days, timestamp};
use serde::{Deserialize, Serialize};
use tidegate_core::{Error, Kind, Result};

/// How times of timestamp columns are spelled.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum TimeFormat {
    /// ISO and its neighbours.
    #[default]
    Usual,
    /// As a pattern says; patterns of `auto` are tried in turn.
    Patterns(Vec<Pattern>),
    /// Seconds of the Unix epoch (`epochsecs`).
    Seconds,
    /// Milliseconds of the Unix epoch (`epochmillisecs`).
    Millis,
}

impl TimeFormat {
    /// What TIMEFORMAT's text means. 22023 for a pattern that is none; `auto` and the epochs are told by exact case.
    pub fn parse(text: &str) -> Result<TimeFormat> {
        Ok(match text {
            "auto" => TimeFormat::Patterns(patterns(AUTO_TIMES)?),
            "epochsecs" => TimeFormat::Seconds,
            "epochmillisecs" => TimeFormat::Millis,
            _ => TimeFormat::Patterns(vec![Pattern::parse("TIMEFORMAT", text)?]),
        })
    }

    /// Microseconds since 1970.
    pub(super) fn read(&self, text: &[u8], zoned: bool) -> Result<i64, Bad> {
        match self {
            TimeFormat::Usual => timestamp(text, zoned),
            TimeFormat::Patterns(patterns) => {
                let own = patterns.iter().find_map(|pattern| pattern.timestamp(text).ok());
                match own {
                    Some(micros) => Ok(micros),
                    None if patterns.len() > 1 => timestamp(text, zoned),
                    None => Err(Bad::Syntax),
                }
            }
            TimeFormat::Seconds => epoch(text, 1_000_000),
            TimeFormat::Millis => epoch(text, 1000),
        }
    }
}

/// A number of units of so many microseconds, perhaps with a fraction.
fn epoch(text: &[u8], micros: i64) -> Result<i64, Bad> {
    let scale = if micros == 1000 { 3 } else { 6 };
    let value = super::values::decimal(text, 38, scale, true)?;
    i64::try_from(value).map_err(|_| Bad::Range)
}

/// What `auto` tries beside the usual spellings.
const AUTO_TIMES: &[&str] = &[
    "MM/DD/YYYY HH:MI:SS",
    "MM-DD-YYYY HH:MI:SS",
    "DD.MM.YYYY HH:MI:SS",
    "DD-MON-YYYY HH:MI:SS",
    "MON DD HH:MI:SS YYYY",
    "YYYYMMDD HHMISS",
];
const AUTO_DATES: &[&str] = &[
    "YYYYMMDD",
    "MM/DD/YYYY",
    "MM-DD-YYYY",
    "DD.MM.YYYY",
    "DD-MON-YYYY",
    "YYYY-MON-DD",
    "MON-DD-YYYY",
    "MONTH DD, YYYY",
    "MM/DD/YY",
];

fn patterns(texts: &[&str]) -> Result<Vec<Pattern>> {
    let strict = |text: &&str| Ok(Pattern { strict: true, ..Pattern::parse("TIMEFORMAT", text)? });
    texts.iter().map(strict).collect()
}

/// One element of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Element {
    Year,
    ShortYear,
    Month,
    MonthName,
    Day,
    Hour,
    Minute,
    Second,
    Meridiem,
    Offset,
    Weekday,
    Literal(u8),
}

/// Elements by their words, the longer ones first.
const WORDS: &[(&str, Element)] = &[
    ("YYYY", Element::Year),
    ("YY", Element::ShortYear),
    ("MONTH", Element::MonthName),
    ("MON", Element::MonthName),
    ("MM", Element::Month),
    ("MI", Element::Minute),
    ("DAY", Element::Weekday),
    ("DY", Element::Weekday),
    ("DD", Element::Day),
    ("HH24", Element::Hour),
    ("HH12", Element::Hour),
    ("HH", Element::Hour),
    ("SS", Element::Second),
    ("AM", Element::Meridiem),
    ("PM", Element::Meridiem),
    ("OF", Element::Offset),
];

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// A spelling of dates or times; several are tried in turn where it is `auto`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pattern {
    elements: Vec<Element>,
    others: Vec<Pattern>,
    /// Separators are as they are written: of `auto` they tell the patterns apart.
    strict: bool,
}

/// What has been read.
struct Parts {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    micros: i64,
    afternoon: Option<bool>,
    offset_s: i64,
}

impl Pattern {
    /// Reads a format's text. 22023 where it has a word that is none.
    pub fn parse(option: &str, text: &str) -> Result<Pattern> {
        let upper = text.to_ascii_uppercase();
        let (mut elements, mut rest) = (Vec::new(), upper.as_str());
        while let Some(first) = rest.bytes().next() {
            if let Some((word, element)) = WORDS.iter().find(|(word, _)| rest.starts_with(word)) {
                elements.push(*element);
                rest = rest.get(word.len()..).unwrap_or_default();
            } else if first.is_ascii_alphabetic() && first != b'T' || !first.is_ascii() {
                let message = format!("{option} '{text}' is not a format: \"{rest}\" is not known");
                return Err(Error::new(Kind::InvalidParameter, message)
                    .hint("Formats are made of YYYY YY MM MON DD HH24 HH12 MI SS AM OF and separators."));
            } else {
                elements.push(Element::Literal(first));
                rest = rest.get(1..).unwrap_or_default();
            }
        }
        Ok(Pattern { elements, others: Vec::new(), strict: false })
    }

    /// What DATEFORMAT's text means; None for the usual spellings.
    pub fn of_dates(text: &str) -> Result<Option<Pattern>> {
        if text != "auto" {
            return Pattern::parse("DATEFORMAT", text).map(Some);
        }
        Ok(Some(Pattern { elements: Vec::new(), others: patterns(AUTO_DATES)?, strict: true }))
    }

    /// Days since 1970.
    pub(super) fn date(&self, text: &[u8]) -> Result<i32, Bad> {
        if self.others.is_empty() {
            let parts = self.parts(text.trim_ascii())?;
            return days(parts.year, parts.month, parts.day);
        }
        let found = self.others.iter().find_map(|pattern| pattern.date(text).ok());
        found.map_or_else(|| super::values::date(text), Ok)
    }

    /// Microseconds since 1970 that a text means; None for one that does not fit.
    pub fn micros(&self, text: &str) -> Option<i64> {
        self.timestamp(text.as_bytes()).ok()
    }

    /// Microseconds since 1970.
    fn timestamp(&self, text: &[u8]) -> Result<i64, Bad> {
        let parts = self.parts(text.trim_ascii())?;
        let day = i64::from(days(parts.year, parts.month, parts.day)?);
        let hour = match parts.afternoon {
            Some(true) if parts.hour < 12 => parts.hour + 12,
            Some(false) if parts.hour == 12 => 0,
            _ => parts.hour,
        };
        if hour > 24 || parts.minute > 59 || parts.micros >= 61 * MICROS_PER_SECOND {
            return Err(Bad::Range);
        }
        let seconds = ((day * 24 + hour) * 60 + parts.minute) * 60 - parts.offset_s;
        Ok(seconds * MICROS_PER_SECOND + parts.micros)
    }

    fn parts(&self, text: &[u8]) -> Result<Parts, Bad> {
        let mut parts =
            Parts { year: 1970, month: 1, day: 1, hour: 0, minute: 0, micros: 0, afternoon: None, offset_s: 0 };
        let mut rest = text;
        for element in &self.elements {
            rest = parts.take(*element, rest, self.strict)?;
        }
        if rest.trim_ascii().is_empty() { Ok(parts) } else { Err(Bad::Syntax) }
    }
}

impl Parts {
    /// Reads one element; what follows it.
    fn take<'t>(&mut self, element: Element, text: &'t [u8], strict: bool) -> Result<&'t [u8], Bad> {
        let (value, rest) = match element {
            Element::Literal(b' ') => return Ok(text.trim_ascii_start()),
            Element::Literal(byte) => return literal(byte, text, strict),
            Element::Year => digits(text, 4)?,
            Element::MonthName => month(text)?,
            Element::Weekday => return word(text).map(|(_, rest)| rest),
            Element::Meridiem => {
                let (word, rest) = word(text)?;
                self.afternoon = Some(word.first().is_some_and(|byte| byte.eq_ignore_ascii_case(&b'p')));
                return Ok(rest);
            }
            Element::Offset => {
                self.offset_s = super::values::zone(text.trim_ascii())?;
                return Ok(&[]);
            }
            _ => digits(text, 2)?,
        };
        match element {
            Element::Year => self.year = value,
            // As Postgres: the nearest to 2020.
            Element::ShortYear => self.year = if value < 70 { 2000 + value } else { 1900 + value },
            Element::Month | Element::MonthName => self.month = value,
            Element::Day => self.day = value,
            Element::Hour => self.hour = value,
            Element::Minute => self.minute = value,
            _ => return self.second(value, rest),
        }
        Ok(rest)
    }

    /// Seconds, and what stands behind their point.
    fn second<'t>(&mut self, value: i64, rest: &'t [u8]) -> Result<&'t [u8], Bad> {
        self.micros = value * MICROS_PER_SECOND;
        let Some(fraction) = rest.strip_prefix(b".") else { return Ok(rest) };
        let (micros, rest) = super::values::fraction_micros(fraction)?;
        self.micros += micros;
        Ok(rest)
    }
}

/// Leading digits, at most so many.
fn digits(text: &[u8], most: usize) -> Result<(i64, &[u8]), Bad> {
    let count = text.iter().take(most).take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at_checked(count).filter(|(number, _)| !number.is_empty()).ok_or(Bad::Syntax)?;
    Ok((number.iter().fold(0, |sum, byte| sum * 10 + i64::from(byte - b'0')), rest))
}

fn word(text: &[u8]) -> Result<(&[u8], &[u8]), Bad> {
    let count = text.iter().take_while(|byte| byte.is_ascii_alphabetic() || **byte == b'.').count();
    text.split_at_checked(count).filter(|(word, _)| !word.is_empty()).ok_or(Bad::Syntax)
}

fn month(text: &[u8]) -> Result<(i64, &[u8]), Bad> {
    let (word, rest) = word(text)?;
    let word = std::str::from_utf8(word).map_err(|_| Bad::Syntax)?.to_ascii_lowercase();
    let word = word.trim_end_matches('.');
    let found = MONTHS.iter().position(|name| word.len() >= 3 && name.starts_with(word));
    found.map(|index| (index as i64 + 1, rest)).ok_or(Bad::Syntax)
}

fn literal(byte: u8, text: &[u8], strict: bool) -> Result<&[u8], Bad> {
    match text.split_first() {
        Some((found, rest)) if found.eq_ignore_ascii_case(&byte) => Ok(rest),
        // Redshift takes one separator for another.
        Some((found, rest)) if !strict && !found.is_ascii_alphanumeric() && !byte.is_ascii_alphanumeric() => Ok(rest),
        _ => Err(Bad::Syntax),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_spelled_in_many_ways() {
        let cases = [
            ("MM/DD/YYYY", "01/02/1970", Some(1)),
            ("DD.MM.YY", "02.01.70", Some(1)),
            ("DD-MON-YYYY", "02-Jan-1970", Some(1)),
            ("YYYYMMDD", "19700102", Some(1)),
            ("YYYY-MM-DD", "1970/1/2", Some(1)),
            ("MM/DD/YYYY", "13/02/1970", None),
            ("MM/DD/YYYY", "01/02/1970 x", None),
            ("auto", "Jan-02-1970", Some(1)),
            ("auto", "January 2, 1970", Some(1)),
            ("auto", "1970-01-02", Some(1)),
            ("auto", "02.01.1970", Some(1)),
        ];
        for (format, text, expected) in cases {
            let pattern = Pattern::of_dates(format).unwrap().unwrap();
            assert_eq!(pattern.date(text.as_bytes()).ok(), expected, "{format} {text}");
        }
        assert_eq!(Pattern::parse("DATEFORMAT", "YYYY-QQ").unwrap_err().kind(), Kind::InvalidParameter);
    }

    #[test]
    fn times_too() {
        let hour = 3_600_000_000;
        let cases = [
            ("MM.DD.YYYY HH:MI:SS", "01.01.1970 01:00:00.5", Some(hour + 500_000)),
            ("DD/MM/YYYY HH12:MI:SS AM", "01/01/1970 01:00:00 PM", Some(13 * hour)),
            ("YYYY-MM-DD HH24:MI:SSOF", "1970-01-01 02:00:00+01", Some(hour)),
            ("epochsecs", "3600", Some(hour)),
            ("epochmillisecs", "3600000.5", Some(hour + 500)),
            ("auto", "01/01/1970 01:00:00", Some(hour)),
            ("auto", "1970-01-01T01:00:00", Some(hour)),
            ("epochsecs", "soon", None),
        ];
        for (format, text, expected) in cases {
            let format_of = TimeFormat::parse(format).unwrap();
            assert_eq!(format_of.read(text.as_bytes(), true).ok(), expected, "{format} {text}");
        }
    }
}
