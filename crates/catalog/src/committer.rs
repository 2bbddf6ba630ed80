//! The committer: one thread that takes all commits that have queued, makes them frames, and syncs the log once.

use crate::catalog::Receipt;
use crate::change::{self, AddedRows, Change};
use crate::counters::Counters;
use crate::export::Exporter;
use crate::object::{Object, Oid, Relation, RelationKind};
use crate::persist::Dirty;
use crate::pins::Pins;
use crate::state::State;
use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tidegate_core::{Clock, Error, Result};
use tidegate_storage::{Wal, fault};
use tokio::sync::{mpsc, oneshot, watch};

/// Most commits that one sync answers.
const GROUP_COMMITS_MAX: usize = 1024;
/// Bytes of frames after which a group is closed.
const GROUP_BYTES_MAX: usize = 32 << 20;

/// A commit that waits.
pub struct Request {
    /// What it changes.
    pub changes: Vec<Change>,
    /// Where its answer goes.
    pub reply: oneshot::Sender<Result<Receipt>>,
}

/// The thread's belongings.
pub struct Committer {
    pub wal: Wal,
    pub published: Arc<ArcSwap<State>>,
    pub pins: Arc<Pins>,
    pub dirty: Arc<Mutex<Dirty>>,
    pub exporter: Arc<dyn Exporter>,
    pub counters: Arc<Counters>,
    pub clock: Clock,
    pub tell: watch::Sender<u64>,
    /// Frames before this one are no longer needed.
    pub wal_keep: Arc<AtomicU64>,
}

/// A commit that has been checked and applied, and waits for the sync.
struct Accepted {
    reply: oneshot::Sender<Result<Receipt>>,
    receipt: Receipt,
    changes: Vec<Change>,
    frame: Bytes,
}

impl Committer {
    /// Serves until all senders are gone.
    pub fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        while let Some(first) = requests.blocking_recv() {
            let group = self.accept(first, &mut requests);
            self.write(group);
            self.truncate();
        }
    }

    /// Checks and applies what waits, in order, to a copy of the state. What conflicts is answered at once.
    fn accept(&self, first: Request, requests: &mut mpsc::Receiver<Request>) -> (State, Vec<Accepted>) {
        let mut state = State::clone(&self.published.load());
        let mut group = Vec::new();
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(Request { changes, reply }) = next.take() {
            match self.prepare(&state, changes) {
                Ok((after, receipt, changes, frame)) => {
                    bytes += frame.len();
                    state = after;
                    group.push(Accepted { reply, receipt, changes, frame });
                }
                Err(error) => drop(reply.send(Err(error))),
            }
            if group.len() < GROUP_COMMITS_MAX && bytes < GROUP_BYTES_MAX {
                next = requests.try_recv().ok();
            }
        }
        (state, group)
    }

    /// Makes one commit's frame: its appends placed, its exports rendered. Pure but for the clock.
    fn prepare(&self, state: &State, changes: Vec<Change>) -> Result<(State, Receipt, Vec<Change>, Bytes)> {
        let position = state.position + 1;
        let mut after = state.clone();
        let mut receipt = Receipt { position, ..Receipt::default() };
        let mut made = Vec::with_capacity(changes.len());
        let make = |change: Change, after: &mut State, made: &mut Vec<Change>| {
            after.apply(&change, position);
            made.push(change);
        };
        if changes.iter().any(lets_go) {
            make(Change::At { ms: self.clock.now_ms() }, &mut after, &mut made);
        }
        for change in changes {
            after.check(&change)?;
            match &change {
                Change::Append(append) => {
                    let (appended, places) = after.place(append, self.clock.now_ms())?;
                    receipt.places.extend(places);
                    appended.into_iter().for_each(|records| make(Change::Appended(records), &mut after, &mut made));
                }
                Change::MadeFor { .. } => {}
                _ => make(change, &mut after, &mut made),
            }
        }
        for (table, column, taken) in self.counted(&after, &made) {
            make(Change::Counted { table, column, taken }, &mut after, &mut made);
        }
        for table in touched_tables(&made) {
            if let Some(text) = self.exporter.render(table, state, &after, &made)? {
                let version = after.files(table).map_or(0, |files| files.version);
                make(Change::Export { table, version, text }, &mut after, &mut made);
                receipt.exports.push(table);
            }
        }
        after.position = position;
        let frame = change::encode(&made)?;
        Ok((after, receipt, made, frame))
    }

    /// How far the IDENTITY columns have come of the tables that get rows.
    fn counted(&self, state: &State, changes: &[Change]) -> Vec<(Oid, String, u64)> {
        if self.counters.is_empty() {
            return Vec::new();
        }
        let moved = |table: Oid| {
            let known = state.files(table).map(|files| files.counted.clone()).unwrap_or_default();
            let all = self.counters.taken(table).into_iter();
            let further = all.filter(move |(column, taken)| known.get(column).is_none_or(|known| known < taken));
            further.map(move |(column, taken)| (table, column, taken))
        };
        tables_with_new_rows(changes).into_iter().flat_map(moved).collect()
    }

    /// Writes the frames, syncs, publishes the state, and answers. On failure nothing has happened.
    fn write(&mut self, (state, group): (State, Vec<Accepted>)) {
        if group.is_empty() {
            return;
        }
        // A disk that fails here is the log's to meet; these points are for the end of the process.
        let kill_point = |name| drop(fault::point(name));
        kill_point("commit.prepared");
        let frames: Vec<Bytes> = group.iter().map(|accepted| accepted.frame.clone()).collect();
        let written = self.wal.append(&frames).and_then(|position| match position == state.position {
            true => Ok(()),
            false => Err(Error::internal(format!("the log is at frame {position}, the state at {}", state.position))),
        });
        if let Err(error) = written {
            group.into_iter().for_each(|accepted| drop(accepted.reply.send(Err(error.clone()))));
            return;
        }
        let position = state.position;
        kill_point("commit.written");
        self.publish(state, &group);
        kill_point("commit.published");
        self.tell.send_replace(position);
        group.into_iter().for_each(|accepted| drop(accepted.reply.send(Ok(accepted.receipt))));
    }

    /// Notes what is to be flushed and publishes the state, as one step for whoever flushes.
    fn publish(&self, state: State, group: &[Accepted]) {
        let before = self.published.load_full();
        let mut dirty = self.dirty.lock();
        group.iter().flat_map(|accepted| &accepted.changes).for_each(|change| dirty.note(&before, change));
        let changes = || group.iter().flat_map(|accepted| &accepted.changes);
        for change in changes() {
            if let Change::Drop { oid, .. } = change {
                self.counters.forget(*oid);
            }
        }
        self.pins.retire(state.position, changes().filter_map(|change| folder_let_go(&before, change)));
        let state = Arc::new(state);
        self.pins.note(&state);
        self.published.store(state);
    }

    fn truncate(&mut self) {
        let keep = self.wal_keep.swap(0, Ordering::Relaxed);
        if keep > 0
            && let Err(error) = self.wal.truncate_before(keep)
        {
            tracing::warn!(%error, "old files of the log could not be removed");
        }
    }
}

/// Whether files may be let go of, which is when their time begins to run.
fn lets_go(change: &Change) -> bool {
    matches!(change, Change::RemoveFiles { .. } | Change::Rewrite { .. })
}

/// The folder of a relation that is dropped.
fn folder_let_go(before: &State, change: &Change) -> Option<String> {
    let Change::Drop { oid, .. } = change else { return None };
    let location = match &before.relation(*oid)?.kind {
        RelationKind::Table(table) => &table.location,
        RelationKind::Stream(stream) => &stream.location,
        RelationKind::External(_) | RelationKind::View(_) => return None,
    };
    Some(format!("{location}/"))
}

/// The tables to which these changes add rows.
fn tables_with_new_rows(changes: &[Change]) -> BTreeSet<Oid> {
    let table = |change: &Change| match change {
        Change::AddFiles { table, .. } | Change::AddRows(AddedRows { table, .. }) => Some(*table),
        _ => None,
    };
    changes.iter().filter_map(table).collect()
}

/// The tables whose export these changes concern.
fn touched_tables(changes: &[Change]) -> BTreeSet<Oid> {
    let table = |change: &Change| match change {
        Change::AddFiles { table, .. } | Change::RemoveFiles { table, .. } | Change::Rewrite { table, .. } => {
            Some(*table)
        }
        Change::Put(object) => match object.as_ref() {
            Object::Relation(Relation { oid, kind: RelationKind::Table(_), .. }) => Some(*oid),
            _ => None,
        },
        _ => None,
    };
    changes.iter().filter_map(table).collect()
}
