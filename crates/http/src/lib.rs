//! The HTTP port: what a machine asks of the server, `/healthz`, `/metrics`, and the protocols of AWS on `POST /`.
//!
//! Owns the accept loop (HTTP/1.1, and HTTP/2 with prior knowledge, on one port), its routes, and the wire of
//! [`Kinesis`]. Refuses to own what it reports or stores: whoever counts something registers it with [`Metrics`], and
//! streams are those of [`kinesis::service::Streams`].

pub mod kinesis;
mod metrics;
mod server;

pub use kinesis::Kinesis;
pub use metrics::{Counter, Metrics};
pub use server::serve;
