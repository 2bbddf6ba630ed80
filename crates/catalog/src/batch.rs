//! Jobs: compute environments, queues, definitions, jobs and their attempts.

use crate::object::Oid;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Where jobs run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComputeEnvironment {
    /// Its number.
    pub oid: Oid,
    /// Its name.
    pub name: String,
    /// Counts its changes.
    pub revision: u64,
    /// When it was made, in milliseconds of the Unix epoch.
    pub created_ms: i64,
    /// What runs its jobs.
    pub runner: Runner,
    /// Where the container engine listens, `unix:///…` or `tcp://…`; None: where `DOCKER_HOST` says.
    #[serde(default)]
    pub docker_host: Option<String>,
    /// vCPUs that its jobs may hold together.
    pub max_vcpus: u32,
}

/// What runs jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Runner {
    /// Processes of this machine.
    Process,
    /// Containers of a Docker-compatible engine.
    Container,
}

impl Runner {
    /// The word of the SQL surface.
    pub fn word(self) -> &'static str {
        match self {
            Runner::Process => "process",
            Runner::Container => "container",
        }
    }
}

/// Where jobs wait.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobQueue {
    /// Its number.
    pub oid: Oid,
    /// Its name.
    pub name: String,
    /// Counts its changes.
    pub revision: u64,
    /// When it was made, in milliseconds of the Unix epoch.
    pub created_ms: i64,
    /// Takes new jobs.
    pub enabled: bool,
    /// Where queues share an environment, the highest goes first.
    pub priority: u32,
    /// Compute environments, in the order in which they are tried.
    pub environments: Vec<Oid>,
}

/// One revision of a job definition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobDefinition {
    /// Its number.
    pub oid: Oid,
    /// Its name and number, `hello:1`.
    pub name: String,
    /// Counts its changes; AWS's revision is `number`.
    pub revision: u64,
    /// The name that all its revisions share.
    pub family: String,
    /// AWS's revision, from 1.
    pub number: u32,
    /// When it was made, in milliseconds of the Unix epoch.
    pub created_ms: i64,
    /// Not deregistered.
    pub active: bool,
    /// The AWS request, as it was given.
    pub text: String,
}

/// A job: what was asked, what was decided, what was tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Its number.
    pub oid: Oid,
    /// Its id: a UUID, with `:index` for a child of an array.
    pub name: String,
    /// Counts its changes.
    pub revision: u64,
    /// When it was submitted, in milliseconds of the Unix epoch.
    pub created_ms: i64,
    /// What was asked.
    pub spec: JobSpec,
    /// What was decided.
    pub state: JobState,
}

/// What the user asked of a job, definition and overrides put together: it does not change with the definition.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct JobSpec {
    /// The name given to it.
    pub job_name: String,
    /// The queue it waits in.
    pub queue: Oid,
    /// The queue's name, for when the queue is gone.
    pub queue_name: String,
    /// Name and number of the definition.
    pub definition: String,
    /// The command, with the parameters put in; without one, a container's image says what runs.
    pub command: Vec<String>,
    /// What a container is made of; a process has none of it.
    #[serde(default)]
    pub container: ContainerSpec,
    /// Variables for the command.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Values of `Ref::name`.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    /// Thousandths of a vCPU that it holds while it runs.
    pub vcpus_milli: u64,
    /// Memory beyond which it is killed.
    #[serde(default)]
    pub memory_mib: Option<u64>,
    /// How often it is tried, and when not again.
    pub retry: Retry,
    /// Longest time of an attempt.
    #[serde(default)]
    pub timeout_ms: Option<i64>,
    /// What it waits for.
    #[serde(default)]
    pub depends_on: Vec<Dependency>,
    /// Of an array: how many children it has. It runs nothing itself.
    #[serde(default)]
    pub array_size: Option<u32>,
    /// Of a child of an array: its place there.
    #[serde(default)]
    pub child: Option<ArrayChild>,
    /// Who submitted it.
    #[serde(default)]
    pub user: String,
}

/// What a container is made of, beyond its command, variables and resources.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// The image's name.
    pub image: Option<String>,
    /// Who runs in it: a name or number of the image, `user:group`.
    #[serde(default)]
    pub user: Option<String>,
    /// With all rights over the machine.
    #[serde(default)]
    pub privileged: bool,
    /// Its root cannot be written to.
    #[serde(default)]
    pub read_only: bool,
    /// Limits of the kernel.
    #[serde(default)]
    pub ulimits: Vec<Ulimit>,
    /// Folders of the machine that it sees.
    #[serde(default)]
    pub mounts: Vec<Mount>,
}

/// A limit of the kernel for the processes of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// `nofile` and others.
    pub name: String,
    /// What a process has.
    pub soft: i64,
    /// How far it may raise it.
    pub hard: i64,
}

/// A folder of the machine in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// On the machine.
    pub source: String,
    /// In the container.
    pub target: String,
    /// It cannot be written to.
    pub read_only: bool,
}

/// The place of a child in its array.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrayChild {
    /// The array's job.
    pub parent: Oid,
    /// From 0.
    pub index: u32,
}

/// What a job waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dependency {
    /// The whole of a job, by its id.
    Job(String),
    /// N_TO_N: the child of the same index of another array, by the array's id.
    SameIndex(String),
    /// SEQUENTIAL: the child before in its own array.
    Previous,
}

/// How often a job is tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Attempts in all.
    pub attempts: u32,
    /// The first that matches says whether there is another attempt; where none does, there is.
    #[serde(default)]
    pub rules: Vec<RetryRule>,
}

impl Default for Retry {
    fn default() -> Self {
        Retry { attempts: 1, rules: Vec::new() }
    }
}

/// One rule of `evaluateOnExit`: all patterns that are given must match. A `*` may stand at their end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryRule {
    /// Of the attempt's status reason.
    #[serde(default)]
    pub on_status_reason: Option<String>,
    /// Of the container's reason.
    #[serde(default)]
    pub on_reason: Option<String>,
    /// Of the exit code, as text.
    #[serde(default)]
    pub on_exit_code: Option<String>,
    /// RETRY rather than EXIT.
    pub retry: bool,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum JobStatus {
    /// Accepted.
    #[default]
    Submitted,
    /// Waits for other jobs; of an array, for its children.
    Pending,
    /// Waits for a place.
    Runnable,
    /// Has a place; its attempt is being prepared.
    Starting,
    /// Its attempt runs.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
}

impl JobStatus {
    /// AWS's word for it.
    pub fn word(self) -> &'static str {
        match self {
            JobStatus::Submitted => "SUBMITTED",
            JobStatus::Pending => "PENDING",
            JobStatus::Runnable => "RUNNABLE",
            JobStatus::Starting => "STARTING",
            JobStatus::Running => "RUNNING",
            JobStatus::Succeeded => "SUCCEEDED",
            JobStatus::Failed => "FAILED",
        }
    }

    /// Whether it holds a place in a compute environment.
    pub fn holds_a_place(self) -> bool {
        matches!(self, JobStatus::Starting | JobStatus::Running)
    }

    /// Whether nothing will happen to it any more.
    pub fn has_ended(self) -> bool {
        matches!(self, JobStatus::Succeeded | JobStatus::Failed)
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What was decided for a job; durable.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct JobState {
    /// Where it stands.
    pub status: JobStatus,
    /// Why, in AWS's words.
    #[serde(default)]
    pub reason: String,
    /// The reason with which someone asked for its end while it ran.
    #[serde(default)]
    pub stop: Option<String>,
    /// What was tried, oldest first; the last is open while the job is STARTING or RUNNING.
    #[serde(default)]
    pub attempts: Vec<JobAttempt>,
    /// When its last attempt began.
    #[serde(default)]
    pub started_ms: Option<i64>,
    /// When it ended.
    #[serde(default)]
    pub stopped_ms: Option<i64>,
}

/// One try of a job.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct JobAttempt {
    /// Its id, which all its processes carry in their environment.
    pub id: String,
    /// Where it runs.
    pub environment: Oid,
    /// When it began.
    #[serde(default)]
    pub started_ms: Option<i64>,
    /// When it ended.
    #[serde(default)]
    pub stopped_ms: Option<i64>,
    /// What runs it, by which it is found again.
    #[serde(default)]
    pub mark: Option<AttemptMark>,
    /// With what its first process ended: 128 and the signal where it was killed.
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// What became of its process, beyond the exit code.
    #[serde(default)]
    pub reason: String,
    /// Why it ended.
    #[serde(default)]
    pub status_reason: String,
}

/// What runs an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AttemptMark {
    /// The first process, which leads its group.
    Process(ProcessMark),
    /// A container, by the engine's id.
    Container(String),
}

/// A process that can be told from a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessMark {
    /// Its number.
    pub pid: u32,
    /// When it began, in the kernel's ticks since the machine was started.
    pub started_ticks: u64,
}
