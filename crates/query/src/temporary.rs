//! Temporary tables: those of a schema that belongs to one session, and that goes with it.
//!
//! They are tables like all others, so that transactions, DML and plans know nothing of them; only the lookup of names
//! does. As in Postgres the schema is `pg_temp_N`, its owner calls it `pg_temp`, it comes first where a bare name is
//! looked up, and it is never where one is created.

use crate::access::Need;
use crate::scope::Scope;
use crate::work::Work;
use tidegate_catalog::{Catalog, Change, Guarded, Rights, Schema, Space, State};
use tidegate_core::{Error, Kind, Result};

/// What a session calls its own temporary schema.
pub const ALIAS: &str = "pg_temp";
/// What the names of all of them begin with.
const PREFIX: &str = "pg_temp_";

/// The name of a session's temporary schema.
pub fn schema_of(pid: i32) -> String {
    format!("{PREFIX}{pid}")
}

/// Whether a schema is a session's.
pub fn is_temporary(schema: &str) -> bool {
    schema.starts_with(PREFIX)
}

/// The parts of the name that a new temporary table or view gets; its schema is made if it is not there. 42P16 for a name in
/// another schema.
pub fn place(work: &mut Work<'_>, parts: &[String]) -> Result<Vec<String>> {
    let schema = schema_of(work.scope.pid);
    let name = match parts {
        [name] => name,
        [given, name] if *given == ALIAS || *given == schema => name,
        _ => {
            let message = "cannot create temporary relation in non-temporary schema";
            return Err(Error::new(Kind::InvalidDefinition, message));
        }
    };
    work.scope.require(&Guarded::Database, Need::All(Rights::TEMPORARY))?;
    if work.state().find(Space::Schema, &schema).is_none() {
        let oid = work.engine().catalog().next_oid()?;
        work.push(vec![Change::put(Schema {
            oid,
            name: schema.clone(),
            revision: 1,
            owner: work.user_oid(),
            source: None,
            quota_mb: None,
        })])?;
        work.scope.search_path.insert(0, schema.clone());
    }
    Ok(vec![schema, name.clone()])
}

impl Scope {
    /// The same scope for what outlives the session, such as a view.
    pub fn lasting(&self) -> Scope {
        let search_path = self.search_path.iter().filter(|schema| !is_temporary(schema)).cloned().collect();
        Scope { search_path, pid: 0, ..self.clone() }
    }
}

/// Drops a session's temporary tables, and the schema.
pub async fn drop_of(catalog: &Catalog, pid: i32) -> Result<()> {
    drop_where(catalog, |schema| schema.name == schema_of(pid)).await
}

/// Drops what sessions left behind that a crash has ended.
pub async fn drop_left_over(catalog: &Catalog) -> Result<()> {
    drop_where(catalog, |schema| is_temporary(&schema.name)).await
}

async fn drop_where(catalog: &Catalog, which: impl Fn(&Schema) -> bool) -> Result<()> {
    catalog.commit_newest(|state| drops(state, &which)).await.map(drop)
}

/// Tables before their schemas.
fn drops(state: &State, which: impl Fn(&Schema) -> bool) -> Vec<Change> {
    let schemas = || state.all::<Schema>().filter(|schema| which(schema));
    let inside = |relation: &&tidegate_catalog::Relation| schemas().any(|schema| schema.oid == relation.schema);
    let tables = state.relations().filter(inside).map(|one| Change::Drop { oid: one.oid, revision: one.revision });
    let all = tables.chain(schemas().map(|one| Change::Drop { oid: one.oid, revision: one.revision }));
    all.collect()
}
