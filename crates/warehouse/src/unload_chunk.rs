//! UNLOAD on all nodes: of a query that looks at one row at a time, each part of its files is a chunk, and writes files of
//! its own under names that another attempt writes again.

use crate::unload_attempt::Attempt;
use crate::unload_files::{Slice, WrittenFile};
use crate::unload_form::Form;
use crate::unload_target::Target;
use async_trait::async_trait;
use datafusion::physical_plan::execute_stream;
use futures::TryStreamExt;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tidegate_core::{Error, Result};
use tidegate_query::{Bench, ChunkWork, Performed, Spread, Work, from_datafusion};
use tokio_util::sync::CancellationToken;

/// The kind of these chunks.
const KIND: &str = "unload";

/// A part of a query, and where its rows go.
#[derive(Serialize, Deserialize)]
struct UnloadChunk {
    piece: String,
    form: Form,
    slice: usize,
    timezone: String,
}

/// Writes chunks of UNLOAD.
pub struct UnloadWork;

#[async_trait]
impl ChunkWork for UnloadWork {
    fn kind(&self) -> &'static str {
        KIND
    }

    async fn perform(&self, bench: &Bench, chunk: &str, stop: &CancellationToken) -> Result<String> {
        let chunk: UnloadChunk = serde_json::from_str(chunk).map_err(Error::internal)?;
        let session = bench.session(&chunk.timezone)?;
        let plan = bench.plans.read(&chunk.piece, &session)?;
        let mut rows = execute_stream(plan, session.task_ctx()).map_err(from_datafusion)?;
        let target = Target::of(&bench.stores, &chunk.form)?;
        let mut slice = Slice::new(&target, &chunk.form, &rows.schema(), Some(chunk.slice))?;
        match slice.pour(&mut rows, stop).await {
            Ok(()) => serde_json::to_string(&slice.written).map_err(Error::internal),
            Err(error) => {
                slice.abandon().await;
                Err(error)
            }
        }
    }
}

/// Writes pieces of a query on all nodes; gives what was written. In a task of its own: when nobody waits for it any
/// more, it takes away what was written. `fresh` says that nothing was there before.
pub async fn unload(
    work: &mut Work<'_>,
    spread: Arc<dyn Spread>,
    pieces: Vec<String>,
    form: &Form,
    target: &Target,
    fresh: bool,
) -> Result<Vec<WrittenFile>> {
    let timezone = work.scope.timezone.clone();
    let chunk = |(slice, piece)| {
        let (form, timezone) = (form.clone(), timezone.clone());
        serde_json::to_string(&UnloadChunk { piece, form, slice, timezone })
    };
    let chunks = pieces.into_iter().enumerate().map(chunk).collect::<Result<Vec<_>, _>>().map_err(Error::internal)?;
    let count = chunks.len();
    let stop = CancellationToken::new();
    let waited_for = stop.clone().drop_guard();
    let attempt = Attempt::begin(work.engine().catalog(), form, fresh).await?;
    let (target, state) = (target.clone(), Arc::clone(&work.scope.state));
    let task = tokio::spawn(async move {
        let done = perform(spread.as_ref(), chunks, &target, fresh, &stop).await;
        attempt.end().await;
        drop(state);
        done
    });
    let (files, attempts, nodes) = task.await.map_err(Error::internal)??;
    drop(waited_for);
    work.notice(format!("{count} parts on {nodes} nodes, {attempts} attempts"));
    Ok(files)
}

/// Has chunks done. On failure, all they wrote is taken away.
async fn perform(
    spread: &dyn Spread,
    chunks: Vec<String>,
    target: &Target,
    fresh: bool,
    stop: &CancellationToken,
) -> Result<(Vec<WrittenFile>, usize, usize)> {
    let Performed { answers, attempts, nodes, error } = spread.perform(KIND, chunks, stop).await;
    let mut files: Vec<WrittenFile> = Vec::new();
    for answer in answers.iter().flatten() {
        files.extend(serde_json::from_str::<Vec<WrittenFile>>(answer).map_err(Error::internal)?);
    }
    let Some(error) = error else { return Ok((files, attempts, nodes)) };
    let mut paths: Vec<Path> = files.into_iter().map(|file| file.path).collect();
    if fresh {
        // Chunks that were broken off may have left whole files, too.
        paths = target.below().try_collect().await?;
    }
    target.remove(&paths).await;
    Err(error)
}
