//! Lists of what lies outside, under Redshift's names: `svv_external_schemas`, `svv_external_tables`,
//! `svv_external_columns`.

use super::{Column, INT, TEXT};
use tidegate_catalog::{ExternalSpec, Relation, RelationKind, Schema, SchemaSource, State};
use tidegate_query::system_table::{Cell, number, table as system_table, text};
use tidegate_query::{DATABASE, SystemTable};

/// Redshift's number for external schemas over Kinesis.
const KINESIS_KIND: i32 = 9;

/// The tables.
pub fn tables() -> Vec<SystemTable> {
    let schemas: [Column; 6] = [
        ("esoid", INT),
        ("eskind", INT),
        ("schemaname", TEXT),
        ("esowner", INT),
        ("databasename", TEXT),
        ("esoptions", TEXT),
    ];
    let tables: [Column; 11] = [
        ("redshift_database_name", TEXT),
        ("schemaname", TEXT),
        ("tablename", TEXT),
        ("tabletype", TEXT),
        ("location", TEXT),
        ("input_format", TEXT),
        ("output_format", TEXT),
        ("serialization_lib", TEXT),
        ("serde_parameters", TEXT),
        ("compressed", INT),
        ("parameters", TEXT),
    ];
    let columns: [Column; 8] = [
        ("redshift_database_name", TEXT),
        ("schemaname", TEXT),
        ("tablename", TEXT),
        ("columnname", TEXT),
        ("external_type", TEXT),
        ("columnnum", INT),
        ("part_key", INT),
        ("is_nullable", TEXT),
    ];
    vec![
        system_table("pg_catalog", "svv_external_schemas", &schemas, |state| {
            state.all::<Schema>().filter_map(schema).collect()
        }),
        system_table("pg_catalog", "svv_external_tables", &tables, |state| {
            outside(state).map(|(relation, spec)| table(state, relation, spec)).collect()
        }),
        system_table("pg_catalog", "svv_external_columns", &columns, |state| {
            outside(state).flat_map(|(relation, spec)| columns_of(state, relation, spec)).collect()
        }),
    ]
}

fn outside(state: &State) -> impl Iterator<Item = (&Relation, &ExternalSpec)> {
    state.relations().filter_map(|relation| match &relation.kind {
        RelationKind::External(spec) => Some((relation, spec)),
        _ => None,
    })
}

fn schema(schema: &Schema) -> Option<Vec<Cell>> {
    let kind = match schema.source? {
        SchemaSource::Kinesis => KINESIS_KIND,
    };
    let (name, owner) = (text(&schema.name), number(schema.owner));
    Some(vec![number(schema.oid), number(kind), name, owner, Cell::Null, Cell::Null])
}

/// Properties as Redshift writes them: JSON. Those that only name a credential are not among them.
fn table(state: &State, relation: &Relation, spec: &ExternalSpec) -> Vec<Cell> {
    let shown = spec.properties.iter().filter(|(name, _)| !name.contains("credential"));
    let properties: serde_json::Map<_, _> = shown.map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    vec![
        text(DATABASE),
        text(state.schema_name(relation.schema)),
        text(&relation.name),
        text("TABLE"),
        text(&spec.location),
        text(&spec.format),
        Cell::Null,
        Cell::Null,
        Cell::Null,
        Cell::Null,
        text(serde_json::Value::from(properties).to_string()),
    ]
}

/// `part_key` counts the partition columns from 1, and is 0 for others.
fn columns_of(state: &State, relation: &Relation, spec: &ExternalSpec) -> Vec<Vec<Cell>> {
    let row = |(index, column): (usize, &tidegate_catalog::Column)| {
        let key = spec.partition_columns.iter().position(|name| *name == column.name).map_or(0, |at| at + 1);
        vec![
            text(DATABASE),
            text(state.schema_name(relation.schema)),
            text(&relation.name),
            text(&column.name),
            text(column.sql_type.to_string()),
            number(index + 1),
            number(key),
            text(if column.not_null { "false" } else { "true" }),
        ]
    };
    relation.columns.iter().enumerate().map(row).collect()
}
