//! The leader: who belongs to the cluster, and how its queries are planned.

use crate::channel::Channels;
use crate::chunks::Works;
use crate::leaf::Leaves;
use crate::membership::{LEADER, Membership, Node, NodeState, Role, Told};
use crate::planner::{ForAllNodes, LeaderPlanner, Travelling};
use crate::port::{InFlight, serve};
use crate::protocol::{Answers, Beat, ClusterServer, Heard, Pull, Rows};
use crate::task::{Tasks, VERSION, headers};
use crate::{channel, chunks, pieces, planner, scan, stores};
use async_trait::async_trait;
use datafusion::common::config::ConfigOptions;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::TaskContext;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionConfig;
use datafusion_distributed::{DistributedConfig, DistributedExt, SessionStateBuilderExt, Worker, WorkerResolver};
use futures::stream::BoxStream;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tidegate_core::{Clock, Error, Kind, Result, Rng, Settings};
use tidegate_query::{ChunkWork, Performed, Spread, carried};
use tidegate_storage::Stores;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::service::Routes;
use url::Url;

/// How often silence is looked for.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// How long a node may take to answer when a query has lost one.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// The leader's part of the cluster; clones share it.
#[derive(Clone)]
pub struct Cluster(Arc<Inner>);

struct Inner {
    clock: Clock,
    membership: Membership,
    leaves: Leaves,
    channels: Channels,
    stores: Arc<Stores>,
    url: Url,
    secret: String,
    workers_max: usize,
    rng: Rng,
    works: Vec<Arc<dyn ChunkWork>>,
    // Set once the engine that it spreads is built.
    own: OnceLock<Own>,
}

/// The leader as one of its nodes. What is sent to it in this process and what others send it must meet in one worker.
struct Own {
    tasks: Tasks,
    worker: Worker,
    works: Works,
}

/// The URL of a node that listens at an address, or says that it is reached at another.
pub fn url_of(settings: &Settings, listens: SocketAddr) -> Result<Url> {
    let told = settings.get("cluster_advertise");
    let address = if told.is_empty() { listens.to_string() } else { told };
    Url::parse(&format!("http://{address}")).map_err(|error| {
        Error::new(Kind::InvalidParameter, format!("cluster_advertise {address:?} is no address: {error}"))
            .hint("Write host:port.")
    })
}

/// 28000 for a cluster port that other machines reach and that asks nobody for anything.
pub fn refuse_open_port(settings: &Settings, listens: SocketAddr) -> Result<()> {
    if listens.ip().is_loopback() || !settings.get("cluster_secret").is_empty() {
        return Ok(());
    }
    let message = format!("{listens} can be reached from other machines, and whoever does may send plans");
    Err(Error::new(Kind::InvalidAuthorization, message).hint("Set cluster_secret to the same text on every node."))
}

impl Cluster {
    /// Of a leader whose cluster port listens here.
    pub fn new(
        settings: &Settings,
        listens: SocketAddr,
        stores: Arc<Stores>,
        clock: Clock,
        rng: Rng,
        works: Vec<Arc<dyn ChunkWork>>,
    ) -> Result<Self> {
        refuse_open_port(settings, listens)?;
        let (url, secret) = (url_of(settings, listens)?, settings.get("cluster_secret"));
        let channels = Channels::new(&secret)?;
        let workers_max = usize::try_from(settings.whole("max_workers")).unwrap_or(0);
        let told = Told {
            id: LEADER.to_string(),
            role: Role::Leader,
            url: url.clone(),
            zone: settings.get("zone"),
            market: settings.get("market"),
            slots: slots(),
            version: VERSION.to_string(),
            storage_used: 0,
            storage_limit: 0,
        };
        let membership = Membership::default();
        membership.step(|nodes| nodes.heard(told, VERSION, workers_max, clock.now_ms()))?;
        membership.step(|nodes| nodes.reached(LEADER));
        let (leaves, own) = (Leaves::default(), OnceLock::new());
        Ok(Cluster(Arc::new(Inner {
            clock,
            membership,
            leaves,
            channels,
            stores,
            url,
            secret,
            workers_max,
            rng,
            works,
            own,
        })))
    }

    /// Who belongs to it.
    pub fn membership(&self) -> &Membership {
        &self.0.membership
    }

    fn own(&self) -> Result<&Own> {
        self.0.own.get().ok_or_else(|| Error::internal("the cluster has no engine"))
    }

    /// Answers on the cluster port until the token is cancelled, and notices who is silent.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) -> Result<()> {
        let worker = self.own()?.worker.clone().into_worker_server();
        let own = ClusterServer(Arc::new(self.clone()));
        let watch = tokio::spawn(self.clone().watch(stop.clone()));
        let served =
            serve(listener, &self.0.secret, Routes::new(worker).add_service(own), InFlight::default(), stop).await;
        watch.await.map_err(Error::internal)?;
        served
    }

    async fn watch(self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(LOOK_INTERVAL)).await.is_some() {
            let now_ms = self.0.clock.now_ms();
            self.0.membership.step(|nodes| nodes.passed(now_ms));
            let nodes = self.0.membership.nodes();
            let reached = self.ask(nodes.joining(), true).await;
            self.0.membership.step(|nodes| reached.iter().for_each(|id| nodes.reached(id)));
        }
    }

    /// Asks nodes whether they are there; gives the ids of those that do, or do not, answer.
    async fn ask(&self, nodes: impl Iterator<Item = &Node>, answer: bool) -> Vec<String> {
        let asked = nodes.map(|node| async {
            let answers = self.0.channels.answers(&node.told.url, ANSWER_MAX).await;
            (answers == answer).then(|| node.told.id.clone())
        });
        futures::future::join_all(asked).await.into_iter().flatten().collect()
    }

    /// Asks every node whether it is there.
    async fn look_for_lost(&self) {
        let nodes = self.0.membership.nodes();
        let lost = self.ask(nodes.active().filter(|node| node.told.role != Role::Leader), false).await;
        self.0.membership.step(|nodes| {
            lost.iter().for_each(|id| nodes.lost(id, "it did not answer when a query had failed"));
        });
    }
}

/// Parts of a query that this machine runs at one time.
pub fn slots() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1))
}

fn status(error: &Error) -> Status {
    match error.kind() {
        Kind::LimitExceeded => Status::resource_exhausted(error.message()),
        _ => Status::failed_precondition(error.message()),
    }
}

impl Answers for Cluster {
    fn beat(&self, beat: Beat) -> std::result::Result<Heard, Status> {
        let (now_ms, workers_max) = (self.0.clock.now_ms(), self.0.workers_max);
        if beat.leaves {
            self.0.membership.step(|nodes| nodes.left(&beat.id));
            return Ok(Heard { drain: true });
        }
        let told = Told {
            role: Role::of_worker(&beat.role).map_err(|error| status(&error))?,
            url: Url::parse(&beat.url).map_err(|error| Status::invalid_argument(error.to_string()))?,
            id: beat.id,
            zone: beat.zone,
            market: beat.market,
            slots: beat.slots,
            version: beat.version,
            storage_used: beat.storage_used,
            storage_limit: beat.storage_limit,
        };
        let heard = self.0.membership.step(|nodes| nodes.heard(told, VERSION, workers_max, now_ms));
        let state = heard.map_err(|error| status(&error))?;
        Ok(Heard { drain: state == NodeState::Draining })
    }

    fn pull(&self, pull: Pull) -> std::result::Result<BoxStream<'static, std::result::Result<Rows, Status>>, Status> {
        let runtime = Arc::clone(&self.own().map_err(|error| status(&error))?.tasks.runtime);
        self.0.leaves.pull(&pull, Arc::new(TaskContext::default().with_runtime(runtime)))
    }
}

/// The nodes that queries are sent to.
struct Resolver(Membership);

impl WorkerResolver for Resolver {
    fn get_urls(&self) -> EngineResult<Vec<Url>> {
        Ok(self.0.nodes().active().map(|node| node.told.url.clone()).collect())
    }
}

#[async_trait]
impl Spread for Cluster {
    fn prepare(&self, base: SessionStateBuilder, runtime: &Arc<RuntimeEnv>) -> Result<SessionStateBuilder> {
        let tasks = Tasks::new(Arc::clone(&self.0.stores), Arc::clone(runtime), self.0.channels.clone())?;
        let (codec, worker) = (tasks.codec.clone(), tasks.worker());
        let local = worker.to_local_worker_context(self.0.url.clone());
        let works = tasks.works(self.0.clock.clone(), self.0.rng.clone(), self.0.works.clone());
        // A second call would be a fault of the start, and changes nothing.
        drop(self.0.own.set(Own { tasks, worker, works }));
        let travelling = Travelling { leaves: self.0.leaves.clone(), leader: self.0.url.clone(), codec: codec.clone() };
        let mut builder = base
            .with_query_planner(Arc::new(travelling))
            .with_distributed_worker_resolver(Resolver(self.0.membership.clone()))
            .with_distributed_channel_resolver(self.0.channels.clone())
            .with_distributed_user_codec(codec)
            .with_distributed_local_worker_context(local)
            .with_distributed_scale_up_leaf_node_handler(scan::deal_out)
            .with_distributed_planner();
        let all_nodes = builder.query_planner().take().ok_or_else(|| Error::internal("no distributed planner"))?;
        let config = builder.config().get_or_insert_default();
        scalar_subqueries(config, ConfigOptions::default().optimizer.enable_physical_uncorrelated_scalar_subquery);
        Ok(builder.with_query_planner(Arc::new(LeaderPlanner { all_nodes })))
    }

    fn is_on(&self) -> bool {
        self.0.membership.has_workers()
    }

    fn plan_for(&self, config: &mut SessionConfig, plan: &LogicalPlan, task_bytes: Option<usize>) {
        let Some(task_bytes) = task_bytes.filter(|_| !planner::counts_on_one_row(plan)) else { return };
        config.set_extension(Arc::new(ForAllNodes::default()));
        // What they become otherwise does not travel.
        scalar_subqueries(config, false);
        let partitions = config.target_partitions().max(1);
        if let Ok(distributed) = DistributedConfig::from_config_options_mut(config.options_mut()) {
            distributed.file_scan_config_bytes_per_partition = task_bytes.div_ceil(partitions);
        }
    }

    fn equip(&self, config: &mut SessionConfig) -> Result<()> {
        let Some(spread) = config.get_extension::<ForAllNodes>() else { return Ok(()) };
        let zone = config.options().execution.time_zone.clone();
        let headers = headers(zone.as_deref(), stores::header(&spread.stores.lock(), &self.0.stores)?)?;
        config.set_distributed_passthrough_headers(headers).map_err(Error::internal)
    }

    fn pieces(&self, plan: &Arc<dyn ExecutionPlan>, bytes: usize) -> Result<Option<Vec<String>>> {
        pieces::cut(plan, bytes, &self.own()?.tasks.codec, &self.0.stores)
    }

    async fn perform(&self, kind: &str, chunks: Vec<String>, stop: &CancellationToken) -> Performed {
        match self.own() {
            Ok(own) => chunks::perform(&self.0.membership, &self.0.channels, &own.works, kind, chunks, stop).await,
            Err(error) => Performed { answers: Vec::new(), attempts: 0, nodes: 0, error: Some(error) },
        }
    }

    fn losses(&self) -> u64 {
        self.0.membership.nodes().losses()
    }

    async fn lost_a_node(&self, since: u64, error: &DataFusionError) -> bool {
        // Where it is an error of ours, or of the user's values, all nodes answer, and this takes a moment only.
        tracing::debug!(%error, "a query on all nodes failed");
        self.look_for_lost().await;
        self.losses() > since
    }

    fn told(&self, error: DataFusionError) -> DataFusionError {
        if !channel::is_broken(&error) {
            return error;
        }
        tracing::warn!(%error, "a query lost a node while its rows were sent");
        let told = Error::new(Kind::External, "a node was lost while the rows of the query were sent");
        carried(told.hint("Run it again: a node that is lost is left out."))
    }
}

fn scalar_subqueries(config: &mut SessionConfig, physical: bool) {
    config.options_mut().optimizer.enable_physical_uncorrelated_scalar_subquery = physical;
}
