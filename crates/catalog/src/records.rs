//! Records of a stream in memory and in frames: keys and data in one buffer, with the offsets where each ends.

use bytes::{BufMut, Bytes, BytesMut};
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};

/// Most bytes of keys and data that one append may hold: offsets are 32 bits wide.
pub const APPEND_BYTES_MAX: usize = 512 << 20;

/// Some records, in order. Clones share the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Records {
    bytes: Bytes,
    ends: Arc<[(u32, u32)]>,
}

/// One record, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordRef<'a> {
    /// The partition key.
    pub key: &'a str,
    /// The data.
    pub data: &'a [u8],
}

impl Records {
    /// How many.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of keys and data.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Record `index`, from 0.
    pub fn get(&self, index: usize) -> Option<RecordRef<'_>> {
        let (key_end, data_end) = *self.ends.get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before].1);
        let key = self.bytes.get(start as usize..key_end as usize)?;
        let data = self.bytes.get(key_end as usize..data_end as usize)?;
        // Keys come in as `&str` and are checked once when they are read from a frame.
        Some(RecordRef { key: std::str::from_utf8(key).unwrap_or_default(), data })
    }

    /// The data of record `index`, sharing the buffer.
    pub fn data(&self, index: usize) -> Option<Bytes> {
        let (key_end, data_end) = *self.ends.get(index)?;
        Some(self.bytes.slice(key_end as usize..data_end as usize))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = RecordRef<'_>> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// Writes them as part of a frame: the offsets, then the buffer.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_u32_le(self.ends.len() as u32);
        out.put_u32_le(self.bytes.len() as u32);
        for (key, data) in self.ends.iter() {
            out.put_u32_le(*key);
            out.put_u32_le(*data);
        }
        out.put_slice(&self.bytes);
    }

    /// Bytes that [`Records::encode`] writes.
    pub fn encoded_len(&self) -> usize {
        8 + self.ends.len() * 8 + self.bytes.len()
    }

    /// Reads what [`Records::encode`] wrote from the front of `input`, without copying. XX001 when it does not add up.
    pub fn decode(input: &mut Bytes) -> Result<Self> {
        let damaged = || Error::new(Kind::DataCorrupted, "a log frame holds records whose offsets do not add up");
        let word = |at: usize| -> Result<u32> {
            let four = input.get(at..at + 4).ok_or_else(damaged)?;
            Ok(u32::from_le_bytes([four[0], four[1], four[2], four[3]]))
        };
        let (count, size) = (word(0)? as usize, word(4)? as usize);
        let body = count.checked_mul(8).and_then(|n| n.checked_add(8)).ok_or_else(damaged)?;
        let end = body.checked_add(size).filter(|end| *end <= input.len()).ok_or_else(damaged)?;
        let mut ends = Vec::with_capacity(count);
        let mut last = 0;
        for index in 0..count {
            let (key, data) = (word(8 + index * 8)?, word(12 + index * 8)?);
            if key < last || data < key || data as usize > size {
                return Err(damaged());
            }
            ends.push((key, data));
            last = data;
        }
        let bytes = input.slice(body..end);
        let records = Records { bytes, ends: ends.into() };
        for index in 0..count {
            let start = index.checked_sub(1).map_or(0, |before| records.ends[before].1) as usize;
            std::str::from_utf8(&records.bytes[start..records.ends[index].0 as usize]).map_err(|_| damaged())?;
        }
        *input = input.slice(end..);
        Ok(records)
    }
}

/// Collects records.
#[derive(Debug, Default)]
pub struct RecordsBuilder {
    bytes: BytesMut,
    ends: Vec<(u32, u32)>,
}

impl RecordsBuilder {
    /// Adds one. 54000 when the whole grows over [`APPEND_BYTES_MAX`].
    pub fn push(&mut self, key: &str, data: &[u8]) -> Result<()> {
        if self.bytes.len() + key.len() + data.len() > APPEND_BYTES_MAX {
            let message = format!("one append to a stream may hold {} MiB", APPEND_BYTES_MAX >> 20);
            return Err(Error::new(Kind::ProgramLimit, message).hint("Insert in smaller statements."));
        }
        self.bytes.extend_from_slice(key.as_bytes());
        let key_end = self.bytes.len() as u32;
        self.bytes.extend_from_slice(data);
        self.ends.push((key_end, self.bytes.len() as u32));
        Ok(())
    }

    /// How many so far.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none yet.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of keys and data so far.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The records.
    pub fn finish(self) -> Records {
        Records { bytes: self.bytes.freeze(), ends: self.ends.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_and_damage_is_told() {
        let mut builder = RecordsBuilder::default();
        for (key, data) in [("a", &b"one"[..]), ("", b""), ("ключ", b"\0\xff")] {
            builder.push(key, data).unwrap();
        }
        let records = builder.finish();
        let mut out = BytesMut::new();
        records.encode(&mut out);
        assert_eq!(out.len(), records.encoded_len());
        let whole = out.freeze();
        let mut input = whole.clone();
        assert_eq!(Records::decode(&mut input).unwrap(), records);
        assert!(input.is_empty());
        assert_eq!(records.get(2).unwrap().key, "ключ");
        assert_eq!(records.data(0).unwrap(), Bytes::from_static(b"one"));
        assert!(records.get(3).is_none());
        for cut in 0..whole.len() {
            assert!(Records::decode(&mut whole.slice(..cut)).is_err(), "{cut}");
        }
        let mut damaged = whole.to_vec();
        damaged[8] = 0xff;
        assert!(Records::decode(&mut damaged.into()).is_err());
    }
}
