//! How rows are changed: the files that hold a touched row are written anew, without it or with its new values. So are
//! the rows that a statement put into the tail, as if they were a file.
//!
//! 1. A query finds the touched rows, each with its file and its place there, what is to be done, and its new values. It
//!    is a plain scan, so that files, row groups and pages that hold no such row are not read.
//! 2. New rows go to the sink as they come; the places are noted, a bit for each row of a touched file.
//! 3. Each touched file is read once more, and the rows that are not noted go to the sink too.
//! 4. The files that were touched are removed and the new ones added, in one step of the transaction.

use crate::dml::{Target, named, of};
use crate::places::{FILE_COLUMN, ROW_COLUMN};
use crate::table::{ManagedTable, parts_of};
use crate::touched::Touched;
use arrow::array::{AsArray, BooleanArray, PrimitiveArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Field, Int64Type};
use datafusion::catalog::TableProvider;
use datafusion::common::ScalarValue;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execute_stream;
use futures::TryStreamExt;
use std::sync::Arc;
use tidegate_catalog::{Change, Column, Part, PolicyCommand};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::ast::{self, Expr, SelectItem, SelectItemQualifiedWildcardKind, TableFactor};
use tidegate_query::conform::{Source, conform};
use tidegate_query::datetime::Reading;
use tidegate_query::{
    Described, Known, Outcome, Planner, ReturnedColumn, Returning, RowCheck, RowsTag, Scope, TableSink, Work, checked,
    columns_of, from_datafusion,
};

/// Nothing is done with the row.
pub const NOTHING: i64 = 0;
/// The row gets its new values.
pub const UPDATE: i64 = 1;
/// The row goes.
pub const DELETE: i64 = 2;
/// The values are a new row's.
pub const INSERT: i64 = 3;

/// Columns before the values: the file, the place, the action.
const VALUES_AT: usize = 3;

/// What becomes of a row that is touched a second time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// The first touch stands, as in Postgres.
    Ignored,
    /// 21000, in Redshift's words.
    Refused,
}

/// A statement that changes rows, as the query that finds them.
pub struct Rewrite {
    /// The WITH before the statement.
    pub with: Option<ast::With>,
    /// Whose rows are changed.
    pub target: Target,
    /// The target, [with places](Target::factor), and what it is joined with.
    pub from: Vec<ast::TableWithJoins>,
    /// Which rows.
    pub selection: Option<Expr>,
    /// What is to be done with each.
    pub action: Expr,
    /// The new values of all columns; those of a row that goes are the old ones. None: nobody asks for them.
    pub values: Option<Vec<Expr>>,
    /// What RETURNING can name besides.
    pub extras: Vec<SelectItem>,
    /// Parameters whose columns are known.
    pub assigned: Vec<(usize, Column)>,
    /// The list of RETURNING.
    pub returning: Option<Vec<SelectItem>>,
    /// Whether `RETURNING *` begins with the columns of the source, as that of MERGE does.
    pub source_first: bool,
    /// What becomes of a row that is touched twice.
    pub again: Again,
    /// What the statement is called when it has ended.
    pub tag: RowsTag,
}

/// All columns of what a target is joined with, if they are asked for.
pub fn extras(tables: &[ast::TableWithJoins], asked: bool) -> Vec<SelectItem> {
    let relations = tables
        .iter()
        .flat_map(|table| std::iter::once(&table.relation).chain(table.joins.iter().map(|join| &join.relation)));
    let others = relations.skip(1).filter(|_| asked);
    others.filter_map(name_of).map(|name| all_of(&name)).collect()
}

/// `name.*`.
pub fn all_of(name: &ast::Ident) -> SelectItem {
    let kind = SelectItemQualifiedWildcardKind::ObjectName(vec![name.clone()].into());
    SelectItem::QualifiedWildcard(kind, ast::WildcardAdditionalOptions::default())
}

/// What a table of FROM is called.
pub fn name_of(factor: &TableFactor) -> Option<ast::Ident> {
    match factor {
        TableFactor::Table { alias: Some(alias), .. }
        | TableFactor::Derived { alias: Some(alias), .. }
        | TableFactor::Function { alias: Some(alias), .. }
        | TableFactor::TableFunction { alias: Some(alias), .. }
        | TableFactor::NestedJoin { alias: Some(alias), .. } => Some(alias.name.clone()),
        TableFactor::Table { name, .. } => name.0.last()?.as_ident().cloned(),
        _ => None,
    }
}

impl Rewrite {
    /// Performs it.
    pub async fn perform(self, work: &mut Work<'_>, values: &[ScalarValue]) -> Result<Outcome> {
        let scope = self.scope(&work.scope);
        let planner = Planner::new(&scope)?;
        let plan = planner.plan(&self.query()?).await?;
        let returning = self.returning(&plan)?;
        let rows = planner.stream(tidegate_query::bind(plan, values.to_vec())?).await?;
        let mut changed = Changed {
            touched: Touched::none_of(parts_of(work.state(), &self.target.relation)),
            sink: work.sink(&self.target.relation)?,
            rewrite: &self,
            returning,
            reading: scope.reading()?,
            check: self.check(&work.scope)?,
            rows: 0,
        };
        if let Err(error) = changed.take_all(rows).await {
            changed.sink.abort().await;
            return Err(error);
        }
        let (count, returning) = (changed.rows, changed.returning.take());
        let changes = changed.finish(&planner, work).await?;
        work.push(changes)?;
        match returning {
            Some(returning) => returning.outcome(&work.scope, values, self.tag).await,
            None => Ok(Outcome::Done { tag: self.tag.text(count) }),
        }
    }

    /// The types of its parameters, and the columns of its RETURNING.
    pub async fn describe(self, scope: &Scope, statement: &ast::Statement, told: &[Option<u32>]) -> Result<Described> {
        let scope = self.scope(scope);
        let plan = Planner::new(&scope)?.plan(&self.query()?).await?;
        let mut known = Known::default();
        known.add_columns(self.assigned.iter().cloned());
        known.add_plan(&plan)?;
        let returned = match self.returning(&plan)? {
            Some(returning) => Some(returning.plan(&scope).await?),
            None => None,
        };
        known.describe(statement, told, returned)
    }

    /// Places have no form in which they could travel, so the query is this node's.
    fn scope(&self, scope: &Scope) -> Scope {
        Scope { places_of: Some((self.target.relation.oid, self.command())), task_bytes: None, ..scope.clone() }
    }

    /// What new rows must meet; MERGE is refused where policies count.
    fn check(&self, scope: &Scope) -> Result<Option<RowCheck>> {
        match self.tag {
            RowsTag::Update => RowCheck::of(scope, &self.target.relation, PolicyCommand::Update, true),
            _ => Ok(None),
        }
    }

    fn command(&self) -> PolicyCommand {
        match self.tag {
            RowsTag::Delete => PolicyCommand::Delete,
            _ => PolicyCommand::Update,
        }
    }

    fn query(&self) -> Result<ast::Statement> {
        let mut query = tidegate_parser::parse_query("SELECT 1")?;
        let ast::SetExpr::Select(select) = query.body.as_mut() else {
            return Err(Error::internal("a SELECT that is none"));
        };
        let place = |name: &str| named(of(&self.target.alias, name), name);
        let values = self.values.iter().flatten().enumerate();
        select.projection = [place(FILE_COLUMN), place(ROW_COLUMN), named(self.action.clone(), "$action")]
            .into_iter()
            .chain(values.map(|(nth, value)| named(value.clone(), &format!("${nth}"))))
            .chain(self.extras.iter().cloned())
            .collect();
        select.from = self.from.clone();
        select.selection = self.selection.clone();
        query.with = self.with.clone();
        Ok(ast::Statement::Query(query))
    }

    fn width(&self) -> usize {
        self.values.as_ref().map_or(0, Vec::len)
    }

    fn returning(&self, plan: &LogicalPlan) -> Result<Option<Returning>> {
        let Some(items) = &self.returning else { return Ok(None) };
        let mut columns = columns_of(&self.target.relation, &self.target.alias.value);
        let schema = plan.schema();
        let extras = (VALUES_AT + self.width()..schema.fields().len()).map(|index| {
            let (table, field) = schema.qualified_field(index);
            let name = tidegate_query::pg::plain_name(field.name()).to_string();
            let field: Field = field.as_ref().clone().with_name(name);
            ReturnedColumn {
                table: table.map_or_else(String::new, |table| table.table().to_string()),
                field: Arc::new(field),
            }
        });
        match self.source_first {
            true => columns = extras.chain(columns).collect(),
            false => columns.extend(extras),
        }
        Returning::new(items, &columns).map(Some)
    }
}

/// What a statement has changed so far.
struct Changed<'a> {
    rewrite: &'a Rewrite,
    touched: Touched,
    sink: Box<dyn TableSink>,
    returning: Option<Returning>,
    reading: Reading,
    check: Option<RowCheck>,
    rows: u64,
}

impl Changed<'_> {
    async fn take_all(&mut self, mut rows: SendableRecordBatchStream) -> Result<()> {
        while let Some(batch) = rows.try_next().await.map_err(from_datafusion)? {
            self.take(&batch).await?;
        }
        Ok(())
    }

    async fn take(&mut self, batch: &RecordBatch) -> Result<()> {
        let done = self.note(batch)?;
        let affected: BooleanArray = done.iter().map(|action| Some(*action != NOTHING)).collect();
        self.rows += affected.true_count() as u64;
        if self.rewrite.values.is_none() {
            return Ok(());
        }
        let relation = &self.rewrite.target.relation;
        let width = self.rewrite.width();
        let sources: Vec<Source> = (0..width).map(|index| Source::Input(index + VALUES_AT)).collect();
        let batch = filter_record_batch(batch, &affected).map_err(Error::internal)?;
        let values = conform(&batch, relation, &sources, &self.reading)?;
        checked(self.check.as_ref(), &values).await?;
        if let Some(returning) = &mut self.returning {
            let extras = batch.columns().iter().skip(VALUES_AT + width).cloned();
            let columns = match self.rewrite.source_first {
                true => extras.chain(values.columns().iter().cloned()).collect(),
                false => values.columns().iter().cloned().chain(extras).collect(),
            };
            returning.take(columns, batch.num_rows())?;
        }
        let kept = done.iter().filter(|action| **action != NOTHING);
        let written: BooleanArray = kept.map(|action| Some(*action != DELETE)).collect();
        self.sink.write(filter_record_batch(&values, &written).map_err(Error::internal)?).await
    }

    /// What is done with each row: a row of the table that is touched again is left as it is, or refused.
    fn note(&mut self, batch: &RecordBatch) -> Result<Vec<i64>> {
        let (files, rows, actions) = (numbers(batch, 0)?, numbers(batch, 1)?, numbers(batch, 2)?);
        let mut done = Vec::with_capacity(batch.num_rows());
        for at in 0..batch.num_rows() {
            let action = actions.value(at);
            let new = match action {
                UPDATE | DELETE => self.touched.note(files.value(at).unsigned_abs(), rows.value(at).unsigned_abs())?,
                _ => true,
            };
            if !new && self.rewrite.again == Again::Refused {
                return Err(Error::new(Kind::Cardinality, "Found multiple matches to update the same tuple")
                    .hint("Make sure that at most one row of the source matches each row of the table."));
            }
            done.push(if new { action } else { NOTHING });
        }
        Ok(done)
    }

    /// Writes what stays of the touched files; the changes of the whole statement.
    async fn finish(mut self, planner: &Planner, work: &Work<'_>) -> Result<Vec<Change>> {
        let Target { relation, .. } = &self.rewrite.target;
        let mut gone = Vec::new();
        for (part, stay) in self.touched.into_parts() {
            gone.push(part.id());
            if let Err(error) = keep(planner, work, &self.rewrite.target, part, &stay, self.sink.as_mut()).await {
                self.sink.abort().await;
                return Err(error);
            }
        }
        let mut changes = self.sink.finish().await?;
        if !gone.is_empty() {
            changes.insert(0, Change::RemoveFiles { table: relation.oid, revision: relation.revision, files: gone });
        }
        Ok(changes)
    }
}

fn numbers(batch: &RecordBatch, index: usize) -> Result<PrimitiveArray<Int64Type>> {
    let missing = || Error::internal("a row without its place");
    // A literal is as narrow as Postgres has it.
    let wide = cast(batch.columns().get(index).ok_or_else(missing)?, &DataType::Int64).map_err(Error::internal)?;
    wide.as_primitive_opt::<Int64Type>().cloned().ok_or_else(missing)
}

/// Writes the rows of a part that stay.
async fn keep(
    planner: &Planner,
    work: &Work<'_>,
    target: &Target,
    part: Part,
    stay: &BooleanBuffer,
    sink: &mut (dyn TableSink + '_),
) -> Result<()> {
    if stay.count_set_bits() == 0 {
        return Ok(());
    }
    let id = part.id();
    let table = ManagedTable::of_parts(work.engine(), &target.relation, &target.spec, vec![part], false)?;
    // As it is planned here, one file is read in one stream, in its order.
    let plan = table.scan(planner.state(), None, &[], None).await.map_err(from_datafusion)?;
    let mut rows = execute_stream(plan, planner.state().task_ctx()).map_err(from_datafusion)?;
    let mut at = 0;
    while let Some(batch) = rows.try_next().await.map_err(from_datafusion)? {
        if at + batch.num_rows() > stay.len() {
            let message = format!("part {id} of table \"{}\" has more rows than it should", target.relation.name);
            return Err(Error::new(Kind::DataCorrupted, message));
        }
        let stay = BooleanArray::new(stay.slice(at, batch.num_rows()), None);
        at += batch.num_rows();
        sink.write(filter_record_batch(&batch, &stay).map_err(Error::internal)?).await?;
    }
    Ok(())
}
