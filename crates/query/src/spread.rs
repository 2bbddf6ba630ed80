//! Queries that other nodes take part in. Without other nodes everything runs here, by the same code.

use crate::chunk::Performed;
use async_trait::async_trait;
use datafusion::error::DataFusionError;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionConfig;
use std::sync::Arc;
use tidegate_core::Result;
use tokio_util::sync::CancellationToken;

/// Spreads plans over nodes.
#[async_trait]
pub trait Spread: Send + Sync {
    /// Makes the base of all statements' states able to plan for other nodes. Called once.
    fn prepare(&self, base: SessionStateBuilder, runtime: &Arc<RuntimeEnv>) -> Result<SessionStateBuilder>;
    /// Whether there are other nodes now.
    fn is_on(&self) -> bool;
    /// Puts into a statement's configuration how it is planned: for all nodes if it may be, with another task for so
    /// many bytes of a scan; or, without, for this node alone.
    fn plan_for(&self, config: &mut SessionConfig, plan: &LogicalPlan, task_bytes: Option<usize>);
    /// Puts in what the other nodes need in order to run what has been planned with it.
    fn equip(&self, config: &mut SessionConfig) -> Result<()>;
    /// Cuts a plan that looks at one row at a time into parts of about so many bytes of its files. None: it is another
    /// plan, or too small.
    fn pieces(&self, plan: &Arc<dyn ExecutionPlan>, bytes: usize) -> Result<Option<Vec<String>>>;
    /// Has chunks of work done by all nodes: each by one of them, and by another where that one is lost. 57014 when it
    /// is told to stop. However it ends, this node does nothing of it any more; others are told to stop.
    async fn perform(&self, kind: &str, chunks: Vec<String>, stop: &CancellationToken) -> Performed;
    /// How many nodes have been lost so far.
    fn losses(&self) -> u64;
    /// Whether a query that failed before its first row failed for a node that is no longer there: one that was lost
    /// since it began, or that does not answer now.
    async fn lost_a_node(&self, since: u64, error: &DataFusionError) -> bool;
    /// What a client is told of a failure after the first row.
    fn told(&self, error: DataFusionError) -> DataFusionError;
}
