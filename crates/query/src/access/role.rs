//! CREATE, ALTER and DROP of users, roles and groups, which are all roles here, as in Postgres.

use super::default_privileges::speaks_of;
use super::grant::{is_named, membership_after, user};
use super::outside::require_superuser;
use super::policy;
use crate::datetime;
use crate::work::Work;
use tidegate_catalog::{
    ADMIN, Change, ContinuousQuery, Delivery, Membership, Oid, Schema, Scram, State, User, Verifier,
};
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
    let mut user = User::new(oid, name);
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
    let only_password = UserOptions { password: options.password.clone(), ..UserOptions::default() } == *options;
    if name != work.scope.user || !only_password || alter.new_name.is_some() {
        require_superuser(&work.scope, "alter users")?;
    }
    let mut user = user(work.state(), &name)?.clone();
    user.revision += 1;
    if let Some(new) = &alter.new_name {
        rename(work, &mut user, fold(new))?;
    }
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
    user.bypasses_policies = options.bypasses_policies.unwrap_or(user.bypasses_policies);
    if user.oid == ADMIN && !user.superuser {
        return Err(Error::new(Kind::NotInState, format!("user \"{}\" stays a superuser", user.name)));
    }
    if let Some(password) = &options.password {
        let password = password.as_deref().filter(|text| !text.is_empty());
        user.password = password.map(|text| kept(work, text, &user.name)).transpose()?;
    }
    if let Some(until) = &options.valid_until {
        user.valid_until_us = match until.trim() {
            "infinity" => None,
            text => Some(datetime::timestamptz(text, &work.scope.reading()?)?),
        };
    }
    if let Some(most) = options.connections_max {
        user.connections_max = most;
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

/// What is kept of a password; a text that a server has kept before is taken as it is.
fn kept(work: &Work<'_>, password: &str, user: &str) -> Result<String> {
    if Verifier::parse(password).is_some() {
        return Ok(password.to_string());
    }
    let made = match work.scope.setting("password_encryption") {
        Some("md5") => Verifier::md5(password, user),
        _ => Verifier::Scram(Scram::of(password, work.engine().salt())),
    };
    Ok(made.to_string())
}

/// ALTER USER … RENAME TO. What md5 keeps is of the old name, so that it goes (Postgres).
fn rename(work: &mut Work<'_>, user: &mut User, new: String) -> Result<()> {
    if user.oid == ADMIN || user.name == work.scope.session_user {
        let what = if user.oid == ADMIN { "the built-in administrator" } else { "session user" };
        return Err(Error::new(Kind::Unsupported, format!("{what} cannot be renamed")));
    }
    if work.state().named::<User>(&new).is_some() {
        return Err(Error::new(Kind::DuplicateObject, format!("role \"{new}\" already exists")));
    }
    if user.password.as_deref().and_then(Verifier::parse).is_some_and(|kept| matches!(kept, Verifier::Md5(_))) {
        work.notice("MD5 password cleared because of role rename".to_string());
        user.password = None;
    }
    user.name = new;
    Ok(())
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
        .or_else(|| speaks_of(state, role))
        .or_else(|| policy::concerns(state, role))
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
