//! How a scan of files is dealt out to the tasks of a stage.
//!
//! The distributed engine cuts every file by bytes. Files of ours that must be read from their beginning (packed text,
//! quoted text) are dealt out whole; the others are cut by their own readers' rules.

use datafusion::catalog::memory::DataSourceExec;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig, FileScanConfigBuilder};
use datafusion::error::Result as EngineResult;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion_distributed::{DistributedLeafExec, ScaleUpLeafNodeEvent, ScaleUpLeafNodeEventResponse};
use std::sync::Arc;
use tidegate_query::formats::SourceSpec;

/// Deals out a scan by one of our readers. None: it is the engine's own.
pub fn deal_out(event: ScaleUpLeafNodeEvent<'_>) -> Option<EngineResult<ScaleUpLeafNodeEventResponse>> {
    let scan = event.plan.downcast_ref::<DataSourceExec>()?;
    let config = scan.data_source().downcast_ref::<FileScanConfig>()?;
    SourceSpec::of(config.file_source().as_ref())?;
    let partitions = event.plan.output_partitioning().partition_count();
    let dealt = || {
        let groups = groups(config, partitions * event.task_count)?;
        let tasks = (0..event.task_count).map(|task| {
            let mut own: Vec<FileGroup> = groups.iter().skip(task).step_by(event.task_count).cloned().collect();
            own.resize(partitions, FileGroup::default());
            let config = FileScanConfigBuilder::from(config.clone()).with_file_groups(own).build();
            DataSourceExec::from_data_source(config) as Arc<dyn ExecutionPlan>
        });
        let leaf = DistributedLeafExec::try_new(Arc::clone(event.plan), tasks)?;
        Ok(ScaleUpLeafNodeEventResponse::new(Arc::new(leaf)))
    };
    Some(dealt())
}

/// At most so many groups of files, or of parts of files where these may be cut.
pub fn groups(config: &FileScanConfig, most: usize) -> EngineResult<Vec<FileGroup>> {
    if let Some(cut) = config.file_source().repartitioned(most, 0, None, config)? {
        return Ok(cut.file_groups);
    }
    let mut groups = vec![Vec::new(); most];
    let mut files: Vec<_> = config.file_groups.iter().flat_map(|group| group.iter().cloned()).collect();
    files.sort_by_key(|file| std::cmp::Reverse(file.effective_size()));
    for (place, file) in files.into_iter().enumerate() {
        if let Some(group) = groups.get_mut(place % most.max(1)) {
            group.push(file);
        }
    }
    Ok(groups.into_iter().map(FileGroup::new).collect())
}
