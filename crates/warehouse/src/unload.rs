//! UNLOAD: a query's rows into files.

use crate::copy_files::access_for;
use crate::unload_attempt::Attempt;
use crate::unload_chunk;
use crate::unload_files::{Slice, WrittenFile, pour_all};
use crate::unload_form::Form;
use crate::unload_log::Begun;
use crate::unload_manifest::manifest;
use crate::unload_target::Target;
use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::{
    ExecutionPlan, ExecutionPlanProperties, Partitioning, execute_stream, execute_stream_partitioned,
};
use object_store::path::Path;
use std::sync::Arc;
use tidegate_core::{Error, Result};
use tidegate_parser::{CopyFormat, Unload, UnloadOptions, ast};
use tidegate_query::{Outcome, Planner, Scope, Spread, Work, from_datafusion, shown_schema};
use tokio_util::sync::CancellationToken;

/// Performs UNLOAD.
pub async fn unload(work: &mut Work<'_>, unload: &Unload) -> Result<Outcome> {
    let planned = Planned::of(work, unload).await?;
    let begun = Begun::now(work);
    let ended = planned.write(work).await;
    let notes = begun.notes(work.engine().clock().now_ms(), &planned.form, &planned.target, &ended);
    work.engine().note(notes).await?;
    let rows: u64 = ended?.iter().map(|file| file.rows).sum();
    work.scope.last.unloaded(begun.query, rows);
    work.inform(format!("UNLOAD completed, {rows} record(s) unloaded successfully."));
    Ok(Outcome::Done { tag: "UNLOAD".to_string() })
}

/// A query that is planned, and what becomes of its rows.
struct Planned<'a> {
    options: &'a UnloadOptions,
    query: ast::Statement,
    planner: Planner,
    plan: LogicalPlan,
    schema: SchemaRef,
    form: Form,
    target: Target,
}

impl<'a> Planned<'a> {
    /// With all names looked up; nothing is asked over the network.
    async fn of(work: &mut Work<'_>, unload: &'a Unload) -> Result<Self> {
        let options = &unload.options;
        let query = ast::Statement::Query(tidegate_parser::parse_query(&unload.query)?);
        let planner = Planner::new(&work.scope)?;
        let plan = planner.plan(&query).await?;
        let schema = shown_schema(&Arc::new(plan.schema().as_arrow().clone()));
        let access = access_for(work, &unload.to, options.credential.as_ref())?;
        let form = Form::of(unload, &schema, access)?;
        if options.escape && options.format == CopyFormat::Csv {
            work.notice("UNLOAD option ESCAPE has no meaning with CSV, which doubles quotes");
        }
        let target = Target::of(work.engine().stores(), &form)?;
        Ok(Planned { options, query, planner, plan, schema, form, target })
    }

    /// Writes the files, and the manifest last of all.
    async fn write(&self, work: &mut Work<'_>) -> Result<Vec<WrittenFile>> {
        let Planned { options, form, target, .. } = self;
        let old = target.make_room(options).await?;
        let fresh = !options.rewrites();
        let mut written = match pieces(work, &self.query, options).await? {
            Some((spread, pieces)) => unload_chunk::unload(work, spread, pieces, form, target, fresh).await?,
            None => {
                let rows = rows(&self.planner, self.plan.clone(), options, work).await?;
                let slice = |(number, rows)| {
                    let number = options.parallel.then_some(number);
                    Slice::new(target, form, &self.schema, number).map(|slice| (slice, rows))
                };
                let slices = rows.into_iter().enumerate().map(slice).collect::<Result<_>>()?;
                write_here(work, slices, form, fresh).await?
            }
        };
        written.sort_by(|a, b| a.path.cmp(&b.path));
        if written.is_empty() && form.leaves_empty_file() {
            written.push(empty_file(target, form, &self.schema, options.parallel).await?);
        }
        target.clear(&old, &written).await?;
        if options.manifest {
            let schema = form.file_schema(&self.schema)?;
            let text = manifest(target, form, &schema, &written, options.manifest_verbose);
            target.put_manifest(text).await?;
        }
        Ok(written)
    }
}

/// Parts of a query that is worth all nodes, and may be written in any order.
async fn pieces(
    work: &Work<'_>,
    query: &ast::Statement,
    options: &UnloadOptions,
) -> Result<Option<(Arc<dyn Spread>, Vec<String>)>> {
    let (Some(spread), Some(bytes), true) = (work.engine().spread(), work.scope.task_bytes, options.parallel) else {
        return Ok(None);
    };
    // In one partition: its files are not cut yet.
    let planner = Planner::new(&Scope { partitions: 1, ..work.scope.clone() })?;
    let plan = planner.plan(query).await?;
    let plan = planner.state().create_physical_plan(&plan).await.map_err(from_datafusion)?;
    Ok(spread.pieces(&plan, bytes)?.map(|pieces| (Arc::clone(spread), pieces)))
}

/// The query's rows, in as many streams as there are slices: one where the order is the files', or where other nodes
/// take part.
async fn rows(
    planner: &Planner,
    plan: LogicalPlan,
    options: &UnloadOptions,
    work: &Work<'_>,
) -> Result<Vec<SendableRecordBatchStream>> {
    if !options.parallel || (work.engine().spread().is_some() && work.scope.task_bytes.is_some()) {
        return Ok(vec![planner.stream(plan).await?]);
    }
    let state = planner.state();
    let plan = state.create_physical_plan(&plan).await.map_err(from_datafusion)?;
    let plan = widened(plan, state.config().target_partitions()).map_err(from_datafusion)?;
    let rows = match plan.output_partitioning().partition_count() {
        1 => execute_stream(plan, planner.task_context()).map(|rows| vec![rows]),
        _ => execute_stream_partitioned(plan, planner.task_context()),
    };
    rows.map_err(from_datafusion)
}

/// A plan of one partition, such as that of an ORDER BY or a LIMIT, dealt out to several writers by batches: what it
/// says of all rows is still true of all of them together.
fn widened(plan: Arc<dyn ExecutionPlan>, slices: usize) -> datafusion::error::Result<Arc<dyn ExecutionPlan>> {
    match plan.output_partitioning().partition_count() < slices {
        true => Ok(Arc::new(RepartitionExec::try_new(plan, Partitioning::RoundRobinBatch(slices))?)),
        false => Ok(plan),
    }
}

/// Writes slices. In a task of its own: when nobody waits for it any more, it takes away what it wrote.
async fn write_here(
    work: &Work<'_>,
    slices: Vec<(Slice, SendableRecordBatchStream)>,
    form: &Form,
    fresh: bool,
) -> Result<Vec<WrittenFile>> {
    let stop = CancellationToken::new();
    let waited_for = stop.clone().drop_guard();
    let attempt = Attempt::begin(work.engine().catalog(), form, fresh).await?;
    // The files that are read stay as long as the state does.
    let state = Arc::clone(&work.scope.state);
    let task = tokio::spawn(async move {
        let written = pour_all(slices, &stop).await;
        attempt.end().await;
        drop(state);
        written
    });
    let written = task.await.map_err(Error::internal)?;
    drop(waited_for);
    written
}

/// A file without rows, so that whoever reads the prefix finds it (UNL-14).
async fn empty_file(target: &Target, form: &Form, schema: &SchemaRef, parallel: bool) -> Result<WrittenFile> {
    let slice = Slice::new(target, form, schema, parallel.then_some(0))?;
    slice.empty().await
}

/// Where an object is, of a folder's path and a file's name.
pub(crate) fn object_path(text: &str) -> Result<Path> {
    Path::parse(text).map_err(Error::internal)
}
