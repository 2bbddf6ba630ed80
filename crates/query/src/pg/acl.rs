//! Access lists as the catalogs show them.

use super::cell::Cell;
use super::names::quote;
use super::snapshot::PgSnapshot;
use tidegate_catalog::{AccessItem, EVERYBODY, Guarded, Oid};

/// An object's list; NULL while it has its defaults.
pub fn of_object(snapshot: &PgSnapshot, object: Oid) -> Cell {
    texts(snapshot, object, |item| item.column.is_none())
}

/// A column's, by its name in files.
pub fn of_column(snapshot: &PgSnapshot, relation: Oid, column: &str) -> Cell {
    texts(snapshot, relation, |item| item.column.as_deref() == Some(column))
}

fn texts(snapshot: &PgSnapshot, object: Oid, concerns: impl Fn(&AccessItem) -> bool) -> Cell {
    let items = snapshot.state.access_list(object).map(|list| list.items.as_slice()).unwrap_or_default();
    let texts: Vec<String> = items.iter().filter(|item| concerns(item)).map(|item| text(snapshot, item)).collect();
    if texts.is_empty() { Cell::Null } else { Cell::Texts(texts) }
}

/// Items of a list of their own.
pub fn of_items(snapshot: &PgSnapshot, items: &[AccessItem]) -> Cell {
    Cell::Texts(items.iter().map(|item| text(snapshot, item)).collect())
}

/// Postgres' `grantee=rights/grantor`, where `*` stands behind a right that may be granted on.
fn text(snapshot: &PgSnapshot, item: &AccessItem) -> String {
    let role = |oid: Oid| if oid == EVERYBODY { String::new() } else { quote(role_name(snapshot, oid)) };
    let mut text = format!("{}=", role(item.grantee));
    for (right, letter, _) in item.rights.each() {
        text.push(letter);
        if item.grantable.has(right) {
            text.push('*');
        }
    }
    text.push('/');
    text.push_str(&role(item.grantor));
    text
}

/// The name of a role; `PUBLIC` for everybody.
pub fn role_name(snapshot: &PgSnapshot, oid: Oid) -> &str {
    if oid == EVERYBODY { "PUBLIC" } else { snapshot.role(oid).map_or("?", |role| role.name.as_str()) }
}

/// A right that a relation's list gives.
pub struct Given {
    /// The column that it is for, by its name in files; None: the whole.
    pub column: Option<String>,
    /// Who gave it.
    pub grantor: Oid,
    /// Who has it.
    pub grantee: Oid,
    /// Its word.
    pub word: &'static str,
    /// Whether it may be granted on.
    pub grantable: bool,
}

/// What a relation's list gives, as far as it concerns who asks.
pub fn given(snapshot: &PgSnapshot, relation: Oid) -> Vec<Given> {
    let Some(relation) = snapshot.state.relation(relation) else { return Vec::new() };
    let asker = snapshot.asker();
    let concerns = |role| asker.is_superuser || asker.roles.contains(&role);
    let items = snapshot.state.access_items(&Guarded::Relation(relation)).into_owned();
    let items = items.into_iter().filter(|item| concerns(item.grantee) || concerns(item.grantor));
    let given = |item: AccessItem| {
        // An owner may grant what it has, whatever its list says.
        let owns = item.grantee == relation.owner;
        item.rights
            .each()
            .map(move |(right, _, word)| Given {
                column: item.column.clone(),
                grantor: item.grantor,
                grantee: item.grantee,
                word,
                grantable: owns || item.grantable.has(right),
            })
            .collect::<Vec<_>>()
    };
    items.flat_map(given).collect()
}

/// Whether who asks may do anything at all with a relation: others are not in `information_schema`.
pub fn is_visible(snapshot: &PgSnapshot, relation: Oid) -> bool {
    let asker = snapshot.asker();
    let Some(relation) = snapshot.state.relation(relation) else { return true };
    let guarded = Guarded::Relation(relation);
    asker.owns(&guarded)
        || !asker.rights(&snapshot.state, &guarded).is_empty()
        || !snapshot.state.column_rights(&asker.roles, relation).is_empty()
}
