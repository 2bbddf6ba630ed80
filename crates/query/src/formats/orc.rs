//! Scans of ORC: orc-rust's stripes in a DataFusion plan, over any object store.

use crate::fault::carried;
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{Schema, SchemaRef};
use bytes::Bytes;
use datafusion::common::Result as EngineResult;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileOpenFuture, FileOpener, FileScanConfig, FileSource};
use datafusion::datasource::projection::{ProjectionOpener, SplitProjection};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{PhysicalExpr, apply_expression_roots};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use orc_rust::projection::ProjectionMask;
use orc_rust::reader::AsyncChunkReader;
use orc_rust::{ArrowReaderBuilder, TimestampPrecision};
use std::io;
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};

/// Rows of a batch when the plan names no number.
const DEFAULT_BATCH_ROWS: usize = 8192;

/// An object as orc-rust reads it.
pub(super) struct OrcObject {
    store: Arc<dyn ObjectStore>,
    meta: ObjectMeta,
}

impl AsyncChunkReader for OrcObject {
    fn len(&mut self) -> BoxFuture<'_, io::Result<u64>> {
        futures::future::ready(Ok(self.meta.size)).boxed()
    }

    fn get_bytes(&mut self, offset: u64, length: u64) -> BoxFuture<'_, io::Result<Bytes>> {
        async move {
            if length == 0 {
                return Ok(Bytes::new());
            }
            let end = offset.checked_add(length).ok_or(io::ErrorKind::InvalidData)?;
            Ok(self.store.get_range(&self.meta.location, offset..end).await?)
        }
        .boxed()
    }
}

/// Opens a file: reads its footer.
pub(super) async fn open(store: &Arc<dyn ObjectStore>, meta: &ObjectMeta) -> Result<ArrowReaderBuilder<OrcObject>> {
    let object = OrcObject { store: Arc::clone(store), meta: meta.clone() };
    let builder = ArrowReaderBuilder::try_new_async(object).await.map_err(|e| broken(meta, &e))?;
    // Nanoseconds do not reach beyond 2262, and no type of ours holds them.
    Ok(builder.with_timestamp_precision(TimestampPrecision::Microsecond))
}

fn broken(meta: &ObjectMeta, error: &dyn std::fmt::Display) -> Error {
    let message = format!("file {} cannot be read as ORC: {error}", meta.location);
    Error::new(Kind::DataCorrupted, message).hint("check that the file is whole and of the format that is named")
}

/// Reads ORC files.
#[derive(Debug, Clone)]
pub struct OrcSource {
    table_schema: TableSchema,
    projection: SplitProjection,
    batch_rows: usize,
    metrics: ExecutionPlanMetricsSet,
}

impl OrcSource {
    /// A source of a table's schema.
    pub fn new(table_schema: TableSchema) -> Self {
        OrcSource {
            projection: SplitProjection::unprojected(&table_schema),
            table_schema,
            batch_rows: DEFAULT_BATCH_ROWS,
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }
}

impl FileSource for OrcSource {
    fn create_file_opener(
        &self,
        object_store: Arc<dyn ObjectStore>,
        _base_config: &FileScanConfig,
        _partition: usize,
    ) -> EngineResult<Arc<dyn FileOpener>> {
        let file_schema = self.table_schema.file_schema();
        let projected = Arc::new(file_schema.project(&self.projection.file_indices)?);
        let names = file_schema.fields().iter().map(|f| f.name().clone()).collect();
        let indices = self.projection.file_indices.clone();
        let opener = OrcOpener { store: object_store, projected, names, indices, batch_rows: self.batch_rows };
        ProjectionOpener::try_new(self.projection.clone(), Arc::new(opener), file_schema)
    }

    fn table_schema(&self) -> &TableSchema {
        &self.table_schema
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        Arc::new(OrcSource { batch_rows: batch_size, ..self.clone() })
    }

    fn try_pushdown_projection(&self, projection: &ProjectionExprs) -> EngineResult<Option<Arc<dyn FileSource>>> {
        let merged = self.projection.source.try_merge(projection)?;
        let projection = SplitProjection::new(self.table_schema.file_schema(), &merged);
        Ok(Some(Arc::new(OrcSource { projection, ..self.clone() })))
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        Some(&self.projection.source)
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        &self.metrics
    }

    fn file_type(&self) -> &str {
        "orc"
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> EngineResult<TreeNodeRecursion>,
    ) -> EngineResult<TreeNodeRecursion> {
        apply_expression_roots(self.projection.source.iter(), f)
    }
}

struct OrcOpener {
    store: Arc<dyn ObjectStore>,
    /// The wanted columns of the file.
    projected: SchemaRef,
    /// All columns of the file as the table declares them.
    names: Vec<String>,
    /// Places of the wanted ones in `names`.
    indices: Vec<usize>,
    batch_rows: usize,
}

impl FileOpener for OrcOpener {
    fn open(&self, file: PartitionedFile) -> EngineResult<FileOpenFuture> {
        let (store, projected) = (Arc::clone(&self.store), Arc::clone(&self.projected));
        let (names, indices, batch_rows) = (self.names.clone(), self.indices.clone(), self.batch_rows);
        Ok(Box::pin(async move {
            let meta = file.object_meta.clone();
            let mut builder = open(&store, &meta).await.map_err(carried)?.with_batch_size(batch_rows);
            if let Some(range) = &file.range {
                // A stripe belongs to the part that it begins in.
                let place = |at: i64| usize::try_from(at).unwrap_or(0);
                builder = builder.with_file_byte_range(place(range.start)..place(range.end));
            }
            let root = builder.file_metadata().root_data_type();
            let in_file: Vec<String> = root.children().iter().map(|c| c.name().to_string()).collect();
            let sources = sources(&in_file, &names, &indices);
            let mut read: Vec<&String> = sources.iter().flatten().collect();
            if read.is_empty() {
                // Rows are to be counted: one column tells how many there are.
                read.extend(in_file.first());
            }
            let mask = ProjectionMask::named_roots(root, &read);
            let stream = builder.with_projection(mask).build_async();
            Ok(stream
                .map(move |batch| {
                    let batch = batch.map_err(|e| carried(broken(&meta, &e)))?;
                    shape(&batch, &sources, &projected).map_err(|e| carried(broken(&meta, &e)))
                })
                .boxed())
        }))
    }
}

/// For each wanted column the name of the file's column, if the file has it. Files of old Hive name no columns
/// (`_col0` …): there the place counts.
fn sources(in_file: &[String], names: &[String], indices: &[usize]) -> Vec<Option<String>> {
    let unnamed = !in_file.is_empty() && in_file.iter().all(|name| name.starts_with("_col"));
    let find = |index: &usize| {
        let name = names.get(*index)?;
        let exact = in_file.iter().find(|n| *n == name);
        let found = exact.or_else(|| in_file.iter().find(|n| n.eq_ignore_ascii_case(name)));
        found.or_else(|| in_file.get(*index).filter(|_| unnamed)).cloned()
    };
    indices.iter().map(find).collect()
}

/// The batch as the table declares it: columns in order, cast, missing ones NULL.
fn shape(
    batch: &RecordBatch,
    sources: &[Option<String>],
    to: &SchemaRef,
) -> Result<RecordBatch, arrow::error::ArrowError> {
    let rows = batch.num_rows();
    let column = |(source, field): (&Option<String>, &Arc<arrow::datatypes::Field>)| -> Result<ArrayRef, _> {
        match source.as_ref().and_then(|name| batch.column_by_name(name)) {
            Some(array) if array.data_type() == field.data_type() => Ok(Arc::clone(array)),
            Some(array) => cast(array, field.data_type()),
            None => Ok(new_null_array(field.data_type(), rows)),
        }
    };
    let arrays = sources.iter().zip(to.fields()).map(column).collect::<Result<Vec<_>, _>>()?;
    let fields: Vec<_> = to.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_name_or_place() {
        let names: Vec<String> = ["a", "b"].map(String::from).to_vec();
        let cases = [
            (["B", "a"], [Some("a"), Some("B")]),
            (["_col0", "_col1"], [Some("_col0"), Some("_col1")]),
            (["x", "b"], [None, Some("b")]),
        ];
        for (in_file, expected) in cases {
            let found = sources(&in_file.map(String::from), &names, &[0, 1]);
            let found: Vec<Option<&str>> = found.iter().map(Option::as_deref).collect();
            assert_eq!(found, expected, "{in_file:?}");
        }
    }
}
