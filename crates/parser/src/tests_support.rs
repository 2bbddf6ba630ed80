//! What the tests of statements share.

use tidegate_core::Kind;

use crate::{Statement, parse_one};

/// Parses what must be one correct statement.
pub(crate) fn one(sql: &str) -> Statement {
    parse_one(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"))
}

/// Checks errors: statement, kind, position, message.
pub(crate) fn check_errors(cases: &[(&str, Kind, usize, &str)]) {
    for (sql, kind, position, message) in cases {
        let error = parse_one(sql).expect_err(sql);
        assert_eq!((error.message(), error.kind(), error.position()), (*message, *kind, Some(*position)), "{sql}");
    }
}
