//! Functions of texts and arrays that clients build their queries with.

use super::super::cell::Cell;
use super::super::names;
use super::super::snapshot::PgSnapshot;
use super::{Definition, text};
use tidegate_core::{Error, Kind, Result};

/// What is defined here.
pub const FUNCTIONS: &[Definition] = &[
    Definition::strict("quote_ident", 1..=1, "text", |_, a| Ok(names::quote(text(a, 0)).into())),
    Definition::strict("quote_literal", 1..=1, "text", |_, a| Ok(literal(a).into())),
    Definition::lenient("quote_nullable", 1..=1, "text", |_, a| Ok(literal(a).into())),
    Definition::lenient("format", 1..=FORMAT_ARGUMENTS_MAX, "text", format),
    Definition::strict("parse_ident", 1..=2, "_text", parse_ident),
    Definition::strict("pg_size_pretty", 1..=1, "text", size_pretty),
    Definition::strict("array_upper", 2..=2, "int4", |_, a| Ok(bound(a, length(a)))),
    Definition::strict("array_lower", 2..=2, "int4", |_, a| Ok(bound(a, Some(1)))),
];

/// Arguments that `format` takes.
const FORMAT_ARGUMENTS_MAX: usize = 10;

fn literal(arguments: &[Cell]) -> String {
    match arguments.first() {
        None | Some(Cell::Null) => "NULL".to_string(),
        Some(cell) => quoted(&plain(cell)),
    }
}

fn quoted(text: &str) -> String {
    let escape = if text.contains('\\') { "E" } else { "" };
    format!("{escape}'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

fn plain(cell: &Cell) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Bool(value) => if *value { "t" } else { "f" }.to_string(),
        Cell::Int(value) => value.to_string(),
        Cell::Float(value) => value.to_string(),
        Cell::Text(value) => value.clone(),
        Cell::Ints(values) => {
            let values: Vec<_> = values.iter().map(i64::to_string).collect();
            format!("{{{}}}", values.join(","))
        }
        Cell::Texts(values) => format!("{{{}}}", values.join(",")),
    }
}

/// `%s`, `%I`, `%L` and `%%` in their order.
fn format(_: &PgSnapshot, arguments: &[Cell]) -> Result<Cell> {
    let Some(template) = arguments.first().and_then(Cell::text) else { return Ok(Cell::Null) };
    let mut values = arguments.iter().skip(1);
    let mut made = String::new();
    let mut chars = template.chars();
    let too_few = || Error::new(Kind::InvalidParameter, "too few arguments for format()");
    while let Some(c) = chars.next() {
        if c != '%' {
            made.push(c);
            continue;
        }
        match chars.next() {
            Some('%') => made.push('%'),
            Some('s') => made.push_str(&plain(values.next().ok_or_else(too_few)?)),
            Some('I') => made.push_str(&names::quote(&plain(values.next().ok_or_else(too_few)?))),
            Some('L') => made.push_str(&literal(std::slice::from_ref(values.next().ok_or_else(too_few)?))),
            other => {
                let shown = other.map(String::from).unwrap_or_default();
                let message = format!("unrecognized format() type specifier \"{shown}\"");
                return Err(Error::new(Kind::InvalidParameter, message).hint("For a single \"%\" use \"%%\"."));
            }
        }
    }
    Ok(made.into())
}

fn parse_ident(_: &PgSnapshot, arguments: &[Cell]) -> Result<Cell> {
    let name = text(arguments, 0);
    let parts = names::parts(name);
    let wrong = || Error::new(Kind::InvalidParameter, format!("string is not a valid identifier: \"{name}\""));
    parts.map(Cell::Texts).ok_or_else(wrong)
}

/// As Postgres: a unit is left only at ten times the next, and halves are rounded up.
fn size_pretty(_: &PgSnapshot, arguments: &[Cell]) -> Result<Cell> {
    let Some(bytes) = arguments.first().and_then(Cell::int) else { return Ok(Cell::Null) };
    let (mut size, mut unit) = (bytes.unsigned_abs(), "bytes");
    let mut halves = false;
    for larger in ["kB", "MB", "GB", "TB", "PB"] {
        let limit = if halves { 20 * 1024 - 1 } else { 10 * 1024 };
        if size < limit {
            break;
        }
        // From here on the number counts halves of its unit, so that it can be rounded at the end.
        size >>= if halves { 10 } else { 9 };
        (halves, unit) = (true, larger);
    }
    let size = if halves { size.div_ceil(2) } else { size };
    let sign = if bytes < 0 { "-" } else { "" };
    Ok(format!("{sign}{size} {unit}").into())
}

fn length(arguments: &[Cell]) -> Option<usize> {
    match arguments.first()? {
        Cell::Ints(values) => Some(values.len()),
        Cell::Texts(values) => Some(values.len()),
        _ => None,
    }
}

/// A bound of the first dimension; arrays have no other here.
fn bound(arguments: &[Cell], bound: Option<usize>) -> Cell {
    let first = arguments.get(1).and_then(Cell::int) == Some(1);
    let filled = length(arguments).is_some_and(|length| length > 0);
    bound.filter(|_| first && filled).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_pretty() {
        let cases = [
            (0, "0 bytes"),
            (10239, "10239 bytes"),
            (10240, "10 kB"),
            (10 << 20, "10 MB"),
            ((10 << 20) - 1, "10 MB"),
            (10_485_247, "10239 kB"),
            (15_360, "15 kB"),
            (1 << 40, "1024 GB"),
            (-20_000, "-20 kB"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(size_pretty(&PgSnapshot::default(), &[Cell::Int(bytes)]).unwrap(), expected.into());
        }
    }

    #[test]
    fn format_quotes() {
        let of = |arguments: &[Cell]| format(&PgSnapshot::default(), arguments);
        assert_eq!(of(&["%I.%I".into(), "public".into(), "A b".into()]).unwrap(), "public.\"A b\"".into());
        assert_eq!(of(&["%s%%%L".into(), 1.into(), "it's".into()]).unwrap(), "1%'it''s'".into());
        assert_eq!(of(&["%L".into(), Cell::Null]).unwrap(), "NULL".into());
        assert_eq!(of(&["%s".into()]).unwrap_err().kind(), Kind::InvalidParameter);
        assert!(of(&["%x".into()]).is_err());
    }
}
