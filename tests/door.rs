//! The server as a process: it answers on both ports, keeps its directory to itself, refuses to stand open, and ends.

use std::process::Command;

use crate::harness::{self, Server};
use crate::wire;

fn connect(server: &Server) -> (tokio::runtime::Runtime, tokio_postgres::Client) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let target = format!("host=127.0.0.1 port={} user=admin dbname=dev", server.sql);
    let client = runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(&target, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    });
    (runtime, client)
}

#[test]
fn both_protocols_give_the_same_rows() {
    let server = Server::start();
    let (runtime, client) = connect(&server);
    runtime.block_on(async {
        let rows = client.query("SELECT $1::bigint + 1, 'a' || $2::text", &[&41_i64, &"b"]).await.unwrap();
        assert_eq!((rows[0].get::<_, i64>(0), rows[0].get::<_, String>(1)), (42, "ab".to_string()));
        let rows = client.simple_query("SELECT 41 + 1, 'a' || 'b'; SELECT 2").await.unwrap();
        let values: Vec<_> = rows
            .iter()
            .filter_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_string),
                _ => None,
            })
            .collect();
        assert_eq!(values, ["42", "2"]);
    });
}

#[test]
fn errors_carry_their_state_and_the_session_goes_on() {
    let server = Server::start();
    let (runtime, client) = connect(&server);
    let cases = [
        ("SELEC 1", "42601"),
        ("SELECT * FROM nowhere", "42P01"),
        ("SELECT nope", "42703"),
        ("SELECT no_such_function(1)", "42883"),
        ("SELECT 1/0", "22012"),
        ("SHOW no_such_setting", "42704"),
        ("SET statement_timeout = 'soon'", "22023"),
        ("CREATE SNAPSHOT s", "0A000"),
    ];
    for (sql, state) in cases {
        let error = runtime.block_on(client.simple_query(sql)).unwrap_err();
        assert_eq!(error.code().map(|code| code.code()), Some(state), "{sql}: {error}");
    }
    assert!(runtime.block_on(client.simple_query("SELECT 1")).is_ok());
}

#[test]
fn names_that_are_nearly_right_are_guessed() {
    let server = Server::start();
    let (runtime, client) = connect(&server);
    runtime.block_on(client.batch_execute("CREATE TABLE departures (carrier text, delay int)")).unwrap();
    let cases = [
        ("SELECT * FROM departuers", Some("Perhaps you meant \"departures\".")),
        ("SELECT dely FROM departures", Some("Perhaps you meant to reference the column \"delay\".")),
        ("SELECT substrng('x', 1)", Some("Perhaps you meant substring.")),
        ("SHOW statement_timeuot", Some("Perhaps you meant \"statement_timeout\". SHOW ALL lists them.")),
        ("SELECT * FROM unlike_all", None),
    ];
    for (sql, hint) in cases {
        let error = runtime.block_on(client.simple_query(sql)).unwrap_err();
        assert_eq!(error.as_db_error().and_then(|error| error.hint()), hint, "{sql}: {error}");
    }
    let error = runtime.block_on(client.prepare("SELECT dely FROM departures")).unwrap_err();
    assert!(error.as_db_error().is_some_and(|error| error.hint().is_some()), "{error}");
}

#[test]
fn a_failed_block_takes_only_its_end() {
    let server = Server::start();
    let (runtime, client) = connect(&server);
    runtime.block_on(async {
        client.simple_query("BEGIN").await.unwrap();
        client.simple_query("SELECT 1/0").await.unwrap_err();
        let error = client.simple_query("SELECT 1").await.unwrap_err();
        assert_eq!(error.code().map(|code| code.code()), Some("25P02"));
        client.simple_query("ROLLBACK").await.unwrap();
        client.simple_query("SELECT 1").await.unwrap();
    });
}

#[test]
fn a_running_query_is_cancelled_and_times_out() {
    let server = Server::start();
    let (runtime, client) = connect(&server);
    let endless = "SELECT count(*) FROM generate_series(1, 100000000000) AS t(x) WHERE x % 7 = 3";
    runtime.block_on(async {
        client.simple_query("SET statement_timeout = 200").await.unwrap();
        let error = client.simple_query(endless).await.unwrap_err();
        assert_eq!(error.code().map(|code| code.code()), Some("57014"));
        client.simple_query("SET statement_timeout = 0").await.unwrap();
        let token = client.cancel_token();
        let cancel = async {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            token.cancel_query(tokio_postgres::NoTls).await.unwrap();
        };
        let (ended, ()) = tokio::join!(client.simple_query(endless), cancel);
        assert_eq!(ended.unwrap_err().code().map(|code| code.code()), Some("57014"));
    });
}

#[test]
fn a_session_is_seen_cancelled_and_ended_by_another() {
    let server = Server::start();
    let (runtime, client) = connect(&server);
    let (_other_runtime, other) = connect(&server);
    let endless = "SELECT count(*) FROM generate_series(1, 100000000000) AS t(x) WHERE x % 7 = 3";
    runtime.block_on(async {
        let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
        let meanwhile = async {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            let seen = "SELECT state, query FROM pg_stat_activity WHERE pid = $1";
            let seen = other.query_one(seen, &[&pid]).await.unwrap();
            assert_eq!((seen.get::<_, String>(0), seen.get::<_, String>(1)), ("active".into(), endless.into()));
            other.batch_execute("CREATE USER weak; SET ROLE weak").await.unwrap();
            for call in ["pg_cancel_backend", "pg_terminate_backend"] {
                let error = other.query(&format!("SELECT {call}($1::int4)"), &[&pid]).await.unwrap_err();
                assert_eq!(error.code().map(|code| code.code()), Some("42501"));
            }
            let seen = "SELECT state, query FROM pg_stat_activity WHERE pid = $1";
            let seen = other.query_one(seen, &[&pid]).await.unwrap();
            assert_eq!((seen.get::<_, Option<String>>(0), seen.get::<_, &str>(1)), (None, "<insufficient privilege>"));
            other.batch_execute("RESET ROLE").await.unwrap();
            let sent = other.query_one("SELECT pg_cancel_backend($1::int4)", &[&pid]).await.unwrap();
            assert!(sent.get::<_, bool>(0));
        };
        let (ended, ()) = tokio::join!(client.simple_query(endless), meanwhile);
        assert_eq!(ended.unwrap_err().code().map(|code| code.code()), Some("57014"));
        client.batch_execute("BEGIN").await.unwrap();
        let seen = "SELECT state FROM pg_stat_activity WHERE pid = $1";
        assert_eq!(other.query_one(seen, &[&pid]).await.unwrap().get::<_, &str>(0), "idle in transaction");
        let end = async {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            assert!(other.query_one("SELECT pg_terminate_backend($1::int4)", &[&pid]).await.unwrap().get::<_, bool>(0));
        };
        let (ended, ()) = tokio::join!(client.simple_query(endless), end);
        assert_eq!(ended.unwrap_err().code().map(|code| code.code()), Some("57P01"));
        assert!(client.simple_query("SELECT 1").await.is_err(), "the connection has ended");
        let left = other.query_one("SELECT count(*) FROM pg_stat_activity WHERE pid = $1", &[&pid]).await.unwrap();
        assert_eq!(left.get::<_, i64>(0), 0);
    });
}

#[test]
fn health_metrics_and_sigterm() {
    let mut server = Server::start();
    let (status, _) = wire::request(server.http, "GET", "/healthz", &[], b"").unwrap();
    assert_eq!(status, 200);
    let (status, page) = wire::request(server.http, "GET", "/metrics", &[], b"").unwrap();
    let page = String::from_utf8_lossy(&page).to_string();
    assert_eq!(status, 200);
    assert!(page.contains("tidegate_uptime_seconds"), "{page}");
    assert_eq!(server.terminate(), Some(0), "{}", server.log_tail());
}

#[test]
fn a_second_server_on_the_same_directory_is_refused() {
    let server = Server::start();
    let output = harness::serve(&server.data()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(text.contains("in use by another tidegate"), "{text}");
}

#[test]
fn a_taken_port_and_an_open_door_are_refused() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let cases = [(taken.as_str(), "cannot listen on"), ("0.0.0.0:0", "tls_cert")];
    for (address, told) in cases {
        let folder = tempfile::tempdir().unwrap();
        let output = Command::new(harness::BINARY)
            .args([
                "serve",
                "--http-listen",
                "127.0.0.1:0",
                "--cluster-listen",
                "127.0.0.1:0",
                "--sql-listen",
                address,
                "--data",
            ])
            .arg(folder.path())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains(told), "{address}: {text}");
    }
}

#[test]
fn who_has_no_rights_gets_none_by_another_name() {
    let mut server = Server::start();
    let (runtime, client) = connect(&server);
    runtime.block_on(async {
        let script = "CREATE USER ann PASSWORD 'Ann4567x'; CREATE ROLE nobody PASSWORD 'Nobody4567'; \
                      CREATE TABLE t (a int); ALTER USER admin PASSWORD 'Open Sesame 1'";
        client.batch_execute(script).await.unwrap();
    });
    server.set("auth=password");
    server.restart();
    let login = |user: &str, password: &str| {
        let target = format!("host=127.0.0.1 port={} user={user} password='{password}' dbname=dev", server.sql);
        runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&target, tokio_postgres::NoTls).await?;
            tokio::spawn(connection);
            Ok::<_, tokio_postgres::Error>(client)
        })
    };
    let code = |error: tokio_postgres::Error| error.as_db_error().map(|error| error.code().code().to_string());
    let refused = |user, password| login(user, password).err().and_then(code);
    assert_eq!(refused("ann", "wrong").as_deref(), Some("28P01"));
    assert_eq!(refused("stranger", "Ann4567x").as_deref(), Some("28P01"));
    assert_eq!(refused("nobody", "Nobody4567").as_deref(), Some("28000"));
    let ann = login("ann", "Ann4567x").unwrap();
    for (sql, expected) in [
        ("SELECT * FROM t", Some("42501")),
        ("SET SESSION AUTHORIZATION admin", Some("42501")),
        ("SET ROLE admin", Some("42501")),
        ("SET ROLE nobody", Some("42501")),
        ("ALTER USER ann SUPERUSER", Some("42501")),
        ("ALTER USER admin PASSWORD 'mine'", Some("42501")),
        ("ALTER SYSTEM SET auth = 'trust'", Some("42501")),
        ("GRANT SELECT ON t TO ann", Some("42501")),
        ("SELECT rolpassword FROM pg_authid WHERE rolpassword NOT IN ('********')", None),
        ("ALTER USER ann PASSWORD 'Changed4567'", None),
    ] {
        let found = runtime.block_on(ann.batch_execute(sql)).err().and_then(code);
        assert_eq!(found.as_deref(), expected, "{sql}");
    }
    let admin = login("admin", "Open Sesame 1").unwrap();
    runtime.block_on(admin.batch_execute("GRANT SELECT ON t TO ann")).unwrap();
    runtime.block_on(ann.batch_execute("SELECT * FROM t")).unwrap();
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
