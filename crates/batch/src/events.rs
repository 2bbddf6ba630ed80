//! "Batch Job State Change" events (BAT-25), sent to whoever LISTENs to [`CHANNEL`]. As on AWS a submission by itself is
//! none, and an event says how the job stands now: of steps that follow each other at once the first may go untold.

use serde_json::json;
use std::collections::HashMap;
use tidegate_catalog::{Job, JobStatus, Oid, State};

/// Where they are sent.
pub const CHANNEL: &str = "batch_job_state_change";

/// What has been told of each job.
#[derive(Default)]
pub struct Told(Option<HashMap<Oid, JobStatus>>);

impl Told {
    /// The events since it was last asked. What stood before the first time is no news.
    pub fn news(&mut self, state: &State) -> Vec<String> {
        let now: HashMap<Oid, JobStatus> = state.all::<Job>().map(|job| (job.oid, job.state.status)).collect();
        let Some(before) = self.0.replace(now) else { return Vec::new() };
        let is_news = |job: &&Job| match before.get(&job.oid) {
            Some(status) => *status != job.state.status,
            None => job.state.status != JobStatus::Submitted,
        };
        state.all::<Job>().filter(is_news).map(event).collect()
    }
}

/// In the form of EventBridge, with AWS's names for what it tells of a job.
fn event(job: &Job) -> String {
    let (spec, now) = (&job.spec, &job.state);
    let exit_code = now.attempts.last().and_then(|attempt| attempt.exit_code);
    json!({
        "source": "aws.batch",
        "detail-type": "Batch Job State Change",
        "detail": {
            "jobId": job.name,
            "jobName": spec.job_name,
            "jobQueue": spec.queue_name,
            "jobDefinition": spec.definition,
            "status": now.status.word(),
            "statusReason": now.reason,
            "attempts": now.attempts.len(),
            "container": { "exitCode": exit_code },
            "createdAt": job.created_ms,
            "startedAt": now.started_ms,
            "stoppedAt": now.stopped_ms,
        },
    })
    .to_string()
}
