//! The warehouse: managed tables, COPY, UNLOAD, DML, and the export that other engines read.
//!
//! Owns the files of tables and how statements change them. Which files a table has is the catalog's; how a file is read
//! and written is `query::formats`'.
//!
//! 1. Rows go into [`sink::FileSink`]: Parquet under names that nobody lists yet.
//! 2. UPDATE and DELETE rewrite the files that hold touched rows ([`dml`]).
//! 3. COPY and UNLOAD move files in and out, all or nothing. Where there are workers, both are cut into chunks
//!    that any node does ([`CopyWork`], [`UnloadWork`]).
//! 4. The session's transaction takes the changes, and its commit is one frame.
//! 5. The frame carries the bytes of the table's next Delta version ([`DeltaLog`]), written before the client hears.
//!
//! Specified by `tests/slt/warehouse`.

pub mod alter;
mod copy;
mod copy_chunk;
pub mod ddl;
mod delta;
pub mod dml;
mod load;
mod rename;
mod row_scan;
mod service;
pub mod sink;
pub mod system;
mod table;
mod table_def;
pub mod unload;
mod unload_chunk;

pub use copy_chunk::CopyWork;
pub use delta::DeltaLog;
pub use service::Warehouse;
pub use unload_chunk::UnloadWork;
