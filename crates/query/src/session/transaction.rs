//! The session's transaction: opened, locked, committed and gone back in.

use super::Session;
use crate::block::Mark;
use crate::dispatch::done;
use crate::locking;
use crate::outcome::{Outcome, TxStatus};
use std::time::Duration;
use tidegate_catalog::{Transaction, Who};
use tidegate_core::{Error, Kind, Result, millis};
use tidegate_parser::{Statement, ast};

/// Times that a name may turn out to be another table's once the one it was has been waited for.
const LOCK_TRIES_MAX: usize = 100;

impl Session {
    /// Commits what stands outside of a block.
    pub(super) async fn commit_implicit(&mut self) -> Result<()> {
        match self.block.is_idle() {
            true => self.commit().await,
            false => Ok(()),
        }
    }

    /// Commits. In a task of its own: a client that goes away must not stop it between the log and the export.
    pub(super) async fn commit(&mut self) -> Result<()> {
        if let Some(transaction) = self.block.take().filter(|transaction| !transaction.is_empty()) {
            self.commit_changes(transaction).await?;
        }
        self.mail.commit();
        Ok(())
    }

    async fn commit_changes(&mut self, transaction: Transaction) -> Result<()> {
        for service in self.engine.services() {
            service.committing(&self.engine, &self.user, self.pid, &transaction).await?;
        }
        let catalog = self.engine.catalog().clone();
        let commit = tokio::spawn(async move { transaction.commit(&catalog).await });
        let receipt = commit.await.map_err(Error::internal)??;
        for warning in receipt.warnings {
            self.warn("01000", &warning);
        }
        Ok(())
    }

    /// 25P02 for everything but the end of a failed block.
    pub(super) fn refuse_after_failure(&self, statement: &Statement) -> Result<()> {
        let ends = matches!(statement, Statement::Sql(sql)
            if matches!(sql.as_ref(), ast::Statement::Rollback { .. } | ast::Statement::Commit { .. }));
        if self.status() != TxStatus::Failed || ends {
            return Ok(());
        }
        let message = "current transaction is aborted, commands ignored until end of transaction block";
        Err(Error::new(Kind::FailedTransaction, message).hint("ROLLBACK ends the block."))
    }

    /// Opens a transaction unless one is open. Whether it did.
    pub(super) fn open_transaction(&mut self) -> bool {
        let Session { engine, pid, user, block, .. } = self;
        let since_ms = engine.clock().now_ms();
        block.open(engine.catalog(), || Who { pid: *pid, user: user.clone(), since_ms })
    }

    /// Takes the tables that a statement must have for itself. The first statement of a transaction sees what stands
    /// when it has them; a later one must find them as the transaction began: 40001.
    pub(super) async fn lock(&mut self, statement: &Statement, first: bool) -> Result<()> {
        if let Statement::Sql(sql) = statement
            && let ast::Statement::Lock(lock) = sql.as_ref()
        {
            locking::check_lock(lock, &self.scope()?, !self.block.is_idle())?;
        }
        let timeout = self.lock_timeout();
        let mut tables = locking::tables(statement, &self.scope()?);
        for _ in 0..LOCK_TRIES_MAX {
            let scope = self.scope()?;
            let transaction = self.block.open_transaction()?;
            for table in &tables {
                if locking::is_impatient(statement) && !transaction.try_lock(*table) {
                    return Err(locking::taken(&scope, *table));
                }
                transaction.lock(*table, timeout).await?;
            }
            if !first {
                let newest = self.engine.catalog().state();
                return tables.iter().try_for_each(|table| transaction.adopt(&newest, *table));
            }
            transaction.begin_again(self.engine.catalog().snapshot());
            let now = locking::tables(statement, &self.scope()?);
            if now.is_subset(&tables) {
                return Ok(());
            }
            tables = now;
        }
        Err(Error::new(Kind::Conflict, "the tables are being renamed all the time").hint("Run the statement again."))
    }

    fn lock_timeout(&self) -> Option<Duration> {
        let ms = self.variables.get("lock_timeout").ok().and_then(|value| millis(&value));
        ms.and_then(|ms| u64::try_from(ms).ok()).filter(|ms| *ms > 0).map(Duration::from_millis)
    }

    pub(super) fn begin(&mut self, modes: &[ast::TransactionMode]) -> Result<Outcome> {
        match self.block.begin() {
            true => self.warn("25001", "there is already a transaction in progress"),
            false => self.begin_access(modes)?,
        }
        Ok(done("BEGIN"))
    }

    pub(super) async fn end(&mut self, commit: bool) -> Result<Outcome> {
        // As in Postgres: the COMMIT of a failed block is a ROLLBACK, and says so.
        let commit = commit && self.status() != TxStatus::Failed;
        if self.block.is_idle() {
            self.warn("25P01", "there is no transaction in progress");
        }
        self.cursors.end_transaction();
        self.block.leave();
        self.end_access()?;
        if commit {
            self.commit().await?;
        }
        self.block.take();
        self.mail.outbox().truncate(0);
        Ok(done(if commit { "COMMIT" } else { "ROLLBACK" }))
    }

    /// What a savepoint goes back to, beside the transaction.
    pub(super) fn mark(&self) -> Mark {
        Mark { cursors: self.cursors.declared(), actions: self.mail.outbox().len() }
    }

    pub(super) fn rollback_to(&mut self, name: &str) -> Result<Outcome> {
        let mark = self.block.rollback_to(name)?;
        self.cursors.close_since(mark.cursors);
        self.mail.outbox().truncate(mark.actions);
        Ok(done("ROLLBACK"))
    }
}
