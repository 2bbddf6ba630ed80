//! ENCODING: text that is not UTF-8 made UTF-8 while it is read.

use super::read::ByteStream;
use bytes::Bytes;
use futures::StreamExt;
use std::fmt;
use std::io;
use tidegate_core::{Error, Kind, Result};

/// How the characters of a file are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum Encoding {
    /// UTF-8.
    #[default]
    Utf8,
    /// UTF-16 in the order that its byte order mark tells.
    Utf16,
    /// UTF-16, the low byte first.
    Utf16Le,
    /// UTF-16, the high byte first.
    Utf16Be,
    /// ISO 8859-1.
    Latin1,
}

/// The file is in another encoding than COPY was told (Redshift's error 1221).
#[derive(Debug)]
pub struct EncodingMismatch;

impl fmt::Display for EncodingMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the encoding of the file is not the one specified in the COPY command")
    }
}

impl std::error::Error for EncodingMismatch {}

const LITTLE: [u8; 2] = [0xff, 0xfe];
const BIG: [u8; 2] = [0xfe, 0xff];

impl Encoding {
    /// An encoding by its name. 0A000 for others.
    pub fn of_name(name: &str) -> Result<Encoding> {
        Ok(match name.to_ascii_uppercase().replace(['-', '_'], "").as_str() {
            "UTF8" | "UNICODE" => Encoding::Utf8,
            "UTF16" => Encoding::Utf16,
            "UTF16LE" => Encoding::Utf16Le,
            "UTF16BE" => Encoding::Utf16Be,
            "ISO88591" | "LATIN1" => Encoding::Latin1,
            _ => {
                return Err(Error::new(Kind::Unsupported, format!("encoding {name} is not supported"))
                    .hint("The encodings are UTF8, UTF16, UTF16LE, UTF16BE and ISO88591."));
            }
        })
    }

    /// The stream as UTF-8. What begins with another encoding's mark ends in [`EncodingMismatch`].
    pub fn decode(self, bytes: ByteStream) -> ByteStream {
        let decoder = Decoder { encoding: self, order: None, carry: Vec::new() };
        let ends = futures::stream::iter([None]);
        let chunks = bytes.map(Some).chain(ends);
        let decoded = chunks.scan(decoder, |decoder, chunk| {
            let decoded = match chunk {
                Some(Ok(bytes)) => decoder.take(&bytes),
                Some(Err(error)) => Err(error),
                None => decoder.end(),
            };
            std::future::ready(Some(decoded))
        });
        decoded.boxed()
    }
}

struct Decoder {
    encoding: Encoding,
    /// Once the start has been seen: reads a unit of UTF-16.
    order: Option<fn([u8; 2]) -> u16>,
    carry: Vec<u8>,
}

impl Decoder {
    fn take(&mut self, bytes: &Bytes) -> io::Result<Bytes> {
        match self.encoding {
            Encoding::Utf8 => self.checked(bytes),
            Encoding::Latin1 => Ok(bytes.iter().map(|byte| char::from(*byte)).collect::<String>().into()),
            _ => self.utf16(bytes),
        }
    }

    /// UTF-8 passes as it is, but for a mark of UTF-16 at the start.
    fn checked(&mut self, bytes: &Bytes) -> io::Result<Bytes> {
        if self.order.is_none() && !bytes.is_empty() {
            self.order = Some(u16::from_le_bytes);
            if bytes.starts_with(&LITTLE) || bytes.starts_with(&BIG) {
                return Err(io::Error::other(EncodingMismatch));
            }
        }
        Ok(bytes.clone())
    }

    fn utf16(&mut self, bytes: &Bytes) -> io::Result<Bytes> {
        self.carry.extend_from_slice(bytes);
        if self.order.is_none() && self.carry.len() >= 2 {
            let mark = self.carry.get(..2).and_then(|two| <[u8; 2]>::try_from(two).ok()).unwrap_or_default();
            self.order = Some(match (self.encoding, mark) {
                (Encoding::Utf16 | Encoding::Utf16Le, LITTLE) => u16::from_le_bytes,
                (Encoding::Utf16 | Encoding::Utf16Be, BIG) => u16::from_be_bytes,
                (Encoding::Utf16Le, found) if found != BIG => u16::from_le_bytes,
                (Encoding::Utf16Be, found) if found != LITTLE => u16::from_be_bytes,
                _ => return Err(io::Error::other(EncodingMismatch)),
            });
            if mark == LITTLE || mark == BIG {
                self.carry.drain(..2);
            }
        }
        let Some(read) = self.order else { return Ok(Bytes::new()) };
        let mut units: Vec<u16> = self.carry.chunks_exact(2).map(|two| read([two[0], two[1]])).collect();
        // Half of a pair waits for the other.
        if units.last().is_some_and(|unit| (0xd800..0xdc00).contains(unit)) {
            units.pop();
        }
        self.carry.drain(..units.len() * 2);
        Ok(String::from_utf16_lossy(&units).into())
    }

    fn end(&mut self) -> io::Result<Bytes> {
        match self.carry.is_empty() {
            true => Ok(Bytes::new()),
            false => Err(io::Error::other(EncodingMismatch)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::TryStreamExt;

    async fn decode(encoding: Encoding, bytes: &[u8], piece: usize) -> io::Result<String> {
        let pieces: Vec<_> = bytes.chunks(piece).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let decoded: Vec<Bytes> = encoding.decode(futures::stream::iter(pieces).boxed()).try_collect().await?;
        Ok(String::from_utf8(decoded.concat()).unwrap())
    }

    #[tokio::test]
    async fn text_becomes_utf8() {
        let text = "a,é,\u{1f600}\n";
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let marked = |mark: [u8; 2], rest: &[u8]| [&mark[..], rest].concat();
        for piece in [1, 3, 100] {
            let cases = [
                (Encoding::Utf8, text.as_bytes().to_vec(), true),
                (Encoding::Utf16, marked(LITTLE, &little), true),
                (Encoding::Utf16, marked(BIG, &big), true),
                (Encoding::Utf16Le, little.clone(), true),
                (Encoding::Utf16Be, marked(BIG, &big), true),
                (Encoding::Utf16, little.clone(), false),
                (Encoding::Utf16Le, marked(BIG, &big), false),
            ];
            for (encoding, bytes, fits) in cases {
                assert_eq!(decode(encoding, &bytes, piece).await.ok().as_deref(), fits.then_some(text), "{encoding:?}");
            }
        }
        assert_eq!(decode(Encoding::Latin1, b"\xe9", 1).await.unwrap(), "é");
        assert!(decode(Encoding::Utf8, &marked(LITTLE, &little), 100).await.is_err());
    }
}
