//! A real server on a throw-away directory: start, kill, start again, look into its log.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The server's binary, built with the tests.
pub const BINARY: &str = env!("CARGO_BIN_EXE_tidegate");

/// Longest wait for a server to answer, in seconds: recovery on a busy machine included.
const START_SECONDS_MAX: u64 = 60;

/// Longest wait for a server to end after SIGTERM, in seconds.
const STOP_SECONDS_MAX: u64 = 30;

/// Lines of the log that a failed test shows.
const LOG_LINES_MAX: usize = 60;

/// A server process and its data directory, which goes with it.
pub struct Server {
    child: Option<Child>,
    folder: TempDir,
    settings: Vec<String>,
    fault: Option<String>,
    /// The SQL port.
    pub sql: u16,
    /// The HTTP port.
    pub http: u16,
    /// The cluster port.
    pub cluster: u16,
}

impl Server {
    /// Starts one with default settings.
    pub fn start() -> Server {
        Server::start_with(&[])
    }

    /// Starts one with `name=value` settings.
    pub fn start_with(settings: &[&str]) -> Server {
        let folder = tempfile::Builder::new().prefix("tidegate-test-").tempdir().expect("a temporary folder");
        let settings = settings.iter().map(|text| (*text).to_string()).collect();
        let mut server = Server { child: None, folder, settings, fault: None, sql: 0, http: 0, cluster: 0 };
        server.launch();
        server.wait_until_ready().unwrap_or_else(|error| panic!("{error}"));
        server
    }

    /// The server's data directory.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A folder for the test's own files, beside the data directory.
    pub fn scratch(&self) -> PathBuf {
        let path = self.folder.path().join("scratch");
        fs::create_dir_all(&path).expect("a scratch folder");
        path
    }

    /// The file that takes stderr and stdout of all its lives.
    pub fn log(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    /// Gives it another setting from its next start on.
    pub fn set(&mut self, setting: &str) {
        self.settings.push(setting.to_string());
    }

    /// Makes its next start meet a fault, `point=kill@n`, and the starts after it none.
    pub fn fail_at(&mut self, fault: &str) {
        self.fault = Some(fault.to_string());
    }

    /// Starts the process without waiting until it answers.
    pub fn launch(&mut self) {
        // Ports of an earlier life would be taken for those of this one.
        let _ = fs::remove_file(self.data().join("ports.json"));
        let log = OpenOptions::new().create(true).append(true).open(self.log()).expect("a log file");
        let mut command = serve(&self.data());
        if let Some(fault) = self.fault.take() {
            command.env("TIDEGATE_FAULT", fault);
        }
        for setting in &self.settings {
            command.args(["--set", setting]);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("the server starts");
        remember(child.id(), "tidegate");
        self.child = Some(child);
    }

    /// Waits for `ports.json`, which the server writes once it answers.
    pub fn wait_until_ready(&mut self) -> Result<(), String> {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(START_SECONDS_MAX) {
            if let Some(ports) = read_ports(&self.data()) {
                [self.sql, self.http, self.cluster] = ports;
                return Ok(());
            }
            let child = self.child.as_mut().ok_or("the server was not launched")?;
            if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
                return Err(format!("the server ended at start with {status}\n{}", self.log_tail()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(format!("the server did not answer within {START_SECONDS_MAX} s\n{}", self.log_tail()))
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("a running server").id()
    }

    /// Ends it as a power cut would end a process: no handler runs.
    pub fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again on the same directory.
    pub fn restart(&mut self) {
        self.kill9();
        self.launch();
        self.wait_until_ready().unwrap_or_else(|error| panic!("{error}"));
    }

    /// SIGTERM, and its exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        let mut child = self.child.take().expect("a running server");
        let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill runs");
        assert!(sent.success(), "the server had ended before SIGTERM");
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(STOP_SECONDS_MAX) {
            if let Some(status) = child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = child.kill();
        let _ = child.wait();
        panic!("the server did not end within {STOP_SECONDS_MAX} s of SIGTERM\n{}", self.log_tail());
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        let text = fs::read(self.log()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(LOG_LINES_MAX);
        format!("--- {}\n{}\n---", self.log().display(), lines[from..].join("\n"))
    }

    /// A connection as the default user.
    pub async fn connect(&self) -> tokio_postgres::Client {
        connect(self.sql).await.unwrap_or_else(|error| panic!("no connection: {error}\n{}", self.log_tail()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill9();
        if std::thread::panicking() {
            println!("{}", self.log_tail());
        }
    }
}

/// `tidegate serve` on a directory, on ports of its own choice.
pub fn serve(data: &Path) -> Command {
    let mut command = Command::new(BINARY);
    command.arg("serve").arg("--data").arg(data).args([
        "--sql-listen",
        "127.0.0.1:0",
        "--http-listen",
        "127.0.0.1:0",
        "--cluster-listen",
        "127.0.0.1:0",
    ]);
    command
}

/// Opens a connection; an error when nobody listens.
pub async fn connect(port: u16) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    let config = format!("host=127.0.0.1 port={port} user=admin dbname=dev connect_timeout=10");
    let (client, connection) = tokio_postgres::connect(&config, tokio_postgres::NoTls).await?;
    tokio::spawn(async move {
        // An error here is a closed socket, which the client's next call reports.
        let _ = connection.await;
    });
    Ok(client)
}

/// Runs a future to its end on a small runtime of this thread.
pub fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

/// The Python that `tests/run` prepared.
pub fn python() -> PathBuf {
    from_environment("TIDEGATE_TEST_PYTHON", || cache().join("venv/bin/python"))
}

/// Where `tests/run` keeps what it installed and made.
pub fn cache() -> PathBuf {
    from_environment("TIDEGATE_TEST_CACHE", || {
        let base = from_environment("XDG_CACHE_HOME", || {
            PathBuf::from(std::env::var("HOME").unwrap_or_default()).join(".cache")
        });
        base.join("tidegate")
    })
}

/// The checkout.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Notes a process, so that `tests/run` can end it if this one dies first.
pub fn remember(pid: u32, program: &str) {
    if let Ok(path) = std::env::var("TIDEGATE_TEST_PIDS") {
        let file = OpenOptions::new().create(true).append(true).open(path);
        file.and_then(|mut file: File| file.write_all(format!("{pid} {program}\n").as_bytes()))
            .expect("the list of processes");
    }
}

fn from_environment(name: &str, otherwise: impl FnOnce() -> PathBuf) -> PathBuf {
    std::env::var_os(name).filter(|value| !value.is_empty()).map_or_else(otherwise, PathBuf::from)
}

fn read_ports(data: &Path) -> Option<[u16; 3]> {
    let text = fs::read_to_string(data.join("ports.json")).ok()?;
    let value: serde_json::Value = serde_json::from_str(&text).ok()?;
    let port = |name: &str| value.get(name)?.as_u64().and_then(|n| u16::try_from(n).ok());
    Some([port("sql")?, port("http")?, port("cluster")?])
}
