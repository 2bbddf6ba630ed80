//! What may stop a running statement: a cancel request, its timeout, the client's going, the server's shutdown.

use crate::connection::told_to_end;
use crate::transport::{Failure, Incoming, Wire};
use futures::FutureExt;
use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use tidegate_core::{Error, Kind};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The reasons to stop that hold for one statement.
pub struct Guard {
    /// Cancelled by a cancel request.
    pub cancelled: CancellationToken,
    /// Cancelled when the server can wait no longer, or another session ends this one.
    pub shutdown: CancellationToken,
    /// `statement_timeout`, from when the statement began.
    pub deadline: Option<Instant>,
}

impl Guard {
    /// A guard for a statement that begins now; `timeout_ms` 0 is no limit.
    pub fn new(cancelled: CancellationToken, shutdown: CancellationToken, timeout_ms: i64) -> Self {
        let timeout = u64::try_from(timeout_ms).ok().filter(|ms| *ms > 0);
        Guard { cancelled, shutdown, deadline: timeout.map(|ms| Instant::now() + Duration::from_millis(ms)) }
    }

    /// Does a piece of work until it is done or a reason to stop comes first; work that is stopped is dropped. One that
    /// panics ends the statement, and not the connection.
    pub async fn run<T>(&self, incoming: &mut Incoming, work: impl Future<Output = Wire<T>>) -> Wire<T> {
        tokio::select! {
            biased;
            reason = self.stopped() => Err(reason),
            done = AssertUnwindSafe(work).catch_unwind() => done.unwrap_or_else(|payload| Err(panicked(payload.as_ref()))),
            () = incoming.gone() => Err(Failure::Gone),
        }
    }

    /// Returns with the first reason to stop, other than the client's going.
    pub async fn stopped(&self) -> Failure {
        let timeout = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let cancel = |message| Failure::Statement(Error::new(Kind::Cancelled, message));
        tokio::select! {
            biased;
            () = self.cancelled.cancelled() => cancel("canceling statement due to user request"),
            () = self.shutdown.cancelled() => Failure::Fatal(told_to_end()),
            () = timeout => cancel("canceling statement due to statement timeout"),
        }
    }
}

/// What the engine's kernels say of a column whose texts are more than 2 GiB together.
const TOO_LARGE: &[&str] = &["offset overflow", "capacity overflow", "byte array offset overflow"];

fn panicked(payload: &(dyn Any + Send)) -> Failure {
    let said = payload.downcast_ref::<&str>().map(|text| (*text).to_string());
    let said = said.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
    Failure::Statement(match TOO_LARGE.iter().any(|part| said.contains(part)) {
        true => Error::new(Kind::ProgramLimit, "values of the query are larger than 2 GiB together")
            .hint("Make them shorter, or let the statement work on fewer rows at once."),
        false => Error::internal(format!("the statement failed inside of the engine: {said}")),
    })
}
