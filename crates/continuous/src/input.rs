//! The records of a batch: which of their columns a query needs, and how they are read, a batch ahead.

use crate::spec;
use arrow::array::{RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::DFSchema;
use futures::TryStreamExt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tidegate_catalog::{ContinuousQuery, Relation, StreamSpec};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::{ast, quoted};
use tidegate_query::{Consumed, Planner, Scope, from_datafusion};
use tidegate_stream::backlog::Range;
use tidegate_stream::{SYSTEM_COLUMNS, find_stream, full_schema};
use tokio::task::JoinSet;

/// Parts of a batch that run at one time.
const PARTS: usize = 2;
/// Whose record it is, which every batch tells.
const SHARD: &str = "shard_id";
/// The columns by which a late record is told of.
const TOLD: [&str; 2] = [SHARD, "sequence_number"];

/// Rows in memory, in as many parts as run at one time.
pub type Parts = Vec<Vec<RecordBatch>>;

/// The columns of a stream that a query needs.
#[derive(Debug, Clone)]
pub struct Columns {
    names: BTreeSet<String>,
    system: bool,
}

impl Columns {
    /// Of a query: what its plan reads of the stream, its window's column, and what the stream's watermark is made of.
    pub async fn of(scope: &Scope, query: &ContinuousQuery) -> Result<Self> {
        let (stream, spec) = find_stream(&scope.state, query.spec.source)?;
        let text = ast::Statement::Query(tidegate_parser::parse_query(&query.spec.query)?);
        let system = tidegate_query::stream_sql::names_system_columns(&text) || stream.columns.is_empty();
        let planner = Planner::new(scope)?;
        let plan = planner.plan(&text).await?;
        let plan = planner.state().optimize(&plan).map_err(from_datafusion)?;
        let mut names = spec::columns_read(&plan, stream)?;
        names.insert(SHARD.to_string());
        if let Some(window) = &query.spec.window {
            names.insert(window.column.clone());
            names.extend(watermark_columns(&planner, stream, spec)?);
        }
        Ok(Columns { names, system })
    }
}

fn watermark_columns(planner: &Planner, stream: &Relation, spec: &StreamSpec) -> Result<Vec<String>> {
    let schema = DFSchema::try_from(full_schema(&stream.columns).as_ref().clone()).map_err(from_datafusion)?;
    let text = watermark_of(stream, spec)?;
    let expression = planner.state().create_logical_expr(text, &schema).map_err(from_datafusion)?;
    Ok(expression.column_refs().into_iter().map(|column| column.name.clone()).collect())
}

/// The expression of a stream's watermark; 42P16 where it has none any more.
pub fn watermark_of<'a>(stream: &Relation, spec: &'a StreamSpec) -> Result<&'a str> {
    let missing = || format!("stream \"{}\" has no watermark any more", stream.name);
    let (_, text) = spec.watermark.as_ref().ok_or_else(|| Error::new(Kind::InvalidDefinition, missing()))?;
    Ok(text)
}

/// A batch that is being read while the one before it is worked on.
pub struct Ahead {
    /// Which records.
    pub range: Range,
    // One task, which ends with this.
    reading: JoinSet<Result<Parts>>,
}

impl Ahead {
    /// Begins to read.
    pub fn begin(scope: Scope, query: ContinuousQuery, columns: Columns, range: Range) -> Self {
        let (of, mut reading) = (range.clone(), JoinSet::new());
        reading.spawn(async move { read(&scope, &query, &columns, &of).await });
        Ahead { range, reading }
    }

    /// Its rows.
    pub async fn parts(mut self) -> Result<Parts> {
        match self.reading.join_next().await {
            Some(Ok(parts)) => parts,
            Some(Err(error)) => Err(Error::internal(error)),
            None => Err(Error::internal("nobody reads ahead")),
        }
    }
}

/// The records of a range under the stream's own columns and then whose they are, or all system columns where the query
/// names one. Columns that nobody needs hold NULL.
pub async fn read(scope: &Scope, query: &ContinuousQuery, columns: &Columns, range: &Range) -> Result<Parts> {
    let (stream, _) = find_stream(&scope.state, query.spec.source)?;
    let system: &[&str] = if columns.system { &SYSTEM_COLUMNS } else { &[SHARD] };
    let full = full_schema(&stream.columns);
    let own = stream.columns.iter().map(|column| column.name.as_str());
    let fields = own.chain(system.iter().copied()).map(|name| full.field_with_name(name).cloned());
    let schema: SchemaRef = Arc::new(Schema::new(fields.collect::<Result<Vec<_>, _>>().map_err(Error::internal)?));
    let needed = schema.fields().iter().map(|field| field.name().as_str()).filter(|name| columns.names.contains(*name));
    let batches = select(scope, query, &needed.collect::<Vec<_>>(), range).await?;
    let mut parts = vec![Vec::new(); PARTS];
    for (place, batch) in batches.iter().enumerate() {
        if let Some(part) = parts.get_mut(place % PARTS) {
            part.push(widened(batch, &schema)?);
        }
    }
    Ok(parts)
}

/// Whose the records of a range are, and when they happened: for those that come late.
pub async fn told(scope: &Scope, query: &ContinuousQuery, column: &str, range: &Range) -> Result<Vec<RecordBatch>> {
    select(scope, query, &[TOLD.as_slice(), &[column]].concat(), range).await
}

async fn select(scope: &Scope, query: &ContinuousQuery, names: &[&str], range: &Range) -> Result<Vec<RecordBatch>> {
    let (stream, _) = find_stream(&scope.state, query.spec.source)?;
    let part = |end: fn(&(u64, u64)) -> u64| -> Arc<BTreeMap<u32, u64>> {
        let shards = scope.state.shards(query.spec.source).map(|shard| shard.spec.number);
        Arc::new(shards.map(|shard| (shard, range.get(&shard).map_or(0, end))).collect())
    };
    let consumed =
        Consumed { stream: query.spec.source, from: part(|range| range.0), upto: Some(part(|range| range.1)) };
    let scope = Scope { consumed: Some(consumed), ..scope.clone() };
    let name = format!("{}.{}", quoted(scope.state.schema_name(stream.schema)), quoted(&stream.name));
    let columns: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    let sql = format!("SELECT {} FROM {name}", columns.join(", "));
    let planner = Planner::new(&scope)?;
    let plan = planner.plan(&ast::Statement::Query(tidegate_parser::parse_query(&sql)?)).await?;
    planner.stream(plan).await?.try_collect().await.map_err(from_datafusion)
}

fn widened(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let rows = batch.num_rows();
    let column = |field: &Arc<arrow::datatypes::Field>| {
        let found = batch.column_by_name(field.name()).cloned();
        found.unwrap_or_else(|| new_null_array(field.data_type(), rows))
    };
    let columns = schema.fields().iter().map(column).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options).map_err(Error::internal)
}
