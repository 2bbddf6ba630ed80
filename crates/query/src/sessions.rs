//! The sessions that are open: what each does now, and how others stop it. Behind `pg_stat_activity`, `pg_cancel_backend`
//! and `pg_terminate_backend`.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Bytes of a statement's text that others are shown (Postgres' `track_activity_query_size`).
const QUERY_BYTES_MAX: usize = 1024;

/// All open sessions, by number; clones are handles on the same.
#[derive(Debug, Clone, Default)]
pub struct Sessions(Arc<Mutex<BTreeMap<i32, Entry>>>);

/// What a session does.
#[derive(Debug, Clone)]
pub struct Activity {
    /// Its number (`pg_backend_pid`).
    pub pid: i32,
    /// Who is logged in.
    pub user: String,
    /// `application_name`.
    pub application: String,
    /// Where the client is.
    pub client: Option<SocketAddr>,
    /// When it was opened, in microseconds of the Unix epoch.
    pub began_us: i64,
    /// When its transaction began; None outside of one.
    pub transaction_us: Option<i64>,
    /// When its last statement began.
    pub query_us: Option<i64>,
    /// When `state` changed.
    pub changed_us: i64,
    /// Postgres' word: `active`, `idle`, `idle in transaction`, `idle in transaction (aborted)`.
    pub state: &'static str,
    /// Its last statement, or the first bytes of it.
    pub query: String,
}

#[derive(Debug)]
struct Entry {
    activity: Activity,
    running: Option<CancellationToken>,
    ending: CancellationToken,
}

impl Sessions {
    /// Makes a session known, until its place is dropped.
    pub(crate) fn open(&self, pid: i32, user: &str, now_us: i64) -> Place {
        let activity = Activity {
            pid,
            user: user.to_string(),
            application: String::new(),
            client: None,
            began_us: now_us,
            transaction_us: None,
            query_us: None,
            changed_us: now_us,
            state: "idle",
            query: String::new(),
        };
        self.0.lock().insert(pid, Entry { activity, running: None, ending: CancellationToken::new() });
        Place { sessions: self.clone(), pid }
    }

    /// All of them, in the order of their numbers.
    pub fn all(&self) -> Vec<Activity> {
        self.0.lock().values().map(|entry| entry.activity.clone()).collect()
    }

    /// How many a user has.
    pub fn count_of(&self, user: &str) -> usize {
        self.0.lock().values().filter(|entry| entry.activity.user == user).count()
    }

    /// What one of them does.
    pub fn of(&self, pid: i32) -> Option<Activity> {
        self.0.lock().get(&pid).map(|entry| entry.activity.clone())
    }

    /// Cancels the statement that a session runs. False when there is no such session.
    pub fn cancel(&self, pid: i32) -> bool {
        let sessions = self.0.lock();
        let entry = sessions.get(&pid);
        if let Some(running) = entry.and_then(|entry| entry.running.as_ref()) {
            running.cancel();
        }
        entry.is_some()
    }

    /// Ends a session. False when there is none.
    pub fn terminate(&self, pid: i32) -> bool {
        self.0.lock().get(&pid).inspect(|entry| entry.ending.cancel()).is_some()
    }
}

/// A session's place among them.
pub(crate) struct Place {
    sessions: Sessions,
    pid: i32,
}

impl Place {
    /// A statement begins: others can cancel it.
    pub fn begins(&self, query: &str, application: String, token: CancellationToken, now_us: i64) {
        self.change(|entry| {
            entry.running = Some(token);
            let activity = &mut entry.activity;
            activity.transaction_us.get_or_insert(now_us);
            (activity.query_us, activity.changed_us, activity.state) = (Some(now_us), now_us, "active");
            activity.application = application;
            activity.query.clear();
            activity.query.push_str(&query[..query.floor_char_boundary(QUERY_BYTES_MAX)]);
        });
    }

    /// It has ended: a request to cancel it that comes late must not hit the next one.
    pub fn ends(&self) {
        self.change(|entry| entry.running = None);
    }

    /// The session waits for its client.
    pub fn rests(&self, state: &'static str, now_us: i64) {
        self.change(|entry| {
            entry.running = None;
            let activity = &mut entry.activity;
            (activity.state, activity.changed_us) = (state, now_us);
            if state == "idle" {
                activity.transaction_us = None;
            }
        });
    }

    /// Where the client is, and what ends its connection.
    pub fn connected(&self, client: Option<SocketAddr>, ending: CancellationToken) {
        self.change(|entry| (entry.activity.client, entry.ending) = (client, ending));
    }

    fn change(&self, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.sessions.0.lock().get_mut(&self.pid) {
            change(entry);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.sessions.0.lock().remove(&self.pid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_hits_the_running_statement_and_no_other() {
        let sessions = Sessions::default();
        assert!(!sessions.cancel(7) && !sessions.terminate(7));
        let place = sessions.open(7, "ann", 1);
        let (first, second) = (CancellationToken::new(), CancellationToken::new());
        assert!(sessions.cancel(7), "nothing runs, but the session is there");
        place.begins("SELECT 1", "app".to_string(), first.clone(), 2);
        assert!(sessions.cancel(7) && first.is_cancelled());
        place.ends();
        assert!(sessions.cancel(7));
        place.begins("SELECT 2", "app".to_string(), second.clone(), 3);
        assert!(!second.is_cancelled());
        let ending = CancellationToken::new();
        place.connected(None, ending.clone());
        assert!(sessions.terminate(7) && ending.is_cancelled() && !second.is_cancelled());
        drop(place);
        assert!(sessions.all().is_empty());
    }

    #[test]
    fn a_transaction_lasts_until_the_session_is_idle() {
        let sessions = Sessions::default();
        let place = sessions.open(7, "ann", 1);
        let long = "é".repeat(QUERY_BYTES_MAX);
        place.begins(&long, String::new(), CancellationToken::new(), 2);
        place.rests("idle in transaction", 3);
        place.begins("SELECT 2", String::new(), CancellationToken::new(), 4);
        let seen = sessions.of(7).unwrap();
        assert_eq!((seen.transaction_us, seen.query_us, seen.changed_us, seen.state), (Some(2), Some(4), 4, "active"));
        place.rests("idle", 5);
        let seen = sessions.of(7).unwrap();
        assert_eq!((seen.transaction_us, seen.query_us, seen.changed_us), (None, Some(4), 5));
        assert_eq!(seen.query, "SELECT 2", "the last statement stays to be seen");
        place.begins(&long, String::new(), CancellationToken::new(), 6);
        assert_eq!(sessions.of(7).unwrap().query.len(), QUERY_BYTES_MAX);
    }
}
