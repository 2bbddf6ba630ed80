//! Files as a table: listed when a query is planned, pruned by their folders, scanned by the engine.

use crate::format;
use crate::location::Location;
use arrow::datatypes::{DataType, Field, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{ScalarValue, project_schema};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::union::UnionExec;
use object_store::ObjectMeta;
use std::sync::Arc;
use tidegate_catalog::{Column, ExternalSpec, Relation, arrow_schema};
use tidegate_core::{Error, Result};
use tidegate_query::Scope;
use tidegate_query::carried;
use tidegate_query::formats::partitions::wanted_values;
use tidegate_query::formats::{Compression, FILE_COLUMNS, FileFormat, FileScan, hive_partitions};

/// An carried table, or the files at a path.
#[derive(Debug)]
pub struct FilesTable {
    location: Location,
    /// The files' own columns, then those of their folders, then those that every file has, if they are asked for.
    scan: FileScan,
    schema: SchemaRef,
    /// How many of the scan's partition columns are folders'.
    folders: usize,
    /// The files, where they are known already.
    files: Option<Vec<ObjectMeta>>,
}

impl FilesTable {
    /// An carried table as a statement sees it.
    pub fn external(scope: &Scope, relation: &Relation, spec: &ExternalSpec) -> Result<Self> {
        let credential = spec.properties.get(format::CREDENTIAL).map(String::as_str);
        let named = |error: Error| error.context(format_args!("carried table \"{}\"", relation.name));
        let location = Location::open(scope, &spec.location, credential).map_err(named)?;
        let format = format::file_format(&spec.format, &spec.properties).map_err(named)?;
        Ok(Self::new(scope, location, format, &relation.columns, spec.partition_columns.len(), None))
    }

    /// Files that have been listed. The last `folders` columns are those of their folders.
    pub fn of_files(
        scope: &Scope,
        location: Location,
        format: FileFormat,
        columns: &[Column],
        folders: usize,
        files: Vec<ObjectMeta>,
    ) -> Self {
        Self::new(scope, location, format, columns, folders, Some(files))
    }

    fn new(
        scope: &Scope,
        location: Location,
        format: FileFormat,
        columns: &[Column],
        folders: usize,
        files: Option<Vec<ObjectMeta>>,
    ) -> Self {
        let (own, above) = columns.split_at(columns.len().saturating_sub(folders));
        let mut partition_columns: Vec<Field> = above.iter().map(Column::field).collect();
        if scope.system_columns {
            partition_columns.extend(file_columns());
        }
        let scan = FileScan {
            format,
            compression: Compression::None,
            file_schema: arrow_schema(own),
            partition_columns,
            store_url: location.store_url.clone(),
            files: Vec::new(),
        };
        FilesTable { schema: scan.schema(), location, scan, folders: above.len(), files }
    }

    fn folder_columns(&self) -> &[Field] {
        self.scan.partition_columns.get(..self.folders).unwrap_or_default()
    }

    async fn list(&self, filters: &[Expr]) -> Result<Vec<ObjectMeta>> {
        if let Some(files) = &self.files {
            return Ok(files.clone());
        }
        let wanted = wanted_values(filters, self.folder_columns());
        let files = self.location.list_wanted(self.folder_columns(), &wanted).await?;
        match files.is_empty() && self.location.is_file() {
            true => Err(self.location.missing()),
            false => Ok(files),
        }
    }

    /// The file with the values of the columns that are not inside it.
    fn with_values(&self, file: ObjectMeta) -> Result<PartitionedFile> {
        let relative = self.location.relative(&file.location);
        let mut values = hive_partitions(relative, self.folder_columns()).map_err(|e| e.context(&self.location.url))?;
        if self.scan.partition_columns.len() > self.folders {
            values.push(ScalarValue::Utf8View(Some(self.location.url_of(&file.location))));
            values.push(ScalarValue::Int64(i64::try_from(file.size).ok()));
        }
        let file = PartitionedFile::from(file);
        Ok(if values.is_empty() { file } else { file.with_partition_values(values) })
    }

    /// One scan for each way in which the files are compressed.
    fn scans(&self, files: Vec<ObjectMeta>) -> Result<Vec<FileScan>> {
        let mut scans: Vec<FileScan> = Vec::new();
        for file in files {
            let compression = match self.scan.format {
                FileFormat::Parquet | FileFormat::Orc => Compression::None,
                _ => Compression::of_name(file.location.as_ref()),
            };
            let file = self.with_values(file)?;
            match scans.iter_mut().find(|scan| scan.compression == compression) {
                Some(scan) => scan.files.push(file),
                None => scans.push(FileScan { compression, files: vec![file], ..self.scan.clone() }),
            }
        }
        Ok(scans)
    }
}

/// `"$path"` and `"$size"`.
fn file_columns() -> impl Iterator<Item = Field> {
    FILE_COLUMNS.into_iter().zip([DataType::Utf8View, DataType::Int64]).map(|(name, is)| Field::new(name, is, true))
}

#[async_trait]
impl TableProvider for FilesTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> EngineResult<Vec<TableProviderFilterPushDown>> {
        Ok(filters.iter().map(|filter| self.scan.supports_filter(filter)).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let files = self.list(filters).await.map_err(carried)?;
        let mut plans = Vec::new();
        for scan in self.scans(files).map_err(carried)? {
            plans.push(scan.plan(state, projection, filters, limit).await?);
        }
        match plans.len() {
            0 => Ok(Arc::new(EmptyExec::new(project_schema(&self.schema, projection)?))),
            1 => Ok(plans.remove(0)),
            _ => UnionExec::try_new(plans),
        }
    }
}
