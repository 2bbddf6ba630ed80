//! What a role grants by itself on what it makes (Postgres: `pg_default_acl`).

use crate::access::{AccessItem, Guarded, Rights, built_in, granted, revoked};
use crate::object::Oid;
use crate::state::State;
use crate::user::User;
use serde::{Deserialize, Serialize};

/// What a role has said of objects of a kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DefaultAccess {
    /// The schema that they are made in; None: any.
    pub schema: Option<Oid>,
    /// What they are.
    pub on: MadeKind,
    /// What is given beside what the kind has by default.
    pub granted: Vec<AccessItem>,
    /// What of that is taken: only where it is for any schema.
    pub revoked: Vec<AccessItem>,
}

/// Objects of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MadeKind {
    /// Tables, streams and views.
    Relations,
    /// Functions.
    Functions,
    /// Schemas.
    Schemas,
}

impl MadeKind {
    /// What ALL means.
    pub fn all(self) -> Rights {
        match self {
            MadeKind::Relations => {
                Rights::INSERT
                    | Rights::SELECT
                    | Rights::UPDATE
                    | Rights::DELETE
                    | Rights::TRUNCATE
                    | Rights::REFERENCES
                    | Rights::TRIGGER
            }
            MadeKind::Functions => Rights::EXECUTE,
            MadeKind::Schemas => Rights::USAGE | Rights::CREATE,
        }
    }

    /// What everybody has by default (Postgres 15).
    pub fn public(self) -> Rights {
        if self == MadeKind::Functions { Rights::EXECUTE } else { Rights::NONE }
    }

    /// The list of one of which nothing has been said.
    pub fn built_in(self, owner: Oid) -> Vec<AccessItem> {
        built_in(owner, self.all(), self.public())
    }

    /// The letter of `pg_default_acl.defaclobjtype`.
    pub fn letter(self) -> char {
        match self {
            MadeKind::Relations => 'r',
            MadeKind::Functions => 'f',
            MadeKind::Schemas => 'n',
        }
    }

    /// The word for one of them.
    pub fn noun(self) -> &'static str {
        match self {
            MadeKind::Relations => "relation",
            MadeKind::Functions => "function",
            MadeKind::Schemas => "schema",
        }
    }
}

impl DefaultAccess {
    /// Nothing yet.
    pub fn new(schema: Option<Oid>, on: MadeKind) -> DefaultAccess {
        DefaultAccess { schema, on, granted: Vec::new(), revoked: Vec::new() }
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.granted.is_empty() && self.revoked.is_empty()
    }

    /// Whether it speaks of a role.
    pub fn names(&self, role: Oid) -> bool {
        self.granted.iter().chain(&self.revoked).any(|item| item.grantee == role)
    }

    /// With rights given.
    pub fn grant(&mut self, item: AccessItem) {
        self.revoked = revoked(std::mem::take(&mut self.revoked), &item, true).unwrap_or_default();
        self.granted = granted(std::mem::take(&mut self.granted), item);
    }

    /// With rights taken: of what was given, and of what there is by default.
    pub fn revoke(&mut self, item: AccessItem) {
        self.granted = revoked(std::mem::take(&mut self.granted), &item, true).unwrap_or_default();
        if self.schema.is_none() && !item.rights.is_empty() {
            self.revoked = granted(std::mem::take(&mut self.revoked), item);
        }
    }

    /// A new object's list, changed by it.
    pub fn applied(&self, items: Vec<AccessItem>) -> Vec<AccessItem> {
        let left = self.revoked.iter().fold(items, |items, item| revoked(items, item, true).unwrap_or_default());
        self.granted.iter().cloned().fold(left, granted)
    }
}

impl State {
    /// The list that a new object gets from its owner's defaults; None: it needs none.
    pub fn made_access(&self, made: &Guarded<'_>) -> Option<Vec<AccessItem>> {
        let (on, schema) = match made {
            Guarded::Relation(relation) => (MadeKind::Relations, Some(relation.schema)),
            Guarded::Function(function) => (MadeKind::Functions, Some(function.schema)),
            Guarded::Schema(_) => (MadeKind::Schemas, None),
            Guarded::Credential(_) | Guarded::Database => return None,
        };
        let defaults = &self.get::<User>(made.owner())?.defaults;
        let concerns = |one: &&DefaultAccess| one.on == on && (one.schema.is_none() || one.schema == schema);
        if !defaults.iter().any(|one| concerns(&one)) {
            return None;
        }
        let before = made.defaults();
        // What is said of any schema comes first, as what is taken is taken of what there is by default.
        let everywhere = defaults.iter().filter(concerns).filter(|one| one.schema.is_none());
        let here = defaults.iter().filter(concerns).filter(|one| one.schema.is_some());
        let items = everywhere.chain(here).fold(before.clone(), |items, one| one.applied(items));
        (items != before).then_some(items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::EVERYBODY;

    const OWNER: Oid = 20_001;
    const ANN: Oid = 20_002;

    fn item(grantee: Oid, rights: Rights) -> AccessItem {
        AccessItem { grantee, grantor: OWNER, column: None, rights, grantable: Rights::NONE }
    }

    #[test]
    fn what_is_said_last_holds() {
        let mut said = DefaultAccess::new(None, MadeKind::Functions);
        said.revoke(item(EVERYBODY, Rights::EXECUTE));
        let built_in = vec![item(OWNER, Rights::EXECUTE), item(EVERYBODY, Rights::EXECUTE)];
        assert_eq!(said.applied(built_in.clone()), [item(OWNER, Rights::EXECUTE)]);
        said.grant(item(ANN, Rights::EXECUTE));
        assert_eq!(said.applied(built_in.clone()), [item(OWNER, Rights::EXECUTE), item(ANN, Rights::EXECUTE)]);
        said.grant(item(EVERYBODY, Rights::EXECUTE));
        said.revoke(item(ANN, Rights::EXECUTE));
        assert_eq!(said.applied(built_in.clone()), built_in);
    }

    #[test]
    fn in_a_schema_only_what_was_given_is_taken() {
        let mut said = DefaultAccess::new(Some(7), MadeKind::Functions);
        said.revoke(item(EVERYBODY, Rights::EXECUTE));
        assert!(said.is_empty());
        said.grant(item(ANN, Rights::EXECUTE));
        assert!(said.names(ANN) && !said.names(EVERYBODY));
        said.revoke(item(ANN, Rights::EXECUTE));
        assert!(said.is_empty());
    }
}
