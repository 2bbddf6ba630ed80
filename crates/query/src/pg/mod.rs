//! Postgres' system catalogs over a [`PgSnapshot`], for clients that look around before they ask.
//!
//! 1. [`pg_catalog`] and [`information_schema`] are the schemas. Shapes are those of Postgres 15, in `shapes.txt`;
//!    rows come from the snapshot, from exports of what is the same everywhere, or there are none.
//! 2. [`functions`] are the scalar functions that catalog queries call.
//! 3. [`rewrite`] turns what Postgres alone understands into what the engine can plan.
//!
//! Refuses to know the catalog itself: the snapshot is all it sees.

mod acl;
mod activity;
mod cell;
mod depends;
mod fixed;
mod functions;
mod indexes;
mod information;
mod names;
mod policies;
mod provider;
mod relations;
mod rewrite;
mod shape;
mod snapshot;
#[cfg(test)]
mod tests;
mod types;

pub use functions::functions;
pub use provider::{information_schema, pg_catalog};
pub use rewrite::{build, plain_name, rewrite};
pub use snapshot::{PgColumn, PgConstraint, PgFunction, PgRelation, PgRole, PgSchema, PgSnapshot};
