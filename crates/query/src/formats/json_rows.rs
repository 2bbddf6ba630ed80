//! One JSON object, read without building a tree: each member goes to the column of its name as raw JSON text.
//!
//! Objects of plain scalars, which most writers make, are walked here; all others, the wrong ones too, by serde.

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Column names, and for each the raw JSON of the object's member: `found[i]` belongs to `names[i]`.
pub(super) struct Members<'n, 'j> {
    /// Names of the columns.
    pub names: &'n [String],
    /// Raw JSON by column; `None`: the object has no such member.
    pub found: Vec<Option<&'j str>>,
}

impl<'n, 'j> Members<'n, 'j> {
    /// Reads one object; `exact` tells that letter case counts.
    pub(super) fn read(line: &'j str, names: &'n [String], exact: bool) -> serde_json::Result<Self> {
        let mut members = Members { names, found: vec![None; names.len()] };
        if members.read_plain(line, exact).is_some() {
            return Ok(members);
        }
        members.found.fill(None);
        let mut json = serde_json::Deserializer::from_str(line);
        json.deserialize_map(Object(&mut members, exact))?;
        json.end()?;
        Ok(members)
    }

    /// An object of scalars alone, its texts without escapes. None: it may be something else.
    fn read_plain(&mut self, line: &'j str, exact: bool) -> Option<()> {
        let bytes = line.as_bytes();
        let mut at = behind(bytes, 0, b'{')?;
        let mut hint = 0;
        loop {
            let key = behind(bytes, at, b'"')?;
            let end = text_end(bytes, key)?;
            let column = column_of(self.names, hint, exact, line.get(key..end)?);
            let value = blank_until(bytes, behind(bytes, end + 1, b':')?);
            at = scalar_end(bytes, value)?;
            if let Some(column) = column {
                hint = column + 1;
                *self.found.get_mut(column)? = Some(line.get(value..at)?);
            }
            at = blank_until(bytes, at);
            match bytes.get(at)? {
                b',' => at += 1,
                b'}' => return (blank_until(bytes, at + 1) == bytes.len()).then_some(()),
                _ => return None,
            }
        }
    }
}

/// Where the blanks from a place on end.
fn blank_until(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
        at += 1;
    }
    at
}

/// The place behind a byte that comes next, blanks aside.
fn behind(bytes: &[u8], at: usize, wanted: u8) -> Option<usize> {
    let at = blank_until(bytes, at);
    (bytes.get(at) == Some(&wanted)).then_some(at + 1)
}

/// Where a text without escapes ends that began before this place: the place of its quote.
fn text_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    let length = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))?;
    (rest.get(length) == Some(&b'"')).then_some(at + length)
}

/// Where a scalar ends that begins here. None: it is none, or not a plain one.
fn scalar_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    let length = match rest.first()? {
        b'"' => return text_end(bytes, at + 1).map(|end| end + 1),
        b't' => rest.starts_with(b"true").then_some(4)?,
        b'f' => rest.starts_with(b"false").then_some(5)?,
        b'n' => rest.starts_with(b"null").then_some(4)?,
        _ => number_bytes(rest)?,
    };
    Some(at + length)
}

/// Bytes of a number without an exponent: what follows them is looked at by whoever asks.
fn number_bytes(text: &[u8]) -> Option<usize> {
    let digits = |from: usize| {
        let mut at = from;
        while text.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at - from
    };
    let sign = usize::from(text.first() == Some(&b'-'));
    let whole = digits(sign);
    let leading_zero = whole > 1 && text.get(sign) == Some(&b'0');
    let end = sign + whole;
    match (whole, text.get(end)) {
        (0, _) => None,
        _ if leading_zero => None,
        (_, Some(b'.')) => Some(digits(end + 1)).filter(|fraction| *fraction > 0).map(|fraction| end + 1 + fraction),
        _ => Some(end),
    }
}

/// The column of a member, the one at the hint first: members mostly come in the columns' order.
fn column_of(names: &[String], hint: usize, exact: bool, key: &str) -> Option<usize> {
    let is = |name: &String| name == key || (!exact && name.eq_ignore_ascii_case(key));
    match names.get(hint).is_some_and(is) {
        true => Some(hint),
        false => names.iter().position(is),
    }
}

struct Object<'m, 'n, 'j>(&'m mut Members<'n, 'j>, bool);

impl<'j> Visitor<'j> for Object<'_, '_, 'j> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one JSON object per line")
    }

    fn visit_map<A: MapAccess<'j>>(self, mut map: A) -> Result<(), A::Error> {
        let mut hint = 0;
        while let Some(column) = map.next_key_seed(Key { names: self.0.names, hint, exact: self.1 })? {
            let value: &'j RawValue = map.next_value()?;
            if let Some(column) = column {
                hint = column + 1;
                if let Some(slot) = self.0.found.get_mut(column) {
                    *slot = Some(value.get());
                }
            }
        }
        Ok(())
    }
}

/// Finds the column of a key.
struct Key<'n> {
    names: &'n [String],
    hint: usize,
    exact: bool,
}

impl<'j> DeserializeSeed<'j> for Key<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'j>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'j> Visitor<'j> for Key<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(column_of(self.names, self.hint, self.exact, key))
    }
}

/// The text that a raw JSON value means to a column: a string without quotes, the rest as written; `None` is NULL.
pub(super) fn scalar_text(raw: &str) -> serde_json::Result<Option<Cow<'_, str>>> {
    match raw.as_bytes().first() {
        Some(b'"') => {
            let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
            if memchr::memchr(b'\\', inner.as_bytes()).is_some() {
                serde_json::from_str(raw).map(|s: String| Some(s.into()))
            } else {
                Ok(Some(inner.into()))
            }
        }
        Some(b'n') => Ok(None),
        Some(_) => Ok(Some(raw.into())),
        None => Err(serde_json::Error::custom("a value is missing")),
    }
}

/// Bytes of the JSON value at the start of a text, told by its brackets alone. None: it does not end there.
pub(super) fn value_bytes(text: &[u8]) -> Option<usize> {
    let (mut depth, mut at, mut inside) = (0usize, 0, false);
    loop {
        let rest = text.get(at..)?;
        if inside {
            at += memchr::memchr2(b'"', b'\\', rest)?;
            if text.get(at) == Some(&b'\\') {
                at += 1;
            } else {
                inside = false;
            }
        } else {
            at += rest.iter().position(|byte| matches!(byte, b'"' | b'{' | b'}' | b'[' | b']'))?;
            match text.get(at) {
                Some(b'"') => inside = true,
                Some(b'{' | b'[') => depth += 1,
                _ => depth = depth.saturating_sub(1),
            }
            if depth == 0 && !inside {
                return Some(at + 1);
            }
        }
        at += 1;
    }
}

/// Names of an object's members in their order, for the order of inferred columns.
pub(super) fn keys(line: &str) -> serde_json::Result<Vec<String>> {
    struct Keys;
    impl<'j> Visitor<'j> for Keys {
        type Value = Vec<String>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("one JSON object per line")
        }
        fn visit_map<A: MapAccess<'j>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut keys = Vec::new();
            while let Some((key, _)) = map.next_entry::<String, serde::de::IgnoredAny>()? {
                keys.push(key);
            }
            Ok(keys)
        }
    }
    serde_json::Deserializer::from_str(line).deserialize_map(Keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_find_their_columns() {
        let names = ["a".to_string(), "b".to_string(), "c".to_string()];
        let members = Members::read(r#"{"B": "x\ny", "a": {"k": [1]}, "z": 1}"#, &names, false).unwrap();
        let texts: Vec<_> = members.found.iter().map(|raw| raw.and_then(|raw| scalar_text(raw).unwrap())).collect();
        assert_eq!(texts, [Some(r#"{"k": [1]}"#.into()), Some("x\ny".into()), None]);
        assert!(Members::read("[1]", &names, false).is_err());
        assert!(Members::read(r#"{"a":1} x"#, &names, false).is_err());
        assert_eq!(keys(r#"{"z":1,"a":{"q":2}}"#).unwrap(), ["z", "a"]);
    }

    #[test]
    fn plain_objects_read_as_serde_reads_them() {
        let names = ["a".to_string(), "b".to_string()];
        let plain = [
            r#"{"a":1,"b":"x"}"#,
            " { \"b\" : -0.50 ,\t\"z\": null,\r\n\"A\" : true }\n",
            r#"{"a":"é","a":false}"#,
            r#"{"a":"","b":0}"#,
            r#"{"b":[1,{"k":"}"}],"a":1e5}"#,
            r#"{"a\u0062":1,"b":"\n"}"#,
            "{}",
        ];
        for text in plain {
            let members = Members::read(text, &names, true).unwrap();
            let tree: serde_json::Value = serde_json::from_str(text).unwrap();
            for (name, found) in names.iter().zip(&members.found) {
                let found = found.map(|raw| serde_json::from_str::<serde_json::Value>(raw).unwrap());
                assert_eq!(found.as_ref(), tree.get(name), "{name} of {text}");
            }
        }
        let wrong = [
            r#"{"a":01}"#,
            r#"{"a":1.}"#,
            r#"{"a":-}"#,
            r#"{"a":1.5.5}"#,
            r#"{"a":1x}"#,
            r#"{"a":1,}"#,
            r#"{"a":1 "b":2}"#,
            r#"{"a"1}"#,
            r#"{a:1}"#,
            r#"{"a":truex}"#,
            r#"{"a":1}}"#,
            "{\"a\":\"\u{1}\"}",
            r#"{"a":1"#,
            r#"{"a"#,
            "",
        ];
        for text in wrong {
            assert!(Members::read(text, &names, true).is_err(), "{text}");
        }
    }

    #[test]
    fn values_end_where_their_brackets_do() {
        let cases = [
            (r#"{"a": "}\"{"} x"#, Some(13)),
            ("[1, [2]]{}", Some(8)),
            ("{\"a\": {", None),
            ("{\"a", None),
            ("}", Some(1)),
        ];
        for (text, expected) in cases {
            assert_eq!(value_bytes(text.as_bytes()), expected, "{text}");
        }
    }
}
