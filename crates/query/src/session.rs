//! A session: one client's settings, transaction and user, and the statements it runs.

use crate::call::Call;
use crate::cursors::Cursors;
use crate::engine::Engine;
use crate::outcome::{CopyIn, Notice, Outcome, TxStatus};
use crate::parameter::{self, Prepared};
use crate::planner::{Planner, shown_schema, text_rows};
use crate::scope::Scope;
use crate::variables::Variables;
use crate::work::Work;
use crate::{copy_in, ddl, insert, table_arguments, temporary};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::ScalarValue;
use std::sync::Arc;
use tidegate_catalog::{Space, Transaction};
use tidegate_core::{Error, Kind, Result, shown_setting};
use tidegate_parser::{CopyLocation, CopySubject, Piece, Statement, ast, fold, name_parts};
use tokio_util::sync::CancellationToken;

/// Most savepoints of one transaction.
const SAVEPOINTS_MAX: usize = 1000;

/// One client's session.
pub struct Session {
    engine: Engine,
    pid: i32,
    user: String,
    variables: Variables,
    status: TxStatus,
    /// Open in a block, between the statements of one script, and while a COPY takes its rows.
    transaction: Option<Transaction>,
    savepoints: Vec<(String, Transaction)>,
    cursors: Cursors,
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
            transaction: None,
            savepoints: Vec::new(),
            cursors: Cursors::default(),
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
        let least = self.variables.get("client_min_messages").unwrap_or_default();
        let notices = std::mem::take(&mut self.notices);
        notices.into_iter().filter(|notice| rank(&notice.severity) >= rank(&least)).collect()
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
        match self.status {
            TxStatus::InBlock => self.status = TxStatus::Failed,
            TxStatus::Idle => self.transaction = None,
            TxStatus::Failed => {}
        }
    }

    /// Cuts a script into its statements.
    pub fn statements(&self, sql: &str) -> Result<Vec<Piece>> {
        tidegate_parser::split(sql)
    }

    /// Runs one statement of a script. Outside of a block the script is one transaction, as in Postgres, which commits
    /// with its last statement.
    pub async fn run(&mut self, piece: &Piece, last: bool) -> Result<Outcome> {
        let statement = tidegate_parser::parse(piece)?;
        self.perform(statement, Vec::new(), last).await.map_err(|error| placed(error, piece))
    }

    /// Reads a statement of the extended protocol. `types` are those that the client told of its parameters.
    pub async fn prepare(&mut self, sql: &str, types: &[Option<u32>]) -> Result<Prepared> {
        let Some(piece) = one_piece(sql)? else {
            return Ok(Prepared { statement: None, parameter_types: Vec::new(), schema: None });
        };
        let statement = tidegate_parser::parse(&piece)?;
        self.refuse_after_failure(&statement)?;
        let (parameter_types, schema) = match &statement {
            Statement::Sql(sql) => match sql.as_ref() {
                ast::Statement::ShowVariable { variable } => (Vec::new(), Some(show_schema(&setting_name(variable)))),
                ast::Statement::Fetch { name, .. } => (Vec::new(), Some(self.cursors.schema(&fold(name))?)),
                sql if is_query(sql) => self.describe(sql, types).await.map_err(|error| placed(error, &piece))?,
                ast::Statement::Insert(insert) => (self.insert_parameters(insert, types).await?, None),
                sql @ (ast::Statement::Update(_) | ast::Statement::Delete(_)) => (parameter::of_text(sql, types), None),
                _ => (Vec::new(), None),
            },
            _ => (Vec::new(), None),
        };
        Ok(Prepared { statement: Some(statement), parameter_types, schema })
    }

    /// Runs a prepared statement with its parameters' values.
    pub async fn execute(&mut self, prepared: &Prepared, values: Vec<ScalarValue>) -> Result<Outcome> {
        match &prepared.statement {
            Some(statement) => self.perform(statement.clone(), values, true).await,
            None => Ok(Outcome::Empty),
        }
    }

    async fn describe(&self, sql: &ast::Statement, types: &[Option<u32>]) -> Result<(Vec<u32>, Option<SchemaRef>)> {
        if let Some(call) = Call::of(&self.engine, sql)? {
            let (types, schema) = call.describe(&self.scope()?, types).await?;
            return Ok((types, Some(schema)));
        }
        let plan = Planner::new(&self.scope()?)?.plan(&table_arguments::bound(sql, &[])).await?;
        let types = parameter::types_of(&plan, types)?;
        let bound = parameter::bind(plan, parameter::nulls_of(&types))?;
        Ok((types, Some(shown_schema(&Arc::new(bound.schema().as_arrow().clone())))))
    }

    /// The types of the parameters of an INSERT: what the client told, else what they are compared or assigned to.
    async fn insert_parameters(&self, insert: &ast::Insert, told: &[Option<u32>]) -> Result<Vec<u32>> {
        let scope = self.scope()?;
        if let Some(source) = &insert.source
            && !matches!(source.body.as_ref(), ast::SetExpr::Values(_))
        {
            let plan = Planner::new(&scope)?.plan(&ast::Statement::Query(source.clone())).await?;
            return parameter::types_of(&plan, told);
        }
        let known = insert::parameter_types(&scope, insert)?;
        Ok(parameter::of_columns(&ast::Statement::Insert(insert.clone()), &known, told))
    }

    /// What the next statement sees.
    fn scope(&self) -> Result<Scope> {
        let state = match &self.transaction {
            Some(transaction) => Arc::clone(transaction.state()),
            None => self.engine.catalog().state(),
        };
        let path = self.variables.get("search_path")?;
        let schema = |word: &str| match word.trim().trim_matches(['"', '\'']) {
            "$user" => self.user.clone(),
            other => other.to_string(),
        };
        let named = path.split(',').map(schema).filter(|name| !temporary::is_temporary(name));
        let path = std::iter::once(temporary::schema_of(self.pid)).chain(named);
        Ok(Scope {
            engine: self.engine.clone(),
            state: Arc::clone(&state),
            search_path: path.filter(|name| state.find(Space::Schema, name).is_some()).collect(),
            user: self.user.clone(),
            pid: self.pid,
            timezone: self.variables.get("timezone")?,
            partitions: self.variables.get("target_partitions")?.parse().unwrap_or(0),
            settings: Arc::new(self.variables.all()),
            system_columns: false,
            consumed: None,
            stand_in: None,
            bound: None,
            places_of: None,
            task_bytes: self.task_bytes()?,
            depth: 0,
        })
    }

    fn task_bytes(&self) -> Result<Option<usize>> {
        let bytes = self.variables.get("distributed_task_bytes")?.parse().ok();
        Ok(bytes.filter(|_| self.variables.get("distributed").is_ok_and(|on| on == "on")))
    }

    async fn perform(&mut self, statement: Statement, values: Vec<ScalarValue>, last: bool) -> Result<Outcome> {
        self.refuse_after_failure(&statement)?;
        if let Statement::Sql(sql) = &statement
            && let Some(outcome) = self.control(sql).await?
        {
            return Ok(outcome);
        }
        let outcome = self.work(&statement, values).await;
        match outcome {
            Ok(Outcome::CopyIn(copy)) => Ok(Outcome::CopyIn(copy)),
            Ok(outcome) => {
                if last {
                    self.commit_implicit().await?;
                }
                Ok(outcome)
            }
            Err(error) => {
                if self.status == TxStatus::Idle {
                    self.transaction = None;
                }
                Err(error)
            }
        }
    }

    /// Performs a statement in the open transaction, or in one that is opened for it.
    async fn work(&mut self, statement: &Statement, values: Vec<ScalarValue>) -> Result<Outcome> {
        let state = self.engine.catalog().state();
        self.transaction.get_or_insert_with(|| Transaction::new(state));
        let scope = self.scope()?;
        let transaction = self.transaction.as_mut().ok_or_else(|| Error::internal("no transaction is open"))?;
        let in_block = self.status != TxStatus::Idle;
        let mut work = Work { scope, transaction, in_block, notices: &mut self.notices };
        if let Statement::Sql(sql) = statement
            && let Some(call) = Call::of(work.engine(), sql)?
        {
            return call.perform(&mut work, values).await;
        }
        match statement {
            Statement::Sql(sql) if is_query(sql) => query(&work.scope, sql, values).await,
            Statement::Copy(copy) if copy.location == CopyLocation::Stdout => copy_out(&work.scope, copy).await,
            Statement::Copy(copy) if copy.location == CopyLocation::Stdin => copy_in::begin(&work, copy).await,
            other => dispatch(&mut work, other, &values).await,
        }
    }

    /// Ends COPY … FROM STDIN: the rows join the transaction, which commits unless a block is open.
    pub async fn finish_copy(&mut self, copy: Box<dyn CopyIn>) -> Result<String> {
        let (tag, changes) = copy.finish().await?;
        let transaction = self.transaction.as_mut().ok_or_else(|| Error::internal("no transaction is open"))?;
        crate::work::refuse_views(transaction.state(), &changes)?;
        transaction.push(changes)?;
        self.commit_implicit().await?;
        Ok(tag)
    }

    /// Commits what stands outside of a block.
    async fn commit_implicit(&mut self) -> Result<()> {
        match self.status {
            TxStatus::Idle => self.commit().await,
            _ => Ok(()),
        }
    }

    /// Commits. In a task of its own: a client that goes away must not stop it between the log and the export.
    async fn commit(&mut self) -> Result<()> {
        self.savepoints.clear();
        let Some(transaction) = self.transaction.take().filter(|transaction| !transaction.is_empty()) else {
            return Ok(());
        };
        let catalog = self.engine.catalog().clone();
        let commit = tokio::spawn(async move { transaction.commit(&catalog).await });
        let receipt = commit.await.map_err(Error::internal)??;
        for warning in receipt.warnings {
            self.warn("01000", &warning);
        }
        Ok(())
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

    /// Statements about the session itself. None: it is another one.
    async fn control(&mut self, statement: &ast::Statement) -> Result<Option<Outcome>> {
        let outcome = match statement {
            ast::Statement::StartTransaction { .. } => self.begin(),
            ast::Statement::Commit { .. } => self.end(true).await?,
            ast::Statement::Rollback { savepoint: None, .. } => self.end(false).await?,
            ast::Statement::Rollback { savepoint: Some(name), .. } => self.rollback_to(&fold(name))?,
            ast::Statement::Savepoint { name } => self.savepoint(fold(name))?,
            ast::Statement::ReleaseSavepoint { name } => self.release(&fold(name))?,
            ast::Statement::Set(set) => self.set(set.clone())?,
            ast::Statement::Reset(reset) => self.reset(reset.reset.clone())?,
            ast::Statement::ShowVariable { variable } => self.show_rows(&setting_name(variable))?,
            ast::Statement::Declare { stmts } => match stmts.as_slice() {
                [declare] => self.declare(declare).await?,
                _ => return Err(Error::new(Kind::Unsupported, "DECLARE makes one cursor")),
            },
            ast::Statement::Fetch { name, direction, .. } => self.cursors.fetch(&fold(name), direction).await?,
            ast::Statement::Close { cursor } => self.cursors.close(cursor)?,
            ast::Statement::Discard { object_type } => self.discard(object_type).await?,
            _ => return Ok(None),
        };
        Ok(Some(outcome))
    }

    async fn discard(&mut self, what: &ast::DiscardObject) -> Result<Outcome> {
        if matches!(what, ast::DiscardObject::ALL) {
            if self.status != TxStatus::Idle {
                return Err(Error::new(Kind::ActiveTransaction, "DISCARD ALL cannot run inside a transaction block"));
            }
            self.cursors = Cursors::default();
            self.variables.reset_all();
        }
        if matches!(what, ast::DiscardObject::ALL | ast::DiscardObject::TEMP) {
            temporary::drop_of(self.engine.catalog(), self.pid).await?;
        }
        Ok(Outcome::Done { tag: format!("DISCARD {what}") })
    }

    /// The client has gone, and with it what was only for it.
    pub async fn close(mut self) {
        (self.transaction, self.cursors) = (None, Cursors::default());
        if let Err(error) = temporary::drop_of(self.engine.catalog(), self.pid).await {
            tracing::warn!(pid = self.pid, %error, "temporary tables are left until the next start");
        }
    }

    /// The columns of a cursor, for a client that asks for them by the protocol.
    pub fn cursor_schema(&self, name: &str) -> Result<SchemaRef> {
        self.cursors.schema(name)
    }

    async fn declare(&mut self, declare: &ast::Declare) -> Result<Outcome> {
        let state = self.engine.catalog().state();
        if self.status != TxStatus::Idle {
            self.transaction.get_or_insert_with(|| Transaction::new(state));
        }
        let scope = self.scope()?;
        self.cursors.declare(&scope, declare, self.status != TxStatus::Idle).await
    }

    fn begin(&mut self) -> Outcome {
        if self.status == TxStatus::InBlock {
            self.warn("25001", "there is already a transaction in progress");
        }
        self.status = TxStatus::InBlock;
        Outcome::Done { tag: "BEGIN".to_string() }
    }

    async fn end(&mut self, commit: bool) -> Result<Outcome> {
        // As in Postgres: the COMMIT of a failed block is a ROLLBACK, and says so.
        let commit = commit && self.status != TxStatus::Failed;
        if self.status == TxStatus::Idle {
            self.warn("25P01", "there is no transaction in progress");
        }
        self.status = TxStatus::Idle;
        if commit {
            self.commit().await?;
        }
        self.transaction = None;
        self.savepoints.clear();
        self.cursors.end_transaction();
        Ok(Outcome::Done { tag: if commit { "COMMIT" } else { "ROLLBACK" }.to_string() })
    }

    fn savepoint(&mut self, name: String) -> Result<Outcome> {
        if self.status == TxStatus::Idle {
            return Err(Error::new(Kind::NoTransaction, "SAVEPOINT can only be used in transaction blocks"));
        }
        let state = self.engine.catalog().state();
        let copy = self.transaction.get_or_insert_with(|| Transaction::new(state)).clone();
        if self.savepoints.len() >= SAVEPOINTS_MAX {
            return Err(Error::new(
                Kind::LimitExceeded,
                format!("a transaction has {SAVEPOINTS_MAX} savepoints at most"),
            ));
        }
        self.savepoints.push((name, copy));
        Ok(Outcome::Done { tag: "SAVEPOINT".to_string() })
    }

    fn savepoint_index(&self, name: &str) -> Result<usize> {
        let missing = || Error::new(Kind::UndefinedSavepoint, format!("savepoint \"{name}\" does not exist"));
        self.savepoints.iter().rposition(|(own, _)| own == name).ok_or_else(missing)
    }

    fn rollback_to(&mut self, name: &str) -> Result<Outcome> {
        let index = self.savepoint_index(name)?;
        self.savepoints.truncate(index + 1);
        self.transaction = self.savepoints.last().map(|(_, copy)| copy.clone());
        self.status = TxStatus::InBlock;
        Ok(Outcome::Done { tag: "ROLLBACK".to_string() })
    }

    fn release(&mut self, name: &str) -> Result<Outcome> {
        let index = self.savepoint_index(name)?;
        self.savepoints.truncate(index);
        Ok(Outcome::Done { tag: "RELEASE".to_string() })
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
            return text_rows(&[name], vec![vec![shown_setting(name, &self.variables.get(name)?)]]);
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

/// How severe a message is, as `client_min_messages` compares them.
fn rank(severity: &str) -> usize {
    const ORDER: [&str; 3] = ["notice", "warning", "error"];
    ORDER.iter().position(|word| word.eq_ignore_ascii_case(severity)).unwrap_or(0)
}

fn unsupported(what: &str) -> Error {
    Error::new(Kind::Unsupported, format!("{what} is not supported"))
}

fn is_query(statement: &ast::Statement) -> bool {
    matches!(statement, ast::Statement::Query(_) | ast::Statement::Explain { .. })
}

async fn query(scope: &Scope, sql: &ast::Statement, values: Vec<ScalarValue>) -> Result<Outcome> {
    let planner = Planner::new(scope)?;
    let plan = planner.plan(&table_arguments::bound(sql, &values)).await?;
    planner.execute(plan, values).await
}

async fn copy_out(scope: &Scope, copy: &tidegate_parser::Copy) -> Result<Outcome> {
    let text = match &copy.subject {
        CopySubject::Query(text) => text.clone(),
        CopySubject::Table { name, columns } => {
            let columns: Vec<String> = columns.iter().map(ToString::to_string).collect();
            let list = if columns.is_empty() { "*".to_string() } else { columns.join(", ") };
            format!("SELECT {list} FROM {name}")
        }
    };
    let sql = ast::Statement::Query(tidegate_parser::parse_query(&text)?);
    match query(scope, &sql, Vec::new()).await? {
        Outcome::Rows { schema, rows, .. } => {
            Ok(Outcome::CopyOut { schema, rows, options: Box::new(copy.options.clone()) })
        }
        other => Ok(other),
    }
}

/// Asks the services, then what every relation has in common.
pub(crate) async fn dispatch(work: &mut Work<'_>, statement: &Statement, values: &[ScalarValue]) -> Result<Outcome> {
    let engine = work.engine().clone();
    for service in engine.services() {
        if let Some(outcome) = service.execute(work, statement, values).await? {
            return Ok(outcome);
        }
    }
    match statement {
        Statement::Sql(sql) => match sql.as_ref() {
            ast::Statement::Insert(insert) => insert::execute(work, insert, values).await,
            sql => match ddl::execute(work, sql).await? {
                Some(outcome) => Ok(outcome),
                None => Err(unsupported(&statement.command_tag())),
            },
        },
        other => Err(unsupported(&other.command_tag())),
    }
}

fn one_piece(sql: &str) -> Result<Option<Piece>> {
    let mut pieces = tidegate_parser::split(sql)?;
    match pieces.len() {
        0 => Ok(None),
        1 => Ok(pieces.pop()),
        _ => Err(Error::new(Kind::Syntax, "cannot insert multiple commands into a prepared statement")),
    }
}

/// An error about a name points at the name.
fn placed(error: Error, piece: &Piece) -> Error {
    let named =
        matches!(error.kind(), Kind::UndefinedTable | Kind::UndefinedColumn | Kind::UndefinedFunction | Kind::Grouping);
    if error.position().is_some() || !named {
        return error;
    }
    let quoted = error.message().split('"').nth(1);
    let function = || error.message().strip_prefix("function ").and_then(|rest| rest.split(' ').next());
    match quoted.or_else(function).and_then(|name| piece.position_of(name)) {
        Some(position) => error.at(position),
        None => error,
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
