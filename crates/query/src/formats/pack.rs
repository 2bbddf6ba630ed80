//! Compressing text on its way out. In memory: what goes to a store is cut into parts by [`super::upload`].

use super::compress::Compression;
use async_compression::tokio::write::{BzEncoder, GzipEncoder, ZstdEncoder};
use std::io;
use tokio::io::AsyncWriteExt;

/// Plain bytes in, the file's bytes out.
pub(super) enum Packer {
    /// As they are.
    Plain,
    /// gzip.
    Gzip(GzipEncoder<Vec<u8>>),
    /// bzip2.
    Bzip2(BzEncoder<Vec<u8>>),
    /// zstd.
    Zstd(ZstdEncoder<Vec<u8>>),
}

impl Packer {
    /// A packer of one file.
    pub(super) fn new(compression: Compression) -> Self {
        match compression {
            Compression::None => Packer::Plain,
            Compression::Gzip => Packer::Gzip(GzipEncoder::new(Vec::new())),
            Compression::Bzip2 => Packer::Bzip2(BzEncoder::new(Vec::new())),
            Compression::Zstd => Packer::Zstd(ZstdEncoder::new(Vec::new())),
        }
    }

    /// Takes plain bytes; returns what is ready.
    pub(super) async fn pack(&mut self, plain: Vec<u8>) -> io::Result<Vec<u8>> {
        match self {
            Packer::Plain => return Ok(plain),
            Packer::Gzip(encoder) => encoder.write_all(&plain).await?,
            Packer::Bzip2(encoder) => encoder.write_all(&plain).await?,
            Packer::Zstd(encoder) => encoder.write_all(&plain).await?,
        }
        Ok(self.take())
    }

    /// Takes the last plain bytes; returns all that is left.
    pub(super) async fn end(&mut self, plain: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut packed = self.pack(plain).await?;
        match self {
            Packer::Plain => {}
            Packer::Gzip(encoder) => encoder.shutdown().await?,
            Packer::Bzip2(encoder) => encoder.shutdown().await?,
            Packer::Zstd(encoder) => encoder.shutdown().await?,
        }
        packed.append(&mut self.take());
        Ok(packed)
    }

    fn take(&mut self) -> Vec<u8> {
        match self {
            Packer::Plain => Vec::new(),
            Packer::Gzip(encoder) => std::mem::take(encoder.get_mut()),
            Packer::Bzip2(encoder) => std::mem::take(encoder.get_mut()),
            Packer::Zstd(encoder) => std::mem::take(encoder.get_mut()),
        }
    }
}
