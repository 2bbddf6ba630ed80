//! `json` and `jsonb`: to the engine texts, whose fields say what they are. `json` is the text as it was written, `jsonb`
//! one text for each value.
//!
//! 1. [`value`] reads a value level by level; [`look`], [`change`] and [`make`] are the functions over such texts.
//! 2. [`operators`] gives the planner the functions for operators, where it sees a value.
//! 3. [`sets`] are the functions that give rows: lists, and the engine's UNNEST around them.

mod change;
mod look;
mod make;
mod operators;
mod sets;
mod value;

pub use operators::JsonPlanner;
pub use sets::{EACH, read_sources, rewrite_items};

use super::array_text;
use super::scalar::{Call, Scalar};
use crate::fault::carried;
use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};
use sqlparser::ast::{
    BinaryOperator, DataType as SqlName, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Value,
};
use std::sync::Arc;
use tidegate_core::{Error, Kind};

/// All functions.
pub fn functions() -> Vec<Scalar> {
    [look::functions(), change::functions(), make::functions(), sets::functions()].into_iter().flatten().collect()
}

/// Functions whose first argument is a `jsonb`: a text in quotes there becomes one.
const OF_JSONB: &[&str] =
    &["jsonb_array_elements", "jsonb_each", "jsonb_extract_path", "jsonb_set", "jsonb_insert", "jsonb_strip_nulls"];

/// Puts functions in the places of casts, and of operators that nothing else has.
pub fn rewrite(expr: &mut Expr) {
    if let Expr::Function(function) = expr {
        if OF_JSONB.contains(&crate::pg::build::function_name(function).as_str()) {
            read_first(function);
        }
        return;
    }
    let (name, arguments) = match &*expr {
        Expr::Cast { data_type, expr: inner, .. } => match cast_name(data_type) {
            Some(name) => (name, vec![inner.as_ref().clone()]),
            None => return,
        },
        Expr::TypedString(typed) => match cast_name(&typed.data_type) {
            Some(name) => (name, vec![Expr::Value(typed.value.clone())]),
            None => return,
        },
        Expr::BinaryOp { left, op, right } => {
            let name = match op {
                BinaryOperator::LongArrow => "json_get_text",
                BinaryOperator::HashLongArrow => "json_get_path_text",
                BinaryOperator::HashMinus => "jsonb_delete_path",
                BinaryOperator::Question => "jsonb_exists",
                BinaryOperator::QuestionPipe => "jsonb_exists_any",
                BinaryOperator::QuestionAnd => "jsonb_exists_all",
                _ => return,
            };
            (name, vec![left.as_ref().clone(), right.as_ref().clone()])
        }
        _ => return,
    };
    *expr = crate::pg::build::call(name, arguments);
}

fn read_first(function: &mut Function) {
    if let FunctionArguments::List(list) = &mut function.args
        && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(document))) = list.args.first_mut()
    {
        *document = read(document);
    }
}

/// A text in quotes as `jsonb`; everything else as it is.
fn read(document: &Expr) -> Expr {
    match document {
        Expr::Value(value) if matches!(value.value, Value::SingleQuotedString(_)) => {
            crate::pg::build::call("jsonb_in", vec![document.clone()])
        }
        other => other.clone(),
    }
}

fn cast_name(data_type: &SqlName) -> Option<&'static str> {
    match data_type {
        SqlName::JSON => Some("json_in"),
        SqlName::JSONB => Some("jsonb_in"),
        _ => None,
    }
}

fn each(call: &Call, of: impl Fn(&str) -> Result<Option<String>>) -> Result<ArrayRef> {
    let rows = call.texts(0)?;
    let made = rows.iter().map(|text| text.map_or(Ok(None), &of)).collect::<Result<StringArray>>()?;
    Ok(Arc::new(made))
}

fn row_error(kind: Kind, message: &str) -> DataFusionError {
    carried(Error::new(kind, message))
}

/// A list of texts.
type Texts = Vec<Option<String>>;

/// An argument as lists of texts: an array, or the text of one.
fn list_of(array: &ArrayRef) -> Result<Vec<Option<Texts>>> {
    if array.data_type().is_string() || array.data_type().is_null() {
        let texts = cast(array, &DataType::Utf8)?;
        let read = |text: Option<&str>| text.map(array_text::items).transpose();
        return texts.as_string::<i32>().iter().map(read).collect::<tidegate_core::Result<_>>().map_err(carried);
    }
    let lists = cast(array, &DataType::new_list(DataType::Utf8, true))?;
    let items = |list: ArrayRef| list.as_string::<i32>().iter().map(|item| item.map(str::to_string)).collect();
    Ok(lists.as_list::<i32>().iter().map(|list| list.map(items)).collect())
}
