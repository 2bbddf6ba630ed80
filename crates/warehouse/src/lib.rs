//! The warehouse: managed tables, COPY, UNLOAD, and the export that other engines read.

mod delta;

pub use delta::DeltaLog;
