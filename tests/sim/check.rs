//! After a restart: the tables, the stream and the deliveries against the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use tokio_postgres::{Client, Row};

use super::writers::{Accounts, BY_HTTP, BY_SQL, Batches, Books, COPY_ROWS, Ledger};
use crate::harness::{self, Server};

type Outcome = Result<(), String>;

/// Longest list of numbers that a message shows.
const SHOWN_MAX: usize = 10;

async fn rows(client: &Client, sql: &str) -> Result<Vec<Row>, String> {
    client.query(sql, &[]).await.map_err(|error| format!("{sql}: {error:?}"))
}

/// All checks. What was under way at the kill is settled here: the ledger takes over which of its states it found.
pub async fn everything(server: &Server, ledger: &Ledger) -> Outcome {
    let client = server.connect().await;
    let stream = stream_rows(&client).await?;
    let accounts = rows(&client, "SELECT id, v FROM accounts").await?;
    let loaded = rows(&client, "SELECT file, count(*), count(DISTINCT line) FROM loaded GROUP BY file").await?;
    let transfers = "SELECT d.id, d.amount, c.amount, 1 FROM debit d FULL JOIN credit c ON d.id = c.id";
    let transfers = rows(&client, transfers).await?;
    {
        let mut books = ledger.books();
        streamed(&stream, &mut books)?;
        table(&accounts, &mut books.accounts)?;
        files(&loaded, &mut books.files)?;
        both_sides(&transfers, &mut books.transfers)?;
    }
    deliveries(&client, server).await
}

/// writer → seq → sequence number, and an error where a pair is there twice.
async fn stream_rows(client: &Client) -> Result<BTreeMap<i32, BTreeMap<i64, String>>, String> {
    let mut found: BTreeMap<i32, BTreeMap<i64, String>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for row in rows(client, "SELECT writer, seq, sequence_number, note FROM events").await? {
        let (writer, seq, number): (i32, i64, String) = (row.get(0), row.get(1), row.get(2));
        if row.get::<_, String>(3) != format!("note {seq}") {
            return Err(format!("record {writer}/{seq} has another note: {}", row.get::<_, String>(3)));
        }
        if !seen.insert(number.clone()) {
            return Err(format!("sequence number {number} is there twice"));
        }
        if found.entry(writer).or_default().insert(seq, number).is_some() {
            return Err(format!("record {writer}/{seq} is in the stream twice"));
        }
    }
    Ok(found)
}

fn streamed(found: &BTreeMap<i32, BTreeMap<i64, String>>, books: &mut Books) -> Outcome {
    let keys = |writer: i32| found.get(&writer).map(|map| map.keys().copied().collect()).unwrap_or_default();
    settle("rows inserted into the stream", &keys(BY_SQL), &mut books.sql, true)?;
    settle("records put over HTTP", &keys(BY_HTTP), &mut books.http, false)?;
    for (seq, number) in &books.sequence_numbers {
        let stored = found.get(&BY_HTTP).and_then(|map| map.get(seq));
        if stored != Some(number) {
            return Err(format!("record {seq} was acknowledged as {number}, and is {stored:?}"));
        }
    }
    Ok(())
}

/// Compares what is there with what must be; `whole` says that the open batch is all there or not at all.
fn settle(what: &str, found: &BTreeSet<i64>, batches: &mut Batches, whole: bool) -> Outcome {
    let lost: Vec<_> = batches.there.difference(found).take(SHOWN_MAX).collect();
    if !lost.is_empty() {
        return Err(format!("{what}: acknowledged and lost: {lost:?}"));
    }
    let extra: Vec<i64> = found.difference(&batches.there).copied().collect();
    if extra.iter().any(|n| !batches.open.contains(n)) {
        return Err(format!("{what}: never written: {:?}", &extra[..extra.len().min(SHOWN_MAX)]));
    }
    if whole && !extra.is_empty() && extra.len() != batches.open.len() {
        return Err(format!("{what}: half a statement: {extra:?} of {:?}", batches.open));
    }
    batches.there.extend(extra);
    batches.open.clear();
    Ok(())
}

fn table(found: &[Row], accounts: &mut Accounts) -> Outcome {
    let state: BTreeMap<i64, i64> = found.iter().map(|row| (row.get(0), row.get(1))).collect();
    if state.len() != found.len() {
        return Err(format!("accounts: {} rows for {} ids", found.len(), state.len()));
    }
    let open = accounts.open.take();
    if state != accounts.now && Some(&state) != open.as_ref() {
        let differ = |other: &BTreeMap<i64, i64>| -> Vec<_> {
            state
                .iter()
                .filter(|(id, v)| other.get(id) != Some(v))
                .take(SHOWN_MAX)
                .map(|(id, v)| (*id, *v, other.get(id).copied()))
                .collect()
        };
        return Err(format!(
            "accounts: neither the state before nor after the last statement: {} rows, {} expected; (id, found, expected): {:?}",
            state.len(),
            accounts.now.len(),
            differ(&accounts.now)
        ));
    }
    accounts.now = state;
    Ok(())
}

fn files(found: &[Row], batches: &mut Batches) -> Outcome {
    for row in found {
        let (file, count, lines): (i32, i64, i64) = (row.get(0), row.get(1), row.get(2));
        if (count, lines) != (i64::from(COPY_ROWS), i64::from(COPY_ROWS)) {
            return Err(format!("file {file}: {count} rows, {lines} lines, of {COPY_ROWS}"));
        }
    }
    let files = found.iter().map(|row| i64::from(row.get::<_, i32>(0))).collect();
    settle("files loaded by COPY", &files, batches, true)
}

fn both_sides(found: &[Row], batches: &mut Batches) -> Outcome {
    let mut ids = BTreeSet::new();
    for row in found {
        let (id, debit, credit): (Option<i64>, Option<i64>, Option<i64>) = (row.get(0), row.get(1), row.get(2));
        let Some(id) = id.filter(|_| debit.is_some() && debit == credit) else {
            return Err(format!("a transfer has one side only: {id:?} {debit:?} {credit:?}"));
        };
        if !ids.insert(id) {
            return Err(format!("transfer {id} is there twice"));
        }
    }
    settle("transfers", &ids, batches, true)
}

/// After FLUSH the table and the files hold the stream: as many rows, each once, the same ones.
async fn deliveries(client: &Client, server: &Server) -> Outcome {
    for name in ["to_files", "to_table"] {
        client
            .batch_execute(&format!("FLUSH DELIVERY STREAM {name}"))
            .await
            .map_err(|e| format!("FLUSH {name}: {e:?}"))?;
    }
    let expected = totals(client, "events").await?;
    if expected.0 == 0 {
        return Ok(());
    }
    let files = format!("'file://{}/out/**/*.parquet'", server.scratch().display());
    for place in ["delivered", files.as_str()] {
        let found = totals(client, place).await?;
        if found != expected {
            return Err(format!("{place}: (rows, distinct, sum) is {found:?}, of the stream {expected:?}"));
        }
    }
    Ok(())
}

async fn totals(client: &Client, from: &str) -> Result<(i64, i64, i64), String> {
    let key = "seq * 4 + writer";
    let sql = format!("SELECT count(*), count(DISTINCT {key}), CAST(coalesce(sum({key}), 0) AS bigint) FROM {from}");
    let found = rows(client, &sql).await?;
    let row = found.first().ok_or("no row")?;
    Ok((row.get(0), row.get(1), row.get(2)))
}

/// The delivered files once more, read without the server.
pub fn by_another_reader(server: &Server, ledger: &Ledger) {
    let expected = {
        let books = ledger.books();
        books.sql.there.len() + books.http.there.len()
    };
    let program = "import sys, duckdb\n\
        print(duckdb.sql(f\"SELECT count(*), count(DISTINCT seq * 4 + writer) FROM '{sys.argv[1]}/**/*.parquet'\").fetchone())";
    let output =
        Command::new(harness::python()).args(["-c", program]).arg(server.scratch().join("out")).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text.trim(), format!("({expected}, {expected})"), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_is_lost_or_half_there_is_seen() {
    let batches = || Batches { next: 9, there: [1, 2, 3].into(), open: vec![4, 5], acknowledged: 2 };
    let cases: [(&[i64], bool, bool); 7] = [
        (&[1, 2, 3], true, true),
        (&[1, 2, 3, 4, 5], true, true),
        (&[1, 2, 3, 5], true, false),
        (&[1, 2, 3, 5], false, true),
        (&[1, 3], true, false),
        (&[1, 2, 3, 8], false, false),
        (&[], true, false),
    ];
    for (found, whole, good) in cases {
        let mut batches = batches();
        let outcome = settle("rows", &found.iter().copied().collect(), &mut batches, whole);
        assert_eq!(outcome.is_ok(), good, "{found:?} {whole}: {outcome:?}");
        if good {
            assert_eq!(batches.there.len(), found.len());
        }
    }
}
