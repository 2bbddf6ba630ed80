//! A session's transaction: opened by a statement, kept by BEGIN, gone back to savepoints, ended.

use crate::outcome::TxStatus;
use tidegate_catalog::{Catalog, Transaction, Who};
use tidegate_core::{Error, Kind, Result};

/// Most savepoints of one transaction.
const SAVEPOINTS_MAX: usize = 1000;

/// Where a session stands, and the transaction that it works in.
pub struct Block {
    status: TxStatus,
    /// Open in a block, between the statements of one script, and while a COPY takes its rows.
    transaction: Option<Transaction>,
    savepoints: Vec<Savepoint>,
}

/// A name, and what stood then.
struct Savepoint {
    name: String,
    /// None: no statement had run yet.
    copy: Option<Transaction>,
    mark: Mark,
}

/// What else a savepoint goes back to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mark {
    /// Cursors declared until then.
    pub cursors: u64,
    /// What was to be done at the commit until then.
    pub actions: usize,
}

impl Default for Block {
    fn default() -> Self {
        Block { status: TxStatus::Idle, transaction: None, savepoints: Vec::new() }
    }
}

impl Block {
    /// Where the session stands.
    pub fn status(&self) -> TxStatus {
        self.status
    }

    /// Whether it is outside of a block.
    pub fn is_idle(&self) -> bool {
        self.status == TxStatus::Idle
    }

    /// The open transaction.
    pub fn transaction(&self) -> Option<&Transaction> {
        self.transaction.as_ref()
    }

    /// The open transaction, which a statement must have opened.
    pub fn open_transaction(&mut self) -> Result<&mut Transaction> {
        self.transaction.as_mut().ok_or_else(|| Error::internal("no transaction is open"))
    }

    /// Opens a transaction unless one is open. Whether it did.
    pub fn open(&mut self, catalog: &Catalog, who: impl FnOnce() -> Who) -> bool {
        let first = self.transaction.is_none();
        self.transaction.get_or_insert_with(|| Transaction::begin(catalog, who()));
        first
    }

    /// BEGIN. Whether a block was open already.
    pub fn begin(&mut self) -> bool {
        let again = self.status == TxStatus::InBlock;
        self.status = TxStatus::InBlock;
        again
    }

    /// A statement has failed, and with it the block it stands in: only what a savepoint may go back to is kept, so that
    /// others need not wait for the tables of a block that can only be rolled back.
    pub fn fail(&mut self) {
        match self.status {
            TxStatus::InBlock => {
                self.status = TxStatus::Failed;
                self.restore_last();
            }
            TxStatus::Idle => self.transaction = None,
            TxStatus::Failed => {}
        }
    }

    /// A statement outside of a block has failed.
    pub fn forget_if_idle(&mut self) {
        if self.is_idle() {
            self.transaction = None;
        }
    }

    /// The block is over, and its transaction is still to be committed or forgotten.
    pub fn leave(&mut self) {
        self.status = TxStatus::Idle;
    }

    /// The transaction, to be committed or forgotten.
    pub fn take(&mut self) -> Option<Transaction> {
        self.savepoints.clear();
        self.transaction.take()
    }

    /// SAVEPOINT.
    pub fn savepoint(&mut self, name: String, mark: Mark) -> Result<()> {
        if self.is_idle() {
            return Err(Error::new(Kind::NoTransaction, "SAVEPOINT can only be used in transaction blocks"));
        }
        if self.savepoints.len() >= SAVEPOINTS_MAX {
            let message = format!("a transaction has {SAVEPOINTS_MAX} savepoints at most");
            return Err(Error::new(Kind::LimitExceeded, message).hint("RELEASE those that are not needed."));
        }
        self.savepoints.push(Savepoint { name, copy: self.transaction.clone(), mark });
        Ok(())
    }

    /// ROLLBACK TO. What stood then.
    pub fn rollback_to(&mut self, name: &str) -> Result<Mark> {
        let index = self.savepoint_index(name)?;
        self.savepoints.truncate(index + 1);
        self.restore_last();
        self.status = TxStatus::InBlock;
        Ok(self.savepoints.last().map_or_else(Mark::default, |savepoint| savepoint.mark))
    }

    /// RELEASE.
    pub fn release(&mut self, name: &str) -> Result<()> {
        let index = self.savepoint_index(name)?;
        self.savepoints.truncate(index);
        Ok(())
    }

    fn restore_last(&mut self) {
        match (&mut self.transaction, self.savepoints.last().and_then(|savepoint| savepoint.copy.as_ref())) {
            (Some(now), Some(copy)) => now.go_back_to(copy),
            (now, copy) => *now = copy.cloned(),
        }
    }

    fn savepoint_index(&self, name: &str) -> Result<usize> {
        let missing = || Error::new(Kind::UndefinedSavepoint, format!("savepoint \"{name}\" does not exist"));
        self.savepoints.iter().rposition(|own| own.name == name).ok_or_else(missing)
    }
}
