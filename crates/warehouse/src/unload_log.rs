//! What is known of UNLOADs that have ended: notes in the history, and Redshift's views over them.

use crate::unload_files::WrittenFile;
use crate::unload_form::Form;
use crate::unload_target::Target;
use serde_json::{Value, json};
use tidegate_catalog::{ADMIN, User};
use tidegate_core::Result;
use tidegate_query::history::{HistoryStream, INT, LONG, Note, TEXT, TIME, time};
use tidegate_query::{DATABASE, SystemView, Work};

/// The streams that UNLOADs are noted in.
pub const HISTORY: &[HistoryStream] = &[
    HistoryStream {
        name: "unloads",
        columns: &[
            ("usename", TEXT),
            ("userid", INT),
            ("query", LONG),
            ("xid", LONG),
            ("pid", INT),
            ("dbname", TEXT),
            ("status", TEXT),
            ("start_time", TIME),
            ("end_time", TIME),
            ("duration", LONG),
            ("file_format", TEXT),
            ("compression", TEXT),
            ("location", TEXT),
            ("unloaded_rows", LONG),
            ("unloaded_files", LONG),
            ("unloaded_bytes", LONG),
            ("error_message", TEXT),
        ],
    },
    HistoryStream {
        name: "unload_files",
        columns: &[
            ("usename", TEXT),
            ("userid", INT),
            ("query", LONG),
            ("xid", LONG),
            ("pid", INT),
            ("dbname", TEXT),
            ("slice", INT),
            ("path", TEXT),
            ("start_time", TIME),
            ("end_time", TIME),
            ("line_count", LONG),
            ("transfer_size", LONG),
            ("file_format", TEXT),
        ],
    },
];

/// Redshift's views over them.
pub const VIEWS: &[SystemView] = &[
    SystemView { name: "stl_unload_log", query: include_str!("../../../sql/views/stl_unload_log.sql") },
    SystemView { name: "sys_unload_history", query: include_str!("../../../sql/views/sys_unload_history.sql") },
    SystemView { name: "sys_unload_detail", query: include_str!("../../../sql/views/sys_unload_detail.sql") },
];

/// What is known of an UNLOAD from its start.
pub struct Begun {
    /// Its number.
    pub query: i64,
    user: String,
    userid: u32,
    session: i32,
    transaction: u64,
    started_ms: i64,
}

impl Begun {
    /// One begins.
    pub fn now(work: &Work<'_>) -> Self {
        let scope = &work.scope;
        Begun {
            query: work.engine().next_statement(),
            user: scope.user.clone(),
            userid: scope.state.named::<User>(&scope.user).map_or(ADMIN, |user| user.oid),
            session: scope.pid,
            transaction: scope.state.position,
            started_ms: work.engine().clock().now_ms(),
        }
    }

    /// What is noted once it has ended, with its files.
    pub fn notes(&self, now_ms: i64, form: &Form, target: &Target, ended: &Result<Vec<WrittenFile>>) -> Vec<Note> {
        let none = Vec::new();
        let files = ended.as_ref().unwrap_or(&none);
        let unload = self.row(
            now_ms,
            form,
            json!({
                "status": if ended.is_ok() { "completed" } else { "aborted" },
                "duration": (now_ms - self.started_ms).saturating_mul(1000),
                "compression": form.options.compression.extension().trim_start_matches('.'),
                "location": form.url,
                "unloaded_rows": files.iter().map(|file| file.rows).sum::<u64>(),
                "unloaded_files": files.len(),
                "unloaded_bytes": files.iter().map(|file| file.bytes).sum::<u64>(),
                "error_message": ended.as_ref().err().map(|error| error.message().to_string()),
            }),
        );
        let file = |file: &WrittenFile| {
            self.row(
                now_ms,
                form,
                json!({
                    "slice": file.slice,
                    "path": target.url_of(&file.path),
                    "line_count": file.rows + form.header_lines(),
                    "transfer_size": file.bytes,
                }),
            )
        };
        let files = files.iter().map(|written| Note { stream: "unload_files", row: file(written) });
        std::iter::once(Note { stream: "unloads", row: unload }).chain(files).collect()
    }

    /// A row with what all of them have.
    fn row(&self, now_ms: i64, form: &Form, own: Value) -> Value {
        let mut row = json!({
            "usename": self.user, "userid": self.userid, "query": self.query, "xid": self.transaction,
            "pid": self.session, "dbname": DATABASE, "start_time": time(self.started_ms), "end_time": time(now_ms),
            "file_format": form.format_word,
        });
        if let (Value::Object(row), Value::Object(mut own)) = (&mut row, own) {
            row.append(&mut own);
        }
        row
    }
}
