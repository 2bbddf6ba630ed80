//! `pg_stat_activity`: what each session does. Of others' sessions one sees that they are there, unless one is a member of
//! their role.

use super::cell::Cell;
use super::shape::Rows;
use super::snapshot::PgSnapshot;
use crate::sessions::Activity;
use tidegate_catalog::{DATABASE_OID, User};

/// The rows.
pub fn sessions(snapshot: &PgSnapshot, rows: &mut Rows) {
    let asker = snapshot.asker();
    for session in snapshot.sessions.all() {
        let oid = snapshot.state.named::<User>(&session.user).map(|user| user.oid);
        let is_own = session.pid == snapshot.pid || oid.is_some_and(|oid| asker.roles.contains(&oid));
        push(snapshot, &session, oid, asker.is_superuser || is_own, rows);
    }
}

fn push(snapshot: &PgSnapshot, session: &Activity, user: Option<u32>, shown: bool, rows: &mut Rows) {
    let told = |cell: Option<Cell>| cell.filter(|_| shown).unwrap_or(Cell::Null);
    let query = if shown { session.query.as_str() } else { "<insufficient privilege>" };
    rows.push([
        ("datid", DATABASE_OID.into()),
        ("datname", snapshot.database.as_str().into()),
        ("pid", session.pid.into()),
        ("usesysid", user.unwrap_or(snapshot.user_oid).into()),
        ("usename", session.user.as_str().into()),
        ("application_name", session.application.as_str().into()),
        ("client_addr", told(session.client.map(|client| client.ip().to_string().into()))),
        ("client_port", told(session.client.map(|client| i64::from(client.port()).into()))),
        ("backend_start", told(Some(session.began_us.into()))),
        ("xact_start", told(session.transaction_us.map(Cell::Int))),
        ("query_start", told(session.query_us.map(Cell::Int))),
        ("state_change", told(Some(session.changed_us.into()))),
        ("state", told(Some(session.state.into()))),
        ("query", query.into()),
        ("backend_type", told(Some("client backend".into()))),
    ]);
}
