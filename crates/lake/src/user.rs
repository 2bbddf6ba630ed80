//! CREATE, ALTER and DROP USER.

use tidegate_catalog::{ADMIN, Change, User};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::{AlterUser, CreateUser, DropUser, UserOptions, fold};
use tidegate_query::{Work, require_superuser};

/// CREATE USER.
pub fn create(work: &mut Work<'_>, create: &CreateUser) -> Result<&'static str> {
    require_superuser(&work.scope, "create users")?;
    let name = fold(&create.name);
    if work.state().named::<User>(&name).is_some() {
        if create.if_not_exists {
            work.notice(format!("role \"{name}\" already exists, skipping"));
            return Ok("CREATE ROLE");
        }
        return Err(Error::new(Kind::DuplicateObject, format!("role \"{name}\" already exists")));
    }
    let oid = work.engine().catalog().next_oid()?;
    let user = User { oid, name, revision: 1, superuser: false, password: None };
    put(work, user, &create.options)?;
    Ok("CREATE ROLE")
}

/// ALTER USER. One's own password everybody may change.
pub fn alter(work: &mut Work<'_>, alter: &AlterUser) -> Result<&'static str> {
    let name = fold(&alter.name);
    let options = &alter.options;
    if name != work.scope.user || options.superuser.is_some() || options.login.is_some() {
        require_superuser(&work.scope, "alter users")?;
    }
    let mut user = work.state().named::<User>(&name).cloned().ok_or_else(|| undefined(&name))?;
    user.revision += 1;
    put(work, user, options)?;
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
    // Without a password nobody gets in where one is asked for.
    if options.login == Some(false) {
        user.password = None;
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
            return Err(undefined(&name));
        };
        if oid == ADMIN || name == work.scope.user {
            let what = if oid == ADMIN { "it is the built-in administrator" } else { "it is the current user" };
            return Err(Error::new(Kind::DependentObjects, format!("role \"{name}\" cannot be dropped: {what}")));
        }
        if let Some(owned) = work.state().relations().find(|relation| relation.owner == oid) {
            let message = format!("role \"{name}\" cannot be dropped because some objects depend on it");
            let detail = format!("owner of {} {}", owned.kind.noun(), work.state().shown(owned));
            return Err(Error::new(Kind::DependentObjects, message).detail(detail));
        }
        work.push(vec![Change::Drop { oid, revision }])?;
    }
    Ok("DROP ROLE")
}

fn undefined(name: &str) -> Error {
    Error::new(Kind::UndefinedObject, format!("role \"{name}\" does not exist"))
}
