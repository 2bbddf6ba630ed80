//! A managed table as the engine scans it: its files as of one version, and, for DML, with the place of each row.

use crate::rename::Renames;
use crate::row_scan::{RowScan, with_places};
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, Statistics};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::error::Result as EngineResult;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use object_store::ObjectMeta;
use std::sync::Arc;
use tidegate_catalog::{DataFile, Relation, State, TableSpec, arrow_schema, file_schema};
use tidegate_core::{Error, Result};
use tidegate_query::formats::{Compression, FileFormat, FileScan};
use tidegate_query::{Engine, Scope};
use tidegate_storage::S3Access;

/// A table at one version of the state.
#[derive(Debug)]
pub struct ManagedTable {
    files: Vec<Arc<DataFile>>,
    schema: SchemaRef,
    scan: FileScan,
    renames: Renames,
    places: bool,
}

impl ManagedTable {
    /// As a statement sees it; with each row's place if the statement changes the table's rows.
    pub fn new(scope: &Scope, relation: &Relation, spec: &TableSpec) -> Result<Self> {
        let places = scope.places_of == Some(relation.oid);
        Self::of_files(&scope.engine, relation, spec, files_of(&scope.state, relation), places)
    }

    /// Some of a table's files.
    pub fn of_files(
        engine: &Engine,
        relation: &Relation,
        spec: &TableSpec,
        files: Vec<Arc<DataFile>>,
        places: bool,
    ) -> Result<Self> {
        let place = engine.stores().resolve(&spec.location, &S3Access::default())?;
        engine.runtime().register_object_store(&place.registry_url, place.store);
        let schema = arrow_schema(&relation.columns);
        let file = |file: &Arc<DataFile>| partitioned(file, &place.path, &schema);
        let scan = FileScan {
            format: FileFormat::Parquet,
            compression: Compression::None,
            file_schema: file_schema(&relation.columns),
            partition_columns: Vec::new(),
            store_url: ObjectStoreUrl::parse(place.registry_url.as_str()).map_err(Error::internal)?,
            files: files.iter().map(file).collect(),
        };
        let schema = if places { with_places(&schema) } else { schema };
        Ok(ManagedTable { files, schema, scan, renames: Renames::of(&relation.columns), places })
    }
}

/// A table's files, by number.
pub fn files_of(state: &State, relation: &Relation) -> Vec<Arc<DataFile>> {
    state.files(relation.oid).map(|files| files.files.values().cloned().collect()).unwrap_or_default()
}

fn partitioned(file: &DataFile, root: &object_store::path::Path, _schema: &SchemaRef) -> PartitionedFile {
    let location = root.clone().join(file.path.as_str());
    let last_modified = std::time::UNIX_EPOCH.into();
    PartitionedFile::from(ObjectMeta { location, last_modified, size: file.bytes, e_tag: None, version: None })
}

#[async_trait]
impl TableProvider for ManagedTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn statistics(&self) -> Option<Statistics> {
        let rows = self.files.iter().map(|file| usize::try_from(file.rows).unwrap_or(usize::MAX)).sum();
        let columns = vec![ColumnStatistics::new_unknown(); self.schema.fields().len()];
        Some(Statistics {
            num_rows: Precision::Exact(rows),
            total_byte_size: Precision::Absent,
            column_statistics: columns,
        })
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> EngineResult<Vec<TableProviderFilterPushDown>> {
        // The place of a row is known only when every row of its file is read.
        let how =
            if self.places { TableProviderFilterPushDown::Unsupported } else { TableProviderFilterPushDown::Inexact };
        Ok(vec![how; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        if !self.places {
            let filters = self.renames.filters(filters)?;
            return self.renames.plan(self.scan.plan(state, projection, &filters, limit).await?);
        }
        let width = self.scan.file_schema.fields().len();
        let columns: Vec<usize> = projection.cloned().unwrap_or_else(|| (0..width + 2).collect());
        let of_file: Vec<usize> = columns.iter().copied().filter(|column| *column < width).collect();
        let mut inputs = Vec::new();
        for (file, scanned) in self.files.iter().zip(&self.scan.files) {
            let one = FileScan { files: vec![scanned.clone()], ..self.scan.clone() };
            // By place: their names are those of the scan above.
            inputs.push((file.id, one.plan(state, Some(&of_file), &[], None).await?));
        }
        Ok(Arc::new(RowScan::new(&self.schema, &columns, inputs)?))
    }
}
