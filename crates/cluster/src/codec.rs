//! What travels of ours in a plan: leaves that pull from the leader, and files that our own readers read.

use crate::leaf::{Described, LeaderScanExec};
use datafusion::catalog::memory::DataSourceExec;
use datafusion::common::{DataFusionError, Result as EngineResult, not_impl_err};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::ScalarUDF;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::from_proto::parse_protobuf_file_scan_config;
use datafusion_proto::physical_plan::to_proto::serialize_file_scan_config;
use datafusion_proto::physical_plan::{
    PhysicalExtensionCodec, PhysicalPlanDecodeContext, PhysicalProtoConverterExtension,
};
use datafusion_proto::protobuf::FileScanExecConf;
use prost::Message;
use std::collections::HashSet;
use std::sync::Arc;
use tidegate_query::RowBarrierExec;
use tidegate_query::formats::SourceSpec;

/// One of our own nodes.
#[derive(Clone, PartialEq, Message)]
struct Node {
    #[prost(oneof = "Kind", tags = "1, 2, 3")]
    kind: Option<Kind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Kind {
    #[prost(message, tag = "1")]
    Leaf(Described),
    #[prost(message, tag = "2")]
    Files(Box<Files>),
    /// Above the rows that policies let through.
    #[prost(message, tag = "3")]
    Barrier(()),
}

/// A scan of files.
#[derive(Clone, PartialEq, Message)]
struct Files {
    /// Which files, and which of their columns.
    #[prost(message, optional, tag = "1")]
    config: Option<FileScanExecConf>,
    /// How they are read, as JSON.
    #[prost(bytes = "vec", tag = "2")]
    source: Vec<u8>,
}

/// Writes our nodes on the leader, and reads them on a worker.
#[derive(Debug, Clone)]
pub struct Codec {
    /// Functions that every node has; others are those of a session, and stay where they are.
    functions: Arc<HashSet<String>>,
}

impl Codec {
    /// For plans whose scalar functions are among these.
    pub fn new(functions: impl IntoIterator<Item = String>) -> Self {
        Codec { functions: Arc::new(functions.into_iter().collect()) }
    }
}

fn external(error: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

impl PhysicalExtensionCodec for Codec {
    fn try_encode(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        buffer: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> EngineResult<()> {
        let kind = if let Some(leaf) = plan.downcast_ref::<LeaderScanExec>() {
            Kind::Leaf(leaf.describe()?)
        } else if plan.is::<RowBarrierExec>() {
            Kind::Barrier(())
        } else if let Some((config, source)) = files_of(&plan) {
            let source = serde_json::to_vec(&source).map_err(external)?;
            Kind::Files(Box::new(Files { config: Some(serialize_file_scan_config(config, self, converter)?), source }))
        } else {
            return not_impl_err!("{} does not travel to other nodes", plan.name());
        };
        Node { kind: Some(kind) }.encode(buffer).map_err(external)
    }

    fn try_decode(
        &self,
        bytes: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        match Node::decode(bytes).map_err(external)?.kind {
            Some(Kind::Leaf(described)) => Ok(Arc::new(LeaderScanExec::of(&described)?)),
            Some(Kind::Barrier(())) => match inputs {
                [input] => Ok(Arc::new(RowBarrierExec::above(Arc::clone(input)))),
                _ => not_impl_err!("a barrier stands above one plan"),
            },
            Some(Kind::Files(files)) => {
                let Files { config, source } = *files;
                let config = config.unwrap_or_default();
                let source: SourceSpec = serde_json::from_slice(&source).map_err(external)?;
                let source = source.source(FileScanConfig::parse_table_schema_from_proto(&config)?)?;
                let context = PhysicalPlanDecodeContext::new(context, self);
                Ok(DataSourceExec::from_data_source(parse_protobuf_file_scan_config(
                    &config, &context, converter, source,
                )?))
            }
            _ => not_impl_err!("a plan holds a node that this version does not know"),
        }
    }

    fn try_encode_udf(&self, function: &ScalarUDF, _: &mut Vec<u8>) -> EngineResult<()> {
        match self.functions.contains(function.name()) {
            true => Ok(()),
            false => not_impl_err!("function {} does not travel to other nodes", function.name()),
        }
    }
}

/// A scan by one of our own readers.
fn files_of(plan: &Arc<dyn ExecutionPlan>) -> Option<(&FileScanConfig, SourceSpec)> {
    let config = plan.downcast_ref::<DataSourceExec>()?.data_source().downcast_ref::<FileScanConfig>()?;
    Some((config, SourceSpec::of(config.file_source().as_ref())?))
}
