//! A refresh of a materialized view over tables: what has been added is run through its query, or all of it is, and the
//! rows and what has been seen of the tables are one frame.

use crate::engine::{Continuous, sink};
use crate::state::refreshed;
use crate::tables::{Merge, News, Shape, news, seen, shape_of};
use datafusion::common::Column;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::functions_aggregate::expr_fn::{max, min, sum};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use futures::TryStreamExt;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidegate_catalog::{Change, ContinuousQuery, Oid, Relation, State};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::ast;
use tidegate_query::conform::{Source, conform, renamed};
use tidegate_query::{Planner, Scope, from_datafusion};
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
        let shape = match news {
            News::Added => shape_of(&refresh.scope, &query.spec.query, &query.spec.tables).await?,
            _ => Shape::Whole,
        };
        let done = if shape == Shape::Whole { Done::Recomputed } else { Done::Incremental };
        let (rows, changes) = refresh.changes(&shape).await?;
        fault::point("continuous.refresh")?;
        let (now_ms, revision) = (self.now_ms(), query.revision);
        let seen = seen(&state, &query.spec.tables);
        let step = |newest: &ContinuousQuery| {
            (newest.revision == revision).then(|| refreshed(newest, done, auto, seen.clone(), rows, (begun_ms, now_ms)))
        };
        let changes = match state.get::<ContinuousQuery>(oid).and_then(step) {
            Some(stepped) => changes.into_iter().chain([Change::put(stepped)]).collect(),
            None => return Err(Error::new(Kind::Conflict, format!("materialized view {} was changed", query.name))),
        };
        self.catalog().commit(changes).await?;
        Ok(done)
    }
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

    /// The rows that are written, and what a frame must hold to have them.
    async fn changes(&self, shape: &Shape) -> Result<(u64, Vec<Change>)> {
        let plans = match shape {
            Shape::Whole => vec![self.plan(&self.scope, &self.query.spec.query).await?],
            Shape::Rows => self.added().await?,
            Shape::Groups(merges) => vec![self.merged(merges).await?],
        };
        let (rows, mut changes) = self.write(plans).await?;
        if *shape != Shape::Rows {
            let parts: Vec<u64> = self
                .scope
                .state
                .files(self.target.oid)
                .map(|files| files.parts().map(|part| part.id()).collect())
                .unwrap_or_default();
            if !parts.is_empty() {
                let (table, revision) = (self.target.oid, self.target.revision);
                changes.insert(0, Change::RemoveFiles { table, revision, files: parts });
            }
        }
        Ok((rows, changes))
    }

    async fn plan(&self, scope: &Scope, query: &str) -> Result<LogicalPlan> {
        let plan = Planner::new(scope)?.plan(&ast::Statement::Query(tidegate_parser::parse_query(query)?)).await?;
        if plan.schema().fields().len() != self.target.columns.len() {
            let message = format!("the query of {} no longer gives its columns", self.query.name);
            return Err(Error::new(Kind::InvalidDefinition, message).hint("Drop the view and create it again."));
        }
        renamed(plan, &self.target.columns)
    }

    /// The query over what has been added: for each table its new rows, with all rows of those before it and the old rows
    /// of those behind it, so that each pair of a join comes once.
    async fn added(&self) -> Result<Vec<LogicalPlan>> {
        let tables = &self.query.spec.tables;
        let upto = |table: &Oid| self.query.state.seen.get(table).map_or(0, |seen| seen.position);
        let mut plans = Vec::new();
        for (place, table) in tables.iter().enumerate() {
            let old = tables.iter().skip(place + 1).map(|table| (*table, (0, upto(table))));
            let spans: BTreeMap<Oid, (u64, u64)> = old.chain([(*table, (upto(table), u64::MAX))]).collect();
            let scope = Scope { spans: Arc::new(spans), ..self.scope.clone() };
            plans.push(self.plan(&scope, &self.query.spec.query).await?);
        }
        Ok(plans)
    }

    /// The view's rows and those of what has been added, one for each group.
    async fn merged(&self, merges: &[Merge]) -> Result<LogicalPlan> {
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let schema = self.scope.state.schema_name(self.target.schema);
        let own = format!("SELECT * FROM {}.{}", quoted(schema), quoted(&self.target.name));
        let mut all = LogicalPlanBuilder::from(self.plan(&self.scope, &own).await?);
        for added in self.added().await? {
            all = all.union(added).map_err(from_datafusion)?;
        }
        let all = all.build().map_err(from_datafusion)?;
        let columns = all.schema().columns().into_iter().map(Expr::Column).zip(&self.target.columns).zip(merges);
        let (mut keys, mut sums, mut order) = (Vec::new(), Vec::new(), Vec::new());
        for ((column, named), merge) in columns {
            let made = match merge {
                Merge::Key => {
                    order.push(column.clone().alias(&named.name));
                    keys.push(column);
                    continue;
                }
                Merge::Sum => sum(column),
                Merge::Min => min(column),
                Merge::Max => max(column),
            };
            let place = format!("$merged {}", sums.len());
            order.push(Expr::Column(Column::new_unqualified(&place)).alias(&named.name));
            sums.push(made.alias(place));
        }
        let merged = LogicalPlanBuilder::from(all).aggregate(keys, sums).and_then(|plan| plan.project(order));
        merged.and_then(LogicalPlanBuilder::build).map_err(from_datafusion)
    }

    async fn write(&self, plans: Vec<LogicalPlan>) -> Result<(u64, Vec<Change>)> {
        let mut sink = sink(self.continuous.engine(), &self.scope.state, self.target)?;
        let written: Result<u64> = async {
            let mut count = 0;
            for plan in plans {
                let mut rows = Planner::new(&self.scope)?.stream(plan).await?;
                count += self.pour(&mut rows, sink.as_mut()).await?;
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

    async fn pour(
        &self,
        rows: &mut SendableRecordBatchStream,
        sink: &mut (dyn tidegate_query::TableSink + '_),
    ) -> Result<u64> {
        let sources: Vec<Source> = (0..self.target.columns.len()).map(Source::Input).collect();
        let mut count = 0;
        while let Some(batch) = rows.try_next().await.map_err(from_datafusion)? {
            count += batch.num_rows() as u64;
            sink.write(conform(&batch, self.target, &sources)?).await?;
        }
        Ok(count)
    }
}
