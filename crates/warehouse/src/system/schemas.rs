//! Lists of schemas and databases: `svv_all_schemas`, `svv_redshift_schemas`, `svv_schema_quota_state`,
//! `svv_redshift_databases`.

use super::{Column, FLOAT, INT, TEXT};
use tidegate_catalog::{ADMIN, QuotaUse, Schema, State, quota_uses};
use tidegate_query::system_table::{Cell, number, table as system_table, text};
use tidegate_query::{DATABASE, SystemTable};

/// The tables.
pub fn tables() -> Vec<SystemTable> {
    let all: [Column; 7] = [
        ("database_name", TEXT),
        ("schema_name", TEXT),
        ("schema_owner", INT),
        ("schema_type", TEXT),
        ("schema_acl", TEXT),
        ("source_database", TEXT),
        ("schema_option", TEXT),
    ];
    let own: [Column; 6] = [
        ("database_name", TEXT),
        ("schema_name", TEXT),
        ("schema_owner", INT),
        ("schema_type", TEXT),
        ("schema_acl", TEXT),
        ("schema_option", TEXT),
    ];
    let quotas: [Column; 6] = [
        ("schema_id", INT),
        ("schema_name", TEXT),
        ("schema_owner", INT),
        ("quota", INT),
        ("disk_usage", INT),
        ("disk_usage_pct", FLOAT),
    ];
    let databases: [Column; 6] = [
        ("database_name", TEXT),
        ("database_owner", INT),
        ("database_type", TEXT),
        ("database_acl", TEXT),
        ("database_options", TEXT),
        ("database_isolation_level", TEXT),
    ];
    vec![
        system_table("pg_catalog", "svv_all_schemas", &all, |state| state.all::<Schema>().map(in_all).collect()),
        system_table("pg_catalog", "svv_redshift_schemas", &own, own_schemas),
        system_table("pg_catalog", "svv_schema_quota_state", &quotas, |state| quota_uses(state).map(quota).collect()),
        system_table("pg_catalog", "svv_redshift_databases", &databases, |_| vec![database()]),
    ]
}

fn in_all(schema: &Schema) -> Vec<Cell> {
    let kind = if schema.source.is_some() { "external" } else { "local" };
    vec![text(DATABASE), text(&schema.name), number(ADMIN), text(kind), Cell::Null, Cell::Null, Cell::Null]
}

fn own_schemas(state: &State) -> Vec<Vec<Cell>> {
    let own = state.all::<Schema>().filter(|schema| schema.source.is_none());
    own.map(|schema| vec![text(DATABASE), text(&schema.name), number(ADMIN), text("local"), Cell::Null, Cell::Null])
        .collect()
}

fn quota(used: QuotaUse) -> Vec<Cell> {
    let share = Cell::Float(used.percent());
    let (oid, held) = (used.schema.oid, used.megabytes());
    vec![number(oid), text(used.schema.name), number(ADMIN), number(used.quota_mb), number(held), share]
}

fn database() -> Vec<Cell> {
    vec![text(DATABASE), number(ADMIN), text("local"), Cell::Null, Cell::Null, text("Snapshot Isolation")]
}
