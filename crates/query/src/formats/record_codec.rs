//! Single records: a row as the bytes of one, and many as rows. A record that does not decode keeps its row.

use super::text_write::{TextEncoder, encode_json};
use super::{CsvOptions, FileFormat, LoadOptions, RowParser};
use arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StringArray, UInt64Array};
use arrow::compute::{concat_batches, take};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use bytes::Bytes;
use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;
use tidegate_core::{Error, Result};

/// Each row as a JSON object, members in the columns' order.
pub fn encode_json_rows(batch: &RecordBatch) -> Result<Vec<Bytes>> {
    let mut out = Vec::new();
    encode_json(&with_text_for_bytes(batch)?, &mut out)?;
    let out = Bytes::from(out);
    // Line ends inside of values are escaped: each one here ends a row.
    let mut rows = Vec::with_capacity(batch.num_rows());
    let mut start = 0;
    for (at, _) in out.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
        rows.push(out.slice(start..at));
        start = at + 1;
    }
    Ok(rows)
}

/// Each row as a line of CSV.
pub fn encode_csv_rows(batch: &RecordBatch) -> Result<Vec<Bytes>> {
    let mut encoder = TextEncoder::new(&FileFormat::Csv(CsvOptions::default()), &batch.schema())?;
    let row = |row| {
        let mut out = Vec::new();
        encoder.encode(&batch.slice(row, 1), &mut out)?;
        out.truncate(out.len().saturating_sub(1));
        Ok(Bytes::from(out))
    };
    (0..batch.num_rows()).map(row).collect()
}

/// Arrow writes bytes as bare hex, which would be read back as text.
fn with_text_for_bytes(batch: &RecordBatch) -> Result<RecordBatch> {
    if !batch.schema().fields().iter().any(|field| *field.data_type() == DataType::Binary) {
        return Ok(batch.clone());
    }
    let column = |(array, field): (&ArrayRef, &Arc<Field>)| -> (ArrayRef, Field) {
        let Some(bytes) = array.as_binary_opt::<i32>() else { return (Arc::clone(array), field.as_ref().clone()) };
        let text: StringArray = bytes.iter().map(|value| value.map(hex)).collect();
        (Arc::new(text), Field::new(field.name(), DataType::Utf8, true))
    };
    let (columns, fields): (Vec<ArrayRef>, Vec<Field>) =
        batch.columns().iter().zip(batch.schema().fields()).map(column).unzip();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options).map_err(Error::internal)
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 + bytes.len() * 2);
    text.push_str("\\x");
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Records of one JSON object each as rows: row `i` is record `i`, all NULL where the second list says why.
pub fn decode_json_records<'a>(
    schema: &SchemaRef,
    records: impl Iterator<Item = &'a [u8]>,
) -> Result<(RecordBatch, Vec<Option<String>>)> {
    let line = |record: &'a [u8]| -> Result<Cow<'a, [u8]>, String> {
        let trimmed = record.trim_ascii();
        if trimmed.is_empty() {
            return Err("the record is empty".to_string());
        }
        // Inside of strings a line end is escaped; elsewhere it is white space.
        Ok(match trimmed.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
            true => trimmed.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect(),
            false => Cow::Borrowed(trimmed),
        })
    };
    decode(schema, LoadOptions::json(), records.map(line))
}

/// Records of one CSV row each as rows, like [`decode_json_records`].
pub fn decode_csv_records<'a>(
    schema: &SchemaRef,
    records: impl Iterator<Item = &'a [u8]>,
) -> Result<(RecordBatch, Vec<Option<String>>)> {
    let line = |record: &'a [u8]| -> Result<Cow<'a, [u8]>, String> {
        let trimmed = record.strip_suffix(b"\n").unwrap_or(record);
        let quotes = trimmed.iter().filter(|byte| **byte == b'"').count();
        if quotes % 2 == 1 {
            return Err("a quote is not closed".to_string());
        }
        match trimmed.is_empty() && schema.fields().len() > 1 {
            true => Err("the record is empty".to_string()),
            false => Ok(Cow::Borrowed(trimmed)),
        }
    };
    decode(schema, LoadOptions::postgres_csv(), records.map(line))
}

/// Feeds the records to one parser and puts its rows back in their places.
fn decode<'a>(
    schema: &SchemaRef,
    options: LoadOptions,
    records: impl Iterator<Item = Result<Cow<'a, [u8]>, String>>,
) -> Result<(RecordBatch, Vec<Option<String>>)> {
    let mut parser = RowParser::new("record", schema, LoadOptions { max_errors: usize::MAX / 2, ..options })?;
    let mut reasons: Vec<Option<String>> = Vec::new();
    // The line at which each record that is fed begins, and which record it is.
    let (mut lines, mut line) = (Vec::new(), 1_u64);
    let mut text = Vec::new();
    for (index, record) in records.enumerate() {
        match record {
            Ok(record) => {
                lines.push((line, index));
                line += 1 + record.iter().filter(|byte| **byte == b'\n').count() as u64;
                text.extend_from_slice(&record);
                text.push(b'\n');
                reasons.push(None);
            }
            Err(reason) => reasons.push(Some(reason)),
        }
    }
    parser.feed(&text)?;
    parser.finish()?;
    for error in parser.take_errors() {
        let at = lines.partition_point(|(first, _)| *first <= error.line).saturating_sub(1);
        if let Some(reason) = lines.get(at).and_then(|(_, index)| reasons.get_mut(*index)) {
            let column = error.column.map(|column| format!("column \"{column}\": ")).unwrap_or_default();
            *reason = Some(format!("{column}{}", error.reason));
        }
    }
    let batches: Vec<RecordBatch> = std::iter::from_fn(|| parser.next_batch()).collect();
    let rows = concat_batches(schema, &batches).map_err(Error::internal)?;
    Ok((placed(&rows, &reasons)?, reasons))
}

fn placed(rows: &RecordBatch, reasons: &[Option<String>]) -> Result<RecordBatch> {
    let good = reasons.iter().filter(|reason| reason.is_none()).count();
    if good != rows.num_rows() {
        return Err(Error::internal(format!("{good} records made {} rows", rows.num_rows())));
    }
    if good == reasons.len() {
        return Ok(rows.clone());
    }
    let mut next = 0;
    let place = |reason: &Option<String>| {
        let at = reason.is_none().then_some(next);
        next += u64::from(reason.is_none());
        at
    };
    let places: UInt64Array = reasons.iter().map(place).collect();
    let columns = rows.columns().iter().map(|column| take(column, &places, None)).collect::<Result<Vec<_>, _>>();
    let options = RecordBatchOptions::new().with_row_count(Some(reasons.len()));
    RecordBatch::try_new_with_options(rows.schema(), columns.map_err(Error::internal)?, &options)
        .map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{BinaryArray, Int64Array, TimestampMicrosecondArray};
    use arrow::datatypes::TimeUnit;

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("n", DataType::Int64, true),
            Field::new("t", DataType::Utf8View, true),
            Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
            Field::new("b", DataType::Binary, true),
        ]))
    }

    fn rows() -> RecordBatch {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![Some(1), None])),
            Arc::new(arrow::array::StringViewArray::from(vec![Some("a\"\nb"), Some("")])),
            Arc::new(TimestampMicrosecondArray::from(vec![Some(1_356_998_400_123_456), None]).with_timezone("UTC")),
            Arc::new(BinaryArray::from(vec![Some(&b"\x00\xff"[..]), None])),
        ];
        RecordBatch::try_new(schema(), columns).unwrap()
    }

    #[test]
    fn rows_come_back_from_both_formats() {
        let json = encode_json_rows(&rows()).unwrap();
        let (back, reasons) = decode_json_records(&schema(), json.iter().map(|row| row.as_ref())).unwrap();
        assert_eq!((back, reasons), (rows(), vec![None, None]), "{json:?}");
        let csv = encode_csv_rows(&rows()).unwrap();
        let (back, reasons) = decode_csv_records(&schema(), csv.iter().map(|row| row.as_ref())).unwrap();
        assert_eq!((back, reasons), (rows(), vec![None, None]), "{csv:?}");
    }

    #[test]
    fn what_does_not_decode_keeps_its_row_and_says_why() {
        let records: [&[u8]; 6] = [b"{\"n\":1}", b"no", b"", b"{\n\"n\": 2\n}", b"{\"n\":\"x\"}", b"{\"n\":3}"];
        let (rows, reasons) = decode_json_records(&schema(), records.into_iter()).unwrap();
        let numbers = rows.column(0).as_primitive::<arrow::datatypes::Int64Type>();
        assert_eq!(numbers.iter().collect::<Vec<_>>(), [Some(1), None, None, Some(2), None, Some(3)]);
        let told: Vec<bool> = reasons.iter().map(Option::is_some).collect();
        assert_eq!(told, [false, true, true, false, true, false], "{reasons:?}");
        assert!(reasons[4].as_deref().is_some_and(|reason| reason.contains("column \"n\"")), "{reasons:?}");
        let records: [&[u8]; 3] = [b"1,a,,", b"\"2,b,,", b"3,c,,"];
        let (rows, reasons) = decode_csv_records(&schema(), records.into_iter()).unwrap();
        let numbers = rows.column(0).as_primitive::<arrow::datatypes::Int64Type>();
        assert_eq!(numbers.iter().collect::<Vec<_>>(), [Some(1), None, Some(3)], "{reasons:?}");
    }
}
