//! How much the tables of a schema take, and whether it is more than they may (Redshift: CREATE SCHEMA … QUOTA).

use crate::object::{Oid, Schema};
use crate::state::State;
use crate::table::TableFiles;

/// Bytes of what a quota counts in.
const UNIT_BYTES: u64 = 1 << 20;

/// A schema with a quota, and what it holds.
#[derive(Debug, Clone, PartialEq)]
pub struct QuotaUse {
    /// The schema.
    pub schema: Schema,
    /// Megabytes that it may hold.
    pub quota_mb: u64,
    /// Bytes that it holds.
    pub bytes: u64,
}

impl QuotaUse {
    fn of(state: &State, schema: &Schema) -> Option<QuotaUse> {
        let quota_mb = schema.quota_mb?;
        Some(QuotaUse { schema: schema.clone(), quota_mb, bytes: bytes_of(state, schema.oid) })
    }

    /// Megabytes that it holds, the last one begun.
    pub fn megabytes(&self) -> u64 {
        self.bytes.div_ceil(UNIT_BYTES)
    }

    /// What it holds as a share of the quota, to the hundredth.
    pub fn percent(&self) -> f64 {
        let share = self.bytes as f64 / (self.quota_mb.max(1) as f64 * UNIT_BYTES as f64);
        (share * 10_000.0).round() / 100.0
    }

    fn is_over(&self) -> bool {
        self.bytes > self.quota_mb.saturating_mul(UNIT_BYTES)
    }
}

/// The schemas that have a quota.
pub fn quota_uses(state: &State) -> impl Iterator<Item = QuotaUse> + '_ {
    state.all::<Schema>().filter_map(|schema| QuotaUse::of(state, schema))
}

/// The first schema that a transaction adds to and that holds more than its quota then. Whoever only removes is never
/// in breach, however full the schema is. Transactions that commit at the same time do not see each other: together
/// they may pass a quota, as in Redshift.
pub fn quota_breach(before: &State, after: &State) -> Option<QuotaUse> {
    quota_uses(after).find(|used| used.is_over() && adds(before, after, used.schema.oid))
}

/// Whether a transaction adds to the tables of a schema.
fn adds(before: &State, after: &State, schema: Oid) -> bool {
    let bytes = tables(after, schema).map(|(table, files)| match before.files(table) {
        Some(old) => counted(old, files),
        None => held(files),
    });
    bytes.sum::<u64>() > bytes_of(before, schema)
}

/// What a table counts for against what it was. The rows that a DELETE leaves of a small file go into the tail, where
/// they take more than they did: a table that has lost rows has grown only by its files.
fn counted(old: &TableFiles, files: &TableFiles) -> u64 {
    match files.rows() < old.rows() {
        true => held(files).min(held(old).max(files.bytes())),
        false => held(files),
    }
}

/// Bytes of a schema's tables.
fn bytes_of(state: &State, schema: Oid) -> u64 {
    tables(state, schema).map(|(_, files)| held(files)).sum()
}

/// Bytes of a table: its files, and its rows that only the log has.
fn held(files: &TableFiles) -> u64 {
    files.bytes() + files.tail_bytes() as u64
}

/// The tables of a schema.
fn tables(state: &State, schema: Oid) -> impl Iterator<Item = (Oid, &TableFiles)> {
    let relations = state.relations().filter(move |relation| relation.schema == schema);
    relations.filter_map(move |table| state.files(table.oid).map(|files| (table.oid, files.as_ref())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{AddedRows, Change};
    use crate::object::{ADMIN, Object, PUBLIC, Relation, RelationKind};
    use crate::rows::Rows;
    use crate::table::DataFile;
    use crate::table_spec::TableSpec;
    use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use std::sync::Arc;

    const SCHEMA: Oid = 20_000;
    const TABLE: Oid = 20_001;

    fn schema(quota_mb: Option<u64>, revision: u64) -> Change {
        let schema = Schema { oid: SCHEMA, name: "s".into(), revision, owner: ADMIN, source: None, quota_mb };
        Change::Put(Arc::new(Object::Schema(schema)))
    }

    fn table_in(schema: Oid, revision: u64) -> Change {
        let relation = Relation {
            oid: TABLE,
            schema,
            name: "t".into(),
            revision,
            columns: vec![],
            owner: ADMIN,
            comment: None,
            created_ms: 0,
            row_security: crate::policy::RowSecurity::default(),
            kind: RelationKind::Table(TableSpec::new("file:///t", "")),
        };
        Change::Put(Arc::new(Object::Relation(relation)))
    }

    fn file(id: u64, rows: u64, bytes: u64) -> Change {
        Change::AddFiles { table: TABLE, files: vec![DataFile::new(id, "", rows, bytes, 0)] }
    }

    fn tail(id: u64, count: usize) -> Change {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1; count]));
        let batch = RecordBatch::try_from_iter([("n", numbers)]).unwrap();
        let rows = Some(Rows::new(&batch.schema(), &[batch]).unwrap());
        Change::AddRows(AddedRows { table: TABLE, id, arrival_ms: 0, rows })
    }

    fn removed(id: u64) -> Change {
        Change::RemoveFiles { table: TABLE, revision: 1, files: vec![id] }
    }

    fn after(before: &State, changes: &[Change]) -> State {
        let mut state = before.clone();
        changes.iter().for_each(|change| state.apply(change, 1));
        state
    }

    #[test]
    fn only_who_adds_to_what_is_too_full_then_is_in_breach() {
        let full = after(&State::initial(), &[schema(Some(1), 1), table_in(SCHEMA, 1), file(30_000, 1, UNIT_BYTES)]);
        let over = after(&full, &[file(30_001, 10, 10)]);
        let unlimited = after(&over, &[schema(None, 2)]);
        let elsewhere = after(&over, &[table_in(PUBLIC, 2)]);
        let cases = [
            ("nothing", &over, vec![], false),
            ("up to the quota", &full, vec![removed(30_000), file(30_002, 1, UNIT_BYTES)], false),
            ("a byte more", &full, vec![file(30_002, 1, 1)], true),
            ("a row in the tail", &full, vec![tail(30_002, 1)], true),
            ("a lower quota", &unlimited, vec![schema(Some(1), 3)], false),
            ("no quota", &over, vec![schema(None, 2), file(30_002, 1, 1)], false),
            ("less than before", &over, vec![removed(30_001), file(30_002, 10, 9)], false),
            ("a larger file for fewer rows", &over, vec![removed(30_001), file(30_002, 9, 11)], true),
            ("the rest of a file in the tail", &over, vec![removed(30_001), tail(30_002, 9)], false),
            ("all rows of a file in the tail", &over, vec![removed(30_001), tail(30_002, 10)], true),
            ("dropped again", &over, vec![file(30_002, 1, 1), Change::Drop { oid: TABLE, revision: 1 }], false),
            ("from another schema", &elsewhere, vec![table_in(SCHEMA, 3)], true),
        ];
        for (what, before, changes, breach) in cases {
            assert_eq!(quota_breach(before, &after(before, &changes)).is_some(), breach, "{what}");
        }
    }

    #[test]
    fn shares_are_of_megabytes() {
        let schema = Schema { oid: 1, name: "s".into(), revision: 1, owner: ADMIN, source: None, quota_mb: Some(2) };
        let cases = [(0, 0, 0.0, false), (1, 1, 0.0, false), (1 << 20, 1, 50.0, false), (2 << 20, 2, 100.0, false)];
        for (bytes, megabytes, percent, over) in cases.into_iter().chain([((2 << 20) + 1, 3, 100.0, true)]) {
            let used = QuotaUse { schema: schema.clone(), quota_mb: 2, bytes };
            assert_eq!((used.megabytes(), used.percent(), used.is_over()), (megabytes, percent, over), "{bytes}");
        }
    }
}
