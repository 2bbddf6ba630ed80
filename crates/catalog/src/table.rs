//! The parts of a managed table (its files, and the rows of its tail), and the versions of its export that are still to
//! be written.

use arrow::array::RecordBatch;
use imbl::OrdMap;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A Parquet file of a managed table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFile {
    /// Its number, unique in the server.
    pub id: u64,
    /// Its name below the table's location.
    pub path: String,
    /// Its rows.
    pub rows: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was written, in milliseconds of the Unix epoch.
    pub created_ms: i64,
    /// The frame that added its rows to the table; the last of them where several did. Set when it joins the table.
    #[serde(default)]
    pub added: u64,
    /// What is known of its columns: the `stats` of its entry in the Delta log, which see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats: Option<Arc<str>>,
    /// The sort key in whose order its rows are, if they are in any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sorted_by: Option<Arc<str>>,
}

impl DataFile {
    /// A file that nothing is known of but its size.
    pub fn new(id: u64, path: impl Into<String>, rows: u64, bytes: u64, created_ms: i64) -> Self {
        DataFile { id, path: path.into(), rows, bytes, created_ms, added: 0, stats: None, sorted_by: None }
    }
}

/// A file that a table has let go of. It stays on the disk for a while, for who reads an older version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoneFile {
    /// Its name below the table's location.
    pub path: String,
    /// The frame that let go of it.
    pub position: u64,
    /// When that was, in milliseconds of the Unix epoch.
    pub since_ms: i64,
}

/// Rows of a table that lie in the log and in memory, as one statement put them in.
#[derive(Debug, Clone, PartialEq)]
pub struct TailRows {
    /// Their number, unique in the server among those of files too.
    pub id: u64,
    /// The frame that holds them.
    pub added: u64,
    /// When they came, in milliseconds of the Unix epoch.
    pub arrival_ms: i64,
    /// The rows; columns as they were then.
    pub batch: RecordBatch,
    /// The memory that they take.
    pub bytes: usize,
}

/// Some rows of a table, and where they lie.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// In a file.
    File(Arc<DataFile>),
    /// In the tail.
    Tail(Arc<TailRows>),
}

impl Part {
    /// Its number.
    pub fn id(&self) -> u64 {
        match self {
            Part::File(file) => file.id,
            Part::Tail(rows) => rows.id,
        }
    }

    /// How many.
    pub fn rows(&self) -> u64 {
        match self {
            Part::File(file) => file.rows,
            Part::Tail(rows) => rows.batch.num_rows() as u64,
        }
    }

    /// The frame that added them: whoever sees the state of that position sees all of them.
    pub fn added(&self) -> u64 {
        match self {
            Part::File(file) => file.added,
            Part::Tail(rows) => rows.added,
        }
    }
}

/// What ANALYZE found of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Analysis {
    /// When, in milliseconds of the Unix epoch.
    pub at_ms: i64,
    /// The table's rows.
    pub rows: u64,
    /// [`TableFiles::changed`] as it was.
    pub changed: u64,
    /// How many different values a column has, roughly, by its name in files.
    pub distinct: BTreeMap<String, u64>,
}

/// What a table consists of at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TableFiles {
    /// By number.
    pub files: OrdMap<u64, Arc<DataFile>>,
    /// Rows that are in no file yet, by number.
    pub tail: OrdMap<u64, Arc<TailRows>>,
    /// Memory that they take.
    pub(crate) tail_bytes: usize,
    /// Files that it has let go of and that are still on the disk, by number.
    pub gone: OrdMap<u64, Arc<GoneFile>>,
    /// What ANALYZE found, if it ever ran.
    pub analysis: Option<Arc<Analysis>>,
    /// Rows that have been added or removed so far.
    pub changed: u64,
    /// The last frame that removed rows from it, of those since the server's start.
    pub removed: u64,
    /// Commits so far: the next version of the Delta log.
    pub version: u64,
    /// Of each IDENTITY column, by its name in the files: how many numbers it has used up.
    pub counted: OrdMap<String, u64>,
    /// Versions of the Delta log not known to be written yet, by number: the exact bytes.
    pub outbox: OrdMap<u64, Arc<str>>,
}

impl TableFiles {
    /// Rows of all parts.
    pub fn rows(&self) -> u64 {
        self.files.values().map(|file| file.rows).sum::<u64>() + self.tail_rows()
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.values().map(|file| file.bytes).sum()
    }

    /// Rows of the tail.
    pub fn tail_rows(&self) -> u64 {
        self.tail.values().map(|rows| rows.batch.num_rows() as u64).sum()
    }

    /// Memory of the tail.
    pub fn tail_bytes(&self) -> usize {
        self.tail_bytes
    }

    /// Files, then the tail; each by number.
    pub fn parts(&self) -> impl Iterator<Item = Part> + '_ {
        let files = self.files.values().map(|file| Part::File(Arc::clone(file)));
        files.chain(self.tail.values().map(|rows| Part::Tail(Arc::clone(rows))))
    }

    /// Whether a part of this number is the table's.
    pub fn has(&self, part: u64) -> bool {
        self.files.contains_key(&part) || self.tail.contains_key(&part)
    }

    /// The rows that this shows, which stands on `base` of some position, in the parts that hold them in `newest`. What
    /// was added on top of `base` stays as it is.
    pub(crate) fn laid_out_as(&self, newest: &TableFiles, base: &TableFiles, position: u64) -> TableFiles {
        let own = self.parts().filter(|part| !base.has(part.id()));
        let seen = newest.parts().filter(|part| part.added() <= position);
        let mut laid = TableFiles { files: OrdMap::new(), tail: OrdMap::new(), tail_bytes: 0, ..self.clone() };
        for part in own.chain(seen) {
            match part {
                Part::File(file) => drop(laid.files.insert(file.id, file)),
                Part::Tail(rows) => {
                    laid.tail_bytes += rows.bytes;
                    laid.tail.insert(rows.id, rows);
                }
            }
        }
        laid
    }

    /// Puts rows into the tail.
    pub(crate) fn add_rows(&mut self, rows: TailRows) {
        self.tail_bytes += rows.bytes;
        self.tail.insert(rows.id, Arc::new(rows));
    }

    /// Takes a part away, by a frame of this position and time; gives the frame that added it.
    pub(crate) fn remove(&mut self, part: u64, position: u64, since_ms: i64) -> Option<u64> {
        if let Some(file) = self.files.remove(&part) {
            self.gone.insert(part, Arc::new(GoneFile { path: file.path.clone(), position, since_ms }));
            return Some(file.added);
        }
        let rows = self.tail.remove(&part)?;
        self.tail_bytes -= rows.bytes;
        Some(rows.added)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(files: &[(u64, u64)]) -> TableFiles {
        let file =
            |(id, added): &(u64, u64)| (*id, Arc::new(DataFile { added: *added, ..DataFile::new(*id, "", 1, 1, 0) }));
        TableFiles { files: files.iter().map(file).collect(), ..TableFiles::default() }
    }

    #[test]
    fn a_view_takes_a_new_layout_of_what_it_sees() {
        let base = table(&[(1, 5), (2, 6)]);
        // It has added file 9; meanwhile 1 and 2 were put together, and somebody has added 4.
        let view = table(&[(1, 5), (2, 6), (9, 7)]);
        let newest = table(&[(3, 6), (4, 8)]);
        let laid = view.laid_out_as(&newest, &base, 7);
        assert_eq!(laid.files.keys().copied().collect::<Vec<_>>(), [3, 9]);
    }
}
