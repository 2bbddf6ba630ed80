//! COPY on this node: pieces of files in lanes that work at one time, each into a sink of its own.

use crate::load::{File, Load, Piece, Progress, Report, Tools};
use datafusion::execution::session_state::SessionState;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tidegate_catalog::{Change, DataFile};
use tidegate_core::{Error, Result};
use tidegate_query::TableSink;
use tidegate_storage::Stores;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Bytes of a part of a large file.
const PART_BYTES: u64 = 16 << 20;

/// Rows that are written and that nobody lists yet.
pub struct Staged {
    /// What became of the pieces.
    pub reports: Vec<Report>,
    /// Why the load fails.
    pub failure: Option<Error>,
    /// Where the rows are.
    pub rows: Rows,
}

/// Where staged rows are.
pub enum Rows {
    /// In sinks that are to be finished.
    Sinks(Vec<Box<dyn TableSink>>),
    /// In files of the table.
    Files(Vec<DataFile>),
}

impl Staged {
    /// Rows that were loaded.
    pub fn loaded(&self) -> u64 {
        self.reports.iter().map(|report| report.rows).sum()
    }

    /// Rows that were not.
    pub fn rejected(&self) -> u64 {
        self.reports.iter().map(|report| report.error_count).sum()
    }

    /// As a failure, where the bad rows of all pieces together are more than is allowed.
    pub fn judged(mut self, allowed: u64) -> Staged {
        if self.failure.is_none() && self.rejected() > allowed {
            let last = self.reports.iter().rev().find_map(|report| report.errors.last());
            self.failure = last.map(|error| error.to_error());
        }
        self
    }

    /// Whether a cut of a file may have been wrong: parts that do not join, or bad rows, which a wrong cut makes and whose
    /// lines are not known within a part.
    pub fn is_doubtful(&self) -> bool {
        let parts = || self.reports.iter().filter(|report| report.is_part);
        parts().any(|report| report.error_count > 0 || report.failure.is_some()) || !joins(parts())
    }
}

/// Whether each part begins where the one before it ends.
fn joins<'a>(parts: impl Iterator<Item = &'a Report>) -> bool {
    let mut parts: Vec<&Report> = parts.filter(|report| report.span != (0, 0)).collect();
    parts.sort_by_key(|report| (report.url.as_str(), report.span));
    let follows = |two: &[&Report]| match two {
        [one, next] => one.url != next.url || one.span.1 == next.span.0,
        _ => true,
    };
    parts.windows(2).all(follows)
}

/// Files in pieces: those that can be cut in parts, and the others whole.
pub fn pieces(files: &[File], cut: bool) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for file in files {
        let count = if cut { (file.bytes / PART_BYTES).max(1) } else { 1 };
        let part = |nth: u64| (file.bytes * nth / count, file.bytes * (nth + 1) / count);
        pieces.extend((0..count).map(|nth| Piece { file: file.clone(), range: (count > 1).then(|| part(nth)) }));
    }
    pieces
}

/// What lanes share.
pub struct Lanes {
    /// What all files have in common.
    pub load: Arc<Load>,
    /// Reads columns.
    pub session: SessionState,
    /// Where objects lie.
    pub stores: Arc<Stores>,
    /// Is told how far the load is.
    pub progress: Arc<Progress>,
    /// Bad rows of all pieces together that are passed over.
    pub allowed: u64,
}

impl Lanes {
    /// Loads pieces into sinks, one lane for each.
    pub async fn run(self, pieces: Vec<Piece>, sinks: Vec<Option<Box<dyn TableSink>>>) -> Result<Staged> {
        let queue = Arc::new(Mutex::new(VecDeque::from(pieces)));
        let (errors, stop) = (Arc::new(AtomicU64::new(0)), CancellationToken::new());
        let shared = Arc::new(self);
        let mut lanes = JoinSet::new();
        for (slice, sink) in sinks.into_iter().enumerate() {
            let lane = Lane {
                slice,
                shared: Arc::clone(&shared),
                queue: Arc::clone(&queue),
                errors: Arc::clone(&errors),
                stop: stop.clone(),
            };
            lanes.spawn(lane.run(sink));
        }
        let mut staged = Staged { reports: Vec::new(), failure: None, rows: Rows::Files(Vec::new()) };
        let (mut sinks, mut broken) = (Vec::new(), None);
        while let Some(lane) = lanes.join_next().await {
            let (reports, sink, error) = lane.map_err(Error::internal)?;
            sinks.extend(sink);
            let failure = reports.iter().find_map(|report| report.failure.clone());
            staged.failure = staged.failure.or(failure);
            staged.reports.extend(reports);
            broken = broken.or(error);
        }
        staged.failure = staged.failure.or(broken);
        staged.rows = Rows::Sinks(sinks);
        Ok(staged)
    }
}

/// One of those that load at one time.
struct Lane {
    slice: usize,
    shared: Arc<Lanes>,
    queue: Arc<Mutex<VecDeque<Piece>>>,
    errors: Arc<AtomicU64>,
    stop: CancellationToken,
}

type LaneEnd = (Vec<Report>, Option<Box<dyn TableSink>>, Option<Error>);

impl Lane {
    /// Takes pieces until there are none, or somebody has failed.
    async fn run(self, mut sink: Option<Box<dyn TableSink>>) -> LaneEnd {
        let mut reports = Vec::new();
        while let Some(piece) = self.next() {
            let tools =
                Tools { session: &self.shared.session, stores: &self.shared.stores, progress: &self.shared.progress };
            let report = match self.shared.load.piece(&tools, &piece, sink.as_deref_mut()).await {
                Ok(report) => self.judged(report),
                Err(error) => {
                    self.stop.cancel();
                    return (reports, sink, Some(error));
                }
            };
            if report.failure.is_some() {
                self.stop.cancel();
            }
            reports.push(report);
        }
        (reports, sink, None)
    }

    fn next(&self) -> Option<Piece> {
        if self.stop.is_cancelled() { None } else { self.queue.lock().pop_front() }
    }

    /// The report, as a failure when it brings the bad rows of all pieces over what is allowed.
    fn judged(&self, mut report: Report) -> Report {
        report.slice = self.slice;
        let before = self.errors.fetch_add(report.error_count, Ordering::Relaxed);
        let over = report.error_count > 0 && before + report.error_count > self.shared.allowed;
        if over && report.failure.is_none() {
            report.failure = report.errors.last().map(|error| error.to_error());
        }
        report
    }
}

/// What a transaction changes to have the rows.
pub async fn finish(sinks: Vec<Box<dyn TableSink>>) -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    let mut sinks = sinks.into_iter();
    while let Some(sink) = sinks.next() {
        match sink.finish().await {
            Ok(more) => changes.extend(more),
            Err(error) => {
                abort(sinks.collect()).await;
                return Err(error);
            }
        }
    }
    Ok(changes)
}

/// Removes what has been written.
pub async fn abort(sinks: Vec<Box<dyn TableSink>>) {
    for sink in sinks {
        sink.abort().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(url: &str, bytes: u64) -> File {
        File { url: url.to_string(), path: String::new(), bytes, etag: None }
    }

    #[test]
    fn large_files_are_cut_without_a_gap() {
        let files = [file("a", 10), file("b", 3 * PART_BYTES + 7)];
        let whole = pieces(&files, false);
        assert!(whole.len() == 2 && whole.iter().all(|piece| piece.range.is_none()));
        let parts = pieces(&files, true);
        assert_eq!(parts.len(), 4);
        let ranges: Vec<_> = parts.iter().filter_map(|piece| piece.range).collect();
        assert!(ranges.windows(2).all(|two| two[0].1 == two[1].0), "{ranges:?}");
        assert_eq!((ranges.first().unwrap().0, ranges.last().unwrap().1), (0, 3 * PART_BYTES + 7));
    }

    #[test]
    fn parts_that_do_not_join_are_doubtful() {
        let part = |url: &str, span| Report { url: url.to_string(), span, is_part: true, ..Report::default() };
        let staged = |reports| Staged { reports, failure: None, rows: Rows::Files(Vec::new()) };
        assert!(!staged(vec![part("a", (10, 20)), part("b", (0, 7)), part("a", (0, 10))]).is_doubtful());
        assert!(staged(vec![part("a", (10, 20)), part("a", (0, 11))]).is_doubtful());
        let bad = Report { error_count: 1, ..part("a", (0, 10)) };
        assert!(staged(vec![bad]).is_doubtful());
        let whole = Report { error_count: 1, is_part: false, ..part("a", (0, 10)) };
        assert!(!staged(vec![whole]).is_doubtful());
    }
}
