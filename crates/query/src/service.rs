//! What a service offers to the statements of a session. Services do not know each other; they meet in a transaction.

use crate::call::Called;
use crate::engine::Engine;
use crate::history::HistoryStream;
use crate::identity;
use crate::outcome::Outcome;
use crate::scope::Scope;
use crate::work::Work;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use datafusion::common::ScalarValue;
use std::sync::Arc;
use tidegate_catalog::{Change, Relation, State, Transaction};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::{Statement, Written};

/// The types of a statement's parameters, as Postgres numbers types, and its columns if it gives rows.
pub type Described = (Vec<u32>, Option<SchemaRef>);

/// A service: the statements and relations of one part of the server.
#[async_trait]
pub trait Service: Send + Sync {
    /// A relation as the engine scans it. None: it is another service's.
    async fn provider(&self, _scope: &Scope, _relation: &Relation) -> Result<Option<Arc<dyn TableProvider>>> {
        Ok(None)
    }

    /// What stands at a path in quotes at a table's place. None: another service may know.
    async fn path(&self, _scope: &Scope, _url: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        Ok(None)
    }

    /// Takes rows for a relation. None: it is another service's.
    fn sink(&self, _engine: &Engine, _state: &State, _relation: &Relation) -> Result<Option<Box<dyn TableSink>>> {
        Ok(None)
    }

    /// Performs a statement. None: it is another service's.
    async fn execute(
        &self,
        _work: &mut Work<'_>,
        _statement: &Statement,
        _values: &[ScalarValue],
    ) -> Result<Option<Outcome>> {
        Ok(None)
    }

    /// A session is about to commit: what it must not commit is an error, and the transaction is rolled back.
    async fn committing(&self, _: &Engine, _user: &str, _pid: i32, _: &Transaction) -> Result<()> {
        Ok(())
    }

    /// Puts what only the log holds into files: CHECKPOINT.
    async fn checkpoint(&self) -> Result<()> {
        Ok(())
    }

    /// Of UPDATE, DELETE and MERGE of its relations: the types of the parameters, and the columns of RETURNING. `told` are
    /// the types that the client told. None: another service's.
    async fn describe(
        &self,
        _scope: &Scope,
        _written: Written<'_>,
        _told: &[Option<u32>],
    ) -> Result<Option<Described>> {
        Ok(None)
    }

    /// Functions that it performs, by schema and name.
    fn procedures(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// Performs one of its functions, and gives its answer.
    async fn call(&self, _work: &mut Work<'_>, called: &Called) -> Result<String> {
        Err(Error::new(
            Kind::UndefinedFunction,
            format!("function {}.{} does not exist", called.namespace, called.name),
        ))
    }

    /// Tables, by schema and name, that it makes when they are scanned, with an argument or without: [`Service::path`]
    /// is asked for them.
    fn scanned_tables(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// The streams of the history that it notes in.
    fn history(&self) -> &'static [HistoryStream] {
        &[]
    }

    /// The views over them and over its tables, found without a schema.
    fn system_views(&self) -> &'static [SystemView] {
        &[]
    }

    /// The tables in which it tells what it does.
    fn system_tables(&self) -> Vec<SystemTable> {
        Vec::new()
    }
}

/// Takes rows for a relation and says what a transaction must change to have them. Dropping it leaves nothing that can
/// be read.
#[async_trait]
pub trait TableSink: Send {
    /// Takes rows with the relation's columns, in their order and of their types.
    async fn write(&mut self, batch: RecordBatch) -> Result<()>;
    /// The changes.
    async fn finish(self: Box<Self>) -> Result<Vec<Change>>;
    /// Removes what has been written.
    async fn abort(self: Box<Self>);
}

/// Where rows for a relation go, with the numbers of its IDENTITY columns put in. None: it takes none.
pub fn sink_of(engine: &Engine, state: &State, relation: &Relation) -> Result<Option<Box<dyn TableSink>>> {
    for service in engine.services() {
        if let Some(sink) = service.sink(engine, state, relation)? {
            return Ok(Some(identity::counting(engine.catalog(), relation, sink)));
        }
    }
    Ok(None)
}

/// A table of the system, made anew when it is read.
#[derive(Clone)]
pub struct SystemTable {
    /// Its schema.
    pub namespace: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Its columns.
    pub schema: SchemaRef,
    /// Its rows, as a statement sees them.
    pub rows: Rows,
}

/// A view of the system: a query that is part of the server.
#[derive(Debug, Clone, Copy)]
pub struct SystemView {
    /// Its name.
    pub name: &'static str,
    /// Its SELECT.
    pub query: &'static str,
}

/// Makes the rows of a table of the system for a statement.
pub type Rows = Arc<dyn Fn(&Scope) -> Result<RecordBatch> + Send + Sync>;
