//! When a running attempt is ended, and how: asked first, killed after a while.

use crate::state::Cause;

/// Between SIGTERM and SIGKILL, as with AWS.
const GRACE_MS: i64 = 30_000;
/// The same while the server stops, which must not take that long.
const STOPPING_GRACE_MS: i64 = 2_000;

/// What is sent to the processes of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: come to an end.
    Term,
    /// SIGKILL: end.
    Kill,
}

/// What is known of a running attempt at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts {
    /// The time.
    pub now_ms: i64,
    /// Memory of all its processes.
    pub memory_bytes: u64,
    /// Someone has asked for its end.
    pub stop: bool,
    /// The server is stopping.
    pub shutdown: bool,
}

/// The watch over one attempt.
#[derive(Debug, Default)]
pub struct Watch {
    deadline_ms: Option<i64>,
    memory_bytes_max: Option<u64>,
    cause: Option<Cause>,
    kill_at_ms: Option<i64>,
}

impl Watch {
    /// Over an attempt whose time is over at a moment, and that is killed beyond so much memory.
    pub fn new(deadline_ms: Option<i64>, memory_bytes_max: Option<u64>) -> Self {
        Watch { deadline_ms, memory_bytes_max, ..Watch::default() }
    }

    /// Whether someone must measure its memory.
    pub fn minds_memory(&self) -> bool {
        self.memory_bytes_max.is_some()
    }

    /// Why it is being ended; None where nobody has ended it.
    pub fn cause(&self) -> Option<&Cause> {
        self.cause.as_ref()
    }

    /// What is to be sent now.
    pub fn look(&mut self, facts: Facts) -> Option<Signal> {
        if self.cause.is_none() {
            return self.judge(facts);
        }
        if facts.shutdown {
            let soon = facts.now_ms.saturating_add(STOPPING_GRACE_MS);
            self.kill_at_ms = self.kill_at_ms.map(|at| at.min(soon));
        }
        self.kill_at_ms.take_if(|at| *at <= facts.now_ms).map(|_| Signal::Kill)
    }

    fn judge(&mut self, facts: Facts) -> Option<Signal> {
        let (cause, grace_ms) = if self.memory_bytes_max.is_some_and(|max| facts.memory_bytes > max) {
            self.cause = Some(Cause::OutOfMemory);
            return Some(Signal::Kill);
        } else if facts.stop {
            (Cause::Stopped, GRACE_MS)
        } else if self.deadline_ms.is_some_and(|at| at <= facts.now_ms) {
            (Cause::TimedOut, GRACE_MS)
        } else if facts.shutdown {
            (Cause::HostLost, STOPPING_GRACE_MS)
        } else {
            return None;
        };
        self.cause = Some(cause);
        self.kill_at_ms = Some(facts.now_ms.saturating_add(grace_ms));
        Some(Signal::Term)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(now_ms: i64) -> Facts {
        Facts { now_ms, ..Facts::default() }
    }

    #[test]
    fn each_end_has_its_signals() {
        type Looks<'a> = &'a [(Facts, Option<Signal>)];
        let watch = || Watch::new(Some(100), Some(10));
        let (stop, shutdown) = (|ms| Facts { stop: true, ..at(ms) }, |ms| Facts { shutdown: true, ..at(ms) });
        let large = |ms| Facts { memory_bytes: 11, ..at(ms) };
        let (term, kill) = (Some(Signal::Term), Some(Signal::Kill));
        let cases: &[(Looks<'_>, Option<Cause>)] = &[
            (&[(at(0), None), (at(99), None)], None),
            (&[(at(100), term), (at(101), None), (at(30_100), kill), (at(99_999), None)], Some(Cause::TimedOut)),
            (&[(large(1), kill), (large(2), None)], Some(Cause::OutOfMemory)),
            (&[(stop(1), term), (stop(30_000), None), (stop(30_001), kill)], Some(Cause::Stopped)),
            // What was decided first stays the reason.
            (&[(stop(1), term), (large(2), None), (at(200), None)], Some(Cause::Stopped)),
            (&[(shutdown(1), term), (shutdown(2000), None), (shutdown(2001), kill)], Some(Cause::HostLost)),
            (&[(stop(1), term), (shutdown(2), None), (shutdown(2002), kill)], Some(Cause::Stopped)),
        ];
        for (looks, cause) in cases {
            let mut watch = watch();
            for (facts, signal) in *looks {
                assert_eq!(watch.look(*facts), *signal, "{facts:?} of {cause:?}");
            }
            assert_eq!(watch.cause(), cause.as_ref());
        }
    }
}
