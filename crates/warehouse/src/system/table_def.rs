//! `pg_table_def`: the columns of the tables along the search path, and of no others, as in Redshift.

use super::{BOOL, INT, TEXT};
use std::collections::HashSet;
use tidegate_catalog::{Column, DistStyle, Encoding, Relation, RelationKind, TableSpec};
use tidegate_query::system_table::{Cell, number, scoped_table, text};
use tidegate_query::{Scope, SystemTable};

/// The table.
pub fn table() -> SystemTable {
    let columns = [
        ("schemaname", TEXT),
        ("tablename", TEXT),
        ("column", TEXT),
        ("type", TEXT),
        ("encoding", TEXT),
        ("distkey", BOOL),
        ("sortkey", INT),
        ("notnull", BOOL),
    ];
    scoped_table("pg_catalog", "pg_table_def", &columns, rows)
}

fn rows(scope: &Scope) -> Vec<Vec<Cell>> {
    let path: HashSet<&str> = scope.search_path.iter().map(String::as_str).collect();
    let mut rows = Vec::new();
    for relation in scope.state.relations() {
        let schema = scope.state.schema_name(relation.schema);
        let RelationKind::Table(spec) = &relation.kind else { continue };
        if path.contains(schema) {
            rows.extend(relation.columns.iter().map(|column| row(schema, relation, spec, column)));
        }
    }
    rows
}

fn row(schema: &str, relation: &Relation, spec: &TableSpec, column: &Column) -> Vec<Cell> {
    let in_files = column.in_files();
    vec![
        text(schema),
        text(&relation.name),
        text(&column.name),
        text(column.sql_type.to_string()),
        text(encoding(column, spec)),
        Cell::Bool(spec.dist == DistStyle::Key(in_files.to_string())),
        number(spec.sort_key.place_of(in_files)),
        Cell::Bool(column.not_null),
    ]
}

/// A column's encoding as it is shown: `none` for RAW.
pub fn encoding(column: &Column, spec: &TableSpec) -> String {
    let in_key = spec.sort_key.place_of(column.in_files()) != 0;
    match column.encoding.unwrap_or_else(|| Encoding::default_of(&column.sql_type, in_key)) {
        Encoding::Raw => "none".to_string(),
        other => other.to_string(),
    }
}
