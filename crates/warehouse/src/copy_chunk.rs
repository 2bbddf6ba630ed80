//! COPY on all nodes: pieces of files in chunks, each loaded by one node into files of the table. The leader's one frame
//! lists them, or none.

use crate::lanes::{Rows, Staged};
use crate::load::{Load, Piece, Progress, Report, Tools};
use crate::sink::FileSink;
use async_trait::async_trait;
use object_store::ObjectStoreExt;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tidegate_catalog::{DataFile, RelationKind, TableSpec};
use tidegate_core::{Error, Result};
use tidegate_query::{Bench, ChunkWork, Performed, Spread, TableSink, Work};
use tidegate_storage::S3Access;
use tokio_util::sync::CancellationToken;

/// The kind of these chunks.
const KIND: &str = "copy";

/// Some pieces of a COPY.
#[derive(Debug, Serialize, Deserialize)]
struct CopyChunk {
    /// In the names of what it writes: what is not listed and has a number from before a start is removed then.
    id: u64,
    load: Load,
    pieces: Vec<Piece>,
}

/// What became of them.
#[derive(Debug, Serialize, Deserialize)]
struct Copied {
    reports: Vec<Report>,
    files: Vec<DataFile>,
}

/// Loads chunks of COPY.
pub struct CopyWork;

#[async_trait]
impl ChunkWork for CopyWork {
    fn kind(&self) -> &'static str {
        KIND
    }

    async fn perform(&self, bench: &Bench, chunk: &str, stop: &CancellationToken) -> Result<String> {
        let CopyChunk { id, load, pieces } = serde_json::from_str(chunk).map_err(Error::internal)?;
        let session = bench.session(&load.timezone)?;
        let progress = Arc::new(Progress::default());
        let tools = Tools { session: &session, stores: &bench.stores, progress: &progress };
        let mut sink = Box::new(FileSink::on_node(bench, id, &load.relation, table_of(&load)?)?);
        let loaded = stop.run_until_cancelled(load_all(&load, &tools, &pieces, sink.as_mut())).await;
        let loaded = loaded.unwrap_or_else(|| Err(Error::internal("nobody waits for this chunk any more")));
        let whole = loaded.as_ref().is_ok_and(|reports| reports.iter().all(|report| report.failure.is_none()));
        let files = if whole {
            sink.files().await?
        } else {
            sink.abort().await;
            Vec::new()
        };
        serde_json::to_string(&Copied { reports: loaded?, files }).map_err(Error::internal)
    }
}

async fn load_all(
    load: &Load,
    tools: &Tools<'_>,
    pieces: &[Piece],
    sink: &mut (dyn TableSink + 'static),
) -> Result<Vec<Report>> {
    let mut reports = Vec::new();
    for piece in pieces {
        let sink = if load.no_load { None } else { Some(&mut *sink) };
        reports.push(load.piece(tools, piece, sink).await?);
        if reports.last().is_some_and(|report| report.failure.is_some()) {
            break;
        }
    }
    Ok(reports)
}

fn table_of(load: &Load) -> Result<&TableSpec> {
    match &load.relation.kind {
        RelationKind::Table(spec) => Ok(spec),
        _ => Err(Error::internal("chunks of COPY are for tables")),
    }
}

/// Loads pieces on all nodes.
pub async fn copy(work: &mut Work<'_>, spread: &dyn Spread, load: &Load, pieces: &[Piece]) -> Result<Staged> {
    // When nobody waits for it any more, it is dropped: no table lists what it wrote.
    let stop = CancellationToken::new();
    let catalog = work.engine().catalog().clone();
    let chunk = |pieces| serde_json::to_string(&CopyChunk { id: catalog.next_id(), load: load.clone(), pieces });
    let bytes = work.scope.task_bytes.unwrap_or_default() as u64;
    let chunks = cut(pieces, bytes).into_iter().map(chunk).collect::<Result<Vec<_>, _>>().map_err(Error::internal)?;
    let count = chunks.len();
    let Performed { answers, attempts, nodes, error } = spread.perform(KIND, chunks, &stop).await;
    let copied = answers.iter().flatten().map(|answer| serde_json::from_str(answer));
    let copied: Vec<Copied> = copied.collect::<Result<_, _>>().map_err(Error::internal)?;
    work.notice(format!("{count} parts on {nodes} nodes, {attempts} attempts"));
    let mut staged = Staged { reports: Vec::new(), failure: error, rows: Rows::Files(Vec::new()) };
    let mut files = Vec::new();
    for (slice, chunk) in copied.into_iter().enumerate() {
        staged.reports.extend(chunk.reports.into_iter().map(|report| Report { slice, ..report }));
        files.extend(chunk.files.into_iter().map(|file| DataFile { id: catalog.next_id(), ..file }));
    }
    let failure = staged.reports.iter().find_map(|report| report.failure.clone());
    staged.failure = failure.or(staged.failure);
    staged.rows = Rows::Files(files);
    Ok(staged)
}

/// Pieces in their order, cut where a chunk has so many bytes.
fn cut(pieces: &[Piece], bytes: u64) -> Vec<Vec<Piece>> {
    let (mut chunks, mut size) = (Vec::<Vec<Piece>>::new(), bytes);
    for piece in pieces {
        if size >= bytes {
            chunks.push(Vec::new());
            size = 0;
        }
        size += piece.bytes();
        if let Some(chunk) = chunks.last_mut() {
            chunk.push(piece.clone());
        }
    }
    chunks
}

/// Removes files that a load has written and that nobody lists.
pub async fn remove(work: &Work<'_>, load: &Load, files: &[DataFile]) {
    let Ok(table) = table_of(load) else { return };
    let Ok(place) = work.engine().stores().resolve(&table.location, &S3Access::default()) else { return };
    for file in files {
        if let Err(error) = place.store.delete(&place.path.clone().join(file.path.as_str())).await {
            tracing::warn!(%error, path = %file.path, "a file of a failed COPY could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::File;

    #[test]
    fn pieces_are_cut_by_their_bytes() {
        let pieces = [10, 95, 1, 200, 1].map(|bytes| Piece {
            file: File { url: bytes.to_string(), path: String::new(), bytes, etag: None },
            range: None,
        });
        let sizes = |bytes: u64| {
            let sizes = |chunk: &Vec<Piece>| chunk.iter().map(Piece::bytes).collect::<Vec<_>>();
            cut(&pieces, bytes).iter().map(sizes).collect::<Vec<_>>()
        };
        assert_eq!(sizes(100), [vec![10, 95], vec![1, 200], vec![1]]);
        assert_eq!(sizes(0).len(), 5);
        assert!(cut(&[], 100).is_empty());
    }
}
