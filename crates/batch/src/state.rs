//! The pure steps from one durable state of a job to the next.

use crate::retry;
use tidegate_catalog::{AttemptMark, Job, JobAttempt, JobState, JobStatus, Oid};

/// AWS's words for a process that has ended by itself.
pub const EXITED: &str = "Essential container in task exited";
/// AWS's words for an attempt that never began.
pub const NOT_STARTED: &str = "Task failed to start";
/// AWS's words for an attempt that took too long.
pub const TIMED_OUT: &str = "Job attempt duration exceeded timeout";
/// AWS's words for an attempt over its memory.
pub const OUT_OF_MEMORY: &str = "OutOfMemoryError: Container killed due to memory usage";
/// AWS's words for a machine that has gone, in the form that rules match as `Host EC2*`.
pub const HOST_LOST: &str = "Host EC2 (instance local) terminated.";
/// AWS's words for a job whose dependency failed.
pub const DEPENDENCY_FAILED: &str = "Dependent Job failed";
/// AWS's words for an array of which a child failed.
pub const CHILD_FAILED: &str = "Array Child Job failed";

/// Why an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// By itself.
    Exited,
    /// Over its memory.
    OutOfMemory,
    /// Over its time.
    TimedOut,
    /// By terminate_job.
    Stopped,
    /// It could not begin.
    NotStarted(String),
    /// There is no such image.
    NotPulled(String),
    /// The server went from under it.
    HostLost,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Why.
    pub cause: Cause,
    /// With what its first process ended, if it did.
    pub exit_code: Option<i32>,
}

fn next(job: &Job, state: JobState) -> Job {
    Job { revision: job.revision + 1, state, ..job.clone() }
}

/// Another status, or another reason for the same one. None: it is so already.
pub fn moved(job: &Job, status: JobStatus, reason: &str) -> Option<Job> {
    let state = || JobState { status, reason: reason.to_string(), ..job.state.clone() };
    (job.state.status != status || job.state.reason != reason).then(|| next(job, state()))
}

/// It ends without another attempt.
pub fn closed(job: &Job, status: JobStatus, reason: &str, now_ms: i64) -> Job {
    let state =
        JobState { status, reason: reason.to_string(), stop: None, stopped_ms: Some(now_ms), ..job.state.clone() };
    next(job, state)
}

/// It has a place, and an attempt of this id.
pub fn starting(job: &Job, environment: Oid, id: String) -> Job {
    let mut state = JobState { status: JobStatus::Starting, reason: String::new(), ..job.state.clone() };
    state.attempts.push(JobAttempt { id, environment, ..JobAttempt::default() });
    next(job, state)
}

/// Its process or container exists and is about to begin. None: its attempt is another one's by now.
pub fn running(job: &Job, attempt: &str, mark: AttemptMark, now_ms: i64) -> Option<Job> {
    let mut state = job.state.clone();
    let open = state.attempts.last_mut().filter(|open| open.id == attempt && open.stopped_ms.is_none())?;
    (open.mark, open.started_ms) = (Some(mark), Some(now_ms));
    (state.status, state.started_ms) = (JobStatus::Running, Some(now_ms));
    Some(next(job, state))
}

/// Its attempt was prepared and never began: it waits for a place again, and nothing is counted.
pub fn not_begun(job: &Job) -> Job {
    let mut state = JobState { status: JobStatus::Runnable, ..job.state.clone() };
    state.attempts.pop();
    next(job, state)
}

/// Its attempt has ended: it has ended, too, or waits for a place to be tried again. None: that is known already.
pub fn ended(job: &Job, attempt: &str, end: &End, now_ms: i64) -> Option<Job> {
    let mut state = job.state.clone();
    let made = state.attempts.len();
    let open = state.attempts.last_mut().filter(|open| open.id == attempt && open.stopped_ms.is_none())?;
    let (reason, status_reason) = match &end.cause {
        Cause::Exited => (String::new(), EXITED.to_string()),
        Cause::OutOfMemory => (OUT_OF_MEMORY.to_string(), EXITED.to_string()),
        Cause::TimedOut => (String::new(), TIMED_OUT.to_string()),
        Cause::Stopped => (String::new(), state.stop.clone().unwrap_or_default()),
        Cause::NotStarted(why) => (format!("CannotStartContainerError: {why}"), NOT_STARTED.to_string()),
        Cause::NotPulled(why) => (format!("CannotPullContainerError: {why}"), NOT_STARTED.to_string()),
        Cause::HostLost => (String::new(), HOST_LOST.to_string()),
    };
    (open.reason, open.status_reason, open.exit_code) = (reason, status_reason, end.exit_code);
    open.stopped_ms = Some(now_ms);
    let open = open.clone();
    let well = end.cause == Cause::Exited && end.exit_code == Some(0);
    let stop = state.stop.take();
    let (status, reason) = match stop {
        _ if well => (JobStatus::Succeeded, open.status_reason),
        Some(stop) => (JobStatus::Failed, stop),
        None if end.cause != Cause::TimedOut && retry::again(&job.spec.retry, made, &open) => {
            (JobStatus::Runnable, open.status_reason)
        }
        None => (JobStatus::Failed, open.status_reason),
    };
    (state.status, state.reason) = (status, reason);
    state.stopped_ms = status.has_ended().then_some(now_ms);
    Some(next(job, state))
}

/// cancel_job: it does not begin any more. None: it has begun or ended, and goes on as it was.
pub fn cancelled(job: &Job, reason: &str, now_ms: i64) -> Option<Job> {
    let waits = !job.state.status.holds_a_place() && !job.state.status.has_ended();
    waits.then(|| closed(job, JobStatus::Failed, reason, now_ms))
}

/// terminate_job: it does not begin any more, or is to be stopped. None: it has ended, or is being stopped already.
pub fn terminated(job: &Job, reason: &str, now_ms: i64) -> Option<Job> {
    match job.state.status.holds_a_place() {
        true => stopping(job, reason),
        false => cancelled(job, reason, now_ms),
    }
}

/// It is to end, for this reason. None: it has ended, or there is a reason already.
pub fn stopping(job: &Job, reason: &str) -> Option<Job> {
    let state = || JobState { stop: Some(reason.to_string()), ..job.state.clone() };
    (job.state.stop.is_none() && !job.state.status.has_ended()).then(|| next(job, state()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_catalog::{JobSpec, Retry, RetryRule};

    fn job(attempts: u32) -> Job {
        let retry = Retry { attempts, rules: Vec::new() };
        let spec = JobSpec { retry, ..JobSpec::default() };
        Job { oid: 1, name: "j".into(), revision: 1, created_ms: 0, spec, state: JobState::default() }
    }

    fn mark() -> AttemptMark {
        AttemptMark::Container("c".into())
    }

    fn begun(attempts: u32) -> Job {
        running(&starting(&job(attempts), 5, "a".into()), "a", mark(), 10).unwrap()
    }

    fn end(cause: Cause, exit_code: Option<i32>) -> End {
        End { cause, exit_code }
    }

    #[test]
    fn an_attempt_ends_in_one_of_these_ways() {
        use JobStatus::{Failed, Runnable, Succeeded};
        let killed = Some(137);
        let cases = [
            (1, None, end(Cause::Exited, Some(0)), Succeeded, EXITED),
            (1, None, end(Cause::Exited, Some(3)), Failed, EXITED),
            (2, None, end(Cause::Exited, Some(3)), Runnable, EXITED),
            (2, None, end(Cause::OutOfMemory, killed), Runnable, EXITED),
            (2, None, end(Cause::HostLost, None), Runnable, HOST_LOST),
            (1, None, end(Cause::HostLost, None), Failed, HOST_LOST),
            // However many attempts are left: out of time, and stopped by someone, is the end.
            (9, None, end(Cause::TimedOut, killed), Failed, TIMED_OUT),
            (9, Some("enough"), end(Cause::Stopped, Some(143)), Failed, "enough"),
            (9, Some("enough"), end(Cause::HostLost, None), Failed, "enough"),
            (9, Some("enough"), end(Cause::Exited, Some(0)), Succeeded, EXITED),
            (1, None, end(Cause::NotStarted("no shell".into()), None), Failed, NOT_STARTED),
            (2, None, end(Cause::NotPulled("no image".into()), None), Runnable, NOT_STARTED),
        ];
        for (attempts, stop, end, status, reason) in cases {
            let mut job = begun(attempts);
            job.state.stop = stop.map(str::to_string);
            let done = ended(&job, "a", &end, 20).unwrap();
            assert_eq!((done.state.status, done.state.reason.as_str()), (status, reason), "{end:?}");
            assert_eq!(done.state.stopped_ms, status.has_ended().then_some(20), "{end:?}");
            assert_eq!((done.revision, done.state.stop), (job.revision + 1, None), "{end:?}");
            let tried = &done.state.attempts[0];
            assert_eq!((tried.exit_code, tried.stopped_ms, tried.started_ms), (end.exit_code, Some(20), Some(10)));
        }
    }

    #[test]
    fn what_a_rule_says_is_done() {
        let mut job = begun(5);
        job.spec.retry.rules = vec![RetryRule { on_exit_code: Some("3".into()), ..RetryRule::default() }];
        assert_eq!(ended(&job, "a", &end(Cause::Exited, Some(3)), 2).unwrap().state.status, JobStatus::Failed);
        assert_eq!(ended(&job, "a", &end(Cause::Exited, Some(4)), 2).unwrap().state.status, JobStatus::Runnable);
    }

    #[test]
    fn an_attempt_is_ended_once_and_only_its_own() {
        let job = begun(1);
        let done = ended(&job, "a", &end(Cause::Exited, Some(0)), 20).unwrap();
        assert_eq!(ended(&done, "a", &end(Cause::HostLost, None), 30), None);
        assert_eq!(ended(&job, "b", &end(Cause::Exited, Some(0)), 20), None);
        assert_eq!(running(&job, "b", mark(), 11), None);
        let back = not_begun(&starting(&self::job(1), 5, "a".into()));
        assert_eq!((back.state.status, back.state.attempts.len()), (JobStatus::Runnable, 0));
    }

    #[test]
    fn cancel_and_terminate() {
        use JobStatus::{Failed, Pending, Runnable, Running, Starting, Submitted, Succeeded};
        // Status before; after cancel; after terminate; whether it is to be stopped.
        let cases = [
            (Submitted, Some(Failed), Some(Failed), false),
            (Pending, Some(Failed), Some(Failed), false),
            (Runnable, Some(Failed), Some(Failed), false),
            (Starting, None, Some(Starting), true),
            (Running, None, Some(Running), true),
            (Succeeded, None, None, false),
            (Failed, None, None, false),
        ];
        for (status, cancel, terminate, stop) in cases {
            let mut job = job(1);
            job.state.status = status;
            assert_eq!(cancelled(&job, "why", 5).map(|job| job.state.status), cancel, "{status}");
            let after = terminated(&job, "why", 5);
            assert_eq!(after.as_ref().map(|job| job.state.status), terminate, "{status}");
            let stops = after.as_ref().is_some_and(|job| job.state.stop.as_deref() == Some("why"));
            assert_eq!(stops, stop, "{status}");
            assert!(!stops || terminated(&after.unwrap(), "again", 6).is_none(), "{status}");
        }
    }

    #[test]
    fn the_same_is_no_step() {
        let job = job(1);
        assert_eq!(moved(&job, JobStatus::Submitted, ""), None);
        assert_eq!(moved(&job, JobStatus::Runnable, "x").map(|job| job.revision), Some(2));
    }
}
