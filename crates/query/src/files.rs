//! A location with files as a table: listed when a query is planned, pruned by folders and by what footers tell.

use crate::formats::list::{list_partitioned, relative, root_of};
use crate::formats::partitions::{inferred_columns, wanted_values};
use crate::formats::{
    Compression, FileFormat, FileScan, carried, engine_error, hive_partitions, infer_schema, list_files,
    only_partition_columns,
};
use arrow::datatypes::{Field, Fields, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::error::Result as EngineResult;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use object_store::{ObjectMeta, ObjectStore};
use std::fmt;
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};

pub use crate::formats::format_of;

/// Where files are and what they hold.
#[derive(Clone)]
pub struct Files {
    /// What errors call the place: the table's name, or the location as the user wrote it.
    pub name: String,
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// What the store is called in plans.
    pub store_url: ObjectStoreUrl,
    /// A file, a folder with all below it, or a glob (`**` crosses folders), within the store.
    pub location: String,
    /// What the bytes mean.
    pub format: FileFormat,
    /// Of text files; `None`: each file's name tells.
    pub compression: Option<Compression>,
    /// Columns in the files; `None`: they are inferred, and there must be a file.
    pub file_schema: Option<SchemaRef>,
    /// Columns of which the folders' names hold the values. `None`: folders `name=value` that all files share.
    pub partition_columns: Option<Vec<Field>>,
}

/// Files as a table that is read only.
pub struct FilesTable {
    files: Files,
    file_schema: SchemaRef,
    partition_columns: Vec<Field>,
    schema: SchemaRef,
    /// The columns came from the files, so that a place without any is a mistake.
    inferred: bool,
}

impl fmt::Debug for FilesTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilesTable").field("name", &self.files.name).finish_non_exhaustive()
    }
}

impl FilesTable {
    /// A table of the place. Reads a few files when columns are to be inferred; 58P01 when there is none to infer from.
    pub async fn new(state: &dyn Session, files: Files) -> Result<Self> {
        let inferred = files.file_schema.is_none();
        let unknown = inferred || files.partition_columns.is_none();
        let found = if unknown {
            list_files(&files.store, &files.location).await.map_err(|e| named(e, &files.name))?
        } else {
            Vec::new()
        };
        if inferred && found.is_empty() {
            return Err(nothing(&files));
        }
        let partition_columns = match &files.partition_columns {
            Some(declared) => declared.clone(),
            None => inferred_columns(found.iter().map(|meta| relative_to(&files.location, meta))),
        };
        let file_schema = match &files.file_schema {
            Some(declared) => Arc::clone(declared),
            None => {
                let compression = files.compression.unwrap_or_default();
                let schema = infer_schema(state, &files.store, &files.format, compression, &found);
                without(&schema.await.map_err(|e| named(e, &files.name))?, &partition_columns)
            }
        };
        let columns = file_schema.fields().iter().cloned();
        let schema = columns.chain(partition_columns.iter().cloned().map(Arc::new)).collect::<Fields>();
        Ok(FilesTable { files, file_schema, partition_columns, schema: Arc::new(Schema::new(schema)), inferred })
    }

    /// The files' own columns: what a catalog keeps of inferred ones.
    pub fn file_schema(&self) -> &SchemaRef {
        &self.file_schema
    }

    /// The columns that the folders' names hold.
    pub fn partition_columns(&self) -> &[Field] {
        &self.partition_columns
    }

    /// The files that filters on partition columns leave; folders they exclude are not listed where that can be told.
    async fn list(&self, filters: &[Expr]) -> Result<Vec<PartitionedFile>> {
        let Files { store, location, .. } = &self.files;
        let wanted = wanted_values(filters, &self.partition_columns);
        let found = list_partitioned(store, location, &self.partition_columns, &wanted).await;
        let found = found.map_err(|e| named(e, &self.files.name))?;
        let pruned = wanted.iter().any(Option::is_some);
        if found.is_empty() && self.inferred && !pruned {
            return Err(nothing(&self.files));
        }
        let file = |meta: ObjectMeta| -> Result<PartitionedFile> {
            let values = hive_partitions(relative_to(location, &meta), &self.partition_columns);
            let values = values.map_err(|e| named(e, &self.files.name))?;
            Ok(PartitionedFile::new_from_meta(meta).with_partition_values(values))
        };
        found.into_iter().map(file).collect()
    }
}

fn relative_to<'a>(location: &str, meta: &'a ObjectMeta) -> &'a str {
    let root = root_of(location);
    let path = meta.location.as_ref();
    // A location that is one file has its folders in the location itself.
    if path == root { path } else { relative(&object_store::path::Path::from(root), &meta.location) }
}

/// The schema without columns that partitions take the place of.
fn without(schema: &SchemaRef, partition_columns: &[Field]) -> SchemaRef {
    let taken = |name: &str| partition_columns.iter().any(|column| column.name() == name);
    Arc::new(Schema::new(schema.fields().iter().filter(|f| !taken(f.name())).cloned().collect::<Fields>()))
}

/// The error with the place's name in it.
fn named(error: Error, name: &str) -> Error {
    if error.message().contains(name) { error } else { error.context(name) }
}

fn nothing(files: &Files) -> Error {
    let message = format!("no file found at {}: \"{}\" in {}", files.name, files.location, files.store_url);
    Error::new(Kind::UndefinedFile, message)
        .hint("Check the location; names that begin with _ or . and empty files are passed over.")
}

#[async_trait]
impl TableProvider for FilesTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let Files { store, store_url, format, compression, name, .. } = &self.files;
        state.runtime_env().register_object_store(store_url.as_ref(), Arc::clone(store));
        let scan = FileScan {
            format: format.clone(),
            compression: compression.unwrap_or_default(),
            file_schema: Arc::clone(&self.file_schema),
            partition_columns: self.partition_columns.clone(),
            store_url: store_url.clone(),
            files: self.list(filters).await.map_err(carried)?,
        };
        let plan = scan.plan(state, projection, filters, limit).await;
        plan.map_err(|e| carried(engine_error(e, &format!("reading {name}"))))
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> EngineResult<Vec<TableProviderFilterPushDown>> {
        let exact = |filter: &&Expr| only_partition_columns(filter, &self.partition_columns);
        let decided = filters.iter().map(|filter| match exact(filter) {
            true => TableProviderFilterPushDown::Exact,
            false => TableProviderFilterPushDown::Inexact,
        });
        Ok(decided.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::{CsvOptions, WriteOptions, create_writer};
    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
    use arrow::datatypes::DataType;
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::common::stats::Precision;
    use datafusion::physical_plan::{StatisticsArgs, StatisticsContext, displayable};
    use datafusion::prelude::{SessionConfig, SessionContext, col, lit};
    use object_store::local::LocalFileSystem;
    use object_store::path::Path;

    const HEADED: FileFormat = FileFormat::Csv(CsvOptions {
        delimiter: b',',
        quote: Some(b'"'),
        escape: None,
        header: true,
        skip_lines: 0,
        null: None,
    });

    struct Place {
        folder: tempfile::TempDir,
        context: SessionContext,
    }

    impl Place {
        fn new() -> Self {
            let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
            Place { folder: tempfile::tempdir().unwrap(), context }
        }

        fn store(&self) -> Arc<dyn ObjectStore> {
            Arc::new(LocalFileSystem::new_with_prefix(self.folder.path()).unwrap())
        }

        fn put(&self, path: &str, text: &str) {
            let path = self.folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }

        async fn write(&self, path: &str, format: &FileFormat, batch: &RecordBatch) {
            let options = WriteOptions { compression: Compression::of_name(path), ..WriteOptions::default() };
            let mut writer =
                create_writer(&self.store(), &Path::from(path), format, &batch.schema(), &options).unwrap();
            writer.write(batch).await.unwrap();
            let written = writer.finish().await.unwrap();
            assert_eq!(written.bytes, std::fs::metadata(self.folder.path().join(path)).unwrap().len());
            assert_eq!(written.rows, batch.num_rows() as u64);
        }

        fn files(&self, location: &str, format: FileFormat) -> Files {
            Files {
                name: location.to_string(),
                store: self.store(),
                store_url: ObjectStoreUrl::parse("test://place").unwrap(),
                location: location.to_string(),
                format,
                compression: None,
                file_schema: None,
                partition_columns: None,
            }
        }

        async fn table(&self, files: Files) -> Result<FilesTable> {
            FilesTable::new(&self.context.state(), files).await
        }

        async fn sql(&self, files: Files, sql: &str) -> Result<String> {
            let table = Arc::new(self.table(files).await?);
            self.context.deregister_table("t").unwrap();
            self.context.register_table("t", table).unwrap();
            let rows = self.context.sql(sql).await.map_err(crate::from_datafusion)?.collect().await;
            Ok(pretty_format_batches(&rows.map_err(crate::from_datafusion)?).unwrap().to_string())
        }

        async fn plan(&self, files: Files, filters: &[Expr]) -> Arc<dyn ExecutionPlan> {
            self.table(files).await.unwrap().scan(&self.context.state(), None, filters, None).await.unwrap()
        }
    }

    /// The cells of the first row.
    fn first(table: &str) -> Vec<&str> {
        table.lines().nth(3).unwrap().trim_matches('|').split('|').map(str::trim).collect()
    }

    fn batch(from: i64, rows: i64) -> RecordBatch {
        let ids: Int64Array = (from..from + rows).map(Some).collect();
        let names: StringArray = (from..from + rows).map(|i| (i % 3 != 0).then(|| format!("n,\"{i}"))).collect();
        let at: TimestampMicrosecondArray = (from..from + rows).map(|i| Some(i * 1_000_001)).collect();
        let columns: Vec<(&str, ArrayRef)> =
            vec![("id", Arc::new(ids)), ("name", Arc::new(names)), ("at", Arc::new(at.with_timezone("UTC")))];
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn every_format_gives_back_what_was_written() {
        let sql = "SELECT count(*), sum(id), count(name), max(name), max(\"at\"), arrow_typeof(min(\"at\")) FROM t";
        let cases = [
            ("parquet", FileFormat::Parquet),
            ("orc", FileFormat::Orc),
            ("csv", HEADED),
            ("csv.gz", HEADED),
            ("csv.bz2", HEADED),
            ("jsonl.zst", FileFormat::Json),
            ("jsonl", FileFormat::Json),
        ];
        for (ending, format) in cases {
            let place = Place::new();
            place.write(&format!("d/a.{ending}"), &format, &batch(0, 20_000)).await;
            place.write(&format!("d/b.{ending}"), &format, &batch(20_000, 10)).await;
            let found = place.sql(place.files("d", format.clone()), sql).await.unwrap();
            let expected = ["20010", "200190045", "13340", "n,\"9998", "1970-01-01T05:33:29.020009Z"];
            let found = first(&found);
            assert_eq!(found[..5], expected, "{ending}");
            // JSON has no timestamps: what is not declared is text.
            let expected = if format == FileFormat::Json { "Utf8View" } else { "Timestamp(µs, \"UTC\")" };
            assert_eq!(found[5], expected, "{ending}");
        }
    }

    #[tokio::test]
    async fn real_files_have_known_answers() {
        let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/../../sql/demo");
        let place = Place::new();
        let store = || Arc::new(LocalFileSystem::new_with_prefix(demo).unwrap());
        let FileFormat::Csv(csv) = HEADED else { unreachable!() };
        let nulls = || FileFormat::Csv(CsvOptions { null: Some("NA".into()), ..csv.clone() });
        let cases = [
            (
                "flights.parquet",
                FileFormat::Parquet,
                "sum(distance), count(dep_time)",
                ["336776", "350217607", "328521"],
            ),
            ("planes.csv", nulls(), "sum(seats), count(speed)", ["3322", "512639", "23"]),
            ("weather.csv.gz", nulls(), "count(wind_gust), count(DISTINCT origin)", ["26115", "5337", "3"]),
            ("airports.csv", nulls(), "sum(alt), max(faa)", ["1458", "1460064", "ZYP"]),
        ];
        for (location, format, asked, expected) in cases {
            let files = Files { store: store(), ..place.files(location, format) };
            let found = place.sql(files, &format!("SELECT count(*), {asked} FROM t")).await.unwrap();
            assert_eq!(first(&found), expected, "{location}");
        }
    }

    #[tokio::test]
    async fn types_are_inferred_and_text_is_view() {
        let place = Place::new();
        place.put("a.csv", "i,f,b,d,ts,s\n1,1.5,true,2013-01-01,2013-01-01 05:00:00,x\n,2,,,,\n");
        let table = place.table(place.files("a.csv", HEADED)).await.unwrap();
        let types: Vec<String> = table.schema().fields().iter().map(|f| f.data_type().to_string()).collect();
        assert_eq!(types, ["Int64", "Float64", "Boolean", "Date32", "Timestamp(µs)", "Utf8View"]);
    }

    #[tokio::test]
    async fn folders_are_columns_and_prune() {
        let place = Place::new();
        for month in 1..=3 {
            place.write(&format!("f/month={month}/p.parquet"), &FileFormat::Parquet, &batch(month * 100, month)).await;
        }
        place.put("f/_SUCCESS", "x");
        place.put("f/month=1/.hidden", "x");
        for location in ["f", "f/", "f/**/*.parquet", "f/month=*/p.parquet"] {
            let files = place.files(location, FileFormat::Parquet);
            let found = place.sql(files, "SELECT month, count(*) FROM t GROUP BY 1 ORDER BY 1 DESC").await.unwrap();
            assert_eq!(first(&found), ["3", "3"], "{location}");
        }
        let mut files = place.files("f", FileFormat::Parquet);
        files.partition_columns = Some(vec![Field::new("month", DataType::Int32, true)]);
        for (filter, expected) in
            [(col("month").eq(lit(2)), 1), (col("month").gt(lit(1)), 2), (col("id").gt(lit(1)), 3)]
        {
            let plan = place.plan(files.clone(), std::slice::from_ref(&filter)).await;
            let shown = displayable(plan.as_ref()).indent(true).to_string();
            assert_eq!(shown.matches("p.parquet").count(), expected, "{filter}: {shown}");
        }
        let none = place.sql(files.clone(), "SELECT count(*) FROM t WHERE month > 3").await.unwrap();
        assert_eq!(first(&none), ["0"]);
        let all = place.sql(files, "SELECT * FROM t WHERE month = 2 ORDER BY id LIMIT 1").await.unwrap();
        assert_eq!(first(&all), ["200", "n,\"200", "1970-01-01T00:03:20.000200Z", "2"]);
    }

    #[tokio::test]
    async fn folders_that_are_not_matched_are_not_listed() {
        let place = Place::new();
        place.write("f/month=1/p.parquet", &FileFormat::Parquet, &batch(0, 1)).await;
        // A folder below this one would fail the listing if it were read: its value is no month.
        place.put("f/month=2/day=x/p.parquet", "no parquet");
        let mut files = place.files("f", FileFormat::Parquet);
        files.partition_columns = Some(vec![Field::new("month", DataType::Int32, true)]);
        files.file_schema = Some(batch(0, 1).schema());
        let found = place.sql(files, "SELECT count(*) FROM t WHERE month = 1").await.unwrap();
        assert_eq!(first(&found), ["1"]);
    }

    #[tokio::test]
    async fn parquet_tells_rows_and_bounds() {
        let place = Place::new();
        place.write("a.parquet", &FileFormat::Parquet, &batch(5, 10)).await;
        place.write("b.parquet", &FileFormat::Parquet, &batch(50, 10)).await;
        let plan = place.plan(place.files("*.parquet", FileFormat::Parquet), &[]).await;
        let statistics = StatisticsContext::new().compute(plan.as_ref(), &StatisticsArgs::new()).unwrap();
        assert_eq!(statistics.num_rows, Precision::Exact(20));
        let id = &statistics.column_statistics[0];
        let value = |value: i64| Precision::Exact(datafusion::common::ScalarValue::Int64(Some(value)));
        assert_eq!((&id.min_value, &id.max_value, &id.null_count), (&value(5), &value(59), &Precision::Exact(0)));
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_named() {
        let place = Place::new();
        place.put("bad.csv", "id,name,amount\n1,a,1.5\n2,\"b\nc\",twelve\n");
        place.put("bad.json", "{\"id\":1}\n{\"id\":\n");
        place.put("fake.parquet", "carrier,name\n");
        place.put("fake.orc", "carrier,name\n");
        place.put("cut.csv.gz", "\x1f\u{8}");
        place.put("array.json", "[{\"id\":1}]");
        let declared = Schema::new(vec![
            Field::new("id", DataType::Int32, true),
            Field::new("name", DataType::Utf8View, true),
            Field::new("amount", DataType::Decimal128(10, 2), true),
        ]);
        let declared = Some(Arc::new(declared));
        let cases = [
            ("bad.csv", HEADED, Kind::InvalidText, &["bad.csv", "line 3", "amount", "twelve"][..]),
            ("bad.json", FileFormat::Json, Kind::BadCopyFormat, &["bad.json", "line 2"]),
            ("array.json", FileFormat::Json, Kind::BadCopyFormat, &["array.json", "one JSON object per line"]),
            ("fake.parquet", FileFormat::Parquet, Kind::DataCorrupted, &["fake.parquet"]),
            ("fake.orc", FileFormat::Orc, Kind::DataCorrupted, &["fake.orc"]),
            ("cut.csv.gz", HEADED, Kind::Io, &["cut.csv.gz"]),
        ];
        for (location, format, kind, parts) in cases {
            for file_schema in [declared.clone(), None] {
                let inferred = file_schema.is_none();
                let files = Files { file_schema, ..place.files(location, format.clone()) };
                if inferred && location == "bad.csv" {
                    continue;
                }
                let error = place.sql(files, "SELECT * FROM t").await.unwrap_err();
                assert_eq!(error.kind(), kind, "{location}, inferred {inferred}: {error}");
                for part in parts {
                    assert!(error.message().contains(part), "{location}: {part} in {error}");
                }
            }
        }
    }

    #[tokio::test]
    async fn a_place_without_files_is_an_error_unless_columns_are_declared() {
        let place = Place::new();
        for location in ["none/*.parquet", "none.parquet", "none/"] {
            let files = place.files(location, FileFormat::Parquet);
            let error = place.table(files.clone()).await.unwrap_err();
            assert_eq!(error.kind(), Kind::UndefinedFile, "{location}");
            assert!(error.message().contains(location), "{error}");
            let declared = Files { file_schema: Some(batch(0, 1).schema()), ..files };
            let found = place.sql(declared, "SELECT count(*) FROM t").await.unwrap();
            assert_eq!(first(&found), ["0"], "{location}");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn parts_of_large_text_give_each_row_once() {
        for (name, format) in [
            ("a.jsonl", FileFormat::Json),
            ("a.csv", FileFormat::Csv(CsvOptions { quote: None, header: true, ..CsvOptions::default() })),
        ] {
            let place = Place::new();
            let rows = batch(0, 9_000).project(&[0]).unwrap();
            place.write(name, &format, &rows).await;
            for partitions in [1, 2, 3, 7] {
                let mut config = SessionConfig::new().with_target_partitions(partitions);
                config.options_mut().optimizer.repartition_file_min_size = 1;
                let split =
                    Place { context: SessionContext::new_with_config(config), folder: tempfile::tempdir().unwrap() };
                std::fs::copy(place.folder.path().join(name), split.folder.path().join(name)).unwrap();
                let files = split.files(name, format.clone());
                let found = split.sql(files, "SELECT count(*), sum(id), count(DISTINCT id) FROM t").await.unwrap();
                assert_eq!(first(&found), ["9000", "40495500", "9000"], "{name} in {partitions}");
            }
        }
    }

    #[tokio::test]
    async fn json_has_arrays_objects_and_names_of_any_case() {
        let place = Place::new();
        place.put("a.jsonl", "{\"Id\":1.0,\"tags\":[\"x\",\"y\"],\"o\":{\"k\":7}}\r\n\n{\"Id\":2,\"tags\":null}\n");
        let files = place.files("a.jsonl", FileFormat::Json);
        let found = place.sql(files.clone(), "SELECT count(*), max(tags[2]), max(o['k']) FROM t").await.unwrap();
        assert_eq!(first(&found), ["2", "y", "7"]);
        let wanted =
            Schema::new(vec![Field::new("id", DataType::Int32, true), Field::new("o", DataType::Utf8View, true)]);
        let declared = Files { file_schema: Some(Arc::new(wanted)), ..files };
        let found = place.sql(declared, "SELECT sum(id), max(o) FROM t").await.unwrap();
        assert_eq!(first(&found), ["3", "{\"k\":7}"]);
    }

    #[tokio::test]
    async fn columns_that_files_lack_are_null() {
        let place = Place::new();
        for (name, format) in
            [("a.parquet", FileFormat::Parquet), ("a.orc", FileFormat::Orc), ("a.jsonl", FileFormat::Json)]
        {
            place.write(name, &format, &batch(1, 2)).await;
            let wanted = Schema::new(vec![
                Field::new("more", DataType::Utf8View, true),
                Field::new("id", DataType::Int32, true),
            ]);
            let files = Files { file_schema: Some(Arc::new(wanted)), ..place.files(name, format) };
            let found = place.sql(files, "SELECT count(more), sum(id), count(*) FROM t").await.unwrap();
            assert_eq!(first(&found), ["0", "3", "2"], "{name}");
        }
    }
}
