//! UNLOAD that does not come to its end: no part of an upload is left in the bucket, however it was stopped.

use std::time::{Duration, Instant};

use crate::harness::{self, Server};
use crate::s3;

/// Longest wait for uploads to begin, or to go, in seconds.
const WAIT_SECONDS_MAX: u64 = 60;

/// Rows of an UNLOAD that is long enough to be stopped.
const ROWS: u64 = 100_000_000;

struct Setting {
    server: Server,
    bucket: String,
}

impl Setting {
    async fn new() -> Setting {
        let server = Server::start();
        let s3 = s3::server();
        let bucket = s3.bucket();
        let credential = format!(
            "CREATE CREDENTIAL c (TYPE s3, KEY '{}', SECRET '{}', ENDPOINT '{}', REGION 'us-east-1', PATH_STYLE true, SCOPE 's3://{bucket}')",
            s3::KEY,
            s3::SECRET,
            s3.endpoint()
        );
        server.connect().await.batch_execute(&credential).await.unwrap();
        Setting { server, bucket }
    }

    /// An UNLOAD of many rows; the last of them is an error.
    fn statement(&self, rows: u64) -> String {
        let query = format!(
            "SELECT value, repeat(''x'', 200) AS note, 1 / ({rows} - value) AS q FROM generate_series(1, {rows}) AS g(value)"
        );
        format!("UNLOAD ('{query}') TO 's3://{}/out/t_' IAM_ROLE 'c' CSV", self.bucket)
    }

    /// Waits for the number of unfinished uploads to be none, or some.
    async fn until_uploads(&self, some: bool) {
        let started = Instant::now();
        while (s3::server().uploads(&self.bucket) > 0) != some {
            assert!(started.elapsed() < Duration::from_secs(WAIT_SECONDS_MAX), "uploads: {} at the end", !some);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Nothing is in the way of the next UNLOAD, and it works.
    async fn prefix_is_free(&self) {
        let client = self.server.connect().await;
        let statement = format!("UNLOAD ('SELECT 1 AS a') TO 's3://{}/out/t_' IAM_ROLE 'c' CSV", self.bucket);
        let started = Instant::now();
        while let Err(error) = client.batch_execute(&statement).await {
            assert!(started.elapsed() < Duration::from_secs(WAIT_SECONDS_MAX), "{error}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[test]
fn a_failed_unload_leaves_no_upload() {
    harness::block_on(async {
        let setting = Setting::new().await;
        let client = setting.server.connect().await;
        let error = client.batch_execute(&setting.statement(200_000)).await.unwrap_err();
        assert_eq!(error.code().map(tokio_postgres::error::SqlState::code), Some("22012"));
        setting.until_uploads(false).await;
        setting.prefix_is_free().await;
    });
}

#[test]
fn a_cancelled_unload_leaves_no_upload() {
    harness::block_on(async {
        let setting = Setting::new().await;
        let client = setting.server.connect().await;
        let token = client.cancel_token();
        let statement = setting.statement(ROWS);
        let cancel = async {
            setting.until_uploads(true).await;
            token.cancel_query(tokio_postgres::NoTls).await.unwrap();
        };
        let (ended, ()) = tokio::join!(client.batch_execute(&statement), cancel);
        assert_eq!(ended.unwrap_err().code().map(tokio_postgres::error::SqlState::code), Some("57014"));
        setting.until_uploads(false).await;
        setting.prefix_is_free().await;
    });
}

#[test]
fn what_a_killed_unload_began_goes_at_the_next_start() {
    harness::block_on(async {
        let mut setting = Setting::new().await;
        let client = setting.server.connect().await;
        let statement = setting.statement(ROWS);
        let unload = tokio::spawn(async move { client.batch_execute(&statement).await });
        setting.until_uploads(true).await;
        setting.server.kill9();
        unload.await.unwrap().unwrap_err();
        assert!(s3::server().uploads(&setting.bucket) > 0, "a killed server cannot have taken them back");
        setting.server.restart();
        setting.until_uploads(false).await;
        setting.prefix_is_free().await;
    });
}
