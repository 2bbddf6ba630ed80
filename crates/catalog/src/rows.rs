//! Rows of a table in memory and in frames: one batch, and the Arrow IPC stream that it is read from.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::buffer::Buffer;
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::ipc::MetadataVersion;
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};

/// Where buffers begin in the bytes, so that they are read in place: as wide as the widest value.
const ALIGNMENT: usize = 16;
/// What a batch takes beside its buffers, roughly.
const OVERHEAD_BYTES: usize = 1024;

/// Some rows. Clones share them.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    batch: RecordBatch,
    ipc: Bytes,
}

impl Rows {
    /// Copies batches, which should be [`compact`].
    pub fn new(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Self> {
        let batch = concat_batches(schema, batches).map_err(Error::internal)?;
        let mut ipc = Vec::new();
        let options = IpcWriteOptions::try_new(ALIGNMENT, false, MetadataVersion::V5).map_err(Error::internal)?;
        let mut writer = StreamWriter::try_new_with_options(&mut ipc, schema, options).map_err(Error::internal)?;
        writer.write(&batch).and_then(|()| writer.finish()).map_err(Error::internal)?;
        drop(writer);
        let ipc = Bytes::from(ipc);
        Ok(Rows { batch: read(&ipc)?, ipc })
    }

    /// The rows.
    pub fn batch(&self) -> &RecordBatch {
        &self.batch
    }

    /// The memory that they take.
    pub fn bytes(&self) -> usize {
        self.ipc.len() + OVERHEAD_BYTES
    }

    /// Writes them as a part of a frame: their length, then the stream.
    pub fn encode(&self, out: &mut BytesMut) {
        out.put_u32_le(self.ipc.len() as u32);
        out.put_slice(&self.ipc);
    }

    /// Bytes that [`Rows::encode`] writes.
    pub fn encoded_len(&self) -> usize {
        4 + self.ipc.len()
    }

    /// Reads what [`Rows::encode`] wrote from the front of `input`. XX001 when it does not add up.
    pub fn decode(input: &mut Bytes) -> Result<Self> {
        if input.len() < 4 {
            return Err(damaged("they are cut off"));
        }
        let length = input.get_u32_le() as usize;
        if input.len() < length {
            return Err(damaged("they are cut off"));
        }
        let ipc = input.split_to(length);
        Ok(Rows { batch: read(&ipc)?, ipc })
    }
}

fn damaged(why: &str) -> Error {
    Error::new(Kind::DataCorrupted, format!("a log frame holds rows of a table that cannot be read: {why}"))
}

fn read(ipc: &Bytes) -> Result<RecordBatch> {
    let mut rest = Buffer::from(ipc.clone());
    let mut decoder = StreamDecoder::new();
    let batch = decoder.decode(&mut rest).map_err(|error| damaged(&error.to_string()))?;
    batch.ok_or_else(|| damaged("there is no batch"))
}

/// A batch whose views of text let go of the buffers that they point into, which may be far larger than what they show.
pub fn compact(batch: &RecordBatch) -> Result<RecordBatch> {
    let columns = batch.columns().iter().map(compact_column).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(batch.schema(), columns, &options).map_err(Error::internal)
}

fn compact_column(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Utf8View => Arc::new(column.as_string_view().gc()),
        DataType::BinaryView => Arc::new(column.as_binary_view().gc()),
        _ => Arc::clone(column),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Decimal128Array, Int64Array, StringViewArray};

    fn batch() -> RecordBatch {
        let long = "a text that does not fit into a view";
        let columns: [(&str, ArrayRef); 3] = [
            ("a", Arc::new(Int64Array::from(vec![Some(1), None, Some(3)]))),
            ("b", Arc::new(StringViewArray::from(vec![Some(long), Some("x"), None]))),
            ("c", Arc::new(Decimal128Array::from(vec![Some(1), Some(2), None]))),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap()
    }

    #[test]
    fn rows_are_given_back_and_damage_is_told() {
        let rows = Rows::new(&batch().schema(), &[batch(), batch().slice(1, 1)]).unwrap();
        assert_eq!(rows.batch(), &concat_batches(&batch().schema(), &[batch(), batch().slice(1, 1)]).unwrap());
        let mut out = BytesMut::new();
        rows.encode(&mut out);
        assert_eq!(out.len(), rows.encoded_len());
        let whole = out.freeze();
        let mut input = whole.clone();
        assert_eq!(Rows::decode(&mut input).unwrap(), rows);
        assert!(input.is_empty());
        for cut in 0..whole.len() {
            assert!(Rows::decode(&mut whole.slice(..cut)).is_err(), "{cut}");
        }
    }

    #[test]
    fn a_slice_takes_no_more_memory_than_its_rows() {
        let long = "x".repeat(100_000);
        let texts = StringViewArray::from(vec![long.as_str(), "a text that does not fit into a view"]);
        let batch = RecordBatch::try_from_iter([("a", Arc::new(texts) as ArrayRef)]).unwrap().slice(1, 1);
        assert!(Rows::new(&batch.schema(), &[compact(&batch).unwrap()]).unwrap().bytes() < 3000);
    }

    #[test]
    fn a_table_without_rows_or_columns_is_no_exception() {
        let schema = batch().schema();
        assert_eq!(Rows::new(&schema, &[]).unwrap().batch().num_rows(), 0);
    }
}
