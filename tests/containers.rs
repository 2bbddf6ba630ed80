//! Jobs in real containers, of an engine that is started for the test: how they end, what they see, and what a kill -9
//! of the server leaves of them.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::batch::{one, wait_for};
use crate::harness::{self, Server};
use crate::report;

/// The image that the test makes: a static busybox.
const IMAGE: &str = "tidegate-test-busybox:1";
/// Programs of busybox that jobs use.
const PROGRAMS: &[&str] = &["cat", "echo", "head", "id", "ls", "sh", "sleep", "tail", "touch", "tr", "wc"];
/// How long the engine may take to answer.
const ENGINE_SECONDS_MAX: u64 = 30;
/// Jobs of the array that a kill interrupts.
const CHILDREN: usize = 12;

/// A container engine of the test's own.
struct ContainerEngine {
    daemon: Child,
    folder: tempfile::TempDir,
}

impl ContainerEngine {
    /// Starts one. None where that is not possible, which is told of.
    fn start() -> Option<ContainerEngine> {
        let folder = tempfile::Builder::new().prefix("tidegate-engine-").tempdir().expect("a temporary folder");
        let inside = |name: &str| folder.path().join(name).display().to_string();
        let daemon = Command::new("dockerd")
            .args(["--data-root", &inside("data"), "--exec-root", &inside("exec"), "-p", &inside("pid")])
            .args(["-H", &format!("unix://{}", inside("docker.sock"))])
            .args(["--bridge=none", "--iptables=false", "--ip-forward=false"])
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(folder.path().join("log")).unwrap())
            .stderr(Stdio::null())
            .spawn();
        let Ok(daemon) = daemon else {
            report::skip("containers", "there is no container engine here");
            return None;
        };
        harness::remember(daemon.id(), "dockerd");
        let mut engine = ContainerEngine { daemon, folder };
        if !engine.answers() || !engine.import() {
            report::skip("containers", "the container engine does not answer, or there is no static busybox");
            return None;
        }
        Some(engine)
    }

    fn host(&self) -> String {
        format!("unix://{}", self.folder.path().join("docker.sock").display())
    }

    fn docker(&self, arguments: &[&str]) -> String {
        let output = Command::new("docker").env("DOCKER_HOST", self.host()).args(arguments).output().expect("docker");
        String::from_utf8_lossy(&output.stdout).trim().to_string()
    }

    fn answers(&mut self) -> bool {
        let until = Instant::now() + Duration::from_secs(ENGINE_SECONDS_MAX);
        while Instant::now() < until && matches!(self.daemon.try_wait(), Ok(None)) {
            if !self.docker(&["version", "--format", "{{.Server.Version}}"]).is_empty() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        false
    }

    /// Makes the image.
    fn import(&self) -> bool {
        let root = self.folder.path().join("root");
        let bin = root.join("bin");
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::create_dir_all(root.join("tmp")).unwrap();
        let Some(busybox) = ["/bin/busybox", "/usr/bin/busybox"].iter().map(PathBuf::from).find(|path| path.exists())
        else {
            return false;
        };
        std::fs::copy(busybox, bin.join("busybox")).unwrap();
        for program in PROGRAMS {
            std::os::unix::fs::symlink("busybox", bin.join(program)).unwrap();
        }
        let archive = self.folder.path().join("root.tar").display().to_string();
        let packed = Command::new("tar").args(["-C", &root.display().to_string(), "-cf", &archive, "."]).status();
        packed.is_ok_and(|status| status.success()) && !self.docker(&["import", &archive, IMAGE]).is_empty()
    }

    /// Containers that there are, running or not.
    fn containers(&self) -> Vec<String> {
        self.docker(&["ps", "-aq", "--no-trunc"]).lines().map(str::to_string).collect()
    }
}

impl Drop for ContainerEngine {
    fn drop(&mut self) {
        // By SIGTERM: it ends its containers and takes down what it has mounted.
        let _ = Command::new("kill").arg(self.daemon.id().to_string()).status();
        let _ = self.daemon.wait();
        let _ =
            Command::new("umount").arg(self.folder.path().join("exec/netns/default")).stderr(Stdio::null()).status();
    }
}

async fn set_up(server: &Server, engine: &ContainerEngine, vcpus: usize) {
    let script = format!(
        "CREATE COMPUTE ENVIRONMENT boxes WITH (runner = 'container', docker_host = '{}', max_vcpus = {vcpus});
         CREATE JOB QUEUE q COMPUTE ENVIRONMENTS (boxes)",
        engine.host()
    );
    server.connect().await.batch_execute(&script).await.unwrap_or_else(|error| panic!("{error:?}"));
}

/// A definition of its own for each job, with this in its containerProperties; gives the job's id.
async fn submit(server: &Server, name: &str, properties: serde_json::Value, more: serde_json::Value) -> String {
    let mut container = serde_json::json!({ "image": IMAGE });
    container.as_object_mut().unwrap().extend(properties.as_object().unwrap().clone());
    let definition = serde_json::json!({ "type": "container", "containerProperties": container });
    let client = server.connect().await;
    client.batch_execute(&format!("CREATE JOB DEFINITION {name} AS '{definition}'")).await.unwrap();
    let mut request = serde_json::json!({ "jobName": name, "jobQueue": "q", "jobDefinition": name });
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    client.query_one("SELECT batch.submit_job($1)", &[&request.to_string()]).await.unwrap().get(0)
}

fn sh(script: &str) -> serde_json::Value {
    serde_json::json!({ "command": ["sh", "-c", script.replace('\'', "''")] })
}

fn with(mut value: serde_json::Value, more: serde_json::Value) -> serde_json::Value {
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    value
}

#[test]
fn jobs_end_in_containers_as_they_do_with_aws() {
    let Some(engine) = ContainerEngine::start() else { return };
    let server = Server::start();
    let scratch = server.scratch();
    std::fs::write(scratch.join("given"), "from the machine").unwrap();
    let mounts = serde_json::json!({
        "volumes": [{ "name": "v", "host": { "sourcePath": scratch.display().to_string() } }],
        "mountPoints": [{ "sourceVolume": "v", "containerPath": "/given", "readOnly": true }],
        "user": "1234:1234", "readonlyRootFilesystem": true
    });
    let nothing = serde_json::json!({});
    harness::block_on(async {
        set_up(&server, &engine, 4).await;
        let well =
            submit(&server, "well", sh("echo out; echo err >&2; echo $AWS_BATCH_CE_NAME $HOME"), nothing.clone()).await;
        submit(&server, "badly", sh("exit 3"), nothing.clone()).await;
        // A variable that grows beyond what the container may have.
        let greedy = sh("x=$(head -c 100000000 /dev/zero | tr '\\0' x); echo ${#x}");
        submit(&server, "greedy", with(greedy, serde_json::json!({ "memory": 16 })), nothing.clone()).await;
        let timeout = serde_json::json!({ "timeout": { "attemptDurationSeconds": 1 } });
        submit(&server, "slow", sh("trap \"exit 9\" TERM; sleep 600 & wait"), timeout).await;
        let seen = submit(
            &server,
            "sees",
            with(sh("cat /given/given; echo; id -u; touch /given/x || touch /x || echo shut"), mounts),
            nothing.clone(),
        )
        .await;
        submit(&server, "nothing", serde_json::json!({ "command": ["no-such-program"] }), nothing.clone()).await;
        submit(
            &server,
            "nowhere",
            serde_json::json!({ "image": "127.0.0.1:1/no/such:1", "command": ["x"] }),
            nothing.clone(),
        )
        .await;
        let stopped = submit(&server, "stopped", sh("trap \"exit 9\" TERM; sleep 600 & wait"), nothing).await;
        let running = format!("SELECT status FROM batch.jobs WHERE job_id = '{stopped}'");
        wait_for(&server, &running, "RUNNING").await;
        one(&server, &format!("SELECT batch.terminate_job('{stopped}', 'enough')")).await;
        wait_for(&server, "SELECT count(*) FROM batch.jobs WHERE stopped_at IS NULL", "0").await;

        let cases = [
            ("well", "SUCCEEDED", "0", "", "Essential container in task exited"),
            ("badly", "FAILED", "3", "", "Essential container in task exited"),
            (
                "greedy",
                "FAILED",
                "137",
                "OutOfMemoryError: Container killed due to memory usage",
                "Essential container in task exited",
            ),
            ("slow", "FAILED", "9", "", "Job attempt duration exceeded timeout"),
            ("sees", "SUCCEEDED", "0", "", "Essential container in task exited"),
            ("nothing", "FAILED", "-", "CannotStartContainerError:", "Task failed to start"),
            ("nowhere", "FAILED", "-", "CannotPullContainerError:", "Task failed to start"),
            ("stopped", "FAILED", "9", "", "enough"),
        ];
        for (name, status, exit_code, reason, status_reason) in cases {
            let ask = |column: &str| {
                format!(
                    "SELECT {column} FROM batch.jobs j JOIN batch.job_attempts a USING (job_id) WHERE job_name = '{name}'"
                )
            };
            assert_eq!(one(&server, &ask("j.status")).await, status, "{name}");
            assert_eq!(one(&server, &ask("coalesce(a.exit_code::text, '-')")).await, exit_code, "{name}");
            let told = one(&server, &ask("a.reason")).await;
            assert!(told.starts_with(reason) && told.is_empty() == reason.is_empty(), "{name}: {told}");
            assert_eq!(one(&server, &ask("a.status_reason")).await, status_reason, "{name}");
        }
        let printed = |id: &str| {
            format!("SELECT string_agg(stream || ':' || line, '|' ORDER BY stream DESC, line) FROM batch.logs('{id}')")
        };
        // A container knows nothing of the server's own environment.
        assert_eq!(one(&server, &printed(&well)).await, "stdout:boxes /|stdout:out|stderr:err");
        let seen = one(&server, &printed(&seen)).await;
        assert!(seen.contains("from the machine") && seen.contains("1234") && seen.contains("shut"), "{seen}");
        let container =
            one(&server, "SELECT count(DISTINCT container_id) FROM batch.job_attempts WHERE pid IS NULL").await;
        assert_eq!(container, "7");
    });
    assert!(engine.containers().is_empty(), "containers are left behind: {:?}", engine.containers());
    report::pass("containers/ends");
}

#[test]
fn what_a_kill_leaves_of_containers_is_ended_and_counted_as_lost() {
    let Some(engine) = ContainerEngine::start() else { return };
    let mut server = Server::start();
    let retry = serde_json::json!({ "retryStrategy": { "attempts": 10 } });
    let before = harness::block_on(async {
        set_up(&server, &engine, 4).await;
        submit(&server, "long", sh("test $AWS_BATCH_JOB_ATTEMPT = 2 || exec sleep 600"), retry.clone()).await;
        wait_for(&server, "SELECT status FROM batch.jobs", "RUNNING").await;
        let array = with(retry.clone(), serde_json::json!({ "arrayProperties": { "size": CHILDREN } }));
        let array = submit(&server, "children", sh("sleep 0.2; echo $AWS_BATCH_JOB_ARRAY_INDEX"), array).await;
        let after = with(retry, serde_json::json!({ "dependsOn": [{ "jobId": array }] }));
        submit(&server, "after", sh("echo after"), after).await;
        wait_for(
            &server,
            "SELECT (count(*) > 2)::text FROM batch.jobs WHERE array_index IS NOT NULL AND status = 'SUCCEEDED'",
            "true",
        )
        .await;
        one(
            &server,
            "SELECT container_id FROM batch.jobs JOIN batch.job_attempts USING (job_id) WHERE job_name = 'long'",
        )
        .await
    });
    server.kill9();
    assert!(engine.containers().contains(&before), "a kill -9 of the server alone leaves it");
    server.restart();
    harness::block_on(async {
        wait_for(&server, "SELECT status FROM batch.jobs WHERE job_name = 'after'", "SUCCEEDED").await;
        wait_for(&server, "SELECT status || ' ' || attempts FROM batch.jobs WHERE job_name = 'long'", "SUCCEEDED 2")
            .await;
        assert_eq!(
            one(&server, "SELECT status_summary FROM batch.jobs WHERE array_size IS NOT NULL").await,
            format!("{{\"SUCCEEDED\":{CHILDREN}}}")
        );
        let lost = "SELECT a.status_reason FROM batch.jobs JOIN batch.job_attempts a USING (job_id) \
                    WHERE job_name = 'long' AND attempt = 1";
        assert_eq!(one(&server, lost).await, "Host EC2 (instance local) terminated.");
    });
    assert!(engine.containers().is_empty(), "containers are left behind: {:?}", engine.containers());
    report::pass("containers/kill");
}

#[test]
fn the_tour_runs_its_jobs_where_an_engine_answers() {
    let Some(engine) = ContainerEngine::start() else { return };
    engine.docker(&["tag", IMAGE, "busybox:1"]);
    let tour =
        Command::new(harness::BINARY).args(["demo", "--exit"]).env("DOCKER_HOST", engine.host()).output().unwrap();
    let text = String::from_utf8_lossy(&tour.stdout);
    assert!(tour.status.success(), "{text}\n{}", String::from_utf8_lossy(&tour.stderr));
    assert!(text.contains("runner = 'container'"), "{text}");
    let counted = |name: &str| {
        text.lines()
            .any(|line| line.trim_start().starts_with(name) && line.ends_with(|last: char| last.is_ascii_digit()))
    };
    assert!(counted("UA") && counted("DL"), "{text}");
    assert!(engine.containers().is_empty(), "containers are left behind: {:?}", engine.containers());
}

#[test]
fn an_engine_that_does_not_answer_is_told_of() {
    let server = Server::start();
    harness::block_on(async {
        let client = server.connect().await;
        let create =
            "CREATE COMPUTE ENVIRONMENT c WITH (runner = 'container', docker_host = 'unix:///nowhere/docker.sock')";
        let error = client.batch_execute(create).await.unwrap_err();
        assert_eq!(error.code().map(|code| code.code()), Some("38000"), "{error:?}");
    });
}
