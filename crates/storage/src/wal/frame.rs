//! One frame of the log, as it lies on disk: `length u32 | crc32 u32 | position u64 | payload`, little endian.
//!
//! The highest bit of the length marks the first frame of a group, which is what one sync made durable. A group is
//! written only after the one before it was synced, so such a frame proves that everything before it was whole once.

use bytes::Bytes;
use tidegate_core::{Error, Kind, Result};

/// The most that one frame carries, in bytes.
pub const WAL_FRAME_BYTES_MAX: usize = 1 << 30;

/// Bytes before the payload.
pub(super) const HEADER_BYTES: usize = 16;

const FIRST_OF_GROUP: u32 = 1 << 31;

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Number of the frame: dense, from 1.
    pub position: u64,
    /// What was appended.
    pub payload: Bytes,
}

/// What stands before a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    word: u32,
    crc: u32,
    pub(super) position: u64,
}

impl Header {
    /// The header for a payload; 54000 when it is too large for a frame.
    pub(super) fn new(position: u64, payload: &[u8], first_of_group: bool) -> Result<Self> {
        let length = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= WAL_FRAME_BYTES_MAX);
        let Some(length) = length else {
            let message = format!(
                "a log frame of {} bytes is over the maximum of {WAL_FRAME_BYTES_MAX}, which bounds one commit",
                payload.len()
            );
            return Err(Error::new(Kind::ProgramLimit, message).hint("Commit less at once."));
        };
        let word = if first_of_group { length | FIRST_OF_GROUP } else { length };
        let mut header = Header { word, crc: 0, position };
        header.crc = header.checksum(payload);
        Ok(header)
    }

    pub(super) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let whole = u128::from(self.position) << 64 | u128::from(self.crc) << 32 | u128::from(self.word);
        whole.to_le_bytes()
    }

    pub(super) fn from_bytes(bytes: [u8; HEADER_BYTES]) -> Self {
        let whole = u128::from_le_bytes(bytes);
        Header { word: whole as u32, crc: (whole >> 32) as u32, position: (whole >> 64) as u64 }
    }

    /// Bytes of the payload; `None` when no frame is so long.
    pub(super) fn length(self) -> Option<usize> {
        let length = (self.word & !FIRST_OF_GROUP) as usize;
        (length <= WAL_FRAME_BYTES_MAX).then_some(length)
    }

    pub(super) fn is_first_of_group(self) -> bool {
        self.word & FIRST_OF_GROUP != 0
    }

    pub(super) fn matches(self, payload: &[u8]) -> bool {
        self.crc == self.checksum(payload)
    }

    /// Covers the length too: a frame cut short must not pass for a smaller one.
    fn checksum(self, payload: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.word.to_le_bytes());
        hasher.update(&self.position.to_le_bytes());
        hasher.update(payload);
        hasher.finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_back_and_knows_its_payload() {
        for first in [true, false] {
            let header = Header::new(7, b"payload", first).unwrap();
            let back = Header::from_bytes(header.to_bytes());
            assert_eq!(back, header);
            assert_eq!((back.length(), back.is_first_of_group(), back.position), (Some(7), first, 7));
            assert!(back.matches(b"payload"));
            assert!(!back.matches(b"Payload"));
        }
    }

    #[test]
    fn the_layout_is_fixed() {
        let bytes = Header::new(0x0102, b"abc", true).unwrap().to_bytes();
        assert_eq!(bytes[..4], [3, 0, 0, 0x80]);
        assert_eq!(bytes[8..], [2, 1, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn any_changed_bit_of_a_header_shows() {
        let bytes = Header::new(7, b"payload", true).unwrap().to_bytes();
        for bit in 0..HEADER_BYTES * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(!Header::from_bytes(damaged).matches(b"payload"), "bit {bit}");
        }
    }

    #[test]
    fn zeros_are_no_frame() {
        assert!(!Header::from_bytes([0; HEADER_BYTES]).matches(b""));
    }

    #[test]
    fn a_frame_has_a_maximum() {
        let huge = vec![0u8; WAL_FRAME_BYTES_MAX + 1];
        assert_eq!(Header::new(1, &huge, true).unwrap_err().kind(), Kind::ProgramLimit);
    }
}
