//! ALTER DEFAULT PRIVILEGES.

use super::grant::{role, schema, user};
use crate::work::Work;
use std::sync::Arc;
use tidegate_catalog::{
    AccessItem, AccessList, Change, DefaultAccess, EVERYBODY, Guarded, MadeKind, Object, Oid, Rights, State, User,
};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::{AlterDefaultPrivileges, MadeObjects, RightName};

/// Lines of one role's defaults at most: each is read whenever the role makes something.
const DEFAULTS_MAX: usize = 1000;

/// Performs it.
pub fn alter(work: &mut Work<'_>, alter: &AlterDefaultPrivileges) -> Result<&'static str> {
    let on = match alter.on {
        MadeObjects::Relations => MadeKind::Relations,
        MadeObjects::Functions => MadeKind::Functions,
        MadeObjects::Schemas => MadeKind::Schemas,
    };
    if on == MadeKind::Schemas && !alter.schemas.is_empty() {
        return Err(Error::new(Kind::InvalidGrant, "cannot use IN SCHEMA clause when using GRANT/REVOKE ON SCHEMAS"));
    }
    let rights = rights(on, &alter.rights)?;
    let makers = match alter.makers.as_slice() {
        [] => vec![user(work.state(), &work.scope.user)?.oid],
        makers => makers.iter().map(|name| role(work, name)).collect::<Result<_>>()?,
    };
    let grantees = alter.grantees.iter().map(|name| role(work, name)).collect::<Result<Vec<Oid>>>()?;
    let schemas = match alter.schemas.as_slice() {
        [] => vec![None],
        names => names.iter().map(|name| schema(work.state(), name).map(Some)).collect::<Result<_>>()?,
    };
    if alter.option && !alter.revokes && grantees.contains(&EVERYBODY) {
        return Err(Error::new(Kind::InvalidGrant, "grant options can only be granted to roles"));
    }
    for maker in makers {
        let mut user = may_speak_for(work, maker)?.clone();
        for schema in &schemas {
            for grantee in &grantees {
                let item = item(*grantee, maker, rights, alter);
                said(&mut user, *schema, on, |said| if alter.revokes { said.revoke(item) } else { said.grant(item) });
            }
        }
        user.defaults.retain(|said| !said.is_empty());
        if user.defaults.iter().map(|said| said.granted.len() + said.revoked.len()).sum::<usize>() > DEFAULTS_MAX {
            let message = format!("role \"{}\" has {DEFAULTS_MAX} default privileges already", user.name);
            return Err(
                Error::new(Kind::LimitExceeded, message).hint("Grant to roles, and the roles to their members.")
            );
        }
        user.revision += 1;
        work.push(vec![Change::put(user)])?;
    }
    Ok("ALTER DEFAULT PRIVILEGES")
}

/// The rights that are named, which are of wholes only.
fn rights(on: MadeKind, names: &[RightName]) -> Result<Rights> {
    let right = |name: &RightName| {
        if !name.columns.is_empty() {
            return Err(Error::new(Kind::InvalidGrant, "default privileges cannot be set for columns"));
        }
        let Some(word) = &name.word else { return Ok(on.all()) };
        let invalid = || {
            let message = format!("invalid privilege type {} for {}", word.value.to_uppercase(), on.noun());
            Error::new(Kind::InvalidGrant, message)
        };
        Rights::of_word(&word.value).filter(|right| on.all().has(*right)).ok_or_else(invalid)
    };
    names.iter().map(right).try_fold(Rights::NONE, |rights, right| Ok(rights | right?))
}

fn item(grantee: Oid, grantor: Oid, rights: Rights, alter: &AlterDefaultPrivileges) -> AccessItem {
    let (rights, grantable) = match (alter.revokes, alter.option) {
        (true, true) => (Rights::NONE, rights),
        (false, true) => (rights, rights),
        (_, false) => (rights, Rights::NONE),
    };
    AccessItem { grantee, grantor, column: None, rights, grantable }
}

/// Only for oneself, and for roles that one is a member of.
fn may_speak_for<'w>(work: &'w Work<'_>, maker: Oid) -> Result<&'w User> {
    let asker = work.scope.asker();
    match work.state().get::<User>(maker) {
        Some(user) if asker.is_superuser || asker.roles.contains(&maker) => Ok(user),
        _ => Err(Error::new(Kind::InsufficientPrivilege, "permission denied to change default privileges")),
    }
}

/// Changes what a role says of objects of a kind.
fn said(user: &mut User, schema: Option<Oid>, on: MadeKind, change: impl FnOnce(&mut DefaultAccess)) {
    match user.defaults.iter_mut().find(|said| said.schema == schema && said.on == on) {
        Some(said) => change(said),
        None => {
            let mut said = DefaultAccess::new(schema, on);
            change(&mut said);
            user.defaults.push(said);
        }
    }
}

/// What keeps a role from being dropped: what it says, or what is said of it.
pub fn speaks_of(state: &State, role: Oid) -> Option<String> {
    state.all::<User>().find_map(|user| {
        let said = user.defaults.iter().find(|said| user.oid == role || said.names(role))?;
        let whose = if user.oid == role { "owner of" } else { "privileges for" };
        Some(format!("{whose} default privileges on new {}s belonging to role {}", said.on.noun(), user.name))
    })
}

/// The lists of objects that changes make, as their owners' defaults have them.
pub fn lists(work: &Work<'_>, changes: &[Change]) -> Result<Vec<Change>> {
    let state = work.state();
    let mut lists = Vec::new();
    for change in changes {
        let Change::Put(object) = change else { continue };
        let Some(made) = Guarded::of(object).filter(|made| state.object(made.oid()).is_none()) else { continue };
        if let Some(items) = state.made_access(&made) {
            let oid = work.engine().catalog().next_oid()?;
            let list = AccessList { oid, name: String::new(), revision: 1, object: made.oid(), items };
            lists.push(Change::Put(Arc::new(Object::AccessList(list))));
        }
    }
    Ok(lists)
}
