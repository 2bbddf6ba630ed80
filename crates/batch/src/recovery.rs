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
    pub containers: Vec<LostContainers>,
}

/// What a container engine may still have of the life before.
pub struct LostContainers {
    /// Whose engine it is.
    pub place: ComputeEnvironment,
    /// Jobs that held a place there.
    pub jobs: Vec<Job>,
    /// All attempts that had been made there. Those that begin while the engine is waited for are not among them.
    pub attempts: HashSet<String>,
}

/// What the state of a start tells.
pub fn lost(state: &State) -> Lost {
    let open = |place: &ComputeEnvironment| {
        let here = |job: &&Job| job.state.status.holds_a_place() && attempt_in(job, place.oid).is_some();
        state.all::<Job>().filter(here).cloned().collect::<Vec<Job>>()
    };
    let (contained, plain): (Vec<_>, Vec<_>) =
        state.all::<ComputeEnvironment>().partition(|place| place.runner == Runner::Container);
    let attempts = |place: &ComputeEnvironment| {
        let all = state.all::<Job>().flat_map(|job| &job.state.attempts);
        all.filter(|attempt| attempt.environment == place.oid).map(|attempt| attempt.id.clone()).collect()
    };
    let in_engine = |place: &ComputeEnvironment| LostContainers {
        place: place.clone(),
        jobs: open(place),
        attempts: attempts(place),
    };
    Lost {
        processes: plain.into_iter().flat_map(open).collect(),
        containers: contained.into_iter().map(in_engine).collect(),
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

/// Ends and removes all containers of these attempts.
pub async fn end_containers(lost: &LostContainers) -> Result<usize> {
    let engine = ContainerEngine::connect(lost.place.docker_host.as_deref()).await?;
    engine.end_orphans(&lost.attempts).await
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
    use std::sync::Arc;
    use tidegate_catalog::{Change, JobSpec, JobState, Object};

    #[test]
    fn what_a_start_finds_is_fixed_then() {
        let mut state = State::initial();
        let mut put = |object| state.apply(&Change::Put(Arc::new(object)), 1);
        for (oid, runner) in [(1, Runner::Process), (2, Runner::Container)] {
            put(Object::ComputeEnvironment(ComputeEnvironment {
                oid,
                name: format!("c{oid}"),
                revision: 1,
                created_ms: 0,
                runner,
                docker_host: None,
                max_vcpus: 1,
            }));
        }
        let attempt = |id: &str, environment| JobAttempt { id: id.into(), environment, ..JobAttempt::default() };
        for (oid, status, attempts) in [
            (11, JobStatus::Running, vec![attempt("p", 1)]),
            (12, JobStatus::Running, vec![attempt("a", 2), attempt("b", 2)]),
            (13, JobStatus::Succeeded, vec![attempt("c", 2)]),
            (14, JobStatus::Runnable, vec![]),
        ] {
            let state = JobState { status, attempts, ..JobState::default() };
            let spec = JobSpec::default();
            put(Object::Job(Box::new(Job { oid, name: "j".into(), revision: 1, created_ms: 0, spec, state })));
        }
        let lost = lost(&state);
        let oids = |jobs: &[Job]| jobs.iter().map(|job| job.oid).collect::<Vec<_>>();
        assert_eq!(oids(&lost.processes), [11]);
        let [containers] = lost.containers.as_slice() else { panic!("one engine") };
        assert_eq!((containers.place.oid, oids(&containers.jobs)), (2, vec![12]));
        assert_eq!(containers.attempts, ["a", "b", "c"].map(String::from).into());
    }

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
