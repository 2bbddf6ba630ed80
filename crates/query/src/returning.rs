//! RETURNING, as in Postgres: the rows that a statement changed are a table of their own, and the list is a SELECT of it.
//!
//! All of it is made before the statement commits, so that an error in the list undoes the statement.

use crate::outcome::{Outcome, RowsTag};
use crate::parameter;
use crate::planner::{Planner, shown_schema};
use crate::scope::Scope;
use arrow::array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use datafusion::catalog::MemTable;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::memory::MemoryStream;
use futures::TryStreamExt;
use sqlparser::ast::{VisitMut, VisitorMut};
use std::ops::ControlFlow;
use std::sync::Arc;
use tidegate_catalog::{Relation, arrow_schema};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::ast::{self, Expr, Ident, ObjectName, SelectItem, SelectItemQualifiedWildcardKind};
use tidegate_parser::{fold, name_parts};

/// The name under which the changed rows are found.
pub const RETURNED: &str = "$returned";
/// Bytes of changed rows that one statement gives back.
const BYTES_MAX: usize = 256 << 20;

/// A column that the list can name.
#[derive(Debug, Clone)]
pub struct ReturnedColumn {
    /// The table's name in the statement.
    pub table: String,
    /// Its name and type.
    pub field: FieldRef,
}

/// A relation's columns under its name in the statement.
pub fn columns_of(relation: &Relation, table: &str) -> Vec<ReturnedColumn> {
    let column = |field: &FieldRef| ReturnedColumn { table: table.to_string(), field: Arc::clone(field) };
    arrow_schema(&relation.columns).fields().iter().map(column).collect()
}

/// Takes the rows that a statement changes, and then gives what its RETURNING asks for.
pub struct Returning {
    query: ast::Statement,
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    bytes: usize,
}

impl Returning {
    /// For a list over these columns. 42702 where a bare name could be of two tables.
    pub fn new(items: &[SelectItem], columns: &[ReturnedColumn]) -> Result<Self> {
        let field = |(nth, column): (usize, &ReturnedColumn)| {
            Arc::new(column.field.as_ref().clone().with_name(place(nth)).with_nullable(true))
        };
        let schema = Arc::new(Schema::new(columns.iter().enumerate().map(field).collect::<Vec<_>>()));
        let mut list = Vec::new();
        for item in items {
            list.extend(over(item, columns)?);
        }
        let mut query = tidegate_parser::parse_query(&format!("SELECT 1 FROM \"{RETURNED}\""))?;
        if let ast::SetExpr::Select(select) = query.body.as_mut() {
            select.projection = list;
        }
        Ok(Returning { query: ast::Statement::Query(query), schema, batches: Vec::new(), bytes: 0 })
    }

    /// Takes rows: the columns that [`Returning::new`] was told of. 54000 when they are too many.
    pub fn take(&mut self, columns: Vec<ArrayRef>, rows: usize) -> Result<()> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let columns = columns.iter().map(compact).collect();
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options);
        let batch = batch.map_err(Error::internal)?;
        self.bytes += batch.get_array_memory_size();
        if self.bytes > BYTES_MAX {
            let message = format!("RETURNING gives {} MiB of rows at most", BYTES_MAX >> 20);
            return Err(Error::new(Kind::ProgramLimit, message).hint("Change the rows in smaller statements."));
        }
        self.batches.push(batch);
        Ok(())
    }

    /// The plan of the list over no rows: for its columns and its parameters.
    pub async fn plan(&self, scope: &Scope) -> Result<LogicalPlan> {
        Planner::new(&self.scope(scope, Vec::new())?)?.plan(&self.query).await
    }

    /// What is given to the client.
    pub async fn outcome(mut self, scope: &Scope, values: &[ScalarValue], tag: RowsTag) -> Result<Outcome> {
        let batches = std::mem::take(&mut self.batches);
        let planner = Planner::new(&self.scope(scope, batches)?)?;
        let plan = parameter::bind(planner.plan(&self.query).await?, values.to_vec())?;
        let rows = planner.stream(plan).await?;
        let (schema, made) = (rows.schema(), shown_schema(&rows.schema()));
        let batches: Vec<RecordBatch> = rows.try_collect().await.map_err(crate::from_datafusion)?;
        let rows = MemoryStream::try_new(batches, schema, None).map_err(crate::from_datafusion)?;
        Ok(Outcome::Rows { schema: made, rows: Box::pin(rows), tag })
    }

    fn scope(&self, scope: &Scope, batches: Vec<RecordBatch>) -> Result<Scope> {
        let table = MemTable::try_new(Arc::clone(&self.schema), vec![batches]).map_err(crate::from_datafusion)?;
        Ok(Scope { returned: Some(Arc::new(table)), task_bytes: None, ..scope.clone() })
    }
}

/// The values without the buffers of all that they were chosen from.
fn compact(column: &ArrayRef) -> ArrayRef {
    match (column.as_string_view_opt(), column.as_binary_view_opt()) {
        (Some(texts), _) => Arc::new(texts.gc()),
        (_, Some(bytes)) => Arc::new(bytes.gc()),
        _ => Arc::clone(column),
    }
}

/// The name of a column among the returned ones.
fn place(nth: usize) -> String {
    format!("$r{nth}")
}

/// An item of the list as items over the returned rows.
fn over(item: &SelectItem, columns: &[ReturnedColumn]) -> Result<Vec<SelectItem>> {
    let all = |of: Option<&str>| {
        let these = columns.iter().enumerate().filter(|(_, column)| of.is_none_or(|table| column.table == table));
        these.map(|(nth, column)| aliased(Expr::Identifier(quoted(&place(nth))), column.field.name())).collect()
    };
    match item {
        SelectItem::Wildcard(_) => Ok(all(None)),
        SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
            let table = name_parts(name).pop().unwrap_or_default();
            match all(Some(&table)) {
                none if none.is_empty() => Err(missing_table(name)),
                some => Ok(some),
            }
        }
        SelectItem::UnnamedExpr(expr @ Expr::Identifier(name)) => {
            Ok(vec![aliased(placed(expr, columns)?, &fold(name))])
        }
        SelectItem::UnnamedExpr(expr @ Expr::CompoundIdentifier(parts)) => {
            let name = parts.last().map(fold).unwrap_or_default();
            Ok(vec![aliased(placed(expr, columns)?, &name)])
        }
        SelectItem::UnnamedExpr(expr) => Ok(vec![SelectItem::UnnamedExpr(placed(expr, columns)?)]),
        SelectItem::ExprWithAlias { expr, alias } => {
            Ok(vec![SelectItem::ExprWithAlias { expr: placed(expr, columns)?, alias: alias.clone() }])
        }
        other => Err(Error::new(Kind::Unsupported, format!("RETURNING {other} is not supported"))),
    }
}

fn missing_table(name: &ObjectName) -> Error {
    Error::new(Kind::UndefinedTable, format!("missing FROM-clause entry for table \"{name}\""))
}

fn aliased(expr: Expr, name: &str) -> SelectItem {
    SelectItem::ExprWithAlias { expr, alias: quoted(name) }
}

fn quoted(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

/// The expression with the places of columns for their names; what stands in a subquery is the subquery's.
fn placed(expr: &Expr, columns: &[ReturnedColumn]) -> Result<Expr> {
    struct Places<'a> {
        columns: &'a [ReturnedColumn],
        depth: usize,
    }
    impl VisitorMut for Places<'_> {
        type Break = Error;
        fn pre_visit_query(&mut self, _: &mut ast::Query) -> ControlFlow<Error> {
            self.depth += 1;
            ControlFlow::Continue(())
        }
        fn post_visit_query(&mut self, _: &mut ast::Query) -> ControlFlow<Error> {
            self.depth -= 1;
            ControlFlow::Continue(())
        }
        fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
            let found = match expr {
                _ if self.depth > 0 => Ok(None),
                Expr::Identifier(name) => find(self.columns, None, &fold(name)),
                Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                    [table, name] => find(self.columns, Some(&fold(table)), &fold(name)),
                    _ => Ok(None),
                },
                _ => Ok(None),
            };
            match found {
                Ok(Some(nth)) => *expr = Expr::Identifier(quoted(&place(nth))),
                Ok(None) => {}
                Err(error) => return ControlFlow::Break(error),
            }
            ControlFlow::Continue(())
        }
    }
    let mut expr = expr.clone();
    match expr.visit(&mut Places { columns, depth: 0 }) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(expr),
    }
}

/// The one column of a name. None: there is none, which planning will say.
fn find(columns: &[ReturnedColumn], table: Option<&str>, name: &str) -> Result<Option<usize>> {
    let fits = |column: &ReturnedColumn| column.field.name() == name && table.is_none_or(|table| column.table == table);
    let mut found = columns.iter().enumerate().filter(|(_, column)| fits(column)).map(|(nth, _)| nth);
    match (found.next(), found.next()) {
        (Some(_), Some(_)) => {
            Err(Error::new(Kind::AmbiguousColumn, format!("column reference \"{name}\" is ambiguous")))
        }
        (first, _) => Ok(first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field};

    #[test]
    fn names_become_places() {
        let column = |table: &str, name: &str| ReturnedColumn {
            table: table.into(),
            field: Arc::new(Field::new(name, DataType::Int64, true)),
        };
        let columns = [column("t", "a"), column("t", "b"), column("s", "a")];
        let cases = [
            ("t.a", Ok("\"$r0\" AS \"a\"")),
            ("B", Ok("\"$r1\" AS \"b\"")),
            ("b + s.a AS c", Ok("\"$r1\" + \"$r2\" AS c")),
            ("upper(b)", Ok("upper(\"$r1\")")),
            ("(SELECT max(b) FROM x)", Ok("(SELECT max(b) FROM x)")),
            ("s.*", Ok("\"$r2\" AS \"a\"")),
            ("*", Ok("\"$r0\" AS \"a\", \"$r1\" AS \"b\", \"$r2\" AS \"a\"")),
            ("a", Err(Kind::AmbiguousColumn)),
            ("x.*", Err(Kind::UndefinedTable)),
        ];
        for (text, want) in cases {
            let query = tidegate_parser::parse_query(&format!("SELECT {text}")).unwrap();
            let ast::SetExpr::Select(select) = *query.body else { panic!("{text}") };
            let shown = |items: Vec<SelectItem>| items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let got = over(&select.projection[0], &columns).map(shown).map_err(|error| error.kind());
            assert_eq!(got, want.map(str::to_string), "{text}");
        }
    }
}
