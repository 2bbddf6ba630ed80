//! Clients that are logging in: when all places are taken, the one that came first makes room, so that sockets which
//! never say a word do not keep others out.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The clients that have a place and have not logged in. Clones share them.
#[derive(Clone, Default)]
pub struct Arrivals(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    /// How many have come.
    count: u64,
    /// Those still here, by when they came.
    here: BTreeMap<u64, CancellationToken>,
}

/// One of them; dropped when it has logged in, or gone.
pub struct Arriving {
    number: u64,
    token: CancellationToken,
    arrivals: Arrivals,
}

impl Arrivals {
    /// One more.
    pub fn enter(&self) -> Arriving {
        let token = CancellationToken::new();
        let mut waiting = self.0.lock();
        waiting.count += 1;
        let number = waiting.count;
        waiting.here.insert(number, token.clone());
        Arriving { number, token, arrivals: self.clone() }
    }

    /// Tells the one that came first to go. Whether there was one.
    pub fn dismiss_oldest(&self) -> bool {
        let oldest = self.0.lock().here.pop_first();
        oldest.map(|(_, token)| token.cancel()).is_some()
    }
}

impl Arriving {
    /// Ends when it is told to go.
    pub async fn dismissed(&self) {
        self.token.cancelled().await;
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.arrivals.0.lock().here.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_came_first_goes_first() {
        let arrivals = Arrivals::default();
        assert!(!arrivals.dismiss_oldest());
        let (first, second, third) = (arrivals.enter(), arrivals.enter(), arrivals.enter());
        drop(first);
        assert!(arrivals.dismiss_oldest());
        assert!(second.token.is_cancelled() && !third.token.is_cancelled());
        drop(second);
        assert!(arrivals.dismiss_oldest() && third.token.is_cancelled());
        assert!(!arrivals.dismiss_oldest());
    }
}
