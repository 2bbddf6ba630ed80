//! ALTER SYSTEM: a setting that all sessions share, kept for the next start.

use std::sync::Arc;
use tidegate_catalog::{Change, Object, Setting, Space, State};
use tidegate_core::{Error, Kind, Result, Scope, Settings, setting_find};
use tidegate_parser::AlterSystem;
use tidegate_query::{Work, require_superuser};

/// ALTER SYSTEM SET and RESET. A value holds from the next statement on; a session's own SET goes before it.
pub fn alter(work: &mut Work<'_>, alter: &AlterSystem) -> Result<&'static str> {
    require_superuser(&work.scope, "alter the system")?;
    // What other sessions see at once cannot be rolled back.
    work.refuse_in_block("ALTER SYSTEM")?;
    let row = setting_find(&alter.name)?;
    let how = match row.scope {
        Scope::System | Scope::Session => None,
        Scope::Start => Some("It is given when the server is started."),
        Scope::Fixed => Some("It cannot be changed."),
    };
    if let Some(how) = how {
        let message = format!("parameter \"{}\" cannot be changed now", row.name);
        return Err(Error::new(Kind::InvalidParameter, message).hint(how));
    }
    let value = alter.value.as_deref().map(|value| row.check(value)).transpose()?;
    let before = work.state().find(Space::Setting, row.name).map(|old| (old.oid(), old.revision()));
    let change = match (&value, before) {
        (Some(value), before) => {
            let (oid, revision) = match before {
                Some((oid, revision)) => (oid, revision + 1),
                None => (work.engine().catalog().next_oid()?, 1),
            };
            let setting = Setting { oid, name: row.name.to_string(), revision, value: value.clone() };
            Some(Change::Put(Arc::new(Object::Setting(setting))))
        }
        (None, Some((oid, revision))) => Some(Change::Drop { oid, revision }),
        (None, None) => None,
    };
    work.push(change.into_iter().collect())?;
    work.engine().settings().set(row.name, value.as_deref().unwrap_or(row.default))?;
    Ok("ALTER SYSTEM")
}

/// Gives the settings the values of earlier ALTER SYSTEMs, when the server starts.
pub fn restore_settings(state: &State, settings: &Settings) {
    for object in state.objects() {
        if let Object::Setting(setting) = object.as_ref() {
            // One that this version no longer has, or no longer takes, must not keep the server from starting.
            drop(settings.set(&setting.name, &setting.value));
        }
    }
}
