//! UPDATE, DELETE and TRUNCATE: the files that hold a touched row are written anew, without it or with its new values. So
//! are the rows that a statement put into the tail, as if they were a file.
//!
//! 1. A query finds the touched rows, each with its file and its place there, and an UPDATE's new values beside.
//! 2. New rows go to the sink as they come; the places are noted, a bit for each row of a touched file.
//! 3. Each touched file is read once more, and the rows that are not noted go to the sink too.
//! 4. The files that were touched are removed and the new ones added, in one step of the transaction.

use crate::row_scan::{FILE_COLUMN, ROW_COLUMN};
use crate::table::{ManagedTable, parts_of};
use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Int64Type;
use datafusion::catalog::TableProvider;
use datafusion::common::ScalarValue;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::execute_stream;
use futures::TryStreamExt;
use std::collections::BTreeMap;
use tidegate_catalog::{Change, Part, Relation, RelationKind, TableSpec};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::ast::{self, AssignmentTarget, Expr, Ident, SelectItem, TableFactor};
use tidegate_parser::{fold, name_parts};
use tidegate_query::conform::{Source, conform};
use tidegate_query::insert::column_index;
use tidegate_query::{Planner, Scope, TableSink, Work, from_datafusion};

/// The rows of files that a statement touches.
#[derive(Default)]
struct Touched {
    files: BTreeMap<u64, Vec<bool>>,
    rows: u64,
}

impl Touched {
    /// Notes a row. False when it was noted already.
    fn note(&mut self, files: &BTreeMap<u64, Part>, file: u64, row: u64) -> Result<bool> {
        let lost = || Error::internal("a row of a file that is not the table's");
        let rows = files.get(&file).ok_or_else(lost)?.rows();
        let bits = self.files.entry(file).or_insert_with(|| vec![false; usize::try_from(rows).unwrap_or(0)]);
        let bit = bits.get_mut(usize::try_from(row).unwrap_or(usize::MAX)).ok_or_else(lost)?;
        let new = !std::mem::replace(bit, true);
        self.rows += u64::from(new);
        Ok(new)
    }
}

/// UPDATE. Gives the number of rows.
pub async fn update(work: &mut Work<'_>, update: &ast::Update, values: &[ScalarValue]) -> Result<u64> {
    if update.returning.is_some() {
        return Err(Error::new(Kind::Unsupported, "UPDATE with RETURNING is not supported"));
    }
    let (relation, spec, alias) = target(&work.scope, &update.table.relation)?;
    let assigned = assignments(&relation, &update.assignments)?;
    let value = |(index, column): (usize, &tidegate_catalog::Column)| match assigned.get(&index) {
        Some(expression) => SelectItem::ExprWithAlias { expr: expression.clone(), alias: quoted(&column.name) },
        None => SelectItem::UnnamedExpr(of(&alias, &column.name)),
    };
    let new_values = relation.columns.iter().enumerate().map(value).collect();
    let mut from = vec![update.table.clone()];
    if let Some(ast::UpdateTableFromKind::BeforeSet(tables) | ast::UpdateTableFromKind::AfterSet(tables)) = &update.from
    {
        from.extend(tables.iter().cloned());
    }
    rewrite(work, &relation, &spec, select(&alias, new_values, from, update.selection.clone())?, values, true).await
}

/// DELETE. Gives the number of rows.
pub async fn delete(work: &mut Work<'_>, delete: &ast::Delete, values: &[ScalarValue]) -> Result<u64> {
    if delete.returning.is_some() {
        return Err(Error::new(Kind::Unsupported, "DELETE with RETURNING is not supported"));
    }
    let (ast::FromTable::WithFromKeyword(tables) | ast::FromTable::WithoutKeyword(tables)) = &delete.from;
    let [table] = tables.as_slice() else {
        return Err(Error::new(Kind::Unsupported, "DELETE names one table"));
    };
    let (relation, spec, alias) = target(&work.scope, &table.relation)?;
    if delete.selection.is_none() && delete.using.is_none() {
        return remove_all(work, &relation);
    }
    let mut from = vec![table.clone()];
    from.extend(delete.using.iter().flatten().cloned());
    rewrite(work, &relation, &spec, select(&alias, Vec::new(), from, delete.selection.clone())?, values, false).await
}

/// TRUNCATE.
pub fn truncate(work: &mut Work<'_>, truncate: &ast::Truncate) -> Result<()> {
    for target in &truncate.table_names {
        let relation = work.relation(&target.name)?;
        table_spec(&relation)?;
        remove_all(work, &relation)?;
    }
    Ok(())
}

fn remove_all(work: &mut Work<'_>, relation: &Relation) -> Result<u64> {
    let parts = parts_of(work.state(), relation);
    let rows = parts.iter().map(Part::rows).sum();
    let files: Vec<u64> = parts.iter().map(Part::id).collect();
    if !files.is_empty() {
        work.push(vec![Change::RemoveFiles { table: relation.oid, revision: relation.revision, files }])?;
    }
    Ok(rows)
}

/// The definition of a managed table; 42809 for another relation.
pub fn table_spec(relation: &Relation) -> Result<TableSpec> {
    match &relation.kind {
        RelationKind::Table(spec) => Ok(spec.clone()),
        other => {
            Err(Error::new(Kind::WrongObjectType, format!("\"{}\" is a {}, not a table", relation.name, other.noun())))
        }
    }
}

fn target(scope: &Scope, factor: &TableFactor) -> Result<(Relation, TableSpec, Ident)> {
    let TableFactor::Table { name, alias, .. } = factor else {
        return Err(Error::new(Kind::Syntax, "a table's name is expected here"));
    };
    let relation = scope.relation(&name_parts(name))?.clone();
    let spec = table_spec(&relation)?;
    let alias = alias.as_ref().map_or_else(|| quoted(&relation.name), |alias| alias.name.clone());
    Ok((relation, spec, alias))
}

fn assignments(relation: &Relation, given: &[ast::Assignment]) -> Result<BTreeMap<usize, Expr>> {
    let mut assigned = BTreeMap::new();
    for assignment in given {
        let AssignmentTarget::ColumnName(name) = &assignment.target else {
            return Err(Error::new(Kind::Unsupported, "UPDATE of several columns from one row is not supported"));
        };
        let name = name_parts(name).pop().unwrap_or_default();
        let index = column_index(relation, &name)?;
        let value = match &assignment.value {
            Expr::Identifier(word) if word.quote_style.is_none() && fold(word) == "default" => {
                let default = relation.columns.get(index).and_then(|column| column.default.as_deref());
                default.map_or_else(|| Ok(Expr::Value(ast::Value::Null.into())), tidegate_parser::parse_expression)?
            }
            value => value.clone(),
        };
        if assigned.insert(index, value).is_some() {
            return Err(Error::new(Kind::Syntax, format!("multiple assignments to same column \"{name}\"")));
        }
    }
    Ok(assigned)
}

fn quoted(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

fn of(alias: &Ident, column: &str) -> Expr {
    Expr::CompoundIdentifier(vec![alias.clone(), quoted(column)])
}

/// `SELECT alias."$file", alias."$row", … FROM … WHERE …`.
fn select(
    alias: &Ident,
    items: Vec<SelectItem>,
    from: Vec<ast::TableWithJoins>,
    selection: Option<Expr>,
) -> Result<ast::Statement> {
    let mut query = tidegate_parser::parse_query("SELECT 1")?;
    let ast::SetExpr::Select(select) = query.body.as_mut() else {
        return Err(Error::internal("a SELECT that is none"));
    };
    let places = [FILE_COLUMN, ROW_COLUMN].map(|name| SelectItem::UnnamedExpr(of(alias, name)));
    select.projection = places.into_iter().chain(items).collect();
    select.from = from;
    select.selection = selection;
    Ok(ast::Statement::Query(query))
}

async fn rewrite(
    work: &mut Work<'_>,
    relation: &Relation,
    spec: &TableSpec,
    query: ast::Statement,
    values: &[ScalarValue],
    with_values: bool,
) -> Result<u64> {
    let scope = Scope { places_of: Some(relation.oid), ..work.scope.clone() };
    let planner = Planner::new(&scope)?;
    let plan = planner.plan(&query).await?;
    let rows = planner.stream(tidegate_query::bind(plan, values.to_vec())?).await?;
    let files: BTreeMap<u64, Part> =
        parts_of(work.state(), relation).into_iter().map(|part| (part.id(), part)).collect();
    let mut sink = work.sink(relation)?;
    let rewritten = async {
        let touched = note_touched(rows, &files, relation, with_values.then_some(sink.as_mut())).await?;
        for (file, gone) in &touched.files {
            let Some(file) = files.get(file) else { continue };
            keep_rest(&planner, work, relation, spec, file, gone, sink.as_mut()).await?;
        }
        Ok(touched)
    }
    .await;
    let touched: Touched = match rewritten {
        Ok(touched) => touched,
        Err(error) => {
            sink.abort().await;
            return Err(error);
        }
    };
    let mut changes = sink.finish().await?;
    let gone: Vec<u64> = touched.files.keys().copied().collect();
    if !gone.is_empty() {
        changes.insert(0, Change::RemoveFiles { table: relation.oid, revision: relation.revision, files: gone });
    }
    work.push(changes)?;
    Ok(touched.rows)
}

async fn note_touched(
    mut rows: SendableRecordBatchStream,
    files: &BTreeMap<u64, Part>,
    relation: &Relation,
    mut sink: Option<&mut (dyn TableSink + '_)>,
) -> Result<Touched> {
    let mut touched = Touched::default();
    let sources: Vec<Source> = (0..relation.columns.len()).map(|index| Source::Input(index + 2)).collect();
    while let Some(batch) = rows.try_next().await.map_err(from_datafusion)? {
        let new = note_batch(&mut touched, files, &batch)?;
        if let Some(sink) = sink.as_deref_mut() {
            // A row that several rows of FROM match is updated once, by one of them, as in Postgres.
            let batch = filter_record_batch(&batch, &new).map_err(Error::internal)?;
            sink.write(conform(&batch, relation, &sources)?).await?;
        }
    }
    Ok(touched)
}

fn note_batch(touched: &mut Touched, files: &BTreeMap<u64, Part>, batch: &RecordBatch) -> Result<BooleanArray> {
    let place = |index: usize| {
        let column = batch.columns().get(index).and_then(|column| column.as_primitive_opt::<Int64Type>());
        column.ok_or_else(|| Error::internal("a row without its place"))
    };
    let (file, row) = (place(0)?, place(1)?);
    let note = |(file, row): (&i64, &i64)| touched.note(files, file.unsigned_abs(), row.unsigned_abs());
    let new = file.values().iter().zip(row.values()).map(note).collect::<Result<Vec<bool>>>()?;
    Ok(new.into())
}

/// Writes the rows of a file that were not touched.
async fn keep_rest(
    planner: &Planner,
    work: &Work<'_>,
    relation: &Relation,
    spec: &TableSpec,
    part: &Part,
    gone: &[bool],
    sink: &mut (dyn TableSink + '_),
) -> Result<()> {
    if gone.iter().all(|gone| *gone) {
        return Ok(());
    }
    let table = ManagedTable::of_parts(work.engine(), relation, spec, vec![part.clone()], false)?;
    let plan = table.scan(planner.state(), None, &[], None).await.map_err(from_datafusion)?;
    let mut rows = execute_stream(plan, planner.state().task_ctx()).map_err(from_datafusion)?;
    let mut at = 0;
    while let Some(batch) = rows.try_next().await.map_err(from_datafusion)? {
        let end = at + batch.num_rows();
        let gone = gone.get(at..end).ok_or_else(|| {
            Error::new(
                Kind::DataCorrupted,
                format!("part {} of table \"{}\" has more rows than it should", part.id(), relation.name),
            )
        })?;
        let keep: BooleanArray = gone.iter().map(|gone| Some(!gone)).collect();
        sink.write(filter_record_batch(&batch, &keep).map_err(Error::internal)?).await?;
        at = end;
    }
    Ok(())
}
