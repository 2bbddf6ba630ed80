//! The parts of AWS's JSON that serde does not know: blobs, times, and lists that must not grow without end.

use super::errors::Fault;
use base64::Engine as _;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::{self, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;

/// Reads an operation's input.
pub(crate) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Fault> {
    serde_json::from_slice(body).map_err(|error| Fault::serialization(format!("The request's body: {error}")))
}

/// Writes an operation's output.
pub(crate) fn write<T: Serialize>(output: &T) -> Result<Vec<u8>, Fault> {
    Ok(serde_json::to_vec(output).map_err(tidegate_core::Error::internal)?)
}

/// A time: seconds after the Unix epoch, as a number with a fraction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Seconds(pub i64);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(self.0 as f64 / 1000.0)
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // A number beyond the range of milliseconds becomes the end of the range.
        f64::deserialize(from).map(|seconds| Seconds((seconds * 1000.0).round() as i64))
    }
}

/// Bytes, in base64. They are decoded from the body and encoded into the answer without a copy between.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Blob(pub Bytes);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&Base64Display::new(&self.0, &STANDARD))
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(BlobVisitor)
    }
}

struct BlobVisitor;

impl Visitor<'_> for BlobVisitor {
    type Value = Blob;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a base64 string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Blob, E> {
        let bytes = STANDARD.decode(text).map_err(|e| E::custom(format_args!("not base64: {e}")))?;
        Ok(Blob(Bytes::from(bytes)))
    }
}

/// A list that keeps its first `MAX` members and counts all.
#[derive(Debug)]
pub(crate) struct Capped<T, const MAX: usize> {
    pub members: Vec<T>,
    pub count: usize,
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for Capped<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(CappedVisitor(PhantomData))
    }
}

struct CappedVisitor<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for CappedVisitor<T, MAX> {
    type Value = Capped<T, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while members.len() < MAX {
            let Some(member) = list.next_element()? else {
                return Ok(Capped { count: members.len(), members });
            };
            members.push(member);
        }
        let mut count = members.len();
        while list.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(Capped { members, count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blobs_come_back_as_they_went() {
        let cases: [&[u8]; 5] = [b"", b"a", b"ab", b"abc", &[0, 255, 254, 62, 63]];
        for bytes in cases {
            let blob = Blob(Bytes::copy_from_slice(bytes));
            let text = serde_json::to_string(&blob).unwrap();
            assert_eq!(serde_json::from_str::<Blob>(&text).unwrap(), blob, "{text}");
        }
        assert_eq!(serde_json::from_str::<Blob>(r#""\/\/8=""#).unwrap().0.as_ref(), [255, 255]);
        for bad in [r#""a""#, r#""a b=""#, "1", "[]", r#""/-8=""#] {
            assert!(serde_json::from_str::<Blob>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_are_seconds_with_a_fraction() {
        assert_eq!(serde_json::to_string(&Seconds(1_700_000_000_123)).unwrap(), "1700000000.123");
        for (text, ms) in [("1700000000.123", 1_700_000_000_123), ("1700000000", 1_700_000_000_000), ("-1", -1000)] {
            assert_eq!(serde_json::from_str::<Seconds>(text).unwrap(), Seconds(ms), "{text}");
        }
        assert_eq!(serde_json::from_str::<Seconds>("1e300").unwrap(), Seconds(i64::MAX));
        assert!(serde_json::from_str::<Seconds>("\"2020\"").is_err());
    }

    #[test]
    fn lists_stop_growing() {
        let list: Capped<u8, 3> = serde_json::from_str("[1,2,3,4,\"x\"]").unwrap();
        assert_eq!((list.members, list.count), (vec![1, 2, 3], 5));
        let list: Capped<u8, 3> = serde_json::from_str("[1,2]").unwrap();
        assert_eq!((list.members, list.count), (vec![1, 2], 2));
    }
}
