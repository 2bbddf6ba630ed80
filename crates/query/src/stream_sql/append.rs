//! Rows put into a stream: each becomes a record, keyed and hashed.

use super::codec;
use crate::engine::Engine;
use crate::insert::column_index;
use crate::service::TableSink;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use async_trait::async_trait;
use bytes::Bytes;
use std::fmt::Write;
use tidegate_catalog::{APPEND_BYTES_MAX, Change, Column, RecordsBuilder, Relation, RelationKind, SqlType, StreamSpec};
use tidegate_core::{Error, Kind, Result, Rng};
use tidegate_stream::{append_of, hash_of};

/// Bytes of one record's data, as in Kinesis.
const RECORD_BYTES_MAX: usize = 10 << 20;

/// The relation as rows are put into it: a stream of plain bytes takes a key and data.
pub fn insertable(relation: &Relation) -> Relation {
    let mut relation = relation.clone();
    if let RelationKind::Stream(spec) = &relation.kind
        && spec.format.is_none()
    {
        relation.columns = vec![Column::new("partition_key", SqlType::Text), Column::new("data", SqlType::Bytea)];
    }
    relation
}

/// Collects the records of a statement; they join the transaction together.
pub struct StreamSink {
    relation: Relation,
    spec: StreamSpec,
    keys: Vec<usize>,
    rng: Rng,
    builder: RecordsBuilder,
    hashes: Vec<u128>,
    full: Vec<Change>,
}

impl StreamSink {
    /// For a stream.
    pub fn new(engine: &Engine, relation: &Relation, spec: &StreamSpec) -> Result<Self> {
        let keys = spec.partition_key.iter().map(|name| column_index(relation, name)).collect::<Result<_>>()?;
        let (builder, hashes, full) = (RecordsBuilder::default(), Vec::new(), Vec::new());
        Ok(StreamSink {
            relation: relation.clone(),
            spec: spec.clone(),
            keys,
            rng: engine.rng().clone(),
            builder,
            hashes,
            full,
        })
    }

    fn take(&mut self) {
        let builder = std::mem::take(&mut self.builder);
        let hashes = std::mem::take(&mut self.hashes);
        if !builder.is_empty() {
            self.full.push(Change::Append(append_of(self.relation.oid, builder, hashes, false)));
        }
    }

    fn push(&mut self, key: &str, data: &[u8]) -> Result<()> {
        if data.len() > RECORD_BYTES_MAX {
            let message = format!(
                "a record of stream \"{}\" has {} bytes; {RECORD_BYTES_MAX} are allowed",
                self.relation.name,
                data.len()
            );
            return Err(Error::new(Kind::ProgramLimit, message));
        }
        if self.builder.bytes() + key.len() + data.len() > APPEND_BYTES_MAX / 8 {
            self.take();
        }
        self.hashes.push(hash_of(key));
        self.builder.push(key, data)
    }

    /// A stream without columns: the key and the data are the row.
    fn write_plain(&mut self, batch: &RecordBatch) -> Result<()> {
        let missing = || Error::internal("a plain stream takes a key and data");
        let keys = batch.column(0).as_string_view_opt().ok_or_else(missing)?;
        let data = batch.columns().get(1).and_then(|column| column.as_binary_opt::<i32>()).ok_or_else(missing)?;
        for row in 0..batch.num_rows() {
            let data = if data.is_null(row) { &[] } else { data.value(row) };
            if keys.is_null(row) {
                let key = self.rng.uuid();
                self.push(&key, data)?;
            } else {
                self.push(keys.value(row), data)?;
            }
        }
        Ok(())
    }

    fn write_typed(&mut self, batch: &RecordBatch) -> Result<()> {
        let records: Vec<Bytes> = codec::encode(&self.relation, &self.spec, batch)?;
        let columns: Vec<ArrayRef> =
            self.keys.iter().filter_map(|index| batch.columns().get(*index).cloned()).collect();
        let options = FormatOptions::default();
        let formatters = columns.iter().map(|column| ArrayFormatter::try_new(column, &options));
        let formatters = formatters.collect::<Result<Vec<_>, _>>().map_err(Error::internal)?;
        let mut key = String::new();
        for (row, data) in records.iter().enumerate() {
            key.clear();
            for (nth, formatter) in formatters.iter().enumerate() {
                let comma = if nth > 0 { "," } else { "" };
                write!(key, "{comma}{}", formatter.value(row)).map_err(Error::internal)?;
            }
            if key.is_empty() {
                key = self.rng.uuid();
            }
            self.push(&key, data)?;
        }
        Ok(())
    }
}

#[async_trait]
impl TableSink for StreamSink {
    async fn write(&mut self, batch: RecordBatch) -> Result<()> {
        match self.spec.format {
            Some(_) => self.write_typed(&batch),
            None => self.write_plain(&batch),
        }
    }

    async fn finish(mut self: Box<Self>) -> Result<Vec<Change>> {
        self.take();
        Ok(self.full)
    }

    async fn abort(self: Box<Self>) {}
}
