//! A scan of files: sources by format, partition columns, statistics, and files dealt out to tasks by size.

use super::FileFormat;
use super::compress::Compression;
use super::letter_case::AnyCase;
use super::orc::OrcSource;
use super::partitions::{only_partition_columns, prune_partitions};
use super::statistics;
use super::text_source::TextSource;
use crate::fault::carried;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::config::TableParquetOptions;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, Result as EngineResult, Statistics, project_schema};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, FileSource, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::{TableSchema, TableSchemaBuilder};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use parquet::arrow::RowNumber;
use std::sync::Arc;
use tidegate_core::Error;

/// Files of one format and one schema, ready to be planned.
#[derive(Debug, Clone)]
pub struct FileScan {
    /// What the bytes mean.
    pub format: FileFormat,
    /// How text files are compressed; `None`: each file's name tells.
    pub compression: Compression,
    /// Columns in the files, as the table declares them. Found by name in Parquet, ORC (letter case aside where none
    /// fits exactly) and JSON (missing ones are NULL, others are cast), by place in CSV.
    pub file_schema: SchemaRef,
    /// Columns of which each file has one value (`PartitionedFile::partition_values`, in this order). They follow the
    /// file's columns in the scan's schema.
    pub partition_columns: Vec<Field>,
    /// Where the files are; the runtime must know the store.
    pub store_url: ObjectStoreUrl,
    /// The files. Statistics that are set stay; others are collected.
    pub files: Vec<PartitionedFile>,
}

impl FileScan {
    /// The file's columns, then the partition columns.
    pub fn schema(&self) -> SchemaRef {
        let columns = self.file_schema.fields().iter().cloned();
        let partitions = self.partition_columns.iter().cloned().map(Arc::new);
        Arc::new(Schema::new(columns.chain(partitions).collect::<Fields>()))
    }

    /// How a provider answers `supports_filters_pushdown`: pruning decides filters on partition columns for good.
    pub fn supports_filter(&self, filter: &Expr) -> TableProviderFilterPushDown {
        if only_partition_columns(filter, &self.partition_columns) {
            TableProviderFilterPushDown::Exact
        } else {
            TableProviderFilterPushDown::Inexact
        }
    }

    /// Plans the scan. Filters choose files here; those on columns reach Parquet's row groups and pages by the
    /// optimizer, which pushes the filter node above into the source.
    pub async fn plan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        self.plan_with(state, projection, filters, limit, None).await
    }

    /// The same of Parquet, with a last column that [counts](row_number) the rows of each file, those among them that
    /// are not read. Such a plan has no form in which it could travel.
    pub async fn plan_numbered(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        number: &FieldRef,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        self.plan_with(state, projection, filters, None, Some(number)).await
    }

    async fn plan_with(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
        number: Option<&FieldRef>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let store = state.runtime_env().object_store(&self.store_url)?;
        let files = prune_partitions(state, self.files.clone(), filters, &self.partition_columns)?;
        let format = &self.format;
        let mut files = statistics::collect(state, &store, format, self.compression, &self.file_schema, files).await?;
        let other_filters = filters.iter().any(|filter| !only_partition_columns(filter, &self.partition_columns));
        let all = files.len();
        if let (Some(limit), false) = (limit, other_filters) {
            files = enough_for(files, limit);
        }
        if number.is_some() {
            files.iter_mut().filter_map(|file| file.statistics.as_mut()).for_each(with_unknown_column);
        }
        let table = self.table_schema(number);
        let schema = Arc::clone(table.table_schema());
        if files.is_empty() {
            return Ok(Arc::new(EmptyExec::new(project_schema(&schema, projection)?)));
        }
        let partial = files.len() < all;
        let (groups, statistics) = group(files, state.config().target_partitions(), &schema, partial)?;
        let source = self.source(state, table)?;
        let config = FileScanConfigBuilder::new(self.store_url.clone(), source)
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit.filter(|_| !other_filters))
            .with_expr_adapter(Some(Arc::new(AnyCase)))
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    fn table_schema(&self, number: Option<&FieldRef>) -> TableSchema {
        let partitions: Vec<_> = self.partition_columns.iter().cloned().map(Arc::new).collect();
        let numbers: Vec<FieldRef> = number.into_iter().cloned().collect();
        TableSchemaBuilder::new(Arc::clone(&self.file_schema))
            .with_table_partition_cols(partitions)
            .with_virtual_columns(numbers)
            .build()
    }

    fn source(&self, state: &dyn Session, table: TableSchema) -> EngineResult<Arc<dyn FileSource>> {
        match &self.format {
            FileFormat::Parquet => {
                let mut global = state.config_options().execution.parquet.clone();
                // Old writers' timestamps reach beyond what nanoseconds hold.
                global.coerce_int96.get_or_insert_with(|| "us".to_string());
                let options = TableParquetOptions { global, ..TableParquetOptions::default() };
                let cache = state.runtime_env().cache_manager.get_file_metadata_cache();
                let store = state.runtime_env().object_store(&self.store_url)?;
                let reader = Arc::new(CachedParquetFileReaderFactory::new(store, cache));
                let source = ParquetSource::new(table).with_table_parquet_options(options);
                Ok(Arc::new(source.with_parquet_file_reader_factory(reader)))
            }
            FileFormat::Orc => Ok(Arc::new(OrcSource::new(table))),
            text => {
                let source = TextSource::new(text, self.compression, table);
                let source = source.ok_or_else(|| carried(Error::internal("a format without a source")))?;
                Ok(Arc::new(source))
            }
        }
    }
}

/// The column that counts the rows of a file, from 0.
pub fn row_number(name: &str) -> FieldRef {
    Arc::new(Field::new(name, DataType::Int64, false).with_extension_type(RowNumber))
}

fn with_unknown_column(statistics: &mut Arc<Statistics>) {
    Arc::make_mut(statistics).column_statistics.push(ColumnStatistics::new_unknown());
}

/// The first files that are sure to hold `limit` rows.
fn enough_for(mut files: Vec<PartitionedFile>, limit: usize) -> Vec<PartitionedFile> {
    let mut rows = 0usize;
    let enough = files.iter().position(|file| {
        if let Some(Precision::Exact(count)) = file.statistics.as_ref().map(|s| s.num_rows) {
            rows = rows.saturating_add(count);
        }
        rows >= limit
    });
    files.truncate(enough.map_or(files.len(), |last| last + 1));
    files
}

/// Deals files out to at most `tasks` groups of about the same size, in their order, and sums their statistics.
fn group(
    files: Vec<PartitionedFile>,
    tasks: usize,
    schema: &SchemaRef,
    partial: bool,
) -> EngineResult<(Vec<FileGroup>, Statistics)> {
    let statistics = files.iter().filter_map(|file| file.statistics.as_deref());
    let mut total = Statistics::try_merge_iter(statistics, schema)?;
    if partial {
        total = total.to_inexact();
    }
    let bytes: u64 = files.iter().map(|file| file.effective_size().max(1)).sum();
    let share = bytes.div_ceil(tasks.max(1) as u64).max(1);
    let mut groups: Vec<Vec<PartitionedFile>> = Vec::new();
    let mut before = 0u64;
    for file in files {
        let size = file.effective_size().max(1);
        // By its middle, so that a file at a border goes where more of it lies.
        let place = usize::try_from((before + size / 2) / share).unwrap_or(0).min(tasks.saturating_sub(1));
        before += size;
        while groups.len() <= place {
            groups.push(Vec::new());
        }
        if let Some(group) = groups.get_mut(place) {
            group.push(file);
        }
    }
    groups.retain(|group| !group.is_empty());
    let with_statistics = |files: Vec<PartitionedFile>| -> EngineResult<FileGroup> {
        let merged = Statistics::try_merge_iter(files.iter().filter_map(|f| f.statistics.as_deref()), schema)?;
        Ok(FileGroup::new(files).with_statistics(Arc::new(merged)))
    };
    Ok((groups.into_iter().map(with_statistics).collect::<EngineResult<_>>()?, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_dealt_out_by_size() {
        let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
        let cases: [(&[u64], usize, &[usize]); 4] =
            [(&[10, 10, 10, 10], 2, &[2, 2]), (&[100, 1, 1], 2, &[1, 2]), (&[5], 4, &[1]), (&[1, 1, 1], 1, &[3])];
        for (sizes, tasks, expected) in cases {
            let files = sizes.iter().map(|size| PartitionedFile::new("f", *size)).collect();
            let (groups, _) = group(files, tasks, &schema, false).unwrap();
            assert_eq!(groups.iter().map(FileGroup::len).collect::<Vec<_>>(), expected, "{sizes:?}");
        }
    }
}
