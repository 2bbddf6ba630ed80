//! Rows as JSON lines that are read back exactly: bytes as `"\\x…"`, NaN and infinities as text, NULL as `null`.

use arrow::array::{Array, ArrayAccessor, AsArray, PrimitiveArray, RecordBatch, StringViewArray};
use arrow::datatypes::{ArrowPrimitiveType, DataType, FieldRef, Float32Type, Float64Type, Schema};
use arrow::error::ArrowError;
use arrow::json::writer::{LineDelimited, NullableEncoder, Writer, WriterBuilder};
use arrow::json::{Encoder, EncoderFactory, EncoderOptions};
use std::io::Write as _;
use std::sync::Arc;
use tidegate_catalog::is_super;
use tidegate_core::{Error, Kind, Result};

const TIMESTAMP: &str = "%Y-%m-%dT%H:%M:%S%.f";
const TIMESTAMP_UTC: &str = "%Y-%m-%dT%H:%M:%S%.fZ";
const TIMESTAMP_ZONED: &str = "%Y-%m-%dT%H:%M:%S%.f%:z";
const TIME: &str = "%H:%M:%S%.f";

/// Adds one line for each row; a line end stands nowhere else.
pub(super) fn encode_json(batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
    let zoned = if all_utc(&batch.schema()) { TIMESTAMP_UTC } else { TIMESTAMP_ZONED };
    let builder = WriterBuilder::new()
        .with_timestamp_format(TIMESTAMP.into())
        .with_timestamp_tz_format(zoned.into())
        .with_time_format(TIME.into())
        .with_explicit_nulls(true)
        .with_encoder_factory(Arc::new(Exact));
    let mut writer: Writer<_, LineDelimited> = builder.build(out);
    let written = writer.write(batch).and_then(|()| writer.finish());
    written.map_err(|e| Error::new(Kind::Unsupported, format!("writing JSON: {e}")))
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
struct Exact;

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
            _ => return Ok(None),
        };
        Ok(Some(NullableEncoder::new(encoder, array.nulls().cloned())))
    }
}

/// SUPER values: they are JSON.
struct Json<'a>(&'a StringViewArray);

impl Encoder for Json<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.value(row).as_bytes());
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
