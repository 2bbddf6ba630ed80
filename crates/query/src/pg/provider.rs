//! `pg_catalog` and `information_schema` as the engine looks tables up. Rows are made when a query names a table.

use super::fixed;
use super::information;
use super::relations;
use super::shape::{self, SHAPES, Shape};
use super::snapshot::PgSnapshot;
use arrow::array::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{MemTable, SchemaProvider, TableProvider};
use datafusion::error::Result;
use std::sync::Arc;

/// The table that stands for the function `pg_get_keywords()`.
pub const KEYWORDS: &str = "pg_get_keywords";

/// `pg_catalog` over a snapshot.
pub fn pg_catalog(snapshot: Arc<PgSnapshot>) -> Arc<dyn SchemaProvider> {
    Arc::new(SystemSchema { snapshot, information: false })
}

/// `information_schema` over a snapshot.
pub fn information_schema(snapshot: Arc<PgSnapshot>) -> Arc<dyn SchemaProvider> {
    Arc::new(SystemSchema { snapshot, information: true })
}

#[derive(Debug)]
struct SystemSchema {
    snapshot: Arc<PgSnapshot>,
    information: bool,
}

impl SystemSchema {
    fn shape(&self, name: &str) -> Option<&'static Shape> {
        if self.information { shape::information(name) } else { shape::pg(name) }
    }
}

#[async_trait]
impl SchemaProvider for SystemSchema {
    fn table_names(&self) -> Vec<String> {
        let here = SHAPES.iter().filter(|shape| shape.information == self.information);
        here.map(|shape| shape.name.to_string()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let batch = match self.shape(name) {
            Some(shape) if self.information => information::rows(&self.snapshot, shape)?,
            Some(shape) => relations::rows(&self.snapshot, shape)?,
            None if name == KEYWORDS => match fixed::keywords()? {
                Some(batch) => batch,
                None => return Ok(None),
            },
            None => return Ok(None),
        };
        Ok(Some(in_memory(batch)?))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.shape(name).is_some() || (!self.information && name == KEYWORDS)
    }
}

fn in_memory(batch: RecordBatch) -> Result<Arc<dyn TableProvider>> {
    Ok(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?))
}
