//! Many clients, and clients that mean no good: others are served all the while, and memory stays.

use std::fs;
use std::time::Duration;

use tidegate_core::Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{self, Server};

/// Connections that idle.
const IDLE: usize = 5000;
/// What the server may hold with them, in KiB.
const IDLE_KIB_MAX: u64 = 2 << 20;
/// Logins at one time.
const LOGINS: usize = 100;
/// What ill-behaved clients may make the server hold, in KiB.
const FLOOD_KIB_MAX: u64 = 1 << 20;
/// Longest wait for an answer, in seconds.
const ANSWER_SECONDS_MAX: u64 = 30;
const READY: &[u8] = b"Z\0\0\0\x05I";

fn startup() -> Vec<u8> {
    framed(None, b"\0\x03\0\0user\0admin\0database\0dev\0\0")
}

fn framed(kind: Option<u8>, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    kind.into_iter().chain(length).chain(body.iter().copied()).collect()
}

fn query(text: &str) -> Vec<u8> {
    framed(Some(b'Q'), format!("{text}\0").as_bytes())
}

async fn until_ready(socket: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut answer = Vec::new();
    while !answer.ends_with(READY) {
        if socket.read_buf(&mut answer).await? == 0 {
            return Err(std::io::Error::other(format!(
                "the server closed the connection: {}",
                String::from_utf8_lossy(&answer)
            )));
        }
    }
    Ok(answer)
}

async fn logged_in(port: u16) -> std::io::Result<TcpStream> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await?;
    socket.write_all(&startup()).await?;
    until_ready(&mut socket).await?;
    Ok(socket)
}

async fn answers(socket: &mut TcpStream, text: &str) -> String {
    let asked = async {
        socket.write_all(&query(text)).await?;
        until_ready(socket).await
    };
    let answer = tokio::time::timeout(Duration::from_secs(ANSWER_SECONDS_MAX), asked).await;
    String::from_utf8_lossy(&answer.expect("an answer in time").expect("an answer")).to_string()
}

fn resident_kib(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn five_thousand_idle_connections() {
    let limit = rlimit::increase_nofile_limit(u64::MAX).unwrap();
    if limit < IDLE as u64 + 500 {
        return crate::report::skip("idle_connections", "the system gives a process too few file descriptors");
    }
    let server = Server::start_with(&[&format!("max_connections={}", IDLE + 1)]);
    harness::block_on(async {
        let before = resident_kib(&server);
        let mut idle = Vec::new();
        while idle.len() < IDLE {
            let logins = (0..LOGINS).map(|_| logged_in(server.sql));
            idle.extend(futures::future::try_join_all(logins).await.unwrap());
        }
        // Each has worked, as those of a pool have.
        for socket in &mut idle {
            assert!(answers(socket, "SELECT 40 + 2").await.contains("42"));
        }
        let with = resident_kib(&server);
        println!("  {IDLE} idle connections: {} MiB before, {} MiB with them", before >> 10, with >> 10);
        assert!(with < IDLE_KIB_MAX, "{with} KiB");
        let mut last = logged_in(server.sql).await.unwrap();
        assert!(answers(&mut last, "SELECT count(*) FROM pg_stat_activity").await.contains(&(IDLE + 1).to_string()));
        let mut one_more = TcpStream::connect(("127.0.0.1", server.sql)).await.unwrap();
        one_more.write_all(&startup()).await.unwrap();
        let mut told = Vec::new();
        one_more.read_to_end(&mut told).await.unwrap();
        assert!(String::from_utf8_lossy(&told).contains("53300"), "{}", String::from_utf8_lossy(&told));
        drop(idle);
        assert!(answers(&mut last, "SELECT 1").await.contains("SELECT 1"));
    });
}

/// Bytes that are no message, or one that is wrong: of any kind and length, behind what a client may send before.
fn malformed(rng: &Rng) -> Vec<u8> {
    let any = |most: u64| (0..rng.below(most)).map(|_| rng.next_u64().to_le_bytes()[0]).collect::<Vec<u8>>();
    let kinds = b"QPBDECHSFXpdcfx\0\xff";
    let kind = kinds[usize::try_from(rng.below(kinds.len() as u64)).unwrap()];
    match rng.below(4) {
        0 => any(200),
        1 => framed(Some(kind), &any(100)),
        // A length that promises more than a message may have, or less than it needs.
        2 => [&[kind][..], &u32::try_from(rng.next_u64() >> 32).unwrap().to_be_bytes(), &any(50)].concat(),
        _ => {
            [framed(Some(b'P'), b"s\0SELECT $1\0\0\0"), framed(Some(kind), &any(60)), framed(Some(b'S'), b"")].concat()
        }
    }
}

async fn misbehaves(port: u16, rng: Rng) {
    let Ok(mut socket) = (match rng.below(2) {
        0 => TcpStream::connect(("127.0.0.1", port)).await,
        _ => logged_in(port).await,
    }) else {
        return;
    };
    let _the_server_may_have_had_enough = socket.write_all(&malformed(&rng)).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_millis(200), socket.read_to_end(&mut answer)).await;
}

async fn cancels(port: u16, rng: &Rng) {
    let Ok(mut socket) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let guess =
        [80_877_102_u32, 1 + u32::try_from(rng.below(500)).unwrap(), u32::try_from(rng.next_u64() >> 32).unwrap()];
    let body: Vec<u8> = guess.iter().flat_map(|part| part.to_be_bytes()).collect();
    let _ = socket.write_all(&framed(None, &body)).await;
}

#[test]
fn floods_leave_the_server_answering_others() {
    let seed = std::env::var("TIDEGATE_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| Rng::system().next_u64());
    println!("floods: TIDEGATE_SEED={seed}");
    let server = Server::start_with(&["max_connections=60"]);
    let port = server.sql;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut good = logged_in(port).await.unwrap();
        // Sockets that say little and then nothing, more than there are places.
        let mut half_open = Vec::new();
        for nth in 0..100 {
            let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            socket.write_all(&startup()[..nth % 9]).await.unwrap();
            half_open.push(socket);
        }
        // Readers that do not read.
        let mut slow = Vec::new();
        for _ in 0..10 {
            let mut socket = logged_in(port).await.expect("half-open sockets make room");
            socket.write_all(&query("SELECT repeat('x', 1000) FROM generate_series(1, 10000000)")).await.unwrap();
            slow.push(socket);
        }
        let before = resident_kib(&server);
        let flood = tokio::spawn(async move {
            for round in 0..40 {
                let bad = (0..10).map(|nth| misbehaves(port, Rng::seeded(seed ^ (round * 10 + nth))));
                futures::future::join_all(bad).await;
            }
        });
        let cancelling = tokio::spawn(async move {
            let rng = Rng::seeded(seed);
            for _ in 0..2000 {
                cancels(port, &rng).await;
            }
        });
        while !(flood.is_finished() && cancelling.is_finished()) {
            assert!(answers(&mut good, "SELECT 40 + 2").await.contains("42"));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        flood.await.unwrap();
        cancelling.await.unwrap();
        let mut another = logged_in(port).await.expect("who comes later is let in");
        assert!(answers(&mut another, "SELECT 40 + 2").await.contains("42"));
        let grown = resident_kib(&server).saturating_sub(before);
        println!("  {} MiB more", grown >> 10);
        assert!(grown < FLOOD_KIB_MAX, "{grown} KiB");
        drop((slow, half_open));
    });
    let log = fs::read_to_string(server.log()).unwrap();
    let panics: Vec<&str> = log.lines().filter(|line| line.contains("panicked at")).collect();
    assert!(panics.is_empty(), "{panics:#?}");
}
