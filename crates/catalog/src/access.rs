//! Who may do what with which object: rights, the lists of who has them, and who has the rights of whom.
//!
//! As in Postgres an object without a list has its kind's defaults: all for its owner, and for everybody what
//! [`Guarded::public`] says. With the first GRANT or REVOKE the defaults become a list, and the list is all there is.

use crate::default_access::MadeKind;
use crate::function::Function;
use crate::object::{ADMIN, Credential, Object, Oid, PUBLIC, Relation, Schema, Space};
use crate::state::State;
use crate::user::User;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{BitAnd, BitOr, Sub};

/// The number that stands for everybody in lists (Postgres).
pub const EVERYBODY: Oid = 0;
/// The object id of the one database.
pub const DATABASE_OID: Oid = 5;

/// A set of rights.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rights(u16);

/// Each right, its letter in Postgres' lists and its word; in the order in which Postgres writes the letters.
const WORDS: &[(Rights, char, &str)] = &[
    (Rights::INSERT, 'a', "INSERT"),
    (Rights::SELECT, 'r', "SELECT"),
    (Rights::UPDATE, 'w', "UPDATE"),
    (Rights::DELETE, 'd', "DELETE"),
    (Rights::TRUNCATE, 'D', "TRUNCATE"),
    (Rights::REFERENCES, 'x', "REFERENCES"),
    (Rights::TRIGGER, 't', "TRIGGER"),
    (Rights::EXECUTE, 'X', "EXECUTE"),
    (Rights::USAGE, 'U', "USAGE"),
    (Rights::CREATE, 'C', "CREATE"),
    (Rights::TEMPORARY, 'T', "TEMPORARY"),
    (Rights::CONNECT, 'c', "CONNECT"),
    (Rights::ALTER, 'A', "ALTER"),
    (Rights::DROP, 'P', "DROP"),
];

impl Rights {
    /// None at all.
    pub const NONE: Rights = Rights(0);
    /// Add rows.
    pub const INSERT: Rights = Rights(1);
    /// Read rows.
    pub const SELECT: Rights = Rights(1 << 1);
    /// Change rows.
    pub const UPDATE: Rights = Rights(1 << 2);
    /// Remove rows.
    pub const DELETE: Rights = Rights(1 << 3);
    /// Remove all rows at once.
    pub const TRUNCATE: Rights = Rights(1 << 4);
    /// Refer to it by a foreign key.
    pub const REFERENCES: Rights = Rights(1 << 5);
    /// Make triggers, which there are none of.
    pub const TRIGGER: Rights = Rights(1 << 6);
    /// Call it.
    pub const EXECUTE: Rights = Rights(1 << 7);
    /// Look up what is in it; of a credential: reach what it opens.
    pub const USAGE: Rights = Rights(1 << 8);
    /// Make objects in it.
    pub const CREATE: Rights = Rights(1 << 9);
    /// Make temporary tables.
    pub const TEMPORARY: Rights = Rights(1 << 10);
    /// Log in to it.
    pub const CONNECT: Rights = Rights(1 << 11);
    /// Change its definition (Redshift).
    pub const ALTER: Rights = Rights(1 << 12);
    /// Drop it (Redshift).
    pub const DROP: Rights = Rights(1 << 13);

    /// Whether all of these are among them.
    pub fn has(self, rights: Rights) -> bool {
        self & rights == rights
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self == Rights::NONE
    }

    /// The right of a word; `TEMP` is TEMPORARY.
    pub fn of_word(word: &str) -> Option<Rights> {
        let word = if word.eq_ignore_ascii_case("TEMP") { "TEMPORARY" } else { word };
        WORDS.iter().find(|(_, _, known)| known.eq_ignore_ascii_case(word)).map(|(right, _, _)| *right)
    }

    /// Each of them by itself, with its letter and its word.
    pub fn each(self) -> impl Iterator<Item = (Rights, char, &'static str)> {
        WORDS.iter().filter(move |(right, _, _)| self.has(*right)).copied()
    }
}

impl BitOr for Rights {
    type Output = Rights;
    fn bitor(self, other: Rights) -> Rights {
        Rights(self.0 | other.0)
    }
}

impl BitAnd for Rights {
    type Output = Rights;
    fn bitand(self, other: Rights) -> Rights {
        Rights(self.0 & other.0)
    }
}

impl Sub for Rights {
    type Output = Rights;
    fn sub(self, other: Rights) -> Rights {
        Rights(self.0 & !other.0)
    }
}

/// Who has the rights of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The role.
    pub role: Oid,
    /// Who granted it.
    pub grantor: Oid,
    /// WITH ADMIN OPTION: may grant it to others.
    pub admin: bool,
}

/// What one role was granted by another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessItem {
    /// Who has the rights; [`EVERYBODY`].
    pub grantee: Oid,
    /// Who gave them.
    pub grantor: Oid,
    /// The column that they are for, by its name in files; None: the whole object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// The rights.
    pub rights: Rights,
    /// Those that may be granted on.
    pub grantable: Rights,
}

/// Who may do what with an object whose defaults have been changed. It goes with its object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AccessList {
    /// Its number.
    pub oid: Oid,
    /// Always empty: an object has one list.
    pub name: String,
    /// Counts its changes.
    pub revision: u64,
    /// The object.
    pub object: Oid,
    /// Who may do what.
    pub items: Vec<AccessItem>,
}

/// An object that rights can be had on.
#[derive(Debug, Clone, Copy)]
pub enum Guarded<'a> {
    /// A table, stream, external table or view.
    Relation(&'a Relation),
    /// A schema.
    Schema(&'a Schema),
    /// A function.
    Function(&'a Function),
    /// Keys of a remote service.
    Credential(&'a Credential),
    /// The one database.
    Database,
}

impl<'a> Guarded<'a> {
    /// The object as one that rights can be had on. None: there are none on its kind.
    pub fn of(object: &'a Object) -> Option<Guarded<'a>> {
        match object {
            Object::Relation(relation) => Some(Guarded::Relation(relation)),
            Object::Schema(schema) => Some(Guarded::Schema(schema)),
            Object::Function(function) => Some(Guarded::Function(function)),
            Object::Credential(credential) => Some(Guarded::Credential(credential)),
            _ => None,
        }
    }

    /// Its number.
    pub fn oid(&self) -> Oid {
        match self {
            Guarded::Relation(relation) => relation.oid,
            Guarded::Schema(schema) => schema.oid,
            Guarded::Function(function) => function.oid,
            Guarded::Credential(credential) => credential.oid,
            Guarded::Database => DATABASE_OID,
        }
    }

    /// Who owns it.
    pub fn owner(&self) -> Oid {
        match self {
            Guarded::Relation(relation) => relation.owner,
            Guarded::Schema(schema) => schema.owner,
            Guarded::Function(function) => function.owner,
            Guarded::Credential(_) | Guarded::Database => ADMIN,
        }
    }

    /// The word for it in messages.
    pub fn noun(&self) -> &'static str {
        match self {
            Guarded::Relation(relation) => relation.kind.noun(),
            Guarded::Schema(_) => "schema",
            Guarded::Function(_) => "function",
            Guarded::Credential(_) => "credential",
            Guarded::Database => "database",
        }
    }

    /// Its name in messages.
    pub fn name(&self) -> &'a str {
        match self {
            Guarded::Relation(relation) => &relation.name,
            Guarded::Schema(schema) => &schema.name,
            Guarded::Function(function) => &function.called,
            Guarded::Credential(credential) => &credential.name,
            Guarded::Database => "dev",
        }
    }

    /// What ALL means.
    pub fn all(&self) -> Rights {
        match self {
            Guarded::Relation(_) => MadeKind::Relations.all(),
            Guarded::Schema(_) => MadeKind::Schemas.all(),
            Guarded::Function(_) => MadeKind::Functions.all(),
            Guarded::Credential(_) => Rights::USAGE,
            Guarded::Database => Rights::CREATE | Rights::TEMPORARY | Rights::CONNECT,
        }
    }

    /// What can be granted: ALL, and Redshift's ALTER and DROP, which only an owner has otherwise.
    pub fn grantable(&self) -> Rights {
        match self {
            Guarded::Relation(_) => self.all() | Rights::ALTER | Rights::DROP,
            _ => self.all(),
        }
    }

    /// What can be granted on a column.
    pub fn on_column() -> Rights {
        Rights::INSERT | Rights::SELECT | Rights::UPDATE | Rights::REFERENCES
    }

    /// What everybody has by default (Postgres 15).
    pub fn public(&self) -> Rights {
        match self {
            Guarded::Function(_) => MadeKind::Functions.public(),
            Guarded::Schema(schema) if schema.oid == PUBLIC => Rights::USAGE,
            Guarded::Database => Rights::TEMPORARY | Rights::CONNECT,
            _ => Rights::NONE,
        }
    }

    /// The list of one of which nothing has been said.
    pub(crate) fn defaults(&self) -> Vec<AccessItem> {
        built_in(self.owner(), self.all(), self.public())
    }
}

/// All for an owner, and what everybody has.
pub(crate) fn built_in(owner: Oid, all: Rights, public: Rights) -> Vec<AccessItem> {
    let whole = |grantee, rights| AccessItem { grantee, grantor: owner, column: None, rights, grantable: Rights::NONE };
    let public = (!public.is_empty()).then(|| whole(EVERYBODY, public));
    [whole(owner, all)].into_iter().chain(public).collect()
}

impl State {
    /// The list of an object, if its defaults have been changed.
    pub fn access_list(&self, object: Oid) -> Option<&AccessList> {
        match self.find(Space::AccessList(object), "")?.as_ref() {
            Object::AccessList(list) => Some(list),
            _ => None,
        }
    }

    /// Who may do what with an object.
    pub fn access_items(&self, guarded: &Guarded<'_>) -> Cow<'_, [AccessItem]> {
        match self.access_list(guarded.oid()) {
            Some(list) => Cow::Borrowed(&list.items),
            None => Cow::Owned(guarded.defaults()),
        }
    }

    /// The roles whose rights a role has: itself, those that it is a member of at any remove, and [`EVERYBODY`].
    pub fn roles_of(&self, role: Oid) -> BTreeSet<Oid> {
        let mut roles = BTreeSet::from([EVERYBODY]);
        let mut open = vec![role];
        while let Some(role) = open.pop() {
            if roles.insert(role) {
                let memberships = self.get::<User>(role).into_iter().flat_map(|user| &user.member_of);
                open.extend(memberships.map(|membership| membership.role));
            }
        }
        roles
    }

    /// What roles may do with an object as a whole.
    pub fn rights(&self, roles: &BTreeSet<Oid>, guarded: &Guarded<'_>) -> Rights {
        let items = self.access_items(guarded);
        let whole = items.iter().filter(|item| item.column.is_none() && roles.contains(&item.grantee));
        whole.fold(Rights::NONE, |rights, item| rights | item.rights)
    }

    /// What they may do with each column of a relation beside that, by the columns' names in files.
    pub fn column_rights(&self, roles: &BTreeSet<Oid>, relation: &Relation) -> BTreeMap<&str, Rights> {
        let items = self.access_list(relation.oid).into_iter().flat_map(|list| &list.items);
        let mut rights: BTreeMap<&str, Rights> = BTreeMap::new();
        for item in items.filter(|item| roles.contains(&item.grantee)) {
            if let Some(column) = &item.column {
                let known = rights.entry(column).or_default();
                *known = *known | item.rights;
            }
        }
        rights
    }

    /// What roles may grant on an object, or on a column of it. Its owner may grant all.
    pub fn grant_options(&self, roles: &BTreeSet<Oid>, guarded: &Guarded<'_>, column: Option<&str>) -> Rights {
        if roles.contains(&guarded.owner()) {
            return guarded.grantable();
        }
        let items = self.access_items(guarded);
        let concerns = |item: &&AccessItem| item.column.is_none() || item.column.as_deref() == column;
        let theirs = items.iter().filter(concerns).filter(|item| roles.contains(&item.grantee));
        theirs.fold(Rights::NONE, |rights, item| rights | item.grantable)
    }
}

/// A list with rights given. `item` says to whom, by whom, on what.
pub fn granted(mut items: Vec<AccessItem>, item: AccessItem) -> Vec<AccessItem> {
    let same = |known: &&mut AccessItem| {
        (known.grantee, known.grantor, &known.column) == (item.grantee, item.grantor, &item.column)
    };
    match items.iter_mut().find(same) {
        Some(known) => {
            known.rights = known.rights | item.rights;
            known.grantable = known.grantable | item.grantable;
        }
        None => items.push(item),
    }
    items
}

/// A list with rights taken: those of `item`, and the option to grant on those of `item.grantable`. None: others depend on
/// what is taken, and may not go with it. Whose option goes, their grants go too.
pub fn revoked(mut items: Vec<AccessItem>, item: &AccessItem, cascade: bool) -> Option<Vec<AccessItem>> {
    let option = item.grantable | item.rights;
    let mut lost = Rights::NONE;
    for known in &mut items {
        // What is taken from the whole is taken from its columns, as in Postgres.
        let covered = item.column.is_none() || known.column == item.column;
        if covered && (known.grantee, known.grantor) == (item.grantee, item.grantor) {
            lost = lost | (known.grantable & option);
            known.rights = known.rights - item.rights;
            known.grantable = known.grantable - option;
        }
    }
    items.retain(|known| !known.rights.is_empty());
    let still = items.iter().filter(|known| known.grantee == item.grantee);
    let lost = still.fold(lost, |lost, known| lost - known.grantable);
    let depends = |known: &&AccessItem| known.grantor == item.grantee && !(known.rights & lost).is_empty();
    let dependents: Vec<AccessItem> = items.iter().filter(depends).cloned().collect();
    if !dependents.is_empty() && !cascade {
        return None;
    }
    dependents.into_iter().try_fold(items, |items, known| {
        let gone = AccessItem { rights: known.rights & lost, grantable: known.grantable & lost, ..known };
        revoked(items, &gone, true)
    })
}

/// A list whose object has another owner: what the one before had and gave is the new one's.
pub fn handed_over(items: Vec<AccessItem>, from: Oid, to: Oid) -> Vec<AccessItem> {
    let now = |role| if role == from { to } else { role };
    items.into_iter().fold(Vec::new(), |items, item| {
        granted(items, AccessItem { grantee: now(item.grantee), grantor: now(item.grantor), ..item })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Change;
    use std::sync::Arc;

    const OWNER: Oid = 20_001;
    const ANN: Oid = 20_002;
    const BOB: Oid = 20_003;
    const READERS: Oid = 20_004;

    fn item(grantee: Oid, grantor: Oid, rights: Rights, grantable: Rights) -> AccessItem {
        AccessItem { grantee, grantor, column: None, rights, grantable }
    }

    fn user(oid: Oid, member_of: &[Oid]) -> User {
        let member_of = member_of.iter().map(|role| Membership { role: *role, grantor: ADMIN, admin: false }).collect();
        User { name: oid.to_string(), member_of, ..User::new(oid, "") }
    }

    #[test]
    fn words_and_letters() {
        for (right, _, word) in WORDS {
            assert_eq!(Rights::of_word(&word.to_lowercase()), Some(*right));
        }
        let letters: String = (Rights::SELECT | Rights::INSERT | Rights::USAGE).each().map(|(_, c, _)| c).collect();
        assert_eq!((letters.as_str(), Rights::of_word("temp")), ("arU", Some(Rights::TEMPORARY)));
    }

    #[test]
    fn what_is_granted_on_goes_with_its_grantor() {
        let (select, insert) = (Rights::SELECT, Rights::INSERT);
        let items = granted(Vec::new(), item(ANN, OWNER, select | insert, select));
        let items = granted(items, item(BOB, ANN, select, Rights::NONE));
        let all = item(ANN, OWNER, select, Rights::NONE);
        assert_eq!(revoked(items.clone(), &all, false), None);
        let left = revoked(items.clone(), &all, true).unwrap();
        assert_eq!(left, [item(ANN, OWNER, insert, Rights::NONE)]);
        // Only the option goes, and what was built on it.
        let option = item(ANN, OWNER, Rights::NONE, select);
        let left = revoked(items.clone(), &option, true).unwrap();
        assert_eq!(left, [item(ANN, OWNER, select | insert, Rights::NONE)]);
        // Who has it from another, too, keeps it.
        let items = granted(items, item(ANN, BOB, select, select));
        assert_eq!(revoked(items, &all, false).map(|items| items.len()), Some(3));
    }

    #[test]
    fn the_whole_covers_its_columns() {
        let column = |rights| AccessItem { column: Some("a".into()), ..item(ANN, OWNER, rights, Rights::NONE) };
        let items = granted(vec![column(Rights::SELECT)], item(ANN, OWNER, Rights::SELECT, Rights::NONE));
        assert_eq!(items.len(), 2);
        let part = revoked(items.clone(), &column(Rights::SELECT), false).unwrap();
        assert_eq!(part, [item(ANN, OWNER, Rights::SELECT, Rights::NONE)]);
        let whole = item(ANN, OWNER, Rights::SELECT, Rights::NONE);
        assert_eq!(revoked(items, &whole, false), Some(Vec::new()));
    }

    #[test]
    fn an_owner_hands_over_what_it_had() {
        let items =
            vec![item(OWNER, OWNER, Rights::SELECT, Rights::NONE), item(ANN, OWNER, Rights::SELECT, Rights::NONE)];
        let items = handed_over(items, OWNER, ANN);
        assert_eq!(items, [item(ANN, ANN, Rights::SELECT, Rights::NONE)]);
    }

    #[test]
    fn members_have_the_rights_of_their_roles_and_of_everybody() {
        let mut state = State::initial();
        // A circle, which GRANT refuses, ends nevertheless.
        for one in [user(ANN, &[READERS]), user(READERS, &[BOB]), user(BOB, &[READERS])] {
            state.apply(&Change::put(one), 1);
        }
        assert_eq!(state.roles_of(ANN), BTreeSet::from([EVERYBODY, ANN, READERS, BOB]));
        let schema = Schema { oid: 20_010, name: "s".into(), revision: 1, owner: OWNER, source: None, quota_mb: None };
        state.apply(&Change::put(schema.clone()), 1);
        let guarded = Guarded::Schema(&schema);
        assert_eq!(state.rights(&state.roles_of(ANN), &guarded), Rights::NONE);
        assert_eq!(state.rights(&state.roles_of(OWNER), &guarded), guarded.all());
        let items = granted(guarded.defaults(), item(READERS, OWNER, Rights::USAGE, Rights::NONE));
        let list = AccessList { oid: 20_011, name: String::new(), revision: 1, object: schema.oid, items };
        state.apply(&Change::Put(Arc::new(Object::AccessList(list))), 1);
        assert_eq!(state.rights(&state.roles_of(ANN), &guarded), Rights::USAGE);
        // The list goes with its object.
        state.apply(&Change::Drop { oid: schema.oid, revision: 1 }, 1);
        assert!(state.access_list(schema.oid).is_none());
    }
}
