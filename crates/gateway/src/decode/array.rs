//! Parameters that are arrays of one dimension.

use super::{Reader, Reading, arrow_type};
use crate::encode::Format;
use arrow::datatypes::{DataType, Field};
use datafusion::common::ScalarValue;
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};

/// Reads an array, or NULL.
pub fn decode(element: u32, format: Format, bytes: Option<&[u8]>, reading: &Reading) -> Result<ScalarValue> {
    let Some(bytes) = bytes else { return null_list(element) };
    let items = match format {
        Format::Text => of_text(element, bytes, reading)?,
        Format::Binary => of_binary(bytes, reading)?,
    };
    // Decimals may differ in width; one list has one type.
    let kind = items.iter().find(|i| !i.is_null()).map_or_else(|| arrow_type(element), |i| Ok(i.data_type()))?;
    let items = items
        .into_iter()
        .map(|item| if item.data_type() == kind { Ok(item) } else { item.cast_to(&kind).map_err(|e| mixed(&e)) })
        .collect::<Result<Vec<_>>>()?;
    Ok(ScalarValue::List(ScalarValue::new_list(&items, &kind, true)))
}

fn mixed(error: &impl std::fmt::Display) -> Error {
    Error::new(Kind::DatatypeMismatch, format!("the elements of an array parameter differ in type: {error}"))
}

fn null_list(element: u32) -> Result<ScalarValue> {
    let list = DataType::List(Arc::new(Field::new("item", arrow_type(element)?, true)));
    ScalarValue::try_from(&list).map_err(|e| mixed(&e))
}

fn of_binary(bytes: &[u8], reading: &Reading) -> Result<Vec<ScalarValue>> {
    let mut reader = Reader::new(bytes);
    let (dimensions, _has_null, element) = (reader.i32()?, reader.i32()?, reader.u32()?);
    if dimensions == 0 {
        return Ok(Vec::new());
    }
    if dimensions != 1 {
        return Err(many_dimensions());
    }
    let (count, _lower_bound) = (reader.i32()?, reader.i32()?);
    let mut items = Vec::new();
    for _ in 0..count {
        let length = reader.i32()?;
        let value = match usize::try_from(length) {
            Ok(length) => Some(reader.take(length)?),
            Err(_) => None,
        };
        items.push(super::decode(element, Format::Binary, value, reading)?);
    }
    reader.end()?;
    Ok(items)
}

fn many_dimensions() -> Error {
    Error::new(Kind::Unsupported, "array parameters of more than one dimension are not supported")
}

fn of_text(element: u32, bytes: &[u8], reading: &Reading) -> Result<Vec<ScalarValue>> {
    let malformed =
        || Error::new(Kind::InvalidText, format!("malformed array literal: \"{}\"", String::from_utf8_lossy(bytes)));
    let inner = bytes.trim_ascii().strip_prefix(b"{").and_then(|b| b.strip_suffix(b"}")).ok_or_else(malformed)?;
    let mut items = Vec::new();
    let mut at = 0;
    while at < inner.len() {
        let (item, quoted, next) = next_item(inner, at).ok_or_else(malformed)?;
        let null = !quoted && item.eq_ignore_ascii_case(b"null");
        if !quoted && item.first() == Some(&b'{') {
            return Err(many_dimensions());
        }
        if !quoted && item.is_empty() {
            return Err(malformed());
        }
        items.push(super::decode(element, Format::Text, (!null).then_some(item.as_slice()), reading)?);
        at = next;
    }
    Ok(items)
}

/// One item from a place on: its bytes, whether it was quoted, and where the next one begins.
fn next_item(text: &[u8], from: usize) -> Option<(Vec<u8>, bool, usize)> {
    let mut item = Vec::new();
    let (mut at, mut inside, mut quoted) = (from, false, false);
    while let Some(&byte) = text.get(at) {
        match byte {
            b'\\' => {
                at += 1;
                item.push(*text.get(at)?);
            }
            b'"' => {
                inside = !inside;
                quoted = true;
            }
            b',' if !inside => {
                at += 1;
                return (at < text.len()).then(|| (trimmed(item, quoted), quoted, at));
            }
            _ => item.push(byte),
        }
        at += 1;
    }
    (!inside).then(|| (trimmed(item, quoted), quoted, at))
}

fn trimmed(item: Vec<u8>, quoted: bool) -> Vec<u8> {
    if quoted { item } else { item.trim_ascii().to_vec() }
}
