//! The engine of the server: what all sessions share.

use crate::session::Session;
use datafusion::execution::disk_manager::DiskManagerBuilder;
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::prelude::SessionConfig;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use tidegate_core::{Clock, Error, Kind, Result, Rng, Settings};

/// The one database of a server.
pub const DATABASE: &str = "dev";
/// Largest consumers of memory that an out-of-memory error names.
const CONSUMERS_NAMED_MAX: usize = 5;
/// Share of the machine's memory that queries may hold when no limit is set, in percent.
const MEMORY_SHARE_PERCENT: u64 = 60;
/// What is taken for the machine's memory when it does not say.
const MEMORY_UNKNOWN_BYTES: u64 = 4 << 30;

/// Shared by all sessions; clones are handles on the same engine.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    settings: Settings,
    clock: Clock,
    rng: Rng,
    base: SessionState,
    next_pid: AtomicI32,
}

impl Engine {
    /// An engine with these settings.
    pub fn new(settings: Settings, clock: Clock, rng: Rng) -> Result<Self> {
        let runtime = runtime(&settings).map_err(crate::from_datafusion)?;
        let config =
            SessionConfig::new().with_information_schema(true).with_default_catalog_and_schema(DATABASE, "public");
        let base =
            SessionStateBuilder::new().with_config(config).with_runtime_env(runtime).with_default_features().build();
        let next_pid = AtomicI32::new(1);
        Ok(Engine(Arc::new(Inner { settings, clock, rng, base, next_pid })))
    }

    /// The server-wide settings.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// The clock that all parts share.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The randomness that all parts share.
    pub fn rng(&self) -> &Rng {
        &self.0.rng
    }

    /// The state that each statement's own is cloned from.
    pub(crate) fn base(&self) -> &SessionState {
        &self.0.base
    }

    /// What a user must prove to know: set by `TIDEGATE_ADMIN_PASSWORD_FILE` for `admin`.
    pub fn password_of(&self, user: &str) -> Option<String> {
        if user != "admin" {
            return None;
        }
        let path = std::env::var("TIDEGATE_ADMIN_PASSWORD_FILE").ok()?;
        std::fs::read_to_string(path).ok().map(|text| text.trim_end().to_string())
    }

    /// A session for a client that has proved who it is. 3D000 for a database that is not there.
    pub fn open_session(&self, user: &str, database: &str, startup: Vec<(String, String)>) -> Result<Session> {
        if database != DATABASE {
            return Err(Error::new(Kind::UndefinedDatabase, format!("database \"{database}\" does not exist"))
                .hint(format!("This server has one database: {DATABASE}.")));
        }
        let pid = self.0.next_pid.fetch_add(1, Ordering::Relaxed);
        Session::open(self.clone(), pid, user, startup)
    }
}

fn runtime(settings: &Settings) -> datafusion::error::Result<Arc<RuntimeEnv>> {
    let asked = usize::try_from(settings.whole("query_memory_limit")).unwrap_or(0);
    let share = usize::try_from(machine_memory_bytes() / 100 * MEMORY_SHARE_PERCENT).unwrap_or(usize::MAX);
    let bytes = if asked == 0 { share } else { asked };
    let named = NonZeroUsize::new(CONSUMERS_NAMED_MAX).unwrap_or(NonZeroUsize::MIN);
    let pool = TrackConsumersPool::new(FairSpillPool::new(bytes), named);
    RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(pool))
        .with_disk_manager_builder(DiskManagerBuilder::default())
        .build_arc()
}

fn machine_memory_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.map_or(MEMORY_UNKNOWN_BYTES, |kib| kib * 1024)
}
