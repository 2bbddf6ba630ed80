//! SET ROLE and SET SESSION AUTHORIZATION: with whose rights the session's statements run.

use super::Session;
use crate::access::Asker;
use tidegate_catalog::{State, User};
use tidegate_core::{Error, Kind, Result};

impl Session {
    /// SET SESSION AUTHORIZATION; None goes back to who has logged in. 42501 for others than superusers.
    pub(super) fn authorize(&mut self, name: Option<String>) -> Result<()> {
        let state = self.state();
        let name = name.unwrap_or_else(|| self.user.clone());
        if name != self.user {
            known(&state, &name)?;
            if !self.asker(&state, &self.user).is_superuser {
                return Err(Error::new(Kind::InsufficientPrivilege, "permission denied to set session authorization"));
            }
        }
        (self.session_user, self.role) = (name, None);
        Ok(())
    }

    /// SET ROLE; None is NONE. 42501 for a role that the session's user is no member of.
    pub(super) fn take_role(&mut self, name: Option<String>) -> Result<()> {
        if let Some(name) = &name {
            let state = self.state();
            let role = known(&state, name)?;
            let asker = self.asker(&state, &self.session_user);
            if !asker.is_superuser && !asker.roles.contains(&role.oid) {
                let message = format!("permission denied to set role \"{name}\"");
                return Err(Error::new(Kind::InsufficientPrivilege, message));
            }
        }
        self.role = name;
        Ok(())
    }

    fn asker(&self, state: &State, user: &str) -> Asker {
        let trusted = self.engine.settings().get("auth") != "password";
        Asker::of(state, state.named::<User>(user), trusted)
    }
}

/// 22023 in Postgres' words.
fn known<'s>(state: &'s State, name: &str) -> Result<&'s User> {
    let missing = || Error::new(Kind::InvalidParameter, format!("role \"{name}\" does not exist"));
    state.named::<User>(name).ok_or_else(missing)
}
