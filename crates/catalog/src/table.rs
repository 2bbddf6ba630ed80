//! The files of a managed table, and the versions of its export that are still to be written.

use imbl::OrdMap;
use serde::{Deserialize, Serialize};
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
}

/// What a table consists of at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TableFiles {
    /// By number.
    pub files: OrdMap<u64, Arc<DataFile>>,
    /// Commits so far: the next version of the Delta log.
    pub version: u64,
    /// Of each IDENTITY column, by its name in the files: how many numbers it has used up.
    pub counted: OrdMap<String, u64>,
    /// Versions of the Delta log not known to be written yet, by number: the exact bytes.
    pub outbox: OrdMap<u64, Arc<str>>,
}

impl TableFiles {
    /// Rows of all files.
    pub fn rows(&self) -> u64 {
        self.files.values().map(|file| file.rows).sum()
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.values().map(|file| file.bytes).sum()
    }
}
