//! A windowed view across the end of the server: what it holds is what the same SQL gives over the finished rows.

use std::time::Duration;

use tokio_postgres::SimpleQueryMessage;

use crate::harness::{self, Server};

/// Events, a batch of them, and kills; `tests/run --all` says five million and fifty.
const EVENTS: u64 = 200_000;
const BATCH: u64 = 20_000;
const KILLS: u64 = 5;

/// Longest wait for the view, in seconds.
const SECONDS_MAX: u64 = 120;

const SET_UP: &str = "
    CREATE STREAM flights (id bigint, carrier text, delay int, at timestamptz, WATERMARK FOR at AS at - INTERVAL '10 seconds')
      PARTITION KEY (id) FORMAT JSON WITH (shards = 2);
    CREATE TABLE carriers AS SELECT 'c' || n AS carrier, 'airline ' || n % 5 AS airline FROM generate_series(0, 15) AS g(n);
    CREATE MATERIALIZED VIEW by_minute AUTO REFRESH YES AS $QUERY;
    CREATE PUMP hops AS INSERT INTO hopped SELECT STREAM window_start, count(*)
      FROM HOP(TABLE flights, DESCRIPTOR(at), INTERVAL '20 seconds', INTERVAL '1 minute') GROUP BY window_start";

const QUERY: &str = "
    SELECT window_start, c.airline, count(*) AS n, sum(delay) AS delay, min(id) AS first, avg(delay) AS mean
    FROM TUMBLE(TABLE flights, DESCRIPTOR(at), INTERVAL '1 minute') AS f JOIN carriers c ON c.carrier = f.carrier
    GROUP BY window_start, c.airline";

/// Events in about the order of their time, some of them up to eight seconds late.
fn events(from: u64, until: u64) -> String {
    format!(
        "INSERT INTO flights SELECT n, 'c' || n % 16, CAST(n % 240 AS int) - 60,
           to_timestamp(1767225600 + n / 50 - (n * 7919) % 8)
         FROM generate_series({from}, {until}) AS g(n)"
    )
}

async fn rows(server: &Server, sql: &str) -> Result<Vec<String>, tokio_postgres::Error> {
    let client = harness::connect(server.sql).await?;
    let shown = |message| match message {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|n| row.get(n).unwrap_or("NULL")).collect::<Vec<_>>().join("|"))
        }
        _ => None,
    };
    Ok(client.simple_query(sql).await?.into_iter().filter_map(shown).collect())
}

fn told(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn a_windowed_view_is_exact_across_kills() {
    let (events_max, kills) = (told("TIDEGATE_WINDOW_EVENTS", EVENTS), told("TIDEGATE_WINDOW_KILLS", KILLS));
    let mut server = Server::start_with(&["stream_seal_mb=8", "stream_seal_interval_ms=2000"]);
    harness::block_on(async {
        let client = server.connect().await;
        client.batch_execute("CREATE TABLE hopped (starts timestamptz, n bigint)").await.unwrap();
        for statement in SET_UP.replace("$QUERY", QUERY).split(';') {
            client.batch_execute(statement).await.unwrap();
        }
        let (mut next, mut killed, mut seed) = (0, 0, told("TIDEGATE_SEED", 11));
        while next < events_max {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let insert = events(next, next + BATCH - 1);
            // Kills are spread over the run; one falls into an insert, into a commit of the view, or between.
            if killed * events_max < next * kills && killed < kills {
                let before = Duration::from_millis((seed >> 33) % 150);
                let acknowledged = tokio::time::timeout(before, rows(&server, &insert)).await;
                server.restart();
                killed += 1;
                if !matches!(acknowledged, Ok(Ok(_))) {
                    continue;
                }
            } else if let Err(error) = rows(&server, &insert).await {
                panic!("{error:?}\n{}", server.log_tail());
            }
            next += BATCH;
        }
        // Later than any window that must close, on every shard.
        let last = format!(
            "INSERT INTO flights SELECT -n, 'c0', 0, to_timestamp(1767225600 + {events_max} / 50 + 1000) FROM generate_series(1, 64) AS g(n)"
        );
        rows(&server, &last).await.unwrap();
        tokio::time::timeout(Duration::from_secs(SECONDS_MAX), rows(&server, "REFRESH MATERIALIZED VIEW by_minute"))
            .await
            .expect("in time")
            .unwrap();
        let closed =
            "WHERE window_start < (SELECT max(watermark) - INTERVAL '1 minute' FROM tidegate.continuous_queries)";
        for (one, other) in
            [("by_minute", format!("({QUERY})")), (&format!("({QUERY})") as &str, "by_minute".to_string())]
        {
            let sql = format!(
                "SELECT count(*) FROM (SELECT * FROM {one} AS a {closed} EXCEPT ALL SELECT * FROM {other} AS b {closed}) AS d"
            );
            assert_eq!(rows(&server, &sql).await.unwrap(), ["0"], "rows of one that the other has not: {sql}");
        }
        let told = "SELECT kind, records, rows, late FROM tidegate.continuous_queries ORDER BY kind";
        let count = rows(
            &server,
            "SELECT count(*), (SELECT count(*) FROM by_minute), (SELECT sum(n) FROM by_minute) FROM flights",
        )
        .await
        .unwrap();
        println!("{count:?} after {killed} kills; {:?}", rows(&server, told).await.unwrap());
        let doubled =
            rows(&server, "SELECT window_start FROM by_minute GROUP BY window_start, airline HAVING count(*) > 1")
                .await
                .unwrap();
        assert!(doubled.is_empty(), "{doubled:?}");
        assert!(killed >= kills.min(1), "it was killed");
        let late = rows(&server, "SELECT sum(late) FROM tidegate.continuous_queries").await.unwrap();
        assert_eq!(late, ["0"], "disorder within the watermark's bound is not late");
        // The pump's windows, from the first that is whole.
        let hops = "SELECT window_start, count(*) FROM HOP(TABLE flights, DESCRIPTOR(at), INTERVAL '20 seconds', INTERVAL '1 minute') GROUP BY window_start";
        let until = std::time::Instant::now() + Duration::from_secs(SECONDS_MAX);
        loop {
            let sql = format!(
                "SELECT count(*) FROM (SELECT * FROM ({hops}) AS a {closed} EXCEPT ALL SELECT * FROM hopped) AS d"
            );
            if rows(&server, &sql).await.unwrap() == ["0"] {
                break;
            }
            assert!(std::time::Instant::now() < until, "the pump did not catch up\n{}", server.log_tail());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
}

/// Inserts between which views over tables are refreshed, by themselves and by hand.
const INSERTS: u64 = 24;

/// Each view over tables, and the query that it is.
const TABLE_VIEWS: &[(&str, &str)] = &[
    ("sums", "SELECT k, sum(n) AS n, count(*) AS c, min(id) AS low, max(id) AS high FROM facts GROUP BY k"),
    ("picked", "SELECT id, k FROM facts WHERE n > 3"),
    ("joined", "SELECT f.id, d.name FROM facts f JOIN names d ON d.k = f.k"),
    (
        "means",
        "SELECT avg(f.n) AS mean, sum(f.n) * 10 / count(*) AS tenths, max(d.name) AS name
         FROM facts f JOIN names d ON d.k = f.k GROUP BY f.k HAVING count(*) > 40",
    ),
];

async fn assert_views_are_their_queries(server: &Server) {
    for (name, query) in TABLE_VIEWS {
        rows(server, &format!("REFRESH MATERIALIZED VIEW {name}")).await.unwrap();
        for (one, other) in [
            (format!("(SELECT * FROM {name})"), format!("({query})")),
            (format!("({query})"), format!("(SELECT * FROM {name})")),
        ] {
            let sql = format!("SELECT count(*) FROM ({one} EXCEPT ALL {other}) AS d");
            assert_eq!(rows(server, &sql).await.unwrap(), ["0"], "{name}: {sql}");
        }
    }
}

#[test]
fn views_over_tables_are_exact_across_kills() {
    let mut server = Server::start_with(&[]);
    harness::block_on(async {
        let set_up = "CREATE TABLE facts (id bigint, k int, n int); CREATE TABLE names (k int, name text)";
        server.connect().await.batch_execute(set_up).await.unwrap();
        for (name, query) in TABLE_VIEWS {
            let auto = if *name == "joined" { "NO" } else { "YES" };
            let create = format!("CREATE MATERIALIZED VIEW {name} AUTO REFRESH {auto} AS {query}");
            server.connect().await.batch_execute(&create).await.unwrap();
        }
        let mut seed = told("TIDEGATE_SEED", 5);
        for insert in 0..INSERTS {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (from, until) = (insert * 500, insert * 500 + 499);
            let facts = format!(
                "INSERT INTO facts SELECT g.i, CAST(g.i % 7 AS int), CAST(g.i % 11 AS int) FROM generate_series({from}, {until}) AS g (i)"
            );
            let name = format!("INSERT INTO names VALUES ({}, 'n{insert}')", insert % 7);
            let by_hand = "REFRESH MATERIALIZED VIEW joined";
            let all = async {
                for sql in [facts.as_str(), name.as_str(), by_hand] {
                    // What a kill cuts off has happened or has not: the views say the same either way.
                    drop(rows(&server, sql).await);
                }
            };
            if insert % 3 == 2 {
                let before = Duration::from_millis((seed >> 33) % 200);
                drop(tokio::time::timeout(before, all).await);
                server.restart();
            } else {
                all.await;
            }
        }
        // By what was added, and then anew.
        assert_views_are_their_queries(&server).await;
        rows(&server, "DELETE FROM facts WHERE id % 13 = 0").await.unwrap();
        assert_views_are_their_queries(&server).await;
        let count = rows(&server, "SELECT (SELECT sum(c) FROM sums), count(*) FROM facts").await.unwrap();
        println!("{count:?}");
    });
}
