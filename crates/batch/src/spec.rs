//! What is asked of a job: a definition and a submission put together, and checked.

use crate::process::ATTEMPT;
use crate::request::{Container, Definition, GivenUlimit, MountPoint, RetryStrategy, Submission, Timeout};
use std::collections::BTreeMap;
use tidegate_catalog::{
    ComputeEnvironment, ContainerSpec, Job, JobQueue, JobSpec, Mount, Retry, RetryRule, Runner, Ulimit,
};
use tidegate_core::{Error, Kind, Result};

/// Longest name, as with AWS.
const NAME_CHARS_MAX: usize = 128;
/// AWS's own.
const ATTEMPTS_MAX: u32 = 10;
/// AWS's own.
const RULES_MAX: usize = 5;
/// AWS's own.
const PATTERN_CHARS_MAX: usize = 512;
/// AWS's least is 60; a test wants less.
const TIMEOUT_SECONDS_MIN: i64 = 1;
/// vCPUs of one job.
const VCPUS_MAX: f64 = 100_000.0;
/// What begins so is set for the job, not by the user.
const RESERVED: &str = "AWS_BATCH";
/// Variables of the server that a command needs to find others; no more of them reach a job.
const INHERITED: &[&str] = &["HOME", "LANG", "PATH", "TMPDIR", "TZ"];

/// Checks the name of a new object.
pub fn check_name(noun: &str, name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    match begins && name.len() <= NAME_CHARS_MAX && name.chars().all(plain) {
        true => Ok(()),
        false => Err(Error::new(Kind::InvalidParameter, format!("\"{name}\" is not a name for a {noun}")).hint(
            format!("It has letters, digits, '_' and '-', begins with a letter or digit, {NAME_CHARS_MAX} at most."),
        )),
    }
}

/// Checks a definition when it is made, so that no job meets its mistakes.
pub fn check_definition(what: &str, definition: &Definition) -> Result<()> {
    let wrong = |message: String| Err(Error::new(Kind::InvalidDefinition, format!("{what}: {message}")));
    match definition.kind.as_deref() {
        Some("container") => {}
        Some(other) => {
            return Err(Error::new(Kind::Unsupported, format!("{what}: type \"{other}\" is not supported"))
                .hint("The type is container."));
        }
        None => return wrong("type is missing; it is container".to_string()),
    }
    if definition.container_properties.is_none() {
        return wrong("containerProperties is missing".to_string());
    }
    let submission = Submission::default();
    job(what, definition, "", &submission).map(drop)
}

/// The spec of a job, without its place in an array and its dependencies.
pub fn job(what: &str, definition: &Definition, name: &str, submission: &Submission) -> Result<JobSpec> {
    let nothing = Container::default();
    let container = definition.container_properties.as_ref().unwrap_or(&nothing);
    let overrides = submission.container_overrides.as_ref().unwrap_or(&nothing);
    let mut parameters = definition.parameters.clone();
    parameters.extend(submission.parameters.clone());
    let command = if overrides.command.is_empty() { &container.command } else { &overrides.command };
    let mut environment = BTreeMap::new();
    for variable in container.environment.iter().chain(&overrides.environment) {
        if variable.name.starts_with(RESERVED) || variable.name.is_empty() || variable.name.contains(['=', '\0']) {
            let message = format!("{what}: \"{}\" cannot be a variable of a job", variable.name);
            return Err(Error::new(Kind::InvalidParameter, message)
                .hint(format!("Names that begin with {RESERVED} are set by the server.")));
        }
        environment.insert(variable.name.clone(), variable.value.clone());
    }
    let (vcpus_milli, memory_mib) = resources(what, container, overrides)?;
    let retry = submission.retry_strategy.as_ref().or(definition.retry_strategy.as_ref());
    let timeout = submission.timeout.as_ref().or(definition.timeout.as_ref());
    Ok(JobSpec {
        job_name: submission.job_name.clone(),
        definition: name.to_string(),
        command: command.iter().map(|word| substituted(word, &parameters)).collect(),
        container: container_of(what, container)?,
        environment,
        parameters,
        vcpus_milli,
        memory_mib,
        retry: retry.map_or_else(|| Ok(Retry::default()), |retry| retry_of(what, retry))?,
        timeout_ms: timeout.map(|timeout| timeout_ms(what, timeout)).transpose()?,
        ..JobSpec::default()
    })
}

/// The same in a queue.
pub fn queued(spec: JobSpec, queue: &JobQueue, user: &str) -> JobSpec {
    JobSpec { queue: queue.oid, queue_name: queue.name.clone(), user: user.to_string(), ..spec }
}

fn resources(what: &str, container: &Container, overrides: &Container) -> Result<(u64, Option<u64>)> {
    let (mut vcpus, mut memory) = (1000, None);
    for given in [container, overrides] {
        vcpus = given.vcpus.map_or(vcpus, |vcpus| vcpus.saturating_mul(1000));
        memory = given.memory.or(memory);
        for requirement in &given.resource_requirements {
            let value = requirement.value.as_str();
            let wrong = || {
                let message = format!("{what}: {} = '{value}' is not an amount", requirement.kind);
                Error::new(Kind::InvalidParameter, message)
            };
            match requirement.kind.as_str() {
                "VCPU" => vcpus = milli(value).ok_or_else(wrong)?,
                "MEMORY" => memory = Some(value.parse().map_err(|_| wrong())?),
                other => {
                    let message = format!("{what}: resource requirement {other} is not supported");
                    return Err(Error::new(Kind::Unsupported, message).hint("They are VCPU and MEMORY."));
                }
            }
        }
    }
    match vcpus == 0 || memory == Some(0) {
        true => Err(Error::new(Kind::InvalidParameter, format!("{what}: a job needs some vCPU and some memory"))),
        false => Ok((vcpus, memory)),
    }
}

/// What a container is made of. 22023 for a mount of no volume.
fn container_of(what: &str, container: &Container) -> Result<ContainerSpec> {
    let mount = |point: &MountPoint| {
        let volume = container.volumes.iter().find(|volume| volume.name == point.source_volume);
        let source = volume.and_then(|volume| volume.host.as_ref()).map(|host| host.source_path.clone());
        let message = || format!("{what}: mountPoints: no volume \"{}\" has a sourcePath", point.source_volume);
        Ok(Mount {
            source: source.ok_or_else(|| Error::new(Kind::InvalidParameter, message()))?,
            target: point.container_path.clone(),
            read_only: point.read_only,
        })
    };
    let ulimit =
        |given: &GivenUlimit| Ulimit { name: given.name.clone(), soft: given.soft_limit, hard: given.hard_limit };
    Ok(ContainerSpec {
        image: container.image.clone().filter(|image| !image.is_empty()),
        user: container.user.clone(),
        privileged: container.privileged,
        read_only: container.readonly_root_filesystem,
        ulimits: container.ulimits.iter().map(ulimit).collect(),
        mounts: container.mount_points.iter().map(mount).collect::<Result<_>>()?,
    })
}

/// Thousandths of a vCPU: `1`, `0.25`.
fn milli(text: &str) -> Option<u64> {
    let vcpus = text.parse::<f64>().ok().filter(|vcpus| (0.001..=VCPUS_MAX).contains(vcpus))?;
    Some((vcpus * 1000.0).round() as u64)
}

fn retry_of(what: &str, strategy: &RetryStrategy) -> Result<Retry> {
    let wrong = |message: String| Err(Error::new(Kind::InvalidParameter, format!("{what}: {message}")));
    let attempts = strategy.attempts.unwrap_or(1);
    if !(1..=ATTEMPTS_MAX).contains(&attempts) {
        return wrong(format!("retryStrategy.attempts = {attempts} is not from 1 to {ATTEMPTS_MAX}"));
    }
    if strategy.evaluate_on_exit.len() > RULES_MAX {
        return wrong(format!("evaluateOnExit has more than {RULES_MAX} rules"));
    }
    if strategy.attempts.is_none() && !strategy.evaluate_on_exit.is_empty() {
        return wrong("evaluateOnExit needs retryStrategy.attempts".to_string());
    }
    let mut rules = Vec::new();
    for rule in &strategy.evaluate_on_exit {
        let patterns = [&rule.on_status_reason, &rule.on_reason, &rule.on_exit_code];
        let star_inside = |pattern: &String| pattern.strip_suffix('*').unwrap_or(pattern).contains('*');
        let bad = |pattern: &&String| pattern.chars().count() > PATTERN_CHARS_MAX || star_inside(pattern);
        if let Some(pattern) = patterns.iter().filter_map(|pattern| pattern.as_ref()).find(bad) {
            let message = "is not a pattern: a * stands at its end or nowhere";
            return wrong(format!("evaluateOnExit: \"{pattern}\" {message}, {PATTERN_CHARS_MAX} characters at most"));
        }
        let retry = match rule.action.to_ascii_uppercase().as_str() {
            "RETRY" => true,
            "EXIT" => false,
            _ => return wrong(format!("evaluateOnExit: action \"{}\" is neither RETRY nor EXIT", rule.action)),
        };
        let [on_status_reason, on_reason, on_exit_code] = patterns.map(Clone::clone);
        rules.push(RetryRule { on_status_reason, on_reason, on_exit_code, retry });
    }
    Ok(Retry { attempts, rules })
}

fn timeout_ms(what: &str, timeout: &Timeout) -> Result<i64> {
    let seconds = timeout.attempt_duration_seconds;
    let ms = seconds.checked_mul(1000).filter(|_| seconds >= TIMEOUT_SECONDS_MIN);
    let message = || format!("{what}: attemptDurationSeconds = {seconds} is not {TIMEOUT_SECONDS_MIN} or more");
    ms.ok_or_else(|| Error::new(Kind::InvalidParameter, message()))
}

/// `Ref::name` replaced by its value wherever it stands; one without a value stays, as with AWS.
fn substituted(word: &str, parameters: &BTreeMap<String, String>) -> String {
    let mut pieces = word.split("Ref::");
    let mut text = pieces.next().unwrap_or_default().to_string();
    for piece in pieces {
        let end = piece.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-')).unwrap_or(piece.len());
        let (name, rest) = piece.split_at(end);
        match parameters.get(name) {
            Some(value) => text.push_str(value),
            None => text.extend(["Ref::", name]),
        }
        text.push_str(rest);
    }
    text
}

/// The environment of an attempt there, that talks back by this URL. A process finds the server's own programs, too.
pub fn variables(place: &ComputeEnvironment, job: &Job, attempt: &str, url: String) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    if place.runner == Runner::Process {
        variables.extend(INHERITED.iter().filter_map(|name| Some((name.to_string(), std::env::var(name).ok()?))));
    }
    variables.extend(job.spec.environment.clone());
    let mut set = |name: &str, value: String| variables.insert(name.to_string(), value);
    set("AWS_BATCH_JOB_ID", job.name.clone());
    set("AWS_BATCH_JQ_NAME", job.spec.queue_name.clone());
    set("AWS_BATCH_CE_NAME", place.name.clone());
    set("AWS_BATCH_JOB_ATTEMPT", job.state.attempts.len().to_string());
    if let Some(child) = job.spec.child {
        set("AWS_BATCH_JOB_ARRAY_INDEX", child.index.to_string());
    }
    set("TIDEGATE_URL", url);
    set(ATTEMPT, attempt.to_string());
    variables
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request;

    fn definition(fields: &str) -> Result<JobSpec> {
        let text = format!(r#"{{"type": "container", "parameters": {{"a": "1"}}, {fields}}}"#);
        let (definition, _) = request::definition("d", &text)?;
        check_definition("d", &definition)?;
        job("d", &definition, "d:1", &Submission::default())
    }

    #[test]
    fn what_is_wrong_is_named() {
        let ok = r#""containerProperties": {"command": ["x"]}"#;
        let with = |rest: &str| format!("{ok}, {rest}");
        let container = |fields: &str| format!(r#""containerProperties": {{"command": ["x"], {fields}}}"#);
        let rules = |rules: &str| with(&format!(r#""retryStrategy": {{"attempts": 2, "evaluateOnExit": [{rules}]}}"#));
        let cases = [
            (ok.to_string(), None),
            (with(r#""timeout": {"attemptDurationSeconds": 0}"#), Some("attemptDurationSeconds")),
            (with(r#""retryStrategy": {"attempts": 11}"#), Some("attempts")),
            (with(r#""retryStrategy": {"evaluateOnExit": [{"action": "EXIT"}]}"#), Some("attempts")),
            (rules(r#"{"action": "retry", "onExitCode": "1*"}"#), None),
            (rules(r#"{"action": "maybe"}"#), Some("maybe")),
            (rules(r#"{"action": "EXIT", "onReason": "a*b"}"#), Some("a*b")),
            (container(r#""resourceRequirements": [{"type": "VCPU", "value": "0.25"}]"#), None),
            (container(r#""resourceRequirements": [{"type": "VCPU", "value": "few"}]"#), Some("few")),
            (container(r#""resourceRequirements": [{"type": "GPU", "value": "1"}]"#), Some("GPU")),
            (container(r#""memory": 0"#), Some("memory")),
            (container(r#""environment": [{"name": "AWS_BATCH_X", "value": "1"}]"#), Some("AWS_BATCH_X")),
            (r#""tags": {}"#.to_string(), Some("containerProperties")),
        ];
        for (fields, named) in cases {
            let error = definition(&fields).err();
            assert_eq!(error.is_some(), named.is_some(), "{fields}: {error:?}");
            assert!(error.is_none_or(|error| error.message().contains(named.unwrap_or_default())), "{fields}");
        }
    }

    #[test]
    fn a_submission_goes_over_the_definition() {
        let text = r#"{"type": "container", "parameters": {"a": "1", "b": "2"}, "timeout": {"attemptDurationSeconds": 9},
            "containerProperties": {"command": ["echo", "Ref::a", "x=Ref::b!", "Ref::c"], "vcpus": 2, "memory": 64,
            "environment": [{"name": "E", "value": "e"}, {"name": "F", "value": "f"}]}}"#;
        let (found, _) = request::definition("d", text).unwrap();
        let request = r#"{"jobName": "j", "jobQueue": "q", "jobDefinition": "d", "parameters": {"b": "3"},
            "containerOverrides": {"environment": [{"name": "F", "value": "g"}],
            "resourceRequirements": [{"type": "VCPU", "value": "0.5"}]}, "retryStrategy": {"attempts": 3}}"#;
        let (submission, _) = request::submission("s", request::value("s", request).unwrap()).unwrap();
        let spec = job("s", &found, "d:1", &submission).unwrap();
        assert_eq!(spec.command, ["echo", "1", "x=3!", "Ref::c"]);
        let pairs: Vec<_> = spec.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(pairs, ["E=e", "F=g"]);
        assert_eq!((spec.vcpus_milli, spec.memory_mib, spec.timeout_ms), (500, Some(64), Some(9000)));
        assert_eq!(spec.retry.attempts, 3);
    }

    #[test]
    fn names() {
        let long = "x".repeat(NAME_CHARS_MAX + 1);
        for (name, good) in [("a-b_1", true), ("1", true), ("", false), ("-a", false), ("a:1", false), (&long, false)] {
            assert_eq!(check_name("job queue", name).is_ok(), good, "{name}");
        }
    }
}
