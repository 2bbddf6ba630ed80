//! UNLOAD on all nodes: of a query that looks at one row at a time, each part of its files is a chunk, and writes files of
//! its own under names that another attempt writes again.

use crate::unload::{Files, Written, WrittenFile, below, pour, remove};
use async_trait::async_trait;
use datafusion::physical_plan::execute_stream;
use futures::TryStreamExt;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use tidegate_core::{Error, Result};
use tidegate_query::{Bench, ChunkWork, Performed, Spread, Work, from_datafusion};
use tokio_util::sync::CancellationToken;

/// The kind of these chunks.
const KIND: &str = "unload";

/// A part of a query, and where its rows go.
#[derive(Serialize, Deserialize)]
struct UnloadChunk {
    piece: String,
    written: Written,
    slice: usize,
    timezone: String,
}

/// What it has written: path, bytes and rows of each file.
type Unloaded = Vec<(String, u64, u64)>;

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
        let mut files = Files::new(&bench.stores, &chunk.written, Some(chunk.slice), &rows.schema())?;
        let poured = stop.run_until_cancelled(pour(&mut rows, &mut files, &chunk.written)).await;
        match poured.unwrap_or_else(|| Err(Error::internal("nobody waits for this chunk any more"))) {
            Ok(()) => {
                let written = files.written.iter().map(|(path, bytes, rows)| (path.to_string(), *bytes, *rows));
                serde_json::to_string(&written.collect::<Unloaded>()).map_err(Error::internal)
            }
            Err(error) => {
                files.abandon().await;
                Err(error)
            }
        }
    }
}

/// Writes pieces of a query on all nodes; gives what was written.
pub async fn unload(
    work: &mut Work<'_>,
    spread: &dyn Spread,
    pieces: Vec<String>,
    written: &Written,
    allow_overwrite: bool,
) -> Result<Vec<WrittenFile>> {
    let timezone = work.scope.timezone.clone();
    let chunk = |(slice, piece)| {
        let (written, timezone) = (written.clone(), timezone.clone());
        serde_json::to_string(&UnloadChunk { piece, written, slice, timezone })
    };
    let chunks = pieces.into_iter().enumerate().map(chunk).collect::<Result<Vec<_>, _>>().map_err(Error::internal)?;
    let count = chunks.len();
    let Performed { answers, attempts, nodes, error } = spread.perform(KIND, chunks).await;
    let mut files = Vec::new();
    for answer in answers.iter().flatten() {
        let unloaded: Unloaded = serde_json::from_str(answer).map_err(Error::internal)?;
        for (path, bytes, rows) in unloaded {
            files.push((Path::parse(path).map_err(Error::internal)?, bytes, rows));
        }
    }
    if let Some(error) = error {
        let place = work.engine().stores().resolve(&written.url, &written.access)?;
        // Chunks that were broken off may have left whole files, too, where nothing was before.
        let there = match allow_overwrite {
            true => Vec::new(),
            false => below(place.store.as_ref(), &place.path, &written.url).try_collect::<Vec<Path>>().await?,
        };
        files.extend(there.into_iter().map(|path| (path, 0, 0)));
        remove(place.store.as_ref(), &files).await;
        return Err(error);
    }
    work.notice(format!("{count} parts on {nodes} nodes, {attempts} attempts"));
    Ok(files)
}
