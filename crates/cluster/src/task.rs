//! The session in which a node runs its part of a query.

use crate::channel::Channels;
use crate::chunks::Works;
use crate::codec::Codec;
use crate::pieces::Reader;
use crate::stores;
use async_trait::async_trait;
use datafusion::common::Result as EngineResult;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::SessionState;
use datafusion_distributed::{
    DistributedExt, Worker, WorkerPlanRewriteEvent, WorkerPlanRewriteEventResponse, WorkerQueryContext,
    WorkerSessionBuilder,
};
use http::HeaderMap;
use http::{HeaderName, HeaderValue};
use std::collections::HashSet;
use std::sync::Arc;
use tidegate_core::{Clock, Error, Result, Rng};
use tidegate_query::formats::settle;
use tidegate_query::with_functions;
use tidegate_query::{Bench, ChunkWork, carried};
use tidegate_storage::Stores;

/// The time zone of the query's session.
const TIME_ZONE: HeaderName = HeaderName::from_static("x-tidegate-time-zone");

/// This build: plans are no stable format, so only equals work together.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What all tasks of a node share.
#[derive(Clone)]
pub struct Tasks {
    /// Where objects lie.
    pub stores: Arc<Stores>,
    /// Memory, disk and caches.
    pub runtime: Arc<RuntimeEnv>,
    /// Connections to other nodes.
    pub channels: Channels,
    /// What travels.
    pub codec: Codec,
}

impl Tasks {
    /// Of a node.
    pub fn new(stores: Arc<Stores>, runtime: Arc<RuntimeEnv>, channels: Channels) -> Result<Self> {
        Ok(Tasks { stores, runtime, channels, codec: Codec::new(functions()?) })
    }

    /// The distributed engine's worker for them.
    pub fn worker(&self) -> Worker {
        Worker::from_session_builder(self.clone()).with_runtime_env(Arc::clone(&self.runtime)).with_version(VERSION)
    }

    /// What does chunks of work here.
    pub fn works(&self, clock: Clock, rng: Rng, works: Vec<Arc<dyn ChunkWork>>) -> Works {
        let plans = Arc::new(Reader { codec: self.codec.clone(), stores: Arc::clone(&self.stores) });
        let bench = Bench { stores: Arc::clone(&self.stores), runtime: Arc::clone(&self.runtime), clock, rng, plans };
        Works::new(bench, works)
    }

    fn state(&self, context: WorkerQueryContext) -> Result<SessionState> {
        stores::open(&context.headers, &self.stores, &self.runtime)?;
        let mut builder = context.builder;
        let config = builder.config().get_or_insert_default();
        let zone = context.headers.get(TIME_ZONE).and_then(|zone| zone.to_str().ok());
        config.options_mut().execution.time_zone = zone.map(str::to_string);
        config.set_extension(Arc::new(self.channels.clone()));
        let runtime = Arc::clone(&self.runtime);
        let settled = move |event: WorkerPlanRewriteEvent<'_>| {
            settle(event.plan, &runtime).map(WorkerPlanRewriteEventResponse::new)
        };
        let builder = builder
            .with_distributed_user_codec(self.codec.clone())
            .with_distributed_channel_resolver(self.channels.clone())
            .with_distributed_worker_plan_rewrite_handler(settled);
        with_functions(builder.build())
    }
}

#[async_trait]
impl WorkerSessionBuilder for Tasks {
    async fn build_session_state(&self, context: WorkerQueryContext) -> EngineResult<SessionState> {
        self.state(context).map_err(carried)
    }
}

/// The scalar functions that every node has.
fn functions() -> Result<HashSet<String>> {
    let state = with_functions(
        datafusion::execution::session_state::SessionStateBuilder::new().with_default_features().build(),
    )?;
    Ok(state.scalar_functions().values().map(|function| function.name().to_string()).collect())
}

/// The headers with which a query's tasks are sent.
pub fn headers(time_zone: Option<&str>, mut headers: HeaderMap) -> Result<HeaderMap> {
    if let Some(zone) = time_zone {
        headers.insert(TIME_ZONE, HeaderValue::from_str(zone).map_err(Error::internal)?);
    }
    Ok(headers)
}
