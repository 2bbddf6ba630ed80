//! Intervals in text: `1 year -2 days 04:05:06.7`, units by name or letter, `ago`, and ISO 8601 through Arrow's reader.

use arrow::compute::kernels::cast_utils::{IntervalParseConfig, IntervalUnit, parse_interval_month_day_nano_config};
use arrow::datatypes::IntervalMonthDayNano;

/// Months, days and nanoseconds, each in its own sum.
#[derive(Default)]
struct Sums {
    months: f64,
    days: f64,
    nanos: f64,
}

/// Reads an interval; None when it is none.
pub fn parse(text: &str) -> Option<IntervalMonthDayNano> {
    if text.starts_with(['P', 'p']) {
        return parse_interval_month_day_nano_config(text, IntervalParseConfig::new(IntervalUnit::Second)).ok();
    }
    let mut sums = Sums::default();
    let mut words = text.strip_prefix('@').unwrap_or(text).split_ascii_whitespace().peekable();
    words.peek()?;
    let mut ago = false;
    while let Some(word) = words.next() {
        if word.eq_ignore_ascii_case("ago") && words.peek().is_none() {
            ago = true;
        } else if word.contains(':') {
            sums.nanos += clock(word)?;
        } else {
            let digits = word.rfind(|c: char| c.is_ascii_digit()).map_or(0, |at| at + 1);
            let (number, unit) = word.split_at(digits);
            let number: f64 = number.parse().ok()?;
            let unit = if unit.is_empty() { next_unit(&mut words) } else { unit };
            sums.add(number, unit)?;
        }
    }
    let sign = if ago { -1.0 } else { 1.0 };
    let whole = |value: f64| (value.abs() <= f64::from(i32::MAX)).then_some((value * sign) as i32);
    let nanos = (sums.nanos.abs() <= i64::MAX as f64).then_some((sums.nanos * sign) as i64)?;
    Some(IntervalMonthDayNano::new(whole(sums.months)?, whole(sums.days)?, nanos))
}

/// The unit after a number; a number alone is seconds.
fn next_unit<'a>(words: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>) -> &'a str {
    let is_unit =
        |word: &&str| word.starts_with(|c: char| c.is_ascii_alphabetic()) && !word.eq_ignore_ascii_case("ago");
    words.next_if(is_unit).unwrap_or("s")
}

/// `-04:05:06.7` in nanoseconds.
fn clock(word: &str) -> Option<f64> {
    let (sign, word) = match word.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, word.strip_prefix('+').unwrap_or(word)),
    };
    let mut parts = word.split(':');
    let (hours, minutes): (u32, u32) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let seconds: f64 = parts.next().unwrap_or("0").parse().ok()?;
    if parts.next().is_some() || minutes > 59 || !(0.0..=60.0).contains(&seconds) {
        return None;
    }
    let whole = f64::from(hours) * 3600.0 + f64::from(minutes) * 60.0;
    // Microseconds are the finest that Postgres keeps; rounding there keeps what was written exact.
    Some(sign * (whole * 1e9 + (seconds * 1e6).round() * 1e3))
}

impl Sums {
    /// Adds a number of units. What is left of a fraction goes to the next smaller sum.
    fn add(&mut self, number: f64, unit: &str) -> Option<()> {
        let unit = unit.to_ascii_lowercase();
        let unit = if unit.len() > 2 { unit.trim_end_matches('s') } else { &unit };
        match unit {
            "millennium" | "millennia" => self.add_months(number * 12_000.0),
            "century" | "centurie" => self.add_months(number * 1_200.0),
            "decade" => self.add_months(number * 120.0),
            "y" | "year" | "yr" => self.add_months(number * 12.0),
            "mon" | "month" => self.add_months(number),
            "w" | "week" => self.add_days(number * 7.0),
            "d" | "day" => self.add_days(number),
            "h" | "hour" | "hr" => self.nanos += number * 3.6e12,
            "m" | "min" | "minute" => self.nanos += number * 6e10,
            "s" | "sec" | "second" => self.nanos += (number * 1e6).round() * 1e3,
            "ms" | "msec" | "millisecond" => self.nanos += number * 1e6,
            "us" | "usec" | "microsecond" => self.nanos += number * 1e3,
            _ => return None,
        }
        Some(())
    }

    fn add_months(&mut self, months: f64) {
        self.months += months.trunc();
        self.add_days(months.fract() * 30.0);
    }

    fn add_days(&mut self, days: f64) {
        self.days += days.trunc();
        self.nanos += days.fract() * 8.64e13;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_as_drivers_and_people_write_them() {
        let second = 1_000_000_000;
        let cases = [
            ("2 days 0:00:05", Some((0, 2, 5 * second))),
            ("1 year 2 mons -3 days +04:05:06.789", Some((14, -3, 14_706_789_000_000))),
            ("-00:00:01.5", Some((0, 0, -1_500_000_000))),
            ("1.5 hours ago", Some((0, 0, -5400 * second))),
            ("0.5 month", Some((0, 15, 0))),
            ("90", Some((0, 0, 90 * second))),
            ("5m", Some((0, 0, 300 * second))),
            ("@ 1 week", Some((0, 7, 0))),
            ("soon", None),
            ("1 parsec", None),
            ("", None),
            ("1:99", None),
        ];
        for (text, want) in cases {
            let want = want.map(|(months, days, nanos)| IntervalMonthDayNano::new(months, days, nanos));
            assert_eq!(parse(text), want, "{text}");
        }
    }
}
