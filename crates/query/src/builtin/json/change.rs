//! Functions that make another JSON value of one: behind `||`, `-` and `#-`, and `jsonb_set` and its kin.

use super::value::{Json, at, normal, quoted, whole, without_nulls};
use super::{each, list_of, row_error};
use crate::builtin::scalar::{Call, Scalar};
use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::error::Result;
use serde_json::value::RawValue;
use std::sync::Arc;
use tidegate_core::Kind;

/// All of them.
pub fn functions() -> Vec<Scalar> {
    let text = |_: &[DataType]| DataType::Utf8;
    vec![
        Scalar::new("jsonb_concat", 2..=2, text, |call| both(call, concat)).of_type("jsonb"),
        Scalar::new("jsonb_delete", 2..=2, text, delete).of_type("jsonb"),
        Scalar::new("jsonb_delete_path", 2..=2, text, delete_path).of_type("jsonb"),
        Scalar::new("jsonb_set", 3..=4, text, set).of_type("jsonb"),
        Scalar::new("jsonb_insert", 3..=4, text, insert).of_type("jsonb"),
        Scalar::new("json_strip_nulls", 1..=1, text, |call| each(call, |text| stripped(text, (",", ":")).map(Some)))
            .of_type("json"),
        Scalar::new("jsonb_strip_nulls", 1..=1, text, |call| each(call, |text| stripped(text, (", ", ": ")).map(Some)))
            .of_type("jsonb"),
    ]
}

fn stripped(text: &str, separators: (&str, &str)) -> Result<String> {
    let mut out = String::new();
    without_nulls(&Json::read(text)?, &mut out, separators)?;
    Ok(out)
}

fn both(call: &Call, make: fn(&str, &str) -> Result<String>) -> Result<ArrayRef> {
    let (left, right) = (call.texts(0)?, call.texts(1)?);
    let row = |(left, right): (Option<&str>, Option<&str>)| match (left, right) {
        (Some(left), Some(right)) => make(left, right).map(Some),
        _ => Ok(None),
    };
    Ok(Arc::new(left.iter().zip(right.iter()).map(row).collect::<Result<StringArray>>()?))
}

fn array<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(", "))
}

fn object<'a>(members: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let member = |(name, value): (&str, &str)| format!("{}: {value}", quoted(name));
    format!("{{{}}}", members.into_iter().map(member).collect::<Vec<_>>().join(", "))
}

/// Objects become one, in which those on the right win; everything else an array of both's items.
fn concat(left: &str, right: &str) -> Result<String> {
    let (left_value, right_value) = (Json::read(left)?, Json::read(right)?);
    if let (Json::Object(first), Json::Object(second)) = (&left_value, &right_value) {
        let members = first.iter().chain(second).map(|(name, value)| (name.as_ref(), value.get()));
        return normal(&object(members));
    }
    let items = |value: &Json<'_>, text: &str| match value {
        Json::Array(items) => items.iter().map(|item| item.get().to_string()).collect(),
        _ => vec![text.to_string()],
    };
    let all = [items(&left_value, left), items(&right_value, right)].concat();
    normal(&array(all.iter().map(String::as_str)))
}

/// `-`: a key or a string, one of several, or the item at a place.
fn delete(call: &Call) -> Result<ArrayRef> {
    let documents = call.texts(0)?;
    let what = call.array(1)?;
    if what.data_type().is_integer() {
        let places = call.integers(1)?;
        let row = |(document, place): (Option<&str>, Option<i64>)| match (document, place) {
            (Some(document), Some(place)) => without_place(document, place).map(Some),
            _ => Ok(None),
        };
        return Ok(Arc::new(documents.iter().zip(places.iter()).map(row).collect::<Result<StringArray>>()?));
    }
    let keys = match what.data_type().is_string() {
        true => {
            let texts = cast(what, &DataType::Utf8)?;
            let one = |text: Option<&str>| text.map(|text| vec![Some(text.to_string())]);
            texts.as_string::<i32>().iter().map(one).collect()
        }
        false => list_of(what)?,
    };
    let row = |(document, keys): (Option<&str>, Option<super::Texts>)| match (document, keys) {
        (Some(document), Some(keys)) => without_keys(document, &keys).map(Some),
        _ => Ok(None),
    };
    Ok(Arc::new(documents.iter().zip(keys).map(row).collect::<Result<StringArray>>()?))
}

fn scalar_error(what: &str) -> datafusion::error::DataFusionError {
    row_error(Kind::InvalidParameter, what)
}

fn without_keys(document: &str, keys: &[Option<String>]) -> Result<String> {
    let is_one = |name: &str| keys.iter().flatten().any(|key| key == name);
    match Json::read(document)? {
        Json::Object(members) => {
            let kept = members.iter().filter(|(name, _)| !is_one(name));
            Ok(object(kept.map(|(name, value)| (name.as_ref(), value.get()))))
        }
        Json::Array(items) => {
            let mut kept = Vec::new();
            for item in items {
                if !matches!(Json::of(item)?, Json::String(text) if is_one(&text)) {
                    kept.push(item.get());
                }
            }
            Ok(array(kept))
        }
        _ => Err(scalar_error("cannot delete from scalar")),
    }
}

fn without_place(document: &str, place: i64) -> Result<String> {
    match Json::read(document)? {
        Json::Array(items) => {
            let gone = at(place, items.len());
            let kept = items.iter().enumerate().filter(|(nth, _)| Some(*nth) != gone);
            Ok(array(kept.map(|(_, item)| item.get())))
        }
        Json::Object(_) => Err(scalar_error("cannot delete from object using integer index")),
        _ => Err(scalar_error("cannot delete from scalar")),
    }
}

/// What is done where a path ends.
#[derive(Clone, Copy)]
enum Edit<'e> {
    /// The value goes.
    Remove,
    /// It becomes another one; one that is not there is made, if so.
    Set(&'e str, bool),
    /// Another one comes before it, or after it.
    Insert(&'e str, bool),
}

/// Changes the value that a path leads to. What is not there stays so, but for the path's end.
fn edited(raw: &RawValue, path: &[Option<String>], edit: Edit<'_>, depth: usize) -> Result<String> {
    let Some((word, rest)) = path.split_first() else { return Ok(raw.get().to_string()) };
    let Some(word) = word else {
        return Err(row_error(Kind::NullNotAllowed, &format!("path element at position {} is null", depth + 1)));
    };
    match Json::of(raw)? {
        Json::Object(members) => {
            let mut made: Vec<(String, String)> =
                members.iter().map(|(name, value)| (name.to_string(), value.get().to_string())).collect();
            let place = made.iter().position(|(name, _)| name == word);
            match (place, rest.is_empty(), edit) {
                (Some(place), false, _) => {
                    if let (Some((_, value)), Some((_, slot))) = (members.get(place), made.get_mut(place)) {
                        *slot = edited(value, rest, edit, depth + 1)?;
                    }
                }
                (Some(place), true, Edit::Remove) => drop(made.remove(place)),
                (Some(place), true, Edit::Set(value, _)) => {
                    if let Some((_, slot)) = made.get_mut(place) {
                        *slot = value.to_string();
                    }
                }
                (Some(_), true, Edit::Insert(..)) => {
                    return Err(scalar_error("cannot replace existing key"));
                }
                (None, true, Edit::Set(value, true) | Edit::Insert(value, _)) => {
                    made.push((word.clone(), value.to_string()));
                }
                (None, ..) => {}
            }
            normal(&object(made.iter().map(|(name, value)| (name.as_str(), value.as_str()))))
        }
        Json::Array(items) => {
            let number = word.trim().parse::<i64>().map_err(|_| {
                let message = format!("path element at position {} is not an integer: \"{word}\"", depth + 1);
                row_error(Kind::InvalidText, &message)
            })?;
            let mut made: Vec<String> = items.iter().map(|item| item.get().to_string()).collect();
            match (at(number, items.len()), rest.is_empty(), edit) {
                (Some(place), false, _) => {
                    if let (Some(item), Some(slot)) = (items.get(place), made.get_mut(place)) {
                        *slot = edited(item, rest, edit, depth + 1)?;
                    }
                }
                (Some(place), true, Edit::Remove) => drop(made.remove(place)),
                (Some(place), true, Edit::Set(value, _)) => {
                    if let Some(slot) = made.get_mut(place) {
                        *slot = value.to_string();
                    }
                }
                (Some(place), true, Edit::Insert(value, after)) => {
                    made.insert(if after { place + 1 } else { place }, value.to_string());
                }
                (None, true, Edit::Set(value, true) | Edit::Insert(value, _)) => match number < 0 {
                    true => made.insert(0, value.to_string()),
                    false => made.push(value.to_string()),
                },
                (None, ..) => {}
            }
            Ok(array(made.iter().map(String::as_str)))
        }
        _ => Ok(raw.get().to_string()),
    }
}

/// A document that paths lead into. 22023 for one that is neither an array nor an object.
fn tree<'t>(document: &'t str, doing: &str) -> Result<&'t RawValue> {
    let raw = whole(document)?;
    match Json::of(raw)?.is_scalar() {
        true => Err(scalar_error(doing)),
        false => Ok(raw),
    }
}

fn delete_path(call: &Call) -> Result<ArrayRef> {
    let (documents, paths) = (call.texts(0)?, list_of(call.array(1)?)?);
    let row = |(document, path): (Option<&str>, Option<super::Texts>)| {
        let (Some(document), Some(path)) = (document, path) else { return Ok(None) };
        edited(tree(document, "cannot delete path in scalar")?, &path, Edit::Remove, 0).map(Some)
    };
    Ok(Arc::new(documents.iter().zip(paths).map(row).collect::<Result<StringArray>>()?))
}

fn set(call: &Call) -> Result<ArrayRef> {
    edit_each(call, true, "cannot set path in scalar", |value, on| Edit::Set(value, on))
}

fn insert(call: &Call) -> Result<ArrayRef> {
    edit_each(call, false, "cannot set path in scalar", |value, on| Edit::Insert(value, on))
}

/// A document, and a path in it.
type Located<'d> = (Option<&'d str>, Option<super::Texts>);

/// A document, a path, a value, and a switch with its default.
fn edit_each(
    call: &Call,
    switch: bool,
    doing: &str,
    edit: impl for<'e> Fn(&'e str, bool) -> Edit<'e>,
) -> Result<ArrayRef> {
    let (documents, paths, values) = (call.texts(0)?, list_of(call.array(1)?)?, call.texts(2)?);
    let switches = match call.arrays.get(3) {
        Some(given) => Some(cast(given, &DataType::Boolean)?),
        None => None,
    };
    let switched = |row: usize| match &switches {
        Some(given) => given.is_valid(row).then(|| given.as_boolean().value(row)),
        None => Some(switch),
    };
    let row = |(row, ((document, path), value)): (usize, (Located<'_>, Option<&str>))| {
        let (Some(document), Some(path), Some(value), Some(on)) = (document, path, value, switched(row)) else {
            return Ok(None);
        };
        edited(tree(document, doing)?, &path, edit(&normal(value)?, on), 0).map(Some)
    };
    let rows = documents.iter().zip(paths).zip(values.iter()).enumerate().map(row);
    Ok(Arc::new(rows.collect::<Result<StringArray>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(words: &str) -> Vec<Option<String>> {
        words.split_whitespace().map(|word| Some(word.to_string())).collect()
    }

    #[test]
    fn paths_are_edited() {
        let cases = [
            (r#"{"a": [1, 2]}"#, "a 0", Edit::Remove, r#"{"a": [2]}"#),
            (r#"{"a": 1}"#, "b", Edit::Set("2", true), r#"{"a": 1, "b": 2}"#),
            (r#"{"a": 1}"#, "b", Edit::Set("2", false), r#"{"a": 1}"#),
            (r#"{"a": 1}"#, "b c", Edit::Set("2", true), r#"{"a": 1}"#),
            ("[1, 2]", "-1", Edit::Set("3", true), "[1, 3]"),
            ("[1, 2]", "9", Edit::Set("3", true), "[1, 2, 3]"),
            ("[1, 2]", "-9", Edit::Set("3", true), "[3, 1, 2]"),
            ("[1, 2]", "1", Edit::Insert("3", false), "[1, 3, 2]"),
            ("[1, 2]", "1", Edit::Insert("3", true), "[1, 2, 3]"),
        ];
        for (document, words, edit, expected) in cases {
            let raw = tree(document, "").unwrap();
            assert_eq!(edited(raw, &path(words), edit, 0).unwrap(), expected, "{document} {words}");
        }
        let raw = tree(r#"{"a": 1}"#, "").unwrap();
        assert!(edited(raw, &path("a"), Edit::Insert("2", false), 0).is_err());
    }

    #[test]
    fn values_are_joined() {
        let cases = [
            (r#"{"a": 1, "b": 2}"#, r#"{"b": 3}"#, r#"{"a": 1, "b": 3}"#),
            ("[1]", "[2]", "[1, 2]"),
            ("[1]", r#"{"a": 1}"#, r#"[1, {"a": 1}]"#),
            ("1", "2", "[1, 2]"),
        ];
        for (left, right, expected) in cases {
            assert_eq!(concat(left, right).unwrap(), expected);
        }
    }
}
