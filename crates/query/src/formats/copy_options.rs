//! The options of COPY, as the loader of text takes them.

use super::field_rules::{FieldRules, Lengths};
use super::pattern::{Pattern, TimeFormat};
use super::{Compression, LoadOptions, TextFormat};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::CopyOptions;

/// Puts what COPY's options say over a format's defaults.
pub fn apply_copy_options(load: &mut LoadOptions, options: &CopyOptions) -> Result<()> {
    let delimiter = options.delimiter.map(|given| one_byte("DELIMITER", given)).transpose()?;
    let quote = options.quote.map(|given| one_byte("QUOTE", given)).transpose()?;
    let escape = options.escape.map(|given| one_byte("ESCAPE", given)).transpose()?;
    match &mut load.format {
        TextFormat::Csv { delimiter: d, quote: q, escape: e } => {
            *d = delimiter.unwrap_or(*d);
            *q = quote.or(*q);
            *e = if options.backslash_escape { Some(b'\\') } else { escape.or(*e) };
        }
        TextFormat::PostgresText { delimiter: d } => *d = delimiter.unwrap_or(*d),
        TextFormat::JsonLines | TextFormat::Json(_) | TextFormat::Fixed(_) => {}
    }
    // A null string of one's own makes the empty field a value.
    load.empty_as_null = options.empty_as_null || (load.empty_as_null && options.null.is_none());
    load.null = options.null.as_deref().map(null_text).or(load.null.take());
    load.header = options.header.unwrap_or(load.header);
    load.ignore_header = usize::try_from(options.ignore_header).unwrap_or(usize::MAX);
    load.fill_missing |= options.fill_record;
    Ok(())
}

/// The text of NULL AS: `\0` and `\000` stand for NUL.
fn null_text(text: &str) -> String {
    match text {
        "\\0" | "\\000" => "\0".to_string(),
        "\\\\N" => "\\N".to_string(),
        other => other.to_string(),
    }
}

/// The options of Redshift's COPY that bend single fields.
pub fn redshift_rules(options: &CopyOptions) -> Result<FieldRules> {
    Ok(FieldRules {
        redshift: true,
        lengths: if options.truncate_columns { Lengths::Cut } else { Lengths::Checked },
        blanks_as_null: options.blanks_as_null,
        trim_blanks: options.trim_blanks,
        remove_quotes: options.remove_quotes,
        cut_decimals: !options.round_decimals,
        any_date: options.accept_any_date,
        invalid_char: options.accept_invalid_chars.map(|given| one_byte("ACCEPTINVCHARS", given)).transpose()?,
        date_format: options.date_format.as_deref().map(Pattern::of_dates).transpose()?.flatten(),
        zone: None,
        time_format: options.time_format.as_deref().map(TimeFormat::parse).transpose()?.unwrap_or_default(),
    })
}

/// The compression that a statement names.
pub fn compression_of(named: Option<tidegate_parser::Compression>) -> Option<Compression> {
    named.map(|named| match named {
        tidegate_parser::Compression::Gzip => Compression::Gzip,
        tidegate_parser::Compression::Bzip2 => Compression::Bzip2,
        tidegate_parser::Compression::Zstd => Compression::Zstd,
    })
}

/// A character that is one byte; 22023.
pub fn one_byte(option: &str, given: char) -> Result<u8> {
    u8::try_from(given).ok().filter(u8::is_ascii).ok_or_else(|| {
        Error::new(Kind::InvalidParameter, format!("{option} must be a single one-byte character, not {given:?}"))
    })
}
