//! Which jobs go on: pure, from one state of the catalog to the steps that it asks for.
//!
//! Queues share an environment by priority, and a queue is first in, first out: a job that finds no room closes the
//! environments that could take it, so that small jobs behind it do not keep a large one out for ever. One that fits
//! nowhere closes nothing, and says so.

use crate::state::{CHILD_FAILED, DEPENDENCY_FAILED, closed, moved, starting};
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use tidegate_catalog::{ComputeEnvironment, Dependency, Job, JobQueue, JobStatus, Object, Oid, State};

/// Steps that one frame takes; more wait for the next.
const STEPS_MAX: usize = 1000;
/// How long a job is kept once it has ended: AWS promises seven days.
const KEPT_MS: i64 = 7 * 24 * 3600 * 1000;
/// AWS's words for a job that has to wait for others to end.
pub const NO_ROOM: &str =
    "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - All vCPUs of the compute environments of its queue are in use";
/// Of a job whose queue is not there.
const QUEUE_GONE: &str = "Its job queue has been dropped";
/// AWS's words for a job that fits nowhere.
pub const NEVER_FITS: &str = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - It needs more vCPUs than any compute \
    environment of its queue has; submit it with fewer, or give the queue a larger one";

/// The next step of each job that has one.
pub fn steps(state: &State, now_ms: i64, new_id: &mut dyn FnMut() -> String) -> Vec<Job> {
    let arrays = Tally::of(state);
    let waiting = state.all::<Job>().filter(|job| !job.state.status.has_ended() && !job.state.status.holds_a_place());
    let mut steps: Vec<Job> = waiting
        .filter_map(|job| match (job.spec.array_size, job.state.status) {
            // Dropped in the same moment in which the job was submitted.
            _ if state.object(job.spec.queue).is_none() => Some(closed(job, JobStatus::Failed, QUEUE_GONE, now_ms)),
            (Some(_), _) => array(job, arrays.get(&job.oid).copied().unwrap_or_default(), now_ms),
            (None, JobStatus::Submitted | JobStatus::Pending) => dependent(state, job, now_ms),
            (None, _) => None,
        })
        .collect();
    steps.extend(places(state, new_id));
    steps.truncate(STEPS_MAX);
    steps
}

/// Jobs that ended so long ago that they are forgotten.
pub fn expired(state: &State, now_ms: i64) -> Vec<&Job> {
    let old = |job: &&Job| job.state.stopped_ms.is_some_and(|at| at.saturating_add(KEPT_MS) < now_ms);
    state.all::<Job>().filter(|job| job.state.status.has_ended()).filter(old).take(STEPS_MAX).collect()
}

/// What has become of the children of an array.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    open: u32,
    failed: u32,
}

impl Tally {
    fn of(state: &State) -> HashMap<Oid, Tally> {
        let mut tallies: HashMap<Oid, Tally> = HashMap::new();
        for job in state.all::<Job>() {
            let Some(child) = job.spec.child else { continue };
            let tally = tallies.entry(child.parent).or_default();
            tally.open += u32::from(!job.state.status.has_ended());
            tally.failed += u32::from(job.state.status == JobStatus::Failed);
        }
        tallies
    }
}

/// An array runs nothing: it is PENDING until its children have ended.
fn array(job: &Job, children: Tally, now_ms: i64) -> Option<Job> {
    if children.open > 0 {
        return moved(job, JobStatus::Pending, "");
    }
    let (status, reason) = match &job.state.stop {
        Some(stop) if children.failed > 0 => (JobStatus::Failed, stop.as_str()),
        _ if children.failed > 0 => (JobStatus::Failed, CHILD_FAILED),
        _ => (JobStatus::Succeeded, ""),
    };
    Some(closed(job, status, reason, now_ms))
}

fn dependent(state: &State, job: &Job, now_ms: i64) -> Option<Job> {
    let waits: Vec<Wait> = job.spec.depends_on.iter().map(|dependency| wait(state, job, dependency)).collect();
    if waits.contains(&Wait::InVain) {
        return Some(closed(job, JobStatus::Failed, DEPENDENCY_FAILED, now_ms));
    }
    match waits.contains(&Wait::Yet) {
        true => moved(job, JobStatus::Pending, ""),
        false => moved(job, JobStatus::Runnable, ""),
    }
}

#[derive(Debug, PartialEq)]
enum Wait {
    Over,
    Yet,
    InVain,
}

fn wait(state: &State, job: &Job, dependency: &Dependency) -> Wait {
    let index = job.spec.child.map(|child| child.index);
    let other = match (dependency, index) {
        (Dependency::Job(id), _) => id.clone(),
        (Dependency::SameIndex(id), Some(index)) => format!("{id}:{index}"),
        (Dependency::Previous, Some(index @ 1..)) => {
            let array = job.name.rsplit_once(':').map_or("", |(array, _)| array);
            format!("{array}:{}", index - 1)
        }
        (Dependency::Previous, _) => return Wait::Over,
        (Dependency::SameIndex(id), None) => id.clone(),
    };
    match state.named::<Job>(&other).map(|job| job.state.status) {
        // Forgotten: had it failed, this one would have failed with it at once.
        None | Some(JobStatus::Succeeded) => Wait::Over,
        Some(JobStatus::Failed) => Wait::InVain,
        Some(_) => Wait::Yet,
    }
}

/// Gives places to RUNNABLE jobs, and reasons to those that get none.
fn places(state: &State, new_id: &mut dyn FnMut() -> String) -> Vec<Job> {
    let queues: HashMap<Oid, &JobQueue> = state.all::<JobQueue>().map(|queue| (queue.oid, queue)).collect();
    let mut free = free(state);
    let mut shut: HashSet<Oid> = HashSet::new();
    let mut runnable: Vec<(&Job, &JobQueue)> = state
        .all::<Job>()
        .filter(|job| job.state.status == JobStatus::Runnable)
        .filter_map(|job| Some((job, *queues.get(&job.spec.queue)?)))
        .collect();
    runnable.sort_by_key(|(job, queue)| (Reverse(queue.priority), job.oid));
    let step = |(job, queue): (&Job, &JobQueue)| {
        let needs = job.spec.vcpus_milli;
        let fits = |oid: &&Oid| environment(state, **oid).is_some_and(|found| size_milli(found) >= needs);
        let possible: Vec<Oid> = queue.environments.iter().filter(fits).copied().collect();
        if possible.is_empty() {
            return moved(job, JobStatus::Runnable, NEVER_FITS);
        }
        let has_room = |oid: &&Oid| !shut.contains(*oid) && free.get(*oid).is_some_and(|free| *free >= needs);
        let Some(place) = possible.iter().find(has_room).copied() else {
            shut.extend(possible);
            return moved(job, JobStatus::Runnable, NO_ROOM);
        };
        free.entry(place).and_modify(|free| *free -= needs);
        Some(starting(job, place, new_id()))
    };
    runnable.into_iter().filter_map(step).collect()
}

/// Thousandths of a vCPU that are free, by environment.
fn free(state: &State) -> HashMap<Oid, u64> {
    let mut free: HashMap<Oid, u64> =
        state.all::<ComputeEnvironment>().map(|found| (found.oid, size_milli(found))).collect();
    for job in state.all::<Job>().filter(|job| job.state.status.holds_a_place()) {
        if let Some(attempt) = job.state.attempts.last() {
            free.entry(attempt.environment).and_modify(|free| *free = free.saturating_sub(job.spec.vcpus_milli));
        }
    }
    free
}

fn size_milli(environment: &ComputeEnvironment) -> u64 {
    u64::from(environment.max_vcpus) * 1000
}

fn environment(state: &State, oid: Oid) -> Option<&ComputeEnvironment> {
    match state.object(oid)?.as_ref() {
        Object::ComputeEnvironment(found) => Some(found),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
