//! Schema `batch`: AWS's fields in snake case, and why each job waits.

use arrow::datatypes::DataType;
use std::collections::{BTreeMap, HashMap};
use tidegate_catalog::{
    AttemptMark, ComputeEnvironment, Dependency, Job, JobAttempt, JobDefinition, JobQueue, JobSpec, Oid, State,
};
use tidegate_query::SystemTable;
use tidegate_query::system_table::{Cell, number, table, text, time_type};

/// The tables that tell of jobs.
pub fn system_tables() -> Vec<SystemTable> {
    vec![environments(), queues(), definitions(), jobs(), attempts()]
}

fn environments() -> SystemTable {
    let columns = [
        ("compute_environment_name", DataType::Utf8),
        ("type", DataType::Utf8),
        ("state", DataType::Utf8),
        ("status", DataType::Utf8),
        ("runner", DataType::Utf8),
        ("max_vcpus", DataType::Int64),
        ("used_vcpus", DataType::Utf8),
        ("created_at", time_type()),
    ];
    table("batch", "compute_environments", &columns, |state| {
        let row = |found: &ComputeEnvironment| {
            let here = |job: &&Job| {
                let place = job.state.attempts.last().map(|attempt| attempt.environment);
                job.state.status.holds_a_place() && place == Some(found.oid)
            };
            let used = state.all::<Job>().filter(here).map(|job| job.spec.vcpus_milli).sum();
            vec![
                text(&found.name),
                text("MANAGED"),
                text("ENABLED"),
                text("VALID"),
                text(found.runner.word()),
                number(found.max_vcpus),
                text(vcpus(used)),
                Cell::Time(Some(found.created_ms)),
            ]
        };
        state.all::<ComputeEnvironment>().map(row).collect()
    })
}

fn queues() -> SystemTable {
    let columns = [
        ("job_queue_name", DataType::Utf8),
        ("state", DataType::Utf8),
        ("status", DataType::Utf8),
        ("priority", DataType::Int64),
        ("compute_environment_order", DataType::Utf8),
        ("created_at", time_type()),
    ];
    table("batch", "job_queues", &columns, |state| {
        let row = |queue: &JobQueue| {
            let names: Vec<&str> = queue.environments.iter().map(|oid| name_of(state, *oid)).collect();
            vec![
                text(&queue.name),
                text(if queue.enabled { "ENABLED" } else { "DISABLED" }),
                text("VALID"),
                number(queue.priority),
                text(names.join(", ")),
                Cell::Time(Some(queue.created_ms)),
            ]
        };
        state.all::<JobQueue>().map(row).collect()
    })
}

fn definitions() -> SystemTable {
    let columns = [
        ("job_definition_name", DataType::Utf8),
        ("revision", DataType::Int64),
        ("status", DataType::Utf8),
        ("type", DataType::Utf8),
        ("definition", DataType::Utf8),
        ("created_at", time_type()),
    ];
    table("batch", "job_definitions", &columns, |state| {
        let row = |one: &JobDefinition| {
            vec![
                text(&one.family),
                number(one.number),
                text(if one.active { "ACTIVE" } else { "INACTIVE" }),
                text("container"),
                text(&one.text),
                Cell::Time(Some(one.created_ms)),
            ]
        };
        state.all::<JobDefinition>().map(row).collect()
    })
}

fn jobs() -> SystemTable {
    let columns = [
        ("job_id", DataType::Utf8),
        ("job_name", DataType::Utf8),
        ("job_queue", DataType::Utf8),
        ("job_definition", DataType::Utf8),
        ("status", DataType::Utf8),
        ("status_reason", DataType::Utf8),
        ("attempts", DataType::Int64),
        ("exit_code", DataType::Int64),
        ("created_at", time_type()),
        ("started_at", time_type()),
        ("stopped_at", time_type()),
        ("array_job_id", DataType::Utf8),
        ("array_index", DataType::Int64),
        ("array_size", DataType::Int64),
        ("status_summary", DataType::Utf8),
        ("depends_on", DataType::Utf8),
        ("command", DataType::Utf8),
        ("parameters", DataType::Utf8),
        ("vcpus", DataType::Utf8),
        ("memory", DataType::Int64),
        ("log_stream_name", DataType::Utf8),
    ];
    table("batch", "jobs", &columns, |state| {
        let summaries = summaries(state);
        state.all::<Job>().map(|job| job_row(state, job, summaries.get(&job.oid))).collect()
    })
}

fn job_row(state: &State, job: &Job, summary: Option<&BTreeMap<&str, u64>>) -> Vec<Cell> {
    let (spec, now) = (&job.spec, &job.state);
    let last = now.attempts.last();
    vec![
        text(&job.name),
        text(&spec.job_name),
        text(&spec.queue_name),
        text(&spec.definition),
        text(now.status.word()),
        text(&now.reason),
        number(now.attempts.len()),
        last.and_then(|attempt| attempt.exit_code).map_or(Cell::Null, number),
        Cell::Time(Some(job.created_ms)),
        Cell::Time(now.started_ms),
        Cell::Time(now.stopped_ms),
        Cell::Text(spec.child.map(|child| name_of(state, child.parent).to_string())),
        spec.child.map_or(Cell::Null, |child| number(child.index)),
        spec.array_size.map_or(Cell::Null, number),
        Cell::Text(summary.map(json)),
        text(depends_on(spec)),
        text(json(&spec.command)),
        text(json(&spec.parameters)),
        text(vcpus(spec.vcpus_milli)),
        spec.memory_mib.map_or(Cell::Null, number),
        Cell::Text(last.map(|attempt| log_stream(job, attempt))),
    ]
}

/// By array, how many of its children stand where.
fn summaries(state: &State) -> HashMap<Oid, BTreeMap<&'static str, u64>> {
    let mut found: HashMap<Oid, BTreeMap<&'static str, u64>> = HashMap::new();
    for job in state.all::<Job>() {
        if let Some(child) = job.spec.child {
            *found.entry(child.parent).or_default().entry(job.state.status.word()).or_default() += 1;
        }
    }
    found
}

fn depends_on(spec: &JobSpec) -> String {
    let one = |dependency: &Dependency| match dependency {
        Dependency::Job(id) => serde_json::json!({ "jobId": id }),
        Dependency::SameIndex(id) => serde_json::json!({ "jobId": id, "type": "N_TO_N" }),
        Dependency::Previous => serde_json::json!({ "type": "SEQUENTIAL" }),
    };
    json(&spec.depends_on.iter().map(one).collect::<Vec<_>>())
}

fn attempts() -> SystemTable {
    let columns = [
        ("job_id", DataType::Utf8),
        ("attempt", DataType::Int64),
        ("compute_environment", DataType::Utf8),
        ("started_at", time_type()),
        ("stopped_at", time_type()),
        ("exit_code", DataType::Int64),
        ("reason", DataType::Utf8),
        ("status_reason", DataType::Utf8),
        ("log_stream_name", DataType::Utf8),
        ("pid", DataType::Int64),
        ("container_id", DataType::Utf8),
    ];
    table("batch", "job_attempts", &columns, |state| {
        let rows = |job: &Job| -> Vec<Vec<Cell>> {
            let row = |(index, attempt): (usize, &JobAttempt)| attempt_row(state, job, index + 1, attempt);
            job.state.attempts.iter().enumerate().map(row).collect()
        };
        state.all::<Job>().flat_map(rows).collect()
    })
}

fn attempt_row(state: &State, job: &Job, nth: usize, attempt: &JobAttempt) -> Vec<Cell> {
    let (pid, container) = match &attempt.mark {
        Some(AttemptMark::Process(process)) => (number(process.pid), Cell::Null),
        Some(AttemptMark::Container(id)) => (Cell::Null, text(id)),
        None => (Cell::Null, Cell::Null),
    };
    vec![
        text(&job.name),
        number(nth),
        text(name_of(state, attempt.environment)),
        Cell::Time(attempt.started_ms),
        Cell::Time(attempt.stopped_ms),
        attempt.exit_code.map_or(Cell::Null, number),
        text(&attempt.reason),
        text(&attempt.status_reason),
        text(log_stream(job, attempt)),
        pid,
        container,
    ]
}

/// AWS's form: the definition and the task.
fn log_stream(job: &Job, attempt: &JobAttempt) -> String {
    let family = job.spec.definition.split(':').next().unwrap_or_default();
    format!("{family}/default/{}", attempt.id)
}

fn name_of(state: &State, oid: Oid) -> &str {
    state.object(oid).map_or("?", |object| object.name())
}

fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// `1`, `0.25`.
fn vcpus(milli: u64) -> String {
    let text = format!("{}.{:03}", milli / 1000, milli % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_vcpu() {
        for (milli, shown) in [(0, "0"), (250, "0.25"), (1000, "1"), (10_000, "10"), (1500, "1.5")] {
            assert_eq!(vcpus(milli), shown);
        }
    }
}
