//! What views read: `pg_rewrite`, where a view is a rule, and `pg_depend`, where the rule needs what it reads. A rule has
//! the number of its view.

use super::shape::Rows;
use super::snapshot::PgSnapshot;
use tidegate_catalog::{Relation, RelationKind, ViewUse};

/// The object ids of the catalogs themselves.
const PG_REWRITE: u32 = 2618;
const PG_CLASS: u32 = 1259;

fn views(snapshot: &PgSnapshot) -> impl Iterator<Item = (&Relation, &[ViewUse])> {
    snapshot.state.relations().filter_map(|relation| match &relation.kind {
        RelationKind::View(view) => Some((relation, view.uses.as_slice())),
        _ => None,
    })
}

/// `pg_rewrite`.
pub fn rules(snapshot: &PgSnapshot, rows: &mut Rows) {
    for (view, _) in views(snapshot) {
        rows.push([
            ("oid", view.oid.into()),
            ("rulename", "_RETURN".into()),
            ("ev_class", view.oid.into()),
            ("ev_type", "1".into()),
            ("ev_enabled", "O".into()),
            ("is_instead", true.into()),
        ]);
    }
}

/// `pg_depend`: a rule is a part of its view, and needs each relation that the view reads.
pub fn dependencies(snapshot: &PgSnapshot, rows: &mut Rows) {
    for (view, uses) in views(snapshot) {
        let mut push = |needed: u32, kind: &str| {
            rows.push([
                ("classid", PG_REWRITE.into()),
                ("objid", view.oid.into()),
                ("refclassid", PG_CLASS.into()),
                ("refobjid", needed.into()),
                ("deptype", kind.into()),
            ]);
        };
        push(view.oid, "i");
        let mut needed: Vec<u32> = uses.iter().map(|used| used.relation).collect();
        needed.sort_unstable();
        needed.dedup();
        needed.into_iter().for_each(|needed| push(needed, "n"));
    }
}
