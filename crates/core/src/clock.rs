//! Time as the engines see it: one trait, the system's clock, and one that a test turns by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Wall-clock time. Cloned freely; all clones tell the same time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Source>);

trait Source: Send + Sync {
    fn now_us(&self) -> i64;
}

/// The machine's own clock.
pub struct SystemClock;

impl Source for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    fn now_us(&self) -> i64 {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX))
    }
}

/// A clock that stands still until a test moves it.
#[derive(Clone, Default)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock that stands at this many milliseconds after the Unix epoch.
    pub fn at_ms(now_ms: i64) -> Self {
        ManualClock(Arc::new(AtomicI64::new(now_ms * 1000)))
    }

    /// Moves time forward.
    pub fn advance_ms(&self, by_ms: i64) {
        self.0.fetch_add(by_ms * 1000, Ordering::SeqCst);
    }
}

impl Source for ManualClock {
    fn now_us(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Clock {
    /// The machine's own clock.
    pub fn system() -> Self {
        Clock(Arc::new(SystemClock))
    }

    /// A test's clock.
    pub fn manual(clock: ManualClock) -> Self {
        Clock(Arc::new(clock))
    }

    /// Microseconds after the Unix epoch.
    pub fn now_us(&self) -> i64 {
        self.0.now_us()
    }

    /// Milliseconds after the Unix epoch.
    pub fn now_ms(&self) -> i64 {
        self.0.now_us() / 1000
    }
}
