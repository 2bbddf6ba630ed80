//! Workers: they join, take part in queries, and may die, stop and leave at any moment.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::drivers;
use crate::harness::{self, Server};

/// Longest wait for a node to be what it should be, in seconds.
const SECONDS_MAX: u64 = 30;

/// Within this, a query that loses a node has its answer or its error: a promise.
const ANSWER_SECONDS_MAX: u64 = 10;

/// A worker of a server, in a folder of its own.
pub struct Worker {
    child: Child,
    folder: TempDir,
}

impl Worker {
    /// Starts so many, and waits until all have joined.
    pub fn join(server: &Server, workers: usize) -> Vec<Worker> {
        let started = (0..workers).map(|_| Worker::start(server, &[])).collect();
        if workers > 0 {
            harness::block_on(async { wait_for(&server.connect().await, ACTIVE_WORKERS, &workers.to_string()).await });
        }
        started
    }

    /// Starts one.
    pub fn start(server: &Server, settings: &[&str]) -> Worker {
        let folder = tempfile::Builder::new().prefix("tidegate-worker-").tempdir().unwrap();
        let child = launch(server, &folder, settings);
        Worker { child, folder }
    }

    /// Starts it again in its folder.
    fn restart(&mut self, server: &Server) {
        self.end();
        self.child = launch(server, &self.folder, &[]);
    }

    /// Sends a signal.
    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success(), "{name}");
    }

    /// Kills it.
    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits until it ends by itself; gives its exit code and its log.
    fn ended(&mut self) -> (Option<i32>, String) {
        let until = Instant::now() + Duration::from_secs(SECONDS_MAX);
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status.code(), fs::read_to_string(self.folder.path().join("log")).unwrap());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the worker did not end\n{}", fs::read_to_string(self.folder.path().join("log")).unwrap());
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
        if std::thread::panicking() {
            println!("{}", fs::read_to_string(self.folder.path().join("log")).unwrap_or_default());
        }
    }
}

fn launch(server: &Server, folder: &TempDir, settings: &[&str]) -> Child {
    let log = OpenOptions::new().create(true).append(true).open(folder.path().join("log")).unwrap();
    let mut command = Command::new(harness::BINARY);
    let leader = format!("127.0.0.1:{}", server.cluster);
    command.args(["worker", "--leader", &leader, "--data"]).arg(folder.path().join("data"));
    for setting in settings {
        command.args(["--set", setting]);
    }
    let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
    harness::remember(child.id(), "tidegate");
    child
}

const ACTIVE_WORKERS: &str = "SELECT count(*) FROM tidegate.nodes WHERE state = 'ACTIVE' AND role <> 'leader'";

/// The rows of a query, `|` between their values.
async fn rows(client: &Client, sql: &str) -> Result<Vec<String>, tokio_postgres::Error> {
    let shown = |message| match message {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|n| row.get(n).unwrap_or("NULL").to_string()).collect::<Vec<_>>().join("|"))
        }
        _ => None,
    };
    Ok(client.simple_query(sql).await?.into_iter().filter_map(shown).collect())
}

async fn wait_for(client: &Client, sql: &str, wanted: &str) {
    let until = Instant::now() + Duration::from_secs(SECONDS_MAX);
    let mut found = Vec::new();
    while Instant::now() < until {
        found = rows(client, sql).await.unwrap();
        if found == [wanted] {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{sql}: {found:?}, not {wanted}");
}

/// A stream with segments and a tail, lake files, and a table.
const SET_UP: &str = "
    CREATE STREAM readings (id bigint, sensor text) PARTITION KEY (id) FORMAT JSON WITH (shards = 2);
    INSERT INTO readings SELECT n, 's' || n % 7 FROM generate_series(1, 20000) AS g(n);
    CHECKPOINT;
    INSERT INTO readings SELECT n, 's' || n % 7 FROM generate_series(20001, 30000) AS g(n);
    CREATE TABLE sensors AS SELECT 's' || n AS sensor, n AS place FROM generate_series(0, 6) AS g(n);
    UNLOAD ('SELECT n AS place, ''room, '' || n AS room FROM generate_series(0, 6) AS g(n)') TO 'file://$TMP/rooms_'
      FORMAT CSV HEADER;
    CREATE EXTERNAL TABLE rooms (place int, room text) STORED AS CSV LOCATION 'file://$TMP/rooms_*'
      TBLPROPERTIES ('skip.header.line.count' = '1');
    SET distributed_task_bytes = 1";

const JOIN: &str = "SELECT r.room, count(*), sum(d.id), min(d.shard_id) FROM readings d
    JOIN sensors s ON s.sensor = d.sensor JOIN rooms r ON r.place = s.place GROUP BY r.room ORDER BY r.room";

async fn set_up(server: &Server) -> Client {
    let client = server.connect().await;
    // One by one: what is put into a stream is readable once it is committed.
    for statement in SET_UP.replace("$TMP", &server.scratch().display().to_string()).split(';') {
        client.batch_execute(statement).await.unwrap();
    }
    client
}

/// What the leader says alone.
async fn alone(client: &Client, sql: &str) -> Vec<String> {
    client.batch_execute("SET distributed = off").await.unwrap();
    let found = rows(client, sql).await.unwrap();
    client.batch_execute("SET distributed = on").await.unwrap();
    assert!(!found.is_empty(), "{sql}");
    found
}

/// What is asked while nodes die, and how it ends each time: with the right rows, or with an error, in time.
async fn ask(client: &Client, sql: &str, expected: &[String]) -> bool {
    let begun = Instant::now();
    let answer = rows(client, sql).await;
    let taken = begun.elapsed();
    assert!(taken < Duration::from_secs(ANSWER_SECONDS_MAX), "{taken:?}: {answer:?}");
    match answer {
        Ok(found) => {
            assert_eq!(found, expected);
            true
        }
        Err(error) => {
            assert!(error.as_db_error().is_some(), "{error}");
            false
        }
    }
}

#[test]
fn files_tail_and_table_on_two_workers() {
    let server = Server::start();
    let _workers = Worker::join(&server, 2);
    harness::block_on(async {
        let client = set_up(&server).await;
        let plan = rows(&client, &format!("EXPLAIN {JOIN}")).await.unwrap().join("\n");
        for part in ["DistributedExec", "tasks=3", "LeaderScanExec", "NetworkShuffleExec", ": DS_BCAST_INNER"] {
            assert!(plan.contains(part), "{part} in\n{plan}");
        }
        client.batch_execute("SET distributed = off").await.unwrap();
        let plan = rows(&client, &format!("EXPLAIN {JOIN}")).await.unwrap().join("\n");
        assert!(plan.contains("HashJoinExec on ") && plan.contains(": DS_BCAST_INNER"), "{plan}");
        client.batch_execute("RESET distributed").await.unwrap();
        let expected = alone(&client, JOIN).await;
        assert_eq!(expected.len(), 7);
        assert_eq!(rows(&client, JOIN).await.unwrap(), expected);
        let analyzed = rows(&client, &format!("EXPLAIN ANALYZE {JOIN}")).await.unwrap().join("\n");
        assert!(analyzed.contains("output_rows=30"), "rows of each task in\n{analyzed}");
        let answers = JOIN.replace("ORDER BY r.room", "ORDER BY count(*) / 0");
        let error = rows(&client, &answers).await.unwrap_err();
        assert_eq!(
            error.code().map(|code| code.code()),
            Some("22012"),
            "an error of a value keeps its code: {error:?}"
        );
    });
}

#[test]
fn a_worker_that_dies_or_stops_is_done_without() {
    let server = Server::start();
    let mut workers = Worker::join(&server, 2);
    harness::block_on(async {
        let client = set_up(&server).await;
        let expected = alone(&client, JOIN).await;
        assert!(ask(&client, JOIN, &expected).await);
        workers[0].signal("STOP");
        assert!(ask(&client, JOIN, &expected).await, "nothing was sent yet, so it is planned again");
        wait_for(&client, ACTIVE_WORKERS, "1").await;
        workers[0].signal("CONT");
        wait_for(&client, ACTIVE_WORKERS, "2").await;
        assert!(ask(&client, JOIN, &expected).await);
        workers[1].end();
        assert!(ask(&client, JOIN, &expected).await);
        workers[0].end();
        assert!(ask(&client, JOIN, &expected).await, "the leader alone");
        wait_for(&client, ACTIVE_WORKERS, "0").await;
        workers[0].restart(&server);
        wait_for(&client, ACTIVE_WORKERS, "1").await;
        let nodes = "SELECT count(*) FROM tidegate.nodes WHERE state = 'LOST'";
        wait_for(&client, nodes, "1").await;
        let plan = rows(&client, &format!("EXPLAIN {JOIN}")).await.unwrap().join("\n");
        assert!(plan.contains("tasks=2"), "a node that comes back under its id is used again:\n{plan}");
    });
}

#[test]
fn a_drained_worker_ends_what_it_has_begun_and_leaves() {
    let server = Server::start();
    let mut workers = Worker::join(&server, 1);
    harness::block_on(async {
        let client = set_up(&server).await;
        let id = rows(&client, "SELECT node_id FROM tidegate.nodes WHERE role = 'core'").await.unwrap().remove(0);
        let error = client.batch_execute("ALTER NODE nobody DRAIN").await.unwrap_err();
        assert_eq!(error.code().unwrap().code(), "42704");
        let error = client.batch_execute("ALTER NODE leader DRAIN").await.unwrap_err();
        assert_eq!(error.code().unwrap().code(), "55000");
        client.batch_execute(&format!("ALTER NODE \"{id}\" DRAIN")).await.unwrap();
        let (code, log) = workers[0].ended();
        assert_eq!(code, Some(0), "{log}");
        wait_for(&client, "SELECT state FROM tidegate.nodes WHERE role = 'core'", "LEFT").await;
        // SIGTERM is as good a goodbye.
        let mut other = Worker::start(&server, &["zone=b", "market=spot"]);
        wait_for(
            &client,
            "SELECT zone || market FROM tidegate.nodes WHERE state = 'ACTIVE' AND role = 'core'",
            "bspot",
        )
        .await;
        other.signal("TERM");
        assert_eq!(other.ended().0, Some(0));
        wait_for(&client, ACTIVE_WORKERS, "0").await;
    });
}

#[test]
fn who_may_join() {
    let server = Server::start_with(&["cluster_secret=open sesame", "max_workers=1"]);
    let (code, log) = Worker::start(&server, &[]).ended();
    assert_eq!(code, Some(1));
    assert!(log.contains("cluster_secret"), "{log}");
    let _first = Worker::start(&server, &["cluster_secret=open sesame"]);
    harness::block_on(async { wait_for(&server.connect().await, ACTIVE_WORKERS, "1").await });
    let (code, log) = Worker::start(&server, &["cluster_secret=open sesame"]).ended();
    assert_eq!(code, Some(1));
    assert!(log.contains("1 workers already"), "{log}");
}

#[test]
fn tpch_on_one_and_two_workers() {
    for (workers, managed) in [(1, false), (2, false), (2, true)] {
        let server = Server::start();
        let _workers = Worker::join(&server, workers);
        let mut command = drivers::script("tpch.py");
        if managed {
            command.env("TIDEGATE_TPCH_MANAGED", "1");
        }
        drivers::run(&format!("tpch, {workers} workers, managed {managed}"), command, &server);
    }
}

/// How long nodes come and go, in seconds; `tests/run --all` says half an hour.
const CHAOS_SECONDS: &str = "30";

#[test]
fn tpch_while_workers_die_stop_and_are_cut_off() {
    let seconds = std::env::var("TIDEGATE_CHAOS_SECONDS").unwrap_or(CHAOS_SECONDS.to_string());
    let server = Server::start();
    let mut workers = Worker::join(&server, 2);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let line = Proxy::to(port);
    let (listens, advertises) =
        (format!("cluster_listen=127.0.0.1:{port}"), format!("cluster_advertise={}", line.address));
    workers.push(Worker::start(&server, &[&listens, &advertises]));
    let mut command = drivers::script("tpch.py");
    command.env("TIDEGATE_TPCH_SECONDS", &seconds);
    std::thread::scope(|scope| {
        let driver = scope.spawn(|| drivers::run("tpch, chaos", command, &server));
        let mut seed = 7_u64;
        while !driver.is_finished() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let pause = Duration::from_millis(300 + (seed >> 33) % 3000);
            match (seed >> 20) % 3 {
                0 => {
                    workers[0].end();
                    std::thread::sleep(pause);
                    workers[0].restart(&server);
                }
                1 => {
                    workers[1].signal("STOP");
                    std::thread::sleep(pause * 2);
                    workers[1].signal("CONT");
                }
                _ => {
                    line.cut.store(true, Ordering::Relaxed);
                    std::thread::sleep(pause * 2);
                    line.cut.store(false, Ordering::Relaxed);
                }
            }
            std::thread::sleep(pause);
        }
    });
}

/// Files of a COPY, and the rows of each.
const COPY_FILES: usize = 24;
const COPY_ROWS: usize = 40_000;

#[test]
fn copy_is_cut_into_chunks_that_survive_their_nodes() {
    let server = Server::start();
    let mut workers = Worker::join(&server, 2);
    let folder = server.scratch();
    for file in 0..COPY_FILES {
        let line = |row: usize| format!("{},name {row}\n", file * COPY_ROWS + row);
        fs::write(folder.join(format!("part-{file:02}.csv")), (0..COPY_ROWS).map(line).collect::<String>()).unwrap();
    }
    let copy = format!("COPY loaded (n, name) FROM 'file://{}/part-' CSV", folder.display());
    harness::block_on(async {
        let client = server.connect().await;
        client
            .batch_execute(
                "CREATE TABLE loaded (n bigint, name text, kept text DEFAULT 'as told', at date DEFAULT '2026-01-02')",
            )
            .await
            .unwrap();
        client.batch_execute("SET distributed_task_bytes = 1000000").await.unwrap();
        client.batch_execute(&copy).await.unwrap();
        let all = COPY_FILES * COPY_ROWS;
        let sums =
            "SELECT count(*), count(DISTINCT n), count(DISTINCT name), min(kept), max(kept), min(at) FROM loaded";
        let whole = format!("{all}|{all}|{COPY_ROWS}|as told|as told|2026-01-02");
        assert_eq!(rows(&client, sums).await.unwrap(), std::slice::from_ref(&whole));

        // Two nodes fail while it runs, one killed, one stopped: nothing is lost and nothing comes twice.
        client.batch_execute("TRUNCATE loaded").await.unwrap();
        let loading = tokio::spawn({
            let copy = copy.clone();
            async move { client.batch_execute(&copy).await.map(|()| client) }
        });
        tokio::time::sleep(Duration::from_millis(60)).await;
        workers[0].end();
        workers[1].signal("STOP");
        let begun = Instant::now();
        let client = loading.await.unwrap().unwrap();
        println!("COPY ended {:.1} s after its workers", begun.elapsed().as_secs_f64());
        assert!(begun.elapsed() < Duration::from_secs(ANSWER_SECONDS_MAX), "{:?}", begun.elapsed());
        workers[1].signal("CONT");
        assert_eq!(rows(&client, sums).await.unwrap(), [whole]);

        // A bad row fails all of it, by its file and line, and nothing stays.
        workers[0].restart(&server);
        wait_for(&client, ACTIVE_WORKERS, "2").await;
        fs::write(folder.join("part-17.csv"), "1,good\nbad,row\n").unwrap();
        client.batch_execute("TRUNCATE loaded").await.unwrap();
        let error = client.batch_execute(&copy).await.unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!(error.code().code(), "22P02", "{error:?}");
        assert!(
            error.message().contains("part-17.csv") || error.where_().is_some_and(|at| at.contains("part-17.csv")),
            "{error:?}"
        );
        assert_eq!(rows(&client, "SELECT count(*) FROM loaded").await.unwrap(), ["0"]);
    });
}

/// What UNLOAD has written, by name.
fn unloaded(folder: &std::path::Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().flatten().map(|file| file.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn unload_is_cut_into_chunks_that_survive_their_nodes() {
    let server = Server::start();
    let workers = Worker::join(&server, 2);
    let folder = server.scratch();
    harness::block_on(async {
        let client = server.connect().await;
        client.batch_execute("CREATE TABLE wide (n bigint, kind bigint, name text)").await.unwrap();
        for from in (1..600_000).step_by(100_000) {
            let rows = format!("SELECT n, n % 7, md5(n::text) FROM generate_series({from}, {}) AS g(n)", from + 99_999);
            client.batch_execute(&format!("INSERT INTO wide {rows}")).await.unwrap();
        }
        client.batch_execute("SET distributed_task_bytes = 1000000").await.unwrap();
        let unload = |to: &str, more: &str| {
            format!(
                "UNLOAD ('SELECT kind, n, name FROM wide WHERE n % 2 = 0') TO 'file://{}/{to}/' FORMAT PARQUET {more}",
                folder.display()
            )
        };
        let found = |to: &str| {
            format!(
                "SELECT count(*), count(DISTINCT n), sum(n), count(DISTINCT name) FROM 'file://{}/{to}/**/*.parquet'",
                folder.display()
            )
        };
        let whole = ["300000|300000|90000300000|300000".to_string()];
        client.batch_execute(&unload("all", "MANIFEST")).await.unwrap();
        assert_eq!(rows(&client, &found("all")).await.unwrap(), whole);
        let names = unloaded(&folder.join("all"));
        assert!(names.len() > 3 && names.contains(&"0000_part_00.parquet".to_string()), "{names:?}");
        let manifest = fs::read_to_string(folder.join("all/manifest")).unwrap();
        assert_eq!(manifest.matches("\"url\"").count(), names.len() - 1, "{manifest}");
        client.batch_execute(&unload("by_kind", "PARTITION BY (kind)")).await.unwrap();
        assert_eq!(rows(&client, &found("by_kind")).await.unwrap(), whole);
        assert_eq!(unloaded(&folder.join("by_kind")).len(), 7);
        assert_eq!(unloaded(&folder.join("by_kind/kind=3")).len(), names.len() - 1);
        client.batch_execute(&unload("one", "PARALLEL OFF")).await.unwrap();
        assert_eq!(unloaded(&folder.join("one")), ["000.parquet"]);

        // Both workers fail while it runs; what they had begun is written again under the same names.
        let writing = tokio::spawn({
            let unload = unload("failed", "");
            async move { client.batch_execute(&unload).await.map(|()| client) }
        });
        tokio::time::sleep(Duration::from_millis(60)).await;
        drop(workers);
        let client = writing.await.unwrap().unwrap();
        assert_eq!(rows(&client, &found("failed")).await.unwrap(), whole);
        // What fails leaves nothing.
        let bad = format!(
            "UNLOAD ('SELECT 1 / (n - 300001) FROM wide') TO 'file://{}/bad/' FORMAT PARQUET",
            folder.display()
        );
        for round in 0..10 {
            let error = client.batch_execute(&bad).await.unwrap_err();
            assert_eq!(error.code().map(|code| code.code()), Some("22012"), "{error:?}");
            let written = folder.join("bad");
            let left = if written.exists() { unloaded(&written) } else { Vec::new() };
            assert!(left.is_empty(), "round {round}: {left:?}");
        }
    });
}

/// Stands before a worker, and can fall silent without closing anything, as a network does that is cut.
struct Proxy {
    address: SocketAddr,
    cut: Arc<AtomicBool>,
}

impl Proxy {
    /// Before a port of this machine.
    fn to(port: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let cut = Arc::new(AtomicBool::new(false));
        let silent = Arc::clone(&cut);
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let silent = Arc::clone(&silent);
                    std::thread::spawn(move || pass_on(from, to, &silent));
                }
            }
        });
        Proxy { address, cut }
    }
}

/// Passes bytes on; while the line is cut they wait.
fn pass_on(mut from: TcpStream, mut to: TcpStream, cut: &AtomicBool) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        while cut.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(10));
        }
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
