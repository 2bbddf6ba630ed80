//! How a file is read, as a value: what travels when another node reads it.

use super::letter_case::AnyCase;
use super::orc::OrcSource;
use super::text_source::TextSource;
use super::{Compression, FileFormat};
use crate::fault::carried;
use datafusion::catalog::memory::DataSourceExec;
use datafusion::common::Result as EngineResult;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileScanConfig, FileScanConfigBuilder, FileSource, ParquetSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::physical_plan::ExecutionPlan;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tidegate_core::Error;

/// One of our own readers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SourceSpec {
    /// ORC.
    Orc,
    /// CSV and JSON lines.
    Text(FileFormat, Compression),
}

impl SourceSpec {
    /// Of a source. None: it is the engine's own, which travels by itself.
    pub fn of(source: &dyn FileSource) -> Option<SourceSpec> {
        if source.is::<OrcSource>() {
            return Some(SourceSpec::Orc);
        }
        let text = source.downcast_ref::<TextSource>()?;
        Some(SourceSpec::Text(text.format(), text.compression()))
    }

    /// A source of a table's schema.
    pub fn source(self, schema: TableSchema) -> EngineResult<Arc<dyn FileSource>> {
        let (format, compression) = match self {
            SourceSpec::Orc => return Ok(Arc::new(OrcSource::new(schema))),
            SourceSpec::Text(format, compression) => (format, compression),
        };
        let foreign = || carried(Error::internal("a format that is no text"));
        Ok(Arc::new(TextSource::new(&format, compression, schema).ok_or_else(foreign)?))
    }
}

/// Gives the engine's own scans in a plan that has travelled what does not travel with them: columns found whatever
/// their letter case, and this node's cache of footers.
pub fn settle(plan: Arc<dyn ExecutionPlan>, runtime: &RuntimeEnv) -> EngineResult<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|plan| match settled(&plan, runtime)? {
        Some(scan) => Ok(Transformed::yes(scan)),
        None => Ok(Transformed::no(plan)),
    })
    .data()
}

fn settled(plan: &Arc<dyn ExecutionPlan>, runtime: &RuntimeEnv) -> EngineResult<Option<Arc<dyn ExecutionPlan>>> {
    let scan = plan.downcast_ref::<DataSourceExec>();
    let Some(config) = scan.and_then(|scan| scan.data_source().downcast_ref::<FileScanConfig>()) else {
        return Ok(None);
    };
    let Some(parquet) = config.file_source().downcast_ref::<ParquetSource>() else { return Ok(None) };
    let store = runtime.object_store(&config.object_store_url)?;
    let cache = runtime.cache_manager.get_file_metadata_cache();
    let reader = Arc::new(CachedParquetFileReaderFactory::new(store, cache));
    let source = Arc::new(parquet.clone().with_parquet_file_reader_factory(reader));
    let config =
        FileScanConfigBuilder::from(config.clone()).with_source(source).with_expr_adapter(Some(Arc::new(AnyCase)));
    Ok(Some(DataSourceExec::from_data_source(config.build())))
}
