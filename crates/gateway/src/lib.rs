//! The SQL port: the PostgreSQL wire protocol in front of `tidegate-query`, and nothing but wire.
//!
//! A map, from the socket inwards:
//!
//! - [`serve`] accepts clients (`server`), logs them in (`arrivals`, `packet`, `tls`, `startup`, `auth`, `scram`, `failures`) and gives each a task (`connection`).
//! - A connection reads whole messages (`transport`, `frontend`), answers them by the simple or the extended protocol
//!   (`simple`, `extended`, `copy`), and appends its own to one buffer (`backend`) that is written every 64 KiB.
//! - Results flow batch by batch (`rows`): columns are downcast once and written as rows (`encode`, `types`).
//!   A portal keeps its stream and its place, so a suspended one holds one batch and an endless one no more.
//! - Every wait on the engine or the socket is raced against the reasons to stop (`guard`): a cancel request (`cancel`),
//!   `statement_timeout`, the client's going, the server's end. What is stopped is dropped, and the buffer stays whole.
//! - Parameters become values in `decode`.
//!
//! It refuses to own: SQL, transactions, catalogs, the meaning of settings. All of that is the session's.

mod arrivals;
mod auth;
mod backend;
mod cancel;
mod connection;
mod copy;
mod decode;
mod encode;
mod extended;
mod failures;
mod frontend;
mod guard;
mod packet;
mod rows;
mod scram;
mod server;
mod simple;
mod startup;
mod tls;
mod transport;
mod types;

pub use server::serve;
pub use tls::Tls;

/// A client that does not read its last message is not waited for longer.
const FAREWELL_SECONDS_MAX: u64 = 3;

/// Why a connection ends that idles in a transaction; its code, 25P03, is the wire's own.
const IDLE_IN_TRANSACTION: &str = "terminating connection due to idle-in-transaction timeout";
