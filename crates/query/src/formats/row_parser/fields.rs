//! Fields of delimited text as values of their columns.

use super::super::columns::ColumnBuilder;
use super::super::load::LoadOptions;
use super::super::records::{self, Dialect, Field};
use super::super::values::Bad;
use memchr::memchr;

/// The values of a row up to a column, for `stl_loaderror_detail`.
pub(super) fn parsed(
    names: &[String],
    options: &LoadOptions,
    record: &[u8],
    fields: &[Field],
    last: usize,
) -> Vec<(String, String, bool)> {
    let value = |name: &String, field: &Field| {
        let raw = record.get(field.start..field.end).unwrap_or_default();
        let null = options.null.as_deref().is_some_and(|null| null.as_bytes() == raw) && !field.quoted;
        (name.clone(), String::from_utf8_lossy(raw).replace('\0', "\u{2400}"), null)
    };
    names.iter().zip(fields).take(last + 1).map(|(name, field)| value(name, field)).collect()
}

/// Adds a field to its column; on an error, what is wrong and with which text.
pub(super) fn push_field(
    column: &mut ColumnBuilder,
    record: &[u8],
    field: Field,
    options: &LoadOptions,
    dialect: &Dialect,
    utf8: bool,
    scratch: &mut Vec<u8>,
) -> Result<(), (Bad, Vec<u8>)> {
    let raw = record.get(field.start..field.end).unwrap_or_default();
    // NULL is told before escapes are undone: `\N` is NULL, `\\N` is text.
    let null = options.null.as_deref().filter(|_| !field.quoted).map(str::as_bytes);
    let is_null = match null {
        Some(b"\0") if raw.len() > 1 && memchr(0, raw).is_some() => return Err((Bad::Nul, raw.to_vec())),
        Some(null) => null == raw,
        None => false,
    };
    let empty_null =
        raw.is_empty() && !field.quoted && (options.empty_as_null || (!column.holds_empty() && !dialect.postgres));
    if is_null || empty_null || is_no_value(column, raw, field.quoted, options) {
        return push_null(column).map_err(|bad| (bad, raw.to_vec()));
    }
    let checked = utf8 && !(field.escaped && dialect.postgres);
    let text = records::text(record, field, dialect, scratch);
    match column.push(text, checked) {
        Err(_) if options.rules.any_date && column.is_date() => push_null(column).map_err(|bad| (bad, text.to_vec())),
        pushed => pushed.map_err(|bad| (bad, text.to_vec())),
    }
}

/// Text that the rules take for NULL: blanks in text with BLANKSASNULL, and blanks where only a number can stand.
pub(super) fn is_no_value(column: &ColumnBuilder, raw: &[u8], quoted: bool, options: &LoadOptions) -> bool {
    let rules = &options.rules;
    if !rules.redshift || (raw.is_empty() && !quoted) {
        return false;
    }
    let blank = raw.iter().all(u8::is_ascii_whitespace);
    match column.is_text() {
        true => rules.blanks_as_null && blank && !raw.is_empty(),
        false => blank && !column.holds_empty(),
    }
}

/// Adds a NULL where the column takes one.
pub(super) fn push_null(column: &mut ColumnBuilder) -> Result<(), Bad> {
    if !column.nullable() {
        return Err(Bad::Null);
    }
    column.push_null();
    Ok(())
}
