//! A managed table as the engine scans it: its files and its tail as of one version, and, for DML, with the place of
//! each row.

use crate::places::{ROW_COLUMN, part_column, placed, with_places};
use crate::rename::Renames;
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{FieldRef, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::physical_plan::{FileScanConfig, FileScanConfigBuilder};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use object_store::ObjectMeta;
use std::sync::Arc;
use tidegate_catalog::{Analysis, DataFile, Part, Relation, State, TableSpec, TailRows, arrow_schema, file_schema};
use tidegate_core::{Error, Result};
use tidegate_query::formats::{Compression, FileFormat, FileScan, row_number};
use tidegate_query::{Engine, Planner, Scope, from_datafusion};
use tidegate_storage::S3Access;

/// Rows of a batch that the tail is read in, at most; more where one statement put in more.
const TAIL_BATCH_ROWS: usize = 8192;

/// A table at one version of the state.
#[derive(Debug)]
pub struct ManagedTable {
    parts: Vec<Part>,
    schema: SchemaRef,
    /// Of the files among the parts.
    scan: FileScan,
    /// What ANALYZE found.
    analysis: Option<Arc<Analysis>>,
    renames: Renames,
    places: bool,
}

impl ManagedTable {
    /// As a statement sees it; with each row's place if the statement changes the table's rows.
    pub fn new(scope: &Scope, relation: &Relation, spec: &TableSpec) -> Result<Self> {
        let places = scope.places_of.is_some_and(|(changed, _)| changed == relation.oid);
        let analysis = scope.state.files(relation.oid).and_then(|files| files.analysis.clone());
        let mut parts = parts_of(&scope.state, relation);
        if let Some((after, upto)) = scope.spans.get(&relation.oid) {
            parts.retain(|part| part.added() > *after && part.added() <= *upto);
        }
        Ok(ManagedTable { analysis, ..Self::of_parts(&scope.engine, relation, spec, parts, places)? })
    }

    /// Some of a table's parts.
    pub fn of_parts(
        engine: &Engine,
        relation: &Relation,
        spec: &TableSpec,
        parts: Vec<Part>,
        places: bool,
    ) -> Result<Self> {
        let place = engine.stores().resolve(&spec.location, &S3Access::default())?;
        engine.runtime().register_object_store(&place.registry_url, place.store);
        let schema = arrow_schema(&relation.columns);
        let file = |part: &Part| match part {
            Part::File(file) => Some(partitioned(file, &place.path, places)),
            Part::Tail(_) => None,
        };
        let scan = FileScan {
            format: FileFormat::Parquet,
            compression: Compression::None,
            file_schema: file_schema(&relation.columns),
            partition_columns: if places { vec![part_column()] } else { Vec::new() },
            store_url: ObjectStoreUrl::parse(place.registry_url.as_str()).map_err(Error::internal)?,
            files: parts.iter().filter_map(file).collect(),
        };
        let schema = if places { with_places(&schema) } else { schema };
        let renames = Renames::of(&relation.columns);
        Ok(ManagedTable { parts, schema, scan, analysis: None, renames, places })
    }

    /// All of its rows.
    pub async fn read(&self, planner: &Planner) -> Result<SendableRecordBatchStream> {
        let plan = self.scan(planner.state(), None, &[], None).await.map_err(from_datafusion)?;
        execute_stream(plan, planner.state().task_ctx()).map_err(from_datafusion)
    }

    fn tail(&self) -> impl Iterator<Item = &TailRows> {
        self.parts.iter().filter_map(|part| match part {
            Part::Tail(rows) => Some(rows.as_ref()),
            Part::File(_) => None,
        })
    }

    /// Rows of the tail, with these columns of a file.
    fn in_memory<'a>(
        &self,
        rows: impl Iterator<Item = &'a TailRows>,
        columns: &[usize],
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let schema = Arc::new(self.scan.file_schema.project(columns)?);
        let batches = rows.map(|rows| fitted(&rows.batch, &schema)).collect::<EngineResult<Vec<_>>>()?;
        Ok(MemorySourceConfig::try_new_exec(&[joined(batches, &schema)?], schema, None)?)
    }

    /// Rows with their places. Files are scanned as ever, so that what holds no row that fits is not read.
    async fn placed(
        &self,
        state: &dyn Session,
        columns: &[usize],
        filters: &[Expr],
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let mut inputs: Vec<Arc<dyn ExecutionPlan>> = Vec::new();
        if !self.scan.files.is_empty() {
            let number = row_number(ROW_COLUMN);
            inputs.push(self.scan.plan_numbered(state, Some(&columns.to_vec()), filters, &number).await?);
        }
        let rows = &self.scan.file_schema;
        let schema = Arc::new(with_places(rows).project(columns)?);
        let part = |part: &TailRows| placed(&fitted(&part.batch, rows)?, columns, &schema, part.id);
        let tail = self.tail().map(part).collect::<EngineResult<Vec<_>>>()?;
        if !tail.is_empty() || inputs.is_empty() {
            inputs.push(MemorySourceConfig::try_new_exec(&[joined(tail, &schema)?], schema, None)?);
        }
        match inputs.len() {
            1 => inputs.pop().ok_or_else(|| DataFusionError::Internal("a table without a scan".to_string())),
            _ => UnionExec::try_new(inputs),
        }
    }
}

/// A table's files and rows of its tail, each by number.
pub fn parts_of(state: &State, relation: &Relation) -> Vec<Part> {
    state.files(relation.oid).map(|files| files.parts().collect()).unwrap_or_default()
}

fn partitioned(file: &DataFile, root: &object_store::path::Path, places: bool) -> PartitionedFile {
    let location = root.clone().join(file.path.as_str());
    let last_modified = std::time::UNIX_EPOCH.into();
    let meta = ObjectMeta { location, last_modified, size: file.bytes, e_tag: None, version: None };
    let mut partitioned = PartitionedFile::from(meta);
    if places {
        partitioned.partition_values = vec![ScalarValue::Int64(i64::try_from(file.id).ok())];
    }
    partitioned
}

/// A scan that tells how many different values its columns have.
fn with_distinct(scan: Arc<dyn ExecutionPlan>, analysis: &Analysis) -> Arc<dyn ExecutionPlan> {
    let config = scan.downcast_ref::<DataSourceExec>().map(DataSourceExec::data_source);
    let Some(config) = config.and_then(|source| source.downcast_ref::<FileScanConfig>()) else { return scan };
    let mut statistics = config.statistics();
    for (field, column) in config.file_schema().fields().iter().zip(&mut statistics.column_statistics) {
        if let Some(count) = analysis.distinct.get(field.name()).and_then(|count| usize::try_from(*count).ok()) {
            column.distinct_count = Precision::Inexact(count);
        }
    }
    let config = FileScanConfigBuilder::from(config.clone()).with_statistics(statistics).build();
    DataSourceExec::from_data_source(config)
}

/// A batch of the tail with the columns that are wanted now: what it lacks is NULL, as in an older file.
fn fitted(batch: &RecordBatch, schema: &SchemaRef) -> EngineResult<RecordBatch> {
    let column = |field: &FieldRef| -> EngineResult<ArrayRef> {
        match batch.column_by_name(field.name()) {
            Some(column) if column.data_type() == field.data_type() => Ok(Arc::clone(column)),
            Some(column) => Ok(cast(column, field.data_type())?),
            None => Ok(new_null_array(field.data_type(), batch.num_rows())),
        }
    };
    let columns = schema.fields().iter().map(column).collect::<EngineResult<_>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

/// Small batches made into larger ones, in their order.
fn joined(batches: Vec<RecordBatch>, schema: &SchemaRef) -> EngineResult<Vec<RecordBatch>> {
    let (mut whole, mut open, mut rows) = (Vec::new(), Vec::new(), 0);
    for batch in batches {
        if rows + batch.num_rows() > TAIL_BATCH_ROWS && !open.is_empty() {
            whole.push(concat_batches(schema, &std::mem::take(&mut open))?);
            rows = 0;
        }
        rows += batch.num_rows();
        open.push(batch);
    }
    if !open.is_empty() {
        whole.push(concat_batches(schema, &open)?);
    }
    Ok(whole)
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
        let rows = self.parts.iter().map(|part| usize::try_from(part.rows()).unwrap_or(usize::MAX)).sum();
        let columns = vec![ColumnStatistics::new_unknown(); self.schema.fields().len()];
        Some(Statistics {
            num_rows: Precision::Exact(rows),
            total_byte_size: Precision::Absent,
            column_statistics: columns,
        })
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> EngineResult<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let columns: Vec<usize> = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        if self.places {
            let filters = self.renames.filters(filters)?;
            return self.renames.plan(self.placed(state, &columns, &filters).await?);
        }
        let has_tail = self.tail().next().is_some();
        if has_tail && self.scan.files.is_empty() {
            return self.renames.plan(self.in_memory(self.tail(), &columns)?);
        }
        let filters = self.renames.filters(filters)?;
        let files = self.scan.plan(state, projection, &filters, limit).await?;
        let files = match &self.analysis {
            Some(analysis) => with_distinct(files, analysis),
            None => files,
        };
        if !has_tail {
            return self.renames.plan(files);
        }
        self.renames.plan(UnionExec::try_new(vec![files, self.in_memory(self.tail(), &columns)?])?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int32Array, Int64Array};
    use arrow::datatypes::{DataType, Field, Schema};

    #[test]
    fn a_batch_of_before_fits_the_columns_of_now() {
        let columns: [(&str, ArrayRef); 2] =
            [("a", Arc::new(Int32Array::from(vec![1, 2]))), ("gone", Arc::new(Int32Array::from(vec![3, 4])))];
        let before = RecordBatch::try_from_iter(columns).unwrap();
        let field = |name: &str| Field::new(name, DataType::Int64, true);
        let now: SchemaRef = Arc::new(Schema::new(vec![field("new"), field("a")]));
        let fitted = fitted(&before, &now).unwrap();
        assert_eq!(fitted.column(0).null_count(), 2);
        assert_eq!(fitted.column(1).as_ref(), &Int64Array::from(vec![1, 2]));
    }

    #[test]
    fn small_batches_are_joined_in_order() {
        let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
        let batch = |rows: usize| {
            RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(Int64Array::from(vec![7; rows]))]).unwrap()
        };
        let sizes = |batches: &[usize]| {
            let joined = joined(batches.iter().map(|rows| batch(*rows)).collect(), &schema).unwrap();
            joined.iter().map(RecordBatch::num_rows).collect::<Vec<_>>()
        };
        assert_eq!(sizes(&[]), [0; 0]);
        assert_eq!(sizes(&[1, 2, 3]), [6]);
        assert_eq!(sizes(&[8000, 192, 1, 9000]), [8192, 1, 9000]);
    }
}
