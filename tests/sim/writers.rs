//! The writers: each does one thing until the server is gone, and keeps a ledger of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use serde_json::json;
use tokio_postgres::Client;

use super::Dice;
use crate::harness::{self, Server};
use crate::wire;

/// Rows of a file for COPY.
pub const COPY_ROWS: u32 = 400;

/// Rows of an INSERT into the stream, at most.
const STREAM_ROWS_MAX: u64 = 8;

/// Records of a PutRecords call, at most.
const PUT_RECORDS_MAX: u64 = 6;

/// Writer numbers in the stream.
pub const BY_SQL: i32 = 1;
/// The same for records that came over HTTP.
pub const BY_HTTP: i32 = 2;

/// Acknowledged batches, and the one whose answer never came.
#[derive(Default, Clone)]
pub struct Batches {
    /// The next number that nobody has used.
    pub next: i64,
    /// Numbers that must be there, each once.
    pub there: BTreeSet<i64>,
    /// Numbers of the statement under way: all there, or none.
    pub open: Vec<i64>,
    /// Statements that were acknowledged.
    pub acknowledged: u64,
}

impl Batches {
    fn begin(&mut self, count: i64) -> Vec<i64> {
        self.open = (self.next..self.next + count).collect();
        self.next += count;
        self.open.clone()
    }

    fn end(&mut self) {
        self.there.extend(self.open.drain(..));
        self.acknowledged += 1;
    }
}

/// A table as it must be, and as it is if the statement under way was applied.
#[derive(Default, Clone)]
pub struct Accounts {
    /// Values by id.
    pub now: BTreeMap<i64, i64>,
    /// The other possible state.
    pub open: Option<BTreeMap<i64, i64>>,
    /// The next id.
    pub next: i64,
    /// Statements that were acknowledged.
    pub acknowledged: u64,
}

/// What all writers know.
#[derive(Default)]
pub struct Books {
    /// Rows inserted into the stream by SQL.
    pub sql: Batches,
    /// Records put by HTTP.
    pub http: Batches,
    /// Sequence numbers that the answers of HTTP puts gave.
    pub sequence_numbers: BTreeMap<i64, String>,
    /// The table of INSERT, UPDATE and DELETE.
    pub accounts: Accounts,
    /// Files loaded by COPY.
    pub files: Batches,
    /// Transfers: a row in each of two tables.
    pub transfers: Batches,
}

/// Shared by the writers and the checks.
#[derive(Clone)]
pub struct Ledger {
    books: Arc<Mutex<Books>>,
    folder: PathBuf,
}

impl Ledger {
    /// An empty one; files for COPY go to the folder.
    pub fn new(folder: PathBuf) -> Ledger {
        Ledger { books: Arc::default(), folder }
    }

    /// The books, whoever panicked with them open.
    pub fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Whether every writer had something acknowledged: else the run has shown nothing.
    pub fn all_worked(&self) -> bool {
        let books = self.books();
        let batches = [&books.sql, &books.http, &books.files, &books.transfers];
        books.accounts.acknowledged > 0 && batches.iter().all(|b| b.acknowledged > 0)
    }

    /// How much was acknowledged in all.
    pub fn summary(&self) -> String {
        let books = self.books();
        format!(
            "acknowledged {} INSERTs and {} PutRecords into the stream ({} records), {} DML statements, {} COPYs, {} transactions",
            books.sql.acknowledged,
            books.http.acknowledged,
            books.sql.there.len() + books.http.there.len(),
            books.accounts.acknowledged,
            books.files.acknowledged,
            books.transfers.acknowledged
        )
    }
}

type Work = fn(&Ports, &Ledger, &mut Dice, &AtomicBool);

/// What a writer needs of the server.
#[derive(Clone, Copy)]
struct Ports {
    sql: u16,
    http: u16,
}

/// Starts one thread for each writer.
pub fn start(server: &Server, ledger: &Ledger, dice: &mut Dice, stop: &Arc<AtomicBool>) -> Vec<JoinHandle<()>> {
    let ports = Ports { sql: server.sql, http: server.http };
    let work: [Work; 5] = [insert_into_stream, put_records, change_table, copy_files, transfer];
    work.into_iter()
        .map(|work| {
            let (ledger, stop, mut dice) = (ledger.clone(), Arc::clone(stop), Dice(dice.below(u64::MAX)));
            std::thread::spawn(move || work(&ports, &ledger, &mut dice, &stop))
        })
        .collect()
}

/// Runs statements made one after another, until one gets no answer. A statement that the server refuses is a failure.
fn statements(port: u16, stop: &AtomicBool, mut next: impl FnMut() -> String, mut acknowledged: impl FnMut()) {
    harness::block_on(async {
        let Ok(client) = harness::connect(port).await else { return };
        while !stop.load(Ordering::Relaxed) {
            let sql = next();
            if !answered(&client, &sql).await {
                return;
            }
            acknowledged();
        }
    });
}

async fn answered(client: &Client, sql: &str) -> bool {
    match client.batch_execute(sql).await {
        Ok(()) => true,
        Err(error) => match error.as_db_error() {
            None => false,
            Some(refused) => {
                panic!("{}: {} for {}", refused.code().code(), refused.message(), &sql[..sql.len().min(200)])
            }
        },
    }
}

fn insert_into_stream(ports: &Ports, ledger: &Ledger, dice: &mut Dice, stop: &AtomicBool) {
    let next = || {
        let numbers = ledger.books().sql.begin(1 + dice.below(STREAM_ROWS_MAX) as i64);
        let rows: Vec<String> = numbers.iter().map(|n| format!("({BY_SQL}, {n}, 'note {n}')")).collect();
        format!("INSERT INTO events VALUES {}", rows.join(", "))
    };
    statements(ports.sql, stop, next, || ledger.books().sql.end());
}

/// PutRecords is not atomic: each record stands for itself, so an unanswered call is as many open batches of one.
fn put_records(ports: &Ports, ledger: &Ledger, dice: &mut Dice, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let numbers = ledger.books().http.begin(1 + dice.below(PUT_RECORDS_MAX) as i64);
        let record = |n: &i64| {
            let data = json!({"writer": BY_HTTP, "seq": n, "note": format!("note {n}")}).to_string();
            json!({"Data": wire::base64(data.as_bytes()), "PartitionKey": format!("key-{n}")})
        };
        let records: Vec<_> = numbers.iter().map(record).collect();
        let body = json!({"StreamName": "events", "Records": records});
        let Ok((status, answer)) = wire::kinesis(ports.http, "PutRecords", &body) else { return };
        assert!(status == 200 && answer["FailedRecordCount"] == 0, "{status} {answer}");
        let mut books = ledger.books();
        for (place, number) in numbers.iter().enumerate() {
            let text = answer["Records"][place]["SequenceNumber"].as_str().expect("a sequence number").to_string();
            books.sequence_numbers.insert(*number, text);
        }
        books.http.end();
    }
}

fn change_table(ports: &Ports, ledger: &Ledger, dice: &mut Dice, stop: &AtomicBool) {
    let next = || {
        let mut books = ledger.books();
        let accounts = &mut books.accounts;
        let mut after = accounts.now.clone();
        let ids: Vec<i64> = after.keys().copied().collect();
        let sql = match dice.below(10) {
            choice if choice < 4 || ids.is_empty() => {
                let (a, b) = (accounts.next, accounts.next + 1);
                accounts.next += 2;
                after.extend([(a, 0), (b, 0)]);
                format!("INSERT INTO accounts VALUES ({a}, 0), ({b}, 0)")
            }
            4..8 => {
                let from = ids[dice.below(ids.len() as u64) as usize];
                after.range_mut(from..).for_each(|(_, v)| *v += 1);
                format!("UPDATE accounts SET v = v + 1 WHERE id >= {from}")
            }
            _ => {
                let id = ids[dice.below(ids.len() as u64) as usize];
                after.remove(&id);
                format!("DELETE FROM accounts WHERE id = {id}")
            }
        };
        accounts.open = Some(after);
        sql
    };
    let acknowledged = || {
        let mut books = ledger.books();
        if let Some(after) = books.accounts.open.take() {
            books.accounts.now = after;
        }
        books.accounts.acknowledged += 1;
    };
    statements(ports.sql, stop, next, acknowledged);
}

fn copy_files(ports: &Ports, ledger: &Ledger, _dice: &mut Dice, stop: &AtomicBool) {
    let next = || {
        let file = ledger.books().files.begin(1)[0];
        let path = ledger.folder.join(format!("load-{file}.csv"));
        let lines: String = (0..COPY_ROWS).map(|line| format!("{file},{line}\n")).collect();
        fs::write(&path, lines).expect("a file to load");
        format!("COPY loaded FROM 'file://{}' CSV", path.display())
    };
    statements(ports.sql, stop, next, || ledger.books().files.end());
}

fn transfer(ports: &Ports, ledger: &Ledger, dice: &mut Dice, stop: &AtomicBool) {
    let next = || {
        let id = ledger.books().transfers.begin(1)[0];
        let amount = dice.below(100);
        format!("BEGIN; INSERT INTO debit VALUES ({id}, {amount}); INSERT INTO credit VALUES ({id}, {amount}); COMMIT")
    };
    statements(ports.sql, stop, next, || ledger.books().transfers.end());
}
