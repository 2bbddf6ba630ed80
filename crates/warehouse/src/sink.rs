//! Rows into a managed table: Parquet files under names that nobody lists until the transaction commits.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use std::sync::Arc;
use tidegate_catalog::{Catalog, Change, DataFile, Relation, TableSpec, file_schema};
use tidegate_core::{Clock, Error, Result, Rng};
use tidegate_query::formats::{FileFormat, FileWriter, WriteOptions, create_writer};
use tidegate_query::{Bench, Engine, TableSink};
use tidegate_storage::{S3Access, Stores};

/// Bytes at which a file is ended and the next one begun.
const FILE_BYTES: u64 = 256 << 20;

/// Writes a table's files.
pub struct FileSink {
    names: Names,
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
        let numbers = Numbers::Of(engine.catalog().clone());
        let names = Names { numbers, clock: engine.clock().clone(), rng: engine.rng().clone() };
        Self::named(engine.stores(), names, relation, spec)
    }

    /// The same on any node, with a number from the leader in the names of the files; each has one of its own once the
    /// leader has them all.
    pub fn on_node(bench: &Bench, id: u64, relation: &Relation, spec: &TableSpec) -> Result<Self> {
        let names = Names { numbers: Numbers::Given(id), clock: bench.clock.clone(), rng: bench.rng.clone() };
        Self::named(&bench.stores, names, relation, spec)
    }

    fn named(stores: &Stores, names: Names, relation: &Relation, spec: &TableSpec) -> Result<Self> {
        let place = stores.resolve(&spec.location, &S3Access::default())?;
        Ok(FileSink {
            names,
            relation: relation.clone(),
            location: spec.location.clone(),
            schema: file_schema(&relation.columns),
            writer: None,
            store: place.store,
            root: place.path,
            done: Vec::new(),
        })
    }

    /// Ends what is open; the files.
    pub async fn files(mut self: Box<Self>) -> Result<Vec<DataFile>> {
        if let Err(error) = self.end().await {
            self.abort().await;
            return Err(error);
        }
        Ok(self.done)
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

/// How new files are called and numbered.
struct Names {
    numbers: Numbers,
    clock: Clock,
    rng: Rng,
}

enum Numbers {
    Of(Catalog),
    Given(u64),
}

impl Names {
    fn file(&self) -> DataFile {
        let id = match &self.numbers {
            Numbers::Of(catalog) => catalog.next_id(),
            Numbers::Given(id) => *id,
        };
        let path = format!("part-{id:010}-{}.parquet", self.rng.uuid());
        DataFile { id, path, rows: 0, bytes: 0, created_ms: self.clock.now_ms() }
    }
}

#[async_trait]
impl TableSink for FileSink {
    async fn write(&mut self, batch: RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let (_, writer) = match &mut self.writer {
            Some(open) => open,
            none => {
                let file = self.names.file();
                let object = self.root.clone().join(file.path.as_str());
                let options = WriteOptions::default();
                let writer = create_writer(&self.store, &object, &FileFormat::Parquet, &self.schema, &options)?;
                none.insert((file, writer))
            }
        };
        // Under the columns' names in files.
        let batch =
            RecordBatch::try_new(Arc::clone(&self.schema), batch.columns().to_vec()).map_err(Error::internal)?;
        writer.write(&batch).await.map_err(|error| error.context(format_args!("table \"{}\"", self.relation.name)))?;
        if writer.size_hint() >= FILE_BYTES {
            self.end().await?;
        }
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<Vec<Change>> {
        let table = self.relation.oid;
        let files = self.files().await?;
        match files.is_empty() {
            true => Ok(Vec::new()),
            false => Ok(vec![Change::AddFiles { table, files }]),
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
