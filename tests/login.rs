//! Who comes in: passwords, what is kept of them, their limits, and TLS with all that it can vouch for.

use crate::harness::{self, Server};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// What psql says to a connection: its answer, or the error.
fn psql(server: &Server, target: &str) -> Result<String, String> {
    let target = format!("host=127.0.0.1 port={} dbname=dev {target}", server.sql);
    let output = Command::new("psql")
        .args(["-X", "-At", "-v", "VERBOSITY=verbose", "-c", "SELECT current_user", &target])
        .env("PGCONNECT_TIMEOUT", "20")
        .env("HOME", server.scratch())
        .output()
        .unwrap();
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_string()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_string()),
    }
}

fn prepared(script: &str) -> Server {
    let server = Server::start();
    harness::block_on(async {
        let client = server.connect().await;
        client.batch_execute(script).await.unwrap();
    });
    server
}

/// Whether any file below a folder holds a text.
fn holds(folder: &Path, text: &str) -> bool {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).any(|path| match path.is_dir() {
        true => holds(&path, text),
        false => fs::read(&path).unwrap().windows(text.len()).any(|part| part == text.as_bytes()),
    })
}

#[test]
fn passwords_are_kept_as_proofs_of_them() {
    let mut server = prepared(
        "ALTER USER admin PASSWORD 'Open Sesame 1'; CREATE USER ann PASSWORD 'Ann4567-unheard'; \
         SET password_encryption = 'md5'; CREATE USER old PASSWORD 'Old4567-unheard'; CREATE USER renamed PASSWORD 'Renamed4567'; \
         ALTER USER renamed RENAME TO called; RESET password_encryption; \
         CREATE USER moved PASSWORD 'SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU='; \
         CREATE USER past PASSWORD 'Past4567' VALID UNTIL '2020-01-01'; \
         CREATE USER future PASSWORD 'Future4567' VALID UNTIL 'infinity' CONNECTION LIMIT 1; \
         CREATE USER shut PASSWORD 'Shut4567' CONNECTION LIMIT 0; \
         ALTER USER future RENAME TO later",
    );
    server.set("auth=password");
    server.restart();
    for text in ["Ann4567-unheard", "Old4567-unheard"] {
        assert!(!holds(&server.data(), text), "{text} lies on the disk");
        assert!(!fs::read_to_string(server.log()).unwrap().contains(text), "{text} stands in the log");
    }
    let cases = [
        ("user=ann password='Ann4567-unheard'", Ok("ann")),
        ("user=ann password=ann4567-unheard", Err("28P01")),
        ("user=old password='Old4567-unheard'", Ok("old")),
        ("user=old password=other", Err("28P01")),
        ("user=moved password=pencil", Ok("moved")),
        // What md5 keeps goes with the name that it is of.
        ("user=called password=Renamed4567", Err("28P01")),
        ("user=past password=Past4567", Err("28P01")),
        ("user=later password=Future4567", Ok("later")),
        ("user=future password=Future4567", Err("28P01")),
        ("user=shut password=Shut4567", Err("53300")),
        ("user=nobody password=any", Err("28P01")),
    ];
    for (target, expected) in cases {
        let found = psql(&server, &format!("sslmode=disable {target}"));
        match expected {
            Ok(user) => assert_eq!(found.as_deref(), Ok(user), "{target}"),
            Err(part) => assert!(found.as_ref().is_err_and(|text| told(part, text)), "{target}: {found:?}"),
        }
    }
}

/// psql tells the states of refused logins by their words only.
fn told(state: &str, text: &str) -> bool {
    text.contains(match state {
        "28P01" => "password authentication failed",
        "53300" => "too many connections for role",
        other => other,
    })
}

#[test]
fn passwords_are_not_tried_one_by_one() {
    let mut server = prepared(
        "ALTER USER admin PASSWORD 'Open Sesame 1'; CREATE USER ann PASSWORD 'Ann4567x'; CREATE USER bob PASSWORD 'Bob4567x'",
    );
    for setting in ["auth=password", "login_failures_max=3", "login_failures_window_ms=3000"] {
        server.set(setting);
    }
    server.restart();
    let login = |user: &str, password: &str| psql(&server, &format!("sslmode=disable user={user} password={password}"));
    assert_eq!(login("ann", "Ann4567x").as_deref(), Ok("ann"));
    for password in ["one", "two", "three"] {
        assert!(login("ann", password).is_err_and(|text| text.contains("password authentication failed")));
    }
    assert!(login("ann", "Ann4567x").is_err_and(|text| text.contains("too many logins have failed for user \"ann\"")));
    assert_eq!(login("bob", "Bob4567x").as_deref(), Ok("bob"));
    let started = Instant::now();
    while login("ann", "Ann4567x").is_err() {
        assert!(started.elapsed() < Duration::from_secs(60), "the window has no end");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// A certificate and its key in files; with an issuer, of a client with this name.
fn certificate(folder: &Path, name: &str, issuer: Option<&Issuer<'_, KeyPair>>) -> (PathBuf, PathBuf) {
    let mut params = CertificateParams::new(["localhost".to_string(), "127.0.0.1".to_string()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    let made = match issuer {
        Some(issuer) => params.signed_by(&key, issuer).unwrap(),
        None => params.self_signed(&key).unwrap(),
    };
    let paths = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    fs::write(&paths.0, made.pem()).unwrap();
    fs::write(&paths.1, key.serialize_pem()).unwrap();
    // libpq wants its key to be nobody else's.
    fs::set_permissions(&paths.1, fs::Permissions::from_mode(0o600)).unwrap();
    paths
}

#[test]
fn certificates_vouch_for_the_server_and_for_clients() {
    let mut server = prepared(
        "ALTER USER admin PASSWORD 'Open Sesame 1'; CREATE USER ann PASSWORD 'Ann4567x'; CREATE USER bob PASSWORD 'Bob4567x'",
    );
    let folder = server.scratch();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "people");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let authority = folder.join("people.pem");
    fs::write(&authority, params.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(params, key);
    let (ann, ann_key) = certificate(&folder, "ann", Some(&issuer));
    let (stranger, stranger_key) = certificate(&folder, "stranger", None);
    let (own, own_key) = certificate(&folder, "server", None);
    let (next, next_key) = certificate(&folder, "next", None);
    for setting in [
        "auth=password".to_string(),
        format!("tls_cert={}", own.display()),
        format!("tls_key={}", own_key.display()),
        format!("tls_client_ca={}", authority.display()),
    ] {
        server.set(&setting);
    }
    server.restart();

    let shown = |certificate: &Path, key: &Path| format!("sslcert={} sslkey={}", certificate.display(), key.display());
    let cases = [
        ("sslmode=require channel_binding=require user=ann password=Ann4567x".to_string(), Ok("ann")),
        ("sslmode=require channel_binding=disable user=ann password=Ann4567x".to_string(), Ok("ann")),
        ("sslmode=require channel_binding=require user=ann password=wrong".to_string(), Err("authentication failed")),
        // Who insists on a bound exchange does not get one in clear.
        ("sslmode=disable channel_binding=require user=ann password=Ann4567x".to_string(), Err("channel binding")),
        (format!("sslmode=verify-full sslrootcert={} user=ann password=Ann4567x", own.display()), Ok("ann")),
        (format!("sslmode=verify-full sslrootcert={} user=ann password=Ann4567x", next.display()), Err("certificate")),
        // A certificate will do for whom it names, and for nobody else.
        (format!("sslmode=require user=ann {}", shown(&ann, &ann_key)), Ok("ann")),
        (format!("sslmode=require user=bob {}", shown(&ann, &ann_key)), Err("password")),
        (format!("sslmode=require user=bob password=Bob4567x {}", shown(&ann, &ann_key)), Ok("bob")),
        (format!("sslmode=require user=stranger {}", shown(&stranger, &stranger_key)), Err("")),
    ];
    for (target, expected) in cases {
        let found = psql(&server, &target);
        match expected {
            Ok(user) => assert_eq!(found.as_deref(), Ok(user), "{target}"),
            Err(part) => assert!(found.as_ref().is_err_and(|text| text.contains(part)), "{target}: {found:?}"),
        }
    }

    // Another certificate, while the server runs; a broken one changes nothing.
    let trusts_next = format!("sslmode=verify-full sslrootcert={} user=ann password=Ann4567x", next.display());
    fs::copy(&next, &own).unwrap();
    fs::copy(&next_key, &own_key).unwrap();
    hangup(&server);
    let started = Instant::now();
    while psql(&server, &trusts_next).is_err() {
        assert!(started.elapsed() < Duration::from_secs(60), "{}", server.log_tail());
        std::thread::sleep(Duration::from_millis(100));
    }
    fs::write(&own, "no certificate").unwrap();
    hangup(&server);
    while !fs::read_to_string(server.log()).unwrap().contains("stays as it was") {
        assert!(started.elapsed() < Duration::from_secs(60), "{}", server.log_tail());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(psql(&server, &trusts_next).as_deref(), Ok("ann"));
}

fn hangup(server: &Server) {
    assert!(Command::new("kill").args(["-HUP", &server.pid().to_string()]).status().unwrap().success());
}

#[test]
fn the_audit_tells_who_did_what_and_no_secret() {
    let server = Server::start_with(&["log_statement=mod", "log_connections=on"]);
    harness::block_on(async {
        let client = server.connect().await;
        client.batch_execute("CREATE USER ann PASSWORD 'Ann4567-unheard'; CREATE TABLE t (a int)").await.unwrap();
        client.execute("INSERT INTO t VALUES ($1)", &[&4711]).await.unwrap();
        client.query("SELECT a AS \"not told\" FROM t", &[]).await.unwrap();
        client.batch_execute("SET ROLE ann").await.unwrap();
        assert!(client.batch_execute("DROP TABLE t").await.is_err());
        let seen = server.connect().await;
        client.batch_execute("RESET ROLE; CREATE USER bob PASSWORD 'Bob4567-unheard'").await.unwrap();
        let shown = seen.query("SELECT query FROM pg_stat_activity", &[]).await.unwrap();
        let shown: Vec<String> = shown.iter().map(|row| row.get(0)).collect();
        assert!(shown.iter().any(|text| text.contains("PASSWORD '***'")), "{shown:?}");
    });
    let log = fs::read_to_string(server.log()).unwrap();
    let told: Vec<serde_json::Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let told: Vec<&serde_json::Value> = told.iter().filter(|line| line["target"] == "tidegate::audit").collect();
    let statements: Vec<(&str, &str, &str)> = told
        .iter()
        .filter_map(|line| line.get("fields"))
        .filter_map(|fields| Some((fields["role"].as_str()?, fields["state"].as_str()?, fields["statement"].as_str()?)))
        .collect();
    assert_eq!(
        statements,
        [
            ("admin", "00000", "CREATE USER ann PASSWORD '***'"),
            ("admin", "00000", "CREATE TABLE t (a int)"),
            ("admin", "00000", "INSERT INTO t VALUES ($1)"),
            ("ann", "42501", "DROP TABLE t"),
            ("admin", "00000", "CREATE USER bob PASSWORD '***'"),
        ]
    );
    let logins = told.iter().filter(|line| line["fields"]["message"] == "login");
    assert!(logins.clone().count() >= 2 && logins.clone().all(|line| line["fields"]["user"] == "admin"));
    assert!(!log.contains("unheard"), "a secret stands in the log");
}
