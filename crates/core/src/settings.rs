//! Every setting of the server, in one declarative table: the source of `--help`, `SHOW ALL`, `pg_settings` and the docs.
//!
//! A value comes from `--set name=value`, else `TIDEGATE_NAME` in the environment, else a line of `--config FILE`, else the
//! default. Sessions keep their own overrides of those whose [`Scope`] allows it.

use crate::{Error, Kind, Result, nearest};
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Who may change a setting, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Only at start.
    Start,
    /// `ALTER SYSTEM SET`, while running.
    System,
    /// `SET`, by each session for itself.
    Session,
    /// Reported, never changed.
    Fixed,
}

/// What a value must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Any text.
    Text,
    /// `on` or `off`.
    Switch,
    /// A whole number in a range.
    Whole(i64, i64),
    /// A duration: a number of milliseconds, or `5s`, `2min`, `1h`.
    Millis,
    /// A size: a number of bytes, or `512kB`, `64MB`, `2GB`, `1TB`, each 1024 of the one before, as in Postgres.
    Bytes,
    /// A style and an order of dates, as in Postgres: `ISO`, `ISO, DMY`.
    DateStyle,
    /// One of these words.
    OneOf(&'static [&'static str]),
}

/// One row of the table.
pub struct Setting {
    /// As typed by users: lower case.
    pub name: &'static str,
    /// What it is when nobody says otherwise.
    pub default: &'static str,
    /// Who may change it.
    pub scope: Scope,
    /// What a value must look like.
    pub shape: Shape,
    /// One sentence for people.
    pub about: &'static str,
}

const fn setting(
    name: &'static str,
    default: &'static str,
    scope: Scope,
    shape: Shape,
    about: &'static str,
) -> Setting {
    Setting { name, default, scope, shape, about }
}

/// The table. Order is alphabetical within a scope.
pub const SETTINGS: &[Setting] = &[
    setting(
        "auth",
        "trust",
        Scope::Start,
        Shape::OneOf(&["trust", "password"]),
        "How clients of the SQL port prove who they are.",
    ),
    setting("aws_account_id", "000000000000", Scope::Start, Shape::Text, "The account in every ARN."),
    setting("aws_region", "us-east-1", Scope::Start, Shape::Text, "The region of ARNs when a request is not signed."),
    setting(
        "cluster_advertise",
        "",
        Scope::Start,
        Shape::Text,
        "Address at which other nodes reach this one; empty is where it listens.",
    ),
    setting("cluster_listen", "127.0.0.1:4567", Scope::Start, Shape::Text, "Address of the cluster port."),
    setting("cluster_secret", "", Scope::Start, Shape::Text, "What every node of the cluster must know."),
    setting("data", "./tidegate-data", Scope::Start, Shape::Text, "The data directory."),
    setting(
        "http_listen",
        "127.0.0.1:4566",
        Scope::Start,
        Shape::Text,
        "Address of the HTTP port: the AWS protocols, /healthz, /metrics.",
    ),
    setting(
        "http_proxy",
        "",
        Scope::Start,
        Shape::Text,
        "URL of the proxy that COPY, UNLOAD, deliveries and external scans go through; empty is none.",
    ),
    setting(
        "log_format",
        "auto",
        Scope::Start,
        Shape::OneOf(&["auto", "human", "json"]),
        "Log lines for people or for machines; auto asks the terminal.",
    ),
    setting(
        "log_connections",
        "off",
        Scope::System,
        Shape::Switch,
        "Whether the log tells who logs in, and who is refused.",
    ),
    setting(
        "log_statement",
        "none",
        Scope::System,
        Shape::OneOf(&["none", "ddl", "mod", "all"]),
        "Which statements the log tells, with who asked and how they ended; secrets are blotted out.",
    ),
    setting(
        "login_failures_max",
        "10",
        Scope::Start,
        Shape::Whole(0, 1_000_000),
        "Failed logins of a user from one address after which no more are taken for a while; 0 is no limit.",
    ),
    setting(
        "login_failures_window_ms",
        "60000",
        Scope::Start,
        Shape::Whole(1, 86_400_000),
        "How long failed logins count, in milliseconds.",
    ),
    setting(
        "market",
        "on_demand",
        Scope::Start,
        Shape::OneOf(&["on_demand", "spot"]),
        "How this worker was bought: spot may be taken away.",
    ),
    setting(
        "memory_limit",
        "0",
        Scope::Start,
        Shape::Bytes,
        "Memory that all queries of a node together may hold; 0 is 60 % of the machine's.",
    ),
    setting("max_connections", "1000", Scope::Start, Shape::Whole(1, 100_000), "SQL connections at one time."),
    setting("max_workers", "128", Scope::Start, Shape::Whole(0, 128), "Workers that may join the leader."),
    setting(
        "refresh_interval_ms",
        "100",
        Scope::Start,
        Shape::Whole(1, 3_600_000),
        "How soon pumps and materialized views take what has come, in milliseconds.",
    ),
    setting("sql_listen", "127.0.0.1:5439", Scope::Start, Shape::Text, "Address of the SQL port."),
    setting(
        "tls_cert",
        "",
        Scope::Start,
        Shape::Text,
        "PEM certificate of the SQL port, or auto for a self-signed pair.",
    ),
    setting(
        "tls_client_ca",
        "",
        Scope::Start,
        Shape::Text,
        "PEM certificates of those who may vouch for clients: a client's certificate in a user's name needs no password.",
    ),
    setting("tls_key", "", Scope::Start, Shape::Text, "PEM key of the SQL port."),
    setting(
        "storage_limit",
        "0",
        Scope::Start,
        Shape::Bytes,
        "Disk of a node that queries may take for what does not fit into memory; 0 is 100 GB.",
    ),
    setting(
        "wal_segment_mb",
        "64",
        Scope::Start,
        Shape::Whole(1, 4096),
        "Size at which a new log file is begun, in MiB.",
    ),
    setting("zone", "", Scope::Start, Shape::Text, "The zone that this node stands in."),
    setting("auto_analyze", "on", Scope::System, Shape::Switch, "Whether tables that have changed much are analyzed."),
    setting(
        "auto_vacuum",
        "on",
        Scope::System,
        Shape::Switch,
        "Whether small files of tables are put together, and rows sorted, without a VACUUM.",
    ),
    setting(
        "deleted_file_retention_ms",
        "3600000",
        Scope::System,
        Shape::Millis,
        "How long files stay on the disk that a table has let go of, for those who read its Delta log.",
    ),
    setting(
        "delta_log_retention_ms",
        "2592000000",
        Scope::System,
        Shape::Millis,
        "How long versions of tables' Delta logs stay readable that a checkpoint has made superfluous.",
    ),
    setting(
        "copy_job_interval_ms",
        "5000",
        Scope::System,
        Shape::Millis,
        "How often COPY jobs with AUTO ON look for new objects.",
    ),
    setting(
        "egress_allowlist",
        "",
        Scope::System,
        Shape::Text,
        "Hosts that COPY, UNLOAD, deliveries and external scans may reach, with commas; empty is all.",
    ),
    setting(
        "s3_endpoint",
        "",
        Scope::System,
        Shape::Text,
        "Endpoint of s3:// where no credential names one (path style); empty is AWS.",
    ),
    setting(
        "stream_seal_interval_ms",
        "60000",
        Scope::System,
        Shape::Millis,
        "Longest time that a record stays in the tail before it is sealed into a segment.",
    ),
    setting(
        "stream_seal_mb",
        "64",
        Scope::System,
        Shape::Whole(1, 65536),
        "Size of a shard's tail, in MiB, that makes the sealer begin.",
    ),
    setting(
        "stream_shard_limit",
        "500",
        Scope::System,
        Shape::Whole(1, 100_000),
        "Open shards of all streams together.",
    ),
    setting(
        "stream_tail_mb_max",
        "1024",
        Scope::System,
        Shape::Whole(16, 1_048_576),
        "Memory that unsealed records may take, in MiB; puts wait beyond it.",
    ),
    setting(
        "system_log_retention_days",
        "7",
        Scope::System,
        Shape::Whole(1, 3650),
        "Days for which stl_load_errors, sys_load_history and their kin remember.",
    ),
    setting(
        "table_flush_interval_ms",
        "60000",
        Scope::System,
        Shape::Millis,
        "Longest time that rows of small writes stay in a table's tail before they are in a file.",
    ),
    setting(
        "table_flush_mb",
        "16",
        Scope::System,
        Shape::Whole(1, 65536),
        "Size of a table's tail, in MiB, that makes its flush begin.",
    ),
    setting(
        "table_tail_mb_max",
        "256",
        Scope::System,
        Shape::Whole(0, 1_048_576),
        "Memory that the tails of all tables may take, in MiB; beyond it small writes make files, too.",
    ),
    setting(
        "analyze_threshold_percent",
        "10",
        Scope::Session,
        Shape::Text,
        "Share of a table's rows that must have changed before ANALYZE looks at it again, in percent.",
    ),
    setting("application_name", "", Scope::Session, Shape::Text, "What the client calls itself."),
    setting("bytea_output", "hex", Scope::Session, Shape::OneOf(&["hex", "escape"]), "How bytea is shown as text."),
    setting(
        "cast_super_null_on_error",
        "on",
        Scope::Session,
        Shape::Switch,
        "Whether a SUPER value that cannot be cast is NULL rather than an error.",
    ),
    setting("client_encoding", "UTF8", Scope::Session, Shape::Text, "Always UTF8."),
    setting(
        "client_min_messages",
        "notice",
        Scope::Session,
        Shape::OneOf(&["debug5", "debug4", "debug3", "debug2", "debug1", "debug", "log", "notice", "warning", "error"]),
        "Least severe message that is sent.",
    ),
    setting(
        "compat_mode",
        "tidegate",
        Scope::Session,
        Shape::OneOf(&["tidegate", "postgres", "redshift"]),
        "What version() says. redshift: TRUNCATE commits, and what Redshift refuses in a transaction block is refused.",
    ),
    setting("datestyle", "ISO, MDY", Scope::Session, Shape::DateStyle, "How dates are shown: always ISO."),
    setting(
        "default_table_access_method",
        "heap",
        Scope::Session,
        Shape::OneOf(&["heap"]),
        "Accepted for drivers that ask for it: tables are kept in one way.",
    ),
    setting(
        "default_transaction_read_only",
        "off",
        Scope::Session,
        Shape::Switch,
        "Whether transactions only read, unless they say otherwise.",
    ),
    setting("distributed", "on", Scope::Session, Shape::Switch, "Whether other nodes take part in queries."),
    setting(
        "distributed_task_bytes",
        "33554432",
        Scope::Session,
        Shape::Whole(1, i64::MAX),
        "Bytes of a scan from which on another node is worth it.",
    ),
    setting(
        "enable_case_sensitive_super_attribute",
        "off",
        Scope::Session,
        Shape::Switch,
        "Whether attributes of SUPER values keep their case without quotes.",
    ),
    setting(
        "error_on_nondeterministic_update",
        "off",
        Scope::Session,
        Shape::Switch,
        "Whether an UPDATE fails when several rows of its FROM match one row of the table.",
    ),
    setting(
        "extra_float_digits",
        "1",
        Scope::Session,
        Shape::Whole(-15, 3),
        "Accepted: floats are shown shortest-precise.",
    ),
    setting(
        "idle_in_transaction_session_timeout",
        "0",
        Scope::Session,
        Shape::Millis,
        "Ends a session that idles in a transaction; 0 is never.",
    ),
    setting("intervalstyle", "postgres", Scope::Session, Shape::Text, "How intervals are shown: always postgres."),
    setting(
        "lock_timeout",
        "0",
        Scope::Session,
        Shape::Millis,
        "Longest time a statement waits for a table's lock; 0 is no limit.",
    ),
    setting(
        "navigate_super_null_on_error",
        "on",
        Scope::Session,
        Shape::Switch,
        "Whether a step into a SUPER value of another sort gives NULL rather than an error.",
    ),
    setting(
        "parse_super_null_on_error",
        "off",
        Scope::Session,
        Shape::Switch,
        "Whether json_parse gives NULL for what is not JSON rather than an error.",
    ),
    setting(
        "password_encryption",
        "scram-sha-256",
        Scope::Session,
        Shape::OneOf(&["scram-sha-256", "md5"]),
        "What is kept of a new password: md5 is for clients that know nothing better.",
    ),
    setting(
        "query_memory_limit",
        "0",
        Scope::Session,
        Shape::Bytes,
        "Memory that one query may hold on the leader before it goes to disk; 0 is half of memory_limit.",
    ),
    setting(
        "row_security",
        "on",
        Scope::Session,
        Shape::Switch,
        "Whether policies count; off: a query that they would touch is refused.",
    ),
    setting(
        "search_path",
        "\"$user\", public",
        Scope::Session,
        Shape::Text,
        "Schemas in which unqualified names are looked up.",
    ),
    setting("standard_conforming_strings", "on", Scope::Session, Shape::Switch, "Always on."),
    setting(
        "statement_timeout",
        "0",
        Scope::Session,
        Shape::Millis,
        "Longest time a statement may run; 0 is no limit.",
    ),
    setting(
        "target_partitions",
        "0",
        Scope::Session,
        Shape::Whole(0, 1024),
        "Threads of one query; 0 is one for each core.",
    ),
    setting("timezone", "UTC", Scope::Session, Shape::Text, "Time zone in which timestamptz is shown and read."),
    setting(
        "transaction_isolation",
        "repeatable read",
        Scope::Session,
        Shape::Text,
        "Snapshot isolation, whatever is asked for.",
    ),
    setting("transaction_read_only", "off", Scope::Session, Shape::Switch, "Whether this transaction only reads."),
    setting("integer_datetimes", "on", Scope::Fixed, Shape::Switch, "As in Postgres."),
    setting("is_superuser", "on", Scope::Fixed, Shape::Switch, "As in Postgres."),
    setting("max_index_keys", "32", Scope::Fixed, Shape::Whole(32, 32), "As in Postgres."),
    setting("max_identifier_length", "63", Scope::Fixed, Shape::Whole(63, 63), "As in Postgres."),
    setting("server_encoding", "UTF8", Scope::Fixed, Shape::Text, "Always UTF8."),
    setting(
        "server_version",
        "15.4",
        Scope::Fixed,
        Shape::Text,
        "The Postgres version whose behaviour is followed; bare digits, since drivers parse it.",
    ),
    setting("server_version_num", "150004", Scope::Fixed, Shape::Text, "The same as a number."),
];

/// The server-wide values: those given at start, those set since, the defaults for the rest.
#[derive(Clone, Default)]
pub struct Settings {
    given: Arc<RwLock<BTreeMap<&'static str, String>>>,
}

/// Without the values: one of them is a secret.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").finish_non_exhaustive()
    }
}

/// Finds a row by name, in any case.
pub fn find(name: &str) -> Result<&'static Setting> {
    let lower = name.to_ascii_lowercase();
    SETTINGS.iter().find(|s| s.name == lower).ok_or_else(|| {
        let error = Error::new(Kind::UndefinedObject, format!("unrecognized configuration parameter \"{name}\""));
        match nearest(&lower, SETTINGS.iter().map(|setting| setting.name)) {
            Some(near) => error.hint(format!("Perhaps you meant \"{near}\". SHOW ALL lists them.")),
            None => error.hint("SHOW ALL lists them."),
        }
    })
}

impl Setting {
    /// Checks a value and gives it in its canonical form.
    pub fn check(&self, value: &str) -> Result<String> {
        let wrong = |must: &str| {
            Error::new(Kind::InvalidParameter, format!("invalid value for parameter \"{}\": \"{value}\"", self.name))
                .hint(format!("It must be {must}."))
        };
        match self.shape {
            Shape::Text => Ok(value.to_string()),
            Shape::Switch => match value.to_ascii_lowercase().as_str() {
                "on" | "true" | "yes" | "1" => Ok("on".into()),
                "off" | "false" | "no" | "0" => Ok("off".into()),
                _ => Err(wrong("on or off")),
            },
            Shape::Whole(low, high) => match value.trim().parse::<i64>() {
                Ok(n) if (low..=high).contains(&n) => Ok(n.to_string()),
                _ => Err(wrong(&format!("a whole number from {low} to {high}"))),
            },
            Shape::Millis => millis(value)
                .map(|ms| ms.to_string())
                .ok_or_else(|| wrong("milliseconds, or a number with ms, s, min, h or d")),
            Shape::Bytes => bytes(value)
                .map(|bytes| bytes.to_string())
                .ok_or_else(|| wrong("a number of bytes, or a number with kB, MB, GB or TB")),
            Shape::DateStyle => date_style(value).ok_or_else(|| wrong("ISO, and MDY, DMY or YMD")),
            Shape::OneOf(words) => {
                let lower = value.to_ascii_lowercase();
                if words.contains(&lower.as_str()) {
                    Ok(lower)
                } else {
                    Err(wrong(&format!("one of {}", words.join(", "))))
                }
            }
        }
    }
}

/// Reads a style of dates; what it leaves out is as by default.
fn date_style(text: &str) -> Option<String> {
    let mut order = "MDY";
    for word in text.split(',') {
        match word.trim().to_ascii_uppercase().as_str() {
            "ISO" | "DEFAULT" | "" => {}
            "MDY" | "US" | "NONEURO" | "NONEUROPEAN" => order = "MDY",
            "DMY" | "EURO" | "EUROPEAN" => order = "DMY",
            "YMD" => order = "YMD",
            _ => return None,
        }
    }
    Some(format!("ISO, {order}"))
}

/// Reads `250`, `250ms`, `5s`, `2min`, `1h`, `1d` or `7 days` as milliseconds.
pub fn millis(text: &str) -> Option<i64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: i64 = number.parse().ok()?;
    let factor = match unit.trim() {
        "" | "ms" | "millisecond" | "milliseconds" => 1,
        "s" | "second" | "seconds" => 1000,
        "min" | "minute" | "minutes" => 60_000,
        "h" | "hour" | "hours" => 3_600_000,
        "d" | "day" | "days" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// Reads `1024`, `1024B`, `512kB`, `64MB`, `2 GB` or `1TB` as bytes.
fn bytes(text: &str) -> Option<i64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: i64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" | "kib" => 1 << 10,
        "mb" | "mib" => 1 << 20,
        "gb" | "gib" => 1 << 30,
        "tb" | "tib" => 1 << 40,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(factor)
}

const TIME_UNITS: &[(i64, &str)] = &[(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s"), (1, "ms")];
const SIZE_UNITS: &[(i64, &str)] = &[(1 << 40, "TB"), (1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "kB"), (1, "B")];

/// A setting's value as SHOW tells it: a duration and a size in the largest unit that it is a whole number of, as in
/// Postgres.
pub fn shown_setting(name: &str, value: &str) -> String {
    let units = match find(name).map(|setting| setting.shape) {
        Ok(Shape::Millis) => TIME_UNITS,
        Ok(Shape::Bytes) => SIZE_UNITS,
        _ => &[],
    };
    let number = value.parse::<i64>().ok().filter(|number| *number > 0);
    let unit = |number: i64| {
        units.iter().find(|(factor, _)| number % factor == 0).map(|(factor, unit)| format!("{}{unit}", number / factor))
    };
    number.and_then(unit).unwrap_or_else(|| value.to_string())
}

impl Settings {
    /// Only defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives a setting a value, whatever its scope: the caller has checked that it may.
    pub fn set(&self, name: &str, value: &str) -> Result<()> {
        let setting = find(name)?;
        let value = setting.check(value)?;
        self.given.write().insert(setting.name, value);
        Ok(())
    }

    /// The value of a setting; empty for a name that the table does not have.
    pub fn get(&self, name: &str) -> String {
        let Ok(setting) = find(name) else { return String::new() };
        self.given.read().get(setting.name).cloned().unwrap_or_else(|| setting.default.to_string())
    }

    /// The value as a whole number; 0 when it is none.
    pub fn whole(&self, name: &str) -> i64 {
        self.get(name).parse().unwrap_or(0)
    }

    /// The bytes of a setting that is given in MiB; 0 when it is no number.
    pub fn mebibytes(&self, name: &str) -> u64 {
        u64::try_from(self.whole(name)).unwrap_or(0) << 20
    }

    /// Whether a switch is on.
    pub fn is_on(&self, name: &str) -> bool {
        self.get(name) == "on"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked_and_made_canonical() {
        let cases = [
            ("statement_timeout", "5s", Some("5000")),
            ("statement_timeout", "2min", Some("120000")),
            ("statement_timeout", "soon", None),
            ("transaction_read_only", "TRUE", Some("on")),
            ("transaction_read_only", "maybe", None),
            ("max_connections", "0", None),
            ("AUTH", "Trust", Some("trust")),
            ("query_memory_limit", "64MB", Some("67108864")),
            ("query_memory_limit", "2 GiB", Some("2147483648")),
            ("query_memory_limit", "much", None),
            ("query_memory_limit", "9999999 TB", None),
        ];
        for (name, value, want) in cases {
            let got = find(name).and_then(|s| s.check(value));
            assert_eq!(got.ok().as_deref(), want, "{name} = {value}");
        }
    }

    #[test]
    fn unknown_names_are_refused_and_defaults_pass_their_own_check() {
        assert_eq!(find("no_such").err().map(|e| e.kind()), Some(Kind::UndefinedObject));
        for setting in SETTINGS {
            assert!(setting.check(setting.default).is_ok(), "{}", setting.name);
        }
    }
}
