//! Redshift's functions that make arrays and objects, and take arrays apart.

use super::function::{Arguments, Gives, Rule, Supers, each_text, super_field, text_column};
use super::json::{Sort, items, members, quote, sort};
use super::normal::{VALUE_BYTES_MAX, Wrong};
use arrow::array::{Array, ArrayRef, Int32Array, Int64Builder, ListBuilder, StringViewArray, StringViewBuilder};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;
use tidegate_catalog::is_super;
use tidegate_core::{Error, Kind, Result};

/// Arguments at most.
const ARGUMENTS_MAX: usize = 1600;

/// All of them.
pub const RULES: &[Rule] = &[
    Rule { name: "array", takes: (0, ARGUMENTS_MAX), supers: Supers::All, gives: Gives::Super, run: array },
    Rule { name: "object", takes: (0, ARGUMENTS_MAX), supers: Supers::Second, gives: Gives::Super, run: object },
    Rule { name: "super_concat", takes: (2, ARGUMENTS_MAX), supers: Supers::All, gives: Gives::Super, run: concat },
    Rule { name: "array_flatten", takes: (1, 1), supers: Supers::First, gives: Gives::Super, run: flatten },
    Rule {
        name: "get_array_length",
        takes: (1, 1),
        supers: Supers::First,
        gives: Gives::Integer,
        run: get_array_length,
    },
    Rule { name: "subarray", takes: (2, 3), supers: Supers::First, gives: Gives::Super, run: subarray },
    Rule { name: "split_to_array", takes: (1, 2), supers: Supers::None, gives: Gives::Super, run: split_to_array },
    Rule {
        name: "super_items",
        takes: (2, 2),
        supers: Supers::First,
        gives: Gives::Values,
        run: |given| unnested(given, items_of),
    },
    Rule { name: "super_places", takes: (2, 2), supers: Supers::First, gives: Gives::Places, run: places },
    Rule {
        name: "super_values",
        takes: (2, 2),
        supers: Supers::First,
        gives: Gives::Values,
        run: |given| unnested(given, values_of),
    },
    Rule { name: "super_keys", takes: (2, 2), supers: Supers::First, gives: Gives::Keys, run: keys },
];

fn or_null(values: &StringViewArray, row: usize) -> &str {
    if values.is_null(row) { "null" } else { values.value(row) }
}

/// Refuses a value that has grown too large.
fn bounded(text: String) -> Result<Option<String>> {
    if text.len() > VALUE_BYTES_MAX { Err(Wrong::Long.error("super")) } else { Ok(Some(text)) }
}

fn array(given: &Arguments) -> Result<ArrayRef> {
    let values = (0..given.len()).map(|index| given.texts(index)).collect::<Result<Vec<_>>>()?;
    let row = |row: usize| {
        let parts: Vec<&str> = values.iter().map(|values| or_null(values, row)).collect();
        bounded(format!("[{}]", parts.join(",")))
    };
    text_column((0..given.rows).map(row))
}

fn object(given: &Arguments) -> Result<ArrayRef> {
    if given.len() % 2 == 1 {
        return Err(Error::new(Kind::UndefinedFunction, "object takes names and values in pairs"));
    }
    let names = (0..given.len()).step_by(2).map(|index| given.texts(index)).collect::<Result<Vec<_>>>()?;
    let values = (1..given.len()).step_by(2).map(|index| given.texts(index)).collect::<Result<Vec<_>>>()?;
    let row = |row: usize| {
        let mut text = String::from("{");
        for (index, (names, values)) in names.iter().zip(&values).enumerate() {
            if names.is_null(row) {
                return Err(Error::new(Kind::InvalidParameter, "object: a name is NULL"));
            }
            text.push_str(if index > 0 { "," } else { "" });
            quote(names.value(row), &mut text);
            text.push(':');
            text.push_str(or_null(values, row));
        }
        text.push('}');
        bounded(text)
    };
    text_column((0..given.rows).map(row))
}

/// The inside of an array.
fn inside(text: &str) -> Option<&str> {
    text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'))
}

fn concat(given: &Arguments) -> Result<ArrayRef> {
    let values = (0..given.len()).map(|index| given.texts(index)).collect::<Result<Vec<_>>>()?;
    let row = |row: usize| {
        let parts = values.iter().map(|values| values.is_valid(row).then(|| values.value(row)).and_then(inside));
        let Some(parts) = parts.collect::<Option<Vec<_>>>() else { return Ok(None) };
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        bounded(format!("[{}]", parts.join(",")))
    };
    text_column((0..given.rows).map(row))
}

fn flatten(given: &Arguments) -> Result<ArrayRef> {
    let flat = |text: &str| {
        if sort(text) != Sort::Array {
            return Ok(None);
        }
        let parts: Vec<&str> =
            items(text).map(|item| inside(item).unwrap_or(item)).filter(|part| !part.is_empty()).collect();
        Ok(Some(format!("[{}]", parts.join(","))))
    };
    text_column(each_text(&given.texts(0)?, flat))
}

fn get_array_length(given: &Arguments) -> Result<ArrayRef> {
    let length = |text: Option<&str>| {
        text.filter(|text| sort(text) == Sort::Array).and_then(|text| i32::try_from(items(text).count()).ok())
    };
    Ok(Arc::new(given.texts(0)?.iter().map(length).collect::<Int32Array>()))
}

fn subarray(given: &Arguments) -> Result<ArrayRef> {
    let (texts, starts) = (given.texts(0)?, given.whole(1)?);
    let lengths = if given.len() > 2 { Some(given.whole(2)?) } else { None };
    let row = |row: usize| {
        let length = lengths.as_ref().map(|lengths| lengths.is_valid(row).then(|| lengths.value(row)));
        if texts.is_null(row) || starts.is_null(row) || length == Some(None) || sort(texts.value(row)) != Sort::Array {
            return Ok(None);
        }
        let start = usize::try_from(starts.value(row)).unwrap_or(0);
        let length = length.flatten().map_or(usize::MAX, |length| usize::try_from(length).unwrap_or(0));
        let parts: Vec<&str> = items(texts.value(row)).skip(start).take(length).collect();
        Ok(Some(format!("[{}]", parts.join(","))))
    };
    text_column((0..given.rows).map(row))
}

fn split_to_array(given: &Arguments) -> Result<ArrayRef> {
    let texts = given.texts(0)?;
    let delimiters = if given.len() > 1 { Some(given.texts(1)?) } else { None };
    let row = |row: usize| {
        let delimiter = delimiters.as_ref().map(|all| all.is_valid(row).then(|| all.value(row)));
        let Some(delimiter) = delimiter.unwrap_or(Some(",")).filter(|_| texts.is_valid(row)) else { return Ok(None) };
        let parts: Vec<&str> = match delimiter {
            "" => vec![texts.value(row)],
            delimiter => texts.value(row).split(delimiter).collect(),
        };
        let mut text = String::from("[");
        for (index, part) in parts.into_iter().enumerate() {
            text.push_str(if index > 0 { "," } else { "" });
            quote(part, &mut text);
        }
        text.push(']');
        bounded(text)
    };
    text_column((0..given.rows).map(row))
}

/// What FROM finds in a value: of an array its items, of another value that is not null the value itself.
fn items_of(text: &str) -> Vec<&str> {
    match sort(text) {
        Sort::Array => items(text).collect(),
        Sort::Null => Vec::new(),
        _ => vec![text],
    }
}

/// What UNPIVOT finds in a value: of an object its values.
fn values_of(text: &str) -> Vec<&str> {
    members(text).map(|(_, value)| value).collect()
}

/// A list for each row. With the second argument true, a row without items has one that is NULL, as LEFT JOIN wants it.
fn unnested(given: &Arguments, found: fn(&str) -> Vec<&str>) -> Result<ArrayRef> {
    let outer = given.flag(1);
    let mut list = ListBuilder::new(StringViewBuilder::new()).with_field(item_field(given)?);
    for text in given.texts(0)?.iter() {
        let found = text.map(found).unwrap_or_default();
        if found.is_empty() && outer {
            list.values().append_null();
        }
        found.into_iter().for_each(|item| list.values().append_value(item));
        list.append(true);
    }
    Ok(Arc::new(list.finish()))
}

fn item_field(given: &Arguments) -> Result<Arc<Field>> {
    match &given.gives {
        DataType::List(item) => Ok(Arc::clone(item)),
        other => Err(Error::internal(format!("{other} is no list"))),
    }
}

/// The places of the items of an array, from 0; what is no array has none, and one row.
fn places(given: &Arguments) -> Result<ArrayRef> {
    let outer = given.flag(1);
    let mut list = ListBuilder::new(Int64Builder::new()).with_field(item_field(given)?);
    for text in given.texts(0)?.iter() {
        let count = text.map(|text| items_of(text).len()).unwrap_or_default();
        let is_array = text.is_some_and(|text| sort(text) == Sort::Array);
        if count == 0 && outer {
            list.values().append_null();
        }
        for place in 0..i64::try_from(count).unwrap_or(0) {
            list.values().append_option(is_array.then_some(place));
        }
        list.append(true);
    }
    Ok(Arc::new(list.finish()))
}

fn keys(given: &Arguments) -> Result<ArrayRef> {
    let outer = given.flag(1);
    let mut list = ListBuilder::new(StringViewBuilder::new()).with_field(item_field(given)?);
    for text in given.texts(0)?.iter() {
        let keys: Vec<_> =
            text.map(|text| members(text).map(|(key, _)| super::json::string(key)).collect()).unwrap_or_default();
        if keys.is_empty() && outer {
            list.values().append_null();
        }
        keys.into_iter().for_each(|key| list.values().append_value(key));
        list.append(true);
    }
    Ok(Arc::new(list.finish()))
}

/// `array_concat`: of the engine's arrays the engine's own, of SUPER arrays ours.
pub fn array_concat() -> Arc<ScalarUDF> {
    let signature = Signature::user_defined(Volatility::Immutable);
    Arc::new(ScalarUDF::from(ArrayConcat {
        engine: datafusion::functions_nested::concat::array_concat_udf(),
        signature,
    }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ArrayConcat {
    engine: Arc<ScalarUDF>,
    signature: Signature,
}

impl ScalarUDFImpl for ArrayConcat {
    fn name(&self) -> &str {
        "array_concat"
    }

    fn aliases(&self) -> &[String] {
        self.engine.aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arguments: &[DataType]) -> EngineResult<Vec<DataType>> {
        match arguments.iter().any(DataType::is_string) {
            // The plan is ours to finish: super_concat takes its place.
            true => Ok(arguments.to_vec()),
            false => self.engine.coerce_types(arguments),
        }
    }

    fn return_type(&self, arguments: &[DataType]) -> EngineResult<DataType> {
        match arguments.iter().any(DataType::is_string) {
            true => Ok(DataType::Utf8View),
            false => self.engine.return_type(arguments),
        }
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> EngineResult<FieldRef> {
        match arguments.arg_fields.iter().any(|field| is_super(field)) {
            true => Ok(Arc::new(super_field(self.name()))),
            false => self.engine.return_field_from_args(arguments),
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        self.engine.invoke_with_args(arguments)
    }
}
