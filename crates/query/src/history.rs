//! What the server did, kept for those who ask later: loads, their errors, and what else a service notes.
//!
//! Each kind of note is a row of a stream in a schema of its own that no user's statement finds; the views of the system
//! are SQL over these streams. A note is committed by itself, so it outlives the transaction it tells of. Retention is
//! `system_log_retention_days`. Every stream has a column `usename`: who is no superuser sees the notes of that name only.

use crate::access::require_superuser;
use crate::engine::Engine;
use crate::planner::Planner;
use crate::scope::Scope;
use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use chrono::DateTime;
use datafusion::catalog::TableProvider;
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::logical_expr::{LogicalPlanBuilder, col, lit};
use futures::TryStreamExt;
use serde_json::Value;
use std::sync::Arc;
use tidegate_catalog::{
    ADMIN, APPEND_BYTES_MAX, Change, Column, HISTORY, HISTORY_SCHEMA, Object, RecordFormat, RecordsBuilder, Relation,
    RelationKind, RowSecurity, SqlType, State, StreamSpec, even_shards,
};
use tidegate_core::{Error, Result};
use tidegate_parser::ast;
use tidegate_stream::{append_of, hash_of};

/// The column that says whose a note is.
const OWNER: &str = "usename";
/// The column with the number of the statement that is told of.
const QUERY: &str = "query";

/// Types of the columns of notes.
pub const TEXT: SqlType = SqlType::Text;
/// A number that fits four bytes.
pub const INT: SqlType = SqlType::Int4;
/// A number that fits eight.
pub const LONG: SqlType = SqlType::Int8;
/// A share.
pub const FLOAT: SqlType = SqlType::Float8;
/// A time in UTC.
pub const TIME: SqlType = SqlType::Timestamp;

/// A stream of notes.
#[derive(Debug, Clone, Copy)]
pub struct HistoryStream {
    /// Its name in the history's schema.
    pub name: &'static str,
    /// Its columns; `usename` is one of them.
    pub columns: &'static [(&'static str, SqlType)],
}

impl HistoryStream {
    fn columns(&self) -> Vec<Column> {
        self.columns.iter().map(|(name, sql_type)| Column::new(*name, sql_type.clone())).collect()
    }
}

/// Makes the streams that are not there yet, gives the others their columns, and lets numbers of statements go on where
/// the notes end.
pub async fn open(engine: &Engine) -> Result<()> {
    let streams = || engine.services().iter().flat_map(|service| service.history());
    let changes = |state: &State| -> Vec<Change> {
        streams().flat_map(|stream| made(engine, state, stream).unwrap_or_default()).collect()
    };
    engine.catalog().commit_newest(changes).await?;
    let mut last = 0;
    for stream in streams().filter(|stream| stream.columns.iter().any(|(name, _)| *name == QUERY)) {
        last = last.max(last_query(engine, stream).await?);
    }
    engine.statements_after(last);
    Ok(())
}

/// What makes a stream as it is described; nothing where it is so.
fn made(engine: &Engine, state: &State, stream: &HistoryStream) -> Result<Vec<Change>> {
    let columns = stream.columns();
    if let Some(found) = state.relation_named(HISTORY_SCHEMA, stream.name) {
        let relation = Relation { columns, revision: found.revision + 1, ..found.clone() };
        let same = relation.columns == found.columns;
        return Ok(if same { Vec::new() } else { vec![Change::Put(Arc::new(Object::Relation(relation)))] });
    }
    let (oid, created_ms) = (engine.catalog().next_oid()?, engine.clock().now_ms());
    let spec = StreamSpec {
        partition_key: Vec::new(),
        format: Some(RecordFormat::Json),
        watermark: None,
        retention_ms: i64::MAX,
        on_demand: false,
        tags: Default::default(),
        location: format!("{}/streams/{oid}", engine.objects_url()),
    };
    let relation = Relation {
        oid,
        schema: HISTORY,
        name: stream.name.to_string(),
        revision: 1,
        columns,
        owner: ADMIN,
        comment: None,
        created_ms,
        row_security: RowSecurity::default(),
        kind: RelationKind::Stream(spec),
    };
    let shards = even_shards(1, u64::try_from(created_ms / 1000).unwrap_or(0))?;
    let shards = Change::AddShards { stream: oid, shards };
    Ok(vec![Change::Put(Arc::new(Object::Relation(relation))), shards])
}

async fn last_query(engine: &Engine, stream: &HistoryStream) -> Result<i64> {
    let scope = engine.system_scope(engine.catalog().state()).with_history();
    let text = format!("SELECT max({QUERY}) FROM \"{HISTORY_SCHEMA}\".{}", stream.name);
    let planner = Planner::new(&scope)?;
    let plan = planner.plan(&ast::Statement::Query(tidegate_parser::parse_query(&text)?)).await?;
    let batches: Vec<_> = planner.stream(plan).await?.try_collect().await.map_err(crate::from_datafusion)?;
    let most = |batch: &arrow::array::RecordBatch| {
        batch.column(0).as_primitive_opt::<Int64Type>().and_then(|column| column.iter().flatten().max())
    };
    Ok(batches.iter().filter_map(most).max().unwrap_or(0))
}

/// A row for a stream of the history: an object with the columns' names.
#[derive(Debug, Clone, PartialEq)]
pub struct Note {
    /// The stream.
    pub stream: &'static str,
    /// The row.
    pub row: Value,
}

impl Engine {
    /// Commits notes. Those of one call are there together, unless they are more than one append holds.
    pub async fn note(&self, notes: Vec<Note>) -> Result<()> {
        let state = self.catalog().state();
        let mut appends: Vec<(u32, RecordsBuilder, Vec<u128>)> = Vec::new();
        let mut bytes = 0;
        for note in notes {
            let relation = state.relation_named(HISTORY_SCHEMA, note.stream);
            let oid = relation.ok_or_else(|| Error::internal(format!("no stream {} of the history", note.stream)))?.oid;
            let data = serde_json::to_vec(&note.row).map_err(Error::internal)?;
            bytes += data.len();
            if bytes > APPEND_BYTES_MAX / 8 {
                self.append(std::mem::take(&mut appends)).await?;
                bytes = data.len();
            }
            let at = appends.iter().position(|(stream, ..)| *stream == oid).unwrap_or_else(|| {
                appends.push((oid, RecordsBuilder::default(), Vec::new()));
                appends.len() - 1
            });
            if let Some((_, builder, hashes)) = appends.get_mut(at) {
                builder.push("", &data)?;
                hashes.push(hash_of(""));
            }
        }
        self.append(appends).await
    }

    async fn append(&self, appends: Vec<(u32, RecordsBuilder, Vec<u128>)>) -> Result<()> {
        let append = |(stream, builder, hashes)| Change::Append(append_of(stream, builder, hashes, false));
        let changes: Vec<Change> = appends.into_iter().map(append).collect();
        if changes.is_empty() {
            return Ok(());
        }
        self.catalog().commit(changes).await.map(drop)
    }
}

/// A time of a note, from milliseconds of the Unix epoch.
pub fn time(ms: i64) -> Value {
    DateTime::from_timestamp_millis(ms).map(|time| time.format("%Y-%m-%d %H:%M:%S%.3f").to_string()).into()
}

/// A stream of the history as its asker may see it.
pub(crate) fn own_notes(scope: &Scope, notes: Arc<dyn TableProvider>) -> Result<Arc<dyn TableProvider>> {
    if require_superuser(scope, "see the notes of others").is_ok() {
        return Ok(notes);
    }
    let plan = LogicalPlanBuilder::scan("notes", provider_as_source(notes), None)
        .and_then(|plan| plan.filter(col(OWNER).eq(lit(scope.user.as_str()))))
        .and_then(LogicalPlanBuilder::build)
        .map_err(crate::from_datafusion)?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}
