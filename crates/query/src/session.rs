//! A session: one client's settings, transaction and user, and the statements it runs.

mod audit;
mod describe;
mod explain;
mod read_only;
mod role;
mod settings;
mod transaction;

use crate::block::Block;
use crate::call::Call;
use crate::cursors::Cursors;
use crate::datetime::Reading;
use crate::dispatch::{copy_out, dispatch, done, is_query, query};
use crate::engine::Engine;
use crate::last::Last;
use crate::notify::{Action, Mail, Notification};
use crate::outcome::{CopyIn, Notice, Outcome, TxStatus};
use crate::parameter::Prepared;
use crate::prepared::PreparedStatements;
use crate::scope::Scope;
use crate::sessions::Place;
use crate::variables::Variables;
use crate::work::Work;
use crate::{compat, copy_in, locking, temporary};
use arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use read_only::refuse_write;
use settings::setting_name;
use std::net::SocketAddr;
use std::sync::Arc;
use tidegate_catalog::{HISTORY_SCHEMA, State};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::{CopyLocation, Piece, Statement, ast, fold};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Notices that wait for the client while a statement runs; more are not told.
const LIVE_NOTICES_MAX: usize = 16;

/// One client's session.
pub struct Session {
    engine: Engine,
    pid: i32,
    user: String,
    /// In whose place the session is, by SET SESSION AUTHORIZATION; its rights are theirs.
    session_user: String,
    /// SET ROLE.
    role: Option<String>,
    variables: Variables,
    block: Block,
    cursors: Cursors,
    prepared: PreparedStatements,
    notices: Vec<Notice>,
    last: Arc<Last>,
    live: Option<mpsc::Sender<Notice>>,
    token: CancellationToken,
    place: Place,
    mail: Mail,
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
        let place = engine.sessions().open(pid, user, engine.clock().now_us());
        let mail = Mail::new(engine.notifier().clone(), pid);
        Ok(Session {
            engine,
            pid,
            user: user.to_string(),
            session_user: user.to_string(),
            role: None,
            variables,
            block: Block::default(),
            cursors: Cursors::default(),
            prepared: PreparedStatements::default(),
            notices: Vec::new(),
            last: Arc::default(),
            live: None,
            token,
            place,
            mail,
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

    /// How texts of dates and times are read now. 22023 where the zone is none.
    pub fn reading(&self) -> Result<Reading> {
        Reading::new(&self.variables.get("timezone")?, Some(self.engine.clock().now_us()))
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

    /// Begins a statement: it can be cancelled by the token that [`Session::cancel_token`] gives from now on, and by other
    /// sessions, which see its text.
    pub fn begin_statement(&mut self, sql: &str) {
        self.token = CancellationToken::new();
        let (application, now_us) = (self.show("application_name").unwrap_or_default(), self.engine.clock().now_us());
        self.place.begins(&tidegate_parser::redacted(sql), application, self.token.clone(), now_us);
    }

    /// The statement has ended, and is cancelled no more.
    pub fn end_statement(&self) {
        self.place.ends();
    }

    /// The session waits for what its client sends next.
    pub fn rest(&self) {
        let state = match self.status() {
            TxStatus::Idle => "idle",
            TxStatus::InBlock => "idle in transaction",
            TxStatus::Failed => "idle in transaction (aborted)",
        };
        self.place.rests(state, self.engine.clock().now_us());
    }

    /// Where the client is, and what ends its connection when another session ends this one.
    pub fn connected(&self, client: Option<SocketAddr>, ending: CancellationToken) {
        self.place.connected(client, ending);
    }

    /// Cancels the running statement when it is triggered.
    pub fn cancel_token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// A statement has failed, and with it the block it stands in.
    pub fn fail(&mut self, _error: &Error) {
        self.block.fail();
        if self.block.is_idle() {
            self.mail.outbox().truncate(0);
        }
    }

    /// Waits for a message that the session listens for.
    pub async fn notification(&mut self) -> Notification {
        self.mail.next().await
    }

    /// One that is there already.
    pub fn waiting_notification(&mut self) -> Option<Notification> {
        self.mail.waiting()
    }

    /// Cuts a script into its statements.
    pub fn statements(&self, sql: &str) -> Result<Vec<Piece>> {
        tidegate_parser::split(sql)
    }

    /// Runs one statement of a script. Outside of a block the script is one transaction, as in Postgres, which commits
    /// with its last statement; where that gives rows, with [`Session::sync`] when they have been read.
    pub async fn run(&mut self, piece: &Piece, last: bool) -> Result<Outcome> {
        let statement = self.read(piece);
        let audited = self.is_audited(statement.as_ref().ok());
        let outcome = match statement {
            Ok(statement) => self.perform(statement, Vec::new(), last).await,
            Err(error) => Err(error),
        };
        if audited {
            self.tell(piece.text(), outcome.as_ref().err());
        }
        outcome.map_err(|error| self.explained(error, piece))
    }

    /// Reads a statement, with what this session's mode adds to it: so it is described as it will run.
    fn read(&self, piece: &Piece) -> Result<Statement> {
        let mut statement = tidegate_parser::parse(piece)?;
        if self.is_redshift()? {
            compat::complete(&mut statement);
        }
        Ok(statement)
    }

    fn is_redshift(&self) -> Result<bool> {
        Ok(self.variables.get("compat_mode")? == "redshift")
    }

    /// Runs a prepared statement with its parameters' values. Outside of a block all up to the next
    /// [`Session::sync`] is one transaction, as in Postgres.
    pub async fn execute(&mut self, prepared: &Prepared, values: Vec<ScalarValue>) -> Result<Outcome> {
        match &prepared.statement {
            Some(statement) => {
                let outcome = self.perform(statement.clone(), values, false).await;
                if self.is_audited(Some(statement)) {
                    self.tell(&prepared.text, outcome.as_ref().err());
                }
                outcome
            }
            None => Ok(Outcome::Empty),
        }
    }

    /// Commits what has been done since the last time, unless a block is open.
    pub async fn sync(&mut self) -> Result<()> {
        self.commit_implicit().await
    }

    /// The state with the changes of the open transaction.
    fn state(&self) -> Arc<State> {
        match self.block.transaction() {
            Some(transaction) => Arc::clone(transaction.state()),
            None => self.engine.catalog().state(),
        }
    }

    /// What the next statement sees.
    fn scope(&self) -> Result<Scope> {
        let state = self.state();
        let user = self.role.as_ref().unwrap_or(&self.session_user);
        let path = self.variables.get("search_path")?;
        let schema = |word: &str| match word.trim().trim_matches(['"', '\'']) {
            "$user" => user.clone(),
            other => other.to_string(),
        };
        let named = path.split(',').map(schema).filter(|name| !temporary::is_temporary(name) && name != HISTORY_SCHEMA);
        let path = std::iter::once(temporary::schema_of(self.pid)).chain(named);
        let scope = Scope {
            engine: self.engine.clone(),
            state: Arc::clone(&state),
            search_path: path.collect(),
            user: user.clone(),
            session_user: self.session_user.clone(),
            acting: None,
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
            guarding: Arc::default(),
            task_bytes: self.task_bytes()?,
            depth: 0,
            history: false,
            last: Arc::clone(&self.last),
            outbox: Arc::clone(self.mail.outbox()),
            live: self.live.clone(),
        };
        Ok(scope.with_usable_path())
    }

    fn task_bytes(&self) -> Result<Option<usize>> {
        let bytes = self.variables.get("distributed_task_bytes")?.parse().ok();
        Ok(bytes.filter(|_| self.variables.get("distributed").is_ok_and(|on| on == "on")))
    }

    async fn perform(&mut self, statement: Statement, values: Vec<ScalarValue>, last: bool) -> Result<Outcome> {
        self.refuse_after_failure(&statement)?;
        let (statement, values) = self.named(statement, values).await?;
        let controlled = match &statement {
            Statement::Move(moved) => Some(self.cursors.skip(&fold(&moved.name), &moved.direction).await?),
            Statement::Sql(sql) => self.control(sql).await?,
            _ => None,
        };
        if let Some(outcome) = controlled {
            if last {
                self.commit_implicit().await?;
            }
            return Ok(outcome);
        }
        self.refuse_writes(&statement)?;
        let redshift = self.is_redshift()?;
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
                // What is still to be read may fail, and then nothing of the script is to stay.
                if last && !matches!(outcome, Outcome::Rows { .. } | Outcome::CopyOut { .. }) {
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

    /// Performs a statement in the open transaction, or in one that is opened for it.
    async fn work(&mut self, statement: &Statement, values: Vec<ScalarValue>) -> Result<Outcome> {
        let first = self.open_transaction();
        if locking::may_lock(statement) {
            self.lock(statement, first).await?;
        }
        let scope = self.scope()?;
        let in_block = !self.block.is_idle();
        let read_only = self.is_read_only()?;
        let transaction = self.block.open_transaction()?;
        let mut work = Work { scope, transaction, in_block, notices: &mut self.notices };
        if let Statement::Sql(sql) = statement
            && let Some(call) = Call::of(work.engine(), sql)?
        {
            refuse_write(read_only, "SELECT of a function that changes something")?;
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

    /// Statements about the session itself. None: it is another one.
    async fn control(&mut self, statement: &ast::Statement) -> Result<Option<Outcome>> {
        let outcome = match statement {
            ast::Statement::StartTransaction { modes, .. } => self.begin(modes)?,
            ast::Statement::Commit { .. } => self.end(true).await?,
            ast::Statement::Rollback { savepoint: None, .. } => self.end(false).await?,
            ast::Statement::Rollback { savepoint: Some(name), .. } => self.rollback_to(&fold(name))?,
            ast::Statement::Savepoint { name } => {
                self.block.savepoint(fold(name), self.mark())?;
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
            ast::Statement::LISTEN { channel } => self.post("LISTEN", Action::Listen(fold(channel)))?,
            ast::Statement::UNLISTEN { channel } => {
                let all = channel.quote_style.is_none() && channel.value == "*";
                self.post("UNLISTEN", Action::Unlisten((!all).then(|| fold(channel))))?
            }
            ast::Statement::NOTIFY { channel, payload } => {
                self.post("NOTIFY", Action::Notify(fold(channel), payload.clone().unwrap_or_default()))?
            }
            ast::Statement::Discard { object_type } => self.discard(object_type).await?,
            _ => return Ok(None),
        };
        Ok(Some(outcome))
    }

    /// What is to be done when the transaction commits.
    fn post(&mut self, tag: &str, action: Action) -> Result<Outcome> {
        self.mail.outbox().push(action)?;
        Ok(done(tag))
    }

    async fn discard(&mut self, what: &ast::DiscardObject) -> Result<Outcome> {
        if matches!(what, ast::DiscardObject::ALL) {
            if !self.block.is_idle() {
                return Err(Error::new(Kind::ActiveTransaction, "DISCARD ALL cannot run inside a transaction block"));
            }
            (self.cursors, self.prepared) = (Cursors::default(), PreparedStatements::default());
            (self.session_user, self.role) = (self.user.clone(), None);
            self.variables.reset_all();
            self.mail.outbox().push(Action::Unlisten(None))?;
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
    // INFO is what the user asked for: Postgres, too, always tells it.
    const ORDER: [&str; 4] = ["notice", "warning", "error", "info"];
    ORDER.iter().position(|word| word.eq_ignore_ascii_case(severity)).unwrap_or(0)
}
