//! Cursors of a session: DECLARE, FETCH, MOVE and CLOSE. Forward only; rows are made as they are fetched.

use crate::outcome::{Outcome, RowsTag};
use crate::planner::{Planner, shown_schema};
use crate::scope::Scope;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::memory::MemoryStream;
use futures::TryStreamExt;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::ast::{self, CloseCursor, FetchDirection};
use tidegate_parser::fold;

/// Most cursors of one session.
const CURSORS_MAX: usize = 100;
/// Most rows that one FETCH gives: they are held in memory.
const FETCH_ROWS_MAX: usize = 1_000_000;

struct Cursor {
    schema: SchemaRef,
    // Never locked: the cell makes a session shareable, which a stream of rows alone is not.
    rows: Mutex<SendableRecordBatchStream>,
    rest: Option<RecordBatch>,
    hold: bool,
    /// How many were declared before it.
    nth: u64,
}

/// The cursors of a session, by name.
#[derive(Default)]
pub struct Cursors {
    open: HashMap<String, Cursor>,
    declared: u64,
}

impl Cursors {
    /// DECLARE … CURSOR FOR.
    pub async fn declare(&mut self, scope: &Scope, declare: &ast::Declare, in_block: bool) -> Result<Outcome> {
        let (Some(name), Some(query)) = (declare.names.first().map(fold), &declare.for_query) else {
            return Err(Error::new(Kind::Syntax, "DECLARE needs a name and a query"));
        };
        let hold = declare.hold == Some(true);
        if !in_block && !hold {
            return Err(Error::new(Kind::NoTransaction, "DECLARE CURSOR can only be used in transaction blocks"));
        }
        if self.open.contains_key(&name) {
            return Err(Error::new(Kind::DuplicateCursor, format!("cursor \"{name}\" already exists")));
        }
        if self.open.len() >= CURSORS_MAX {
            return Err(Error::new(Kind::LimitExceeded, format!("a session has {CURSORS_MAX} cursors at most")));
        }
        let planner = Planner::new(scope)?;
        let rows = planner.stream(planner.plan(&ast::Statement::Query(query.clone())).await?).await?;
        let (schema, rows, nth) = (shown_schema(&rows.schema()), Mutex::new(rows), self.declared);
        self.open.insert(name, Cursor { schema, rows, rest: None, hold, nth });
        self.declared += 1;
        Ok(Outcome::Done { tag: "DECLARE CURSOR".to_string() })
    }

    /// FETCH, forward only.
    pub async fn fetch(&mut self, name: &str, direction: &FetchDirection) -> Result<Outcome> {
        let count = count_of(direction)?;
        let cursor = self.open.get_mut(name).ok_or_else(|| missing(name))?;
        let batches = cursor.take(count).await?;
        let schema = Arc::clone(&cursor.schema);
        let renamed = |batch: RecordBatch| batch.with_schema(Arc::clone(&schema)).map_err(Error::internal);
        let batches = batches.into_iter().map(renamed).collect::<Result<Vec<_>>>()?;
        let rows = MemoryStream::try_new(batches, Arc::clone(&schema), None).map_err(crate::from_datafusion)?;
        Ok(Outcome::Rows { schema, rows: Box::pin(rows), tag: RowsTag::Fetch })
    }

    /// MOVE, forward only: rows are made and let go.
    pub async fn skip(&mut self, name: &str, direction: &FetchDirection) -> Result<Outcome> {
        let mut count = count_of(direction)?;
        let cursor = self.open.get_mut(name).ok_or_else(|| missing(name))?;
        let mut moved = 0;
        while count > 0
            && let Some(batch) = cursor.next(count).await?
        {
            moved += batch.num_rows();
            count -= batch.num_rows();
        }
        Ok(Outcome::Done { tag: format!("MOVE {moved}") })
    }

    /// CLOSE.
    pub fn close(&mut self, cursor: &CloseCursor) -> Result<Outcome> {
        match cursor {
            CloseCursor::All => self.open.clear(),
            CloseCursor::Specific { name } => {
                let name = fold(name);
                self.open.remove(&name).ok_or_else(|| missing(&name))?;
            }
        }
        Ok(Outcome::Done { tag: "CLOSE CURSOR".to_string() })
    }

    /// The columns of a cursor.
    pub fn schema(&self, name: &str) -> Result<SchemaRef> {
        self.open.get(name).map(|cursor| Arc::clone(&cursor.schema)).ok_or_else(|| missing(name))
    }

    /// How many have been declared so far.
    pub fn declared(&self) -> u64 {
        self.declared
    }

    /// ROLLBACK TO closes those that were declared after the savepoint.
    pub fn close_since(&mut self, declared: u64) {
        self.open.retain(|_, cursor| cursor.nth < declared);
    }

    /// The end of a transaction closes those that are not held.
    pub fn end_transaction(&mut self) {
        self.open.retain(|_, cursor| cursor.hold);
    }
}

impl Cursor {
    async fn take(&mut self, count: usize) -> Result<Vec<RecordBatch>> {
        let (mut taken, mut rows) = (Vec::new(), 0);
        while rows < count {
            let Some(batch) = self.next(count - rows).await? else { break };
            rows += batch.num_rows();
            if rows > FETCH_ROWS_MAX {
                let message = format!("one FETCH gives {FETCH_ROWS_MAX} rows at most");
                return Err(Error::new(Kind::LimitExceeded, message).hint("FETCH in smaller pieces."));
            }
            taken.push(batch);
        }
        Ok(taken)
    }

    /// The next rows, at most `count`. None at the end.
    async fn next(&mut self, count: usize) -> Result<Option<RecordBatch>> {
        let next = match self.rest.take() {
            Some(rest) => Some(rest),
            None => self.rows.get_mut().try_next().await.map_err(crate::from_datafusion)?,
        };
        let Some(batch) = next else { return Ok(None) };
        let here = batch.num_rows().min(count);
        if here < batch.num_rows() {
            self.rest = Some(batch.slice(here, batch.num_rows() - here));
        }
        Ok(Some(batch.slice(0, here)))
    }
}

fn count_of(direction: &FetchDirection) -> Result<usize> {
    let number = |limit: &ast::ValueWithSpan| {
        let text = limit.value.to_string();
        text.parse().map_err(|_| backwards(&text))
    };
    match direction {
        FetchDirection::Next | FetchDirection::Forward { limit: None } => Ok(1),
        FetchDirection::Count { limit } | FetchDirection::Forward { limit: Some(limit) } => number(limit),
        FetchDirection::All | FetchDirection::ForwardAll => Ok(usize::MAX),
        other => Err(backwards(&other.to_string())),
    }
}

fn backwards(direction: &str) -> Error {
    let message = format!("a cursor goes forward only: {direction} is not supported");
    Error::new(Kind::Unsupported, message).hint("FETCH and MOVE take NEXT, FORWARD n, a count or ALL.")
}

fn missing(name: &str) -> Error {
    Error::new(Kind::UndefinedCursor, format!("cursor \"{name}\" does not exist"))
}
