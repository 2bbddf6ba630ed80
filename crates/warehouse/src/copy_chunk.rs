//! COPY on all nodes: its files in chunks, each loaded by one node into files of the table. The leader's one frame lists
//! them, or none.

use crate::load::{File, Load};
use crate::sink::FileSink;
use async_trait::async_trait;
use object_store::ObjectStoreExt;
use serde::{Deserialize, Serialize};
use tidegate_catalog::{Change, DataFile, RelationKind, TableSpec};
use tidegate_core::{Error, Result};
use tidegate_query::{Bench, ChunkWork, Performed, Spread, TableSink, Work};
use tidegate_storage::S3Access;
use tokio_util::sync::CancellationToken;

/// The kind of these chunks.
const KIND: &str = "copy";

/// Some files of a COPY.
#[derive(Debug, Serialize, Deserialize)]
struct CopyChunk {
    /// In the names of what it writes: what is not listed and has a number from before a start is removed then.
    id: u64,
    load: Load,
    files: Vec<File>,
}

/// What became of them.
#[derive(Debug, Serialize, Deserialize)]
struct Copied {
    rows: u64,
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
        let CopyChunk { id, load, files } = serde_json::from_str(chunk).map_err(Error::internal)?;
        let session = bench.session(&load.timezone)?;
        let mut sink = Box::new(FileSink::on_node(bench, id, &load.relation, table_of(&load)?)?);
        let loaded = async {
            let mut rows = 0;
            for file in &files {
                rows += load.file(&session, &bench.stores, file, sink.as_mut()).await?;
            }
            Ok(rows)
        };
        let loaded = stop.run_until_cancelled(loaded).await;
        let rows = match loaded.unwrap_or_else(|| Err(Error::internal("nobody waits for this chunk any more"))) {
            Ok(rows) => rows,
            Err(error) => {
                sink.abort().await;
                return Err(error);
            }
        };
        let files = sink.files().await?;
        serde_json::to_string(&Copied { rows, files }).map_err(Error::internal)
    }
}

fn table_of(load: &Load) -> Result<&TableSpec> {
    match &load.relation.kind {
        RelationKind::Table(spec) => Ok(spec),
        _ => Err(Error::internal("chunks of COPY are for tables")),
    }
}

/// Loads files on all nodes. Gives the number of rows.
pub async fn copy(work: &mut Work<'_>, spread: &dyn Spread, load: &Load, files: &[File]) -> Result<u64> {
    let catalog = work.engine().catalog().clone();
    let chunk = |files| serde_json::to_string(&CopyChunk { id: catalog.next_id(), load: load.clone(), files });
    let bytes = work.scope.task_bytes.unwrap_or_default() as u64;
    let chunks = cut(files, bytes).into_iter().map(chunk).collect::<Result<Vec<_>, _>>().map_err(Error::internal)?;
    let count = chunks.len();
    let Performed { answers, attempts, nodes, error } = spread.perform(KIND, chunks).await;
    let copied = answers.iter().flatten().map(|answer| serde_json::from_str(answer));
    let copied: Vec<Copied> = copied.collect::<Result<_, _>>().map_err(Error::internal)?;
    if let Some(error) = error {
        remove(work, table_of(load)?, copied.into_iter().flat_map(|chunk| chunk.files)).await;
        return Err(error);
    }
    work.notice(format!("{count} parts on {nodes} nodes, {attempts} attempts"));
    let rows = copied.iter().map(|chunk| chunk.rows).sum();
    let numbered = |file: DataFile| DataFile { id: catalog.next_id(), ..file };
    let files: Vec<DataFile> = copied.into_iter().flat_map(|chunk| chunk.files).map(numbered).collect();
    if !files.is_empty() {
        work.push(vec![Change::AddFiles { table: load.relation.oid, files }])?;
    }
    Ok(rows)
}

/// Files in their order, cut where a chunk has so many bytes.
fn cut(files: &[File], bytes: u64) -> Vec<Vec<File>> {
    let (mut chunks, mut size) = (Vec::<Vec<File>>::new(), bytes);
    for file in files {
        if size >= bytes {
            chunks.push(Vec::new());
            size = 0;
        }
        size += file.bytes;
        if let Some(chunk) = chunks.last_mut() {
            chunk.push(file.clone());
        }
    }
    chunks
}

async fn remove(work: &Work<'_>, table: &TableSpec, files: impl Iterator<Item = DataFile>) {
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

    #[test]
    fn files_are_cut_by_their_bytes() {
        let files = [10, 95, 1, 200, 1].map(|bytes| File { url: bytes.to_string(), path: String::new(), bytes });
        let sizes = |bytes: u64| {
            let sizes = |chunk: &Vec<File>| chunk.iter().map(|file| file.bytes).collect::<Vec<_>>();
            cut(&files, bytes).iter().map(sizes).collect::<Vec<_>>()
        };
        assert_eq!(sizes(100), [vec![10, 95], vec![1, 200], vec![1]]);
        assert_eq!(sizes(0).len(), 5);
        assert!(cut(&[], 100).is_empty());
    }
}
