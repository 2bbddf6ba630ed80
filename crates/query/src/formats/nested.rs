//! Arrays and structs out of text: JSON, and Postgres's array literals (`{1,NULL,"a b"}`).

use super::values::{self, Bad};
use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use arrow::json::ReaderBuilder;
use std::sync::Arc;

/// Nested braces of one literal.
const DEPTH_MAX: usize = 64;

/// The JSON of a value of a nested type, checked to be one.
pub(super) fn to_json(text: &str, data_type: &DataType) -> Result<String, Bad> {
    let literal = matches!(data_type, DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..));
    let json = match text.trim() {
        braces if literal && braces.starts_with('{') => array_literal(braces, leaf(data_type))?,
        other => other.to_string(),
    };
    serde_json::from_str::<serde::de::IgnoredAny>(&json).map_err(|_| Bad::Syntax)?;
    let array = from_json(std::iter::once(json.as_str()), 1, data_type).map_err(|_| Bad::Syntax)?;
    // What reads as `null` is NULL, which has a spelling of its own.
    if array.len() == 1 && array.is_valid(0) { Ok(json) } else { Err(Bad::Syntax) }
}

/// Values of one nested type out of their JSON.
pub(super) fn from_json<'a>(
    texts: impl Iterator<Item = &'a str>,
    rows: usize,
    data_type: &DataType,
) -> Result<ArrayRef, ArrowError> {
    let schema = Arc::new(Schema::new(vec![Field::new("v", data_type.clone(), true)]));
    let mut decoder =
        ReaderBuilder::new(schema).with_coerce_primitive(true).with_batch_size(rows + 1).build_decoder()?;
    for text in texts {
        for part in ["{\"v\":", text, "}\n"] {
            decoder.decode(part.as_bytes())?;
        }
    }
    match decoder.flush()? {
        Some(batch) if batch.num_rows() == rows => Ok(Arc::clone(batch.column(0))),
        None if rows == 0 => Ok(arrow::array::new_empty_array(data_type)),
        _ => Err(ArrowError::JsonError("a value is not one value".into())),
    }
}

/// The type of the innermost elements.
fn leaf(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => leaf(item.data_type()),
        other => other,
    }
}

fn array_literal(text: &str, leaf: &DataType) -> Result<String, Bad> {
    let mut json = String::with_capacity(text.len() + 2);
    let mut rest = text.chars().peekable();
    let mut depth = 0usize;
    // After an element only a comma or a closing brace may stand.
    let mut after_element = false;
    while let Some(c) = rest.next() {
        match c {
            ' ' | '\t' | '\n' | '\r' => {}
            '{' if !after_element && depth < DEPTH_MAX => {
                depth += 1;
                json.push('[');
            }
            '}' if depth > 0 && !json.ends_with(',') => {
                depth -= 1;
                json.push(']');
                after_element = true;
            }
            ',' if after_element && depth > 0 => {
                json.push(',');
                after_element = false;
            }
            _ if after_element || depth == 0 => return Err(Bad::Syntax),
            '"' => {
                json.push_str(&quoted(&mut rest)?);
                after_element = true;
            }
            first => {
                let mut word = first.to_string();
                while let Some(c) = rest.next_if(|c| !matches!(c, ',' | '}' | '{' | '"')) {
                    word.push(c);
                }
                json.push_str(&element(word.trim_end(), leaf)?);
                after_element = true;
            }
        }
    }
    if depth == 0 && after_element { Ok(json) } else { Err(Bad::Syntax) }
}

/// The rest of an element in quotes, as a JSON string.
fn quoted(rest: &mut impl Iterator<Item = char>) -> Result<String, Bad> {
    let mut text = String::new();
    while let Some(c) = rest.next() {
        match c {
            '"' => return serde_json::to_string(&text).map_err(|_| Bad::Syntax),
            '\\' => text.push(rest.next().ok_or(Bad::Syntax)?),
            other => text.push(other),
        }
    }
    Err(Bad::Syntax)
}

/// An element without quotes: `NULL`, or a value as the type spells it.
fn element(word: &str, leaf: &DataType) -> Result<String, Bad> {
    if word.eq_ignore_ascii_case("null") {
        return Ok("null".into());
    }
    if *leaf == DataType::Boolean {
        return values::boolean(word.as_bytes()).map(|value| value.to_string());
    }
    serde_json::to_string(word).map_err(|_| Bad::Syntax)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_become_json() {
        let list = |item: DataType| DataType::List(Arc::new(Field::new("item", item, true)));
        let (ints, texts, flags) = (list(DataType::Int64), list(DataType::Utf8View), list(DataType::Boolean));
        let cases = [
            ("{1, NULL,3}", &ints, Ok(r#"["1",null,"3"]"#)),
            ("[1,null,3]", &ints, Ok("[1,null,3]")),
            ("{}", &ints, Ok("[]")),
            (r#"{a b,"c,\"}",null,"null"}"#, &texts, Ok(r#"["a b","c,\"}",null,"null"]"#)),
            ("{t,f}", &flags, Ok("[true,false]")),
            ("{1,x}", &ints, Err(Bad::Syntax)),
            ("{1,}", &ints, Err(Bad::Syntax)),
            ("{1", &ints, Err(Bad::Syntax)),
            ("{1}{2}", &ints, Err(Bad::Syntax)),
            ("1},{\"v\":[2]", &ints, Err(Bad::Syntax)),
            ("null", &ints, Err(Bad::Syntax)),
        ];
        for (text, data_type, expected) in cases {
            assert_eq!(to_json(text, data_type), expected.map(String::from), "{text}");
        }
    }
}
