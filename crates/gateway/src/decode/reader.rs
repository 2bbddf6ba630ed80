//! Reads bytes from the network, where every length may be a lie: short input is an error of the protocol, not a panic.

use tidegate_core::{Error, Kind, Result};

/// A cursor over the bytes of one message or value.
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// From the beginning.
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// The next bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        match self.rest.split_at_checked(count) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(Error::new(Kind::Protocol, "insufficient data left in message")),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8> {
        self.array().map(u8::from_be_bytes)
    }

    /// Two bytes.
    pub fn i16(&mut self) -> Result<i16> {
        self.array().map(i16::from_be_bytes)
    }

    /// Two bytes without sign.
    pub fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// Four bytes.
    pub fn i32(&mut self) -> Result<i32> {
        self.array().map(i32::from_be_bytes)
    }

    /// Four bytes without sign.
    pub fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// Eight bytes.
    pub fn i64(&mut self) -> Result<i64> {
        self.array().map(i64::from_be_bytes)
    }

    /// Sixteen bytes without sign.
    pub fn u128(&mut self) -> Result<u128> {
        self.array().map(u128::from_be_bytes)
    }

    /// Text up to a zero byte.
    pub fn cstring(&mut self) -> Result<String> {
        let end = self.rest.iter().position(|b| *b == 0);
        let end = end.ok_or_else(|| Error::new(Kind::Protocol, "invalid string in message"))?;
        let text = self.take(end)?;
        self.take(1)?;
        String::from_utf8(text.to_vec())
            .map_err(|_| Error::new(Kind::InvalidText, "invalid byte sequence for encoding \"UTF8\""))
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Nothing may be left.
    pub fn end(&self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(Error::new(Kind::Protocol, "invalid message format")) }
    }
}
