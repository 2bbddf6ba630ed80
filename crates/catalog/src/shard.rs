//! Shards: a range of hashes each, their sealed segments, and the tail that only the log holds yet.

use crate::records::Records;
use imbl::{OrdMap, Vector};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};

/// Most shards of one stream.
pub const SHARDS_MAX: u32 = 1000;

/// What is fixed when a shard is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardSpec {
    /// Its number in the stream.
    pub number: u32,
    /// First hash of its range.
    #[serde(with = "hash_text")]
    pub start_hash: u128,
    /// Last hash of its range.
    #[serde(with = "hash_text")]
    pub end_hash: u128,
    /// When it was made, in seconds of the Unix epoch: a part of its sequence numbers.
    pub created_s: u64,
}

/// Records of a shard that lie in an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Index of its first record.
    pub first: u64,
    /// One past the index of its last.
    pub end: u64,
    /// When its first record came, in milliseconds of the Unix epoch.
    pub first_ms: i64,
    /// When its last record came.
    pub last_ms: i64,
    /// The object's name below the stream's location.
    pub path: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// Records of a shard that came in one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunk {
    /// Index of its first record.
    pub first: u64,
    /// When they came, in milliseconds of the Unix epoch.
    pub arrival_ms: i64,
    /// The frame that holds them.
    pub position: u64,
    /// The records.
    pub records: Records,
}

impl Chunk {
    /// One past the index of its last record.
    pub fn end(&self) -> u64 {
        self.first + self.records.len() as u64
    }
}

/// A shard at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Shard {
    /// What is fixed.
    pub spec: ShardSpec,
    /// Index of the oldest record that is kept.
    pub oldest: u64,
    /// Index that the next record gets.
    pub next: u64,
    /// When the last record came, in milliseconds of the Unix epoch; arrival never goes back.
    pub last_ms: i64,
    /// Sealed records, by index of their first.
    pub segments: OrdMap<u64, Arc<Segment>>,
    /// Records not sealed yet, in order.
    pub tail: Vector<Arc<Chunk>>,
}

/// The part of a shard that is stored beside its segments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShardHead {
    /// What is fixed.
    pub spec: ShardSpec,
    /// See [`Shard::oldest`].
    pub oldest: u64,
    /// See [`Shard::next`].
    pub next: u64,
    /// See [`Shard::last_ms`].
    pub last_ms: i64,
}

impl Shard {
    /// An empty shard.
    pub fn new(spec: ShardSpec) -> Self {
        Shard { spec, oldest: 0, next: 0, last_ms: 0, segments: OrdMap::new(), tail: Vector::new() }
    }

    /// From what was stored; segments and tail follow.
    pub fn from_head(head: ShardHead) -> Self {
        let ShardHead { spec, oldest, next, last_ms } = head;
        Shard { oldest, next, last_ms, ..Shard::new(spec) }
    }

    /// What is stored beside its segments.
    pub fn head(&self) -> ShardHead {
        ShardHead { spec: self.spec.clone(), oldest: self.oldest, next: self.next, last_ms: self.last_ms }
    }

    /// One past the last sealed record.
    pub fn sealed(&self) -> u64 {
        self.segments.get_max().map_or(self.oldest, |(_, segment)| segment.end.max(self.oldest))
    }

    /// Bytes of the tail.
    pub fn tail_bytes(&self) -> usize {
        self.tail.iter().map(|chunk| chunk.records.bytes()).sum()
    }

    /// Takes records that a frame holds. Those that are sealed or trimmed already are passed over (on replay).
    pub fn append(&mut self, chunk: Chunk) {
        self.next = self.next.max(chunk.end());
        self.last_ms = self.last_ms.max(chunk.arrival_ms);
        if chunk.end() > self.sealed() {
            self.tail.push_back(Arc::new(chunk));
        }
    }

    /// Puts a segment in the place of the part of the tail that it holds.
    pub fn seal(&mut self, segment: Segment) {
        while self.tail.front().is_some_and(|chunk| chunk.end() <= segment.end) {
            self.tail.pop_front();
        }
        self.segments.insert(segment.first, Arc::new(segment));
    }

    /// Forgets what lies wholly before `oldest`. Gives the segments that went.
    pub fn trim(&mut self, oldest: u64) -> Vec<Arc<Segment>> {
        self.oldest = self.oldest.max(oldest.min(self.next));
        let mut gone = Vec::new();
        while let Some((first, segment)) = self.segments.get_min().cloned() {
            if segment.end > self.oldest {
                break;
            }
            self.segments.remove(&first);
            gone.push(segment);
        }
        while self.tail.front().is_some_and(|chunk| chunk.end() <= self.oldest) {
            self.tail.pop_front();
        }
        gone
    }
}

/// Splits the space of hashes evenly over `count` shards, as CreateStream does.
pub fn even_shards(count: u32, created_s: u64) -> Result<Vec<ShardSpec>> {
    if count == 0 || count > SHARDS_MAX {
        return Err(Error::new(Kind::InvalidParameter, format!("a stream has 1 to {SHARDS_MAX} shards, not {count}")));
    }
    let share = u128::MAX / u128::from(count);
    let spec = |number: u32| {
        let start_hash = share * u128::from(number);
        let end_hash = if number + 1 == count { u128::MAX } else { share * u128::from(number + 1) - 1 };
        ShardSpec { number, start_hash, end_hash, created_s }
    };
    Ok((0..count).map(spec).collect())
}

/// 128-bit numbers as decimal text: JSON's numbers are narrower.
mod hash_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(hash: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(hash)
    }

    pub fn deserialize<'d, D: Deserializer<'d>>(deserializer: D) -> Result<u128, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| D::Error::custom("a hash is not a decimal number of 128 bits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::RecordsBuilder;

    fn chunk(first: u64, count: usize) -> Chunk {
        let mut builder = RecordsBuilder::default();
        for _ in 0..count {
            builder.push("k", b"data").unwrap();
        }
        Chunk { first, arrival_ms: first as i64, position: first + 1, records: builder.finish() }
    }

    fn segment(first: u64, end: u64) -> Segment {
        Segment { first, end, first_ms: 0, last_ms: 0, path: format!("{first}"), bytes: 1 }
    }

    #[test]
    fn ranges_cover_all_hashes_without_overlap() {
        for count in [1, 2, 3, 7, 1000] {
            let shards = even_shards(count, 0).unwrap();
            assert_eq!(shards[0].start_hash, 0);
            assert_eq!(shards.last().unwrap().end_hash, u128::MAX);
            assert!(shards.windows(2).all(|pair| pair[0].end_hash + 1 == pair[1].start_hash), "{count}");
        }
        assert!(even_shards(0, 0).is_err() && even_shards(SHARDS_MAX + 1, 0).is_err());
    }

    #[test]
    fn a_tail_becomes_segments_and_goes_by_trimming() {
        let mut shard = Shard::new(even_shards(1, 7).unwrap().remove(0));
        shard.append(chunk(0, 3));
        shard.append(chunk(3, 2));
        assert_eq!((shard.next, shard.sealed(), shard.tail.len()), (5, 0, 2));
        shard.seal(segment(0, 3));
        assert_eq!((shard.sealed(), shard.tail.len()), (3, 1));
        // A replayed frame whose records are sealed changes nothing.
        shard.append(chunk(0, 3));
        assert_eq!((shard.next, shard.tail.len()), (5, 1));
        assert_eq!(shard.trim(3).len(), 1);
        assert_eq!((shard.oldest, shard.sealed(), shard.tail.len()), (3, 3, 1));
        shard.trim(99);
        assert_eq!((shard.oldest, shard.next, shard.tail.len()), (5, 5, 0));
    }

    #[test]
    fn a_head_survives_json() {
        let head = Shard::new(even_shards(3, 7).unwrap().remove(2)).head();
        let text = serde_json::to_string(&head).unwrap();
        assert_eq!(serde_json::from_str::<ShardHead>(&text).unwrap(), head);
    }
}
