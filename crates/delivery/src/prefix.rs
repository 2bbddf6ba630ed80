//! Prefixes of objects: `!{timestamp:yyyy/MM/dd/HH}` is the time, in UTC, at which an object's first record came.
//!
//! The expressions are Firehose's, the letters those of Java's DateTimeFormatter. A prefix is a folder; one without
//! any expression gets `yyyy/MM/dd/HH/` below it, as with Firehose.

use chrono::{DateTime, Datelike, Timelike, Utc};
use tidegate_core::{Error, Kind, Result, Rng};

/// What stands below a prefix that says nothing of time.
const DEFAULT_PATTERN: &str = "yyyy/MM/dd/HH";
/// Letters and digits of `!{firehose:random-string}`.
const RANDOM_CHARS: usize = 11;
/// Longest prefix, as with Firehose.
const PREFIX_CHARS_MAX: usize = 1024;
/// Characters of an expression that an error repeats.
const SHOWN_CHARS: usize = 40;

/// A prefix, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Time { letter: char, width: usize },
    Random,
}

impl Prefix {
    /// Reads a prefix. 22023 for an expression that is not known.
    pub fn parse(url: &str) -> Result<Prefix> {
        if url.chars().count() > PREFIX_CHARS_MAX {
            let message = format!("a prefix has {PREFIX_CHARS_MAX} characters at most");
            return Err(Error::new(Kind::InvalidParameter, message));
        }
        let mut parts = Vec::new();
        let mut rest = url;
        while let Some((before, from)) = rest.split_once("!{") {
            parts.push(Part::Text(before.to_string()));
            let (inside, after) = from.split_once('}').ok_or_else(|| unknown(from))?;
            match inside.split_once(':') {
                Some(("timestamp", pattern)) => read_pattern(pattern, &mut parts)?,
                Some(("firehose", "random-string")) => parts.push(Part::Random),
                _ => return Err(unknown(inside)),
            }
            rest = after;
        }
        let plain = parts.is_empty();
        let slash = if rest.ends_with('/') || (rest.is_empty() && plain) { "" } else { "/" };
        parts.push(Part::Text(format!("{rest}{slash}")));
        if plain {
            read_pattern(DEFAULT_PATTERN, &mut parts)?;
            parts.push(Part::Text("/".to_string()));
        }
        Ok(Prefix(parts))
    }

    /// The folder of an object whose first record came at this time, in milliseconds of the Unix epoch; ends with `/`.
    pub fn expand(&self, at_ms: i64, rng: &Rng) -> String {
        let at = DateTime::<Utc>::from_timestamp_millis(at_ms).unwrap_or_default();
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Time { letter, width } => time(*letter, *width, at),
            Part::Random => random(rng),
        };
        self.0.iter().map(part).collect()
    }
}

/// The moment in an object's name: `2013-01-09-05-07-08`.
pub fn stamp(at_ms: i64) -> String {
    DateTime::<Utc>::from_timestamp_millis(at_ms).unwrap_or_default().format("%Y-%m-%d-%H-%M-%S").to_string()
}

/// Letters, `'quoted text'`, `''` for a quote, and what stands for itself.
fn read_pattern(pattern: &str, parts: &mut Vec<Part>) -> Result<()> {
    let wrong = || unknown(&format!("timestamp:{pattern}"));
    let mut chars = pattern.chars().peekable();
    let mut text = String::new();
    while let Some(letter) = chars.next() {
        if letter == '\'' {
            quoted(&mut chars, &mut text).ok_or_else(wrong)?;
        } else if letter.is_ascii_alphabetic() {
            let mut width = 1;
            while chars.next_if_eq(&letter).is_some() {
                width += 1;
            }
            let known = match letter {
                'y' | 'u' => matches!(width, 1 | 2 | 4),
                'M' | 'd' | 'H' | 'm' | 's' => width <= 2,
                'D' => matches!(width, 1 | 3),
                _ => false,
            };
            if !known {
                return Err(wrong());
            }
            parts.push(Part::Text(std::mem::take(&mut text)));
            parts.push(Part::Time { letter, width });
        } else if matches!(letter, '{' | '#' | '[' | ']') {
            // Java keeps these for itself.
            return Err(wrong());
        } else {
            text.push(letter);
        }
    }
    parts.push(Part::Text(text));
    Ok(())
}

/// The inside of a quoted text. None when it has no end.
fn quoted(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, text: &mut String) -> Option<()> {
    if chars.next_if_eq(&'\'').is_some() {
        text.push('\'');
        return Some(());
    }
    loop {
        match chars.next()? {
            '\'' if chars.next_if_eq(&'\'').is_some() => text.push('\''),
            '\'' => return Some(()),
            other => text.push(other),
        }
    }
}

fn time(letter: char, width: usize, at: DateTime<Utc>) -> String {
    let value = match letter {
        'y' | 'u' if width == 2 => i64::from(at.year() % 100),
        'y' | 'u' => i64::from(at.year()),
        'M' => i64::from(at.month()),
        'd' => i64::from(at.day()),
        'D' => i64::from(at.ordinal()),
        'H' => i64::from(at.hour()),
        'm' => i64::from(at.minute()),
        _ => i64::from(at.second()),
    };
    format!("{value:0width$}")
}

fn random(rng: &Rng) -> String {
    const LETTERS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let letter = |_| LETTERS.get(rng.below(LETTERS.len() as u64) as usize).map_or('0', |byte| char::from(*byte));
    (0..RANDOM_CHARS).map(letter).collect()
}

fn unknown(expression: &str) -> Error {
    let shown: String = expression.chars().take(SHOWN_CHARS).collect();
    Error::new(Kind::InvalidParameter, format!("prefix expression \"!{{{shown}}}\" is not known"))
        .hint("Use !{timestamp:…} with yyyy, MM, dd, HH, mm and ss, or !{firehose:random-string}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2013-01-09 05:07:08 UTC.
    const AT_MS: i64 = 1_357_708_028_000;

    #[test]
    fn times_are_put_in() {
        let cases = [
            ("a/!{timestamp:yyyy/MM/dd/HH}/", Some("a/2013/01/09/05/")),
            ("y=!{timestamp:yy}/m=!{timestamp:M}/d=!{timestamp:D}", Some("y=13/m=1/d=9/")),
            ("!{timestamp:'day'-dd_mm-ss}/x/", Some("day-09_07-08/x/")),
            ("!{timestamp:'o''clock' H ''}", Some("o'clock 5 '/")),
            ("s3://b/plain/", Some("s3://b/plain/2013/01/09/05/")),
            ("s3://b/plain", Some("s3://b/plain/2013/01/09/05/")),
            ("a!{timestamp:DDD}b/", Some("a009b/")),
            ("!{timestamp:qq}/", None),
            // Java's week-based year is a year early or late around its end, and never what was meant.
            ("!{timestamp:YYYY}/", None),
            ("!{timestamp:MMM}/", None),
            ("!{timestamp:yyyyyy}/", None),
            ("!{timestamp:'open}/", None),
            ("!{partitionKeyFromQuery:k}/", None),
            ("!{firehose:error-output-type}/", None),
            ("!{timestamp}/", None),
            ("!{timestamp:yyyy", None),
        ];
        for (prefix, expected) in cases {
            let found = Prefix::parse(prefix).map(|prefix| prefix.expand(AT_MS, &Rng::seeded(1)));
            assert_eq!(found.as_deref().ok(), expected, "{prefix}: {found:?}");
        }
        assert_eq!(Prefix::parse("!{x:y}").unwrap_err().kind(), Kind::InvalidParameter);
        assert!(Prefix::parse(&"x".repeat(PREFIX_CHARS_MAX + 1)).is_err());
    }

    #[test]
    fn random_strings_differ() {
        let prefix = Prefix::parse("a/!{firehose:random-string}/").unwrap();
        let rng = Rng::seeded(1);
        let (one, other) = (prefix.expand(AT_MS, &rng), prefix.expand(AT_MS, &rng));
        assert_eq!(one.len(), "a//".len() + RANDOM_CHARS, "{one}");
        assert_ne!(one, other);
    }

    #[test]
    fn names_hold_the_moment() {
        assert_eq!(stamp(AT_MS), "2013-01-09-05-07-08");
    }
}
