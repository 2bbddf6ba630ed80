//! What IDENTITY columns count with: numbers that are taken in memory, and durable with the rows that have them.
//!
//! The committer writes how far a table's counters have come into each commit that adds rows to the table. So a restart
//! goes on after the last number that a row has, and numbers that were taken for nothing leave gaps, as in Redshift.

use crate::object::Oid;
use crate::state::State;
use crate::types::Identity;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tidegate_core::{Error, Kind, Result};

/// Counters in memory, beyond which those of tables that nobody has committed are forgotten.
const KEPT_MAX: usize = 100_000;

/// A table, and the name in its files of one of its columns.
type Key = (Oid, String);

/// The counters of all IDENTITY columns that have been used since the start.
#[derive(Debug, Default)]
pub struct Counters(Mutex<HashMap<Key, Arc<AtomicU64>>>);

/// The counter of one column; clones share it.
#[derive(Debug, Clone)]
pub struct Counter {
    taken: Arc<AtomicU64>,
    identity: Identity,
}

impl Counters {
    /// A column's counter, which goes on where the state has it.
    pub fn of(&self, state: &State, table: Oid, column: &str, identity: Identity) -> Counter {
        let mut counters = self.0.lock();
        if counters.len() > KEPT_MAX {
            counters.retain(|(table, _), _| state.relation(*table).is_some());
        }
        let durable = state.files(table).and_then(|files| files.counted.get(column)).copied().unwrap_or(0);
        let taken = counters.entry((table, column.to_string())).or_insert_with(|| Arc::new(AtomicU64::new(durable)));
        Counter { taken: Arc::clone(taken), identity }
    }

    /// How many numbers each column of a table has used up.
    pub fn taken(&self, table: Oid) -> Vec<(String, u64)> {
        let counters = self.0.lock();
        let own = counters.iter().filter(|((one, _), _)| *one == table);
        own.map(|((_, column), taken)| (column.clone(), taken.load(Ordering::Relaxed))).collect()
    }

    /// Whether nothing has been counted.
    pub fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// Forgets a table.
    pub fn forget(&self, table: Oid) {
        self.0.lock().retain(|(one, _), _| *one != table);
    }
}

impl Counter {
    /// The next number, which nobody else gets. 22003 when there is none left.
    pub fn take(&self) -> Result<i64> {
        let nth = self.taken.fetch_add(1, Ordering::Relaxed);
        let steps = i64::try_from(nth).ok().and_then(|nth| nth.checked_mul(self.identity.step));
        steps
            .and_then(|steps| self.identity.seed.checked_add(steps))
            .ok_or_else(|| Error::new(Kind::OutOfRange, "an IDENTITY column has used up its values"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_taken_once() {
        let (counters, state) = (Counters::default(), State::initial());
        let identity = Identity { seed: 10, step: -5, by_default: false };
        let (one, same) = (counters.of(&state, 20_000, "a", identity), counters.of(&state, 20_000, "a", identity));
        let taken: Vec<i64> = [&one, &same, &one].map(|counter| counter.take().unwrap()).into();
        assert_eq!(taken, [10, 5, 0]);
        assert_eq!(counters.taken(20_000), [("a".to_string(), 3)]);
        counters.forget(20_000);
        assert!(counters.is_empty());
        let last = Identity { seed: i64::MAX, step: 1, by_default: false };
        let counter = counters.of(&state, 20_001, "a", last);
        assert_eq!(counter.take().unwrap(), i64::MAX);
        assert_eq!(counter.take().unwrap_err().kind(), Kind::OutOfRange);
    }
}
