//! The one error type of the server: what happened, to which object, and what to do about it.
//!
//! A [`Kind`] is what callers branch on. Each edge maps it once: the SQL port by [`Kind::sqlstate`], the HTTP port by
//! its own table of AWS codes.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What went wrong, in the terms that a caller can act on. Each maps to one SQLSTATE (Postgres, appendix A).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Kind {
    /// 42601: the text is not SQL.
    Syntax,
    /// 0A000: understood, and not offered.
    Unsupported,
    /// 42P01: no such table, stream or view.
    UndefinedTable,
    /// 42703: no such column.
    UndefinedColumn,
    /// 42702: a bare name that could be of two tables.
    AmbiguousColumn,
    /// 42883: no such function or operator.
    UndefinedFunction,
    /// 42704: no such object of another kind (delivery, credential, type, setting).
    UndefinedObject,
    /// 3F000: no such schema.
    UndefinedSchema,
    /// 3D000: no such database.
    UndefinedDatabase,
    /// 42P07: a relation of that name is there already.
    DuplicateTable,
    /// 42710: an object of that name is there already.
    DuplicateObject,
    /// 42P06: a schema of that name is there already.
    DuplicateSchema,
    /// 42701: a column is named twice.
    DuplicateColumn,
    /// 42622: a name has more bytes than names may have.
    NameTooLong,
    /// 22004: NULL where none may be.
    NullNotAllowed,
    /// 2202E: an array has no such place, or another number of items.
    ArraySubscript,
    /// 22P05: a letter that a text cannot hold.
    UntranslatableCharacter,
    /// 42611: a column's definition contradicts itself.
    InvalidColumnDefinition,
    /// 428C9: a value is given to a column whose values are generated.
    GeneratedAlways,
    /// 42809: the object is of another kind than the statement needs.
    WrongObjectType,
    /// 42P16: a table, stream or delivery definition makes no sense.
    InvalidDefinition,
    /// 42P17: an object's definition contradicts itself.
    InvalidObjectDefinition,
    /// 42804: types do not go together.
    DatatypeMismatch,
    /// 2BP01: others depend on the object.
    DependentObjects,
    /// 22P02: the text does not read as the type.
    InvalidText,
    /// 22023: a parameter's value is out of its range.
    InvalidParameter,
    /// 22007: not a date or time as it is spelled.
    DatetimeFormat,
    /// 22008: no such day, or beyond what can be held.
    DatetimeOverflow,
    /// 22015: an interval is longer than can be held.
    IntervalOverflow,
    /// 22009: a zone is further from Greenwich than any.
    InvalidDisplacement,
    /// 22025: the character that escapes in a pattern is none.
    InvalidEscape,
    /// 22003: a number is out of its type's range.
    OutOfRange,
    /// 22012: division by zero.
    DivisionByZero,
    /// 22001: a string is too long for its type.
    StringTooLong,
    /// 22P04: a COPY file or stream is malformed.
    BadCopyFormat,
    /// 23502: NULL in a NOT NULL column.
    NotNullViolation,
    /// 21000: more than one row where one is allowed.
    Cardinality,
    /// 40001: another transaction was first; run it again.
    Conflict,
    /// 40P01: transactions wait for each other in a circle; run this one again.
    Deadlock,
    /// 55P03: another transaction has the table, and this one does not wait, or no longer.
    LockNotAvailable,
    /// 25P01 is a warning in Postgres; here: the statement needs a transaction block.
    NoTransaction,
    /// 25001: the statement cannot run inside a transaction block.
    ActiveTransaction,
    /// 25P02: the transaction has failed; only ROLLBACK is accepted.
    FailedTransaction,
    /// 57014: cancelled by the user or by statement_timeout.
    Cancelled,
    /// 57P01: the server is shutting down.
    Shutdown,
    /// 53200: over a memory limit.
    OutOfMemory,
    /// 53100: no space left on disk.
    DiskFull,
    /// 53400: over a named maximum of the configuration.
    LimitExceeded,
    /// 53300: a user has as many sessions as it may have.
    TooManyConnections,
    /// 54000: larger than what one statement or object may be.
    ProgramLimit,
    /// 58030: a read, write or sync failed.
    Io,
    /// 58P01: no such file, object or bucket.
    UndefinedFile,
    /// XX001: what lies on disk is damaged.
    DataCorrupted,
    /// 28P01: wrong password.
    InvalidPassword,
    /// 28000: this user may not connect so.
    InvalidAuthorization,
    /// 42501: not allowed.
    InsufficientPrivilege,
    /// 25006: the transaction only reads.
    ReadOnlyTransaction,
    /// 0LP01: what cannot be granted, or not to this role.
    InvalidGrant,
    /// 2BP01: others were granted what would be revoked.
    DependentPrivileges,
    /// 08P01: the client broke the protocol.
    Protocol,
    /// 26000: no such prepared statement.
    UndefinedStatement,
    /// 34000: no such portal or cursor.
    UndefinedCursor,
    /// 3B001: no such savepoint.
    UndefinedSavepoint,
    /// 42P03: a cursor of that name is there already.
    DuplicateCursor,
    /// 42803: a column stands neither in GROUP BY nor in an aggregate.
    Grouping,
    /// 55000: the object is not in a state for this.
    NotInState,
    /// 38000: a remote service answered with an error.
    External,
    /// XX000: a fault of ours.
    Internal,
}

impl Kind {
    /// The five letters that a Postgres client sees.
    pub fn sqlstate(self) -> &'static str {
        match self {
            Kind::Syntax => "42601",
            Kind::Unsupported => "0A000",
            Kind::UndefinedTable => "42P01",
            Kind::UndefinedColumn => "42703",
            Kind::AmbiguousColumn => "42702",
            Kind::UndefinedFunction => "42883",
            Kind::UndefinedObject => "42704",
            Kind::UndefinedSchema => "3F000",
            Kind::UndefinedDatabase => "3D000",
            Kind::DuplicateTable => "42P07",
            Kind::DuplicateObject => "42710",
            Kind::DuplicateSchema => "42P06",
            Kind::DuplicateColumn => "42701",
            Kind::NameTooLong => "42622",
            Kind::NullNotAllowed => "22004",
            Kind::ArraySubscript => "2202E",
            Kind::UntranslatableCharacter => "22P05",
            Kind::InvalidColumnDefinition => "42611",
            Kind::GeneratedAlways => "428C9",
            Kind::WrongObjectType => "42809",
            Kind::InvalidDefinition => "42P16",
            Kind::InvalidObjectDefinition => "42P17",
            Kind::DatatypeMismatch => "42804",
            Kind::DependentObjects => "2BP01",
            Kind::InvalidText => "22P02",
            Kind::InvalidParameter => "22023",
            Kind::DatetimeFormat => "22007",
            Kind::DatetimeOverflow => "22008",
            Kind::IntervalOverflow => "22015",
            Kind::InvalidDisplacement => "22009",
            Kind::InvalidEscape => "22025",
            Kind::OutOfRange => "22003",
            Kind::DivisionByZero => "22012",
            Kind::StringTooLong => "22001",
            Kind::BadCopyFormat => "22P04",
            Kind::NotNullViolation => "23502",
            Kind::Cardinality => "21000",
            Kind::Conflict => "40001",
            Kind::Deadlock => "40P01",
            Kind::LockNotAvailable => "55P03",
            Kind::NoTransaction => "25P01",
            Kind::ActiveTransaction => "25001",
            Kind::FailedTransaction => "25P02",
            Kind::Cancelled => "57014",
            Kind::Shutdown => "57P01",
            Kind::OutOfMemory => "53200",
            Kind::DiskFull => "53100",
            Kind::LimitExceeded => "53400",
            Kind::TooManyConnections => "53300",
            Kind::ProgramLimit => "54000",
            Kind::Io => "58030",
            Kind::UndefinedFile => "58P01",
            Kind::DataCorrupted => "XX001",
            Kind::InvalidPassword => "28P01",
            Kind::InvalidAuthorization => "28000",
            Kind::InsufficientPrivilege => "42501",
            Kind::ReadOnlyTransaction => "25006",
            Kind::InvalidGrant => "0LP01",
            Kind::DependentPrivileges => "2BP01",
            Kind::Protocol => "08P01",
            Kind::UndefinedStatement => "26000",
            Kind::UndefinedCursor => "34000",
            Kind::UndefinedSavepoint => "3B001",
            Kind::DuplicateCursor => "42P03",
            Kind::Grouping => "42803",
            Kind::NotInState => "55000",
            Kind::External => "38000",
            Kind::Internal => "XX000",
        }
    }
}

/// An error as a person reads it. Cheap to move: one pointer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Error(Box<Body>);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Body {
    kind: Kind,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
    position: Option<usize>,
}

/// `Result` with the server's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of a kind, with a sentence that names the object and the place.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error(Box::new(Body { kind, message: message.into(), detail: None, hint: None, position: None }))
    }

    /// A fault of ours: what should not have been possible.
    pub fn internal(message: impl fmt::Display) -> Self {
        Self::new(Kind::Internal, message.to_string())
    }

    /// Says what to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds the facts behind the message.
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Where in the statement's text, in characters from 1, as Postgres counts.
    pub fn at(mut self, position: usize) -> Self {
        self.0.position = Some(position);
        self
    }

    /// Puts words in front of the message: the object that was worked on.
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.0.message = format!("{context}: {}", self.0.message);
        self
    }

    /// What callers branch on.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The sentence itself.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What to do about it.
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The facts behind the message.
    pub fn detail_text(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    /// Character in the statement, from 1.
    pub fn position(&self) -> Option<usize> {
        self.0.position
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        let kind = match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Kind::DiskFull,
            std::io::ErrorKind::NotFound => Kind::UndefinedFile,
            _ => Kind::Io,
        };
        Error::new(kind, error.to_string())
    }
}
