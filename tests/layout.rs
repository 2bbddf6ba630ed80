//! How tables lie on disk: small writes, flushes and what puts files together, with a kill at every step.

use std::collections::BTreeMap;

use crate::harness::{self, Server};

/// Where the server is killed.
const POINTS: [&str; 9] = [
    "wal.write",
    "wal.sync",
    "wal.synced",
    "state.commit",
    "table.copied",
    "table.rewritten",
    "table.flushed",
    "delta.write",
    "delta.written",
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
    let client = server.connect().await;
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
    let mut server = Server::start();
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
