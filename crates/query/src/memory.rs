//! Memory of queries: what all of a node may hold together, and within it what one may.
//!
//! DataFusion's own fair pool gives each operator that can go to disk an equal share, however little the others need: a
//! sort among twenty small operators spills at a twentieth of the limit. Here an operator takes what is free, up to a
//! reserve that is kept for small operators and for those that cannot go to disk.

use datafusion::common::config::{ConfigNonZeroUsize, ConfigOptions};
use datafusion::common::human_readable_size;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{
    MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation, TrackConsumersPool,
};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use parking_lot::Mutex;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use tidegate_core::Settings;

/// Largest holders of memory that an error names.
const HOLDERS_NAMED_MAX: usize = 5;
/// The reserve of a pool is its limit divided by this.
const RESERVE_DIVISOR: usize = 2;
/// A query's own limit, where none is set, is what all may hold divided by this.
const QUERY_DIVISOR: usize = 2;
/// Share of the machine's memory that queries may hold when no limit is set, in percent.
const MACHINE_SHARE_PERCENT: u64 = 60;
/// What is taken for the machine's memory when it does not say.
const MACHINE_UNKNOWN_BYTES: u64 = 4 << 30;
/// Disk that queries may take when no limit is set.
const DISK_BYTES: u64 = 100 << 30;
/// What a sort keeps back for its merge is the limit divided by this, within the bounds below.
const MERGE_DIVISOR: usize = 64;
const MERGE_BYTES_MIN: usize = 512 << 10;
const MERGE_BYTES_MAX: usize = 10 << 20;
/// Sorted files that a merge reads at one time: each of them holds batches in memory.
const MERGED_AT_ONCE_MAX: usize = 8;
/// A batch has a row for so many bytes of the limit, within the bounds below.
const BATCH_ROW_BYTES: usize = 64 << 10;
const BATCH_ROWS_MIN: usize = 512;
const BATCH_ROWS_MAX: usize = 8192;

/// What queries share on a node: memory within `memory_limit`, files in a folder of their own for what does not fit,
/// within `storage_limit`, and caches. What an earlier start left in the folder goes.
pub fn runtime(settings: &Settings, spill: &Path) -> Result<Arc<RuntimeEnv>> {
    match std::fs::remove_dir_all(spill) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => std::fs::create_dir_all(spill)?,
    }
    let asked = usize::try_from(settings.whole("memory_limit")).unwrap_or(0);
    let share = usize::try_from(machine_bytes() / 100 * MACHINE_SHARE_PERCENT).unwrap_or(usize::MAX);
    let pool = Limited::new("memory_limit", if asked == 0 { share } else { asked }, None);
    let disk = DiskManagerBuilder::default()
        .with_mode(DiskManagerMode::Directories(vec![spill.to_path_buf()]))
        .with_max_temp_directory_size(disk_limit(settings))
        .with_max_spill_merge_fan_in(MERGED_AT_ONCE_MAX);
    RuntimeEnvBuilder::new().with_memory_pool(tracked(pool)).with_disk_manager_builder(disk).build_arc()
}

/// Bytes of a node's disk that its queries may take.
pub fn disk_limit(settings: &Settings) -> u64 {
    u64::try_from(settings.whole("storage_limit")).ok().filter(|limit| *limit > 0).unwrap_or(DISK_BYTES)
}

/// Bytes that one query may hold: what its session asks for, else a share of what all may.
pub(crate) fn query_limit(shared: &RuntimeEnv, asked: usize) -> usize {
    match shared.memory_pool.memory_limit() {
        _ if asked > 0 => asked,
        MemoryLimit::Finite(bytes) => bytes / QUERY_DIVISOR,
        _ => usize::MAX,
    }
}

/// The node's runtime with a pool for one query in it.
pub(crate) fn of_query(shared: &RuntimeEnv, limit: usize) -> Result<Arc<RuntimeEnv>> {
    let pool = Limited::new("query_memory_limit", limit, Some(Arc::clone(&shared.memory_pool)));
    RuntimeEnvBuilder::from_runtime_env(shared).with_memory_pool(tracked(pool)).build_arc()
}

/// Makes batches, and what operators keep back, fit a limit.
pub(crate) fn scale(options: &mut ConfigOptions, limit: usize) -> Result<()> {
    let rows = (limit / BATCH_ROW_BYTES).clamp(BATCH_ROWS_MIN, BATCH_ROWS_MAX);
    options.execution.batch_size = ConfigNonZeroUsize::try_new(rows)?;
    options.execution.sort_spill_reservation_bytes = (limit / MERGE_DIVISOR).clamp(MERGE_BYTES_MIN, MERGE_BYTES_MAX);
    Ok(())
}

fn tracked(pool: Limited) -> Arc<dyn MemoryPool> {
    let named = NonZeroUsize::new(HOLDERS_NAMED_MAX).unwrap_or(NonZeroUsize::MIN);
    Arc::new(TrackConsumersPool::new(pool, named))
}

fn machine_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.map_or(MACHINE_UNKNOWN_BYTES, |kib| kib * 1024)
}

/// What is held of a pool, and how many operators that can go to disk take from it.
#[derive(Debug, Clone, Copy, Default)]
struct Held {
    bytes: usize,
    spillers: usize,
}

impl Held {
    /// Whether an operator that has `size` bytes gets `more` of a pool's `limit`.
    fn admits(self, limit: usize, can_spill: bool, size: usize, more: usize) -> bool {
        let reserve = limit / RESERVE_DIVISOR;
        let after = self.bytes.saturating_add(more);
        let is_small = || size.saturating_add(more) <= reserve / self.spillers.max(1);
        after <= limit && (!can_spill || after <= limit - reserve || is_small())
    }
}

/// A pool with a limit that a setting gives, inside another pool or none.
#[derive(Debug)]
struct Limited {
    setting: &'static str,
    limit: usize,
    held: Mutex<Held>,
    within: Option<Arc<dyn MemoryPool>>,
}

impl Limited {
    fn new(setting: &'static str, limit: usize, within: Option<Arc<dyn MemoryPool>>) -> Self {
        Limited { setting, limit, held: Mutex::default(), within }
    }

    fn refusal(&self, reservation: &MemoryReservation, more: usize) -> DataFusionError {
        let (name, more) = (reservation.consumer().name(), human_readable_size(more));
        let limit = human_readable_size(self.limit);
        DataFusionError::ResourcesExhausted(format!("{name} needs {more} more, and {} is {limit}", self.setting))
    }
}

impl MemoryPool for Limited {
    fn name(&self) -> &str {
        self.setting
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.held.lock().spillers += usize::from(consumer.can_spill());
        if let Some(within) = &self.within {
            within.register(consumer);
        }
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        let mut held = self.held.lock();
        held.spillers = held.spillers.saturating_sub(usize::from(consumer.can_spill()));
        drop(held);
        if let Some(within) = &self.within {
            within.unregister(consumer);
        }
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        let mut held = self.held.lock();
        held.bytes = held.bytes.saturating_add(additional);
        drop(held);
        if let Some(within) = &self.within {
            within.grow(reservation, additional);
        }
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        let mut held = self.held.lock();
        held.bytes = held.bytes.saturating_sub(shrink);
        drop(held);
        if let Some(within) = &self.within {
            within.shrink(reservation, shrink);
        }
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let mut held = self.held.lock();
        if !held.admits(self.limit, reservation.consumer().can_spill(), reservation.size(), additional) {
            return Err(self.refusal(reservation, additional));
        }
        held.bytes += additional;
        drop(held);
        let granted = self.within.as_ref().map_or(Ok(()), |within| within.try_grow(reservation, additional));
        granted.inspect_err(|_| {
            let mut held = self.held.lock();
            held.bytes = held.bytes.saturating_sub(additional);
        })
    }

    fn reserved(&self) -> usize {
        self.held.lock().bytes
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.limit)
    }
}

impl fmt::Display for Limited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.setting, human_readable_size(self.limit))
    }
}

/// The engine's report that memory has run out, as one sentence: who asked for how much of which limit, and who holds
/// most.
pub(crate) fn told(message: &str) -> String {
    let reason = message.rsplit("\nError: ").next().unwrap_or(message);
    let report = message.split_once(":\n").map_or("", |(_, rest)| rest.split("\nError: ").next().unwrap_or(rest));
    let holders: Vec<String> = report.lines().filter_map(holder).collect();
    if holders.is_empty() { reason.to_string() } else { format!("{reason}; most is held by {}", holders.join(", ")) }
}

/// `HashJoinInput 30.0 MB` of `  HashJoinInput#7(can spill: false) consumed 30.0 MB, peak 30.0 MB,`; None of who holds
/// nothing.
fn holder(line: &str) -> Option<String> {
    let name = line.trim().split('#').next()?;
    let held = line.split("consumed ").nth(1)?.split(", peak").next()?;
    (!held.starts_with("0.0")).then(|| format!("{name} {held}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_takes_what_is_free_up_to_the_reserve() {
        // Of a limit of 100: bytes held, operators that spill, whether this one does, its bytes, what it asks for.
        let cases = [
            (0, 1, true, 0, 50, true),
            (0, 1, true, 0, 51, false),
            (49, 10, true, 49, 1, true),
            (50, 10, true, 50, 1, false),
            (80, 10, true, 0, 5, true),
            (80, 10, true, 0, 6, false),
            (80, 10, false, 0, 20, true),
            (80, 10, false, 0, 21, false),
            (usize::MAX, 0, false, 0, 1, false),
        ];
        for (bytes, spillers, can_spill, size, more, expected) in cases {
            let held = Held { bytes, spillers };
            assert_eq!(held.admits(100, can_spill, size, more), expected, "{held:?} {can_spill} {size} {more}");
        }
    }

    #[test]
    fn a_query_takes_from_what_all_share_and_gives_it_back() {
        let shared = tracked(Limited::new("memory_limit", 100, None));
        let own = tracked(Limited::new("query_memory_limit", 80, Some(Arc::clone(&shared))));
        let other = MemoryConsumer::new("other").register(&shared);
        other.try_grow(60).unwrap();
        let join = MemoryConsumer::new("join").register(&own);
        join.try_grow(40).unwrap();
        let refused = join.try_grow(1).unwrap_err().to_string();
        assert!(refused.contains("memory_limit is 100.0 B"), "{refused}");
        assert_eq!((own.reserved(), shared.reserved()), (40, 100));
        other.free();
        let refused = join.try_grow(41).unwrap_err().to_string();
        assert!(refused.contains("query_memory_limit is 80.0 B"), "{refused}");
        drop(join);
        assert_eq!((own.reserved(), shared.reserved()), (0, 0));
    }

    #[test]
    fn who_holds_most_is_told() {
        let pool = tracked(Limited::new("query_memory_limit", 100, None));
        let join = MemoryConsumer::new("HashJoinInput").register(&pool);
        let _idle = MemoryConsumer::new("idle").register(&pool);
        join.try_grow(90).unwrap();
        let DataFusionError::ResourcesExhausted(message) = join.try_grow(20).unwrap_err() else { panic!() };
        let expected = "HashJoinInput needs 20.0 B more, and query_memory_limit is 100.0 B; \
            most is held by HashJoinInput 90.0 B";
        assert_eq!(told(&message), expected);
        assert_eq!(told("The used disk space"), "The used disk space");
    }
}
