//! Log lines on stderr: for people on a terminal, JSON otherwise.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Begins logging. `format` is the setting `log_format`; `RUST_LOG` chooses what is logged, else `level`.
pub fn start(format: &str, level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let human = format == "human" || (format == "auto" && std::io::stderr().is_terminal());
    // A logger that is there already, as in a test, stays.
    let _ = if human { builder.try_init() } else { builder.json().try_init() };
}
