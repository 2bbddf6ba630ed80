//! What an intruder tries: each path to rows and files without a grant, addresses that only this machine reaches, secrets
//! in views, errors and the log, and inputs that want to be larger than the server. Logins are tried in `login`, the wire
//! itself in `crowd` and `fuzz`.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;

use crate::harness::{self, Server};
use crate::s3;

const SECRET: &str = "kept-from-everyone-4711";
/// What an input that wants more may make the server hold, in KiB.
const GROWN_KIB_MAX: u64 = 1 << 20;

/// The state of an error; "" when a statement succeeds.
async fn state(client: &tokio_postgres::Client, sql: &str) -> String {
    match client.batch_execute(sql).await {
        Ok(()) => String::new(),
        Err(error) => match error.as_db_error() {
            Some(server) => server.code().code().to_string(),
            None => panic!("{sql}: {error}"),
        },
    }
}

/// Each statement must fail in its way. All that do not are told at once.
async fn all_refused(client: &tokio_postgres::Client, cases: impl IntoIterator<Item = (String, &str)>) {
    let mut wrong = Vec::new();
    for (sql, expected) in cases {
        let found = state(client, &sql).await;
        if !expected.split('|').any(|one| one == found) {
            wrong.push(format!("{sql}: {found:?} instead of {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn as_user(server: &Server, user: &str) -> tokio_postgres::Client {
    let config = format!("host=127.0.0.1 port={} user={user} dbname=dev", server.sql);
    let (client, connection) = tokio_postgres::connect(&config, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

const VALUABLES: &str = "CREATE TABLE t (a int, word text); INSERT INTO t VALUES (1, 'x'); \
    CREATE STREAM s (a int); INSERT INTO s VALUES (1); CREATE VIEW v AS SELECT * FROM t; \
    CREATE MATERIALIZED VIEW m AS SELECT a FROM t; CREATE SCHEMA shut; CREATE TABLE shut.u (a int); \
    CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$; REVOKE EXECUTE ON FUNCTION f() FROM PUBLIC; \
    CREATE USER eve; GRANT CREATE, USAGE ON SCHEMA public TO eve; CREATE TABLE mine (a int); ALTER TABLE mine OWNER TO eve";

#[test]
fn rows_without_a_grant() {
    let server = Server::start();
    let scratch = server.scratch();
    fs::write(scratch.join("files.csv"), "1\n").unwrap();
    harness::block_on(async {
        let admin = server.connect().await;
        admin.batch_execute(VALUABLES).await.unwrap();
        let external = format!("CREATE EXTERNAL TABLE e (a int) STORED AS CSV LOCATION '{}/'", scratch.display());
        admin.batch_execute(&external).await.unwrap();
        let eve = as_user(&server, "eve").await;
        let readings = [
            "SELECT * FROM $",
            "SELECT count(*) FROM $",
            "TABLE $",
            "SELECT 1 FROM mine WHERE EXISTS (SELECT 1 FROM $)",
            "WITH w AS (SELECT * FROM $) SELECT * FROM w",
            "SELECT * FROM (SELECT * FROM $) AS w",
            "EXPLAIN SELECT * FROM $",
            "EXPLAIN ANALYZE SELECT * FROM $",
            "PREPARE p AS SELECT * FROM $",
            "COPY $ TO STDOUT",
            "COPY (SELECT * FROM $) TO STDOUT",
            "CREATE TABLE taken AS SELECT * FROM $",
            "SELECT * INTO taken FROM $",
            "INSERT INTO mine SELECT a FROM $",
            "UPDATE mine SET a = 1 FROM $ AS o",
            "DELETE FROM mine USING $ AS o WHERE o.a = mine.a",
            "MERGE INTO mine USING $ AS o ON mine.a = o.a WHEN MATCHED THEN DELETE",
            "CREATE MATERIALIZED VIEW mv AS SELECT * FROM $",
            "BEGIN; DECLARE c CURSOR FOR SELECT * FROM $",
            "INSERT INTO mine VALUES ((SELECT max(a) FROM $))",
        ];
        for name in ["t", "s", "v", "m", "e", "shut.u", "public.t"] {
            for reading in readings {
                let found = state(&eve, &reading.replace('$', name)).await;
                assert_eq!(found, "42501", "{}", reading.replace('$', name));
                eve.batch_execute("ROLLBACK").await.unwrap();
            }
        }
        let changes = [
            "INSERT INTO t VALUES (2)",
            "INSERT INTO s VALUES (2)",
            "UPDATE t SET a = 2",
            "UPDATE t SET a = 2 WHERE false",
            "DELETE FROM t",
            "TRUNCATE t",
            "MERGE INTO t USING mine ON t.a = mine.a WHEN MATCHED THEN DELETE",
            "COPY t FROM STDIN",
            "DROP TABLE t",
            "DROP VIEW v",
            "DROP STREAM s",
            "DROP SCHEMA shut CASCADE",
            "ALTER TABLE t ADD COLUMN b int",
            "ALTER TABLE t RENAME TO taken",
            "ALTER TABLE t OWNER TO eve",
            "ALTER TABLE mine APPEND FROM t",
            "ALTER TABLE t DISABLE ROW LEVEL SECURITY",
            "COMMENT ON TABLE t IS 'mine'",
            "GRANT SELECT ON t TO eve",
            "BEGIN; LOCK TABLE t",
            "ROLLBACK; SELECT * FROM t",
            "VACUUM t",
            "ANALYZE t",
            "CREATE TABLE shut.x (a int)",
            "CREATE DELIVERY STREAM d FROM s TO TABLE mine",
            "CREATE PUMP p AS INSERT INTO mine SELECT STREAM a FROM s",
            "CREATE PUMP p AS INSERT INTO t SELECT STREAM a FROM s",
            "CREATE TABLE r (a int REFERENCES t (a))",
            "SELECT f()",
            "ALTER SYSTEM SET auth = 'trust'",
            "CREATE USER other",
            "ALTER USER eve SUPERUSER",
            "ALTER USER eve BYPASSRLS",
            "SET ROLE admin",
            "SET SESSION AUTHORIZATION admin",
            "CREATE CREDENTIAL c (TYPE s3, KEY 'k', SECRET 's')",
            "SELECT batch.submit_job('x', 'q', 'd')",
            "CREATE JOB DEFINITION d AS '{}'",
            "CHECKPOINT",
        ];
        all_refused(&eve, changes.map(|sql| (sql.to_string(), "42501"))).await;
        let held = admin.query_one("SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM s)", &[]).await.unwrap();
        assert_eq!((held.get::<_, i64>(0), held.get::<_, i64>(1)), (1, 1));
    });
}

#[test]
fn files_of_the_server_and_what_lies_beside_them() {
    let server = Server::start();
    let s3 = s3::server();
    let bucket = s3.bucket();
    let secret = server.scratch().join("secret.csv");
    fs::write(&secret, format!("{SECRET}\n")).unwrap();
    let here = secret.display().to_string();
    let folder = server.scratch().display().to_string();
    let manifest = format!("{{\"entries\": [{{\"url\": \"file://{here}\", \"mandatory\": true}}]}}");
    s3.put(&bucket, "in/manifest", manifest.as_bytes());
    s3.put(&bucket, "in/bare", manifest.replace("file://", "").as_bytes());
    s3.put(&bucket, "in/a.csv", b"1\n");
    harness::block_on(async {
        let admin = server.connect().await;
        let credential = format!(
            "CREATE CREDENTIAL c (TYPE s3, KEY '{}', SECRET '{}', ENDPOINT '{}', REGION 'us-east-1', PATH_STYLE true, SCOPE 's3://{bucket}/in/'); \
             CREATE USER eve; GRANT CREATE, USAGE ON SCHEMA public TO eve; GRANT USAGE ON CREDENTIAL c TO eve; CREATE TABLE mine (a text); ALTER TABLE mine OWNER TO eve",
            s3::KEY,
            s3::SECRET,
            s3.endpoint()
        );
        admin.batch_execute(&credential).await.unwrap();
        let eve = as_user(&server, "eve").await;
        assert_eq!(state(&eve, &format!("COPY mine FROM 's3://{bucket}/in/a.csv' CSV")).await, "");
        let mut paths =
            vec![here.clone(), format!("file://{here}"), format!("FILE://{here}"), format!("file://localhost{here}")];
        paths.push(format!("{folder}/../{}/secret.csv", server.scratch().file_name().unwrap().to_string_lossy()));
        paths.extend(["/etc/passwd".to_string(), "file:///etc/passwd".to_string(), "file:/etc/passwd".to_string()]);
        paths.extend([
            "s3://elsewhere/x.csv".to_string(),
            format!("s3://{bucket}/out/x.csv"),
            format!("s3://{bucket}x/in/a.csv"),
        ]);
        let cases = paths.iter().flat_map(|path| {
            [
                format!("SELECT * FROM '{path}'"),
                format!("COPY mine FROM '{path}' CSV"),
                format!("UNLOAD ('SELECT 1') TO '{path}'"),
                format!("CREATE EXTERNAL TABLE x (a text) STORED AS CSV LOCATION '{path}'"),
            ]
        });
        all_refused(&eve, cases.map(|sql| (sql, "42501|0A000|42601|42P01|22023"))).await;
        for name in ["manifest", "bare"] {
            let found = state(&eve, &format!("COPY mine FROM 's3://{bucket}/in/{name}' MANIFEST CSV")).await;
            assert!(!found.is_empty(), "a manifest opens a file of the server");
        }
        let jobs = format!("COPY mine FROM 's3://{bucket}/in/a.csv' CSV JSON 'file://{here}'");
        assert!(!state(&eve, &jobs).await.is_empty());
        let taken = eve.query_one("SELECT count(*) FROM mine WHERE a <> '1'", &[]).await.unwrap();
        assert_eq!(taken.get::<_, i64>(0), 0, "something was taken");
    });
}

/// An HTTP server that sends everybody to an address that only this machine reaches; the requests that it had.
fn redirecting(to: &'static str) -> (u16, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = asked.clone();
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let mut socket = socket;
            let mut request = [0; 4096];
            let _ = socket.read(&mut request);
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let answer = format!(
                "HTTP/1.1 307 Temporary Redirect\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            let _ = socket.write_all(answer.as_bytes());
        }
    });
    (port, asked)
}

#[test]
fn addresses_that_only_this_machine_reaches() {
    let server = Server::start();
    harness::block_on(async {
        let admin = server.connect().await;
        admin.batch_execute("CREATE TABLE mine (a text)").await.unwrap();
        let hosts = [
            "169.254.169.254",
            "2852039166",
            "0xa9fea9fe",
            "0251.0376.0251.0376",
            "[fe80::1]",
            "[::ffff:169.254.169.254]",
        ];
        for (nth, host) in hosts.iter().enumerate() {
            let made = format!(
                "CREATE CREDENTIAL c{nth} (TYPE s3, KEY 'k', SECRET 's', ENDPOINT 'http://{host}', SCOPE 's3://b{nth}/')"
            );
            let made = state(&admin, &made).await;
            let read = state(&admin, &format!("COPY mine FROM 's3://b{nth}/x.csv' CSV")).await;
            assert!(made == "42501" || read == "42501", "{host}: {made:?}, {read:?}");
        }
        // Neither does an answer lead there: a redirect is not followed.
        let (trap, reached) = redirecting("http://127.0.0.1:9/");
        let (port, asked) =
            redirecting(Box::leak(format!("http://127.0.0.1:{trap}/latest/meta-data/").into_boxed_str()));
        let made = format!(
            "CREATE CREDENTIAL r (TYPE s3, KEY 'k', SECRET 's', ENDPOINT 'http://127.0.0.1:{port}', SCOPE 's3://r/')"
        );
        admin.batch_execute(&made).await.unwrap();
        assert_ne!(state(&admin, "COPY mine FROM 's3://r/x.csv' CSV").await, "");
        let seen =
            (asked.load(std::sync::atomic::Ordering::Relaxed), reached.load(std::sync::atomic::Ordering::Relaxed));
        assert!(seen.0 > 0 && seen.1 == 0, "{seen:?}: a redirect was followed");
    });
}

#[test]
fn secrets_stay_secret() {
    let server = Server::start();
    harness::block_on(async {
        let admin = server.connect().await;
        let password = format!("Aa1{SECRET}");
        admin.batch_execute(&format!("CREATE USER ann PASSWORD '{password}'; CREATE CREDENTIAL c (TYPE s3, KEY 'key', SECRET '{SECRET}', SESSION_TOKEN '{SECRET}')")).await.unwrap();
        let mut errors = String::new();
        for sql in [
            format!("CREATE USER bob PASSWORD '{SECRET}' NONSENSE"),
            format!("CREATE USER ann PASSWORD '{SECRET}'"),
            format!("ALTER USER nobody PASSWORD '{SECRET}'"),
            format!("CREATE CREDENTIAL c (TYPE s3, KEY 'key', SECRET '{SECRET}')"),
            format!("CREATE CREDENTIAL d (TYPE s3, KEY 'key', SECRET '{SECRET}', NONSENSE 1)"),
            format!("COPY nothing FROM 's3://b/x' ACCESS_KEY_ID 'k' SECRET_ACCESS_KEY '{SECRET}' CSV"),
            format!(
                "UNLOAD ('SELECT 1') TO 's3://nowhere.invalid/x' CREDENTIALS 'aws_access_key_id=k;aws_secret_access_key={SECRET}'"
            ),
        ] {
            errors += &format!("{:?}\n", admin.batch_execute(&sql).await.unwrap_err());
        }
        assert!(!errors.contains(SECRET), "{errors}");
        let tables =
            "SELECT quote_ident(table_schema) || '.' || quote_ident(table_name) FROM information_schema.tables";
        let tables: Vec<String> = admin.query(tables, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
        assert!(tables.len() > 50);
        let mut told = Vec::new();
        for table in &tables {
            if let Ok(rows) = admin.simple_query(&format!("SELECT * FROM {table}")).await
                && format!("{rows:?}").contains(SECRET)
            {
                told.push(table.clone());
            }
        }
        assert!(told.is_empty(), "{told:?}");
    });
    let log = fs::read_to_string(server.log()).unwrap();
    assert!(!log.contains(SECRET), "the log tells a secret");
}

fn resident_kib(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn inputs_that_want_to_be_larger_than_the_server() {
    let server = Server::start_with(&["statement_timeout=60000"]);
    let bomb = server.scratch().join("bomb.csv.gz");
    let zeros = "head -c 1500000000 /dev/zero | tr '\\0' 'x' | gzip -1 > \"$0\"";
    assert!(std::process::Command::new("bash").args(["-c", zeros]).arg(&bomb).status().unwrap().success());
    let deep = server.scratch().join("deep.json");
    fs::write(&deep, format!("{{\"a\": {}1{}}}\n", "[".repeat(200_000), "]".repeat(200_000))).unwrap();
    harness::block_on(async {
        let admin = server.connect().await;
        admin.batch_execute("CREATE TABLE lines (a text); CREATE TABLE docs (a super)").await.unwrap();
        let before = resident_kib(&server);
        let cases = [
            // One line of 1.5 GB in a file of 7 MB.
            format!("COPY lines FROM '{}' CSV GZIP", bomb.display()),
            format!("COPY docs FROM '{}' JSON 'auto'", deep.display()),
            "SELECT repeat('x', 2000000000)".to_string(),
            "SELECT repeat(repeat('x', 100000), 100000)".to_string(),
            "SELECT array_fill(1, ARRAY[2000000000])".to_string(),
            "SELECT string_agg(repeat('x', 1000000), '') FROM generate_series(1, 5000)".to_string(),
            format!("SELECT {}1{}", "(".repeat(100_000), ")".repeat(100_000)),
            format!("SELECT {}1", "1 + ".repeat(200_000)),
            format!("SELECT {}1", "- ".repeat(100_000)),
            format!("SELECT json_parse('{}{}')", "[".repeat(100_000), "]".repeat(100_000)),
            format!("SELECT '{}{}'::jsonb -> 'a'", "[".repeat(100_000), "]".repeat(100_000)),
            "SELECT 'x' ~ '(((((((((x{1000}){1000}){1000}){1000}){1000}){1000}){1000}){1000}){1000})'".to_string(),
            "SELECT 1e999999999::numeric".to_string(),
        ];
        let mut wrong = Vec::new();
        for sql in cases {
            let found = state(&admin, &sql).await;
            let shown = &sql[..sql.len().min(60)];
            println!("  {found} {shown}");
            // What takes long is ended by statement_timeout.
            if found.is_empty() || found == "XX000" {
                wrong.push(format!("{found:?} {shown}"));
            }
        }
        let grown = resident_kib(&server).saturating_sub(before);
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert!(grown < GROWN_KIB_MAX, "{} MiB more", grown >> 10);
        assert_eq!(state(&admin, "SELECT 1").await, "");
    });
}
