//! The loop that carries queries on: what has come is read as one batch, and rows and position are one frame.

use crate::aggregate::Aggregation;
use crate::event;
use crate::input::{self, Ahead, Columns, Parts};
use crate::open::Open;
use crate::refresh::Done;
use crate::state::{Progress, advanced, failed};
use crate::tables::{News, news};
use arrow::array::RecordBatch;
use datafusion::common::DFSchema;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::TryStreamExt;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tidegate_catalog::{
    Catalog, Change, ContinuousQuery, Guarded, Oid, PolicyCommand, Relation, Rights, Rounds, State, Turn, Turns, Window,
};
use tidegate_core::{Error, Kind, Result, Settings};
use tidegate_parser::ast;
use tidegate_query::conform::{Source, conform};
use tidegate_query::datetime::Reading;
use tidegate_query::{Engine, Need, Planner, RowCheck, Scope, StandIn, TableSink, checked, from_datafusion, insert};
use tidegate_storage::fault;
use tidegate_stream::backlog::{self, Range};
use tidegate_stream::find_stream;
use tokio_util::sync::CancellationToken;

/// Bytes of records that one batch has, about.
const BATCH_BYTES_MAX: u64 = 32 << 20;
/// A shard without records for so long does not hold the others' windows open.
const SILENT_MS: i64 = 5_000;
/// How often time alone is looked at while windows are open.
const WINDOWS_LOOK_MS: i64 = 1_000;
/// Longest time between two looks.
const LOOK_MAX_MS: i64 = 60_000;
/// How often a position is made durable that nothing was written with.
const POSITION_MS: i64 = 2_000;

/// All continuous queries of a server; clones share them.
#[derive(Clone)]
pub struct Continuous(Arc<Inner>);

struct Inner {
    engine: Engine,
    turns: Turns,
    // What is in memory of those that have been at work since the start.
    live: Mutex<HashMap<Oid, Live>>,
}

/// What is in memory of a query: how far it has read, and what its open windows hold. It is made again from the durable
/// state when it is lost.
#[derive(Default)]
struct Live {
    progress: Progress,
    open: Open,
    /// For each batch with records of open windows: where it began, and when the last of these windows ends.
    spans: VecDeque<(BTreeMap<u32, u64>, i64)>,
    heard_ms: BTreeMap<u32, i64>,
    framed_ms: i64,
    columns: Option<Columns>,
    ahead: Option<Ahead>,
}

impl Live {
    fn of(query: &ContinuousQuery, now_ms: i64) -> Live {
        let state = &query.state;
        let from = if query.spec.window.is_some() { &state.open_from } else { &state.cursor };
        let progress = Progress {
            cursor: from.clone(),
            open_from: from.clone(),
            watermarks: state.watermarks.clone(),
            closed_us: state.closed_us,
            ..Progress::default()
        };
        let heard_ms = state.cursor.keys().map(|shard| (*shard, now_ms)).collect();
        Live { progress, heard_ms, framed_ms: now_ms, ..Live::default() }
    }
}

/// What memory holds of a query, for people.
#[derive(Debug, Default, Clone, Copy)]
pub struct Held {
    /// Rows of partial results.
    pub rows: usize,
    /// Bytes of them.
    pub bytes: usize,
}

impl Continuous {
    /// Of this engine.
    pub fn new(engine: Engine) -> Self {
        Continuous(Arc::new(Inner { engine, turns: Turns::default(), live: Mutex::default() }))
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        self.0.engine.catalog()
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.0.engine.clock().now_ms()
    }

    fn settings(&self) -> &Settings {
        self.0.engine.settings()
    }

    /// What open windows of a query hold.
    pub fn held(&self, oid: Oid) -> Held {
        let live = self.0.live.lock();
        live.get(&oid).map_or(Held::default(), |live| Held { rows: live.open.rows(), bytes: live.open.bytes() })
    }

    /// Carries queries on until the token is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let interval = u64::try_from(self.settings().whole("refresh_interval_ms")).unwrap_or(0).max(1);
        let mut rounds = Rounds::new(self.catalog(), Duration::from_millis(interval));
        while rounds.next(&stop).await {
            let (state, now_ms) = (self.catalog().state(), self.now_ms());
            self.0.turns.retain(|oid| state.object(oid).is_some());
            self.0.live.lock().retain(|oid, _| state.object(*oid).is_some());
            let mut next_ms = now_ms.saturating_add(LOOK_MAX_MS);
            for query in state.all::<ContinuousQuery>().filter(|query| query.spec.auto && !query.state.stopped) {
                if !query.spec.tables.is_empty() && news(&state, query) == News::None {
                    continue;
                }
                let wait_ms = if query.spec.window.is_some() { WINDOWS_LOOK_MS } else { LOOK_MAX_MS };
                next_ms = next_ms.min(now_ms.saturating_add(wait_ms));
                let Some(mut turn) = self.0.turns.try_take(query.oid) else { continue };
                if turn.not_before_ms > now_ms {
                    next_ms = next_ms.min(turn.not_before_ms);
                    continue;
                }
                let (own, oid) = (self.clone(), query.oid);
                // Its error is in the log and in the query's state.
                rounds.spawn(async move { drop(own.catch_up(oid, &mut turn, false).await) });
            }
            rounds.next_at(next_ms);
        }
        rounds.abort().await;
    }

    /// REFRESH: returns when everything up to now has had its part.
    pub async fn refresh(&self, oid: Oid) -> Result<Done> {
        let own = self.clone();
        let refreshed = tokio::spawn(async move {
            let mut turn = own.0.turns.wait(oid).await;
            own.catch_up(oid, &mut turn, true).await
        });
        refreshed.await.map_err(Error::internal)?
    }

    /// Takes batches until nothing waits, and notes how it went.
    async fn catch_up(&self, oid: Oid, turn: &mut Turn, frame: bool) -> Result<Done> {
        let failure = turn.after_failure(self.now_ms());
        // Should it break off, it is not tried again at once.
        turn.not_before_ms = failure.not_before_ms;
        let mut live = self.0.live.lock().remove(&oid);
        let over_tables =
            self.catalog().state().get::<ContinuousQuery>(oid).is_some_and(|query| !query.spec.tables.is_empty());
        let caught_up = match over_tables {
            true => self.refresh_tables(oid, !frame).await,
            false => self.batches(oid, &mut live, frame).await.map(|()| Done::CaughtUp),
        };
        match caught_up {
            Ok(done) => {
                **turn = Default::default();
                if let Some(live) = live {
                    self.0.live.lock().insert(oid, live);
                }
                Ok(done)
            }
            Err(error) => {
                **turn = failure;
                let state = self.catalog().state();
                let Some(query) = state.get::<ContinuousQuery>(oid) else { return Ok(Done::UpToDate) };
                tracing::warn!(query = %query.name, %error, "a continuous query failed and is tried again");
                // What cannot be told now is told with the next failure.
                self.catalog().advance(oid, &[], |query| failed(query, error.message())).await.ok();
                Err(error.context(format_args!("continuous query \"{}\"", query.name)))
            }
        }
    }

    async fn batches(&self, oid: Oid, live: &mut Option<Live>, frame: bool) -> Result<()> {
        loop {
            let state = self.catalog().state();
            let Some(query) = state.get::<ContinuousQuery>(oid) else { return Ok(()) };
            let live = live.get_or_insert_with(|| Live::of(query, self.now_ms()));
            let range = match &live.ahead {
                Some(ahead) => ahead.range.clone(),
                None => next_range(&state, query, live),
            };
            let was_read = range.is_empty();
            if live.columns.is_none() {
                live.columns = Some(Columns::of(&self.scope(&state, query), query).await?);
            }
            self.batch(&state, query, live, range, frame && was_read).await?;
            if was_read {
                return Ok(());
            }
        }
    }

    /// Takes one batch, or none if only time has passed.
    async fn batch(
        &self,
        state: &Arc<State>,
        query: &ContinuousQuery,
        live: &mut Live,
        range: Range,
        frame: bool,
    ) -> Result<()> {
        let scope = self.scope(state, query);
        let parts = match range.is_empty() {
            true => vec![Vec::new()],
            false => self.input(&scope, query, live, &range).await?,
        };
        // What was read before the last restart is read for open windows only, and counted no second time.
        let again = !range.is_empty()
            && range.iter().all(|(shard, (first, _))| *first < query.state.cursor.get(shard).copied().unwrap_or(0));
        live.progress.now_ms = self.now_ms();
        let before = live.progress.cursor.clone();
        for (shard, (_, end)) in &range {
            live.progress.cursor.insert(*shard, *end);
            live.heard_ms.insert(*shard, live.progress.now_ms);
        }
        self.read_ahead(&scope, query, live, &range);
        let count: usize = parts.iter().flatten().map(RecordBatch::num_rows).sum();
        if !again {
            live.progress.records += count as u64;
        }
        let target =
            state.relation(query.spec.target).ok_or_else(|| Error::new(Kind::UndefinedTable, "its target is gone"))?;
        let rows = match &query.spec.window {
            None if count == 0 => None,
            None => Some(self.run_plain(&scope, query, parts).await?),
            Some(window) => self.run_windows(&scope, query, window, live, parts, (before, &range), again).await?,
        };
        let (written, changes) = match rows {
            Some(rows) => self.write(&scope, query, target, rows).await?,
            None => (0, Vec::new()),
        };
        live.progress.rows += written;
        let is_moved = query.spec.window.is_none() && count > 0;
        let waited = frame || live.progress.now_ms - live.framed_ms >= POSITION_MS;
        let is_due = waited && live.progress.records > 0;
        if again || changes.is_empty() && !is_moved && !is_due {
            return Ok(());
        }
        fault::point("continuous.commit")?;
        let progress = &live.progress;
        if !self.catalog().advance(query.oid, &changes, |query| Some(advanced(query, progress))).await? {
            return Ok(());
        }
        live.framed_ms = live.progress.now_ms;
        (live.progress.records, live.progress.rows, live.progress.late) = (0, 0, event::Late::default());
        Ok(())
    }

    /// The records of a range: read ahead, or now.
    async fn input(&self, scope: &Scope, query: &ContinuousQuery, live: &mut Live, range: &Range) -> Result<Parts> {
        if let Some(ahead) = live.ahead.take() {
            return ahead.parts().await;
        }
        match &live.columns {
            Some(columns) => input::read(scope, query, columns, range).await,
            None => Err(Error::internal("a query is read before it is known what of it")),
        }
    }

    /// Begins to read what comes after a batch, if there is something.
    fn read_ahead(&self, scope: &Scope, query: &ContinuousQuery, live: &mut Live, range: &Range) {
        let next = next_range(&scope.state, query, live);
        if let (Some(columns), false, false) = (&live.columns, range.is_empty(), next.is_empty()) {
            live.ahead = Some(Ahead::begin(scope.clone(), query.clone(), columns.clone(), next));
        }
    }

    pub(crate) fn scope(&self, state: &Arc<State>, query: &ContinuousQuery) -> Scope {
        let own = self.0.engine.scope_of(Arc::clone(state), query.owner);
        Scope { search_path: query.spec.search_path.clone(), ..own }
    }

    /// The query over a batch, where each record gives its rows at once.
    async fn run_plain(
        &self,
        scope: &Scope,
        query: &ContinuousQuery,
        parts: Parts,
    ) -> Result<SendableRecordBatchStream> {
        let (planner, plan) = planned(scope, query, parts).await?;
        planner.stream(plan).await
    }

    /// Adds a batch to the open windows; the rows of those that close now, if there are any.
    #[expect(clippy::too_many_arguments, reason = "one step of one batch; nothing else is made of these")]
    async fn run_windows(
        &self,
        scope: &Scope,
        query: &ContinuousQuery,
        window: &Window,
        live: &mut Live,
        parts: Parts,
        (before, range): (BTreeMap<u32, u64>, &Range),
        again: bool,
    ) -> Result<Option<SendableRecordBatchStream>> {
        let ends = event::ends(window, parts.iter().flatten())?;
        let last_end = ends.map(|(_, last)| last);
        let closed_us = live.progress.closed_us;
        if let (Some((first, _)), Some(closed_us)) = (ends.filter(|_| !again), closed_us)
            && first <= closed_us
        {
            for batch in input::told(scope, query, &window.column, range).await? {
                let late = event::late(window, &batch, closed_us)?;
                live.progress.late.count += late.count;
                live.progress.late.records.extend(late.records);
            }
        }
        mark(scope, query, &parts, &mut live.progress.watermarks)?;
        let (planner, plan) = planned(scope, query, parts).await?;
        let plan = planner.state().create_physical_plan(&plan).await.map_err(from_datafusion)?;
        let (aggregation, context) = (Aggregation::of(plan).map_err(from_datafusion)?, planner.state().task_ctx());
        if let Some(end) = last_end {
            let made = aggregation.over_batch(Arc::clone(&context)).await.map_err(from_datafusion)?;
            let taken = live.open.take(&aggregation, window, made, closed_us, &context).await;
            taken.map_err(from_datafusion)?;
            live.spans.push_back((before, end));
        }
        if again {
            return Ok(None);
        }
        let rows = self.close(query, window, live, &aggregation, &scope.state).map_err(from_datafusion)?;
        if rows.is_empty() {
            return Ok(None);
        }
        let rows = aggregation.finished(rows, context).await.map_err(from_datafusion)?;
        let Some(schema) = rows.first().map(RecordBatch::schema) else { return Ok(None) };
        let rows = futures::stream::iter(rows.into_iter().map(Ok));
        Ok(Some(Box::pin(RecordBatchStreamAdapter::new(schema, rows))))
    }

    /// Moves the watermark, and takes out what belongs to windows that it closes.
    fn close(
        &self,
        query: &ContinuousQuery,
        window: &Window,
        live: &mut Live,
        aggregation: &Aggregation,
        state: &State,
    ) -> datafusion::common::Result<Vec<RecordBatch>> {
        let now_ms = live.progress.now_ms;
        let is_silent = |number: u32| {
            let read = live.progress.cursor.get(&number).copied().unwrap_or(0);
            let all_read = state.shard(query.spec.source, number).is_none_or(|shard| read >= shard.next);
            let heard_ms = live.heard_ms.get(&number);
            all_read && heard_ms.is_none_or(|heard_ms| heard_ms.saturating_add(SILENT_MS) <= now_ms)
        };
        let shards = state.shards(query.spec.source).map(|shard| shard.spec.number);
        let watermark = event::watermark(shards, &live.progress.watermarks, is_silent);
        let closed_us = watermark.max(live.progress.closed_us);
        let Some(now_us) = closed_us.filter(|closed_us| live.progress.closed_us < Some(*closed_us)) else {
            return Ok(Vec::new());
        };
        live.progress.closed_us = Some(now_us);
        while live.spans.front().is_some_and(|(_, end)| *end <= now_us) {
            live.spans.pop_front();
        }
        let from = live.spans.iter().find(|(_, end)| *end > now_us).map(|(from, _)| from);
        live.progress.open_from = from.unwrap_or(&live.progress.cursor).clone();
        live.open.close(aggregation, window, now_us)
    }

    /// Puts rows into the target: how many, and what a frame must hold to have them.
    async fn write(
        &self,
        scope: &Scope,
        query: &ContinuousQuery,
        target: &Relation,
        mut rows: SendableRecordBatchStream,
    ) -> Result<(u64, Vec<Change>)> {
        if !query.spec.view {
            scope.require(&Guarded::Relation(target), Need::All(Rights::INSERT))?;
        }
        let target = tidegate_query::stream_sql::insertable(target);
        let width = rows.schema().fields().len();
        let columns = match query.spec.columns.as_slice() {
            [] => (0..width).collect(),
            columns => columns.to_vec(),
        };
        let sources: Vec<Source> = insert::sources(scope, &target, &columns).await?;
        let check = match query.spec.view {
            true => None,
            false => RowCheck::of(scope, &target, PolicyCommand::Insert, false)?,
        };
        let mut sink = sink(&self.0.engine, &scope.state, &target)?;
        let mut count = 0;
        let written: Result<()> = async {
            while let Some(batch) = rows.try_next().await.map_err(from_datafusion)? {
                count += batch.num_rows() as u64;
                let batch = conform(&batch, &target, &sources, &Reading::utc()?)?;
                checked(check.as_ref(), &batch).await?;
                sink.write(batch).await?;
            }
            Ok(())
        }
        .await;
        match written {
            Ok(()) if count > 0 => Ok((count, sink.finish().await?)),
            other => {
                sink.abort().await;
                other.map(|()| (0, Vec::new()))
            }
        }
    }
}

/// What is read next: what an open window needs again, or what has come since.
fn next_range(state: &State, query: &ContinuousQuery, live: &Live) -> Range {
    let load = backlog::load_segments(state, query.spec.source, &live.progress.cursor, BATCH_BYTES_MAX);
    let done = |shard: &u32| query.state.cursor.get(shard).copied().unwrap_or(0);
    let again: Range = load
        .range
        .iter()
        .filter(|(shard, (first, _))| *first < done(shard))
        .map(|(shard, (first, end))| (*shard, (*first, (*end).min(done(shard)))))
        .collect();
    match again.is_empty() {
        true => load.range,
        false => again,
    }
}

/// The query, planned over rows that are in memory.
async fn planned(
    scope: &Scope,
    query: &ContinuousQuery,
    parts: Parts,
) -> Result<(Planner, datafusion::logical_expr::LogicalPlan)> {
    let stand_in = StandIn { stream: query.spec.source, parts: Arc::new(parts) };
    let scope = Scope { stand_in: Some(stand_in), ..scope.clone() };
    let planner = Planner::new(&scope)?;
    let text = tidegate_parser::parse_query(&query.spec.query)?;
    let plan = planner.plan(&ast::Statement::Query(text)).await?;
    Ok((planner, plan))
}

/// Raises the watermarks by what the stream's own expression says of each record.
fn mark(
    scope: &Scope,
    query: &ContinuousQuery,
    parts: &[Vec<RecordBatch>],
    marks: &mut BTreeMap<u32, i64>,
) -> Result<()> {
    let Some(first) = parts.iter().flatten().next() else { return Ok(()) };
    let (stream, spec) = find_stream(&scope.state, query.spec.source)?;
    let text = input::watermark_of(stream, spec)?;
    let planner = Planner::new(scope)?;
    let schema = DFSchema::try_from(first.schema().as_ref().clone()).map_err(from_datafusion)?;
    let logical = planner.state().create_logical_expr(text, &schema).map_err(from_datafusion)?;
    let expression = planner.state().create_physical_expr(logical, &schema).map_err(from_datafusion)?;
    for batch in parts.iter().flatten() {
        let times =
            expression.evaluate(batch).and_then(|value| value.into_array(batch.num_rows())).map_err(from_datafusion)?;
        event::advance(marks, batch, &times)?;
    }
    Ok(())
}

/// Takes rows for a table or a stream.
pub fn sink(engine: &Engine, state: &State, target: &Relation) -> Result<Box<dyn TableSink>> {
    let none = || Error::new(Kind::WrongObjectType, format!("\"{}\" takes no rows", target.name));
    tidegate_query::sink_of(engine, state, target)?.ok_or_else(none)
}
