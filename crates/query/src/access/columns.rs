//! A relation of which some columns only may be read: a scan that needs another one is refused.

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Constraints, Statistics};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use std::collections::BTreeSet;
use std::sync::Arc;
use tidegate_core::{Error, Kind};

/// The relation, and what may be read of it. Which columns a query needs is known when it is scanned.
#[derive(Debug)]
pub struct ReadableColumns {
    /// The relation.
    pub inner: Arc<dyn TableProvider>,
    /// What messages call it: "table t".
    pub name: String,
    /// The columns that may be read.
    pub readable: BTreeSet<String>,
}

impl ReadableColumns {
    fn refuse<'n>(&self, needed: impl IntoIterator<Item = &'n str>) -> Result<()> {
        match needed.into_iter().all(|name| self.readable.contains(name)) {
            true => Ok(()),
            false => {
                let message = format!("permission denied for {}", self.name);
                Err(crate::carried(Error::new(Kind::InsufficientPrivilege, message)))
            }
        }
    }
}

#[async_trait]
impl TableProvider for ReadableColumns {
    fn schema(&self) -> SchemaRef {
        self.inner.schema()
    }

    fn constraints(&self) -> Option<&Constraints> {
        self.inner.constraints()
    }

    fn table_type(&self) -> TableType {
        self.inner.table_type()
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        self.inner.supports_filters_pushdown(filters)
    }

    fn statistics(&self) -> Option<Statistics> {
        self.inner.statistics()
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = self.schema();
        let all: Vec<usize> = (0..schema.fields().len()).collect();
        let projected = projection.unwrap_or(&all).iter();
        self.refuse(projected.filter_map(|at| schema.fields().get(*at)).map(|field| field.name().as_str()))?;
        for filter in filters {
            self.refuse(filter.column_refs().into_iter().map(|column| column.name.as_str()))?;
        }
        self.inner.scan(state, projection, filters, limit).await
    }
}
