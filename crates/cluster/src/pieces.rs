//! Plans of one scan, cut into plans of parts of it: each is a chunk of work that any node can do by itself.

use crate::codec::Codec;
use crate::scan::groups;
use crate::stores;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use datafusion::catalog::memory::DataSourceExec;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig, FileScanConfigBuilder};
use datafusion::error::Result as EngineResult;
use datafusion::execution::session_state::SessionState;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion_proto::physical_plan::AsExecutionPlan;
use datafusion_proto::protobuf::PhysicalPlanNode;
use prost::Message;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;
use tidegate_core::{Error, Result};
use tidegate_query::formats::settle;
use tidegate_query::{PlanReader, from_datafusion};
use tidegate_storage::{BucketAccess, Stores};

/// Pieces of one plan.
const PIECES_MAX: usize = 10_000;

/// A piece as it travels.
#[derive(Serialize, Deserialize)]
struct Piece {
    plan: String,
    buckets: Vec<BucketAccess>,
}

/// Cuts a plan where a piece scans about so many bytes. None: it is of another shape, or too small.
pub fn cut(plan: &Arc<dyn ExecutionPlan>, bytes: usize, codec: &Codec, stores: &Stores) -> Result<Option<Vec<String>>> {
    let Some(config) = scan_of(plan) else { return Ok(None) };
    let files = config.file_groups.iter().flat_map(FileGroup::iter);
    let whole: u64 = files.map(|file| file.effective_size()).sum();
    let count = usize::try_from(whole.div_ceil(bytes.max(1) as u64)).unwrap_or(PIECES_MAX).min(PIECES_MAX);
    if count < 2 {
        return Ok(None);
    }
    let buckets = || stores::buckets(&BTreeSet::from([config.object_store_url.as_str().to_string()]), stores);
    let piece = |group: FileGroup| -> Result<String> {
        let part = over(plan, config, &group).map_err(from_datafusion)?;
        let node = PhysicalPlanNode::try_from_physical_plan(part, codec).map_err(from_datafusion)?;
        let piece = Piece { plan: STANDARD.encode(node.encode_to_vec()), buckets: buckets() };
        serde_json::to_string(&piece).map_err(Error::internal)
    };
    let groups = groups(config, count).map_err(from_datafusion)?;
    let pieces = groups.into_iter().filter(|group| !group.is_empty()).map(piece).collect::<Result<Vec<_>>>();
    match pieces {
        Ok(pieces) => Ok(Some(pieces).filter(|pieces| pieces.len() > 1)),
        Err(error) => {
            tracing::debug!(%error, "a plan is not cut into pieces");
            Ok(None)
        }
    }
}

/// The scan below nodes that look at one row at a time.
fn scan_of(plan: &Arc<dyn ExecutionPlan>) -> Option<&FileScanConfig> {
    if let Some(scan) = plan.downcast_ref::<DataSourceExec>() {
        let config = scan.data_source().downcast_ref::<FileScanConfig>()?;
        return Some(config).filter(|config| config.limit.is_none());
    }
    let filters = plan.downcast_ref::<FilterExec>().is_some_and(|filter| filter.fetch().is_none());
    let collects = plan.downcast_ref::<CoalescePartitionsExec>().is_some_and(|collect| collect.fetch().is_none());
    let passes = plan.is::<ProjectionExec>() || plan.is::<CooperativeExec>() || plan.is::<RepartitionExec>();
    match plan.children().as_slice() {
        [input] if filters || collects || passes => scan_of(input),
        _ => None,
    }
}

/// The same plan over some of the files, in one partition.
fn over(
    plan: &Arc<dyn ExecutionPlan>,
    config: &FileScanConfig,
    group: &FileGroup,
) -> EngineResult<Arc<dyn ExecutionPlan>> {
    let children = plan.children();
    let Some(input) = children.first() else {
        let config = FileScanConfigBuilder::from(config.clone()).with_file_groups(vec![group.clone()]).build();
        return Ok(DataSourceExec::from_data_source(config));
    };
    let input = over(input, config, group)?;
    match plan.is::<RepartitionExec>() || plan.is::<CoalescePartitionsExec>() {
        true => Ok(input),
        false => replace_children_if_necessary(Arc::clone(plan), vec![input]),
    }
}

/// Reads pieces on a node.
pub struct Reader {
    /// What travels.
    pub codec: Codec,
    /// Where objects lie.
    pub stores: Arc<Stores>,
}

impl PlanReader for Reader {
    fn read(&self, piece: &str, session: &SessionState) -> Result<Arc<dyn ExecutionPlan>> {
        let piece: Piece = serde_json::from_str(piece).map_err(Error::internal)?;
        stores::open_all(&piece.buckets, &self.stores, session.runtime_env())?;
        let bytes = STANDARD.decode(piece.plan).map_err(Error::internal)?;
        let node = PhysicalPlanNode::decode(bytes.as_slice()).map_err(Error::internal)?;
        let plan = node.try_into_physical_plan(&session.task_ctx(), &self.codec).map_err(from_datafusion)?;
        settle(plan, session.runtime_env()).map_err(from_datafusion)
    }
}
