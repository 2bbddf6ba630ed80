//! `numeric` as Postgres writes it, in text and binary, up to 76 digits.

use super::number::{INTEGER_DIGITS_MAX, put_unsigned};
use arrow::datatypes::i256;

/// Scales up to which ten to their power fits 64 bits.
const SMALL_SCALE_MAX: i8 = 18;

/// A decimal of 128 bits as text; most are small, and written without a detour.
pub fn put_decimal(out: &mut Vec<u8>, value: i128, scale: i8) {
    let (Ok(small), 1..=SMALL_SCALE_MAX) = (i64::try_from(value), scale) else {
        return Digits::of_i128(value, scale).put_text(out);
    };
    if small < 0 {
        out.push(b'-');
    }
    let unit = 10u64.pow(u32::from(scale.unsigned_abs()));
    put_unsigned(out, small.unsigned_abs() / unit);
    out.push(b'.');
    let mut fraction = small.unsigned_abs() % unit;
    let at = out.len();
    out.resize(at + usize::from(scale.unsigned_abs()), b'0');
    for slot in out[at..].iter_mut().rev() {
        *slot = b'0' + (fraction % 10) as u8;
        fraction /= 10;
    }
}

/// The digits of a decimal, whichever width carries it.
pub struct Digits {
    negative: bool,
    text: Vec<u8>,
    scale: i8,
}

impl Digits {
    /// Of 128 bits.
    pub fn of_i128(value: i128, scale: i8) -> Self {
        let mut text = Vec::with_capacity(INTEGER_DIGITS_MAX);
        match i64::try_from(value) {
            Ok(small) => put_unsigned(&mut text, small.unsigned_abs()),
            Err(_) => text.extend_from_slice(value.unsigned_abs().to_string().as_bytes()),
        }
        Digits { negative: value < 0, text, scale }
    }

    /// Of 256 bits.
    pub fn of_i256(value: i256, scale: i8) -> Self {
        let text = value.to_string();
        let negative = text.starts_with('-');
        Digits { negative, text: text.trim_start_matches('-').as_bytes().to_vec(), scale }
    }

    /// Digits before and after the point, after padding.
    fn split(&self) -> (Vec<u8>, Vec<u8>) {
        if self.scale <= 0 {
            let mut whole = self.text.clone();
            if whole != b"0" {
                whole.resize(whole.len() + usize::from(self.scale.unsigned_abs()), b'0');
            }
            return (whole, Vec::new());
        }
        let scale = usize::from(self.scale.unsigned_abs());
        if self.text.len() > scale {
            let (whole, fraction) = self.text.split_at(self.text.len() - scale);
            return (whole.to_vec(), fraction.to_vec());
        }
        let mut fraction = vec![b'0'; scale - self.text.len()];
        fraction.extend_from_slice(&self.text);
        (vec![b'0'], fraction)
    }

    /// `-12.50`.
    pub fn put_text(&self, out: &mut Vec<u8>) {
        if self.negative {
            out.push(b'-');
        }
        let scale = usize::from(self.scale.max(0).unsigned_abs());
        if scale > 0 && self.text.len() > scale {
            let (whole, fraction) = self.text.split_at(self.text.len() - scale);
            out.extend_from_slice(whole);
            out.push(b'.');
            out.extend_from_slice(fraction);
            return;
        }
        let (whole, fraction) = self.split();
        out.extend_from_slice(&whole);
        if !fraction.is_empty() {
            out.push(b'.');
            out.extend_from_slice(&fraction);
        }
    }

    /// Groups of four digits, a weight, a sign and the scale shown.
    pub fn put_binary(&self, out: &mut Vec<u8>) {
        let (mut whole, mut fraction) = self.split();
        let shown = fraction.len() as u16;
        let lead = (4 - whole.len() % 4) % 4;
        whole.splice(0..0, std::iter::repeat_n(b'0', lead));
        fraction.resize(fraction.len().next_multiple_of(4), b'0');
        let mut weight = (whole.len() / 4) as i16 - 1;
        let groups: Vec<u16> = whole
            .chunks(4)
            .chain(fraction.chunks(4))
            .map(|four| four.iter().fold(0u16, |sum, digit| sum * 10 + u16::from(digit - b'0')))
            .collect();
        let first = groups.iter().position(|g| *g != 0).unwrap_or(groups.len());
        let last = groups.iter().rposition(|g| *g != 0).map_or(first, |i| i + 1);
        let kept = &groups[first..last];
        weight = if kept.is_empty() { 0 } else { weight - first as i16 };
        out.extend_from_slice(&(kept.len() as u16).to_be_bytes());
        out.extend_from_slice(&weight.to_be_bytes());
        let sign: u16 = if self.negative && !kept.is_empty() { 0x4000 } else { 0 };
        out.extend_from_slice(&sign.to_be_bytes());
        out.extend_from_slice(&shown.to_be_bytes());
        for group in kept {
            out.extend_from_slice(&group.to_be_bytes());
        }
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
    fn numerics_in_text_and_binary() {
        let cases: [(i128, i8, &str, &[u16]); 8] = [
            (0, 2, "0.00", &[0, 0, 0, 2]),
            (-1250, 2, "-12.50", &[2, 0, 0x4000, 2, 12, 5000]),
            (5, 3, "0.005", &[1, 0xffff, 0, 3, 50]),
            (12345678, 0, "12345678", &[2, 1, 0, 0, 1234, 5678]),
            (10000, 0, "10000", &[1, 1, 0, 0, 1]),
            (12, -3, "12000", &[2, 1, 0, 0, 1, 2000]),
            (1, 8, "0.00000001", &[1, 0xfffe, 0, 8, 1]),
            (-1, 1, "-0.1", &[1, 0xffff, 0x4000, 1, 1000]),
        ];
        for (value, scale, want, words) in cases {
            let digits = Digits::of_i128(value, scale);
            assert_eq!(text(|o| digits.put_text(o)), want);
            assert_eq!(text(|o| put_decimal(o, value, scale)), want);
            let mut binary = Vec::new();
            digits.put_binary(&mut binary);
            let got: Vec<u16> = binary.chunks(2).map(|two| u16::from_be_bytes([two[0], two[1]])).collect();
            assert_eq!(got, words, "{want}");
        }
        let large = "9".repeat(76);
        let digits = Digits::of_i256(i256::from_string(&large).unwrap(), 38);
        assert_eq!(text(|o| digits.put_text(o)), format!("{}.{}", &large[..38], &large[..38]));
    }
}
