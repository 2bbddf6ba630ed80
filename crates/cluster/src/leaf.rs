//! Leaves of a plan whose rows only the leader has (a stream's tail, a table of the system): they travel as a number,
//! and pull their rows from the leader wherever they run.

use crate::channel::Channels;
use crate::protocol::{self, Pull, Rows};
use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use bytes::Bytes;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result as EngineResult, exec_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tonic::Status;
use url::Url;

/// The leaves that may be pulled, by number, for as long as their plans live.
#[derive(Debug, Clone, Default)]
pub struct Leaves(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    next: AtomicU64,
    plans: Mutex<HashMap<u64, Arc<dyn ExecutionPlan>>>,
}

/// A number that is taken while it lives.
struct Entry {
    leaves: Leaves,
    number: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.leaves.0.plans.lock().remove(&self.number);
    }
}

impl Leaves {
    /// A leaf in the place of a plan without children.
    pub fn keep(&self, plan: Arc<dyn ExecutionPlan>, leader: &Url) -> LeaderScanExec {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        self.0.plans.lock().insert(number, Arc::clone(&plan));
        let entry = Entry { leaves: self.clone(), number };
        LeaderScanExec {
            number,
            leader: leader.clone(),
            properties: properties(&plan.schema(), plan.output_partitioning().partition_count()),
            rows: Source::Here { plan, _entry: Arc::new(entry) },
        }
    }

    /// Answers a worker that pulls one.
    pub fn pull(
        &self,
        pull: &Pull,
        context: Arc<TaskContext>,
    ) -> Result<BoxStream<'static, Result<Rows, Status>>, Status> {
        let plan = self.0.plans.lock().get(&pull.leaf).cloned();
        let plan = plan.ok_or_else(|| Status::not_found("the query has ended"))?;
        let failed = |error: DataFusionError| Status::internal(error.to_string());
        let rows = plan.execute(pull.partition as usize, context).map_err(failed)?;
        Ok(rows.map(move |batch| packed(&batch.map_err(failed)?).map_err(failed)).boxed())
    }
}

fn packed(batch: &RecordBatch) -> EngineResult<Rows> {
    let mut ipc = Vec::new();
    let mut writer = StreamWriter::try_new(&mut ipc, &batch.schema())?;
    writer.write(batch)?;
    writer.finish()?;
    drop(writer);
    Ok(Rows { ipc: Bytes::from(ipc) })
}

fn unpacked(rows: &Rows) -> EngineResult<RecordBatch> {
    let mut reader = StreamReader::try_new(rows.ipc.as_ref(), None)?;
    match reader.next() {
        Some(batch) => Ok(batch?),
        None => exec_err!("the leader sent rows without a batch"),
    }
}

fn properties(schema: &arrow::datatypes::SchemaRef, partitions: usize) -> Arc<PlanProperties> {
    Arc::new(PlanProperties::new(
        EquivalenceProperties::new(Arc::clone(schema)),
        Partitioning::UnknownPartitioning(partitions),
        EmissionType::Incremental,
        Boundedness::Bounded,
    ))
}

/// A leaf that runs where the leader is, or pulls from it.
pub struct LeaderScanExec {
    number: u64,
    leader: Url,
    properties: Arc<PlanProperties>,
    rows: Source,
}

#[derive(Clone)]
enum Source {
    /// This is the leader.
    Here { plan: Arc<dyn ExecutionPlan>, _entry: Arc<Entry> },
    /// This is another node.
    There,
}

/// What a leaf travels as.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Described {
    #[prost(uint64, tag = "1")]
    number: u64,
    #[prost(string, tag = "2")]
    leader: String,
    #[prost(uint32, tag = "3")]
    partitions: u32,
    /// An Arrow IPC stream without a batch.
    #[prost(bytes = "vec", tag = "4")]
    schema: Vec<u8>,
}

impl LeaderScanExec {
    /// What it travels as.
    pub fn describe(&self) -> EngineResult<Described> {
        let mut schema = Vec::new();
        StreamWriter::try_new(&mut schema, &self.schema())?.finish()?;
        let partitions = u32::try_from(self.properties.output_partitioning().partition_count()).unwrap_or(u32::MAX);
        Ok(Described { number: self.number, leader: self.leader.to_string(), partitions, schema })
    }

    /// A leaf that has travelled.
    pub fn of(described: &Described) -> EngineResult<Self> {
        let schema = StreamReader::try_new(described.schema.as_slice(), None)?.schema();
        let leader = Url::parse(&described.leader).map_err(|error| DataFusionError::External(Box::new(error)))?;
        let properties = properties(&schema, described.partitions as usize);
        Ok(LeaderScanExec { number: described.number, leader, properties, rows: Source::There })
    }
}

impl fmt::Debug for LeaderScanExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaderScanExec").field("number", &self.number).finish_non_exhaustive()
    }
}

impl DisplayAs for LeaderScanExec {
    fn fmt_as(&self, how: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LeaderScanExec: ")?;
        match &self.rows {
            Source::Here { plan, .. } => plan.fmt_as(how, f),
            Source::There => write!(f, "leader={}", self.leader),
        }
    }
}

impl ExecutionPlan for LeaderScanExec {
    fn name(&self) -> &str {
        "LeaderScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> EngineResult<TreeNodeRecursion>,
    ) -> EngineResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> EngineResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> EngineResult<SendableRecordBatchStream> {
        if let Source::Here { plan, .. } = &self.rows {
            return plan.execute(partition, context);
        }
        let Some(channels) = context.session_config().get_extension::<Channels>() else {
            return exec_err!("this node has no connection to its leader");
        };
        let channel = channels.to(&self.leader)?;
        let pull = Pull { leaf: self.number, partition: u32::try_from(partition).unwrap_or(u32::MAX) };
        let failed = |status: Status| DataFusionError::External(Box::new(status));
        let rows = futures::stream::once(async move {
            let answer = protocol::pull(channel, pull).await.map_err(failed)?;
            Ok::<_, DataFusionError>(answer.map_err(failed).and_then(async |rows| unpacked(&rows)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows.try_flatten())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array};
    use datafusion::datasource::memory::MemorySourceConfig;

    fn batch() -> RecordBatch {
        let values: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
        RecordBatch::try_from_iter([("a", values)]).unwrap()
    }

    #[tokio::test]
    async fn a_leaf_is_pulled_while_its_plan_lives() {
        let leaves = Leaves::default();
        let plan = MemorySourceConfig::try_new_exec(&[vec![batch()]], batch().schema(), None).unwrap();
        let leaf = leaves.keep(plan, &Url::parse("http://127.0.0.1:1").unwrap());
        let far = LeaderScanExec::of(&leaf.describe().unwrap()).unwrap();
        assert_eq!((far.schema(), far.number), (leaf.schema(), leaf.number));
        let pull = Pull { leaf: leaf.number, partition: 0 };
        let rows: Vec<Rows> = leaves.pull(&pull, Arc::default()).unwrap().try_collect().await.unwrap();
        assert_eq!(rows.iter().map(|rows| unpacked(rows).unwrap()).collect::<Vec<_>>(), [batch()]);
        drop(leaf);
        assert!(leaves.pull(&pull, Arc::default()).is_err());
    }
}
