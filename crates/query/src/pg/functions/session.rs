//! Functions about the session and the server.

use super::super::cell::Cell;
use super::super::names;
use super::super::snapshot::PgSnapshot;
use super::{Definition, nothing, text};
use tidegate_core::{Error, Kind, Result};

/// What is defined here.
pub const FUNCTIONS: &[Definition] = &[
    Definition::strict("current_schema", 0..=0, "name", |s, _| Ok(creation_schema(s).into())),
    Definition::strict("current_schemas", 1..=1, "_name", current_schemas),
    Definition::strict("current_database", 0..=0, "name", |s, _| Ok(s.database.as_str().into())),
    Definition::strict("current_catalog", 0..=0, "name", |s, _| Ok(s.database.as_str().into())),
    Definition::strict("current_user", 0..=0, "name", |s, _| Ok(s.user.as_str().into())),
    Definition::strict("current_role", 0..=0, "name", |s, _| Ok(s.user.as_str().into())),
    Definition::strict("session_user", 0..=0, "name", |s, _| Ok(s.session_user.as_str().into())),
    Definition::strict("user", 0..=0, "name", |s, _| Ok(s.user.as_str().into())),
    Definition::strict("getpgusername", 0..=0, "name", |s, _| Ok(s.user.as_str().into())),
    Definition::strict("version", 0..=0, "text", |s, _| Ok(s.version.as_str().into())),
    Definition::strict("pg_backend_pid", 0..=0, "int4", |s, _| Ok(s.pid.into())),
    Definition::strict("current_setting", 1..=2, "text", current_setting),
    Definition::strict("pg_client_encoding", 0..=0, "name", |_, _| Ok("UTF8".into())),
    Definition::strict("getdatabaseencoding", 0..=0, "name", |_, _| Ok("UTF8".into())),
    Definition::strict("pg_is_in_recovery", 0..=0, "bool", |_, _| Ok(false.into())),
    Definition::strict("pg_is_wal_replay_paused", 0..=0, "bool", |_, _| Ok(false.into())),
    Definition::strict("pg_jit_available", 0..=0, "bool", |_, _| Ok(false.into())),
    Definition::strict("pg_postmaster_start_time", 0..=0, "timestamptz", nothing),
    Definition::strict("pg_conf_load_time", 0..=0, "timestamptz", nothing),
    Definition::strict("inet_client_addr", 0..=0, "inet", nothing),
    Definition::strict("inet_client_port", 0..=0, "int4", nothing),
    Definition::strict("inet_server_addr", 0..=0, "inet", nothing),
    Definition::strict("inet_server_port", 0..=0, "int4", nothing),
    Definition::strict("pg_last_copy_id", 0..=0, "int8", |s, _| Ok(s.last.copy_id.into())),
    Definition::strict("pg_last_copy_count", 0..=0, "int8", |s, _| Ok(s.last.copy_count.into())),
    Definition::strict("pg_last_unload_id", 0..=0, "int8", |s, _| Ok(s.last.unload_id.into())),
    Definition::strict("pg_last_unload_count", 0..=0, "int8", |s, _| Ok(s.last.unload_count.into())),
    Definition::strict("pg_last_query_id", 0..=0, "int8", |s, _| Ok(s.last.query_id.into())),
    // There are no advisory locks, so none is left to give up.
    Definition::strict("pg_advisory_unlock_all", 0..=0, "text", |_, _| Ok("".into())),
];

/// The search path's schemas that are there, without the one that is there unasked.
fn own_path(snapshot: &PgSnapshot) -> Vec<&str> {
    let named = snapshot.search_path.iter().any(|schema| schema == "pg_catalog");
    names::path(snapshot).into_iter().filter(|schema| named || *schema != "pg_catalog").collect()
}

/// Where a name without a schema is created.
fn creation_schema(snapshot: &PgSnapshot) -> Option<&str> {
    own_path(snapshot).into_iter().find(|schema| !crate::temporary::is_temporary(schema))
}

fn current_schemas(snapshot: &PgSnapshot, arguments: &[Cell]) -> Result<Cell> {
    let implicit = arguments.first() == Some(&Cell::Bool(true));
    let schemas = if implicit { names::path(snapshot) } else { own_path(snapshot) };
    Ok(Cell::Texts(schemas.into_iter().map(str::to_string).collect()))
}

fn current_setting(snapshot: &PgSnapshot, arguments: &[Cell]) -> Result<Cell> {
    let name = text(arguments, 0);
    if let Some(value) = snapshot.setting(name) {
        return Ok(value.into());
    }
    match (name.to_lowercase().as_str(), arguments.get(1)) {
        ("server_version", _) => Ok(server_version(snapshot).into()),
        ("server_version_num", _) => Ok(version_number(server_version(snapshot)).into()),
        (_, Some(Cell::Bool(true))) => Ok(Cell::Null),
        _ => Err(Error::new(Kind::UndefinedObject, format!("unrecognized configuration parameter \"{name}\""))),
    }
}

/// `15.0` of `PostgreSQL 15.0 (…)`.
fn server_version(snapshot: &PgSnapshot) -> &str {
    snapshot.version.split_whitespace().nth(1).unwrap_or("15.0")
}

/// `150000` of `15.0`.
fn version_number(version: &str) -> String {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    format!("{}{:04}", parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read() {
        let settings = vec![("TimeZone".to_string(), "UTC".to_string(), String::new())];
        let snapshot = PgSnapshot { settings, version: "PostgreSQL 15.3 (x)".into(), ..PgSnapshot::default() };
        let read = |name: &str| current_setting(&snapshot, &[name.into()]);
        assert_eq!(read("timezone").unwrap(), "UTC".into());
        assert_eq!(read("server_version").unwrap(), "15.3".into());
        assert_eq!(read("server_version_num").unwrap(), "150003".into());
        assert_eq!(read("nothing").unwrap_err().kind(), Kind::UndefinedObject);
        assert_eq!(current_setting(&snapshot, &["nothing".into(), true.into()]).unwrap(), Cell::Null);
    }
}
