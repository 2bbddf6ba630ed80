//! Redshift's functions for JSON in a stream's records: `json_parse`, `can_json_parse`, `json_extract_path_text`,
//! `from_varbyte`. There is no SUPER: parsed JSON is text.

use crate::fault::carried;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringArray};
use arrow::datatypes::DataType;
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use serde_json::Value;
use std::sync::Arc;
use tidegate_core::{Error, Kind};

/// All of them.
pub fn all() -> Vec<Arc<ScalarUDF>> {
    let kinds = [Which::Parse, Which::CanParse, Which::ExtractPathText, Which::FromVarbyte];
    kinds.into_iter().map(|which| Arc::new(ScalarUDF::from(JsonFunction::new(which)))).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Which {
    Parse,
    CanParse,
    ExtractPathText,
    FromVarbyte,
}

/// One of the functions.
#[derive(Debug, PartialEq, Eq, Hash)]
struct JsonFunction {
    which: Which,
    signature: Signature,
}

impl JsonFunction {
    fn new(which: Which) -> Self {
        let one = |kind| TypeSignature::Exact(vec![kind]);
        let shape = match which {
            Which::Parse | Which::CanParse => TypeSignature::OneOf(vec![one(DataType::Binary), one(DataType::Utf8)]),
            Which::ExtractPathText => TypeSignature::Variadic(vec![DataType::Utf8]),
            Which::FromVarbyte => TypeSignature::Exact(vec![DataType::Binary, DataType::Utf8]),
        };
        JsonFunction { which, signature: Signature::new(shape, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for JsonFunction {
    fn name(&self) -> &str {
        match self.which {
            Which::Parse => "json_parse",
            Which::CanParse => "can_json_parse",
            Which::ExtractPathText => "json_extract_path_text",
            Which::FromVarbyte => "from_varbyte",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(if self.which == Which::CanParse { DataType::Boolean } else { DataType::Utf8 })
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let Some((first, rest)) = arrays.split_first() else { return Err(wrong("needs an argument")) };
        let made: ArrayRef = match self.which {
            Which::Parse => Arc::new(rows(first).map(parsed).collect::<EngineResult<StringArray>>()?),
            Which::CanParse => Arc::new(rows(first).map(|row| row.map(is_json)).collect::<BooleanArray>()),
            Which::ExtractPathText => Arc::new(extracted(first, rest)?),
            Which::FromVarbyte => Arc::new(decoded(first, rest)?),
        };
        Ok(ColumnarValue::Array(made))
    }
}

fn wrong(message: &str) -> datafusion::error::DataFusionError {
    carried(Error::new(Kind::UndefinedFunction, message))
}

/// The bytes of each row, of text or binary.
fn rows(array: &ArrayRef) -> Box<dyn Iterator<Item = Option<&[u8]>> + '_> {
    match array.as_binary_opt::<i32>() {
        Some(bytes) => Box::new(bytes.iter()),
        None => Box::new(array.as_string::<i32>().iter().map(|text| text.map(str::as_bytes))),
    }
}

fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}

/// The text itself, where it is JSON: its numbers keep all their digits. 22P02.
fn parsed(bytes: Option<&[u8]>) -> EngineResult<Option<String>> {
    let Some(bytes) = bytes else { return Ok(None) };
    let invalid = |why: String| {
        let error = Error::new(Kind::InvalidText, format!("json_parse: not JSON: {why}"));
        carried(error.hint("Leave such records out: WHERE can_json_parse(kinesis_data)."))
    };
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).map_err(|error| invalid(error.to_string()))?;
    let text = std::str::from_utf8(bytes).map_err(|error| invalid(error.to_string()))?;
    Ok(Some(text.trim().to_string()))
}

/// What a path of keys and positions leads to; NULL where there is nothing. 22P02 for what is not JSON.
fn extracted(texts: &ArrayRef, path: &[ArrayRef]) -> EngineResult<StringArray> {
    let texts = texts.as_string::<i32>();
    let step = |value: Value, key: &str| match value {
        Value::Object(mut fields) => fields.remove(key),
        Value::Array(mut items) => {
            key.parse().ok().filter(|at| *at < items.len()).map(|at: usize| items.swap_remove(at))
        }
        _ => None,
    };
    let row = |index: usize| -> EngineResult<Option<String>> {
        if texts.is_null(index) || path.iter().any(|keys| keys.is_null(index)) {
            return Ok(None);
        }
        let invalid =
            |error| carried(Error::new(Kind::InvalidText, format!("json_extract_path_text: not JSON: {error}")));
        let value: Value = serde_json::from_str(texts.value(index)).map_err(invalid)?;
        let mut keys = path.iter().map(|keys| keys.as_string::<i32>().value(index));
        Ok(match keys.try_fold(value, step) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text),
            Some(other) => Some(other.to_string()),
        })
    };
    (0..texts.len()).map(row).collect()
}

/// Redshift's encodings of text. 22023 for another.
fn decoded(bytes: &ArrayRef, encodings: &[ArrayRef]) -> EngineResult<StringArray> {
    let Some(encodings) = encodings.first().map(|array| array.as_string::<i32>()) else {
        return Err(wrong("from_varbyte needs an encoding"));
    };
    let row = |(bytes, encoding): (Option<&[u8]>, Option<&str>)| -> EngineResult<Option<String>> {
        let (Some(bytes), Some(encoding)) = (bytes, encoding) else { return Ok(None) };
        match encoding.to_ascii_lowercase().as_str() {
            "utf-8" | "utf8" => match std::str::from_utf8(bytes) {
                Ok(text) => Ok(Some(text.to_string())),
                Err(_) => Err(carried(Error::new(Kind::InvalidText, "from_varbyte: the bytes are not UTF-8"))),
            },
            "hex" => Ok(Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())),
            other => {
                let message = format!("from_varbyte: encoding \"{other}\" is not supported");
                Err(carried(Error::new(Kind::InvalidParameter, message).hint("They are utf-8 and hex.")))
            }
        }
    };
    bytes.as_binary::<i32>().iter().zip(encodings.iter()).map(row).collect()
}
