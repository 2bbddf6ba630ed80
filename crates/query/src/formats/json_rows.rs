//! One JSON object, read without building a tree: each member goes to the column of its name as raw JSON text.

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Column names, and for each the raw JSON of the object's member: `found[i]` belongs to `names[i]`.
pub(super) struct Members<'n, 'j> {
    /// Names of the columns.
    pub names: &'n [String],
    /// Raw JSON by column; `None`: the object has no such member.
    pub found: Vec<Option<&'j RawValue>>,
}

impl<'n, 'j> Members<'n, 'j> {
    /// Reads one object; `exact` tells that letter case counts.
    pub(super) fn read(line: &'j str, names: &'n [String], exact: bool) -> serde_json::Result<Self> {
        let mut members = Members { names, found: vec![None; names.len()] };
        let mut json = serde_json::Deserializer::from_str(line);
        json.deserialize_map(Object(&mut members, exact))?;
        json.end()?;
        Ok(members)
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
                    *slot = Some(value);
                }
            }
        }
        Ok(())
    }
}

/// Finds the column of a key, the one after the last first: members mostly come in the columns' order.
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
        let is = |name: &String| name == key || (!self.exact && name.eq_ignore_ascii_case(key));
        if self.names.get(self.hint).is_some_and(is) {
            return Ok(Some(self.hint));
        }
        Ok(self.names.iter().position(is))
    }
}

/// The text that a raw JSON value means to a column: a string without quotes, the rest as written; `None` is NULL.
pub(super) fn scalar_text(raw: &str) -> serde_json::Result<Option<Cow<'_, str>>> {
    match raw.as_bytes().first() {
        Some(b'"') => {
            let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
            if inner.contains('\\') {
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
        let texts: Vec<_> =
            members.found.iter().map(|raw| raw.and_then(|raw| scalar_text(raw.get()).unwrap())).collect();
        assert_eq!(texts, [Some(r#"{"k": [1]}"#.into()), Some("x\ny".into()), None]);
        assert!(Members::read("[1]", &names, false).is_err());
        assert!(Members::read(r#"{"a":1} x"#, &names, false).is_err());
        assert_eq!(keys(r#"{"z":1,"a":{"q":2}}"#).unwrap(), ["z", "a"]);
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
