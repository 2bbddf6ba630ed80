//! GRANT and REVOKE.

use super::asker::{Asker, Need, denied};
use crate::scope::undefined_schema;
use crate::sql_function;
use crate::work::Work;
use std::sync::Arc;
use tidegate_catalog::{
    AccessItem, AccessList, Change, Credential, EVERYBODY, Guarded, HISTORY, Membership, Object, Oid, Relation, Rights,
    Schema, State, User, granted, revoked,
};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::ast::Ident;
use tidegate_parser::{Grant, Granted, GrantedOn, RightName, RoleName, fold};

/// Lines of one object's list at most: each is read whenever the object is used.
const ITEMS_MAX: usize = 10_000;

/// Performs it.
pub fn execute(work: &mut Work<'_>, grant: &Grant) -> Result<&'static str> {
    match &grant.what {
        Granted::Roles(roles) => {
            for role in roles {
                grant_role(work, role, grant)?;
            }
            Ok(if grant.revokes { "REVOKE ROLE" } else { "GRANT ROLE" })
        }
        Granted::Rights(names, on) => {
            for object in objects(work, on)? {
                change_rights(work, object, names, grant)?;
            }
            Ok(if grant.revokes { "REVOKE" } else { "GRANT" })
        }
    }
}

/// The role of a name in a statement; 42704.
pub fn role(work: &Work<'_>, name: &RoleName) -> Result<Oid> {
    let name = match name {
        RoleName::Everybody => return Ok(EVERYBODY),
        RoleName::Current => work.scope.user.clone(),
        RoleName::Named(name) => fold(name),
    };
    user(work.state(), &name).map(|user| user.oid)
}

/// The user of a name; 42704.
pub fn user<'s>(state: &'s State, name: &str) -> Result<&'s User> {
    let missing = || Error::new(Kind::UndefinedObject, format!("role \"{name}\" does not exist"));
    state.named::<User>(name).ok_or_else(missing)
}

/// What a statement names; None is the database.
fn objects(work: &Work<'_>, on: &GrantedOn) -> Result<Vec<Option<Arc<Object>>>> {
    let state = work.state();
    let object = |oid: Oid| state.object(oid).cloned().map(Some).ok_or_else(|| Error::internal("an object is lost"));
    let inside = |schemas: &[Ident], which: fn(&Object) -> Option<Oid>| -> Result<Vec<Option<Arc<Object>>>> {
        let schemas = schemas.iter().map(|name| schema(state, name)).collect::<Result<Vec<Oid>>>()?;
        let is_in = |object: &&Arc<Object>| which(object).is_some_and(|schema| schemas.contains(&schema));
        Ok(state.objects().filter(is_in).cloned().map(Some).collect())
    };
    match on {
        GrantedOn::Relations(names) => {
            names.iter().map(|name| object(work.scope.relation(&tidegate_parser::name_parts(name))?.oid)).collect()
        }
        GrantedOn::Schemas(names) => names.iter().map(|name| object(schema(state, name)?)).collect(),
        GrantedOn::Functions(names) => {
            let found = names.iter().map(|name| sql_function::wanted(work, name));
            found.map(|function| object(function?.oid)).collect()
        }
        GrantedOn::Credentials(names) => names.iter().map(|name| object(credential(state, name)?)).collect(),
        GrantedOn::RelationsIn(schemas) => inside(schemas, |object| match object {
            Object::Relation(relation) => Some(relation.schema),
            _ => None,
        }),
        GrantedOn::FunctionsIn(schemas) => inside(schemas, |object| match object {
            Object::Function(function) => Some(function.schema),
            _ => None,
        }),
        GrantedOn::Databases(names) => match names.iter().find(|name| fold(name) != crate::engine::DATABASE) {
            Some(other) => {
                let message = format!("database \"{}\" does not exist", fold(other));
                Err(Error::new(Kind::UndefinedDatabase, message))
            }
            None => Ok(vec![None]),
        },
        GrantedOn::Languages(names) => match names.iter().find(|name| fold(name) != "sql") {
            Some(other) => {
                Err(Error::new(Kind::UndefinedObject, format!("language \"{}\" does not exist", fold(other))))
            }
            // Everybody may use it, whatever is granted.
            None => Ok(Vec::new()),
        },
    }
}

/// The schema of a name; 3F000.
pub fn schema(state: &State, name: &Ident) -> Result<Oid> {
    let name = fold(name);
    let found = state.named::<Schema>(&name).filter(|schema| schema.oid != HISTORY);
    found.map(|schema| schema.oid).ok_or_else(|| undefined_schema(&name))
}

fn credential(state: &State, name: &Ident) -> Result<Oid> {
    let found = state.named::<Credential>(&name.value);
    found.map(|credential| credential.oid).ok_or_else(|| super::undefined_credential(&name.value))
}

/// Rights as they are named: on the whole, or on a column by its name in files.
fn wanted(guarded: &Guarded<'_>, names: &[RightName]) -> Result<Vec<(Option<String>, Rights)>> {
    let mut wanted = Vec::new();
    for name in names {
        let possible = if name.columns.is_empty() { guarded.grantable() } else { Guarded::on_column() };
        let rights = match &name.word {
            None => possible & guarded.all(),
            Some(word) => {
                let unknown = || {
                    let word = word.value.to_uppercase();
                    match Rights::of_word(&word) {
                        Some(_) => {
                            let on = if name.columns.is_empty() { guarded.noun() } else { "column" };
                            Error::new(Kind::InvalidGrant, format!("invalid privilege type {word} for {on}"))
                        }
                        None => {
                            Error::new(Kind::Syntax, format!("unrecognized privilege type \"{}\"", word.to_lowercase()))
                        }
                    }
                };
                Rights::of_word(&word.value).filter(|right| possible.has(*right)).ok_or_else(unknown)?
            }
        };
        match (guarded, name.columns.as_slice()) {
            (_, []) => wanted.push((None, rights)),
            (Guarded::Relation(relation), columns) => {
                for column in columns {
                    wanted.push((Some(in_files(relation, &fold(column))?), rights));
                }
            }
            _ => return Err(Error::new(Kind::InvalidGrant, "column privileges are only valid for relations")),
        }
    }
    Ok(wanted)
}

fn in_files(relation: &Relation, column: &str) -> Result<String> {
    let at = crate::insert::column_index(relation, column)?;
    let found = relation.columns.get(at);
    found.map(|column| column.in_files().to_string()).ok_or_else(|| Error::internal("a column is lost"))
}

fn change_rights(work: &mut Work<'_>, object: Option<Arc<Object>>, names: &[RightName], grant: &Grant) -> Result<()> {
    let guarded = match object.as_deref() {
        Some(object) => Guarded::of(object).ok_or_else(|| Error::internal("nothing is granted on this"))?,
        None => Guarded::Database,
    };
    let asker = work.scope.asker();
    let grantees = grant.grantees.iter().map(|name| role(work, name)).collect::<Result<Vec<Oid>>>()?;
    let mut items = work.state().access_items(&guarded).into_owned();
    let (mut given, mut asked) = (Rights::NONE, Rights::NONE);
    for (column, rights) in wanted(&guarded, names)? {
        let may = match asker.is_superuser {
            true => guarded.grantable(),
            false => work.state().grant_options(&asker.roles, &guarded, column.as_deref()),
        };
        (given, asked) = (given | (rights & may), asked | rights);
        let grantor = grantor(work, &asker, &guarded);
        for grantee in &grantees {
            let rights = rights & may;
            if grant.option && !grant.revokes && *grantee == EVERYBODY {
                return Err(Error::new(Kind::InvalidGrant, "grant options can only be granted to roles"));
            }
            let item =
                AccessItem { grantee: *grantee, grantor, column: column.clone(), rights, grantable: Rights::NONE };
            items = match (grant.revokes, grant.option) {
                (false, false) => granted(items, item),
                (false, true) => granted(items, AccessItem { grantable: rights, ..item }),
                (true, false) => revoked(items, &item, grant.cascades).ok_or_else(dependents)?,
                (true, true) => {
                    let option = AccessItem { rights: Rights::NONE, grantable: rights, ..item };
                    revoked(items, &option, grant.cascades).ok_or_else(dependents)?
                }
            };
        }
    }
    tell(work, &asker, &guarded, given, asked, grant.revokes)?;
    if items.len() > ITEMS_MAX {
        let message = format!("{} {} has {ITEMS_MAX} grants already", guarded.noun(), guarded.name());
        return Err(Error::new(Kind::LimitExceeded, message).hint("Grant to roles, and the roles to their members."));
    }
    keep(work, guarded.oid(), items)
}

/// Puts a list in the place of the one that was seen.
pub fn keep(work: &mut Work<'_>, object: Oid, items: Vec<AccessItem>) -> Result<()> {
    let list = match work.state().access_list(object) {
        Some(list) => AccessList { revision: list.revision + 1, items, ..list.clone() },
        None => {
            let oid = work.engine().catalog().next_oid()?;
            AccessList { oid, name: String::new(), revision: 1, object, items }
        }
    };
    work.push(vec![Change::Put(Arc::new(Object::AccessList(list)))])
}

/// As in Postgres, who may do so as an owner's member or a superuser gives in the owner's name.
fn grantor(work: &Work<'_>, asker: &Asker, guarded: &Guarded<'_>) -> Oid {
    match asker.owns(guarded) {
        true => guarded.owner(),
        false => work.state().named::<User>(&work.scope.user).map_or(guarded.owner(), |user| user.oid),
    }
}

fn dependents() -> Error {
    Error::new(Kind::DependentPrivileges, "dependent privileges exist").hint("Use CASCADE to revoke them too.")
}

/// What was not given for want of the option: an error where there is nothing at all to be had, as in Postgres.
fn tell(
    work: &mut Work<'_>,
    asker: &Asker,
    guarded: &Guarded<'_>,
    given: Rights,
    asked: Rights,
    revokes: bool,
) -> Result<()> {
    let (what, code) = if revokes { ("revoked", "01006") } else { ("granted", "01007") };
    let name = guarded.name();
    if given == asked {
        return Ok(());
    }
    if !given.is_empty() {
        work.warn(code, format!("not all privileges were {what} for \"{name}\""));
        return Ok(());
    }
    if asker.rights(work.state(), guarded).is_empty() {
        return Err(denied(guarded, Need::All(asked)));
    }
    work.warn(code, format!("no privileges were {what} for \"{name}\""));
    Ok(())
}

/// Gives a role's rights to others, or takes them.
fn grant_role(work: &mut Work<'_>, name: &Ident, grant: &Grant) -> Result<()> {
    let name = fold(name);
    let role_oid = user(work.state(), &name)?.oid;
    may_grant_role(work, role_oid, &name)?;
    let grantor = work.state().named::<User>(&work.scope.user).map_or(tidegate_catalog::ADMIN, |user| user.oid);
    for grantee in &grant.grantees {
        if *grantee == RoleName::Everybody {
            return Err(Error::new(Kind::InvalidGrant, "a role cannot be granted to PUBLIC")
                .hint("Grant the rights themselves to PUBLIC."));
        }
        let member = role(work, grantee)?;
        let Some(member) = work.state().get::<User>(member).cloned() else { continue };
        if !grant.revokes && work.state().roles_of(role_oid).contains(&member.oid) {
            let message = format!("role \"{}\" is a member of role \"{}\"", name, member.name);
            return Err(Error::new(Kind::InvalidGrant, message));
        }
        let had = member.member_of.iter().position(|membership| membership.role == role_oid);
        if had.is_none() && grant.revokes {
            work.warn("01000", format!("role \"{}\" is not a member of role \"{name}\"", member.name));
            continue;
        }
        let membership = Membership { role: role_oid, grantor, admin: grant.option };
        let member_of = membership_after(member.member_of.clone(), membership, grant.revokes);
        let revision = member.revision + 1;
        work.push(vec![Change::put(User { member_of, revision, ..member })])?;
    }
    Ok(())
}

/// Memberships with one given, or taken: of one that is taken WITH its option named, only the option goes.
pub fn membership_after(mut known: Vec<Membership>, one: Membership, revokes: bool) -> Vec<Membership> {
    match known.iter_mut().find(|membership| membership.role == one.role) {
        Some(membership) if !revokes => membership.admin |= one.admin,
        Some(membership) if one.admin => membership.admin = false,
        Some(_) => known.retain(|membership| membership.role != one.role),
        None if !revokes => known.push(one),
        None => {}
    }
    known
}

fn may_grant_role(work: &Work<'_>, role: Oid, name: &str) -> Result<()> {
    let asker = work.scope.asker();
    let is_theirs = |membership: &Membership| membership.role == role && membership.admin;
    let memberships = asker.roles.iter().filter_map(|role| work.state().get::<User>(*role));
    let may = asker.is_superuser || memberships.flat_map(|user| &user.member_of).any(is_theirs);
    match may {
        true => Ok(()),
        false => {
            let message = format!("must have admin option on role \"{name}\"");
            Err(Error::new(Kind::InsufficientPrivilege, message))
        }
    }
}

/// Whether a role stands in a list, as one who has or one who gave.
pub fn is_named(state: &State, role: Oid) -> Option<&Object> {
    let names = |item: &AccessItem| item.grantee == role || item.grantor == role;
    let lists = state.objects().filter_map(|object| match object.as_ref() {
        Object::AccessList(list) if list.items.iter().any(names) => Some(list.object),
        _ => None,
    });
    lists.filter_map(|object| state.object(object).map(Arc::as_ref)).next()
}

/// The schema that a statement makes something in; 42501 without CREATE.
pub fn require_creation(work: &Work<'_>, schema: Oid) -> Result<()> {
    match work.state().get::<Schema>(schema) {
        // A session makes its own, and only there.
        Some(schema) if crate::temporary::is_temporary(&schema.name) => Ok(()),
        Some(schema) => work.scope.require(&Guarded::Schema(schema), Need::All(Rights::CREATE)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memberships() {
        let one = |admin| Membership { role: 7, grantor: 10, admin };
        let cases = [
            (vec![], one(false), false, vec![one(false)]),
            (vec![one(false)], one(true), false, vec![one(true)]),
            (vec![one(true)], one(false), false, vec![one(true)]),
            (vec![one(true)], one(true), true, vec![one(false)]),
            (vec![one(true)], one(false), true, vec![]),
            (vec![], one(false), true, vec![]),
        ];
        for (known, change, revokes, expected) in cases {
            assert_eq!(membership_after(known.clone(), change, revokes), expected, "{known:?} {change:?} {revokes}");
        }
    }
}
