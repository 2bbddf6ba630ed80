//! kill -9 at random instants under load; then every acknowledged record and row is there, once, and nothing half.
//!
//! `TIDEGATE_KILL_CYCLES` says how often (12; `tests/run --all`: 300), `TIDEGATE_SEED` repeats a run's choices.
//! Five writers work at one time, each keeping a ledger of what was acknowledged and of the one statement that was
//! under way: INSERT into a stream, PutRecords over HTTP, INSERT/UPDATE/DELETE on a table, COPY from files, and
//! transactions over two tables. Two deliveries read the stream, one into Parquet files and one into a table.

mod check;
mod writers;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::harness::{self, Server};
use writers::Ledger;

/// Cycles where nobody says otherwise.
const CYCLES: u64 = 12;

/// Load before a kill, in milliseconds: from, to.
const LOAD_MILLIS: (u64, u64) = (30, 900);

/// One cycle in so many is killed again while it recovers.
const KILL_WHILE_STARTING: u64 = 4;

/// Longest wait before the kill of a starting server, in milliseconds.
const STARTING_MILLIS_MAX: u64 = 250;

/// A small seeded generator: the run's choices repeat with its seed.
#[derive(Clone)]
pub struct Dice(u64);

impl Dice {
    /// A generator that begins with a seed.
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

/// A whole number of the environment.
pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// A seed that no other run has.
pub fn fresh_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}

/// Streams, tables and deliveries of the run.
async fn set_up(server: &Server) {
    let client = server.connect().await;
    let out = server.scratch().join("out");
    let statements = [
        "CREATE STREAM events (writer int, seq bigint, note text) PARTITION KEY (writer, seq) FORMAT JSON WITH (shards = 2)".to_string(),
        "CREATE TABLE accounts (id bigint, v bigint)".to_string(),
        "CREATE TABLE loaded (file int, line int)".to_string(),
        "CREATE TABLE debit (id bigint, amount bigint)".to_string(),
        "CREATE TABLE credit (id bigint, amount bigint)".to_string(),
        "CREATE TABLE delivered (writer int, seq bigint, note text)".to_string(),
        format!(
            "CREATE DELIVERY STREAM to_files FROM events TO 'file://{}/' FORMAT PARQUET WITH (buffer_size = '1 MB', buffer_interval = '1 s')",
            out.display()
        ),
        "CREATE DELIVERY STREAM to_table FROM events TO TABLE delivered WITH (buffer_size = '1 MB', buffer_interval = '1 s')".to_string(),
    ];
    for sql in statements {
        client.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
}

/// Runs the writers until the server is gone from under them.
fn load_and_kill(server: &mut Server, ledger: &Ledger, dice: &mut Dice) {
    let stop = Arc::new(AtomicBool::new(false));
    let threads = writers::start(server, ledger, dice, &stop);
    std::thread::sleep(Duration::from_millis(LOAD_MILLIS.0 + dice.below(LOAD_MILLIS.1 - LOAD_MILLIS.0)));
    server.kill9();
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        if let Err(cause) = thread.join() {
            std::panic::resume_unwind(cause);
        }
    }
}

fn start_again(server: &mut Server, dice: &mut Dice) {
    if dice.below(KILL_WHILE_STARTING) == 0 {
        server.launch();
        std::thread::sleep(Duration::from_millis(dice.below(STARTING_MILLIS_MAX)));
        server.kill9();
    }
    server.restart();
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_there_twice() {
    let cycles = number("TIDEGATE_KILL_CYCLES").unwrap_or(CYCLES);
    let seed = number("TIDEGATE_SEED").unwrap_or_else(fresh_seed);
    println!("sim: TIDEGATE_SEED={seed} TIDEGATE_KILL_CYCLES={cycles}");
    let mut dice = Dice::new(seed);
    // Small segments and quick seals, so that kills meet rotation, sealing and recovery of both.
    let mut server = Server::start_with(&["wal_segment_mb=1", "stream_seal_interval_ms=700", "stream_seal_mb=1"]);
    harness::block_on(set_up(&server));
    let ledger = Ledger::new(server.scratch());
    for cycle in 1..=cycles {
        load_and_kill(&mut server, &ledger, &mut dice);
        start_again(&mut server, &mut dice);
        if let Err(error) = harness::block_on(check::everything(&server, &ledger)) {
            panic!("cycle {cycle} of {cycles}, TIDEGATE_SEED={seed}: {error}\n{}", server.log_tail());
        }
    }
    check::by_another_reader(&server, &ledger);
    assert!(ledger.all_worked(), "a writer got nothing done: {}", ledger.summary());
    println!("sim: {cycles} kills, {}", ledger.summary());
}
