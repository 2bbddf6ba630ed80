//! Counters, and the page on which Prometheus reads them.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Clone, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// Adds to it.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// Where it stands.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

type Reading = Arc<dyn Fn() -> u64 + Send + Sync>;

/// All that is counted, by name. Filled at start, read by each request.
#[derive(Clone, Default)]
pub struct Metrics(Vec<(&'static str, &'static str, &'static str, Reading)>);

impl Metrics {
    /// Registers a counter under a name that ends in `_total`.
    pub fn counter(&mut self, name: &'static str, about: &'static str) -> Counter {
        let counter = Counter::default();
        let reading = counter.clone();
        self.0.push((name, about, "counter", Arc::new(move || reading.get())));
        counter
    }

    /// Registers a value that is read when it is asked for.
    pub fn gauge(&mut self, name: &'static str, about: &'static str, read: impl Fn() -> u64 + Send + Sync + 'static) {
        self.0.push((name, about, "gauge", Arc::new(read)));
    }

    /// The page, in the text format 0.0.4 of Prometheus.
    pub fn page(&self) -> String {
        let mut page = String::new();
        for (name, about, sort, read) in &self.0 {
            // Writing to a String cannot fail.
            let _ = writeln!(page, "# HELP {name} {about}\n# TYPE {name} {sort}\n{name} {}", read());
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_tells_each_value_as_it_stands() {
        let mut metrics = Metrics::default();
        let requests = metrics.counter("tidegate_requests_total", "Requests answered.");
        metrics.gauge("tidegate_up", "Always 1.", || 1);
        requests.add(2);
        let page = metrics.page();
        assert!(page.contains("# TYPE tidegate_requests_total counter\ntidegate_requests_total 2\n"), "{page}");
        assert!(page.contains("# TYPE tidegate_up gauge\ntidegate_up 1\n"), "{page}");
    }
}
