//! Functions that describe objects: types, columns, views, functions, sizes.

use super::super::cell::Cell;
use super::super::indexes;
use super::super::names::{self, PROCEDURES};
use super::super::rewrite::role_names;
use super::super::snapshot::{PgRelation, PgSnapshot};
use super::super::types;
use super::{Definition, nothing, oid, text};
use tidegate_core::Result;

/// What is defined here.
pub const FUNCTIONS: &[Definition] = &[
    Definition::lenient("format_type", 2..=2, "text", format_type),
    Definition::strict("pg_get_expr", 2..=3, "text", get_expr),
    Definition::strict("pg_get_userbyid", 1..=1, "name", get_userbyid),
    Definition::strict(role_names::FUNCTION, 1..=1, "_text", get_role_names),
    Definition::strict("pg_get_viewdef", 1..=2, "text", get_viewdef),
    Definition::strict("pg_get_function_arguments", 1..=1, "text", function_arguments),
    Definition::strict("pg_get_function_identity_arguments", 1..=1, "text", function_arguments),
    Definition::strict("pg_get_function_result", 1..=1, "text", function_result),
    Definition::strict("pg_get_constraintdef", 1..=2, "text", get_constraintdef),
    Definition::lenient("pg_get_functiondef", 1..=1, "text", nothing),
    Definition::lenient("pg_get_function_arg_default", 2..=2, "text", nothing),
    Definition::lenient("pg_get_function_sqlbody", 1..=1, "text", nothing),
    Definition::strict("pg_get_indexdef", 1..=3, "text", get_indexdef),
    Definition::lenient("pg_get_partkeydef", 1..=1, "text", nothing),
    Definition::lenient("pg_get_partition_constraintdef", 1..=1, "text", nothing),
    Definition::lenient("pg_get_ruledef", 1..=2, "text", nothing),
    Definition::lenient("pg_get_serial_sequence", 2..=2, "text", nothing),
    Definition::lenient("pg_get_statisticsobjdef", 1..=1, "text", nothing),
    Definition::lenient("pg_get_statisticsobjdef_columns", 1..=1, "text", nothing),
    Definition::lenient("pg_get_triggerdef", 1..=2, "text", nothing),
    Definition::strict("obj_description", 1..=2, "text", obj_description),
    Definition::strict("col_description", 2..=2, "text", col_description),
    Definition::lenient("shobj_description", 2..=2, "text", nothing),
    // Sizes are not in the snapshot: unknown, which Postgres' clients show as empty.
    Definition::lenient("pg_relation_size", 1..=2, "int8", nothing),
    Definition::lenient("pg_table_size", 1..=1, "int8", nothing),
    Definition::lenient("pg_total_relation_size", 1..=1, "int8", nothing),
    Definition::lenient("pg_indexes_size", 1..=1, "int8", nothing),
    Definition::lenient("pg_database_size", 1..=1, "int8", nothing),
    Definition::lenient("pg_tablespace_size", 1..=1, "int8", nothing),
    Definition::lenient("pg_tablespace_location", 1..=1, "text", |_, _| Ok("".into())),
    Definition::lenient("pg_relation_filenode", 1..=1, "oid", nothing),
    Definition::strict("pg_relation_is_publishable", 1..=1, "bool", |_, _| Ok(false.into())),
    Definition::strict("pg_relation_is_updatable", 2..=2, "int4", is_updatable),
    Definition::strict("pg_stat_get_numscans", 1..=1, "int8", |_, _| Ok(0.into())),
    Definition::strict("pg_encoding_to_char", 1..=1, "name", encoding_to_char),
    Definition::strict("pg_char_to_encoding", 1..=1, "int4", char_to_encoding),
];

/// INSERT, UPDATE and DELETE in the mask of `pg_relation_is_updatable`.
const ALL_WRITES: i32 = 4 | 8 | 16;

fn format_type(_: &PgSnapshot, arguments: &[Cell]) -> Result<Cell> {
    let Some(oid) = arguments.first().and_then(Cell::oid) else { return Ok(Cell::Null) };
    Ok(types::format(oid, arguments.get(1).and_then(Cell::int)).into())
}

/// Expressions are kept as the text they were written in.
fn get_expr(_: &PgSnapshot, arguments: &[Cell]) -> Result<Cell> {
    Ok(text(arguments, 0).into())
}

fn get_userbyid(snapshot: &PgSnapshot, arguments: &[Cell]) -> Result<Cell> {
    let oid = oid(arguments, 0);
    Ok(match snapshot.role(oid) {
        Some(role) => role.name.as_str().into(),
        None => format!("unknown (OID={oid})").into(),
    })
}

/// The names of roles, in their order; what is no role's number is passed over.
fn get_role_names(snapshot: &PgSnapshot, arguments: &[Cell]) -> Result<Cell> {
    let Some(Cell::Ints(oids)) = arguments.first() else { return Ok(Cell::Null) };
    let name = |oid: &i64| snapshot.role(u32::try_from(*oid).ok()?).map(|role| role.name.clone());
    let mut names: Vec<String> = oids.iter().filter_map(name).collect();
    names.sort();
    Ok(Cell::Texts(names))
}

fn get_viewdef(snapshot: &PgSnapshot, arguments: &[Cell]) -> Result<Cell> {
    let oid = match arguments.first() {
        Some(Cell::Text(name)) if name.parse::<u32>().is_err() => {
            names::parts(name).and_then(|parts| names::relation_oid(snapshot, &parts)).unwrap_or(0)
        }
        _ => oid(arguments, 0),
    };
    let definition = snapshot.relation(oid).and_then(|relation| relation.definition.as_deref());
    // psql cuts no more than a semicolon off, and puts the text on a line of its own.
    Ok(definition.map(|text| format!(" {};", text.trim().trim_end_matches(';'))).into())
}

fn get_constraintdef(snapshot: &PgSnapshot, arguments: &[Cell]) -> Result<Cell> {
    let Some(oid) = arguments.first().and_then(Cell::int) else { return Ok(Cell::Null) };
    let found = snapshot.relations.iter().find_map(|relation| {
        let found = relation.constraints.iter().find(|one| one.oid == oid)?;
        Some((relation, found))
    });
    let Some((relation, found)) = found else { return Ok(Cell::Null) };
    let own = columns_at(relation, &found.columns);
    Ok(match (found.kind, &found.foreign) {
        ('p', _) => format!("PRIMARY KEY ({own})").into(),
        ('u', _) => format!("UNIQUE ({own})").into(),
        (_, Some((other, columns))) => {
            let theirs = snapshot.relation(*other).map(|other| columns_at(other, columns)).unwrap_or_default();
            let name = names::relation_text(snapshot, *other).unwrap_or_default();
            format!("FOREIGN KEY ({own}) REFERENCES {name}({theirs})").into()
        }
        _ => Cell::Null,
    })
}

/// Of a column, if its place is given, its name only.
fn get_indexdef(snapshot: &PgSnapshot, arguments: &[Cell]) -> Result<Cell> {
    let oid = arguments.first().and_then(Cell::int).unwrap_or(0);
    let Some(index) = indexes::find(snapshot, oid) else { return Ok(Cell::Null) };
    Ok(match arguments.get(1).and_then(Cell::int).unwrap_or(0) {
        0 => index.definition(snapshot).into(),
        place => {
            let place = usize::try_from(place - 1).ok();
            place.and_then(|place| index.columns().nth(place)).map(|column| names::quote(&column.name)).into()
        }
    })
}

fn col_description(snapshot: &PgSnapshot, arguments: &[Cell]) -> Result<Cell> {
    let place = arguments.get(1).and_then(Cell::int).and_then(|number| usize::try_from(number - 1).ok());
    let relation = snapshot.relation(oid(arguments, 0));
    let column = relation.zip(place).and_then(|(relation, place)| relation.columns.get(place));
    Ok(column.and_then(|column| column.comment.as_deref()).into())
}

fn columns_at(relation: &PgRelation, places: &[i64]) -> String {
    let name = |place: &i64| {
        let index = usize::try_from(*place).ok()?.checked_sub(1)?;
        Some(names::quote(&relation.columns.get(index)?.name))
    };
    places.iter().filter_map(name).collect::<Vec<_>>().join(", ")
}

fn function_arguments(snapshot: &PgSnapshot, arguments: &[Cell]) -> Result<Cell> {
    if let Some(found) = snapshot.function(oid(arguments, 0)) {
        let described = found.arguments.iter().map(|(name, type_oid)| match name {
            Some(name) => format!("{} {}", names::quote(name), types::format(*type_oid, None)),
            None => types::format(*type_oid, None),
        });
        return Ok(described.collect::<Vec<_>>().join(", ").into());
    }
    let Some(found) = PROCEDURES.get(&oid(arguments, 0)) else { return Ok(Cell::Null) };
    let last = found.arguments.len().saturating_sub(1);
    let described = found.arguments.iter().enumerate().map(|(place, type_oid)| {
        let kind = types::format(u32::try_from(*type_oid).unwrap_or(0), None);
        let name = found.argument_names.get(place).filter(|name| !name.is_empty());
        let variadic = if found.variadic != 0 && place == last { "VARIADIC " } else { "" };
        name.map_or_else(|| format!("{variadic}{kind}"), |name| format!("{variadic}{} {kind}", names::quote(name)))
    });
    Ok(described.collect::<Vec<_>>().join(", ").into())
}

fn function_result(snapshot: &PgSnapshot, arguments: &[Cell]) -> Result<Cell> {
    if let Some(found) = snapshot.function(oid(arguments, 0)) {
        return Ok(types::format(found.result, None).into());
    }
    let Some(found) = PROCEDURES.get(&oid(arguments, 0)) else { return Ok(Cell::Null) };
    let kind = types::format(found.result, None);
    Ok(if found.returns_set { format!("SETOF {kind}") } else { kind }.into())
}

fn obj_description(snapshot: &PgSnapshot, arguments: &[Cell]) -> Result<Cell> {
    let of_class = arguments.get(1).and_then(Cell::text).is_none_or(|catalog| catalog.ends_with("pg_class"));
    let relation = snapshot.relation(oid(arguments, 0)).filter(|_| of_class);
    Ok(relation.and_then(|relation| relation.comment.as_deref()).into())
}

fn is_updatable(snapshot: &PgSnapshot, arguments: &[Cell]) -> Result<Cell> {
    let writable = snapshot.relation(oid(arguments, 0)).is_some_and(|relation| relation.kind == 'r');
    Ok(if writable { ALL_WRITES } else { 0 }.into())
}

fn encoding_to_char(_: &PgSnapshot, arguments: &[Cell]) -> Result<Cell> {
    Ok(match arguments.first().and_then(Cell::int) {
        Some(0) => "SQL_ASCII",
        Some(6) => "UTF8",
        Some(8) => "LATIN1",
        _ => "",
    }
    .into())
}

fn char_to_encoding(_: &PgSnapshot, arguments: &[Cell]) -> Result<Cell> {
    Ok(match text(arguments, 0).to_lowercase().replace('-', "").as_str() {
        "sql_ascii" => 0,
        "utf8" => 6,
        "latin1" | "iso88591" => 8,
        _ => -1,
    }
    .into())
}
