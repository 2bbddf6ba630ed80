//! What ran when the server was killed: it is ended, and counted as lost, before its job goes on, so that no attempt runs
//! twice at one time.

use crate::container::ContainerEngine;
use crate::process;
use crate::state::{Cause, End, ended, not_begun};
use std::collections::HashSet;
use tidegate_catalog::{AttemptMark, ComputeEnvironment, Job, JobAttempt, JobStatus, Oid, ProcessMark, Runner, State};
use tidegate_core::Result;

/// Jobs that held a place when the server ended.
pub struct Lost {
    /// As processes of this machine.
    pub processes: Vec<Job>,
    /// As containers, by environment; those without a job may have left something behind, too.
    pub containers: Vec<(ComputeEnvironment, Vec<Job>)>,
}

/// What the state of a start tells.
pub fn lost(state: &State) -> Lost {
    let open = |place: &ComputeEnvironment| {
        let here = |job: &&Job| job.state.status.holds_a_place() && attempt_in(job, place.oid).is_some();
        state.all::<Job>().filter(here).cloned().collect::<Vec<Job>>()
    };
    let (contained, plain): (Vec<_>, Vec<_>) =
        state.all::<ComputeEnvironment>().partition(|place| place.runner == Runner::Container);
    Lost {
        processes: plain.into_iter().flat_map(open).collect(),
        containers: contained.into_iter().map(|place| (place.clone(), open(place))).collect(),
    }
}

fn attempt_in(job: &Job, place: Oid) -> Option<&JobAttempt> {
    job.state.attempts.last().filter(|attempt| attempt.environment == place)
}

/// Ends the processes of these jobs. Gives how many it has found: while there are some, they may fork.
pub async fn end_processes(jobs: &[Job]) -> usize {
    let attempts = || jobs.iter().filter_map(|job| job.state.attempts.last());
    let ids: HashSet<String> = attempts().map(|attempt| attempt.id.clone()).collect();
    let mark = |attempt: &JobAttempt| match attempt.mark {
        Some(AttemptMark::Process(mark)) => Some(mark),
        _ => None,
    };
    let marks: Vec<ProcessMark> = attempts().filter_map(mark).collect();
    match ids.is_empty() {
        true => 0,
        false => process::end_orphans(&ids, &marks).await,
    }
}

/// Ends and removes all containers of attempts of an environment; nothing is running yet that has begun since.
pub async fn end_containers(state: &State, place: &ComputeEnvironment) -> Result<usize> {
    let all = state.all::<Job>().flat_map(|job| &job.state.attempts);
    let ids = all.filter(|attempt| attempt.environment == place.oid).map(|attempt| attempt.id.clone()).collect();
    let engine = ContainerEngine::connect(place.docker_host.as_deref()).await?;
    engine.end_orphans(&ids).await
}

/// The step of a job whose attempt has gone with the server. What was only prepared waits again.
pub fn step(job: &Job, attempt: &str, now_ms: i64) -> Option<Job> {
    let is_it = job.state.attempts.last().is_some_and(|open| open.id == attempt);
    match job.state.status {
        JobStatus::Starting if is_it && job.state.stop.is_none() => Some(not_begun(job)),
        _ => ended(job, attempt, &End { cause: Cause::HostLost, exit_code: None }, now_ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{HOST_LOST, running, starting};
    use tidegate_catalog::{JobSpec, JobState};

    #[test]
    fn what_was_prepared_waits_again_and_what_ran_is_lost() {
        let (spec, state) = (JobSpec::default(), JobState::default());
        let job = Job { oid: 1, name: "j".into(), revision: 1, created_ms: 0, spec, state };
        let prepared = starting(&job, 5, "a".into());
        assert_eq!(step(&prepared, "a", 9).unwrap().state.status, JobStatus::Runnable);
        let began = running(&prepared, "a", AttemptMark::Container("c".into()), 3).unwrap();
        let lost = step(&began, "a", 9).unwrap();
        assert_eq!((lost.state.status, lost.state.reason.as_str()), (JobStatus::Failed, HOST_LOST));
        assert_eq!((step(&lost, "a", 10), step(&began, "b", 10)), (None, None));
        // Someone had asked for its end: there is nothing to wait for.
        let stopped = crate::state::stopping(&prepared, "enough").unwrap();
        assert_eq!(step(&stopped, "a", 9).unwrap().state.status, JobStatus::Failed);
    }
}
