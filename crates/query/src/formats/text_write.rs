//! Rows as text: delimited or of fixed width in Postgres' spelling of values, JSON lines in ISO's.

use super::json_write::JsonEncoder;
use super::text_values::ColumnText;
use super::{CsvOptions, FileFormat, WriteOptions};
use arrow::array::{Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use tidegate_core::{Error, Kind, Result};

/// Turns batches into text.
pub(super) enum TextEncoder {
    /// Delimited text.
    Csv(CsvEncoder),
    /// Columns of fixed width.
    Fixed(FixedEncoder),
    /// JSON lines.
    Json(JsonEncoder),
}

impl TextEncoder {
    /// An encoder of CSV or JSON for rows of the schema.
    pub(super) fn new(format: &FileFormat, schema: &SchemaRef, options: &WriteOptions) -> Result<Self> {
        match (format, &options.widths) {
            (FileFormat::Csv(csv), None) => CsvEncoder::quoting(csv, schema, options.quote_all).map(TextEncoder::Csv),
            (FileFormat::Csv(csv), Some(widths)) => FixedEncoder::new(csv, widths, schema).map(TextEncoder::Fixed),
            (FileFormat::Json, _) => Ok(TextEncoder::Json(JsonEncoder { redshift: options.redshift_json })),
            (other, _) => Err(Error::internal(format!("{} is no text", other.name()))),
        }
    }

    /// Adds the rows to `out`.
    pub(super) fn encode(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        match self {
            TextEncoder::Csv(csv) => csv.encode(batch, out, |_| ()),
            TextEncoder::Fixed(fixed) => fixed.encode(batch, out),
            TextEncoder::Json(json) => json.encode(batch, out),
        }
    }

    /// What a file needs at its end: a CSV of no rows still has its header.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        if let TextEncoder::Csv(csv) = self {
            out.append(&mut csv.header);
        }
    }
}

/// 0A000 for nested columns, which have no text of one line.
fn refuse_nested(schema: &SchemaRef) -> Result<()> {
    match schema.fields().iter().find(|f| f.data_type().is_nested()) {
        Some(field) => {
            let message = format!("column \"{}\" of type {} cannot be written as CSV", field.name(), field.data_type());
            Err(Error::new(Kind::Unsupported, message).hint("choose FORMAT JSON or PARQUET"))
        }
        None => Ok(()),
    }
}

/// Writes delimited text.
pub(super) struct CsvEncoder {
    csv: CsvOptions,
    null: String,
    quote_all: bool,
    /// By byte: whether it makes a field one that must be quoted or escaped.
    special: Box<[bool; 256]>,
    /// The header line, until it is written.
    header: Vec<u8>,
}

impl CsvEncoder {
    /// An encoder for rows of the schema; nested columns are refused.
    pub(super) fn new(csv: &CsvOptions, schema: &SchemaRef) -> Result<Self> {
        Self::quoting(csv, schema, false)
    }

    /// The same, if so with quotes around every value but NULL (ADDQUOTES); without an escape, quotes in values stay as
    /// they are.
    fn quoting(csv: &CsvOptions, schema: &SchemaRef, quote_all: bool) -> Result<Self> {
        refuse_nested(schema)?;
        let mut special = Box::new([false; 256]);
        for byte in [Some(csv.delimiter), Some(b'\n'), Some(b'\r'), csv.quote, csv.escape].into_iter().flatten() {
            if let Some(slot) = special.get_mut(usize::from(byte)) {
                *slot = true;
            }
        }
        let null = csv.null.clone().unwrap_or_default();
        let mut encoder = CsvEncoder { csv: csv.clone(), null, quote_all, special, header: Vec::new() };
        encoder.header = encoder.header_of(schema);
        Ok(encoder)
    }

    fn header_of(&self, schema: &SchemaRef) -> Vec<u8> {
        let mut header = Vec::new();
        if self.csv.header {
            for (at, field) in schema.fields().iter().enumerate() {
                if at > 0 {
                    header.push(self.csv.delimiter);
                }
                self.field(field.name().as_bytes(), &mut header);
            }
            header.push(b'\n');
        }
        header
    }

    /// Adds the rows to `out`; `row_ends` is told where in it each row's line end begins.
    pub(super) fn encode(
        &mut self,
        batch: &RecordBatch,
        out: &mut Vec<u8>,
        mut row_ends: impl FnMut(usize),
    ) -> Result<()> {
        out.append(&mut self.header);
        let columns = ColumnText::of_batch(batch)?;
        let columns: Vec<_> = batch.columns().iter().map(|array| array.nulls()).zip(columns).collect();
        let mut text = Vec::new();
        for row in 0..batch.num_rows() {
            for (at, (nulls, column)) in columns.iter().enumerate() {
                if at > 0 {
                    out.push(self.csv.delimiter);
                }
                match nulls.is_some_and(|nulls| nulls.is_null(row)) {
                    true => out.extend_from_slice(self.null.as_bytes()),
                    false => self.value(column, row, &mut text, out)?,
                }
            }
            row_ends(out.len());
            out.push(b'\n');
        }
        Ok(())
    }

    /// One value of a row. `text` is memory to be used again.
    fn value(&self, column: &ColumnText<'_>, row: usize, text: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        column.write(row, out)?;
        let written = out.get(start..).unwrap_or_default();
        // Most values stay as they are written.
        if !self.quote_all && !self.needs(written) && (self.csv.quote.is_none() || written != self.null.as_bytes()) {
            return Ok(());
        }
        text.clear();
        text.extend_from_slice(written);
        out.truncate(start);
        self.field(text, out);
        Ok(())
    }

    /// Whether something in a text has a meaning.
    fn needs(&self, text: &[u8]) -> bool {
        text.iter().any(|&byte| self.is_special(byte))
    }

    fn is_special(&self, byte: u8) -> bool {
        self.special.get(usize::from(byte)).copied().unwrap_or_default()
    }

    /// One value, in quotes (or escaped) where it would be read otherwise.
    fn field(&self, text: &[u8], out: &mut Vec<u8>) {
        let needs = self.needs(text);
        let special = |byte: u8| self.is_special(byte);
        let CsvOptions { quote, escape, .. } = self.csv;
        match quote {
            Some(quote) if self.quote_all => {
                out.push(quote);
                escaped(text, escape.filter(|_| needs), special, out);
                out.push(quote);
            }
            // What looks like NULL and is none is quoted.
            Some(quote) if needs || text == self.null.as_bytes() => {
                let escape = escape.unwrap_or(quote);
                out.push(quote);
                escaped(text, Some(escape), |byte| byte == quote || byte == escape, out);
                out.push(quote);
            }
            None if needs => escaped(text, escape, special, out),
            _ => out.extend_from_slice(text),
        }
    }
}

/// The bytes, with an escape before each that has a meaning.
fn escaped(text: &[u8], escape: Option<u8>, special: impl Fn(u8) -> bool, out: &mut Vec<u8>) {
    let Some(escape) = escape else { return out.extend_from_slice(text) };
    for &byte in text {
        if special(byte) {
            out.push(escape);
        }
        out.push(byte);
    }
}

/// Writes columns of fixed width, filled up with blanks; nothing is cut.
pub(super) struct FixedEncoder {
    null: String,
    columns: Vec<(String, usize)>,
}

impl FixedEncoder {
    /// 42601 where there are not as many widths as columns.
    fn new(csv: &CsvOptions, widths: &[usize], schema: &SchemaRef) -> Result<Self> {
        refuse_nested(schema)?;
        if widths.len() != schema.fields().len() {
            let message = format!("FIXEDWIDTH names {} columns of {}", widths.len(), schema.fields().len());
            return Err(Error::new(Kind::Syntax, message));
        }
        let columns = schema.fields().iter().map(|field| field.name().clone()).zip(widths.iter().copied());
        Ok(FixedEncoder { null: csv.null.clone().unwrap_or_default(), columns: columns.collect() })
    }

    fn encode(&self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        let columns = ColumnText::of_batch(batch)?;
        let columns: Vec<_> = batch.columns().iter().zip(columns).zip(&self.columns).collect();
        let mut text = Vec::new();
        for row in 0..batch.num_rows() {
            for ((array, column), (name, width)) in &columns {
                text.clear();
                match array.is_null(row) {
                    true => text.extend_from_slice(self.null.as_bytes()),
                    false => column.write(row, &mut text)?,
                }
                // In characters, whatever their bytes.
                let taken = text.iter().filter(|byte| **byte & 0xC0 != 0x80).count();
                let blanks = width.checked_sub(taken).ok_or_else(|| too_narrow(name, *width, &text))?;
                out.extend_from_slice(&text);
                out.extend(std::iter::repeat_n(b' ', blanks));
            }
            out.push(b'\n');
        }
        Ok(())
    }
}

fn too_narrow(column: &str, width: usize, text: &[u8]) -> Error {
    let text = String::from_utf8_lossy(text);
    let message = format!("FIXEDWIDTH: a value of column \"{column}\" does not fit into {width} characters");
    Error::new(Kind::StringTooLong, message)
        .detail(format!("It has {}.", text.chars().count()))
        .hint("Nothing is cut: make the column wider.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{BooleanArray, StringArray, TimestampMicrosecondArray};
    use arrow::datatypes::{DataType, Field, Schema};
    use std::sync::Arc;

    fn batch() -> RecordBatch {
        let stamps = TimestampMicrosecondArray::from(vec![Some(1_500_000), None, Some(0)]).with_timezone("UTC");
        let fields = vec![
            Field::new("a,b", DataType::Utf8, true),
            Field::new("f", DataType::Boolean, true),
            Field::new("t", stamps.data_type().clone(), true),
        ];
        let text = StringArray::from(vec![Some("x\"y"), Some(""), None]);
        let flags = BooleanArray::from(vec![Some(true), Some(false), None]);
        RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![Arc::new(text), Arc::new(flags), Arc::new(stamps)])
            .unwrap()
    }

    fn text(csv: CsvOptions, options: &WriteOptions) -> Result<String> {
        let mut encoder = TextEncoder::new(&FileFormat::Csv(csv), &batch().schema(), options)?;
        let mut out = Vec::new();
        encoder.encode(&batch(), &mut out)?;
        encoder.end(&mut out);
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn csv_text() {
        let bars = CsvOptions {
            delimiter: b'|',
            quote: None,
            escape: Some(b'\\'),
            null: Some("\\N".into()),
            ..CsvOptions::default()
        };
        let quoted = CsvOptions { quote: Some(b'"'), null: None, ..bars.clone() };
        let cases = [
            (
                CsvOptions { header: true, ..CsvOptions::default() },
                false,
                "\"a,b\",f,t\n\"x\"\"y\",t,1970-01-01 00:00:01.5+00\n\"\",f,\n,,1970-01-01 00:00:00+00\n",
            ),
            (bars, false, "x\"y|t|1970-01-01 00:00:01.5+00\n|f|\\N\n\\N|\\N|1970-01-01 00:00:00+00\n"),
            (
                quoted.clone(),
                true,
                "\"x\\\"y\"|\"t\"|\"1970-01-01 00:00:01.5+00\"\n\"\"|\"f\"|\n||\"1970-01-01 00:00:00+00\"\n",
            ),
            (
                CsvOptions { escape: None, ..quoted },
                true,
                "\"x\"y\"|\"t\"|\"1970-01-01 00:00:01.5+00\"\n\"\"|\"f\"|\n||\"1970-01-01 00:00:00+00\"\n",
            ),
        ];
        for (csv, quote_all, expected) in cases {
            assert_eq!(text(csv, &WriteOptions { quote_all, ..WriteOptions::default() }).unwrap(), expected);
        }
    }

    #[test]
    fn fixed_text() {
        let widths = |widths: &[usize]| WriteOptions { widths: Some(widths.to_vec()), ..WriteOptions::default() };
        let found = text(CsvOptions::default(), &widths(&[4, 1, 24])).unwrap();
        let expected = ["x\"y t1970-01-01 00:00:01.5+00", "    f", "     1970-01-01 00:00:00+00"];
        assert_eq!(found.lines().map(str::trim_end).collect::<Vec<_>>(), expected);
        assert!(found.lines().all(|line| line.len() == 29), "{found}");
        let narrow = text(CsvOptions::default(), &widths(&[2, 1, 24])).unwrap_err();
        assert_eq!(narrow.kind(), Kind::StringTooLong);
        assert!(narrow.message().contains("\"a,b\""), "{narrow}");
        assert_eq!(text(CsvOptions::default(), &widths(&[2])).unwrap_err().kind(), Kind::Syntax);
    }
}
