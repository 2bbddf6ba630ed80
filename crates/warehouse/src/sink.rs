//! Rows into a managed table: Parquet files under names that nobody lists until the transaction commits.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use std::sync::Arc;
use tidegate_catalog::{Change, DataFile, Relation, TableSpec, arrow_schema};
use tidegate_core::Result;
use tidegate_query::formats::{FileFormat, FileWriter, WriteOptions, create_writer};
use tidegate_query::{Engine, TableSink};
use tidegate_storage::S3Access;

/// Bytes at which a file is ended and the next one begun.
const FILE_BYTES: u64 = 256 << 20;

/// Writes a table's files.
pub struct FileSink {
    engine: Engine,
    relation: Relation,
    location: String,
    schema: SchemaRef,
    writer: Option<(DataFile, Box<dyn FileWriter>)>,
    store: Arc<dyn ObjectStore>,
    root: Path,
    done: Vec<DataFile>,
}

impl FileSink {
    /// For a table.
    pub fn new(engine: &Engine, relation: &Relation, spec: &TableSpec) -> Result<Self> {
        let place = engine.stores().resolve(&spec.location, &S3Access::default())?;
        Ok(FileSink {
            engine: engine.clone(),
            relation: relation.clone(),
            location: spec.location.clone(),
            schema: arrow_schema(&relation.columns),
            writer: None,
            store: place.store,
            root: place.path,
            done: Vec::new(),
        })
    }

    async fn end(&mut self) -> Result<()> {
        if let Some((file, writer)) = self.writer.take() {
            let written = writer
                .finish()
                .await
                .map_err(|error| error.context(format_args!("table \"{}\"", self.relation.name)))?;
            self.done.push(DataFile { rows: written.rows, bytes: written.bytes, ..file });
        }
        Ok(())
    }
}

fn begin(
    engine: &Engine,
    store: &Arc<dyn ObjectStore>,
    root: &Path,
    schema: &SchemaRef,
) -> Result<(DataFile, Box<dyn FileWriter>)> {
    let id = engine.catalog().next_id();
    let path = format!("part-{id:010}-{}.parquet", engine.rng().uuid());
    let object = root.clone().join(path.as_str());
    let writer = create_writer(store, &object, &FileFormat::Parquet, schema, &WriteOptions::default())?;
    Ok((DataFile { id, path, rows: 0, bytes: 0, created_ms: engine.clock().now_ms() }, writer))
}

#[async_trait]
impl TableSink for FileSink {
    async fn write(&mut self, batch: RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let (_, writer) = match &mut self.writer {
            Some(open) => open,
            none => none.insert(begin(&self.engine, &self.store, &self.root, &self.schema)?),
        };
        writer.write(&batch).await.map_err(|error| error.context(format_args!("table \"{}\"", self.relation.name)))?;
        if writer.size_hint() >= FILE_BYTES {
            self.end().await?;
        }
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<Vec<Change>> {
        if let Err(error) = self.end().await {
            self.abort().await;
            return Err(error);
        }
        match self.done.is_empty() {
            true => Ok(Vec::new()),
            false => Ok(vec![Change::AddFiles { table: self.relation.oid, files: self.done }]),
        }
    }

    async fn abort(mut self: Box<Self>) {
        if let Some((_, writer)) = self.writer.take()
            && let Err(error) = writer.abort().await
        {
            tracing::warn!(%error, table = %self.relation.name, "an unfinished file could not be removed");
        }
        for file in &self.done {
            if let Err(error) = self.store.delete(&self.root.clone().join(file.path.as_str())).await {
                tracing::warn!(%error, location = %self.location, "a file of a failed statement could not be removed");
            }
        }
    }
}
