//! Messages of the server, appended to the connection's buffer.

use crate::encode::{Format, wire_types};
use arrow::datatypes::Schema;
use tidegate_core::Error;
use tidegate_query::Notification;

/// How grave an error is to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The statement failed.
    Error,
    /// The connection ends.
    Fatal,
}

/// A message: its type, its length, its body.
pub fn put(out: &mut Vec<u8>, tag: u8, body: impl FnOnce(&mut Vec<u8>)) {
    out.push(tag);
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    body(out);
    let length = (out.len() - at) as u32;
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

/// A message without a body.
pub fn put_bare(out: &mut Vec<u8>, tag: u8) {
    put(out, tag, |_| {});
}

/// Text and its zero byte; zero bytes inside would end it early, so they are left out.
pub fn put_cstring(out: &mut Vec<u8>, text: &str) {
    out.extend(text.bytes().filter(|b| *b != 0));
    out.push(0);
}

/// A request for authentication, or that it went well.
pub fn put_authentication(out: &mut Vec<u8>, code: i32, data: &[u8]) {
    put(out, b'R', |o| {
        o.extend_from_slice(&code.to_be_bytes());
        o.extend_from_slice(data);
    });
}

/// The value of a setting that clients follow.
pub fn put_parameter_status(out: &mut Vec<u8>, name: &str, value: &str) {
    put(out, b'S', |o| {
        put_cstring(o, name);
        put_cstring(o, value);
    });
}

/// What a cancel request must show.
pub fn put_key(out: &mut Vec<u8>, pid: i32, secret: &[u8]) {
    put(out, b'K', |o| {
        o.extend_from_slice(&pid.to_be_bytes());
        o.extend_from_slice(secret);
    });
}

/// A statement is done.
pub fn put_complete(out: &mut Vec<u8>, tag: &str) {
    put(out, b'C', |o| put_cstring(o, tag));
}

/// The next statement may come; `status` is I, T or E.
pub fn put_ready(out: &mut Vec<u8>, status: u8) {
    put(out, b'Z', |o| o.push(status));
}

/// The columns that rows will have.
pub fn put_row_description(out: &mut Vec<u8>, schema: &Schema, formats: &[Format]) {
    put(out, b'T', |o| {
        o.extend_from_slice(&(schema.fields().len() as u16).to_be_bytes());
        for (index, (field, wire)) in schema.fields().iter().zip(wire_types(schema)).enumerate() {
            put_cstring(o, field.name());
            let origin = tidegate_query::origin_of_field(field);
            o.extend_from_slice(&origin.map_or(0, |origin| origin.relation).to_be_bytes());
            o.extend_from_slice(&origin.map_or(0, |origin| origin.number).to_be_bytes());
            o.extend_from_slice(&wire.oid.to_be_bytes());
            o.extend_from_slice(&wire.len.to_be_bytes());
            o.extend_from_slice(&wire.typmod.to_be_bytes());
            let format = formats.get(index).copied().unwrap_or(Format::Text);
            o.extend_from_slice(&format.code().to_be_bytes());
        }
    });
}

/// The types of a statement's parameters.
pub fn put_parameter_description(out: &mut Vec<u8>, types: &[u32]) {
    put(out, b't', |o| {
        o.extend_from_slice(&(types.len() as u16).to_be_bytes());
        for told in types {
            o.extend_from_slice(&told.to_be_bytes());
        }
    });
}

/// COPY begins: `G` into the server, `H` out of it.
pub fn put_copy_start(out: &mut Vec<u8>, tag: u8, format: Format, columns: usize) {
    put(out, tag, |o| {
        o.push(format.code() as u8);
        o.extend_from_slice(&(columns as u16).to_be_bytes());
        for _ in 0..columns {
            o.extend_from_slice(&format.code().to_be_bytes());
        }
    });
}

/// An error, with its place and what to do about it.
pub fn put_error(out: &mut Vec<u8>, severity: Severity, code: &str, error: &Error) {
    let word = match severity {
        Severity::Error => "ERROR",
        Severity::Fatal => "FATAL",
    };
    put(out, b'E', |o| {
        put_fields(o, word, code, error.message(), error.detail_text(), error.hint_text());
        if let Some(position) = error.position() {
            put_field(o, b'P', &position.to_string());
        }
        o.push(0);
    });
}

/// A notice, warning or other message that ends nothing.
pub fn put_notice(out: &mut Vec<u8>, severity: &str, code: &str, message: &str, hint: Option<&str>) {
    put(out, b'N', |o| {
        put_fields(o, severity, code, message, None, hint);
        o.push(0);
    });
}

/// A message of another session.
pub fn put_notification(out: &mut Vec<u8>, notification: &Notification) {
    put(out, b'A', |o| {
        o.extend_from_slice(&notification.pid.to_be_bytes());
        put_cstring(o, &notification.channel);
        put_cstring(o, &notification.payload);
    });
}

fn put_fields(out: &mut Vec<u8>, severity: &str, code: &str, message: &str, detail: Option<&str>, hint: Option<&str>) {
    put_field(out, b'S', severity);
    put_field(out, b'V', severity);
    put_field(out, b'C', code);
    put_field(out, b'M', message);
    if let Some(detail) = detail {
        put_field(out, b'D', detail);
    }
    if let Some(hint) = hint {
        put_field(out, b'H', hint);
    }
}

fn put_field(out: &mut Vec<u8>, field: u8, text: &str) {
    out.push(field);
    put_cstring(out, text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_core::Kind;

    #[test]
    fn an_error_names_code_place_and_remedy() {
        let mut out = Vec::new();
        let error = Error::new(Kind::Syntax, "no\0pe").hint("do").at(7);
        put_error(&mut out, Severity::Error, error.kind().sqlstate(), &error);
        let body = b"SERROR\0VERROR\0C42601\0Mnope\0Hdo\0P7\0\0";
        assert_eq!(out[0], b'E');
        assert_eq!(out[1..5], (body.len() as u32 + 4).to_be_bytes());
        assert_eq!(&out[5..], body);
    }
}
