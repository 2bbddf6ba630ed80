//! Dates, times and intervals as Postgres writes them, ISO style.

use super::number::{put_integer, put_two, put_unsigned};
use arrow::array::timezone::Tz;
use chrono::{DateTime, Offset, TimeZone};

/// Microseconds of a day.
pub const DAY_US: i64 = 86_400_000_000;
/// Days from 1970-01-01 to 2000-01-01, where Postgres begins to count.
pub const EPOCH_DAYS: i32 = 10_957;
/// The same in microseconds.
pub const EPOCH_US: i64 = EPOCH_DAYS as i64 * DAY_US;

/// The zone in which timestamptz is shown.
#[derive(Clone, Copy)]
pub enum Zone {
    /// No offset ever, so nothing to look up.
    Utc,
    /// By name or by offset.
    Named(Tz),
}

impl Zone {
    /// A session's zone; one that nobody knows is UTC.
    pub fn parse(name: &str) -> Self {
        if matches!(name.to_ascii_uppercase().as_str(), "" | "UTC" | "GMT" | "ETC/UTC" | "Z") {
            return Zone::Utc;
        }
        name.parse().map_or(Zone::Utc, Zone::Named)
    }

    fn offset_seconds(self, us: i64) -> i32 {
        match self {
            Zone::Utc => 0,
            Zone::Named(tz) => DateTime::from_timestamp_micros(us)
                .map_or(0, |t| tz.offset_from_utc_datetime(&t.naive_utc()).fix().local_minus_utc()),
        }
    }
}

/// Year, month and day of a day counted from 1970 (Howard Hinnant's civil_from_days).
fn civil(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = (of_year - (153 * month_from_march + 2) / 5 + 1) as u32;
    let month = (if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 }) as u32;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// `2013-01-01`; gives whether the year is before Christ.
fn put_civil(out: &mut Vec<u8>, days: i64) -> bool {
    let (year, month, day) = civil(days);
    let before_christ = year <= 0;
    let shown = if before_christ { 1 - year } else { year };
    if shown < 1000 {
        out.resize(
            out.len()
                + if shown < 10 {
                    3
                } else if shown < 100 {
                    2
                } else {
                    1
                },
            b'0',
        );
    }
    put_unsigned(out, shown.unsigned_abs());
    out.push(b'-');
    put_two(out, month);
    out.push(b'-');
    put_two(out, day);
    before_christ
}

/// What lies after all days or before them.
fn put_infinity(out: &mut Vec<u8>, after: bool) {
    out.extend_from_slice(if after { b"infinity" } else { b"-infinity" });
}

/// A day counted from 2000, as Postgres' binary form has it; None where that does not fit.
pub fn days_from_2000(days: i32) -> Option<i32> {
    if matches!(days, i32::MAX | i32::MIN) { Some(days) } else { days.checked_sub(EPOCH_DAYS) }
}

/// The same for microseconds.
pub fn micros_from_2000(us: i64) -> Option<i64> {
    if matches!(us, i64::MAX | i64::MIN) { Some(us) } else { us.checked_sub(EPOCH_US) }
}

/// A date, days from 1970.
pub fn put_date(out: &mut Vec<u8>, days: i32) {
    if matches!(days, i32::MAX | i32::MIN) {
        return put_infinity(out, days > 0);
    }
    if put_civil(out, i64::from(days)) {
        out.extend_from_slice(b" BC");
    }
}

/// A time of day, microseconds.
pub fn put_time(out: &mut Vec<u8>, us: i64) {
    put_clock(out, us.rem_euclid(DAY_US + 1));
}

/// `05:00:00.25`: hours may pass 24.
fn put_clock(out: &mut Vec<u8>, us: i64) {
    let seconds = us / 1_000_000;
    let hours = seconds / 3600;
    if hours < 100 {
        put_two(out, hours as u32)
    } else {
        put_integer(out, hours)
    }
    out.push(b':');
    put_two(out, (seconds / 60 % 60) as u32);
    out.push(b':');
    put_two(out, (seconds % 60) as u32);
    let mut fraction = us % 1_000_000;
    if fraction != 0 {
        let mut width = 6;
        while fraction % 10 == 0 {
            fraction /= 10;
            width -= 1;
        }
        out.push(b'.');
        let at = out.len();
        out.resize(at + width, b'0');
        for slot in out[at..].iter_mut().rev() {
            *slot = b'0' + (fraction % 10) as u8;
            fraction /= 10;
        }
    }
}

/// A timestamp without zone, microseconds from 1970.
pub fn put_timestamp(out: &mut Vec<u8>, us: i64) {
    if matches!(us, i64::MAX | i64::MIN) {
        return put_infinity(out, us > 0);
    }
    let before_christ = put_civil(out, us.div_euclid(DAY_US));
    out.push(b' ');
    put_clock(out, us.rem_euclid(DAY_US));
    if before_christ {
        out.extend_from_slice(b" BC");
    }
}

/// A timestamp with zone, microseconds from 1970 in UTC, shown in the session's zone.
pub fn put_timestamptz(out: &mut Vec<u8>, us: i64, zone: Zone) {
    if matches!(us, i64::MAX | i64::MIN) {
        return put_infinity(out, us > 0);
    }
    let offset = zone.offset_seconds(us);
    let local = us.saturating_add(i64::from(offset) * 1_000_000);
    let before_christ = put_civil(out, local.div_euclid(DAY_US));
    out.push(b' ');
    put_clock(out, local.rem_euclid(DAY_US));
    out.push(if offset < 0 { b'-' } else { b'+' });
    let size = offset.unsigned_abs();
    put_two(out, size / 3600);
    if !size.is_multiple_of(3600) {
        out.push(b':');
        put_two(out, size / 60 % 60);
        if !size.is_multiple_of(60) {
            out.push(b':');
            put_two(out, size % 60);
        }
    }
    if before_christ {
        out.extend_from_slice(b" BC");
    }
}

/// An interval, in Postgres' own style: `1 year 2 mons -3 days +04:05:06`.
pub fn put_interval(out: &mut Vec<u8>, months: i32, days: i32, us: i64) {
    let start = out.len();
    let mut after_negative = false;
    for (value, unit) in [(months / 12, "year"), (months % 12, "mon"), (days, "day")] {
        if value == 0 {
            continue;
        }
        if out.len() > start {
            out.push(b' ');
        }
        if after_negative && value > 0 {
            out.push(b'+');
        }
        put_integer(out, i64::from(value));
        out.push(b' ');
        out.extend_from_slice(unit.as_bytes());
        if value != 1 {
            out.push(b's');
        }
        after_negative = value < 0;
    }
    let empty = out.len() == start;
    if us == 0 && !empty {
        return;
    }
    if !empty {
        out.push(b' ');
    }
    if us < 0 {
        out.push(b'-');
    } else if after_negative {
        out.push(b'+');
    }
    put_clock(out, us.saturating_abs());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn dates_and_timestamps() {
        for (days, want) in
            [(0, "1970-01-01"), (15_706, "2013-01-01"), (-719_528, "0001-01-01 BC"), (-719_162, "0001-01-01")]
        {
            assert_eq!(text(|o| put_date(o, days)), want);
        }
        let at = 1_357_016_400_000_000;
        let cases =
            [(at, "2013-01-01 05:00:00"), (at + 120, "2013-01-01 05:00:00.00012"), (-1, "1969-12-31 23:59:59.999999")];
        for (us, want) in cases {
            assert_eq!(text(|o| put_timestamp(o, us)), want);
        }
        let cases = [
            ("UTC", "2013-01-01 05:00:00+00"),
            ("America/New_York", "2013-01-01 00:00:00-05"),
            ("Asia/Kolkata", "2013-01-01 10:30:00+05:30"),
        ];
        for (zone, want) in cases {
            assert_eq!(text(|o| put_timestamptz(o, at, Zone::parse(zone))), want, "{zone}");
        }
    }

    #[test]
    fn intervals() {
        let cases = [
            (0, 0, 0, "00:00:00"),
            (14, 3, 14_706_789_000, "1 year 2 mons 3 days 04:05:06.789"),
            (-14, 3, 0, "-1 years -2 mons +3 days"),
            (0, -1, 7_200_000_000, "-1 days +02:00:00"),
            (0, 0, -1_500_000, "-00:00:01.5"),
            (1, 0, 360_000_000_000, "1 mon 100:00:00"),
        ];
        for (months, days, us, want) in cases {
            assert_eq!(text(|o| put_interval(o, months, days, us)), want);
        }
    }
}
