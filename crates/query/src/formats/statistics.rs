//! What is known of files before they are read: rows and bounds, for the order of joins and for pruning.
//!
//! Parquet tells from its footer, ORC its rows, text only its size. Results are cached in the runtime's cache of file
//! statistics, under the object's path, size and time.

use super::FileFormat;
use super::compress::Compression;
use super::letter_case::named_as_in_file;
use super::orc;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::stats::Precision;
use datafusion::common::{Result as EngineResult, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::execution::cache::TableScopedPath;
use datafusion::execution::cache::cache_manager::{CachedFileMetadata, SchemaFingerprint};
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectMeta, ObjectStore};
use parquet::arrow::parquet_to_arrow_schema;
use std::sync::Arc;

/// Footers that a plan reads at most; of more files only the size is used.
const FOOTERS_MAX: usize = 10_000;
/// How much larger plain text is than compressed text, roughly.
const TEXT_COMPRESSION_RATIO: usize = 4;
/// Bytes of an average text field in a text file.
const TEXT_FIELD_BYTES: usize = 10;

/// Sets the statistics of each file that has none. Order and number of files stay.
pub(super) async fn collect(
    state: &dyn Session,
    store: &Arc<dyn ObjectStore>,
    format: &FileFormat,
    compression: Compression,
    file_schema: &SchemaRef,
    files: Vec<PartitionedFile>,
) -> EngineResult<Vec<PartitionedFile>> {
    let footers = state.config().collect_statistics() && files.len() <= FOOTERS_MAX;
    let fingerprint = Arc::new(SchemaFingerprint::from_schema(file_schema));
    let concurrency = state.config_options().execution.meta_fetch_concurrency.get();
    let told = futures::stream::iter(files.into_iter().map(|file| {
        let fingerprint = Arc::clone(&fingerprint);
        async move {
            if file.statistics.is_some() {
                return Ok(file);
            }
            let statistics = match format {
                FileFormat::Parquet | FileFormat::Orc if footers => {
                    cached(state, store, format, file_schema, fingerprint, &file).await?
                }
                _ => {
                    let compression = compression.or_of_name(file.object_meta.location.as_ref());
                    Arc::new(guessed(compression, file_schema, file.object_meta.size))
                }
            };
            Ok(with_statistics(file, statistics))
        }
    }));
    // Ordered, so that the plan is the same each time.
    told.boxed().buffered(concurrency).try_collect().await
}

/// DataFusion claims that a partition value is never NULL, and prunes by it; Hive's NULL folders are.
fn with_statistics(file: PartitionedFile, statistics: Arc<Statistics>) -> PartitionedFile {
    let rows = statistics.num_rows;
    let file_columns = statistics.column_statistics.len();
    let mut file = file.with_statistics(statistics);
    if file.partition_values.iter().any(ScalarValue::is_null)
        && let Some(statistics) = &mut file.statistics
    {
        let columns = Arc::make_mut(statistics).column_statistics.iter_mut().skip(file_columns);
        for (column, value) in columns.zip(&file.partition_values) {
            if value.is_null() {
                column.null_count = rows;
                column.min_value = Precision::Absent;
                column.max_value = Precision::Absent;
                column.distinct_count = Precision::Absent;
            }
        }
    }
    file
}

async fn cached(
    state: &dyn Session,
    store: &Arc<dyn ObjectStore>,
    format: &FileFormat,
    file_schema: &SchemaRef,
    fingerprint: Arc<SchemaFingerprint>,
    file: &PartitionedFile,
) -> EngineResult<Arc<Statistics>> {
    let meta = &file.object_meta;
    let cache = state.runtime_env().cache_manager.get_file_statistic_cache();
    let key = TableScopedPath { table: file.table_reference.clone(), path: meta.location.clone() };
    if let Some(found) = cache.as_ref().and_then(|cache| cache.get(&key))
        && found.is_valid_for(meta, &fingerprint)
    {
        return Ok(found.statistics);
    }
    let statistics = match format {
        FileFormat::Orc => {
            let builder = orc::open(store, meta).await.map_err(crate::fault::carried)?;
            let rows = builder.file_metadata().number_of_rows();
            Statistics {
                num_rows: usize::try_from(rows).map_or(Precision::Absent, Precision::Exact),
                ..Statistics::new_unknown(file_schema)
            }
        }
        _ => parquet(state, store, file_schema, meta)
            .await
            .map_err(|e| crate::fault::carried(super::engine_error(e, &format!("file {}", meta.location))))?,
    };
    let statistics = Arc::new(statistics);
    if let Some(cache) = cache {
        cache.put(&key, CachedFileMetadata::new(meta.clone(), fingerprint, Arc::clone(&statistics), None));
    }
    Ok(statistics)
}

async fn parquet(
    state: &dyn Session,
    store: &Arc<dyn ObjectStore>,
    file_schema: &SchemaRef,
    meta: &ObjectMeta,
) -> EngineResult<Statistics> {
    let cache = state.runtime_env().cache_manager.get_file_metadata_cache();
    let hint = state.config_options().execution.parquet.metadata_size_hint;
    let reader =
        DFParquetMetadata::new(store, meta).with_metadata_size_hint(hint).with_file_metadata_cache(Some(cache));
    let footer = reader.fetch_metadata().await?;
    let file = footer.file_metadata();
    let physical = parquet_to_arrow_schema(file.schema_descr(), file.key_value_metadata())?;
    // A column that is not found is taken to be NULL throughout.
    let names = named_as_in_file(file_schema, &physical).unwrap_or_else(|| Arc::clone(file_schema));
    DFParquetMetadata::statistics_from_parquet_metadata(&footer, &names)
}

/// Rows by size: text does not tell how many it holds, and a plan that knows nothing joins in the worst order.
fn guessed(compression: Compression, file_schema: &SchemaRef, size: u64) -> Statistics {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let plain = if compression == Compression::None { size } else { size.saturating_mul(TEXT_COMPRESSION_RATIO) };
    let width = |data_type: &DataType| data_type.primitive_width().unwrap_or(TEXT_FIELD_BYTES).min(TEXT_FIELD_BYTES);
    let row: usize = file_schema.fields().iter().map(|f| width(f.data_type()) + 1).sum();
    Statistics {
        num_rows: Precision::Inexact(plain / row.max(1)),
        total_byte_size: Precision::Inexact(plain),
        ..Statistics::new_unknown(file_schema)
    }
}
