//! The loop that delivers.

use crate::prefix;
use crate::state::{Range, begun, delivered, has_reached, is_due, waiting, weigh};
use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tidegate_catalog::{Catalog, Change, Delivery, DeliveryAttempt, DeliveryTarget, Object, Oid, State};
use tidegate_core::{Error, Kind, Result};
use tidegate_query::conform::{Source, conform};
use tidegate_query::formats::{Compression, CsvOptions, FileFormat, WriteOptions, create_writer};
use tidegate_query::{Consumed, Engine, Planner, Scope, access, from_datafusion};
use tidegate_storage::fault;
use tokio_util::sync::CancellationToken;

/// How often deliveries are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// Wait after the first failure; doubled with each further one.
const RETRY_MS: i64 = 1000;
/// Longest wait between tries.
const RETRY_MAX_MS: i64 = 60_000;
/// Times that a position is put anew when a statement changed the delivery meanwhile.
const CONFLICTS_MAX: usize = 100;

/// All deliveries of a server; clones share them.
#[derive(Clone)]
pub struct Deliveries(Arc<Inner>);

struct Inner {
    engine: Engine,
    // One attempt of a delivery at a time, whoever asks for it.
    turns: Mutex<HashMap<Oid, Arc<tokio::sync::Mutex<Retry>>>>,
}

/// When a delivery that failed is tried again.
#[derive(Debug, Default)]
struct Retry {
    failures: u32,
    not_before_ms: i64,
}

impl Deliveries {
    /// Of this engine.
    pub fn new(engine: Engine) -> Self {
        Deliveries(Arc::new(Inner { engine, turns: Mutex::default() }))
    }

    fn catalog(&self) -> &Catalog {
        self.0.engine.catalog()
    }

    fn turn(&self, delivery: Oid) -> Arc<tokio::sync::Mutex<Retry>> {
        Arc::clone(self.0.turns.lock().entry(delivery).or_default())
    }

    /// Delivers what is due until the token is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let mut working = tokio::task::JoinSet::new();
        while stop.run_until_cancelled(tokio::time::sleep(LOOK_INTERVAL)).await.is_some() {
            let state = self.catalog().state();
            let now_ms = self.catalog().clock().now_ms();
            for delivery in state.deliveries().filter(|delivery| is_due(delivery, &state, now_ms)) {
                // Whoever holds the turn is at it already.
                if let Ok(turn) = self.turn(delivery.oid).try_lock_owned() {
                    let (deliveries, oid) = (self.clone(), delivery.oid);
                    working.spawn(async move { deliveries.try_once(oid, turn).await });
                }
            }
            while working.try_join_next().is_some() {}
        }
        // What is being written is left to its attempt: the next start finishes it.
        working.abort_all();
    }

    async fn try_once(&self, oid: Oid, mut retry: tokio::sync::OwnedMutexGuard<Retry>) {
        let now_ms = self.catalog().clock().now_ms();
        if now_ms < retry.not_before_ms {
            return;
        }
        match self.deliver(oid).await {
            Ok(()) => *retry = Retry::default(),
            Err(error) => {
                retry.failures += 1;
                let wait = RETRY_MS.saturating_mul(1 << retry.failures.min(16).saturating_sub(1)).min(RETRY_MAX_MS);
                retry.not_before_ms = now_ms + wait;
                tracing::warn!(delivery = oid, failures = retry.failures, %error, "a delivery failed and is tried again");
                self.tell(oid, &error).await;
            }
        }
    }

    /// Writes the reason into the delivery's state, where one can select it.
    async fn tell(&self, oid: Oid, error: &Error) {
        let state = self.catalog().state();
        let Some(delivery) = find(&state, oid).filter(|delivery| delivery.state.reason != error.message()) else {
            return;
        };
        let mut told = Delivery { revision: delivery.revision + 1, ..delivery.clone() };
        told.state.reason = error.message().to_string();
        // It is told again with the next failure.
        self.catalog().commit(vec![put(told)]).await.ok();
    }

    /// FLUSH: returns when everything up to now is delivered.
    pub async fn flush(&self, oid: Oid) -> Result<()> {
        let state = self.catalog().state();
        let Some(delivery) = find(&state, oid) else { return Err(gone()) };
        let goal: BTreeMap<u32, u64> = state
            .shards(delivery.spec.source)
            .filter(|shard| shard.next > shard.oldest)
            .map(|shard| (shard.spec.number, shard.next))
            .collect();
        loop {
            let turn = self.turn(oid);
            let mut retry = turn.lock().await;
            let state = self.catalog().state();
            let Some(delivery) = find(&state, oid) else { return Err(gone()) };
            // What retention has trimmed meanwhile can no longer be reached, nor waited for.
            let done = has_reached(delivery, &goal) || waiting(delivery, &state).is_empty();
            if done && delivery.state.attempt.is_none() {
                return Ok(());
            }
            self.deliver(oid).await?;
            *retry = Retry::default();
        }
    }

    /// Delivers what waits, under the caller's turn.
    async fn deliver(&self, oid: Oid) -> Result<()> {
        let state = self.catalog().state();
        let Some(delivery) = find(&state, oid) else { return Ok(()) };
        match &delivery.spec.target {
            DeliveryTarget::Table(table) => self.deliver_rows(&state, delivery, *table).await,
            DeliveryTarget::Objects(prefix) => {
                let attempt = match &delivery.state.attempt {
                    Some(attempt) => attempt.clone(),
                    None => match self.begin(&state, delivery, prefix).await? {
                        Some(attempt) => attempt,
                        None => return Ok(()),
                    },
                };
                fault::point("delivery.write")?;
                let records = self.write(oid, &attempt).await?;
                fault::point("delivery.written")?;
                self.move_on(oid, &attempt.range, records, Vec::new()).await
            }
        }
    }

    /// Decides what the next object holds and how it is called, and makes that durable.
    async fn begin(&self, state: &State, delivery: &Delivery, prefix: &str) -> Result<Option<DeliveryAttempt>> {
        let range = waiting(delivery, state);
        if range.is_empty() {
            return Ok(None);
        }
        let (_, oldest_ms) = weigh(delivery, state, &range);
        let folder = prefix::expand(prefix, oldest_ms)?;
        let stamp = chrono::DateTime::from_timestamp_millis(oldest_ms).unwrap_or_default().format("%Y-%m-%d-%H-%M-%S");
        let object = format!("{folder}{}-{stamp}-{}{}", delivery.name, self.0.engine.rng().uuid(), ending(delivery));
        let attempt = DeliveryAttempt { range, object };
        fault::point("delivery.attempt")?;
        self.catalog().commit(vec![put(begun(delivery, attempt.clone()))]).await?;
        Ok(Some(attempt))
    }

    /// Writes an attempt's object, whole, in the place of what an earlier try left. Gives the number of rows.
    async fn write(&self, oid: Oid, attempt: &DeliveryAttempt) -> Result<u64> {
        let state = self.catalog().state();
        let Some(delivery) = find(&state, oid) else { return Err(gone()) };
        let mut rows = self.rows(&state, delivery, &attempt.range).await?;
        let named = delivery.spec.options.get("credential").map(String::as_str);
        let access = access(&state, &self.0.engine, &attempt.object, named)?;
        let place = self.0.engine.stores().resolve(&attempt.object, &access)?;
        let options = WriteOptions { compression: compression(delivery), ..WriteOptions::default() };
        let mut writer: Option<Box<dyn tidegate_query::formats::FileWriter>> = None;
        let mut count = 0;
        while let Some(batch) = rows.try_next().await.map_err(from_datafusion)? {
            if batch.num_rows() == 0 {
                continue;
            }
            count += batch.num_rows() as u64;
            let open = match &mut writer {
                Some(open) => open,
                None => writer.insert(create_writer(
                    &place.store,
                    &place.path,
                    &format(delivery),
                    &batch.schema(),
                    &options,
                )?),
            };
            open.write(&batch).await?;
        }
        match writer {
            Some(writer) => writer.finish().await.map(|_| count),
            // A query that lets nothing through makes no object.
            None => Ok(0),
        }
    }

    /// Rows and position in one frame.
    async fn deliver_rows(&self, state: &Arc<State>, delivery: &Delivery, table: Oid) -> Result<()> {
        let range = waiting(delivery, state);
        if range.is_empty() {
            return Ok(());
        }
        let missing =
            || Error::new(Kind::UndefinedTable, format!("the table of delivery stream \"{}\" is gone", delivery.name));
        let relation = state.relation(table).ok_or_else(missing)?;
        let mut rows = self.rows(state, delivery, &range).await?;
        let sources = sources(&rows, relation);
        let mut sink = self.sink(state, relation)?;
        let mut count = 0;
        let written: Result<()> = async {
            while let Some(batch) = rows.try_next().await.map_err(from_datafusion)? {
                count += batch.num_rows() as u64;
                sink.write(conform(&batch, relation, &sources)?).await?;
            }
            Ok(())
        }
        .await;
        if let Err(error) = written {
            sink.abort().await;
            return Err(error);
        }
        let changes = sink.finish().await?;
        self.move_on(delivery.oid, &range, count, changes).await
    }

    fn sink(&self, state: &State, relation: &tidegate_catalog::Relation) -> Result<Box<dyn tidegate_query::TableSink>> {
        for service in self.0.engine.services() {
            if let Some(sink) = service.sink(&self.0.engine, state, relation)? {
                return Ok(sink);
            }
        }
        Err(Error::internal(format!("nothing takes rows for \"{}\"", relation.name)))
    }

    /// Moves the position, together with other changes. A statement that changed the delivery meanwhile is no reason to
    /// deliver again; only this turn moves its position.
    async fn move_on(&self, oid: Oid, range: &Range, records: u64, changes: Vec<Change>) -> Result<()> {
        for _ in 0..CONFLICTS_MAX {
            fault::point("delivery.commit")?;
            let state = self.catalog().state();
            let Some(delivery) = find(&state, oid) else { return Err(gone()) };
            let now_ms = self.catalog().clock().now_ms();
            let mut all = changes.clone();
            all.push(put(delivered(delivery, range, records, now_ms)));
            match self.catalog().commit(all).await {
                Err(error) if error.kind() == Kind::Conflict && find(&self.catalog().state(), oid).is_some() => {}
                other => return other.map(drop),
            }
        }
        Err(Error::new(Kind::Conflict, "the delivery stream is being changed all the time"))
    }

    /// The records of a range as rows.
    async fn rows(&self, state: &Arc<State>, delivery: &Delivery, range: &Range) -> Result<SendableRecordBatchStream> {
        let (stream, _) = tidegate_stream::find_stream(state, delivery.spec.source)?;
        // Shards that are not in the range give nothing.
        let all = || state.shards(stream.oid).map(|shard| shard.spec.number);
        let from = all().map(|shard| (shard, range.get(&shard).map_or(0, |(from, _)| *from))).collect();
        let upto = all().map(|shard| (shard, range.get(&shard).map_or(0, |(_, end)| *end))).collect();
        let consumed = Consumed { stream: stream.oid, from: Arc::new(from), upto: Some(Arc::new(upto)) };
        let scope = Scope { consumed: Some(consumed), ..self.0.engine.system_scope(Arc::clone(state)) };
        let own = || {
            let schema = state.schema_name(stream.schema).replace('"', "\"\"");
            format!("SELECT * FROM \"{schema}\".\"{}\"", stream.name.replace('"', "\"\""))
        };
        let text = delivery.spec.select.clone().unwrap_or_else(own);
        let query = tidegate_parser::ast::Statement::Query(tidegate_parser::parse_query(&text)?);
        let planner = Planner::new(&scope)?;
        let plan = planner.plan(&query).await?;
        planner.stream(plan).await
    }
}

fn find(state: &State, oid: Oid) -> Option<&Delivery> {
    match state.object(oid)?.as_ref() {
        Object::Delivery(delivery) => Some(delivery),
        _ => None,
    }
}

fn put(delivery: Delivery) -> Change {
    Change::Put(Arc::new(Object::Delivery(delivery)))
}

fn gone() -> Error {
    Error::new(Kind::UndefinedObject, "the delivery stream has been dropped")
}

fn compression(delivery: &Delivery) -> Compression {
    match delivery.spec.options.get("compression").map(|text| text.to_lowercase()).as_deref() {
        Some("gzip") => Compression::Gzip,
        Some("bzip2") => Compression::Bzip2,
        Some("zstd") => Compression::Zstd,
        _ => Compression::None,
    }
}

fn format(delivery: &Delivery) -> FileFormat {
    match delivery.spec.format.as_str() {
        "PARQUET" => FileFormat::Parquet,
        "CSV" => FileFormat::Csv(CsvOptions { header: true, ..CsvOptions::default() }),
        _ => FileFormat::Json,
    }
}

fn ending(delivery: &Delivery) -> String {
    let format = format(delivery);
    match format {
        FileFormat::Parquet => ".parquet".to_string(),
        _ => format!(".{}{}", format.name(), compression(delivery).extension()),
    }
}

/// A table's columns by name from the rows; by place when no name fits; the others are NULL.
fn sources(rows: &SendableRecordBatchStream, relation: &tidegate_catalog::Relation) -> Vec<Source> {
    let schema = rows.schema();
    let by_name = |name: &str| schema.fields().iter().position(|field| field.name() == name);
    let named = relation.columns.iter().any(|column| by_name(&column.name).is_some());
    let source = |(index, column): (usize, &tidegate_catalog::Column)| match by_name(&column.name) {
        Some(input) => Source::Input(input),
        None if !named && index < schema.fields().len() => Source::Input(index),
        None => Source::Value(datafusion::common::ScalarValue::Null),
    };
    relation.columns.iter().enumerate().map(source).collect()
}
