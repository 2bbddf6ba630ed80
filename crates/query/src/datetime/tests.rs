//! Answers of PostgreSQL 15.

use super::*;
use arrow::datatypes::IntervalMonthDayNano;

const SECOND: i64 = 1_000_000;
/// 1999-01-08.
const DAY: i64 = 10_599;

fn reading() -> Reading {
    // Noon of 1999-01-08 in New York.
    Reading::new("America/New_York", Some(DAY * DAY_US + 17 * 3600 * SECOND)).unwrap()
}

fn state<T>(read: Result<T>) -> Result<T, &'static str> {
    read.map_err(|error| error.kind().sqlstate())
}

#[test]
fn dates() {
    let cases = [
        ("1999-01-08", Ok(DAY)),
        ("January 8, 1999", Ok(DAY)),
        ("1999-01-18", Ok(DAY + 10)),
        ("1/8/1999", Ok(DAY)),
        ("1/18/1999", Ok(DAY + 10)),
        ("18/1/1999", Err("22008")),
        ("01/08/99", Ok(DAY)),
        ("19990108", Ok(DAY)),
        ("990108", Ok(DAY)),
        ("1999.008", Ok(DAY)),
        ("J2451187", Ok(DAY)),
        ("January 8, 99 BC", Ok(-755_315)),
        ("99-Jan-08", Err("22008")),
        ("1999-Jan-08", Ok(DAY)),
        ("08-Jan-99", Ok(DAY)),
        ("08-Jan-1999", Ok(DAY)),
        ("Jan-08-1999", Ok(DAY)),
        ("99-08-Jan", Err("22007")),
        ("99 Jan 08", Err("22007")),
        ("08 Jan 1999", Ok(DAY)),
        ("Jan 08 99", Ok(DAY)),
        ("1999 08 Jan", Ok(DAY)),
        ("1999-08-01", Ok(DAY + 205)),
        ("Fri Jan 08 1999", Ok(DAY)),
        ("1999-01-08 23:59:59 PST", Ok(DAY)),
        ("today", Ok(DAY)),
        ("tomorrow", Ok(DAY + 1)),
        ("epoch", Ok(0)),
        ("1997-02-29", Err("22008")),
        ("2000-02-29", Ok(11_016)),
        ("0000-01-01", Err("22008")),
        ("1999-13-01", Err("22008")),
        ("04:05", Err("22007")),
        ("12:30 2020-01-01", Err("22007")),
        ("soon", Err("22007")),
        ("", Err("22007")),
    ];
    for (text, expected) in cases {
        assert_eq!(state(date(text, &reading())).map(i64::from), expected, "{text}");
    }
}

#[test]
fn times() {
    let at = |hours: i64, minutes: i64, seconds: i64| ((hours * 60 + minutes) * 60 + seconds) * SECOND;
    let cases = [
        ("04:05:06.789", Ok(at(4, 5, 6) + 789_000)),
        ("04:05", Ok(at(4, 5, 0))),
        ("040506", Ok(at(4, 5, 6))),
        ("04:05 AM", Ok(at(4, 5, 0))),
        ("04:05 PM", Ok(at(16, 5, 0))),
        ("12:00 AM", Ok(0)),
        ("04:05:06-08:00", Ok(at(4, 5, 6))),
        ("040506-08", Ok(at(4, 5, 6))),
        ("04:05:06 PST", Ok(at(4, 5, 6))),
        ("2003-04-12 04:05:06 America/New_York", Ok(at(4, 5, 6))),
        ("15:36:39 America/New_York", Err("22007")),
        ("allballs", Ok(0)),
        ("now", Ok(at(12, 0, 0))),
        ("23:59:60", Ok(at(24, 0, 0))),
        ("24:00:00", Ok(at(24, 0, 0))),
        ("24:00:01", Err("22008")),
        ("13:00 PM", Err("22008")),
        ("25:00:00", Err("22008")),
        ("12", Err("22007")),
    ];
    for (text, expected) in cases {
        assert_eq!(state(time(text, &reading())), expected, "{text}");
    }
    let cases = [
        ("04:05:06-08:00", Ok(at(12, 5, 6))),
        ("04:05:06 PST", Ok(at(12, 5, 6))),
        ("2003-07-12 04:05:06 America/New_York", Ok(at(8, 5, 6))),
        ("04:05:06", Ok(at(9, 5, 6))),
        ("23:00-0130", Ok(at(0, 30, 0))),
        ("12:30+99", Err("22009")),
    ];
    for (text, expected) in cases {
        assert_eq!(state(timetz(text, &reading())), expected, "{text}");
    }
}

#[test]
fn moments() {
    let at = |hours: i64, minutes: i64, seconds: i64| DAY * DAY_US + ((hours * 60 + minutes) * 60 + seconds) * SECOND;
    let cases = [
        ("1999-01-08 04:05:06", Ok(at(4, 5, 6)), Ok(at(9, 5, 6))),
        ("January 8 04:05:06 1999 PST", Ok(at(4, 5, 6)), Ok(at(12, 5, 6))),
        ("Mon Jan 8 04:05:06 1999 PST", Ok(at(4, 5, 6)), Ok(at(12, 5, 6))),
        ("19990108T040506", Ok(at(4, 5, 6)), Ok(at(9, 5, 6))),
        ("1999-01-08T04:05:06Z", Ok(at(4, 5, 6)), Ok(at(4, 5, 6))),
        ("19990108 04:05:06.5-8", Ok(at(4, 5, 6) + 500_000), Ok(at(12, 5, 6) + 500_000)),
        ("1999-01-08 04:05:06 UTC+3", Ok(at(4, 5, 6)), Ok(at(7, 5, 6))),
        ("1999-01-08 04:05:06 America/Los_Angeles", Ok(at(4, 5, 6)), Ok(at(12, 5, 6))),
        ("1999-01-08 24:00:00", Ok(at(24, 0, 0)), Ok(at(29, 0, 0))),
        ("now", Ok(at(12, 0, 0)), Ok(at(17, 0, 0))),
        ("today", Ok(at(0, 0, 0)), Ok(at(5, 0, 0))),
        ("tomorrow 16:00:00", Ok(at(40, 0, 0)), Ok(at(45, 0, 0))),
        ("epoch", Ok(0), Ok(0)),
        ("1999-01-08 04:05:06 Nehwon/Lankhmar", Err("22023"), Err("22023")),
        ("1999-01-08 04:05:06 foo", Err("22007"), Err("22007")),
        ("2020-01-01 24:00:01", Err("22008"), Err("22008")),
        ("1999-01-08 04:05:06 1999-01-09", Err("22007"), Err("22007")),
        ("04:05", Err("22007"), Err("22007")),
    ];
    for (text, local, utc) in cases {
        assert_eq!(state(timestamp(text, &reading())), local, "{text}");
        assert_eq!(state(timestamptz(text, &reading())), utc, "{text}");
    }
}

#[test]
fn intervals() {
    let second = 1_000_000_000;
    let cases = [
        ("2 days 0:00:05", Ok((0, 2, 5 * second))),
        ("1 year 2 mons -3 days +04:05:06.789", Ok((14, -3, 14_706_789_000_000))),
        ("-00:00:01.5", Ok((0, 0, -1_500_000_000))),
        ("1.5 hours ago", Ok((0, 0, -5400 * second))),
        ("0.5 month", Ok((0, 15, 0))),
        ("90", Ok((0, 0, 90 * second))),
        ("5m", Ok((0, 0, 300 * second))),
        ("@ 1 week", Ok((0, 7, 0))),
        ("1-2", Ok((14, 0, 0))),
        ("-1-2", Ok((-14, 0, 0))),
        ("3 4:05:06", Ok((0, 3, 14_706 * second))),
        ("1.5 years", Ok((18, 0, 0))),
        ("6 years 5 months 4 days 3 hours 2 minutes 1 second", Ok((77, 4, 10_921 * second))),
        ("1 century 2 decades", Ok((1440, 0, 0))),
        ("P1Y2M3DT4H5M6S", Ok((14, 3, 14_706 * second))),
        ("1:20:05 5 microseconds", Err("22007")),
        ("P-1Y2M", Ok((-10, 0, 0))),
        ("P0001-02-03T04:05:06", Ok((14, 3, 14_706 * second))),
        ("1 day 1 day", Err("22007")),
        ("soon", Err("22007")),
        ("1 parsec", Err("22007")),
        ("", Err("22007")),
        ("1:99", Err("22015")),
        ("99999999999 years", Err("22015")),
    ];
    for (text, expected) in cases {
        let expected = expected.map(|(months, days, nanos)| IntervalMonthDayNano::new(months, days, nanos));
        assert_eq!(state(interval(text)), expected, "{text}");
    }
}
