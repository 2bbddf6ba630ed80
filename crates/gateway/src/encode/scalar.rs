//! Values whose form on the wire depends on the type that the client was told, not on how Arrow carries them.

use crate::types::{self, oid};
use tidegate_core::{Error, Kind, Result};

/// A value that the type on the wire cannot hold.
pub fn out_of_range(what: &str) -> Error {
    Error::new(Kind::OutOfRange, format!("{what} out of range"))
}

/// An integer in the width of the type that the client was told.
pub fn put_integer_binary(out: &mut Vec<u8>, value: i64, told: u32) -> Result<()> {
    match told {
        oid::INT2 => {
            let value = i16::try_from(value).map_err(|_| out_of_range("smallint"))?;
            out.extend_from_slice(&value.to_be_bytes());
        }
        oid::INT4 => {
            let value = i32::try_from(value).map_err(|_| out_of_range("integer"))?;
            out.extend_from_slice(&value.to_be_bytes());
        }
        oid::INT8 => out.extend_from_slice(&value.to_be_bytes()),
        // Object ids are unsigned; a negative integer that carries one keeps its bits.
        other if types::is_integer(other) => out.extend_from_slice(&(value as u32).to_be_bytes()),
        other => return Err(Error::internal(format!("an integer cannot be sent as type {other}"))),
    }
    Ok(())
}

/// Text in the binary form of the type that the client was told.
pub fn put_text_binary(out: &mut Vec<u8>, text: &str, told: u32) -> Result<()> {
    match told {
        oid::UUID => {
            let hex: String = text.chars().filter(|c| *c != '-').collect();
            let bits = u128::from_str_radix(&hex, 16).map_err(|_| {
                Error::new(Kind::InvalidText, format!("invalid input syntax for type uuid: \"{text}\""))
            })?;
            out.extend_from_slice(&bits.to_be_bytes());
        }
        oid::JSONB => {
            out.push(1);
            out.extend_from_slice(text.as_bytes());
        }
        _ => out.extend_from_slice(text.as_bytes()),
    }
    Ok(())
}

fn put_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.reserve(bytes.len() * 2);
    for byte in bytes {
        out.push(HEX[usize::from(byte >> 4)]);
        out.push(HEX[usize::from(byte & 15)]);
    }
}

/// Bytes as text: hexadecimal, or a uuid.
pub fn put_bytes_text(out: &mut Vec<u8>, bytes: &[u8], told: u32) {
    if told == oid::UUID && bytes.len() == 16 {
        for (index, part) in [(0, 4), (4, 6), (6, 8), (8, 10), (10, 16)].iter().enumerate() {
            if index > 0 {
                out.push(b'-');
            }
            put_hex(out, &bytes[part.0..part.1]);
        }
        return;
    }
    out.extend_from_slice(b"\\x");
    put_hex(out, bytes);
}
