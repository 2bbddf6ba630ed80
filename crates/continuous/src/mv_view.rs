//! Redshift's views of materialized views: `stv_mv_info`, `svv_mv_info`, `stv_mv_deps`, `svl_mv_refresh_status`,
//! `sys_mv_refresh_history`.

use crate::tables::{News, news};
use arrow::datatypes::DataType;
use tidegate_catalog::{ContinuousQuery, Oid, Refreshed, Relation, State, User};
use tidegate_query::system_table::{Cell, number, table, text, time_type};
use tidegate_query::{DATABASE, SystemTable};

/// What is 1 when a view takes in additions, and 0 when it is made anew (Redshift).
const INCREMENTAL: i64 = 1;
/// A table of the view is gone (Redshift).
const TABLE_GONE: i64 = 101;
/// The query of the view can no longer be run (Redshift: a column was dropped).
const QUERY_FAILS: i64 = 102;

/// All of them.
pub fn system_tables() -> Vec<SystemTable> {
    let (string, long) = (DataType::Utf8, DataType::Int64);
    let info = [
        ("db_name", string.clone()),
        ("schema", string.clone()),
        ("name", string.clone()),
        ("updated_upto_xid", long.clone()),
        ("is_stale", string.clone()),
        ("owner_user_name", string.clone()),
        ("state", long.clone()),
        ("autorefresh", string.clone()),
        ("autorewrite", string.clone()),
    ];
    let shown = [
        ("database_name", string.clone()),
        ("schema_name", string.clone()),
        ("user_name", string.clone()),
        ("name", string.clone()),
        ("is_stale", string.clone()),
        ("state", long.clone()),
        ("auto_refresh", string.clone()),
    ];
    let dependencies = [
        ("db_name", string.clone()),
        ("schema", string.clone()),
        ("name", string.clone()),
        ("ref_schema", string.clone()),
        ("ref_name", string.clone()),
        ("ref_database_name", string.clone()),
    ];
    let status = [
        ("db_name", string.clone()),
        ("userid", long.clone()),
        ("schema_name", string.clone()),
        ("mv_name", string.clone()),
        ("starttime", time_type()),
        ("endtime", time_type()),
        ("status", string.clone()),
        ("refresh_type", string.clone()),
    ];
    let history = [
        ("user_id", long.clone()),
        ("database_name", string.clone()),
        ("schema_name", string.clone()),
        ("mv_name", string.clone()),
        ("refresh_type", string.clone()),
        ("status", string),
        ("start_time", time_type()),
        ("end_time", time_type()),
        ("duration", long),
    ];
    vec![
        table("pg_catalog", "stv_mv_info", &info, |state| each(state, info_row)),
        table("pg_catalog", "svv_mv_info", &shown, |state| each(state, shown_row)),
        table("pg_catalog", "stv_mv_deps", &dependencies, |state| {
            views(state).flat_map(|view| deps_rows(state, view)).collect()
        }),
        table("pg_catalog", "svl_mv_refresh_status", &status, |state| refreshes(state, status_row)),
        table("pg_catalog", "sys_mv_refresh_history", &history, |state| refreshes(state, history_row)),
    ]
}

/// A view and its table.
type View<'a> = (&'a ContinuousQuery, &'a Relation);

fn views(state: &State) -> impl Iterator<Item = View<'_>> {
    let views = state.all::<ContinuousQuery>().filter(|query| query.spec.view);
    views.filter_map(|query| Some((query, state.relation(query.spec.target)?)))
}

fn each(state: &State, row: fn(&State, View<'_>) -> Vec<Cell>) -> Vec<Vec<Cell>> {
    views(state).map(|view| row(state, view)).collect()
}

fn refreshes(state: &State, row: fn(&State, View<'_>, &Refreshed) -> Vec<Cell>) -> Vec<Vec<Cell>> {
    views(state).flat_map(|view| view.0.state.refreshes.iter().map(move |one| row(state, view, one))).collect()
}

fn flag(on: bool) -> Cell {
    text(if on { "t" } else { "f" })
}

fn owner(state: &State, oid: Oid) -> String {
    state.get::<User>(oid).map_or("?".to_string(), |user| user.name.clone())
}

/// Whether its tables have moved on. A view over a stream always follows.
fn is_stale(state: &State, query: &ContinuousQuery) -> bool {
    !query.spec.tables.is_empty() && news(state, query) != News::None
}

fn condition(state: &State, query: &ContinuousQuery) -> i64 {
    let (spec, done) = (&query.spec, &query.state);
    match () {
        () if spec.tables.iter().any(|table| state.relation(*table).is_none()) => TABLE_GONE,
        () if !done.reason.is_empty() => QUERY_FAILS,
        () if spec.tables.is_empty() || spec.incremental => INCREMENTAL,
        () => 0,
    }
}

fn info_row(state: &State, (query, table): View<'_>) -> Vec<Cell> {
    vec![
        text(DATABASE),
        text(state.schema_name(table.schema)),
        text(&table.name),
        number(query.state.seen.values().map(|seen| seen.position).min().unwrap_or(state.position)),
        flag(is_stale(state, query)),
        text(owner(state, table.owner)),
        number(condition(state, query)),
        flag(query.spec.auto),
        flag(false),
    ]
}

fn shown_row(state: &State, (query, table): View<'_>) -> Vec<Cell> {
    vec![
        text(DATABASE),
        text(state.schema_name(table.schema)),
        text(owner(state, table.owner)),
        text(&table.name),
        flag(is_stale(state, query)),
        number(condition(state, query)),
        flag(query.spec.auto),
    ]
}

fn deps_rows(state: &State, (query, table): View<'_>) -> Vec<Vec<Cell>> {
    let tables = if query.spec.tables.is_empty() { vec![query.spec.source] } else { query.spec.tables.clone() };
    let row = |oid: Oid| {
        let read = state.relation(oid)?;
        Some(vec![
            text(DATABASE),
            text(state.schema_name(table.schema)),
            text(&table.name),
            text(state.schema_name(read.schema)),
            text(&read.name),
            text(DATABASE),
        ])
    };
    tables.into_iter().filter_map(row).collect()
}

fn refresh_type(refreshed: &Refreshed) -> Cell {
    text(if refreshed.auto { "Auto" } else { "Manual" })
}

fn status_row(state: &State, (_, table): View<'_>, refreshed: &Refreshed) -> Vec<Cell> {
    vec![
        text(DATABASE),
        number(table.owner),
        text(state.schema_name(table.schema)),
        text(&table.name),
        Cell::Time(Some(refreshed.begun_ms)),
        Cell::Time(Some(refreshed.ended_ms)),
        text(&refreshed.status),
        refresh_type(refreshed),
    ]
}

fn history_row(state: &State, (_, table): View<'_>, refreshed: &Refreshed) -> Vec<Cell> {
    vec![
        number(table.owner),
        text(DATABASE),
        text(state.schema_name(table.schema)),
        text(&table.name),
        refresh_type(refreshed),
        text(&refreshed.status),
        Cell::Time(Some(refreshed.begun_ms)),
        Cell::Time(Some(refreshed.ended_ms)),
        number((refreshed.ended_ms - refreshed.begun_ms).saturating_mul(1000)),
    ]
}
