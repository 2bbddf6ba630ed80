//! The loop of a service that carries on with something: when it looks, and who may work on what.

use crate::catalog::Catalog;
use crate::object::Oid;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tidegate_core::Clock;
use tokio::sync::{OwnedMutexGuard, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Wait after the first failure; doubled with each further one.
const RETRY_MS: i64 = 1000;
/// Longest wait between tries.
const RETRY_MAX_MS: i64 = 60_000;

/// The rounds of a service: one whenever the state has changed, and one when it is time. Work that a round begins goes
/// on beside the next ones.
pub struct Rounds {
    versions: watch::Receiver<u64>,
    clock: Clock,
    interval: Duration,
    at_ms: i64,
    working: JoinSet<()>,
}

impl Rounds {
    /// Over the state of a catalog; two rounds are at least this far apart. The first is due at once.
    pub fn new(catalog: &Catalog, interval: Duration) -> Self {
        let (versions, clock) = (catalog.versions(), catalog.clock().clone());
        Rounds { versions, clock, interval, at_ms: i64::MIN, working: JoinSet::new() }
    }

    /// Waits for the next round. False: the token is cancelled.
    pub async fn next(&mut self, stop: &CancellationToken) -> bool {
        while stop.run_until_cancelled(tokio::time::sleep(self.interval)).await.is_some() {
            while let Some(ended) = self.working.try_join_next() {
                if let Err(error) = ended {
                    tracing::error!(%error, "work of a service broke off");
                }
            }
            if self.versions.has_changed().unwrap_or(false) || self.clock.now_ms() >= self.at_ms {
                self.versions.mark_unchanged();
                return true;
            }
        }
        false
    }

    /// The next round is at this time, unless something happens before.
    pub fn next_at(&mut self, at_ms: i64) {
        self.at_ms = at_ms;
    }

    /// Begins work.
    pub fn spawn(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        self.working.spawn(work);
    }

    /// Breaks off the work that goes on.
    pub async fn abort(mut self) {
        self.working.shutdown().await;
    }

    /// Waits for the work that goes on.
    pub async fn finish(mut self) {
        while self.working.join_next().await.is_some() {}
    }
}

/// Whose turn it is: one at a time works on a resource, whoever asks for it, and what failed is put off.
#[derive(Default)]
pub struct Turns(Mutex<HashMap<Oid, Arc<tokio::sync::Mutex<Backoff>>>>);

/// The right to work on a resource, until it is dropped.
pub type Turn = OwnedMutexGuard<Backoff>;

/// When what failed is tried again.
#[derive(Debug, Default)]
pub struct Backoff {
    /// Failures in a row.
    pub failures: u32,
    /// Not before this time, in milliseconds of the Unix epoch.
    pub not_before_ms: i64,
}

impl Turns {
    fn of(&self, oid: Oid) -> Arc<tokio::sync::Mutex<Backoff>> {
        Arc::clone(self.0.lock().entry(oid).or_default())
    }

    /// Waits for a turn.
    pub async fn wait(&self, oid: Oid) -> Turn {
        self.of(oid).lock_owned().await
    }

    /// A turn, if nobody has it.
    pub fn try_take(&self, oid: Oid) -> Option<Turn> {
        self.of(oid).try_lock_owned().ok()
    }

    /// Forgets those of resources that are gone.
    pub fn retain(&self, is_there: impl Fn(Oid) -> bool) {
        self.0.lock().retain(|oid, _| is_there(*oid));
    }
}

impl Backoff {
    /// After one more failure.
    pub fn after_failure(&self, now_ms: i64) -> Backoff {
        let wait = RETRY_MS.saturating_mul(1 << self.failures.min(16)).min(RETRY_MAX_MS);
        Backoff { failures: self.failures.saturating_add(1), not_before_ms: now_ms.saturating_add(wait) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_have_an_end() {
        let mut backoff = Backoff::default();
        let mut waits = Vec::new();
        for _ in 0..9 {
            backoff = backoff.after_failure(100);
            waits.push(backoff.not_before_ms - 100);
        }
        assert_eq!(waits, [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
        backoff.failures = u32::MAX;
        assert_eq!(backoff.after_failure(0).not_before_ms, RETRY_MAX_MS);
    }

    #[tokio::test]
    async fn a_turn_is_one_at_a_time() {
        let turns = Turns::default();
        let turn = turns.wait(1).await;
        assert!(turns.try_take(1).is_none() && turns.try_take(2).is_some());
        drop(turn);
        assert!(turns.try_take(1).is_some());
        turns.retain(|oid| oid == 2);
        assert_eq!(turns.0.lock().len(), 1);
    }
}
