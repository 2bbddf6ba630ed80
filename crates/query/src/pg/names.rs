//! Names and object ids of schemas, relations and functions.

use super::cell::{Cell, cells};
use super::fixed;
use super::indexes;
use super::shape::{INFORMATION_SCHEMA_OID, PG_CATALOG_OID, SHAPES};
use super::snapshot::PgSnapshot;
use std::collections::HashMap;
use std::sync::LazyLock;

/// Words that stand for themselves only in quotes.
const RESERVED: &str = " all analyse analyze and any array as asc asymmetric authorization between bigint binary bit \
    boolean both case cast char character check coalesce collate collation column concurrently constraint create cross \
    current_catalog current_date current_role current_schema current_time current_timestamp current_user dec decimal \
    default deferrable desc distinct do else end except exists extract false fetch float for foreign freeze from full \
    grant greatest group grouping having ilike in initially inner inout int integer intersect interval into is isnull \
    join lateral leading least left like limit localtime localtimestamp national natural nchar none normalize not \
    notnull null nullif numeric offset on only or order out outer overlaps overlay placing position precision primary \
    real references returning right row select session_user setof similar smallint some substring symmetric table \
    tablesample then time timestamp to trailing treat trim true union unique user using values varchar variadic verbose \
    when where window with xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot \
    xmlserialize xmltable ";

/// A name as SQL must write it.
pub fn quote(name: &str) -> String {
    let start = name.chars().next().is_some_and(|c| c.is_ascii_lowercase() || c == '_');
    let plain = start && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain && !RESERVED.contains(&format!(" {name} ")) {
        return name.to_string();
    }
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The parts of a possibly qualified name as SQL writes it; nothing when it is none.
pub fn parts(text: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    loop {
        let (part, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_part(quoted)?,
            None => {
                let end = rest.find('.').unwrap_or(rest.len());
                let part = rest.get(..end)?.trim();
                (part.to_lowercase(), rest.get(end..)?)
            }
        };
        if part.is_empty() {
            return None;
        }
        parts.push(part);
        match after.trim_start().strip_prefix('.') {
            Some(more) => rest = more.trim_start(),
            None => return after.trim().is_empty().then_some(parts),
        }
    }
}

fn quoted_part(text: &str) -> Option<(String, &str)> {
    let mut part = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' if chars.next_if(|(_, next)| *next == '"').is_some() => part.push('"'),
            '"' => return Some((part, text.get(at + 1..)?)),
            c => part.push(c),
        }
    }
    None
}

/// All schemas with those of the system: object id, name, owner.
pub fn schemas(snapshot: &PgSnapshot) -> Vec<(u32, &str, u32)> {
    let owner = snapshot.roles.iter().find(|role| role.superuser).map_or(10, |role| role.oid);
    let system = [(PG_CATALOG_OID, "pg_catalog", owner), (INFORMATION_SCHEMA_OID, "information_schema", owner)];
    let known = |name: &str| snapshot.schemas.iter().any(|schema| schema.name == name);
    let system = system.into_iter().filter(|(_, name, _)| !known(name));
    let own = snapshot.schemas.iter().map(|schema| (schema.oid, schema.name.as_str(), schema.owner));
    system.chain(own).collect()
}

/// The object id of a schema.
pub fn schema_oid(snapshot: &PgSnapshot, name: &str) -> Option<u32> {
    schemas(snapshot).into_iter().find(|(_, known, _)| *known == name).map(|(oid, _, _)| oid)
}

/// The name of a schema.
pub fn schema_name(snapshot: &PgSnapshot, oid: u32) -> Option<&str> {
    match oid {
        PG_CATALOG_OID => Some("pg_catalog"),
        INFORMATION_SCHEMA_OID => Some("information_schema"),
        _ => snapshot.schema(oid).map(|schema| schema.name.as_str()),
    }
}

/// Schema and name of a relation, those of the system too.
pub fn relation(snapshot: &PgSnapshot, oid: u32) -> Option<(&str, &str)> {
    if let Some(shape) = SHAPES.iter().find(|shape| shape.oid == oid) {
        return Some((shape.schema_name(), shape.name));
    }
    let (schema, name) = match snapshot.relation(oid) {
        Some(found) => (found.schema, &found.name),
        None => {
            let index = indexes::find(snapshot, oid.into())?;
            (index.relation.schema, &index.key.name)
        }
    };
    Some((schema_name(snapshot, schema)?, name))
}

/// The object id of a relation of a schema.
pub fn relation_in(snapshot: &PgSnapshot, schema: &str, name: &str) -> Option<u32> {
    if let Some(shape) = SHAPES.iter().find(|shape| shape.name == name && shape.schema_name() == schema) {
        return Some(shape.oid);
    }
    let schema = schema_oid(snapshot, schema)?;
    let relation = snapshot.relations.iter().find(|one| one.schema == schema && one.name == name).map(|one| one.oid);
    let index = || indexes::all(snapshot).find(|index| index.relation.schema == schema && index.key.name == name);
    relation.or_else(|| index().and_then(|index| u32::try_from(index.key.oid).ok()))
}

/// Schemas in which a bare name is looked up, in their order.
pub fn path(snapshot: &PgSnapshot) -> Vec<&str> {
    let named = snapshot.search_path.iter().any(|schema| schema == "pg_catalog");
    let system = (!named).then_some("pg_catalog");
    let listed = snapshot.search_path.iter().map(String::as_str);
    system.into_iter().chain(listed.filter(|schema| schema_oid(snapshot, schema).is_some())).collect()
}

/// The object id of a relation by its name's parts.
pub fn relation_oid(snapshot: &PgSnapshot, parts: &[String]) -> Option<u32> {
    match parts {
        [name] => path(snapshot).into_iter().find_map(|schema| relation_in(snapshot, schema, name)),
        [schema, name] => relation_in(snapshot, schema, name),
        [database, schema, name] if *database == snapshot.database => relation_in(snapshot, schema, name),
        _ => None,
    }
}

/// Whether a relation is found by its bare name.
pub fn is_visible(snapshot: &PgSnapshot, oid: u32) -> Option<bool> {
    let (_, name) = relation(snapshot, oid)?;
    Some(relation_oid(snapshot, &[name.to_string()]) == Some(oid))
}

/// A relation as `regclass` prints it: qualified unless its bare name finds it.
pub fn relation_text(snapshot: &PgSnapshot, oid: u32) -> Option<String> {
    let (schema, name) = relation(snapshot, oid)?;
    let visible = is_visible(snapshot, oid) == Some(true);
    Some(if visible { quote(name) } else { format!("{}.{}", quote(schema), quote(name)) })
}

/// What the catalogs say of a function.
#[derive(Debug)]
pub struct Procedure {
    /// Its name.
    pub name: String,
    /// Object ids of its arguments' types.
    pub arguments: Vec<i64>,
    /// Names of its arguments, as far as they have some.
    pub argument_names: Vec<String>,
    /// Object id of its result's type.
    pub result: u32,
    /// Whether it returns rows.
    pub returns_set: bool,
    /// Object id of the type of its variadic argument, 0 for none.
    pub variadic: i64,
}

/// The functions of `pg_proc`.
pub static PROCEDURES: LazyLock<HashMap<u32, Procedure>> = LazyLock::new(|| procedures().unwrap_or_default());

fn procedures() -> Option<HashMap<u32, Procedure>> {
    let batch = fixed::rows("pg_proc")?;
    let column = |name: &str| cells(batch.column_by_name(name)?).ok();
    let (oids, names, results) = (column("oid")?, column("proname")?, column("prorettype")?);
    let (arguments, argument_names) = (column("proargtypes")?, column("proargnames")?);
    let (sets, variadics) = (column("proretset")?, column("provariadic")?);
    let rows = oids.iter().enumerate().filter_map(|(row, oid)| {
        let found = Procedure {
            name: names.get(row)?.text()?.to_string(),
            arguments: if let Cell::Ints(types) = arguments.get(row)? { types.clone() } else { Vec::new() },
            argument_names: if let Cell::Texts(names) = argument_names.get(row)? { names.clone() } else { Vec::new() },
            result: results.get(row)?.oid()?,
            returns_set: sets.get(row)? == &Cell::Bool(true),
            variadic: variadics.get(row)?.int().unwrap_or(0),
        };
        Some((oid.oid()?, found))
    });
    Some(rows.collect())
}

/// The object id of the first function of a name.
pub fn procedure_oid(name: &str) -> Option<u32> {
    PROCEDURES.iter().filter(|(_, found)| found.name == name).map(|(oid, _)| *oid).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        let cases = [
            ("planes", Some(vec!["planes"])),
            ("Public.Planes", Some(vec!["public", "planes"])),
            ("\"A b\".\"c\"\"d\"", Some(vec!["A b", "c\"d"])),
            ("a.", None),
            ("a b.c", Some(vec!["a b", "c"])),
            ("\"a", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|parts| parts.into_iter().map(str::to_string).collect::<Vec<_>>());
            assert_eq!(parts(text), expected, "{text}");
        }
        for (name, expected) in
            [("planes", "planes"), ("Planes", "\"Planes\""), ("user", "\"user\""), ("a\"b", "\"a\"\"b\"")]
        {
            assert_eq!(quote(name), expected);
        }
    }
}
