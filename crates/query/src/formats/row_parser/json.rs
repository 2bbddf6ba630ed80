//! JSON values as rows: which part of a value goes to which column, and where a value ends.

use super::super::columns::ColumnBuilder;
use super::super::json_path::JsonPath;
use super::super::json_rows::{Members, scalar_text, value_bytes};
use super::super::load::{JsonColumns, LoadOptions, TextFormat};
use super::super::load_error::Fault;
use super::super::values::Bad;
use super::fields::{is_no_value, push_null};
use super::{RowParser, line_bytes};
use memchr::memchr_iter;
use serde_json::value::RawValue;
use tidegate_core::Result;

impl RowParser {
    pub(super) fn json_whole(&mut self, record: &[u8]) -> Result<(), Fault> {
        match record.is_empty() {
            true => Err(Fault::row(1211, record, "the record is empty")),
            false => self.json_row(record, None),
        }
    }

    pub(super) fn json_line(&mut self, rest: &[u8], last: bool, utf8: &str) -> Result<usize> {
        let used = line_bytes(rest, last);
        let line = rest.get(..used).unwrap_or_default().trim_ascii();
        if !line.is_empty() {
            match self.json_row(line, utf8.get(..used).map(str::trim_ascii)) {
                Ok(()) => self.row_done(used)?,
                Err(fault) => self.fault(fault, line)?,
            }
        }
        self.line += u64::from(used > 0);
        Ok(used)
    }

    /// A value that ends where its brackets do, and the line with it if nothing else is on it; or a line that begins
    /// none. `utf8` is what of the rest is known to be text.
    pub(super) fn json_value(&mut self, rest: &[u8], last: bool, utf8: &str) -> Result<usize> {
        let blank = rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if blank > 0 {
            self.line += memchr_iter(b'\n', rest.get(..blank).unwrap_or_default()).count() as u64;
            return Ok(blank);
        }
        let begins = matches!(rest.first(), Some(b'{' | b'['));
        if let Some(used) = self.json_object_on_a_line(rest, last, utf8)? {
            return Ok(used);
        }
        let used = match value_bytes(rest).filter(|_| begins) {
            Some(used) => used + blank_line(rest.get(used..).unwrap_or_default()),
            None if begins && !last => 0,
            None if begins => rest.len(),
            None => line_bytes(rest, last),
        };
        let whole = rest.get(..used).unwrap_or_default();
        let value = if begins { whole.trim_ascii_end() } else { whole };
        // Redshift tells the line on which an object ends.
        self.line += memchr_iter(b'\n', value.trim_ascii_end()).count() as u64;
        if used > 0 {
            match self.json_row(value, utf8.get(..value.len())) {
                Ok(()) => self.row_done(used)?,
                Err(fault) => self.fault(fault, value)?,
            }
            self.line += u64::from(whole.ends_with(b"\n"));
        }
        Ok(used)
    }

    /// The common case: the rest of the line is one object.
    fn json_object_on_a_line(&mut self, rest: &[u8], last: bool, utf8: &str) -> Result<Option<usize>> {
        let used = line_bytes(rest, last);
        let value = rest.get(..used).unwrap_or_default().trim_ascii_end();
        if !value.starts_with(b"{") || !value.ends_with(b"}") {
            return Ok(None);
        }
        match self.json_row(value, utf8.get(..value.len())) {
            Ok(()) => self.row_done(used)?,
            Err(fault) if value_bytes(rest) == Some(value.len()) => self.fault(fault, value)?,
            // Several values, or one that goes on.
            Err(_) => {
                self.columns.iter_mut().for_each(|(_, column)| column.truncate(self.rows));
                return Ok(None);
            }
        }
        self.line += u64::from(rest.get(..used).is_some_and(|line| line.ends_with(b"\n")));
        Ok(Some(used))
    }

    /// `text` is the line, where it is known to be text.
    fn json_row(&mut self, line: &[u8], text: Option<&str>) -> Result<(), Fault> {
        let paths = matches!(self.options.format, TextFormat::Json(JsonColumns::Paths(_) | JsonColumns::Whole));
        if line.starts_with(b"[") && !paths {
            return Err(Fault::row(1216, line, "a JSON file here holds one JSON object per line, not an array"));
        }
        let Some(text) = text.or_else(|| std::str::from_utf8(line).ok()) else {
            return match self.columns.first().filter(|_| self.options.rules.redshift) {
                Some((_, column)) => Err(Fault::value(column, line, Bad::Encoding)),
                None => Err(Fault::row(1220, line, "invalid byte sequence for encoding UTF8")),
            };
        };
        let invalid = |error: &dyn std::fmt::Display| Fault::row(1216, line, format!("invalid JSON: {error}"));
        match &self.options.format {
            TextFormat::Json(JsonColumns::Whole) => {
                let whole = json_text(text).map_err(|error| invalid(&error))?;
                for (_, column) in &mut self.columns {
                    push_json(column, Some(whole), &self.options, line, true)?;
                }
            }
            TextFormat::Json(JsonColumns::Paths(paths)) => {
                let whole = json_text(text).map_err(|error| invalid(&error))?;
                let members = self.first_members.as_ref().filter(|_| line.starts_with(b"{"));
                let members = members.map(|names| Members::read(text, names, true)).transpose();
                let members = members.map_err(|error| invalid(&error))?;
                for (at, column) in &mut self.columns {
                    let found = match (paths.get(*at), &members) {
                        (None, _) => Ok(None),
                        (Some(path), Some(members)) => match first_of(members, path.first_member()) {
                            Some(from) => path.follow(from, 1),
                            None => Ok(None),
                        },
                        (Some(path), None) => path.follow(whole, 0),
                    };
                    let found =
                        found.map_err(|why| Fault::row(1216, line, format!("Invalid JSONPath format: {why}")))?;
                    push_json(column, found, &self.options, line, false)?;
                }
            }
            format => {
                let exact = matches!(format, TextFormat::Json(JsonColumns::Exact));
                let members = Members::read(text, &self.names, exact).map_err(|error| invalid(&error))?;
                for (at, column) in &mut self.columns {
                    push_json(column, members.found.get(*at).copied().flatten(), &self.options, line, false)?;
                }
            }
        }
        Ok(())
    }
}

/// The names that paths begin with, each once; None where one begins with something else.
pub(super) fn first_members(paths: &[JsonPath]) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for path in paths {
        let name = path.first_member()?.to_string();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Some(names)
}

/// The member that a path begins with.
fn first_of<'j>(members: &Members<'_, 'j>, name: Option<&str>) -> Option<&'j str> {
    let at = members.names.iter().position(|own| Some(own.as_str()) == name)?;
    members.found.get(at).copied().flatten()
}

/// A text that is one JSON value, without the blanks around it.
fn json_text(text: &str) -> serde_json::Result<&str> {
    serde_json::from_str::<&RawValue>(text).map(RawValue::get)
}

/// Bytes of a line on which nothing more stands; 0 when there is more, or no line end yet.
fn blank_line(rest: &[u8]) -> usize {
    let used = line_bytes(rest, false);
    if rest.get(..used).is_some_and(|line| line.trim_ascii().is_empty()) { used } else { 0 }
}

fn push_json(
    column: &mut ColumnBuilder,
    raw: Option<&str>,
    options: &LoadOptions,
    line: &[u8],
    whole: bool,
) -> Result<(), Fault> {
    let raw = raw.unwrap_or("null");
    if column.takes_json() && raw != "null" {
        return column.push(raw.as_bytes(), true).map_err(|bad| Fault::value(column, raw.as_bytes(), bad));
    }
    let text = if whole { Ok(Some(raw.into())) } else { scalar_text(raw) };
    let text = text.map_err(|error| Fault::row(1216, line, format!("invalid JSON: {error}")))?;
    let null = options.null.as_deref();
    let pushed = match text.filter(|text| null != Some(text.as_ref())) {
        None => push_null(column),
        Some(text) if text.is_empty() && (!column.holds_empty() || json_empty_is_null(options)) => push_null(column),
        Some(text) if is_no_value(column, text.as_bytes(), true, options) => push_null(column),
        Some(text) => {
            let text = if raw.starts_with('"') { text } else { column.json_number(text) };
            match column.push(text.as_bytes(), true) {
                Err(_) if options.rules.any_date && column.is_date() => push_null(column),
                pushed => pushed,
            }
        }
    };
    pushed.map_err(|bad| Fault::value(column, raw.trim_matches('"').as_bytes(), bad))
}

/// EMPTYASNULL, which of JSON has no other meaning.
fn json_empty_is_null(options: &LoadOptions) -> bool {
    options.empty_as_null && options.rules.redshift
}
