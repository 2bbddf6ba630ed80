//! A worker: joins a leader, and runs the parts of queries that it is sent.

use crate::channel::Channels;
use crate::chunks::Works;
use crate::leader::{refuse_open_port, slots, url_of};
use crate::membership::Role;
use crate::port::{InFlight, serve};
use crate::protocol::{self, Beat, WorkServer};
use crate::task::{Tasks, VERSION};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tidegate_core::{Clock, Error, Kind, Result, Rng, Settings};
use tidegate_query::ChunkWork;
use tidegate_storage::{Egress, Stores};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic::service::Routes;
use url::Url;

/// How often the leader hears of it.
const BEAT_INTERVAL: Duration = Duration::from_secs(1);
/// How long the leader may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// How long tasks may still run once it is to leave.
const LEAVE_MAX: Duration = Duration::from_secs(30);
/// How often it looks whether they have ended.
const LEAVE_LOOK: Duration = Duration::from_millis(100);
/// The file with the worker's id.
const ID_FILE: &str = "node-id";

/// A worker that is about to join.
pub struct Worker {
    leader: Url,
    tasks: Tasks,
    works: Works,
    told: Beat,
    secret: String,
    in_flight: InFlight,
}

impl Worker {
    /// Of a leader's cluster address, in a folder of its own.
    pub fn new(
        settings: &Settings,
        rng: &Rng,
        leader: &str,
        role: &str,
        listener: &TcpListener,
        works: Vec<Arc<dyn ChunkWork>>,
    ) -> Result<Self> {
        let role = Role::of_worker(role)?;
        let leader = Url::parse(&format!("http://{leader}")).map_err(|error| {
            Error::new(Kind::InvalidParameter, format!("--leader {leader:?} is no address: {error}"))
                .hint("It is host:port of the leader's cluster port.")
        })?;
        let listens = listener.local_addr()?;
        refuse_open_port(settings, listens)?;
        let folder = settings.get("data");
        let folder = Path::new(&folder);
        let secret = settings.get("cluster_secret");
        let runtime =
            tidegate_query::runtime(settings, &folder.join("spill")).map_err(tidegate_query::from_datafusion)?;
        let stores = Arc::new(Stores::within(Egress::of(settings)));
        let tasks = Tasks::new(stores, runtime, Channels::new(&secret)?)?;
        let works = tasks.works(Clock::system(), rng.clone(), works);
        let told = Beat {
            id: id(folder, rng)?,
            role: role.word().to_string(),
            url: url_of(settings, listens)?.to_string(),
            zone: settings.get("zone"),
            market: settings.get("market"),
            slots: slots(),
            version: VERSION.to_string(),
            storage_used: 0,
            storage_limit: tidegate_query::disk_limit(settings),
            leaves: false,
        };
        Ok(Worker { leader, tasks, works, told, secret, in_flight: InFlight::default() })
    }

    /// Serves until the token is cancelled or the leader has drained it; then ends what it has begun, and leaves.
    pub async fn run(self, listener: TcpListener, stop: CancellationToken) -> Result<()> {
        let (closed, service) = (CancellationToken::new(), self.tasks.worker().into_worker_server());
        let routes = Routes::new(service).add_service(WorkServer(self.works.clone()));
        let in_flight = self.in_flight.clone();
        let port = serve(listener, &self.secret, routes, in_flight, closed.clone());
        let life = async {
            let lived = self.live(&stop).await;
            self.leave().await;
            closed.cancel();
            lived
        };
        let (served, lived) = tokio::join!(port, life);
        lived.and(served)
    }

    /// Tells the leader, again and again, that it is there. Ends when it is to leave; an error is a leader that does not
    /// want it.
    async fn live(&self, stop: &CancellationToken) -> Result<()> {
        let mut joined = false;
        let mut silent = false;
        loop {
            match self.beat(false).await {
                Ok(heard) if heard => return Ok(()),
                Ok(_) => {
                    if !joined || silent {
                        tracing::info!(node = %self.told.id, leader = %self.leader, "joined");
                    }
                    (joined, silent) = (true, false);
                }
                Err(error) if error.kind() != Kind::Io => return Err(error),
                Err(error) => {
                    if !silent {
                        tracing::warn!(leader = %self.leader, %error, "the leader does not answer, and is asked again");
                    }
                    silent = true;
                }
            }
            if stop.run_until_cancelled(tokio::time::sleep(BEAT_INTERVAL)).await.is_none() {
                return Ok(());
            }
        }
    }

    /// One sign of life. True: it is to leave. 58030 when nobody answers.
    async fn beat(&self, leaves: bool) -> Result<bool> {
        let silent = |why: String| Error::new(Kind::Io, why);
        let storage_used = self.tasks.runtime.disk_manager.used_disk_space();
        let beat = Beat { leaves, storage_used, ..self.told.clone() };
        let channel = self.tasks.channels.to(&self.leader).map_err(|error| silent(error.to_string()))?;
        match tokio::time::timeout(ANSWER_MAX, protocol::beat(channel, beat)).await {
            Ok(Ok(heard)) => Ok(heard.drain),
            Ok(Err(status)) => Err(match status.code() {
                Code::Unauthenticated => Error::new(Kind::InvalidAuthorization, status.message().to_string())
                    .hint("Set cluster_secret to the text that the leader has."),
                Code::FailedPrecondition | Code::ResourceExhausted | Code::InvalidArgument => {
                    Error::new(Kind::NotInState, status.message().to_string())
                }
                _ => silent(status.message().to_string()),
            }),
            Err(_) => Err(silent(format!("no answer within {} s", ANSWER_MAX.as_secs()))),
        }
    }

    async fn leave(&self) {
        // The leader sends nothing new to who has said goodbye; one that does not hear it finds out.
        drop(self.beat(true).await);
        let ended = async {
            while self.in_flight.now() > 0 {
                tokio::time::sleep(LEAVE_LOOK).await;
            }
        };
        if tokio::time::timeout(LEAVE_MAX, ended).await.is_err() {
            tracing::warn!(tasks = self.in_flight.now(), "tasks that take too long are broken off");
        }
        tracing::info!(node = %self.told.id, "left");
    }
}

/// The worker's id: made once, and kept in its folder.
fn id(folder: &Path, rng: &Rng) -> Result<String> {
    let path = folder.join(ID_FILE);
    match std::fs::read_to_string(&path) {
        Ok(id) if !id.trim().is_empty() => return Ok(id.trim().to_string()),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::from(error).context(path.display()));
        }
        _ => {}
    }
    let id = format!("node-{}", rng.uuid().chars().take(8).collect::<String>());
    std::fs::write(&path, &id).map_err(|error| Error::from(error).context(path.display()))?;
    Ok(id)
}
