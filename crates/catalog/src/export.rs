//! What the catalog asks of the writer of the tables' open format: the bytes of a version, and that they be written.

use crate::change::Change;
use crate::object::Oid;
use crate::state::State;
use async_trait::async_trait;
use std::sync::Arc;
use tidegate_core::Result;

/// Writes the Delta logs of managed tables.
#[async_trait]
pub trait Exporter: Send + Sync {
    /// The exact bytes of the next version of a table's log: what `changes` made of `before`. `after` has them applied.
    /// None when the table is gone or they do not concern it.
    fn render(&self, table: Oid, before: &State, after: &State, changes: &[Change]) -> Result<Option<Arc<str>>>;

    /// Writes the versions of a table that wait in the outbox, in order. Gives the last that is written.
    async fn write(&self, table: Oid, state: &State) -> Result<Option<u64>>;
}
