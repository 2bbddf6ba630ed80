//! Two hundred sessions of mixed reads, writes and DDL: the sum of a bank's accounts holds in every snapshot, no update
//! is lost, and the history of all transactions is one that snapshot isolation can make.
//!
//! `TIDEGATE_ISOLATION_SECONDS` says how long (12; `tests/run --all`: 60), `TIDEGATE_SEED` repeats the choices.

mod history;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio_postgres::{Client, Error};

use crate::harness::{self, Server};
use crate::sim::Dice;
use history::{FIRST, Seen};

/// Sessions at one time.
const SESSIONS: u64 = 200;
/// Seconds where nobody says otherwise.
const SECONDS: u64 = 12;
/// Longest pause of a session between transactions.
const THINK_MS_MAX: u64 = 2000;
/// Accounts, and what each begins with.
const ACCOUNTS: i64 = 16;
const BALANCE: i64 = 1000;
/// Rows of a table of the history; a write sets all of them.
const ROWS: i64 = 4;
/// The tables of the history.
const TABLES: [&str; 2] = ["left_side", "right_side"];

/// What all sessions share.
struct Run {
    server: Server,
    started: Instant,
    until: Duration,
    next: AtomicI64,
    counted: AtomicI64,
    again: AtomicU64,
}

impl Run {
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).expect("a short run")
    }

    /// A number that no other write has.
    fn version(&self) -> i64 {
        self.next.fetch_add(1, Ordering::Relaxed) + 1
    }
}

async fn set_up(client: &Client) -> Result<(), Error> {
    client.batch_execute("CREATE TABLE accounts (id int, balance bigint); CREATE TABLE counter (n bigint)").await?;
    client.batch_execute("INSERT INTO counter VALUES (0)").await?;
    client.batch_execute("CREATE TABLE notes (session bigint, note text)").await?;
    let accounts = format!("INSERT INTO accounts SELECT n, {BALANCE} FROM generate_series(1, {ACCOUNTS}) AS g(n)");
    client.batch_execute(&accounts).await?;
    for table in TABLES {
        let rows = format!("SELECT n, CAST({FIRST} AS bigint) AS v FROM generate_series(1, {ROWS}) AS g(n)");
        client.batch_execute(&format!("CREATE TABLE {table} AS {rows}")).await?;
    }
    Ok(())
}

/// Whether a transaction is to be run again: by a conflict or a deadlock, and by nothing else.
fn is_again(error: &Error) -> bool {
    error.code().is_some_and(|code| ["40001", "40P01"].contains(&code.code()))
}

async fn number(client: &Client, sql: &str) -> Result<i64, Error> {
    client.query_one(sql, &[]).await?.try_get(0)
}

async fn sum(client: &Client, table: &str) -> Result<i64, Error> {
    number(client, &format!("SELECT CAST(sum(balance) AS bigint) FROM {table}")).await
}

/// The one version that all rows of a table of the history are of.
async fn version_of(client: &Client, table: &str) -> Result<i64, Error> {
    let row = client.query_one(&format!("SELECT min(v), max(v), count(*) FROM {table}"), &[]).await?;
    let (least, most, rows): (i64, i64, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    assert_eq!((least, rows), (most, ROWS), "{table} shows parts of two versions");
    Ok(least)
}

/// One transaction of the history.
async fn recorded(run: &Run, client: &Client, dice: &mut Dice) -> Result<Seen, Error> {
    let began = run.now();
    client.batch_execute("BEGIN").await?;
    let mut read = [FIRST; 2];
    let first = usize::try_from(dice.below(2)).expect("0 or 1");
    // Nothing, the one, or both.
    let writes = dice.below(4);
    if writes > 0 && dice.below(2) == 0 {
        // The careful take first what they will change, and are never told to run again.
        let tables = if writes == 3 { TABLES.join(", ") } else { TABLES[first].to_string() };
        client.batch_execute(&format!("LOCK {tables}")).await?;
    }
    for table in [first, 1 - first] {
        read[table] = version_of(client, TABLES[table]).await?;
    }
    let mut wrote = [None, None];
    for table in [first, 1 - first] {
        if writes == 3 || (writes > 0 && table == first) {
            let version = run.version();
            client.batch_execute(&format!("UPDATE {} SET v = {version}", TABLES[table])).await?;
            wrote[table] = Some(version);
            assert_eq!(version_of(client, TABLES[table]).await?, version, "a block reads what it wrote");
        } else {
            assert_eq!(version_of(client, TABLES[table]).await?, read[table], "a block's snapshot moved");
        }
    }
    client.batch_execute("COMMIT").await?;
    Ok(Seen { began, acknowledged: run.now(), read, wrote })
}

/// Money moves between two accounts, read and written in one block.
async fn transfer(client: &Client, dice: &mut Dice) -> Result<(), Error> {
    let account = |dice: &mut Dice| 1 + i64::try_from(dice.below(ACCOUNTS as u64)).expect("a small number");
    let (from, to, amount) = (account(dice), account(dice), dice.below(50));
    client.batch_execute("BEGIN").await?;
    let had = number(client, &format!("SELECT balance FROM accounts WHERE id = {from}")).await?;
    if from != to {
        let left = had - i64::try_from(amount).expect("a small number");
        client.batch_execute(&format!("UPDATE accounts SET balance = {left} WHERE id = {from}")).await?;
        let credit = format!("UPDATE accounts SET balance = balance + {amount} WHERE id = {to}");
        client.batch_execute(&credit).await?;
    }
    client.batch_execute("COMMIT").await
}

/// One transaction of any kind.
async fn step(run: &Run, client: &Client, session: u64, dice: &mut Dice) -> Result<Option<Seen>, Error> {
    match dice.below(10) {
        0..4 => return recorded(run, client, dice).await.map(Some),
        4 => transfer(client, dice).await?,
        5 => {
            // By itself a statement waits for its table and never has to be run again.
            let moved =
                "UPDATE accounts SET balance = balance + CASE WHEN id = 1 THEN -7 WHEN id = 2 THEN 7 ELSE 0 END";
            client.batch_execute(moved).await.inspect_err(|error| assert!(!is_again(error), "{error:?}"))?;
            client.batch_execute("UPDATE counter SET n = n + 1").await?;
            run.counted.fetch_add(1, Ordering::Relaxed);
        }
        6 => {
            let copy = format!("copy_{session}");
            let made = format!("BEGIN; CREATE TABLE {copy} AS SELECT * FROM accounts");
            client.batch_execute(&made).await?;
            assert_eq!(sum(client, &copy).await?, ACCOUNTS * BALANCE);
            assert_eq!(sum(client, "accounts").await?, ACCOUNTS * BALANCE);
            client.batch_execute(&format!("COMMIT; ALTER TABLE {copy} RENAME TO {copy}_old")).await?;
            client.batch_execute(&format!("DROP TABLE {copy}_old")).await?;
        }
        7 => {
            let note = format!("INSERT INTO notes VALUES ({session}, 'a'), ({session}, 'b')");
            client.batch_execute(&note).await?;
        }
        _ => assert_eq!(sum(client, "accounts").await?, ACCOUNTS * BALANCE, "money was made or lost"),
    }
    Ok(None)
}

async fn session(run: Arc<Run>, client: Client, session: u64, mut dice: Dice) -> Vec<Seen> {
    let mut history = Vec::new();
    while run.started.elapsed() < run.until {
        // People think in between; without that, all wait for the same few and little happens.
        tokio::time::sleep(Duration::from_millis(dice.below(THINK_MS_MAX))).await;
        match step(&run, &client, session, &mut dice).await {
            Ok(seen) => history.extend(seen),
            Err(error) if is_again(&error) => {
                run.again.fetch_add(1, Ordering::Relaxed);
                client.batch_execute("ROLLBACK").await.expect("a failed block can be rolled back");
            }
            Err(error) => panic!("session {session}: {error:?}\n{}", run.server.log_tail()),
        }
    }
    history
}

#[test]
fn two_hundred_sessions_see_snapshots() {
    let seconds = crate::sim::number("TIDEGATE_ISOLATION_SECONDS").unwrap_or(SECONDS);
    let seed = crate::sim::number("TIDEGATE_SEED").unwrap_or_else(crate::sim::fresh_seed);
    println!("isolation: TIDEGATE_SEED={seed} TIDEGATE_ISOLATION_SECONDS={seconds}");
    harness::block_on(async {
        let server = Server::start();
        let client = server.connect().await;
        set_up(&client).await.expect("the tables");
        let mut clients = Vec::new();
        for _ in 0..SESSIONS {
            clients.push(server.connect().await);
        }
        let run = Arc::new(Run {
            server,
            started: Instant::now(),
            until: Duration::from_secs(seconds),
            next: AtomicI64::new(FIRST),
            counted: AtomicI64::new(0),
            again: AtomicU64::new(0),
        });
        let begin =
            |(client, nth)| tokio::spawn(session(Arc::clone(&run), client, nth, Dice::new(seed.wrapping_add(nth))));
        let sessions: Vec<_> = clients.into_iter().zip(0..).map(begin).collect();
        let mut history = Vec::new();
        for session in sessions {
            history.extend(session.await.expect("a session without a fault"));
        }
        let writes = history.iter().filter(|seen| seen.wrote != [None, None]).count();
        println!(
            "{} transactions, {writes} wrote, {} were run again",
            history.len(),
            run.again.load(Ordering::Relaxed)
        );
        let faults = history::faults(&history);
        assert!(faults.is_empty(), "TIDEGATE_SEED={seed}: {faults:?}");
        assert!(writes > 0, "nobody wrote anything");
        assert_eq!(sum(&client, "accounts").await.unwrap(), ACCOUNTS * BALANCE);
        let counted = number(&client, "SELECT n FROM counter").await.unwrap();
        assert_eq!(counted, run.counted.load(Ordering::Relaxed), "an update was lost");
        assert_eq!(number(&client, "SELECT count(*) FROM stv_locks").await.unwrap(), 0, "a lock was left behind");
    });
}
