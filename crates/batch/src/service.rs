//! Statements and functions of jobs.

use crate::container::ContainerEngine;
use crate::engine::Jobs;
use crate::log_table::LogTable;
use crate::state::{cancelled, stopping, terminated};
use crate::{forms, request, spec, submit, view};
use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use datafusion::common::ScalarValue;
use std::sync::Arc;
use tidegate_catalog::{Change, ComputeEnvironment, Job, JobDefinition, JobQueue, Oid, Runner, Space, State};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::{
    AlterJobQueue, CreateComputeEnvironment, CreateJobDefinition, CreateJobQueue, DropName, Options, Statement,
};
use tidegate_query::service_table::argument;
use tidegate_query::{Called, Outcome, Scope, Service, SystemTable, Work, require_superuser};

/// AWS's own.
const ENVIRONMENTS_MAX: usize = 50;
/// AWS's own.
const QUEUES_MAX: usize = 50;
/// AWS's own.
const ENVIRONMENTS_OF_QUEUE_MAX: usize = 3;
/// Highest priority of a queue, as with AWS.
const PRIORITY_MAX: u64 = 1000;
/// vCPUs of one compute environment.
const VCPUS_MAX: u32 = 100_000;

/// Jobs as a service of the engine.
pub struct BatchService {
    jobs: Jobs,
}

impl BatchService {
    /// Over the jobs of the server.
    pub fn new(jobs: Jobs) -> Self {
        BatchService { jobs }
    }
}

#[async_trait]
impl Service for BatchService {
    async fn execute(&self, work: &mut Work<'_>, statement: &Statement, _: &[ScalarValue]) -> Result<Option<Outcome>> {
        if !perform(work, statement).await? {
            return Ok(None);
        }
        Ok(Some(Outcome::Done { tag: statement.command_tag() }))
    }

    fn procedures(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("batch", "submit_job"),
            ("batch", "cancel_job"),
            ("batch", "terminate_job"),
            ("batch", "create_compute_environment"),
            ("batch", "delete_compute_environment"),
            ("batch", "create_job_queue"),
            ("batch", "delete_job_queue"),
            ("batch", "register_job_definition"),
            ("batch", "deregister_job_definition"),
        ]
    }

    async fn call(&self, work: &mut Work<'_>, called: &Called) -> Result<String> {
        allowed(&work.scope)?;
        match called.name.as_str() {
            "submit_job" => submit(work, called),
            "cancel_job" => end(work, called, cancelled).await,
            "terminate_job" => end(work, called, terminated).await,
            _ => {
                let (statement, name) = forms::statement(called)?;
                perform(work, &statement).await?;
                Ok(name)
            }
        }
    }

    fn system_tables(&self) -> Vec<SystemTable> {
        view::system_tables()
    }

    fn scanned_tables(&self) -> &'static [(&'static str, &'static str)] {
        &[("batch", "logs")]
    }

    async fn path(&self, scope: &Scope, url: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let Some(job) = argument(url, "batch", "logs") else { return Ok(None) };
        allowed(scope)?;
        let job = Some(job.to_string()).filter(|job| !job.is_empty());
        Ok(Some(Arc::new(LogTable::new(self.jobs.folder(), Arc::clone(&scope.state), job))))
    }
}

/// Performs a statement. False: it is another service's.
async fn perform(work: &mut Work<'_>, statement: &Statement) -> Result<bool> {
    match statement {
        Statement::CreateComputeEnvironment(create) => create_environment(work, create).await?,
        Statement::DropComputeEnvironment(drop) => drop_environment(work, drop)?,
        Statement::CreateJobQueue(create) => create_queue(work, create)?,
        Statement::AlterJobQueue(alter) => alter_queue(work, alter)?,
        Statement::DropJobQueue(drop) => drop_queue(work, drop)?,
        Statement::CreateJobDefinition(create) => create_definition(work, create)?,
        Statement::DeregisterJobDefinition(name) => deregister(work, name)?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// A job is a process with the rights of the server, and so is what it prints.
fn allowed(scope: &Scope) -> Result<()> {
    require_superuser(scope, "run jobs and read their logs")
}

/// Whether there is nothing to create. 42710 unless IF NOT EXISTS passes over it.
fn is_there(work: &mut Work<'_>, space: Space, noun: &str, name: &str, if_not_exists: bool) -> Result<bool> {
    let there = work.state().find(space, name).is_some();
    if there && !if_not_exists {
        return Err(Error::new(Kind::DuplicateObject, format!("{noun} \"{name}\" already exists")));
    }
    if there {
        work.notice(format!("{noun} \"{name}\" already exists, skipping"));
    }
    Ok(there)
}

fn missing(noun: &str, name: &str) -> Error {
    Error::new(Kind::UndefinedObject, format!("{noun} \"{name}\" does not exist"))
}

fn too_many(noun: &str, max: usize) -> Error {
    Error::new(Kind::LimitExceeded, format!("there are {max} {noun}s at most")).hint("Drop one that is not used.")
}

async fn create_environment(work: &mut Work<'_>, create: &CreateComputeEnvironment) -> Result<()> {
    const STATEMENT: &str = "CREATE COMPUTE ENVIRONMENT";
    allowed(&work.scope)?;
    spec::check_name("compute environment", &create.name)?;
    if is_there(work, Space::ComputeEnvironment, "compute environment", &create.name, create.if_not_exists)? {
        return Ok(());
    }
    if let Some(kind) = create.kind.as_deref().filter(|kind| *kind != "MANAGED") {
        return Err(Error::new(Kind::Unsupported, format!("{STATEMENT}: TYPE {kind} is not supported"))
            .hint("The type is MANAGED."));
    }
    let mut options = create.options.clone();
    let runner = match options.take("runner").map(|word| word.to_lowercase()).as_deref() {
        None | Some("process") => Runner::Process,
        Some("container") => Runner::Container,
        Some(other) => {
            return Err(Error::new(Kind::Unsupported, format!("{STATEMENT}: runner '{other}' is not supported"))
                .hint("The runner is process or container."));
        }
    };
    let docker_host = options.take("docker_host");
    if runner == Runner::Container {
        // An environment that cannot run anything is told of now, not by its first job.
        let connected = ContainerEngine::connect(docker_host.as_deref()).await;
        connected.map_err(|error| error.context(STATEMENT))?;
    } else if docker_host.is_some() {
        return Err(Error::new(
            Kind::InvalidParameter,
            format!("{STATEMENT}: docker_host is for runner = 'container'"),
        ));
    }
    let max_vcpus = match options.take("max_vcpus") {
        None => std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1)),
        Some(text) => text.parse().ok().filter(|vcpus| (1..=VCPUS_MAX).contains(vcpus)).ok_or_else(|| {
            let message = format!("max_vcpus = '{text}' is not a whole number from 1 to {VCPUS_MAX}");
            Error::new(Kind::InvalidParameter, message)
        })?,
    };
    options.expect_empty(STATEMENT)?;
    if work.state().all::<ComputeEnvironment>().count() >= ENVIRONMENTS_MAX {
        return Err(too_many("compute environment", ENVIRONMENTS_MAX));
    }
    let (oid, created_ms) = (work.engine().catalog().next_oid()?, work.engine().clock().now_ms());
    let name = create.name.clone();
    let made = ComputeEnvironment { oid, name, revision: 1, created_ms, runner, docker_host, max_vcpus };
    work.push(vec![Change::put(made)])
}

fn drop_environment(work: &mut Work<'_>, drop: &DropName) -> Result<()> {
    allowed(&work.scope)?;
    let state = Arc::clone(work.state());
    let Some(found) = state.named::<ComputeEnvironment>(&drop.name) else {
        return absent(work, "compute environment", drop);
    };
    if let Some(queue) = state.all::<JobQueue>().find(|queue| queue.environments.contains(&found.oid)) {
        let message = format!("compute environment \"{}\" is used by job queue \"{}\"", drop.name, queue.name);
        return Err(Error::new(Kind::DependentObjects, message).hint(format!("DROP JOB QUEUE {} first.", queue.name)));
    }
    work.push(vec![Change::Drop { oid: found.oid, revision: found.revision }])
}

/// 42704 unless IF EXISTS passes over it.
fn absent(work: &mut Work<'_>, noun: &str, drop: &DropName) -> Result<()> {
    if !drop.if_exists {
        return Err(missing(noun, &drop.name));
    }
    work.notice(format!("{noun} \"{}\" does not exist, skipping", drop.name));
    Ok(())
}

fn create_queue(work: &mut Work<'_>, create: &CreateJobQueue) -> Result<()> {
    allowed(&work.scope)?;
    spec::check_name("job queue", &create.name)?;
    if is_there(work, Space::JobQueue, "job queue", &create.name, create.if_not_exists)? {
        return Ok(());
    }
    if create.environments.len() > ENVIRONMENTS_OF_QUEUE_MAX {
        let message =
            format!("job queue \"{}\" has {ENVIRONMENTS_OF_QUEUE_MAX} compute environments at most", create.name);
        return Err(Error::new(Kind::ProgramLimit, message));
    }
    let found = |name: &String| {
        let environment = work.state().named::<ComputeEnvironment>(name);
        environment.map(|found| found.oid).ok_or_else(|| missing("compute environment", name))
    };
    let environments: Vec<Oid> = create.environments.iter().map(found).collect::<Result<_>>()?;
    if work.state().all::<JobQueue>().count() >= QUEUES_MAX {
        return Err(too_many("job queue", QUEUES_MAX));
    }
    let (oid, created_ms) = (work.engine().catalog().next_oid()?, work.engine().clock().now_ms());
    let name = create.name.clone();
    let priority = priority(create.priority)?;
    let mut queue = JobQueue { oid, name, revision: 1, created_ms, enabled: true, priority, environments };
    apply(&mut queue, create.options.clone(), "CREATE JOB QUEUE")?;
    work.push(vec![Change::put(queue)])
}

fn apply(queue: &mut JobQueue, mut options: Options, statement: &str) -> Result<()> {
    let wrong = |name: &str, text: &str, wanted: &str| {
        Error::new(Kind::InvalidParameter, format!("{name} = '{text}' is not {wanted}"))
    };
    if let Some(text) = options.take("priority") {
        let number = text.parse().map_err(|_| wrong("priority", &text, "a whole number"))?;
        queue.priority = priority(number)?;
    }
    if let Some(text) = options.take("state") {
        queue.enabled = match text.to_ascii_uppercase().as_str() {
            "ENABLED" => true,
            "DISABLED" => false,
            _ => return Err(wrong("state", &text, "ENABLED or DISABLED")),
        };
    }
    options.expect_empty(statement)
}

fn priority(number: u64) -> Result<u32> {
    let small = u32::try_from(number).ok().filter(|_| number <= PRIORITY_MAX);
    let message = || format!("priority {number} of a job queue is not from 0 to {PRIORITY_MAX}");
    small.ok_or_else(|| Error::new(Kind::InvalidParameter, message()))
}

fn alter_queue(work: &mut Work<'_>, alter: &AlterJobQueue) -> Result<()> {
    allowed(&work.scope)?;
    let found = work.state().named::<JobQueue>(&alter.name).ok_or_else(|| missing("job queue", &alter.name))?;
    let mut queue = JobQueue { revision: found.revision + 1, ..found.clone() };
    apply(&mut queue, alter.options.clone(), "ALTER JOB QUEUE")?;
    work.push(vec![Change::put(queue)])
}

fn drop_queue(work: &mut Work<'_>, drop: &DropName) -> Result<()> {
    allowed(&work.scope)?;
    let state = Arc::clone(work.state());
    let Some(queue) = state.named::<JobQueue>(&drop.name) else { return absent(work, "job queue", drop) };
    let open = |job: &&Job| job.spec.queue == queue.oid && !job.state.status.has_ended();
    if let Some(job) = state.all::<Job>().find(open) {
        let message = format!("job queue \"{}\" has jobs that have not ended, such as \"{}\"", drop.name, job.name);
        return Err(Error::new(Kind::DependentObjects, message)
            .hint("Wait for them, or end them: SELECT batch.terminate_job(id, reason)."));
    }
    work.push(vec![Change::Drop { oid: queue.oid, revision: queue.revision }])
}

fn create_definition(work: &mut Work<'_>, create: &CreateJobDefinition) -> Result<()> {
    allowed(&work.scope)?;
    spec::check_name("job definition", &create.name)?;
    let what = format!("job definition \"{}\"", create.name);
    let (definition, idle) = request::definition(&what, &create.text)?;
    if let Some(other) = definition.job_definition_name.as_ref().filter(|other| **other != create.name) {
        let message = format!("{what}: its jobDefinitionName is \"{other}\"");
        return Err(Error::new(Kind::InvalidDefinition, message).hint("Leave it out, or give it the same name."));
    }
    spec::check_definition(&what, &definition)?;
    tell(work, &what, &idle);
    let same = work.state().all::<JobDefinition>().filter(|one| one.family == create.name);
    let number = same.map(|one| one.number).max().unwrap_or(0) + 1;
    let (oid, created_ms) = (work.engine().catalog().next_oid()?, work.engine().clock().now_ms());
    let made = JobDefinition {
        oid,
        name: format!("{}:{number}", create.name),
        revision: 1,
        family: create.name.clone(),
        number,
        created_ms,
        active: true,
        text: create.text.clone(),
    };
    work.push(vec![Change::put(made)])
}

fn tell(work: &mut Work<'_>, what: &str, idle: &[String]) {
    if !idle.is_empty() {
        work.notice(format!("{what}: {} has no meaning here", idle.join(", ")));
    }
}

/// One revision by its number, all that are active by their name.
fn deregister(work: &mut Work<'_>, name: &str) -> Result<()> {
    allowed(&work.scope)?;
    // 42704 when there is none.
    submit::definition(work.state(), name)?;
    let state = Arc::clone(work.state());
    let of_name = |one: &&JobDefinition| one.active && (one.name == name || one.family == name);
    let inactive = |one: &JobDefinition| JobDefinition { revision: one.revision + 1, active: false, ..one.clone() };
    let changes = state.all::<JobDefinition>().filter(of_name).map(inactive).map(Change::put);
    work.push(changes.collect())
}

fn submit(work: &mut Work<'_>, called: &Called) -> Result<String> {
    let (jobs, idle) = submit::jobs(work, submit::request(called)?)?;
    let id = jobs.first().map(|job| job.name.clone()).unwrap_or_default();
    tell(work, "batch.submit_job", &idle);
    if jobs.first().is_some_and(|job| submit::is_confined(work.state(), &job.spec)) {
        work.notice("batch.submit_job: this may run as a process, without the user and the limits of its container");
    }
    work.push(jobs.into_iter().map(Change::put).collect())?;
    Ok(id)
}

/// cancel_job and terminate_job: gives the job's status after it.
async fn end(work: &mut Work<'_>, called: &Called, step: fn(&Job, &str, i64) -> Option<Job>) -> Result<String> {
    let function = format!("batch.{}", called.name);
    let (id, reason) = match called.arguments.as_slice() {
        [(None, Some(id)), (None, Some(reason))] => (id.clone(), reason.clone()),
        [(first, Some(id)), (second, Some(reason))]
            if first.as_deref().is_none_or(|name| name == "job_id") && second.as_deref() == Some("reason") =>
        {
            (id.clone(), reason.clone())
        }
        _ => {
            return Err(Error::new(Kind::UndefinedFunction, format!("{function} takes a job's id and a reason"))
                .hint(format!("SELECT {function}('…', 'why');")));
        }
    };
    let changes = |work: &Work<'_>| {
        let job = work.state().named::<Job>(&id).ok_or_else(|| missing("job", &id))?;
        let now_ms = work.engine().clock().now_ms();
        Ok(steps(work.state(), job, &|job| step(job, &reason, now_ms), &reason))
    };
    work.change(&format!("job \"{id}\""), changes).await?;
    let job = work.state().named::<Job>(&id).ok_or_else(|| missing("job", &id))?;
    Ok(job.state.status.word().to_string())
}

/// The step of a job, or of all children of an array, which keeps the reason for its own end.
fn steps(state: &State, job: &Job, step: &dyn Fn(&Job) -> Option<Job>, reason: &str) -> Vec<Change> {
    if job.spec.array_size.is_none() {
        return step(job).map(Change::put).into_iter().collect();
    }
    let is_child = |other: &&Job| other.spec.child.is_some_and(|child| child.parent == job.oid);
    let mut changes: Vec<Change> = state.all::<Job>().filter(is_child).filter_map(step).map(Change::put).collect();
    if !changes.is_empty() {
        changes.extend(stopping(job, reason).map(Change::put));
    }
    changes
}
