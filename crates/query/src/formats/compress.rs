//! Compressed text: how a name tells it, and the streams that undo it.
//!
//! Files of several members (what pbzip2, pigz and appending writers make) are read to their end.

use async_compression::tokio::bufread::{BzDecoder, GzipDecoder, ZstdDecoder};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use std::io;
use std::sync::Arc;
use tokio_util::io::{ReaderStream, StreamReader};

/// Bytes that a decoder hands on at once.
const DECODED_CHUNK_BYTES: usize = 256 * 1024;

/// How a text file is compressed. Parquet and ORC compress inside and are always `None` here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum Compression {
    /// As it is.
    #[default]
    None,
    /// `.gz`
    Gzip,
    /// `.bz2`
    Bzip2,
    /// `.zst`
    Zstd,
}

impl Compression {
    /// The compression that a file's name tells.
    pub fn of_name(name: &str) -> Compression {
        let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
        match ending.to_ascii_lowercase().as_str() {
            "gz" | "gzip" => Compression::Gzip,
            "bz2" | "bzip2" => Compression::Bzip2,
            "zst" | "zstd" => Compression::Zstd,
            _ => Compression::None,
        }
    }

    /// The compression that the first bytes of a file tell.
    pub fn of_magic(first: &[u8]) -> Compression {
        let magics: [(&[u8], Compression); 3] =
            [(b"\x1f\x8b", Compression::Gzip), (b"BZh", Compression::Bzip2), (b"\x28\xb5\x2f\xfd", Compression::Zstd)];
        let found = magics.iter().find(|(magic, _)| first.starts_with(magic));
        found.map_or(Compression::None, |(_, compression)| *compression)
    }

    /// This one, or where none is named what the file's name tells.
    pub fn or_of_name(self, name: &str) -> Compression {
        if self == Compression::None { Compression::of_name(name) } else { self }
    }

    /// The ending of a file's name, with its dot.
    pub fn extension(self) -> &'static str {
        match self {
            Compression::None => "",
            Compression::Gzip => ".gz",
            Compression::Bzip2 => ".bz2",
            Compression::Zstd => ".zst",
        }
    }

    /// A name without this compression's ending.
    pub(super) fn strip(self, name: &str) -> &str {
        match self {
            Compression::None => name,
            _ => name.rsplit_once('.').map_or(name, |(stem, _)| stem),
        }
    }

    /// The plain bytes of a compressed stream.
    pub fn decode(self, raw: BoxStream<'static, io::Result<Bytes>>) -> BoxStream<'static, io::Result<Bytes>> {
        let chunk = DECODED_CHUNK_BYTES;
        match self {
            Compression::None => raw,
            Compression::Gzip => {
                let mut decoder = GzipDecoder::new(StreamReader::new(raw));
                decoder.multiple_members(true);
                ReaderStream::with_capacity(decoder, chunk).boxed()
            }
            Compression::Bzip2 => {
                let mut decoder = BzDecoder::new(StreamReader::new(raw));
                decoder.multiple_members(true);
                ReaderStream::with_capacity(decoder, chunk).boxed()
            }
            Compression::Zstd => {
                let mut decoder = ZstdDecoder::new(StreamReader::new(raw));
                decoder.multiple_members(true);
                ReaderStream::with_capacity(decoder, chunk).boxed()
            }
        }
    }

    /// The plain bytes of an object.
    pub async fn open(
        self,
        store: &Arc<dyn ObjectStore>,
        path: &Path,
    ) -> object_store::Result<BoxStream<'static, io::Result<Bytes>>> {
        let raw = store.get(path).await?.into_stream();
        Ok(self.decode(raw.map(|chunk| chunk.map_err(io::Error::from)).boxed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_compression() {
        let cases = [
            ("a.csv.gz", Compression::Gzip, "a.csv"),
            ("a.BZ2", Compression::Bzip2, "a"),
            ("a.zst", Compression::Zstd, "a"),
            ("a.csv", Compression::None, "a.csv"),
            ("gz", Compression::None, "gz"),
        ];
        for (name, expected, stem) in cases {
            assert_eq!(Compression::of_name(name), expected, "{name}");
            assert_eq!(expected.strip(name), stem, "{name}");
        }
    }
}
