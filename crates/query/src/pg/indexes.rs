//! Indexes, as clients look for keys by them: each primary and unique key has one, of its name and object id.
//!
//! There is nothing behind them: what a key says is for planners and people, and rows are found by sort keys.

use super::cell::Cell;
use super::names::{self, quote};
use super::shape::Rows;
use super::snapshot::{PgColumn, PgConstraint, PgRelation, PgSnapshot};
use super::types;

/// The access method `btree`.
const BTREE_OID: u32 = 403;

/// A key as an index.
pub struct Index<'a> {
    /// Whose rows it is of.
    pub relation: &'a PgRelation,
    /// The key.
    pub key: &'a PgConstraint,
}

impl<'a> Index<'a> {
    /// Its columns, in its order.
    pub fn columns(&self) -> impl Iterator<Item = &'a PgColumn> {
        let (relation, key) = (self.relation, self.key);
        let column = move |place: &i64| relation.columns.get(usize::try_from(*place).ok()?.checked_sub(1)?);
        key.columns.iter().filter_map(column)
    }

    /// The statement that would make it, as Postgres writes it.
    pub fn definition(&self, snapshot: &PgSnapshot) -> String {
        let table = match names::schema_name(snapshot, self.relation.schema) {
            Some(schema) => format!("{}.{}", quote(schema), quote(&self.relation.name)),
            None => quote(&self.relation.name),
        };
        let columns: Vec<String> = self.columns().map(|column| quote(&column.name)).collect();
        format!("CREATE UNIQUE INDEX {} ON {table} USING btree ({})", quote(&self.key.name), columns.join(", "))
    }
}

/// All indexes.
pub fn all(snapshot: &PgSnapshot) -> impl Iterator<Item = Index<'_>> {
    let keys = |relation| PgRelation::keys(relation).map(move |key| Index { relation, key });
    snapshot.relations.iter().flat_map(keys)
}

impl PgRelation {
    fn keys(&self) -> impl Iterator<Item = &PgConstraint> {
        self.constraints.iter().filter(|one| one.is_key())
    }
}

/// The index of an object id.
pub fn find(snapshot: &PgSnapshot, oid: i64) -> Option<Index<'_>> {
    all(snapshot).find(|index| index.key.oid == oid)
}

/// The object id of a constraint's index: a key's own, of a foreign key that of the key which it refers to; else 0.
pub fn of_constraint(snapshot: &PgSnapshot, one: &PgConstraint) -> i64 {
    let Some((other, columns)) = &one.foreign else { return if one.is_key() { one.oid } else { 0 } };
    let mut keys = snapshot.relation(*other).into_iter().flat_map(PgRelation::keys);
    keys.find(|key| key.columns == *columns).map_or(0, |key| key.oid)
}

/// Their rows of `pg_class`.
pub fn classes(snapshot: &PgSnapshot, rows: &mut Rows) {
    for Index { relation, key } in all(snapshot) {
        rows.push([
            ("oid", key.oid.into()),
            ("relname", key.name.as_str().into()),
            ("relnamespace", relation.schema.into()),
            ("relowner", relation.owner.into()),
            ("relam", BTREE_OID.into()),
            ("relfilenode", key.oid.into()),
            ("reltuples", Cell::Float(relation.rows as f64)),
            ("relpersistence", "p".into()),
            ("relkind", "i".into()),
            ("relnatts", key.columns.len().into()),
            ("relispopulated", true.into()),
            ("relreplident", "n".into()),
        ]);
    }
}

/// Rows of `pg_index`.
pub fn indexes(snapshot: &PgSnapshot, rows: &mut Rows) {
    for index in all(snapshot) {
        let Index { relation, key } = index;
        let is_primary = key.kind == 'p';
        let collations = index.columns().map(|column| types::find(column.type_oid).map_or(0, |known| known.collation));
        let none = || Cell::Ints(vec![0; key.columns.len()]);
        rows.push([
            ("indexrelid", key.oid.into()),
            ("indrelid", relation.oid.into()),
            ("indnatts", key.columns.len().into()),
            ("indnkeyatts", key.columns.len().into()),
            ("indisunique", true.into()),
            ("indisprimary", is_primary.into()),
            ("indimmediate", true.into()),
            ("indisvalid", true.into()),
            ("indisready", true.into()),
            ("indislive", true.into()),
            ("indkey", Cell::Ints(key.columns.clone())),
            ("indcollation", Cell::Ints(collations.collect())),
            ("indclass", none()),
            ("indoption", none()),
        ]);
    }
}

/// Rows of `pg_indexes`.
pub fn listed(snapshot: &PgSnapshot, rows: &mut Rows) {
    for index in all(snapshot) {
        rows.push([
            ("schemaname", names::schema_name(snapshot, index.relation.schema).into()),
            ("tablename", index.relation.name.as_str().into()),
            ("indexname", index.key.name.as_str().into()),
            ("indexdef", index.definition(snapshot).into()),
        ]);
    }
}
