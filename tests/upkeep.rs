//! What nobody needs any more goes from the disk: dropped tables and streams, temporary tables, leftovers of a kill, and
//! old files of the log.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::harness::{self, Server};

/// Longest wait for the janitor, in seconds.
const GONE_SECONDS_MAX: u64 = 20;

fn folders(server: &Server, of: &str) -> usize {
    std::fs::read_dir(server.data().join("objects").join(of)).map_or(0, |found| found.flatten().count())
}

async fn wait_for(server: &Server, of: &str, count: usize) {
    let until = Instant::now() + Duration::from_secs(GONE_SECONDS_MAX);
    while folders(server, of) != count {
        assert!(Instant::now() < until, "{} folders of {of}, not {count}\n{}", folders(server, of), server.log_tail());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn what_is_dropped_goes_once_nobody_reads_it() {
    let server = Server::start_with(&["stream_seal_interval_ms=200"]);
    harness::block_on(async {
        let (one, two) = (server.connect().await, server.connect().await);
        one.batch_execute("CREATE TABLE t AS SELECT n FROM generate_series(1, 1000) AS g(n)").await.unwrap();
        one.batch_execute("CREATE STREAM s (a int) FORMAT JSON; INSERT INTO s VALUES (1)").await.unwrap();
        wait_for(&server, "streams", 1).await;
        two.batch_execute("BEGIN; DECLARE c CURSOR FOR SELECT n FROM t ORDER BY n").await.unwrap();
        one.batch_execute("DROP TABLE t; DROP STREAM s").await.unwrap();
        let rows = two.query("FETCH ALL FROM c", &[]).await.unwrap();
        assert_eq!((rows.len(), rows[999].get::<_, i64>(0)), (1000, 1000));
        two.batch_execute("COMMIT").await.unwrap();
        wait_for(&server, "tables", 0).await;
        wait_for(&server, "streams", 0).await;
    });
}

#[test]
fn files_that_no_frame_lists_go_when_the_server_starts() {
    let mut server = Server::start();
    let parts = |server: &Server| -> Vec<std::path::PathBuf> {
        let folder = server.data().join("objects/tables");
        let tables = std::fs::read_dir(folder).unwrap().flatten();
        let files = tables.flat_map(|table| std::fs::read_dir(table.path()).unwrap().flatten());
        files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|end| end == "parquet")).collect()
    };
    harness::block_on(async {
        server
            .connect()
            .await
            .batch_execute("CREATE TABLE t AS SELECT n FROM generate_series(1, 10) AS g(n)")
            .await
            .unwrap();
    });
    let listed = parts(&server);
    assert_eq!(listed.len(), 1);
    // As a statement leaves it that a kill has met; and one whose number is not given out yet.
    let beside = |name: &str| listed[0].with_file_name(name);
    let (left, ahead) = (beside("part-0000000001-left.parquet"), beside("part-9999999999-ahead.parquet"));
    server.kill9();
    std::fs::copy(&listed[0], &left).unwrap();
    std::fs::copy(&listed[0], &ahead).unwrap();
    server.restart();
    let until = Instant::now() + Duration::from_secs(GONE_SECONDS_MAX);
    while left.exists() {
        assert!(Instant::now() < until, "{}", server.log_tail());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(ahead.exists());
    let count = harness::block_on(async {
        server.connect().await.query_one("SELECT count(*) FROM t", &[]).await.unwrap().get::<_, i64>(0)
    });
    assert_eq!((count, listed[0].exists()), (10, true));
}

#[test]
fn temporary_tables_go_with_their_session_or_with_the_server() {
    let mut server = Server::start();
    harness::block_on(async {
        let client = server.connect().await;
        client.batch_execute("CREATE TEMP TABLE t (a int); INSERT INTO t VALUES (1)").await.unwrap();
        wait_for(&server, "tables", 1).await;
        drop(client);
        wait_for(&server, "tables", 0).await;
        let client = server.connect().await;
        client.batch_execute("CREATE TEMP TABLE t (a int); INSERT INTO t VALUES (1)").await.unwrap();
        server.kill9();
    });
    leave_a_folder(&server.data(), 3);
    server.restart();
    harness::block_on(async {
        wait_for(&server, "tables", 0).await;
        let client = server.connect().await;
        let left = client.query("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'pg_temp%'", &[]).await.unwrap();
        assert!(left.is_empty(), "{left:?}");
    });
}

/// As if the server had been killed between the commit of a DROP and the removal of its files.
fn leave_a_folder(data: &Path, number: u32) {
    let folder = data.join("objects/tables").join(number.to_string());
    std::fs::create_dir_all(folder.join("deeper")).unwrap();
    std::fs::write(folder.join("deeper/file#1"), b"half").unwrap();
}

fn log_files(server: &Server) -> Vec<String> {
    let found = std::fs::read_dir(server.data().join("wal")).unwrap().flatten();
    let mut names: Vec<String> = found.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Old files of the log go once what they hold is applied and sealed; the server starts from what is left.
#[test]
fn a_log_that_has_let_go_of_files_is_started_from() {
    let mut server = Server::start_with(&["wal_segment_mb=1", "stream_seal_interval_ms=200"]);
    let oldest = log_files(&server)[0].clone();
    harness::block_on(async {
        let client = server.connect().await;
        client.batch_execute("CREATE STREAM s (n int, text text) FORMAT JSON").await.unwrap();
        for round in 0..4 {
            let rows = format!("generate_series({}, {}) AS g(n)", round * 1000 + 1, round * 1000 + 1000);
            client.batch_execute(&format!("INSERT INTO s SELECT n, repeat('x', 1000) FROM {rows}")).await.unwrap();
        }
        let until = Instant::now() + Duration::from_secs(GONE_SECONDS_MAX);
        while log_files(&server).contains(&oldest) {
            assert!(Instant::now() < until, "{:?}\n{}", log_files(&server), server.log_tail());
            // The log looks at its files when it writes.
            client.batch_execute("INSERT INTO s VALUES (0, 'again')").await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        server.kill9();
    });
    for _ in 0..2 {
        server.restart();
        harness::block_on(async {
            let client = server.connect().await;
            let sum = "SELECT count(*), sum(n)::bigint FROM s WHERE n > 0";
            let row = client.query_one(sum, &[]).await.unwrap();
            assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (4000, 8_002_000));
            client.batch_execute("INSERT INTO s VALUES (0, 'more')").await.unwrap();
        });
        server.kill9();
    }
}
