//! Numbers as Postgres writes them: integers, floats in shortest form.

use std::fmt::{self, Write as _};

const PAIRS: &[u8; 200] =
    b"0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849\
5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";

/// The longest run of digits that an integer of 128 bits has.
pub const INTEGER_DIGITS_MAX: usize = 40;

/// A decimal integer.
pub fn put_integer(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    put_unsigned(out, value.unsigned_abs());
}

/// A decimal integer without sign.
pub fn put_unsigned(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0u8; INTEGER_DIGITS_MAX];
    let mut at = digits.len();
    while value >= 100 {
        let pair = (value % 100) as usize * 2;
        value /= 100;
        at -= 2;
        digits[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    }
    if value >= 10 {
        let pair = value as usize * 2;
        at -= 2;
        digits[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    } else {
        at -= 1;
        digits[at] = b'0' + value as u8;
    }
    out.extend_from_slice(&digits[at..]);
}

/// Two digits, zero padded.
#[inline]
pub fn put_two(out: &mut Vec<u8>, value: u32) {
    let pair = (value % 100) as usize * 2;
    out.extend_from_slice(&PAIRS[pair..pair + 2]);
}

/// `double precision`: shortest digits that read back the same, exponents from 1e15 and below 1e-4.
pub fn put_float8(out: &mut Vec<u8>, value: f64) {
    if !put_special(out, value) {
        put_shortest(out, &Scientific::of(format_args!("{value:e}")), 15);
    }
}

/// `real`: as `double precision`, exponents from 1e6.
pub fn put_float4(out: &mut Vec<u8>, value: f32) {
    if !put_special(out, f64::from(value)) {
        put_shortest(out, &Scientific::of(format_args!("{value:e}")), 6);
    }
}

fn put_special(out: &mut Vec<u8>, value: f64) -> bool {
    if value.is_nan() {
        out.extend_from_slice(b"NaN");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"Infinity" } else { b"-Infinity" });
    } else if value == 0.0 {
        out.extend_from_slice(if value.is_sign_negative() { b"-0" } else { b"0" });
    } else if value.fract() == 0.0 && value.abs() < 1e6 {
        put_integer(out, value as i64);
    } else {
        return false;
    }
    true
}

/// The longest text of a float in scientific form is `-1.2345678901234567e-308`.
const SCIENTIFIC_BYTES_MAX: usize = 32;

/// A float as `d.ddde-x`, without a heap allocation for each value.
struct Scientific {
    text: [u8; SCIENTIFIC_BYTES_MAX],
    length: usize,
}

impl Scientific {
    fn of(value: fmt::Arguments<'_>) -> Self {
        let mut scientific = Scientific { text: [0; SCIENTIFIC_BYTES_MAX], length: 0 };
        let _it_always_fits = scientific.write_fmt(value);
        scientific
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..self.length]).unwrap_or("0e0")
    }
}

impl fmt::Write for Scientific {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let end = self.length + part.len();
        self.text.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(part.as_bytes());
        self.length = end;
        Ok(())
    }
}

/// Lays out the digits of `d.ddde-x` as Postgres does.
fn put_shortest(out: &mut Vec<u8>, scientific: &Scientific, exponent_from: i32) {
    let (mantissa, exponent) = scientific.as_str().split_once('e').unwrap_or(("0", "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (mantissa, negative) = match mantissa.strip_prefix('-') {
        Some(rest) => (rest, true),
        None => (mantissa, false),
    };
    if negative {
        out.push(b'-');
    }
    if !(-4..exponent_from).contains(&exponent) {
        out.extend_from_slice(mantissa.as_bytes());
        out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
        let size = exponent.unsigned_abs();
        if size < 100 {
            put_two(out, size)
        } else {
            put_unsigned(out, u64::from(size))
        }
        return;
    }
    let digits = mantissa.bytes().filter(u8::is_ascii_digit);
    let count = mantissa.bytes().filter(u8::is_ascii_digit).count() as i32;
    if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.resize(out.len() + (-exponent - 1) as usize, b'0');
        out.extend(digits);
        return;
    }
    for (index, digit) in digits.enumerate() {
        if index as i32 == exponent + 1 {
            out.push(b'.');
        }
        out.push(digit);
    }
    for _ in count..=exponent {
        out.push(b'0');
    }
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
    fn floats_are_written_as_postgres_writes_them() {
        let cases = [
            (0.1, "0.1"),
            (-0.0, "-0"),
            (1e15, "1e+15"),
            (1e14, "100000000000000"),
            (123456789012345.0, "123456789012345"),
            (1e20, "1e+20"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (1e300, "1e+300"),
            (1234.5, "1234.5"),
            (f64::NEG_INFINITY, "-Infinity"),
            (f64::NAN, "NaN"),
        ];
        for (value, want) in cases {
            assert_eq!(text(|o| put_float8(o, value)), want);
        }
        for (value, want) in [(1e6f32, "1e+06"), (100000.0, "100000"), (0.1, "0.1"), (3.4e38, "3.4e+38")] {
            assert_eq!(text(|o| put_float4(o, value)), want);
        }
    }

    #[test]
    fn integers() {
        for value in [0, 7, 10, 99, 100, 101, 12345, i64::MAX, i64::MIN, -1] {
            assert_eq!(text(|o| put_integer(o, value)), value.to_string());
        }
    }
}
