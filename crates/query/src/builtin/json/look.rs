//! Functions that look into JSON: behind the operators `->`, `->>`, `#>`, `#>>`, `@>`, `?`, `?|`, `?&`.

use super::value::{Json, contains, normal, pretty, text_of, whole};
use super::{each, list_of, row_error};
use crate::builtin::scalar::{Call, Scalar};
use arrow::array::{Array, ArrayRef, BooleanArray, Int32Array, StringArray};
use arrow::datatypes::DataType;
use datafusion::error::Result;
use serde_json::value::RawValue;
use std::sync::Arc;
use tidegate_core::Kind;

/// All of them.
pub fn functions() -> Vec<Scalar> {
    let text = |_: &[DataType]| DataType::Utf8;
    let truth = |_: &[DataType]| DataType::Boolean;
    let number = |_: &[DataType]| DataType::Int32;
    vec![
        Scalar::new("json_in", 1..=1, text, json).of_type("json"),
        Scalar::new("jsonb_in", 1..=1, text, jsonb).of_type("jsonb"),
        Scalar::new("json_of", 1..=1, text, as_it_is).of_type("json"),
        Scalar::new("jsonb_of", 1..=1, text, as_it_is).of_type("jsonb"),
        Scalar::new("json_get", 2..=2, text, |call| part(call, false)).of_type("json"),
        Scalar::new("jsonb_get", 2..=2, text, |call| part(call, false)).of_type("jsonb"),
        Scalar::new("json_get_text", 2..=2, text, |call| part(call, true)),
        Scalar::new("json_get_path", 2..=2, text, |call| path(call, false)).of_type("json"),
        Scalar::new("jsonb_get_path", 2..=2, text, |call| path(call, false)).of_type("jsonb"),
        Scalar::new("json_get_path_text", 2..=2, text, |call| path(call, true)),
        Scalar::new("json_extract_path", 1..=ARGUMENTS_MAX, text, |call| path_of_all(call, false)).of_type("json"),
        Scalar::new("jsonb_extract_path", 1..=ARGUMENTS_MAX, text, |call| path_of_all(call, false)).of_type("jsonb"),
        Scalar::new("json_extract_path_text_pg", 1..=ARGUMENTS_MAX, text, |call| path_of_all(call, true)),
        Scalar::new("jsonb_extract_path_text", 1..=ARGUMENTS_MAX, text, |call| path_of_all(call, true)),
        Scalar::new("jsonb_typeof", 1..=1, text, type_of),
        Scalar::new("jsonb_array_length", 1..=1, number, length),
        Scalar::new("jsonb_pretty", 1..=1, text, |call| each(call, |text| pretty(text).map(Some))),
        Scalar::new("jsonb_contains", 2..=2, truth, |call| holds(call, false)),
        Scalar::new("jsonb_contained", 2..=2, truth, |call| holds(call, true)),
        Scalar::new("jsonb_exists", 2..=2, truth, exists),
        Scalar::new("jsonb_exists_any", 2..=2, truth, |call| exist(call, false)),
        Scalar::new("jsonb_exists_all", 2..=2, truth, |call| exist(call, true)),
    ]
}

/// Arguments of a path that is given word by word.
const ARGUMENTS_MAX: usize = 20;

/// `json` keeps its text.
fn json(call: &Call) -> Result<ArrayRef> {
    each(call, |text| Json::read(text).map(|_| Some(text.to_string())))
}

fn jsonb(call: &Call) -> Result<ArrayRef> {
    each(call, |text| normal(text).map(Some))
}

fn as_it_is(call: &Call) -> Result<ArrayRef> {
    Ok(Arc::new(call.texts(0)?))
}

/// A value as `->` gives it, or as the text that `->>` gives.
fn told(found: Option<&RawValue>, as_text: bool) -> Result<Option<String>> {
    match found {
        Some(raw) if as_text => text_of(raw),
        Some(raw) => Ok(Some(raw.get().to_string())),
        None => Ok(None),
    }
}

/// A key of an object, or a place in an array, by the type of what is behind the operator.
fn part(call: &Call, as_text: bool) -> Result<ArrayRef> {
    let (documents, keys) = (call.texts(0)?, call.texts(1)?);
    let by_place = call.array(1)?.data_type().is_integer();
    let row = |(document, key): (Option<&str>, Option<&str>)| {
        let (Some(document), Some(key)) = (document, key) else { return Ok(None) };
        let document = Json::read(document)?;
        let found = match by_place {
            true => key.parse().ok().and_then(|place| document.item(place)),
            false => document.member(key),
        };
        told(found, as_text)
    };
    Ok(Arc::new(documents.iter().zip(keys.iter()).map(row).collect::<Result<StringArray>>()?))
}

/// Where a path leads; the whole text where there is none.
fn follow(document: &str, path: &[Option<String>], as_text: bool) -> Result<Option<String>> {
    let mut found = whole(document)?;
    for word in path {
        let Some(word) = word else { return Ok(None) };
        match Json::of(found)?.step(word) {
            Some(next) => found = next,
            None => return Ok(None),
        }
    }
    told(Some(found), as_text)
}

/// A path of keys and places, as an array or as its text.
fn path(call: &Call, as_text: bool) -> Result<ArrayRef> {
    let (documents, paths) = (call.texts(0)?, list_of(call.array(1)?)?);
    let row = |(document, path): (Option<&str>, Option<Vec<Option<String>>>)| match (document, path) {
        (Some(document), Some(path)) => follow(document, &path, as_text),
        _ => Ok(None),
    };
    Ok(Arc::new(documents.iter().zip(paths).map(row).collect::<Result<StringArray>>()?))
}

fn path_of_all(call: &Call, as_text: bool) -> Result<ArrayRef> {
    let documents = call.texts(0)?;
    let words = (1..call.arrays.len()).map(|place| call.texts(place)).collect::<Result<Vec<_>>>()?;
    let row = |(row, document): (usize, Option<&str>)| {
        let word = |words: &StringArray| words.is_valid(row).then(|| words.value(row).to_string());
        let path: Vec<Option<String>> = words.iter().map(word).collect();
        match document {
            Some(document) if path.iter().all(Option::is_some) => follow(document, &path, as_text),
            _ => Ok(None),
        }
    };
    Ok(Arc::new(documents.iter().enumerate().map(row).collect::<Result<StringArray>>()?))
}

fn type_of(call: &Call) -> Result<ArrayRef> {
    each(call, |text| Ok(Some(Json::read(text)?.type_name().to_string())))
}

fn length(call: &Call) -> Result<ArrayRef> {
    let wrong = |what: &str| row_error(Kind::InvalidParameter, &format!("cannot get array length of {what}"));
    let row = |text: Option<&str>| {
        let Some(text) = text else { return Ok(None) };
        match Json::read(text)? {
            Json::Array(items) => Ok(i32::try_from(items.len()).ok()),
            Json::Object(_) => Err(wrong("a non-array")),
            _ => Err(wrong("a scalar")),
        }
    };
    Ok(Arc::new(call.texts(0)?.iter().map(row).collect::<Result<Int32Array>>()?))
}

fn holds(call: &Call, turned: bool) -> Result<ArrayRef> {
    let (left, right) = (call.texts(0)?, call.texts(1)?);
    let row = |(left, right): (Option<&str>, Option<&str>)| {
        let (Some(left), Some(right)) = (left, right) else { return Ok(None) };
        let (left, right) = (Json::read(left)?, Json::read(right)?);
        if turned { contains(&right, &left) } else { contains(&left, &right) }.map(Some)
    };
    Ok(Arc::new(left.iter().zip(right.iter()).map(row).collect::<Result<BooleanArray>>()?))
}

/// Whether a text is a key of an object, or a string in an array, or the string itself.
fn has(document: &Json<'_>, key: &str) -> Result<bool> {
    Ok(match document {
        Json::Object(_) => document.member(key).is_some(),
        Json::Array(items) => {
            let mut any = false;
            for item in items {
                any = any || matches!(Json::of(item)?, Json::String(text) if text == key);
            }
            any
        }
        Json::String(text) => text == key,
        _ => false,
    })
}

fn exists(call: &Call) -> Result<ArrayRef> {
    let (documents, keys) = (call.texts(0)?, call.texts(1)?);
    let row = |(document, key): (Option<&str>, Option<&str>)| match (document, key) {
        (Some(document), Some(key)) => has(&Json::read(document)?, key).map(Some),
        _ => Ok(None),
    };
    Ok(Arc::new(documents.iter().zip(keys.iter()).map(row).collect::<Result<BooleanArray>>()?))
}

fn exist(call: &Call, all: bool) -> Result<ArrayRef> {
    let (documents, keys) = (call.texts(0)?, list_of(call.array(1)?)?);
    let row = |(document, keys): (Option<&str>, Option<Vec<Option<String>>>)| {
        let (Some(document), Some(keys)) = (document, keys) else { return Ok(None) };
        let document = Json::read(document)?;
        let mut found = all;
        for key in keys.iter().flatten() {
            let here = has(&document, key)?;
            found = if all { found && here } else { found || here };
        }
        Ok(Some(found))
    };
    Ok(Arc::new(documents.iter().zip(keys).map(row).collect::<Result<BooleanArray>>()?))
}
