//! Wires the server together: flags become [`Settings`](tidegate_core::Settings), settings become a running server.
//!
//! 1. `cli` reads flags, environment and configuration file, in that order of precedence.
//! 2. `logging` sets up tracing: for people on a terminal, JSON otherwise.
//! 3. `serve` opens the data directory, builds the engine, binds the ports, and writes `ports.json` once they answer.
//! 4. SIGTERM and Ctrl-C drain it.
//! 5. `demo` takes a tour of a server of its own; `health` asks a running server whether it answers.

mod cli;
mod demo;
mod health;
mod kinesis;
mod logging;
mod parts;
mod serve;
mod tls;

use clap::Parser;
use std::process::ExitCode;
use tidegate_core::{Result, Settings};

/// Runs the command that the command line names.
pub fn run() -> ExitCode {
    let cli = cli::Cli::parse();
    match perform(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let hint = error.hint_text().map(|hint| format!("\n  {hint}")).unwrap_or_default();
            eprintln!("tidegate: {error}{hint}");
            ExitCode::FAILURE
        }
    }
}

fn perform(cli: cli::Cli) -> Result<()> {
    // A second start of the provider in one process is an error that means that it is there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match cli.command.unwrap_or_default() {
        cli::Command::Serve(flags) => {
            let settings = flags.settings()?;
            logging::start(&settings.get("log_format"), "info");
            runtime()?.block_on(serve::serve(settings))
        }
        cli::Command::Worker { leader, role, listen, data, set } => {
            let settings = cli::Flags::of_worker(data, listen, set).settings()?;
            logging::start(&settings.get("log_format"), "info");
            runtime()?.block_on(serve::work(settings, &leader, &role))
        }
        cli::Command::Demo { exit } => {
            logging::start("auto", "warn");
            runtime()?.block_on(demo::demo(Settings::new(), exit))
        }
        cli::Command::Health { http } => runtime()?.block_on(health::check(&http)),
    }
}

/// Stack of a worker thread: plans are walked recursively, and the parser allows chains of thousands of operators.
const THREAD_STACK_BYTES: usize = 16 << 20;

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(THREAD_STACK_BYTES).build()?)
}
