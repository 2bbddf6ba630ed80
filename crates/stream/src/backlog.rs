//! What a reader of a stream has not read yet: a range of the log's positions, and nothing is kept twice.

use std::collections::BTreeMap;
use tidegate_catalog::{Oid, Shard, State};

/// By shard, the index of the first record and of the one after the last.
pub type Range = BTreeMap<u32, (u64, u64)>;

/// How many times larger records are than the segment that holds them, roughly: sealed bytes are compressed.
const SEALED_RATIO: u64 = 4;

/// Records that wait, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Load {
    /// Which.
    pub range: Range,
    /// About how many bytes they are.
    pub bytes: u64,
    /// When the first of them came, in milliseconds of the Unix epoch: not later than it did.
    pub oldest_ms: i64,
}

/// Records of a shard that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    shard: u32,
    first: u64,
    end: u64,
    bytes: u64,
    arrival_ms: i64,
    /// Of a segment: read whole, it is read by columns.
    sealed: bool,
}

/// What waits for a reader of a stream, in the order in which it came and up to about so many bytes. `cursor` says where
/// the reader stands, by shard.
pub fn load(state: &State, stream: Oid, cursor: &BTreeMap<u32, u64>, bytes_max: u64) -> Load {
    fill(waiting(state, stream, cursor), bytes_max, false)
}

/// The same, but no segment is cut: the last one may go beyond the bytes.
pub fn load_segments(state: &State, stream: Oid, cursor: &BTreeMap<u32, u64>, bytes_max: u64) -> Load {
    fill(waiting(state, stream, cursor), bytes_max, true)
}

fn waiting<'a>(
    state: &'a State,
    stream: Oid,
    cursor: &'a BTreeMap<u32, u64>,
) -> impl Iterator<Item = impl Iterator<Item = Piece> + 'a> + 'a {
    state.shards(stream).map(|shard| {
        let from = cursor.get(&shard.spec.number).copied().unwrap_or(0);
        pieces(shard, from.max(shard.oldest))
    })
}

/// Records that a reader is behind.
pub fn behind(state: &State, stream: Oid, cursor: &BTreeMap<u32, u64>) -> u64 {
    let waiting = state.shards(stream).map(|shard| {
        let cursor = cursor.get(&shard.spec.number).copied().unwrap_or(0);
        shard.next.saturating_sub(cursor.max(shard.oldest))
    });
    waiting.sum()
}

/// By shard, the index after the last record that a stream holds.
pub fn ends(state: &State, stream: Oid) -> BTreeMap<u32, u64> {
    state.shards(stream).map(|shard| (shard.spec.number, shard.next)).collect()
}

/// What a shard holds from an index on.
fn pieces(shard: &Shard, from: u64) -> impl Iterator<Item = Piece> + '_ {
    let number = shard.spec.number;
    let first = shard.segments.get_prev(&from).map_or(from, |(first, _)| *first);
    let segments = shard.segments.range(first..).map(move |(_, segment)| Piece {
        shard: number,
        first: segment.first,
        end: segment.end,
        bytes: segment.bytes.saturating_mul(SEALED_RATIO),
        arrival_ms: segment.first_ms,
        sealed: true,
    });
    let from_tail = from.max(shard.sealed());
    let after = |end: u64| if end <= from_tail { std::cmp::Ordering::Less } else { std::cmp::Ordering::Greater };
    let skip = shard.tail.binary_search_by(|chunk| after(chunk.end())).unwrap_or_else(|at| at);
    let tail = shard.tail.skip(skip).into_iter().map(move |chunk| Piece {
        shard: number,
        first: chunk.first.max(from_tail),
        end: chunk.end(),
        bytes: share(chunk.records.bytes() as u64, chunk.end() - chunk.first.max(from_tail), chunk.end() - chunk.first),
        arrival_ms: chunk.arrival_ms,
        sealed: false,
    });
    segments.filter_map(move |piece| piece.from(from)).chain(tail)
}

impl Piece {
    /// The rest of it from an index on. None: it lies before.
    fn from(self, from: u64) -> Option<Piece> {
        let first = self.first.max(from);
        (first < self.end).then(|| {
            let bytes = share(self.bytes, self.end - first, self.end - self.first);
            Piece { first, bytes, ..self }
        })
    }

    /// The beginning of it, up to the record that makes so many bytes full.
    fn cut(self, bytes: u64) -> Piece {
        let records = self.end - self.first;
        if self.bytes <= bytes {
            return self;
        }
        let keep = (share(records, bytes, self.bytes) + 1).min(records);
        Piece { end: self.first + keep, bytes: share(self.bytes, keep, records), ..self }
    }
}

/// `whole` times `part` in `all`.
fn share(whole: u64, part: u64, all: u64) -> u64 {
    let share = u128::from(whole) * u128::from(part) / u128::from(all.max(1));
    u64::try_from(share).unwrap_or(u64::MAX)
}

/// Takes pieces of all shards by their arrival until the bytes are reached.
fn fill<I: Iterator<Item = Piece>>(shards: impl Iterator<Item = I>, bytes_max: u64, whole: bool) -> Load {
    let mut load = Load::default();
    let mut next: BTreeMap<(i64, u32), (Piece, I)> = BTreeMap::new();
    for mut shard in shards {
        if let Some(piece) = shard.next() {
            next.insert((piece.arrival_ms, piece.shard), (piece, shard));
        }
    }
    load.oldest_ms = next.keys().next().map_or(0, |(arrival_ms, _)| *arrival_ms);
    while load.bytes < bytes_max.max(1) {
        let Some((_, (piece, mut shard))) = next.pop_first() else { break };
        let taken = if whole && piece.sealed { piece } else { piece.cut(bytes_max.max(1) - load.bytes) };
        // A record of no bytes still counts, or there were no end to them.
        load.bytes += taken.bytes.max(1);
        load.range.entry(taken.shard).or_insert((taken.first, taken.end)).1 = taken.end;
        if taken.end < piece.end {
            break;
        }
        if let Some(piece) = shard.next() {
            next.insert((piece.arrival_ms, piece.shard), (piece, shard));
        }
    }
    load
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_catalog::{Chunk, RecordsBuilder, Segment, even_shards};

    fn piece(shard: u32, first: u64, end: u64, bytes: u64, arrival_ms: i64) -> Piece {
        Piece { shard, first, end, bytes, arrival_ms, sealed: false }
    }

    fn filled(shards: &[Vec<Piece>], bytes_max: u64) -> Load {
        fill(shards.iter().map(|pieces| pieces.iter().copied()), bytes_max, false)
    }

    #[test]
    fn the_oldest_go_first_and_no_more_than_fit() {
        let shards = [
            vec![piece(0, 0, 10, 100, 5), piece(0, 10, 20, 100, 30)],
            vec![piece(1, 7, 8, 50, 10), piece(1, 8, 18, 1000, 20)],
            vec![],
        ];
        let cases = [
            (0, vec![(0, (0, 1))], 10),
            (55, vec![(0, (0, 6))], 60),
            (100, vec![(0, (0, 10))], 100),
            (150, vec![(0, (0, 10)), (1, (7, 8))], 150),
            (650, vec![(0, (0, 10)), (1, (7, 14))], 750),
            (u64::MAX, vec![(0, (0, 20)), (1, (7, 18))], 1250),
        ];
        for (bytes_max, range, bytes) in cases {
            let found = filled(&shards, bytes_max);
            let expected = Load { range: range.into_iter().collect(), bytes, oldest_ms: 5 };
            assert_eq!(found, expected, "{bytes_max}");
        }
        assert_eq!(filled(&[vec![]], 9), Load::default());
    }

    #[test]
    fn segments_are_taken_whole_where_they_are_not_to_be_cut() {
        let sealed = |first, end| Piece { sealed: true, ..piece(0, first, end, 100, 5) };
        let shard = || [sealed(0, 10), sealed(10, 20), piece(0, 20, 30, 100, 5)].into_iter();
        for (bytes_max, end) in [(10, 10), (110, 20), (210, 22)] {
            let found = fill(std::iter::once(shard()), bytes_max, true);
            assert_eq!(found.range, Range::from([(0, (0, end))]), "{bytes_max}");
        }
    }

    #[test]
    fn records_without_bytes_are_taken_too() {
        let found = filled(&[vec![piece(0, 3, 9, 0, 5)]], 100);
        assert_eq!((found.range, found.bytes), (Range::from([(0, (3, 9))]), 1));
    }

    #[test]
    fn a_shard_gives_segments_and_then_its_tail() {
        let mut shard = Shard::new(even_shards(1, 0).unwrap().remove(0));
        for (first, end, first_ms) in [(0, 4, 10), (4, 8, 20)] {
            let segment = Segment { first, end, first_ms, last_ms: first_ms, path: String::new(), bytes: 10 };
            shard.next = end;
            shard.seal(segment);
        }
        for (first, arrival_ms) in [(8, 30), (10, 40)] {
            let mut builder = RecordsBuilder::default();
            builder.push("k", b"12345").unwrap();
            builder.push("k", b"12345").unwrap();
            shard.append(Chunk { first, arrival_ms, position: 1, records: builder.finish() });
        }
        let cases = [
            (0, vec![(0, 4, 40, 10), (4, 8, 40, 20), (8, 10, 12, 30), (10, 12, 12, 40)]),
            (4, vec![(4, 8, 40, 20), (8, 10, 12, 30), (10, 12, 12, 40)]),
            (6, vec![(6, 8, 20, 20), (8, 10, 12, 30), (10, 12, 12, 40)]),
            (9, vec![(9, 10, 6, 30), (10, 12, 12, 40)]),
            (10, vec![(10, 12, 12, 40)]),
            (12, vec![]),
            (99, vec![]),
        ];
        for (from, expected) in cases {
            let found: Vec<_> =
                pieces(&shard, from).map(|piece| (piece.first, piece.end, piece.bytes, piece.arrival_ms)).collect();
            assert_eq!(found, expected, "{from}");
        }
    }
}
