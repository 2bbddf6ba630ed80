//! Which column of which table a column of a result is, as RowDescription tells it: drivers update rows by it, and look up
//! what the catalogs say of the column.

use crate::scope::Scope;
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::{Column, JoinType, TableReference};
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan};
use std::sync::Arc;
use tidegate_catalog::{Oid, RelationKind};

/// Where a field's metadata holds its origin.
const KEY: &str = "tidegate.origin";

/// A table and the number of a column in it, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The table.
    pub relation: Oid,
    /// The column.
    pub number: u16,
}

/// What a field says of its origin; None when it is computed.
pub fn of_field(field: &Field) -> Option<Origin> {
    let (relation, number) = field.metadata().get(KEY)?.split_once('.')?;
    Some(Origin { relation: relation.parse().ok()?, number: number.parse().ok()? })
}

/// Where the columns of a result come from.
pub struct Origins(Vec<Option<Origin>>);

impl Origins {
    /// Of a plan's rows.
    pub fn of(plan: &LogicalPlan, scope: &Scope) -> Self {
        Origins((0..plan.schema().fields().len()).map(|index| origin(plan, index, scope)).collect())
    }

    /// The rows' schema, whose fields say it.
    pub fn told(&self, schema: &SchemaRef) -> SchemaRef {
        let field = |(field, origin): (&Arc<Field>, &Option<Origin>)| match origin {
            Some(Origin { relation, number }) => {
                let mut metadata = field.metadata().clone();
                metadata.insert(KEY.to_string(), format!("{relation}.{number}"));
                Arc::new(field.as_ref().clone().with_metadata(metadata))
            }
            None => Arc::clone(field),
        };
        if schema.fields().len() != self.0.len() || self.0.iter().all(Option::is_none) {
            return Arc::clone(schema);
        }
        let fields: Vec<_> = schema.fields().iter().zip(&self.0).map(field).collect();
        Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
    }
}

fn origin(plan: &LogicalPlan, index: usize, scope: &Scope) -> Option<Origin> {
    match plan {
        LogicalPlan::TableScan(scan) => column_of(scope, &scan.table_name, scan.projected_schema.field(index).name()),
        LogicalPlan::Projection(projection) => through(&projection.input, projection.expr.get(index)?, scope),
        LogicalPlan::Aggregate(aggregate) => through(&aggregate.input, aggregate.group_expr.get(index)?, scope),
        LogicalPlan::Distinct(Distinct::On(on)) => through(&on.input, on.select_expr.get(index)?, scope),
        LogicalPlan::SubqueryAlias(alias) => {
            view_column(plan, &alias.alias, index, scope).or_else(|| origin(&alias.input, index, scope))
        }
        LogicalPlan::Join(join) => {
            let left = join.left.schema().fields().len();
            match join.join_type {
                JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => origin(&join.right, index, scope),
                _ if index < left => origin(&join.left, index, scope),
                JoinType::LeftMark => None,
                _ => origin(&join.right, index - left, scope),
            }
        }
        LogicalPlan::Window(window) if index < window.input.schema().fields().len() => {
            origin(&window.input, index, scope)
        }
        LogicalPlan::Filter(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Repartition(_)
        | LogicalPlan::Distinct(Distinct::All(_)) => origin(plan.inputs().first()?, index, scope),
        _ => None,
    }
}

/// Of an expression over a plan: that of the column that it is.
fn through(input: &LogicalPlan, expr: &Expr, scope: &Scope) -> Option<Origin> {
    let column: &Column = match expr {
        Expr::Column(column) => column,
        Expr::Alias(alias) => return through(input, &alias.expr, scope),
        _ => return None,
    };
    origin(input, input.schema().maybe_index_of_column(column)?, scope)
}

/// The engine puts a view's query in its place, under its name: in Postgres its columns are the view's own.
fn view_column(plan: &LogicalPlan, name: &TableReference, index: usize, scope: &Scope) -> Option<Origin> {
    let is_renamed = matches!(plan.inputs().first()?, LogicalPlan::TableScan(_));
    let found = scope.find_parts(&parts(name)).filter(|_| !is_renamed)?;
    matches!(found.kind, RelationKind::View(_)).then_some(())?;
    column_of(scope, name, plan.schema().field(index).name())
}

fn column_of(scope: &Scope, table: &TableReference, name: &str) -> Option<Origin> {
    let relation = scope.find_parts(&parts(table))?;
    let at = relation.columns.iter().position(|column| column.name == name)?;
    Some(Origin { relation: relation.oid, number: u16::try_from(at + 1).ok()? })
}

fn parts(table: &TableReference) -> Vec<String> {
    table.schema().into_iter().chain([table.table()]).map(str::to_string).collect()
}
