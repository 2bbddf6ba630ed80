//! What the tokens of a date or time say together, as Postgres' `DecodeDateTime` and `DecodeTimeOnly` decide it.

use super::tokens::{Shape, Token};
use super::words::{self, Named, Unit, Word};
use super::zone::{self, Zone};
use super::{Fault, calendar};

const YEAR: u16 = 1;
const MONTH: u16 = 2;
const DAY: u16 = 4;
const DATE: u16 = YEAR | MONTH | DAY;
const TIME: u16 = 8;
const ZONE: u16 = 16;
const OTHER: u16 = 32;

/// The fields that were found.
#[derive(Debug, Default, Clone)]
pub struct Fields {
    /// Which there are.
    found: u16,
    /// As it is written, until [`Fields::date`] knows the era.
    year: i64,
    month: i64,
    day: i64,
    day_of_year: Option<i64>,
    julian: Option<i64>,
    /// Microseconds of the day.
    clock: i64,
    afternoon: Option<bool>,
    before_christ: bool,
    two_digits: bool,
    text_month: bool,
    /// What a unit said that the next number is.
    awaited: Option<Awaited>,
    only_time: bool,
    /// The zone.
    pub zone: Option<Zone>,
    /// A moment by its name.
    pub named: Option<Named>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    Unit(Unit),
    Time,
}

impl Fields {
    /// Reads the tokens; with `only_time`, those of a time, which may have a date before it.
    pub fn read(tokens: &[Token], only_time: bool) -> Result<Fields, Fault> {
        let mut fields = Fields { only_time, ..Fields::default() };
        for (place, token) in tokens.iter().enumerate() {
            let dated = !only_time
                || place == 0
                    && tokens.len() >= 2
                    && tokens.iter().skip(1).any(|other| matches!(other.shape, Shape::Date | Shape::Time));
            let new = match token.shape {
                Shape::Date => fields.take_date(&token.text, dated)?,
                Shape::Time => fields.take_time(&token.text)?,
                Shape::Signed => fields.take_zone(Zone::Offset(zone::offset(&token.text)?)),
                Shape::Number => fields.take_number(&token.text, dated)?,
                Shape::Word | Shape::SignedWord => fields.take_word(&token.text)?,
            };
            if new & fields.found != 0 {
                return Err(Fault::Format);
            }
            fields.found |= new;
        }
        match fields.awaited {
            None => Ok(fields),
            Some(_) => Err(Fault::Format),
        }
    }

    /// Days since 1970; None where there is no date.
    pub fn date(&self) -> Result<Option<i64>, Fault> {
        if self.found & DATE != DATE {
            return if self.found & DATE == 0 { Ok(None) } else { Err(Fault::Format) };
        }
        if let Some(julian) = self.julian {
            return Ok(Some(julian - calendar::JULIAN_OF_EPOCH));
        }
        let year = self.year_of_era()?;
        if let Some(day) = self.day_of_year {
            return Ok(Some(calendar::days(year, 1, 1) + day - 1));
        }
        if !(1..=12).contains(&self.month) || !(1..=31).contains(&self.day) {
            return Err(Fault::MonthOrDay);
        }
        match self.day <= calendar::days_of_month(year, self.month) {
            true => Ok(Some(calendar::days(year, self.month, self.day))),
            false => Err(Fault::Overflow),
        }
    }

    fn year_of_era(&self) -> Result<i64, Fault> {
        match (self.year, self.before_christ) {
            (year, true) if year > 0 => Ok(1 - year),
            (year, false) if self.two_digits && year < 70 => Ok(year + 2000),
            (year, false) if self.two_digits && year < 100 => Ok(year + 1900),
            (year, false) if year > 0 => Ok(year),
            _ => Err(Fault::Overflow),
        }
    }

    /// Microseconds of the day; None where there is no time.
    pub fn time(&self) -> Result<Option<i64>, Fault> {
        let hour = self.clock / calendar::HOUR_US;
        let moved = match self.afternoon {
            Some(_) if hour > 12 => return Err(Fault::Overflow),
            Some(false) if hour == 12 => -12,
            Some(true) if hour != 12 => 12,
            _ => 0,
        };
        Ok((self.found & TIME != 0).then_some(self.clock + moved * calendar::HOUR_US))
    }

    fn has(&self, fields: u16) -> bool {
        self.found & fields == fields
    }

    fn take_zone(&mut self, zone: Zone) -> u16 {
        self.zone = Some(zone);
        ZONE
    }

    /// A date, the name of a zone, or a time and an offset without a colon: `040506-08`.
    fn take_date(&mut self, text: &str, dated: bool) -> Result<u16, Fault> {
        if dated && !self.has(DATE) && self.awaited.is_none() {
            return self.take_date_fields(text);
        }
        if !text.starts_with(|c: char| c.is_ascii_digit()) {
            return Ok(self.take_zone(zone::named(text)?));
        }
        if self.has(TIME) || self.awaited.take().is_some_and(|awaited| awaited != Awaited::Time) {
            return Err(Fault::Format);
        }
        let (clock, offset) = text.split_at(text.find('-').ok_or(Fault::Format)?);
        let zone = Zone::Offset(zone::offset(offset)?);
        Ok(self.take_run_together(clock, true)? | self.take_zone(zone))
    }

    /// Months by name first, as they are sure.
    fn take_date_fields(&mut self, text: &str) -> Result<u16, Fault> {
        let before = self.found;
        let mut numbers = Vec::new();
        for part in parts(text) {
            if !part.starts_with(|c: char| c.is_ascii_alphabetic()) {
                numbers.push(part);
                continue;
            }
            match words::meaning(part) {
                Some(Word::Filler) => {}
                Some(Word::Month(month)) if self.found & MONTH == 0 => {
                    (self.month, self.text_month) = (i64::from(month), true);
                    self.found |= MONTH;
                }
                _ => return Err(Fault::Format),
            }
        }
        for number in numbers {
            let new = self.take_field(number)?;
            if new & self.found != 0 {
                return Err(Fault::Format);
            }
            self.found |= new;
        }
        let new = self.found & !before;
        // A time comes behind its date.
        if self.found & (DATE | TIME) != DATE {
            return Err(Fault::Format);
        }
        self.found = before;
        Ok(new)
    }

    fn take_time(&mut self, text: &str) -> Result<u16, Fault> {
        if self.awaited.take().is_some_and(|awaited| awaited != Awaited::Time) {
            return Err(Fault::Format);
        }
        self.clock = clock(text)?;
        Ok(TIME)
    }

    fn take_number(&mut self, text: &str, dated: bool) -> Result<u16, Fault> {
        match self.awaited.take() {
            Some(Awaited::Unit(unit)) => return self.take_of_unit(unit, text),
            Some(Awaited::Time) => return self.take_run_together(text, true),
            None => {}
        }
        let whole = text.find('.').unwrap_or(text.len());
        let has_point = whole < text.len();
        if self.only_time {
            return match has_point {
                true if dated => self.take_date_fields(text),
                true if whole <= 2 => Err(Fault::Format),
                _ => self.take_run_together(text, true),
            };
        }
        if has_point && !self.has(DATE) {
            return self.take_date_fields(text);
        }
        if has_point && whole > 2 || text.len() >= 6 && !(self.has(DATE) && self.has(TIME)) {
            return self.take_run_together(text, false);
        }
        self.take_field(text)
    }

    fn take_of_unit(&mut self, unit: Unit, text: &str) -> Result<u16, Fault> {
        let number: f64 = text.parse().map_err(|_| Fault::Format)?;
        let whole = number.trunc() as i64;
        if number.fract() != 0.0 && !matches!(unit, Unit::Second | Unit::Julian) {
            return Err(Fault::Format);
        }
        let clocked = |fields: &mut Fields, micros: i64| {
            fields.clock += micros;
            // Hours, minutes and seconds come one by one.
            fields.found |= TIME;
            Ok(0)
        };
        match unit {
            Unit::Year => (self.year, self.two_digits) = (whole, text.len() <= 2),
            // Behind an hour an m is of minutes.
            Unit::Month if self.has(TIME) => return clocked(self, whole * calendar::MINUTE_US),
            Unit::Month => self.month = whole,
            Unit::Day => self.day = whole,
            Unit::Hour => return clocked(self, whole * calendar::HOUR_US),
            Unit::Minute => return clocked(self, whole * calendar::MINUTE_US),
            Unit::Second => return clocked(self, (number * 1e6).round() as i64),
            Unit::Julian => return self.take_julian(number),
        }
        Ok(match unit {
            Unit::Year => YEAR,
            Unit::Month => MONTH,
            _ => DAY,
        })
    }

    /// A day by its number since 4713 BC, whose fraction is the time.
    fn take_julian(&mut self, number: f64) -> Result<u16, Fault> {
        if !(0.0..=calendar::JULIAN_MAX).contains(&number) {
            return Err(Fault::Overflow);
        }
        self.julian = Some(number.trunc() as i64);
        if number.fract() == 0.0 {
            return Ok(DATE);
        }
        self.clock = (number.fract() * calendar::DAY_US as f64).round() as i64;
        Ok(DATE | TIME)
    }

    /// `yymmdd`, `yyyymmdd`, `hhmmss`, `hhmm`.
    fn take_run_together(&mut self, text: &str, only_time: bool) -> Result<u16, Fault> {
        let (digits, fraction) = text.split_once('.').map_or((text, None), |(digits, rest)| (digits, Some(rest)));
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Fault::Format);
        }
        let number = |from: usize, to: usize| -> Result<i64, Fault> {
            digits.get(from..to).ok_or(Fault::Format)?.parse().map_err(|_| Fault::Overflow)
        };
        let length = digits.len();
        if fraction.is_none() && !only_time && !self.has(DATE) && length >= 6 {
            (self.year, self.month, self.day) =
                (number(0, length - 4)?, number(length - 4, length - 2)?, number(length - 2, length)?);
            self.two_digits = length == 6;
            return Ok(DATE);
        }
        if self.has(TIME) {
            return Err(Fault::Format);
        }
        let second = match length {
            6 => number(4, 6)?,
            4 => 0,
            _ => return Err(Fault::Format),
        };
        self.clock = clock_of(number(0, 2)?, number(2, 4)?, second, fraction.unwrap_or_default())?;
        Ok(TIME)
    }

    /// A number that is a field of a date, by what there is of it already.
    fn take_field(&mut self, text: &str) -> Result<u16, Fault> {
        let digits = text.split('.').next().unwrap_or_default();
        if digits.len() < text.len() && digits.len() > 2 {
            return self.take_run_together(text, self.has(DATE));
        }
        let value: i64 = digits.parse().map_err(|_| Fault::Format)?;
        let length = digits.len();
        let have = self.found & DATE;
        if length == 3 && have == YEAR && (1..=366).contains(&value) {
            self.day_of_year = Some(value);
            return Ok(MONTH | DAY);
        }
        let year = |fields: &mut Fields| {
            (fields.year, fields.two_digits) = (value, length <= 2);
            YEAR
        };
        Ok(match have {
            0 if length >= 3 => year(self),
            MONTH if self.text_month && length >= 3 => year(self),
            DATE => self.take_run_together(text, true)?,
            // What was taken for the year was the day.
            MONTH_AND_YEAR if self.text_month && length >= 3 && self.two_digits => {
                self.day = self.year;
                year(self);
                DAY
            }
            MONTH | MONTH_AND_YEAR => {
                self.day = value;
                DAY
            }
            MONTH_AND_DAY => year(self),
            0 | YEAR | DAY => {
                self.month = value;
                MONTH
            }
            _ => return Err(Fault::Format),
        })
    }

    fn take_word(&mut self, text: &str) -> Result<u16, Fault> {
        if self.awaited.is_some() {
            return Err(Fault::Format);
        }
        let Some(word) = words::meaning(text) else {
            return zone::by_name(text).map(|zone| self.take_zone(Zone::Named(zone))).ok_or(Fault::Format);
        };
        Ok(match word {
            Word::Filler | Word::Weekday | Word::Ad => 0,
            Word::Bc => {
                self.before_christ = true;
                0
            }
            Word::Am | Word::Pm => {
                self.afternoon = Some(word == Word::Pm);
                0
            }
            Word::Month(month) => self.take_month(i64::from(month)),
            Word::Allballs => {
                self.clock = 0;
                TIME | self.take_zone(Zone::Offset(0))
            }
            Word::Zone(seconds) => self.take_zone(Zone::Offset(seconds)),
            Word::Summer => match &mut self.zone {
                Some(Zone::Offset(seconds)) => {
                    *seconds += 3600;
                    0
                }
                _ => return Err(Fault::Format),
            },
            Word::Named(named) => {
                self.named = Some(named);
                match named {
                    Named::Now | Named::Epoch | Named::Infinity | Named::Before => DATE | TIME | OTHER,
                    _ => DATE | OTHER,
                }
            }
            Word::Unit(unit) => {
                self.awaited = Some(Awaited::Unit(unit));
                0
            }
            Word::TimeFollows if self.has(DATE) || self.only_time => {
                self.awaited = Some(Awaited::Time);
                0
            }
            Word::TimeFollows => return Err(Fault::Format),
        })
    }

    /// A month by name: a number that was taken for it is the day.
    fn take_month(&mut self, month: i64) -> u16 {
        let numeric = self.has(MONTH) && !self.text_month && !self.has(DAY) && (1..=31).contains(&self.month);
        if numeric {
            self.day = self.month;
        }
        (self.month, self.text_month) = (month, true);
        if numeric { DAY } else { MONTH }
    }
}

const MONTH_AND_YEAR: u16 = MONTH | YEAR;
const MONTH_AND_DAY: u16 = MONTH | DAY;

/// The parts of a date: digits or letters, whatever stands between.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        let digits = rest.starts_with(|c: char| c.is_ascii_digit());
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() || c.is_ascii_digit() != digits).unwrap_or(rest.len());
        let (part, behind) = rest.split_at(end);
        rest = behind;
        (!part.is_empty()).then_some(part)
    })
}

/// `hh:mm`, `hh:mm:ss.fraction`, `mm:ss.fraction` in microseconds.
pub fn clock(text: &str) -> Result<i64, Fault> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let parts: Vec<&str> = whole.split(':').collect();
    let number = |text: &str| if text.is_empty() { Ok(0) } else { text.parse::<i64>().map_err(|_| Fault::Format) };
    match parts.as_slice() {
        [minutes, seconds] if !fraction.is_empty() => clock_of(0, number(minutes)?, number(seconds)?, fraction),
        [hours, minutes] => clock_of(number(hours)?, number(minutes)?, 0, ""),
        [hours, minutes, seconds] => clock_of(number(hours)?, number(minutes)?, number(seconds)?, fraction),
        _ => Err(Fault::Format),
    }
}

fn clock_of(hours: i64, minutes: i64, seconds: i64, fraction: &str) -> Result<i64, Fault> {
    let micros = match fraction {
        "" => 0,
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            let part: f64 = format!("0.{digits}").parse().map_err(|_| Fault::Format)?;
            (part * 1e6).round_ties_even() as i64
        }
        _ => return Err(Fault::Format),
    };
    if minutes > 59 || seconds > 60 || hours > calendar::HOURS_MAX {
        return Err(Fault::Overflow);
    }
    Ok(((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + micros)
}
