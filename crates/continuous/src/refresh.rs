//! A refresh of a materialized view over tables: what has been added is run through its query, or all of it is, and the
//! rows and what has been seen of the tables are one frame.

use crate::engine::{Continuous, sink};
use crate::kept::{scan, with_changes};
use crate::merge::{Merge, merged, together};
use crate::partials::Partials;
use crate::state::refreshed;
use crate::tables::{News, Shape, news, partials, seen, shape_of};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;
use futures::TryStreamExt;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidegate_catalog::{Change, ContinuousQuery, Oid, Relation, State};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::ast;
use tidegate_query::conform::{Source, conform, renamed};
use tidegate_query::datetime::Reading;
use tidegate_query::{Planner, Scope, TableSink, from_datafusion};
use tidegate_storage::fault;

/// Times that a refresh begins anew when another commit was first.
const TRIES_MAX: usize = 10;

/// What a refresh did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// A view over a stream has had all records.
    CaughtUp,
    /// Nothing had happened.
    UpToDate,
    /// What was added has been taken in.
    Incremental,
    /// All rows were made anew.
    Recomputed,
}

impl Done {
    /// In the words of Redshift's history.
    pub fn status(self) -> &'static str {
        match self {
            Done::CaughtUp | Done::Incremental => "Refresh successfully updated MV incrementally",
            Done::Recomputed => "Refresh successfully recomputed MV from scratch",
            Done::UpToDate => "Refresh skipped. MV is already updated.",
        }
    }

    /// In the words that REFRESH says to its client.
    pub fn told(self, view: &str) -> String {
        match self {
            Done::CaughtUp | Done::Incremental => {
                format!("Materialized view {view} was incrementally updated successfully.")
            }
            Done::Recomputed => format!("Materialized view {view} was recomputed successfully."),
            Done::UpToDate => format!("Materialized view {view} is already up to date."),
        }
    }
}

impl Continuous {
    /// Refreshes a view over tables. The caller has the view's turn.
    pub(crate) async fn refresh_tables(&self, oid: Oid, auto: bool) -> Result<Done> {
        let mut tried = 1;
        loop {
            match self.refresh_once(oid, auto).await {
                Err(error) if error.kind() == Kind::Conflict && tried < TRIES_MAX => tried += 1,
                other => return other,
            }
        }
    }

    async fn refresh_once(&self, oid: Oid, auto: bool) -> Result<Done> {
        let begun_ms = self.now_ms();
        let state = self.catalog().state();
        let Some(query) = state.get::<ContinuousQuery>(oid) else { return Ok(Done::UpToDate) };
        let news = news(&state, query);
        if news == News::None {
            return Ok(Done::UpToDate);
        }
        let refresh = Refresh::of(self, &state, query)?;
        let Made { done, rows, changes, kept_of } = refresh.made(news).await?;
        fault::point("continuous.refresh")?;
        let (now_ms, revision) = (self.now_ms(), query.revision);
        let seen = seen(&state, &query.spec.tables);
        let step = |newest: &ContinuousQuery| {
            let made = (rows, kept_of.clone());
            (newest.revision == revision).then(|| refreshed(newest, done, auto, seen.clone(), made, (begun_ms, now_ms)))
        };
        let changes = match state.get::<ContinuousQuery>(oid).and_then(step) {
            Some(stepped) => changes.into_iter().chain([Change::put(stepped)]).collect(),
            None => return Err(Error::new(Kind::Conflict, format!("materialized view {} was changed", query.name))),
        };
        self.catalog().commit(changes).await?;
        Ok(done)
    }
}

/// What a refresh has made, and not committed.
struct Made {
    done: Done,
    /// Rows that were written into the view.
    rows: u64,
    /// What a frame must hold to have them.
    changes: Vec<Change>,
    /// What the view's state table is made of then.
    kept_of: String,
}

/// What one refresh works with.
struct Refresh<'a> {
    continuous: &'a Continuous,
    scope: Scope,
    query: &'a ContinuousQuery,
    target: &'a Relation,
}

impl<'a> Refresh<'a> {
    fn of(continuous: &'a Continuous, state: &'a Arc<State>, query: &'a ContinuousQuery) -> Result<Refresh<'a>> {
        let gone = || Error::new(Kind::UndefinedTable, format!("the table of {} is gone", query.name));
        let target = state.relation(query.spec.target).ok_or_else(gone)?;
        Ok(Refresh { continuous, scope: continuous.scope(state, query), query, target })
    }

    /// Makes the view's rows by what has happened to its tables.
    async fn made(&self, news: News) -> Result<Made> {
        let spec = &self.query.spec;
        let shape = match news {
            News::Other if spec.kept.is_none() => Shape::Whole,
            _ => shape_of(&self.scope, &spec.query, &spec.tables).await?,
        };
        let is_added = news == News::Added;
        let kept = spec.kept.and_then(|oid| self.scope.state.relation(oid));
        let (done, (rows, changes)) = match (shape, kept) {
            (Shape::Partials(partials), Some(kept)) if partials.fit(&kept.columns) => {
                return self.by_partials(kept, &partials, is_added).await;
            }
            (Shape::Rows, _) if is_added => (Done::Incremental, self.write(self.target, self.added().await?).await?),
            (Shape::Groups(merges), _) if is_added => {
                (Done::Incremental, self.replace(self.target, self.merged(&merges).await?).await?)
            }
            _ => (Done::Recomputed, self.replace(self.target, self.plan(&self.scope, &spec.query).await?).await?),
        };
        // The state table, if there is one, was left behind.
        Ok(Made { done, rows, changes, kept_of: String::new() })
    }

    /// Takes additions into the state table, or makes it anew, and makes the view's rows of it.
    async fn by_partials(&self, kept: &Relation, partials: &Partials, is_added: bool) -> Result<Made> {
        let is_known = is_added && self.query.state.kept_of == partials.told();
        let merged = if is_known { self.merged_partials(kept, partials).await? } else { None };
        let (done, plan) = match merged {
            Some(plan) => (Done::Incremental, plan),
            None => (Done::Recomputed, partials.rows()?),
        };
        let (_, mut changes) = self.replace(kept, plan).await?;
        let scope = with_changes(&self.scope, &changes)?;
        let shown = self.named(partials.shown(scan(&scope, kept).await?)?)?;
        let (rows, shown) = self.replace(self.target, shown).await?;
        changes.extend(shown);
        Ok(Made { done, rows, changes, kept_of: partials.told() })
    }

    /// The state table's rows and those of what has been added, one for each group. None: the query is another one with
    /// the additions in its tables' place, and they do not fit.
    async fn merged_partials(&self, kept: &Relation, known: &Partials) -> Result<Option<LogicalPlan>> {
        let spec = &self.query.spec;
        let mut added = Vec::new();
        for scope in self.spans() {
            match partials(&scope, &spec.query, &spec.tables).await? {
                Some(partials) if partials.told() == known.told() => added.push(partials.rows()?),
                _ => return Ok(None),
            }
        }
        let all = together(scan(&self.scope, kept).await?, added)?;
        merged(all, &known.merges()).map(Some)
    }

    /// Writes rows, and removes those that were there.
    async fn replace(&self, table: &Relation, plan: LogicalPlan) -> Result<(u64, Vec<Change>)> {
        let (rows, mut changes) = self.write(table, vec![plan]).await?;
        let files = self.scope.state.files(table.oid);
        let parts: Vec<u64> = files.map(|files| files.parts().map(|part| part.id()).collect()).unwrap_or_default();
        if !parts.is_empty() {
            let (table, revision) = (table.oid, table.revision);
            changes.insert(0, Change::RemoveFiles { table, revision, files: parts });
        }
        Ok((rows, changes))
    }

    async fn plan(&self, scope: &Scope, query: &str) -> Result<LogicalPlan> {
        self.named(Planner::new(scope)?.plan(&ast::Statement::Query(tidegate_parser::parse_query(query)?)).await?)
    }

    /// A plan's columns as the view's; 42P16 when they are not as many any more.
    fn named(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        if plan.schema().fields().len() != self.target.columns.len() {
            let message = format!("the query of {} no longer gives its columns", self.query.name);
            return Err(Error::new(Kind::InvalidDefinition, message).hint("Drop the view and create it again."));
        }
        renamed(plan, &self.target.columns)
    }

    /// What has been added, as scopes: for each table its new rows, with all rows of those before it and the old rows of
    /// those behind it, so that each pair of a join comes once.
    fn spans(&self) -> Vec<Scope> {
        let tables = &self.query.spec.tables;
        let upto = |table: &Oid| self.query.state.seen.get(table).map_or(0, |seen| seen.position);
        let scope = |(place, table): (usize, &Oid)| {
            let old = tables.iter().skip(place + 1).map(|table| (*table, (0, upto(table))));
            let spans: BTreeMap<Oid, (u64, u64)> = old.chain([(*table, (upto(table), u64::MAX))]).collect();
            Scope { spans: Arc::new(spans), ..self.scope.clone() }
        };
        tables.iter().enumerate().map(scope).collect()
    }

    /// The query over what has been added.
    async fn added(&self) -> Result<Vec<LogicalPlan>> {
        let mut plans = Vec::new();
        for scope in self.spans() {
            plans.push(self.plan(&scope, &self.query.spec.query).await?);
        }
        Ok(plans)
    }

    /// The view's rows and those of what has been added, one for each group.
    async fn merged(&self, merges: &[Merge]) -> Result<LogicalPlan> {
        let own = self.named(scan(&self.scope, self.target).await?)?;
        let names = self.target.columns.iter().map(|column| column.name.as_str());
        let columns: Vec<(&str, Merge)> = names.zip(merges.iter().copied()).collect();
        merged(together(own, self.added().await?)?, &columns)
    }

    /// Writes rows into a table: how many, and what a frame must hold to have them.
    async fn write(&self, table: &Relation, plans: Vec<LogicalPlan>) -> Result<(u64, Vec<Change>)> {
        let mut sink = sink(self.continuous.engine(), &self.scope.state, table)?;
        let written: Result<u64> = async {
            let mut count = 0;
            for plan in plans {
                let mut rows = Planner::new(&self.scope)?.stream(plan).await?;
                count += pour(table, &mut rows, sink.as_mut()).await?;
            }
            Ok(count)
        }
        .await;
        match written {
            Ok(count) if count > 0 => Ok((count, sink.finish().await?)),
            other => {
                sink.abort().await;
                other.map(|count| (count, Vec::new()))
            }
        }
    }
}

async fn pour(table: &Relation, rows: &mut SendableRecordBatchStream, sink: &mut (dyn TableSink + '_)) -> Result<u64> {
    let sources: Vec<Source> = (0..table.columns.len()).map(Source::Input).collect();
    let mut count = 0;
    while let Some(batch) = rows.try_next().await.map_err(from_datafusion)? {
        count += batch.num_rows() as u64;
        sink.write(conform(&batch, table, &sources, &Reading::utc()?)?).await?;
    }
    Ok(count)
}
