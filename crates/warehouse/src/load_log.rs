//! What is known of loads: those that run, and in the history those that have ended.

use crate::lanes::Staged;
use crate::load::{File, Load, Progress, Report};
use arrow::datatypes::DataType;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tidegate_catalog::{ADMIN, HISTORY_SCHEMA, Oid, User};
use tidegate_query::history::{HistoryStream, INT, LONG, Note, TEXT, TIME, time};
use tidegate_query::system_table::{Cell, number, scoped_table, text, time_type};
use tidegate_query::{DATABASE, Scope, SystemTable, SystemView, Work, require_superuser};

/// Bad rows of a load whose values are kept one by one (Redshift keeps those of 20).
const DETAILED_MAX: usize = 20;

/// The streams that loads are noted in.
pub const HISTORY: &[HistoryStream] = &[
    HistoryStream {
        name: "loads",
        columns: &[
            ("usename", TEXT),
            ("userid", INT),
            ("query", LONG),
            ("xid", LONG),
            ("pid", INT),
            ("table_id", INT),
            ("table_name", TEXT),
            ("dbname", TEXT),
            ("status", TEXT),
            ("start_time", TIME),
            ("end_time", TIME),
            ("duration", LONG),
            ("data_source", TEXT),
            ("file_format", TEXT),
            ("loaded_rows", LONG),
            ("loaded_bytes", LONG),
            ("source_files", LONG),
            ("source_bytes", LONG),
            ("scanned_files", LONG),
            ("scanned_bytes", LONG),
            ("errors", LONG),
            ("copy_job_id", LONG),
        ],
    },
    HistoryStream {
        name: "load_files",
        columns: &[
            ("usename", TEXT),
            ("userid", INT),
            ("query", LONG),
            ("slice", INT),
            ("filename", TEXT),
            ("lines", LONG),
            ("bytes", LONG),
            ("ended", TIME),
            ("errors", LONG),
            ("file_format", TEXT),
            ("is_partial", INT),
            ("start_offset", LONG),
            ("copy_job_id", LONG),
        ],
    },
    HistoryStream {
        name: "load_errors",
        columns: &[
            ("usename", TEXT),
            ("userid", INT),
            ("query", LONG),
            ("xid", LONG),
            ("pid", INT),
            ("table_id", INT),
            ("dbname", TEXT),
            ("slice", INT),
            ("start_time", TIME),
            ("filename", TEXT),
            ("line_number", LONG),
            ("colname", TEXT),
            ("coltype", TEXT),
            ("col_length", TEXT),
            ("place", INT),
            ("raw_line", TEXT),
            ("raw_field_value", TEXT),
            ("err_code", INT),
            ("err_reason", TEXT),
            ("is_partial", INT),
            ("start_offset", LONG),
            ("copy_job_id", LONG),
        ],
    },
    HistoryStream {
        name: "load_error_fields",
        columns: &[
            ("usename", TEXT),
            ("userid", INT),
            ("query", LONG),
            ("slice", INT),
            ("filename", TEXT),
            ("line_number", LONG),
            ("field", INT),
            ("colname", TEXT),
            ("value", TEXT),
            ("is_null", INT),
        ],
    },
    HistoryStream {
        name: "load_replacements",
        columns: &[
            ("usename", TEXT),
            ("userid", INT),
            ("query", LONG),
            ("slice", INT),
            ("table_id", INT),
            ("start_time", TIME),
            ("pid", INT),
            ("filename", TEXT),
            ("line_number", LONG),
            ("colname", TEXT),
            ("raw_line", TEXT),
        ],
    },
];

macro_rules! views {
    ($($name:literal),* $(,)?) => {
        &[$(SystemView { name: $name, query: include_str!(concat!("../../../sql/views/", $name, ".sql")) }),*]
    };
}

/// Redshift's views over them.
pub const VIEWS: &[SystemView] = views![
    "stl_load_errors",
    "stl_loaderror_detail",
    "stl_load_commits",
    "stl_replacements",
    "sys_load_error_detail",
    "sys_load_detail",
    "sys_load_history",
];

/// The loads that run.
#[derive(Debug, Clone, Default)]
pub struct Loads(Arc<Mutex<BTreeMap<i64, Arc<Facts>>>>);

/// What is known of a load from its start.
#[derive(Debug)]
pub struct Facts {
    /// Its number.
    pub query: i64,
    user: String,
    userid: u32,
    session: i32,
    transaction: u64,
    table: u32,
    table_name: String,
    source: String,
    format: &'static str,
    started_ms: i64,
    files: usize,
    bytes: u64,
    job: Option<Oid>,
    /// How far it is.
    pub progress: Arc<Progress>,
}

/// A load that runs until this is dropped.
#[derive(Debug)]
pub struct Running {
    facts: Arc<Facts>,
    loads: Loads,
}

impl std::ops::Deref for Running {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        &self.facts
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.loads.0.lock().remove(&self.facts.query);
    }
}

impl Loads {
    /// A load begins.
    pub fn begin(
        &self,
        work: &Work<'_>,
        load: &Load,
        source: &str,
        format: &'static str,
        files: &[File],
        job: Option<Oid>,
    ) -> Running {
        let scope = &work.scope;
        let facts = Arc::new(Facts {
            query: work.engine().next_statement(),
            user: scope.user.clone(),
            userid: scope.state.named::<User>(&scope.user).map_or(ADMIN, |user| user.oid),
            session: scope.pid,
            transaction: scope.state.position,
            table: load.relation.oid,
            table_name: load.relation.name.clone(),
            source: source.to_string(),
            format,
            started_ms: work.engine().clock().now_ms(),
            files: files.len(),
            bytes: files.iter().map(|file| file.bytes).sum(),
            job,
            progress: Arc::default(),
        });
        self.0.lock().insert(facts.query, Arc::clone(&facts));
        Running { facts, loads: self.clone() }
    }

    /// Tables of the loads that run: Redshift's `stv_load_state`, and what `sys_load_history` adds to those that ended.
    pub fn system_tables(&self) -> Vec<SystemTable> {
        let (state, history) = (self.clone(), self.clone());
        let string = DataType::Utf8;
        let long = DataType::Int64;
        let state_columns = [
            ("userid", long.clone()),
            ("session", long.clone()),
            ("query", long.clone()),
            ("slice", long.clone()),
            ("pid", long.clone()),
            ("recordtime", time_type()),
            ("bytes_to_load", long.clone()),
            ("bytes_loaded", long.clone()),
            ("bytes_to_load_compressed", long.clone()),
            ("bytes_loaded_compressed", long.clone()),
            ("lines", long.clone()),
            ("num_files", long.clone()),
            ("current_file", string.clone()),
            ("pct_complete", long.clone()),
        ];
        let history_columns = [
            ("userid", long.clone()),
            ("query", long.clone()),
            ("xid", long.clone()),
            ("pid", long.clone()),
            ("table_name", string.clone()),
            ("start_time", time_type()),
            ("data_source", string.clone()),
            ("file_format", string),
            ("loaded_rows", long.clone()),
            ("source_files", long.clone()),
            ("source_bytes", long.clone()),
            ("scanned_bytes", long),
        ];
        vec![
            scoped_table("pg_catalog", "stv_load_state", &state_columns, move |scope| {
                state.seen(scope, |load| load.state_row(scope))
            }),
            scoped_table(HISTORY_SCHEMA, "running_loads", &history_columns, move |scope| {
                history.seen(scope, Facts::history_row)
            }),
        ]
    }

    /// The loads that a user may see.
    fn seen(&self, scope: &Scope, row: impl Fn(&Facts) -> Vec<Cell>) -> Vec<Vec<Cell>> {
        let all = require_superuser(scope, "see the loads of others").is_ok();
        self.0.lock().values().filter(|load| all || load.user == scope.user).map(|load| row(load)).collect()
    }
}

impl Facts {
    /// How far it is, for people.
    pub fn told(&self) -> String {
        let (read, rows) = (self.progress.bytes.load(Ordering::Relaxed), self.progress.rows.load(Ordering::Relaxed));
        let percent = read.min(self.bytes) * 100 / self.bytes.max(1);
        format!("{percent} % of {} MB, {rows} record(s)", self.bytes >> 20)
    }

    fn state_row(&self, scope: &Scope) -> Vec<Cell> {
        let read = self.progress.bytes.load(Ordering::Relaxed).min(self.bytes);
        vec![
            number(self.userid),
            number(self.session),
            number(self.query),
            number(0),
            number(self.session),
            Cell::Time(Some(scope.engine.clock().now_ms())),
            number(self.bytes),
            number(read),
            number(self.bytes),
            number(read),
            number(self.progress.rows.load(Ordering::Relaxed)),
            number(self.files as u64),
            text(&self.source),
            number(read * 100 / self.bytes.max(1)),
        ]
    }

    fn history_row(&self) -> Vec<Cell> {
        vec![
            number(self.userid),
            number(self.query),
            number(self.transaction),
            number(self.session),
            text(&self.table_name),
            Cell::Time(Some(self.started_ms)),
            text(&self.source),
            text(self.format),
            number(self.progress.rows.load(Ordering::Relaxed)),
            number(self.files as u64),
            number(self.bytes),
            number(self.progress.bytes.load(Ordering::Relaxed)),
        ]
    }

    /// The row of a load that has ended.
    fn ended(&self, staged: &Staged, now_ms: i64) -> Value {
        let failed = staged.failure.is_some();
        let scanned: BTreeSet<&str> = staged.reports.iter().map(|report| report.url.as_str()).collect();
        let scanned_bytes: u64 = staged.reports.iter().map(|report| report.bytes).sum();
        json!({
            "usename": self.user, "userid": self.userid, "query": self.query, "xid": self.transaction,
            "pid": self.session, "table_id": self.table, "table_name": self.table_name, "dbname": DATABASE,
            "status": if failed { "aborted" } else { "completed" },
            "start_time": time(self.started_ms), "end_time": time(now_ms),
            "duration": (now_ms - self.started_ms).saturating_mul(1000),
            "data_source": self.source, "file_format": self.format,
            "loaded_rows": if failed { 0 } else { staged.loaded() },
            "loaded_bytes": if failed { 0 } else { scanned_bytes },
            "source_files": self.files, "source_bytes": self.bytes,
            "scanned_files": scanned.len(), "scanned_bytes": scanned_bytes,
            "errors": staged.rejected(), "copy_job_id": self.job,
        })
    }

    fn file(&self, report: &Report, now_ms: i64) -> Value {
        json!({
            "usename": self.user, "userid": self.userid, "query": self.query, "slice": report.slice,
            "filename": report.url, "lines": report.lines, "bytes": report.bytes, "ended": time(now_ms),
            "errors": report.error_count, "file_format": self.format, "is_partial": u8::from(report.is_part),
            "start_offset": report.span.0, "copy_job_id": self.job,
        })
    }

    fn error(&self, report: &Report, error: &tidegate_query::formats::LoadError) -> Value {
        json!({
            "usename": self.user, "userid": self.userid, "query": self.query, "xid": self.transaction,
            "pid": self.session, "table_id": self.table, "dbname": DATABASE, "slice": report.slice,
            "start_time": time(self.started_ms), "filename": error.file, "line_number": error.line,
            "colname": error.column, "coltype": error.column_type, "col_length": error.column_length,
            "place": error.position, "raw_line": error.raw_line, "raw_field_value": error.raw,
            "err_code": error.code, "err_reason": error.reason, "is_partial": u8::from(report.is_part),
            "start_offset": report.span.0, "copy_job_id": self.job,
        })
    }

    fn fields<'a>(
        &'a self,
        report: &'a Report,
        error: &'a tidegate_query::formats::LoadError,
    ) -> impl Iterator<Item = Value> + 'a {
        error.fields.iter().enumerate().map(move |(field, (name, value, is_null))| {
            json!({
                "usename": self.user, "userid": self.userid, "query": self.query, "slice": report.slice,
                "filename": error.file, "line_number": error.line, "field": field, "colname": name, "value": value,
                "is_null": u8::from(*is_null),
            })
        })
    }
}

/// What is noted of a load that has ended, with its files and bad rows.
pub fn notes(work: &Work<'_>, load: &Running, staged: &Staged) -> Vec<Note> {
    let now_ms = work.engine().clock().now_ms();
    let mut notes = vec![Note { stream: "loads", row: load.ended(staged, now_ms) }];
    let mut detailed = 0;
    for report in &staged.reports {
        notes.push(Note { stream: "load_files", row: load.file(report, now_ms) });
        for error in &report.errors {
            notes.push(Note { stream: "load_errors", row: load.error(report, error) });
            if detailed < DETAILED_MAX {
                detailed += 1;
                let rows = load.fields(report, error);
                notes.extend(rows.map(|row| Note { stream: "load_error_fields", row }));
            }
        }
        for replaced in &report.replaced {
            let row = json!({
                "usename": load.user, "userid": load.userid, "query": load.query, "slice": report.slice,
                "table_id": load.table, "start_time": time(load.started_ms), "pid": load.session,
                "filename": report.url, "line_number": replaced.line, "colname": replaced.column,
                "raw_line": replaced.raw_line,
            });
            notes.push(Note { stream: "load_replacements", row });
        }
    }
    notes
}
