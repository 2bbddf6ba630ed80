//! The HTTP port: what a machine asks of the server, `/healthz` and `/metrics`.
//!
//! Owns the accept loop (HTTP/1.1, and HTTP/2 with prior knowledge, on one port) and its routes. Refuses to own what it
//! reports: whoever counts something registers it with [`Metrics`].

mod metrics;
mod server;

pub use metrics::{Counter, Metrics};
pub use server::serve;
