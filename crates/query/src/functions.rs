//! Functions of Postgres and Redshift that the engine lacks.

use crate::fault::carried;
use arrow::array::{ArrayRef, AsArray, BinaryArray, StringArray};
use arrow::datatypes::DataType;
use datafusion::common::cast::{as_binary_array, as_string_array};
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use std::sync::Arc;
use tidegate_core::{Error, Kind};

/// All of them.
pub fn all() -> Vec<Arc<ScalarUDF>> {
    let binary_to_text = create_udf(
        "convert_from",
        vec![DataType::Binary, DataType::Utf8],
        DataType::Utf8,
        Volatility::Immutable,
        Arc::new(|arguments| two(arguments, convert_from)),
    );
    let text_to_binary = create_udf(
        "convert_to",
        vec![DataType::Utf8, DataType::Utf8],
        DataType::Binary,
        Volatility::Immutable,
        Arc::new(|arguments| two(arguments, convert_to)),
    );
    let encoded = create_udf(
        "from_varbyte",
        vec![DataType::Binary, DataType::Utf8],
        DataType::Utf8,
        Volatility::Immutable,
        Arc::new(|arguments| two(arguments, from_varbyte)),
    );
    vec![Arc::new(binary_to_text), Arc::new(text_to_binary), Arc::new(encoded)]
}

fn two(
    arguments: &[ColumnarValue],
    function: fn(&ArrayRef, &ArrayRef) -> EngineResult<ArrayRef>,
) -> EngineResult<ColumnarValue> {
    let arrays = ColumnarValue::values_to_arrays(arguments)?;
    match arrays.as_slice() {
        [first, second] => function(first, second).map(ColumnarValue::Array),
        _ => Err(DataFusionError::Internal("two arguments are expected".to_string())),
    }
}

/// Only UTF8 is known. 22023 for another encoding.
fn check_encoding(names: &ArrayRef) -> EngineResult<()> {
    let known = |name: &str| matches!(name.to_ascii_lowercase().as_str(), "utf8" | "utf-8" | "unicode");
    match as_string_array(names)?.iter().flatten().find(|name| !known(name)) {
        Some(name) => Err(carried(Error::new(Kind::InvalidParameter, format!("encoding \"{name}\" is not supported")))),
        None => Ok(()),
    }
}

fn convert_from(bytes: &ArrayRef, encodings: &ArrayRef) -> EngineResult<ArrayRef> {
    check_encoding(encodings)?;
    let text = |bytes: Option<&[u8]>| -> EngineResult<Option<String>> {
        let Some(bytes) = bytes else { return Ok(None) };
        let invalid = |_| carried(Error::new(Kind::InvalidText, "invalid byte sequence for encoding \"UTF8\""));
        std::str::from_utf8(bytes).map(|text| Some(text.to_string())).map_err(invalid)
    };
    let converted: StringArray = as_binary_array(bytes)?.iter().map(text).collect::<EngineResult<_>>()?;
    Ok(Arc::new(converted))
}

fn convert_to(text: &ArrayRef, encodings: &ArrayRef) -> EngineResult<ArrayRef> {
    check_encoding(encodings)?;
    let converted: BinaryArray = text.as_string::<i32>().iter().map(|text| text.map(str::as_bytes)).collect();
    Ok(Arc::new(converted))
}

/// Redshift's encodings of text. 22023 for another.
fn from_varbyte(bytes: &ArrayRef, encodings: &ArrayRef) -> EngineResult<ArrayRef> {
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
    let rows = as_binary_array(bytes)?.iter().zip(as_string_array(encodings)?.iter()).map(row);
    Ok(Arc::new(rows.collect::<EngineResult<StringArray>>()?))
}
