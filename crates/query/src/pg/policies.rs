//! Policies as the catalogs show them.

use super::cell::Cell;
use super::names;
use super::shape::Rows;
use super::snapshot::PgSnapshot;
use tidegate_catalog::{EVERYBODY, Policy, Relation, RowSecurity};

/// Whether there is none at all.
pub fn are_none(snapshot: &PgSnapshot) -> bool {
    all(snapshot).next().is_none()
}

/// Whether policies count for a relation.
pub fn security(snapshot: &PgSnapshot, relation: u32) -> RowSecurity {
    snapshot.state.relation(relation).map(|relation| relation.row_security).unwrap_or_default()
}

/// The rows of `pg_policy`.
pub fn policies(snapshot: &PgSnapshot, rows: &mut Rows) {
    for (_, policy) in all(snapshot) {
        rows.push([
            ("oid", policy.oid.into()),
            ("polname", policy.name.as_str().into()),
            ("polrelid", policy.relation.into()),
            ("polcmd", policy.command.letter().to_string().into()),
            ("polpermissive", policy.permissive.into()),
            ("polroles", Cell::Ints(policy.roles.iter().map(|role| i64::from(*role)).collect())),
            ("polqual", policy.using.as_deref().into()),
            ("polwithcheck", policy.check.as_deref().into()),
        ]);
    }
}

/// The rows of `pg_policies`.
pub fn listed(snapshot: &PgSnapshot, rows: &mut Rows) {
    for (relation, policy) in all(snapshot) {
        let roles = policy.roles.iter().map(|role| role_name(snapshot, *role));
        rows.push([
            ("schemaname", names::schema_name(snapshot, relation.schema).into()),
            ("tablename", relation.name.as_str().into()),
            ("policyname", policy.name.as_str().into()),
            ("permissive", if policy.permissive { "PERMISSIVE" } else { "RESTRICTIVE" }.into()),
            ("roles", Cell::Texts(roles.collect())),
            ("cmd", policy.command.word().into()),
            ("qual", policy.using.as_deref().into()),
            ("with_check", policy.check.as_deref().into()),
        ]);
    }
}

fn all(snapshot: &PgSnapshot) -> impl Iterator<Item = (&Relation, &Policy)> {
    let state = &snapshot.state;
    state.relations().flat_map(move |relation| state.policies(relation.oid).map(move |policy| (relation, policy)))
}

fn role_name(snapshot: &PgSnapshot, role: u32) -> String {
    match snapshot.role(role) {
        Some(role) => role.name.clone(),
        None if role == EVERYBODY => "public".to_string(),
        None => format!("unknown (OID={role})"),
    }
}
