//! Logins that failed: whoever fails too often is not asked for a while, so that passwords cannot be tried one by one.

use std::collections::HashMap;
use std::net::IpAddr;

/// Most addresses and names that are kept in mind; beyond it the oldest are forgotten.
const KNOWN_MAX: usize = 10_000;

/// Who tries: where from, and as whom.
type Who = (IpAddr, String);

/// Failures in a window of time.
#[derive(Debug)]
pub struct Failures {
    /// How many are let pass; 0: all.
    most: u32,
    window_ms: i64,
    known: HashMap<Who, Known>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    since_ms: i64,
    count: u32,
}

impl Failures {
    /// So many in a window are let pass.
    pub fn new(most: u32, window_ms: i64) -> Failures {
        Failures { most, window_ms, known: HashMap::new() }
    }

    /// Whether they may try now; the milliseconds until they may.
    pub fn check(&self, address: IpAddr, user: &str, now_ms: i64) -> Result<(), i64> {
        let Some(known) = self.known.get(&(address, user.to_string())) else { return Ok(()) };
        let left = known.since_ms + self.window_ms - now_ms;
        if self.most > 0 && known.count >= self.most && left > 0 { Err(left) } else { Ok(()) }
    }

    /// They failed.
    pub fn failed(&mut self, address: IpAddr, user: &str, now_ms: i64) {
        let begun = |since_ms: i64| since_ms + self.window_ms > now_ms;
        if self.known.len() >= KNOWN_MAX {
            let oldest = self.known.values().map(|known| known.since_ms).min().unwrap_or(now_ms);
            self.known.retain(|_, known| begun(known.since_ms) && known.since_ms > oldest);
        }
        let known = self.known.entry((address, user.to_string())).or_insert(Known { since_ms: now_ms, count: 0 });
        if known.since_ms + self.window_ms <= now_ms {
            *known = Known { since_ms: now_ms, count: 0 };
        }
        known.count += 1;
    }

    /// They came in.
    pub fn passed(&mut self, address: IpAddr, user: &str) {
        self.known.remove(&(address, user.to_string()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

    #[test]
    fn too_many_failures_wait_for_the_end_of_their_window() {
        let mut failures = Failures::new(2, 1000);
        failures.failed(HERE, "ann", 0);
        assert_eq!(failures.check(HERE, "ann", 100), Ok(()));
        failures.failed(HERE, "ann", 200);
        assert_eq!(failures.check(HERE, "ann", 300), Err(700));
        // Others are not held up by it.
        assert_eq!(failures.check(HERE, "bob", 300), Ok(()));
        assert_eq!(failures.check(THERE, "ann", 300), Ok(()));
        assert_eq!(failures.check(HERE, "ann", 1000), Ok(()));
        failures.failed(HERE, "ann", 1100);
        assert_eq!(failures.check(HERE, "ann", 1200), Ok(()));
        failures.passed(HERE, "ann");
        failures.failed(HERE, "ann", 1300);
        assert_eq!(failures.check(HERE, "ann", 1400), Ok(()));
    }

    #[test]
    fn none_is_held_up_without_a_limit() {
        let mut failures = Failures::new(0, 1000);
        (0..100).for_each(|now| failures.failed(HERE, "ann", now));
        assert_eq!(failures.check(HERE, "ann", 100), Ok(()));
    }

    #[test]
    fn what_is_kept_in_mind_is_bounded() {
        let mut failures = Failures::new(1, 1_000_000);
        (0..3 * KNOWN_MAX as i64).for_each(|now| failures.failed(HERE, &now.to_string(), now));
        assert!(failures.known.len() <= KNOWN_MAX);
        assert!(failures.check(HERE, &(3 * KNOWN_MAX - 1).to_string(), 3 * KNOWN_MAX as i64).is_err());
    }
}
