//! The loop that delivers: one task looks at all deliveries, and each that is due takes a turn of its own.

use crate::prefix::{self, Prefix};
use crate::state::{Due, begun, delivered, due, has_reached};
use crate::{object, query, rows};
use std::sync::Arc;
use std::time::Duration;
use tidegate_catalog::{Backoff, Catalog, Delivery, DeliveryAttempt, DeliveryTarget, Oid, Rounds, State, Turn, Turns};
use tidegate_core::{Error, Kind, Result};
use tidegate_query::Engine;
use tidegate_storage::fault;
use tidegate_stream::backlog::{self, Load, Range};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// How often deliveries are looked at while records come or something is due.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// Longest time between two looks.
const LOOK_INTERVAL_MAX_MS: i64 = 10_000;
/// Deliveries that write at the same time; more wait for their turn.
const WRITERS_MAX: usize = 8;
/// What one object or commit holds at least, if so much waits: a delivery with a small buffer catches up in few of them.
const FLUSH_BYTES_MIN: u64 = 1 << 20;

/// All deliveries of a server; clones share them.
#[derive(Clone)]
pub struct Deliveries(Arc<Inner>);

struct Inner {
    engine: Engine,
    turns: Turns,
    writers: Semaphore,
}

impl Deliveries {
    /// Of this engine.
    pub fn new(engine: Engine) -> Self {
        Deliveries(Arc::new(Inner { engine, turns: Turns::default(), writers: Semaphore::new(WRITERS_MAX) }))
    }

    /// The catalog that deliveries stand in.
    pub fn catalog(&self) -> &Catalog {
        self.0.engine.catalog()
    }

    fn now_ms(&self) -> i64 {
        self.catalog().clock().now_ms()
    }

    /// Delivers what is due until the token is cancelled. What is being written then is left to its attempt: the next
    /// start finishes it.
    pub async fn run(self, stop: CancellationToken) {
        let mut rounds = Rounds::new(self.catalog(), LOOK_INTERVAL);
        while rounds.next(&stop).await {
            let next_ms = self.look(&mut rounds);
            rounds.next_at(next_ms);
        }
        rounds.abort().await;
    }

    /// Begins a turn of each delivery that is due. Gives the time of the next look if nothing happens before.
    fn look(&self, rounds: &mut Rounds) -> i64 {
        let (state, now_ms) = (self.catalog().state(), self.now_ms());
        self.0.turns.retain(|oid| state.object(oid).is_some());
        let mut next_ms = now_ms.saturating_add(LOOK_INTERVAL_MAX_MS);
        for delivery in state.all::<Delivery>() {
            let load = waiting(delivery, &state, delivery.spec.buffer_bytes);
            next_ms = match due(delivery, &load, now_ms) {
                Due::Idle => next_ms,
                Due::At(at_ms) => next_ms.min(at_ms),
                Due::Now => match self.0.turns.try_take(delivery.oid) {
                    Some(turn) if turn.not_before_ms > now_ms => next_ms.min(turn.not_before_ms),
                    Some(mut turn) => {
                        let (deliveries, oid) = (self.clone(), delivery.oid);
                        // Its error is in the log and in the delivery's state.
                        rounds.spawn(async move { drop(deliveries.take(oid, &mut turn).await) });
                        now_ms
                    }
                    // Whoever holds the turn is at it.
                    None => now_ms,
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
        let goal = backlog::ends(&state, state.get::<Delivery>(oid).ok_or_else(gone)?.spec.source);
        loop {
            let mut turn = self.0.turns.wait(oid).await;
            let state = self.catalog().state();
            let delivery = state.get::<Delivery>(oid).ok_or_else(gone)?;
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
                **turn = Backoff::default();
                Ok(())
            }
            Err(error) => {
                **turn = turn.after_failure(self.now_ms());
                let state = self.catalog().state();
                // Dropped while at work: nobody waits for it.
                let Some(delivery) = state.get::<Delivery>(oid) else { return Err(gone()) };
                let (name, failures) = (&delivery.name, turn.failures);
                tracing::warn!(delivery = %name, failures, %error, "a delivery failed and is tried again");
                // What cannot be told now is told with the next failure.
                self.catalog()
                    .advance(oid, &[], |delivery: &Delivery| crate::state::failed(delivery, error.message()))
                    .await
                    .ok();
                Err(error.context(format_args!("delivery stream \"{name}\"")))
            }
        }
    }

    /// Delivers what waits, once. Whoever calls it has the turn.
    async fn deliver(&self, oid: Oid) -> Result<()> {
        let _writer = self.0.writers.acquire().await.map_err(Error::internal)?;
        let state = self.catalog().state();
        let Some(delivery) = state.get::<Delivery>(oid) else { return Ok(()) };
        let begun_ms = self.now_ms();
        let (range, count, changes) = match &delivery.spec.target {
            DeliveryTarget::Table(table) => {
                let range = flush_range(delivery, &state);
                if range.is_empty() {
                    return Ok(());
                }
                fault::point("delivery.write")?;
                let (count, changes) = rows::write(&self.0.engine, &state, delivery, *table, &range).await?;
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
        self.catalog()
            .advance(oid, &changes, |delivery: &Delivery| Some(delivered(delivery, &range, count, now_ms)))
            .await?;
        tracing::debug!(delivery = %delivery.name, rows = count, ms = now_ms - begun_ms, "delivered");
        Ok(())
    }

    /// Decides what the next object holds and how it is called, and makes that durable. None: nothing waits, or the
    /// delivery has been paused.
    async fn begin(&self, state: &State, delivery: &Delivery, prefix: &str) -> Result<Option<DeliveryAttempt>> {
        let range = flush_range(delivery, state);
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
        let made = self.catalog().advance(delivery.oid, &[], begin).await?;
        Ok(made.then_some(attempt))
    }
}

/// What one flush takes.
fn flush_range(delivery: &Delivery, state: &State) -> Range {
    waiting(delivery, state, delivery.spec.buffer_bytes.max(FLUSH_BYTES_MIN)).range
}

/// What waits for a delivery, up to about so many bytes: its buffer, which is a part of the log.
fn waiting(delivery: &Delivery, state: &State, bytes_max: u64) -> Load {
    backlog::load(state, delivery.spec.source, &delivery.state.cursor, bytes_max)
}

fn gone() -> Error {
    Error::new(Kind::UndefinedObject, "the delivery stream has been dropped")
}
