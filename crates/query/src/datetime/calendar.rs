//! Days of the Gregorian calendar, for any year, by Howard Hinnant's `days_from_civil`.

/// The Julian day on which 1970 begins.
pub const JULIAN_OF_EPOCH: i64 = 2_440_588;
/// The last Julian day that is read: of the last year that the engine's own calendar has.
pub const JULIAN_MAX: f64 = 97_467_460.0;
/// Microseconds of an hour, a minute and a day.
pub const HOUR_US: i64 = 3_600_000_000;
/// See [`HOUR_US`].
pub const MINUTE_US: i64 = 60_000_000;
/// See [`HOUR_US`].
pub const DAY_US: i64 = 24 * HOUR_US;
/// Hours that still fit 64 bits of nanoseconds, as those of an interval have to.
pub const HOURS_MAX: i64 = i64::MAX / (HOUR_US * 1000) - 1;

/// Days since 1970. Year 0 is 1 BC.
pub fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// How many days a month has.
pub fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
