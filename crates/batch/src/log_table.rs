//! `batch.logs`: the lines of all jobs, or with an id of that job and of its children. A file at a time is read, when its
//! rows are asked for.

use crate::log_file;
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::{StreamExt, TryStreamExt};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidegate_catalog::{Job, State};
use tidegate_core::{Error, Kind, Result};
use tidegate_query::carried;
use tidegate_query::system_table::time_type;

/// The table, as of a state.
pub struct LogTable {
    folder: PathBuf,
    state: Arc<State>,
    job: Option<String>,
    schema: SchemaRef,
}

impl LogTable {
    /// Of one job, or of all.
    pub fn new(folder: &Path, state: Arc<State>, job: Option<String>) -> Self {
        let columns = [
            ("job_id", DataType::Utf8),
            ("attempt", DataType::Int64),
            ("at", time_type()),
            ("stream", DataType::Utf8),
            ("line", DataType::Utf8),
        ];
        let fields: Vec<Field> = columns.into_iter().map(|(name, of)| Field::new(name, of, true)).collect();
        LogTable { folder: folder.to_path_buf(), state, job, schema: Arc::new(Schema::new(fields)) }
    }

    /// The files that hold the rows of a job, or of all. 42704 for one that was named and is not there.
    fn files(&self, only: Option<&str>) -> Result<Vec<LogOf>> {
        let named = match &self.job {
            Some(id) => {
                let missing = || Error::new(Kind::UndefinedObject, format!("job \"{id}\" does not exist"));
                Some(self.state.named::<Job>(id).ok_or_else(missing)?.oid)
            }
            None => None,
        };
        let wanted = |job: &&Job| {
            let of_named = named.is_none_or(|oid| job.oid == oid || job.spec.child.is_some_and(|c| c.parent == oid));
            of_named && only.is_none_or(|id| job.name == id)
        };
        let logs = |job: &Job| -> Vec<LogOf> {
            let log =
                |attempt| LogOf { job: job.name.clone(), attempt, path: log_file::path(&self.folder, job, attempt) };
            (1..=job.state.attempts.len()).map(log).collect()
        };
        Ok(self.state.all::<Job>().filter(wanted).flat_map(logs).collect())
    }
}

impl fmt::Debug for LogTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogTable").field("job", &self.job).finish_non_exhaustive()
    }
}

/// The id in `job_id = '…'`.
fn job_of(filter: &Expr) -> Option<&str> {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = filter else { return None };
    match (left.as_ref(), right.as_ref()) {
        (Expr::Column(column), Expr::Literal(ScalarValue::Utf8(Some(id)), _)) if column.name == "job_id" => Some(id),
        _ => None,
    }
}

#[async_trait]
impl TableProvider for LogTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> EngineResult<Vec<TableProviderFilterPushDown>> {
        let known = |filter: &&Expr| match job_of(filter) {
            Some(_) => TableProviderFilterPushDown::Inexact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(known).collect())
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let files = self.files(filters.iter().find_map(job_of)).map_err(carried)?;
        let part = LogPart { schema: Arc::clone(&self.schema), files };
        let table = StreamingTable::try_new(Arc::clone(&self.schema), vec![Arc::new(part)])?;
        table.scan(session, projection, filters, limit).await
    }
}

/// The log of one attempt.
#[derive(Debug, Clone)]
struct LogOf {
    job: String,
    attempt: usize,
    path: PathBuf,
}

#[derive(Debug)]
struct LogPart {
    schema: SchemaRef,
    files: Vec<LogOf>,
}

impl PartitionStream for LogPart {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let schema = Arc::clone(&self.schema);
        let batches = futures::stream::iter(self.files.clone()).then(move |log| {
            let schema = Arc::clone(&schema);
            async move {
                let read = tokio::task::spawn_blocking(move || batch(&schema, &log)).await;
                read.map_err(|error| DataFusionError::External(Box::new(error)))?
            }
        });
        let filled = batches.try_filter(|batch| futures::future::ready(batch.num_rows() > 0));
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), filled))
    }
}

fn batch(schema: &SchemaRef, log: &LogOf) -> EngineResult<RecordBatch> {
    let lines = log_file::read(&log.path).map_err(carried)?;
    let attempt = i64::try_from(log.attempt).unwrap_or(i64::MAX);
    let times = lines.iter().map(|line| Some(line.at_ms.saturating_mul(1000)));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(lines.iter().map(|_| Some(log.job.as_str())).collect::<StringArray>()),
        Arc::new(lines.iter().map(|_| Some(attempt)).collect::<Int64Array>()),
        Arc::new(times.collect::<TimestampMicrosecondArray>().with_timezone("UTC")),
        Arc::new(lines.iter().map(|line| Some(line.stream.word())).collect::<StringArray>()),
        Arc::new(lines.iter().map(|line| Some(line.text.as_str())).collect::<StringArray>()),
    ];
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}
