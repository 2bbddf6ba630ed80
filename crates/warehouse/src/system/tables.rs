//! Lists of tables and views: `svv_tables`, `svv_all_tables`, `svv_redshift_tables`.

use super::{Column, TEXT};
use tidegate_catalog::{Relation, RelationKind, State, User};
use tidegate_query::system_table::{Cell, table as system_table, text, time_type};
use tidegate_query::{DATABASE, SystemTable};

/// The tables.
pub fn tables() -> Vec<SystemTable> {
    let standard: [Column; 5] = [
        ("table_catalog", TEXT),
        ("table_schema", TEXT),
        ("table_name", TEXT),
        ("table_type", TEXT),
        ("remarks", TEXT),
    ];
    let all: [Column; 11] = [
        ("database_name", TEXT),
        ("schema_name", TEXT),
        ("table_name", TEXT),
        ("table_acl", TEXT),
        ("table_type", TEXT),
        ("remarks", TEXT),
        ("owner", TEXT),
        ("last_altered_time", time_type()),
        ("last_modified_time", time_type()),
        ("dist_style", TEXT),
        ("table_subtype", TEXT),
    ];
    let own: [Column; 7] = [
        ("database_name", TEXT),
        ("schema_name", TEXT),
        ("table_name", TEXT),
        ("table_type", TEXT),
        ("table_acl", TEXT),
        ("remarks", TEXT),
        ("table_owner", TEXT),
    ];
    vec![
        system_table("pg_catalog", "svv_tables", &standard, |state| {
            state.relations().map(|one| shown(state, one)).collect()
        }),
        system_table("pg_catalog", "svv_all_tables", &all, |state| {
            state.relations().map(|one| in_all(state, one)).collect()
        }),
        system_table("pg_catalog", "svv_redshift_tables", &own, |state| {
            let inside = state.relations().filter(|one| !matches!(one.kind, RelationKind::External(_)));
            inside.map(|one| as_own(state, one)).collect()
        }),
    ]
}

fn table_type(relation: &Relation) -> &'static str {
    match relation.kind {
        RelationKind::View(_) => "VIEW",
        RelationKind::External(_) => "EXTERNAL TABLE",
        RelationKind::Table(_) | RelationKind::Stream(_) => "BASE TABLE",
    }
}

fn remarks(relation: &Relation) -> Cell {
    Cell::Text(relation.comment.clone())
}

fn owner(state: &State, relation: &Relation) -> Cell {
    Cell::Text(state.all::<User>().find(|user| user.oid == relation.owner).map(|user| user.name.clone()))
}

fn shown(state: &State, relation: &Relation) -> Vec<Cell> {
    vec![
        text(DATABASE),
        text(state.schema_name(relation.schema)),
        text(&relation.name),
        text(table_type(relation)),
        remarks(relation),
    ]
}

fn in_all(state: &State, relation: &Relation) -> Vec<Cell> {
    let (dist_style, subtype) = match &relation.kind {
        RelationKind::Table(spec) => (text(super::table_info::dist_style(relation, spec)), "REGULAR TABLE"),
        RelationKind::Stream(_) => (Cell::Null, "STREAM"),
        RelationKind::External(_) => (Cell::Null, "EXTERNAL TABLE"),
        RelationKind::View(_) => (Cell::Null, "REGULAR VIEW"),
    };
    vec![
        text(DATABASE),
        text(state.schema_name(relation.schema)),
        text(&relation.name),
        Cell::Null,
        text(table_type(relation)),
        remarks(relation),
        owner(state, relation),
        Cell::Null,
        Cell::Null,
        dist_style,
        text(subtype),
    ]
}

fn as_own(state: &State, relation: &Relation) -> Vec<Cell> {
    vec![
        text(DATABASE),
        text(state.schema_name(relation.schema)),
        text(&relation.name),
        text(table_type(relation)),
        Cell::Null,
        remarks(relation),
        owner(state, relation),
    ]
}
