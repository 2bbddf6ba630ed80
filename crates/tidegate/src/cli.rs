//! The command line, and how its values, the environment's and the configuration file's become settings.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use tidegate_core::{Error, Kind, Result, SETTINGS, Settings};

/// Streams, deliveries, a lake and a warehouse behind one PostgreSQL door.
#[derive(Parser)]
#[command(name = "tidegate", version, about, after_help = settings_help())]
pub struct Cli {
    /// What to do; `serve` when nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What the binary does.
#[derive(Subcommand)]
pub enum Command {
    /// Runs the server.
    #[command(after_help = settings_help())]
    Serve(Flags),
    /// Runs parts of a server's queries: joins it as a worker.
    #[command(after_help = settings_help())]
    Worker {
        /// Address of the leader's cluster port.
        #[arg(long)]
        leader: String,
        /// core stays, task comes and goes.
        #[arg(long, default_value = "core")]
        role: String,
        /// Address on which it is sent its parts; port 0 takes a free one.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: String,
        /// Its folder, for what does not fit into memory.
        #[arg(long, default_value = "./tidegate-worker")]
        data: String,
        /// A setting; may be given several times.
        #[arg(long = "set", value_name = "NAME=VALUE")]
        set: Vec<String>,
    },
    /// Runs a server on a throw-away directory that takes a tour of itself on real data, then stays up.
    Demo {
        /// End after the tour.
        #[arg(long)]
        exit: bool,
    },
    /// Asks a running server whether it answers; exits 0 if it does.
    Health {
        /// Address of its HTTP port.
        #[arg(long, default_value = "127.0.0.1:4566")]
        http: String,
    },
}

impl Default for Command {
    fn default() -> Self {
        Command::Serve(Flags::default())
    }
}

/// The flags of `serve`: short names for the settings that are given most.
#[derive(Args, Default)]
pub struct Flags {
    /// The data directory.
    #[arg(long)]
    data: Option<String>,
    /// Address of the SQL port; port 0 takes a free one.
    #[arg(long)]
    sql_listen: Option<String>,
    /// Address of the HTTP port; port 0 takes a free one.
    #[arg(long)]
    http_listen: Option<String>,
    /// Address of the cluster port; port 0 takes a free one.
    #[arg(long)]
    cluster_listen: Option<String>,
    /// A file with a line `name = value` for each setting; `#` begins a comment.
    #[arg(long)]
    config: Option<PathBuf>,
    /// A setting; may be given several times.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    set: Vec<String>,
}

impl Flags {
    /// Those of a worker.
    pub fn of_worker(data: String, listen: String, set: Vec<String>) -> Self {
        Flags { data: Some(data), cluster_listen: Some(listen), set, ..Flags::default() }
    }

    /// Flags win over the environment, the environment over the file.
    pub fn settings(&self) -> Result<Settings> {
        let settings = Settings::new();
        if let Some(path) = &self.config {
            let shown = path.display();
            let text = std::fs::read_to_string(path).map_err(|e| Error::from(e).context(&shown))?;
            apply_file(&settings, &text).map_err(|e| e.context(&shown))?;
        }
        for setting in SETTINGS {
            let variable = format!("TIDEGATE_{}", setting.name.to_uppercase());
            if let Ok(value) = std::env::var(&variable) {
                settings.set(setting.name, &value).map_err(|e| e.context(variable))?;
            }
        }
        let short = [
            ("data", &self.data),
            ("sql_listen", &self.sql_listen),
            ("http_listen", &self.http_listen),
            ("cluster_listen", &self.cluster_listen),
        ];
        for (name, value) in short {
            if let Some(value) = value {
                settings.set(name, value)?;
            }
        }
        for pair in &self.set {
            let (name, value) = split_pair(pair).map_err(|e| e.context("--set"))?;
            settings.set(name, value)?;
        }
        Ok(settings)
    }
}

fn apply_file(settings: &Settings, text: &str) -> Result<()> {
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if !line.is_empty() {
            let (name, value) = split_pair(line).map_err(|e| e.context(format_args!("line {}", index + 1)))?;
            settings.set(name, value).map_err(|e| e.context(format_args!("line {}", index + 1)))?;
        }
    }
    Ok(())
}

fn split_pair(pair: &str) -> Result<(&str, &str)> {
    let (name, value) = pair.split_once('=').ok_or_else(|| {
        Error::new(Kind::InvalidParameter, format!("\"{pair}\" is not a setting")).hint("Write name=value.")
    })?;
    Ok((name.trim(), value.trim()))
}

fn settings_help() -> String {
    let mut help =
        String::from("Settings (--set name=value, TIDEGATE_NAME in the environment, or a line of --config):\n");
    for setting in SETTINGS {
        let default = if setting.default.is_empty() { String::new() } else { format!(" [{}]", setting.default) };
        help.push_str(&format!("  {:<38}{}{default}\n", setting.name, setting.about));
    }
    help
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_line_by_line_and_a_bad_line_is_named() {
        let settings = Settings::new();
        apply_file(&settings, "# ports\nsql_listen = 127.0.0.1:1 # here\n\nmax_connections=7\n").unwrap();
        assert_eq!((settings.get("sql_listen").as_str(), settings.whole("max_connections")), ("127.0.0.1:1", 7));
        let cases = [("a", "line 1"), ("\nnope = 1", "line 2"), ("max_connections = many", "line 1")];
        for (text, place) in cases {
            let error = apply_file(&settings, text).unwrap_err().to_string();
            assert!(error.contains(place), "{error}");
        }
    }

    #[test]
    fn flags_win() {
        let flags = Flags { data: Some("a".into()), set: vec!["data=b".into()], ..Flags::default() };
        assert_eq!(flags.settings().unwrap().get("data"), "b");
        let flags = Flags { set: vec!["data".into()], ..Flags::default() };
        assert!(flags.settings().is_err());
    }
}
