//! Logins that are lent: what the server starts itself talks back under a name and a password of its own.

use crate::engine::DATABASE;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tidegate_core::Rng;

/// All logins that are lent now. They are in no catalog: a server that starts again knows none.
#[derive(Clone, Default)]
pub(crate) struct Passes(Arc<Mutex<HashMap<String, Lent>>>);

struct Lent {
    user: String,
    password: String,
}

/// A login that ends when this is dropped.
pub struct Pass {
    passes: Passes,
    login: String,
    password: String,
}

impl Passes {
    /// Lends the rights of a user.
    pub(crate) fn lend(&self, user: &str, rng: &Rng) -> Pass {
        let (login, password) = (format!("pass_{}", rng.uuid()), rng.uuid());
        self.0.lock().insert(login.clone(), Lent { user: user.to_string(), password: password.clone() });
        Pass { passes: self.clone(), login, password }
    }

    /// Whose rights a login has that is lent, and by which password.
    pub(crate) fn find(&self, login: &str) -> Option<(String, String)> {
        self.0.lock().get(login).map(|lent| (lent.user.clone(), lent.password.clone()))
    }
}

impl Pass {
    /// As a URL for Postgres clients.
    pub fn url(&self, host: &str, port: u16) -> String {
        format!("postgres://{}:{}@{host}:{port}/{DATABASE}", self.login, self.password)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.passes.0.lock().remove(&self.login);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_ends_with_its_holder() {
        let passes = Passes::default();
        let pass = passes.lend("ada", &Rng::seeded(1));
        let (user, password) = passes.find(&pass.login).unwrap();
        assert_eq!(user, "ada");
        assert_eq!(pass.url("h", 1), format!("postgres://{}:{password}@h:1/dev", pass.login));
        let login = pass.login.clone();
        drop(pass);
        assert!(passes.find(&login).is_none());
    }
}
