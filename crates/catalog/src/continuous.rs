//! Continuous queries: what was asked, and how far they are.

use crate::object::Oid;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A pump or a materialized view: a query over one stream whose rows go into a table or a stream as records come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContinuousQuery {
    /// Its number.
    pub oid: Oid,
    /// Its name: a pump's own, a view's with its schema.
    pub name: String,
    /// Counts its changes.
    pub revision: u64,
    /// Who made it: it runs with their rights.
    #[serde(default = "crate::object::admin")]
    pub owner: Oid,
    /// When it was made, in milliseconds of the Unix epoch.
    pub created_ms: i64,
    /// What was asked.
    pub spec: ContinuousSpec,
    /// What was decided.
    pub state: ContinuousState,
}

/// What the user asked of a continuous query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContinuousSpec {
    /// It is a materialized view: its table goes with it.
    pub view: bool,
    /// It goes on by itself; a view without waits for REFRESH.
    pub auto: bool,
    /// The stream it reads.
    pub source: Oid,
    /// The query, as text.
    pub query: String,
    /// search_path when it was made: names in the query are looked up so for ever.
    pub search_path: Vec<String>,
    /// The table or stream that takes its rows.
    pub target: Oid,
    /// The columns of the target that they fill, by place; empty: all, in order.
    #[serde(default)]
    pub columns: Vec<usize>,
    /// The windows that it groups by; None: each record gives its rows at once.
    #[serde(default)]
    pub window: Option<Window>,
    /// Of a view over tables: what it reads; `source` is the first of them. Empty: it reads a stream.
    #[serde(default)]
    pub tables: Vec<Oid>,
    /// Of a view over tables: whether added rows alone can keep it up.
    #[serde(default)]
    pub incremental: bool,
    /// Of a view over tables: the state table beside its own, which keeps what its rows are made of. None: there is no
    /// need of one, or the view is of a server that knew none, and is made anew.
    #[serde(default)]
    pub kept: Option<Oid>,
}

impl ContinuousQuery {
    /// Whether it is a view to which a table belongs: nobody else changes that, and it goes with the view.
    pub fn owns(&self, table: Oid) -> bool {
        self.spec.view && (self.spec.target == table || self.spec.kept == Some(table))
    }
}

/// Windows over event time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The column of event time.
    pub column: String,
    /// From one window's start to the next one's, in microseconds.
    pub slide_us: i64,
    /// From its start to its end, in microseconds.
    pub size_us: i64,
}

/// What was decided for a continuous query; durable.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ContinuousState {
    /// By shard, the index of the first record that has not had its part in what was written. Records of windows that
    /// are open are before it and are read again after a restart, from `open_from` on.
    pub cursor: BTreeMap<u32, u64>,
    /// By shard, the index of the first record that an open window may need.
    #[serde(default)]
    pub open_from: BTreeMap<u32, u64>,
    /// By shard, up to which event time it is complete, in microseconds of the Unix epoch.
    #[serde(default)]
    pub watermarks: BTreeMap<u32, i64>,
    /// Up to which event time windows are closed, in microseconds of the Unix epoch.
    #[serde(default)]
    pub closed_us: Option<i64>,
    /// Stopped by ALTER PUMP.
    #[serde(default)]
    pub stopped: bool,
    /// Why it waits, for people; empty while it works.
    #[serde(default)]
    pub reason: String,
    /// Records read in all.
    #[serde(default)]
    pub records: u64,
    /// Rows written in all.
    #[serde(default)]
    pub rows: u64,
    /// Records that came after their windows had closed.
    #[serde(default)]
    pub late: u64,
    /// The last of them.
    #[serde(default)]
    pub late_records: Vec<LateRecord>,
    /// When it last wrote, in milliseconds of the Unix epoch.
    #[serde(default)]
    pub written_ms: i64,
    /// Of a view over tables: by table, what of it is in the view.
    #[serde(default)]
    pub seen: BTreeMap<Oid, Seen>,
    /// Of a view with a state table: the plan, in words, of which its rows are. Empty: they are of none, and made anew.
    #[serde(default)]
    pub kept_of: String,
    /// Of a view over tables: the last refreshes, oldest first.
    #[serde(default)]
    pub refreshes: Vec<Refreshed>,
}

/// How much of a table a view holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The last frame of the log that it was made of.
    pub position: u64,
    /// Rows that the table had then.
    pub rows: u64,
}

/// A refresh that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refreshed {
    /// When it began, in milliseconds of the Unix epoch.
    pub begun_ms: i64,
    /// When it ended, in milliseconds of the Unix epoch.
    pub ended_ms: i64,
    /// By AUTO REFRESH, not by a statement.
    pub auto: bool,
    /// What it did, in Redshift's words.
    pub status: String,
}

/// A record that came after its windows had closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateRecord {
    /// The shard, as shown.
    pub shard_id: String,
    /// Its sequence number.
    pub sequence_number: String,
    /// Its event time, in microseconds of the Unix epoch.
    pub event_us: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_of_an_older_directory_opens_and_owns_its_tables() {
        let old =
            r#"{"view":true,"auto":false,"source":1,"query":"SELECT 1","search_path":[],"target":7,"tables":[1]}"#;
        let spec: ContinuousSpec = serde_json::from_str(old).unwrap();
        assert_eq!(spec.kept, None);
        let state: ContinuousState = serde_json::from_str(r#"{"cursor":{}}"#).unwrap();
        assert_eq!(state, ContinuousState::default());
        let spec = ContinuousSpec { kept: Some(8), ..spec };
        let mut query =
            ContinuousQuery { oid: 9, name: "v".into(), revision: 1, owner: 10, created_ms: 0, spec, state };
        assert_eq!([1, 7, 8].map(|table| query.owns(table)), [false, true, true]);
        query.spec.view = false;
        assert!(!query.owns(7));
    }
}
