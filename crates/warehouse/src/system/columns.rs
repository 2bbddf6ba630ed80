//! Lists of columns: `svv_columns`, `svv_all_columns`, `svv_redshift_columns`.

use super::{BOOL, Column, INT, TEXT};
use tidegate_catalog::{DistStyle, Relation, RelationKind, SqlType, State};
use tidegate_query::system_table::{Cell, number, table as system_table, text};
use tidegate_query::{DATABASE, SystemTable};

/// Makes the row of a column from its relation, its schema's name and its index.
type Row = fn(&Relation, &str, usize, &tidegate_catalog::Column) -> Vec<Cell>;

/// The tables.
pub fn tables() -> Vec<SystemTable> {
    let standard: [Column; 15] = [
        ("table_catalog", TEXT),
        ("table_schema", TEXT),
        ("table_name", TEXT),
        ("column_name", TEXT),
        ("ordinal_position", INT),
        ("column_default", TEXT),
        ("is_nullable", TEXT),
        ("data_type", TEXT),
        ("character_maximum_length", INT),
        ("numeric_precision", INT),
        ("numeric_precision_radix", INT),
        ("numeric_scale", INT),
        ("datetime_precision", INT),
        ("interval_type", TEXT),
        ("remarks", TEXT),
    ];
    let all: [Column; 12] = [
        ("database_name", TEXT),
        ("schema_name", TEXT),
        ("table_name", TEXT),
        ("column_name", TEXT),
        ("ordinal_position", INT),
        ("column_default", TEXT),
        ("is_nullable", TEXT),
        ("data_type", TEXT),
        ("character_maximum_length", INT),
        ("numeric_precision", INT),
        ("numeric_scale", INT),
        ("remarks", TEXT),
    ];
    let own: [Column; 13] = [
        ("database_name", TEXT),
        ("schema_name", TEXT),
        ("table_name", TEXT),
        ("column_name", TEXT),
        ("ordinal_position", INT),
        ("data_type", TEXT),
        ("column_default", TEXT),
        ("is_nullable", TEXT),
        ("encoding", TEXT),
        ("distkey", BOOL),
        ("sortkey", INT),
        ("column_acl", TEXT),
        ("remarks", TEXT),
    ];
    vec![
        system_table("pg_catalog", "svv_columns", &standard, |state| rows(state, shown)),
        system_table("pg_catalog", "svv_all_columns", &all, |state| rows(state, in_all)),
        system_table("pg_catalog", "svv_redshift_columns", &own, |state| rows(state, as_own)),
    ]
}

fn rows(state: &State, row: Row) -> Vec<Vec<Cell>> {
    let of = |relation: &Relation| {
        let schema = state.schema_name(relation.schema);
        let columns = relation.columns.iter().enumerate();
        columns.map(|(index, column)| row(relation, schema, index, column)).collect::<Vec<_>>()
    };
    state.relations().flat_map(of).collect()
}

/// A type's name without its length, and what `information_schema` says beside: length, precision, radix, scale, digits
/// of a second.
fn facts(sql_type: &SqlType) -> (String, [Option<i64>; 5]) {
    let full = sql_type.to_string();
    let name = full.split('(').next().unwrap_or_default().to_string();
    let facts = match sql_type {
        SqlType::Varchar(length) | SqlType::Char(length) => [Some(i64::from(*length)), None, None, None, None],
        SqlType::Int2 => [None, Some(16), Some(2), Some(0), None],
        SqlType::Int4 => [None, Some(32), Some(2), Some(0), None],
        SqlType::Int8 => [None, Some(64), Some(2), Some(0), None],
        SqlType::Float4 => [None, Some(24), Some(2), None, None],
        SqlType::Float8 => [None, Some(53), Some(2), None, None],
        SqlType::Numeric(precision, scale) => {
            [None, Some(i64::from(*precision)), Some(10), Some(i64::from(*scale)), None]
        }
        SqlType::Time | SqlType::Timetz | SqlType::Timestamp | SqlType::Timestamptz | SqlType::Interval => {
            [None, None, None, None, Some(6)]
        }
        _ => [None; 5],
    };
    (name, facts)
}

fn optional(value: Option<i64>) -> Cell {
    value.map_or(Cell::Null, Cell::Number)
}

fn default(column: &tidegate_catalog::Column) -> Cell {
    match (column.identity, &column.default) {
        (Some(identity), _) => text(format!("\"identity\"({}, {})", identity.seed, identity.step)),
        (None, default) => Cell::Text(default.clone()),
    }
}

fn nullable(column: &tidegate_catalog::Column) -> Cell {
    text(if column.not_null { "NO" } else { "YES" })
}

fn shown(relation: &Relation, schema: &str, index: usize, column: &tidegate_catalog::Column) -> Vec<Cell> {
    let (name, [length, precision, radix, scale, digits]) = facts(&column.sql_type);
    vec![
        text(DATABASE),
        text(schema),
        text(&relation.name),
        text(&column.name),
        number(index + 1),
        default(column),
        nullable(column),
        text(name),
        optional(length),
        optional(precision),
        optional(radix),
        optional(scale),
        optional(digits),
        Cell::Null,
        Cell::Text(column.comment.clone()),
    ]
}

fn in_all(relation: &Relation, schema: &str, index: usize, column: &tidegate_catalog::Column) -> Vec<Cell> {
    let (name, [length, precision, _, scale, _]) = facts(&column.sql_type);
    vec![
        text(DATABASE),
        text(schema),
        text(&relation.name),
        text(&column.name),
        number(index + 1),
        default(column),
        nullable(column),
        text(name),
        optional(length),
        optional(precision),
        optional(scale),
        Cell::Text(column.comment.clone()),
    ]
}

fn as_own(relation: &Relation, schema: &str, index: usize, column: &tidegate_catalog::Column) -> Vec<Cell> {
    let (encoding, dist_key, sort_key) = match &relation.kind {
        RelationKind::Table(spec) => {
            let in_files = column.in_files();
            let encoding = text(super::table_def::encoding(column, spec));
            (encoding, spec.dist == DistStyle::Key(in_files.to_string()), spec.sort_key.place_of(in_files))
        }
        _ => (Cell::Null, false, 0),
    };
    vec![
        text(DATABASE),
        text(schema),
        text(&relation.name),
        text(&column.name),
        number(index + 1),
        text(column.sql_type.to_string()),
        default(column),
        nullable(column),
        encoding,
        Cell::Bool(dist_key),
        number(sort_key),
        Cell::Null,
        Cell::Text(column.comment.clone()),
    ]
}
