//! `tidegate.continuous_queries`, and `tidegate.late_records`. Redshift's views of materialized views are in `mv_view`.

use crate::engine::Continuous;
use arrow::datatypes::DataType;
use tidegate_catalog::{ContinuousQuery, State};
use tidegate_query::SystemTable;
use tidegate_query::system_table::{Cell, number, table, text, time_type};
use tidegate_stream::backlog::behind;

/// The tables that tell of continuous queries.
pub fn system_tables(continuous: &Continuous) -> Vec<SystemTable> {
    let (string, long) = (DataType::Utf8, DataType::Int64);
    let queries = [
        ("name", string.clone()),
        ("kind", string.clone()),
        ("source", string.clone()),
        ("target", string.clone()),
        ("state", string.clone()),
        ("reason", string.clone()),
        ("records", long.clone()),
        ("rows", long.clone()),
        ("late", long.clone()),
        ("records_behind", long.clone()),
        ("watermark", time_type()),
        ("state_rows", long.clone()),
        ("state_bytes", long),
        ("written_at", time_type()),
    ];
    let late = [
        ("name", string.clone()),
        ("shard_id", string.clone()),
        ("sequence_number", string),
        ("event_time", time_type()),
    ];
    let own = continuous.clone();
    vec![
        table("tidegate", "continuous_queries", &queries, move |state| {
            state.all::<ContinuousQuery>().map(|query| row(&own, state, query)).collect()
        }),
        table("tidegate", "late_records", &late, |state| state.all::<ContinuousQuery>().flat_map(late_rows).collect()),
    ]
}

fn row(continuous: &Continuous, state: &State, query: &ContinuousQuery) -> Vec<Cell> {
    let shown = |oid| state.relation(oid).map_or("?".to_string(), |relation| state.shown(relation));
    let (spec, done, held) = (&query.spec, &query.state, continuous.held(query.oid));
    let behind = behind(state, spec.source, &done.cursor);
    let reason = match () {
        () if !done.reason.is_empty() => done.reason.clone(),
        () if done.stopped => "stopped by ALTER PUMP".to_string(),
        () if !spec.tables.is_empty() && spec.auto => "waits for changes of its tables".to_string(),
        () if !spec.auto => "waits for REFRESH MATERIALIZED VIEW".to_string(),
        () if behind == 0 && spec.window.is_some() && held.rows > 0 => "windows wait for the watermark".to_string(),
        () if behind == 0 => "waits for records".to_string(),
        () => String::new(),
    };
    vec![
        text(&query.name),
        text(if spec.view { "MATERIALIZED VIEW" } else { "PUMP" }),
        text(shown(spec.source)),
        text(shown(spec.target)),
        text(if done.stopped { "STOPPED" } else { "RUNNING" }),
        text(reason),
        number(done.records),
        number(done.rows),
        number(done.late),
        number(behind),
        Cell::Time(done.closed_us.map(|us| us.div_euclid(1000))),
        number(held.rows),
        number(held.bytes),
        Cell::Time((done.written_ms > 0).then_some(done.written_ms)),
    ]
}

fn late_rows(query: &ContinuousQuery) -> Vec<Vec<Cell>> {
    let row = |late: &tidegate_catalog::LateRecord| {
        let time = Cell::Time(Some(late.event_us.div_euclid(1000)));
        vec![text(&query.name), text(&late.shard_id), text(&late.sequence_number), time]
    };
    query.state.late_records.iter().map(row).collect()
}
