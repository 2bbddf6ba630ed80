//! The views of locks and isolation: Redshift's `stv_locks`, `svv_transactions` and `stv_db_isolation_level`.

use arrow::datatypes::DataType;
use tidegate_catalog::ShownLock;
use tidegate_query::system_table::{Cell, number, scoped_table, table, text, time_type};
use tidegate_query::{DATABASE, Scope, SystemTable};

/// The views.
pub fn all() -> Vec<SystemTable> {
    let (string, long) = (DataType::Utf8, DataType::Int64);
    let stv_locks = [
        ("table_id", long.clone()),
        ("lock_owner", long.clone()),
        ("lock_owner_pid", long.clone()),
        ("lock_owner_start_ts", time_type()),
        ("lock_status", string.clone()),
    ];
    let svv_transactions = [
        ("txn_owner", string.clone()),
        ("txn_db", string.clone()),
        ("xid", long.clone()),
        ("pid", long.clone()),
        ("txn_start", time_type()),
        ("lock_mode", string.clone()),
        ("lockable_object_type", string),
        ("relation", long),
        ("granted", DataType::Boolean),
    ];
    let isolation = [("db_name", DataType::Utf8), ("isolation_level", DataType::Utf8)];
    vec![
        table("pg_catalog", "stv_db_isolation_level", &isolation, |_| {
            vec![vec![text(DATABASE), text("Snapshot Isolation")]]
        }),
        scoped_table("pg_catalog", "stv_locks", &stv_locks, |scope| rows(scope, stv_lock)),
        scoped_table("pg_catalog", "svv_transactions", &svv_transactions, |scope| rows(scope, transaction)),
    ]
}

fn rows(scope: &Scope, row: impl Fn(&ShownLock) -> Vec<Cell>) -> Vec<Vec<Cell>> {
    scope.engine.catalog().locks().shown().iter().map(row).collect()
}

fn stv_lock(lock: &ShownLock) -> Vec<Cell> {
    let status = if lock.granted { "Holding write lock" } else { "Waiting for write lock" };
    vec![
        number(lock.table),
        number(lock.transaction),
        number(lock.who.pid),
        Cell::Time(Some(lock.who.since_ms)),
        text(status),
    ]
}

fn transaction(lock: &ShownLock) -> Vec<Cell> {
    vec![
        text(&lock.who.user),
        text(DATABASE),
        number(lock.transaction),
        number(lock.who.pid),
        Cell::Time(Some(lock.who.since_ms)),
        text("AccessExclusiveLock"),
        text("relation"),
        number(lock.table),
        Cell::Bool(lock.granted),
    ]
}
