//! The loop that delivers: one task looks at all deliveries, and each that is due takes a turn of its own.

use crate::buffer::{self, Range};
use crate::prefix::{self, Prefix};
use crate::state::{Due, begun, delivered, due, has_reached};
use crate::{object, query, rows};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tidegate_catalog::{Catalog, Change, Delivery, DeliveryAttempt, DeliveryTarget, Object, Oid, State};
use tidegate_core::{Error, Kind, Result};
use tidegate_query::Engine;
use tidegate_storage::fault;
use tokio::sync::{OwnedMutexGuard, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How often deliveries are looked at while records come or something is due.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// Longest time between two looks.
const LOOK_INTERVAL_MAX_MS: i64 = 10_000;
/// Deliveries that write at the same time; more wait for their turn.
const WRITERS_MAX: usize = 8;
/// What one object or commit holds at least, if so much waits: a delivery with a small buffer catches up in few of them.
const FLUSH_BYTES_MIN: u64 = 1 << 20;
/// Wait after the first failure; doubled with each further one.
const RETRY_MS: i64 = 1000;
/// Longest wait between tries.
const RETRY_MAX_MS: i64 = 60_000;
/// Times that a position is put anew when statements changed the delivery meanwhile.
const CONFLICTS_MAX: usize = 100;

/// All deliveries of a server; clones share them.
#[derive(Clone)]
pub struct Deliveries(Arc<Inner>);

struct Inner {
    engine: Engine,
    // One turn of a delivery at a time, whoever asks for it.
    turns: Mutex<HashMap<Oid, Arc<tokio::sync::Mutex<Retry>>>>,
    writers: Semaphore,
}

/// When a delivery that failed is tried again.
#[derive(Debug, Default)]
struct Retry {
    failures: u32,
    not_before_ms: i64,
}

type Turn = OwnedMutexGuard<Retry>;

impl Retry {
    fn after_failure(&self, now_ms: i64) -> Retry {
        let wait = RETRY_MS.saturating_mul(1 << self.failures.min(16)).min(RETRY_MAX_MS);
        Retry { failures: self.failures.saturating_add(1), not_before_ms: now_ms.saturating_add(wait) }
    }
}

impl Deliveries {
    /// Of this engine.
    pub fn new(engine: Engine) -> Self {
        Deliveries(Arc::new(Inner { engine, turns: Mutex::default(), writers: Semaphore::new(WRITERS_MAX) }))
    }

    /// The catalog that deliveries stand in.
    pub fn catalog(&self) -> &Catalog {
        self.0.engine.catalog()
    }

    fn now_ms(&self) -> i64 {
        self.catalog().clock().now_ms()
    }

    fn turn(&self, delivery: Oid) -> Arc<tokio::sync::Mutex<Retry>> {
        Arc::clone(self.0.turns.lock().entry(delivery).or_default())
    }

    /// Delivers what is due until the token is cancelled. What is being written then is left to its attempt: the next
    /// start finishes it.
    pub async fn run(self, stop: CancellationToken) {
        let mut versions = self.catalog().versions();
        let mut working = JoinSet::new();
        let mut look_at_ms = 0;
        while stop.run_until_cancelled(tokio::time::sleep(LOOK_INTERVAL)).await.is_some() {
            while let Some(ended) = working.try_join_next() {
                if let Err(error) = ended {
                    tracing::error!(%error, "a delivery broke off");
                }
            }
            if versions.has_changed().unwrap_or(false) || self.now_ms() >= look_at_ms {
                versions.mark_unchanged();
                look_at_ms = self.look(&mut working);
            }
        }
        working.shutdown().await;
    }

    /// Begins a turn of each delivery that is due. Gives the time of the next look if nothing happens before.
    fn look(&self, working: &mut JoinSet<()>) -> i64 {
        let (state, now_ms) = (self.catalog().state(), self.now_ms());
        self.0.turns.lock().retain(|oid, _| state.object(*oid).is_some());
        let mut next_ms = now_ms.saturating_add(LOOK_INTERVAL_MAX_MS);
        for delivery in state.deliveries() {
            let load = buffer::load(delivery, &state, delivery.spec.buffer_bytes);
            next_ms = match due(delivery, &load, now_ms) {
                Due::Idle => next_ms,
                Due::At(at_ms) => next_ms.min(at_ms),
                Due::Now => match self.turn(delivery.oid).try_lock_owned() {
                    Ok(turn) if turn.not_before_ms > now_ms => next_ms.min(turn.not_before_ms),
                    Ok(mut turn) => {
                        let (deliveries, oid) = (self.clone(), delivery.oid);
                        // Its error is in the log and in the delivery's state.
                        working.spawn(async move { drop(deliveries.take(oid, &mut turn).await) });
                        now_ms
                    }
                    // Whoever holds the turn is at it.
                    Err(_) => now_ms,
                },
            };
        }
        next_ms
    }

    /// FLUSH: returns when everything up to now is delivered, or with the error that a try has ended in. It goes on when
    /// the one who asked has gone.
    pub async fn flush(&self, oid: Oid) -> Result<()> {
        let deliveries = self.clone();
        tokio::spawn(async move { deliveries.flush_all(oid).await }).await.map_err(Error::internal)?
    }

    async fn flush_all(&self, oid: Oid) -> Result<()> {
        let state = self.catalog().state();
        let goal = buffer::ends(&state, find(&state, oid).ok_or_else(gone)?.spec.source);
        loop {
            let mut turn = self.turn(oid).lock_owned().await;
            let state = self.catalog().state();
            let delivery = find(&state, oid).ok_or_else(gone)?;
            if has_reached(delivery, &state, &goal) {
                return Ok(());
            }
            if delivery.state.paused {
                let message = format!("delivery stream \"{}\" is paused", delivery.name);
                return Err(Error::new(Kind::NotInState, message).hint("RESUME DELIVERY STREAM lets it go on."));
            }
            self.take(oid, &mut turn).await?;
        }
    }

    /// Takes a turn: delivers once, and notes how it went.
    async fn take(&self, oid: Oid, turn: &mut Turn) -> Result<()> {
        // Should it break off, it is not tried again at once.
        let failed = turn.after_failure(self.now_ms());
        turn.not_before_ms = failed.not_before_ms;
        match self.deliver(oid).await {
            Ok(()) => {
                **turn = Retry::default();
                Ok(())
            }
            Err(error) => {
                **turn = turn.after_failure(self.now_ms());
                let state = self.catalog().state();
                // Dropped while at work: nobody waits for it.
                let Some(delivery) = find(&state, oid) else { return Err(gone()) };
                let (name, failures) = (&delivery.name, turn.failures);
                tracing::warn!(delivery = %name, failures, %error, "a delivery failed and is tried again");
                // What cannot be told now is told with the next failure.
                self.step(oid, &[], |delivery| crate::state::failed(delivery, error.message())).await.ok();
                Err(error.context(format_args!("delivery stream \"{name}\"")))
            }
        }
    }

    /// Delivers what waits, once. Whoever calls it has the turn.
    async fn deliver(&self, oid: Oid) -> Result<()> {
        let _writer = self.0.writers.acquire().await.map_err(Error::internal)?;
        let state = self.catalog().state();
        let Some(delivery) = find(&state, oid) else { return Ok(()) };
        let begun_ms = self.now_ms();
        let (range, count, changes) = match &delivery.spec.target {
            DeliveryTarget::Table(table) => {
                let range = waiting(delivery, &state);
                if range.is_empty() {
                    return Ok(());
                }
                fault::point("delivery.write")?;
                let (count, changes) = rows::write(&self.0.engine, &state, &delivery.spec, *table, &range).await?;
                (range, count, changes)
            }
            DeliveryTarget::Objects(prefix) => {
                let attempt = match &delivery.state.attempt {
                    Some(attempt) => attempt.clone(),
                    None => match self.begin(&state, delivery, prefix).await? {
                        Some(attempt) => attempt,
                        None => return Ok(()),
                    },
                };
                fault::point("delivery.write")?;
                let count = object::write(&self.0.engine, &state, delivery, &attempt).await?;
                (attempt.range, count, Vec::new())
            }
        };
        fault::point("delivery.written")?;
        fault::point("delivery.commit")?;
        let now_ms = self.now_ms();
        self.step(oid, &changes, |delivery| Some(delivered(delivery, &range, count, now_ms))).await?;
        tracing::debug!(delivery = %delivery.name, rows = count, ms = now_ms - begun_ms, "delivered");
        Ok(())
    }

    /// Decides what the next object holds and how it is called, and makes that durable. None: nothing waits, or the
    /// delivery has been paused.
    async fn begin(&self, state: &State, delivery: &Delivery, prefix: &str) -> Result<Option<DeliveryAttempt>> {
        let range = waiting(delivery, state);
        if range.is_empty() {
            return Ok(None);
        }
        let engine = &self.0.engine;
        let oldest_ms = query::oldest_ms(engine.stores(), state, &delivery.spec, &range).await?;
        let oldest_ms = oldest_ms.unwrap_or_else(|| self.now_ms());
        let folder = Prefix::parse(prefix)?.expand(oldest_ms, engine.rng());
        let (stamp, unique) = (prefix::stamp(oldest_ms), engine.rng().uuid());
        let object = format!("{folder}{}-{stamp}-{unique}{}", delivery.name, object::ending(&delivery.spec));
        let attempt = DeliveryAttempt { range, object };
        fault::point("delivery.attempt")?;
        let begin = |delivery: &Delivery| (!delivery.state.paused).then(|| begun(delivery, attempt.clone()));
        let made = self.step(delivery.oid, &[], begin).await?;
        Ok(made.then_some(attempt))
    }

    /// Commits a step of a delivery as it stands now, together with other changes. Statements that changed it meanwhile
    /// are no reason to do the work again: only the one whose turn it is moves its position. False: there is no step.
    async fn step(&self, oid: Oid, changes: &[Change], step: impl Fn(&Delivery) -> Option<Delivery>) -> Result<bool> {
        for _ in 0..CONFLICTS_MAX {
            let state = self.catalog().state();
            let delivery = find(&state, oid).ok_or_else(gone)?;
            let Some(stepped) = step(delivery) else { return Ok(false) };
            let put = Change::Put(Arc::new(Object::Delivery(stepped)));
            let all = changes.iter().cloned().chain([put]).collect();
            match self.catalog().commit(all).await {
                Err(error) if error.kind() == Kind::Conflict && self.has_changed(delivery) => {}
                other => return other.map(|_| true),
            }
        }
        Err(Error::new(Kind::Conflict, "the delivery stream is being changed all the time"))
    }

    fn has_changed(&self, seen: &Delivery) -> bool {
        find(&self.catalog().state(), seen.oid).is_none_or(|delivery| delivery.revision != seen.revision)
    }
}

/// What one flush takes.
fn waiting(delivery: &Delivery, state: &State) -> Range {
    buffer::load(delivery, state, delivery.spec.buffer_bytes.max(FLUSH_BYTES_MIN)).range
}

/// The delivery of a number.
fn find(state: &State, oid: Oid) -> Option<&Delivery> {
    match state.object(oid)?.as_ref() {
        Object::Delivery(delivery) => Some(delivery),
        _ => None,
    }
}

fn gone() -> Error {
    Error::new(Kind::UndefinedObject, "the delivery stream has been dropped")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_have_an_end() {
        let mut retry = Retry::default();
        let mut waits = Vec::new();
        for _ in 0..9 {
            retry = retry.after_failure(100);
            waits.push(retry.not_before_ms - 100);
        }
        assert_eq!(waits, [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
        retry.failures = u32::MAX;
        assert_eq!(retry.after_failure(0).not_before_ms, RETRY_MAX_MS);
    }
}
