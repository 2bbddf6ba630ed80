//! What a person meets first: the tour, `--version`, `--help`, the health and metrics pages, the end by SIGTERM.

use std::process::Command;

use crate::harness::{self, Server};
use crate::wire;

#[test]
fn the_tour_ends_with_the_join() {
    let output = Command::new(harness::BINARY).args(["demo", "--exit"]).output().expect("the demo runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{text}\n{log}", output.status);
    let shown = text.to_lowercase();
    for piece in ["create stream", "create delivery stream", "create external table", "copy", "unload", "join"] {
        assert!(shown.contains(piece), "the tour shows no {piece}\n{text}");
    }
    assert!(!shown.contains("error:"), "{text}");
}

#[test]
fn version_and_help() {
    let version = Command::new(harness::BINARY).arg("--version").output().unwrap();
    let expected = format!("tidegate {}", env!("CARGO_PKG_VERSION"));
    assert!(String::from_utf8_lossy(&version.stdout).starts_with(&expected));
    let help = Command::new(harness::BINARY).args(["serve", "--help"]).output().unwrap();
    let text = String::from_utf8_lossy(&help.stdout);
    for flag in ["--data", "--sql-listen", "--http-listen", "--config", "--set"] {
        assert!(text.contains(flag), "{flag}\n{text}");
    }
}

#[test]
fn health_metrics_and_sigterm() {
    let mut server = Server::start();
    let (status, _) = wire::request(server.http, "GET", "/healthz", &[], b"").unwrap();
    assert_eq!(status, 200);
    let (status, body) = wire::request(server.http, "GET", "/metrics", &[], b"").unwrap();
    let text = String::from_utf8_lossy(&body);
    assert_eq!(status, 200);
    assert!(text.contains("# TYPE tidegate_"), "{text}");
    harness::block_on(async {
        let client = server.connect().await;
        client.batch_execute("CREATE TABLE kept (a int); INSERT INTO kept VALUES (1)").await.unwrap();
    });
    assert_eq!(server.terminate(), Some(0));
    server.restart();
    harness::block_on(async {
        let client = server.connect().await;
        let row = client.query_one("SELECT a FROM kept", &[]).await.unwrap();
        assert_eq!(row.get::<_, i32>(0), 1);
    });
}

#[test]
fn health_is_asked_by_the_binary_itself() {
    let server = Server::start();
    let ask = |port: u16| {
        Command::new(harness::BINARY).args(["health", "--http", &format!("127.0.0.1:{port}")]).output().unwrap()
    };
    assert!(ask(server.http).status.success());
    let port = server.http;
    drop(server);
    assert!(!ask(port).status.success());
}
