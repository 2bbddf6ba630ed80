//! A format from the words of DDL: `STORED AS`, ROW FORMAT and TBLPROPERTIES, as Hive, Athena and Redshift spell them.

use super::{CsvOptions, FileFormat};
use std::collections::BTreeMap;
use tidegate_core::{Error, Kind, Result};

/// Hive's delimiter where none is named.
const HIVE_DELIMITER: u8 = 1;

/// The format that a table's definition names. `None` is Hive's default, text.
///
/// Keys: `field.delim`, `quote.delim` (empty: none), `escape.delim`, `skip.header.line.count`,
/// `serialization.null.format`; and `serialization.lib` with OpenCSVSerde's `separatorChar`, `quoteChar`, `escapeChar`.
/// Other keys are none of ours.
pub fn format_of(stored_as: Option<&str>, properties: &BTreeMap<String, String>) -> Result<FileFormat> {
    let named = stored_as.map(str::to_ascii_uppercase);
    let serde = properties.get("serialization.lib").map_or("", |class| class.rsplit('.').next().unwrap_or(class));
    match (named.as_deref(), serde) {
        (Some("PARQUET"), _) => Ok(FileFormat::Parquet),
        (Some("ORC"), _) => Ok(FileFormat::Orc),
        (Some("JSON" | "JSONFILE" | "JSONL" | "NDJSON"), _) | (Some("TEXTFILE") | None, "JsonSerDe") => {
            Ok(FileFormat::Json)
        }
        (Some("TEXTFILE") | None, "OpenCSVSerde") => text(open_csv(properties)?, properties),
        (Some("TEXTFILE") | None, "" | "LazySimpleSerDe") => text(
            CsvOptions { delimiter: HIVE_DELIMITER, null: Some("\\N".into()), ..CsvOptions::default() },
            properties,
        ),
        (Some("CSV"), _) => text(CsvOptions::default(), properties),
        (Some("TSV"), _) => text(CsvOptions { delimiter: b'\t', ..CsvOptions::default() }, properties),
        (Some("TEXTFILE") | None, other) => Err(unsupported(&format!("ROW FORMAT SERDE '{other}'"))),
        (Some(other), _) => Err(unsupported(&format!("STORED AS {other}"))),
    }
}

fn unsupported(what: &str) -> Error {
    Error::new(Kind::Unsupported, format!("{what} is not supported"))
        .hint("PARQUET, ORC, JSON, CSV and TEXTFILE with ROW FORMAT DELIMITED are.")
}

fn open_csv(properties: &BTreeMap<String, String>) -> Result<CsvOptions> {
    Ok(CsvOptions {
        delimiter: byte(properties, "separatorChar")?.unwrap_or(b','),
        quote: byte(properties, "quoteChar")?.or(Some(b'"')),
        escape: byte(properties, "escapeChar")?.or(Some(b'\\')),
        ..CsvOptions::default()
    })
}

/// What the keys say over the defaults.
fn text(mut csv: CsvOptions, properties: &BTreeMap<String, String>) -> Result<FileFormat> {
    if let Some(delimiter) = byte(properties, "field.delim")? {
        csv.delimiter = delimiter;
    }
    if let Some(escape) = byte(properties, "escape.delim")? {
        csv.escape = Some(escape);
        // ESCAPED BY is Hive's dialect, in which quotes are characters like others.
        csv.quote = None;
    }
    match properties.get("quote.delim").map(String::as_str) {
        Some("") => csv.quote = None,
        _ => csv.quote = byte(properties, "quote.delim")?.or(csv.quote),
    }
    if let Some(null) = properties.get("serialization.null.format") {
        csv.null = Some(null.clone());
    }
    let skipped = whole(properties, "skip.header.line.count")?;
    csv.header = skipped > 0;
    csv.skip_lines = skipped.saturating_sub(1);
    if whole(properties, "skip.footer.line.count")? > 0 {
        return Err(Error::new(Kind::Unsupported, "\"skip.footer.line.count\" is not supported"));
    }
    if Some(csv.delimiter) == csv.quote || csv.delimiter == b'\n' {
        let message = "\"field.delim\" must be neither the quote nor a line end";
        return Err(Error::new(Kind::InvalidParameter, message));
    }
    Ok(FileFormat::Csv(csv))
}

fn whole(properties: &BTreeMap<String, String>, key: &str) -> Result<usize> {
    let Some(text) = properties.get(key) else { return Ok(0) };
    text.trim().parse().map_err(|_| {
        Error::new(Kind::InvalidParameter, format!("\"{key}\" must be a whole number of lines, not \"{text}\""))
    })
}

/// A character as DDL writes it: itself, `\t`, `\001` (octal), `\u0001`, `\x01`.
fn byte(properties: &BTreeMap<String, String>, key: &str) -> Result<Option<u8>> {
    let Some(text) = properties.get(key) else { return Ok(None) };
    let bad = || {
        let message = format!("\"{key}\" must be a single one-byte character, not \"{text}\"");
        Error::new(Kind::InvalidParameter, message)
    };
    let code = |digits: &str, radix| u8::from_str_radix(digits, radix).map_err(|_| bad());
    let byte = match (text.as_bytes(), text.strip_prefix('\\')) {
        ([byte], _) => *byte,
        (_, Some("t")) => b'\t',
        (_, Some("n")) => b'\n',
        (_, Some("r")) => b'\r',
        (_, Some("\\")) => b'\\',
        (_, Some(rest)) => match rest.strip_prefix(['u', 'x']) {
            Some(hex) => code(hex, 16)?,
            None if rest.starts_with(|c: char| c.is_ascii_digit()) => code(rest, 8)?,
            None => code(&format!("{:x}", rest.bytes().next().filter(|_| rest.len() == 1).ok_or_else(bad)?), 16)?,
        },
        _ => return Err(bad()),
    };
    if byte.is_ascii() { Ok(Some(byte)) } else { Err(bad()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(stored_as: Option<&str>, properties: &[(&str, &str)]) -> Result<FileFormat> {
        let owned = properties.iter().map(|(k, v)| ((*k).to_string(), (*v).to_string()));
        format_of(stored_as, &owned.collect())
    }

    #[test]
    fn formats_by_name() {
        let cases = [
            (Some("Parquet"), "parquet"),
            (Some("ORC"), "orc"),
            (Some("json"), "json"),
            (Some("TEXTFILE"), "csv"),
            (None, "csv"),
        ];
        for (stored_as, name) in cases {
            assert_eq!(of(stored_as, &[]).unwrap().name(), name, "{stored_as:?}");
        }
        let error = of(Some("AVRO"), &[]).unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported);
        assert!(error.message().contains("AVRO"));
        assert_eq!(of(None, &[("serialization.lib", "org.openx.data.jsonserde.JsonSerDe")]).unwrap(), FileFormat::Json);
        assert_eq!(of(None, &[("serialization.lib", "a.RegexSerDe")]).unwrap_err().kind(), Kind::Unsupported);
    }

    #[test]
    fn text_by_properties() {
        let hive = || CsvOptions { delimiter: 1, null: Some("\\N".into()), ..CsvOptions::default() };
        type Case<'a> = (Option<&'a str>, &'a [(&'a str, &'a str)], CsvOptions);
        let cases: [Case<'_>; 8] = [
            (None, &[], hive()),
            (Some("CSV"), &[("credential", "c")], CsvOptions::default()),
            (Some("CSV"), &[("skip.header.line.count", "1")], CsvOptions { header: true, ..CsvOptions::default() }),
            (None, &[("skip.header.line.count", "3")], CsvOptions { header: true, skip_lines: 2, ..hive() }),
            (None, &[("field.delim", "\\t"), ("quote.delim", "")], CsvOptions { delimiter: 9, quote: None, ..hive() }),
            (None, &[("field.delim", "\\001")], hive()),
            (
                None,
                &[("field.delim", "|"), ("escape.delim", "\\\\"), ("serialization.null.format", "NA")],
                CsvOptions {
                    delimiter: b'|',
                    quote: None,
                    escape: Some(b'\\'),
                    null: Some("NA".into()),
                    ..CsvOptions::default()
                },
            ),
            (
                None,
                &[("serialization.lib", "org.apache.hadoop.hive.serde2.OpenCSVSerde"), ("separatorChar", ";")],
                CsvOptions { delimiter: b';', escape: Some(b'\\'), ..CsvOptions::default() },
            ),
        ];
        for (stored_as, properties, expected) in cases {
            assert_eq!(of(stored_as, properties).unwrap(), FileFormat::Csv(expected), "{properties:?}");
        }
    }

    #[test]
    fn nonsense_is_refused_by_its_key() {
        let cases = [
            ("field.delim", "ab", Kind::InvalidParameter),
            ("field.delim", "\"", Kind::InvalidParameter),
            ("field.delim", "\\777", Kind::InvalidParameter),
            ("field.delim", "é", Kind::InvalidParameter),
            ("skip.header.line.count", "one", Kind::InvalidParameter),
            ("skip.footer.line.count", "1", Kind::Unsupported),
        ];
        for (key, value, kind) in cases {
            let error = of(Some("CSV"), &[(key, value)]).unwrap_err();
            assert_eq!(error.kind(), kind, "{key} = {value}");
            assert!(error.message().contains(key), "{}", error.message());
        }
    }
}
