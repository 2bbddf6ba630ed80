//! Messages of the client: their frames, their maximums, their bodies. Nothing a client sends can make this panic.

use crate::decode::reader::Reader;
use bytes::{Bytes, BytesMut};
use tidegate_core::{Error, Kind, Result};

/// Longest message that carries text or data of the user, as in Postgres.
pub const LARGE_MESSAGE_BYTES_MAX: usize = 0x3fff_ffff;
/// Longest of the others.
pub const SMALL_MESSAGE_BYTES_MAX: usize = 10_000;
/// Longest answer to a request for authentication.
pub const AUTHENTICATION_BYTES_MAX: usize = 65_535;

/// A type byte and a length.
const HEADER_BYTES: usize = 5;

/// What Close and Describe speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A prepared statement.
    Statement,
    /// A portal.
    Portal,
}

/// Values for a statement's parameters, and how its rows are to be sent.
#[derive(Debug)]
pub struct Bind {
    /// The portal to make.
    pub portal: String,
    /// The prepared statement.
    pub statement: String,
    /// Formats of the parameters.
    pub formats: Vec<i16>,
    /// The parameters; None is NULL.
    pub values: Vec<Option<Bytes>>,
    /// Formats of the result's columns.
    pub result_formats: Vec<i16>,
}

/// A message of the client.
#[derive(Debug)]
pub enum Frontend {
    /// A script of the simple protocol.
    Query(String),
    /// Prepare a statement.
    Parse {
        /// Its name.
        name: String,
        /// One statement.
        sql: String,
        /// Types of its parameters, 0 where the client leaves it to us.
        types: Vec<u32>,
    },
    /// Make a portal.
    Bind(Bind),
    /// Say what comes back.
    Describe(Target, String),
    /// Run a portal, for at most so many rows; 0 is all.
    Execute(String, u32),
    /// Forget a statement or portal.
    Close(Target, String),
    /// Send what is ready.
    Flush,
    /// End of a group of messages.
    Sync,
    /// Rows of COPY FROM STDIN.
    CopyData(Bytes),
    /// The end of them.
    CopyDone,
    /// The client gave up.
    CopyFail(String),
    /// An answer to a request for authentication.
    Password(Bytes),
    /// Good-bye.
    Terminate,
    /// A whole message whose text is not UTF-8: the statement fails, the connection goes on.
    Unreadable {
        /// Whether it was a script of the simple protocol.
        simple: bool,
        /// What is wrong with it.
        error: Error,
    },
}

/// Takes one message off the buffer; None when it is not all there. The second number is how many bytes it will need.
pub fn take(buffer: &mut BytesMut) -> Result<Option<Frontend>> {
    let Some(total) = frame_length(buffer)? else { return Ok(None) };
    if buffer.len() < total {
        return Ok(None);
    }
    let frame = buffer.split_to(total).freeze();
    let tag = frame[0];
    match parse(tag, frame.slice(HEADER_BYTES..)) {
        Err(error) if error.kind() != Kind::Protocol => Ok(Some(Frontend::Unreadable { simple: tag == b'Q', error })),
        parsed => parsed.map(Some),
    }
}

/// Bytes of the first message in the buffer, header included; None before its header is there.
pub fn frame_length(buffer: &[u8]) -> Result<Option<usize>> {
    let Some((tag, rest)) = buffer.split_first() else { return Ok(None) };
    let max = max_length(*tag)?;
    let Some(Ok(length)) = rest.get(..4).map(<[u8; 4]>::try_from) else { return Ok(None) };
    let length = u32::from_be_bytes(length) as usize;
    if length < 4 || length > max {
        let name = char::from(*tag).escape_default();
        return Err(Error::new(Kind::Protocol, format!("invalid message length {length} of message type '{name}'")));
    }
    Ok(Some(length + 1))
}

fn max_length(tag: u8) -> Result<usize> {
    match tag {
        b'Q' | b'P' | b'B' | b'd' | b'f' => Ok(LARGE_MESSAGE_BYTES_MAX),
        b'p' => Ok(AUTHENTICATION_BYTES_MAX),
        b'D' | b'E' | b'C' | b'H' | b'S' | b'c' | b'X' => Ok(SMALL_MESSAGE_BYTES_MAX),
        other => Err(Error::new(Kind::Protocol, format!("invalid frontend message type {other}"))),
    }
}

fn parse(tag: u8, body: Bytes) -> Result<Frontend> {
    let mut reader = Reader::new(&body);
    let message = match tag {
        b'd' => return Ok(Frontend::CopyData(body)),
        b'p' => return Ok(Frontend::Password(body)),
        b'Q' => Frontend::Query(reader.cstring()?),
        b'P' => {
            let (name, sql) = (reader.cstring()?, reader.cstring()?);
            let count = reader.u16()?;
            let types = (0..count).map(|_| reader.u32()).collect::<Result<_>>()?;
            Frontend::Parse { name, sql, types }
        }
        b'B' => Frontend::Bind(parse_bind(&body, &mut reader)?),
        b'D' => Frontend::Describe(target(&mut reader)?, reader.cstring()?),
        b'C' => Frontend::Close(target(&mut reader)?, reader.cstring()?),
        b'E' => Frontend::Execute(reader.cstring()?, u32::try_from(reader.i32()?).unwrap_or(0)),
        b'H' => Frontend::Flush,
        b'S' => Frontend::Sync,
        b'c' => Frontend::CopyDone,
        b'f' => Frontend::CopyFail(reader.cstring()?),
        _ => Frontend::Terminate,
    };
    reader.end()?;
    Ok(message)
}

fn target(reader: &mut Reader<'_>) -> Result<Target> {
    match reader.u8()? {
        b'S' => Ok(Target::Statement),
        b'P' => Ok(Target::Portal),
        other => Err(Error::new(Kind::Protocol, format!("invalid target {other} of a describe or close message"))),
    }
}

fn parse_bind(body: &Bytes, reader: &mut Reader<'_>) -> Result<Bind> {
    let (portal, statement) = (reader.cstring()?, reader.cstring()?);
    let count = reader.u16()?;
    let formats = (0..count).map(|_| reader.i16()).collect::<Result<_>>()?;
    let count = reader.u16()?;
    let mut values = Vec::new();
    for _ in 0..count {
        values.push(match usize::try_from(reader.i32()?) {
            Ok(length) => Some(body.slice_ref(reader.take(length)?)),
            Err(_) => None,
        });
    }
    let count = reader.u16()?;
    let result_formats = (0..count).map(|_| reader.i16()).collect::<Result<_>>()?;
    Ok(Bind { portal, statement, formats, values, result_formats })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> String {
        match take(&mut BytesMut::from(bytes)) {
            Ok(message) => format!("{message:?}"),
            Err(error) => format!("{}: {error}", error.kind().sqlstate()),
        }
    }

    #[test]
    fn frames() {
        let cases: [(&[u8], &str); 11] = [
            (b"", "None"),
            (b"Q\0\0\0", "None"),
            (b"Q\0\0\0\x0dSELECT", "None"),
            (b"Q\0\0\0\x0dSELECT 1\0", "Some(Query(\"SELECT 1\"))"),
            (b"E\0\0\0\x09\0\0\0\0\x05", "Some(Execute(\"\", 5))"),
            (b"Q\0\0\0\x06ab", "08P01: invalid string in message"),
            (b"P\0\0\0\x06\0\0", "08P01: insufficient data left in message"),
            (b"S\0\0\0\x05x", "08P01: invalid message format"),
            (b"S\0\0\0\x03", "08P01: invalid message length 3 of message type 'S'"),
            (b"S\x7f\xff\xff\xff", "08P01: invalid message length 2147483647 of message type 'S'"),
            (b"\x00\0\0\0\x08", "08P01: invalid frontend message type 0"),
        ];
        for (bytes, want) in cases {
            assert_eq!(read(bytes), want, "{bytes:?}");
        }
    }

    #[test]
    fn every_truncation_of_a_bind_is_an_error_and_not_a_panic() {
        let body = b"p\0s\0\0\x01\0\x01\0\x02\0\0\0\x02ab\xff\xff\xff\xff\0\x01\0\x01";
        for cut in 0..=body.len() {
            let mut frame = vec![b'B', 0, 0, 0, cut as u8 + 4];
            frame.extend_from_slice(&body[..cut]);
            assert_eq!(take(&mut BytesMut::from(&frame[..])).is_ok(), cut == body.len(), "{cut}");
        }
    }
}
