//! Users, which are roles and groups, too.

use crate::access::Membership;
use crate::default_access::DefaultAccess;
use crate::object::Oid;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Someone who may log in.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// Their number.
    pub oid: Oid,
    /// Their name.
    pub name: String,
    /// Counts the changes.
    pub revision: u64,
    /// May do everything.
    pub superuser: bool,
    /// BYPASSRLS: sees and makes all rows, whatever policies say.
    #[serde(default, skip_serializing_if = "no")]
    pub bypasses_policies: bool,
    /// May log in; a role without it is for others to be members of.
    #[serde(default = "yes")]
    pub login: bool,
    /// What is kept of the password, as a [`Verifier`](crate::Verifier) is written; None cannot log in where a password is
    /// asked for.
    #[serde(default)]
    pub password: Option<String>,
    /// VALID UNTIL: when the password ends, in microseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until_us: Option<i64>,
    /// CONNECTION LIMIT: how many sessions it may have at one time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections_max: Option<u32>,
    /// The roles whose rights it has.
    #[serde(default)]
    pub member_of: Vec<Membership>,
    /// What it grants by itself on what it makes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub defaults: Vec<DefaultAccess>,
}

impl User {
    /// One who may log in, and nothing else.
    pub fn new(oid: Oid, name: impl Into<String>) -> User {
        User {
            oid,
            name: name.into(),
            revision: 1,
            superuser: false,
            bypasses_policies: false,
            login: true,
            password: None,
            valid_until_us: None,
            connections_max: None,
            member_of: Vec::new(),
            defaults: Vec::new(),
        }
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("name", &self.name).field("superuser", &self.superuser).finish_non_exhaustive()
    }
}

/// Left out of frames.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn no(value: &bool) -> bool {
    !value
}

/// Users of frames that do not tell could all log in.
fn yes() -> bool {
    true
}
