//! A transaction: an overlay on one version of the state. It reads its own changes; a savepoint is a copy of it.

use crate::catalog::{Catalog, Receipt};
use crate::change::Change;
use crate::state::State;
use std::sync::Arc;
use tidegate_core::Result;

/// Changes on top of one version of the state. Dropping it forgets them.
#[derive(Debug, Clone)]
pub struct Transaction {
    // Pins what the state names for as long as the transaction, or a result of it, lives.
    base: Arc<State>,
    view: Arc<State>,
    changes: Vec<Change>,
}

impl Transaction {
    /// On this version of the state.
    pub fn new(base: Arc<State>) -> Self {
        Transaction { view: Arc::clone(&base), base, changes: Vec::new() }
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

    /// Adds changes, which must be possible on what the transaction sees; either all of them or none.
    pub fn push(&mut self, changes: Vec<Change>) -> Result<()> {
        let mut view = State::clone(&self.view);
        for change in &changes {
            view.check(change)?;
            view.apply(change, view.position);
        }
        self.view = Arc::new(view);
        self.changes.extend(changes);
        Ok(())
    }

    /// Commits. 40001 when another transaction was first.
    pub async fn commit(self, catalog: &Catalog) -> Result<Receipt> {
        if self.changes.is_empty() {
            return Ok(Receipt::default());
        }
        catalog.commit(self.changes).await
    }
}
