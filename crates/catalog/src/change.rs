//! Changes: what a transaction asks for, and how a frame of the log holds them.
//!
//! A frame is the length of a JSON text, that text, and the bytes of the appended records in the order in which the
//! text names them.

use crate::object::{Object, Oid};
use crate::records::Records;
use crate::shard::{Segment, ShardSpec};
use crate::table::DataFile;
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
    /// Removes files from a table, as of a definition of it.
    RemoveFiles {
        /// The table.
        table: Oid,
        /// The table's revision that was seen.
        revision: u64,
        /// The files' numbers.
        files: Vec<u64>,
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

/// Writes the changes of one transaction as a frame.
pub fn encode(changes: &[Change]) -> Result<Bytes> {
    let text = serde_json::to_vec(changes).map_err(Error::internal)?;
    let appended = || {
        changes.iter().filter_map(|change| match change {
            Change::Appended(appended) => appended.records.as_ref(),
            _ => None,
        })
    };
    let size = 4 + text.len() + appended().map(Records::encoded_len).sum::<usize>();
    let mut frame = BytesMut::with_capacity(size);
    frame.put_u32_le(u32::try_from(text.len()).map_err(|_| too_large())?);
    frame.put_slice(&text);
    appended().for_each(|records| records.encode(&mut frame));
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
        if let Change::Appended(appended) = change {
            appended.records = Some(Records::decode(&mut rest)?);
        }
    }
    Ok(changes)
}

fn too_large() -> Error {
    Error::new(Kind::ProgramLimit, "a transaction changes more than one log frame can hold")
        .hint("Do it in smaller transactions.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::RecordsBuilder;

    #[test]
    fn a_frame_gives_back_its_changes() {
        let mut builder = RecordsBuilder::default();
        builder.push("k", b"{}").unwrap();
        let appended = |shard, records| {
            Change::Appended(Appended { stream: 1, shard, first: 9, arrival_ms: 5, records: Some(records) })
        };
        let changes = vec![
            appended(0, builder.finish()),
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
