//! Dates, times and intervals as Postgres reads them: `January 8, 1999`, `99-Jan-08`, `04:05 PM`, `1999-01-08
//! 04:05:06 America/New_York`, `J2451187`, `1 day 2:03:04 ago` (Postgres: appendix B.1, `datetime.c`). Fields of a date
//! come as month, day, year where a text does not tell them apart (`datestyle = 'ISO, MDY'`).

mod calendar;
mod cast;
mod fields;
mod interval;
mod operators;
mod tokens;
mod words;
mod zone;

pub use calendar::{days, days_of_month};
pub use cast::{TextCasts, fitted, functions, interval_function};
pub use interval::{interval, interval_of_fields, intervals_as_texts};
pub use operators::IntervalPlanner;

use crate::builtin::{from_zone, in_zone};
use crate::formats;
use arrow::array::timezone::Tz;
use arrow::datatypes::{DataType, IntervalUnit};
use calendar::DAY_US;
use fields::Fields;
use tidegate_core::{Error, Kind, Result};
use words::{Named, Word};
use zone::Zone;

/// The type of intervals.
pub const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

/// What is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fault {
    /// It is none.
    Format,
    /// It is a day before the first that there is, or after the last.
    Range,
    /// A field is beyond its range.
    Overflow,
    /// A month or a day is, perhaps as they stand the other way round.
    MonthOrDay,
    /// An offset is.
    Displacement,
    /// There is no such zone.
    Zone(String),
}

impl Fault {
    fn of(self, type_name: &str, text: &str) -> Error {
        let field = || format!("date/time field value out of range: \"{text}\"");
        match self {
            Fault::Format => {
                Error::new(Kind::DatetimeFormat, format!("invalid input syntax for type {type_name}: \"{text}\""))
            }
            Fault::Range => {
                let name = type_name.strip_suffix(" with time zone").unwrap_or(type_name);
                Error::new(Kind::DatetimeOverflow, format!("{name} out of range: \"{text}\""))
            }
            Fault::Overflow => Error::new(Kind::DatetimeOverflow, field()),
            Fault::MonthOrDay => Error::new(Kind::DatetimeOverflow, field())
                .hint("Dates are read as month, day and year; write the year first to be understood everywhere."),
            Fault::Displacement => {
                let message = format!("time zone displacement out of range: \"{text}\"");
                Error::new(Kind::InvalidDisplacement, message)
            }
            Fault::Zone(name) => Error::new(Kind::InvalidParameter, format!("time zone \"{name}\" not recognized")),
        }
    }
}

/// Where and when a text is read.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// The session's zone, for what has none of its own.
    zone: Tz,
    is_utc: bool,
    /// Microseconds since 1970, for `now` and `today`; without it they are no dates.
    now: Option<i64>,
}

impl Reading {
    /// In a zone by its name. 22023 for one that there is not.
    pub fn new(zone: &str, now: Option<i64>) -> Result<Reading> {
        let unknown = || Error::new(Kind::InvalidParameter, format!("time zone \"{zone}\" not recognized"));
        let known = zone.parse().ok().or_else(|| zone::by_name(zone));
        Ok(Reading { zone: known.ok_or_else(unknown)?, is_utc: zone.eq_ignore_ascii_case("utc"), now })
    }

    /// In UTC, for texts that come from no session.
    pub fn utc() -> Result<Reading> {
        Self::new("UTC", None)
    }

    /// What the session's clocks show now.
    fn local_now(&self) -> Result<i64, Fault> {
        self.now.and_then(|now| in_zone(now, &self.zone)).ok_or(Fault::Format)
    }
}

/// A moment that a text tells: what its clocks show, and where they stand.
struct Moment {
    local: i64,
    zone: Option<Zone>,
}

impl Moment {
    fn read(text: &str, reading: &Reading) -> Result<Moment, Fault> {
        let fields = Fields::read(&tokens::tokens(text)?, false)?;
        let time = fields.time()?;
        if let Some(named) = fields.named {
            let local = named_moment(named, time, reading)?;
            let zone = if named.is_fixed() { Some(Zone::Offset(0)) } else { fields.zone };
            return Ok(Moment { local, zone });
        }
        let days = fields.date()?.ok_or(Fault::Format)?;
        if days < -calendar::JULIAN_OF_EPOCH {
            return Err(Fault::Range);
        }
        let time = time.unwrap_or(0);
        if time > DAY_US {
            return Err(Fault::Overflow);
        }
        let local = days.checked_mul(DAY_US).and_then(|midnight| midnight.checked_add(time)).ok_or(Fault::Overflow)?;
        Ok(Moment { local, zone: fields.zone })
    }

    fn utc(&self, reading: &Reading) -> Result<i64, Fault> {
        match self.zone.unwrap_or(Zone::Named(reading.zone)) {
            Zone::Offset(seconds) => self.local.checked_sub(i64::from(seconds) * 1_000_000).ok_or(Fault::Overflow),
            Zone::Named(zone) => from_zone(self.local, &zone).ok_or(Fault::Overflow),
        }
    }
}

fn named_moment(named: Named, time: Option<i64>, reading: &Reading) -> Result<i64, Fault> {
    let day = match named {
        Named::Now => return reading.local_now(),
        Named::Epoch => return Ok(0),
        Named::Infinity => return Ok(i64::MAX),
        Named::Before => return Ok(i64::MIN),
        Named::Today => 0,
        Named::Tomorrow => 1,
        Named::Yesterday => -1,
    };
    let today = reading.local_now()?.div_euclid(DAY_US);
    Ok((today + day) * DAY_US + time.unwrap_or(0))
}

/// Days since 1970. A time behind the date, and a zone, say nothing. 22007, 22008.
pub fn date(text: &str, reading: &Reading) -> Result<i32> {
    if let Some(days) = formats::plain_date(text) {
        return Ok(days);
    }
    let read = Moment::read(text.trim(), reading).map_err(|fault| fault.of("date", text))?;
    match read.local {
        i64::MAX => Ok(i32::MAX),
        i64::MIN => Ok(i32::MIN),
        local => i32::try_from(local.div_euclid(DAY_US)).map_err(|_| Fault::Range.of("date", text)),
    }
}

/// Microseconds since 1970 without a zone; one in the text says nothing. 22007, 22008.
pub fn timestamp(text: &str, reading: &Reading) -> Result<i64> {
    if let Some(micros) = formats::plain_timestamp(text, false) {
        return Ok(micros);
    }
    Moment::read(text.trim(), reading).map(|moment| moment.local).map_err(|fault| fault.of("timestamp", text))
}

/// Microseconds since 1970 in UTC. 22007, 22008.
pub fn timestamptz(text: &str, reading: &Reading) -> Result<i64> {
    // What has no zone is of the session's, which needs no rules where it is UTC.
    if reading.is_utc
        && let Some(micros) = formats::plain_timestamp(text, true)
    {
        return Ok(micros);
    }
    let read = Moment::read(text.trim(), reading).and_then(|moment| moment.utc(reading));
    read.map_err(|fault| fault.of("timestamp with time zone", text))
}

/// When clocks of a zone show this: a name, an abbreviation or an offset. 22023.
pub fn utc_of(local: i64, zone: &str) -> Result<i64> {
    let text = zone.trim().to_ascii_lowercase();
    let known = match text.starts_with(['+', '-']) {
        true => zone::offset(&text).map(Zone::Offset),
        false => zone::named(&text).or_else(|fault| match words::meaning(&text) {
            Some(Word::Zone(seconds)) => Ok(Zone::Offset(seconds)),
            _ => Err(fault),
        }),
    };
    let unknown = |_| Error::new(Kind::InvalidParameter, format!("time zone \"{zone}\" not recognized"));
    let moment = Moment { local, zone: Some(known.map_err(unknown)?) };
    moment.utc(&Reading::utc()?).map_err(|fault| fault.of("timestamp with time zone", zone))
}

/// A zone as the engine takes it: its name in the letters of the IANA database, or an offset. Hours east of Greenwich
/// (`-8`, `5.5`), an interval, and POSIX' zones without rules are offsets (Postgres: SET TIME ZONE). 22023.
pub fn zone_name(text: &str) -> Result<String> {
    let known = zone::canonical(text.trim());
    known.ok_or_else(|| {
        let message = format!("invalid value for parameter \"TimeZone\": \"{text}\"");
        Error::new(Kind::InvalidParameter, message)
    })
}

/// Microseconds of the day; a zone says nothing. 22007, 22008.
pub fn time(text: &str, reading: &Reading) -> Result<i64> {
    Clock::read(text.trim(), reading).map(|clock| clock.local).map_err(|fault| fault.of("time", text))
}

/// Microseconds of the day in UTC that a time with an offset means. 22007, 22008.
pub fn timetz(text: &str, reading: &Reading) -> Result<i64> {
    let read = Clock::read(text.trim(), reading).and_then(|clock| clock.utc(reading));
    read.map_err(|fault| fault.of("time with time zone", text))
}

/// What a clock shows, on which day and where.
struct Clock {
    local: i64,
    day: Option<i64>,
    zone: Option<Zone>,
}

impl Clock {
    fn read(text: &str, reading: &Reading) -> Result<Clock, Fault> {
        let fields = Fields::read(&tokens::tokens(text)?, true)?;
        if fields.named == Some(Named::Now) {
            let now = reading.local_now()?;
            return Ok(Clock { local: now.rem_euclid(DAY_US), day: Some(now.div_euclid(DAY_US)), zone: None });
        }
        let day = fields.date()?;
        // The offset of a zone with rules needs the day.
        if fields.named.is_some() || matches!((fields.zone, day), (Some(Zone::Named(_)), None)) {
            return Err(Fault::Format);
        }
        let local = fields.time()?.ok_or(Fault::Format)?;
        if local > DAY_US { Err(Fault::Overflow) } else { Ok(Clock { local, day, zone: fields.zone }) }
    }

    fn utc(&self, reading: &Reading) -> Result<i64, Fault> {
        let today = || reading.now.map_or(0, |now| now.div_euclid(DAY_US));
        let local = self.day.unwrap_or_else(today) * DAY_US + self.local;
        Moment { local, zone: self.zone }.utc(reading).map(|utc| utc.rem_euclid(DAY_US))
    }
}

#[cfg(test)]
mod tests;
