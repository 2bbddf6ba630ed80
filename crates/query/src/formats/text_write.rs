//! Rows as text: CSV in Postgres's spelling of values, JSON lines in ISO's.

use super::json_write::encode_json;
use super::{CsvOptions, FileFormat};
use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use std::fmt::Write as _;
use tidegate_core::{Error, Kind, Result};

const CSV_TIMESTAMP: &str = "%Y-%m-%d %H:%M:%S%.f";
const CSV_TIMESTAMP_TZ: &str = "%Y-%m-%d %H:%M:%S%.f%:z";
const TIME: &str = "%H:%M:%S%.f";

/// Turns batches into text.
pub(super) enum TextEncoder {
    /// Delimited text.
    Csv(CsvEncoder),
    /// JSON lines.
    Json,
}

impl TextEncoder {
    /// An encoder of CSV or JSON for rows of the schema.
    pub(super) fn new(format: &FileFormat, schema: &SchemaRef) -> Result<Self> {
        match format {
            FileFormat::Csv(csv) => CsvEncoder::new(csv, schema).map(TextEncoder::Csv),
            FileFormat::Json => Ok(TextEncoder::Json),
            other => Err(Error::internal(format!("{} is no text", other.name()))),
        }
    }

    /// Adds the rows to `out`.
    pub(super) fn encode(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        match self {
            TextEncoder::Csv(csv) => csv.encode(batch, out, |_| ()),
            TextEncoder::Json => encode_json(batch, out),
        }
    }

    /// What a file needs at its end: a CSV of no rows still has its header.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        if let TextEncoder::Csv(csv) = self {
            out.append(&mut csv.header);
        }
    }
}

/// Writes delimited text.
pub(super) struct CsvEncoder {
    csv: CsvOptions,
    null: String,
    /// The header line, until it is written.
    header: Vec<u8>,
}

impl CsvEncoder {
    /// An encoder for rows of the schema; nested columns are refused.
    pub(super) fn new(csv: &CsvOptions, schema: &SchemaRef) -> Result<Self> {
        if let Some(field) = schema.fields().iter().find(|f| f.data_type().is_nested()) {
            let message = format!("column \"{}\" of type {} cannot be written as CSV", field.name(), field.data_type());
            return Err(Error::new(Kind::Unsupported, message).hint("choose FORMAT JSON or PARQUET"));
        }
        let null = csv.null.clone().unwrap_or_default();
        let mut encoder = CsvEncoder { csv: csv.clone(), null, header: Vec::new() };
        if csv.header {
            let mut header = Vec::new();
            for (at, field) in schema.fields().iter().enumerate() {
                if at > 0 {
                    header.push(csv.delimiter);
                }
                encoder.field(field.name().as_bytes(), &mut header);
            }
            header.push(b'\n');
            encoder.header = header;
        }
        Ok(encoder)
    }

    /// Adds the rows to `out`; `row_ends` is told where in it each row's line end begins.
    pub(super) fn encode(
        &mut self,
        batch: &RecordBatch,
        out: &mut Vec<u8>,
        mut row_ends: impl FnMut(usize),
    ) -> Result<()> {
        out.append(&mut self.header);
        let bad = |e: &dyn std::fmt::Display| Error::new(Kind::Unsupported, format!("writing CSV: {e}"));
        let options = FormatOptions::default()
            .with_timestamp_format(Some(CSV_TIMESTAMP))
            .with_timestamp_tz_format(Some(CSV_TIMESTAMP_TZ))
            .with_time_format(Some(TIME));
        let formatters = batch.columns().iter().map(|array| ArrayFormatter::try_new(array.as_ref(), &options));
        let formatters = formatters.collect::<Result<Vec<_>, _>>().map_err(|e| bad(&e))?;
        let mut text = String::new();
        for row in 0..batch.num_rows() {
            for (at, (array, formatter)) in batch.columns().iter().zip(&formatters).enumerate() {
                if at > 0 {
                    out.push(self.csv.delimiter);
                }
                if array.is_null(row) {
                    out.extend_from_slice(self.null.as_bytes());
                    continue;
                }
                text.clear();
                if is_binary(array.data_type()) {
                    text.push_str("\\x");
                }
                write!(text, "{}", formatter.value(row)).map_err(|e| bad(&e))?;
                match array.data_type() {
                    DataType::Boolean => out.push(if text == "true" { b't' } else { b'f' }),
                    _ => self.field(text.as_bytes(), out),
                }
            }
            row_ends(out.len());
            out.push(b'\n');
        }
        Ok(())
    }

    /// One value, in quotes (or escaped) where it would be read otherwise.
    fn field(&self, text: &[u8], out: &mut Vec<u8>) {
        let CsvOptions { delimiter, quote, escape, .. } = self.csv;
        let special = |b: u8| b == delimiter || b == b'\n' || b == b'\r' || Some(b) == quote || Some(b) == escape;
        let needs = text.iter().any(|&b| special(b));
        match quote {
            // What looks like NULL and is none is quoted.
            Some(quote) if needs || text == self.null.as_bytes() => {
                let escape = escape.unwrap_or(quote);
                out.push(quote);
                for &byte in text {
                    if byte == quote || byte == escape {
                        out.push(escape);
                    }
                    out.push(byte);
                }
                out.push(quote);
            }
            None if needs && escape.is_some() => {
                for &byte in text {
                    out.extend(escape.filter(|_| special(byte)));
                    out.push(byte);
                }
            }
            _ => out.extend_from_slice(text),
        }
    }
}

fn is_binary(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{BooleanArray, StringArray, TimestampMicrosecondArray};
    use arrow::datatypes::{Field, Schema};
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

    #[test]
    fn csv_text() {
        let cases = [
            (
                CsvOptions { header: true, ..CsvOptions::default() },
                "\"a,b\",f,t\n\"x\"\"y\",t,1970-01-01 00:00:01.500+00:00\n\"\",f,\n,,1970-01-01 00:00:00+00:00\n",
            ),
            (
                CsvOptions {
                    delimiter: b'|',
                    quote: None,
                    escape: Some(b'\\'),
                    null: Some("\\N".into()),
                    ..CsvOptions::default()
                },
                "x\"y|t|1970-01-01 00:00:01.500+00:00\n|f|\\N\n\\N|\\N|1970-01-01 00:00:00+00:00\n",
            ),
        ];
        for (csv, expected) in cases {
            let mut encoder = TextEncoder::new(&FileFormat::Csv(csv), &batch().schema()).unwrap();
            let mut out = Vec::new();
            encoder.encode(&batch(), &mut out).unwrap();
            encoder.end(&mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn json_text() {
        let mut out = Vec::new();
        encode_json(&batch(), &mut out).unwrap();
        let first = String::from_utf8(out).unwrap().lines().next().unwrap().to_string();
        assert_eq!(first, "{\"a,b\":\"x\\\"y\",\"f\":true,\"t\":\"1970-01-01T00:00:01.500Z\"}");
    }
}
