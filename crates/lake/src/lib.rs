//! The lake: files that lie where they are, as tables.
//!
//! Owns external tables, paths in quotes at a table's place, the credentials by which both are reached, and the
//! statements about settings. Refuses to write: rows of an external table are changed by
//! whoever makes its files.
//!
//! 1. CREATE EXTERNAL TABLE reads its clauses as properties with Hive's names, and infers columns that are left out.
//! 2. A query asks for the table's [`provider`](LakeService), which lists nothing yet.
//! 3. Planned, it lists the location (folders that a filter on partition columns rules out are not entered), reads
//!    footers through the runtime's caches, and becomes one scan for each compression.
//! 4. `FROM 's3://…'` is a table made on the spot: the format told by the files' endings, the columns inferred.
//!
//! Specified by `tests/slt/lake`.

mod credential;
mod ddl;
mod format;
mod inferred;
mod location;
mod path;
mod refuse;
mod setting;
mod table;

pub use setting::restore_settings;

use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use datafusion::common::ScalarValue;
use std::sync::Arc;
use tidegate_catalog::{Relation, RelationKind};
use tidegate_core::Result;
use tidegate_parser::Statement;
use tidegate_query::{Outcome, Scope, Service, Work};

/// The lake as a service of the engine.
#[derive(Debug, Default)]
pub struct LakeService;

#[async_trait]
impl Service for LakeService {
    async fn provider(&self, scope: &Scope, relation: &Relation) -> Result<Option<Arc<dyn TableProvider>>> {
        match &relation.kind {
            RelationKind::External(spec) => Ok(Some(Arc::new(table::FilesTable::external(scope, relation, spec)?))),
            _ => Ok(None),
        }
    }

    async fn path(&self, scope: &Scope, url: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        // A table of the system that another service makes when it is scanned.
        if url.starts_with("pg_catalog.") {
            return Ok(None);
        }
        path::table(scope, url).await.map(|table| Some(Arc::new(table) as Arc<dyn TableProvider>))
    }

    async fn execute(&self, work: &mut Work<'_>, statement: &Statement, _: &[ScalarValue]) -> Result<Option<Outcome>> {
        let tag = match statement {
            Statement::CreateExternalTable(create) => ddl::create(work, create).await?,
            Statement::AddPartitions(add) => ddl::add_partitions(work, add)?,
            Statement::CreateCredential(create) => credential::create(work, create)?,
            Statement::DropCredential(drop) => credential::drop(work, drop)?,
            Statement::AlterSystem(alter) => setting::alter(work, alter)?,
            Statement::Sql(sql) => {
                refuse::changes(work, sql)?;
                return Ok(None);
            }
            _ => return Ok(None),
        };
        Ok(Some(Outcome::Done { tag: tag.to_string() }))
    }
}
