//! The warehouse: managed tables, COPY, UNLOAD, DML, and the export that other engines read.
//!
//! Owns the files of tables and how statements change them. Which files a table has is the catalog's; how a file is read
//! and written is `query::formats`'.
//!
//! 1. Rows go into [`sink::FileSink`]: few of them into the table's tail, which the log holds; many into Parquet under
//!    names that nobody lists yet. The [`Keeper`] turns tails into files.
//!    Files are in the order of the table's sort key.
//! 2. UPDATE, DELETE and MERGE are queries for the touched rows, whose files are written anew ([`dml`]).
//! 3. COPY and UNLOAD move files in and out, all or nothing. Where there are workers, both are cut into chunks
//!    that any node does ([`CopyWork`], [`UnloadWork`]).
//! 4. The session's transaction takes the changes, and its commit is one frame.
//! 5. The frame carries the bytes of the table's next Delta version ([`DeltaLog`]), written before the client hears.
//!
//! Specified by `tests/slt/warehouse`.

pub mod alter;
mod analyze;
mod assign;
mod checkpoint;
mod compaction;
mod copy;
mod copy_chunk;
mod copy_files;
mod copy_job;
mod copy_plan;
pub mod ddl;
mod defaults;
mod delta;
mod delta_stats;
pub mod dml;
mod dynamo;
mod few;
mod keeper;
mod lanes;
mod load;
mod load_log;
mod lock_tables;
mod merge;
mod places;
mod quota;
mod rename;
mod rewrite;
mod rights;
mod service;
pub mod sink;
mod sort_key;
mod sortedness;
mod sorter;
pub mod system;
mod table;
mod table_def;
mod touched;
pub mod unload;
mod unload_attempt;
mod unload_chunk;
mod unload_files;
mod unload_form;
mod unload_log;
mod unload_manifest;
mod unload_target;
mod z_order;

pub use copy_chunk::CopyWork;
pub use copy_job::keep_running as run_copy_jobs;
pub use delta::DeltaLog;
pub use keeper::Keeper;
pub use service::Warehouse;
pub use unload_attempt::recover as recover_unloads;
pub use unload_chunk::UnloadWork;
