//! A transaction: an overlay on one version of the state. It reads its own changes; a savepoint is a copy of it.

use crate::catalog::{Catalog, Receipt};
use crate::change::{AddedRows, Change};
use crate::locks::{LockHolder, Who};
use crate::object::Oid;
use crate::snapshots::Snapshot;
use crate::state::{State, conflict};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tidegate_core::Result;

/// Changes on top of one version of the state, and the tables that it alone may change. Dropping it forgets them; its
/// copies share the locks.
#[derive(Debug, Clone)]
pub struct Transaction {
    // Pins what the state names for as long as the transaction, or a result of it, lives.
    base: Arc<State>,
    snapshot: Arc<Snapshot>,
    view: Arc<State>,
    changes: Vec<Change>,
    locks: Arc<LockHolder>,
    /// How many locks it had when it was last used: what a savepoint goes back to.
    locked: usize,
    /// The tables that it sees as they lay when it locked them.
    adopted: BTreeSet<Oid>,
}

impl Transaction {
    /// On the state as it stands now.
    pub fn begin(catalog: &Catalog, who: Who) -> Self {
        let snapshot = Arc::new(catalog.snapshot());
        let (base, view) = (Arc::clone(snapshot.state()), Arc::clone(snapshot.state()));
        let locks = Arc::new(catalog.locks().holder(who));
        Transaction { base, snapshot, view, changes: Vec::new(), locks, locked: 0, adopted: BTreeSet::new() }
    }

    /// The state as this transaction sees it. Records it has put into streams are not in it: they get their places
    /// when it commits.
    pub fn state(&self) -> &Arc<State> {
        &self.view
    }

    /// The version it stands on. Whoever holds it keeps the files that it names.
    pub fn base(&self) -> &Arc<State> {
        &self.base
    }

    /// Whether nothing has been changed.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Stands on a newer version, with its locks and without its changes.
    pub fn begin_again(&mut self, snapshot: Snapshot) {
        self.snapshot = Arc::new(snapshot);
        self.base = Arc::clone(self.snapshot.state());
        self.view = Arc::clone(&self.base);
        self.changes.clear();
        self.adopted.clear();
    }

    /// Takes a table, or waits for it: 40P01, 55P03.
    pub async fn lock(&mut self, table: Oid, timeout: Option<Duration>) -> Result<()> {
        let taken = self.locks.lock(table, timeout).await;
        self.locked = self.locks.count();
        taken
    }

    /// Takes a table if no other transaction has it.
    pub fn try_lock(&mut self, table: Oid) -> bool {
        let taken = self.locks.try_lock(table);
        self.locked = self.locks.count();
        taken
    }

    /// Sees a table that it has just locked in the parts in which its rows lie now, whatever upkeep has made of them
    /// since it began. 40001 when another transaction has removed rows since, or has changed the definition: the first
    /// to change wins.
    pub fn adopt(&mut self, newest: &State, table: Oid) -> Result<()> {
        if self.adopted.contains(&table) {
            return Ok(());
        }
        let Some(seen) = self.base.relation(table) else { return Ok(()) };
        let same = newest.relation(table).is_some_and(|now| now.revision == seen.revision);
        let (Some(before), Some(now)) = (self.base.files(table), newest.files(table)) else {
            return Err(conflict("the table has been dropped by another transaction"));
        };
        if !same || now.removed > self.base.position {
            return Err(conflict("could not serialize access due to a concurrent update"));
        }
        let mut view = State::clone(&self.view);
        view.on_table(table, |own| *own = own.laid_out_as(now, before, self.base.position));
        self.view = Arc::new(view);
        self.adopted.insert(table);
        Ok(())
    }

    /// Goes back to a copy of itself: what was changed or locked since is let go of.
    pub fn go_back_to(&mut self, copy: &Transaction) {
        *self = copy.clone();
        self.locks.release_after(self.locked);
    }

    /// Adds changes, which must be possible on what the transaction sees; either all of them or none.
    pub fn push(&mut self, changes: Vec<Change>) -> Result<()> {
        let mut view = State::clone(&self.view);
        let mut pushed = Vec::with_capacity(changes.len());
        for change in changes {
            view.check(&change)?;
            pushed.extend(made_for(&view, &change));
            view.apply(&change, view.position);
            pushed.push(change);
        }
        self.view = Arc::new(view);
        self.changes.extend(pushed);
        Ok(())
    }

    /// Commits, and then lets go of the locks. 40001 when another transaction was first.
    pub async fn commit(self, catalog: &Catalog) -> Result<Receipt> {
        if self.changes.is_empty() {
            return Ok(Receipt::default());
        }
        catalog.commit(self.changes).await
    }
}

/// Of new rows: which columns they were made for.
fn made_for(view: &State, change: &Change) -> Option<Change> {
    let (Change::AddFiles { table, .. } | Change::AddRows(AddedRows { table, .. })) = change else { return None };
    let columns = view.relation(*table)?.columns_made();
    Some(Change::MadeFor { table: *table, columns })
}
