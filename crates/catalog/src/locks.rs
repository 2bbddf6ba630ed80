//! Table locks: exclusive, held by one transaction until it ends. Reading and appending need none.
//!
//! 1. A transaction has a [`LockHolder`]; [`LockHolder::lock`] takes a table or waits its turn.
//! 2. A wait that would close a circle is refused at once (40P01), so that every wait ends.
//! 3. Whoever stops waiting, for whatever reason, leaves the queue by dropping the future.
//! 4. Dropping the holder lets go of all; going back to a savepoint lets go of what came after it.
//! 5. Background work takes a table by [`TableLocks::try_lock`], or does without.

use crate::lock_graph::{Asked, LockGraph, Owner};
use crate::object::Oid;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tidegate_core::{Error, Kind, Result};
use tokio::sync::oneshot;

/// The locks of a server; clones share them.
#[derive(Clone, Default)]
pub struct TableLocks(Arc<Inner>);

#[derive(Default)]
struct Inner {
    next: AtomicU64,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    graph: LockGraph,
    /// Tells a waiter that the lock is its own.
    tell: HashMap<Owner, oneshot::Sender<()>>,
    who: HashMap<Owner, Who>,
}

/// Whose a transaction is, as views of the system show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// The session's number; 0 for the server's own work.
    pub pid: i32,
    /// The user.
    pub user: String,
    /// When the transaction began, in milliseconds of the Unix epoch.
    pub since_ms: i64,
}

/// A lock that is held or waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownLock {
    /// The table.
    pub table: Oid,
    /// The number of the transaction.
    pub transaction: u64,
    /// Whose it is.
    pub who: Who,
    /// Whether it is held rather than waited for.
    pub granted: bool,
}

/// What takes locks for one transaction, and lets go of them when it is dropped.
pub struct LockHolder {
    locks: TableLocks,
    id: Owner,
    who: Who,
}

impl TableLocks {
    /// For a new transaction.
    pub fn holder(&self, who: Who) -> LockHolder {
        LockHolder { locks: self.clone(), id: self.0.next.fetch_add(1, Ordering::Relaxed) + 1, who }
    }

    /// Takes a table for background work, until the holder is dropped. None: somebody has it, and is not to be kept
    /// waiting.
    pub fn try_lock(&self, table: Oid, who: Who) -> Option<LockHolder> {
        let holder = self.holder(who);
        holder.try_lock(table).then_some(holder)
    }

    /// Whether somebody waits for a table.
    pub fn is_wanted(&self, table: Oid) -> bool {
        self.0.table.lock().graph.entries().into_iter().any(|(_, oid, granted)| oid == table && !granted)
    }

    /// The locks that are held, and those that are waited for.
    pub fn shown(&self) -> Vec<ShownLock> {
        let table = self.0.table.lock();
        let shown = |(owner, oid, granted)| {
            Some(ShownLock { table: oid, transaction: owner, who: table.who.get(&owner)?.clone(), granted })
        };
        table.graph.entries().into_iter().filter_map(shown).collect()
    }
}

impl LockHolder {
    /// The transaction's number.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Takes a table, which another may have to let go of first. 40P01 when that could never happen, 55P03 when it does
    /// not happen in time. Dropping the future leaves the queue.
    pub async fn lock(&self, table: Oid, timeout: Option<Duration>) -> Result<()> {
        let Some(turn) = self.ask(table)? else { return Ok(()) };
        let waiting = Waiting(self);
        let told = match timeout {
            Some(limit) => tokio::time::timeout(limit, turn).await.map_err(|_| timed_out())?,
            None => turn.await,
        };
        drop(waiting);
        told.map_err(|_| Error::internal("a lock was passed on to nobody"))
    }

    /// Takes a table if no other transaction has it.
    pub fn try_lock(&self, table: Oid) -> bool {
        let mut locks = self.locks.0.table.lock();
        let taken = locks.graph.take(self.id, table);
        if taken {
            locks.who.entry(self.id).or_insert_with(|| self.who.clone());
        }
        taken
    }

    /// How many tables it holds.
    pub fn count(&self) -> usize {
        self.locks.0.table.lock().graph.count(self.id)
    }

    /// Lets go of what it took after its first `keep` tables.
    pub fn release_after(&self, keep: usize) {
        let mut table = self.locks.0.table.lock();
        for next in table.graph.release(self.id, keep) {
            if let Some(tell) = table.tell.remove(&next) {
                // A waiter that has just gone lets go of the lock when its transaction ends.
                tell.send(()).ok();
            }
        }
    }

    /// None: it is taken. Else what tells that it is.
    fn ask(&self, table: Oid) -> Result<Option<oneshot::Receiver<()>>> {
        let mut locks = self.locks.0.table.lock();
        let waits = match locks.graph.ask(self.id, table) {
            Asked::Held => false,
            Asked::Waits => true,
            Asked::Cycle => return Err(deadlock()),
            Asked::Full => return Err(too_many()),
        };
        locks.who.entry(self.id).or_insert_with(|| self.who.clone());
        Ok(waits.then(|| {
            let (tell, turn) = oneshot::channel();
            locks.tell.insert(self.id, tell);
            turn
        }))
    }
}

impl Drop for LockHolder {
    fn drop(&mut self) {
        self.release_after(0);
        self.locks.0.table.lock().who.remove(&self.id);
    }
}

impl fmt::Debug for LockHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockHolder").field("id", &self.id).field("who", &self.who).finish_non_exhaustive()
    }
}

/// A place in a queue, until it is dropped.
struct Waiting<'a>(&'a LockHolder);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut table = self.0.locks.0.table.lock();
        table.graph.give_up(self.0.id);
        table.tell.remove(&self.0.id);
    }
}

fn deadlock() -> Error {
    Error::new(Kind::Deadlock, "deadlock detected")
        .detail("The transaction that has the table waits for one that this transaction has.")
        .hint("Run the transaction again; take tables in the same order everywhere.")
}

fn timed_out() -> Error {
    Error::new(Kind::LockNotAvailable, "canceling statement due to lock timeout")
}

fn too_many() -> Error {
    let message = format!("{} transactions wait for the table", LockGraph::WAITERS_MAX);
    Error::new(Kind::LimitExceeded, message).hint("Run the statement later.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(locks: &TableLocks) -> LockHolder {
        locks.holder(Who { pid: 1, user: "u".into(), since_ms: 0 })
    }

    #[tokio::test]
    async fn a_waiter_gets_the_lock_when_its_holder_goes() {
        let locks = TableLocks::default();
        let (first, second) = (holder(&locks), holder(&locks));
        first.lock(7, None).await.unwrap();
        assert!(!second.try_lock(7) && second.try_lock(8));
        let waits = tokio::spawn(async move { second.lock(7, None).await.map(|()| second) });
        while locks.shown().iter().all(|lock| lock.granted) {
            tokio::task::yield_now().await;
        }
        drop(first);
        let second = waits.await.unwrap().unwrap();
        assert_eq!(second.count(), 2);
        second.release_after(1);
        assert_eq!(locks.shown().iter().map(|lock| lock.table).collect::<Vec<_>>(), [8]);
        drop(second);
        assert!(locks.shown().is_empty() && locks.0.table.lock().who.is_empty());
    }

    #[tokio::test]
    async fn who_waits_too_long_or_goes_leaves_the_queue() {
        let locks = TableLocks::default();
        let (first, second, third) = (holder(&locks), holder(&locks), holder(&locks));
        first.lock(7, None).await.unwrap();
        let late = second.lock(7, Some(Duration::from_millis(1))).await.unwrap_err();
        assert_eq!(late.kind(), Kind::LockNotAvailable);
        let gone = tokio::time::timeout(Duration::from_millis(1), third.lock(7, None)).await;
        assert!(gone.is_err());
        assert_eq!(locks.shown().len(), 1);
        drop(first);
        assert!(locks.shown().is_empty());
    }

    #[tokio::test]
    async fn a_circle_is_refused_at_once() {
        let locks = TableLocks::default();
        let (first, second) = (holder(&locks), holder(&locks));
        first.lock(7, None).await.unwrap();
        second.lock(8, None).await.unwrap();
        let first = tokio::spawn(async move { first.lock(8, None).await.map(|()| first) });
        while locks.shown().len() < 3 {
            tokio::task::yield_now().await;
        }
        assert_eq!(second.lock(7, None).await.unwrap_err().kind(), Kind::Deadlock);
        drop(second);
        assert_eq!(first.await.unwrap().unwrap().count(), 2);
    }
}
