//! Bad input and bad surroundings: a clear error, nothing lost, and everybody else served on.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use crate::harness::{self, Server};
use crate::{report, s3};

/// Size of the small file system, in megabytes.
const SMALL_DISK_MB: u32 = 48;

/// Statements until the small disk must have been full.
const FULL_DISK_STATEMENTS_MAX: usize = 4000;

fn code(error: &tokio_postgres::Error) -> String {
    error.code().map_or_else(|| format!("no SQLSTATE: {error:?}"), |code| code.code().to_string())
}

#[test]
fn malformed_frames_end_one_connection_only() {
    let server = Server::start();
    let frames: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\n\r\n",
        &[0, 0, 0, 1],
        &[0xff, 0xff, 0xff, 0xff, 0, 3, 0, 0],
        &[0, 0, 0, 9, 0, 3, 0, 0, 0, b'Q', 0xff, 0xff, 0xff, 0xff],
        b"\0\0\0\x21\0\x03\0\0user\0admin\0database\0dev\0\0Z\0\0\0\x02",
    ];
    harness::block_on(async {
        let bystander = server.connect().await;
        for frame in frames {
            let mut stream = TcpStream::connect(("127.0.0.1", server.sql)).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            stream.write_all(frame).unwrap();
            // The server may have ended it already.
            stream.shutdown(std::net::Shutdown::Write).ok();
            let mut answer = Vec::new();
            let ended = stream.read_to_end(&mut answer);
            let reset = matches!(&ended, Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset);
            assert!(ended.is_ok() || reset, "{frame:?}: {ended:?}");
            assert_eq!(bystander.query_one("SELECT 1", &[]).await.unwrap().get::<_, i32>(0), 1);
        }
    });
}

#[test]
fn a_script_with_a_syntax_error_does_nothing() {
    let server = Server::start();
    harness::block_on(async {
        let client = server.connect().await;
        client.batch_execute("CREATE TABLE t (a int)").await.unwrap();
        let error =
            client.batch_execute("INSERT INTO t VALUES (1); SELEKT 2; INSERT INTO t VALUES (3)").await.unwrap_err();
        assert_eq!(code(&error), "42601");
        let place = error.as_db_error().unwrap().position();
        assert!(matches!(place, Some(tokio_postgres::error::ErrorPosition::Original(27))), "{place:?}");
        assert_eq!(client.query_one("SELECT count(*) FROM t", &[]).await.unwrap().get::<_, i64>(0), 0);
    });
}

#[test]
fn an_unknown_database_is_named() {
    let server = Server::start();
    harness::block_on(async {
        let config = format!("host=127.0.0.1 port={} user=admin dbname=nowhere", server.sql);
        let error = tokio_postgres::connect(&config, tokio_postgres::NoTls).await.err().expect("refused");
        assert_eq!(code(&error), "3D000");
        assert!(error.as_db_error().unwrap().message().contains("nowhere"));
    });
}

#[test]
fn a_port_in_use_and_a_directory_in_use() {
    let server = Server::start();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();

    let mut command = Command::new(harness::BINARY);
    command.arg("serve").arg("--data").arg(folder.path()).args(["--sql-listen", &format!("127.0.0.1:{port}")]);
    let output = command.args(["--http-listen", "127.0.0.1:0", "--cluster-listen", "127.0.0.1:0"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains(&port.to_string()), "{text}");

    let output = harness::serve(&server.data()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains(&server.data().display().to_string()), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    harness::block_on(async {
        let client = server.connect().await;
        assert_eq!(client.query_one("SELECT 1", &[]).await.unwrap().get::<_, i32>(0), 1);
    });
}

#[test]
fn a_missing_bucket_is_named_and_loads_nothing() {
    let server = Server::start();
    let s3 = s3::server();
    harness::block_on(async {
        let client = server.connect().await;
        let credential = format!(
            "CREATE CREDENTIAL c (TYPE s3, KEY '{}', SECRET '{}', ENDPOINT '{}', REGION 'us-east-1', PATH_STYLE true)",
            s3::KEY,
            s3::SECRET,
            s3.endpoint()
        );
        client.batch_execute(&credential).await.unwrap();
        client.batch_execute("CREATE TABLE t (a int)").await.unwrap();
        for sql in [
            "COPY t FROM 's3://no-such-bucket/x.csv' CREDENTIALS 'c' CSV",
            "UNLOAD ('SELECT 1 AS a') TO 's3://no-such-bucket/x_' CREDENTIALS 'c' CSV",
            "SELECT * FROM 's3://no-such-bucket/**/*.parquet'",
        ] {
            let error = client.batch_execute(sql).await.expect_err(sql);
            assert_eq!(code(&error), "58P01", "{sql}: {error:?}");
            assert!(error.as_db_error().unwrap().message().contains("no-such-bucket"), "{sql}: {error:?}");
        }
        assert_eq!(client.query_one("SELECT count(*) FROM t", &[]).await.unwrap().get::<_, i64>(0), 0);
    });
}

/// A file system that is too small, unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Result<SmallDisk, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let size = format!("size={SMALL_DISK_MB}m");
        let output = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()).output();
        match output {
            Ok(output) if output.status.success() => Ok(SmallDisk(folder)),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_string()),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_is_said_and_loses_nothing() {
    let disk = match SmallDisk::mount() {
        Ok(disk) => disk,
        Err(reason) => return report::skip("disk_full", &reason),
    };
    let mut server = Server::start();
    server.kill9();
    fs::remove_dir_all(server.data()).unwrap();
    std::os::unix::fs::symlink(disk.0.path(), server.data()).unwrap();
    server.launch();
    server.wait_until_ready().unwrap();
    let acknowledged = harness::block_on(fill(&server));
    server.kill9();
    // Room again: what was acknowledged before the disk was full is there.
    let enlarged = format!("remount,size={}m", SMALL_DISK_MB * 8);
    assert!(Command::new("mount").args(["-o", &enlarged]).arg(disk.0.path()).status().unwrap().success());
    server.restart();
    harness::block_on(async {
        let client = server.connect().await;
        let found = client.query_one("SELECT count(*), count(DISTINCT n) FROM s", &[]).await.unwrap();
        let (rows, distinct) = (found.get::<_, i64>(0), found.get::<_, i64>(1));
        assert_eq!(rows, distinct);
        assert!(rows == acknowledged || rows == acknowledged + 1, "{rows} rows, {acknowledged} acknowledged");
    });
}

/// Inserts 64 KiB at a time until the disk is full; gives the number of acknowledged statements.
async fn fill(server: &Server) -> i64 {
    let client = server.connect().await;
    client.batch_execute("CREATE STREAM s (n int, pad text) PARTITION KEY (n) FORMAT JSON").await.unwrap();
    let pad = "x".repeat(64 << 10);
    for n in 0..FULL_DISK_STATEMENTS_MAX {
        if let Err(error) = client.batch_execute(&format!("INSERT INTO s VALUES ({n}, '{pad}')")).await {
            // A store that failed to sync is poisoned and says so: either is a clear answer.
            assert!(["53100", "58030"].contains(&code(&error).as_str()), "{error:?}");
            return i64::try_from(n).unwrap();
        }
    }
    panic!("{FULL_DISK_STATEMENTS_MAX} statements fitted on {SMALL_DISK_MB} MB");
}
