//! Transactions that only read: BEGIN READ ONLY, SET TRANSACTION, and the session's default.

use super::Session;
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::Statement;
use tidegate_parser::ast::{TransactionAccessMode, TransactionMode};

/// What a block says of itself.
const OWN: &str = "transaction_read_only";
/// What it is when it says nothing.
const DEFAULT: &str = "default_transaction_read_only";

impl Session {
    /// Whether the transaction only reads: a statement by itself goes by the default.
    pub(super) fn is_read_only(&self) -> Result<bool> {
        let name = if self.block.is_idle() { DEFAULT } else { OWN };
        Ok(self.variables.get(name)? == "on")
    }

    /// 25006 for a statement that changes something in a transaction that only reads.
    pub(super) fn refuse_writes(&self, statement: &Statement) -> Result<()> {
        let writes = !statement.is_read_only() && self.is_read_only()?;
        refuse_write(writes, &statement.command_tag())
    }

    /// A block begins: as it says itself, or by the default.
    pub(super) fn begin_access(&mut self, modes: &[TransactionMode]) -> Result<()> {
        let value = self.variables.get(DEFAULT)?;
        self.variables.set(OWN, &value)?;
        self.set_access(OWN, modes)
    }

    /// SET TRANSACTION, of the block; SET SESSION CHARACTERISTICS, of those to come.
    pub(super) fn set_modes(&mut self, modes: &[TransactionMode], session: bool) -> Result<()> {
        self.set_access(if session { DEFAULT } else { OWN }, modes)
    }

    /// The block has ended, and with it what it said of itself.
    pub(super) fn end_access(&mut self) -> Result<()> {
        self.variables.reset(OWN)
    }

    fn set_access(&mut self, name: &str, modes: &[TransactionMode]) -> Result<()> {
        for mode in modes {
            if let TransactionMode::AccessMode(access) = mode {
                let read_only = matches!(access, TransactionAccessMode::ReadOnly);
                self.variables.set(name, if read_only { "on" } else { "off" })?;
            }
        }
        Ok(())
    }
}

/// 25006 in Postgres' words, if it is so.
pub fn refuse_write(refused: bool, what: &str) -> Result<()> {
    match refused {
        true => {
            let message = format!("cannot execute {what} in a read-only transaction");
            Err(Error::new(Kind::ReadOnlyTransaction, message))
        }
        false => Ok(()),
    }
}
