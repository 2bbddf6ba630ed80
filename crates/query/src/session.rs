//! A session: one client's settings, transaction and user, and the statements it runs.

use crate::block::Block;
use crate::call::Call;
use crate::cursors::Cursors;
use crate::engine::Engine;
use crate::last::Last;
use crate::outcome::{CopyIn, Notice, Outcome, TxStatus};
use crate::parameter::{self, Prepared};
use crate::planner::{Planner, shown_schema, text_rows};
use crate::prepared::{self, PreparedStatements};
use crate::scope::Scope;
use crate::service::Described;
use crate::variables::Variables;
use crate::work::Work;
use crate::{compat, copy_in, ddl, insert, locking, sql_type, table_arguments, temporary};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::ScalarValue;
use std::sync::Arc;
use std::time::Duration;
use tidegate_catalog::{HISTORY_SCHEMA, Space, Who};
use tidegate_core::{Error, Kind, Result, millis, shown_setting};
use tidegate_parser::{CopyLocation, CopySubject, Piece, Statement, Written, ast, fold, name_parts, written};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Times that a name may turn out to be another table's once the one it was has been waited for.
const LOCK_TRIES_MAX: usize = 100;

/// Notices that wait for the client while a statement runs; more are not told.
const LIVE_NOTICES_MAX: usize = 16;

/// One client's session.
pub struct Session {
    engine: Engine,
    pid: i32,
    user: String,
    variables: Variables,
    block: Block,
    cursors: Cursors,
    prepared: PreparedStatements,
    notices: Vec<Notice>,
    last: Arc<Last>,
    live: Option<mpsc::Sender<Notice>>,
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
            block: Block::default(),
            cursors: Cursors::default(),
            prepared: PreparedStatements::default(),
            notices: Vec::new(),
            last: Arc::default(),
            live: None,
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
        self.block.status()
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

    /// What statements tell from now on while they run. Without it they tell at their end only; and nothing comes where the
    /// client wants to hear of warnings only.
    pub fn listen(&mut self) -> mpsc::Receiver<Notice> {
        let (tell, told) = mpsc::channel(LIVE_NOTICES_MAX);
        let least = self.variables.get("client_min_messages").unwrap_or_default();
        self.live = Some(tell).filter(|_| rank("notice") >= rank(&least));
        told
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
        self.block.fail();
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
        self.describe(statement, types).await.map_err(|error| placed(error, &piece))
    }

    async fn describe(&self, statement: Statement, types: &[Option<u32>]) -> Result<Prepared> {
        let (parameter_types, schema) = match &statement {
            Statement::Sql(sql) => match (sql.as_ref(), written(sql)) {
                (ast::Statement::ShowVariable { variable }, _) => {
                    (Vec::new(), Some(show_schema(&setting_name(variable))))
                }
                (ast::Statement::Fetch { name, .. }, _) => (Vec::new(), Some(self.cursors.schema(&fold(name))?)),
                (ast::Statement::Execute { name, .. }, _) => {
                    (Vec::new(), self.prepared.find(name.as_ref())?.schema.clone())
                }
                (sql, _) if is_query(sql) => self.describe_query(sql, types).await?,
                (_, Some(written)) => self.describe_written(written, types).await?,
                _ => (Vec::new(), None),
            },
            Statement::Consume(consume) => match written(&consume.statement) {
                Some(written) => self.describe_written(written, types).await?,
                None => (Vec::new(), None),
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

    async fn describe_query(&self, sql: &ast::Statement, types: &[Option<u32>]) -> Result<Described> {
        if let Some(call) = Call::of(&self.engine, sql)? {
            let (types, schema) = call.describe(&self.scope()?, types).await?;
            return Ok((types, Some(schema)));
        }
        let planner = Planner::new(&self.scope()?)?;
        let plan = planner.plan(&table_arguments::bound(sql, &[])).await?;
        let types = parameter::types_of(&plan, types)?;
        let bound = parameter::bind(plan, parameter::nulls_of(&types))?;
        Ok((types, Some(shown_schema(&planner.schema_of(bound)))))
    }

    /// Of a statement that changes rows: its parameters' types, and what its RETURNING gives.
    async fn describe_written(&self, written: Written<'_>, types: &[Option<u32>]) -> Result<Described> {
        let scope = self.scope()?;
        if let ast::Statement::Insert(insert) = written.statement {
            return insert::describe(&scope, written.with, insert, types).await;
        }
        for service in self.engine.services() {
            if let Some(described) = service.describe(&scope, written, types).await? {
                return Ok(described);
            }
        }
        Ok((parameter::of_text(written.statement, types), None))
    }

    /// What the next statement sees.
    fn scope(&self) -> Result<Scope> {
        let state = match self.block.transaction() {
            Some(transaction) => Arc::clone(transaction.state()),
            None => self.engine.catalog().state(),
        };
        let path = self.variables.get("search_path")?;
        let schema = |word: &str| match word.trim().trim_matches(['"', '\'']) {
            "$user" => self.user.clone(),
            other => other.to_string(),
        };
        let named = path.split(',').map(schema).filter(|name| !temporary::is_temporary(name) && name != HISTORY_SCHEMA);
        let path = std::iter::once(temporary::schema_of(self.pid)).chain(named);
        Ok(Scope {
            engine: self.engine.clone(),
            state: Arc::clone(&state),
            search_path: path.filter(|name| state.find(Space::Schema, name).is_some()).collect(),
            user: self.user.clone(),
            pid: self.pid,
            timezone: self.variables.get("timezone")?,
            partitions: self.variables.get("target_partitions")?.parse().unwrap_or(0),
            memory_limit: self.variables.get("query_memory_limit")?.parse().unwrap_or(0),
            settings: Arc::new(self.variables.all()),
            system_columns: false,
            consumed: None,
            stand_in: None,
            bound: None,
            places_of: None,
            spans: Arc::default(),
            returned: None,
            task_bytes: self.task_bytes()?,
            depth: 0,
            history: false,
            last: Arc::clone(&self.last),
            live: self.live.clone(),
        })
    }

    fn task_bytes(&self) -> Result<Option<usize>> {
        let bytes = self.variables.get("distributed_task_bytes")?.parse().ok();
        Ok(bytes.filter(|_| self.variables.get("distributed").is_ok_and(|on| on == "on")))
    }

    async fn perform(&mut self, statement: Statement, values: Vec<ScalarValue>, last: bool) -> Result<Outcome> {
        self.refuse_after_failure(&statement)?;
        let (statement, values) = self.named(statement, values).await?;
        if let Statement::Sql(sql) = &statement
            && let Some(outcome) = self.control(sql).await?
        {
            return Ok(outcome);
        }
        let redshift = self.variables.get("compat_mode")? == "redshift";
        let mut statement = statement;
        if redshift {
            compat::complete(&mut statement);
        }
        if redshift && !self.block.is_idle() {
            compat::refuse_in_block(&statement)?;
        }
        let outcome = self.work(&statement, values).await;
        match outcome {
            Ok(Outcome::CopyIn(copy)) => Ok(Outcome::CopyIn(copy)),
            Ok(outcome) => {
                if redshift && compat::commits(&statement) {
                    self.commit().await?;
                }
                if last {
                    self.commit_implicit().await?;
                }
                Ok(outcome)
            }
            Err(error) => {
                self.block.forget_if_idle();
                Err(error)
            }
        }
    }

    /// The statement that EXECUTE names, with its values; another is itself.
    async fn named(&self, statement: Statement, values: Vec<ScalarValue>) -> Result<(Statement, Vec<ScalarValue>)> {
        if let Statement::Sql(sql) = &statement
            && let ast::Statement::Execute { name, parameters, immediate: false, .. } = sql.as_ref()
        {
            let prepared = self.prepared.find(name.as_ref())?;
            let values = prepared::values(&self.scope()?, &prepared, parameters).await?;
            let named = prepared.statement.clone().ok_or_else(|| Error::internal("a prepared statement is empty"))?;
            return Ok((named, values));
        }
        Ok((statement, values))
    }

    /// PREPARE.
    async fn prepare_named(
        &mut self,
        name: String,
        types: &[ast::DataType],
        statement: &ast::Statement,
    ) -> Result<Outcome> {
        let told = |told: &ast::DataType| Ok(Some(parameter::oid_of(&sql_type::sql_type(told)?.arrow())));
        let types = types.iter().map(told).collect::<Result<Vec<_>>>()?;
        let prepared = self.describe(Statement::Sql(Box::new(statement.clone())), &types).await?;
        self.prepared.add(name, prepared)
    }

    /// Performs a statement in the open transaction, or in one that is opened for it.
    async fn work(&mut self, statement: &Statement, values: Vec<ScalarValue>) -> Result<Outcome> {
        let first = self.open_transaction();
        if locking::may_lock(statement) {
            self.lock(statement, first).await?;
        }
        let scope = self.scope()?;
        let in_block = !self.block.is_idle();
        let transaction = self.block.open_transaction()?;
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
        let transaction = self.block.open_transaction()?;
        crate::work::refuse_views(transaction.state(), &changes)?;
        transaction.push(changes)?;
        self.commit_implicit().await?;
        Ok(tag)
    }

    /// Commits what stands outside of a block.
    async fn commit_implicit(&mut self) -> Result<()> {
        match self.block.is_idle() {
            true => self.commit().await,
            false => Ok(()),
        }
    }

    /// Commits. In a task of its own: a client that goes away must not stop it between the log and the export.
    async fn commit(&mut self) -> Result<()> {
        let Some(transaction) = self.block.take().filter(|transaction| !transaction.is_empty()) else {
            return Ok(());
        };
        for service in self.engine.services() {
            service.committing(&self.engine, &self.user, self.pid, &transaction).await?;
        }
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
        if self.status() != TxStatus::Failed || ends {
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
            ast::Statement::Savepoint { name } => {
                self.block.savepoint(fold(name), self.cursors.declared())?;
                done("SAVEPOINT")
            }
            ast::Statement::ReleaseSavepoint { name } => {
                self.block.release(&fold(name))?;
                done("RELEASE")
            }
            ast::Statement::Set(set) => self.set(set.clone())?,
            ast::Statement::Reset(reset) => self.reset(reset.reset.clone())?,
            ast::Statement::ShowVariable { variable } => self.show_rows(&setting_name(variable))?,
            ast::Statement::Declare { stmts } => match stmts.as_slice() {
                [declare] => self.declare(declare).await?,
                _ => return Err(Error::new(Kind::Unsupported, "DECLARE makes one cursor")),
            },
            ast::Statement::Fetch { name, direction, .. } => self.cursors.fetch(&fold(name), direction).await?,
            ast::Statement::Prepare { name, data_types, statement } => {
                self.prepare_named(fold(name), data_types, statement).await?
            }
            ast::Statement::Deallocate { name, .. } => self.prepared.remove(name)?,
            ast::Statement::Close { cursor } => self.cursors.close(cursor)?,
            ast::Statement::Discard { object_type } => self.discard(object_type).await?,
            _ => return Ok(None),
        };
        Ok(Some(outcome))
    }

    async fn discard(&mut self, what: &ast::DiscardObject) -> Result<Outcome> {
        if matches!(what, ast::DiscardObject::ALL) {
            if !self.block.is_idle() {
                return Err(Error::new(Kind::ActiveTransaction, "DISCARD ALL cannot run inside a transaction block"));
            }
            (self.cursors, self.prepared) = (Cursors::default(), PreparedStatements::default());
            self.variables.reset_all();
        }
        if matches!(what, ast::DiscardObject::ALL | ast::DiscardObject::TEMP) {
            temporary::drop_of(self.engine.catalog(), self.pid).await?;
        }
        Ok(Outcome::Done { tag: format!("DISCARD {what}") })
    }

    /// The client has gone, and with it what was only for it.
    pub async fn close(mut self) {
        (self.block, self.cursors) = (Block::default(), Cursors::default());
        if let Err(error) = temporary::drop_of(self.engine.catalog(), self.pid).await {
            tracing::warn!(pid = self.pid, %error, "temporary tables are left until the next start");
        }
    }

    /// The columns of a cursor, for a client that asks for them by the protocol.
    pub fn cursor_schema(&self, name: &str) -> Result<SchemaRef> {
        self.cursors.schema(name)
    }

    async fn declare(&mut self, declare: &ast::Declare) -> Result<Outcome> {
        let in_block = !self.block.is_idle();
        if in_block {
            self.open_transaction();
        }
        let scope = self.scope()?;
        self.cursors.declare(&scope, declare, in_block).await
    }

    /// Opens a transaction unless one is open. Whether it did.
    fn open_transaction(&mut self) -> bool {
        let Session { engine, pid, user, block, .. } = self;
        let since_ms = engine.clock().now_ms();
        block.open(engine.catalog(), || Who { pid: *pid, user: user.clone(), since_ms })
    }

    /// Takes the tables that a statement must have for itself. The first statement of a transaction sees what stands
    /// when it has them; a later one must find them as the transaction began: 40001.
    async fn lock(&mut self, statement: &Statement, first: bool) -> Result<()> {
        if let Statement::Sql(sql) = statement
            && let ast::Statement::Lock(lock) = sql.as_ref()
        {
            locking::check_lock(lock, &self.scope()?, !self.block.is_idle())?;
        }
        let timeout = self.lock_timeout();
        let mut tables = locking::tables(statement, &self.scope()?);
        for _ in 0..LOCK_TRIES_MAX {
            let scope = self.scope()?;
            let transaction = self.block.open_transaction()?;
            for table in &tables {
                if locking::is_impatient(statement) && !transaction.try_lock(*table) {
                    return Err(locking::taken(&scope, *table));
                }
                transaction.lock(*table, timeout).await?;
            }
            if !first {
                let newest = self.engine.catalog().state();
                return tables.iter().try_for_each(|table| transaction.adopt(&newest, *table));
            }
            transaction.begin_again(self.engine.catalog().snapshot());
            let now = locking::tables(statement, &self.scope()?);
            if now.is_subset(&tables) {
                return Ok(());
            }
            tables = now;
        }
        Err(Error::new(Kind::Conflict, "the tables are being renamed all the time").hint("Run the statement again."))
    }

    fn lock_timeout(&self) -> Option<Duration> {
        let ms = self.variables.get("lock_timeout").ok().and_then(|value| millis(&value));
        ms.and_then(|ms| u64::try_from(ms).ok()).filter(|ms| *ms > 0).map(Duration::from_millis)
    }

    fn begin(&mut self) -> Outcome {
        if self.block.begin() {
            self.warn("25001", "there is already a transaction in progress");
        }
        done("BEGIN")
    }

    async fn end(&mut self, commit: bool) -> Result<Outcome> {
        // As in Postgres: the COMMIT of a failed block is a ROLLBACK, and says so.
        let commit = commit && self.status() != TxStatus::Failed;
        if self.block.is_idle() {
            self.warn("25P01", "there is no transaction in progress");
        }
        self.cursors.end_transaction();
        self.block.leave();
        if commit {
            self.commit().await?;
        }
        self.block.take();
        Ok(done(if commit { "COMMIT" } else { "ROLLBACK" }))
    }

    fn rollback_to(&mut self, name: &str) -> Result<Outcome> {
        let declared = self.block.rollback_to(name)?;
        self.cursors.close_since(declared);
        Ok(done("ROLLBACK"))
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

fn done(tag: &str) -> Outcome {
    Outcome::Done { tag: tag.to_string() }
}

/// How severe a message is, as `client_min_messages` compares them.
fn rank(severity: &str) -> usize {
    // INFO is what the user asked for: Postgres, too, always tells it.
    const ORDER: [&str; 4] = ["notice", "warning", "error", "info"];
    ORDER.iter().position(|word| word.eq_ignore_ascii_case(severity)).unwrap_or(0)
}

fn unsupported(what: &str) -> Error {
    Error::new(Kind::Unsupported, format!("{what} is not supported"))
}

fn is_query(statement: &ast::Statement) -> bool {
    matches!(statement, ast::Statement::Query(_) | ast::Statement::Explain { .. }) && written(statement).is_none()
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
        Statement::Sql(sql) => match (sql.as_ref(), written(sql)) {
            (_, Some(written)) if matches!(written.statement, ast::Statement::Insert(_)) => {
                insert::execute(work, written, values).await
            }
            // The session has taken the tables.
            (ast::Statement::Lock(_), _) => Ok(done("LOCK TABLE")),
            (sql, _) => match ddl::execute(work, sql).await? {
                Some(outcome) => Ok(outcome),
                None => Err(unsupported(&statement.command_tag())),
            },
        },
        Statement::CreateSchema(create) => ddl::create_schema(work, create),
        Statement::AlterSchema(alter) => ddl::alter_schema(work, alter),
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
