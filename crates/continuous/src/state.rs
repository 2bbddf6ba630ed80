//! The pure steps of a continuous query.

use crate::event::{LATE_RECORDS_MAX, Late};
use crate::refresh::Done;
use std::collections::BTreeMap;
use tidegate_catalog::{ContinuousQuery, ContinuousState, Oid, Refreshed, Seen};

/// What has been read and written since the last frame.
#[derive(Debug, Default)]
pub struct Progress {
    /// By shard, the index of the first record that has not been read.
    pub cursor: BTreeMap<u32, u64>,
    /// By shard, the index of the first record that an open window may need.
    pub open_from: BTreeMap<u32, u64>,
    /// Watermarks of the shards.
    pub watermarks: BTreeMap<u32, i64>,
    /// Up to when windows are closed.
    pub closed_us: Option<i64>,
    /// Records read.
    pub records: u64,
    /// Rows written.
    pub rows: u64,
    /// Records that came late.
    pub late: Late,
    /// The time.
    pub now_ms: i64,
}

fn next(query: &ContinuousQuery, state: ContinuousState) -> ContinuousQuery {
    ContinuousQuery { revision: query.revision + 1, state, ..query.clone() }
}

/// It has gone on.
pub fn advanced(query: &ContinuousQuery, progress: &Progress) -> ContinuousQuery {
    let mut state = query.state.clone();
    state.cursor.clone_from(&progress.cursor);
    state.open_from.clone_from(&progress.open_from);
    state.watermarks.clone_from(&progress.watermarks);
    state.closed_us = progress.closed_us;
    state.records += progress.records;
    state.rows += progress.rows;
    state.late += progress.late.count;
    state.late_records.extend(progress.late.records.iter().cloned());
    let over = state.late_records.len().saturating_sub(LATE_RECORDS_MAX);
    state.late_records.drain(..over);
    state.reason.clear();
    if progress.rows > 0 {
        state.written_ms = progress.now_ms;
    }
    next(query, state)
}

/// A view over tables was refreshed: what it did and saw, the rows that it wrote and of what its state table is, when it
/// began and ended.
pub fn refreshed(
    query: &ContinuousQuery,
    done: Done,
    auto: bool,
    seen: BTreeMap<Oid, Seen>,
    (rows, kept_of): (u64, String),
    (begun_ms, ended_ms): (i64, i64),
) -> ContinuousQuery {
    let mut state = ContinuousState { seen, kept_of, written_ms: ended_ms, ..query.state.clone() };
    state.reason.clear();
    state.rows += rows;
    note(&mut state, Refreshed { begun_ms, ended_ms, auto, status: done.status().to_string() });
    next(query, state)
}

/// Refreshes that are remembered of each view.
const REFRESHES_MAX: usize = 20;

fn note(state: &mut ContinuousState, refreshed: Refreshed) {
    state.refreshes.push(refreshed);
    let over = state.refreshes.len().saturating_sub(REFRESHES_MAX);
    state.refreshes.drain(..over);
}

/// ALTER MATERIALIZED VIEW … AUTO REFRESH. None: it is so already.
pub fn automated(query: &ContinuousQuery, auto: bool) -> Option<ContinuousQuery> {
    let mut altered = next(query, query.state.clone());
    altered.spec.auto = auto;
    (query.spec.auto != auto).then_some(altered)
}

/// A try failed. None: that is known already.
pub fn failed(query: &ContinuousQuery, reason: &str) -> Option<ContinuousQuery> {
    let state = || ContinuousState { reason: reason.to_string(), ..query.state.clone() };
    (query.state.reason != reason).then(|| next(query, state()))
}

/// ALTER PUMP … STOP and START. None: it is so already.
pub fn stopped(query: &ContinuousQuery, stopped: bool) -> Option<ContinuousQuery> {
    let state = || ContinuousState { stopped, ..query.state.clone() };
    (query.state.stopped != stopped).then(|| next(query, state()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_catalog::{ContinuousSpec, LateRecord};

    fn query() -> ContinuousQuery {
        let spec = ContinuousSpec {
            view: true,
            auto: true,
            source: 1,
            query: String::new(),
            search_path: Vec::new(),
            target: 2,
            columns: Vec::new(),
            window: None,
            tables: Vec::new(),
            incremental: false,
            kept: None,
        };
        ContinuousQuery {
            oid: 3,
            name: "v".into(),
            revision: 1,
            owner: 10,
            created_ms: 0,
            spec,
            state: ContinuousState::default(),
        }
    }

    #[test]
    fn progress_adds_up() {
        let record = |n: usize| LateRecord { shard_id: "s".into(), sequence_number: n.to_string(), event_us: 0 };
        let told = failed(&query(), "no space").unwrap();
        assert_eq!(failed(&told, "no space"), None);
        let late = Late { count: 150, records: (0..LATE_RECORDS_MAX).map(record).collect() };
        let progress =
            Progress { records: 7, rows: 2, late, now_ms: 9, cursor: BTreeMap::from([(0, 7)]), ..Progress::default() };
        let once = advanced(&told, &progress);
        assert_eq!((once.revision, once.state.reason.as_str(), once.state.written_ms), (3, "", 9));
        let twice = advanced(&once, &progress);
        assert_eq!((twice.state.records, twice.state.rows, twice.state.late), (14, 4, 300));
        assert_eq!(twice.state.late_records.len(), LATE_RECORDS_MAX);
        assert_eq!(stopped(&twice, true).and_then(|query| stopped(&query, true)), None);
    }
}
