//! Functions that reach other sessions: they stop what those do, or send them messages.

use super::super::cell::Cell;
use super::super::snapshot::PgSnapshot;
use super::{Definition, text};
use crate::notify::Action;
use crate::sessions::Sessions;
use tidegate_catalog::User;
use tidegate_core::{Error, Kind, Result};

/// What is defined here.
pub const FUNCTIONS: &[Definition] = &[
    Definition::acting("pg_cancel_backend", 1..=1, "bool", |s, arguments| signal(s, arguments, &CANCEL)),
    Definition::acting("pg_terminate_backend", 1..=2, "bool", |s, arguments| signal(s, arguments, &TERMINATE)),
    Definition { strict: false, ..Definition::acting("pg_notify", 2..=2, "void", notify) },
    Definition::strict(LISTENED, 0..=0, "_text", |s, _| Ok(Cell::Texts(s.notifier.channels(s.pid)))),
];

/// What `pg_listening_channels()` gives the elements of.
pub const LISTENED: &str = "pg_listened_channels";

/// `pg_notify(channel, payload)`: a NOTIFY whose channel is a value.
fn notify(snapshot: &PgSnapshot, arguments: &[Cell]) -> Result<Cell> {
    let (channel, payload) = (text(arguments, 0).to_string(), text(arguments, 1).to_string());
    snapshot.outbox.push(Action::Notify(channel, payload))?;
    Ok(Cell::Text(String::new()))
}

struct Signal {
    send: fn(&Sessions, i32) -> bool,
    /// Postgres' words where it is refused.
    member: &'static str,
    superuser: &'static str,
}

const CANCEL: Signal = Signal {
    send: Sessions::cancel,
    member: "must be a member of the role whose query is being canceled or member of pg_signal_backend",
    superuser: "must be a superuser to cancel superuser query",
};

const TERMINATE: Signal = Signal {
    send: Sessions::terminate,
    member: "must be a member of the role whose process is being terminated or member of pg_signal_backend",
    superuser: "must be a superuser to terminate superuser process",
};

/// False for a number that is no session's. 42501 unless who asks is a member of the session's role.
fn signal(snapshot: &PgSnapshot, arguments: &[Cell], signal: &Signal) -> Result<Cell> {
    let Some(Cell::Int(pid)) = arguments.first() else { return Ok(Cell::Null) };
    let Some(session) = i32::try_from(*pid).ok().and_then(|pid| snapshot.sessions.of(pid)) else {
        return Ok(false.into());
    };
    let asker = snapshot.asker();
    if !asker.is_superuser {
        let owner = snapshot.state.named::<User>(&session.user);
        let refused = match owner {
            Some(owner) if owner.superuser => Some(signal.superuser),
            Some(owner) if asker.roles.contains(&owner.oid) => None,
            _ => Some(signal.member),
        };
        if let Some(message) = refused {
            return Err(Error::new(Kind::InsufficientPrivilege, message));
        }
    }
    Ok((signal.send)(&snapshot.sessions, session.pid).into())
}
