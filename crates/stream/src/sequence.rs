//! Sequence numbers and hashes, as Kinesis makes them.
//!
//! A sequence number is 56 decimal digits. Its bits, from the top: a 2, the second in which the shard was made (36 bits),
//! the shard's number (4), the record's index in the shard (64), zeros (8), the second in which the record came (36), the
//! shard's number (32), and a 2. So numbers of a shard order by index, and those of its children come after them.

use md5::{Digest, Md5};
use tidegate_catalog::RecordPlace;
use tidegate_core::{Error, Kind, Result};

/// Ten to the nineteenth: the largest power of ten in 64 bits.
const CHUNK: u64 = 10_000_000_000_000_000_000;
/// Digits of a sequence number.
const DIGITS: usize = 56;

/// The hash of a partition key: its MD5 as a number, most significant byte first.
pub fn hash_of(key: &str) -> u128 {
    u128::from_be_bytes(Md5::digest(key.as_bytes()).into())
}

/// `shardId-000000000007`.
pub fn shard_id(number: u32) -> String {
    format!("shardId-{number:012}")
}

/// The number in `shardId-000000000007`.
pub fn shard_number(id: &str) -> Option<u32> {
    id.strip_prefix("shardId-").filter(|digits| digits.len() == 12)?.parse().ok()
}

/// The sequence number of a record.
pub fn sequence_number(place: &RecordPlace) -> String {
    let second = u128::from(place.arrival_ms.max(0) as u64 / 1000) & 0xf_ffff_ffff;
    let shard = u128::from(place.shard);
    let index = u128::from(place.index);
    // 188 bits in two numbers: what stands above bit 96, and what stands below.
    let low = ((index & 0xffff) << 80) | (second << 36) | (shard << 4) | 2;
    let high = (2 << 88) | (u128::from(place.created_s & 0xf_ffff_ffff) << 52) | ((shard & 0xf) << 48) | (index >> 16);
    decimal([low as u32, (low >> 32) as u32, (low >> 64) as u32, high as u32, (high >> 32) as u32, (high >> 64) as u32])
}

/// The decimal text of a number given in words of 32 bits, the lowest first.
fn decimal(mut words: [u32; 6]) -> String {
    let mut chunks = [0_u64; 3];
    for chunk in &mut chunks {
        let mut rest = 0_u128;
        for word in words.iter_mut().rev() {
            let value = (rest << 32) | u128::from(*word);
            *word = (value / u128::from(CHUNK)) as u32;
            rest = value % u128::from(CHUNK);
        }
        *chunk = rest as u64;
    }
    format!("{}{:019}{:019}", chunks[2], chunks[1], chunks[0])
}

/// What a sequence number says: the shard's number and the record's index in it. 22023 when it is none of ours.
pub fn parse_sequence(text: &str) -> Result<(u32, u64)> {
    let wrong = || Error::new(Kind::InvalidParameter, format!("\"{text}\" is not a sequence number of this stream"));
    if text.len() != DIGITS || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let mut words = [0_u32; 6];
    for digit in text.bytes() {
        let mut carry = u64::from(digit - b'0');
        for word in &mut words {
            let value = u64::from(*word) * 10 + carry;
            *word = value as u32;
            carry = value >> 32;
        }
    }
    let low = u128::from(words[0]) | u128::from(words[1]) << 32 | u128::from(words[2]) << 64;
    let high = u128::from(words[3]) | u128::from(words[4]) << 32 | u128::from(words[5]) << 64;
    if low & 0xf != 2 || high >> 88 != 2 {
        return Err(wrong());
    }
    let shard = ((low >> 4) & 0xffff_ffff) as u32;
    let index = ((high & 0xffff_ffff_ffff) << 16) | (low >> 80);
    Ok((shard, index as u64))
}

/// The sequence number before the first record of a shard.
pub fn starting_sequence(shard: u32, created_s: u64) -> String {
    sequence_number(&RecordPlace {
        shard,
        created_s,
        index: 0,
        arrival_ms: i64::try_from(created_s).unwrap_or(0) * 1000,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_kinesis() {
        // MD5 of the empty text is d41d8cd98f00b204e9800998ecf8427e.
        assert_eq!(hash_of(""), 0xd41d_8cd9_8f00_b204_e980_0998_ecf8_427e);
        assert_eq!(shard_number(&shard_id(7)), Some(7));
        assert_eq!(shard_number("shardId-7"), None);
    }

    #[test]
    fn numbers_have_56_digits_and_are_read_back() {
        let cases = [(0, 0, 0), (3, 1, 1_700_000_000_000), (999, u64::MAX >> 1, 4_000_000_000_000), (17, 65_536, 1)];
        for (shard, index, arrival_ms) in cases {
            let place = RecordPlace { shard, created_s: 1_700_000_000, index, arrival_ms };
            let text = sequence_number(&place);
            assert_eq!(text.len(), DIGITS, "{text}");
            assert!(text.starts_with("49"), "{text}");
            assert_eq!(parse_sequence(&text).unwrap(), (shard, index), "{text}");
        }
        for text in ["", "12", &"9".repeat(56), &"0".repeat(56), &"x".repeat(56)] {
            assert_eq!(parse_sequence(text).unwrap_err().kind(), Kind::InvalidParameter, "{text}");
        }
    }

    #[test]
    fn numbers_order_by_index_and_then_children_come_after() {
        let number =
            |created_s, index, arrival_ms| sequence_number(&RecordPlace { shard: 1, created_s, index, arrival_ms });
        let ordered = [number(10, 0, 99_000), number(10, 1, 50_000), number(10, 70_000, 0), number(11, 0, 0)];
        assert!(ordered.windows(2).all(|pair| pair[0] < pair[1]), "{ordered:?}");
    }
}
