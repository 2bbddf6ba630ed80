//! Values of SQL types as SUPER values: `x::super`, ARRAY, OBJECT, and what is inserted into a SUPER column.

use super::json::quote;
use super::normal::{STRING_BYTES_MAX, Wrong};
use arrow::array::{Array, ArrayRef, AsArray, StringViewArray, StringViewBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use std::sync::Arc;
use tidegate_catalog::is_super;
use tidegate_core::{Error, Kind, Result};

/// Each value as JSON: a text is a string, what JSON has no form for is the string that SQL shows. 0A000 for a type that
/// has none, 54000 for a string that is too long.
pub fn to_super(array: &ArrayRef) -> Result<StringViewArray> {
    let mut builder = StringViewBuilder::with_capacity(array.len());
    let mut text = String::new();
    let shown = Shown::of(array)?;
    // Of a column that is NULL throughout, too.
    let nulls = array.logical_nulls();
    for row in 0..array.len() {
        if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            builder.append_null();
            continue;
        }
        text.clear();
        shown.put(row, &mut text)?;
        builder.append_value(&text);
    }
    Ok(builder.finish())
}

/// A column's values as they are put into JSON.
enum Shown {
    /// As they stand.
    Bare(StringViewArray),
    /// In quotes.
    Quoted(StringViewArray),
    /// Their items.
    List(ArrayRef, Box<Shown>),
    /// Their fields.
    Struct(ArrayRef, Vec<(String, Shown)>),
}

impl Shown {
    fn of(array: &ArrayRef) -> Result<Shown> {
        let texts = |array: &ArrayRef| -> Result<StringViewArray> {
            let texts = cast(array, &DataType::Utf8View).map_err(Error::internal)?;
            Ok(texts.as_string_view().clone())
        };
        let data_type = array.data_type();
        Ok(match data_type {
            DataType::Null | DataType::Boolean => Shown::Bare(texts(array)?),
            DataType::Float32 | DataType::Float64 | DataType::Float16 => Shown::Bare(floats(array)?),
            _ if data_type.is_numeric() => Shown::Bare(texts(array)?),
            DataType::List(item) => {
                let list = array.as_list::<i32>();
                let items = if is_super(item) { Shown::Bare(texts(list.values())?) } else { Shown::of(list.values())? };
                Shown::List(Arc::clone(array), Box::new(items))
            }
            DataType::Struct(fields) => {
                let parts = fields.iter().zip(array.as_struct().columns());
                let part = |(field, part): (&Arc<arrow::datatypes::Field>, &ArrayRef)| {
                    let shown = if is_super(field) { Shown::Bare(texts(part)?) } else { Shown::of(part)? };
                    Ok((field.name().clone(), shown))
                };
                Shown::Struct(Arc::clone(array), parts.map(part).collect::<Result<_>>()?)
            }
            DataType::Dictionary(_, value) => {
                return Shown::of(&cast(array, value).map_err(Error::internal)?);
            }
            _ if data_type.is_nested() || data_type.is_binary() => {
                let message = format!("a value of type {data_type} cannot be made SUPER");
                return Err(Error::new(Kind::Unsupported, message).hint("Cast it to text, or parse its JSON."));
            }
            _ => Shown::Quoted(texts(array)?),
        })
    }

    fn put(&self, row: usize, out: &mut String) -> Result<()> {
        match self {
            Shown::Bare(texts) if texts.is_null(row) => out.push_str("null"),
            Shown::Quoted(texts) if texts.is_null(row) => out.push_str("null"),
            Shown::Bare(texts) => out.push_str(texts.value(row)),
            Shown::Quoted(texts) => {
                let text = texts.value(row);
                if text.len() > STRING_BYTES_MAX {
                    return Err(Wrong::Long.error("super"));
                }
                quote(text, out);
            }
            Shown::List(array, _) | Shown::Struct(array, _) if array.is_null(row) => out.push_str("null"),
            Shown::List(array, items) => {
                let offsets = array.as_list::<i32>().value_offsets();
                let at = |row: usize| offsets.get(row).and_then(|at| usize::try_from(*at).ok()).unwrap_or_default();
                out.push('[');
                for (index, row) in (at(row)..at(row + 1)).enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    items.put(row, out)?;
                }
                out.push(']');
            }
            Shown::Struct(_, parts) => {
                out.push('{');
                for (index, (name, part)) in parts.iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    quote(name, out);
                    out.push(':');
                    part.put(row, out)?;
                }
                out.push('}');
            }
        }
        Ok(())
    }
}

/// Floats as JSON numbers; NaN and the infinities are strings.
fn floats(array: &ArrayRef) -> Result<StringViewArray> {
    // A real is shown as short as it can be, which its digits in double precision are not.
    let texts = cast(array, &DataType::Utf8View).map_err(Error::internal)?;
    let wide = cast(array, &DataType::Float64).map_err(Error::internal)?;
    let wide = wide.as_primitive::<Float64Type>();
    let shown = |(text, value): (Option<&str>, Option<f64>)| match value? {
        value if value.is_nan() => Some("\"NaN\"".to_string()),
        value if value.is_infinite() => Some(if value > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" }.to_string()),
        _ => text.map(str::to_string),
    };
    Ok(texts.as_string_view().iter().zip(wide.iter()).map(shown).collect())
}
