//! `batch.submit_job`: its arguments become the AWS request, and the request becomes jobs.

use crate::request::{self, DependsOn, Submission};
use crate::spec;
use serde_json::{Map, Value};
use tidegate_catalog::{
    ArrayChild, ComputeEnvironment, Dependency, Job, JobDefinition, JobQueue, JobSpec, JobState, Runner, State,
};
use tidegate_core::{Error, Kind, Result};
use tidegate_query::{Called, Work};

/// In whose name its mistakes are told.
const WHAT: &str = "batch.submit_job";
/// Arguments that are texts, in the order in which they may stand without names.
const TEXTS: &[&str] = &["job_name", "job_queue", "job_definition"];
/// Arguments that are JSON.
const OTHERS: &[&str] = &[
    "parameters",
    "container_overrides",
    "depends_on",
    "array_properties",
    "retry_strategy",
    "timeout",
    "tags",
    "propagate_tags",
    "scheduling_priority_override",
];
/// AWS's own.
const DEPENDENCIES_MAX: usize = 20;
/// AWS's own.
const ARRAY_SIZE_MAX: u32 = 10_000;
/// Jobs that are kept, ended ones included.
const JOBS_MAX: usize = 100_000;

/// The AWS request: the one argument itself, or made of several.
pub fn request(called: &Called) -> Result<Value> {
    if let [(None, Some(text))] = called.arguments.as_slice() {
        return request::value(WHAT, text);
    }
    let mut fields = Map::new();
    for (index, (name, value)) in called.arguments.iter().enumerate() {
        let name = match name {
            Some(name) => name.as_str(),
            None => TEXTS.get(index).copied().ok_or_else(|| wrong("has three arguments without names at most"))?,
        };
        if !TEXTS.contains(&name) && !OTHERS.contains(&name) {
            let hint = format!("It has {}, {}; or one: the AWS request as JSON.", TEXTS.join(", "), OTHERS.join(", "));
            return Err(wrong(&format!("has no argument \"{name}\"")).hint(hint));
        }
        let Some(text) = value else { continue };
        let value = match TEXTS.contains(&name) {
            true => Value::String(text.clone()),
            false => request::value(&format!("{WHAT}: {name}"), text)?,
        };
        if fields.insert(camel_case(name), value).is_some() {
            return Err(wrong(&format!("is given \"{name}\" twice")));
        }
    }
    Ok(Value::Object(fields))
}

fn wrong(message: &str) -> Error {
    Error::new(Kind::UndefinedFunction, format!("{WHAT} {message}"))
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_string();
    let capital =
        |word: &str| word.get(..1).unwrap_or_default().to_ascii_uppercase() + word.get(1..).unwrap_or_default();
    words.fold(first, |text, word| text + &capital(word))
}

/// The jobs of a request, the first of them the one that was asked for; and the fields that mean nothing here.
pub fn jobs(work: &Work<'_>, request: Value) -> Result<(Vec<Job>, Vec<String>)> {
    let (submission, idle) = request::submission(WHAT, request)?;
    spec::check_name("job", &submission.job_name)?;
    let state = work.state();
    let queue = queue(state, &submission.job_queue)?;
    let definition = definition(state, &submission.job_definition)?;
    let what = format!("job \"{}\"", submission.job_name);
    let (asked, _) = request::definition(&definition.name, &definition.text)?;
    let spec = spec::queued(spec::job(&what, &asked, &definition.name, &submission)?, queue, &work.scope.user);
    check_runnable(state, &what, queue, &spec)?;
    let array_size = array_size(&what, &submission)?;
    let depends_on = dependencies(state, &what, &submission, array_size)?;
    let spec = JobSpec { depends_on, array_size, ..spec };
    let jobs = with_children(work, spec)?;
    if state.all::<Job>().count() + jobs.len() > JOBS_MAX {
        return Err(Error::new(Kind::LimitExceeded, format!("there are {JOBS_MAX} jobs at most"))
            .hint("Jobs that have ended are forgotten after seven days."));
    }
    Ok((jobs, idle))
}

/// 22023 for what no environment of its queue could run: a process needs a command, a container an image.
fn check_runnable(state: &State, what: &str, queue: &JobQueue, spec: &JobSpec) -> Result<()> {
    if spec.command.is_empty() && has_runner(state, queue, Runner::Process) {
        let message = format!("{what}: there is no command, neither in its definition nor in containerOverrides");
        return Err(Error::new(Kind::InvalidParameter, message));
    }
    if spec.container.image.is_none() && has_runner(state, queue, Runner::Container) {
        let message =
            format!("{what}: there is no image in its definition, and queue \"{}\" has containers", queue.name);
        return Err(Error::new(Kind::InvalidParameter, message));
    }
    Ok(())
}

fn has_runner(state: &State, queue: &JobQueue, runner: Runner) -> bool {
    state.all::<ComputeEnvironment>().any(|place| place.runner == runner && queue.environments.contains(&place.oid))
}

/// Whether it asks for confinement, and may run where there is none.
pub fn is_confined(state: &State, spec: &JobSpec) -> bool {
    let container = &spec.container;
    let asks = container.user.is_some() || container.read_only || !container.ulimits.is_empty();
    let queue = state.all::<JobQueue>().find(|queue| queue.oid == spec.queue);
    asks && queue.is_some_and(|queue| has_runner(state, queue, Runner::Process))
}

fn with_children(work: &Work<'_>, spec: JobSpec) -> Result<Vec<Job>> {
    let (catalog, created_ms) = (work.engine().catalog(), work.engine().clock().now_ms());
    let id = work.engine().rng().uuid();
    let parent = catalog.next_oid()?;
    let job = |oid, name, spec| Job { oid, name, revision: 1, created_ms, spec, state: JobState::default() };
    let mut jobs = vec![job(parent, id.clone(), spec.clone())];
    for index in 0..spec.array_size.unwrap_or(0) {
        let child = JobSpec { array_size: None, child: Some(ArrayChild { parent, index }), ..spec.clone() };
        jobs.push(job(catalog.next_oid()?, format!("{id}:{index}"), child));
    }
    Ok(jobs)
}

/// The queue of a name or ARN, which must take jobs.
fn queue<'a>(state: &'a State, name: &str) -> Result<&'a JobQueue> {
    let name = name.rsplit_once("job-queue/").map_or(name, |(_, name)| name);
    let missing = || Error::new(Kind::UndefinedObject, format!("job queue \"{name}\" does not exist"));
    let queue = state.named::<JobQueue>(name).ok_or_else(missing)?;
    match queue.enabled {
        true => Ok(queue),
        false => Err(Error::new(Kind::NotInState, format!("job queue \"{name}\" is disabled"))
            .hint(format!("ALTER JOB QUEUE {name} SET (state = 'ENABLED') lets it take jobs."))),
    }
}

/// The definition of a name (its latest active revision), `name:revision` or ARN.
pub fn definition<'a>(state: &'a State, name: &str) -> Result<&'a JobDefinition> {
    let name = name.rsplit_once("job-definition/").map_or(name, |(_, name)| name);
    let of_name = |one: &&JobDefinition| one.name == name || one.family == name;
    let found = state.all::<JobDefinition>().filter(|one| one.active).filter(of_name).max_by_key(|one| one.number);
    found.ok_or_else(|| {
        Error::new(Kind::UndefinedObject, format!("job definition \"{name}\" does not exist or is not active"))
            .hint("batch.job_definitions lists them.")
    })
}

fn array_size(what: &str, submission: &Submission) -> Result<Option<u32>> {
    let Some(array) = &submission.array_properties else { return Ok(None) };
    match (2..=ARRAY_SIZE_MAX).contains(&array.size) {
        true => Ok(Some(array.size)),
        false => {
            let message = format!("{what}: an array has from 2 to {ARRAY_SIZE_MAX} children, not {}", array.size);
            Err(Error::new(Kind::InvalidParameter, message))
        }
    }
}

fn dependencies(state: &State, what: &str, submission: &Submission, size: Option<u32>) -> Result<Vec<Dependency>> {
    if submission.depends_on.len() > DEPENDENCIES_MAX {
        let message = format!("{what}: dependsOn has {DEPENDENCIES_MAX} jobs at most");
        return Err(Error::new(Kind::ProgramLimit, message));
    }
    submission.depends_on.iter().map(|one| dependency(state, what, one, size)).collect()
}

fn dependency(state: &State, what: &str, one: &DependsOn, size: Option<u32>) -> Result<Dependency> {
    let wrong = |message: String| Err(Error::new(Kind::InvalidParameter, format!("{what}: dependsOn: {message}")));
    let Some(id) = &one.job_id else {
        return match (one.kind.as_deref(), size) {
            (Some("SEQUENTIAL"), Some(_)) => Ok(Dependency::Previous),
            (Some("SEQUENTIAL"), None) => wrong("SEQUENTIAL is for arrays".to_string()),
            _ => wrong("jobId is missing".to_string()),
        };
    };
    let missing = || Error::new(Kind::UndefinedObject, format!("{what}: dependsOn: job \"{id}\" does not exist"));
    let other = state.named::<Job>(id).ok_or_else(missing)?;
    match one.kind.as_deref() {
        None => Ok(Dependency::Job(id.clone())),
        Some("N_TO_N") if size.is_some() && other.spec.array_size == size => Ok(Dependency::SameIndex(id.clone())),
        Some("N_TO_N") => wrong(format!("N_TO_N needs two arrays of one size, and job \"{id}\" is not such a one")),
        Some("SEQUENTIAL") => wrong("SEQUENTIAL takes no jobId: it is about the array itself".to_string()),
        Some(other) => wrong(format!("type \"{other}\" is neither N_TO_N nor SEQUENTIAL")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(arguments: &[(Option<&str>, Option<&str>)]) -> Called {
        let text = |given: &Option<&str>| given.map(str::to_string);
        let arguments = arguments.iter().map(|(name, value)| (text(name), text(value))).collect();
        Called { namespace: "batch".into(), name: "submit_job".into(), arguments }
    }

    #[test]
    fn arguments_become_the_request() {
        let three = [(None, Some("j")), (None, Some("q")), (None, Some("d"))];
        let with = |more: (Option<&'static str>, Option<&'static str>)| [three.as_slice(), &[more]].concat();
        let plain = r#"{"jobDefinition":"d","jobName":"j","jobQueue":"q"}"#;
        let cases = [
            (vec![(None, Some(r#"{"a": 1}"#))], Ok(r#"{"a":1}"#.to_string())),
            (three.to_vec(), Ok(plain.to_string())),
            (with((Some("parameters"), None)), Ok(plain.to_string())),
            (
                with((Some("array_properties"), Some(r#"{"size": 2}"#))),
                Ok(plain.replacen('{', r#"{"arrayProperties":{"size":2},"#, 1)),
            ),
            (vec![(None, Some("{"))], Err(Kind::InvalidText)),
            (with((Some("timeout"), Some("soon"))), Err(Kind::InvalidText)),
            (with((None, Some("x"))), Err(Kind::UndefinedFunction)),
            (with((Some("colour"), Some("1"))), Err(Kind::UndefinedFunction)),
            (with((Some("job_name"), Some("k"))), Err(Kind::UndefinedFunction)),
        ];
        for (arguments, expected) in cases {
            let found = request(&called(&arguments)).map(|value| value.to_string()).map_err(|error| error.kind());
            assert_eq!(found, expected, "{arguments:?}");
        }
    }
}
