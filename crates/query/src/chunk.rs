//! Work that is cut into chunks, any of which any node can do, and do again: COPY of many files.

use crate::engine::with_functions;
use async_trait::async_trait;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionConfig;
use std::sync::Arc;
use tidegate_core::{Clock, Error, Result, Rng};
use tidegate_storage::Stores;
use tokio_util::sync::CancellationToken;

/// Reads parts of plans that have travelled.
pub trait PlanReader: Send + Sync {
    /// A part as a plan of this node, its object stores opened.
    fn read(&self, piece: &str, session: &SessionState) -> Result<Arc<dyn ExecutionPlan>>;
}

/// What a node does its chunks with.
#[derive(Clone)]
pub struct Bench {
    /// Where objects lie.
    pub stores: Arc<Stores>,
    /// Memory, disk and caches.
    pub runtime: Arc<RuntimeEnv>,
    /// The node's clock.
    pub clock: Clock,
    /// The node's randomness.
    pub rng: Rng,
    /// What parts of queries become.
    pub plans: Arc<dyn PlanReader>,
}

impl Bench {
    /// A session for reading files, in a time zone.
    pub fn session(&self, timezone: &str) -> Result<SessionState> {
        let mut config = SessionConfig::new();
        config.options_mut().execution.time_zone = Some(timezone.to_string());
        let builder = SessionStateBuilder::new().with_config(config).with_runtime_env(Arc::clone(&self.runtime));
        with_functions(builder.with_default_features().build())
    }
}

/// Does the chunks of one kind of work. It leaves nothing behind where it fails or is cancelled.
#[async_trait]
pub trait ChunkWork: Send + Sync {
    /// The word for the kind.
    fn kind(&self) -> &'static str;
    /// Does a chunk; gives what the leader is to know of it.
    async fn perform(&self, bench: &Bench, chunk: &str, stop: &CancellationToken) -> Result<String>;
}

/// How the chunks of a piece of work went.
#[derive(Debug)]
pub struct Performed {
    /// What they gave, in their order; None for one that was not done.
    pub answers: Vec<Option<String>>,
    /// Attempts in all.
    pub attempts: usize,
    /// Nodes that have done some.
    pub nodes: usize,
    /// Why they are not all done.
    pub error: Option<Error>,
}
