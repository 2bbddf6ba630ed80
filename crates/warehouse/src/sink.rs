//! Rows into a managed table: few of them into its tail, many into Parquet files under names that nobody lists until the
//! transaction commits.

use crate::delta_stats;
use crate::few::Few;
use crate::sort_key::Key;
use crate::sorter::Sorter;
use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use datafusion::execution::runtime_env::RuntimeEnv;
use futures::StreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use std::sync::Arc;
use tidegate_catalog::{AddedRows, Catalog, Change, DataFile, Relation, Rows, State, TableSpec, file_schema};
use tidegate_core::{Clock, Error, Result, Rng};
use tidegate_query::datetime;
use tidegate_query::formats::{FileFormat, FileWriter, ParquetCodec, WriteOptions, create_writer};
use tidegate_query::{Bench, Engine, TableSink, from_datafusion};
use tidegate_storage::{S3Access, Stores};

/// Bytes at which a file is ended and the next one begun.
const FILE_BYTES: u64 = 256 << 20;

/// Takes a table's rows.
pub struct FileSink {
    names: Names,
    relation: Relation,
    location: String,
    schema: SchemaRef,
    runtime: Arc<RuntimeEnv>,
    key: Option<Key>,
    /// While the rows may still go into the tail.
    few: Option<Few>,
    /// Once there are many, and they are to be in an order.
    sorter: Option<Sorter>,
    writer: Option<(DataFile, Box<dyn FileWriter>)>,
    store: Arc<dyn ObjectStore>,
    root: Path,
    done: Vec<DataFile>,
}

impl FileSink {
    /// For a table as a transaction sees it.
    pub fn new(engine: &Engine, state: &State, relation: &Relation, spec: &TableSpec) -> Result<Self> {
        let few = takes_few(engine, state, relation).then(Few::default);
        Ok(FileSink { few, ..Self::for_files(engine, relation, spec)? })
    }

    /// The same, for files whatever they hold.
    pub fn for_files(engine: &Engine, relation: &Relation, spec: &TableSpec) -> Result<Self> {
        let numbers = Numbers::Of(engine.catalog().clone());
        let names = Names { numbers, clock: engine.clock().clone(), rng: engine.rng().clone() };
        Self::named(engine.stores(), engine.runtime(), names, relation, spec)
    }

    /// The same on any node, with a number from the leader in the names of the files; each has one of its own once the
    /// leader has them all.
    pub fn on_node(bench: &Bench, id: u64, relation: &Relation, spec: &TableSpec) -> Result<Self> {
        let names = Names { numbers: Numbers::Given(id), clock: bench.clock.clone(), rng: bench.rng.clone() };
        Self::named(&bench.stores, &bench.runtime, names, relation, spec)
    }

    fn named(
        stores: &Stores,
        runtime: &Arc<RuntimeEnv>,
        names: Names,
        relation: &Relation,
        spec: &TableSpec,
    ) -> Result<Self> {
        let place = stores.resolve(&spec.location, &S3Access::default())?;
        Ok(FileSink {
            names,
            relation: relation.clone(),
            location: spec.location.clone(),
            schema: file_schema(&relation.columns),
            runtime: Arc::clone(runtime),
            key: Key::of(relation, spec),
            few: None,
            sorter: None,
            writer: None,
            store: place.store,
            root: place.path,
            done: Vec::new(),
        })
    }

    /// Ends what is open; the files.
    pub async fn files(mut self: Box<Self>) -> Result<Vec<DataFile>> {
        if let Err(error) = self.end_all().await {
            self.abort().await;
            return Err(error);
        }
        Ok(self.done)
    }

    /// Takes rows of which there are many.
    async fn take(&mut self, batch: RecordBatch) -> Result<()> {
        let Some(key) = &self.key else { return self.put(&batch).await };
        let sorter = match &mut self.sorter {
            Some(sorter) => sorter,
            none => none.insert(key.sorter(&self.runtime)?),
        };
        sorter.push(batch).await
    }

    async fn end_all(&mut self) -> Result<()> {
        if let Some(sorter) = self.sorter.take() {
            let mut sorted = sorter.finish().await?;
            while let Some(batch) = sorted.next().await {
                self.put(&batch.map_err(from_datafusion)?).await?;
            }
        }
        self.end().await
    }

    async fn put(&mut self, batch: &RecordBatch) -> Result<()> {
        let (_, writer) = match &mut self.writer {
            Some(open) => open,
            none => {
                let file = self.names.file();
                let object = self.root.clone().join(file.path.as_str());
                let options = WriteOptions { parquet: ParquetCodec::Lz4, ..WriteOptions::default() };
                let writer = create_writer(&self.store, &object, &FileFormat::Parquet, &self.schema, &options)?;
                none.insert((file, writer))
            }
        };
        writer.write(batch).await.map_err(|error| error.context(format_args!("table \"{}\"", self.relation.name)))?;
        if writer.size_hint() >= FILE_BYTES {
            self.end().await?;
        }
        Ok(())
    }

    fn rows(&self, batches: &[RecordBatch]) -> Result<Change> {
        let (table, id) = (self.relation.oid, self.names.number());
        let rows = Some(Rows::new(&self.schema, batches)?);
        Ok(Change::AddRows(AddedRows { table, id, arrival_ms: self.names.clock.now_ms(), rows }))
    }

    async fn end(&mut self) -> Result<()> {
        if let Some((file, writer)) = self.writer.take() {
            let written = writer
                .finish()
                .await
                .map_err(|error| error.context(format_args!("table \"{}\"", self.relation.name)))?;
            let keyed = self.key.as_ref().map_or(&[][..], Key::columns);
            let stats = Some(delta_stats::text(written.rows, &self.schema, &written.stats, keyed));
            let sorted_by = self.key.as_ref().map(|key| key.text().into());
            self.done.push(DataFile { rows: written.rows, bytes: written.bytes, stats, sorted_by, ..file });
        }
        Ok(())
    }
}

/// A column as files have it.
fn in_files(column: &ArrayRef, data_type: &DataType) -> ArrayRef {
    match (column.data_type(), data_type) {
        (DataType::Interval(_), DataType::Utf8View) => datetime::intervals_as_texts(column),
        _ => Arc::clone(column),
    }
}

/// Whether a table's tail takes rows: not of a table that the same transaction makes, which is exported at once, and
/// not when all tails together take the memory that they may.
fn takes_few(engine: &Engine, state: &State, relation: &Relation) -> bool {
    let crowded = state.table_tail_bytes() as u64 >= engine.settings().mebibytes("table_tail_mb_max");
    !crowded && engine.catalog().state().files(relation.oid).is_some()
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
    fn number(&self) -> u64 {
        match &self.numbers {
            Numbers::Of(catalog) => catalog.next_id(),
            Numbers::Given(id) => *id,
        }
    }

    fn file(&self) -> DataFile {
        let id = self.number();
        let path = format!("part-{id:010}-{}.parquet", self.rng.uuid());
        DataFile::new(id, path, 0, 0, self.clock.now_ms())
    }
}

#[async_trait]
impl TableSink for FileSink {
    async fn write(&mut self, batch: RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        // Under the columns' names in files, and in their types there.
        let columns = batch.columns().iter().zip(self.schema.fields());
        let columns = columns.map(|(column, field)| in_files(column, field.data_type())).collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(Error::internal)?;
        let Some(few) = &mut self.few else { return self.take(batch).await };
        if few.push(batch)? {
            return Ok(());
        }
        for batch in self.few.take().map(Few::batches).unwrap_or_default() {
            self.take(batch).await?;
        }
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<Vec<Change>> {
        let few = self.few.take().map(Few::batches).unwrap_or_default();
        if !few.is_empty() {
            return Ok(vec![self.rows(&few)?]);
        }
        let table = self.relation.oid;
        let files = self.files().await?;
        match files.is_empty() {
            true => Ok(Vec::new()),
            false => Ok(vec![Change::AddFiles { table, files }]),
        }
    }

    async fn abort(mut self: Box<Self>) {
        self.sorter = None;
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
