//! The catalog: the published state, and the one way to change it.

use crate::change::Change;
use crate::committer::{Committer, Request};
use crate::counters::{Counter, Counters};
use crate::export::Exporter;
use crate::locks::TableLocks;
use crate::object::Oid;
use crate::persist::{self, Dirty};
use crate::pins::Pins;
use crate::snapshots::{Snapshot, Snapshots};
use crate::state::{RecordPlace, State};
use crate::types::Identity;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tidegate_core::{Clock, Error, Kind, Result, Settings};
use tidegate_storage::{DataDir, StateStore, Wal};
use tokio::sync::{mpsc, oneshot, watch};

/// Most commits that may wait for the committer; more wait in their callers.
const QUEUE_COMMITS_MAX: usize = 1024;
/// How often the applied state is written, beside the log.
const FLUSH_INTERVAL: Duration = Duration::from_secs(2);

/// What a commit gave.
#[derive(Debug, Clone, Default)]
pub struct Receipt {
    /// The frame it is in.
    pub position: u64,
    /// Where the records of its appends were put, of those that asked, in their order.
    pub places: Vec<RecordPlace>,
    /// The tables that got a new version of their export.
    pub exports: Vec<Oid>,
    /// What went wrong after the commit had succeeded.
    pub warnings: Vec<String>,
}

/// A handle on the one catalog of a server; clones share it.
#[derive(Clone)]
pub struct Catalog(Arc<Inner>);

struct Inner {
    published: Arc<ArcSwap<State>>,
    pins: Arc<Pins>,
    snapshots: Arc<Snapshots>,
    locks: TableLocks,
    versions: watch::Receiver<u64>,
    queue: mpsc::Sender<Request>,
    next_id: AtomicU64,
    exporter: Arc<dyn Exporter>,
    counters: Arc<Counters>,
    clock: Clock,
    // Held while the applied state is written, so that two writers do not cross.
    store: Arc<Mutex<StateStore>>,
    dirty: Arc<Mutex<Dirty>>,
    wal_keep: Arc<AtomicU64>,
}

impl Catalog {
    /// Opens what a data directory holds: the applied state, and the frames of the log after it.
    pub fn open(folder: &DataDir, settings: &Settings, clock: Clock, exporter: Arc<dyn Exporter>) -> Result<Self> {
        let store = StateStore::open(&folder.state())?;
        let (mut state, mut awaited) = persist::load(&store)?;
        let applied = state.position;
        let mut dirty = Dirty::default();
        let mut replayed = 0_u64;
        // What is older may have been let go of.
        let needed = store.needed()?;
        let wal = Wal::recover(&folder.wal(), needed.saturating_sub(1), |frame| {
            for change in crate::change::decode(&frame.payload)? {
                // Of a frame that is applied already only records and rows that are in no file yet are of interest.
                match &change {
                    _ if frame.position > applied => {
                        dirty.note(&state, &change);
                        state.apply(&change, frame.position);
                    }
                    Change::AddRows(rows) if awaited.take(rows) => state.add_rows(rows, frame.position),
                    Change::Appended(_) => state.apply(&change, frame.position),
                    _ => {}
                }
            }
            state.position = state.position.max(frame.position);
            replayed += u64::from(frame.position > applied);
            Ok(())
        })?;
        if wal.next_position() <= applied {
            let ends = wal.next_position() - 1;
            let message = format!("the log ends at frame {ends}, but {applied} is applied already");
            return Err(Error::new(Kind::DataCorrupted, message).hint("Restore the folder wal from a copy."));
        }
        awaited.check()?;
        let wal = wal.with_file_bytes_max(settings.mebibytes("wal_segment_mb"));
        tracing::info!(position = state.position, replayed, "catalog is open");
        Ok(Self::start(state, wal, store, dirty, clock, exporter))
    }

    fn start(
        state: State,
        wal: Wal,
        store: StateStore,
        dirty: Dirty,
        clock: Clock,
        exporter: Arc<dyn Exporter>,
    ) -> Self {
        let next_id = AtomicU64::new(state.next_id);
        let (tell, versions) = watch::channel(state.position);
        let pins = Arc::new(Pins::default());
        let state = Arc::new(state);
        pins.note(&state);
        let published = Arc::new(ArcSwap::new(state));
        let (queue, requests) = mpsc::channel(QUEUE_COMMITS_MAX);
        let dirty = Arc::new(Mutex::new(dirty));
        let wal_keep = Arc::new(AtomicU64::new(0));
        let counters = Arc::new(Counters::default());
        let committer = Committer {
            wal,
            published: Arc::clone(&published),
            pins: Arc::clone(&pins),
            dirty: Arc::clone(&dirty),
            exporter: Arc::clone(&exporter),
            counters: Arc::clone(&counters),
            clock: clock.clone(),
            tell,
            wal_keep: Arc::clone(&wal_keep),
        };
        std::thread::spawn(move || committer.run(requests));
        let store = Arc::new(Mutex::new(store));
        let snapshots = Arc::default();
        let inner = Inner {
            published,
            pins,
            snapshots,
            locks: TableLocks::default(),
            versions,
            queue,
            next_id,
            exporter,
            counters,
            clock,
            store,
            dirty,
            wal_keep,
        };
        Catalog(Arc::new(inner))
    }

    /// The state as it stands now.
    pub fn state(&self) -> Arc<State> {
        self.0.published.load_full()
    }

    /// The state as it stands now, for a transaction block: upkeep knows that it is in use.
    pub fn snapshot(&self) -> Snapshot {
        self.0.snapshots.take(&self.0.published)
    }

    /// The state as it stands now, and the position up to which all open blocks see what was added: what upkeep may
    /// put together.
    pub fn settled(&self) -> (Arc<State>, u64) {
        self.0.snapshots.settled(&self.0.published)
    }

    /// The locks of tables.
    pub fn locks(&self) -> &TableLocks {
        &self.0.locks
    }

    /// What lies at these URLs is no longer named by the state of this position, and may go when nobody reads it.
    pub fn retire(&self, position: u64, urls: impl IntoIterator<Item = String>) {
        self.0.pins.retire(position, urls);
    }

    /// URLs that were retired and that nobody can be reading any more; whoever asks deletes them.
    pub fn free(&self) -> Vec<String> {
        self.0.pins.free()
    }

    /// The position of the oldest state that anybody uses.
    pub fn oldest_in_use(&self) -> u64 {
        self.0.pins.oldest()
    }

    /// Tells the position of each new state.
    pub fn versions(&self) -> watch::Receiver<u64> {
        self.0.versions.clone()
    }

    /// The clock that all parts share.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The counter of an IDENTITY column, by its name in the table's files.
    pub fn counter(&self, table: Oid, column: &str, identity: Identity) -> Counter {
        self.0.counters.of(&self.state(), table, column, identity)
    }

    /// A number for a new object.
    pub fn next_oid(&self) -> Result<Oid> {
        u32::try_from(self.next_id()).map_err(|_| Error::new(Kind::ProgramLimit, "no object number is left"))
    }

    /// A number for a new file.
    pub fn next_id(&self) -> u64 {
        self.0.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Makes changes durable, all or none, and their exports written. Once the log has them they have happened, even
    /// if the caller no longer waits.
    pub async fn commit(&self, changes: Vec<Change>) -> Result<Receipt> {
        let (reply, answer) = oneshot::channel();
        let stopped = || Error::new(Kind::Shutdown, "the server is shutting down");
        self.0.queue.send(Request { changes, reply }).await.map_err(|_| stopped())?;
        let mut receipt = answer.await.map_err(|_| stopped())??;
        for table in std::mem::take(&mut receipt.exports) {
            if let Err(error) = self.export(table).await {
                tracing::warn!(table, %error, "the export of a table lags");
                receipt.warnings.push(format!("committed, but the export to its Delta log lags: {error}"));
            }
        }
        Ok(receipt)
    }

    /// Writes what waits in a table's outbox, and ticks it off without waiting for that to be durable.
    pub async fn export(&self, table: Oid) -> Result<()> {
        let Some(version) = self.0.exporter.write(table, &self.state()).await? else { return Ok(()) };
        let (reply, _) = oneshot::channel();
        let tick = Request { changes: vec![Change::Exported { table, version }], reply };
        // A full queue loses the tick, not the export: it is found written when it is tried again.
        self.0.queue.try_send(tick).ok();
        Ok(())
    }

    /// Writes the exports that a crash or a failure left behind.
    pub async fn export_all(&self) {
        let state = self.state();
        let waiting = state.tables.iter().filter(|(_, table)| !table.outbox.is_empty()).map(|(oid, _)| *oid);
        for table in waiting {
            if let Err(error) = self.export(table).await {
                tracing::warn!(table, %error, "the export of a table lags");
            }
        }
    }

    /// Writes the applied state, so that a restart has less to replay and the log can let go of old files.
    pub fn flush(&self) -> Result<()> {
        let store = self.0.store.lock();
        let (dirty, state) = {
            // The committer notes and publishes under this lock: the notes are those of this state, no more, no less.
            let mut dirty = self.0.dirty.lock();
            (dirty.take(), self.state())
        };
        if dirty.is_empty() {
            return Ok(());
        }
        let needed = oldest_needed(&state);
        if let Err(error) = dirty.write(&store, &state, needed) {
            self.0.dirty.lock().give_back(dirty);
            return Err(error);
        }
        self.0.wal_keep.store(needed, Ordering::Relaxed);
        Ok(())
    }

    /// Flushes every few seconds and retries exports, until the server ends.
    pub async fn keep_flushed(self) {
        loop {
            tokio::time::sleep(FLUSH_INTERVAL).await;
            let catalog = self.clone();
            match tokio::task::spawn_blocking(move || catalog.flush()).await {
                Ok(Err(error)) => tracing::warn!(%error, "the applied state could not be written; the log has it"),
                Err(error) => tracing::error!(%error, "writing the applied state broke off"),
                Ok(Ok(())) => {}
            }
            self.export_all().await;
        }
    }
}

/// The oldest frame that a restart needs: the first after the applied state, or the first of a tail.
fn oldest_needed(state: &State) -> u64 {
    let shards = state.streams.values().flat_map(|shards| shards.values());
    let records = shards.filter_map(|shard| shard.tail.front()).map(|chunk| chunk.position);
    let rows = state.tables.values().flat_map(|table| table.tail.values()).map(|rows| rows.added);
    records.chain(rows).fold(state.position + 1, u64::min)
}
