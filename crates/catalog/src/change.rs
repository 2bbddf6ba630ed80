//! Changes: what a transaction asks for, and how a frame of the log holds them.
//!
//! A frame is the length of a JSON text, that text, and the bytes of the appended records and of tables' rows in the
//! order in which the text names them.

use crate::object::{Object, Oid};
use crate::records::Records;
use crate::rows::Rows;
use crate::shard::{Segment, ShardSpec};
use crate::table::{Analysis, DataFile};
use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};

/// One change of the state. Those of a transaction happen together or not at all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Change {
    /// Makes an object (revision 1) or replaces the one of the revision before.
    Put(Arc<Object>),
    /// Removes an object as of this revision, with all that belongs to it.
    Drop {
        /// Which.
        oid: Oid,
        /// The revision that was seen.
        revision: u64,
    },
    /// Gives a new stream its shards.
    AddShards {
        /// The stream.
        stream: Oid,
        /// Its shards.
        shards: Vec<ShardSpec>,
    },
    /// Adds files to a table.
    AddFiles {
        /// The table.
        table: Oid,
        /// The files.
        files: Vec<DataFile>,
    },
    /// Adds rows to a table's tail.
    AddRows(AddedRows),
    /// Removes files, and rows of the tail, from a table, as of a definition of it.
    RemoveFiles {
        /// The table.
        table: Oid,
        /// The table's revision that was seen.
        revision: u64,
        /// The numbers of files, and of what was put into the tail.
        files: Vec<u64>,
    },
    /// Files take the place of parts of a table that hold the same rows: what flush and compaction do.
    Rewrite {
        /// The table.
        table: Oid,
        /// The numbers of files, and of what was put into the tail.
        parts: Vec<u64>,
        /// The files.
        files: Vec<DataFile>,
    },
    /// Rows that come next were made for a table that had so many columns, those included that had been dropped. Not kept:
    /// it is asked when the transaction commits.
    #[serde(skip)]
    MadeFor {
        /// The table.
        table: Oid,
        /// [`Relation::columns_made`](crate::Relation::columns_made), as the transaction saw it.
        columns: usize,
    },
    /// Records to be put into a stream; the committer gives them shards and places.
    #[serde(skip)]
    Append(Append),
    /// Records as they were put into a shard.
    Appended(Appended),
    /// A segment takes the place of a part of a shard's tail.
    Seal {
        /// The stream.
        stream: Oid,
        /// The shard's number.
        shard: u32,
        /// The segment.
        segment: Segment,
    },
    /// Records before `oldest` are no longer kept.
    Trim {
        /// The stream.
        stream: Oid,
        /// The shard's number.
        shard: u32,
        /// Index of the oldest that is kept.
        oldest: u64,
    },
    /// An IDENTITY column has used up numbers.
    Counted {
        /// The table.
        table: Oid,
        /// The column's name in the table's files.
        column: String,
        /// How many, in all.
        taken: u64,
    },
    /// When the changes after it were made. The committer says so where it matters.
    At {
        /// In milliseconds of the Unix epoch.
        ms: i64,
    },
    /// What ANALYZE found.
    Analyzed {
        /// The table.
        table: Oid,
        /// What it found.
        analysis: Arc<Analysis>,
    },
    /// Files that a table had let go of are no longer on the disk.
    Forget {
        /// The table.
        table: Oid,
        /// The files' numbers.
        files: Vec<u64>,
    },
    /// A version of a table's Delta log is to be written with exactly these bytes.
    Export {
        /// The table.
        table: Oid,
        /// The version.
        version: u64,
        /// The bytes.
        text: Arc<str>,
    },
    /// Versions of a table's Delta log up to this one are written.
    Exported {
        /// The table.
        table: Oid,
        /// The last version that is written.
        version: u64,
    },
}

/// Records to be put into a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Append {
    /// The stream.
    pub stream: Oid,
    /// The hash of each record's key, or the one asked for.
    pub hashes: Arc<[u128]>,
    /// The records, as many as hashes.
    pub records: Records,
    /// Whether the caller wants to know each record's place.
    pub places: bool,
}

/// Records as they were put into a shard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Appended {
    /// The stream.
    pub stream: Oid,
    /// The shard's number.
    pub shard: u32,
    /// Index of the first.
    pub first: u64,
    /// When they came, in milliseconds of the Unix epoch.
    pub arrival_ms: i64,
    /// The records; in a frame they stand behind the text.
    #[serde(skip)]
    pub records: Option<Records>,
}

/// Rows for a table's tail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AddedRows {
    /// The table.
    pub table: Oid,
    /// Their number, given by the catalog.
    pub id: u64,
    /// When they came, in milliseconds of the Unix epoch.
    pub arrival_ms: i64,
    /// The rows; in a frame they stand behind the text.
    #[serde(skip)]
    pub rows: Option<Rows>,
}

/// Writes the changes of one transaction as a frame.
pub fn encode(changes: &[Change]) -> Result<Bytes> {
    let text = serde_json::to_vec(changes).map_err(Error::internal)?;
    let size = 4 + text.len() + changes.iter().map(Change::bytes_behind).sum::<usize>();
    let mut frame = BytesMut::with_capacity(size);
    frame.put_u32_le(u32::try_from(text.len()).map_err(|_| too_large())?);
    frame.put_slice(&text);
    changes.iter().for_each(|change| change.encode_behind(&mut frame));
    Ok(frame.freeze())
}

/// Reads what [`encode`] wrote. XX001 when it cannot.
pub fn decode(frame: &Bytes) -> Result<Vec<Change>> {
    let damaged = |why: &str| Error::new(Kind::DataCorrupted, format!("a log frame cannot be read: {why}"));
    let head: [u8; 4] = frame.get(..4).and_then(|four| four.try_into().ok()).ok_or_else(|| damaged("too short"))?;
    let end = 4 + u32::from_le_bytes(head) as usize;
    let text = frame.get(4..end).ok_or_else(|| damaged("its text is cut off"))?;
    let mut changes: Vec<Change> = serde_json::from_slice(text).map_err(|error| damaged(&error.to_string()))?;
    let mut rest = frame.slice(end..);
    for change in &mut changes {
        match change {
            Change::Appended(appended) => appended.records = Some(Records::decode(&mut rest)?),
            Change::AddRows(added) => added.rows = Some(Rows::decode(&mut rest)?),
            _ => {}
        }
    }
    Ok(changes)
}

impl Change {
    /// Bytes of what stands behind the text.
    fn bytes_behind(&self) -> usize {
        match self {
            Change::Appended(appended) => appended.records.as_ref().map_or(0, Records::encoded_len),
            Change::AddRows(added) => added.rows.as_ref().map_or(0, Rows::encoded_len),
            _ => 0,
        }
    }

    fn encode_behind(&self, frame: &mut BytesMut) {
        match self {
            Change::Appended(Appended { records: Some(records), .. }) => records.encode(frame),
            Change::AddRows(AddedRows { rows: Some(rows), .. }) => rows.encode(frame),
            _ => {}
        }
    }
}

fn too_large() -> Error {
    Error::new(Kind::ProgramLimit, "a transaction changes more than one log frame can hold")
        .hint("Do it in smaller transactions.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::RecordsBuilder;
    use arrow::array::{ArrayRef, Int64Array, RecordBatch};

    fn rows() -> Rows {
        let values: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
        let batch = RecordBatch::try_from_iter([("a", values)]).unwrap();
        Rows::new(&batch.schema(), &[batch]).unwrap()
    }

    #[test]
    fn a_frame_gives_back_its_changes() {
        let mut builder = RecordsBuilder::default();
        builder.push("k", b"{}").unwrap();
        let appended = |shard, records| {
            Change::Appended(Appended { stream: 1, shard, first: 9, arrival_ms: 5, records: Some(records) })
        };
        let changes = vec![
            appended(0, builder.finish()),
            Change::AddRows(AddedRows { table: 4, id: 5, arrival_ms: 6, rows: Some(rows()) }),
            Change::Drop { oid: 3, revision: 1 },
            appended(1, RecordsBuilder::default().finish()),
        ];
        let frame = encode(&changes).unwrap();
        assert_eq!(decode(&frame).unwrap(), changes);
        for cut in 0..frame.len() {
            assert!(decode(&frame.slice(..cut)).is_err(), "{cut}");
        }
    }
}
