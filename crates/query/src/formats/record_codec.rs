//! Single records: a row as the bytes of one, and many as rows. A record that does not decode keeps its row.

use super::json_write::JsonEncoder;
use super::text_write::CsvEncoder;
use super::{CsvOptions, LoadOptions, RowParser};
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::{Field, Schema, SchemaRef};
use bytes::Bytes;
use std::sync::Arc;
use tidegate_core::{Error, Result};

/// Each row as a JSON object, members in the columns' order, without a line end.
pub fn encode_json_rows(batch: &RecordBatch) -> Result<Vec<Bytes>> {
    let mut out = Vec::new();
    JsonEncoder::default().encode(batch, &mut out)?;
    // Line ends inside of values are escaped: each one here ends a row.
    let ends = out.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at).collect();
    Ok(cut(out, ends))
}

/// Each row as a line of CSV, without a line end; NULL is nothing, and empty text is `""`.
pub fn encode_csv_rows(batch: &RecordBatch) -> Result<Vec<Bytes>> {
    let (mut out, mut ends) = (Vec::new(), Vec::with_capacity(batch.num_rows()));
    CsvEncoder::new(&CsvOptions::default(), &batch.schema())?.encode(batch, &mut out, |at| ends.push(at))?;
    Ok(cut(out, ends))
}

/// The pieces of `out` that end at `ends`, a line end between each two. They share its memory.
fn cut(out: Vec<u8>, ends: Vec<usize>) -> Vec<Bytes> {
    let out = Bytes::from(out);
    let mut start = 0;
    let mut piece = |end: usize| {
        let piece = out.slice(start..end);
        start = end + 1;
        piece
    };
    ends.into_iter().map(&mut piece).collect()
}

/// Records of one JSON object each as rows: row `i` is record `i`, all NULL where the second list says why.
pub fn decode_json_records<'a>(
    schema: &SchemaRef,
    records: impl Iterator<Item = &'a [u8]>,
) -> Result<(RecordBatch, Vec<Option<String>>)> {
    decode(schema, LoadOptions::json(), records)
}

/// Records of one CSV row each as rows, like [`decode_json_records`].
pub fn decode_csv_records<'a>(
    schema: &SchemaRef,
    records: impl Iterator<Item = &'a [u8]>,
) -> Result<(RecordBatch, Vec<Option<String>>)> {
    decode(schema, LoadOptions::postgres_csv(), records)
}

fn decode<'a>(
    schema: &SchemaRef,
    options: LoadOptions,
    records: impl Iterator<Item = &'a [u8]>,
) -> Result<(RecordBatch, Vec<Option<String>>)> {
    // One batch, unless the text outgrows what a batch may hold.
    let options = LoadOptions { batch_rows: usize::MAX, ..options };
    let mut parser = RowParser::new("record", &nullable(schema), options)?;
    let reasons = records.map(|record| parser.push_record(record)).collect::<Result<Vec<_>>>()?;
    parser.finish()?;
    let mut batches: Vec<RecordBatch> = std::iter::from_fn(|| parser.next_batch()).collect();
    let rows = match (batches.len(), batches.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            batches.extend(last);
            concat_batches(parser.schema(), &batches).map_err(Error::internal)?
        }
    };
    Ok((rows, reasons))
}

/// A record that does not decode has NULL in every column.
fn nullable(schema: &SchemaRef) -> SchemaRef {
    if schema.fields().iter().all(|field| field.is_nullable()) {
        return Arc::clone(schema);
    }
    let fields: Vec<Field> = schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
    Arc::new(Schema::new(fields))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::*;
    use arrow::datatypes::{DataType, Int32Type, TimeUnit};

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
            Arc::new(StringViewArray::from(vec![Some("a\"\nb"), Some("")])),
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

    #[test]
    fn every_type_comes_back() {
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None, Some(vec![])]);
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("bool", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
            ("int2", Arc::new(Int16Array::from(vec![Some(i16::MIN), None, Some(7)]))),
            ("int8", Arc::new(Int64Array::from(vec![Some(i64::MIN), None, Some(i64::MAX)]))),
            ("real", Arc::new(Float32Array::from(vec![Some(0.1), None, Some(f32::INFINITY)]))),
            ("double", Arc::new(Float64Array::from(vec![Some(1e300), None, Some(f64::NEG_INFINITY)]))),
            (
                "numeric",
                Arc::new(
                    Decimal128Array::from(vec![Some(-123_456), None, Some(5)]).with_precision_and_scale(38, 4).unwrap(),
                ),
            ),
            ("date", Arc::new(Date32Array::from(vec![Some(-1), None, Some(20_000)]))),
            ("time", Arc::new(Time64MicrosecondArray::from(vec![Some(1), None, Some(86_399_999_999)]))),
            ("stamp", Arc::new(TimestampMicrosecondArray::from(vec![Some(-1), None, Some(1_356_998_400_123_456)]))),
            ("stamptz", Arc::new(TimestampMicrosecondArray::from(vec![Some(0), None, Some(1)]).with_timezone("UTC"))),
            ("text", Arc::new(StringViewArray::from(vec![Some("é\"\\\n\u{1}"), None, Some("")]))),
            ("bytes", Arc::new(BinaryViewArray::from(vec![Some(&b"\\x"[..]), None, Some(b"")]))),
            ("list", Arc::new(list)),
        ];
        let fields = columns.iter().map(|(n, a)| Field::new(*n, a.data_type().clone(), true)).collect::<Vec<_>>();
        let arrays: Vec<ArrayRef> = columns.into_iter().map(|(_, a)| a).collect();
        let all = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap();
        let json = encode_json_rows(&all).unwrap();
        assert!(json.iter().all(|row| !row.contains(&b'\n')));
        let (back, reasons) = decode_json_records(&all.schema(), json.iter().map(|row| row.as_ref())).unwrap();
        assert_eq!((&back, reasons), (&all, vec![None, None, None]), "{json:?}");
        let flat = all.project(&(0..all.num_columns() - 1).collect::<Vec<_>>()).unwrap();
        let csv = encode_csv_rows(&flat).unwrap();
        let (back, reasons) = decode_csv_records(&flat.schema(), csv.iter().map(|row| row.as_ref())).unwrap();
        assert_eq!((&back, reasons), (&flat, vec![None, None, None]), "{csv:?}");
    }

    #[test]
    fn json_is_spelled_as_promised() {
        let text = String::from_utf8(encode_json_rows(&rows()).unwrap()[0].to_vec()).unwrap();
        assert_eq!(text, r#"{"n":1,"t":"a\"\nb","at":"2013-01-01T00:00:00.123456Z","b":"\\x00ff"}"#);
        let nulls = String::from_utf8(encode_json_rows(&rows()).unwrap()[1].to_vec()).unwrap();
        assert_eq!(nulls, r#"{"n":null,"t":"","at":null,"b":null}"#);
    }

    #[test]
    fn no_records_are_no_rows() {
        let (rows, reasons) = decode_json_records(&schema(), std::iter::empty()).unwrap();
        assert_eq!((rows.num_rows(), rows.num_columns(), reasons.len()), (0, 4, 0));
    }

    #[test]
    fn csv_records_are_one_row_each() {
        let cases: [(&[u8], Option<&str>); 6] = [
            (b"1,a\"b,,", None),
            (b"1,\"a\nb\",,\r\n", None),
            (b"1,a,,\n2,b,,", Some("more than one row")),
            (b"1,a", Some("missing data for column \"at\"")),
            (b"x,a,,", Some("column \"n\": invalid input syntax for type bigint: \"x\"")),
            (b"", Some("empty")),
        ];
        for (record, expected) in cases {
            let (rows, reasons) = decode_csv_records(&schema(), std::iter::once(record)).unwrap();
            assert_eq!(rows.num_rows(), 1);
            match (&reasons[0], expected) {
                (None, None) => assert!(rows.column(0).is_valid(0)),
                (Some(told), Some(part)) => {
                    assert!(told.contains(part), "{told}");
                    assert!(rows.columns().iter().all(|column| column.is_null(0)));
                }
                (told, _) => panic!("{record:?}: {told:?}"),
            }
        }
    }
}
