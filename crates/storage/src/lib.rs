//! What lies on disk and in object stores. Owns the [`DataDir`] (its lock, format version and places), the write-ahead
//! log [`Wal`], the [`StateStore`] of what has been applied from it, the object [`Stores`], and the points at which a
//! test makes them fail. Knows nothing of what is kept.

mod datadir;
pub mod fault;
mod objects;
mod state;
mod wal;

pub use datadir::{DataDir, FORMAT_VERSION};
pub use objects::{
    BucketAccess, DurableLocal, DynamoPage, DynamoTable, Egress, Encryption, Place, S3Access, Stores, object_error,
};
pub use state::StateStore;
pub use wal::{Frame, WAL_FILE_BYTES_MAX, WAL_FRAME_BYTES_MAX, Wal};
