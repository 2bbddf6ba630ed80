//! INSERT: a query's rows, made to fit a relation, into whatever takes rows for it.

use crate::access::{RowCheck, checked, returned};
use crate::conform::{Source, conform};
use crate::identity;
use crate::outcome::{Outcome, RowsTag};
use crate::parameter;
use crate::pg::build;
use crate::planner::Planner;
use crate::returning::{Returning, columns_of};
use crate::scope::Scope;
use crate::stream_sql;
use crate::work::Work;
use arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;
use tidegate_catalog::{Column, PolicyCommand, Relation, Rights, SqlType};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::{Written, ast, fold, name_parts};

/// Performs an INSERT, and its RETURNING.
pub async fn execute(work: &mut Work<'_>, written: Written<'_>, values: &[ScalarValue]) -> Result<Outcome> {
    let ast::Statement::Insert(insert) = written.statement else {
        return Err(Error::internal("an INSERT that is none"));
    };
    let mut returning = returning(&work.scope, insert)?;
    let rows = run(work, written.with, insert, values, returning.as_mut()).await?;
    match returning {
        Some(returning) => returning.outcome(&work.scope, values, RowsTag::Insert).await,
        None => Ok(Outcome::Done { tag: RowsTag::Insert.text(rows) }),
    }
}

/// Performs an INSERT and gives the number of rows.
pub async fn run(
    work: &mut Work<'_>,
    with: Option<&ast::With>,
    insert: &ast::Insert,
    values: &[ScalarValue],
    returning: Option<&mut Returning>,
) -> Result<u64> {
    refuse_clauses(insert)?;
    let relation = stream_sql::insertable(&target(&work.scope, insert)?);
    let columns = chosen(&relation, &insert.columns)?;
    work.scope.require_columns(&relation, Rights::INSERT, &columns)?;
    let planner = Planner::new(&work.scope)?;
    let (rows, given) = match &insert.source {
        Some(query) => {
            let query = behind(with, with_defaults(&work.scope, query, &relation, &columns)?);
            let plan = planner.plan(&ast::Statement::Query(query)).await?;
            check_width(plan.schema().fields().len(), &columns, insert)?;
            let given: Vec<usize> = columns.iter().copied().take(plan.schema().fields().len()).collect();
            refuse_generated(&relation, &given, insert)?;
            (planner.stream(parameter::bind(plan, values.to_vec())?).await?, given)
        }
        // DEFAULT VALUES: one row, nothing given.
        None => (work.rows("SELECT 1").await?, Vec::new()),
    };
    let sources = sources(&work.scope, &relation, &given).await?;
    pour(work, &relation, &sources, rows, returning).await
}

/// What takes the rows of an INSERT … RETURNING.
pub fn returning(scope: &Scope, insert: &ast::Insert) -> Result<Option<Returning>> {
    let Some(items) = &insert.returning else { return Ok(None) };
    let relation = stream_sql::insertable(&target(scope, insert)?);
    scope.require_columns(&relation, Rights::SELECT, &returned(&relation, items))?;
    let table = insert.table_alias.as_ref().map_or_else(|| relation.name.clone(), |alias| fold(&alias.alias));
    Returning::new(items, &columns_of(&relation, &table)).map(Some)
}

/// A query with the WITH that stands before the whole statement.
fn behind(with: Option<&ast::With>, mut query: Box<ast::Query>) -> Box<ast::Query> {
    if let Some(with) = with {
        let mut with = with.clone();
        if let Some(own) = query.with.take() {
            with.recursive |= own.recursive;
            with.cte_tables.extend(own.cte_tables);
        }
        query.with = Some(with);
    }
    query
}

/// Writes all rows to the relation's sink, and its changes to the transaction.
pub async fn pour(
    work: &mut Work<'_>,
    relation: &Relation,
    sources: &[Source],
    mut rows: SendableRecordBatchStream,
    mut returning: Option<&mut Returning>,
) -> Result<u64> {
    let mut sink = work.sink(relation)?;
    let reading = work.scope.reading()?;
    let catalog = work.engine().catalog().clone();
    let check = RowCheck::of(&work.scope, relation, PolicyCommand::Insert, returning.is_some())?;
    let mut count = 0;
    let written: Result<()> = async {
        while let Some(batch) = rows.try_next().await.map_err(crate::from_datafusion)? {
            count += batch.num_rows() as u64;
            let mut batch = conform(&batch, relation, sources, &reading)?;
            if returning.is_some() || check.is_some() {
                batch = identity::numbered(&catalog, relation, batch)?;
            }
            checked(check.as_ref(), &batch).await?;
            if let Some(returning) = &mut returning {
                returning.take(batch.columns().to_vec(), batch.num_rows())?;
            }
            sink.write(batch).await?;
        }
        Ok(())
    }
    .await;
    if let Err(error) = written {
        sink.abort().await;
        return Err(error);
    }
    let changes = sink.finish().await?;
    work.push(changes)?;
    Ok(count)
}

/// The types of an INSERT's parameters, and the columns of its RETURNING.
pub async fn describe(
    scope: &Scope,
    with: Option<&ast::With>,
    insert: &ast::Insert,
    told: &[Option<u32>],
) -> Result<(Vec<u32>, Option<SchemaRef>)> {
    let relation = stream_sql::insertable(&target(scope, insert)?);
    let columns = chosen(&relation, &insert.columns)?;
    let mut known = parameter::Known::default();
    if let Some(source) = &insert.source {
        known.add_columns(values_columns(source, &relation, &columns));
        if !matches!(source.body.as_ref(), ast::SetExpr::Values(_)) {
            let query = behind(with, source.clone());
            known.add_plan(&Planner::new(scope)?.plan(&ast::Statement::Query(query)).await?)?;
        }
    }
    let returned = match returning(scope, insert)? {
        Some(returning) => Some(returning.plan(scope).await?),
        None => None,
    };
    known.describe(&ast::Statement::Insert(insert.clone()), told, returned)
}

/// The columns that the parameters of `VALUES ($1, …)` stand for, by their numbers.
fn values_columns(query: &ast::Query, relation: &Relation, columns: &[usize]) -> Vec<(usize, Column)> {
    let ast::SetExpr::Values(values) = query.body.as_ref() else { return Vec::new() };
    let pairs = values.rows.iter().flat_map(|row| row.content.iter().zip(columns));
    let known = |(value, column): (&ast::Expr, &usize)| {
        Some((parameter::number_of(value)?, relation.columns.get(*column)?.clone()))
    };
    pairs.filter_map(known).collect()
}

fn target(scope: &Scope, insert: &ast::Insert) -> Result<Relation> {
    match &insert.table {
        ast::TableObject::TableName(name) => scope.relation(&name_parts(name)).cloned(),
        other => Err(Error::new(Kind::Unsupported, format!("INSERT INTO {other} is not supported"))),
    }
}

fn refuse_clauses(insert: &ast::Insert) -> Result<()> {
    let refused = [("ON CONFLICT", insert.on.is_some()), ("OVERWRITE", insert.overwrite)];
    match refused.iter().find(|(_, given)| *given) {
        Some((clause, _)) => Err(Error::new(Kind::Unsupported, format!("INSERT with {clause} is not supported"))),
        None => Ok(()),
    }
}

/// The indexes of the named columns; of all where none is named.
fn chosen(relation: &Relation, names: &[ast::ObjectName]) -> Result<Vec<usize>> {
    if names.is_empty() {
        return Ok((0..relation.columns.len()).collect());
    }
    let mut chosen = Vec::new();
    for name in names {
        let name = name_parts(name).pop().unwrap_or_default();
        let index = column_index(relation, &name)?;
        if chosen.contains(&index) {
            return Err(Error::new(Kind::DuplicateColumn, format!("column \"{name}\" specified more than once")));
        }
        chosen.push(index);
    }
    Ok(chosen)
}

/// The index of a column by name; 42703.
pub fn column_index(relation: &Relation, name: &str) -> Result<usize> {
    let missing = || {
        let message = format!("column \"{name}\" of relation \"{}\" does not exist", relation.name);
        Error::new(Kind::UndefinedColumn, message)
    };
    relation.columns.iter().position(|column| column.name == name).ok_or_else(missing)
}

/// The columns that rows are given for, by their names; all where none is named. 42501 without INSERT on each of them.
pub fn insertable_idents(scope: &Scope, relation: &Relation, names: &[ast::Ident]) -> Result<Vec<usize>> {
    let chosen = chosen_idents(&stream_sql::insertable(relation), names)?;
    scope.require_columns(relation, Rights::INSERT, &chosen)?;
    Ok(chosen)
}

/// The indexes of identifiers among a relation's columns; of all where there are none.
pub fn chosen_idents(relation: &Relation, names: &[ast::Ident]) -> Result<Vec<usize>> {
    let names: Vec<ast::ObjectName> = names.iter().map(|name| vec![name.clone()].into()).collect();
    chosen(relation, &names)
}

/// For each column of the relation: which of the given ones it is, or its default.
pub async fn sources(scope: &Scope, relation: &Relation, columns: &[usize]) -> Result<Vec<Source>> {
    let mut sources = Vec::with_capacity(relation.columns.len());
    for (index, column) in relation.columns.iter().enumerate() {
        sources.push(match columns.iter().position(|chosen| *chosen == index) {
            Some(given) => Source::Input(given),
            None => Source::Value(default_of(scope, column).await?),
        });
    }
    Ok(sources)
}

/// The value of a column's default now, NULL where it has none.
pub async fn default_of(scope: &Scope, column: &Column) -> Result<ScalarValue> {
    let Some(text) = &column.default else { return Ok(ScalarValue::Null) };
    let text = if column.sql_type == SqlType::Super { format!("to_super({text})") } else { text.clone() };
    let query = ast::Statement::Query(tidegate_parser::parse_query(&format!("SELECT {text}"))?);
    let planner = Planner::new(scope)?;
    let rows = planner.stream(planner.plan(&query).await?).await?;
    let batches: Vec<_> = rows.try_collect().await.map_err(crate::from_datafusion)?;
    let value =
        batches.iter().find(|batch| batch.num_rows() > 0).map(|batch| ScalarValue::try_from_array(batch.column(0), 0));
    value.transpose().map_err(crate::from_datafusion).map(|value| value.unwrap_or(ScalarValue::Null))
}

/// 428C9 when a value other than DEFAULT is given to a column that is GENERATED ALWAYS.
fn refuse_generated(relation: &Relation, given: &[usize], insert: &ast::Insert) -> Result<()> {
    let Some(source) = &insert.source else { return Ok(()) };
    for (place, index) in given.iter().enumerate() {
        let Some(column) = relation.columns.get(*index) else { continue };
        let all_default = match source.body.as_ref() {
            ast::SetExpr::Values(values) => values.rows.iter().all(|row| row.content.get(place).is_none_or(is_default)),
            _ => false,
        };
        if column.identity.is_some_and(|identity| !identity.by_default) && !all_default {
            return Err(identity::given_value(column));
        }
    }
    Ok(())
}

fn is_default(expr: &ast::Expr) -> bool {
    matches!(expr, ast::Expr::Identifier(word) if word.quote_style.is_none() && fold(word) == "default")
}

/// The query with each DEFAULT in VALUES replaced by the column's own.
fn with_defaults(scope: &Scope, query: &ast::Query, relation: &Relation, columns: &[usize]) -> Result<Box<ast::Query>> {
    let mut query = query.clone();
    let ast::SetExpr::Values(values) = query.body.as_mut() else { return Ok(Box::new(query)) };
    for (expr, column) in values.rows.iter_mut().flat_map(|row| row.content.iter_mut().zip(columns)) {
        if let (true, Some(column)) = (is_default(expr), relation.columns.get(*column)) {
            let counter = identity::counter_of(scope.engine.catalog(), relation, column);
            *expr = match (counter, column.default.as_deref()) {
                (Some(counter), _) => tidegate_parser::parse_expression(&counter.take()?.to_string())?,
                (None, Some(text)) => tidegate_parser::parse_expression(text)?,
                (None, None) => ast::Expr::Value(ast::Value::Null.into()),
            };
        }
        if relation.columns.get(*column).is_some_and(|column| column.sql_type == SqlType::Super) {
            made_super(expr);
        }
    }
    Ok(Box::new(query))
}

/// Rows of VALUES may hold SUPER values and values of SQL in one column: all are made SUPER, each by itself.
fn made_super(expr: &mut ast::Expr) {
    let own = std::mem::replace(expr, build::boolean(false));
    let own = match &own {
        // A parameter has no type of its own.
        ast::Expr::Value(value) if matches!(value.value, ast::Value::Placeholder(_)) => {
            build::cast(own, ast::DataType::Text)
        }
        _ => own,
    };
    *expr = build::call("to_super", vec![own]);
}

fn check_width(width: usize, columns: &[usize], insert: &ast::Insert) -> Result<()> {
    if width > columns.len() {
        return Err(Error::new(Kind::Syntax, "INSERT has more expressions than target columns"));
    }
    if width < columns.len() && !insert.columns.is_empty() {
        return Err(Error::new(Kind::Syntax, "INSERT has more target columns than expressions"));
    }
    Ok(())
}
