//! The engine's errors become ours: the one place that reads them.

use crate::scope::SEARCH_PATH;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;
use tidegate_core::{Error, Kind, nearest};

/// Before an error of ours where it may have to travel: the distributed engine carries texts between nodes, no types.
const OURS: &str = "tidegate error: ";

/// Our error as the engine carries it, within a node and between nodes. [`from_datafusion`] gives it back whole.
pub fn carried(error: Error) -> DataFusionError {
    let text = serde_json::to_string(&error).unwrap_or_default();
    DataFusionError::Context(format!("{OURS}{text}"), Box::new(DataFusionError::External(Box::new(error))))
}

fn ours(context: &str) -> Option<Error> {
    serde_json::from_str(context.strip_prefix(OURS)?).ok()
}

/// Reads an error of the engine: its kind, and a sentence without the engine's wrappings.
pub fn from_datafusion(error: DataFusionError) -> Error {
    match error {
        DataFusionError::External(inner) => match inner.downcast::<Error>() {
            Ok(ours) => *ours,
            Err(other) => Error::new(Kind::External, other.to_string()),
        },
        DataFusionError::Context(context, inner) => ours(&context).unwrap_or_else(|| from_datafusion(*inner)),
        DataFusionError::Diagnostic(_, inner) => from_datafusion(*inner),
        DataFusionError::Shared(inner) => from_shared(&inner),
        DataFusionError::Collection(errors) => match errors.into_iter().next() {
            Some(first) => from_datafusion(first),
            None => Error::internal("the engine failed without saying why"),
        },
        DataFusionError::SchemaError(inner, _) => from_schema(&inner),
        DataFusionError::SQL(inner, _) => from_parser(&inner),
        DataFusionError::ArrowError(inner, _) => from_text(&inner.to_string(), Kind::Internal),
        DataFusionError::ResourcesExhausted(message) if message.contains("exceeded the allowable limit") => {
            Error::new(Kind::DiskFull, message).hint("Raise storage_limit, or let the statement read less at once.")
        }
        DataFusionError::ResourcesExhausted(message) => out_of_memory(&message),
        DataFusionError::NotImplemented(message) => {
            undefined_type(&message).unwrap_or_else(|| Error::new(Kind::Unsupported, message))
        }
        DataFusionError::Plan(message) => from_text(&message, Kind::Syntax),
        DataFusionError::Execution(message) => from_text(&message, Kind::Internal),
        DataFusionError::ParquetError(inner) => Error::new(Kind::DataCorrupted, inner.to_string())
            .hint("A Parquet file is not whole, or is of another format."),
        DataFusionError::ObjectStore(inner) => {
            let missing = matches!(*inner, object_store::Error::NotFound { .. });
            Error::new(if missing { Kind::UndefinedFile } else { Kind::Io }, inner.to_string())
        }
        DataFusionError::IoError(inner) => Error::from(inner),
        other => from_text(&other.strip_backtrace(), Kind::Internal),
    }
}

fn out_of_memory(message: &str) -> Error {
    let told = crate::memory::told(message);
    let hint = match told.contains("query_memory_limit") {
        true => "Raise query_memory_limit, or let the statement read less at once.",
        false => "Let other queries end first, or start the server with a higher memory_limit.",
    };
    Error::new(Kind::OutOfMemory, told).hint(hint)
}

fn from_shared(error: &DataFusionError) -> Error {
    match error {
        DataFusionError::ResourcesExhausted(message) if !message.contains("exceeded the allowable limit") => {
            out_of_memory(message)
        }
        DataFusionError::External(inner) => match inner.downcast_ref::<Error>() {
            Some(ours) => ours.clone(),
            None => Error::new(Kind::External, inner.to_string()),
        },
        DataFusionError::Context(context, inner) => ours(context).unwrap_or_else(|| from_shared(inner)),
        other => from_text(&other.strip_backtrace(), Kind::Internal),
    }
}

fn from_schema(error: &SchemaError) -> Error {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let error = Error::new(Kind::UndefinedColumn, format!("column \"{}\" does not exist", field.name()));
            match nearest(field.name(), valid_fields.iter().map(|valid| valid.name())) {
                Some(near) => error.hint(format!("Perhaps you meant to reference the column \"{near}\".")),
                None => error,
            }
        }
        SchemaError::DuplicateQualifiedField { name, .. } | SchemaError::DuplicateUnqualifiedField { name } => {
            Error::new(Kind::DuplicateColumn, format!("column \"{name}\" is given more than once"))
        }
        SchemaError::AmbiguousReference { field } => {
            Error::new(Kind::AmbiguousColumn, format!("column reference \"{}\" is ambiguous", field.name))
        }
    }
}

fn from_parser(error: &ParserError) -> Error {
    let message = match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text.clone(),
        ParserError::RecursionLimitExceeded => "the statement is nested too deeply".to_string(),
    };
    Error::new(Kind::Syntax, message)
}

/// Messages that tell a kind which the engine's own error does not: what they hold, and what it means.
const TOLD_BY_TEXT: &[(&str, Kind)] = &[
    ("divide by zero", Kind::DivisionByZero),
    ("Divide by zero", Kind::DivisionByZero),
    ("overflow", Kind::OutOfRange),
    ("Can't cast value", Kind::OutOfRange),
    ("Cannot cast string", Kind::InvalidText),
    ("Error parsing timestamp", Kind::InvalidText),
    ("Parser error", Kind::InvalidText),
    ("Cast error", Kind::InvalidText),
    ("can't be represented", Kind::OutOfRange),
    ("exceeds size limit", Kind::ProgramLimit),
    ("CompiledTooBig", Kind::ProgramLimit),
    ("Invalid function", Kind::UndefinedFunction),
    ("must appear in the GROUP BY", Kind::Grouping),
    ("must be in GROUP BY", Kind::Grouping),
    ("more than one row", Kind::Cardinality),
    ("not found", Kind::UndefinedTable),
    ("coercion", Kind::DatatypeMismatch),
    ("Cannot coerce", Kind::DatatypeMismatch),
    ("Cannot access field", Kind::DatatypeMismatch),
    ("Parquet argument error", Kind::DataCorrupted),
    ("Parquet error", Kind::DataCorrupted),
];

fn from_text(message: &str, otherwise: Kind) -> Error {
    let meant = message.split("Did you mean '").nth(1).and_then(|rest| rest.split('\'').next());
    let message = message.lines().next().unwrap_or(message);
    let told = TOLD_BY_TEXT.iter().find(|(part, _)| message.contains(part)).map_or(otherwise, |(_, kind)| *kind);
    if told == Kind::DivisionByZero {
        return Error::new(told, "division by zero");
    }
    if let Some(error) = unreadable(message).or_else(|| undefined_type(message)) {
        return error;
    }
    if let Some(name) = undefined_function(message) {
        return no_function(name, meant);
    }
    let words = undefined_table(message).or_else(|| grouping(message));
    Error::new(told, words.unwrap_or_else(|| message.to_string()))
}

/// `Cannot cast string 'x' to value of Int32 type` in Postgres' words, and with its states for dates and times.
fn unreadable(message: &str) -> Option<Error> {
    let (text, rest) = message.split_once("Cannot cast string '")?.1.split_once("' to value of ")?;
    let told = rest.strip_suffix(" type").unwrap_or(rest);
    let (name, of_time) = match told.split(['(', ' ']).next().unwrap_or(told) {
        "Boolean" => ("boolean", false),
        "Int8" | "Int16" => ("smallint", false),
        "Int32" => ("integer", false),
        "Int64" => ("bigint", false),
        "Float32" => ("real", false),
        "Float64" => ("double precision", false),
        "Decimal128" | "Decimal256" => ("numeric", false),
        "Date32" | "Date64" => ("date", true),
        "Time32" | "Time64" => ("time", true),
        "Timestamp" => ("timestamp", true),
        "Interval" => ("interval", true),
        _ => return None,
    };
    let kind = if of_time { Kind::DatetimeFormat } else { Kind::InvalidText };
    Some(Error::new(kind, format!("invalid input syntax for type {name}: \"{text}\"")))
}

/// A type that the parser knows as somebody's own, of which there are none.
fn undefined_type(message: &str) -> Option<Error> {
    let name = message.split_once("Unsupported SQL type ")?.1;
    let own = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    own.then(|| Error::new(Kind::UndefinedObject, format!("type \"{name}\" does not exist")))
}

/// `table 'dev.public.t' not found` in Postgres' words.
fn undefined_table(message: &str) -> Option<String> {
    let name = message.split("table '").nth(1)?.split("' not found").next()?;
    let name = name.strip_prefix(crate::DATABASE).and_then(|rest| rest.strip_prefix('.')).unwrap_or(name);
    let name = name.strip_prefix(SEARCH_PATH).and_then(|rest| rest.strip_prefix('.')).unwrap_or(name);
    Some(format!("relation \"{name}\" does not exist"))
}

/// A column that is neither grouped by nor aggregated, in Postgres' words.
fn grouping(message: &str) -> Option<String> {
    let column = message.split("expression '").nth(1).or_else(|| message.split('"').nth(1));
    message.contains("GROUP BY").then(|| {
        let column = column.and_then(|rest| rest.split(['\'', '"']).next()).unwrap_or("of the query");
        format!("column \"{column}\" must appear in the GROUP BY clause or be used in an aggregate function")
    })
}

/// The name in `Invalid function 'x'. …`.
fn undefined_function(message: &str) -> Option<&str> {
    message.split("Invalid function '").nth(1)?.split('\'').next()
}

/// 42883 in Postgres' words, with the engine's guess where that is near enough.
fn no_function(name: &str, meant: Option<&str>) -> Error {
    let error = Error::new(Kind::UndefinedFunction, format!("function {name} does not exist"));
    match meant.and_then(|meant| nearest(name, [meant])) {
        Some(near) => error.hint(format!("Perhaps you meant {near}.")),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::error::ArrowError;

    #[test]
    fn each_error_gets_the_state_that_a_postgres_client_knows() {
        let ours = Error::new(Kind::DiskFull, "no space left");
        let cases = [
            (DataFusionError::External(Box::new(ours)), Kind::DiskFull),
            (DataFusionError::NotImplemented("x".into()), Kind::Unsupported),
            (DataFusionError::ResourcesExhausted("x".into()), Kind::OutOfMemory),
            (DataFusionError::Execution("Divide by zero error: divide by zero".into()), Kind::DivisionByZero),
            (DataFusionError::ArrowError(Box::new(ArrowError::DivideByZero), None), Kind::DivisionByZero),
            (DataFusionError::Plan("Invalid function 'nope'.\nDid you mean".into()), Kind::UndefinedFunction),
            (DataFusionError::Plan("table 'dev.public.t' not found".into()), Kind::UndefinedTable),
            (DataFusionError::Plan("x".into()).context("y"), Kind::Syntax),
        ];
        for (error, want) in cases {
            let text = error.to_string();
            assert_eq!(from_datafusion(error).kind(), want, "{text}");
        }
    }
}
