//! Scans of CSV and JSON lines in a DataFusion plan.
//!
//! Not DataFusion's own `CsvSource`: that one knows no NULL text, no lines to skip and no unquoted dialect, splits
//! quoted line ends across tasks, and its errors name no file. Here COPY and scans read text alike.

use super::FileFormat;
use super::compress::Compression;
use super::text_rows::{Text, TextRows};
use arrow::array::RecordBatch;
use bytes::Bytes;
use datafusion::common::Result as EngineResult;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{
    FileGroupPartitioner, FileOpenFuture, FileOpener, FileScanConfig, FileScanConfigBuilder, FileSource,
};
use datafusion::datasource::projection::{ProjectionOpener, SplitProjection};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::physical_expr::LexOrdering;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{PhysicalExpr, apply_expression_roots};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::{GetOptions, GetRange, ObjectStore};
use std::io;
use std::sync::Arc;

/// Rows of a batch when the plan names no number.
const DEFAULT_BATCH_ROWS: usize = 8192;

/// Reads delimited text and JSON lines.
#[derive(Debug, Clone)]
pub struct TextSource {
    text: Text,
    compression: Compression,
    table_schema: TableSchema,
    projection: SplitProjection,
    batch_rows: usize,
    metrics: ExecutionPlanMetricsSet,
}

impl TextSource {
    /// A source of CSV or JSON lines; `None` for formats that are no text.
    pub fn new(format: &FileFormat, compression: Compression, table_schema: TableSchema) -> Option<Self> {
        let text = match format {
            FileFormat::Csv(csv) => Text::Csv(csv.clone()),
            FileFormat::Json => Text::Json,
            FileFormat::Parquet | FileFormat::Orc => return None,
        };
        Some(TextSource {
            text,
            compression,
            projection: SplitProjection::unprojected(&table_schema),
            table_schema,
            batch_rows: DEFAULT_BATCH_ROWS,
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }

    /// What the bytes mean.
    pub fn format(&self) -> FileFormat {
        match &self.text {
            Text::Csv(csv) => FileFormat::Csv(csv.clone()),
            Text::Json => FileFormat::Json,
        }
    }

    /// How they are packed.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    fn rows(&self, file: &PartitionedFile) -> EngineResult<TextRows> {
        let mut name = file.object_meta.location.to_string();
        if let Some(range) = file.range.as_ref().filter(|range| range.start > 0) {
            // Lines are counted from here.
            name = format!("{name} from byte {}", range.start);
        }
        let schema = self.table_schema.file_schema();
        let first_part = file.range.as_ref().is_none_or(|range| range.start == 0);
        TextRows::new(&self.text, name, schema, &self.projection.file_indices, self.batch_rows, first_part)
    }
}

impl FileSource for TextSource {
    fn create_file_opener(
        &self,
        object_store: Arc<dyn ObjectStore>,
        _base_config: &FileScanConfig,
        _partition: usize,
    ) -> EngineResult<Arc<dyn FileOpener>> {
        let opener = Arc::new(TextOpener { source: self.clone(), store: object_store });
        ProjectionOpener::try_new(self.projection.clone(), opener, self.table_schema.file_schema())
    }

    fn table_schema(&self) -> &TableSchema {
        &self.table_schema
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        Arc::new(TextSource { batch_rows: batch_size, ..self.clone() })
    }

    fn try_pushdown_projection(&self, projection: &ProjectionExprs) -> EngineResult<Option<Arc<dyn FileSource>>> {
        let merged = self.projection.source.try_merge(projection)?;
        let projection = SplitProjection::new(self.table_schema.file_schema(), &merged);
        Ok(Some(Arc::new(TextSource { projection, ..self.clone() })))
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        Some(&self.projection.source)
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        &self.metrics
    }

    fn file_type(&self) -> &str {
        match self.text {
            Text::Csv(_) => "csv",
            Text::Json => "json",
        }
    }

    fn supports_repartitioning(&self) -> bool {
        // A part begins at the line end before it: only where every line end ends a row.
        let lines_are_rows = match &self.text {
            Text::Csv(csv) => csv.quote.is_none() && csv.escape.is_none() && csv.skip_lines == 0,
            Text::Json => true,
        };
        lines_are_rows && self.compression == Compression::None
    }

    fn repartitioned(
        &self,
        target_partitions: usize,
        repartition_file_min_size: usize,
        output_ordering: Option<LexOrdering>,
        config: &FileScanConfig,
    ) -> EngineResult<Option<FileScanConfig>> {
        let packed =
            |file: &PartitionedFile| Compression::of_name(file.object_meta.location.as_ref()) != Compression::None;
        let whole = config.file_groups.iter().any(|group| group.iter().any(packed));
        if whole || config.file_compression_type.is_compressed() || !self.supports_repartitioning() {
            return Ok(None);
        }
        let groups = FileGroupPartitioner::new()
            .with_target_partitions(target_partitions)
            .with_repartition_file_min_size(repartition_file_min_size)
            .with_preserve_order_within_groups(output_ordering.is_some())
            .repartition_file_groups(&config.file_groups);
        Ok(groups.map(|groups| FileScanConfigBuilder::from(config.clone()).with_file_groups(groups).build()))
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> EngineResult<TreeNodeRecursion>,
    ) -> EngineResult<TreeNodeRecursion> {
        apply_expression_roots(self.projection.source.iter(), f)
    }
}

struct TextOpener {
    source: TextSource,
    store: Arc<dyn ObjectStore>,
}

impl FileOpener for TextOpener {
    fn open(&self, file: PartitionedFile) -> EngineResult<FileOpenFuture> {
        let rows = self.source.rows(&file)?;
        let compression = self.source.compression.or_of_name(file.object_meta.location.as_ref());
        let store = Arc::clone(&self.store);
        Ok(Box::pin(async move {
            let path = &file.object_meta.location;
            let bytes = match &file.range {
                Some(range) => part(store, &file, range.start.max(0) as u64, range.end.max(0) as u64).await?,
                None => compression.open(&store, path).await?,
            };
            Ok(batches(bytes, rows))
        }))
    }
}

/// The lines that begin in `start..end` of a file.
async fn part(
    store: Arc<dyn ObjectStore>,
    file: &PartitionedFile,
    start: u64,
    end: u64,
) -> EngineResult<BoxStream<'static, io::Result<Bytes>>> {
    // From one byte before: when that one is a line end, the line behind it is ours.
    let from = start.saturating_sub(1);
    let options = GetOptions { range: Some(GetRange::Offset(from)), ..GetOptions::default() };
    let raw = store.get_opts(&file.object_meta.location, options).await?.into_stream();
    let raw = raw.map_err(io::Error::from).boxed();
    let state = (raw, from, start == 0, false);
    let lines = futures::stream::unfold(state, move |(mut raw, mut at, inside, done)| async move {
        if done {
            return None;
        }
        loop {
            let mut chunk = match raw.next().await? {
                Ok(chunk) => chunk,
                Err(error) => return Some((Err(error), (raw, at, inside, true))),
            };
            if !inside {
                let Some(newline) = chunk.iter().position(|&b| b == b'\n') else {
                    at += chunk.len() as u64;
                    if at >= end {
                        return None;
                    }
                    continue;
                };
                at += newline as u64 + 1;
                chunk = chunk.slice(newline + 1..);
                if at >= end {
                    return None;
                }
            }
            // The last line of ours ends at the first line end at or behind the part's last byte.
            let search = usize::try_from((end - 1).saturating_sub(at)).unwrap_or(usize::MAX);
            let tail = chunk.get(search..).and_then(|tail| tail.iter().position(|&b| b == b'\n'));
            let done = tail.is_some();
            let kept = tail.map_or(chunk.len(), |newline| search + newline + 1);
            at += chunk.len() as u64;
            return Some((Ok(chunk.slice(..kept)), (raw, at, true, done)));
        }
    });
    Ok(lines.boxed())
}

fn batches(
    bytes: BoxStream<'static, io::Result<Bytes>>,
    rows: TextRows,
) -> BoxStream<'static, EngineResult<RecordBatch>> {
    let state = Some((bytes, rows));
    let lists = futures::stream::try_unfold(state, |state| async move {
        let Some((mut bytes, mut rows)) = state else { return Ok(None) };
        match bytes.next().await {
            Some(chunk) => {
                let chunk = chunk.map_err(|e| rows.unreadable(&e))?;
                let list = rows.feed(&chunk)?;
                Ok::<_, datafusion::error::DataFusionError>(Some((list, Some((bytes, rows)))))
            }
            None => Ok(Some((rows.finish()?, None))),
        }
    });
    lists.map_ok(|list| futures::stream::iter(list.into_iter().map(Ok))).try_flatten().boxed()
}
