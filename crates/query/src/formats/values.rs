//! Text to values: the input syntax of each type as Postgres and Redshift take it. Bytes in, no allocation for numbers.

use arrow::datatypes::IntervalMonthDayNano;
use chrono::NaiveDate;
use tidegate_core::Kind;

/// Why a text is not a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bad {
    /// It does not read as the type.
    Syntax,
    /// It reads, and does not fit.
    Range,
    /// It is not UTF-8.
    Encoding,
    /// It is longer than the column.
    Long,
    /// It holds a character of several bytes where none may be.
    Multibyte,
    /// It holds a NUL beside other characters.
    Nul,
    /// It is NULL where none may be.
    Null,
}

pub(super) const MICROS_PER_SECOND: i64 = 1_000_000;
const DIGITS_OF_64_BITS: usize = 18;
const SECONDS_PER_DAY: i64 = 86_400;
/// Days from 0000-03-01 to 1970-01-01.
const DAYS_TO_EPOCH: i32 = 719_468;
/// Days from 0001-01-01 (chrono's day 1) to 1970-01-01.
const EPOCH_FROM_CE_DAYS: i32 = 719_163;

/// `t`, `true`, `1`, `yes`, `on` and their opposites.
pub(super) fn boolean(text: &[u8]) -> Result<bool, Bad> {
    let text = text.trim_ascii();
    let is = |words: &[&str]| words.iter().any(|w| text.eq_ignore_ascii_case(w.as_bytes()));
    if is(&["t", "true", "1", "yes", "y", "on"]) {
        Ok(true)
    } else if is(&["f", "false", "0", "no", "n", "off"]) {
        Ok(false)
    } else {
        Err(Bad::Syntax)
    }
}

/// A whole number.
pub(super) fn integer(text: &[u8]) -> Result<i64, Bad> {
    let (negative, digits) = sign(text.trim_ascii());
    if digits.is_empty() {
        return Err(Bad::Syntax);
    }
    if digits.len() <= DIGITS_OF_64_BITS {
        let value = small(digits)?;
        return Ok(if negative { -value } else { value });
    }
    let mut value: i64 = 0;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err(Bad::Syntax);
        }
        // Built downwards, so that the smallest number fits.
        value = value.checked_mul(10).and_then(|v| v.checked_sub(i64::from(digit))).ok_or(Bad::Range)?;
    }
    if negative { Ok(value) } else { value.checked_neg().ok_or(Bad::Range) }
}

/// Digits that cannot overflow 64 bits.
fn small(digits: &[u8]) -> Result<i64, Bad> {
    let mut value: i64 = 0;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err(Bad::Syntax);
        }
        value = value * 10 + i64::from(digit);
    }
    Ok(value)
}

fn sign(text: &[u8]) -> (bool, &[u8]) {
    match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    }
}

/// A floating point number, with `NaN` and `Infinity`.
pub(super) fn float(text: &[u8]) -> Result<f64, Bad> {
    let text = std::str::from_utf8(text.trim_ascii()).map_err(|_| Bad::Syntax)?;
    let value: f64 = text.parse().map_err(|_| Bad::Syntax)?;
    // What is infinite without saying so is too large.
    if value.is_infinite() && text.bytes().any(|b| b.is_ascii_digit()) { Err(Bad::Range) } else { Ok(value) }
}

/// A floating point number of four bytes.
pub(super) fn real(text: &[u8]) -> Result<f32, Bad> {
    let wide = float(text)?;
    let value = wide as f32;
    if value.is_infinite() && wide.is_finite() { Err(Bad::Range) } else { Ok(value) }
}

/// A decimal as its digits times ten to the scale; what is beyond the scale is cut, or rounded half away from zero.
pub(super) fn decimal(text: &[u8], precision: u8, scale: i8, round: bool) -> Result<i128, Bad> {
    let (negative, rest) = sign(text.trim_ascii());
    if let Some(value) = plain_decimal(rest, precision, scale) {
        return Ok(i128::from(if negative { -value } else { value }));
    }
    let (mantissa, exponent) = match rest.iter().position(|b| matches!(b, b'e' | b'E')) {
        Some(at) => (&rest[..at], integer(&rest[at + 1..])?),
        None => (rest, 0),
    };
    let point = mantissa.iter().position(|&b| b == b'.');
    let fraction = point.map_or(0, |at| mantissa.len() - at - 1) as i64;
    let mut value: i128 = 0;
    let mut digits = 0usize;
    // How many of the written digits lie beyond the scale.
    let drop = fraction.saturating_sub(exponent).saturating_sub(i64::from(scale));
    let written = mantissa.len() - usize::from(point.is_some());
    let keep = (written as i64).saturating_sub(drop.max(0));
    let mut round_up = false;
    for &byte in mantissa.iter().filter(|&&b| b != b'.') {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err(Bad::Syntax);
        }
        if (digits as i64) < keep {
            value = value.checked_mul(10).and_then(|v| v.checked_add(i128::from(digit))).ok_or(Bad::Range)?;
        } else if digits as i64 == keep {
            round_up = round && digit >= 5;
        }
        digits += 1;
    }
    if digits == 0 || point.is_some_and(|at| mantissa[at + 1..].contains(&b'.')) {
        return Err(Bad::Syntax);
    }
    if drop < 0 && value != 0 {
        let power = u32::try_from(drop.unsigned_abs()).map_err(|_| Bad::Range)?;
        value = 10i128.checked_pow(power).and_then(|p| value.checked_mul(p)).ok_or(Bad::Range)?;
    }
    value += i128::from(round_up);
    if value >= 10i128.pow(u32::from(precision.min(38))) {
        return Err(Bad::Range);
    }
    Ok(if negative { -value } else { value })
}

/// The common case: digits and perhaps a point, no more than the type has and fit for 64 bits.
fn plain_decimal(text: &[u8], precision: u8, scale: i8) -> Option<i64> {
    let scale = usize::try_from(scale).ok()?;
    let point = memchr::memchr(b'.', text);
    let (whole, fraction) = match point {
        Some(at) => (text.get(..at)?, text.get(at + 1..)?),
        None => (text, &[][..]),
    };
    let most = usize::from(precision).min(DIGITS_OF_64_BITS);
    if whole.is_empty() || fraction.len() > scale || whole.len() + scale > most {
        return None;
    }
    let missing = POWERS_OF_TEN.get(scale - fraction.len())?;
    let behind = POWERS_OF_TEN.get(scale)?;
    Some(small(whole).ok()? * behind + small(fraction).ok()? * missing)
}

const POWERS_OF_TEN: [i64; DIGITS_OF_64_BITS + 1] = {
    let mut powers = [1; DIGITS_OF_64_BITS + 1];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// Days since 1970: `YYYY-MM-DD`, `YYYY/MM/DD`, `YYYYMMDD`; a time behind the date is passed over.
pub(super) fn date(text: &[u8]) -> Result<i32, Bad> {
    let text = text.trim_ascii();
    if let Some(days) = iso_date(text) {
        return Ok(days);
    }
    let (days, rest) = leading_date(text)?;
    // Clients send a zone behind a date, too, which says nothing of it.
    if rest.is_empty() || zone(rest.trim_ascii_start()).is_ok() {
        return Ok(days);
    }
    timestamp(text, false).map(|_| days)
}

/// The common case `YYYY-MM-DD`, without a detour over a calendar.
fn iso_date(text: &[u8]) -> Option<i32> {
    let &[a, b, c, d, b'-', e, f, b'-', g, h] = text else { return None };
    let digits = [a, b, c, d, e, f, g, h].map(|byte| i32::from(byte.wrapping_sub(b'0')));
    if digits.iter().any(|digit| *digit > 9) {
        return None;
    }
    let [a, b, c, d, e, f, g, h] = digits;
    let (year, month, day) = (a * 1000 + b * 100 + c * 10 + d, e * 10 + f, g * 10 + h);
    // Days that every month has; the others go by the calendar.
    if year == 0 || !(1..=12).contains(&month) || !(1..=28).contains(&day) {
        return None;
    }
    // Years that begin with March: the leap day is their last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year / 4 - year / 100 + year / 400;
    Some(year * 365 + leaps + (153 * month + 2) / 5 + day - 1 - DAYS_TO_EPOCH)
}

fn leading_date(text: &[u8]) -> Result<(i32, &[u8]), Bad> {
    // Years of five digits are also written with a sign.
    let text = text.strip_prefix(b"+").unwrap_or(text);
    let (year, rest, year_digits) = number(text)?;
    if year_digits == 8 && !matches!(rest.first(), Some(b'-' | b'/')) {
        return Ok((days(year / 10_000, year / 100 % 100, year % 100)?, rest));
    }
    let separator = *rest.first().filter(|b| matches!(b, b'-' | b'/')).ok_or(Bad::Syntax)?;
    let (month, rest, month_digits) = number(&rest[1..])?;
    let rest = rest.strip_prefix(&[separator]).ok_or(Bad::Syntax)?;
    let (day, rest, day_digits) = number(rest)?;
    if !(4..=6).contains(&year_digits) || month_digits > 2 || day_digits > 2 {
        return Err(Bad::Syntax);
    }
    Ok((days(year, month, day)?, rest))
}

pub(super) fn days(year: i64, month: i64, day: i64) -> Result<i32, Bad> {
    let date = i32::try_from(year).ok().and_then(|y| NaiveDate::from_ymd_opt(y, month as u32, day as u32));
    date.map(|d| chrono::Datelike::num_days_from_ce(&d) - EPOCH_FROM_CE_DAYS).ok_or(Bad::Range)
}

/// Leading digits, at most nine: their value, what follows, how many they were.
fn number(text: &[u8]) -> Result<(i64, &[u8], usize), Bad> {
    let count = text.iter().take(10).take_while(|b| b.is_ascii_digit()).count();
    if count == 0 || count > 9 {
        return Err(Bad::Syntax);
    }
    let value = text[..count].iter().fold(0, |sum, b| sum * 10 + i64::from(b - b'0'));
    Ok((value, &text[count..], count))
}

/// Microseconds since midnight.
pub(super) fn time(text: &[u8]) -> Result<i64, Bad> {
    let (micros, rest) = leading_time(text.trim_ascii())?;
    if rest.is_empty() { Ok(micros) } else { Err(Bad::Syntax) }
}

/// Microseconds of the day in UTC that a time with an offset means, which may have none; of another day where need be.
pub(super) fn time_in_utc(text: &[u8]) -> Result<i64, Bad> {
    let (local, rest) = leading_time(text.trim_ascii())?;
    let offset = zone(rest.trim_ascii_start())?;
    Ok((local - offset * MICROS_PER_SECOND).rem_euclid(SECONDS_PER_DAY * MICROS_PER_SECOND))
}

fn leading_time(text: &[u8]) -> Result<(i64, &[u8]), Bad> {
    let (hour, rest, _) = number(text)?;
    let (minute, rest, _) = number(rest.strip_prefix(b":").ok_or(Bad::Syntax)?)?;
    let (second, rest) = match rest.strip_prefix(b":") {
        Some(rest) => number(rest).map(|(value, rest, _)| (value, rest))?,
        None => (0, rest),
    };
    let (fraction, rest) = match rest.strip_prefix(b".").or_else(|| rest.strip_prefix(b",")) {
        Some(rest) => fraction_micros(rest)?,
        None => (0, rest),
    };
    if hour > 24 || minute > 59 || second > 60 {
        return Err(Bad::Range);
    }
    let micros = ((hour * 60 + minute) * 60 + second) * MICROS_PER_SECOND + fraction;
    if micros > SECONDS_PER_DAY * MICROS_PER_SECOND { Err(Bad::Range) } else { Ok((micros, rest)) }
}

/// What stands behind the point, rounded to microseconds.
pub(super) fn fraction_micros(text: &[u8]) -> Result<(i64, &[u8]), Bad> {
    let count = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let digit = |at: usize| if at < count { i64::from(text[at] - b'0') } else { 0 };
    let micros = (0..6).fold(0, |sum, at| sum * 10 + digit(at)) + i64::from(digit(6) >= 5);
    if count == 0 { Err(Bad::Syntax) } else { Ok((micros, &text[count..])) }
}

/// Microseconds since 1970. With `zoned`, an offset in the text counts and its absence means UTC; without, it is
/// passed over, as Postgres does.
pub(super) fn timestamp(text: &[u8], zoned: bool) -> Result<i64, Bad> {
    let (days, rest) = leading_date(text.trim_ascii())?;
    let midnight = i64::from(days) * SECONDS_PER_DAY * MICROS_PER_SECOND;
    if rest.is_empty() {
        return Ok(midnight);
    }
    let rest = rest.strip_prefix(b"T").or_else(|| rest.strip_prefix(b" ")).or_else(|| rest.strip_prefix(b"t"));
    let (micros, rest) = leading_time(rest.ok_or(Bad::Syntax)?.trim_ascii_start())?;
    let offset = zone(rest.trim_ascii_start())?;
    let local = midnight + micros;
    Ok(if zoned { local - offset * MICROS_PER_SECOND } else { local })
}

/// Seconds east of Greenwich: nothing, `Z`, `UTC`, `GMT`, `+hh`, `+hhmm`, `+hh:mm`.
pub(super) fn zone(text: &[u8]) -> Result<i64, Bad> {
    if text.is_empty() || [&b"z"[..], b"utc", b"gmt"].iter().any(|name| text.eq_ignore_ascii_case(name)) {
        return Ok(0);
    }
    let (negative, rest) = match text.split_first() {
        Some((b'+', rest)) => (false, rest),
        Some((b'-', rest)) => (true, rest),
        _ => return Err(Bad::Syntax),
    };
    let (value, rest, count) = number(rest)?;
    let (hours, minutes, rest) = match (count, rest.strip_prefix(b":")) {
        (1 | 2, Some(more)) => number(more).map(|(minutes, rest, _)| (value, minutes, rest))?,
        (1 | 2, None) => (value, 0, rest),
        (4, None) => (value / 100, value % 100, rest),
        _ => return Err(Bad::Syntax),
    };
    if !rest.is_empty() || hours > 15 || minutes > 59 {
        return Err(Bad::Syntax);
    }
    let seconds = hours * 3600 + minutes * 60;
    Ok(if negative { -seconds } else { seconds })
}

/// An interval as Postgres reads one.
pub(super) fn interval(text: &[u8]) -> Result<IntervalMonthDayNano, Bad> {
    let text = std::str::from_utf8(text).map_err(|_| Bad::Encoding)?;
    let read = crate::datetime::interval(text);
    read.map_err(|error| if error.kind() == Kind::IntervalOverflow { Bad::Range } else { Bad::Syntax })
}

/// The bytes of a bytea: `\x` and hex digits, or the text's own bytes. Appended to `out`.
pub(super) fn bytea(text: &[u8], out: &mut Vec<u8>) -> Result<(), Bad> {
    let Some(hex) = text.strip_prefix(b"\\x") else {
        out.extend_from_slice(text);
        return Ok(());
    };
    if hex.len() % 2 != 0 {
        return Err(Bad::Syntax);
    }
    for pair in hex.chunks_exact(2) {
        let nibble = |b: u8| char::from(b).to_digit(16).ok_or(Bad::Syntax);
        out.push((nibble(pair[0])? * 16 + nibble(pair[1])?) as u8);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers() {
        let cases = [
            ("0", Ok(0)),
            (" -12 ", Ok(-12)),
            ("+7", Ok(7)),
            ("-9223372036854775808", Ok(i64::MIN)),
            ("9223372036854775808", Err(Bad::Range)),
            ("1.5", Err(Bad::Syntax)),
            ("", Err(Bad::Syntax)),
            ("-", Err(Bad::Syntax)),
        ];
        for (text, expected) in cases {
            assert_eq!(integer(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn decimals() {
        let cases = [
            ("12.345", Ok(1235)),
            ("-12.344", Ok(-1234)),
            ("12", Ok(1200)),
            (".5", Ok(50)),
            ("1e2", Ok(10_000)),
            ("125e-3", Ok(13)),
            ("0.001", Ok(0)),
            ("99999999.995", Err(Bad::Range)),
            ("1.2.3", Err(Bad::Syntax)),
            (".", Err(Bad::Syntax)),
            ("x", Err(Bad::Syntax)),
            ("123456.7", Ok(12_345_670)),
            ("123456789.01", Err(Bad::Range)),
            ("1-", Err(Bad::Syntax)),
        ];
        assert_eq!(decimal(b"-1.239", 10, 2, false), Ok(-123));
        for (text, expected) in cases {
            assert_eq!(decimal(text.as_bytes(), 10, 2, true), expected, "{text}");
        }
    }

    #[test]
    fn floats() {
        let cases = [
            ("1.5", Ok(1.5)),
            ("-Infinity", Ok(f64::NEG_INFINITY)),
            ("1e999", Err(Bad::Range)),
            ("", Err(Bad::Syntax)),
        ];
        for (text, expected) in cases {
            assert_eq!(float(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(real(b"1e300"), Err(Bad::Range));
        assert_eq!(real(b"inf"), Ok(f32::INFINITY));
        assert!(float(b"NaN").is_ok_and(f64::is_nan));
    }

    #[test]
    fn dates_and_times() {
        let day = 86_400_000_000i64;
        let dates = [("1970-01-02", Ok(1)), ("1970/1/2", Ok(1)), ("19700102", Ok(1)), ("2013-02-30", Err(Bad::Range))];
        for (text, expected) in dates {
            assert_eq!(date(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(date(b"1970-01-02/3"), Err(Bad::Syntax));
        let stamps = [
            ("1970-01-02", true, Ok(day)),
            ("1970-01-02 01:00:00.5", true, Ok(day + 3_600_500_000)),
            ("1970-01-02T01:00:00+01:00", true, Ok(day)),
            ("1970-01-02T01:00:00+01:00", false, Ok(day + 3_600_000_000)),
            ("1970-01-02 00:00:00-0130", true, Ok(day + 5_400_000_000)),
            ("1970-01-02 00:00 UTC", true, Ok(day)),
            ("1970-01-02 25:00:00", true, Err(Bad::Range)),
            ("1970-01-02 noon", true, Err(Bad::Syntax)),
        ];
        for (text, zoned, expected) in stamps {
            assert_eq!(timestamp(text.as_bytes(), zoned), expected, "{text}");
        }
        assert_eq!(time(b"23:59:59.999999"), Ok(day - 1));
    }

    #[test]
    fn booleans_and_bytes() {
        assert_eq!(boolean(b"YES"), Ok(true));
        assert_eq!(boolean(b"0"), Ok(false));
        assert_eq!(boolean(b"maybe"), Err(Bad::Syntax));
        let mut out = Vec::new();
        assert_eq!(bytea(b"\\x00fF", &mut out), Ok(()));
        assert_eq!(out, [0, 255]);
        assert_eq!(bytea(b"\\x0", &mut out), Err(Bad::Syntax));
    }
}
