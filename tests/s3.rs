//! A real S3 server, SeaweedFS: one for a run of the tests, a bucket for each test.
//!
//! Buckets and objects are made through its filer port, which needs no signature; the server under test comes in by
//! the S3 port, where signatures are enforced.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::{harness, wire};

/// The access key of the tests.
pub const KEY: &str = "test";
/// Its secret.
pub const SECRET: &str = "testtest";

/// Longest wait for it to answer, in seconds.
const START_SECONDS_MAX: u64 = 60;

/// Tries to find a set of free ports.
const START_TRIES_MAX: u32 = 3;

const IDENTITIES: &str = r#"{"identities":[{"name":"tg","credentials":[{"accessKey":"test","secretKey":"testtest"}],
"actions":["Admin","Read","Write","List","Tagging"]}]}"#;

/// The server; its process ends with this one, since its guardian's input is a pipe from here.
pub struct S3 {
    s3_port: u16,
    filer_port: u16,
    _guardian: Child,
    _folder: tempfile::TempDir,
}

/// The one server of this run, started by whoever asks first.
pub fn server() -> &'static S3 {
    static SERVER: OnceLock<S3> = OnceLock::new();
    SERVER.get_or_init(|| {
        let mut last = String::new();
        for _ in 0..START_TRIES_MAX {
            match S3::start() {
                Ok(server) => return server,
                Err(error) => last = error,
            }
        }
        panic!("{last}");
    })
}

impl S3 {
    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.s3_port)
    }

    /// Makes a bucket of a fresh name.
    pub fn bucket(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("tg-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let (status, answer) =
            wire::request(self.filer_port, "POST", &format!("/buckets/{name}/"), &[], b"").expect("the filer answers");
        assert_eq!(status, 201, "bucket {name}: {}", String::from_utf8_lossy(&answer));
        name
    }

    /// Puts an object.
    pub fn put(&self, bucket: &str, key: &str, bytes: &[u8]) {
        let headers = [("Content-Type", "application/octet-stream")];
        let (status, answer) =
            wire::request(self.filer_port, "PUT", &format!("/buckets/{bucket}/{key}"), &headers, bytes)
                .expect("the filer answers");
        assert_eq!(status, 201, "{key}: {}", String::from_utf8_lossy(&answer));
    }

    /// The bytes of an object.
    pub fn get(&self, bucket: &str, key: &str) -> Vec<u8> {
        let path = format!("/buckets/{bucket}/{key}");
        let (status, answer) = wire::request(self.filer_port, "GET", &path, &[], b"").expect("the filer answers");
        assert_eq!(status, 200, "{key}: {}", String::from_utf8_lossy(&answer));
        answer
    }

    /// How many uploads of a bucket have been begun, and neither completed nor aborted.
    pub fn uploads(&self, bucket: &str) -> usize {
        let path = format!("/buckets/{bucket}/.uploads/?limit=1000");
        let (status, answer) = wire::request(self.filer_port, "GET", &path, &[("Accept", "application/json")], b"")
            .expect("the filer answers");
        let listed: serde_json::Value = match status {
            200 => serde_json::from_slice(&answer).expect("JSON"),
            _ => return 0,
        };
        listed["Entries"].as_array().map_or(0, Vec::len)
    }

    /// Puts the files below a folder under `prefix`; `$BUCKET` in manifests becomes the bucket's name.
    pub fn put_folder(&self, bucket: &str, prefix: &str, folder: &Path) {
        for path in files_below(folder) {
            let key = format!("{prefix}/{}", path.strip_prefix(folder).unwrap().display());
            let mut bytes = fs::read(&path).expect("a readable file");
            if path.extension().is_some_and(|e| e == "manifest") {
                bytes = String::from_utf8(bytes).unwrap().replace("$BUCKET", bucket).into_bytes();
            }
            self.put(bucket, &key, &bytes);
        }
    }

    fn start() -> Result<S3, String> {
        let folder = tempfile::Builder::new().prefix("tidegate-s3-").tempdir().map_err(|e| e.to_string())?;
        let at = |name: &str| folder.path().join(name);
        fs::write(at("s3.json"), IDENTITIES).map_err(|e| e.to_string())?;
        for name in ["store", "logs"] {
            fs::create_dir(at(name)).map_err(|e| e.to_string())?;
        }
        let [master, volume, filer, s3] = free_ports();
        let log = fs::File::create(at("out.log")).map_err(|e| e.to_string())?;
        // The shell waits for its input to end, which it does however this process ends; SIGTERM would take 25 s.
        let mut command = Command::new("sh");
        command.args(["-c", r#""$@" & pid=$!; echo $pid > "$PIDFILE"; read -r _; kill -9 $pid"#, "sh"]);
        command.arg(harness::python().with_file_name("weed"));
        command.arg("-logtostderr=false").arg(format!("-logdir={}", at("logs").display())).arg("server");
        command.args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1"]).arg(format!("-dir={}", at("store").display()));
        for (name, port) in [("master", master), ("volume", volume), ("filer", filer), ("s3", s3)] {
            command.arg(format!("-{name}.port={port}"));
        }
        command.args(["-filer=true", "-s3"]).arg(format!("-s3.config={}", at("s3.json").display()));
        // Services nobody asks here: two of them take fixed ports, one tells the makers.
        command.args(["-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"]);
        command.args(["-master.volumeSizeLimitMB=64", "-volume.max=400"]).env("PIDFILE", at("pid"));
        let child = command.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log).spawn();
        let guardian = child.map_err(|e| format!("SeaweedFS (run tests/run once, it installs it): {e}"))?;
        let server = S3 { s3_port: s3, filer_port: filer, _guardian: guardian, _folder: folder };
        server.wait_until_ready()?;
        Ok(server)
    }

    /// Ready when it refuses an unsigned listing and its filer takes a write.
    fn wait_until_ready(&self) -> Result<(), String> {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(START_SECONDS_MAX) {
            let refuses = matches!(wire::request(self.s3_port, "GET", "/", &[], b""), Ok((403, _)));
            if refuses && matches!(wire::request(self.filer_port, "PUT", "/buckets/ready/x", &[], b"x"), Ok((201, _))) {
                if let Ok(pid) = fs::read_to_string(self._folder.path().join("pid")) {
                    harness::remember(pid.trim().parse().unwrap_or(0), "weed");
                }
                return Ok(());
            }
            let fatal = self._folder.path().join("logs").join("weed.FATAL");
            if fatal.exists() {
                return Err(fs::read_to_string(fatal).unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let log = fs::read_to_string(self._folder.path().join("out.log")).unwrap_or_default();
        Err(format!("SeaweedFS did not answer within {START_SECONDS_MAX} s\n{log}"))
    }
}

/// Every file below a folder, in order of their paths.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

/// Four ports that are free, and whose gRPC neighbours (10000 higher) are free too. Below those that the system gives to
/// outgoing connections, any of which might take one between this look and the server's start.
fn free_ports() -> [u16; 4] {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = || {
        let seed = std::process::id().wrapping_mul(37).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        12_000 + u16::try_from(seed % 10_000).unwrap()
    };
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    std::array::from_fn(|_| {
        loop {
            let port = next();
            if free(port) && free(port + 10_000) {
                return port;
            }
        }
    })
}

#[test]
fn s3_takes_objects_and_enforces_signatures() {
    let s3 = server();
    let bucket = s3.bucket();
    s3.put(&bucket, "a/b.txt", b"hello");
    let (status, _) = wire::request(s3.s3_port, "GET", &format!("/{bucket}/a/b.txt"), &[], b"").unwrap();
    assert_eq!(status, 403);
    let (status, body) = wire::request(s3.filer_port, "GET", &format!("/buckets/{bucket}/a/b.txt"), &[], b"").unwrap();
    assert_eq!((status, body.as_slice()), (200, b"hello".as_slice()));
}
