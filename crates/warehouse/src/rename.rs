//! Columns whose name or type in files is not their own: filters go down as files have them, rows come up as the table has
//! them.

use arrow::datatypes::Schema;
use datafusion::common::Column as Reference;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::expressions::Column as PhysicalColumn;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tidegate_catalog::{Column, SqlType};
use tidegate_query::datetime;

/// Which columns are called otherwise in files, or are texts there.
#[derive(Debug, Clone, Default)]
pub struct Renames {
    /// By their names in files.
    intervals: HashSet<String>,
    in_files: HashMap<String, String>,
    in_table: HashMap<String, String>,
}

impl Renames {
    /// Of a table's columns.
    pub fn of(columns: &[Column]) -> Self {
        let intervals = columns.iter().filter(|column| column.sql_type == SqlType::Interval);
        let renamed = || columns.iter().filter(|column| column.physical.is_some());
        Renames {
            intervals: intervals.map(|column| column.in_files().to_string()).collect(),
            in_files: renamed().map(|column| (column.name.clone(), column.in_files().to_string())).collect(),
            in_table: renamed().map(|column| (column.in_files().to_string(), column.name.clone())).collect(),
        }
    }

    /// Filters as the files' scan takes them. Of intervals it takes none: files know nothing of their order.
    pub fn filters(&self, filters: &[Expr]) -> Result<Vec<Expr>> {
        if self.in_files.is_empty() && self.intervals.is_empty() {
            return Ok(filters.to_vec());
        }
        let rename = |expr: Expr| match &expr {
            Expr::Column(column) => match self.in_files.get(&column.name) {
                Some(name) => Ok(Transformed::yes(Expr::Column(Reference::from_name(name)))),
                None => Ok(Transformed::no(expr)),
            },
            _ => Ok(Transformed::no(expr)),
        };
        let renamed = filters.iter().map(|filter| filter.clone().transform(rename).map(|renamed| renamed.data));
        let taken = |filter: &Expr| !filter.column_refs().iter().any(|one| self.intervals.contains(&one.name));
        renamed.filter(|filter| filter.as_ref().map_or(true, taken)).collect()
    }

    /// A scan of files under the table's names.
    pub fn plan(&self, scan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = scan.schema();
        let other = |name: &String| self.in_table.contains_key(name) || self.intervals.contains(name);
        if !schema.fields().iter().any(|field| other(field.name())) {
            return Ok(scan);
        }
        let column = |(index, field): (usize, &Arc<arrow::datatypes::Field>)| {
            let name = self.in_table.get(field.name()).unwrap_or(field.name());
            let column: Arc<dyn PhysicalExpr> = Arc::new(PhysicalColumn::new(field.name(), index));
            let column = if self.intervals.contains(field.name()) { interval_of(column, &schema)? } else { column };
            Ok((column, name.clone()))
        };
        let columns = schema.fields().iter().enumerate().map(column).collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(ProjectionExec::try_new(columns, scan)?))
    }
}

/// The intervals that texts of files mean.
fn interval_of(texts: Arc<dyn PhysicalExpr>, schema: &Schema) -> Result<Arc<dyn PhysicalExpr>> {
    let read = datetime::interval_function();
    let options = Arc::new(ConfigOptions::new());
    Ok(Arc::new(ScalarFunctionExpr::try_new(read, vec![texts], schema, options)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::logical_expr::{col, lit};
    use datafusion::physical_plan::empty::EmptyExec;
    use tidegate_catalog::file_schema;

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
