//! A session: one client's settings, transaction and user, and the statements it runs.

use crate::engine::Engine;
use crate::outcome::{Notice, Outcome, TxStatus};
use crate::parameter::{self, Prepared};
use crate::planner::{Planner, text_rows};
use crate::variables::Variables;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::ScalarValue;
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::{CopyDirection, CopyLocation, CopySubject, Piece, Statement, ast, fold, name_parts};
use tokio_util::sync::CancellationToken;

/// One client's session.
pub struct Session {
    engine: Engine,
    pid: i32,
    user: String,
    variables: Variables,
    status: TxStatus,
    notices: Vec<Notice>,
    token: CancellationToken,
}

impl Session {
    /// Opened by [`Engine::open_session`].
    pub(crate) fn open(engine: Engine, pid: i32, user: &str, startup: Vec<(String, String)>) -> Result<Self> {
        let mut variables = Variables::new(engine.settings().clone());
        for (name, value) in startup {
            variables.set(&name, &value)?;
        }
        variables.take_changed();
        let token = CancellationToken::new();
        Ok(Session {
            engine,
            pid,
            user: user.to_string(),
            variables,
            status: TxStatus::Idle,
            notices: Vec::new(),
            token,
        })
    }

    /// The number by which other sessions know this one (`pg_backend_pid`).
    pub fn id(&self) -> i32 {
        self.pid
    }

    /// Who is logged in.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Where the session stands with regard to transactions.
    pub fn status(&self) -> TxStatus {
        self.status
    }

    /// The value of a setting.
    pub fn show(&self, name: &str) -> Result<String> {
        self.variables.get(name)
    }

    /// What the client is to be told beside the result, since this was last asked.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Settings changed since this was last asked.
    pub fn take_changed_settings(&mut self) -> Vec<(String, String)> {
        self.variables.take_changed()
    }

    /// Begins a statement: it can be cancelled by the token that [`Session::cancel_token`] gives from now on.
    pub fn begin_statement(&mut self) {
        self.token = CancellationToken::new();
    }

    /// Cancels the running statement when it is triggered.
    pub fn cancel_token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// A statement has failed, and with it the block it stands in.
    pub fn fail(&mut self, _error: &Error) {
        if self.status == TxStatus::InBlock {
            self.status = TxStatus::Failed;
        }
    }

    /// Cuts a script into its statements.
    pub fn statements(&self, sql: &str) -> Result<Vec<Piece>> {
        tidegate_parser::split(sql)
    }

    /// Runs one statement of a script.
    pub async fn run(&mut self, piece: &Piece) -> Result<Outcome> {
        let statement = tidegate_parser::parse(piece)?;
        self.perform(statement, Vec::new()).await
    }

    /// Reads a statement of the extended protocol. `types` are those that the client told of its parameters.
    pub async fn prepare(&mut self, sql: &str, types: &[Option<u32>]) -> Result<Prepared> {
        let Some(statement) = one_statement(sql)? else {
            return Ok(Prepared { statement: None, parameter_types: Vec::new(), schema: None });
        };
        self.refuse_after_failure(&statement)?;
        let (parameter_types, schema) = match &statement {
            Statement::Sql(sql) => match sql.as_ref() {
                ast::Statement::ShowVariable { variable } => (Vec::new(), Some(show_schema(&setting_name(variable)))),
                sql if is_query(sql) => self.describe(sql, types).await?,
                _ => (Vec::new(), None),
            },
            _ => (Vec::new(), None),
        };
        Ok(Prepared { statement: Some(statement), parameter_types, schema })
    }

    /// Runs a prepared statement with its parameters' values.
    pub async fn execute(&mut self, prepared: &Prepared, values: Vec<ScalarValue>) -> Result<Outcome> {
        match &prepared.statement {
            Some(statement) => self.perform(statement.clone(), values).await,
            None => Ok(Outcome::Empty),
        }
    }

    async fn describe(&self, sql: &ast::Statement, types: &[Option<u32>]) -> Result<(Vec<u32>, Option<SchemaRef>)> {
        let plan = Planner::new(&self.engine, &self.variables)?.plan(sql).await?;
        let types = parameter::types_of(&plan, types)?;
        let bound = parameter::bind(plan, parameter::nulls_of(&types))?;
        Ok((types, Some(Arc::new(bound.schema().as_arrow().clone()))))
    }

    async fn perform(&mut self, statement: Statement, values: Vec<ScalarValue>) -> Result<Outcome> {
        self.refuse_after_failure(&statement)?;
        match statement {
            Statement::Sql(sql) if is_query(&sql) => self.query(&sql, values).await,
            Statement::Sql(sql) => self.control(*sql),
            Statement::Copy(copy) if is_copy_out(&copy) => self.copy_out(copy).await,
            other => Err(unsupported(&other.command_tag())),
        }
    }

    async fn query(&self, sql: &ast::Statement, values: Vec<ScalarValue>) -> Result<Outcome> {
        let planner = Planner::new(&self.engine, &self.variables)?;
        let plan = planner.plan(sql).await?;
        planner.execute(plan, values).await
    }

    async fn copy_out(&self, copy: tidegate_parser::Copy) -> Result<Outcome> {
        let CopySubject::Query(text) = copy.subject else {
            return Err(unsupported("COPY of a table"));
        };
        let query = ast::Statement::Query(tidegate_parser::parse_query(&text)?);
        match self.query(&query, Vec::new()).await? {
            Outcome::Rows { schema, rows, .. } => {
                Ok(Outcome::CopyOut { schema, rows, options: Box::new(copy.options) })
            }
            other => Ok(other),
        }
    }

    /// 25P02 for everything but the end of a failed block.
    fn refuse_after_failure(&self, statement: &Statement) -> Result<()> {
        let ends = matches!(statement, Statement::Sql(sql)
            if matches!(sql.as_ref(), ast::Statement::Rollback { .. } | ast::Statement::Commit { .. }));
        if self.status != TxStatus::Failed || ends {
            return Ok(());
        }
        let message = "current transaction is aborted, commands ignored until end of transaction block";
        Err(Error::new(Kind::FailedTransaction, message).hint("ROLLBACK ends the block."))
    }

    /// Statements about the session itself.
    fn control(&mut self, statement: ast::Statement) -> Result<Outcome> {
        match statement {
            ast::Statement::StartTransaction { .. } => Ok(self.begin()),
            ast::Statement::Commit { .. } => Ok(self.end("COMMIT")),
            ast::Statement::Rollback { savepoint: None, .. } => Ok(self.end("ROLLBACK")),
            ast::Statement::Set(set) => self.set(set),
            ast::Statement::Reset(reset) => self.reset(reset.reset),
            ast::Statement::ShowVariable { variable } => self.show_rows(&setting_name(&variable)),
            ast::Statement::Discard { .. } => {
                self.variables.reset_all();
                Ok(Outcome::Done { tag: "DISCARD ALL".to_string() })
            }
            other => Err(unsupported(&Statement::Sql(Box::new(other)).command_tag())),
        }
    }

    fn begin(&mut self) -> Outcome {
        if self.status == TxStatus::InBlock {
            self.warn("25001", "there is already a transaction in progress");
        }
        self.status = TxStatus::InBlock;
        Outcome::Done { tag: "BEGIN".to_string() }
    }

    fn end(&mut self, tag: &str) -> Outcome {
        // As in Postgres: the COMMIT of a failed block is a ROLLBACK, and says so.
        let tag = if self.status == TxStatus::Failed { "ROLLBACK" } else { tag };
        if self.status == TxStatus::Idle {
            self.warn("25P01", "there is no transaction in progress");
        }
        self.status = TxStatus::Idle;
        Outcome::Done { tag: tag.to_string() }
    }

    fn set(&mut self, set: ast::Set) -> Result<Outcome> {
        match set {
            ast::Set::SingleAssignment { variable, values, .. } => {
                let name = name_parts(&variable).join(".");
                match values.as_slice() {
                    [ast::Expr::Identifier(word)] if fold(word) == "default" => self.variables.reset(&name)?,
                    values => {
                        let texts: Vec<String> = values.iter().map(plain_text).collect();
                        self.variables.set(&name, &texts.join(", "))?;
                    }
                }
            }
            ast::Set::SetTimeZone { value, .. } => self.variables.set("timezone", &plain_text(&value))?,
            // Snapshot isolation whatever is asked for, as drivers ask for several.
            ast::Set::SetTransaction { .. } => {}
            other => return Err(unsupported(&other.to_string())),
        }
        Ok(Outcome::Done { tag: "SET".to_string() })
    }

    fn reset(&mut self, reset: ast::Reset) -> Result<Outcome> {
        match reset {
            ast::Reset::ALL => self.variables.reset_all(),
            ast::Reset::ConfigurationParameter(name) => self.variables.reset(&name_parts(&name).join("."))?,
        }
        Ok(Outcome::Done { tag: "RESET".to_string() })
    }

    fn show_rows(&self, name: &str) -> Result<Outcome> {
        if name != "all" {
            return text_rows(&[name], vec![vec![self.variables.get(name)?]]);
        }
        let mut columns = vec![Vec::new(), Vec::new(), Vec::new()];
        for (name, setting, description) in self.variables.all() {
            for (column, value) in columns.iter_mut().zip([name, setting, description]) {
                column.push(value);
            }
        }
        text_rows(&["name", "setting", "description"], columns)
    }

    fn warn(&mut self, code: &str, message: &str) {
        self.notices.push(Notice {
            severity: "WARNING".to_string(),
            code: code.to_string(),
            message: message.to_string(),
            hint: None,
        });
    }
}

fn unsupported(what: &str) -> Error {
    Error::new(Kind::Unsupported, format!("{what} is not supported"))
}

fn is_query(statement: &ast::Statement) -> bool {
    matches!(statement, ast::Statement::Query(_) | ast::Statement::Explain { .. })
}

fn is_copy_out(copy: &tidegate_parser::Copy) -> bool {
    copy.direction == CopyDirection::To && copy.location == CopyLocation::Stdout
}

fn one_statement(sql: &str) -> Result<Option<Statement>> {
    let pieces = tidegate_parser::split(sql)?;
    match pieces.as_slice() {
        [] => Ok(None),
        [piece] => tidegate_parser::parse(piece).map(Some),
        _ => Err(Error::new(Kind::Syntax, "cannot insert multiple commands into a prepared statement")),
    }
}

/// `SHOW TIME ZONE` and `SHOW TRANSACTION ISOLATION LEVEL` have names of their own.
fn setting_name(words: &[ast::Ident]) -> String {
    let name = words.iter().map(|word| fold(word).to_lowercase()).collect::<Vec<_>>().join(" ");
    match name.as_str() {
        "time zone" => "timezone".to_string(),
        "transaction isolation level" => "transaction_isolation".to_string(),
        _ => name,
    }
}

fn show_schema(name: &str) -> SchemaRef {
    let names: &[&str] = if name == "all" { &["name", "setting", "description"] } else { &[name] };
    Arc::new(Schema::new(names.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect::<Vec<_>>()))
}

/// The text of a value in SET: of a string its inside, of anything else as written.
fn plain_text(value: &ast::Expr) -> String {
    match value {
        ast::Expr::Value(value) => value.clone().into_string().unwrap_or_else(|| value.to_string()),
        ast::Expr::Identifier(word) => word.value.clone(),
        other => other.to_string(),
    }
}
