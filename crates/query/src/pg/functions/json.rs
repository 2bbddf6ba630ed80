//! Functions that make JSON, which SQLAlchemy and others describe columns with.

use super::super::cell::Cell;
use super::super::snapshot::PgSnapshot;
use super::Definition;
use serde_json::Value;
use tidegate_core::{Error, Kind, Result};

/// What is defined here.
pub const FUNCTIONS: &[Definition] = &[Definition::lenient("json_build_object", 0..=ARGUMENTS_MAX, "json", object)];

/// Arguments that `json_build_object` takes; Postgres' functions have at most a hundred.
const ARGUMENTS_MAX: usize = 100;

/// Names and values in turn, spaced as Postgres does.
fn object(_: &PgSnapshot, arguments: &[Cell]) -> Result<Cell> {
    let (pairs, rest) = arguments.as_chunks::<2>();
    if !rest.is_empty() {
        let message = "argument list must have even number of elements";
        let hint = "The arguments of json_build_object() must consist of alternating keys and values.";
        return Err(Error::new(Kind::InvalidParameter, message).hint(hint));
    }
    let members = pairs.iter().enumerate().map(|(nth, [name, value])| match key(name) {
        Some(name) => Ok(format!("{} : {}", Value::from(name), json(value))),
        None => {
            let message = format!("argument {} cannot be null", 2 * nth + 1);
            Err(Error::new(Kind::InvalidParameter, message).hint("Object keys should be text."))
        }
    });
    Ok(format!("{{{}}}", members.collect::<Result<Vec<_>>>()?.join(", ")).into())
}

fn key(cell: &Cell) -> Option<String> {
    match json(cell) {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

fn json(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Bool(value) => Value::from(*value),
        Cell::Int(value) => Value::from(*value),
        Cell::Float(value) => Value::from(*value),
        Cell::Text(value) => Value::from(value.as_str()),
        Cell::Ints(values) => Value::from(values.as_slice()),
        Cell::Texts(values) => Value::from(values.as_slice()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_in_turn() {
        let of = |arguments: &[Cell]| object(&PgSnapshot::default(), arguments);
        assert_eq!(of(&[]).unwrap(), "{}".into());
        let made = of(&["a\"".into(), true.into(), 2.into(), Cell::Null, "c".into(), Cell::Ints(vec![1, 2])]).unwrap();
        assert_eq!(made, r#"{"a\"" : true, "2" : null, "c" : [1,2]}"#.into());
        for wrong in [&["a".into()][..], &[Cell::Null, 1.into()]] {
            assert_eq!(of(wrong).unwrap_err().kind(), Kind::InvalidParameter);
        }
    }
}
