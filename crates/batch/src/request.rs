//! The AWS JSON of job definitions and submissions, as it is given.
//!
//! A field that nothing here performs is refused by its name; one that is about AWS's own machines does no harm, is
//! accepted, and told of.

use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use tidegate_core::{Error, Kind, Result};

/// AWS's own: 24 KiB.
const DEFINITION_BYTES_MAX: usize = 24 << 10;
/// AWS's own: 30 KiB.
const SUBMISSION_BYTES_MAX: usize = 30 << 10;
/// Fields of a definition and of a submission that mean nothing here.
const IDLE: &[&str] =
    &["platformCapabilities", "propagateTags", "schedulingPriority", "schedulingPriorityOverride", "tags"];
/// Fields of a container that mean nothing here.
const CONTAINER_IDLE: &[&str] = &[
    "ephemeralStorage",
    "executionRoleArn",
    "fargatePlatformConfiguration",
    "instanceType",
    "jobRoleArn",
    "linuxParameters",
    "logConfiguration",
    "networkConfiguration",
    "runtimePlatform",
];

type Rest = BTreeMap<String, Value>;

/// RegisterJobDefinition.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Definition {
    /// Its name, where the statement does not say it.
    pub job_definition_name: Option<String>,
    /// `container`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Defaults of `Ref::name`.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    /// What runs.
    pub container_properties: Option<Container>,
    /// How often.
    pub retry_strategy: Option<RetryStrategy>,
    /// How long.
    pub timeout: Option<Timeout>,
    #[serde(flatten)]
    rest: Rest,
}

/// containerProperties, and containerOverrides.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// The command and its arguments.
    #[serde(default)]
    pub command: Vec<String>,
    /// Variables.
    #[serde(default)]
    pub environment: Vec<Variable>,
    /// vCPUs and memory.
    #[serde(default)]
    pub resource_requirements: Vec<Requirement>,
    /// vCPUs, the old way.
    pub vcpus: Option<u64>,
    /// MiB of memory, the old way.
    pub memory: Option<u64>,
    /// The image's name.
    pub image: Option<String>,
    /// Who runs in it.
    pub user: Option<String>,
    /// With all rights over the machine.
    #[serde(default)]
    pub privileged: bool,
    /// Its root cannot be written to.
    #[serde(default)]
    pub readonly_root_filesystem: bool,
    /// Limits of the kernel.
    #[serde(default)]
    pub ulimits: Vec<GivenUlimit>,
    /// Folders of the machine.
    #[serde(default)]
    pub volumes: Vec<Volume>,
    /// Where they are seen.
    #[serde(default)]
    pub mount_points: Vec<MountPoint>,
    #[serde(flatten)]
    rest: Rest,
}

/// ulimits.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GivenUlimit {
    /// `nofile` and others.
    pub name: String,
    /// What a process has.
    pub soft_limit: i64,
    /// How far it may raise it.
    pub hard_limit: i64,
}

/// volumes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Volume {
    /// By which mountPoints name it.
    pub name: String,
    /// On the machine.
    pub host: Option<HostVolume>,
}

/// The host of a volume.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HostVolume {
    /// A folder of the machine.
    pub source_path: String,
}

/// mountPoints.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MountPoint {
    /// A volume's name.
    pub source_volume: String,
    /// In the container.
    pub container_path: String,
    /// It cannot be written to.
    #[serde(default)]
    pub read_only: bool,
}

/// A variable of the environment.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    #[serde(default)]
    pub value: String,
}

/// An amount of a resource.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// VCPU, MEMORY or GPU.
    #[serde(rename = "type")]
    pub kind: String,
    /// The amount, as text.
    pub value: String,
}

/// retryStrategy.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RetryStrategy {
    /// Attempts in all.
    pub attempts: Option<u32>,
    /// Rules.
    #[serde(default)]
    pub evaluate_on_exit: Vec<Rule>,
}

/// A rule of evaluateOnExit.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// Of the attempt's status reason.
    pub on_status_reason: Option<String>,
    /// Of the container's reason.
    pub on_reason: Option<String>,
    /// Of the exit code.
    pub on_exit_code: Option<String>,
    /// RETRY or EXIT, in any case.
    pub action: String,
}

/// timeout.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Timeout {
    /// Of each attempt.
    pub attempt_duration_seconds: i64,
}

/// SubmitJob.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Submission {
    /// What the job is called.
    pub job_name: String,
    /// A queue's name or ARN.
    pub job_queue: String,
    /// A definition's name, name and revision, or ARN.
    pub job_definition: String,
    /// Values of `Ref::name`.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    /// In place of what the definition says.
    pub container_overrides: Option<Container>,
    /// What it waits for.
    #[serde(default)]
    pub depends_on: Vec<DependsOn>,
    /// An array rather than one job.
    pub array_properties: Option<ArrayProperties>,
    /// In place of the definition's.
    pub retry_strategy: Option<RetryStrategy>,
    /// In place of the definition's.
    pub timeout: Option<Timeout>,
    #[serde(flatten)]
    rest: Rest,
}

/// A dependency.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DependsOn {
    /// The job.
    pub job_id: Option<String>,
    /// N_TO_N or SEQUENTIAL.
    #[serde(rename = "type")]
    pub kind: Option<String>,
}

/// arrayProperties.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArrayProperties {
    /// How many children.
    pub size: u32,
}

/// Reads a definition; gives the fields that mean nothing here, too.
pub fn definition(what: &str, text: &str) -> Result<(Definition, Vec<String>)> {
    check_size(what, text, DEFINITION_BYTES_MAX)?;
    let found: Definition = read(what, value(what, text)?)?;
    let container = found.container_properties.as_ref().map(|container| &container.rest);
    let idle = idle(what, &found.rest, container)?;
    Ok((found, idle))
}

/// Reads a submission; gives the fields that mean nothing here, too.
pub fn submission(what: &str, request: Value) -> Result<(Submission, Vec<String>)> {
    check_size(what, &request.to_string(), SUBMISSION_BYTES_MAX)?;
    let found: Submission = read(what, request)?;
    let idle = idle(what, &found.rest, found.container_overrides.as_ref().map(|container| &container.rest))?;
    Ok((found, idle))
}

/// A text as JSON; 22P02.
pub fn value(what: &str, text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|error| Error::new(Kind::InvalidText, format!("{what}: not JSON: {error}")))
}

fn read<T: for<'a> Deserialize<'a>>(what: &str, value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|error| Error::new(Kind::InvalidParameter, format!("{what}: {error}")))
}

fn check_size(what: &str, text: &str, max: usize) -> Result<()> {
    match text.len() > max {
        true => Err(Error::new(Kind::ProgramLimit, format!("{what} has {} bytes, {max} at most", text.len()))),
        false => Ok(()),
    }
}

/// 0A000 for a field that is not offered.
fn idle(what: &str, rest: &Rest, container: Option<&Rest>) -> Result<Vec<String>> {
    let fields = |rest: Option<&Rest>, known: &'static [&'static str], prefix: &'static str| {
        let given = rest.into_iter().flatten().filter(|(_, value)| !is_nothing(value));
        given
            .map(|(name, _)| (format!("{prefix}{name}"), known.contains(&name.as_str())))
            .collect::<Vec<(String, bool)>>()
    };
    let mut all = fields(Some(rest), IDLE, "");
    all.extend(fields(container, CONTAINER_IDLE, "container."));
    match all.iter().find(|(_, known)| !known) {
        Some((name, _)) => Err(Error::new(Kind::Unsupported, format!("{what}: field {name} is not supported"))),
        None => Ok(all.into_iter().map(|(name, _)| name).collect()),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_told_of_or_refused() {
        let container = |fields: &str| format!(r#"{{"type": "container", "containerProperties": {{{fields}}}}}"#);
        let cases = [
            (container(r#""image": "busybox", "command": ["a"]"#), Ok(vec![])),
            (
                container(r#""command": ["a"], "privileged": true, "jobRoleArn": "role""#),
                Ok(vec!["container.jobRoleArn"]),
            ),
            (container(r#""command": ["a"], "secrets": [{"name": "a", "valueFrom": "b"}]"#), Err(Kind::Unsupported)),
            (r#"{"tags": {"a": "b"}, "eksProperties": {}}"#.to_string(), Ok(vec!["tags"])),
            (r#"{"nodeProperties": {"numNodes": 2}}"#.to_string(), Err(Kind::Unsupported)),
            (container(r#""command": "a""#), Err(Kind::InvalidParameter)),
            (r#"{"retryStrategy": {"tries": 2}}"#.to_string(), Err(Kind::InvalidParameter)),
            ("{".to_string(), Err(Kind::InvalidText)),
            (format!("{{\"a\": \"{}\"}}", "x".repeat(DEFINITION_BYTES_MAX)), Err(Kind::ProgramLimit)),
        ];
        for (text, expected) in cases {
            let found = definition("d", &text).map(|found| found.1).map_err(|error| error.kind());
            let expected: Result<Vec<String>, Kind> =
                expected.map(|names| names.into_iter().map(str::to_string).collect());
            assert_eq!(found, expected, "{}", text.get(..60).unwrap_or(&text));
        }
    }
}
