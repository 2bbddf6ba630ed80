//! The one integration-test binary: the real server, over the wire, beside real clients.
//!
//! `tests/run` prepares what these need and runs them; `cargo test --test tests -- NAME` runs one again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    dead_code,
    reason = "a test that fails should say so at once; the harness serves modules that still wait"
)]

mod atomic;
mod attack;
mod batch;
mod cluster;
mod containers;
mod continuous;
mod copy;
mod crowd;
mod demo;
mod door;
mod drivers;
mod faults;
mod fuzz;
mod harness;
mod isolation;
mod layout;
mod login;
mod report;
mod s3;
mod sim;
mod slt;
mod tidy;
mod unload;
mod upkeep;
mod wire;
