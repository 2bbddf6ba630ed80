//! Randomness as the engines see it: seeded in a test, from the system otherwise.

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng};
use std::sync::Arc;

/// A source of random numbers and of the ids made from them. Clones share one sequence.
#[derive(Clone)]
pub struct Rng(Arc<Mutex<StdRng>>);

impl Rng {
    /// Seeded by the operating system.
    pub fn system() -> Self {
        Rng(Arc::new(Mutex::new(StdRng::from_os_rng())))
    }

    /// The same numbers each time, for tests.
    pub fn seeded(seed: u64) -> Self {
        Rng(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// Any 64 bits.
    pub fn next_u64(&self) -> u64 {
        self.0.lock().random()
    }

    /// A number below `limit`, which must not be zero (zero gives zero).
    pub fn below(&self, limit: u64) -> u64 {
        if limit == 0 { 0 } else { self.0.lock().random_range(0..limit) }
    }

    /// A random UUID (version 4) in its usual text form.
    pub fn uuid(&self) -> String {
        let bits: u128 = self.0.lock().random();
        let bits = (bits & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
        let hex = format!("{bits:032x}");
        format!("{}-{}-{}-{}-{}", &hex[0..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..32])
    }
}
