//! `has_…_privilege`: whoever is let in may do everything with what there is; there is no GRANT.

use super::super::cell::Cell;
use super::super::names;
use super::super::snapshot::PgSnapshot;
use super::Definition;
use tidegate_core::{Error, Kind, Result};

/// What is defined here.
pub const FUNCTIONS: &[Definition] = &[
    Definition::strict("has_table_privilege", 2..=3, "bool", table),
    Definition::strict("has_any_column_privilege", 2..=3, "bool", table),
    Definition::strict("has_column_privilege", 3..=4, "bool", yes),
    Definition::strict("has_schema_privilege", 2..=3, "bool", schema),
    Definition::strict("has_database_privilege", 2..=3, "bool", yes),
    Definition::strict("has_function_privilege", 2..=3, "bool", yes),
    Definition::strict("has_language_privilege", 2..=3, "bool", yes),
    Definition::strict("has_sequence_privilege", 2..=3, "bool", yes),
    Definition::strict("has_server_privilege", 2..=3, "bool", yes),
    Definition::strict("has_foreign_data_wrapper_privilege", 2..=3, "bool", yes),
    Definition::strict("has_tablespace_privilege", 2..=3, "bool", yes),
    Definition::strict("has_type_privilege", 2..=3, "bool", yes),
    Definition::strict("pg_has_role", 2..=3, "bool", yes),
];

fn yes(_: &PgSnapshot, _: &[Cell]) -> Result<Cell> {
    Ok(true.into())
}

/// The object is the last argument but one, by its name or its object id.
fn object(arguments: &[Cell]) -> Option<&Cell> {
    arguments.len().checked_sub(2).and_then(|place| arguments.get(place))
}

fn table(snapshot: &PgSnapshot, arguments: &[Cell]) -> Result<Cell> {
    let Some(Cell::Text(name)) = object(arguments) else {
        let found = object(arguments).and_then(Cell::oid).and_then(|oid| names::relation(snapshot, oid));
        return Ok(found.map(|_| true).into());
    };
    match names::parts(name).and_then(|parts| names::relation_oid(snapshot, &parts)) {
        Some(_) => Ok(true.into()),
        None => Err(Error::new(Kind::UndefinedTable, format!("relation \"{name}\" does not exist"))),
    }
}

fn schema(snapshot: &PgSnapshot, arguments: &[Cell]) -> Result<Cell> {
    let Some(Cell::Text(name)) = object(arguments) else {
        let found = object(arguments).and_then(Cell::oid).and_then(|oid| names::schema_name(snapshot, oid));
        return Ok(found.map(|_| true).into());
    };
    match names::schema_oid(snapshot, name) {
        Some(_) => Ok(true.into()),
        None => Err(Error::new(Kind::UndefinedSchema, format!("schema \"{name}\" does not exist"))),
    }
}
