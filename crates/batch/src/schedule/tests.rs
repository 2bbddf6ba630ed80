//! The scheduler as tables: a state, and the steps that it asks for.

use super::*;
use std::sync::Arc;
use tidegate_catalog::{ArrayChild, Change, JobAttempt, JobSpec, JobState};

/// Two environments (1: two vCPUs, 2: four) and queues over them (11: 1, 12: 1 with a higher priority, 13: 1 and 2).
fn world() -> State {
    let mut state = State::initial();
    for (oid, max_vcpus) in [(1, 2), (2, 4)] {
        put(
            &mut state,
            Object::ComputeEnvironment(ComputeEnvironment {
                oid,
                name: format!("c{oid}"),
                revision: 1,
                created_ms: 0,
                runner: tidegate_catalog::Runner::Process,
                docker_host: None,
                max_vcpus,
            }),
        );
    }
    for (oid, priority, environments) in [(11, 1, vec![1]), (12, 9, vec![1]), (13, 5, vec![1, 2])] {
        let queue = JobQueue {
            oid,
            name: format!("q{oid}"),
            revision: 1,
            created_ms: 0,
            enabled: true,
            priority,
            environments,
        };
        put(&mut state, Object::JobQueue(queue));
    }
    state
}

fn put(state: &mut State, object: Object) {
    state.apply(&Change::Put(Arc::new(object)), 1);
}

fn job(oid: Oid, queue: Oid, vcpus: u64, status: JobStatus) -> Job {
    let spec = JobSpec { queue, vcpus_milli: vcpus * 1000, ..JobSpec::default() };
    let mut job = Job { oid, name: format!("j{oid}"), revision: 1, created_ms: 0, spec, state: JobState::default() };
    job.state.status = status;
    if status.holds_a_place() {
        job.state.attempts.push(JobAttempt { environment: 1, ..JobAttempt::default() });
    }
    job
}

fn with(jobs: &[Job]) -> State {
    let mut state = world();
    jobs.iter().for_each(|job| put(&mut state, Object::Job(Box::new(job.clone()))));
    state
}

/// Number, status, reason, and environment of each step.
fn found(state: &State) -> Vec<(Oid, JobStatus, String, Option<Oid>)> {
    let steps = steps(state, 50, &mut || "id".to_string());
    let place = |job: &Job| job.state.attempts.last().map(|attempt| attempt.environment);
    steps.iter().map(|job| (job.oid, job.state.status, job.state.reason.clone(), place(job))).collect()
}

#[test]
fn priority_then_age_then_room() {
    use JobStatus::{Runnable, Running, Starting};
    let state = with(&[
        job(100, 11, 1, Runnable),
        job(101, 12, 1, Runnable),
        job(102, 12, 1, Runnable),
        job(103, 13, 2, Runnable),
    ]);
    let expected = [
        (101, Starting, String::new(), Some(1)),
        (102, Starting, String::new(), Some(1)),
        // The first of its environments is full, the second is not.
        (103, Starting, String::new(), Some(2)),
        (100, Runnable, NO_ROOM.to_string(), None),
    ];
    assert_eq!(found(&state), expected);
    let full = with(&[job(99, 11, 2, Running), job(100, 11, 1, Runnable)]);
    assert_eq!(found(&full), [(100, Runnable, NO_ROOM.to_string(), None)]);
}

#[test]
fn a_large_job_is_not_overtaken_and_an_impossible_one_is() {
    use JobStatus::{Runnable, Running, Starting};
    let state = with(&[job(99, 11, 1, Running), job(100, 11, 2, Runnable), job(101, 11, 1, Runnable)]);
    assert_eq!(found(&state), [(100, Runnable, NO_ROOM.to_string(), None), (101, Runnable, NO_ROOM.to_string(), None)]);
    let state = with(&[job(100, 11, 3, Runnable), job(101, 11, 1, Runnable)]);
    assert_eq!(found(&state), [(100, Runnable, NEVER_FITS.to_string(), None), (101, Starting, String::new(), Some(1))]);
}

#[test]
fn dependencies() {
    use JobStatus::{Failed, Pending, Runnable, Running, Submitted, Succeeded};
    let cases = [
        (Submitted, vec![], Some(Runnable)),
        (Submitted, vec![Running], Some(Pending)),
        (Submitted, vec![Succeeded], Some(Runnable)),
        (Submitted, vec![Succeeded, Submitted], Some(Pending)),
        (Pending, vec![Running], None),
        (Pending, vec![Running, Failed], Some(Failed)),
        (Pending, vec![Succeeded, Succeeded], Some(Runnable)),
    ];
    for (status, others, expected) in cases {
        let mut jobs: Vec<Job> = (200..).zip(&others).map(|(oid, status)| job(oid, 11, 1, *status)).collect();
        let mut last = job(300, 11, 1, status);
        last.spec.depends_on = jobs.iter().map(|job| Dependency::Job(job.name.clone())).collect();
        last.spec.depends_on.push(Dependency::Job("forgotten".into()));
        jobs.push(last);
        let step = found(&with(&jobs)).into_iter().find(|step| step.0 == 300);
        assert_eq!(step.as_ref().map(|step| step.1), expected, "{status} on {others:?}");
        assert!(expected != Some(Failed) || step.unwrap().2 == DEPENDENCY_FAILED);
    }
}

fn child(oid: Oid, index: u32, status: JobStatus, depends_on: &[Dependency]) -> Job {
    let mut job = job(oid, 11, 1, status);
    job.name = format!("a:{index}");
    job.spec.child = Some(ArrayChild { parent: 400, index });
    job.spec.depends_on = depends_on.to_vec();
    job
}

fn parent(status: JobStatus, stop: Option<&str>) -> Job {
    let mut job = job(400, 11, 1, status);
    job.name = "a".into();
    job.spec.array_size = Some(2);
    job.state.stop = stop.map(str::to_string);
    job
}

#[test]
fn an_array_ends_with_its_children() {
    use JobStatus::{Failed, Pending, Running, Submitted, Succeeded};
    let cases = [
        (Submitted, None, [Running, Succeeded], Some((Pending, ""))),
        (Pending, None, [Running, Failed], None),
        (Pending, None, [Succeeded, Succeeded], Some((Succeeded, ""))),
        (Pending, None, [Succeeded, Failed], Some((Failed, CHILD_FAILED))),
        (Pending, Some("enough"), [Failed, Failed], Some((Failed, "enough"))),
        (Pending, Some("too late"), [Succeeded, Succeeded], Some((Succeeded, ""))),
    ];
    for (status, stop, children, expected) in cases {
        let state = with(&[parent(status, stop), child(401, 0, children[0], &[]), child(402, 1, children[1], &[])]);
        let step = found(&state).into_iter().find(|step| step.0 == 400);
        assert_eq!(step.map(|step| (step.1, step.2)), expected.map(|(s, r)| (s, r.to_string())), "{children:?}");
    }
}

#[test]
fn children_wait_for_the_one_before_or_for_their_like() {
    use JobStatus::{Failed, Pending, Runnable, Running, Submitted, Succeeded};
    for (before, expected) in [(Running, Pending), (Succeeded, Runnable), (Failed, Failed)] {
        let second = child(402, 1, Submitted, &[Dependency::Previous]);
        let state = with(&[parent(Pending, None), child(401, 0, before, &[]), second]);
        assert_eq!(found(&state).iter().find(|step| step.0 == 402).map(|step| step.1), Some(expected), "{before}");
        let mut like = child(500, 0, Submitted, &[Dependency::SameIndex("a".into())]);
        like.name = "b:0".into();
        like.spec.child = Some(ArrayChild { parent: 499, index: 0 });
        let state = with(&[child(401, 0, before, &[]), child(402, 1, Running, &[]), like]);
        assert_eq!(found(&state).iter().find(|step| step.0 == 500).map(|step| step.1), Some(expected), "{before}");
    }
    let first = child(401, 0, Submitted, &[Dependency::Previous]);
    assert_eq!(found(&with(&[first]))[0].1, Runnable, "nothing is before the first");
}

#[test]
fn what_ended_long_ago_is_forgotten() {
    let mut old = job(100, 11, 1, JobStatus::Failed);
    old.state.stopped_ms = Some(1000);
    let state = with(&[old, job(101, 11, 1, JobStatus::Runnable)]);
    assert_eq!(expired(&state, 1000 + KEPT_MS).len(), 0);
    assert_eq!(expired(&state, 1001 + KEPT_MS).len(), 1);
}
