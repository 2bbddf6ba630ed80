//! The keeper: turns the tails of tables into files, and small files into larger ones, by itself and when a user asks.

use crate::sink::FileSink;
use crate::sort_key::Key;
use crate::table::ManagedTable;
use crate::{analyze, compaction};
use futures::StreamExt;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tidegate_catalog::{Change, DataFile, LockHolder, Oid, Part, Relation, TableFiles, TableSpec, Who};
use tidegate_core::{Kind, Result, Settings};
use tidegate_parser::VacuumMode;
use tidegate_query::{Engine, Planner, Scope, TableSink, from_datafusion};
use tidegate_storage::fault;
use tokio_util::sync::CancellationToken;

/// How often tables are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Share of sorted rows with which VACUUM is content, in percent, as in Redshift.
const SORTED_PERCENT: u64 = 95;
/// Share of sorted rows below which a table is sorted by itself.
const AUTO_SORTED_PERCENT: u64 = 80;
/// Most bytes that are sorted at once by itself.
const AUTO_SORT_BYTES_MAX: u64 = 256 << 20;

/// Looks after the tables of a server; clones are the same.
#[derive(Clone)]
pub struct Keeper(Arc<Inner>);

struct Inner {
    engine: Engine,
    /// One table at a time: what is rewritten by two would be kept of one.
    working: tokio::sync::Mutex<()>,
    /// The versions of tables that have been looked at.
    seen: parking_lot::Mutex<HashMap<Oid, u64>>,
}

impl Keeper {
    /// For the tables that an engine knows.
    pub fn new(engine: Engine) -> Self {
        Keeper(Arc::new(Inner { engine, working: Default::default(), seen: Default::default() }))
    }

    /// Does what is due until the token is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(LOOK_INTERVAL)).await.is_some() {
            let now_ms = self.0.engine.clock().now_ms();
            let policy = Policy::of(self.0.engine.settings(), self.0.engine.catalog().state().table_tail_bytes());
            for table in self.tables(|table| policy.is_due(table, now_ms)) {
                if let Err(error) = self.flush(table).await {
                    tracing::warn!(table, %error, "the tail of a table could not be flushed; the log has it");
                }
            }
            if self.0.engine.settings().is_on("auto_vacuum") {
                self.vacuum_due().await;
            }
            if self.0.engine.settings().is_on("auto_analyze") {
                self.analyze(now_ms).await;
            }
        }
    }

    /// What VACUUM does, where it is due.
    async fn vacuum_due(&self) {
        for table in self.tables(|table| compaction::due(&files_of(table, u64::MAX)).is_some()) {
            if let Err(error) = self.compact(table).await {
                tracing::warn!(table, %error, "the small files of a table could not be put together");
            }
        }
        for table in self.changed() {
            if let Err(error) = self.sort(table, AUTO_SORTED_PERCENT, false, AUTO_SORT_BYTES_MAX).await {
                tracing::warn!(table, %error, "the rows of a table could not be sorted");
            }
        }
    }

    /// ANALYZE of a table that has changed much, one at a time.
    async fn analyze(&self, now_ms: i64) {
        let due = self.tables(|table| analyze::is_due_by_itself(table, now_ms));
        let state = self.0.engine.catalog().state();
        let Some((relation, _)) = due.first().and_then(|table| state.table(*table)) else { return };
        if let Err(error) = analyze::auto_analyze(&self.0.engine, relation).await {
            tracing::warn!(table = %relation.name, %error, "a table could not be analyzed");
        }
    }

    /// VACUUM, of all tables or of one.
    pub async fn vacuum(&self, table: Option<Oid>, mode: VacuumMode, percent: Option<u64>) -> Result<()> {
        let percent = percent.unwrap_or(SORTED_PERCENT);
        let tables = table.map_or_else(|| self.tables(|_| true), |table| vec![table]);
        for table in tables {
            self.flush(table).await?;
            if mode != VacuumMode::DeleteOnly {
                self.sort(table, percent, mode == VacuumMode::Reindex, u64::MAX).await?;
            }
            if mode != VacuumMode::SortOnly {
                self.merge(table).await?;
            }
        }
        Ok(())
    }

    /// Sorts what lies outside of a table's sorted region, if less than so many percent of its rows are inside; with
    /// `all`, every row. Not more than some bytes at once.
    async fn sort(&self, table: Oid, percent: u64, all: bool, bytes_max: u64) -> Result<()> {
        let _alone = self.0.working.lock().await;
        let Some(_lock) = self.lock(table) else { return Ok(()) };
        let (state, settled) = self.0.engine.catalog().settled();
        let (Some((relation, spec)), Some(files)) = (state.table(table), state.files(table)) else { return Ok(()) };
        let Some(key) = Key::of(relation, spec) else { return Ok(()) };
        let files = files_of(files, settled);
        let wanted = if all { files.iter().map(|file| file.id).collect() } else { key.to_sort(&files, percent) };
        let files: Vec<_> = files.into_iter().filter(|file| wanted.contains(&file.id)).collect();
        if files.is_empty() || files.iter().map(|file| file.bytes).sum::<u64>() > bytes_max {
            return Ok(());
        }
        self.rewrite(relation, spec, files.into_iter().map(Part::File).collect()).await
    }

    /// Puts all small files of a table together.
    async fn merge(&self, table: Oid) -> Result<()> {
        let _alone = self.0.working.lock().await;
        let Some(_lock) = self.lock(table) else { return Ok(()) };
        let (state, settled) = self.0.engine.catalog().settled();
        let (Some((relation, spec)), Some(files)) = (state.table(table), state.files(table)) else { return Ok(()) };
        let mut files = files_of(files, settled);
        if let Some(key) = Key::of(relation, spec) {
            files = key.arranged(files);
        }
        for group in compaction::all(&files) {
            self.rewrite(relation, spec, group.into_iter().map(Part::File).collect()).await?;
        }
        Ok(())
    }

    /// Puts files together that have become many.
    async fn compact(&self, table: Oid) -> Result<()> {
        let _alone = self.0.working.lock().await;
        let Some(_lock) = self.lock(table) else { return Ok(()) };
        let (state, settled) = self.0.engine.catalog().settled();
        let (Some((relation, spec)), Some(files)) = (state.table(table), state.files(table)) else { return Ok(()) };
        match compaction::due(&files_of(files, settled)) {
            Some(group) => self.rewrite(relation, spec, group.into_iter().map(Part::File).collect()).await,
            None => Ok(()),
        }
    }

    /// Flushes every tail.
    pub async fn flush_all(&self) -> Result<()> {
        for table in self.tables(|table| !table.tail.is_empty()) {
            self.flush(table).await?;
        }
        Ok(())
    }

    /// The tables of several files whose files have changed since this was last asked.
    fn changed(&self) -> Vec<Oid> {
        let state = self.0.engine.catalog().state();
        let mut seen = self.0.seen.lock();
        let now: HashMap<Oid, u64> = state.all_files().map(|(table, files)| (table, files.version)).collect();
        let before = std::mem::replace(&mut *seen, now);
        let is_new = |table: Oid, version: u64| before.get(&table) != Some(&version);
        let several = state.all_files().filter(|(_, files)| files.files.len() > 1);
        several.filter(|(table, files)| is_new(*table, files.version)).map(|(table, _)| table).collect()
    }

    fn tables(&self, wanted: impl Fn(&TableFiles) -> bool) -> Vec<Oid> {
        let state = self.0.engine.catalog().state();
        state.all_files().filter(|(_, files)| wanted(files)).map(|(table, _)| table).collect()
    }

    /// Flushes a table's tail, as far as every open block sees it.
    pub async fn flush(&self, table: Oid) -> Result<()> {
        let _alone = self.0.working.lock().await;
        let Some(_lock) = self.lock(table) else { return Ok(()) };
        let (state, settled) = self.0.engine.catalog().settled();
        let (Some((relation, spec)), Some(files)) = (state.table(table), state.files(table)) else { return Ok(()) };
        let tail = files.tail.values().filter(|rows| rows.added <= settled);
        let parts: Vec<Part> = tail.cloned().map(Part::Tail).collect();
        if parts.is_empty() {
            return Ok(());
        }
        self.rewrite(relation, spec, parts).await
    }

    /// Takes a table. None: a user has it, and comes first.
    fn lock(&self, table: Oid) -> Option<LockHolder> {
        let engine = &self.0.engine;
        let who = Who { pid: 0, user: "admin".to_string(), since_ms: engine.clock().now_ms() };
        engine.catalog().locks().try_lock(table, who)
    }

    /// Writes files that hold the rows of some parts, and puts them in their place. Whoever changes the table meanwhile
    /// is first.
    async fn rewrite(&self, relation: &Relation, spec: &TableSpec, parts: Vec<Part>) -> Result<()> {
        let engine = &self.0.engine;
        let ids = parts.iter().map(Part::id).collect();
        let mut sink = Box::new(FileSink::for_files(engine, relation, spec)?);
        match self.copy(relation, spec, parts, sink.as_mut()).await {
            Ok(true) => {}
            other => {
                sink.abort().await;
                return other.map(|_| ());
            }
        }
        let files = sink.files().await?;
        fault::point("table.rewritten")?;
        let rewrite = Change::Rewrite { table: relation.oid, parts: ids, files: files.clone() };
        let committed = engine.catalog().commit(vec![rewrite]).await;
        fault::point("table.flushed")?;
        match committed {
            Err(error) if error.kind() == Kind::Conflict => {
                self.forget(spec, &files).await;
                Ok(())
            }
            Err(error) => Err(error),
            Ok(_) => Ok(()),
        }
    }

    /// Copies rows into a sink. False: a user waits for the table, and the work is for nothing.
    async fn copy(&self, relation: &Relation, spec: &TableSpec, parts: Vec<Part>, sink: &mut FileSink) -> Result<bool> {
        // One thread: it gives way to users, and keeps the order of the parts.
        let scope = self.0.engine.system_scope(self.0.engine.catalog().state());
        let planner = Planner::new(&Scope { partitions: 1, ..scope })?;
        let table = ManagedTable::of_parts(&self.0.engine, relation, spec, parts, false)?;
        let mut rows = table.read(&planner).await?;
        while let Some(batch) = rows.next().await {
            sink.write(batch.map_err(from_datafusion)?).await?;
            if self.0.engine.catalog().locks().is_wanted(relation.oid) {
                return Ok(false);
            }
        }
        fault::point("table.copied")?;
        Ok(true)
    }

    /// Removes files that joined no table.
    async fn forget(&self, spec: &TableSpec, files: &[DataFile]) {
        for file in files {
            let url = format!("{}/{}", spec.location, file.path);
            if let Err(error) = self.0.engine.stores().remove(&url).await {
                tracing::warn!(%error, url, "a file that joined no table could not be removed");
            }
        }
    }
}

/// A table's files, of what was added up to a position.
fn files_of(table: &TableFiles, settled: u64) -> Vec<Arc<DataFile>> {
    table.files.values().filter(|file| file.added <= settled).cloned().collect()
}

/// When a tail is flushed.
#[derive(Debug, Clone, Copy)]
struct Policy {
    /// Age of its first rows, in milliseconds.
    age_ms: i64,
    /// Its size.
    bytes: u64,
}

impl Policy {
    /// By the settings, and earlier when all tails together come near the memory at which they take no more.
    fn of(settings: &Settings, tail_bytes: usize) -> Self {
        let crowded = tail_bytes as u64 > settings.mebibytes("table_tail_mb_max") / 2;
        let bytes = if crowded { 1 } else { settings.mebibytes("table_flush_mb") };
        Policy { age_ms: settings.whole("table_flush_interval_ms"), bytes }
    }

    fn is_due(&self, table: &TableFiles, now_ms: i64) -> bool {
        let first_ms = table.tail.values().map(|rows| rows.arrival_ms).min();
        first_ms.is_some_and(|first_ms| first_ms <= now_ms - self.age_ms || table.tail_bytes() as u64 >= self.bytes)
    }
}
