//! The audit: what was asked, by whom and from where, and how it ended, as lines of the log (`log_statement`).
//!
//! A line is written when the statement has been performed or refused; rows of a query may still be on their way. Passwords
//! and keys are blotted out, and parameters, which may hold some, are not told.

use super::Session;
use tidegate_core::Error;
use tidegate_parser::{Statement, redacted};

/// Tags of statements that change rows, and nothing else.
const ROWS: &[&str] = &["INSERT", "UPDATE", "DELETE", "MERGE", "COPY", "TRUNCATE TABLE", "UNLOAD"];
/// Tags of statements that change nothing that lasts.
const OF_SESSIONS: &[&str] = &[
    "BEGIN",
    "START TRANSACTION",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT",
    "RELEASE",
    "SET",
    "RESET",
    "SHOW",
    "DISCARD ALL",
    "PREPARE",
    "DEALLOCATE",
    "DECLARE CURSOR",
    "FETCH",
    "MOVE",
    "CLOSE CURSOR",
    "LISTEN",
    "UNLISTEN",
    "NOTIFY",
    "LOCK TABLE",
];

/// What `log_statement` tells of, each more than the one before it (Postgres).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// Definitions, users and rights.
    Ddl,
    /// Changes of rows.
    Mod,
    /// Everything.
    All,
}

/// A statement by the least that tells of it; one that cannot be read is told with everything.
fn class(statement: Option<&Statement>) -> Class {
    let Some(statement) = statement else { return Class::All };
    let tag = statement.command_tag();
    match statement.is_read_only() || OF_SESSIONS.contains(&tag.as_str()) {
        true => Class::All,
        false if ROWS.contains(&tag.as_str()) => Class::Mod,
        false => Class::Ddl,
    }
}

impl Session {
    /// Whether a statement is told.
    pub(super) fn is_audited(&self, statement: Option<&Statement>) -> bool {
        let told = match self.engine.settings().get("log_statement").as_str() {
            "ddl" => Class::Ddl,
            "mod" => Class::Mod,
            "all" => Class::All,
            _ => return false,
        };
        class(statement) <= told
    }

    /// Tells a statement.
    pub(super) fn tell(&self, text: &str, error: Option<&Error>) {
        let activity = self.engine.sessions().of(self.pid);
        let client = activity.as_ref().and_then(|activity| activity.client).map(|client| client.to_string());
        let began_us = activity.as_ref().and_then(|activity| activity.query_us);
        let now_us = self.engine.clock().now_us();
        tracing::info!(
            target: "tidegate::audit",
            pid = self.pid,
            user = self.user,
            role = self.role.as_ref().unwrap_or(&self.session_user),
            client = client.unwrap_or_default(),
            application = self.show("application_name").unwrap_or_default(),
            state = error.map_or("00000", |error| error.kind().sqlstate()),
            ms = began_us.map_or(0, |began_us| (now_us - began_us) / 1000),
            statement = redacted(text).as_ref(),
            "statement"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_with_what() {
        let cases = [
            ("SELECT 1", Class::All),
            ("EXPLAIN DELETE FROM t", Class::All),
            ("SET search_path = a", Class::All),
            ("BEGIN", Class::All),
            ("FETCH 1 FROM c", Class::All),
            ("INSERT INTO t VALUES (1)", Class::Mod),
            ("TRUNCATE t", Class::Mod),
            ("COPY t FROM STDIN", Class::Mod),
            ("COPY t TO STDOUT", Class::All),
            ("CREATE TABLE t (a int)", Class::Ddl),
            ("GRANT SELECT ON t TO u", Class::Ddl),
            ("CREATE USER u", Class::Ddl),
            ("ALTER SYSTEM SET auth = 'trust'", Class::Ddl),
        ];
        for (sql, expected) in cases {
            assert_eq!(class(tidegate_parser::parse_one(sql).ok().as_ref()), expected, "{sql}");
        }
        assert_eq!(class(None), Class::All);
    }
}
