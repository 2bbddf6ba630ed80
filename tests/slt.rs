//! The specification: every `tests/slt/**/*.slt` through a real server, over the wire, a server for each file.
//!
//! `$DATA` is the folder of real data, `$TMP` an empty folder, `$HTTP` the HTTP port, `$S3_ENDPOINT` and `$BUCKET` a
//! bucket with the data under `data/`. An error reads `SQLSTATE: message`, with ` (at N)` where it has a position.
//! `TIDEGATE_SLT=text` runs only files whose path contains the text.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner};
use tokio_postgres::SimpleQueryMessage;

use crate::cluster::Worker;
use crate::harness::{self, Server};
use crate::{report, s3};

/// The areas; `no_area_is_left_out` compares them with the folders.
const AREAS: &[&str] = &["batch", "continuous", "delivery", "door", "lake", "stream", "warehouse"];

/// What of the data is put into a bucket: these folders, and of the top level what is not large.
const BUCKET_FOLDERS: &[&str] = &["flights_by_month", "load"];

/// Largest file of the top level that is put into a bucket, in bytes.
const BUCKET_FILE_BYTES_MAX: u64 = 1 << 20;

/// A connection of a script.
struct Session(tokio_postgres::Client);

/// An error as scripts expect it.
#[derive(Debug)]
struct Failure(String);

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(server) = error.as_db_error() else { return Failure(format!("no answer: {error:?}")) };
        let place = match server.position() {
            Some(tokio_postgres::error::ErrorPosition::Original(place)) => format!(" (at {place})"),
            _ => String::new(),
        };
        Failure(format!("{}: {}{place}", server.code().code(), server.message()))
    }
}

#[async_trait]
impl AsyncDB for Session {
    type Error = Failure;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Failure> {
        let (mut columns, mut rows, mut count) = (None, Vec::new(), 0);
        for message in self.0.simple_query(sql).await? {
            match message {
                SimpleQueryMessage::RowDescription(header) => (columns, rows) = (Some(header.len()), Vec::new()),
                SimpleQueryMessage::Row(row) => rows.push((0..row.len()).map(|i| shown(row.get(i))).collect()),
                SimpleQueryMessage::CommandComplete(n) => count = n,
                _ => {}
            }
        }
        Ok(match columns {
            Some(columns) => DBOutput::Rows { types: vec![DefaultColumnType::Any; columns], rows },
            None => DBOutput::StatementComplete(count),
        })
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        "tidegate"
    }

    async fn sleep(duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

fn shown(value: Option<&str>) -> String {
    match value {
        None => "NULL".to_string(),
        Some("") => "(empty)".to_string(),
        Some(text) => text.to_string(),
    }
}

/// What makes every query with a scan one for all nodes.
const SPREAD: &[&str] = &["distributed_task_bytes=1"];

/// Runs a file on a server of its own, with so many workers.
fn run_file(path: &Path, workers: usize) -> Result<(), String> {
    let script = fs::read_to_string(path).map_err(|e| e.to_string())?;
    let server = Server::start_with(if workers > 0 { SPREAD } else { &[] });
    let _workers = Worker::join(&server, workers);
    let script = substitute(&script, &server);
    let port = server.sql;
    let outcome = harness::block_on(async move {
        let mut runner = Runner::new(move || async move { Ok(Session(harness::connect(port).await?)) });
        runner.run_script_with_name_async(&script, path.display().to_string()).await
    });
    outcome.map_err(|error| format!("{}\n{}", error.display(false), server.log_tail()))
}

/// Puts in the names that scripts use; a bucket is made only for those that ask for one.
fn substitute(script: &str, server: &Server) -> String {
    let data = harness::cache().join("data");
    assert!(data.join(".stamp").exists(), "{} is missing: tests/run makes it", data.display());
    let mut script = script
        .replace("$DATA", &data.display().to_string())
        .replace("$TMP", &server.scratch().display().to_string())
        .replace("$HTTP", &server.http.to_string());
    if script.contains("$S3_ENDPOINT") || script.contains("$BUCKET") {
        let s3 = s3::server();
        let bucket = s3.bucket();
        fill(s3, &bucket, &data);
        script = script.replace("$S3_ENDPOINT", &s3.endpoint()).replace("$BUCKET", &bucket);
        script = script.replace("$S3_KEY", s3::KEY).replace("$S3_SECRET", s3::SECRET);
    }
    script
}

fn fill(s3: &s3::S3, bucket: &str, data: &Path) {
    for folder in BUCKET_FOLDERS {
        s3.put_folder(bucket, &format!("data/{folder}"), &data.join(folder));
    }
    for entry in fs::read_dir(data).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let size = path.metadata().unwrap().len();
        if path.is_file() && !name.starts_with('.') && size <= BUCKET_FILE_BYTES_MAX {
            s3.put(bucket, &format!("data/{name}"), &fs::read(&path).unwrap());
        }
    }
}

/// Runs every file of an area, and fails with all that went wrong.
fn run_area(area: &str, workers: usize) {
    let only = std::env::var("TIDEGATE_SLT").unwrap_or_default();
    let root = harness::root();
    let mut failures = Vec::new();
    for path in scripts(&root.join("tests/slt").join(area)) {
        let name = path.strip_prefix(root.join("tests")).unwrap().display().to_string();
        if !name.contains(&only) {
            continue;
        }
        match run_file(&path, workers) {
            Ok(()) => report::pass(&name),
            Err(error) => {
                report::fail(&name);
                failures.push(format!("{name}: {error}"));
            }
        }
    }
    assert!(failures.is_empty(), "{} scripts failed\n\n{}", failures.len(), failures.join("\n\n"));
}

fn scripts(folder: &Path) -> Vec<PathBuf> {
    s3::files_below(folder).into_iter().filter(|path| path.extension().is_some_and(|e| e == "slt")).collect()
}

#[test]
fn door() {
    run_area("door", 0);
}

#[test]
fn stream() {
    run_area("stream", 0);
}

#[test]
fn delivery() {
    run_area("delivery", 0);
}

#[test]
fn batch() {
    run_area("batch", 0);
}

#[test]
fn continuous() {
    run_area("continuous", 0);
}

#[test]
fn lake() {
    run_area("lake", 0);
}

#[test]
fn warehouse() {
    run_area("warehouse", 0);
}

/// The same, with all plans that can travel sent to two workers.
#[test]
fn on_two_workers() {
    for area in ["lake", "stream", "warehouse", "door"] {
        run_area(area, 2);
    }
}

#[test]
fn no_area_is_left_out() {
    let folder = harness::root().join("tests/slt");
    let mut found: Vec<String> =
        fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    found.sort();
    assert_eq!(found, AREAS);
    for area in AREAS {
        let scripts = scripts(&folder.join(area));
        assert!(!scripts.is_empty(), "{area} has no script");
        for path in scripts {
            let text = fs::read_to_string(&path).unwrap();
            if let Err(error) = sqllogictest::parse_with_name::<DefaultColumnType>(&text, path.display().to_string()) {
                panic!("{error}");
            }
        }
    }
}
