//! Templates of numbers, for TO_CHAR and TO_NUMBER (Postgres 15, "Template Patterns for Numeric Formatting").

use super::to_char::ordinal;

/// A template.
#[derive(Debug, Default)]
pub struct NumberTemplate {
    /// Characters before the point and behind it: `9`, `0`, a comma, or anything that stands as it is.
    whole: Vec<char>,
    fraction: Vec<char>,
    has_point: bool,
    fills: bool,
    sign: Sign,
    /// What stands before all, such as `$`.
    prefix: String,
    ordinal: Option<bool>,
}

/// How the sign is shown.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Sign {
    /// Before the first digit, in a place of its own.
    #[default]
    Leading,
    /// S before the number: always shown.
    Anchored,
    /// S behind it.
    Trailing,
    /// MI behind it: a blank where it is not negative.
    Minus,
    /// PR: in angle brackets.
    Brackets,
}

impl NumberTemplate {
    /// Reads a template; what is no word of it stands as it is.
    pub fn parse(template: &str) -> NumberTemplate {
        let mut made = NumberTemplate { fills: true, ..NumberTemplate::default() };
        let mut rest = template;
        while let Some(first) = rest.chars().next() {
            let upper = rest.get(..2).map(str::to_ascii_uppercase);
            let two = match upper.as_deref() {
                Some("FM") => {
                    made.fills = false;
                    true
                }
                Some("MI") => {
                    made.sign = Sign::Minus;
                    true
                }
                Some("PR") => {
                    made.sign = Sign::Brackets;
                    true
                }
                Some("TH") => {
                    made.ordinal = Some(rest.starts_with("TH"));
                    true
                }
                _ => false,
            };
            if two {
                rest = rest.get(2..).unwrap_or_default();
                continue;
            }
            made.take(first);
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        }
        made
    }

    fn take(&mut self, c: char) {
        let begun = !self.whole.is_empty() || self.has_point;
        match c {
            '.' | 'D' | 'd' if !self.has_point => self.has_point = true,
            'S' | 's' => self.sign = if begun { Sign::Trailing } else { Sign::Anchored },
            'L' | 'l' => self.prefix.push('$'),
            'G' | 'g' => self.part().push(','),
            other if begun || is_digit(other) || other == ',' => self.part().push(other),
            other => self.prefix.push(other),
        }
    }

    fn part(&mut self) -> &mut Vec<char> {
        if self.has_point { &mut self.fraction } else { &mut self.whole }
    }

    /// A number as the template has it, of its text without an exponent. `#` where it does not fit.
    pub fn shown(&self, number: &str) -> String {
        let (negative, digits) = match number.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, number),
        };
        let places = self.fraction.iter().filter(|c| is_digit(**c)).count();
        let (whole, fraction) = rounded(digits, places);
        let negative = negative && (whole.bytes().chain(fraction.bytes())).any(|digit| digit != b'0');
        let mut text = self.whole_text(&whole);
        if self.has_point {
            text.push('.');
            text.push_str(&self.fraction_text(&fraction));
        }
        let mut text = format!("{}{}", self.prefix, self.signed(text, negative));
        if let Some(upper) = self.ordinal.filter(|_| !negative && !self.has_point) {
            let ending = ordinal(whole.parse().unwrap_or(0));
            text.push_str(&if upper { ending.to_uppercase() } else { ending.to_string() });
        }
        if self.fills { text } else { text.trim_start().to_string() }
    }

    fn whole_text(&self, whole: &str) -> String {
        let places = self.whole.iter().filter(|c| is_digit(**c)).count();
        let digits = whole.trim_start_matches('0');
        if digits.len() > places {
            return self.whole.iter().map(|c| if is_digit(*c) { '#' } else { *c }).collect();
        }
        let zeros_from = self.whole.iter().filter(|c| is_digit(**c)).position(|c| *c == '0').unwrap_or(places);
        let missing = places - digits.len();
        // A number below 1 shows its nought only where nothing stands behind the point.
        let last_nought = digits.is_empty() && !self.has_point;
        let (mut out, mut place, mut begun, mut given) = (String::new(), 0, false, digits.chars());
        for c in &self.whole {
            if !is_digit(*c) {
                out.push(if begun || *c != ',' { *c } else { ' ' });
                continue;
            }
            let shown = match place >= missing {
                true => given.next(),
                false if place >= zeros_from => Some('0'),
                false if last_nought && place + 1 == places => Some('0'),
                false => None,
            };
            begun |= shown.is_some();
            out.push(shown.unwrap_or(' '));
            place += 1;
        }
        out
    }

    fn fraction_text(&self, fraction: &str) -> String {
        let (mut given, mut out) = (fraction.chars(), String::new());
        for c in &self.fraction {
            out.push(if is_digit(*c) { given.next().unwrap_or('0') } else { *c });
        }
        let must = self.fraction.iter().rposition(|c| *c == '0').map_or(0, |at| at + 1);
        if !self.fills {
            while out.len() > must && out.ends_with('0') {
                out.pop();
            }
        }
        out
    }

    fn signed(&self, text: String, negative: bool) -> String {
        let blank = |c: char, text: &str| {
            let start = text.len() - text.trim_start().len();
            format!("{}{c}{}", text.get(..start).unwrap_or_default(), text.trim_start())
        };
        match (self.sign, negative) {
            (Sign::Leading, true) | (Sign::Anchored, true) => blank('-', &text),
            (Sign::Leading, false) => format!(" {text}"),
            (Sign::Anchored, false) => blank('+', &text),
            (Sign::Trailing, true) | (Sign::Minus, true) => format!("{text}-"),
            (Sign::Trailing, false) => format!("{text}+"),
            (Sign::Minus, false) if self.fills => format!("{text} "),
            (Sign::Minus, false) => text,
            (Sign::Brackets, true) => format!("{}>", blank('<', &text)),
            (Sign::Brackets, false) if self.fills => format!(" {text} "),
            (Sign::Brackets, false) => text,
        }
    }
}

fn is_digit(c: char) -> bool {
    matches!(c, '9' | '0')
}

/// Digits before the point, and so many behind it.
fn rounded(digits: &str, places: usize) -> (String, String) {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let kept: String = fraction.chars().chain(std::iter::repeat('0')).take(places).collect();
    let up = fraction.as_bytes().get(places).is_some_and(|digit| *digit >= b'5');
    let mut all: Vec<u8> = whole.bytes().chain(kept.bytes()).collect();
    let mut carry = up;
    for digit in all.iter_mut().rev() {
        if !carry {
            break;
        }
        (*digit, carry) = if *digit == b'9' { (b'0', true) } else { (*digit + 1, false) };
    }
    if carry {
        all.insert(0, b'1');
    }
    let at = all.len().saturating_sub(places);
    let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    (text(all.get(..at)), text(all.get(at..)))
}

/// The digits of a text that a template describes, as a number's text; None where there are none.
pub fn read(text: &str) -> Option<String> {
    let negative = text.contains('-') || text.trim().starts_with('<');
    let digits: String = text.chars().filter(|c| c.is_ascii_digit() || *c == '.').collect();
    let some = digits.bytes().any(|byte| byte.is_ascii_digit());
    some.then(|| if negative { format!("-{digits}") } else { digits })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each was asked of Postgres 15.
    #[test]
    fn templates() {
        for (number, template, expected) in [
            ("1234.5", "9,999.99", " 1,234.50"),
            ("125", "999", " 125"),
            ("-125.8", "999D99", "-125.80"),
            ("0.1", "0.9", " 0.1"),
            ("0.1", "99.9", "   .1"),
            ("12", "0000", " 0012"),
            ("12345", "999", " ###"),
            ("485", "FM999MI", "485"),
            ("-485", "999MI", "485-"),
            ("485", "S999", "+485"),
            ("-485", "999PR", "<485>"),
            ("148.5", "FM999.990", "148.500"),
            ("148.5", "FM999.999", "148.5"),
            ("1234567", "$9,999,999", "$ 1,234,567"),
            ("0", "999", "   0"),
            ("2", "9th", " 2nd"),
        ] {
            assert_eq!(NumberTemplate::parse(template).shown(number), expected, "{number} {template}");
        }
    }

    #[test]
    fn digits_of_texts() {
        assert_eq!(read("12,454.8-").as_deref(), Some("-12454.8"));
        assert_eq!((read("$1,000").as_deref(), read("none")), (Some("1000"), None));
    }
}
