//! The server: ports bound, engine built, and everything ended in order.

use crate::kinesis::KinesisStreams;
use crate::parts::{Parts, works};
use crate::tls;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tidegate_cluster::Worker;
use tidegate_core::{Error, Kind, Result, Rng, Settings};
use tidegate_gateway::Tls;
use tidegate_http::{Kinesis, Metrics};
use tidegate_storage::DataDir;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Serves until SIGTERM or Ctrl-C.
pub async fn serve(settings: Settings) -> Result<()> {
    // Before the ports are told: whoever knows them may also know how to end it.
    let ended = ended()?;
    let server = Server::start(settings).await?;
    ended.await;
    server.stop().await
}

/// Works for a leader until SIGTERM, Ctrl-C, or until it is drained.
pub async fn work(settings: Settings, leader: &str, role: &str) -> Result<()> {
    let ended = ended()?;
    let folder = settings.get("data");
    std::fs::create_dir_all(&folder).map_err(|error| Error::from(error).context(&folder))?;
    let listener = bind("cluster", "cluster_listen", &settings).await?;
    let worker = Worker::new(&settings, &Rng::system(), leader, role, &listener, works())?;
    let stop = CancellationToken::new();
    let work = worker.run(listener, stop.clone());
    tokio::pin!(work);
    tokio::select! {
        ended = &mut work => return ended,
        () = ended => stop.cancel(),
    }
    work.await
}

/// File descriptors beside those of clients: of the log, of files that queries read, of the other ports.
const DESCRIPTORS_BESIDE: u64 = 512;

/// As many file descriptors as the system lets a process have: its first offer, often 1024, is less than the clients
/// that `max_connections` lets in.
fn raise_descriptors(settings: &Settings) {
    let wanted = u64::try_from(settings.whole("max_connections")).unwrap_or(0) + DESCRIPTORS_BESIDE;
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) if limit < wanted => {
            tracing::warn!(limit, wanted, "fewer file descriptors than max_connections may need: see `ulimit -n`");
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "the limit of file descriptors stays as it is"),
    }
}

/// A running server.
pub struct Server {
    directory: DataDir,
    parts: Parts,
    sql_port: u16,
    http_port: u16,
    cluster_port: u16,
    shutdown: CancellationToken,
    ports: Vec<JoinHandle<Result<()>>>,
    work: Vec<JoinHandle<()>>,
}

impl Server {
    /// Opens the directory, binds the ports, and answers.
    pub async fn start(settings: Settings) -> Result<Self> {
        let directory = DataDir::open(Path::new(&settings.get("data")))?;
        raise_descriptors(&settings);
        let sql = bind("SQL", "sql_listen", &settings).await?;
        let http = bind("HTTP", "http_listen", &settings).await?;
        let cluster = bind("cluster", "cluster_listen", &settings).await?;
        let certified = tls::configured(&settings)?;
        refuse_open_door(&settings, certified.is_some(), [sql.local_addr()?, http.local_addr()?])?;
        let (sql_port, http_port) = (sql.local_addr()?.port(), http.local_addr()?.port());
        let cluster_port = cluster.local_addr()?.port();

        let shutdown = CancellationToken::new();
        let parts = Parts::open(&directory, &settings, sql.local_addr()?, cluster.local_addr()?)?;
        tidegate_query::temporary::drop_left_over(&parts.catalog).await?;
        tidegate_query::history::open(&parts.engine).await?;
        let mut work = parts.spawn(&shutdown);
        let offered = certified.map(|(config, own)| Tls::new(config, &own));
        if let Some(offered) = offered.clone().filter(|_| settings.get("tls_cert") != "auto") {
            work.push(tokio::spawn(tls::reload(settings.clone(), offered, shutdown.clone())));
        }
        let mut metrics = metrics(&parts);
        let endpoint = KinesisStreams { streams: parts.streams.clone(), engine: parts.engine.clone() };
        let (clock, rng) = (parts.engine.clock().clone(), parts.engine.rng().clone());
        let kinesis = Kinesis::new(Arc::new(endpoint), &settings, clock, rng, &mut metrics);
        let ports = vec![
            tokio::spawn(tidegate_gateway::serve(sql, parts.engine.clone(), offered.clone(), shutdown.clone())),
            tokio::spawn(tidegate_http::serve(http, metrics, Some(kinesis), shutdown.clone())),
            tokio::spawn(parts.cluster.clone().serve(cluster, shutdown.clone())),
        ];
        directory.write_ports(sql_port, http_port, Some(cluster_port))?;
        tracing::info!(sql = sql_port, http = http_port, cluster = cluster_port, data = %directory.path().display(), "ready");
        Ok(Server { directory, parts, sql_port, http_port, cluster_port, shutdown, ports, work })
    }

    /// The port that speaks Postgres' protocol.
    pub fn sql_port(&self) -> u16 {
        self.sql_port
    }

    /// The port that speaks HTTP.
    pub fn http_port(&self) -> u16 {
        self.http_port
    }

    /// The port that workers join on.
    pub fn cluster_port(&self) -> u16 {
        self.cluster_port
    }

    /// Lets what runs come to its end, and writes down what restarting would otherwise replay.
    pub async fn stop(self) -> Result<()> {
        tracing::info!(data = %self.directory.path().display(), "shutting down");
        self.shutdown.cancel();
        for port in self.ports {
            port.await.map_err(Error::internal)??;
        }
        for task in self.work {
            task.await.map_err(Error::internal)?;
        }
        self.parts.catalog.flush()
    }
}

fn metrics(parts: &Parts) -> Metrics {
    let mut metrics = Metrics::default();
    let (clock, started_ms) = (parts.engine.clock().clone(), parts.engine.clock().now_ms());
    metrics.gauge("tidegate_uptime_seconds", "Seconds since the server was started.", move || {
        u64::try_from((clock.now_ms() - started_ms) / 1000).unwrap_or(0)
    });
    let catalog = parts.catalog.clone();
    metrics.gauge("tidegate_log_position", "Frames of the log so far.", move || catalog.state().position);
    let catalog = parts.catalog.clone();
    metrics.gauge("tidegate_stream_tail_bytes", "Bytes of stream records that are not sealed yet.", move || {
        tidegate_stream::tail_bytes(&catalog.state()) as u64
    });
    metrics
}

async fn bind(port: &str, setting: &str, settings: &Settings) -> Result<TcpListener> {
    let address = settings.get(setting);
    TcpListener::bind(&address).await.map_err(|error| {
        Error::new(Kind::Io, format!("the {port} port cannot listen on {address}: {error}"))
            .hint(format!("Set {setting} to another address; port 0 takes a free one."))
    })
}

/// Anything but loopback needs TLS and passwords.
fn refuse_open_door(settings: &Settings, tls: bool, addresses: [SocketAddr; 2]) -> Result<()> {
    let Some(open) = addresses.iter().find(|address| !address.ip().is_loopback()) else { return Ok(()) };
    let mut missing = Vec::new();
    if settings.get("auth") != "password" {
        missing.push("auth = password");
    }
    if !tls {
        missing.push("tls_cert and tls_key, or tls_cert = auto");
    }
    if std::env::var_os("TIDEGATE_ADMIN_PASSWORD_FILE").is_none() {
        missing.push("TIDEGATE_ADMIN_PASSWORD_FILE in the environment");
    }
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!("{open} can be reached from other machines, and the server is not closed");
    Err(Error::new(Kind::InvalidAuthorization, message).hint(format!("Set {}.", missing.join("; "))))
}

/// Listens for SIGTERM and Ctrl-C from now on; the future ends with the first of them.
pub fn ended() -> Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
