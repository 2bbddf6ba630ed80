//! The process runner: a command as a group of processes of its own, behind a gate.
//!
//! The first process is a shell that waits for a line before it becomes the command. So its number is durable before
//! anything of the job has happened, and a server that dies before opening the gate leaves nothing that runs.

use crate::log_file::{LogFile, Stream};
use crate::procfs;
use crate::state::{Cause, End};
use crate::watch::{Facts, Signal, Watch};
use std::collections::{BTreeMap, HashSet};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tidegate_catalog::ProcessMark;
use tidegate_core::{Error, Result};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

/// The shell that stands in the gate.
const SHELL: &str = "/bin/sh";
/// Waits for a line, then becomes the command. 125: the server has gone.
const GATE: &str = "read -r go || exit 125; exec \"$@\" </dev/null";
/// Signals a group; a shell does it, as this server may not make calls that the compiler cannot check.
const SIGNAL_GROUP: &str = "kill -s \"$1\" -- \"-$2\" 2>/dev/null";
/// Signals one process.
const SIGNAL_ONE: &str = "kill -s \"$1\" \"$2\" 2>/dev/null";
/// How often a running attempt is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// Times that processes which left the group are looked for; who forks faster than that is left to the next start.
const LEFTOVER_LOOKS_MAX: usize = 100;
/// Wait between two such looks.
const LEFTOVER_INTERVAL: Duration = Duration::from_millis(10);
/// How long the log is read on once all have ended: whom nobody finds may hold it open.
const LOG_REST: Duration = Duration::from_secs(2);
/// The variable that all processes of an attempt carry, by which they are found again.
pub const ATTEMPT: &str = "TIDEGATE_ATTEMPT_ID";

/// A process that waits for its gate to open. Dropping it ends it.
pub struct GatedProcess {
    child: Child,
    attempts: HashSet<String>,
    /// Its number.
    pub mark: ProcessMark,
}

/// Makes the process, which does nothing yet.
pub fn prepare(command: &[String], variables: &BTreeMap<String, String>, folder: &Path) -> Result<GatedProcess> {
    let child = Command::new(SHELL)
        .args(["-c", GATE, "tidegate-job"])
        .args(command)
        .env_clear()
        .envs(variables)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| Error::from(error).context(SHELL))?;
    let process = child.id().and_then(procfs::process);
    let mark = process.map(|process| process.mark).or(child.id().map(|pid| ProcessMark { pid, started_ticks: 0 }));
    let mark = mark.ok_or_else(|| Error::internal("a process has ended before it began"))?;
    Ok(GatedProcess { child, attempts: variables.get(ATTEMPT).cloned().into_iter().collect(), mark })
}

impl GatedProcess {
    /// Opens the gate, and stays until the command and all of its group have ended.
    pub async fn run(mut self, log: Arc<LogFile>, mut watch: Watch, facts: impl Fn() -> Facts) -> End {
        let group = self.mark.pid;
        let copies = self.copy_to(&log);
        if let Some(mut gate) = self.child.stdin.take() {
            // A gate that does not open has lost its process, and with that the wait below ends.
            drop(gate.write_all(b"go\n").await);
        }
        let status = loop {
            match tokio::time::timeout(LOOK_INTERVAL, self.child.wait()).await {
                Ok(status) => break status,
                Err(_) => {
                    let memory_bytes = if watch.minds_memory() { group_memory(group).await } else { 0 };
                    if let Some(signal) = watch.look(Facts { memory_bytes, ..facts() }) {
                        signal_group(group, signal).await;
                    }
                }
            }
        };
        // As with a container, the end of the first process ends the others, those that have left the group, too.
        signal_group(group, Signal::Kill).await;
        for _ in 0..LEFTOVER_LOOKS_MAX {
            if end_orphans(&self.attempts, &[]).await == 0 {
                break;
            }
            tokio::time::sleep(LEFTOVER_INTERVAL).await;
        }
        for mut copy in copies {
            if tokio::time::timeout(LOG_REST, &mut copy).await.is_err() {
                copy.abort();
            }
        }
        let cause = watch.cause().cloned().unwrap_or(Cause::Exited);
        End { cause, exit_code: status.ok().map(exit_code) }
    }

    fn copy_to(&mut self, log: &Arc<LogFile>) -> Vec<tokio::task::JoinHandle<()>> {
        let mut copies = Vec::new();
        if let Some(out) = self.child.stdout.take() {
            let log = Arc::clone(log);
            copies.push(tokio::spawn(async move { log.copy(out, Stream::Out).await }));
        }
        if let Some(err) = self.child.stderr.take() {
            let log = Arc::clone(log);
            copies.push(tokio::spawn(async move { log.copy(err, Stream::Err).await }));
        }
        copies
    }
}

async fn group_memory(group: u32) -> u64 {
    tokio::task::spawn_blocking(move || procfs::group_memory(group)).await.unwrap_or(0)
}

/// The exit code, or 128 and the signal, as shells and containers tell it.
fn exit_code(status: ExitStatus) -> i32 {
    status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}

async fn signal_group(group: u32, signal: Signal) {
    send(SIGNAL_GROUP, group, signal).await;
}

async fn send(script: &str, target: u32, signal: Signal) {
    let name = match signal {
        Signal::Term => "TERM",
        Signal::Kill => "KILL",
    };
    let target = target.to_string();
    let mut command = Command::new(SHELL);
    command.args(["-c", script, "tidegate-signal", name, &target]).stdin(Stdio::null());
    // What is not there any more needs no signal.
    if let Err(error) = command.status().await {
        tracing::error!(%error, target, "a job's processes could not be signalled");
    }
}

/// Ends what is left running of these attempts, by an earlier life of the server or outside of their group. Gives how
/// many processes it found.
pub async fn end_orphans(attempts: &HashSet<String>, marks: &[ProcessMark]) -> usize {
    let (attempts, marks) = (attempts.clone(), marks.to_vec());
    let find = move || procfs::marked(ATTEMPT, &attempts, &marks);
    let (processes, groups) = tokio::task::spawn_blocking(find).await.unwrap_or_default();
    for group in groups {
        signal_group(group, Signal::Kill).await;
    }
    for process in &processes {
        send(SIGNAL_ONE, *process, Signal::Kill).await;
    }
    processes.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_core::Clock;

    /// Runs a script under a watch; gives its end and what it printed.
    async fn run(script: &str, watch: Watch, facts: fn() -> Facts) -> (End, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let log = Arc::new(LogFile::create(&path, Clock::system()).await.unwrap());
        let variables = BTreeMap::from([("A".to_string(), "b c".to_string())]);
        let command = ["/bin/sh", "-c", script].map(str::to_string);
        let gated = prepare(&command, &variables, folder.path()).unwrap();
        let end = gated.run(log, watch, facts).await;
        let lines = crate::log_file::read(&path).unwrap();
        (end, lines.into_iter().map(|line| format!("{}: {}", line.stream.word(), line.text)).collect())
    }

    #[tokio::test]
    async fn exit_codes_and_output() {
        let (end, lines) = run("echo \"$A\"; cat; echo bad >&2; exit 3", Watch::default(), Facts::default).await;
        assert_eq!(end, End { cause: Cause::Exited, exit_code: Some(3) });
        assert!(lines.contains(&"stdout: b c".to_string()) && lines.contains(&"stderr: bad".to_string()), "{lines:?}");
        let (end, _) = run("kill -KILL $$", Watch::default(), Facts::default).await;
        assert_eq!(end, End { cause: Cause::Exited, exit_code: Some(137) });
    }

    #[tokio::test]
    async fn the_whole_group_is_ended() {
        let stop = || Facts { stop: true, ..Facts::default() };
        let (end, lines) = run("echo $$; sleep 600 & sleep 600", Watch::default(), stop).await;
        assert_eq!(end, End { cause: Cause::Stopped, exit_code: Some(143) });
        let group: u32 = lines[0].trim_start_matches("stdout: ").parse().unwrap();
        assert_eq!(procfs::group_memory(group), 0);
        let watch = Watch::new(None, Some(1));
        let (end, _) = run("sleep 600", watch, Facts::default).await;
        assert_eq!(end, End { cause: Cause::OutOfMemory, exit_code: Some(137) });
    }

    #[tokio::test]
    async fn a_gate_that_stays_shut_lets_nothing_happen() {
        let folder = tempfile::tempdir().unwrap();
        let command = ["/bin/sh", "-c", "touch here"].map(str::to_string);
        let mut gated = prepare(&command, &BTreeMap::new(), folder.path()).unwrap();
        drop(gated.child.stdin.take());
        assert_eq!(gated.child.wait().await.unwrap().code(), Some(125));
        assert!(!folder.path().join("here").exists());
    }

    #[tokio::test]
    async fn orphans_are_found_by_what_they_carry() {
        let folder = tempfile::tempdir().unwrap();
        let id = folder.path().display().to_string();
        let variables = BTreeMap::from([(ATTEMPT.to_string(), id.clone())]);
        let gated = prepare(&["sleep".to_string(), "600".to_string()], &variables, folder.path()).unwrap();
        let mark = gated.mark;
        assert_eq!(end_orphans(&HashSet::from([id.clone()]), &[mark]).await, 1);
        drop(gated);
        while end_orphans(&HashSet::from([id.clone()]), &[mark]).await > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
