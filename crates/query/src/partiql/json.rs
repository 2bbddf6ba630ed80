//! SUPER values as they are stored: compact JSON text, walked without building a tree.
//!
//! What is walked was normalised when it came in; of a text that was not, a walk gives less, and never panics.

use std::borrow::Cow;
use std::fmt::Write;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sort {
    /// `null`.
    Null,
    /// `true`, `false`.
    Boolean,
    /// Any number.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// What a value is, by its first byte.
pub fn sort(text: &str) -> Sort {
    match text.as_bytes().first() {
        Some(b'{') => Sort::Object,
        Some(b'[') => Sort::Array,
        Some(b'"') => Sort::String,
        Some(b't' | b'f') => Sort::Boolean,
        Some(b'-' | b'0'..=b'9') => Sort::Number,
        _ => Sort::Null,
    }
}

/// The place behind the value that begins at `at`.
fn value_end(bytes: &[u8], at: usize) -> usize {
    match bytes.get(at) {
        Some(b'"') => string_end(bytes, at),
        Some(b'{' | b'[') => container_end(bytes, at),
        _ => {
            let rest = bytes.get(at..).unwrap_or_default();
            at + rest.iter().position(|byte| matches!(byte, b',' | b']' | b'}')).unwrap_or(rest.len())
        }
    }
}

/// The place behind the closing quote of the string that begins at `at`.
fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn container_end(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0usize;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = string_end(bytes, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return at;
        }
    }
    bytes.len()
}

/// The items of an array, one behind the other; of another value none.
pub struct Items<'a> {
    text: &'a str,
    at: usize,
}

/// The items of an array.
pub fn items(text: &str) -> Items<'_> {
    Items { text, at: if sort(text) == Sort::Array { 1 } else { text.len() } }
}

impl<'a> Iterator for Items<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let bytes = self.text.as_bytes();
        if matches!(bytes.get(self.at), None | Some(b']')) {
            return None;
        }
        let end = value_end(bytes, self.at);
        let item = self.text.get(self.at..end)?;
        self.at = end + 1;
        Some(item)
    }
}

/// The members of an object: raw key, in its quotes, and value. Of another value none.
pub struct Members<'a> {
    text: &'a str,
    at: usize,
}

/// The members of an object.
pub fn members(text: &str) -> Members<'_> {
    Members { text, at: if sort(text) == Sort::Object { 1 } else { text.len() } }
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<(&'a str, &'a str)> {
        let bytes = self.text.as_bytes();
        if bytes.get(self.at) != Some(&b'"') {
            return None;
        }
        let key_end = string_end(bytes, self.at);
        let end = value_end(bytes, key_end + 1);
        let member = (self.text.get(self.at..key_end)?, self.text.get(key_end + 1..end)?);
        self.at = end + 1;
        Some(member)
    }
}

/// The value of an object's member.
pub fn member<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let is = |raw: &str| match raw.contains('\\') {
        false => raw.get(1..raw.len() - 1) == Some(key),
        true => string(raw) == key,
    };
    members(text).find(|(raw, _)| is(raw)).map(|(_, value)| value)
}

/// An item of an array, from 0; a negative place counts from the end, as Redshift's functions do.
pub fn item(text: &str, place: i64) -> Option<&str> {
    let place = match usize::try_from(place) {
        Ok(place) => place,
        Err(_) => items(text).count().checked_sub(usize::try_from(place.unsigned_abs()).ok()?)?,
    };
    items(text).nth(place)
}

/// The characters of a string; of another value its text.
pub fn string(text: &str) -> Cow<'_, str> {
    let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return Cow::Borrowed(text);
    };
    match inner.contains('\\') {
        false => Cow::Borrowed(inner),
        true => Cow::Owned(serde_json::from_str(text).unwrap_or_else(|_| inner.to_string())),
    }
}

/// Adds a text as a JSON string.
pub fn quote(text: &str, out: &mut String) {
    out.push('"');
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= b' ' && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(text.get(plain..at).unwrap_or_default());
        plain = at + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            // Writing to memory does not fail.
            other => drop(write!(out, "\\u{other:04x}")),
        }
    }
    out.push_str(text.get(plain..).unwrap_or_default());
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_walked() {
        let text = r#"{"a":{"b":[1,"x,]}",{"c":null}]},"k\"":2,"é":[]}"#;
        let array = member(text, "a").and_then(|a| member(a, "b")).unwrap();
        assert_eq!(items(array).collect::<Vec<_>>(), ["1", "\"x,]}\"", "{\"c\":null}"]);
        assert_eq!((item(array, 0), item(array, -1), item(array, 3)), (Some("1"), Some("{\"c\":null}"), None));
        assert_eq!((member(text, "k\""), member(text, "é"), member(text, "z")), (Some("2"), Some("[]"), None));
        assert_eq!((items("[]").count(), members("{}").count(), items("7").count()), (0, 0, 0));
        assert_eq!(item(array, -4), None);
    }

    #[test]
    fn what_is_not_json_ends_somewhere() {
        for text in ["", "[", "{\"", "{\"a", "{\"a\"", "{\"a\":", "[1,", "[\"\\", "\"", "{x}", "[[", "é", "{\"a\":é"]
        {
            let _ = (items(text).count(), members(text).count(), string(text), sort(text), member(text, "a"));
            let _ = item(text, -1);
        }
    }

    #[test]
    fn strings_go_and_come() {
        for text in ["", "a\"b\\", "x\n\r\t\u{1}ß", "plain"] {
            let mut quoted = String::new();
            quote(text, &mut quoted);
            assert_eq!(string(&quoted), text);
        }
    }
}
