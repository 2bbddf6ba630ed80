//! How the files of a COPY become rows of its table: the same for all of them, and on all nodes.

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use datafusion::common::ScalarValue;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::session_state::SessionState;
use datafusion::physical_plan::execute_stream;
use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tidegate_catalog::Relation;
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::{CopyFormat, CopyOptions};
use tidegate_query::conform::{Source, conform};
use tidegate_query::formats::{
    Compression, FileFormat, FileScan, LoadOptions, Loader, TextFormat, apply_copy_options, compression_of, guarded,
    infer_schema,
};
use tidegate_query::{TableSink, from_datafusion};
use tidegate_storage::{Place, S3Access, Stores, object_error};

/// What all files of a COPY have in common.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Load {
    /// Where rows go.
    pub relation: Relation,
    /// The relation's columns that the files have, in their order.
    pub chosen: Vec<usize>,
    /// What the others hold.
    pub defaults: Defaults,
    /// What the files' bytes mean.
    pub reading: Reading,
    /// With what they are reached.
    pub access: S3Access,
    /// In which times without a zone are read.
    pub timezone: String,
}

/// A file that is loaded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct File {
    /// As people see it.
    pub url: String,
    /// Where it is in its store.
    pub path: String,
    /// Its size.
    pub bytes: u64,
}

/// What the bytes of a file mean.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Reading {
    /// Text, row by row.
    Text(LoadOptions, Compression),
    /// Parquet or ORC.
    Columns(FileFormat),
}

impl Reading {
    /// As COPY's options say.
    pub fn of(options: &CopyOptions) -> Result<Self> {
        let mut load = match options.format {
            Some(CopyFormat::Parquet) => return Ok(Reading::Columns(FileFormat::Parquet)),
            Some(CopyFormat::Orc) => return Ok(Reading::Columns(FileFormat::Orc)),
            // What is not quoted and empty is NULL, as UNLOAD writes it.
            Some(CopyFormat::Csv) => LoadOptions::postgres_csv(),
            Some(CopyFormat::Json) => LoadOptions::json(),
            // Redshift's delimited text.
            _ => {
                let format = TextFormat::Csv { delimiter: b'|', quote: None, escape: None };
                LoadOptions { format, ..LoadOptions::csv() }
            }
        };
        apply_copy_options(&mut load, options)?;
        Ok(Reading::Text(load, compression_of(options.compression).unwrap_or(Compression::None)))
    }
}

/// Values of columns that come from no file: an Arrow IPC stream of one row, with NULL where a file gives the value.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Defaults(Vec<u8>);

impl Defaults {
    /// Of the sources of a relation's columns.
    pub fn of(sources: &[Source]) -> Result<Self> {
        let value = |source: &Source| match source {
            Source::Input(_) => ScalarValue::Null.to_array(),
            Source::Value(value) => value.to_array(),
        };
        let arrays = sources.iter().map(value).collect::<Result<Vec<_>, _>>().map_err(from_datafusion)?;
        let field = |array: &ArrayRef| Field::new("", array.data_type().clone(), true);
        let schema = Arc::new(Schema::new(arrays.iter().map(field).collect::<Vec<_>>()));
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).map_err(Error::internal)?;
        let mut bytes = Vec::new();
        let mut writer = StreamWriter::try_new(&mut bytes, &schema).map_err(Error::internal)?;
        writer.write(&batch).and_then(|()| writer.finish()).map_err(Error::internal)?;
        drop(writer);
        Ok(Defaults(bytes))
    }

    /// The sources again, with these columns of the files.
    fn sources(&self, chosen: &[usize]) -> Result<Vec<Source>> {
        let mut batches = StreamReader::try_new(self.0.as_slice(), None).map_err(Error::internal)?;
        let batch = batches.next().transpose().map_err(Error::internal)?;
        let batch = batch.ok_or_else(|| Error::internal("there are no defaults"))?;
        let source = |(index, array): (usize, &ArrayRef)| match chosen.iter().position(|given| *given == index) {
            Some(given) => Ok(Source::Input(given)),
            None => ScalarValue::try_from_array(array, 0).map(Source::Value).map_err(from_datafusion),
        };
        batch.columns().iter().enumerate().map(source).collect()
    }
}

impl Load {
    /// Puts the rows of a file into a sink; gives their number. The session reads columns.
    pub async fn file(
        &self,
        session: &SessionState,
        stores: &Stores,
        file: &File,
        sink: &mut (dyn TableSink + '_),
    ) -> Result<u64> {
        let url = file.url.as_str();
        let path = Path::parse(&file.path).map_err(Error::internal)?;
        let place = Place { path, ..stores.resolve(&root_of(url), &self.access)? };
        let sources = self.defaults.sources(&self.chosen)?;
        match &self.reading {
            Reading::Text(load, compression) => self.text(&place, url, load, *compression, &sources, sink).await,
            Reading::Columns(format) => guarded(url, self.columns(session, &place, url, format, &sources, sink)).await,
        }
    }

    async fn text(
        &self,
        place: &Place,
        url: &str,
        load: &LoadOptions,
        compression: Compression,
        sources: &[Source],
        sink: &mut (dyn TableSink + '_),
    ) -> Result<u64> {
        let schema = self.file_schema();
        let mut loader = Loader::open(&place.store, &place.path, url, compression, &schema, load.clone())
            .await
            .map_err(|error| unreadable(error, compression))?;
        let mut rows = 0;
        while let Some(loaded) = loader.next().await.map_err(|error| unreadable(error, compression))? {
            if let Some(error) = loaded.errors.first() {
                return Err(error.to_error());
            }
            rows += loaded.batch.num_rows() as u64;
            sink.write(conform(&loaded.batch, &self.relation, sources)?).await?;
        }
        Ok(rows)
    }

    /// Parquet and ORC: columns by name, whatever their letter case; by place where no name matches.
    async fn columns(
        &self,
        session: &SessionState,
        place: &Place,
        url: &str,
        format: &FileFormat,
        sources: &[Source],
        sink: &mut (dyn TableSink + '_),
    ) -> Result<u64> {
        session.runtime_env().register_object_store(&place.registry_url, Arc::clone(&place.store));
        let meta = place.store.head(&place.path).await.map_err(|error| object_error(error, url))?;
        let file_schema = infer_schema(session, &place.store, format, Compression::None, std::slice::from_ref(&meta))
            .await
            .map_err(|error| error.context(url))?;
        let order = self.order_of(&file_schema, url)?;
        let scan = FileScan {
            format: format.clone(),
            compression: Compression::None,
            file_schema,
            partition_columns: Vec::new(),
            store_url: ObjectStoreUrl::parse(place.registry_url.as_str()).map_err(Error::internal)?,
            files: vec![PartitionedFile::from(meta)],
        };
        let plan = scan.plan(session, Some(&order), &[], None).await.map_err(from_datafusion)?;
        let mut batches = execute_stream(plan, session.task_ctx()).map_err(from_datafusion)?;
        let mut rows = 0;
        while let Some(batch) = batches.try_next().await.map_err(|error| from_datafusion(error).context(url))? {
            rows += batch.num_rows() as u64;
            sink.write(conform(&batch, &self.relation, sources)?).await?;
        }
        Ok(rows)
    }

    /// The columns that a file has, in its order.
    fn file_schema(&self) -> SchemaRef {
        let columns = self.chosen.iter().filter_map(|index| self.relation.columns.get(*index));
        Arc::new(Schema::new(columns.map(|column| column.field()).collect::<Vec<_>>()))
    }

    fn order_of(&self, file: &SchemaRef, url: &str) -> Result<Vec<usize>> {
        let columns = self.chosen.iter().filter_map(|index| self.relation.columns.get(*index));
        let wanted: Vec<&str> = columns.map(|column| column.name.as_str()).collect();
        let by_name = |name: &&str| file.fields().iter().position(|field| field.name().eq_ignore_ascii_case(name));
        if let Some(order) = wanted.iter().map(by_name).collect::<Option<Vec<usize>>>() {
            return Ok(order);
        }
        if wanted.iter().all(|name| by_name(name).is_none()) && file.fields().len() == wanted.len() {
            return Ok((0..wanted.len()).collect());
        }
        let missing = wanted.iter().find(|name| by_name(name).is_none()).copied().unwrap_or_default();
        Err(Error::new(Kind::UndefinedColumn, format!("{url} has no column \"{missing}\""))
            .hint("Name the columns that the file has: COPY t (a, b) FROM …"))
    }
}

/// The whole of the store that holds a URL.
fn root_of(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("file", url));
    format!("{scheme}://{}/", rest.split('/').next().unwrap_or_default())
}

/// What cannot be decompressed is a bad file, not a bad disk.
fn unreadable(error: Error, compression: Compression) -> Error {
    match (error.kind(), compression) {
        (Kind::Io, Compression::Gzip | Compression::Bzip2 | Compression::Zstd) => {
            let again = Error::new(Kind::BadCopyFormat, error.message());
            again.hint("Check that the file is whole and of the compression that is named.")
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_root() {
        for (url, root) in [("s3://b/a/b%20c", "s3://b/"), ("file:///a/b", "file:///")] {
            assert_eq!(root_of(url), root);
        }
    }

    #[test]
    fn defaults_come_back() {
        let sources = [Source::Value(ScalarValue::Int64(Some(7))), Source::Input(0), Source::Value(ScalarValue::Null)];
        let back = Defaults::of(&sources).unwrap().sources(&[1]).unwrap();
        assert!(matches!(back.first(), Some(Source::Value(ScalarValue::Int64(Some(7))))), "{back:?}");
        assert!(matches!(back.get(1), Some(Source::Input(0))), "{back:?}");
        assert!(matches!(back.get(2), Some(Source::Value(ScalarValue::Null))), "{back:?}");
    }
}
