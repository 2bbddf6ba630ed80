//! What is due, and the pure steps from one durable state of a delivery to the next.

use std::collections::BTreeMap;
use tidegate_catalog::{Delivery, DeliveryAttempt, DeliveryState, State};

/// By shard, the index of the first record and of the one after the last.
pub type Range = BTreeMap<u32, (u64, u64)>;

/// The records that a delivery has not delivered, up to what the stream holds in a state.
pub fn waiting(delivery: &Delivery, state: &State) -> Range {
    let shards = state.shards(delivery.spec.source);
    let range = shards.map(|shard| {
        let cursor = delivery.state.cursor.get(&shard.spec.number).copied().unwrap_or(0);
        (shard.spec.number, (cursor.max(shard.oldest), shard.next))
    });
    range.filter(|(_, (from, end))| from < end).collect()
}

/// About how many bytes a range holds, and when its oldest record came, in milliseconds of the Unix epoch.
pub fn weigh(delivery: &Delivery, state: &State, range: &Range) -> (u64, i64) {
    let (mut bytes, mut oldest_ms) = (0, i64::MAX);
    for (number, (from, end)) in range {
        let Some(shard) = state.shard(delivery.spec.source, *number) else { continue };
        for segment in shard.segments.values().filter(|segment| segment.end > *from && segment.first < *end) {
            bytes += segment.bytes;
            oldest_ms = oldest_ms.min(segment.first_ms);
        }
        for chunk in shard.tail.iter().filter(|chunk| chunk.end() > *from && chunk.first < *end) {
            bytes += chunk.records.bytes() as u64;
            oldest_ms = oldest_ms.min(chunk.arrival_ms);
        }
    }
    (bytes, oldest_ms)
}

/// Whether a delivery has to flush now: by size or by age, whichever is first; an attempt that is open always.
pub fn is_due(delivery: &Delivery, state: &State, now_ms: i64) -> bool {
    if delivery.state.paused {
        return false;
    }
    if delivery.state.attempt.is_some() {
        return true;
    }
    let range = waiting(delivery, state);
    if range.is_empty() {
        return false;
    }
    let (bytes, oldest_ms) = weigh(delivery, state, &range);
    bytes >= delivery.spec.buffer_bytes || now_ms.saturating_sub(oldest_ms) >= delivery.spec.buffer_interval_ms
}

/// Whether a delivery has delivered everything before these indexes.
pub fn has_reached(delivery: &Delivery, goal: &BTreeMap<u32, u64>) -> bool {
    goal.iter().all(|(shard, index)| delivery.state.cursor.get(shard).copied().unwrap_or(0) >= *index)
}

/// An attempt begins: what it writes, and under which name, is decided for good.
pub fn begun(delivery: &Delivery, attempt: DeliveryAttempt) -> Delivery {
    let state = DeliveryState { attempt: Some(attempt), ..delivery.state.clone() };
    Delivery { revision: delivery.revision + 1, state, ..delivery.clone() }
}

/// A range is delivered: the position moves.
pub fn delivered(delivery: &Delivery, range: &Range, records: u64, now_ms: i64) -> Delivery {
    let mut state = DeliveryState {
        attempt: None,
        reason: String::new(),
        records: delivery.state.records + records,
        flushes: delivery.state.flushes + 1,
        delivered_ms: now_ms,
        ..delivery.state.clone()
    };
    for (shard, (_, end)) in range {
        let cursor = state.cursor.entry(*shard).or_default();
        *cursor = (*cursor).max(*end);
    }
    Delivery { revision: delivery.revision + 1, state, ..delivery.clone() }
}

/// PAUSE and RESUME.
pub fn paused(delivery: &Delivery, paused: bool) -> Delivery {
    let state = DeliveryState { paused, ..delivery.state.clone() };
    Delivery { revision: delivery.revision + 1, state, ..delivery.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_catalog::{DeliverySpec, DeliveryTarget};

    fn delivery() -> Delivery {
        let spec = DeliverySpec {
            source: 1,
            select: None,
            target: DeliveryTarget::Table(2),
            format: String::new(),
            buffer_bytes: 10,
            buffer_interval_ms: 1000,
            options: BTreeMap::new(),
        };
        Delivery { oid: 3, name: "d".into(), revision: 1, created_ms: 0, spec, state: DeliveryState::default() }
    }

    #[test]
    fn a_delivery_goes_from_attempt_to_position() {
        let range = Range::from([(0, (0, 5)), (1, (3, 4))]);
        let begun = begun(&delivery(), DeliveryAttempt { range: range.clone(), object: "file:///x".into() });
        assert_eq!((begun.revision, begun.state.attempt.is_some()), (2, true));
        assert!(is_due(&begun, &State::initial(), 0), "an open attempt is finished whatever else is due");
        let done = delivered(&begun, &range, 6, 77);
        assert_eq!(
            (done.revision, done.state.attempt.clone(), done.state.records, done.state.flushes),
            (3, None, 6, 1)
        );
        assert_eq!(done.state.cursor, BTreeMap::from([(0, 5), (1, 4)]));
        let goals =
            [(BTreeMap::from([(0, 5)]), true), (BTreeMap::from([(0, 6)]), false), (BTreeMap::from([(2, 1)]), false)];
        for (goal, reached) in goals {
            assert_eq!(has_reached(&done, &goal), reached, "{goal:?}");
        }
        // A second report of the same range moves nothing back.
        assert_eq!(delivered(&done, &Range::from([(0, (0, 2))]), 2, 78).state.cursor[&0], 5);
    }

    #[test]
    fn a_paused_delivery_is_never_due() {
        let begun = begun(&delivery(), DeliveryAttempt { range: Range::new(), object: String::new() });
        assert!(!is_due(&paused(&begun, true), &State::initial(), i64::MAX));
        assert!(!is_due(&delivery(), &State::initial(), i64::MAX), "nothing waits");
    }
}
