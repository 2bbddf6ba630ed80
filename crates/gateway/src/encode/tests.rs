//! Whole rows, in text and binary.

use super::*;
use arrow::array::*;
use arrow::datatypes::{DataType, Field, Int32Type};
use std::collections::HashMap;
use std::sync::Arc;

fn values(arrays: Vec<(&str, ArrayRef, Option<&str>)>, format: Format, row: usize) -> Vec<Option<Vec<u8>>> {
    let fields: Vec<Field> = arrays
        .iter()
        .map(|(name, array, pg)| {
            let field = Field::new(*name, array.data_type().clone(), true);
            match pg {
                Some(pg) => field.with_metadata(HashMap::from([("pg_type".to_string(), pg.to_string())])),
                None => field,
            }
        })
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let columns: Vec<ArrayRef> = arrays.into_iter().map(|(_, array, _)| array).collect();
    let batch = RecordBatch::try_new(schema.clone(), columns).unwrap();
    let encoder = RowEncoder::new(&schema, vec![format; batch.num_columns()], Zone::Utc);
    let mut out = Vec::new();
    encoder.bind(&batch).unwrap().put_row(row, &mut out).unwrap();
    assert_eq!(out[0], b'D');
    assert_eq!(u32::from_be_bytes(out[1..5].try_into().unwrap()) as usize, out.len() - 1);
    let mut rest = &out[7..];
    let mut found = Vec::new();
    while !rest.is_empty() {
        let length = i32::from_be_bytes(rest[..4].try_into().unwrap());
        rest = &rest[4..];
        found.push(usize::try_from(length).ok().map(|n| {
            let (value, after) = rest.split_at(n);
            rest = after;
            value.to_vec()
        }));
    }
    found
}

fn ints() -> ArrayRef {
    Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None, Some(3)]), Some(vec![])]))
}

fn strings() -> ArrayRef {
    let mut list = ListBuilder::new(StringBuilder::new());
    for item in [Some("a"), Some("b c"), None, Some("null"), Some("q\"\\"), Some("")] {
        list.values().append_option(item);
    }
    list.append(true);
    Arc::new(list.finish())
}

fn one(array: ArrayRef, pg: Option<&str>, format: Format) -> Vec<u8> {
    values(vec![("c", array, pg)], format, 0).remove(0).unwrap()
}

#[test]
fn text_of_each_kind() {
    let parts: StructArray =
        vec![(Arc::new(Field::new("a", DataType::Int32, true)), Arc::new(Int32Array::from(vec![1])) as ArrayRef)]
            .into();
    let cases: Vec<(ArrayRef, Option<&str>, &str)> = vec![
        (Arc::new(BooleanArray::from(vec![true])), None, "t"),
        (Arc::new(UInt64Array::from(vec![u64::MAX])), None, "18446744073709551615"),
        (Arc::new(BinaryArray::from(vec![&b"\x00\xff"[..]])), None, "\\x00ff"),
        (Arc::new(Time64MicrosecondArray::from(vec![3_600_000_001])), None, "01:00:00.000001"),
        (Arc::new(TimestampNanosecondArray::from(vec![1_500_000_000])), None, "1970-01-01 00:00:01.5"),
        (Arc::new(TimestampSecondArray::from(vec![1]).with_timezone("UTC")), None, "1970-01-01 00:00:01+00"),
        (Arc::new(DurationSecondArray::from(vec![90_061])), None, "1 day 01:01:01"),
        (ints(), None, "{1,NULL,3}"),
        (ints(), Some("oidvector"), "1 NULL 3"),
        (strings(), None, r#"{a,"b c",NULL,"null","q\"\\",""}"#),
        (Arc::new(parts), None, r#"{"a": 1}"#),
        (Arc::new(DictionaryArray::<Int32Type>::from_iter([Some("x")])), None, "x"),
    ];
    for (array, pg, want) in cases {
        let kind = array.data_type().clone();
        assert_eq!(String::from_utf8(one(array, pg, Format::Text)).unwrap(), want, "{kind}");
    }
}

#[test]
fn binary_of_each_kind() {
    let uuid = "00112233-4455-6677-8899-aabbccddeeff";
    let cases: Vec<(ArrayRef, Option<&str>, Vec<u8>)> = vec![
        (Arc::new(Int64Array::from(vec![7])), Some("oid"), vec![0, 0, 0, 7]),
        (Arc::new(UInt8Array::from(vec![200])), None, vec![0, 200]),
        (Arc::new(Date32Array::from(vec![10_957])), None, vec![0; 4]),
        (Arc::new(TimestampMicrosecondArray::from(vec![946_684_800_000_001])), None, vec![0, 0, 0, 0, 0, 0, 0, 1]),
        (Arc::new(StringArray::from(vec![uuid])), Some("uuid"), (0..16).map(|n| n * 0x11).collect()),
        (Arc::new(StringViewArray::from(vec!["{}"])), Some("jsonb"), b"\x01{}".to_vec()),
        (ints(), None, [1, 1, 23, 3, 1, 4, 1, -1, 4, 3].iter().flat_map(|n: &i32| n.to_be_bytes()).collect()),
    ];
    for (array, pg, want) in cases {
        let kind = array.data_type().clone();
        assert_eq!(one(array, pg, Format::Binary), want, "{kind}");
    }
    assert_eq!(
        values(vec![("c", ints(), None)], Format::Binary, 1)[0].as_deref(),
        Some(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 23][..])
    );
}

#[test]
fn nulls_have_no_value_and_ragged_arrays_no_binary_form() {
    let row = values(
        vec![("a", Arc::new(Int32Array::from(vec![None])), None), ("b", new_null_array(&DataType::Null, 1), None)],
        Format::Text,
        0,
    );
    assert_eq!(row, vec![None, None]);
    let mut nested = ListBuilder::new(ListBuilder::new(Int32Builder::new()));
    nested.values().append_value([Some(1)]);
    nested.values().append_value([Some(1), Some(2)]);
    nested.append(true);
    let array: ArrayRef = Arc::new(nested.finish());
    let schema = Arc::new(Schema::new(vec![Field::new("c", array.data_type().clone(), true)]));
    let batch = RecordBatch::try_new(schema.clone(), vec![array]).unwrap();
    let bound = RowEncoder::new(&schema, vec![Format::Binary], Zone::Utc).bind(&batch).unwrap();
    let mut out = vec![9];
    assert_eq!(bound.put_row(0, &mut out).map_err(|e| e.kind()), Err(Kind::DatatypeMismatch));
    assert_eq!(out, vec![9]);
}
