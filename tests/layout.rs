//! How tables lie on disk: small writes, flushes and what puts files together, with a kill at every step; and how few
//! files that leaves.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::harness::{self, Server};

/// Where the server is killed.
const POINTS: [&str; 11] = [
    "wal.write",
    "wal.sync",
    "wal.synced",
    "state.commit",
    "table.copied",
    "table.rewritten",
    "table.flushed",
    "delta.write",
    "delta.written",
    "delta.checkpoint",
    "table.removed",
];

/// Passages of each point that are tried.
const PASSAGES: u64 = 3;

/// What one round does to the table.
const ROUND: [Op; 12] = [
    Op::Insert(3),
    Op::Insert(1),
    Op::Keep("CHECKPOINT"),
    Op::Insert(2),
    Op::Raise,
    Op::Keep("VACUUM t"),
    Op::Insert(1),
    Op::Thin,
    Op::Block,
    Op::Keep("CHECKPOINT"),
    Op::Insert(20_000),
    Op::Keep("VACUUM"),
];

/// A statement, and what it does to the rows.
#[derive(Debug, Clone, Copy)]
enum Op {
    Insert(i64),
    Raise,
    Thin,
    /// Several statements, all or none.
    Block,
    Keep(&'static str),
}

type Rows = BTreeMap<i64, i64>;

impl Op {
    fn sql(self, rows: &Rows) -> String {
        let first = next(rows);
        let insert = |count: i64| {
            format!("INSERT INTO t SELECT n, 0 FROM generate_series({first}, {}) AS g(n)", first + count - 1)
        };
        match self {
            Op::Insert(count) => insert(count),
            Op::Raise => "UPDATE t SET b = b + 1".to_string(),
            Op::Thin => "DELETE FROM t WHERE a % 3 = 0 OR a > 100".to_string(),
            Op::Block => {
                format!(
                    "BEGIN; {}; UPDATE t SET b = b + 10 WHERE a % 2 = 0; DELETE FROM t WHERE a = 1; COMMIT",
                    insert(2)
                )
            }
            Op::Keep(sql) => sql.to_string(),
        }
    }

    fn apply(self, rows: &Rows) -> Rows {
        let (mut rows, first) = (rows.clone(), next(rows));
        match self {
            Op::Insert(count) => rows.extend((first..first + count).map(|a| (a, 0))),
            Op::Raise => rows.values_mut().for_each(|b| *b += 1),
            Op::Thin => rows.retain(|a, _| a % 3 != 0 && *a <= 100),
            Op::Block => {
                rows.extend((first..first + 2).map(|a| (a, 0)));
                rows.iter_mut().filter(|(a, _)| *a % 2 == 0).for_each(|(_, b)| *b += 10);
                rows.remove(&1);
            }
            Op::Keep(_) => {}
        }
        rows
    }
}

fn next(rows: &Rows) -> i64 {
    rows.last_key_value().map_or(1, |(a, _)| a + 1)
}

async fn read(server: &Server) -> Rows {
    let client = server.connect().await;
    let found = client.query("SELECT a, b FROM t", &[]).await.unwrap();
    let rows: Rows = found.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(rows.len(), found.len(), "a row is there twice");
    rows
}

/// Works until the server is gone; gives what it may hold then.
async fn work(server: &Server, mut rows: Rows) -> Vec<Rows> {
    // Upkeep may have met the fault already.
    let Ok(client) = harness::connect(server.sql).await else { return vec![rows] };
    for op in ROUND {
        let after = op.apply(&rows);
        if let Err(error) = client.batch_execute(&op.sql(&rows)).await {
            assert!(error.is_closed() || error.code().is_none(), "{op:?}: {error:?}\n{}", server.log_tail());
            return vec![rows, after];
        }
        rows = after;
    }
    vec![rows]
}

#[test]
fn a_kill_at_any_step_loses_nothing_and_shows_nothing_half() {
    let mut server = Server::start_with(&["deleted_file_retention_ms=0"]);
    let mut rows = Rows::new();
    harness::block_on(async {
        server.connect().await.batch_execute("CREATE TABLE t (a bigint, b bigint)").await.unwrap();
    });
    for (point, passage) in POINTS.iter().flat_map(|point| (1..=PASSAGES).map(move |passage| (point, passage))) {
        server.kill9();
        server.fail_at(&format!("{point}=kill@{passage}"));
        server.launch();
        // A fault may be met by the start already.
        let possible = match server.wait_until_ready() {
            Ok(()) => harness::block_on(work(&server, rows.clone())),
            Err(_) => vec![rows.clone()],
        };
        server.restart();
        let found = harness::block_on(read(&server));
        let sums = |rows: &Rows| (rows.len(), rows.values().sum::<i64>());
        let expected: Vec<_> = possible.iter().map(sums).collect();
        assert!(possible.contains(&found), "{point} {passage}: {:?}, not {expected:?}", sums(&found));
        harness::block_on(async { server.connect().await.batch_execute("CHECKPOINT").await.unwrap() });
        assert_eq!(harness::block_on(read(&server)), found, "{point} {passage}");
        rows = found;
    }
}

/// Batches of a minute at ten a second, written as fast as they are taken, and rows of each.
const BATCHES: i64 = 600;
const BATCH_ROWS: i64 = 100;
/// Most files that they may leave.
const FILES_MAX: i64 = 50;
/// Longest wait for upkeep, in seconds.
const UPKEEP_SECONDS_MAX: u64 = 30;

async fn number(server: &Server, sql: &str) -> i64 {
    server.connect().await.query_one(sql, &[]).await.unwrap().get(0)
}

async fn wait_until(server: &Server, what: &str, is_so: impl AsyncFn() -> bool) {
    let until = Instant::now() + Duration::from_secs(UPKEEP_SECONDS_MAX);
    while !is_so().await {
        assert!(Instant::now() < until, "{what}\n{}", server.log_tail());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn small_batches_leave_few_files() {
    // A flush a second stands for one a minute.
    let server = Server::start_with(&["table_flush_interval_ms=300"]);
    harness::block_on(async {
        let client = server.connect().await;
        client.batch_execute("CREATE TABLE t (a bigint, b text)").await.unwrap();
        let insert = client.prepare("INSERT INTO t SELECT $1::bigint + n, 'x' FROM generate_series(1, 100) AS g(n)");
        let insert = insert.await.unwrap();
        for batch in 0..BATCHES {
            client.execute(&insert, &[&(batch * BATCH_ROWS)]).await.unwrap();
        }
        wait_until(&server, "the tail is not flushed", async || {
            number(&server, "SELECT tail_rows FROM tidegate.tables WHERE name = 't'").await == 0
        })
        .await;
        let files = number(&server, "SELECT files FROM tidegate.tables WHERE name = 't'").await;
        assert!((1..=FILES_MAX).contains(&files), "{files}");
        let found = client.query_one("SELECT count(*), count(DISTINCT a), max(a) FROM t", &[]).await.unwrap();
        let rows = BATCHES * BATCH_ROWS;
        assert_eq!((found.get::<_, i64>(0), found.get::<_, i64>(1), found.get::<_, i64>(2)), (rows, rows, rows));
    });
}

fn files_on_disk(server: &Server) -> i64 {
    let tables = std::fs::read_dir(server.data().join("objects/tables")).unwrap().flatten();
    let files = tables.flat_map(|table| std::fs::read_dir(table.path()).unwrap().flatten());
    files.filter(|file| file.path().extension().is_some_and(|end| end == "parquet")).count() as i64
}

#[test]
fn files_that_a_table_lets_go_of_leave_when_their_time_has_come() {
    let mut server = Server::start_with(&["deleted_file_retention_ms=3600000", "auto_vacuum=off"]);
    harness::block_on(async {
        let client = server.connect().await;
        client.batch_execute("CREATE TABLE t AS SELECT n FROM generate_series(1, 20000) AS g(n)").await.unwrap();
        client.batch_execute("DELETE FROM t WHERE n > 19000").await.unwrap();
        assert_eq!(number(&server, "SELECT files FROM tidegate.tables WHERE name = 't'").await, 1);
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(files_on_disk(&server), 2);
    });
    // It is remembered across a kill, and its time may be set anew.
    server.set("deleted_file_retention_ms=0");
    server.restart();
    harness::block_on(async {
        wait_until(&server, "a file is still there", async || files_on_disk(&server) == 1).await;
        assert_eq!(number(&server, "SELECT count(*) FROM t").await, 19_000);
        // Whoever reads it keeps it.
        let reader = server.connect().await;
        reader.batch_execute("BEGIN; DECLARE c CURSOR FOR SELECT n FROM t").await.unwrap();
        server.connect().await.batch_execute("DELETE FROM t WHERE n <= 500").await.unwrap();
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(reader.query("FETCH ALL FROM c", &[]).await.unwrap().len(), 19_000);
        reader.batch_execute("COMMIT").await.unwrap();
        wait_until(&server, "a file is still there", async || files_on_disk(&server) == 1).await;
    });
}

#[test]
fn an_open_block_is_not_disturbed_by_upkeep() {
    let server = Server::start();
    harness::block_on(async {
        let (one, two) = (server.connect().await, server.connect().await);
        one.batch_execute("CREATE TABLE t (a bigint, b bigint)").await.unwrap();
        one.batch_execute("INSERT INTO t VALUES (1, 0), (2, 0)").await.unwrap();
        two.batch_execute("BEGIN; INSERT INTO t VALUES (3, 0)").await.unwrap();
        assert_eq!(two.query_one("SELECT count(*) FROM t", &[]).await.unwrap().get::<_, i64>(0), 3);
        // Flushed, and added to, behind the block's back.
        one.batch_execute("CHECKPOINT").await.unwrap();
        one.batch_execute("INSERT INTO t VALUES (4, 0)").await.unwrap();
        one.batch_execute("CHECKPOINT").await.unwrap();
        two.batch_execute("UPDATE t SET b = b + 1").await.unwrap();
        assert_eq!(two.query_one("SELECT sum(b)::bigint FROM t", &[]).await.unwrap().get::<_, i64>(0), 3);
        // While the block has the table, upkeep leaves it alone.
        one.batch_execute("VACUUM t").await.unwrap();
        two.batch_execute("COMMIT").await.unwrap();
        let found = one.query_one("SELECT count(*), sum(b)::bigint FROM t", &[]).await.unwrap();
        assert_eq!((found.get::<_, i64>(0), found.get::<_, i64>(1)), (4, 3));
    });
}

/// Pages of a scan, and those of them that are read, as EXPLAIN ANALYZE tells.
fn pages(plan: &str) -> (u64, u64) {
    let told = plan.split("page_index_pages_pruned=").nth(1).unwrap_or_else(|| panic!("{plan}"));
    let mut numbers = told.split_whitespace().filter_map(|word| word.parse().ok());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// DST-03, DST-04.
#[test]
fn a_range_of_the_sort_key_reads_few_pages() {
    let server = Server::start();
    harness::block_on(async {
        let client = server.connect().await;
        client.batch_execute("CREATE TABLE t (a int, b int) SORTKEY (a)").await.unwrap();
        // In no order at all.
        let rows = "SELECT (n * 7919) % 400009, n FROM generate_series(1, 400000) AS g(n)";
        client.batch_execute(&format!("INSERT INTO t {rows}")).await.unwrap();
        let explain = "EXPLAIN ANALYZE SELECT count(b) FROM t WHERE a BETWEEN 5000 AND 5100";
        let plan = client.query(explain, &[]).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get(1)).collect();
        let (all, read) = pages(&plan.join("\n"));
        assert!(all >= 10 && read <= 2, "{read} of {all} pages\n{}", plan.join("\n"));
    });
}
