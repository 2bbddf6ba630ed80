//! Redshift's functions that make JSON text a SUPER value and back, and those that read JSON in a text.

use super::function::{Arguments, Gives, Rule, Supers, each_text, text_column};
use super::json::{Sort, item, items, member, sort, string};
use super::normal::normalize;
use super::number::Number;
use arrow::array::{Array, ArrayRef, BinaryArray, BooleanArray, Int32Array};
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};

/// Bytes of a text that JSON_SERIALIZE gives at most (Redshift).
const SERIALIZED_BYTES_MAX: usize = 65_535;
/// Steps of a path at most.
const PATH_MAX: usize = 1000;

/// All of them.
pub const RULES: &[Rule] = &[
    Rule { name: "json_parse", takes: (1, 1), supers: Supers::None, gives: Gives::Super, run: json_parse },
    Rule {
        name: "json_parse_or_null",
        takes: (1, 1),
        supers: Supers::None,
        gives: Gives::Super,
        run: json_parse_or_null,
    },
    Rule { name: "can_json_parse", takes: (1, 1), supers: Supers::None, gives: Gives::Boolean, run: can_json_parse },
    Rule {
        name: "is_valid_json",
        takes: (1, 1),
        supers: Supers::None,
        gives: Gives::Boolean,
        run: |given| is_text_of(given, Sort::Object),
    },
    Rule {
        name: "is_valid_json_array",
        takes: (1, 1),
        supers: Supers::None,
        gives: Gives::Boolean,
        run: |given| is_text_of(given, Sort::Array),
    },
    Rule { name: "json_serialize", takes: (1, 1), supers: Supers::First, gives: Gives::Text, run: json_serialize },
    Rule {
        name: "json_serialize_to_varbyte",
        takes: (1, 1),
        supers: Supers::First,
        gives: Gives::Bytes,
        run: json_serialize_to_varbyte,
    },
    Rule { name: "json_typeof", takes: (1, 1), supers: Supers::First, gives: Gives::Text, run: json_typeof },
    Rule { name: "json_size", takes: (1, 1), supers: Supers::First, gives: Gives::Integer, run: json_size },
    Rule {
        name: "json_extract_path_text",
        takes: (1, PATH_MAX),
        supers: Supers::None,
        gives: Gives::Text,
        run: json_extract_path_text,
    },
    Rule {
        name: "json_extract_array_element_text",
        takes: (2, 3),
        supers: Supers::None,
        gives: Gives::Text,
        run: json_extract_array_element_text,
    },
    Rule {
        name: "json_array_length",
        takes: (1, 2),
        supers: Supers::None,
        gives: Gives::Integer,
        run: json_array_length,
    },
    Rule {
        name: "is_array",
        takes: (1, 1),
        supers: Supers::First,
        gives: Gives::Boolean,
        run: |given| is(given, |text| sort(text) == Sort::Array),
    },
    Rule {
        name: "is_object",
        takes: (1, 1),
        supers: Supers::First,
        gives: Gives::Boolean,
        run: |given| is(given, |text| sort(text) == Sort::Object),
    },
    Rule {
        name: "is_scalar",
        takes: (1, 1),
        supers: Supers::First,
        gives: Gives::Boolean,
        run: |given| is(given, |text| sort(text) < Sort::Array),
    },
    Rule {
        name: "is_varchar",
        takes: (1, 1),
        supers: Supers::First,
        gives: Gives::Boolean,
        run: |given| is(given, |text| sort(text) == Sort::String),
    },
    Rule {
        name: "is_char",
        takes: (1, 1),
        supers: Supers::First,
        gives: Gives::Boolean,
        run: |given| is(given, is_char),
    },
    Rule {
        name: "is_boolean",
        takes: (1, 1),
        supers: Supers::First,
        gives: Gives::Boolean,
        run: |given| is(given, |text| sort(text) == Sort::Boolean),
    },
    Rule {
        name: "is_smallint",
        takes: (1, 1),
        supers: Supers::First,
        gives: Gives::Boolean,
        run: |given| is(given, whole::<i16>),
    },
    Rule {
        name: "is_integer",
        takes: (1, 1),
        supers: Supers::First,
        gives: Gives::Boolean,
        run: |given| is(given, whole::<i32>),
    },
    Rule {
        name: "is_bigint",
        takes: (1, 1),
        supers: Supers::First,
        gives: Gives::Boolean,
        run: |given| is(given, whole::<i64>),
    },
    Rule {
        name: "is_decimal",
        takes: (1, 1),
        supers: Supers::First,
        gives: Gives::Boolean,
        run: |given| is(given, is_decimal),
    },
    Rule {
        name: "is_float",
        takes: (1, 1),
        supers: Supers::First,
        gives: Gives::Boolean,
        run: |given| is(given, is_float),
    },
];

fn json_parse(given: &Arguments) -> Result<ArrayRef> {
    let hint = "can_json_parse tells what can be parsed; with parse_super_null_on_error the rest is NULL.";
    let parsed = |bytes: Option<&[u8]>| match bytes {
        Some(bytes) => parse(bytes, "json_parse").map(Some).map_err(|error| error.hint(hint)),
        None => Ok(None),
    };
    text_column(given.bytes(0)?.iter().map(parsed))
}

fn json_parse_or_null(given: &Arguments) -> Result<ArrayRef> {
    text_column(given.bytes(0)?.iter().map(|bytes| Ok(bytes.and_then(|bytes| parse(bytes, "").ok()))))
}

/// 22P02 for what is not JSON, 54000 for what is too large.
fn parse(bytes: &[u8], what: &str) -> Result<String> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Error::new(Kind::InvalidText, format!("{what}: the bytes are not UTF-8: {error}")))?;
    normalize(text).map_err(|wrong| wrong.error(what))
}

fn can_json_parse(given: &Arguments) -> Result<ArrayRef> {
    let can = |bytes: Option<&[u8]>| bytes.map(|bytes| parse(bytes, "").is_ok());
    Ok(Arc::new(given.bytes(0)?.iter().map(can).collect::<BooleanArray>()))
}

fn is_text_of(given: &Arguments, wanted: Sort) -> Result<ArrayRef> {
    let is = |text: Option<&str>| text.map(|text| normalize(text).is_ok_and(|text| sort(&text) == wanted));
    Ok(Arc::new(given.texts(0)?.iter().map(is).collect::<BooleanArray>()))
}

fn json_serialize(given: &Arguments) -> Result<ArrayRef> {
    let texts = given.texts(0)?;
    match texts.iter().flatten().find(|text| text.len() > SERIALIZED_BYTES_MAX) {
        Some(long) => {
            let message = format!("json_serialize: the text of a SUPER value has {} bytes", long.len());
            Err(Error::new(Kind::StringTooLong, message)
                .hint(format!("It may have {SERIALIZED_BYTES_MAX}; json_serialize_to_varbyte takes all of them.")))
        }
        None => Ok(Arc::new(texts)),
    }
}

fn json_serialize_to_varbyte(given: &Arguments) -> Result<ArrayRef> {
    Ok(Arc::new(given.texts(0)?.iter().map(|text| text.map(str::as_bytes)).collect::<BinaryArray>()))
}

fn json_typeof(given: &Arguments) -> Result<ArrayRef> {
    let name = |text: &str| match sort(text) {
        Sort::Null => "null",
        Sort::Boolean => "boolean",
        Sort::Number => "number",
        Sort::String => "string",
        Sort::Array => "array",
        Sort::Object => "object",
    };
    text_column(each_text(&given.texts(0)?, |text| Ok(Some(name(text)))))
}

fn json_size(given: &Arguments) -> Result<ArrayRef> {
    let size = |text: Option<&str>| text.and_then(|text| i32::try_from(text.len()).ok());
    Ok(Arc::new(given.texts(0)?.iter().map(size).collect::<Int32Array>()))
}

/// The JSON in a text, as the functions read it that take text; with `null_if_invalid`, None for what is none.
fn read(given: &Arguments, text: &str, null_if_invalid: bool) -> Result<Option<String>> {
    match normalize(text) {
        Ok(text) => Ok(Some(text)),
        Err(_) if null_if_invalid => Ok(None),
        Err(wrong) => Err(wrong.error(given.name)),
    }
}

/// A value as these functions give it: a string without quotes, no `null`.
fn shown(value: &str) -> Option<String> {
    (sort(value) != Sort::Null).then(|| string(value).into_owned())
}

fn json_extract_path_text(given: &Arguments) -> Result<ArrayRef> {
    let last = given.len() - 1;
    let (null_if_invalid, steps) =
        if last > 0 && given.is_flag(last) { (given.flag(last), last) } else { (false, last + 1) };
    let texts = given.texts(0)?;
    let keys = (1..steps).map(|index| given.texts(index)).collect::<Result<Vec<_>>>()?;
    let row = |row: usize| {
        if texts.is_null(row) || keys.iter().any(|keys| keys.is_null(row)) {
            return Ok(None);
        }
        let Some(json) = read(given, texts.value(row), null_if_invalid)? else { return Ok(None) };
        let found = keys.iter().map(|keys| keys.value(row)).try_fold(json.as_str(), step);
        Ok(found.and_then(shown))
    };
    text_column((0..given.rows).map(row))
}

/// One step of a path: a member's name, or an item's place.
fn step<'a>(value: &'a str, key: &str) -> Option<&'a str> {
    match sort(value) {
        Sort::Array => item(value, i64::from(key.parse::<u32>().ok()?)),
        _ => member(value, key),
    }
}

fn json_extract_array_element_text(given: &Arguments) -> Result<ArrayRef> {
    let (texts, places, null_if_invalid) = (given.texts(0)?, given.whole(1)?, given.flag(2));
    let row = |row: usize| {
        if texts.is_null(row) || places.is_null(row) || places.value(row) < 0 {
            return Ok(None);
        }
        let json = read(given, texts.value(row), null_if_invalid)?;
        Ok(json.and_then(|json| item(&json, places.value(row)).and_then(shown)))
    };
    text_column((0..given.rows).map(row))
}

fn json_array_length(given: &Arguments) -> Result<ArrayRef> {
    let null_if_invalid = given.flag(1);
    let length = |text: &str| match read(given, text, null_if_invalid)? {
        Some(json) if sort(&json) == Sort::Array => Ok(i32::try_from(items(&json).count()).ok()),
        None => Ok(None),
        Some(_) if null_if_invalid => Ok(None),
        Some(_) => Err(Error::new(Kind::InvalidText, "json_array_length: the text is not a JSON array")),
    };
    Ok(Arc::new(each_text(&given.texts(0)?, length).collect::<Result<Int32Array>>()?))
}

fn is(given: &Arguments, test: impl Fn(&str) -> bool) -> Result<ArrayRef> {
    Ok(Arc::new(given.texts(0)?.iter().map(|text| text.map(&test)).collect::<BooleanArray>()))
}

fn whole<T: TryFrom<i64>>(text: &str) -> bool {
    matches!(Number::read(text), Some(Number::Whole(number)) if T::try_from(number).is_ok())
        && sort(text) == Sort::Number
}

fn is_char(text: &str) -> bool {
    sort(text) == Sort::String && string(text).is_ascii()
}

fn is_decimal(text: &str) -> bool {
    sort(text) == Sort::Number && matches!(Number::read(text), Some(Number::Exact(..)))
}

fn is_float(text: &str) -> bool {
    sort(text) == Sort::Number && matches!(Number::read(text), Some(Number::Float(_)))
}
