//! Rows as JSON lines that are read back exactly: bytes as `"\\x…"`, NaN and infinities as text, NULL as `null`.

use super::text_values::time;
use arrow::array::{Array, ArrayAccessor, AsArray, BooleanArray, PrimitiveArray, RecordBatch, Time64MicrosecondArray};
use arrow::datatypes::{ArrowPrimitiveType, DataType, FieldRef, Float32Type, Float64Type, Schema, TimeUnit};
use arrow::error::ArrowError;
use arrow::json::writer::{LineDelimited, NullableEncoder, Writer, WriterBuilder};
use arrow::json::{Encoder, EncoderFactory, EncoderOptions};
use std::io::Write as _;
use std::sync::Arc;
use tidegate_catalog::{PG_TYPE_KEY, is_super, is_timetz};
use tidegate_core::{Error, Kind, Result};

const TIMESTAMP: &str = "%Y-%m-%dT%H:%M:%S%.f";
const TIMESTAMP_UTC: &str = "%Y-%m-%dT%H:%M:%S%.fZ";
const TIMESTAMP_ZONED: &str = "%Y-%m-%dT%H:%M:%S%.f%:z";
const TIME: &str = "%H:%M:%S%.f";

/// Writes JSON lines.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct JsonEncoder {
    /// As Redshift's UNLOAD: booleans are `"t"` and `"f"`, and JSON in a column is JSON, not a text of it.
    pub(super) redshift: bool,
}

impl JsonEncoder {
    /// Adds one line for each row; a line end stands nowhere else.
    pub(super) fn encode(self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        let zoned = if all_utc(&batch.schema()) { TIMESTAMP_UTC } else { TIMESTAMP_ZONED };
        let builder = WriterBuilder::new()
            .with_timestamp_format(TIMESTAMP.into())
            .with_timestamp_tz_format(zoned.into())
            .with_time_format(TIME.into())
            .with_explicit_nulls(true)
            .with_encoder_factory(Arc::new(Exact { redshift: self.redshift }));
        let mut writer: Writer<_, LineDelimited> = builder.build(out);
        let written = writer.write(batch).and_then(|()| writer.finish());
        written.map_err(|e| Error::new(Kind::Unsupported, format!("writing JSON: {e}")))
    }
}

/// Whether `Z` is true of every timestamp.
fn all_utc(schema: &Schema) -> bool {
    let utc = |data_type: &DataType| match data_type {
        DataType::Timestamp(_, Some(zone)) => matches!(zone.as_ref(), "UTC" | "+00:00" | "Z"),
        nested => !nested.is_nested(),
    };
    schema.fields().iter().all(|field| utc(field.data_type()))
}

/// Encoders for the types that arrow's own would not let come back.
#[derive(Debug)]
struct Exact {
    redshift: bool,
}

impl EncoderFactory for Exact {
    fn make_default_encoder<'a>(
        &self,
        field: &'a FieldRef,
        array: &'a dyn Array,
        _options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let encoder: Box<dyn Encoder + 'a> = match array.data_type() {
            DataType::Utf8View if is_super(field) => Box::new(Json(array.as_string_view())),
            DataType::Binary => Box::new(Hex(array.as_binary::<i32>())),
            DataType::LargeBinary => Box::new(Hex(array.as_binary::<i64>())),
            DataType::BinaryView => Box::new(Hex(array.as_binary_view())),
            DataType::FixedSizeBinary(_) => Box::new(Hex(array.as_fixed_size_binary())),
            DataType::Float32 => Box::new(Float(array.as_primitive::<Float32Type>())),
            DataType::Float64 => Box::new(Float(array.as_primitive::<Float64Type>())),
            DataType::Time64(TimeUnit::Microsecond) if is_timetz(field) => Box::new(UtcTime(array.as_primitive())),
            DataType::Boolean if self.redshift => Box::new(Letter(array.as_boolean())),
            DataType::Utf8View if self.redshift && is_json(field) => Box::new(Json(array.as_string_view())),
            DataType::Utf8 if self.redshift && is_json(field) => Box::new(Json(array.as_string::<i32>())),
            _ => return Ok(None),
        };
        Ok(Some(NullableEncoder::new(encoder, array.nulls().cloned())))
    }
}

/// Whether a column's text is JSON.
fn is_json(field: &FieldRef) -> bool {
    field.metadata().get(PG_TYPE_KEY).is_some_and(|name| matches!(name.as_str(), "json" | "jsonb"))
}

struct UtcTime<'a>(&'a Time64MicrosecondArray);

impl Encoder for UtcTime<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        out.push(b'"');
        time(self.0.value(row), out);
        out.extend_from_slice(b"+00\"");
    }
}

struct Letter<'a>(&'a BooleanArray);

impl Encoder for Letter<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.0.value(row) { b"\"t\"" } else { b"\"f\"" });
    }
}

struct Json<A>(A);

impl<'a, A: ArrayAccessor<Item = &'a str>> Encoder for Json<A> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        let text = self.0.value(row);
        if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() {
            // In JSON a line end can only stand between its parts.
            out.extend(text.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
        } else {
            // Memory does not fail.
            let _ = serde_json::to_writer(out, text);
        }
    }
}

struct Hex<A>(A);

impl<'a, A: ArrayAccessor<Item = &'a [u8]>> Encoder for Hex<A> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\"\\\\x");
        for byte in self.0.value(row) {
            // Writing to memory cannot fail.
            let _ = write!(out, "{byte:02x}");
        }
        out.push(b'"');
    }
}

struct Float<'a, T: ArrowPrimitiveType>(&'a PrimitiveArray<T>);

impl<T: ArrowPrimitiveType> Encoder for Float<'_, T>
where
    T::Native: Into<f64> + serde::Serialize,
{
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        let value = self.0.value(row);
        let wide: f64 = value.into();
        if wide.is_nan() {
            out.extend_from_slice(b"\"NaN\"");
        } else if wide.is_infinite() {
            out.extend_from_slice(if wide > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" });
        } else {
            // In its own width, so that a real is written as short as it can be. Memory does not fail.
            let _ = serde_json::to_writer(out, &value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{StringArray, TimestampMicrosecondArray};
    use arrow::datatypes::Field;
    use std::collections::HashMap;

    #[test]
    fn lines() {
        let stamps = TimestampMicrosecondArray::from(vec![Some(1_500_000), None]).with_timezone("UTC");
        let json = HashMap::from([(PG_TYPE_KEY.to_string(), "jsonb".to_string())]);
        let fields = vec![
            Field::new("a,b", DataType::Utf8, true),
            Field::new("f", DataType::Boolean, true),
            Field::new("t", stamps.data_type().clone(), true),
            Field::new("j", DataType::Utf8, true).with_metadata(json),
        ];
        let text = StringArray::from(vec![Some("x\"y"), None]);
        let flags = BooleanArray::from(vec![Some(true), None]);
        let jsons = StringArray::from(vec!["{\"a\":\n1}", "no json"]);
        let batch = RecordBatch::try_new(
            Arc::new(Schema::new(fields)),
            vec![Arc::new(text), Arc::new(flags), Arc::new(stamps), Arc::new(jsons)],
        )
        .unwrap();
        let stamp = "1970-01-01T00:00:01.500Z";
        let cases = [
            (
                false,
                [
                    format!("{{\"a,b\":\"x\\\"y\",\"f\":true,\"t\":\"{stamp}\",\"j\":\"{{\\\"a\\\":\\n1}}\"}}"),
                    "{\"a,b\":null,\"f\":null,\"t\":null,\"j\":\"no json\"}".to_string(),
                ],
            ),
            (
                true,
                [
                    format!("{{\"a,b\":\"x\\\"y\",\"f\":\"t\",\"t\":\"{stamp}\",\"j\":{{\"a\": 1}}}}"),
                    "{\"a,b\":null,\"f\":null,\"t\":null,\"j\":\"no json\"}".to_string(),
                ],
            ),
        ];
        for (redshift, expected) in cases {
            let mut out = Vec::new();
            JsonEncoder { redshift }.encode(&batch, &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap().lines().collect::<Vec<_>>(), expected);
        }
    }
}
