//! Cancel requests: they come on a connection of their own and show a process id and a secret.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// The secrets of the connections that a cancel request can name.
#[derive(Clone, Default)]
pub struct Registry(Arc<Mutex<HashMap<i32, Vec<u8>>>>);

impl Registry {
    /// Makes a connection known, until its slot is dropped.
    pub fn register(&self, pid: i32, secret: Vec<u8>) -> Slot {
        self.0.lock().insert(pid, secret);
        Slot { registry: self.clone(), pid }
    }

    /// Whether the secret is the connection's. Takes as long for a secret that is nearly right as for any other.
    pub fn knows(&self, pid: i32, secret: &[u8]) -> bool {
        let secrets = self.0.lock();
        let Some(known) = secrets.get(&pid) else { return false };
        let differs = known.iter().zip(secret).fold(0, |sum, (a, b)| sum | (a ^ b));
        known.len() == secret.len() && differs == 0
    }
}

/// A connection's place in the registry.
pub struct Slot {
    registry: Registry,
    pid: i32,
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
    fn only_the_right_secret_is_known_and_only_while_the_connection_is_there() {
        let registry = Registry::default();
        let slot = registry.register(7, vec![1, 2, 3, 4]);
        for (pid, secret) in [(8, &[1, 2, 3, 4][..]), (7, &[1, 2, 3, 5]), (7, &[1, 2, 3]), (7, &[])] {
            assert!(!registry.knows(pid, secret));
        }
        assert!(registry.knows(7, &[1, 2, 3, 4]));
        drop(slot);
        assert!(!registry.knows(7, &[1, 2, 3, 4]));
    }
}
