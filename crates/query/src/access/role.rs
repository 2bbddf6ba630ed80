//! CREATE, ALTER and DROP of users, roles and groups, which are all roles here, as in Postgres.

use super::grant::{is_named, membership_after, user};
use super::outside::require_superuser;
use crate::work::Work;
use tidegate_catalog::{ADMIN, Change, ContinuousQuery, Delivery, Membership, Oid, Schema, State, User};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::ast::Ident;
use tidegate_parser::{AlterUser, CreateUser, DropUser, UserOptions, fold};

/// CREATE USER.
pub fn create(work: &mut Work<'_>, create: &CreateUser) -> Result<&'static str> {
    require_superuser(&work.scope, "create users")?;
    let name = fold(&create.name);
    if work.state().named::<User>(&name).is_some() {
        if create.if_not_exists {
            work.skipping("42710", format!("role \"{name}\" already exists, skipping"));
            return Ok("CREATE ROLE");
        }
        return Err(Error::new(Kind::DuplicateObject, format!("role \"{name}\" already exists")));
    }
    let oid = work.engine().catalog().next_oid()?;
    let mut user =
        User { oid, name, revision: 1, superuser: false, login: true, password: None, member_of: Vec::new() };
    for role in &create.options.in_roles {
        let role = self::user(work.state(), &fold(role))?.oid;
        user.member_of = membership_after(user.member_of, membership(role), false);
    }
    put(work, user, &create.options)?;
    add_members(work, oid, &create.options.members)?;
    Ok("CREATE ROLE")
}

/// ALTER USER. One's own password everybody may change.
pub fn alter(work: &mut Work<'_>, alter: &AlterUser) -> Result<&'static str> {
    let name = fold(&alter.name);
    let options = &alter.options;
    if name != work.scope.user || options.superuser.is_some() || options.login.is_some() {
        require_superuser(&work.scope, "alter users")?;
    }
    let mut user = user(work.state(), &name)?.clone();
    user.revision += 1;
    let oid = user.oid;
    put(work, user, options)?;
    if !options.members.is_empty() {
        require_superuser(&work.scope, "alter users")?;
        add_members(work, oid, &options.members)?;
    }
    Ok("ALTER ROLE")
}

fn put(work: &mut Work<'_>, mut user: User, options: &UserOptions) -> Result<()> {
    user.superuser = options.superuser.unwrap_or(user.superuser);
    if user.oid == ADMIN && !user.superuser {
        return Err(Error::new(Kind::NotInState, format!("user \"{}\" stays a superuser", user.name)));
    }
    if let Some(password) = &options.password {
        user.password = password.clone().filter(|text| !text.is_empty());
    }
    user.login = options.login.unwrap_or(user.login);
    if user.oid == ADMIN && !user.login {
        return Err(Error::new(Kind::NotInState, format!("user \"{}\" stays able to log in", user.name)));
    }
    for word in &options.no_ops {
        work.notice(format!("{word} has no meaning here and did nothing"));
    }
    work.push(vec![Change::put(user)])
}

/// DROP USER.
pub fn drop(work: &mut Work<'_>, drop: &DropUser) -> Result<&'static str> {
    require_superuser(&work.scope, "drop users")?;
    for name in &drop.names {
        let name = fold(name);
        let Some((oid, revision)) = work.state().named::<User>(&name).map(|user| (user.oid, user.revision)) else {
            if drop.if_exists {
                work.notice(format!("role \"{name}\" does not exist, skipping"));
                continue;
            }
            return user(work.state(), &name).map(|_| "DROP ROLE");
        };
        if oid == ADMIN || name == work.scope.user {
            let what = if oid == ADMIN { "it is the built-in administrator" } else { "it is the current user" };
            return Err(Error::new(Kind::DependentObjects, format!("role \"{name}\" cannot be dropped: {what}")));
        }
        if let Some(detail) = needed_by(work.state(), oid) {
            let message = format!("role \"{name}\" cannot be dropped because some objects depend on it");
            return Err(Error::new(Kind::DependentObjects, message).detail(detail));
        }
        work.push(vec![Change::Drop { oid, revision }])?;
    }
    Ok("DROP ROLE")
}

/// What keeps a role from being dropped, in Postgres' words.
fn needed_by(state: &State, role: Oid) -> Option<String> {
    let relation = state.relations().find(|relation| relation.owner == role);
    let relation = relation.map(|relation| format!("owner of {} {}", relation.kind.noun(), state.shown(relation)));
    let schema = state.all::<Schema>().find(|schema| schema.owner == role);
    let function = state.functions().find(|function| function.owner == role);
    let delivery = state.all::<Delivery>().find(|delivery| delivery.owner == role);
    let query = state.all::<ContinuousQuery>().find(|query| query.owner == role);
    relation
        .or_else(|| schema.map(|schema| format!("owner of schema {}", schema.name)))
        .or_else(|| function.map(|function| format!("owner of function {}", function.name)))
        .or_else(|| delivery.map(|delivery| format!("owner of delivery stream {}", delivery.name)))
        .or_else(|| query.map(|query| format!("owner of continuous query {}", query.name)))
        .or_else(|| is_named(state, role).map(|object| format!("privileges for {} {}", object.noun(), object.name())))
}

fn membership(role: Oid) -> Membership {
    Membership { role, grantor: ADMIN, admin: false }
}

fn add_members(work: &mut Work<'_>, role: Oid, members: &[Ident]) -> Result<()> {
    for member in members {
        let member = user(work.state(), &fold(member))?.clone();
        let member_of = membership_after(member.member_of.clone(), membership(role), false);
        let revision = member.revision + 1;
        work.push(vec![Change::put(User { member_of, revision, ..member })])?;
    }
    Ok(())
}
