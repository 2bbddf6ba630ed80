//! COPY jobs: what was asked, and the ledger of the objects that each has loaded.

use crate::object::Oid;
use serde::{Deserialize, Serialize};

/// A COPY that is run again for objects that are new.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CopyJob {
    /// Its number.
    pub oid: Oid,
    /// Its name.
    pub name: String,
    /// Counts its changes.
    pub revision: u64,
    /// When it was made, in milliseconds of the Unix epoch.
    pub created_ms: i64,
    /// Who made it: it runs with their rights.
    pub owner: String,
    /// The COPY statement, without its JOB clause.
    pub query: String,
    /// Where its objects are.
    pub source: String,
    /// search_path when it was made.
    pub search_path: String,
    /// It runs by itself.
    pub auto: bool,
}

/// An object that a COPY job has loaded. Its name is unique for the job, so that a second load of it cannot commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CopiedObject {
    /// Its number.
    pub oid: Oid,
    /// The job.
    pub job: Oid,
    /// The object's URL.
    pub name: String,
    /// Always 1.
    pub revision: u64,
}
