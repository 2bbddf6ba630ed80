//! Nested values that Postgres has no type for, as JSON text.

use super::column::{Column, Values};
use crate::types::oid;
use tidegate_core::Result;

/// Writes a value, NULL included.
pub fn put(column: &Column, row: usize, out: &mut Vec<u8>) -> Result<()> {
    if column.is_null(row) {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    match &column.values {
        Values::Bool(a) => out.extend_from_slice(if a.value(row) { b"true" } else { b"false" }),
        Values::Struct(parts) => {
            out.push(b'{');
            for (index, (name, part)) in parts.iter().enumerate() {
                put_key(name, index, out);
                put(part, row, out)?;
            }
            out.push(b'}');
        }
        Values::Map(offsets, keys, values) => {
            out.push(b'{');
            for (index, at) in (offsets[row] as usize..offsets[row + 1] as usize).enumerate() {
                let mut key = Vec::new();
                keys.put_text(at, &mut key)?;
                put_key(&String::from_utf8_lossy(&key), index, out);
                put(values, at, out)?;
            }
            out.push(b'}');
        }
        Values::List(offsets, items) => {
            out.push(b'[');
            for (index, at) in (offsets[row] as usize..offsets[row + 1] as usize).enumerate() {
                if index > 0 {
                    out.extend_from_slice(b", ");
                }
                put(items, at, out)?;
            }
            out.push(b']');
        }
        _ => put_scalar(column, row, out)?,
    }
    Ok(())
}

fn put_key(name: &str, index: usize, out: &mut Vec<u8>) {
    if index > 0 {
        out.extend_from_slice(b", ");
    }
    put_string(name, out);
    out.extend_from_slice(b": ");
}

fn put_scalar(column: &Column, row: usize, out: &mut Vec<u8>) -> Result<()> {
    let start = out.len();
    column.put_text(row, out)?;
    let told = column.wire.oid;
    let raw = match told {
        oid::INT2 | oid::INT4 | oid::INT8 | oid::NUMERIC | oid::OID | oid::JSON | oid::JSONB => true,
        // NaN and the infinities are not JSON numbers.
        oid::FLOAT4 | oid::FLOAT8 => out[start..].iter().any(u8::is_ascii_digit),
        _ => false,
    };
    if !raw {
        let text = out.split_off(start);
        put_string(&String::from_utf8_lossy(&text), out);
    }
    Ok(())
}

fn put_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..=0x1f => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}
