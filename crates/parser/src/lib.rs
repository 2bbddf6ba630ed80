//! The SQL front: a script becomes pieces, a piece becomes a statement. sqlparser only; nothing here knows a catalog.
//!
//! - [`split`] cuts a script at its semicolons. Each [`Piece`] knows its text and its place in the script.
//! - [`parse`] reads one piece, so that an error in the third statement does not keep the first two from running.
//!   [`parse_one`] and [`parse_query`] read text that must be one statement or one query.
//! - [`Statement`] is what comes out: our own statements as plain structs, the rest as sqlparser's tree.
//! - Errors are worded as Postgres does, with the character in the script.
//! - [`fold`] and [`name_parts`] read identifiers as Postgres does.
//!
//! An unknown clause is refused by its name (0A000); what is accepted and means nothing is listed in `no_ops`.
//! Passwords and keys never reach a debug print, an error or [`Piece::redacted_text`].
//!
//! A path in quotes at a table's place (`FROM 's3://…'`) is an identifier whose quote is `'`: [`path_of`].

mod alter_table;
mod batch;
mod cluster;
mod column;
mod column_option;
mod consume;
mod continuous;
mod copy;
mod copy_job;
mod copy_options;
mod create_table;
mod credential;
mod cursor;
mod default_privileges;
mod delivery;
mod depth;
mod dialect;
mod dml;
mod external_schema;
mod external_table;
mod fault;
mod grant;
mod hive_type;
mod ident;
mod move_cursor;
mod options;
mod owner;
mod partiql;
mod piece;
mod rewrite;
mod row_format;
mod schema;
mod show;
mod split;
mod statement;
mod stream;
mod system;
mod tag;
#[cfg(test)]
mod tests_support;
mod unload;
mod unload_options;
mod upkeep;
mod user;
mod window;

pub use sqlparser::ast;

pub use alter_table::{AlterTable, TableChange};
pub use batch::{AlterJobQueue, CreateComputeEnvironment, CreateJobDefinition, CreateJobQueue, DropName};
pub use column::ColumnDef;
pub use column_option::ColumnAttribute;
pub use consume::Consume;
pub use continuous::{AlterMaterializedView, AlterPump, CreateMaterializedView, CreatePump, DropContinuous};
pub use copy::{Copy, CopyDirection, CopyLocation, CopySubject};
pub use copy_job::{CopyJobStatement, NewCopyJob};
pub use copy_options::{Compression, CopyFormat, CopyOptions, CredentialRef, Keys};
pub use create_table::{CreateTable, DistStyleWord, SortKeyClause, TableAttributes, only_one_dist_key};
pub use credential::{CreateCredential, DropCredential};
pub use default_privileges::{AlterDefaultPrivileges, MadeObjects};
pub use delivery::{AlterDelivery, CreateDelivery, DropDelivery, Target};
pub use dialect::{DIALECT, TidegateDialect};
pub use dml::{NOTHING, REMOVE_DUPLICATES, Written, changed, written};
pub use external_schema::CreateExternalSchema;
pub use external_table::{AddPartitions, CreateExternalTable, Partition};
pub use grant::{FunctionName, Grant, Granted, GrantedOn, RightName, RoleName};
pub use ident::{fold, name_parts, path_of, quoted};
pub use move_cursor::Move;
pub use options::Options;
pub use owner::{AlterOwner, Owned};
pub use partiql::{ITEMS_OF, MEMBERS_OF};
pub use piece::{Piece, redacted};
pub use row_format::RowFormat;
pub use schema::{AlterSchema, CreateSchema};
pub use split::split;
pub use statement::{Statement, parse, parse_expression, parse_one, parse_query};
pub use stream::{AlterStream, AlterStreamAction, CreateStream, DropStream};
pub use system::AlterSystem;
pub use unload::Unload;
pub use unload_options::{UnloadEncryption, UnloadOptions};
pub use upkeep::{Analyze, Vacuum, VacuumMode};
pub use user::{AlterUser, CreateUser, DropUser, UserOptions};
pub use window::{WindowClause, windows_of};
