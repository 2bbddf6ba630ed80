//! `pg_get_late_binding_view_cols()`: the columns of late-binding views, which nobody keeps: each is planned when asked.

use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use datafusion::catalog::{MemTable, TableProvider};
use std::sync::Arc;
use tidegate_catalog::{Relation, RelationKind, SqlType};
use tidegate_core::{Error, Result};
use tidegate_query::{Planner, Scope, from_datafusion};

/// Its schema and name.
pub const NAME: (&str, &str) = ("pg_catalog", "pg_get_late_binding_view_cols");

/// One row for each column. A view that cannot be read now has none.
pub async fn provider(scope: &Scope) -> Result<Arc<dyn TableProvider>> {
    let (mut schemas, mut views, mut columns, mut types, mut numbers) = (vec![], vec![], vec![], vec![], vec![]);
    for relation in scope.state.relations() {
        for (index, (column, sql_type)) in columns_of(scope, relation).await.into_iter().enumerate() {
            schemas.push(scope.state.schema_name(relation.schema).to_string());
            views.push(relation.name.clone());
            columns.push(column);
            types.push(sql_type.to_string());
            numbers.push(i32::try_from(index + 1).unwrap_or(i32::MAX));
        }
    }
    let text = |values: Vec<String>| Arc::new(StringArray::from(values)) as ArrayRef;
    let batch = RecordBatch::try_from_iter([
        ("view_schema", text(schemas)),
        ("view_name", text(views)),
        ("col_name", text(columns)),
        ("col_type", text(types)),
        ("col_num", Arc::new(Int32Array::from(numbers)) as ArrayRef),
    ])
    .map_err(Error::internal)?;
    Ok(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]]).map_err(from_datafusion)?))
}

async fn columns_of(scope: &Scope, relation: &Relation) -> Vec<(String, SqlType)> {
    let RelationKind::View(view) = &relation.kind else { return Vec::new() };
    if !view.late {
        return Vec::new();
    }
    let planned = async {
        let query = tidegate_parser::ast::Statement::Query(tidegate_parser::parse_query(&view.query)?);
        Planner::new(scope)?.plan(&query).await
    };
    let Ok(plan) = planned.await else { return Vec::new() };
    let fields = plan.schema().fields().iter().enumerate();
    let name = |index: usize, own: &str| view.names.get(index).map_or(own, String::as_str).to_string();
    fields.map(|(index, field)| (name(index, field.name()), SqlType::of_field(field))).collect()
}
