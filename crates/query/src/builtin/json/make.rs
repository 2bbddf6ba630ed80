//! Functions that make JSON of SQL's values: `to_json` and what is built with it.

use super::value::{normal, quoted};
use super::{list_of, row_error};
use crate::builtin::scalar::{Call, Scalar, is_zoned, zone_of};
use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, TimeUnit};
use datafusion::error::Result;
use std::sync::Arc;
use tidegate_catalog::PG_TYPE_KEY;
use tidegate_core::{Error, Kind};

/// Arguments of a function that builds a value; Postgres' functions have at most a hundred.
const ARGUMENTS_MAX: usize = 100;

/// All of them.
pub fn functions() -> Vec<Scalar> {
    let text = |_: &[DataType]| DataType::Utf8;
    vec![
        Scalar::new("to_json", 1..=1, text, |call| one(call, false)).of_type("json"),
        Scalar::new("to_jsonb", 1..=1, text, |call| one(call, true)).of_type("jsonb"),
        Scalar::new("array_to_json", 1..=2, text, |call| one(call, false)).of_type("json"),
        Scalar::new("row_to_json", 1..=2, text, |call| one(call, false)).of_type("json"),
        Scalar::new("json_build_array", 0..=ARGUMENTS_MAX, text, |call| built(call, list, false)).of_type("json"),
        Scalar::new("jsonb_build_array", 0..=ARGUMENTS_MAX, text, |call| built(call, list, true)).of_type("jsonb"),
        Scalar::new("json_build_object", 0..=ARGUMENTS_MAX, text, |call| built(call, pairs, false)).of_type("json"),
        Scalar::new("jsonb_build_object", 0..=ARGUMENTS_MAX, text, |call| built(call, pairs, true)).of_type("jsonb"),
        Scalar::new("json_object", 1..=2, text, |call| of_texts(call, false)).of_type("json"),
        Scalar::new("jsonb_object", 1..=2, text, |call| of_texts(call, true)).of_type("jsonb"),
        Scalar::new("json_join", 1..=1, text, joined).of_type("json"),
        Scalar::new("json_join_pairs", 2..=2, text, joined_pairs).of_type("json"),
    ]
}

/// A value of each row.
fn one(call: &Call, is_jsonb: bool) -> Result<ArrayRef> {
    let array = call.array(0)?;
    let writer = Writer::of(call, 0)?;
    let row = |row: usize| match array.is_null(row) {
        true => Ok(None),
        false => finished(writer.text(row)?, is_jsonb).map(Some),
    };
    Ok(Arc::new((0..call.rows).map(row).collect::<Result<StringArray>>()?))
}

fn finished(text: String, is_jsonb: bool) -> Result<String> {
    if is_jsonb { normal(&text) } else { Ok(text) }
}

/// Writes the values of a column as JSON.
enum Writer {
    /// Numbers and truth values as their texts, and JSON as it is.
    Bare(StringArray),
    /// Everything else as a string.
    Quoted(StringArray),
    /// Numbers, of which some are none.
    Float(StringArray),
    List(ArrayRef, Box<Writer>),
    Members(ArrayRef, Vec<(String, Writer)>),
    Null,
}

impl Writer {
    fn of(call: &Call, place: usize) -> Result<Writer> {
        let array = call.array(place)?;
        let is_json = call.fields.get(place).is_some_and(|field| is_json(field));
        Writer::new(array, is_json, &call.zone)
    }

    fn new(array: &ArrayRef, is_json: bool, zone: &str) -> Result<Writer> {
        let texts = |array: &ArrayRef| {
            Ok::<_, datafusion::error::DataFusionError>(cast(array, &DataType::Utf8)?.as_string::<i32>().clone())
        };
        Ok(match array.data_type() {
            DataType::Null => Writer::Null,
            DataType::Float16 | DataType::Float32 | DataType::Float64 => Writer::Float(texts(array)?),
            data_type if data_type.is_numeric() || *data_type == DataType::Boolean => Writer::Bare(texts(array)?),
            data_type if data_type.is_string() && is_json => Writer::Bare(texts(array)?),
            DataType::List(item) | DataType::LargeList(item) => {
                let lists = cast(array, &DataType::List(Arc::clone(item)))?;
                let inner = Writer::new(lists.as_list::<i32>().values(), self::is_json(item), zone)?;
                Writer::List(lists, Box::new(inner))
            }
            DataType::Struct(fields) => {
                let columns = array.as_struct().columns();
                let members = fields.iter().zip(columns).map(|(field, column)| {
                    Ok((quoted(field.name()), Writer::new(column, self::is_json(field), zone)?))
                });
                Writer::Members(Arc::clone(array), members.collect::<Result<_>>()?)
            }
            data_type if is_zoned(data_type) => {
                // As the session's clocks show it, with the offset at the end.
                zone_of(zone)?;
                let here = cast(array, &DataType::Timestamp(TimeUnit::Microsecond, Some(zone.into())))?;
                let shown = texts(&here)?;
                let offset = |text: Option<&str>| text.map(|text| text.replace('Z', "+00:00"));
                Writer::Quoted(shown.iter().map(offset).collect())
            }
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
                let bytes = cast(array, &DataType::Binary)?;
                let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
                let shown =
                    bytes.as_binary::<i32>().iter().map(|bytes| bytes.map(|bytes| format!("\\x{}", hex(bytes))));
                Writer::Quoted(shown.collect())
            }
            _ => Writer::Quoted(texts(array)?),
        })
    }

    fn text(&self, row: usize) -> Result<String> {
        let null = || "null".to_string();
        Ok(match self {
            Writer::Null => null(),
            Writer::Bare(texts) if texts.is_valid(row) => texts.value(row).to_string(),
            Writer::Quoted(texts) if texts.is_valid(row) => quoted(texts.value(row)),
            Writer::Float(texts) if texts.is_valid(row) => match texts.value(row) {
                "NaN" => quoted("NaN"),
                "inf" => quoted("Infinity"),
                "-inf" => quoted("-Infinity"),
                text => text.strip_suffix(".0").unwrap_or(text).to_string(),
            },
            Writer::List(lists, inner) if lists.is_valid(row) => {
                let offsets = lists.as_list::<i32>().value_offsets();
                let at = |row: usize| offsets.get(row).map_or(0, |offset| usize::try_from(*offset).unwrap_or(0));
                let items = (at(row)..at(row + 1)).map(|item| inner.text(item)).collect::<Result<Vec<_>>>()?;
                format!("[{}]", items.join(","))
            }
            Writer::Members(rows, members) if rows.is_valid(row) => {
                let member = |(name, value): &(String, Writer)| Ok(format!("{name}:{}", value.text(row)?));
                format!("{{{}}}", members.iter().map(member).collect::<Result<Vec<_>>>()?.join(","))
            }
            _ => null(),
        })
    }
}

/// Whether a field's texts are JSON.
fn is_json(field: &Field) -> bool {
    field.metadata().get(PG_TYPE_KEY).is_some_and(|name| ["json", "jsonb", "super"].contains(&name.as_str()))
}

fn built(call: &Call, make: fn(&[Writer], &Call, usize) -> Result<String>, is_jsonb: bool) -> Result<ArrayRef> {
    let writers = (0..call.arrays.len()).map(|place| Writer::of(call, place)).collect::<Result<Vec<_>>>()?;
    let row = |row: usize| finished(make(&writers, call, row)?, is_jsonb).map(Some);
    Ok(Arc::new((0..call.rows).map(row).collect::<Result<StringArray>>()?))
}

fn list(writers: &[Writer], _: &Call, row: usize) -> Result<String> {
    let items = writers.iter().map(|writer| writer.text(row)).collect::<Result<Vec<_>>>()?;
    Ok(format!("[{}]", items.join(", ")))
}

/// Names and values in turn, spaced as Postgres does.
fn pairs(writers: &[Writer], call: &Call, row: usize) -> Result<String> {
    let (pairs, rest) = writers.as_chunks::<2>();
    if !rest.is_empty() {
        let hint = format!("The arguments of {}() must consist of alternating keys and values.", call.name);
        let error = Error::new(Kind::InvalidParameter, "argument list must have even number of elements");
        return Err(crate::carried(error.hint(hint)));
    }
    let member = |(nth, [name, value]): (usize, &[Writer; 2])| {
        let name = match name.text(row)?.as_str() {
            "null" => {
                let error = Error::new(Kind::InvalidParameter, format!("argument {} cannot be null", 2 * nth + 1));
                return Err(crate::carried(error.hint("Object keys should be text.")));
            }
            text if text.starts_with('"') => text.to_string(),
            text if text.starts_with(['{', '[']) => {
                return Err(row_error(
                    Kind::InvalidParameter,
                    "key value must be scalar, not array, composite, or json",
                ));
            }
            text => quoted(text),
        };
        Ok(format!("{name} : {}", value.text(row)?))
    };
    let members = pairs.iter().enumerate().map(member).collect::<Result<Vec<_>>>()?;
    Ok(format!("{{{}}}", members.join(", ")))
}

/// An object of texts: names and values in turn, or in two lists.
fn of_texts(call: &Call, is_jsonb: bool) -> Result<ArrayRef> {
    let firsts = list_of(call.array(0)?)?;
    let seconds = call.arrays.get(1).map(list_of).transpose()?;
    let row = |(row, first): (usize, &Option<super::Texts>)| {
        let Some(first) = first else { return Ok(None) };
        let members: Vec<(&Option<String>, &Option<String>)> = match &seconds {
            None => {
                let (pairs, rest) = first.as_chunks::<2>();
                if !rest.is_empty() {
                    return Err(row_error(Kind::ArraySubscript, "array must have even number of elements"));
                }
                pairs.iter().map(|[name, value]| (name, value)).collect()
            }
            Some(seconds) => {
                let Some(Some(second)) = seconds.get(row) else { return Ok(None) };
                if first.len() != second.len() {
                    return Err(row_error(Kind::ArraySubscript, "mismatched array dimensions"));
                }
                first.iter().zip(second).collect()
            }
        };
        let member = |(name, value): (&Option<String>, &Option<String>)| match name {
            Some(name) => Ok(format!("{} : {}", quoted(name), value.as_deref().map_or("null".to_string(), quoted))),
            None => Err(row_error(Kind::NullNotAllowed, "null value not allowed for object key")),
        };
        let members = members.into_iter().map(member).collect::<Result<Vec<_>>>()?;
        finished(format!("{{{}}}", members.join(", ")), is_jsonb).map(Some)
    };
    Ok(Arc::new(firsts.iter().enumerate().map(row).collect::<Result<StringArray>>()?))
}

/// An array of values that are JSON already, as `json_agg` writes it.
fn joined(call: &Call) -> Result<ArrayRef> {
    let lists = list_of(call.array(0)?)?;
    let row = |list: Option<super::Texts>| {
        let items = list?.into_iter().map(|item| item.unwrap_or_else(|| "null".to_string()));
        Some(format!("[{}]", items.collect::<Vec<_>>().join(", ")))
    };
    Ok(Arc::new(lists.into_iter().map(row).collect::<StringArray>()))
}

/// An object of names and values that are JSON already, as `json_object_agg` writes it.
fn joined_pairs(call: &Call) -> Result<ArrayRef> {
    let (names, values) = (list_of(call.array(0)?)?, list_of(call.array(1)?)?);
    let row = |(names, values): (Option<super::Texts>, Option<super::Texts>)| {
        let (Some(names), Some(values)) = (names, values) else { return Ok(None) };
        let member = |(name, value): (Option<String>, Option<String>)| match name {
            Some(name) => Ok(format!("{} : {}", quoted(&name), value.unwrap_or_else(|| "null".to_string()))),
            None => Err(row_error(Kind::InvalidParameter, "field name must not be null")),
        };
        let members = names.into_iter().zip(values).map(member).collect::<Result<Vec<_>>>()?;
        Ok(Some(format!("{{ {} }}", members.join(", "))))
    };
    Ok(Arc::new(names.into_iter().zip(values).map(row).collect::<Result<StringArray>>()?))
}
