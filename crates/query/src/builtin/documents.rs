//! `uuid`, `json` and `jsonb`: casts, and the operators `->`, `->>`, `#>` and `#>>`. To the engine all are texts, whose
//! fields say what they are.

use super::scalar::{Call, Scalar};
use crate::fault::carried;
use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::error::Result;
use serde_json::Value;
use sqlparser::ast::{BinaryOperator, DataType as SqlName, Expr};
use std::sync::Arc;
use tidegate_core::{Error, Kind};

/// All functions.
pub fn functions() -> Vec<Scalar> {
    let text = |_: &[DataType]| DataType::Utf8;
    vec![
        Scalar::new("uuid_in", 1..=1, text, uuid).of_type("uuid"),
        Scalar::new("json_in", 1..=1, text, json).of_type("json"),
        Scalar::new("jsonb_in", 1..=1, text, json_normal).of_type("jsonb"),
        Scalar::new("json_get", 2..=2, text, |call| part(call, false)).of_type("json"),
        Scalar::new("json_get_text", 2..=2, text, |call| part(call, true)),
        Scalar::new("json_get_path", 2..=2, text, |call| path(call, false)).of_type("json"),
        Scalar::new("json_get_path_text", 2..=2, text, |call| path(call, true)),
        Scalar::new("json_list", 1..=1, text, json_list).of_type("json"),
        Scalar::new("jsonb_typeof", 1..=1, text, type_of),
        Scalar::new("jsonb_array_length", 1..=1, |_| DataType::Int64, length),
    ]
}

/// Puts functions in the places of casts and operators.
pub fn rewrite(expr: &mut Expr) {
    match expr {
        Expr::Cast { data_type, expr: inner, .. } => {
            let name = match data_type {
                SqlName::Uuid => "uuid_in",
                SqlName::JSON => "json_in",
                SqlName::JSONB => "jsonb_in",
                _ => return,
            };
            *expr = crate::pg::build::call(name, vec![inner.as_ref().clone()]);
        }
        Expr::TypedString(typed) => {
            let name = match typed.data_type {
                SqlName::Uuid => "uuid_in",
                SqlName::JSON => "json_in",
                SqlName::JSONB => "jsonb_in",
                _ => return,
            };
            *expr = crate::pg::build::call(name, vec![Expr::Value(typed.value.clone())]);
        }
        Expr::BinaryOp { left, op, right } => {
            let name = match op {
                BinaryOperator::Arrow => "json_get",
                BinaryOperator::LongArrow => "json_get_text",
                BinaryOperator::HashArrow => "json_get_path",
                BinaryOperator::HashLongArrow => "json_get_path_text",
                _ => return,
            };
            *expr = crate::pg::build::call(name, vec![left.as_ref().clone(), right.as_ref().clone()]);
        }
        _ => {}
    }
}

fn invalid(name: &str, text: &str) -> datafusion::error::DataFusionError {
    carried(Error::new(Kind::InvalidText, format!("invalid input syntax for type {name}: \"{text}\"")))
}

fn each(call: &Call, of: impl Fn(&str) -> Result<Option<String>>) -> Result<ArrayRef> {
    let rows = call.texts(0)?;
    let made = rows.iter().map(|text| text.map_or(Ok(None), &of)).collect::<Result<StringArray>>()?;
    Ok(Arc::new(made))
}

/// 32 hexadecimal digits, in groups or braces or without, as Postgres reads them.
fn uuid(call: &Call) -> Result<ArrayRef> {
    each(call, |text| {
        let bare = text.trim().trim_start_matches('{').trim_end_matches('}');
        let digits: String = bare.chars().filter(|c| *c != '-').collect::<String>().to_lowercase();
        if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(invalid("uuid", text));
        }
        let group = |from: usize, to: usize| digits.get(from..to).unwrap_or_default().to_string();
        Ok(Some([group(0, 8), group(8, 12), group(12, 16), group(16, 20), group(20, 32)].join("-")))
    })
}

/// `json` keeps its text.
fn json(call: &Call) -> Result<ArrayRef> {
    each(call, |text| match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => Ok(Some(text.to_string())),
        Err(_) => Err(invalid("json", text)),
    })
}

fn parsed(text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|_| invalid("json", text))
}

/// `jsonb` has one text for one meaning: keys by length and bytes, as Postgres keeps them, and a blank behind `:` and `,`.
fn json_normal(call: &Call) -> Result<ArrayRef> {
    each(call, |text| Ok(Some(normal(&parsed(text)?))))
}

fn normal(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(normal).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(key, _)| (key.len(), key.as_bytes()));
            let member = |(key, value): (&String, &Value)| format!("{}: {}", Value::from(key.as_str()), normal(value));
            format!("{{{}}}", members.into_iter().map(member).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// The items of an array as Postgres' aggregates write them: each as it is, with a blank behind the commas.
fn json_list(call: &Call) -> Result<ArrayRef> {
    each(call, |text| match parsed(text)? {
        Value::Array(items) => {
            Ok(Some(format!("[{}]", items.iter().map(Value::to_string).collect::<Vec<_>>().join(", "))))
        }
        other => Ok(Some(other.to_string())),
    })
}

/// A value as `->` gives it, or as the text that `->>` gives.
fn told(value: &Value, as_text: bool) -> Option<String> {
    match value {
        Value::Null if as_text => None,
        Value::String(text) if as_text => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn member<'v>(value: &'v Value, key: &str) -> Option<&'v Value> {
    match value {
        Value::Object(members) => members.get(key),
        Value::Array(items) => item(items, key.trim().parse().ok()?),
        _ => None,
    }
}

/// Negative places count from the end.
fn item(items: &[Value], place: i64) -> Option<&Value> {
    let place = if place < 0 { place + items.len() as i64 } else { place };
    items.get(usize::try_from(place).ok()?)
}

/// `->` and `->>`: a key of an object, or a place in an array, by the type of what is behind them.
fn part(call: &Call, as_text: bool) -> Result<ArrayRef> {
    let (documents, keys) = (call.texts(0)?, call.texts(1)?);
    let by_place = call.array(1)?.data_type().is_integer();
    let row = |(document, key): (Option<&str>, Option<&str>)| {
        let (Some(document), Some(key)) = (document, key) else { return Ok(None) };
        let document = parsed(document)?;
        let found = match (&document, by_place) {
            (Value::Array(items), true) => key.parse().ok().and_then(|place| item(items, place)),
            (Value::Object(members), false) => members.get(key),
            _ => None,
        };
        Ok(found.and_then(|value| told(value, as_text)))
    };
    Ok(Arc::new(documents.iter().zip(keys.iter()).map(row).collect::<Result<StringArray>>()?))
}

/// `#>` and `#>>`: a path of keys and places, as an array or as its text.
fn path(call: &Call, as_text: bool) -> Result<ArrayRef> {
    let documents = call.texts(0)?;
    let paths = paths(call.array(1)?)?;
    let row = |(document, path): (Option<&str>, &Option<Vec<String>>)| {
        let (Some(document), Some(path)) = (document, path) else { return Ok(None) };
        let document = parsed(document)?;
        let found = path.iter().try_fold(&document, |value, key| member(value, key));
        Ok(found.and_then(|value| told(value, as_text)))
    };
    Ok(Arc::new(documents.iter().zip(&paths).map(row).collect::<Result<StringArray>>()?))
}

fn paths(array: &ArrayRef) -> Result<Vec<Option<Vec<String>>>> {
    let words = |text: &str| {
        let inside = text.trim().trim_start_matches('{').trim_end_matches('}');
        let words = inside.split(',').map(|word| word.trim().trim_matches('"').to_string());
        words.filter(|word| !word.is_empty()).collect()
    };
    if array.data_type().is_string() {
        let texts = cast(array, &DataType::Utf8)?;
        return Ok(texts.as_string::<i32>().iter().map(|text| text.map(words)).collect());
    }
    let lists = cast(array, &DataType::new_list(DataType::Utf8, true))?;
    let items = |list: ArrayRef| list.as_string::<i32>().iter().flatten().map(str::to_string).collect();
    Ok(lists.as_list::<i32>().iter().map(|list| list.map(items)).collect())
}

fn type_of(call: &Call) -> Result<ArrayRef> {
    each(call, |text| {
        Ok(Some(
            match parsed(text)? {
                Value::Null => "null",
                Value::Bool(_) => "boolean",
                Value::Number(_) => "number",
                Value::String(_) => "string",
                Value::Array(_) => "array",
                Value::Object(_) => "object",
            }
            .to_string(),
        ))
    })
}

fn length(call: &Call) -> Result<ArrayRef> {
    let documents = call.texts(0)?;
    let row = |text: Option<&str>| {
        let Some(text) = text else { return Ok(None) };
        match parsed(text)? {
            Value::Array(items) => Ok(Some(items.len() as i64)),
            _ => Err(carried(Error::new(Kind::InvalidParameter, "cannot get array length of a non-array"))),
        }
    };
    Ok(Arc::new(documents.iter().map(row).collect::<Result<arrow::array::Int64Array>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jsonb_has_one_text() {
        let value: Value = serde_json::from_str(r#"{"bb":[1, 2],"a":{"c":null}, "é":"x"}"#).unwrap();
        assert_eq!(normal(&value), r#"{"a": {"c": null}, "bb": [1, 2], "é": "x"}"#);
    }

    #[test]
    fn operators_become_functions() {
        for (sql, expected) in [
            ("a -> 'b' ->> 1", "json_get_text(json_get(a, 'b'), 1)"),
            ("a #>> '{b,0}'", "json_get_path_text(a, '{b,0}')"),
            ("'x'::uuid", "uuid_in('x')"),
            ("JSONB '[]'", "jsonb_in('[]')"),
        ] {
            let mut expr = tidegate_parser::parse_expression(sql).unwrap();
            let mut rewriter = Each;
            let _ = sqlparser::ast::VisitMut::visit(&mut expr, &mut rewriter);
            assert_eq!(expr.to_string(), expected, "{sql}");
        }
    }

    struct Each;

    impl sqlparser::ast::VisitorMut for Each {
        type Break = ();
        fn post_visit_expr(&mut self, expr: &mut Expr) -> std::ops::ControlFlow<()> {
            rewrite(expr);
            std::ops::ControlFlow::Continue(())
        }
    }
}
