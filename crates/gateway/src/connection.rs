//! One client: its session, its prepared statements and portals, and the loop that answers its messages.

use crate::backend::{self, Severity};
use crate::cancel::Slot;
use crate::encode::Zone;
use crate::extended::Portal;
use crate::frontend::Frontend;
use crate::guard::Guard;
use crate::transport::{Failure, Incoming, Outgoing, Wire};
use crate::{extended, simple};
use std::collections::HashMap;
use std::time::Duration;
use tidegate_core::{Error, Kind, millis};
use tidegate_query::{Session, TxStatus};
use tokio_util::sync::CancellationToken;

/// When a connection must end.
#[derive(Clone, Default)]
pub struct Ending {
    /// The server drains: idle connections end.
    pub drain: CancellationToken,
    /// The server waits no longer, or another session ends this one: running statements end too.
    pub kill: CancellationToken,
}

/// A client that has logged in.
pub struct Connection {
    pub(crate) incoming: Incoming,
    pub(crate) outgoing: Outgoing,
    pub(crate) session: Session,
    pub(crate) portals: HashMap<String, Portal>,
    _slot: Slot,
    ending: Ending,
    skip_to_sync: bool,
}

impl Connection {
    /// A connection over a socket whose client has logged in.
    pub fn new(incoming: Incoming, outgoing: Outgoing, session: Session, slot: Slot, ending: Ending) -> Self {
        let portals = HashMap::new();
        Connection { incoming, outgoing, session, portals, _slot: slot, ending, skip_to_sync: false }
    }

    /// Answers messages until one side ends it.
    pub async fn run(mut self) {
        let mut done = self.ready().await;
        while done.is_ok() {
            done = match self.next_message().await {
                Ok(Frontend::Terminate) => break,
                Ok(message) => self.answer(message).await,
                Err(failure) => Err(failure),
            };
        }
        if let Err(Failure::Fatal(error) | Failure::Statement(error)) = done {
            self.say_farewell(&error).await;
        }
        self.outgoing.close().await;
        self.session.close().await;
    }

    async fn say_farewell(&mut self, error: &Error) {
        backend::put_error(&mut self.outgoing.buffer, Severity::Fatal, fatal_code(error), error);
        let last_words = self.outgoing.flush();
        let _a_client_that_does_not_read_is_not_waited_for =
            tokio::time::timeout(Duration::from_secs(crate::FAREWELL_SECONDS_MAX), last_words).await;
    }

    async fn next_message(&mut self) -> Wire<Frontend> {
        let idle_limit = match self.session.status() {
            TxStatus::Idle => 0,
            _ => self.setting_ms("idle_in_transaction_session_timeout"),
        };
        let too_idle = async {
            match u64::try_from(idle_limit).ok().filter(|ms| *ms > 0) {
                Some(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(too_idle);
        loop {
            let listens = self.session.status() == TxStatus::Idle;
            let Connection { incoming, outgoing, session, ending, .. } = self;
            tokio::select! {
                biased;
                message = incoming.next() => return message,
                () = ending.drain.cancelled() => return Err(Failure::Fatal(told_to_end())),
                () = ending.kill.cancelled() => return Err(Failure::Fatal(told_to_end())),
                () = &mut too_idle => {
                    return Err(Failure::Fatal(Error::new(Kind::NotInState, crate::IDLE_IN_TRANSACTION)));
                }
                notification = session.notification(), if listens => {
                    backend::put_notification(&mut outgoing.buffer, &notification);
                    outgoing.flush().await?;
                }
            }
        }
    }

    async fn answer(&mut self, message: Frontend) -> Wire<()> {
        match message {
            Frontend::Query(sql) => {
                self.skip_to_sync = false;
                let done = simple::run(self, &sql).await;
                self.settle_failure(done)?;
                self.ready().await
            }
            Frontend::Unreadable { simple, error } => {
                self.settle_failure(Err(error.into()))?;
                self.skip_to_sync = !simple;
                if simple { self.ready().await } else { self.outgoing.flush().await }
            }
            Frontend::Sync => {
                self.skip_to_sync = false;
                let done = extended::sync(self).await;
                self.settle_failure(done)?;
                self.ready().await
            }
            // What is left of a COPY that has failed.
            Frontend::CopyData(_) | Frontend::CopyDone | Frontend::CopyFail(_) => Ok(()),
            Frontend::Password(_) => {
                Err(Failure::Fatal(Error::new(Kind::Protocol, "a password was sent when none was asked for")))
            }
            _ if self.skip_to_sync => Ok(()),
            message => {
                let done = extended::answer(self, message).await;
                self.skip_to_sync = matches!(done, Err(Failure::Statement(_)));
                self.settle_failure(done)?;
                // A client may wait for its answer with a Flush, which is skipped as all is up to Sync.
                if self.skip_to_sync { self.outgoing.flush().await } else { self.outgoing.flush_if_full().await }
            }
        }
    }

    /// A statement's failure is told to the client and the session; any other goes on upwards.
    fn settle_failure(&mut self, done: Wire<()>) -> Wire<()> {
        self.session.end_statement();
        let Err(Failure::Statement(error)) = done else { return done };
        self.session.fail(&error);
        self.put_news();
        backend::put_error(&mut self.outgoing.buffer, Severity::Error, error.kind().sqlstate(), &error);
        Ok(())
    }

    /// A statement begins: it can be cancelled from here on, and its time runs.
    pub(crate) fn begin_statement(&mut self, sql: &str) -> Guard {
        self.session.begin_statement(sql);
        let token = self.session.cancel_token();
        Guard::new(token, self.ending.kill.clone(), self.setting_ms("statement_timeout"))
    }

    /// It has ended well: what it has to say goes before its completion.
    pub(crate) fn complete(&mut self, tag: &str) {
        self.session.end_statement();
        self.put_news();
        backend::put_complete(&mut self.outgoing.buffer, tag);
    }

    /// Notices, and settings that clients follow.
    pub(crate) fn put_news(&mut self) {
        for notice in self.session.take_notices() {
            let hint = notice.hint.as_deref();
            backend::put_notice(&mut self.outgoing.buffer, &notice.severity, &notice.code, &notice.message, hint);
        }
        for (name, value) in self.session.take_changed_settings() {
            if let Some(name) = crate::startup::reported_name(&name) {
                backend::put_parameter_status(&mut self.outgoing.buffer, name, &value);
            }
        }
    }

    /// The zone in which this session's timestamps are shown.
    pub(crate) fn zone(&self) -> Zone {
        Zone::parse(&self.session.show("timezone").unwrap_or_else(|_| "UTC".to_string()))
    }

    fn setting_ms(&self, name: &str) -> i64 {
        self.session.show(name).ok().and_then(|value| millis(&value)).unwrap_or(0)
    }

    async fn ready(&mut self) -> Wire<()> {
        let status = match self.session.status() {
            TxStatus::Idle => b'I',
            TxStatus::InBlock => b'T',
            TxStatus::Failed => b'E',
        };
        if status != b'T' {
            self.portals.clear();
        }
        self.session.rest();
        while status == b'I'
            && let Some(notification) = self.session.waiting_notification()
        {
            backend::put_notification(&mut self.outgoing.buffer, &notification);
        }
        backend::put_ready(&mut self.outgoing.buffer, status);
        self.outgoing.flush().await
    }
}

/// What a client is told whose connection others end.
pub(crate) fn told_to_end() -> Error {
    Error::new(Kind::Shutdown, "terminating connection due to administrator command")
}

/// The code of an error that ends the connection.
fn fatal_code(error: &Error) -> &'static str {
    if error.message() == crate::IDLE_IN_TRANSACTION { "25P03" } else { error.kind().sqlstate() }
}
