//! Bytes of files, changed at random, through the readers alone: none of ours panics, and what panics in the decoders of
//! others is contained. A failure names its seed; `TIDEGATE_SEED=n` tries the same again, `TIDEGATE_FUZZ_CASES=n` as many.

use super::*;
use arrow::array::{ArrayRef, BooleanArray, Decimal128Array, Int64Array, RecordBatch, StringArray};
use arrow::array::{BinaryArray, TimestampMicrosecondArray};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::SessionContext;
use futures::{FutureExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tidegate_core::{Result, Rng};

const CASES: u64 = 2_000;
const CHANGES_MAX: u64 = 6;
const PIECE_BYTES_MAX: u64 = 200;
const URL: &str = "memory:///";

fn batch() -> RecordBatch {
    let decimals: Decimal128Array = (0..200_i128).map(|n| (n % 7 != 0).then_some(n * 125)).collect();
    let stamps: TimestampMicrosecondArray = (0..200_i64).map(|n| (n % 5 != 0).then_some(n * 86_400_000_123)).collect();
    let texts: StringArray = (0..200).map(|n| (n % 3 != 0).then(|| format!("name \"{n}\", \\ | \n é"))).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new((0..200_i64).map(Some).collect::<Int64Array>())),
        ("name", Arc::new(texts)),
        ("amount", Arc::new(decimals.with_precision_and_scale(10, 2).unwrap())),
        ("at", Arc::new(stamps)),
        ("ok", Arc::new((0..200).map(|n| Some(n % 2 == 0)).collect::<BooleanArray>())),
        ("bytes", Arc::new((0..200).map(|n: u32| Some(n.to_le_bytes())).collect::<BinaryArray>())),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

/// A file of each kind, and how it is read.
async fn files() -> Vec<(FileFormat, Compression, Vec<u8>)> {
    let bars = CsvOptions { delimiter: b'|', quote: None, escape: Some(b'\\'), ..CsvOptions::default() };
    let kinds = [
        (FileFormat::Csv(CsvOptions::default()), Compression::None),
        (FileFormat::Csv(CsvOptions { header: true, ..CsvOptions::default() }), Compression::Gzip),
        (FileFormat::Csv(bars), Compression::None),
        (FileFormat::Json, Compression::None),
        (FileFormat::Json, Compression::Bzip2),
        (FileFormat::Csv(CsvOptions::default()), Compression::Zstd),
        (FileFormat::Parquet, Compression::None),
        (FileFormat::Orc, Compression::None),
    ];
    let mut files = Vec::new();
    for (format, compression) in kinds {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let path = Path::from("f");
        // ORC's writer does not know all of these types.
        let rows = if format == FileFormat::Orc { batch().project(&[0, 1]).unwrap() } else { batch() };
        let options = WriteOptions { compression, ..WriteOptions::default() };
        let mut writer = create_writer(&store, &path, &format, &rows.schema(), &options).unwrap();
        writer.write(&rows).await.unwrap();
        writer.finish().await.unwrap();
        files.push((format, compression, store.get(&path).await.unwrap().bytes().await.unwrap().to_vec()));
    }
    files
}

fn damaged(rng: &Rng, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=rng.below(CHANGES_MAX) {
        let at = rng.below(bytes.len() as u64 + 1) as usize;
        let end = (at + rng.below(PIECE_BYTES_MAX) as usize).min(bytes.len());
        match rng.below(6) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let piece = bytes.get(at..end).unwrap().to_vec();
                drop(bytes.splice(at..at, piece));
            }
            3 => bytes.insert(at, rng.next_u64() as u8),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << rng.below(8);
                }
            }
        }
    }
    bytes
}

/// Reads all rows of a file.
async fn read(
    session: &SessionContext,
    format: &FileFormat,
    compression: Compression,
    bytes: Vec<u8>,
) -> Result<usize> {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let path = Path::from("f");
    store.put(&path, bytes.into()).await.unwrap();
    let load = match format {
        FileFormat::Csv(csv) => LoadOptions::of_lake_csv(csv),
        FileFormat::Json => LoadOptions::json(),
        _ => return columns(session, &store, format, &path).await,
    };
    let options = LoadOptions { max_errors: 1000, ..load };
    let meta = store.head(&path).await.unwrap();
    let bytes = compression.decode(read::read_range(&store, &path, 0..meta.size, None));
    let mut loader = Loader::new("f", bytes, &batch().schema(), options)?;
    let mut rows = 0;
    while let Some(loaded) = loader.next().await? {
        rows += loaded.batch.num_rows();
    }
    Ok(rows)
}

async fn columns(
    session: &SessionContext,
    store: &Arc<dyn ObjectStore>,
    format: &FileFormat,
    path: &Path,
) -> Result<usize> {
    let url = url::Url::parse(URL).unwrap();
    session.runtime_env().register_object_store(&url, Arc::clone(store));
    let (state, meta) = (session.state(), store.head(path).await.unwrap());
    let file_schema = infer_schema(&state, store, format, Compression::None, std::slice::from_ref(&meta)).await?;
    let scan = FileScan {
        format: format.clone(),
        compression: Compression::None,
        file_schema,
        partition_columns: Vec::new(),
        store_url: ObjectStoreUrl::parse(URL).unwrap(),
        files: vec![PartitionedFile::from(meta)],
    };
    guarded("f", async {
        let failed = |error| engine_error(error, "f");
        let plan = scan.plan(&state, None, &[], None).await.map_err(failed)?;
        let batches = execute_stream(plan, state.task_ctx()).map_err(failed)?;
        let batches: Vec<RecordBatch> = batches.try_collect().await.map_err(failed)?;
        Ok(batches.iter().map(RecordBatch::num_rows).sum())
    })
    .await
}

#[tokio::test]
async fn no_bytes_panic_a_reader() {
    let given = |name: &str, usual| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    let seed = given("TIDEGATE_SEED", Rng::system().next_u64());
    let cases = given("TIDEGATE_FUZZ_CASES", CASES);
    let (rng, files) = (Rng::seeded(seed), files().await);
    for (format, compression, bytes) in &files {
        let session = SessionContext::new();
        assert_eq!(read(&session, format, *compression, bytes.clone()).await.unwrap(), 200, "{format:?}");
    }
    for case in 0..cases {
        let (format, compression, bytes) = &files[rng.below(files.len() as u64) as usize];
        // Of its own: footers are remembered by name.
        let session = SessionContext::new();
        let bytes = damaged(&rng, bytes);
        let done = AssertUnwindSafe(read(&session, format, *compression, bytes)).catch_unwind().await;
        assert!(done.is_ok(), "case {case}, TIDEGATE_SEED={seed}: {format:?} {compression:?}");
    }
}
