//! The function forms of statements: the AWS request as one JSON argument becomes the statement that says the same.

use crate::request;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::{CreateComputeEnvironment, CreateJobDefinition, CreateJobQueue, DropName, Options, Statement};
use tidegate_query::Called;

/// Fields of computeResources that mean nothing where jobs are processes of this machine.
const RESOURCES_IDLE: &[&str] = &[
    "allocationStrategy",
    "desiredvCpus",
    "instanceRole",
    "instanceTypes",
    "minvCpus",
    "securityGroupIds",
    "subnets",
    "type",
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Environment {
    compute_environment_name: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    compute_resources: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Queue {
    job_queue_name: String,
    state: Option<String>,
    priority: Option<u64>,
    compute_environment_order: Vec<Place>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Place {
    order: i64,
    compute_environment: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DeleteEnvironment {
    compute_environment: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DeleteQueue {
    job_queue: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Deregister {
    job_definition: String,
}

/// The statement of a function, and what the function answers: the object's name.
pub fn statement(called: &Called) -> Result<(Statement, String)> {
    let function = format!("batch.{}", called.name);
    let [(None, Some(text))] = called.arguments.as_slice() else {
        return Err(Error::new(
            Kind::UndefinedFunction,
            format!("{function} takes one argument: the AWS request as JSON"),
        ));
    };
    let dropped = |name: String| DropName { if_exists: false, name };
    Ok(match called.name.as_str() {
        "create_compute_environment" => {
            let create = environment(&function, read(&function, text)?)?;
            let name = create.name.clone();
            (Statement::CreateComputeEnvironment(create), name)
        }
        "create_job_queue" => {
            let create = queue(read(&function, text)?);
            let name = create.name.clone();
            (Statement::CreateJobQueue(create), name)
        }
        "register_job_definition" => {
            let (definition, _) = request::definition(&function, text)?;
            let missing =
                || Error::new(Kind::InvalidParameter, format!("{function}: missing field `jobDefinitionName`"));
            let name = definition.job_definition_name.ok_or_else(missing)?;
            (Statement::CreateJobDefinition(CreateJobDefinition { name: name.clone(), text: text.clone() }), name)
        }
        "deregister_job_definition" => {
            let name = last_part(&read::<Deregister>(&function, text)?.job_definition);
            (Statement::DeregisterJobDefinition(name.clone()), name)
        }
        "delete_compute_environment" => {
            let name = last_part(&read::<DeleteEnvironment>(&function, text)?.compute_environment);
            (Statement::DropComputeEnvironment(dropped(name.clone())), name)
        }
        "delete_job_queue" => {
            let name = last_part(&read::<DeleteQueue>(&function, text)?.job_queue);
            (Statement::DropJobQueue(dropped(name.clone())), name)
        }
        _ => return Err(Error::new(Kind::UndefinedFunction, format!("function {function} does not exist"))),
    })
}

fn read<T: DeserializeOwned>(function: &str, text: &str) -> Result<T> {
    serde_json::from_value(request::value(function, text)?)
        .map_err(|error| Error::new(Kind::InvalidParameter, format!("{function}: {error}")))
}

/// The name in an ARN, or the name itself.
fn last_part(name: &str) -> String {
    name.rsplit_once('/').map_or(name, |(_, last)| last).to_string()
}

fn environment(function: &str, asked: Environment) -> Result<CreateComputeEnvironment> {
    let mut options = Options::default();
    for (name, value) in &asked.compute_resources {
        match name.as_str() {
            "maxvCpus" => options.set("max_vcpus", value.to_string()),
            name if RESOURCES_IDLE.contains(&name) => {}
            name => {
                let message = format!("{function}: field computeResources.{name} is not supported");
                return Err(Error::new(Kind::Unsupported, message));
            }
        }
    }
    let kind = asked.kind.map(|kind| kind.to_ascii_uppercase());
    Ok(CreateComputeEnvironment { if_not_exists: false, name: asked.compute_environment_name, kind, options })
}

fn queue(mut asked: Queue) -> CreateJobQueue {
    asked.compute_environment_order.sort_by_key(|place| place.order);
    let environments = asked.compute_environment_order.iter().map(|place| last_part(&place.compute_environment));
    let mut options = Options::default();
    if let Some(state) = asked.state {
        options.set("state", state);
    }
    CreateJobQueue {
        if_not_exists: false,
        name: asked.job_queue_name,
        priority: asked.priority.unwrap_or(1),
        environments: environments.collect(),
        options,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, text: &str) -> Result<(Statement, String), Kind> {
        let arguments = vec![(None, Some(text.to_string()))];
        let called = Called { namespace: "batch".into(), name: name.into(), arguments };
        statement(&called).map_err(|error| error.kind())
    }

    #[test]
    fn requests_say_what_statements_say() {
        let same = [
            (
                "create_compute_environment",
                r#"{"computeEnvironmentName": "c", "type": "managed", "computeResources": {"type": "EC2", "maxvCpus": 2}}"#,
                "CREATE COMPUTE ENVIRONMENT c TYPE MANAGED WITH (max_vcpus = 2)",
            ),
            (
                "create_job_queue",
                r#"{"jobQueueName": "q", "state": "DISABLED", "priority": 3, "computeEnvironmentOrder": [
                    {"order": 2, "computeEnvironment": "b"}, {"order": 1, "computeEnvironment": "arn:aws:batch:x/a"}]}"#,
                "CREATE JOB QUEUE q PRIORITY 3 COMPUTE ENVIRONMENTS (a, b) WITH (state = 'DISABLED')",
            ),
            ("deregister_job_definition", r#"{"jobDefinition": "d:2"}"#, "DEREGISTER JOB DEFINITION 'd:2'"),
            ("delete_job_queue", r#"{"jobQueue": "q"}"#, "DROP JOB QUEUE q"),
            ("delete_compute_environment", r#"{"computeEnvironment": "c"}"#, "DROP COMPUTE ENVIRONMENT c"),
        ];
        for (name, text, sql) in same {
            assert_eq!(found(name, text).map(|found| found.0), Ok(tidegate_parser::parse_one(sql).unwrap()), "{sql}");
        }
    }

    #[test]
    fn what_they_do_not_say_is_refused() {
        let wrong = [
            ("create_job_queue", "{", Kind::InvalidText),
            ("create_job_queue", r#"{"jobQueueName": "q"}"#, Kind::InvalidParameter),
            ("delete_job_queue", r#"{"jobQueue": "q", "colour": 1}"#, Kind::InvalidParameter),
            ("register_job_definition", r#"{"type": "container"}"#, Kind::InvalidParameter),
            (
                "create_compute_environment",
                r#"{"computeEnvironmentName": "c", "computeResources": {"bidPercentage": 3}}"#,
                Kind::Unsupported,
            ),
        ];
        for (name, text, kind) in wrong {
            assert_eq!(found(name, text).err(), Some(kind), "{text}");
        }
    }
}
