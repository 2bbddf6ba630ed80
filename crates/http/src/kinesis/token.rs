//! Opaque tokens: shard iterators and the places where a list goes on.
//!
//! All that a token says is in it, so that it lives on when the server is started again. A checksum catches those that
//! were mangled on the way; it is no signature, as a token allows nothing that its bearer may not ask for anyhow.

use super::errors::Fault;
use super::validate::{NAME_CHARS_MAX, is_name};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::DateTime;

/// Life of a token.
pub(crate) const LIFE_MS: i64 = 300_000;
/// Tokens are as long as a multiple of this, after the head.
const BLOCK_BYTES: usize = 16;
/// What AWS's iterators begin with as well.
const HEAD: [u8; 8] = [0, 0, 0, 0, 0, 0, 0, 1];
/// Kind, four numbers of 8 bytes, the shard and the name's length.
const FIXED_BYTES: usize = 1 + 4 * 8 + 4 + 1;
const CHECKSUM_BYTES: usize = 4;

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To read a shard from an index on.
    Iterator = 1,
    /// To go on with the shards of a stream.
    Shards = 2,
    /// To go on with the streams.
    Streams = 3,
}

/// What is in a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub purpose: Purpose,
    /// The stream.
    pub name: String,
    /// When the stream was made: another one of its name is another stream.
    pub created_ms: i64,
    pub shard: u32,
    /// Of the record to read next; of a list, the number of its filter.
    pub index: u64,
    /// Of a list's filter.
    pub time_ms: i64,
    pub issued_ms: i64,
}

impl Token {
    /// The text that a client keeps for us.
    pub fn seal(&self) -> String {
        let mut bytes = HEAD.to_vec();
        bytes.push(self.purpose as u8);
        bytes.extend_from_slice(&self.created_ms.to_be_bytes());
        bytes.extend_from_slice(&self.index.to_be_bytes());
        bytes.extend_from_slice(&self.time_ms.to_be_bytes());
        bytes.extend_from_slice(&self.issued_ms.to_be_bytes());
        bytes.extend_from_slice(&self.shard.to_be_bytes());
        bytes.push(u8::try_from(self.name.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(self.name.as_bytes());
        let body = bytes.len() - HEAD.len() + CHECKSUM_BYTES;
        bytes.resize(bytes.len() + body.next_multiple_of(BLOCK_BYTES) - body, 0);
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
        STANDARD.encode(bytes)
    }

    /// Reads a token; none if it is not one of ours, or not for this.
    pub fn open(text: &str, purpose: Purpose) -> Option<Token> {
        let bytes = STANDARD.decode(text).ok()?;
        let (signed, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>()?;
        if crc32fast::hash(signed).to_be_bytes() != *checksum {
            return None;
        }
        let rest = signed.strip_prefix(&HEAD)?;
        let (fixed, rest) = rest.split_first_chunk::<FIXED_BYTES>()?;
        let (kind, fixed) = fixed.split_first()?;
        let (created_ms, fixed) = fixed.split_first_chunk()?;
        let (index, fixed) = fixed.split_first_chunk()?;
        let (time_ms, fixed) = fixed.split_first_chunk()?;
        let (issued_ms, fixed) = fixed.split_first_chunk()?;
        let (shard, fixed) = fixed.split_first_chunk()?;
        let length = usize::from(*fixed.first()?);
        let name = std::str::from_utf8(rest.get(..length)?).ok()?;
        (*kind == purpose as u8 && is_name(name) && length <= NAME_CHARS_MAX).then(|| Token {
            purpose,
            name: name.to_string(),
            created_ms: i64::from_be_bytes(*created_ms),
            shard: u32::from_be_bytes(*shard),
            index: u64::from_be_bytes(*index),
            time_ms: i64::from_be_bytes(*time_ms),
            issued_ms: i64::from_be_bytes(*issued_ms),
        })
    }

    /// Fails once the token has outlived its time.
    pub fn check_age(&self, now_ms: i64) -> Result<(), Fault> {
        if now_ms.saturating_sub(self.issued_ms) <= LIFE_MS {
            return Ok(());
        }
        let (code, noun) = match self.purpose {
            Purpose::Iterator => ("ExpiredIteratorException", "Iterator"),
            Purpose::Shards | Purpose::Streams => ("ExpiredNextTokenException", "NextToken"),
        };
        let (issued, now) = (day(self.issued_ms), day(now_ms));
        let verb = noun.to_ascii_lowercase();
        Err(Fault::refused(
            code,
            format!(
                "{noun} expired. The {verb} was created at time {issued} while right now it is {now} which is further in \
                 the future than the tolerated delay of {LIFE_MS} milliseconds."
            ),
        ))
    }
}

/// A time as AWS tells it in this one sentence.
fn day(ms: i64) -> String {
    DateTime::from_timestamp_millis(ms).unwrap_or_default().format("%a %b %d %H:%M:%S UTC %Y").to_string()
}

#[cfg(test)]
mod tests {
    use super::super::validate::ITERATOR_CHARS_MAX;
    use super::*;

    fn token(name: &str) -> Token {
        Token {
            purpose: Purpose::Iterator,
            name: name.into(),
            created_ms: 1_700_000_000_123,
            shard: 7,
            index: u64::MAX - 1,
            time_ms: -1,
            issued_ms: 1_421_889_722_000,
        }
    }

    #[test]
    fn what_is_sealed_is_opened() {
        for name in ["s", "a-b.c_D", "n".repeat(NAME_CHARS_MAX).as_str()] {
            let text = token(name).seal();
            assert!(text.len() <= ITERATOR_CHARS_MAX, "{}", text.len());
            assert_eq!(STANDARD.decode(&text).unwrap().len() % BLOCK_BYTES, HEAD.len());
            assert_eq!(Token::open(&text, Purpose::Iterator), Some(token(name)));
            assert_eq!(Token::open(&text, Purpose::Shards), None);
        }
    }

    #[test]
    fn what_was_mangled_is_not() {
        let text = token("stream").seal();
        let bytes = STANDARD.decode(&text).unwrap();
        for place in 0..bytes.len() {
            for bit in 0..8 {
                let mut other = bytes.clone();
                other[place] ^= 1 << bit;
                assert_eq!(Token::open(&STANDARD.encode(&other), Purpose::Iterator), None, "byte {place}, bit {bit}");
            }
            assert_eq!(Token::open(&STANDARD.encode(&bytes[..place]), Purpose::Iterator), None, "{place} bytes");
        }
        for other in ["", "not an iterator", "AAAA", &format!("{text}AAAA")] {
            assert_eq!(Token::open(other, Purpose::Iterator), None, "{other}");
        }
    }

    #[test]
    fn it_lives_five_minutes() {
        let token = token("s");
        assert_eq!(token.check_age(token.issued_ms - 10), Ok(()));
        assert_eq!(token.check_age(token.issued_ms + LIFE_MS), Ok(()));
        let fault = token.check_age(token.issued_ms + LIFE_MS + 1).unwrap_err();
        assert_eq!(fault.code, "ExpiredIteratorException");
        assert_eq!(
            fault.message,
            "Iterator expired. The iterator was created at time Thu Jan 22 01:22:02 UTC 2015 while right now it is \
             Thu Jan 22 01:27:02 UTC 2015 which is further in the future than the tolerated delay of 300000 milliseconds."
        );
    }
}
