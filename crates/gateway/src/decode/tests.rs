//! Tables of parameters.

use super::*;

fn shown(value: Result<ScalarValue>) -> String {
    match value {
        Ok(value) => format!("{value:?}"),
        Err(error) => error.kind().sqlstate().to_string(),
    }
}

#[test]
fn text() {
    let cases = [
        (oid::BOOL, "T", "Boolean(true)"),
        (oid::BOOL, "2", "22P02"),
        (oid::INT2, "40000", "22003"),
        (oid::INT4, " 7 ", "Int32(7)"),
        (oid::INT8, "x", "22P02"),
        (oid::NUMERIC, "-12.50", "Decimal128(-12.50,4,2)"),
        (oid::NUMERIC, "1e3", "Decimal128(1000,4,0)"),
        (oid::NUMERIC, "0.001", "Decimal128(0.001,3,3)"),
        (oid::NUMERIC, "1.2.3", "22P02"),
        (oid::NUMERIC, "1e99999", "22003"),
        (oid::BYTEA, "\\x00fF", "Binary(\"0,255\")"),
        (oid::BYTEA, "a\\134\\\\", "Binary(\"97,92,92\")"),
        (oid::BYTEA, "\\x0", "22P02"),
        (oid::UUID, "00112233-4455-6677-8899-AABBCCDDEEFF", "Utf8(\"00112233-4455-6677-8899-aabbccddeeff\")"),
        (oid::TIMESTAMPTZ, "1970-01-01 01:00:00+01", "TimestampMicrosecond(0, Some(\"UTC\"))"),
        (oid::DATE, "1970-01-02", "Date32(\"1970-01-02\")"),
        (0, "any", "Utf8(\"any\")"),
        (99_999, "any", "0A000"),
        (1007, "{1,NULL,3}", "List([1, , 3])"),
        (1009, r#"{a,"b,\"c",""}"#, r#"List([a, b,"c, ])"#),
        (1007, "{1,", "22P02"),
    ];
    for (told, input, want) in cases {
        assert_eq!(
            shown(decode(told, Format::Text, Some(input.as_bytes()), &Reading::utc().unwrap())),
            want,
            "{told} {input}"
        );
    }
}

#[test]
fn binary() {
    let cases: [(u32, &[u8], &str); 10] = [
        (oid::INT4, &[0, 0, 0, 7], "Int32(7)"),
        (oid::INT4, &[0, 0, 0], "08P01"),
        (oid::INT4, &[0, 0, 0, 0, 0], "08P01"),
        (oid::OID, &[255, 255, 255, 255], "Int64(4294967295)"),
        (oid::NUMERIC, &[0, 2, 0, 0, 0x40, 0, 0, 2, 0, 12, 0x13, 0x88], "Decimal128(-12.50,4,2)"),
        (oid::NUMERIC, &[0, 1, 0, 1, 0, 0, 0, 0, 0, 1], "Decimal128(10000,5,0)"),
        (oid::NUMERIC, &[0, 0, 0, 0, 0xc0, 0, 0, 0], "22003"),
        (oid::JSONB, b"\x01{}", "Utf8(\"{}\")"),
        (oid::TIMESTAMP, &[0; 8], "TimestampMicrosecond(946684800000000, None)"),
        (1007, &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 23, 127, 255, 255, 255, 0, 0, 0, 1], "08P01"),
    ];
    for (told, input, want) in cases {
        assert_eq!(
            shown(decode(told, Format::Binary, Some(input), &Reading::utc().unwrap())),
            want,
            "{told} {input:?}"
        );
    }
    assert_eq!(shown(decode(oid::INT8, Format::Binary, None, &Reading::utc().unwrap())), "Int64(NULL)");
}
