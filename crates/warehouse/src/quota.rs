//! Quotas of schemas (DDL-19): a transaction that would pass one does not commit, and is noted.

use serde_json::json;
use tidegate_catalog::{ADMIN, QuotaUse, State, Transaction, User, quota_breach};
use tidegate_core::{Error, Kind, Result};
use tidegate_query::history::{FLOAT, HistoryStream, INT, LONG, Note, TEXT, TIME, time};
use tidegate_query::{Engine, SystemView};

const STREAM: &str = "quota_violations";

/// The stream that breaches are noted in.
pub const HISTORY: &[HistoryStream] = &[HistoryStream {
    name: STREAM,
    columns: &[
        ("usename", TEXT),
        ("ownerid", INT),
        ("xid", LONG),
        ("pid", INT),
        ("userid", INT),
        ("schema_id", INT),
        ("schema_name", TEXT),
        ("quota", INT),
        ("disk_usage", INT),
        ("disk_usage_pct", FLOAT),
        ("noted", TIME),
    ],
}];

/// Redshift's view over it.
pub const VIEWS: &[SystemView] = &[SystemView {
    name: "stl_schema_quota_violations",
    query: include_str!("../../../sql/views/stl_schema_quota_violations.sql"),
}];

/// 53100 for a transaction that would pass the quota of a schema.
pub async fn check(engine: &Engine, user: &str, pid: i32, transaction: &Transaction) -> Result<()> {
    let Some(breach) = quota_breach(transaction.base(), transaction.state()) else { return Ok(()) };
    engine.note(vec![note(engine, user, pid, transaction.base(), &breach)]).await?;
    let (xid, name, quota) = (transaction.base().position, &breach.schema.name, breach.quota_mb);
    let message = format!(
        "Transaction {xid} is aborted due to exceeding the disk space quota in schema: {name}, quota: {quota} MB."
    );
    let hint = format!(
        "It would hold {} MB. Delete rows and VACUUM, drop tables, or ALTER SCHEMA {name} QUOTA.",
        breach.megabytes()
    );
    Err(Error::new(Kind::DiskFull, message).hint(hint))
}

fn note(engine: &Engine, user: &str, pid: i32, state: &State, breach: &QuotaUse) -> Note {
    let userid = state.named::<User>(user).map_or(ADMIN, |user| user.oid);
    let row = json!({
        "usename": user, "ownerid": ADMIN, "xid": state.position, "pid": pid, "userid": userid,
        "schema_id": breach.schema.oid, "schema_name": breach.schema.name, "quota": breach.quota_mb,
        "disk_usage": breach.megabytes(), "disk_usage_pct": breach.percent(),
        "noted": time(engine.clock().now_ms()),
    });
    Note { stream: STREAM, row }
}
