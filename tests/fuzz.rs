//! Nothing that a user can type in COPY, UNLOAD or DDL panics the parser or the server, and no bytes of a file do.
//!
//! What is tried comes from a seed, which is printed: `TIDEGATE_SEED=n` tries the same again, `TIDEGATE_FUZZ_CASES=n` as
//! many. Bytes go through the loaders alone in `tidegate_query::formats`, and here through COPY.

mod files;
mod statements;

use std::time::{Duration, Instant};

use statements::Statements;
use tidegate_core::Rng;

use crate::harness::{self, Server};
use crate::s3;

/// Texts for the parser alone.
const TEXTS: u64 = 20_000;
/// Statements for a server.
const STATEMENTS: u64 = 1_200;
/// Files for a server.
const FILES: u64 = 240;
/// A statement that takes longer has hung, in seconds.
const ANSWER_SECONDS_MAX: u64 = 60;
/// After so many statements the tables are made anew, as some have dropped them.
const FRESH_AFTER: u64 = 100;
/// Where panics are contained: decoders of others, which trust the bytes they are given.
const DECODERS: &[&str] = &["/parquet-", "/orc-rust-", "/arrow-", "/bytes-"];
/// Largest number of failures that are collected.
const FAILURES_MAX: usize = 20;

/// The seed, and how many cases there are.
fn dice(name: &str, usual: u64) -> (Rng, u64) {
    let given = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = given("TIDEGATE_SEED").unwrap_or_else(|| Rng::system().next_u64());
    let cases = given("TIDEGATE_FUZZ_CASES").unwrap_or(usual);
    println!("{name}: TIDEGATE_SEED={seed} TIDEGATE_FUZZ_CASES={cases}");
    (Rng::seeded(seed), cases)
}

#[test]
fn no_text_panics_the_parser() {
    let (rng, cases) = dice("texts", TEXTS);
    let texts = Statements::new(rng, "s3://bucket/fuzz/");
    for text in statements::deep().into_iter().chain((0..cases).map(|_| texts.next())) {
        let started = Instant::now();
        let parsed = std::panic::catch_unwind(|| {
            for piece in tidegate_parser::split(&text).unwrap_or_default() {
                let _ = tidegate_parser::parse(&piece);
            }
        });
        assert!(parsed.is_ok(), "the parser panicked: {text}");
        assert!(started.elapsed() < Duration::from_secs(ANSWER_SECONDS_MAX), "the parser hung: {text}");
    }
}

/// A server, and a user of it who may not touch the files of this machine.
struct Door {
    server: Server,
    bucket: String,
    client: tokio_postgres::Client,
    failures: Vec<String>,
}

impl Door {
    async fn open() -> Door {
        let server = Server::start_with(&["statement_timeout=20000"]);
        let s3 = s3::server();
        let bucket = s3.bucket();
        let admin = server.connect().await;
        let credential = format!(
            "CREATE CREDENTIAL c (TYPE s3, KEY '{}', SECRET '{}', ENDPOINT '{}', REGION 'us-east-1', PATH_STYLE true, SCOPE 's3://{bucket}'); CREATE USER fuzz PASSWORD 'Fuzz1234'; GRANT ALL ON SCHEMA public TO fuzz; GRANT USAGE ON CREDENTIAL c TO fuzz",
            s3::KEY,
            s3::SECRET,
            s3.endpoint()
        );
        admin.batch_execute(&credential).await.unwrap();
        let client = Self::connect(&server).await;
        Door { server, bucket, client, failures: Vec::new() }
    }

    async fn connect(server: &Server) -> tokio_postgres::Client {
        let config = format!("host=127.0.0.1 port={} user=fuzz dbname=dev connect_timeout=10", server.sql);
        let connected = tokio_postgres::connect(&config, tokio_postgres::NoTls).await;
        let (client, connection) = connected.unwrap_or_else(|error| panic!("{error}\n{}", server.log_tail()));
        tokio::spawn(connection);
        client
    }

    /// A statement must be answered, by rows or by an SQLSTATE that means something.
    async fn answers(&mut self, text: &str) {
        let limit = Duration::from_secs(ANSWER_SECONDS_MAX);
        let why = match tokio::time::timeout(limit, self.client.simple_query(text)).await {
            Err(_) => "no answer".to_string(),
            Ok(Ok(_)) => return,
            Ok(Err(error)) => match error.as_db_error().map(|server| (server.code().code(), server.message())) {
                Some(("XX000", message)) => format!("XX000: {message}"),
                Some(_) => return,
                None => {
                    let why = format!("the connection ended: {error}");
                    let is_open = !self.client.is_closed();
                    self.client = Self::connect(&self.server).await;
                    // A COPY FROM STDIN waits for data that this client does not send.
                    if is_open {
                        return;
                    }
                    why
                }
            },
        };
        self.failures.push(format!("{why}\n    {text}"));
        assert!(self.failures.len() < FAILURES_MAX, "{}", self.failures.join("\n"));
        self.client = Self::connect(&self.server).await;
    }

    fn close(self) {
        let log = std::fs::read_to_string(self.server.log()).unwrap_or_default();
        let ours = |line: &&str| line.contains("panicked at") && !DECODERS.iter().any(|path| line.contains(path));
        let panics: Vec<&str> = log.lines().filter(ours).collect();
        assert!(panics.is_empty() && self.failures.is_empty(), "{panics:#?}\n{}", self.failures.join("\n"));
    }
}

#[test]
fn no_statement_panics_the_server() {
    let (rng, cases) = dice("statements", STATEMENTS);
    harness::block_on(async {
        let mut door = Door::open().await;
        let place = format!("s3://{}/fuzz/", door.bucket);
        let statements = Statements::new(rng, &place);
        for text in statements::deep() {
            door.answers(&text).await;
        }
        for case in 0..cases {
            if case % FRESH_AFTER == 0 {
                for text in statements::tables(&place) {
                    door.answers(&text).await;
                }
            }
            let text = statements.next();
            // The names of other tests' buckets are like this one's.
            if text.replace(&place, "").contains("s3:") {
                continue;
            }
            door.answers(&text).await;
        }
        door.close();
    });
}

/// Files, with COPY's options for each.
async fn files(door: &mut Door, place: &str) -> Vec<(Vec<u8>, String)> {
    let mut all = Vec::new();
    for (number, (unload, ending, copy)) in files::MADE.iter().enumerate() {
        let text = format!("UNLOAD ('SELECT * FROM t') TO '{place}made/{number}_' PARALLEL OFF {unload}");
        door.client.batch_execute(&text).await.unwrap_or_else(|error| panic!("{text}: {error:?}"));
        all.push((s3::server().get(&door.bucket, &format!("fuzz/made/{number}_000{ending}")), (*copy).to_string()));
    }
    for (text, copy) in files::WRITTEN {
        all.push((text.replace("$URL", place).into_bytes(), copy.replace("$URL", place)));
    }
    for (name, copy) in [("planes.orc", "FORMAT ORC"), ("planes.parquet", "FORMAT PARQUET")] {
        all.push((std::fs::read(harness::cache().join("data").join(name)).unwrap(), copy.to_string()));
    }
    all
}

#[test]
fn no_file_panics_the_server() {
    let (rng, cases) = dice("files", FILES);
    harness::block_on(async {
        let mut door = Door::open().await;
        let place = format!("s3://{}/fuzz/", door.bucket);
        for text in statements::tables(&place) {
            door.answers(&text).await;
        }
        door.client.batch_execute(files::ROWS).await.unwrap();
        let files = files(&mut door, &place).await;
        for case in 0..cases {
            let (bytes, options) = &files[rng.below(files.len() as u64) as usize];
            s3::server().put(&door.bucket, "fuzz/file", &files::damaged(&rng, bytes));
            let table = if options.contains("ORC") || bytes.len() > files::PLANES_BYTES_MIN { "planes" } else { "t" };
            door.answers(&format!("COPY {table} FROM '{place}file' IAM_ROLE 'c' {options} /* case {case} */")).await;
        }
        door.close();
    });
}
