//! The container runner: a command in a container of a Docker-compatible engine.
//!
//! A container is made, and its id is durable, before it is started: a server that dies in between leaves nothing that
//! runs. It carries its attempt's id as a label, by which it is found again. It shares the machine's network, so that
//! `TIDEGATE_URL` holds in it, too.

use crate::log_file::{LogFile, Stream};
use crate::process::ATTEMPT;
use crate::state::{Cause, End};
use crate::watch::{Facts, Signal, Watch};
use bollard::Docker;
use bollard::container::LogOutput;
use bollard::models::{ContainerCreateBody, ContainerState, HostConfig, ResourcesUlimits};
use bollard::query_parameters::{
    CreateImageOptionsBuilder, KillContainerOptionsBuilder, ListContainersOptionsBuilder, LogsOptionsBuilder,
    RemoveContainerOptionsBuilder,
};
use futures::StreamExt;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tidegate_catalog::JobSpec;
use tidegate_core::{Error, Kind, Result};
use tokio::task::JoinHandle;

/// The label that carries an attempt's id.
const LABEL: &str = "tidegate.attempt";
/// How long an engine has to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// How long somebody waits for an image who can do without.
const FETCH: Duration = Duration::from_secs(20);
/// How often a running attempt is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// Wait before the engine is asked again that has not answered.
const RETRY: Duration = Duration::from_secs(1);
/// How long a server that stops waits for the end of a container that it has signalled.
const SIGNALLED_MS: i64 = 5_000;
/// How long the log is read on once the container has ended.
const LOG_REST: Duration = Duration::from_secs(10);
/// Not there, as the API says it.
const NOT_FOUND: u16 = 404;

/// A container engine that has answered.
#[derive(Clone)]
pub struct ContainerEngine {
    docker: Docker,
}

/// A container that has not been started.
pub struct GatedContainer {
    engine: ContainerEngine,
    /// The engine's id of it.
    pub id: String,
}

/// Whether the engine where `DOCKER_HOST` says answers, and has an image or gets it soon.
pub async fn containers_run(image: &str) -> bool {
    let ready = async { ContainerEngine::connect(None).await?.fetch(image).await };
    matches!(tokio::time::timeout(FETCH, ready).await, Ok(Ok(())))
}

impl ContainerEngine {
    /// The engine at an address, or where `DOCKER_HOST` says. 38000 when it does not answer.
    pub async fn connect(host: Option<&str>) -> Result<Self> {
        let docker = match host {
            Some(host) => Docker::connect_with_host(host),
            None => Docker::connect_with_defaults(),
        };
        let docker = docker.map_err(failed)?;
        let silent = || Error::new(Kind::External, "the container engine does not answer");
        let docker = tokio::time::timeout(ANSWER, docker.negotiate_version()).await.map_err(|_| silent())?;
        let docker = docker.map_err(failed)?;
        Ok(ContainerEngine { docker })
    }

    /// Sees that an image is there, and pulls it where it is not.
    pub async fn fetch(&self, image: &str) -> Result<()> {
        match self.docker.inspect_image(image).await {
            Ok(_) => return Ok(()),
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(failed(error)),
        }
        // Without a tag the API pulls all of them.
        let tagged = image.rsplit('/').next().is_some_and(|last| last.contains([':', '@']));
        let image = if tagged { image.to_string() } else { format!("{image}:latest") };
        let options = CreateImageOptionsBuilder::default().from_image(&image).build();
        let mut steps = std::pin::pin!(self.docker.create_image(Some(options), None, None));
        while let Some(step) = steps.next().await {
            step.map_err(failed)?;
        }
        Ok(())
    }

    /// Makes the container of an attempt, which does nothing yet.
    pub async fn prepare(&self, spec: &JobSpec, variables: &BTreeMap<String, String>) -> Result<GatedContainer> {
        let made = self.docker.create_container(None, body(spec, variables)).await.map_err(failed)?;
        Ok(GatedContainer { engine: self.clone(), id: made.id })
    }

    /// Ends and removes the containers of these attempts; gives how many there were.
    pub async fn end_orphans(&self, attempts: &HashSet<String>) -> Result<usize> {
        let label = HashMap::from([("label", vec![LABEL])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&label).build();
        let all = self.docker.list_containers(Some(options)).await.map_err(failed)?;
        let mut ended = 0;
        for container in all {
            let attempt = container.labels.as_ref().and_then(|labels| labels.get(LABEL));
            if let (true, Some(id)) = (attempt.is_some_and(|attempt| attempts.contains(attempt)), container.id) {
                self.remove(&id).await?;
                ended += 1;
            }
        }
        Ok(ended)
    }

    /// Ends it, if it runs, and removes it with all it has written.
    async fn remove(&self, id: &str) -> Result<()> {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        match self.docker.remove_container(id, Some(options)).await {
            Err(error) if !is_missing(&error) => Err(failed(error)),
            _ => Ok(()),
        }
    }
}

impl GatedContainer {
    /// Starts it, stays until it has ended, and removes it. None: the server stops and the engine does not answer, so that
    /// nobody knows; the next start will.
    pub async fn run(self, log: Arc<LogFile>, watch: Watch, facts: impl Fn() -> Facts) -> Option<End> {
        let end = match self.engine.docker.start_container(&self.id, None).await {
            Ok(()) => self.started(log, watch, &facts).await?,
            Err(error) => End { cause: Cause::NotStarted(failed(error).message().to_string()), exit_code: None },
        };
        // One of which nobody heard that it was started must not run beside the next attempt.
        while let Err(error) = self.engine.remove(&self.id).await {
            tracing::warn!(container = %self.id, %error, "a job's container cannot be removed yet");
            if facts().shutdown {
                return None;
            }
            tokio::time::sleep(RETRY).await;
        }
        Some(end)
    }

    /// Removes it.
    pub async fn discard(&self) {
        if let Err(error) = self.engine.remove(&self.id).await {
            tracing::warn!(container = %self.id, %error, "a job's container is left behind until the next start");
        }
    }

    async fn started(&self, log: Arc<LogFile>, mut watch: Watch, facts: impl Fn() -> Facts) -> Option<End> {
        let mut copy = self.copy_to(log);
        let mut over = std::pin::pin!(self.over());
        let mut given_up_ms = i64::MAX;
        let state = loop {
            tokio::select! {
                state = &mut over => break state,
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
            }
            let facts = facts();
            if facts.shutdown && facts.now_ms >= given_up_ms {
                return None;
            }
            if let Some(signal) = watch.look(facts) {
                self.signal(signal).await;
                given_up_ms = facts.now_ms.saturating_add(SIGNALLED_MS);
            }
        };
        if tokio::time::timeout(LOG_REST, &mut copy).await.is_err() {
            copy.abort();
        }
        Some(end(&state, watch.cause().cloned()))
    }

    /// Stays until it has ended, however often the engine stops answering meanwhile.
    async fn over(&self) -> ContainerState {
        let docker = &self.engine.docker;
        loop {
            // It says how the container ended, or that it does not know: what counts is asked for below.
            drop(std::pin::pin!(docker.wait_container(&self.id, None)).next().await);
            match docker.inspect_container(&self.id, None).await {
                Ok(found) => match found.state {
                    Some(state) if state.running == Some(true) => {}
                    state => return state.unwrap_or_default(),
                },
                // Someone has removed it.
                Err(error) if is_missing(&error) => return ContainerState::default(),
                Err(error) => tracing::warn!(container = %self.id, %error, "a job's container cannot be asked after"),
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn signal(&self, signal: Signal) {
        let name = match signal {
            Signal::Term => "SIGTERM",
            Signal::Kill => "SIGKILL",
        };
        let options = KillContainerOptionsBuilder::default().signal(name).build();
        let signalled = self.engine.docker.kill_container(&self.id, Some(options));
        match tokio::time::timeout(ANSWER, signalled).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(container = %self.id, %error, name, "a job's container could not be signalled");
            }
            Err(_) => tracing::warn!(container = %self.id, name, "the container engine does not answer"),
        }
    }

    fn copy_to(&self, log: Arc<LogFile>) -> JoinHandle<()> {
        let options = LogsOptionsBuilder::default().follow(true).stdout(true).stderr(true).build();
        let (docker, id) = (self.engine.docker.clone(), self.id.clone());
        tokio::spawn(async move {
            let mut printed = std::pin::pin!(docker.logs(&id, Some(options)));
            let (mut out, mut err) = (Vec::new(), Vec::new());
            while let Some(piece) = printed.next().await {
                match piece {
                    Ok(LogOutput::StdErr { message }) if !message.is_empty() => {
                        log.add(Stream::Err, &mut err, &message).await;
                    }
                    Ok(piece) if !piece.as_ref().is_empty() => {
                        log.add(Stream::Out, &mut out, piece.as_ref()).await;
                    }
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!(container = %id, %error, "the rest of a job's log is lost");
                        break;
                    }
                }
            }
            log.add(Stream::Out, &mut out, &[]).await;
            log.add(Stream::Err, &mut err, &[]).await;
        })
    }
}

/// What an ended container tells. One that the kernel has killed for its memory may have ended well all the same, if it
/// was not its first process.
fn end(state: &ContainerState, cause: Option<Cause>) -> End {
    let exit_code = state.exit_code.and_then(|code| i32::try_from(code).ok());
    let out_of_memory = state.oom_killed == Some(true) && exit_code != Some(0);
    let own = match (out_of_memory, exit_code) {
        (true, _) => Cause::OutOfMemory,
        (false, Some(_)) => Cause::Exited,
        (false, None) => Cause::HostLost,
    };
    End { cause: cause.unwrap_or(own), exit_code }
}

/// The container of an attempt. vCPUs are a share, as on EC2: nobody is slowed while there is room.
fn body(spec: &JobSpec, variables: &BTreeMap<String, String>) -> ContainerCreateBody {
    let memory_bytes = spec.memory_mib.and_then(|mib| i64::try_from(mib.saturating_mul(1 << 20)).ok());
    let container = &spec.container;
    let ulimit = |limit: &tidegate_catalog::Ulimit| ResourcesUlimits {
        name: Some(limit.name.clone()),
        soft: Some(limit.soft),
        hard: Some(limit.hard),
    };
    let bind = |mount: &tidegate_catalog::Mount| {
        let access = if mount.read_only { "ro" } else { "rw" };
        format!("{}:{}:{access}", mount.source, mount.target)
    };
    let host = HostConfig {
        memory: memory_bytes,
        // Memory and swap together: no swap.
        memory_swap: memory_bytes,
        cpu_shares: i64::try_from(spec.vcpus_milli.saturating_mul(1024) / 1000).ok().map(|shares| shares.max(2)),
        network_mode: Some("host".to_string()),
        privileged: Some(container.privileged),
        readonly_rootfs: Some(container.read_only),
        ulimits: Some(container.ulimits.iter().map(ulimit).collect()),
        binds: Some(container.mounts.iter().map(bind).collect()),
        ..HostConfig::default()
    };
    let attempt = variables.get(ATTEMPT).cloned().unwrap_or_default();
    ContainerCreateBody {
        image: container.image.clone(),
        cmd: (!spec.command.is_empty()).then(|| spec.command.clone()),
        env: Some(variables.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        user: container.user.clone(),
        labels: Some(HashMap::from([(LABEL.to_string(), attempt)])),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    }
}

fn is_missing(error: &bollard::errors::Error) -> bool {
    matches!(error, bollard::errors::Error::DockerResponseServerError { status_code: NOT_FOUND, .. })
}

fn failed(error: bollard::errors::Error) -> Error {
    let message = match error {
        bollard::errors::Error::DockerResponseServerError { message, .. } => message,
        other => format!("the container engine does not answer: {other}"),
    };
    Error::new(Kind::External, message)
        .hint("DOCKER_HOST, or docker_host of the compute environment, says where the engine listens.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_catalog::{ContainerSpec, Mount};

    #[test]
    fn ends_are_told_apart() {
        let state = |exit_code, oom_killed| ContainerState {
            exit_code,
            oom_killed: Some(oom_killed),
            ..ContainerState::default()
        };
        let cases = [
            (state(Some(0), false), None, Cause::Exited),
            (state(Some(3), false), None, Cause::Exited),
            (state(Some(137), true), None, Cause::OutOfMemory),
            (state(Some(0), true), None, Cause::Exited),
            (state(Some(137), false), Some(Cause::TimedOut), Cause::TimedOut),
            (state(None, false), None, Cause::HostLost),
        ];
        for (state, watched, cause) in cases {
            assert_eq!(end(&state, watched).cause, cause, "{state:?}");
        }
    }

    #[test]
    fn a_spec_becomes_a_container() {
        let mounts = vec![Mount { source: "/a".into(), target: "/b".into(), read_only: true }];
        let container = ContainerSpec { image: Some("i".into()), mounts, ..ContainerSpec::default() };
        let spec = JobSpec { vcpus_milli: 500, memory_mib: Some(2), container, ..JobSpec::default() };
        let body = body(&spec, &BTreeMap::from([(ATTEMPT.to_string(), "x".to_string())]));
        assert_eq!((body.image.as_deref(), body.cmd), (Some("i"), None));
        assert_eq!(body.labels.unwrap()[LABEL], "x");
        let host = body.host_config.unwrap();
        assert_eq!((host.memory, host.memory_swap, host.cpu_shares), (Some(2 << 20), Some(2 << 20), Some(512)));
        assert_eq!(host.binds.unwrap(), ["/a:/b:ro"]);
    }
}
