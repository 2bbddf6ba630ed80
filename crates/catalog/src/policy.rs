//! Row-level security, as in Postgres: policies say which rows of a relation a role sees, and which it may make.

use crate::access::EVERYBODY;
use crate::object::{Object, Oid};
use crate::state::State;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Whether policies count for a relation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowSecurity {
    /// ENABLE ROW LEVEL SECURITY: for all but the owner.
    pub enabled: bool,
    /// FORCE ROW LEVEL SECURITY: for the owner, too.
    pub forced: bool,
}

impl RowSecurity {
    /// Whether nothing was said.
    pub fn is_none(&self) -> bool {
        *self == RowSecurity::default()
    }
}

/// A policy of a relation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Its number.
    pub oid: Oid,
    /// Its name, unique for the relation.
    pub name: String,
    /// Counts its changes.
    pub revision: u64,
    /// The relation.
    pub relation: Oid,
    /// What it concerns.
    pub command: PolicyCommand,
    /// AS PERMISSIVE, rather than RESTRICTIVE.
    pub permissive: bool,
    /// Whom it concerns; [`EVERYBODY`] stands for PUBLIC.
    pub roles: Vec<Oid>,
    /// USING: the rows that are seen, as text.
    pub using: Option<String>,
    /// WITH CHECK: the rows that may be made; None: those of USING.
    pub check: Option<String>,
    /// search_path when it was made: names in it are looked up so for ever.
    pub search_path: Vec<String>,
}

/// What a policy concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PolicyCommand {
    /// Everything.
    All,
    /// Rows that are read.
    Select,
    /// Rows that are added.
    Insert,
    /// Rows that are changed.
    Update,
    /// Rows that are removed.
    Delete,
}

impl PolicyCommand {
    /// The letter of `pg_policy.polcmd`.
    pub fn letter(self) -> char {
        match self {
            PolicyCommand::All => '*',
            PolicyCommand::Select => 'r',
            PolicyCommand::Insert => 'a',
            PolicyCommand::Update => 'w',
            PolicyCommand::Delete => 'd',
        }
    }

    /// The word of `pg_policies.cmd`.
    pub fn word(self) -> &'static str {
        match self {
            PolicyCommand::All => "ALL",
            PolicyCommand::Select => "SELECT",
            PolicyCommand::Insert => "INSERT",
            PolicyCommand::Update => "UPDATE",
            PolicyCommand::Delete => "DELETE",
        }
    }
}

impl Policy {
    /// Whether it concerns a command of someone who has these roles.
    pub fn concerns(&self, command: PolicyCommand, roles: &BTreeSet<Oid>) -> bool {
        let commands = [PolicyCommand::All, command];
        commands.contains(&self.command) && self.roles.iter().any(|role| *role == EVERYBODY || roles.contains(role))
    }

    /// What holds for the rows that may be made.
    pub fn made(&self) -> Option<&str> {
        self.check.as_deref().or(self.using.as_deref())
    }
}

impl State {
    /// The policies of a relation, by their names.
    pub fn policies(&self, relation: Oid) -> impl Iterator<Item = &Policy> {
        self.owned_by(relation).filter_map(|object| match object.as_ref() {
            Object::Policy(policy) => Some(policy),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(permissive: bool, using: Option<&str>, check: Option<&str>) -> Policy {
        let text = |text: Option<&str>| text.map(str::to_string);
        Policy {
            oid: 1,
            name: "p".to_string(),
            revision: 1,
            relation: 2,
            command: PolicyCommand::Update,
            permissive,
            roles: vec![7],
            using: text(using),
            check: text(check),
            search_path: Vec::new(),
        }
    }

    #[test]
    fn whom_they_concern() {
        let one = policy(true, Some("a"), Some("b"));
        let cases =
            [(PolicyCommand::Update, 7, true), (PolicyCommand::Update, 8, false), (PolicyCommand::Select, 7, false)];
        for (command, role, expected) in cases {
            assert_eq!(one.concerns(command, &BTreeSet::from([role])), expected, "{command:?} {role}");
        }
        let all = Policy { command: PolicyCommand::All, roles: vec![EVERYBODY], ..one.clone() };
        assert!(all.concerns(PolicyCommand::Insert, &BTreeSet::new()));
        assert_eq!((one.made(), policy(true, Some("a"), None).made()), (Some("b"), Some("a")));
    }
}
