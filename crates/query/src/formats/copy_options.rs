//! The options of COPY, as the loader of text takes them.

use super::{Compression, LoadOptions, TextFormat};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::CopyOptions;

/// Puts what COPY's options say over a format's defaults.
pub fn apply_copy_options(load: &mut LoadOptions, options: &CopyOptions) -> Result<()> {
    let delimiter = options.delimiter.map(|given| one_byte("DELIMITER", given)).transpose()?;
    let quote = options.quote.map(|given| one_byte("QUOTE", given)).transpose()?;
    let escape = options.escape.map(|given| one_byte("ESCAPE", given)).transpose()?;
    load.format = match load.format {
        TextFormat::Csv { delimiter: d, quote: q, escape: e } => TextFormat::Csv {
            delimiter: delimiter.unwrap_or(d),
            quote: quote.or(q),
            escape: if options.backslash_escape { Some(b'\\') } else { escape.or(e) },
        },
        TextFormat::PostgresText { delimiter: d } => TextFormat::PostgresText { delimiter: delimiter.unwrap_or(d) },
        TextFormat::JsonLines => TextFormat::JsonLines,
    };
    load.null = options.null.clone().or(load.null.take());
    // A null string of one's own makes the empty field a value.
    load.empty_as_null = options.empty_as_null || (load.empty_as_null && options.null.is_none());
    load.header = options.header.unwrap_or(load.header);
    load.ignore_header = usize::try_from(options.ignore_header).unwrap_or(usize::MAX);
    load.fill_missing |= options.fill_record;
    load.max_errors = usize::try_from(options.max_error).unwrap_or(usize::MAX);
    Ok(())
}

/// The compression that a statement names; else the file's name tells.
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
