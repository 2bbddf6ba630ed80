//! COPY where a script does not reach: killed in the middle, two at a time, large files in parts, jobs across a kill,
//! and a DynamoDB.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{self, Server};

/// Longest wait for what happens by itself, in seconds.
const WAIT_SECONDS_MAX: u64 = 60;

async fn number(client: &tokio_postgres::Client, query: &str) -> i64 {
    client.query_one(query, &[]).await.unwrap_or_else(|error| panic!("{query}: {error:?}")).get(0)
}

/// Waits until a query gives a number.
async fn wait_for(server: &Server, query: &str, expected: i64) {
    let client = server.connect().await;
    let until = Instant::now() + Duration::from_secs(WAIT_SECONDS_MAX);
    loop {
        let found = number(&client, query).await;
        if found == expected {
            return;
        }
        assert!(Instant::now() < until, "{query}: {found}, not {expected}\n{}", server.log_tail());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Two large files; every hundredth row has a line end in quotes, so that cuts meet some.
fn large_files(server: &Server, rows: usize) -> String {
    let folder = server.scratch();
    for file in 0..2 {
        let mut text = String::new();
        for row in 0..rows {
            let line_end = if row % 100 == 0 { "\n1,\"\"\n" } else { " " };
            writeln!(
                text,
                "{},\"some text{line_end}that goes on and on and on and on for a while\"",
                file * rows + row
            )
            .unwrap();
        }
        fs::write(folder.join(format!("large-{file}.csv")), text).unwrap();
    }
    format!("file://{}/large-", folder.display())
}

#[test]
fn large_files_are_loaded_in_parts_that_join() {
    let server = Server::start();
    let rows = 700_000;
    let url = large_files(&server, rows);
    assert!(fs::metadata(server.scratch().join("large-0.csv")).unwrap().len() > 40 << 20);
    harness::block_on(async {
        let client = server.connect().await;
        client.batch_execute("CREATE TABLE t (n bigint, x text)").await.unwrap();
        client.batch_execute(&format!("COPY t FROM '{url}' CSV")).await.unwrap();
        let all = 2 * rows as i64;
        assert_eq!(number(&client, "SELECT count(*) FROM t").await, all);
        assert_eq!(number(&client, "SELECT count(DISTINCT n) FROM t").await, all);
        assert_eq!(number(&client, "SELECT sum(n)::bigint FROM t").await, all * (all - 1) / 2);
        assert_eq!(number(&client, "SELECT count(*) FROM t WHERE x LIKE '%' || chr(10) || '%'").await, all / 100);
        assert_eq!(number(&client, "SELECT pg_last_copy_count()").await, all);
    });
}

/// JSON values on lines of their own, over several lines with what looks like the end of one inside, and empty lines.
#[test]
fn large_json_files_are_loaded_in_parts_that_join() {
    let server = Server::start();
    let (path, rows) = (server.scratch().join("large.json"), 800_000_i64);
    let mut text = String::new();
    for n in 0..rows {
        match n % 50 {
            0 => writeln!(text, "{{\n  \"n\": {n},\n  \"x\": {{\"k\": [{{}},\n{{}}\n]}}\n}}\n").unwrap(),
            1 => write!(text, "{{\"n\": {n}, \"x\": \"}}\\n{{\\\"n\\\": 1}}\"}} ").unwrap(),
            _ => writeln!(text, "{{\"n\": {n}, \"x\": \"some text that goes on and on and on and on for a while\"}}")
                .unwrap(),
        }
    }
    assert!(text.len() > 40 << 20);
    fs::write(&path, text).unwrap();
    harness::block_on(async {
        let client = server.connect().await;
        client.batch_execute("CREATE TABLE t (n bigint, x text)").await.unwrap();
        client.batch_execute(&format!("COPY t FROM 'file://{}' FORMAT JSON 'auto'", path.display())).await.unwrap();
        assert_eq!(number(&client, "SELECT count(*) FROM t").await, rows);
        assert_eq!(number(&client, "SELECT count(DISTINCT n) FROM t").await, rows);
        assert_eq!(number(&client, "SELECT sum(n)::bigint FROM t").await, rows * (rows - 1) / 2);
        assert_eq!(number(&client, "SELECT count(*) FROM t WHERE x LIKE '{%'").await, rows / 50);
        assert_eq!(number(&client, "SELECT count(*) FROM t WHERE x = '}' || chr(10) || '{\"n\": 1}'").await, rows / 50);
        // It was read in parts, and not once more as a whole.
        let parts = "SELECT count(*) FROM stl_load_commits WHERE query = pg_last_copy_id() AND is_partial = 1";
        assert!(number(&client, parts).await > 1);
    });
}

#[test]
fn a_kill_in_the_middle_leaves_nothing_and_what_was_told_stays() {
    let mut server = Server::start();
    let url = large_files(&server, 300_000);
    let bad = server.scratch().join("bad.txt");
    fs::write(&bad, "x|y\n").unwrap();
    harness::block_on(async {
        let client = server.connect().await;
        client.batch_execute("CREATE TABLE t (n bigint, x text)").await.unwrap();
        client.batch_execute(&format!("COPY t FROM 'file://{}'", bad.display())).await.unwrap_err();
        let statement = format!("COPY t FROM '{url}' CSV");
        let copy = tokio::spawn(async move { client.batch_execute(&statement).await });
        let other = server.connect().await;
        let until = Instant::now() + Duration::from_secs(WAIT_SECONDS_MAX);
        // Progress is seen while it runs.
        while number(&other, "SELECT coalesce(max(bytes_loaded), 0)::bigint FROM stv_load_state").await == 0 {
            assert!(!copy.is_finished() && Instant::now() < until, "{}", server.log_tail());
        }
        server.kill9();
        copy.await.unwrap().unwrap_err();
    });
    server.restart();
    harness::block_on(async {
        let client = server.connect().await;
        assert_eq!(number(&client, "SELECT count(*) FROM t").await, 0);
        assert_eq!(number(&client, "SELECT count(*) FROM stl_load_errors WHERE err_code = 1207").await, 1);
        assert_eq!(number(&client, "SELECT count(*) FROM sys_load_history WHERE status = 'aborted'").await, 1);
        // Numbers go on where they were.
        client.batch_execute(&format!("COPY t FROM '{url}1' CSV")).await.unwrap();
        assert_eq!(number(&client, "SELECT count(DISTINCT query_id) FROM sys_load_history").await, 2);
    });
}

#[test]
fn two_at_a_time_are_both_there() {
    let server = Server::start();
    let url = large_files(&server, 50_000);
    harness::block_on(async {
        let (one, two) = (server.connect().await, server.connect().await);
        one.batch_execute("CREATE TABLE t (n bigint, x text)").await.unwrap();
        let (first, second) = (format!("COPY t FROM '{url}0' CSV"), format!("COPY t FROM '{url}1' CSV"));
        let (first, second) = futures::join!(one.batch_execute(&first), two.batch_execute(&second));
        first.unwrap();
        second.unwrap();
        assert_eq!(number(&one, "SELECT count(DISTINCT n) FROM t").await, 100_000);
    });
}

#[test]
fn a_job_loads_each_object_once_whatever_dies() {
    let mut server = Server::start_with(&["copy_job_interval_ms=20"]);
    let folder = server.scratch().join("in");
    fs::create_dir_all(&folder).unwrap();
    let (kills, files) = (5, 20);
    harness::block_on(async {
        let client = server.connect().await;
        let job = format!("COPY t FROM 'file://{}/' JOB CREATE j", folder.display());
        client.batch_execute("CREATE TABLE t (n bigint)").await.unwrap();
        client.batch_execute(&job).await.unwrap();
    });
    for round in 0..kills {
        for file in 0..files {
            let (name, hidden) = (format!("f-{round}-{file}.txt"), server.scratch().join("next"));
            fs::write(&hidden, format!("{}\n", round * files + file)).unwrap();
            fs::rename(&hidden, folder.join(name)).unwrap();
            std::thread::sleep(Duration::from_millis(5));
        }
        server.restart();
    }
    let all = kills * files;
    harness::block_on(async {
        wait_for(&server, "SELECT count(*) FROM t", all).await;
        // A look or two later there are no more.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let client = server.connect().await;
        assert_eq!(number(&client, "SELECT count(*) FROM t").await, all);
        assert_eq!(number(&client, "SELECT count(DISTINCT n) FROM t").await, all);
        assert_eq!(number(&client, "SELECT loaded_files FROM sys_copy_job").await, all);
    });
}

/// A DynamoDB; it ends with this value.
struct Moto {
    child: Child,
    port: u16,
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Moto {
    fn start() -> Moto {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(harness::python().with_file_name("moto_server"));
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("moto_server (tests/run installs it)");
        Moto { child, port }
    }

    /// Makes tables `small` and `twice`, once it answers.
    fn fill(&self) {
        let script = r#"
import sys, time, boto3
from botocore.config import Config
db = boto3.client("dynamodb", endpoint_url=sys.argv[1], region_name="us-east-1", aws_access_key_id="a",
                  aws_secret_access_key="b", config=Config(retries={"max_attempts": 0}))
for attempt in range(300):
    try:
        db.list_tables(); break
    except Exception:
        time.sleep(0.1)
for table in ("small", "twice"):
    db.create_table(TableName=table, KeySchema=[{"AttributeName": "Id", "KeyType": "HASH"}],
                    AttributeDefinitions=[{"AttributeName": "Id", "AttributeType": "N"}],
                    ProvisionedThroughput={"ReadCapacityUnits": 1000, "WriteCapacityUnits": 5})
pad = "x" * 2000
for n in range(1200):
    item = {"Id": {"N": str(n)}, "NAME": {"S": f"name {n}"}, "pad": {"S": pad}}
    if n % 2: del item["NAME"]
    db.put_item(TableName="small", Item=item)
db.put_item(TableName="twice", Item={"Id": {"N": "1"}, "name": {"S": "a"}, "Name": {"S": "b"}})
"#;
        let endpoint = format!("http://127.0.0.1:{}", self.port);
        let filled = Command::new(harness::python()).args(["-c", script, &endpoint]).status().unwrap();
        assert!(filled.success());
    }
}

/// CPY-36
#[test]
fn a_dynamodb_table_is_loaded() {
    let (server, moto) = (Server::start(), Moto::start());
    moto.fill();
    let from = |table: &str, options: &str| {
        let keys = "ACCESS_KEY_ID 'a' SECRET_ACCESS_KEY 'b' REGION 'us-east-1'";
        format!("COPY t FROM 'dynamodb://{table}' {keys} ENDPOINT 'http://127.0.0.1:{}' {options}", moto.port)
    };
    harness::block_on(async {
        let client = server.connect().await;
        client.batch_execute("CREATE TABLE t (name varchar(20), id int, other int)").await.unwrap();
        client.batch_execute(&from("small", "READRATIO 200")).await.unwrap();
        assert_eq!(number(&client, "SELECT count(*) FROM t").await, 1200);
        assert_eq!(number(&client, "SELECT sum(id)::bigint FROM t").await, 1200 * 1199 / 2);
        assert_eq!(number(&client, "SELECT count(*) FROM t WHERE name = ''").await, 600);
        assert_eq!(number(&client, "SELECT count(other) FROM t").await, 0);
        client.batch_execute(&format!("TRUNCATE t; {}", from("small", "READRATIO 200 EMPTYASNULL"))).await.unwrap();
        assert_eq!(number(&client, "SELECT count(*) FROM t WHERE name IS NULL").await, 600);
        for (statement, code, words) in [
            (from("twice", "READRATIO 100"), "22P04", "several attributes"),
            (from("nothing", "READRATIO 100"), "58P01", "nothing"),
            (from("small", ""), "42601", "READRATIO"),
        ] {
            let error = client.batch_execute(&statement).await.unwrap_err();
            let error = error.as_db_error().unwrap();
            assert_eq!(error.code().code(), code, "{}", error.message());
            assert!(error.message().contains(words), "{}", error.message());
        }
        assert_eq!(number(&client, "SELECT count(*) FROM t").await, 1200);
    });
}
