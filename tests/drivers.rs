//! Real clients against a real server: psql, psycopg, asyncpg, pg8000, SQLAlchemy, pgJDBC, psqlODBC, pgx,
//! node-postgres, pandas, redshift_connector, dbt, boto3, deltalake,
//! the TPC-H and TPC-DS queries against DuckDB, and the server in a container.
//!
//! Each script prints `PASS name`, `FAIL name` or `SKIP name: reason` for each of its checks, and exits 0 only if none failed.

use std::path::Path;
use std::process::Command;

use crate::harness::{self, Server};
use crate::report;

/// Runs a script with what it needs to know of the server in its environment.
pub fn run(name: &str, mut command: Command, server: &Server) {
    command
        .env("TIDEGATE_SQL_PORT", server.sql.to_string())
        .env("TIDEGATE_HTTP_PORT", server.http.to_string())
        .env("TIDEGATE_PID", server.pid().to_string())
        .env("TIDEGATE_SCRATCH", server.scratch())
        .env("TIDEGATE_TEST_CACHE", harness::cache())
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "testtest")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    let output = command.output().unwrap_or_else(|e| panic!("{name}: {e}"));
    let text = String::from_utf8_lossy(&output.stdout);
    let (passed, failed) = report::take(name, &text);
    println!("{text}");
    let skipped = text.starts_with("SKIP");
    // Known differences make a script fail, and not the test.
    let whole = output.status.success() || output.status.code() == Some(1);
    let ok = whole && failed == 0 && (passed > 0 || skipped);
    assert!(
        ok,
        "{name}: {passed} passed, {failed} failed, {}\n{text}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr),
        server.log_tail()
    );
}

pub fn script(path: &str) -> Command {
    let path = harness::root().join("tests").join(path);
    if Path::new(&path).extension().is_some_and(|e| e == "py") {
        let mut command = Command::new(harness::python());
        command.arg(path);
        command
    } else {
        let mut command = Command::new("bash");
        command.arg(path);
        command
    }
}

#[test]
fn psql() {
    run("psql", script("drivers/psql.sh"), &Server::start());
}

/// Each backslash command that sends queries, against what Postgres 15 answers to it.
#[test]
fn psql_meta() {
    run("psql_meta", script("drivers/psql_meta.sh"), &Server::start());
}

#[test]
fn pgx() {
    run("pgx", script("drivers/pgx.sh"), &Server::start());
}

#[test]
fn psycopg() {
    run("psycopg", script("drivers/psycopg_test.py"), &Server::start());
}

#[test]
fn asyncpg() {
    run("asyncpg", script("drivers/asyncpg_test.py"), &Server::start());
}

#[test]
fn pg8000() {
    run("pg8000", script("drivers/pg8000_test.py"), &Server::start());
}

#[test]
fn sqlalchemy() {
    run("sqlalchemy", script("drivers/sqlalchemy_test.py"), &Server::start());
}

#[test]
fn jdbc() {
    run("jdbc", script("drivers/jdbc.sh"), &Server::start());
}

#[test]
fn odbc() {
    run("odbc", script("drivers/odbc_test.py"), &Server::start());
}

#[test]
fn node_postgres() {
    let mut command = Command::new("node");
    command.arg(harness::root().join("tests/drivers/node_postgres_test.js"));
    run("node_postgres", command, &Server::start());
}

#[test]
fn pandas() {
    run("pandas", script("drivers/pandas_test.py"), &Server::start());
}

#[test]
fn redshift_connector() {
    run("redshift_connector", dbt_script("drivers/redshift_connector_test.py"), &Server::start());
}

#[test]
fn dbt() {
    run("dbt", dbt_script("drivers/dbt_test.py"), &Server::start());
}

/// A script in the environment of dbt, which brings redshift_connector: its pins do not go with those of the other drivers.
fn dbt_script(path: &str) -> Command {
    let mut command = Command::new(harness::cache().join("dbt-venv/bin/python"));
    command.arg(harness::root().join("tests").join(path));
    command
}

#[test]
fn boto3() {
    run("boto3", script("drivers/boto3_test.py"), &Server::start());
}

#[test]
fn deltalake() {
    run("deltalake", script("drivers/deltalake_test.py"), &Server::start());
}

#[test]
fn tpch() {
    run("tpch", script("tpch.py"), &Server::start());
}

/// What does not fit goes to disk: factor 1 within 256 MB, and with `tests/run --all` factor 10 within 2 GB.
#[test]
fn tpch_in_little_memory() {
    let given = |name: &str, otherwise: &str| std::env::var(name).unwrap_or(otherwise.to_string());
    let limit = given("TIDEGATE_TIGHT_MEMORY", "256MB");
    let server = Server::start_with(&[&format!("memory_limit={limit}"), &format!("query_memory_limit={limit}")]);
    let mut command = script("tpch.py");
    command.env("TIDEGATE_TPCH_SCALE", given("TIDEGATE_TIGHT_SCALE", "1")).env("TIDEGATE_TPCH_MANAGED", "1");
    run("tpch, little memory", command, &server);
}

#[test]
fn tpcds() {
    run("tpcds", script("tpcds.py"), &Server::start());
}

#[test]
fn docker() {
    let mut command = script("drivers/docker.sh");
    command.env("TIDEGATE_SERVER", harness::BINARY).env("TIDEGATE_TOP", harness::root());
    run("docker", command, &Server::start());
}
