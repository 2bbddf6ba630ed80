//! Jobs across the end of the server: a kill -9 leaves nothing running, loses no job, and runs no attempt twice at once.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::harness::{self, Server};

/// Longest wait for jobs, in seconds.
const SECONDS_MAX: u64 = 120;

/// Children of the array, as the issue asks.
const CHILDREN: usize = 200;

/// Kills while the array runs.
const KILLS: usize = 3;

async fn set_up(server: &Server, vcpus: u32) {
    let client = server.connect().await;
    let definition =
        r#"{"type": "container", "containerProperties": {"image": "-", "command": ["sh", "-c", "Ref::script"]}}"#;
    let script = format!(
        "CREATE COMPUTE ENVIRONMENT local WITH (max_vcpus = {vcpus});
         CREATE JOB QUEUE q COMPUTE ENVIRONMENTS (local);
         CREATE JOB DEFINITION sh AS '{definition}'"
    );
    client.batch_execute(&script).await.unwrap();
}

/// Submits a job by a prepared statement with parameters; gives its id.
async fn submit(server: &Server, name: &str, script: &str, more: serde_json::Value) -> String {
    let mut request = serde_json::json!({
        "jobName": name, "jobQueue": "q", "jobDefinition": "sh", "parameters": { "script": script }
    });
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let row = server.connect().await.query_one("SELECT batch.submit_job($1)", &[&request.to_string()]).await;
    row.unwrap_or_else(|error| panic!("{error:?}")).get(0)
}

/// The first value of an answer.
pub async fn one(server: &Server, sql: &str) -> String {
    let rows = server.connect().await.simple_query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    rows.iter()
        .find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("NULL").to_string()),
            _ => None,
        })
        .unwrap_or_default()
}

/// Asks until this is the answer.
pub async fn wait_for(server: &Server, sql: &str, wanted: &str) {
    let until = Instant::now() + Duration::from_secs(SECONDS_MAX);
    loop {
        let found = one(server, sql).await;
        if found == wanted {
            return;
        }
        assert!(Instant::now() < until, "{sql}: {found}, not {wanted}\n{}", server.log_tail());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The lines of a file that jobs write.
fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_string).collect()
}

fn is_alive(pid: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[test]
fn what_a_kill_leaves_is_ended_and_counted_as_lost() {
    let mut server = Server::start();
    let log = server.scratch().join("pids");
    // One process clears its environment: it is found by its number. The other leaves the group: by what it carries.
    let script =
        format!("echo $$ >> {0}; setsid sh -c 'echo $$ >> {0}; exec sleep 600' & exec env -i sleep 600", log.display());
    let retry = serde_json::json!({ "retryStrategy": { "attempts": 2,
        "evaluateOnExit": [{ "onStatusReason": "Host EC2*", "action": "RETRY" }, { "onReason": "*", "action": "EXIT" }] } });
    let id = harness::block_on(async {
        set_up(&server, 1).await;
        let id = submit(&server, "long", &script, retry).await;
        wait_for(&server, "SELECT status FROM batch.jobs", "RUNNING").await;
        while lines(&log).len() < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        id
    });
    let before = lines(&log);
    server.kill9();
    assert!(before.iter().all(|pid| is_alive(pid)), "a kill -9 of the server alone leaves them");
    server.restart();
    harness::block_on(async {
        wait_for(&server, "SELECT status || ' ' || attempts FROM batch.jobs", "RUNNING 2").await;
        assert!(!before.iter().any(|pid| is_alive(pid)), "the second attempt runs beside the first");
        let lost = one(&server, "SELECT status_reason FROM batch.job_attempts WHERE attempt = 1").await;
        assert_eq!(lost, "Host EC2 (instance local) terminated.");
        one(&server, &format!("SELECT batch.terminate_job('{id}', 'done with it')")).await;
        wait_for(&server, "SELECT status || ' ' || status_reason FROM batch.jobs", "FAILED done with it").await;
        assert!(!lines(&log).iter().any(|pid| is_alive(pid)), "a process outlives its job");
    });
    assert!(!lines(&log).iter().any(|pid| is_alive(pid)) || lines(&log).len() > 2, "its processes ended with it");
}

#[test]
fn an_array_and_what_depends_on_it_survive_kills() {
    let mut server = Server::start();
    let (log, doubles) = (server.scratch().join("ran"), server.scratch().join("doubles"));
    // A file for each index holds who runs: whoever finds another one there, alive
    // and not just unburied, runs beside an attempt of the same child.
    let script = format!(
        "lock={0}/lock$AWS_BATCH_JOB_ARRAY_INDEX; if test -e $lock && grep -q 'State:.[^ZX]' /proc/$(cat $lock)/status 2>/dev/null; then echo x >> {1}; fi; \
         echo $$ > $lock; sleep 0.2; echo $AWS_BATCH_JOB_ARRAY_INDEX >> {2}; rm -f $lock",
        server.scratch().display(),
        doubles.display(),
        log.display()
    );
    let retry = serde_json::json!({ "attempts": 10 });
    harness::block_on(async {
        set_up(&server, 16).await;
        let array = serde_json::json!({ "arrayProperties": { "size": CHILDREN }, "retryStrategy": retry });
        let id = submit(&server, "array", &script, array).await;
        let after = serde_json::json!({ "dependsOn": [{ "jobId": id }], "retryStrategy": retry });
        submit(&server, "after", "echo after", after).await;
    });
    for kill in 1..=KILLS {
        let until = Instant::now() + Duration::from_secs(SECONDS_MAX);
        while lines(&log).len() < kill * CHILDREN / (KILLS + 1) {
            assert!(Instant::now() < until, "jobs do not go on\n{}", server.log_tail());
            std::thread::sleep(Duration::from_millis(10));
        }
        server.restart();
    }
    harness::block_on(async {
        wait_for(&server, "SELECT status FROM batch.jobs WHERE job_name = 'after'", "SUCCEEDED").await;
        let summary = "SELECT status || ' ' || status_summary FROM batch.jobs WHERE array_size IS NOT NULL";
        assert_eq!(one(&server, summary).await, format!("SUCCEEDED {{\"SUCCEEDED\":{CHILDREN}}}"));
        let lost = "SELECT count(*) FROM batch.job_attempts WHERE status_reason LIKE 'Host EC2%'";
        println!("batch: {KILLS} kills, {} attempts lost", one(&server, lost).await);
        let late = "SELECT count(*) FROM batch.jobs a, batch.jobs b WHERE a.job_name = 'after' \
                    AND b.job_name = 'array' AND a.started_at < b.stopped_at";
        assert_eq!(one(&server, late).await, "0", "a job began before what it waits for");
    });
    let mut ran: Vec<usize> = lines(&log).iter().map(|line| line.parse().unwrap()).collect();
    ran.sort_unstable();
    ran.dedup();
    assert_eq!(ran.len(), CHILDREN, "every child ran");
    assert!(!doubles.exists(), "an attempt ran beside another of the same job: {:?}", lines(&doubles));
}

#[test]
fn a_server_that_stops_ends_its_jobs_and_one_that_starts_tries_them_again() {
    let mut server = Server::start();
    harness::block_on(async {
        set_up(&server, 1).await;
        let retry = serde_json::json!({ "retryStrategy": { "attempts": 2 } });
        let first = "test $AWS_BATCH_JOB_ATTEMPT = 2 || sleep 600; echo $AWS_BATCH_JOB_ATTEMPT";
        submit(&server, "twice", first, retry).await;
        wait_for(&server, "SELECT status FROM batch.jobs", "RUNNING").await;
    });
    let pid = harness::block_on(one(&server, "SELECT pid FROM batch.job_attempts"));
    assert_eq!(server.terminate(), Some(0));
    assert!(!is_alive(&pid), "a job outlives the server");
    server.restart();
    harness::block_on(async {
        wait_for(&server, "SELECT status || ' ' || attempts FROM batch.jobs", "SUCCEEDED 2").await;
        let id = one(&server, "SELECT job_id FROM batch.jobs").await;
        assert_eq!(one(&server, &format!("SELECT line FROM batch.logs('{id}')")).await, "2");
    });
}

#[test]
fn a_job_talks_back_with_credentials_of_its_own() {
    let mut server = Server::start();
    harness::block_on(async {
        set_up(&server, 1).await;
        let script = "CREATE TABLE told (who text); ALTER USER admin PASSWORD 'open sesame'";
        server.connect().await.batch_execute(script).await.unwrap();
    });
    server.set("auth=password");
    server.restart();
    harness::block_on(async {
        assert!(harness::connect(server.sql).await.is_err(), "nobody else gets in without a password");
        let config = format!("host=127.0.0.1 port={} user=admin password='open sesame' dbname=dev", server.sql);
        let (client, connection) = tokio_postgres::connect(&config, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let request = serde_json::json!({ "jobName": "tell", "jobQueue": "q", "jobDefinition": "sh", "parameters": { "script":
            "echo $TIDEGATE_URL; psql -X $TIDEGATE_URL -c 'INSERT INTO told SELECT current_user'" } });
        let id: String = client.query_one("SELECT batch.submit_job($1)", &[&request.to_string()]).await.unwrap().get(0);
        let until = Instant::now() + Duration::from_secs(SECONDS_MAX);
        loop {
            let status: String = client.query_one("SELECT status FROM batch.jobs", &[]).await.unwrap().get(0);
            if status == "SUCCEEDED" {
                break;
            }
            assert!(status != "FAILED" && Instant::now() < until, "{status}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let told: String = client.query_one("SELECT who FROM told", &[]).await.unwrap().get(0);
        assert_eq!(told, "admin");
        let logs = "SELECT line FROM batch.logs($1) LIMIT 1";
        let url: String = client.query_one(&logs.replace("$1", &format!("'{id}'")), &[]).await.unwrap().get(0);
        let late = tokio_postgres::connect(&url, tokio_postgres::NoTls).await;
        assert!(late.is_err(), "what was lent to a job ends with it");
    });
}
