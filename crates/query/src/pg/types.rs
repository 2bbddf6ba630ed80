//! The types of `pg_type`, and how Postgres writes them.

use super::cell::{Cell, cells};
use super::fixed;
use std::collections::HashMap;
use std::sync::LazyLock;

/// What the catalogs say of a type.
#[derive(Debug, Clone)]
pub struct Type {
    /// Its name in `pg_type`.
    pub name: String,
    /// Bytes of a value, -1 when they vary.
    pub len: i64,
    /// Whether values are passed by value.
    pub by_value: bool,
    /// Alignment.
    pub align: String,
    /// Storage.
    pub storage: String,
    /// Object id of its collation, 0 for none.
    pub collation: i64,
    /// Of an array: its element's object id.
    pub element: Option<u32>,
}

static TYPES: LazyLock<HashMap<u32, Type>> = LazyLock::new(|| read().unwrap_or_default());
static OIDS: LazyLock<HashMap<&'static str, u32>> =
    LazyLock::new(|| TYPES.iter().map(|(oid, found)| (found.name.as_str(), *oid)).collect());

fn read() -> Option<HashMap<u32, Type>> {
    let batch = fixed::rows("pg_type")?;
    let column = |name: &str| cells(batch.column_by_name(name)?).ok();
    let (oids, names, lens) = (column("oid")?, column("typname")?, column("typlen")?);
    let (by_value, aligns, storages) = (column("typbyval")?, column("typalign")?, column("typstorage")?);
    let (collations, elements, categories) = (column("typcollation")?, column("typelem")?, column("typcategory")?);
    let text = |cell: &Cell| cell.text().unwrap_or_default().to_string();
    let rows = oids.iter().enumerate().filter_map(|(row, oid)| {
        // Vectors are of the same category, and not written as arrays.
        let is_array = categories.get(row)?.text() == Some("A") && storages.get(row)?.text() != Some("p");
        let found = Type {
            name: text(names.get(row)?),
            len: lens.get(row)?.int().unwrap_or(-1),
            by_value: by_value.get(row)? == &Cell::Bool(true),
            align: text(aligns.get(row)?),
            storage: text(storages.get(row)?),
            collation: collations.get(row)?.int().unwrap_or(0),
            element: elements.get(row)?.oid().filter(|_| is_array),
        };
        Some((oid.oid()?, found))
    });
    Some(rows.collect())
}

/// The type of an object id.
pub fn find(oid: u32) -> Option<&'static Type> {
    TYPES.get(&oid)
}

/// The object id of a type as `pg_type` names it.
pub fn oid_of_catalog_name(name: &str) -> Option<u32> {
    OIDS.get(name).copied()
}

/// The object id of a type: as `pg_type` names it, or as SQL does, with `[]` for an array and a length ignored.
pub fn oid_of(name: &str) -> Option<u32> {
    let name = name.trim().to_lowercase();
    if let Some(item) = name.strip_suffix("[]") {
        let item = find(oid_of(item)?)?;
        return OIDS.get(format!("_{}", item.name).as_str()).copied();
    }
    let name = name.strip_prefix("pg_catalog.").unwrap_or(&name);
    let bare = match (name.find('('), name.find(')')) {
        (Some(from), Some(to)) if from < to => {
            format!("{}{}", name.get(..from).unwrap_or_default().trim_end(), name.get(to + 1..).unwrap_or_default())
        }
        _ => name.to_string(),
    };
    let known = SQL_NAMES.iter().find(|(_, sql)| *sql == bare).map(|(catalog, _)| *catalog);
    let bare = match bare.as_str() {
        "int" => "int4",
        "decimal" => "numeric",
        "\"char\"" => "char",
        "char" | "character" => "bpchar",
        other => known.unwrap_or(other),
    };
    OIDS.get(bare).copied()
}

const SQL_NAMES: &[(&str, &str)] = &[
    ("bool", "boolean"),
    ("int2", "smallint"),
    ("int4", "integer"),
    ("int8", "bigint"),
    ("float4", "real"),
    ("float8", "double precision"),
    ("varchar", "character varying"),
    ("varbit", "bit varying"),
    ("time", "time without time zone"),
    ("timetz", "time with time zone"),
    ("timestamp", "timestamp without time zone"),
    ("timestamptz", "timestamp with time zone"),
    ("char", "\"char\""),
];

/// A type as Postgres writes it; without a modifier where none is given.
pub fn format(oid: u32, typmod: Option<i64>) -> String {
    let Some(found) = find(oid) else {
        return if oid == 0 { "-".to_string() } else { "???".to_string() };
    };
    if let Some(element) = found.element {
        return format!("{}[]", format(element, typmod));
    }
    let modifier = typmod.filter(|typmod| *typmod >= 0);
    let sql_name = SQL_NAMES.iter().find(|(name, _)| *name == found.name).map(|(_, sql)| *sql);
    match (found.name.as_str(), modifier) {
        ("bpchar", Some(typmod)) => format!("character({})", typmod - 4),
        ("bpchar", None) if typmod.is_none() => "character".to_string(),
        ("varchar", Some(typmod)) => format!("character varying({})", typmod - 4),
        ("numeric", Some(typmod)) => {
            let scale = ((typmod - 4) & 0x7ff ^ 1024) - 1024;
            format!("numeric({},{scale})", (typmod - 4) >> 16)
        }
        ("bit" | "varbit", Some(typmod)) => format!("{}({typmod})", sql_name.unwrap_or("bit")),
        ("time" | "timetz" | "timestamp" | "timestamptz", Some(typmod)) => {
            sql_name.unwrap_or_default().replacen(' ', &format!("({typmod}) "), 1)
        }
        (name, _) => sql_name.unwrap_or(name).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_as_postgres() {
        let cases = [
            (23, Some(-1), "integer"),
            (1043, Some(14), "character varying(10)"),
            (1043, Some(-1), "character varying"),
            (1042, Some(5), "character(1)"),
            (1042, None, "character"),
            (1042, Some(-1), "bpchar"),
            (1700, Some((10 << 16 | 2) + 4), "numeric(10,2)"),
            (1700, Some(-1), "numeric"),
            (1184, Some(-1), "timestamp with time zone"),
            (1114, Some(3), "timestamp(3) without time zone"),
            (1007, Some(-1), "integer[]"),
            (1009, None, "text[]"),
            (18, None, "\"char\""),
            (30, None, "oidvector"),
            (0, None, "-"),
            (999_999, None, "???"),
        ];
        for (oid, typmod, expected) in cases {
            assert_eq!(format(oid, typmod), expected);
        }
    }

    #[test]
    fn finds_by_any_name() {
        let cases = [
            ("int4", Some(23)),
            ("integer", Some(23)),
            ("pg_catalog.text", Some(25)),
            ("text[]", Some(1009)),
            ("character varying(10)", Some(1043)),
            ("timestamp(3) without time zone", Some(1114)),
            ("hstore", None),
        ];
        for (name, expected) in cases {
            assert_eq!(oid_of(name), expected, "{name}");
        }
    }
}
