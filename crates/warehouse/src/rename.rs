//! Columns whose name in files is not their own: filters go down under the one, rows come up under the other.

use datafusion::common::Column as Reference;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column as PhysicalColumn;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;
use std::collections::HashMap;
use std::sync::Arc;
use tidegate_catalog::Column;

/// Which columns are called otherwise in files.
#[derive(Debug, Clone, Default)]
pub struct Renames {
    in_files: HashMap<String, String>,
    in_table: HashMap<String, String>,
}

impl Renames {
    /// Of a table's columns.
    pub fn of(columns: &[Column]) -> Self {
        let renamed = || columns.iter().filter(|column| column.physical.is_some());
        Renames {
            in_files: renamed().map(|column| (column.name.clone(), column.in_files().to_string())).collect(),
            in_table: renamed().map(|column| (column.in_files().to_string(), column.name.clone())).collect(),
        }
    }

    /// Filters as the files' scan takes them.
    pub fn filters(&self, filters: &[Expr]) -> Result<Vec<Expr>> {
        if self.in_files.is_empty() {
            return Ok(filters.to_vec());
        }
        let rename = |expr: Expr| match &expr {
            Expr::Column(column) => match self.in_files.get(&column.name) {
                Some(name) => Ok(Transformed::yes(Expr::Column(Reference::from_name(name)))),
                None => Ok(Transformed::no(expr)),
            },
            _ => Ok(Transformed::no(expr)),
        };
        filters.iter().map(|filter| filter.clone().transform(rename).map(|renamed| renamed.data)).collect()
    }

    /// A scan of files under the table's names.
    pub fn plan(&self, scan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = scan.schema();
        if !schema.fields().iter().any(|field| self.in_table.contains_key(field.name())) {
            return Ok(scan);
        }
        let column = |(index, field): (usize, &Arc<arrow::datatypes::Field>)| {
            let name = self.in_table.get(field.name()).unwrap_or(field.name());
            let column: Arc<dyn PhysicalExpr> = Arc::new(PhysicalColumn::new(field.name(), index));
            (column, name.clone())
        };
        let columns: Vec<_> = schema.fields().iter().enumerate().map(column).collect();
        Ok(Arc::new(ProjectionExec::try_new(columns, scan)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::logical_expr::{col, lit};
    use datafusion::physical_plan::empty::EmptyExec;
    use tidegate_catalog::{SqlType, file_schema};

    #[test]
    fn names_go_both_ways() {
        let renamed = Column { physical: Some("a".into()), ..Column::new("b", SqlType::Int4) };
        let columns = [Column::new("x", SqlType::Int4), renamed];
        let renames = Renames::of(&columns);
        let filters = renames.filters(&[col("b").gt(col("x")), col("x").eq(lit(1))]).unwrap();
        assert_eq!(filters, [col("a").gt(col("x")), col("x").eq(lit(1))]);
        let plan = renames.plan(Arc::new(EmptyExec::new(file_schema(&columns)))).unwrap();
        let schema = plan.schema();
        assert_eq!(schema.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>(), ["x", "b"]);
    }
}
