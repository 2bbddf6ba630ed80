//! What the catalogs show: a plain copy of what one statement sees, taken when it is planned.

use crate::access::Asker;
use crate::last::LastTold;
use crate::notify::{Notifier, Outbox};
use crate::sessions::Sessions;
use std::sync::Arc;
use tidegate_catalog::{State, User};

/// Everything `pg_catalog` and `information_schema` say of a server, as one session sees it.
#[derive(Debug, Clone, Default)]
pub struct PgSnapshot {
    /// The database's name.
    pub database: String,
    /// Who asks.
    pub user: String,
    /// Its object id.
    pub user_oid: u32,
    /// Who has logged in.
    pub session_user: String,
    /// Whether a name that is no role's may do everything.
    pub trusted: bool,
    /// Where rights are looked up.
    pub state: Arc<State>,
    /// The session's number.
    pub pid: i32,
    /// The sessions that are open.
    pub sessions: Sessions,
    /// What the sessions listen to.
    pub notifier: Notifier,
    /// What the session's transaction sends when it commits.
    pub outbox: Arc<Outbox>,
    /// Tables of the system under Redshift's and our own names: schema and name.
    pub system: Arc<[(&'static str, &'static str)]>,
    /// What the session did last.
    pub last: LastTold,
    /// Schemas in which bare names are looked up.
    pub search_path: Vec<String>,
    /// Schemas; those of the system need not be among them.
    pub schemas: Vec<PgSchema>,
    /// Tables, external tables, streams and views.
    pub relations: Vec<PgRelation>,
    /// Functions that users have made.
    pub functions: Vec<PgFunction>,
    /// Users.
    pub roles: Vec<PgRole>,
    /// Name, value and description of each setting.
    pub settings: Vec<(String, String, String)>,
    /// What `version()` says.
    pub version: String,
}

/// A schema.
#[derive(Debug, Clone)]
pub struct PgSchema {
    /// Its object id.
    pub oid: u32,
    /// Its name.
    pub name: String,
    /// Object id of the role that owns it.
    pub owner: u32,
}

/// A table, external table, stream or view.
#[derive(Debug, Clone)]
pub struct PgRelation {
    /// Its object id.
    pub oid: u32,
    /// Object id of its schema.
    pub schema: u32,
    /// Its name.
    pub name: String,
    /// `r` for a table and a stream, `f` for an external table, `v` for a view.
    pub kind: char,
    /// Object id of the role that owns it.
    pub owner: u32,
    /// What COMMENT ON says of it.
    pub comment: Option<String>,
    /// Rows, as far as known; -1 when not.
    pub rows: i64,
    /// Columns in their order.
    pub columns: Vec<PgColumn>,
    /// Of a view: its query.
    pub definition: Option<String>,
    /// What is said of its rows.
    pub constraints: Vec<PgConstraint>,
}

/// A primary key, a unique or a foreign key.
#[derive(Debug, Clone)]
pub struct PgConstraint {
    /// Its object id, and that of a key's index.
    pub oid: i64,
    /// Its name.
    pub name: String,
    /// `p`, `u` or `f`.
    pub kind: char,
    /// Places of its columns, from 1.
    pub columns: Vec<i64>,
    /// Of a foreign key: the other relation, and the places of its columns.
    pub foreign: Option<(u32, Vec<i64>)>,
}

impl PgConstraint {
    /// Whether it is a primary or a unique key, which has an index in Postgres' eyes.
    pub(super) fn is_key(&self) -> bool {
        self.kind != 'f'
    }
}

/// A column of a relation.
#[derive(Debug, Clone)]
pub struct PgColumn {
    /// Its name.
    pub name: String,
    /// Its name in files, by which rights to it are kept.
    pub in_files: String,
    /// Object id of its type.
    pub type_oid: u32,
    /// The type's modifier, -1 for none.
    pub typmod: i32,
    /// Whether NULL is refused.
    pub not_null: bool,
    /// The default's text.
    pub default: Option<String>,
    /// What COMMENT ON says of it.
    pub comment: Option<String>,
    /// Of an identity column: first value, step, and whether values may be given.
    pub identity: Option<(i64, i64, bool)>,
}

/// A function that a user has made.
#[derive(Debug, Clone)]
pub struct PgFunction {
    /// Its object id.
    pub oid: u32,
    /// Object id of its schema.
    pub schema: u32,
    /// The name that it is called by.
    pub name: String,
    /// Object id of the role that owns it.
    pub owner: u32,
    /// Names, where they have one, and object ids of the types of its arguments.
    pub arguments: Vec<(Option<String>, u32)>,
    /// Object id of its result's type.
    pub result: u32,
    /// `i`, `s` or `v`.
    pub volatility: char,
    /// Its body.
    pub source: String,
}

/// A user.
#[derive(Debug, Clone)]
pub struct PgRole {
    /// Its object id.
    pub oid: u32,
    /// Its name.
    pub name: String,
    /// Whether it may do everything.
    pub superuser: bool,
    /// Whether no policy counts for it.
    pub bypasses_policies: bool,
    /// Whether it can log in.
    pub login: bool,
    /// How many sessions it may have; -1: any number.
    pub connections_max: i64,
    /// When its password ends, in microseconds since 1970.
    pub valid_until_us: Option<i64>,
}

impl PgSnapshot {
    /// Who asks.
    pub(super) fn asker(&self) -> Asker {
        Asker::of(&self.state, self.state.named::<User>(&self.user), self.trusted)
    }

    /// The schema of an object id.
    pub(super) fn schema(&self, oid: u32) -> Option<&PgSchema> {
        self.schemas.iter().find(|schema| schema.oid == oid)
    }

    /// The relation of an object id.
    pub(super) fn relation(&self, oid: u32) -> Option<&PgRelation> {
        self.relations.iter().find(|relation| relation.oid == oid)
    }

    /// The function of an object id.
    pub(super) fn function(&self, oid: u32) -> Option<&PgFunction> {
        self.functions.iter().find(|function| function.oid == oid)
    }

    /// The role of an object id.
    pub(super) fn role(&self, oid: u32) -> Option<&PgRole> {
        self.roles.iter().find(|role| role.oid == oid)
    }

    /// The value of a setting.
    pub(super) fn setting(&self, name: &str) -> Option<&str> {
        let found = self.settings.iter().find(|(known, _, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value, _)| value.as_str())
    }
}
