//! The lines of COPY … TO STDOUT: Postgres' text format and CSV.

use crate::encode::BoundBatch;
use crate::types::{self, oid};
use arrow::datatypes::SchemaRef;
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::{CopyFormat, CopyOptions};

/// How a line is written.
#[derive(Debug, Clone)]
pub struct LineFormat {
    /// CSV, else text.
    pub csv: bool,
    /// Whether the first line names the columns.
    pub header: bool,
    delimiter: u8,
    null: Vec<u8>,
    quote: u8,
    escape: u8,
}

impl LineFormat {
    /// Postgres' text format with its defaults.
    pub fn text() -> Self {
        LineFormat { csv: false, header: false, delimiter: b'\t', null: b"\\N".to_vec(), quote: b'"', escape: b'"' }
    }

    /// CSV with its defaults.
    pub fn csv() -> Self {
        LineFormat { csv: true, delimiter: b',', null: Vec::new(), ..Self::text() }
    }

    /// What a statement asks for.
    pub fn of(options: &CopyOptions) -> Result<Self> {
        let mut format = match options.format {
            None | Some(CopyFormat::Text) => Self::text(),
            Some(CopyFormat::Csv) => Self::csv(),
            Some(other) => {
                let message = format!("COPY TO STDOUT in format {other:?} is not supported");
                return Err(Error::new(Kind::Unsupported, message).hint("Use text or CSV."));
            }
        };
        format.header = options.header.unwrap_or(false);
        if let Some(letter) = options.delimiter {
            format.delimiter = one_byte("delimiter", letter)?;
        }
        if let Some(text) = &options.null {
            format.null = text.as_bytes().to_vec();
        }
        if let Some(letter) = options.quote {
            format.quote = one_byte("quote", letter)?;
            format.escape = format.quote;
        }
        if let Some(letter) = options.escape {
            format.escape = one_byte("escape", letter)?;
        }
        Ok(format)
    }

    /// Whether values of a type need no quoting or escaping.
    pub fn is_plain(&self, told: u32) -> bool {
        matches!(self.delimiter, b'\t' | b',' | b'|' | b';')
            && (types::is_integer(told)
                || matches!(
                    told,
                    oid::BOOL
                        | oid::FLOAT4
                        | oid::FLOAT8
                        | oid::NUMERIC
                        | oid::DATE
                        | oid::TIMESTAMP
                        | oid::TIMESTAMPTZ
                ))
    }

    /// The names of the columns.
    pub fn put_header(&self, schema: &SchemaRef, out: &mut Vec<u8>) {
        for (index, field) in schema.fields().iter().enumerate() {
            if index > 0 {
                out.push(self.delimiter);
            }
            self.put_escaped(field.name().as_bytes(), false, out);
        }
        out.push(b'\n');
    }

    /// A row and its line end.
    pub fn put_row(
        &self,
        batch: &BoundBatch,
        plain: &[bool],
        row: usize,
        scratch: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        for (index, column) in batch.columns().enumerate() {
            if index > 0 {
                out.push(self.delimiter);
            }
            if column.is_null(row) {
                out.extend_from_slice(&self.null);
            } else if plain.get(index) == Some(&true) {
                column.put_text(row, out)?;
            } else {
                scratch.clear();
                column.put_text(row, scratch)?;
                self.put_escaped(scratch, plain.len() == 1, out);
            }
        }
        out.push(b'\n');
        Ok(())
    }

    fn put_escaped(&self, value: &[u8], alone: bool, out: &mut Vec<u8>) {
        if self.csv { self.put_quoted(value, alone, out) } else { self.put_backslashed(value, out) }
    }

    fn put_quoted(&self, value: &[u8], alone: bool, out: &mut Vec<u8>) {
        let special = |b: &u8| *b == self.delimiter || *b == self.quote || matches!(b, b'\n' | b'\r');
        // A lone `\.` would read as the end of the data.
        if value != self.null && !value.iter().any(special) && !(alone && value == b"\\.") {
            out.extend_from_slice(value);
            return;
        }
        out.push(self.quote);
        for byte in value {
            if *byte == self.quote || *byte == self.escape {
                out.push(self.escape);
            }
            out.push(*byte);
        }
        out.push(self.quote);
    }

    fn put_backslashed(&self, value: &[u8], out: &mut Vec<u8>) {
        for byte in value {
            let letter = match byte {
                b'\\' => b'\\',
                0x08 => b'b',
                0x0c => b'f',
                b'\n' => b'n',
                b'\r' => b'r',
                b'\t' => b't',
                0x0b => b'v',
                other if *other == self.delimiter => *other,
                other => {
                    out.push(*other);
                    continue;
                }
            };
            out.push(b'\\');
            out.push(letter);
        }
    }
}

/// A delimiter, quote or escape: one byte.
fn one_byte(what: &str, letter: char) -> Result<u8> {
    match u8::try_from(letter) {
        Ok(byte) if byte.is_ascii() && !matches!(byte, b'\n' | b'\r') => Ok(byte),
        _ => Err(Error::new(Kind::InvalidParameter, format!("COPY {what} must be a single one-byte character"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_for_their_format() {
        let cases: [(&[u8], bool, &str, &str); 7] = [
            (b"plain", false, "plain", "plain"),
            (b"", false, "", "\"\""),
            (b"a,b", false, "a,b", "\"a,b\""),
            (b"say \"x\"", false, "say \"x\"", "\"say \"\"x\"\"\""),
            (b"tab\tnl\n\\", false, "tab\\tnl\\n\\\\", "\"tab\tnl\n\\\""),
            (b"\\.", true, "\\\\.", "\"\\.\""),
            (b"\\N", false, "\\\\N", "\\N"),
        ];
        for (value, alone, text, csv) in cases {
            for (format, want) in [(LineFormat::text(), text), (LineFormat::csv(), csv)] {
                let mut out = Vec::new();
                format.put_escaped(value, alone, &mut out);
                assert_eq!(String::from_utf8_lossy(&out), want, "{value:?}");
            }
        }
    }
}
