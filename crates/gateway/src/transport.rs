//! The two halves of a client's socket, each with its buffer.
//!
//! Reading and writing can be abandoned at any await without losing or repeating a byte: that is what makes it safe to
//! race them against a cancel request.

use crate::frontend::{self, Frontend};
use bytes::BytesMut;
use tidegate_core::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Room made for each read.
const READ_BYTES: usize = 8 * 1024;
/// Room made for each read of a large message.
const LARGE_READ_BYTES: usize = 256 * 1024;
/// What a client may send ahead while a statement runs, before we stop reading.
pub const PIPELINE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Output is written to the socket when this much has gathered.
pub const FLUSH_BYTES: usize = 64 * 1024;
/// A buffer that a large message has grown is given back beyond this size.
const KEPT_BYTES_MAX: usize = 256 * 1024;

/// Why a piece of work on a connection ended early.
#[derive(Debug)]
pub enum Failure {
    /// The statement failed; the connection goes on.
    Statement(Error),
    /// The connection ends, and the client is told.
    Fatal(Error),
    /// The client is not there any more.
    Gone,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Statement(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(_: std::io::Error) -> Self {
        Failure::Gone
    }
}

/// The result of work on a connection.
pub type Wire<T> = Result<T, Failure>;

/// What comes from the client.
pub struct Incoming {
    reader: Box<dyn AsyncRead + Send + Unpin>,
    buffer: BytesMut,
}

impl Incoming {
    /// Of a socket's reading half.
    pub fn new(reader: Box<dyn AsyncRead + Send + Unpin>) -> Self {
        Incoming { reader, buffer: BytesMut::new() }
    }

    /// The next message. A frame that breaks the protocol ends the connection.
    pub async fn next(&mut self) -> Wire<Frontend> {
        loop {
            match frontend::take(&mut self.buffer) {
                Ok(Some(message)) => return Ok(message),
                Ok(None) => {}
                Err(error) => return Err(Failure::Fatal(error)),
            }
            if self.read().await? == 0 {
                return Err(Failure::Gone);
            }
        }
    }

    /// Returns when the client has gone; keeps what it sends meanwhile, up to a maximum.
    pub async fn gone(&mut self) {
        while self.buffer.len() < PIPELINE_BYTES_MAX {
            match self.read().await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
        std::future::pending::<()>().await;
    }

    async fn read(&mut self) -> std::io::Result<usize> {
        let expected = frontend::frame_length(&self.buffer).ok().flatten().unwrap_or(0);
        let missing = expected.saturating_sub(self.buffer.len());
        if self.buffer.is_empty() && self.buffer.capacity() > KEPT_BYTES_MAX {
            self.buffer = BytesMut::new();
        }
        self.buffer.reserve(missing.clamp(READ_BYTES, LARGE_READ_BYTES));
        self.reader.read_buf(&mut self.buffer).await
    }
}

/// What goes to the client.
pub struct Outgoing {
    writer: Box<dyn AsyncWrite + Send + Unpin>,
    /// Messages not yet written.
    pub buffer: Vec<u8>,
    written: usize,
}

impl Outgoing {
    /// Of a socket's writing half.
    pub fn new(writer: Box<dyn AsyncWrite + Send + Unpin>) -> Self {
        Outgoing { writer, buffer: Vec::new(), written: 0 }
    }

    /// Writes everything.
    pub async fn flush(&mut self) -> Wire<()> {
        while self.written < self.buffer.len() {
            match self.writer.write(&self.buffer[self.written..]).await? {
                0 => return Err(Failure::Gone),
                count => self.written += count,
            }
        }
        self.buffer.clear();
        self.written = 0;
        if self.buffer.capacity() > KEPT_BYTES_MAX {
            self.buffer = Vec::new();
        }
        Ok(self.writer.flush().await?)
    }

    /// Writes everything once enough has gathered.
    pub async fn flush_if_full(&mut self) -> Wire<()> {
        if self.buffer.len() - self.written >= FLUSH_BYTES { self.flush().await } else { Ok(()) }
    }

    /// Ends the socket's writing half.
    pub async fn close(&mut self) {
        let _closed_by_the_client_is_as_good = self.writer.shutdown().await;
    }
}
