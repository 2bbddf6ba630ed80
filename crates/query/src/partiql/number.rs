//! Numbers in SUPER values: whole, exact with a point, or floating, as Redshift's dynamic typing takes them.

use std::cmp::Ordering;
use tidegate_core::{Error, Kind, Result};

/// Most digits of an exact number.
const DIGITS_MAX: usize = 38;

/// A number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A whole number that a bigint holds.
    Whole(i64),
    /// Digits, and how many of them stand behind the point.
    Exact(i128, u32),
    /// One with an exponent, or of more digits than an exact one has.
    Float(f64),
}

/// An operation on two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arithmetic {
    /// `+`.
    Add,
    /// `-`.
    Subtract,
    /// `*`.
    Multiply,
    /// `/`.
    Divide,
    /// `%`.
    Modulo,
}

impl Number {
    /// The number that a JSON number's text means.
    pub fn read(text: &str) -> Option<Number> {
        if let Ok(whole) = text.parse() {
            return Some(Number::Whole(whole));
        }
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let plain = fraction.bytes().all(|byte| byte.is_ascii_digit()) && whole.len() + fraction.len() <= DIGITS_MAX;
        let exact = plain.then(|| format!("{whole}{fraction}").parse().ok()).flatten();
        match exact {
            Some(digits) => Some(Number::Exact(digits, u32::try_from(fraction.len()).ok()?)),
            None => text.parse().ok().map(Number::Float),
        }
    }

    /// As JSON; None for what JSON has no number for.
    pub fn text(self) -> Option<String> {
        match self {
            Number::Whole(whole) => Some(whole.to_string()),
            Number::Exact(digits, 0) => Some(digits.to_string()),
            Number::Exact(digits, scale) => {
                let scale = scale as usize;
                let text = format!("{:0>width$}", digits.unsigned_abs(), width = scale + 1);
                let (whole, fraction) = text.split_at_checked(text.len() - scale)?;
                Some(format!("{}{whole}.{fraction}", if digits < 0 { "-" } else { "" }))
            }
            Number::Float(float) => float.is_finite().then(|| serde_json::to_string(&float).ok()).flatten(),
        }
    }

    /// In floating point.
    pub fn float(self) -> f64 {
        match self {
            Number::Whole(whole) => whole as f64,
            Number::Exact(digits, scale) => digits as f64 / 10f64.powi(scale as i32),
            Number::Float(float) => float,
        }
    }

    /// The order of two numbers by their values.
    pub fn compare(self, other: Number) -> Ordering {
        match aligned(self, other) {
            Some((one, two, _)) => one.cmp(&two),
            None => self.float().total_cmp(&other.float()),
        }
    }

    /// The result of an operation: whole of whole ones, exact of exact ones where it fits, else floating. 22012, 22003.
    pub fn calculate(self, op: Arithmetic, other: Number) -> Result<Number> {
        let zero = || Error::new(Kind::DivisionByZero, "division by zero");
        if matches!(op, Arithmetic::Divide | Arithmetic::Modulo) && other.float() == 0.0 {
            return Err(zero());
        }
        let whole = matches!((self, other), (Number::Whole(_), Number::Whole(_)));
        let exact = match (aligned(self, other), op) {
            (_, Arithmetic::Multiply) => multiplied(self, other),
            (Some((one, two, scale)), Arithmetic::Add) => one.checked_add(two).map(|sum| (sum, scale)),
            (Some((one, two, scale)), Arithmetic::Subtract) => one.checked_sub(two).map(|rest| (rest, scale)),
            (Some((one, two, scale)), Arithmetic::Modulo) => one.checked_rem(two).map(|rest| (rest, scale)),
            (Some((one, two, _)), Arithmetic::Divide) if whole => one.checked_div(two).map(|made| (made, 0)),
            _ => None,
        };
        match exact {
            Some((digits, 0)) => match i64::try_from(digits) {
                Ok(whole) => Ok(Number::Whole(whole)),
                Err(_) => Ok(Number::Exact(digits, 0)),
            },
            Some((digits, scale)) => Ok(Number::Exact(digits, scale)),
            None => self.calculate_float(op, other),
        }
    }

    fn calculate_float(self, op: Arithmetic, other: Number) -> Result<Number> {
        let (one, two) = (self.float(), other.float());
        let made = match op {
            Arithmetic::Add => one + two,
            Arithmetic::Subtract => one - two,
            Arithmetic::Multiply => one * two,
            Arithmetic::Divide => one / two,
            Arithmetic::Modulo => one % two,
        };
        match made.is_finite() {
            true => Ok(Number::Float(made)),
            false => Err(Error::new(Kind::OutOfRange, "double precision out of range")),
        }
    }
}

/// Digits, and how many of them stand behind the point.
fn digits(number: Number) -> Option<(i128, u32)> {
    match number {
        Number::Whole(whole) => Some((i128::from(whole), 0)),
        Number::Exact(digits, scale) => Some((digits, scale)),
        Number::Float(_) => None,
    }
}

/// The digits of a product, which has those of both behind its point.
fn multiplied(one: Number, two: Number) -> Option<(i128, u32)> {
    let ((one, one_scale), (two, two_scale)) = (digits(one)?, digits(two)?);
    Some((one.checked_mul(two)?, one_scale.checked_add(two_scale)?))
}

/// Both as digits of one scale.
fn aligned(one: Number, two: Number) -> Option<(i128, i128, u32)> {
    let ((one, one_scale), (two, two_scale)) = (digits(one)?, digits(two)?);
    let scale = one_scale.max(two_scale);
    let raised = |digits: i128, from: u32| digits.checked_mul(10i128.checked_pow(scale - from)?);
    Some((raised(one, one_scale)?, raised(two, two_scale)?, scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_by_value() {
        let cases = [
            ("1", "1.0", Ordering::Equal),
            ("10", "9", Ordering::Greater),
            ("-0.5", "0", Ordering::Less),
            ("1e2", "100", Ordering::Equal),
            ("9223372036854775808", "9223372036854775807", Ordering::Greater),
            ("0.10", "0.1", Ordering::Equal),
        ];
        for (one, two, expected) in cases {
            assert_eq!(Number::read(one).unwrap().compare(Number::read(two).unwrap()), expected, "{one} {two}");
        }
    }

    #[test]
    fn arithmetic_stays_exact() {
        let cases = [
            ("5", Arithmetic::Add, "1", "6"),
            ("0.1", Arithmetic::Add, "0.2", "0.3"),
            ("7", Arithmetic::Divide, "2", "3"),
            ("7.0", Arithmetic::Divide, "2", "3.5"),
            ("1.5", Arithmetic::Multiply, "-0.5", "-0.75"),
            ("7", Arithmetic::Modulo, "4", "3"),
            ("9223372036854775807", Arithmetic::Add, "1", "9223372036854775808"),
            ("1e2", Arithmetic::Subtract, "1", "99.0"),
        ];
        for (one, op, two, expected) in cases {
            let made = Number::read(one).unwrap().calculate(op, Number::read(two).unwrap()).unwrap();
            assert_eq!(made.text().as_deref(), Some(expected), "{one} {op:?} {two}");
        }
        let zero = Number::read("0").unwrap();
        assert_eq!(zero.calculate(Arithmetic::Divide, zero).unwrap_err().kind(), Kind::DivisionByZero);
    }
}
