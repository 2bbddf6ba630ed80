//! Prefixes of objects: `!{timestamp:yyyy/MM/dd/HH}` is the time, in UTC, at which an object's first record came.
//!
//! The letters are those of Java's DateTimeFormatter that Firehose's users write.

use chrono::{DateTime, Datelike, Timelike, Utc};
use tidegate_core::{Error, Kind, Result};

const OPEN: &str = "!{timestamp:";

/// The prefix with its times put in. 22023 for an expression that is not known.
pub fn expand(prefix: &str, at_ms: i64) -> Result<String> {
    let at = DateTime::<Utc>::from_timestamp_millis(at_ms).unwrap_or_default();
    let mut out = String::new();
    let mut rest = prefix;
    while let Some(start) = rest.find("!{") {
        out.push_str(rest.get(..start).unwrap_or_default());
        let expression = rest.get(start..).unwrap_or_default();
        let (inside, after) = expression
            .strip_prefix(OPEN)
            .and_then(|inside| inside.split_once('}'))
            .ok_or_else(|| unknown(expression))?;
        out.push_str(&time(inside, at)?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn unknown(expression: &str) -> Error {
    let shown: String = expression.chars().take(40).collect();
    Error::new(Kind::InvalidParameter, format!("prefix expression \"{shown}\" is not known"))
        .hint("Use !{timestamp:…} with yyyy, MM, dd, HH, mm and ss.")
}

fn time(pattern: &str, at: DateTime<Utc>) -> Result<String> {
    let mut out = String::new();
    let mut letters = pattern.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter == '\'' {
            out.extend(letters.by_ref().take_while(|quoted| *quoted != '\''));
            continue;
        }
        if !letter.is_ascii_alphabetic() {
            out.push(letter);
            continue;
        }
        let mut width = 1;
        while letters.next_if_eq(&letter).is_some() {
            width += 1;
        }
        let value = match letter {
            'y' | 'Y' | 'u' => i64::from(at.year()),
            'M' => i64::from(at.month()),
            'd' => i64::from(at.day()),
            'D' => i64::from(at.ordinal()),
            'H' => i64::from(at.hour()),
            'm' => i64::from(at.minute()),
            's' => i64::from(at.second()),
            _ => return Err(unknown(&format!("!{{timestamp:{pattern}}}"))),
        };
        let value = if matches!(letter, 'y' | 'Y' | 'u') && width == 2 { value % 100 } else { value };
        out.push_str(&format!("{value:0width$}"));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_put_in() {
        // 2013-01-09 05:07:08 UTC.
        let at_ms = 1_357_708_028_000;
        let cases = [
            ("plain/", Some("plain/")),
            ("a/!{timestamp:yyyy/MM/dd/HH}/", Some("a/2013/01/09/05/")),
            ("y=!{timestamp:yy}/m=!{timestamp:M}/", Some("y=13/m=1/")),
            ("!{timestamp:'day'-dd_mm-ss}", Some("day-09_07-08")),
            ("!{timestamp:qq}/", None),
            ("!{firehose:random-string}/", None),
            ("!{timestamp:yyyy", None),
        ];
        for (prefix, expected) in cases {
            assert_eq!(expand(prefix, at_ms).ok().as_deref(), expected, "{prefix}");
        }
    }
}
