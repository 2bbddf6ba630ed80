//! Cancel requests: they come on a connection of their own and show a process id and a secret.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The connections that a cancel request can name.
#[derive(Clone, Default)]
pub struct Registry(Arc<Mutex<HashMap<i32, Entry>>>);

struct Entry {
    secret: Vec<u8>,
    running: Option<CancellationToken>,
}

impl Registry {
    /// Makes a connection known, until its slot is dropped.
    pub fn register(&self, pid: i32, secret: Vec<u8>) -> Slot {
        self.0.lock().insert(pid, Entry { secret, running: None });
        Slot { registry: self.clone(), pid }
    }

    /// Cancels the statement that the connection runs, if the secret is right and there is one.
    pub fn cancel(&self, pid: i32, secret: &[u8]) -> bool {
        let entries = self.0.lock();
        let Some(entry) = entries.get(&pid) else { return false };
        let differs = entry.secret.iter().zip(secret).fold(0, |sum, (a, b)| sum | (a ^ b));
        if entry.secret.len() != secret.len() || differs != 0 {
            return false;
        }
        entry.running.as_ref().inspect(|token| token.cancel()).is_some()
    }
}

/// A connection's place in the registry.
pub struct Slot {
    registry: Registry,
    pid: i32,
}

impl Slot {
    /// A statement begins: cancel requests reach it.
    pub fn arm(&self, token: CancellationToken) {
        if let Some(entry) = self.registry.0.lock().get_mut(&self.pid) {
            entry.running = Some(token);
        }
    }

    /// It has ended: a request that comes late must not hit the next one.
    pub fn disarm(&self) {
        if let Some(entry) = self.registry.0.lock().get_mut(&self.pid) {
            entry.running = None;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.registry.0.lock().remove(&self.pid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_secret_cancels_and_only_while_a_statement_runs() {
        let registry = Registry::default();
        let slot = registry.register(7, vec![1, 2, 3, 4]);
        assert!(!registry.cancel(7, &[1, 2, 3, 4]), "nothing runs yet");
        let token = CancellationToken::new();
        slot.arm(token.clone());
        for (pid, secret) in [(8, &[1, 2, 3, 4][..]), (7, &[1, 2, 3, 5]), (7, &[1, 2, 3]), (7, &[])] {
            assert!(!registry.cancel(pid, secret));
        }
        assert!(!token.is_cancelled());
        assert!(registry.cancel(7, &[1, 2, 3, 4]) && token.is_cancelled());
        slot.disarm();
        assert!(!registry.cancel(7, &[1, 2, 3, 4]));
        drop(slot);
        assert!(registry.0.lock().is_empty());
    }
}
