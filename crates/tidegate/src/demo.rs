//! `tidegate demo`: a server on a throw-away directory that takes a tour of itself, by SQL, on real data.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tidegate_core::{Error, Kind, Result, Settings};
use tokio::process::{Child, Command};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::serve::Server;

/// The tour.
const SCRIPT: &str = include_str!("../../../sql/demo.sql");

/// Its data: the flights of New York in 2013 (nycflights13, public domain).
const FILES: &[(&str, &[u8])] = &[
    ("airlines.csv", include_bytes!("../../../sql/demo/airlines.csv")),
    ("airports.csv", include_bytes!("../../../sql/demo/airports.csv")),
    ("flights.parquet", include_bytes!("../../../sql/demo/flights.parquet")),
    ("planes.jsonl", include_bytes!("../../../sql/demo/planes.jsonl")),
    ("weather.orc", include_bytes!("../../../sql/demo/weather.orc")),
];

/// The image of its jobs, as `sql/demo.sql` has it.
const IMAGE: &str = "busybox:1";

/// How long workers may take to join.
const WORKERS_WAIT: Duration = Duration::from_secs(10);

/// Width of a plan that is shown.
const PLAN_CHARS_MAX: usize = 130;

/// Rows of a result that are shown.
const ROWS_SHOWN_MAX: usize = 20;

/// Takes the tour; then stays up, unless it is to end.
pub async fn demo(settings: Settings, exit: bool) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("tidegate-demo-{}", std::process::id()));
    let outcome = run(settings, &folder, exit).await;
    if let Err(error) = std::fs::remove_dir_all(&folder) {
        tracing::warn!(%error, folder = %folder.display(), "the tour's folder could not be removed");
    }
    outcome
}

async fn run(settings: Settings, folder: &Path, exit: bool) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    for (name, bytes) in FILES {
        std::fs::write(folder.join(name), bytes)?;
    }
    settings.set("data", &folder.join("data").display().to_string())?;
    let server = Server::start(free_ports(settings).await?).await?;
    let (sql, http) = (server.sql_port(), server.http_port());
    say(&format!(
        "Tidegate {} on a throw-away directory. SQL on port {sql}, HTTP on port {http}.\n",
        env!("CARGO_PKG_VERSION")
    ))?;
    // Ended with this process: workers of a tour keep nothing.
    let _workers = [worker(&server, folder, 1)?, worker(&server, folder, 2)?];
    let toured = tour(sql, folder).await;
    if let (Ok(()), false) = (&toured, exit) {
        let ended = crate::serve::ended()?;
        say(&format!(
            "\nThe server stays up: psql -h 127.0.0.1 -p {sql} -U admin dev, or boto3 with endpoint_url='http://127.0.0.1:{http}'.\nCtrl-C ends it and removes its data."
        ))?;
        ended.await;
    }
    server.stop().await?;
    toured
}

/// A process of its own that joins the server.
fn worker(server: &Server, folder: &Path, number: usize) -> Result<Child> {
    let leader = format!("127.0.0.1:{}", server.cluster_port());
    Command::new(std::env::current_exe()?)
        .args(["worker", "--leader", &leader, "--data"])
        .arg(folder.join(format!("worker-{number}")))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| Error::from(error).context("a worker of the tour"))
}

/// The usual ports, or free ones where they are taken.
async fn free_ports(settings: Settings) -> Result<Settings> {
    for name in ["sql_listen", "http_listen", "cluster_listen"] {
        let address = settings.get(name);
        if tokio::net::TcpListener::bind(&address).await.is_err() {
            settings.set(name, "127.0.0.1:0")?;
        }
    }
    Ok(settings)
}

async fn tour(port: u16, folder: &Path) -> Result<()> {
    let target = format!("host=127.0.0.1 port={port} user=admin dbname=dev application_name=demo");
    let (client, connection) = tokio_postgres::connect(&target, NoTls).await.map_err(Error::internal)?;
    let connection = tokio::spawn(connection);
    wait_for_workers(&client).await?;
    let begun = Instant::now();
    let runner = if tidegate_batch::containers_run(IMAGE).await { "container" } else { "process" };
    for piece in pieces(SCRIPT) {
        let piece = piece.replace("$RUNNER", runner);
        show(&client, &piece.replace("$DEMO", &folder.display().to_string()), &piece).await?;
    }
    say(&format!("\nThe tour took {:.1} s.", begun.elapsed().as_secs_f64()))?;
    drop(client);
    connection.await.map_err(Error::internal)?.map_err(Error::internal)
}

/// Waits until both have joined, but not for ever: the tour goes on without them.
async fn wait_for_workers(client: &Client) -> Result<()> {
    let until = Instant::now() + WORKERS_WAIT;
    let active = "SELECT count(*) FROM tidegate.nodes WHERE role = 'core' AND state = 'ACTIVE'";
    while Instant::now() < until {
        let row = client.query_one(active, &[]).await.map_err(Error::internal)?;
        if row.get::<_, i64>(0) == 2 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    say("The workers of the tour have not joined; their queries run on the leader.")
}

/// The script's statements, each with the comment above it.
fn pieces(script: &str) -> Vec<String> {
    script.split_inclusive(";\n").map(|piece| piece.trim().to_string()).filter(|piece| !piece.is_empty()).collect()
}

async fn show(client: &Client, sql: &str, shown: &str) -> Result<()> {
    say(&format!("\n{shown}"))?;
    let begun = Instant::now();
    let answer = client.simple_query(sql).await.map_err(|error| {
        let told = error
            .as_db_error()
            .map_or_else(|| error.to_string(), |db| format!("{}: {}", db.code().code(), db.message()));
        Error::new(Kind::Internal, format!("the tour stopped: error: {told}"))
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut tag = String::new();
    for message in answer {
        match message {
            SimpleQueryMessage::RowDescription(columns) => {
                rows.push(columns.iter().map(|c| c.name().to_string()).collect())
            }
            SimpleQueryMessage::Row(row) => {
                rows.push((0..row.len()).map(|index| row.get(index).unwrap_or("").to_string()).collect());
            }
            SimpleQueryMessage::CommandComplete(count) => tag = rate(count, seconds),
            _ => {}
        }
    }
    if rows.is_empty() {
        return say(&format!("--> {tag} in {seconds:.2} s"));
    }
    let table = if sql.contains("EXPLAIN") { lines(&rows) } else { aligned(&rows) };
    say(&format!("{table}({} rows in {seconds:.2} s)", rows.len() - 1))
}

fn rate(count: u64, seconds: f64) -> String {
    match count {
        0..1000 => format!("done, {count} rows"),
        _ => format!("{count} rows, {:.0} a second,", count as f64 / seconds.max(1e-9)),
    }
}

/// A plan, line by line, as far as a page is wide.
fn lines(rows: &[Vec<String>]) -> String {
    let plans = rows.iter().skip(1).filter_map(|row| row.last());
    let lines = plans.flat_map(|plan| plan.lines()).filter(|line| !line.trim().is_empty());
    lines.map(|line| format!("{}\n", line.chars().take(PLAN_CHARS_MAX).collect::<String>())).collect()
}

/// Rows under their names, as psql shows them.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|text| text.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(text, width)| format!(" {text:<width$} "));
        format!("{}\n", cells.collect::<Vec<_>>().join("|").trim_end())
    };
    let rule = format!("{}\n", widths.iter().map(|width| "-".repeat(width + 2)).collect::<Vec<_>>().join("+"));
    let mut text = String::new();
    for (index, row) in rows.iter().take(ROWS_SHOWN_MAX + 1).enumerate() {
        text.push_str(&line(row));
        if index == 0 {
            text.push_str(&rule);
        }
    }
    text
}

/// The tour is what this command prints; logs go to the other side.
fn say(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_cut_into_its_statements() {
        let pieces = pieces(SCRIPT);
        assert!(pieces.len() > 20 && pieces.iter().all(|piece| piece.ends_with(';')), "{}", pieces.len());
        assert!(pieces.last().is_some_and(|last| last.contains("JOIN airlines")));
    }

    #[test]
    fn tables_are_aligned() {
        let rows = vec![vec!["a".to_string(), "bb".to_string()], vec!["ccc".to_string(), String::new()]];
        assert_eq!(aligned(&rows), " a   | bb\n-----+----\n ccc |\n");
    }
}
