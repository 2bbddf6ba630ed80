//! `svv_table_info`: how large tables are and how their rows lie. Empty tables are not in it, as in Redshift.
//!
//! What has no meaning where nodes share one store (`pct_used`, `skew_rows`, `skew_sortkey1`) is NULL.

use super::{FLOAT, INT, LONG, TEXT};
use crate::sort_key::unsorted_rows;
use tidegate_catalog::{Column, DistStyle, Relation, RelationKind, SqlType, State, TableFiles, TableSpec};
use tidegate_query::system_table::{Cell, number, table as system_table, text, time_type};
use tidegate_query::{DATABASE, SystemTable};

/// Bytes of what Redshift counts tables in.
const BLOCK_BYTES: u64 = 1 << 20;

/// The table.
pub fn table() -> SystemTable {
    let columns = [
        ("database", TEXT),
        ("schema", TEXT),
        ("table_id", LONG),
        ("table", TEXT),
        ("encoded", TEXT),
        ("diststyle", TEXT),
        ("sortkey1", TEXT),
        ("max_varchar", INT),
        ("sortkey1_enc", TEXT),
        ("sortkey_num", INT),
        ("size", LONG),
        ("pct_used", FLOAT),
        ("empty", LONG),
        ("unsorted", FLOAT),
        ("stats_off", FLOAT),
        ("tbl_rows", LONG),
        ("skew_sortkey1", FLOAT),
        ("skew_rows", FLOAT),
        ("estimated_visible_rows", LONG),
        ("risk_event", TEXT),
        ("vacuum_sort_benefit", FLOAT),
        ("create_time", time_type()),
    ];
    system_table("pg_catalog", "svv_table_info", &columns, rows)
}

fn rows(state: &State) -> Vec<Vec<Cell>> {
    let row = |relation: &Relation| match &relation.kind {
        RelationKind::Table(spec) => row(state, relation, spec),
        _ => None,
    };
    state.relations().filter_map(row).collect()
}

fn row(state: &State, relation: &Relation, spec: &TableSpec) -> Option<Vec<Cell>> {
    let files = state.files(relation.oid).filter(|files| files.rows() > 0)?;
    let first = spec.sort_key.columns.first().and_then(|key| of_file(relation, key));
    let declared = relation.columns.iter().any(|column| column.encoding.is_some());
    Some(vec![
        text(DATABASE),
        text(state.schema_name(relation.schema)),
        number(relation.oid),
        text(&relation.name),
        text(if declared { "Y" } else { "Y, AUTO(ENCODE)" }),
        text(dist_style(relation, spec)),
        sort_key(first, spec),
        number(relation.columns.iter().map(length).max().unwrap_or(0)),
        first.map_or(Cell::Null, |column| text(super::table_def::encoding(column, spec))),
        number(spec.sort_key.columns.len()),
        number((files.bytes() + files.tail_bytes() as u64).div_ceil(BLOCK_BYTES)),
        Cell::Null,
        number(0),
        unsorted_rows(relation, spec, files).map_or(Cell::Null, |rows| Cell::Float(percent(rows, files.rows()))),
        Cell::Float(stats_off(files)),
        number(files.rows()),
        Cell::Null,
        Cell::Null,
        number(files.rows()),
        Cell::Null,
        Cell::Null,
        Cell::Time(Some(relation.created_ms)),
    ])
}

fn percent(part: u64, of: u64) -> f64 {
    part as f64 * 100.0 / of.max(1) as f64
}

/// How stale what ANALYZE found is: 0 is current, 100 is out of date.
fn stats_off(files: &TableFiles) -> f64 {
    let known = files.analysis.as_ref();
    known.map_or(100.0, |known| percent(files.changed.saturating_sub(known.changed), known.rows).min(100.0))
}

fn of_file<'a>(relation: &'a Relation, in_files: &str) -> Option<&'a Column> {
    relation.columns.iter().find(|column| column.in_files() == in_files)
}

fn sort_key(first: Option<&Column>, spec: &TableSpec) -> Cell {
    match first {
        Some(_) if spec.sort_key.interleaved => text("INTERLEAVED"),
        Some(column) => text(&column.name),
        None if spec.sort_key.none => Cell::Null,
        None => text("AUTO(SORTKEY)"),
    }
}

/// As Redshift writes it: `KEY(column)`, `EVEN`, `ALL`, `AUTO(ALL)`.
pub fn dist_style(relation: &Relation, spec: &TableSpec) -> String {
    match &spec.dist {
        // Every node reads the same files: no row is at one node alone.
        DistStyle::Auto => "AUTO(ALL)".to_string(),
        DistStyle::Even => "EVEN".to_string(),
        DistStyle::All => "ALL".to_string(),
        DistStyle::Key(key) => {
            format!("KEY({})", of_file(relation, key).map_or(key.as_str(), |column| column.name.as_str()))
        }
    }
}

/// The declared length of a column of text.
fn length(column: &Column) -> u32 {
    match column.sql_type {
        SqlType::Varchar(length) => length,
        SqlType::Text => 65_535,
        _ => 0,
    }
}
