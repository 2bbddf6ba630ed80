//! The sealer: turns tails into segments, and lets go of what retention no longer keeps.

use crate::segment;
use crate::streams::{Streams, all_shards, find_stream, tail_bytes};
use std::sync::Arc;
use std::time::Duration;
use tidegate_catalog::{Change, Chunk, HISTORY, Oid, Shard, State};
use tidegate_core::{Kind, Result};
use tokio_util::sync::CancellationToken;

/// Most bytes of one segment, before compression.
const SEGMENT_BYTES_MAX: usize = 64 << 20;
const DAY_MS: i64 = 24 * 3600 * 1000;
/// How often tails are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

impl Streams {
    /// Seals and trims until the token is cancelled.
    pub async fn keep_sealed(self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(LOOK_INTERVAL)).await.is_some() {
            let now_ms = self.catalog().clock().now_ms();
            let policy = self.policy();
            if let Err(error) = self.seal_where(|shard| policy.is_due(shard, now_ms)).await {
                tracing::warn!(%error, "a tail could not be sealed; the log has it");
            }
            if let Err(error) = self.trim_all(now_ms).await {
                tracing::warn!(%error, "old records could not be trimmed");
            }
        }
    }

    /// When tails are sealed as things are now: by the settings, and earlier when all tails together come near the
    /// memory at which who puts has to wait.
    fn policy(&self) -> Policy {
        let settings = self.settings();
        let crowded = tail_bytes(&self.catalog().state()) as u64 > settings.mebibytes("stream_tail_mb_max") / 2;
        Policy {
            age_ms: settings.whole("stream_seal_interval_ms"),
            bytes: if crowded { 1 } else { settings.mebibytes("stream_seal_mb") },
        }
    }

    /// Seals every tail: CHECKPOINT.
    pub async fn seal_all(&self) -> Result<()> {
        self.seal_where(|shard| !shard.tail.is_empty()).await
    }

    async fn seal_where(&self, due: impl Fn(&Shard) -> bool) -> Result<()> {
        let state = self.catalog().state();
        for (stream, shard) in all_shards(&state).filter(|(_, shard)| due(shard)) {
            self.seal(&state, stream, shard).await?;
        }
        Ok(())
    }

    async fn seal(&self, state: &State, stream: Oid, shard: &Shard) -> Result<()> {
        let (relation, spec) = find_stream(state, stream)?;
        for chunks in pieces(shard) {
            let segment =
                segment::write(self.stores(), Arc::clone(self.decoder()), relation, spec, &shard.spec, chunks).await?;
            let sealed = Change::Seal { stream, shard: shard.spec.number, segment };
            match self.catalog().commit(vec![sealed]).await {
                // Dropped, trimmed or sealed by another meanwhile: nothing is lost.
                Err(error) if error.kind() == Kind::Conflict => return Ok(()),
                other => drop(other?),
            }
        }
        Ok(())
    }

    /// How long the history is kept.
    fn history_ms(&self) -> i64 {
        self.settings().whole("system_log_retention_days") * DAY_MS
    }

    /// Lets go of records older than their stream's retention.
    pub async fn trim_all(&self, now_ms: i64) -> Result<()> {
        let state = self.catalog().state();
        for (stream, shard) in all_shards(&state) {
            let (relation, spec) = find_stream(&state, stream)?;
            let kept_ms = if relation.schema == HISTORY { self.history_ms() } else { spec.retention_ms };
            let Some(oldest) = horizon(shard, now_ms - kept_ms) else { continue };
            let gone = shard.segments.values().filter(|segment| segment.end <= oldest);
            let urls: Vec<String> = gone.map(|segment| format!("{}/{}", spec.location, segment.path)).collect();
            let trim = Change::Trim { stream, shard: shard.spec.number, oldest };
            let receipt = self.catalog().commit(vec![trim]).await?;
            self.catalog().retire(receipt.position, urls);
        }
        Ok(())
    }
}

/// When a tail is sealed.
struct Policy {
    /// Age of its first record, in milliseconds.
    age_ms: i64,
    /// Its size.
    bytes: u64,
}

impl Policy {
    fn is_due(&self, shard: &Shard, now_ms: i64) -> bool {
        let old = shard.tail.front().is_some_and(|chunk| chunk.arrival_ms < now_ms - self.age_ms);
        old || shard.tail_bytes() as u64 >= self.bytes
    }
}

/// The tail in pieces that make a segment each.
fn pieces(shard: &Shard) -> Vec<Vec<Arc<Chunk>>> {
    let (mut pieces, mut piece, mut bytes) = (Vec::new(), Vec::new(), 0);
    for chunk in &shard.tail {
        if bytes >= SEGMENT_BYTES_MAX {
            pieces.push(std::mem::take(&mut piece));
            bytes = 0;
        }
        bytes += chunk.records.bytes();
        piece.push(Arc::clone(chunk));
    }
    if !piece.is_empty() {
        pieces.push(piece);
    }
    pieces
}

/// The index from which on records are kept, when older ones can go.
fn horizon(shard: &Shard, cutoff_ms: i64) -> Option<u64> {
    let sealed = shard.segments.values().take_while(|segment| segment.last_ms < cutoff_ms).map(|segment| segment.end);
    let tail = shard.tail.iter().take_while(|chunk| chunk.arrival_ms < cutoff_ms).map(|chunk| chunk.end());
    let all_sealed_old = shard.segments.get_max().is_none_or(|(_, segment)| segment.last_ms < cutoff_ms);
    let end = if all_sealed_old { sealed.chain(tail).max() } else { sealed.max() };
    end.filter(|end| *end > shard.oldest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_catalog::{RecordsBuilder, Segment, even_shards};

    fn shard(segments: &[(u64, u64, i64)], tail: &[(u64, i64)]) -> Shard {
        let mut shard = Shard::new(even_shards(1, 0).unwrap().remove(0));
        for (first, end, last_ms) in segments {
            shard.next = *end;
            shard.seal(Segment {
                first: *first,
                end: *end,
                first_ms: 0,
                last_ms: *last_ms,
                path: String::new(),
                bytes: 0,
            });
        }
        for (first, arrival_ms) in tail {
            let mut builder = RecordsBuilder::default();
            builder.push("k", b"d").unwrap();
            shard.append(Chunk { first: *first, arrival_ms: *arrival_ms, position: 1, records: builder.finish() });
        }
        shard
    }

    #[test]
    fn what_is_wholly_old_goes() {
        let two = [(0, 5, 10), (5, 9, 20)];
        let cases = [
            (shard(&[], &[]), 100, None),
            (shard(&two, &[(9, 30)]), 15, Some(5)),
            (shard(&two, &[(9, 30)]), 25, Some(9)),
            (shard(&two[..1], &[(5, 12), (6, 30)]), 25, Some(6)),
            (shard(&two[..1], &[(5, 12)]), 5, None),
        ];
        for (shard, cutoff, expected) in cases {
            assert_eq!(horizon(&shard, cutoff), expected, "{shard:?} {cutoff}");
        }
    }

    #[test]
    fn a_tail_is_due_by_age_or_size() {
        let full = shard(&[], &[(0, 1000)]);
        let bytes = full.tail_bytes() as u64;
        let cases = [
            (shard(&[], &[]), 9_999, 1, false),
            (full.clone(), 1500, bytes + 1, false),
            (full.clone(), 1501, bytes + 1, true),
            (full, 1500, bytes, true),
        ];
        for (shard, now_ms, bytes, expected) in cases {
            assert_eq!(Policy { age_ms: 500, bytes }.is_due(&shard, now_ms), expected, "{now_ms} {bytes}");
        }
    }
}
