//! One transaction over two tables, a stream's reader and DDL, killed at every step of its commit: wholly there or not at
//! all.

use crate::harness::{self, Server};

/// Where the server is killed.
const POINTS: [&str; 8] = [
    "commit.prepared",
    "wal.write",
    "wal.sync",
    "wal.synced",
    "commit.written",
    "commit.published",
    "delta.write",
    "delta.written",
];
/// Passages of each point that are tried: commits before the block's, its own, and the upkeep behind it.
const PASSAGES: u64 = 6;

/// What a block leaves.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
struct Found {
    taken: i64,
    sum: i64,
    tables: i64,
    unread: i64,
}

/// Does the one thing `round` times; gives how often it was acknowledged.
async fn work(server: &Server, round: i64) -> bool {
    let client = server.connect().await;
    let put = format!("INSERT INTO clicks VALUES ({round}, 1)");
    let block = format!(
        "BEGIN; INSERT INTO taken SELECT id, n FROM clicks CONSUME AS reader; UPDATE total SET n = n + 1; \
         CREATE TABLE made_{round} (a int); INSERT INTO made_{round} VALUES ({round}); COMMIT"
    );
    client.batch_execute(&put).await.is_ok() && client.batch_execute(&block).await.is_ok()
}

async fn look(server: &Server) -> Found {
    let client = server.connect().await;
    let number = async |sql: &str| client.query_one(sql, &[]).await.unwrap_or_else(|e| panic!("{sql}: {e:?}")).get(0);
    let tables = "SELECT count(*) FROM tidegate.tables WHERE name LIKE 'made_%' AND rows = 1";
    let found = Found {
        taken: number("SELECT count(*) FROM taken").await,
        sum: number("SELECT n FROM total").await,
        tables: number(tables).await,
        unread: 0,
    };
    // The reader's position tells what it has taken: it takes no record twice and leaves none out.
    client.batch_execute("INSERT INTO rest SELECT id, n FROM clicks CONSUME AS reader").await.unwrap();
    let unread = number("SELECT count(*) FROM rest").await;
    client.batch_execute("TRUNCATE rest").await.unwrap();
    Found { unread, ..found }
}

#[test]
fn a_block_is_wholly_there_or_not_at_all() {
    let mut server = Server::start();
    harness::block_on(async {
        let client = server.connect().await;
        client.batch_execute("CREATE STREAM clicks (id bigint, n int) PARTITION KEY (id) FORMAT JSON").await.unwrap();
        client
            .batch_execute("CREATE TABLE taken (id bigint, n int); CREATE TABLE rest (id bigint, n int)")
            .await
            .unwrap();
        client.batch_execute("CREATE TABLE total (n bigint); INSERT INTO total VALUES (0)").await.unwrap();
    });
    let mut before = harness::block_on(look(&server));
    let steps = POINTS.iter().flat_map(|point| (1..=PASSAGES).map(move |passage| (*point, passage)));
    for (round, (point, passage)) in (1..).zip(steps) {
        server.kill9();
        server.fail_at(&format!("{point}=kill@{passage}"));
        server.launch();
        // A fault may be met by the start already.
        let acknowledged = server.wait_until_ready().is_ok() && harness::block_on(work(&server, round));
        server.restart();
        let found = harness::block_on(look(&server));
        let done = Found { taken: before.taken + 1, sum: before.sum + 1, tables: before.tables + 1, unread: 0 };
        let undone = Found { unread: found.unread.min(1), ..before };
        assert!(found == done || (found == undone && !acknowledged), "{point} {passage}: {before:?}, then {found:?}");
        before = Found { unread: 0, ..found };
    }
}
