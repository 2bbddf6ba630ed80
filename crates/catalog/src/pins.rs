//! What running statements pin: an object that a commit let go of is deleted once no older state is in use.

use crate::state::State;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};

/// States in use, and URLs that wait for the older ones to go.
#[derive(Debug, Default)]
pub struct Pins {
    states: Mutex<VecDeque<(u64, Weak<State>)>>,
    retired: Mutex<Vec<(u64, String)>>,
}

impl Pins {
    /// Notes a state that is given out.
    pub fn note(&self, state: &Arc<State>) {
        let mut states = self.states.lock();
        states.retain(|(_, state)| state.strong_count() > 0);
        states.push_back((state.position, Arc::downgrade(state)));
    }

    /// URLs that states before `position` may still be reading.
    pub fn retire(&self, position: u64, urls: impl IntoIterator<Item = String>) {
        self.retired.lock().extend(urls.into_iter().map(|url| (position, url)));
    }

    /// The position of the oldest state in use.
    pub fn oldest(&self) -> u64 {
        let mut states = self.states.lock();
        states.retain(|(_, state)| state.strong_count() > 0);
        states.iter().map(|(position, _)| *position).min().unwrap_or(u64::MAX)
    }

    /// Takes the URLs that no state in use can name any more.
    pub fn free(&self) -> Vec<String> {
        let oldest = self.oldest();
        let mut retired = self.retired.lock();
        let (free, kept) = retired.drain(..).partition(|(position, _)| *position <= oldest);
        *retired = kept;
        let free: Vec<(u64, String)> = free;
        free.into_iter().map(|(_, url)| url).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_goes_when_the_last_older_state_does() {
        let pins = Pins::default();
        let state = |position| Arc::new(State { position, ..State::default() });
        let (old, new) = (state(4), state(5));
        pins.note(&old);
        pins.note(&new);
        pins.retire(5, ["a".to_string()]);
        assert!(pins.free().is_empty());
        drop(old);
        assert_eq!(pins.free(), ["a"]);
        assert!(pins.free().is_empty());
    }
}
