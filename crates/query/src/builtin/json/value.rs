//! A JSON value, one level at a time: what lies inside stays the text that it is, so that `json` keeps what was written.

use crate::fault::carried;
use datafusion::error::{DataFusionError, Result};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use tidegate_core::{Error, Kind};

/// Digits that a number of `jsonb` may have before its point, and behind it: more than any `numeric` here has.
const NUMBER_DIGITS_MAX: i64 = 1000;

/// Levels of arrays and objects in one another.
const DEPTH_MAX: usize = 500;

/// A value whose parts are still texts.
#[derive(Debug)]
pub enum Json<'t> {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// As it is written.
    Number(&'t str),
    /// Without quotes and escapes.
    String(Cow<'t, str>),
    /// Its items.
    Array(Vec<&'t RawValue>),
    /// Its members, in their order.
    Object(Vec<(Cow<'t, str>, &'t RawValue)>),
}

/// 22P02 in Postgres' words.
fn invalid(error: &serde_json::Error) -> DataFusionError {
    carried(Error::new(Kind::InvalidText, "invalid input syntax for type json").detail(error.to_string()))
}

/// A text as one value. 22P02; 54001 for what is nested so deeply that walking through it would take the whole stack.
pub fn whole(text: &str) -> Result<&RawValue> {
    if depth(text) > DEPTH_MAX {
        let message = format!("the JSON value is nested more than {DEPTH_MAX} levels deep");
        return Err(carried(Error::new(Kind::ProgramLimit, message)));
    }
    serde_json::from_str(text).map_err(|error| invalid(&error))
}

/// How deep the brackets of a text are nested.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Members of an object, which may have a name twice.
struct Members<'t>(Vec<(Cow<'t, str>, &'t RawValue)>);

impl<'t> serde::Deserialize<'t> for Members<'t> {
    fn deserialize<D: serde::Deserializer<'t>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Visitor;
        impl<'t> serde::de::Visitor<'t> for Visitor {
            type Value = Members<'t>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'t>>(self, mut map: A) -> std::result::Result<Members<'t>, A::Error> {
                let mut members = Vec::new();
                while let Some(Key(key)) = map.next_key::<Key<'t>>()? {
                    members.push((key, map.next_value::<&'t RawValue>()?));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// A name that is borrowed where it has no escapes.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Key<'t>(#[serde(borrow)] Cow<'t, str>);

impl<'t> Json<'t> {
    /// Reads a text. 22P02.
    pub fn read(text: &'t str) -> Result<Json<'t>> {
        Json::of(whole(text)?)
    }

    /// Reads what a value holds.
    pub fn of(raw: &'t RawValue) -> Result<Json<'t>> {
        let text = raw.get();
        let read = |error| invalid(&error);
        Ok(match text.as_bytes().first() {
            Some(b'{') => Json::Object(serde_json::from_str::<Members<'t>>(text).map_err(read)?.0),
            Some(b'[') => Json::Array(serde_json::from_str(text).map_err(read)?),
            Some(b'"') => Json::String(serde_json::from_str::<Key<'t>>(text).map_err(read)?.0),
            Some(b't') => Json::Bool(true),
            Some(b'f') => Json::Bool(false),
            Some(b'n') => Json::Null,
            _ => Json::Number(text),
        })
    }

    /// The member of a name: the last, where there are several.
    pub fn member(&self, name: &str) -> Option<&'t RawValue> {
        match self {
            Json::Object(members) => members.iter().rev().find(|(key, _)| key == name).map(|(_, value)| *value),
            _ => None,
        }
    }

    /// The item at a place; negative ones count from the end.
    pub fn item(&self, place: i64) -> Option<&'t RawValue> {
        match self {
            Json::Array(items) => items.get(at(place, items.len())?).copied(),
            _ => None,
        }
    }

    /// What a step of a path leads to: a name in an object, a place in an array.
    pub fn step(&self, word: &str) -> Option<&'t RawValue> {
        match self {
            Json::Object(_) => self.member(word),
            _ => self.item(word.trim().parse().ok()?),
        }
    }

    /// Its name as `json_typeof` gives it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool(_) => "boolean",
            Json::Number(_) => "number",
            Json::String(_) => "string",
            Json::Array(_) => "array",
            Json::Object(_) => "object",
        }
    }

    /// Whether it is neither an array nor an object.
    pub fn is_scalar(&self) -> bool {
        !matches!(self, Json::Array(_) | Json::Object(_))
    }
}

/// The index of a place, which may count from the end.
pub fn at(place: i64, length: usize) -> Option<usize> {
    let length = i64::try_from(length).ok()?;
    let place = if place < 0 { place + length } else { place };
    usize::try_from(place).ok().filter(|place| (*place as i64) < length)
}

/// A value as `->>` gives it: of a string its inside, of null nothing.
pub fn text_of(raw: &RawValue) -> Result<Option<String>> {
    Ok(match Json::of(raw)? {
        Json::Null => None,
        Json::String(text) => Some(text.into_owned()),
        _ => Some(raw.get().to_string()),
    })
}

/// A string with quotes and escapes.
pub fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// The one text that a value has as `jsonb`: members by the lengths of their names and then by bytes, as Postgres keeps
/// them, the last of each name; a blank behind `:` and `,`; numbers without exponents.
pub fn normal(text: &str) -> Result<String> {
    let mut out = String::with_capacity(text.len());
    put_normal(&Json::read(text)?, &mut out)?;
    Ok(out)
}

fn put_normal(value: &Json<'_>, out: &mut String) -> Result<()> {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Json::Number(text) => out.push_str(&number(text)?),
        Json::String(text) => {
            if text.contains('\0') {
                let message = "unsupported Unicode escape sequence";
                return Err(carried(
                    Error::new(Kind::UntranslatableCharacter, message).detail("\\u0000 cannot be converted to text."),
                ));
            }
            out.push_str(&quoted(text));
        }
        Json::Array(items) => {
            out.push('[');
            for (nth, item) in items.iter().enumerate() {
                out.push_str(if nth == 0 { "" } else { ", " });
                put_normal(&Json::of(item)?, out)?;
            }
            out.push(']');
        }
        Json::Object(members) => {
            out.push('{');
            for (nth, (name, value)) in sorted(members).into_iter().enumerate() {
                out.push_str(if nth == 0 { "" } else { ", " });
                out.push_str(&quoted(name));
                out.push_str(": ");
                put_normal(&Json::of(value)?, out)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

/// Members as `jsonb` keeps them.
fn sorted<'m, 't>(members: &'m [(Cow<'t, str>, &'t RawValue)]) -> Vec<(&'m str, &'t RawValue)> {
    let mut sorted: Vec<(&str, &RawValue)> = Vec::with_capacity(members.len());
    let mut by_name: Vec<_> = members.iter().map(|(name, value)| (name.as_ref(), *value)).collect();
    by_name.sort_by_key(|(name, _)| (name.len(), name.as_bytes()));
    for (name, value) in by_name {
        match sorted.last_mut() {
            Some((last, kept)) if *last == name => *kept = value,
            _ => sorted.push((name, value)),
        }
    }
    sorted
}

/// A number as `numeric` shows it: without an exponent, and with the digits that it was written with.
fn number(text: &str) -> Result<Cow<'_, str>> {
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else {
        return Ok(if text.trim_start_matches('-').trim_matches(['0', '.']).is_empty() {
            Cow::Borrowed(text.trim_start_matches('-'))
        } else {
            Cow::Borrowed(text)
        });
    };
    let too_large = || carried(Error::new(Kind::OutOfRange, format!("value overflows numeric format: {text}")));
    let exponent: i64 = exponent.parse().map_err(|_| too_large())?;
    let (sign, digits) = mantissa.strip_prefix('-').map_or(("", mantissa), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let point = whole.len() as i64 + exponent;
    if point.abs() > NUMBER_DIGITS_MAX {
        return Err(too_large());
    }
    let all = format!("{whole}{fraction}");
    let written = if point <= 0 {
        format!("0.{}{all}", "0".repeat(usize::try_from(-point).unwrap_or(0)))
    } else {
        let point = usize::try_from(point).unwrap_or(0);
        match all.get(point..).filter(|rest| !rest.is_empty()) {
            Some(rest) => format!("{}.{rest}", all.get(..point).unwrap_or_default()),
            None => format!("{all:0<point$}"),
        }
    };
    let (whole, fraction) =
        written.split_once('.').map_or((written.as_str(), None), |(whole, rest)| (whole, Some(rest)));
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    Ok(Cow::Owned(match fraction {
        Some(fraction) => format!("{sign}{whole}.{fraction}"),
        None => format!("{sign}{whole}"),
    }))
}

/// With line ends and four blanks a level, as `jsonb_pretty` writes it.
pub fn pretty(text: &str) -> Result<String> {
    fn put(value: &Json<'_>, level: usize, out: &mut String) -> Result<()> {
        let pad = |level: usize| " ".repeat(level * 4);
        match value {
            Json::Array(items) => {
                out.push_str("[\n");
                for (nth, item) in items.iter().enumerate() {
                    out.push_str(if nth == 0 { "" } else { ",\n" });
                    out.push_str(&pad(level + 1));
                    put(&Json::of(item)?, level + 1, out)?;
                }
                out.push_str(&format!("\n{}]", pad(level)));
            }
            Json::Object(members) => {
                out.push_str("{\n");
                for (nth, (name, value)) in sorted(members).into_iter().enumerate() {
                    out.push_str(if nth == 0 { "" } else { ",\n" });
                    out.push_str(&format!("{}{}: ", pad(level + 1), quoted(name)));
                    put(&Json::of(value)?, level + 1, out)?;
                }
                out.push_str(&format!("\n{}}}", pad(level)));
            }
            other => put_normal(other, out)?,
        }
        Ok(())
    }
    let mut out = String::new();
    put(&Json::read(text)?, 0, &mut out)?;
    Ok(out)
}

/// Whether one value holds another, as `@>` has it: members by their names, items in any order; an array holds a value
/// that is none, at its top.
pub fn contains(outer: &Json<'_>, inner: &Json<'_>) -> Result<bool> {
    fn deep(outer: &Json<'_>, inner: &Json<'_>) -> Result<bool> {
        Ok(match (outer, inner) {
            (Json::Object(_), Json::Object(members)) => {
                for (name, value) in members {
                    let Some(found) = outer.member(name) else { return Ok(false) };
                    if !deep(&Json::of(found)?, &Json::of(value)?)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Json::Array(items), Json::Array(wanted)) => {
                for value in wanted {
                    let wanted = Json::of(value)?;
                    let mut any = false;
                    for item in items {
                        any = any || deep(&Json::of(item)?, &wanted)?;
                    }
                    if !any {
                        return Ok(false);
                    }
                }
                true
            }
            (Json::Number(a), Json::Number(b)) => same_number(a, b)?,
            (Json::String(a), Json::String(b)) => a == b,
            (Json::Bool(a), Json::Bool(b)) => a == b,
            (Json::Null, Json::Null) => true,
            _ => false,
        })
    }
    if let (Json::Array(items), true) = (outer, inner.is_scalar()) {
        for item in items {
            if deep(&Json::of(item)?, inner)? {
                return Ok(true);
            }
        }
        return Ok(false);
    }
    deep(outer, inner)
}

/// Numbers are the same if they differ in zeros at their end only.
fn same_number(a: &str, b: &str) -> Result<bool> {
    let bare = |text: &str| -> Result<String> {
        let text = number(text)?;
        Ok(match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.').to_string(),
            false => text.into_owned(),
        })
    };
    Ok(bare(a)? == bare(b)?)
}

/// Without the members that are null, at any depth.
pub fn without_nulls(value: &Json<'_>, out: &mut String, separators: (&str, &str)) -> Result<()> {
    let (comma, colon) = separators;
    match value {
        Json::Array(items) => {
            out.push('[');
            for (nth, item) in items.iter().enumerate() {
                out.push_str(if nth == 0 { "" } else { comma });
                without_nulls(&Json::of(item)?, out, separators)?;
            }
            out.push(']');
        }
        Json::Object(members) => {
            out.push('{');
            let mut first = true;
            for (name, member) in members {
                let member = Json::of(member)?;
                if matches!(member, Json::Null) {
                    continue;
                }
                out.push_str(if first { "" } else { comma });
                first = false;
                out.push_str(&quoted(name));
                out.push_str(colon);
                without_nulls(&member, out, separators)?;
            }
            out.push('}');
        }
        Json::String(text) => out.push_str(&quoted(text)),
        Json::Number(text) => out.push_str(text),
        Json::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Json::Null => out.push_str("null"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jsonb_has_one_text() {
        let cases = [
            (r#"{"bb":[1, 2],"a":{"c":null}, "é":"x"}"#, r#"{"a": {"c": null}, "bb": [1, 2], "é": "x"}"#),
            (r#"{"a":1,"a":2}"#, r#"{"a": 2}"#),
            ("1e2", "100"),
            ("1.50", "1.50"),
            ("-0", "0"),
            ("1.5e-3", "0.0015"),
            ("12.34e1", "123.4"),
            ("-1E1", "-10"),
            (" [ ] ", "[]"),
        ];
        for (text, expected) in cases {
            assert_eq!(normal(text).unwrap(), expected, "{text}");
        }
        for wrong in ["", "{", "[1,]", "nul", "1 2", "'a'", "1e999999"] {
            assert!(normal(wrong).is_err(), "{wrong}");
        }
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(normal(&nested(DEPTH_MAX)).unwrap(), nested(DEPTH_MAX));
        assert!(normal(&nested(DEPTH_MAX + 1)).is_err());
        assert_eq!(depth(r#"["[[\"[", {"a": []}]"#), 3);
    }

    #[test]
    fn what_holds_what() {
        let cases = [
            (r#"{"a": 1, "b": [1, 2]}"#, r#"{"b": [2]}"#, true),
            (r#"{"a": 1}"#, r#"{"a": 2}"#, false),
            ("[1, [2]]", "[[2]]", true),
            ("[1, 2]", "2", true),
            ("2", "[2]", false),
            ("[[1]]", "1", false),
            ("1.0", "1", true),
            (r#"["a"]"#, r#""a""#, true),
        ];
        for (outer, inner, expected) in cases {
            let found = contains(&Json::read(outer).unwrap(), &Json::read(inner).unwrap()).unwrap();
            assert_eq!(found, expected, "{outer} {inner}");
        }
    }

    #[test]
    fn pretty_is_wide() {
        let expected = "{\n    \"a\": [\n        1,\n        2\n    ],\n    \"b\": null\n}";
        assert_eq!(pretty(r#"{"b":null,"a":[1,2]}"#).unwrap(), expected);
    }
}
