//! The states that open transaction blocks stand on. Upkeep leaves alone what came after the oldest of them, so that a
//! block finds each row either wholly in what it sees or not at all.

use crate::state::State;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Positions that blocks stand on, and how many on each.
#[derive(Debug, Default)]
pub struct Snapshots(Mutex<BTreeMap<u64, usize>>);

/// A state that is known to be in use until this is dropped.
#[derive(Debug)]
pub struct Snapshot {
    register: Arc<Snapshots>,
    state: Arc<State>,
}

impl Snapshots {
    /// The newest state, for a block that begins.
    pub fn take(self: &Arc<Self>, published: &ArcSwap<State>) -> Snapshot {
        let mut positions = self.0.lock();
        let state = published.load_full();
        *positions.entry(state.position).or_default() += 1;
        Snapshot { register: Arc::clone(self), state }
    }

    /// The newest state, and the position up to which all open blocks see what was added, and all later ones will.
    pub fn settled(&self, published: &ArcSwap<State>) -> (Arc<State>, u64) {
        let positions = self.0.lock();
        let state = published.load_full();
        let settled = positions.first_key_value().map_or(state.position, |(oldest, _)| *oldest);
        (state, settled)
    }
}

impl Snapshot {
    /// The state.
    pub fn state(&self) -> &Arc<State> {
        &self.state
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        let mut positions = self.register.0.lock();
        if let Some(count) = positions.get_mut(&self.state.position) {
            *count -= 1;
            if *count == 0 {
                positions.remove(&self.state.position);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_oldest_block_sees_is_settled() {
        let register = Arc::new(Snapshots::default());
        let at = |position| ArcSwap::from_pointee(State { position, ..State::default() });
        let settled = || register.settled(&at(9)).1;
        assert_eq!(settled(), 9);
        let (one, two, three) = (register.take(&at(4)), register.take(&at(4)), register.take(&at(6)));
        drop(one);
        assert_eq!(settled(), 4);
        drop(two);
        assert_eq!(settled(), 6);
        drop(three);
        assert_eq!(settled(), 9);
    }
}
