//! JSONPaths files of COPY, and where their paths lead in a JSON value that is kept as text.

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::fmt;
use tidegate_core::{Error, Kind, Result};

/// One step down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Step {
    Member(String),
    Item(usize),
}

/// `$.a.b`, `$['a'][0]`: no wildcards, no filters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JsonPath {
    steps: Vec<Step>,
}

/// The paths of a JSONPaths file; None where its one member has another name: then the file says nothing. 22P04 for
/// what is no such file.
pub fn json_paths(name: &str, text: &[u8]) -> Result<Option<Vec<JsonPath>>> {
    let bad = |why: &dyn fmt::Display| {
        Error::new(Kind::BadCopyFormat, format!("JSONPaths file {name} is malformed: {why}"))
            .hint("It is {\"jsonpaths\": [\"$.a\", \"$['b'][0]\", …]}, one path for each column.")
    };
    let file: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(text).map_err(|error| bad(&error))?;
    let Some(paths) = file.get("jsonpaths") else { return Ok(None) };
    let paths: Vec<&str> = match paths.as_array() {
        Some(list) => {
            list.iter().map(|path| path.as_str().ok_or_else(|| bad(&"a path is a text"))).collect::<Result<_>>()?
        }
        None => return Err(bad(&"\"jsonpaths\" is an array")),
    };
    paths.into_iter().map(|path| JsonPath::parse(path).ok_or_else(|| invalid(path))).collect::<Result<_>>().map(Some)
}

fn invalid(path: &str) -> Error {
    Error::new(Kind::BadCopyFormat, format!("Invalid JSONPath format: {path}"))
        .hint("A path is $.a.b or $['a']['b'][0]: dots or brackets, not both, and no wildcards.")
}

impl JsonPath {
    fn parse(text: &str) -> Option<JsonPath> {
        let rest = text.strip_prefix('$')?;
        let dotted = rest.starts_with('.');
        let (mut steps, mut rest) = (Vec::new(), rest);
        while !rest.is_empty() {
            let step;
            (step, rest) = match rest.strip_prefix('.').filter(|_| dotted) {
                Some(name) => {
                    let end = name.find(['.', '[']).unwrap_or(name.len());
                    let (name, rest) = name.split_at_checked(end)?;
                    (Step::Member(Some(name.to_string()).filter(|name| !name.is_empty() && name != "*")?), rest)
                }
                None => bracket(rest, dotted)?,
            };
            steps.push(step);
        }
        Some(JsonPath { steps })
    }

    /// The member of the whole value that it begins with.
    pub(super) fn first_member(&self) -> Option<&str> {
        match self.steps.first() {
            Some(Step::Member(name)) => Some(name),
            _ => None,
        }
    }

    /// Where it leads from a value, after so many steps. None: there is no such member, which is NULL; an error: no such
    /// item, which is not.
    pub(super) fn follow<'j>(&self, from: &'j str, skip: usize) -> Result<Option<&'j str>, String> {
        let mut at = from;
        for step in self.steps.get(skip..).unwrap_or_default() {
            let mut json = serde_json::Deserializer::from_str(at);
            let found = match (step, at.as_bytes().first()) {
                (Step::Member(_), Some(b'{')) | (Step::Item(_), Some(b'[')) => Down(step).deserialize(&mut json),
                (Step::Member(_), _) => return Ok(None),
                (Step::Item(_), _) => Ok(None),
            };
            at = match (found.map_err(|error| error.to_string())?, step) {
                (Some(next), _) => next.get(),
                (None, Step::Member(_)) => return Ok(None),
                (None, Step::Item(item)) => return Err(format!("array index {item} is out of range")),
            };
        }
        Ok(Some(at))
    }
}

/// `['a']`, `["a"]` or `[0]`, and what follows. Names stand in dotted paths without brackets.
fn bracket(text: &str, dotted: bool) -> Option<(Step, &str)> {
    let inside = text.strip_prefix('[')?;
    let quote = inside.chars().next()?;
    if !matches!(quote, '\'' | '"') {
        let (digits, rest) = inside.split_once(']')?;
        return Some((Step::Item(digits.trim().parse().ok()?), rest));
    }
    let name = inside.get(1..).filter(|_| !dotted)?;
    let (name, rest) = name.split_once(quote)?;
    Some((Step::Member(name.to_string()), rest.strip_prefix(']')?))
}

/// One step down in JSON text, without a tree.
struct Down<'s>(&'s Step);

impl<'j> DeserializeSeed<'j> for Down<'_> {
    type Value = Option<&'j RawValue>;

    fn deserialize<D: Deserializer<'j>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        match self.0 {
            Step::Member(_) => deserializer.deserialize_map(self),
            Step::Item(_) => deserializer.deserialize_seq(self),
        }
    }
}

impl<'j> Visitor<'j> for Down<'_> {
    type Value = Option<&'j RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object or array")
    }

    fn visit_map<A: MapAccess<'j>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some((key, value)) = map.next_entry::<String, &'j RawValue>()? {
            if *self.0 == Step::Member(key) {
                found = Some(value);
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'j>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let (mut found, mut at) = (None, 0);
        while let Some(value) = items.next_element::<&'j RawValue>()? {
            if *self.0 == Step::Item(at) {
                found = Some(value);
            }
            at += 1;
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_somewhere() {
        let json = r#"{"a": {"b": [1, {"c": "x"}]}, "d e": 5}"#;
        let cases = [
            ("$.a.b[1].c", Ok(Some("\"x\""))),
            ("$['a']['b'][0]", Ok(Some("1"))),
            ("$[\"d e\"]", Ok(Some("5"))),
            ("$", Ok(Some(json))),
            ("$.z.y", Ok(None)),
            ("$.a.b.c", Ok(None)),
            ("$.a.b[7]", Err(())),
        ];
        for (path, expected) in cases {
            let path = JsonPath::parse(path).unwrap();
            assert_eq!(path.follow(json, 0).map_err(drop), expected, "{path:?}");
        }
        for path in ["a", "$.", "$.*", "$.a['b']", "$['a", "$[x]", "$..a"] {
            assert_eq!(JsonPath::parse(path), None, "{path}");
        }
    }

    #[test]
    fn files_are_read() {
        let paths = json_paths("f", br#"{"jsonpaths": ["$.a", "$[0]"]}"#).unwrap();
        assert_eq!(paths.map(|paths| paths.len()), Some(2));
        assert_eq!(json_paths("f", br#"{"JSONPaths": ["$.a"]}"#).unwrap(), None);
        for text in ["[]", "{\"jsonpaths\": 1}", "{\"jsonpaths\": [1]}", "{\"jsonpaths\": [\"a\"]}"] {
            assert_eq!(json_paths("f", text.as_bytes()).unwrap_err().kind(), Kind::BadCopyFormat, "{text}");
        }
    }
}
