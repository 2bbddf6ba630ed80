//! The files of one slice of UNLOAD: rows by folder into files of bounded size, under names that say which slice.

use crate::unload_form::Form;
use crate::unload_target::Target;
use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{partition, take_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, SortField};
use datafusion::execution::SendableRecordBatchStream;
use futures::{FutureExt, TryStreamExt};
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tidegate_core::{Error, Kind, Result};
use tidegate_query::formats::partitions::hive_folder_of;
use tidegate_query::formats::{FileWriter, create_writer};
use tidegate_query::from_datafusion;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Most folders that one slice writes at the same time: each holds a buffer.
const OPEN_FILES_MAX: usize = 128;
/// Most folders that one slice writes at all.
const FOLDERS_MAX: usize = 100_000;
/// Into so many parts a full file is cut: what is written at once is never more.
const FILE_PARTS: u64 = 64;
/// How much larger a value may be as text than in memory.
const TEXT_GROWTH: u64 = 4;

/// A file that is whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WrittenFile {
    /// Where, in its store.
    #[serde(with = "path_text")]
    pub path: Path,
    /// Its size.
    pub bytes: u64,
    /// Its rows.
    pub rows: u64,
    /// The slice that wrote it.
    pub slice: usize,
}

mod path_text {
    use object_store::path::Path;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(path.as_ref())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Path, D::Error> {
        let text = String::deserialize(deserializer)?;
        Path::parse(text).map_err(serde::de::Error::custom)
    }
}

/// Writes the rows of one slice.
pub struct Slice {
    target: Target,
    form: Form,
    schema: SchemaRef,
    /// Its number; None writes all files of UNLOAD, one after the other.
    number: Option<usize>,
    /// By folder: the file that is being written.
    open: BTreeMap<String, Box<dyn FileWriter>>,
    /// By folder: how many files have been begun.
    begun: BTreeMap<String, usize>,
    /// Those that are whole.
    pub written: Vec<WrittenFile>,
}

impl Slice {
    /// For rows of a schema.
    pub fn new(target: &Target, form: &Form, rows: &SchemaRef, number: Option<usize>) -> Result<Self> {
        Ok(Slice {
            target: target.clone(),
            schema: form.file_schema(rows)?,
            form: form.clone(),
            number,
            open: BTreeMap::new(),
            begun: BTreeMap::new(),
            written: Vec::new(),
        })
    }

    /// Puts all rows into files, until it is told to stop (57014). A file that is being made whole is made whole
    /// first: a store may do what nobody waits for, and nobody would know of the file.
    pub async fn pour(&mut self, rows: &mut SendableRecordBatchStream, stop: &CancellationToken) -> Result<()> {
        let next = |batch: datafusion::error::Result<_>| batch.map_err(from_datafusion);
        while let Some(batch) = unless_stopped(stop, rows.try_next().map(next)).await? {
            for (folder, part) in split(&batch, &self.form.folders)? {
                self.write(&folder, part.project(&self.form.kept).map_err(Error::internal)?, stop).await?;
            }
        }
        for folder in self.open.keys().cloned().collect::<Vec<_>>() {
            self.end(&folder).await?;
        }
        Ok(())
    }

    /// A file without rows.
    pub async fn empty(mut self) -> Result<WrittenFile> {
        let writer = self.begin("")?;
        let file = writer.finish().await?;
        Ok(WrittenFile { path: file.path, bytes: file.bytes, rows: file.rows, slice: 0 })
    }

    async fn write(&mut self, folder: &str, batch: RecordBatch, stop: &CancellationToken) -> Result<()> {
        let bytes = batch.get_array_memory_size() as u64;
        let parts = bytes.div_ceil((self.form.bytes_max / FILE_PARTS).max(1)).max(1);
        let rows = batch.num_rows().div_ceil(usize::try_from(parts).unwrap_or(usize::MAX)).max(1);
        let mut start = 0;
        while start < batch.num_rows() {
            let part = batch.slice(start, rows.min(batch.num_rows() - start));
            start += part.num_rows();
            self.write_part(folder, part, bytes / parts, stop).await?;
        }
        Ok(())
    }

    /// Writes some rows of about so many bytes; the file that has no room for them is ended first.
    async fn write_part(
        &mut self,
        folder: &str,
        part: RecordBatch,
        bytes: u64,
        stop: &CancellationToken,
    ) -> Result<()> {
        if self.open.get(folder).is_some_and(|writer| writer.size_hint() + bytes * TEXT_GROWTH > self.form.bytes_max) {
            self.end(folder).await?;
        }
        if !self.open.contains_key(folder) {
            if self.open.len() >= OPEN_FILES_MAX {
                self.end_largest().await?;
            }
            let writer = self.begin(folder)?;
            self.open.insert(folder.to_string(), writer);
        }
        match self.open.get_mut(folder) {
            Some(writer) => unless_stopped(stop, writer.write(&part)).await,
            None => Ok(()),
        }
    }

    fn begin(&mut self, folder: &str) -> Result<Box<dyn FileWriter>> {
        let count = self.begun.entry(folder.to_string()).or_default();
        let name = file_name(self.number, *count, &self.form.ending);
        *count += 1;
        if self.begun.len() > FOLDERS_MAX {
            let message = format!("UNLOAD writes to {FOLDERS_MAX} folders at most");
            return Err(Error::new(Kind::ProgramLimit, message).hint("PARTITION BY a column of fewer values."));
        }
        let path = self.target.path(folder, &name)?;
        create_writer(&self.target.store, &path, &self.form.format, &self.schema, &self.form.options)
    }

    async fn end(&mut self, folder: &str) -> Result<()> {
        if let Some(writer) = self.open.remove(folder) {
            let file = writer.finish().await?;
            let slice = self.number.unwrap_or_default();
            self.written.push(WrittenFile { path: file.path, bytes: file.bytes, rows: file.rows, slice });
        }
        Ok(())
    }

    async fn end_largest(&mut self) -> Result<()> {
        let largest = self.open.iter().max_by_key(|(_, writer)| writer.size_hint()).map(|(folder, _)| folder.clone());
        match largest {
            Some(folder) => self.end(&folder).await,
            None => Ok(()),
        }
    }

    /// Takes away what was written.
    pub async fn abort(mut self) {
        self.abandon().await;
        let paths: Vec<Path> = self.written.iter().map(|file| file.path.clone()).collect();
        self.target.remove(&paths).await;
    }

    /// Takes away what is not whole. The files that are whole may be another attempt's by now, under the same names.
    pub async fn abandon(&mut self) {
        for writer in std::mem::take(&mut self.open).into_values() {
            if let Err(error) = writer.abort().await {
                tracing::warn!(%error, "an unfinished file of UNLOAD could not be removed");
            }
        }
    }
}

/// What a piece of work gives, or 57014 as soon as it is told to stop.
async fn unless_stopped<T>(stop: &CancellationToken, work: impl Future<Output = Result<T>>) -> Result<T> {
    let done = stop.run_until_cancelled(work).await;
    done.unwrap_or_else(|| Err(Error::new(Kind::Cancelled, "UNLOAD was broken off")))
}

/// As Redshift names files: `0001_part_00.gz` of slice 1, and `000.gz` where there are no slices.
fn file_name(slice: Option<usize>, number: usize, ending: &str) -> String {
    match slice {
        Some(slice) => format!("{slice:04}_part_{number:02}{ending}"),
        None => format!("{number:03}{ending}"),
    }
}

/// Writes slices at the same time. When one fails, or the token is cancelled, all that was written is taken away.
pub async fn pour_all(
    slices: Vec<(Slice, SendableRecordBatchStream)>,
    stop: &CancellationToken,
) -> Result<Vec<WrittenFile>> {
    let mut running = JoinSet::new();
    for (mut slice, mut rows) in slices {
        let stop = stop.clone();
        running.spawn(async move { (slice.pour(&mut rows, &stop).await, slice) });
    }
    let (mut ended, mut failure) = (Vec::new(), None);
    while let Some(slice) = running.join_next().await {
        let (poured, slice) = slice.map_err(Error::internal)?;
        if let Err(error) = poured {
            stop.cancel();
            failure.get_or_insert(error);
        }
        ended.push(slice);
    }
    let Some(failure) = failure else {
        return Ok(ended.into_iter().flat_map(|slice| slice.written).collect());
    };
    for slice in ended {
        slice.abort().await;
    }
    Err(failure)
}

/// A batch by the folder that its rows belong to.
fn split(batch: &RecordBatch, columns: &[usize]) -> Result<Vec<(String, RecordBatch)>> {
    if columns.is_empty() {
        return Ok(vec![(String::new(), batch.clone())]);
    }
    let keys = |batch: &RecordBatch| -> Vec<ArrayRef> {
        columns.iter().filter_map(|index| batch.columns().get(*index).cloned()).collect()
    };
    let fields = keys(batch).iter().map(|key| SortField::new(key.data_type().clone())).collect();
    let converter = RowConverter::new(fields).and_then(|converter| converter.convert_columns(&keys(batch)));
    let rows = converter.map_err(Error::internal)?;
    let mut order: Vec<u32> = (0..u32::try_from(batch.num_rows()).map_err(Error::internal)?).collect();
    order.sort_by(|a, b| rows.row(*a as usize).cmp(&rows.row(*b as usize)));
    let sorted = take_record_batch(batch, &UInt32Array::from(order)).map_err(Error::internal)?;
    let keys = keys(&sorted);
    let mut parts = Vec::new();
    for range in partition(&keys).map_err(Error::internal)?.ranges() {
        let mut folder = String::new();
        for (key, index) in keys.iter().zip(columns) {
            folder.push_str(&hive_folder_of(sorted.schema().field(*index).name(), key, range.start)?);
            folder.push('/');
        }
        parts.push((folder, sorted.slice(range.start, range.len())));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        BooleanArray, Date32Array, Decimal128Array, Int32Array, StringArray, TimestampMicrosecondArray,
    };
    use std::sync::Arc;

    #[test]
    fn files_are_named_by_slice_and_number() {
        let cases = [
            (Some(0), 0, "", "0000_part_00"),
            (Some(12), 3, ".gz", "0012_part_03.gz"),
            (Some(1), 100, ".parquet", "0001_part_100.parquet"),
            (None, 0, "", "000"),
            (None, 7, ".zst", "007.zst"),
        ];
        for (slice, number, ending, expected) in cases {
            assert_eq!(file_name(slice, number, ending), expected);
        }
    }

    #[test]
    fn rows_go_by_their_keys() {
        let decimals = Decimal128Array::from(vec![Some(125), None, Some(-5)]).with_precision_and_scale(10, 2).unwrap();
        let stamps = TimestampMicrosecondArray::from(vec![Some(1_500_000), None, Some(0)]);
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("n", Arc::new(Int32Array::from(vec![2, 1, 2]))),
            ("t", Arc::new(StringArray::from(vec![Some("a/b=c"), None, Some("")]))),
            ("d", Arc::new(decimals)),
            ("f", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
            ("day", Arc::new(Date32Array::from(vec![Some(0), None, Some(1)]))),
            ("at", Arc::new(stamps)),
        ];
        let nullable = columns.into_iter().map(|(name, array)| (name, array, true));
        let batch = RecordBatch::try_from_iter_with_nullable(nullable).unwrap();
        let folders = |columns: &[usize]| -> Vec<(String, usize)> {
            split(&batch, columns).unwrap().into_iter().map(|(folder, part)| (folder, part.num_rows())).collect()
        };
        assert_eq!(folders(&[]), [(String::new(), 3)]);
        assert_eq!(folders(&[0]), [("n=1/".to_string(), 1), ("n=2/".to_string(), 2)]);
        let null = "__HIVE_DEFAULT_PARTITION__";
        let expected = [
            format!("t={null}/d={null}/f={null}/day={null}/at={null}/"),
            "t=/d=-0.05/f=false/day=1970-01-02/at=1970-01-01 00%3A00%3A00/".to_string(),
            "t=a%2Fb%3Dc/d=1.25/f=true/day=1970-01-01/at=1970-01-01 00%3A00%3A01.5/".to_string(),
        ];
        assert_eq!(folders(&[1, 2, 3, 4, 5]).into_iter().map(|(folder, _)| folder).collect::<Vec<_>>(), expected);
    }
}
