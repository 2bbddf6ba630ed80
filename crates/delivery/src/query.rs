//! What a delivery reads: its query over a part of its stream, as text, as a plan's columns and as rows.

use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use tidegate_catalog::{Delivery, DeliverySpec, DeliveryTarget, State};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::{ast, name_parts, quoted};
use tidegate_query::{Consumed, Engine, Planner, Scope, shown_schema};
use tidegate_storage::Stores;
use tidegate_stream::backlog::Range;
use tidegate_stream::{SYSTEM_COLUMNS, find_stream, segment};

/// Whether records are delivered as they came, a line each: JSON of a stream that declares no columns.
pub fn is_raw(state: &State, spec: &DeliverySpec) -> Result<bool> {
    let (stream, _) = find_stream(state, spec.source)?;
    let objects = matches!(spec.target, DeliveryTarget::Objects(_));
    Ok(objects && spec.select.is_none() && stream.columns.is_empty() && spec.format == "JSON")
}

/// The query of a delivery: the user's, or all columns that the stream declares. One that declares none gives its system
/// columns; of those a table takes the ones that it has.
pub fn text(state: &State, spec: &DeliverySpec) -> Result<String> {
    if let Some(select) = &spec.select {
        return Ok(select.clone());
    }
    let (stream, _) = find_stream(state, spec.source)?;
    let mut columns: Vec<&str> = stream.columns.iter().map(|column| column.name.as_str()).collect();
    if columns.is_empty() {
        columns = match &spec.target {
            DeliveryTarget::Objects(_) if spec.format == "JSON" => vec!["data"],
            DeliveryTarget::Objects(_) => SYSTEM_COLUMNS.to_vec(),
            DeliveryTarget::Table(table) => {
                let taken = state.relation(*table).map(|table| table.columns.as_slice()).unwrap_or_default();
                let taken = |name: &&str| taken.iter().any(|column| column.name == **name);
                SYSTEM_COLUMNS.into_iter().filter(taken).collect()
            }
        };
    }
    if columns.is_empty() {
        let message = format!("stream \"{}\" declares no columns, and the table has none of its own", stream.name);
        return Err(Error::new(Kind::UndefinedColumn, message)
            .hint(format!("Records without columns have {}.", SYSTEM_COLUMNS.join(", "))));
    }
    let list: Vec<String> = columns.into_iter().map(quoted).collect();
    Ok(format!("SELECT {} FROM {}.{}", list.join(", "), quoted(state.schema_name(stream.schema)), quoted(&stream.name)))
}

/// The columns that a delivery's query gives. 42P16 when it does not read the stream: it would give the same rows with
/// each flush.
pub async fn schema(scope: &Scope, spec: &DeliverySpec) -> Result<SchemaRef> {
    let query = tidegate_parser::parse_query(&text(&scope.state, spec)?)?;
    let found = ast::visit_relations(&query, |name| {
        match scope.find_parts(&name_parts(name)).is_some_and(|relation| relation.oid == spec.source) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    if found.is_continue() {
        let stream = scope.state.relation(spec.source).map_or("?", |stream| stream.name.as_str());
        let message = format!("the query of the delivery stream does not read stream \"{stream}\"");
        return Err(Error::new(Kind::InvalidDefinition, message).hint(format!("Write AS (SELECT … FROM {stream}).")));
    }
    let plan = Planner::new(scope)?.plan(&ast::Statement::Query(query)).await?;
    let schema = shown_schema(&Arc::new(plan.schema().as_arrow().clone()));
    let names = schema.fields().iter().map(|field| field.name());
    let mut seen = std::collections::HashSet::new();
    if let Some(twice) = names.into_iter().find(|name| !seen.insert(name.as_str())) {
        let message = format!("the query of the delivery stream gives column \"{twice}\" twice");
        return Err(Error::new(Kind::DuplicateColumn, message).hint("Name it otherwise: AS."));
    }
    Ok(schema)
}

/// The rows of a range of records; the same ones whenever it is asked.
pub async fn rows(
    engine: &Engine,
    state: &Arc<State>,
    delivery: &Delivery,
    range: &Range,
) -> Result<SendableRecordBatchStream> {
    let spec = &delivery.spec;
    // Shards that are not in the range give nothing.
    let part = |end: fn(&(u64, u64)) -> u64| -> Arc<BTreeMap<u32, u64>> {
        let shards = state.shards(spec.source).map(|shard| shard.spec.number);
        Arc::new(shards.map(|shard| (shard, range.get(&shard).map_or(0, end))).collect())
    };
    let consumed = Consumed { stream: spec.source, from: part(|range| range.0), upto: Some(part(|range| range.1)) };
    let own = engine.scope_of(Arc::clone(state), delivery.owner);
    let search_path = if spec.search_path.is_empty() { own.search_path.clone() } else { spec.search_path.clone() };
    let scope = Scope { consumed: Some(consumed), search_path, ..own };
    let query = ast::Statement::Query(tidegate_parser::parse_query(&text(state, spec)?)?);
    let planner = Planner::new(&scope)?;
    planner.stream(planner.plan(&query).await?).await
}

/// When the first record of a range came, in milliseconds of the Unix epoch.
pub async fn oldest_ms(stores: &Stores, state: &State, spec: &DeliverySpec, range: &Range) -> Result<Option<i64>> {
    let (_, stream) = find_stream(state, spec.source)?;
    let mut oldest: Option<i64> = None;
    for (number, (from, _)) in range {
        let Some(shard) = state.shard(spec.source, *number) else { continue };
        let sealed = shard.segments.get_prev(from).filter(|(_, segment)| segment.end > *from);
        let came = match sealed {
            Some((_, segment)) if segment.first == *from => Some(segment.first_ms),
            Some((_, segment)) => {
                segment::read(stores, stream, segment, *from, 1).await?.first().map(|record| record.arrival_ms)
            }
            None => shard.tail.iter().find(|chunk| chunk.end() > *from).map(|chunk| chunk.arrival_ms),
        };
        oldest = oldest.into_iter().chain(came).min();
    }
    Ok(oldest)
}
