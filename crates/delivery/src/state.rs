//! The pure steps from one durable state of a delivery to the next, and when the next is due.

use std::collections::BTreeMap;
use tidegate_catalog::{Delivery, DeliveryAttempt, DeliveryState, State};
use tidegate_stream::backlog::{Load, Range};

/// When a delivery has something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Now.
    Now,
    /// At this time, in milliseconds of the Unix epoch, unless its buffer is full before.
    At(i64),
    /// When a record comes.
    Idle,
}

/// When a delivery is to flush what waits: by size or by age, whichever is first; an attempt that is open, at once.
pub fn due(delivery: &Delivery, load: &Load, now_ms: i64) -> Due {
    let at_ms = load.oldest_ms.saturating_add(delivery.spec.buffer_interval_ms);
    if delivery.state.paused {
        Due::Idle
    } else if delivery.state.attempt.is_some() {
        Due::Now
    } else if load.range.is_empty() {
        Due::Idle
    } else if load.bytes >= delivery.spec.buffer_bytes || at_ms <= now_ms {
        Due::Now
    } else {
        Due::At(at_ms)
    }
}

/// Whether a delivery has delivered everything before these indexes that is still kept.
pub fn has_reached(delivery: &Delivery, state: &State, goal: &BTreeMap<u32, u64>) -> bool {
    let position = |shard: u32| {
        let cursor = delivery.state.cursor.get(&shard).copied().unwrap_or(0);
        // What retention has taken can no longer be delivered, and what is gone with its shard neither.
        state.shard(delivery.spec.source, shard).map_or(u64::MAX, |shard| cursor.max(shard.oldest))
    };
    delivery.state.attempt.is_none() && goal.iter().all(|(shard, index)| position(*shard) >= *index)
}

fn next(delivery: &Delivery, state: DeliveryState) -> Delivery {
    Delivery { revision: delivery.revision + 1, state, ..delivery.clone() }
}

/// An attempt begins: what it writes, and under which name, is decided for good.
pub fn begun(delivery: &Delivery, attempt: DeliveryAttempt) -> Delivery {
    next(delivery, DeliveryState { attempt: Some(attempt), ..delivery.state.clone() })
}

/// A range is delivered, as so many rows: the position moves.
pub fn delivered(delivery: &Delivery, range: &Range, rows: u64, now_ms: i64) -> Delivery {
    let mut state = DeliveryState { attempt: None, reason: String::new(), ..delivery.state.clone() };
    if rows > 0 {
        state.records += rows;
        state.flushes += 1;
        state.delivered_ms = now_ms;
    }
    for (shard, (_, end)) in range {
        let cursor = state.cursor.entry(*shard).or_default();
        *cursor = (*cursor).max(*end);
    }
    next(delivery, state)
}

/// A try failed. None: that is known already.
pub fn failed(delivery: &Delivery, reason: &str) -> Option<Delivery> {
    let state = || DeliveryState { reason: reason.to_string(), ..delivery.state.clone() };
    (delivery.state.reason != reason).then(|| next(delivery, state()))
}

/// PAUSE and RESUME. None: it is so already.
pub fn paused(delivery: &Delivery, paused: bool) -> Option<Delivery> {
    let state = || DeliveryState { paused, ..delivery.state.clone() };
    (delivery.state.paused != paused).then(|| next(delivery, state()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tidegate_catalog::{Change, DeliverySpec, DeliveryTarget, Object, Relation, RelationKind, StreamSpec};

    fn delivery() -> Delivery {
        let spec = DeliverySpec {
            source: 20_000,
            select: None,
            search_path: Vec::new(),
            target: DeliveryTarget::Table(2),
            format: String::new(),
            buffer_bytes: 10,
            buffer_interval_ms: 1000,
            options: BTreeMap::new(),
        };
        Delivery {
            oid: 20_001,
            name: "d".into(),
            revision: 1,
            owner: 10,
            created_ms: 0,
            spec,
            state: DeliveryState::default(),
        }
    }

    fn attempt() -> DeliveryAttempt {
        DeliveryAttempt { range: Range::from([(0, (0, 5)), (1, (3, 4))]), object: "file:///x".into() }
    }

    /// A stream of two shards without a record.
    fn state() -> State {
        let mut state = State::initial();
        let spec = StreamSpec {
            partition_key: Vec::new(),
            format: None,
            watermark: None,
            retention_ms: 1,
            on_demand: false,
            tags: BTreeMap::new(),
            location: String::new(),
        };
        let stream = Relation {
            oid: 20_000,
            schema: tidegate_catalog::PUBLIC,
            name: "s".into(),
            revision: 1,
            columns: Vec::new(),
            owner: tidegate_catalog::ADMIN,
            comment: None,
            created_ms: 0,
            row_security: tidegate_catalog::RowSecurity::default(),
            kind: RelationKind::Stream(spec),
        };
        let shards = tidegate_catalog::even_shards(2, 0).unwrap();
        state.apply(&Change::Put(Arc::new(Object::Relation(stream))), 1);
        state.apply(&Change::AddShards { stream: 20_000, shards }, 1);
        state
    }

    #[test]
    fn size_or_age_whichever_is_first() {
        let load = |bytes, oldest_ms| Load { range: Range::from([(0, (0, 1))]), bytes, oldest_ms };
        let (plain, open) = (delivery(), begun(&delivery(), attempt()));
        let stopped = paused(&open, true).unwrap();
        let cases = [
            (&plain, Load::default(), 9_999, Due::Idle),
            (&plain, load(9, 500), 1499, Due::At(1500)),
            (&plain, load(9, 500), 1500, Due::Now),
            (&plain, load(10, 500), 500, Due::Now),
            (&open, Load::default(), 0, Due::Now),
            (&stopped, load(10, 0), 9_999, Due::Idle),
        ];
        for (delivery, load, now_ms, expected) in cases {
            assert_eq!(due(delivery, &load, now_ms), expected, "{load:?} at {now_ms}");
        }
    }

    #[test]
    fn a_delivery_goes_from_attempt_to_position() {
        let state = state();
        let begun = begun(&delivery(), attempt());
        assert_eq!((begun.revision, begun.state.attempt.is_some()), (2, true));
        let told = failed(&begun, "no such bucket").unwrap();
        assert_eq!((told.revision, told.state.attempt.is_some()), (3, true), "an attempt outlives its failures");
        assert_eq!(failed(&told, "no such bucket"), None, "the same reason makes no further frame");
        let done = delivered(&told, &attempt().range, 6, 77);
        let DeliveryState { cursor, attempt: open, reason, records, flushes, delivered_ms, .. } = &done.state;
        assert_eq!(cursor, &BTreeMap::from([(0, 5), (1, 4)]));
        assert_eq!((open, reason.as_str(), *records, *flushes, *delivered_ms), (&None, "", 6, 1, 77));
        // A second report of the same range moves nothing back.
        assert_eq!(delivered(&done, &Range::from([(0, (0, 2))]), 2, 78).state.cursor[&0], 5);
        // What a query drops moves the position and is no flush.
        let dropped = delivered(&done, &Range::from([(1, (4, 9))]), 0, 99);
        assert_eq!((dropped.state.flushes, dropped.state.delivered_ms, dropped.state.cursor[&1]), (1, 77, 9));
        let goals = [(0, 5, true), (0, 6, false), (1, 5, false), (7, 1, true)];
        for (shard, index, reached) in goals {
            assert_eq!(has_reached(&done, &state, &BTreeMap::from([(shard, index)])), reached, "{shard} {index}");
        }
        assert!(!has_reached(&begun, &state, &BTreeMap::new()), "an open attempt is not there yet");
    }

    #[test]
    fn what_retention_has_taken_is_not_waited_for() {
        let mut state = state();
        let mut builder = tidegate_catalog::RecordsBuilder::default();
        builder.push("k", b"d").unwrap();
        let records = Some(builder.finish());
        let appended = tidegate_catalog::Appended { stream: 20_000, shard: 0, first: 0, arrival_ms: 1, records };
        state.apply(&Change::Appended(appended), 2);
        let goal = BTreeMap::from([(0, 1)]);
        assert!(!has_reached(&delivery(), &state, &goal));
        state.apply(&Change::Trim { stream: 20_000, shard: 0, oldest: 1 }, 3);
        assert!(has_reached(&delivery(), &state, &goal));
    }

    #[test]
    fn pause_and_resume_change_what_is_not_so_yet() {
        let stopped = paused(&delivery(), true).unwrap();
        assert_eq!((stopped.state.paused, stopped.revision), (true, 2));
        assert_eq!(paused(&stopped, true), None);
        assert_eq!(paused(&stopped, false).map(|d| (d.state.paused, d.revision)), Some((false, 3)));
    }
}
