//! The server's parts, plugged together: the one place that knows them all.

use std::net::SocketAddr;
use std::sync::Arc;
use tidegate_batch::{BatchService, Jobs};
use tidegate_catalog::{Catalog, Janitor};
use tidegate_cluster::{Cluster, ClusterService};
use tidegate_continuous::{Continuous, ContinuousService};
use tidegate_core::{Clock, Result, Rng, Settings};
use tidegate_delivery::{Deliveries, DeliveryService};
use tidegate_lake::{LakeService, restore_settings};
use tidegate_query::stream_sql::{RecordCodec, StreamService};
use tidegate_query::{ChunkWork, Engine, Service, Spread};
use tidegate_storage::{DataDir, Egress, Stores};
use tidegate_stream::Streams;
use tidegate_warehouse::{CopyWork, DeltaLog, Keeper, UnloadWork, Warehouse, recover_unloads, run_copy_jobs};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Everything that stands behind the ports.
pub struct Parts {
    /// What the server knows.
    pub catalog: Catalog,
    /// Statements and sessions.
    pub engine: Engine,
    /// Streams.
    pub streams: Streams,
    /// Deliveries.
    pub deliveries: Deliveries,
    /// Workers.
    pub cluster: Cluster,
    continuous: Continuous,
    jobs: Jobs,
    keeper: Keeper,
    janitor: Arc<Janitor>,
}

impl Parts {
    /// Opens what a data directory holds. `sql` and `cluster` are where these ports listen.
    pub fn open(directory: &DataDir, settings: &Settings, sql: SocketAddr, cluster: SocketAddr) -> Result<Self> {
        let (clock, rng) = (Clock::system(), Rng::system());
        let stores = Arc::new(Stores::within(Egress::of(settings)));
        let exporter = Arc::new(DeltaLog::new(settings.clone(), Arc::clone(&stores), clock.clone()));
        let catalog = Catalog::open(directory, settings, clock, exporter)?;
        restore_settings(&catalog.state(), settings);
        let streams = Streams::new(settings.clone(), catalog.clone(), Arc::clone(&stores), Arc::new(RecordCodec));
        let objects = objects_url(directory)?;
        let janitor = Arc::new(Janitor::new(settings.clone(), catalog.clone(), Arc::clone(&stores), objects.clone()));
        let cluster =
            Cluster::new(settings, cluster, Arc::clone(&stores), catalog.clock().clone(), rng.clone(), works())?;
        let spread = Some(Arc::new(cluster.clone()) as Arc<dyn Spread>);
        let runtime = tidegate_query::runtime(settings, &directory.spill()).map_err(tidegate_query::from_datafusion)?;
        let engine = Engine::new(settings.clone(), rng, catalog.clone(), stores, objects, runtime, spread)?;
        let deliveries = Deliveries::new(engine.clone());
        let continuous = Continuous::new(engine.clone());
        let jobs = Jobs::new(engine.clone(), directory.batch(), sql);
        let keeper = Keeper::new(engine.clone());
        let services: Vec<Arc<dyn Service>> = vec![
            Arc::new(StreamService::new(streams.clone())),
            Arc::new(DeliveryService::new(deliveries.clone())),
            // Before the lake, which takes every path.
            Arc::new(BatchService::new(jobs.clone())),
            Arc::new(ClusterService::new(cluster.clone())),
            Arc::new(ContinuousService::new(continuous.clone())),
            Arc::new(LakeService),
            Arc::new(Warehouse::new(keeper.clone())),
        ];
        engine.plug(services);
        Ok(Parts { catalog, engine, streams, deliveries, cluster, continuous, jobs, keeper, janitor })
    }

    /// Starts what works on its own until the token is cancelled.
    pub fn spawn(&self, shutdown: &CancellationToken) -> Vec<JoinHandle<()>> {
        let flushed = self.catalog.clone().keep_flushed();
        let stop = shutdown.clone();
        let flush = tokio::spawn(async move {
            stop.run_until_cancelled(flushed).await;
        });
        vec![
            flush,
            tokio::spawn(self.streams.clone().keep_sealed(shutdown.clone())),
            tokio::spawn(self.deliveries.clone().run(shutdown.clone())),
            tokio::spawn(self.continuous.clone().run(shutdown.clone())),
            tokio::spawn(run_copy_jobs(self.engine.clone(), shutdown.clone())),
            tokio::spawn(self.jobs.clone().run(shutdown.clone())),
            tokio::spawn(self.keeper.clone().run(shutdown.clone())),
            tokio::spawn(Arc::clone(&self.janitor).run(shutdown.clone())),
            tokio::spawn(recover_unloads(&self.engine, shutdown.clone())),
        ]
    }
}

/// The work that every node does in chunks.
pub fn works() -> Vec<Arc<dyn ChunkWork>> {
    vec![Arc::new(CopyWork), Arc::new(UnloadWork)]
}

/// URL of the folder of tables and segments; no slash at its end.
fn objects_url(directory: &DataDir) -> Result<String> {
    let folder = directory.objects();
    std::fs::create_dir_all(&folder)?;
    Ok(format!("file://{}", folder.canonicalize()?.display()))
}
