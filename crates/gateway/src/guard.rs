//! What may stop a running statement: a cancel request, its timeout, the client's going, the server's shutdown.

use crate::connection::told_to_end;
use crate::transport::{Failure, Incoming, Wire};
use std::future::Future;
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

    /// Does a piece of work until it is done or a reason to stop comes first; work that is stopped is dropped.
    pub async fn run<T>(&self, incoming: &mut Incoming, work: impl Future<Output = Wire<T>>) -> Wire<T> {
        tokio::select! {
            biased;
            reason = self.stopped() => Err(reason),
            done = work => done,
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
