//! A scan that tells of each row the file and the place in it: what UPDATE and DELETE find rows by.
//!
//! It is a leaf on purpose: an optimizer that split or filtered the scans inside would spoil the places.

use arrow::array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use futures::StreamExt;
use std::fmt;
use std::sync::Arc;

/// Number of the file that a row is in.
pub const FILE_COLUMN: &str = "$file";
/// Place of a row in its file, from 0.
pub const ROW_COLUMN: &str = "$row";

/// A table's columns, then the place of the row.
pub fn with_places(schema: &SchemaRef) -> SchemaRef {
    let places = [FILE_COLUMN, ROW_COLUMN].map(|name| Arc::new(Field::new(name, DataType::Int64, true)));
    Arc::new(Schema::new(schema.fields().iter().cloned().chain(places).collect::<Vec<_>>()))
}

/// Scans of one file each, a partition each.
#[derive(Debug)]
pub struct RowScan {
    inputs: Vec<(u64, Arc<dyn ExecutionPlan>)>,
    /// Of each column that is given: of the file, or its number, or the row's.
    columns: Vec<Place>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Input(usize),
    File,
    Row,
}

impl RowScan {
    /// `columns` of `schema`, whose last two are the places; the inputs give those of the file among them.
    pub fn new(
        schema: &SchemaRef,
        columns: &[usize],
        inputs: Vec<(u64, Arc<dyn ExecutionPlan>)>,
    ) -> EngineResult<Self> {
        let width = schema.fields().len() - 2;
        let mut next = 0;
        let place = |column: &usize| match *column {
            column if column == width => Place::File,
            column if column > width => Place::Row,
            _ => {
                next += 1;
                Place::Input(next - 1)
            }
        };
        let places = columns.iter().map(place).collect();
        let schema = Arc::new(schema.project(columns)?);
        let partitions = Partitioning::UnknownPartitioning(inputs.len().max(1));
        let equivalence = EquivalenceProperties::new(Arc::clone(&schema));
        let properties = PlanProperties::new(equivalence, partitions, EmissionType::Incremental, Boundedness::Bounded);
        Ok(RowScan { inputs, columns: places, schema, properties: Arc::new(properties) })
    }
}

impl DisplayAs for RowScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowScan: files={}", self.inputs.len())
    }
}

impl ExecutionPlan for RowScan {
    fn name(&self) -> &str {
        "RowScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> EngineResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> EngineResult<TreeNodeRecursion>,
    ) -> EngineResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> EngineResult<SendableRecordBatchStream> {
        let schema = Arc::clone(&self.schema);
        let Some((file, input)) = self.inputs.get(partition) else {
            return Ok(Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::empty())));
        };
        let (file, columns, made) =
            (i64::try_from(*file).unwrap_or(i64::MAX), self.columns.clone(), Arc::clone(&schema));
        let mut row = 0_i64;
        let batches = input.execute(0, context)?.map(move |batch| {
            let batch = batch?;
            let first = row;
            row += batch.num_rows() as i64;
            placed(&batch, &columns, &made, file, first)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)))
    }
}

fn placed(
    batch: &RecordBatch,
    columns: &[Place],
    schema: &SchemaRef,
    file: i64,
    first: i64,
) -> EngineResult<RecordBatch> {
    let rows = batch.num_rows();
    let column = |place: &Place| -> EngineResult<ArrayRef> {
        match place {
            Place::Input(index) => {
                let missing = || DataFusionError::Internal("a file's scan lacks a column".to_string());
                batch.columns().get(*index).cloned().ok_or_else(missing)
            }
            Place::File => Ok(Arc::new(Int64Array::from(vec![file; rows]))),
            Place::Row => Ok(Arc::new(Int64Array::from_iter_values(first..first + rows as i64))),
        }
    };
    let arrays = columns.iter().map(column).collect::<EngineResult<_>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options)?)
}
