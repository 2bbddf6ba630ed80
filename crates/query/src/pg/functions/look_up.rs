//! Functions between names and object ids: the `reg…` types, what is visible, what there is.
//!
//! A `reg…` value is an object id here. `'t'::regclass` becomes `regclass_in('t')`, and where it is shown,
//! `regclass_out(…)` around it.

use super::super::cell::Cell;
use super::super::names::{self, PROCEDURES};
use super::super::snapshot::PgSnapshot;
use super::super::types;
use super::{Definition, oid, text};
use tidegate_core::{Error, Kind, Result};

/// What is defined here.
pub const FUNCTIONS: &[Definition] = &[
    Definition::strict("regclass_in", 1..=1, "oid", |s, a| must(a, class(s, a), Kind::UndefinedTable, "relation")),
    Definition::strict("regtype_in", 1..=1, "oid", |_, a| must(a, kind(a), Kind::UndefinedObject, "type")),
    Definition::strict("regproc_in", 1..=1, "oid", |_, a| must(a, procedure(a), Kind::UndefinedFunction, "function")),
    Definition::strict("regnamespace_in", 1..=1, "oid", |s, a| {
        must(a, namespace(s, a), Kind::UndefinedSchema, "schema")
    }),
    Definition::strict("regrole_in", 1..=1, "oid", |s, a| must(a, role(s, a), Kind::UndefinedObject, "role")),
    Definition::strict("regother_in", 1..=1, "oid", |_, a| must(a, number(a), Kind::UndefinedObject, "object")),
    Definition::strict("to_regclass", 1..=1, "oid", |s, a| Ok(class(s, a).into())),
    Definition::strict("to_regtype", 1..=1, "oid", |_, a| Ok(kind(a).into())),
    Definition::strict("to_regproc", 1..=1, "oid", |_, a| Ok(procedure(a).into())),
    Definition::strict("to_regprocedure", 1..=1, "oid", |_, a| Ok(procedure(a).into())),
    Definition::strict("to_regnamespace", 1..=1, "oid", |s, a| Ok(namespace(s, a).into())),
    Definition::strict("to_regrole", 1..=1, "oid", |s, a| Ok(role(s, a).into())),
    Definition::strict("regclass_out", 1..=1, "text", |s, a| Ok(shown(a, names::relation_text(s, oid(a, 0))))),
    Definition::strict("regtype_out", 1..=1, "text", |_, a| Ok(shown(a, type_text(oid(a, 0))))),
    Definition::strict("regproc_out", 1..=1, "text", |_, a| Ok(shown(a, procedure_text(oid(a, 0))))),
    Definition::strict("regnamespace_out", 1..=1, "text", |s, a| Ok(shown(a, namespace_text(s, oid(a, 0))))),
    Definition::strict("regrole_out", 1..=1, "text", |s, a| Ok(shown(a, role_text(s, oid(a, 0))))),
    Definition::strict("regother_out", 1..=1, "text", |_, a| Ok(shown(a, None))),
    Definition::strict("pg_table_is_visible", 1..=1, "bool", |s, a| Ok(names::is_visible(s, oid(a, 0)).into())),
    Definition::strict("pg_type_is_visible", 1..=1, "bool", always),
    Definition::strict("pg_function_is_visible", 1..=1, "bool", always),
    Definition::strict("pg_operator_is_visible", 1..=1, "bool", always),
    Definition::strict("pg_opclass_is_visible", 1..=1, "bool", always),
    Definition::strict("pg_opfamily_is_visible", 1..=1, "bool", always),
    Definition::strict("pg_collation_is_visible", 1..=1, "bool", always),
    Definition::strict("pg_conversion_is_visible", 1..=1, "bool", always),
    Definition::strict("pg_statistics_obj_is_visible", 1..=1, "bool", always),
    Definition::strict("pg_ts_config_is_visible", 1..=1, "bool", always),
    Definition::strict("pg_ts_dict_is_visible", 1..=1, "bool", always),
    Definition::strict("pg_ts_parser_is_visible", 1..=1, "bool", always),
    Definition::strict("pg_ts_template_is_visible", 1..=1, "bool", always),
    Definition::strict("pg_is_other_temp_schema", 1..=1, "bool", |_, _| Ok(false.into())),
    Definition::strict("pg_my_temp_schema", 0..=0, "oid", |_, _| Ok(0.into())),
];

/// Objects that are not relations are all in `pg_catalog`, which every search path has.
fn always(_: &PgSnapshot, _: &[Cell]) -> Result<Cell> {
    Ok(true.into())
}

fn must(arguments: &[Cell], found: Option<u32>, kind: Kind, noun: &str) -> Result<Cell> {
    let name = text(arguments, 0);
    found.map(Cell::from).ok_or_else(|| Error::new(kind, format!("{noun} \"{name}\" does not exist")))
}

/// An object id given as such, as a number in a text, or as `-` for none.
fn number(arguments: &[Cell]) -> Option<u32> {
    match arguments.first()? {
        Cell::Text(text) if text == "-" => Some(0),
        other => other.oid(),
    }
}

fn class(snapshot: &PgSnapshot, arguments: &[Cell]) -> Option<u32> {
    number(arguments).or_else(|| names::relation_oid(snapshot, &names::parts(text(arguments, 0))?))
}

fn kind(arguments: &[Cell]) -> Option<u32> {
    number(arguments).or_else(|| types::oid_of(text(arguments, 0)))
}

fn procedure(arguments: &[Cell]) -> Option<u32> {
    number(arguments).or_else(|| {
        let name = text(arguments, 0);
        let name = name.split('(').next().unwrap_or(name);
        names::procedure_oid(names::parts(name)?.last()?)
    })
}

fn namespace(snapshot: &PgSnapshot, arguments: &[Cell]) -> Option<u32> {
    number(arguments).or_else(|| names::schema_oid(snapshot, names::parts(text(arguments, 0))?.first()?))
}

fn role(snapshot: &PgSnapshot, arguments: &[Cell]) -> Option<u32> {
    number(arguments).or_else(|| {
        let name = names::parts(text(arguments, 0))?;
        snapshot.roles.iter().find(|role| Some(&role.name) == name.first()).map(|role| role.oid)
    })
}

/// A name, or as in Postgres the number where there is none, and `-` for zero.
fn shown(arguments: &[Cell], name: Option<String>) -> Cell {
    match (name, arguments.first().and_then(Cell::int)) {
        (Some(name), _) => name.into(),
        (None, Some(0)) => "-".into(),
        (None, number) => number.map(|number| number.to_string()).into(),
    }
}

fn type_text(oid: u32) -> Option<String> {
    types::find(oid).map(|_| types::format(oid, None))
}

fn procedure_text(oid: u32) -> Option<String> {
    PROCEDURES.get(&oid).map(|found| names::quote(&found.name))
}

fn namespace_text(snapshot: &PgSnapshot, oid: u32) -> Option<String> {
    names::schema_name(snapshot, oid).map(names::quote)
}

fn role_text(snapshot: &PgSnapshot, oid: u32) -> Option<String> {
    snapshot.role(oid).map(|role| names::quote(&role.name))
}
