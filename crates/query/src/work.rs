//! A statement's work: the session it is done for, and the transaction that takes its changes.

use crate::access::{self, Need};
use crate::engine::Engine;
use crate::outcome::{Notice, Outcome};
use crate::planner::Planner;
use crate::scope::Scope;
use crate::service::{self, TableSink};
use datafusion::execution::SendableRecordBatchStream;
use std::sync::Arc;
use tidegate_catalog::{ADMIN, AddedRows, Change, ContinuousQuery, Guarded, Oid, Relation, State, Transaction, User};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::{ast, name_parts};

/// Times that a change is made anew when another transaction was first.
const CONFLICTS_MAX: usize = 100;

/// What a service performs a statement with.
pub struct Work<'a> {
    /// What the statement sees. Its state is that of the statement's beginning.
    pub scope: Scope,
    /// Takes the changes.
    pub transaction: &'a mut Transaction,
    /// Whether an explicit block is open: what cannot be undone is refused in one.
    pub in_block: bool,
    /// What the client is told.
    pub notices: &'a mut Vec<Notice>,
}

/// 42809 when a statement would change the rows of a materialized view: its query does.
pub fn refuse_views(state: &State, changes: &[Change]) -> Result<()> {
    let touched = changes.iter().filter_map(|change| match change {
        Change::AddFiles { table, .. }
        | Change::AddRows(AddedRows { table, .. })
        | Change::RemoveFiles { table, .. } => Some(*table),
        _ => None,
    });
    for table in touched {
        if let Some(view) = state.all::<ContinuousQuery>().find(|query| query.owns(table)) {
            let message = format!("cannot change materialized view \"{}\"", view.name);
            return Err(Error::new(Kind::WrongObjectType, message).hint("Its rows come from its query."));
        }
    }
    Ok(())
}

impl Work<'_> {
    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.scope.engine
    }

    /// The state with the transaction's changes, those of this statement included.
    pub fn state(&self) -> &Arc<State> {
        self.transaction.state()
    }

    /// Performs another statement as a part of this one.
    pub async fn perform(&mut self, sql: &str) -> Result<Outcome> {
        let statement = tidegate_parser::parse_one(sql)?;
        Box::pin(crate::dispatch::dispatch(self, &statement, &[])).await
    }

    /// The relation of a name, for what the statement needs of it. 42P01, 42501.
    pub fn relation(&self, name: &ast::ObjectName, need: Need) -> Result<Relation> {
        let relation = self.scope.relation(&name_parts(name))?;
        self.scope.require(&Guarded::Relation(relation), need)?;
        Ok(relation.clone())
    }

    /// The number of who asks, who owns what the statement makes.
    pub fn user_oid(&self) -> Oid {
        self.state().named::<User>(&self.scope.user).map_or(ADMIN, |user| user.oid)
    }

    /// 42501 unless who asks is a member of an owner. `noun` and `name` tell the object.
    pub fn require_ownership(&self, noun: &str, name: &str, owner: Oid) -> Result<()> {
        let asker = self.scope.asker();
        match asker.is_superuser || asker.roles.contains(&owner) {
            true => Ok(()),
            false => Err(Error::new(Kind::InsufficientPrivilege, format!("must be owner of {noun} {name}"))),
        }
    }

    /// Adds changes to the transaction.
    pub fn push(&mut self, changes: Vec<Change>) -> Result<()> {
        refuse_views(self.state(), &changes)?;
        let lists = access::default_lists(self, &changes)?;
        self.transaction.push(changes)?;
        self.transaction.push(lists)?;
        self.scope.state = Arc::clone(self.transaction.state());
        Ok(())
    }

    /// What the rest of a script sees: what has been committed just now, too.
    pub fn see_newest(&mut self) {
        let snapshot = self.engine().catalog().snapshot();
        self.scope.state = Arc::clone(snapshot.state());
        self.transaction.begin_again(snapshot);
    }

    /// Changes what the server's own work changes too. A statement by itself commits here, and again when an object
    /// moved on meanwhile; inside a transaction the changes are the transaction's, and 40001 its to handle. `what` names
    /// the object.
    pub async fn change(&mut self, what: &str, changes: impl Fn(&Work<'_>) -> Result<Vec<Change>>) -> Result<()> {
        if self.in_block || !self.transaction.is_empty() {
            let changes = changes(self)?;
            return self.push(changes);
        }
        let catalog = self.engine().catalog().clone();
        for _ in 0..CONFLICTS_MAX {
            self.see_newest();
            let mut changes = changes(self)?;
            if changes.is_empty() {
                return Ok(());
            }
            changes.extend(access::default_lists(self, &changes)?);
            match catalog.commit(changes).await {
                Err(error) if error.kind() == Kind::Conflict => {}
                other => {
                    other?;
                    self.see_newest();
                    return Ok(());
                }
            }
        }
        Err(Error::new(Kind::Conflict, format!("{what} is being changed all the time"))
            .hint("Run the statement again."))
    }

    /// Plans and runs a query given as text.
    pub async fn rows(&self, query: &str) -> Result<SendableRecordBatchStream> {
        let query = ast::Statement::Query(tidegate_parser::parse_query(query)?);
        let planner = Planner::new(&self.scope)?;
        let plan = planner.plan(&query).await?;
        planner.stream(plan).await
    }

    /// Where rows for a relation go. 0A000 or 42809 when it takes none.
    pub fn sink(&self, relation: &Relation) -> Result<Box<dyn TableSink>> {
        service::sink_of(self.engine(), self.state(), relation)?.ok_or_else(|| {
            let message = format!("cannot insert into {} \"{}\"", relation.kind.noun(), relation.name);
            Error::new(Kind::WrongObjectType, message)
        })
    }

    /// Tells the client something that does no harm.
    pub fn notice(&mut self, message: impl Into<String>) {
        self.tell("NOTICE", "00000", message.into());
    }

    /// Tells the client that a thing is there already, by the code that would be the error's.
    pub fn skipping(&mut self, code: &str, message: impl Into<String>) {
        self.tell("NOTICE", code, message.into());
    }

    /// Tells the client something at once, while the statement runs; where it does not listen, nothing.
    pub fn notice_now(&self, message: impl Into<String>) {
        let (severity, code) = ("NOTICE".to_string(), "00000".to_string());
        let notice = Notice { severity, code, message: message.into(), hint: None };
        if let Some(live) = &self.scope.live {
            // A client that does not read misses some.
            live.try_send(notice).ok();
        }
    }

    /// Tells the client what it has asked for, however little it wants to hear.
    pub fn inform(&mut self, message: impl Into<String>) {
        self.tell("INFO", "00000", message.into());
    }

    /// Tells the client something that it should know.
    pub fn warn(&mut self, code: &str, message: impl Into<String>) {
        self.tell("WARNING", code, message.into());
    }

    fn tell(&mut self, severity: &str, code: &str, message: String) {
        self.notices.push(Notice { severity: severity.into(), code: code.into(), message, hint: None });
    }

    /// 25001 for a statement whose effect cannot be rolled back.
    pub fn refuse_in_block(&self, what: &str) -> Result<()> {
        match self.in_block {
            true => Err(Error::new(Kind::ActiveTransaction, format!("{what} cannot run inside a transaction block"))),
            false => Ok(()),
        }
    }
}
