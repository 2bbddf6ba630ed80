//! The warehouse as a service of the engine.

use crate::dml::table_spec;
use crate::keeper::Keeper;
use crate::load_log::{self, Loads};
use crate::sink::FileSink;
use crate::table::ManagedTable;
use crate::{alter, copy, copy_job, ddl, dml, lock_tables, quota, system, unload, unload_log};
use arrow::datatypes::DataType;
use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use datafusion::common::ScalarValue;
use std::sync::{Arc, LazyLock};
use tidegate_catalog::{Relation, RelationKind, State, TableSpec, Transaction};
use tidegate_core::Result;
use tidegate_parser::{CopyDirection, CopyLocation, Statement, Vacuum, Written, ast, written};
use tidegate_query::history::HistoryStream;
use tidegate_query::service_table::argument;
use tidegate_query::system_table::{Cell, number, table, text};
use tidegate_query::{
    Described, Engine, Need, Outcome, Scope, Service, SystemTable, SystemView, TableSink, Work, require_superuser,
};

/// Managed tables, COPY and UNLOAD.
pub struct Warehouse {
    keeper: Keeper,
    loads: Loads,
}

impl Warehouse {
    /// With what looks after the tables.
    pub fn new(keeper: Keeper) -> Self {
        Warehouse { keeper, loads: Loads::default() }
    }

    async fn vacuum(&self, work: &mut Work<'_>, vacuum: &Vacuum) -> Result<()> {
        work.refuse_in_block("VACUUM")?;
        let table = match &vacuum.table {
            Some(name) => {
                let relation = work.relation(name, Need::Owner)?;
                table_spec(&relation)?;
                Some(relation.oid)
            }
            None => {
                require_superuser(&work.scope, "vacuum all tables")?;
                None
            }
        };
        self.keeper.vacuum(table, vacuum.mode, vacuum.percent).await?;
        work.engine().catalog().export_all().await;
        Ok(())
    }
}

#[async_trait]
impl Service for Warehouse {
    async fn provider(&self, scope: &Scope, relation: &Relation) -> Result<Option<Arc<dyn TableProvider>>> {
        match &relation.kind {
            RelationKind::Table(spec) => Ok(Some(Arc::new(ManagedTable::new(scope, relation, spec)?))),
            _ => Ok(None),
        }
    }

    fn scanned_tables(&self) -> &'static [(&'static str, &'static str)] {
        &[system::late_binding::NAME]
    }

    async fn path(&self, scope: &Scope, url: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let (schema, name) = system::late_binding::NAME;
        match argument(url, schema, name) {
            Some(_) => system::late_binding::provider(scope).await.map(Some),
            None => Ok(None),
        }
    }

    fn sink(&self, engine: &Engine, state: &State, relation: &Relation) -> Result<Option<Box<dyn TableSink>>> {
        match &relation.kind {
            RelationKind::Table(spec) => Ok(Some(Box::new(FileSink::new(engine, state, relation, spec)?))),
            _ => Ok(None),
        }
    }

    async fn execute(
        &self,
        work: &mut Work<'_>,
        statement: &Statement,
        values: &[ScalarValue],
    ) -> Result<Option<Outcome>> {
        let tag = match statement {
            Statement::Copy(copy) => match (&copy.location, copy.direction) {
                (CopyLocation::Url(url), CopyDirection::From) => {
                    if let Some(job) = &copy.options.job {
                        return copy_job::create(work, copy, url, job).await.map(Some);
                    }
                    return copy::copy_from(work, &self.loads, copy, url).await.map(Some);
                }
                _ => return Ok(None),
            },
            Statement::CopyJob(job) => return copy_job::execute(work, &self.loads, job).await.map(Some),
            Statement::CreateTable(create) => return ddl::create_table(work, create).await.map(Some),
            Statement::AlterTable(change) => match alter::change(work, change).await? {
                true => "ALTER TABLE".to_string(),
                false => return Ok(None),
            },
            Statement::Unload(unload) => return unload::unload(work, unload).await.map(Some),
            Statement::Vacuum(vacuum) => {
                self.vacuum(work, vacuum).await?;
                "VACUUM".to_string()
            }
            Statement::Analyze(analyze) => {
                let analyzed = crate::analyze::analyze(work, analyze).await?;
                if analyzed { "ANALYZE".to_string() } else { "ANALYZE SKIP".to_string() }
            }
            Statement::Sql(sql) => match sql.as_ref() {
                ast::Statement::AlterTable(change) => match alter::alter(work, change).await? {
                    true => "ALTER TABLE".to_string(),
                    false => return Ok(None),
                },
                ast::Statement::Truncate(truncate) => {
                    dml::truncate(work, truncate)?;
                    "TRUNCATE TABLE".to_string()
                }
                other => {
                    return match written(other) {
                        Some(written) => dml::execute(work, written, values).await,
                        None => Ok(None),
                    };
                }
            },
            _ => return Ok(None),
        };
        Ok(Some(Outcome::Done { tag }))
    }

    async fn checkpoint(&self) -> Result<()> {
        self.keeper.flush_all().await
    }

    async fn describe(&self, scope: &Scope, written: Written<'_>, told: &[Option<u32>]) -> Result<Option<Described>> {
        dml::describe(scope, written, told).await
    }

    fn system_tables(&self) -> Vec<SystemTable> {
        let (string, long) = (DataType::Utf8, DataType::Int64);
        let columns = [
            ("schema", string.clone()),
            ("name", string.clone()),
            ("location", string),
            ("version", long.clone()),
            ("files", long.clone()),
            ("bytes", long.clone()),
            ("rows", long.clone()),
            ("exports_waiting", long.clone()),
            ("tail_rows", long),
        ];
        let mut all = self.loads.system_tables();
        all.push(copy_job::system_table());
        all.extend(system::tables());
        all.push(table("tidegate", "tables", &columns, |state| tables(state).collect()));
        all.extend(lock_tables::all());
        all
    }

    async fn committing(&self, engine: &Engine, user: &str, pid: i32, transaction: &Transaction) -> Result<()> {
        quota::check(engine, user, pid, transaction).await
    }

    fn history(&self) -> &'static [HistoryStream] {
        static ALL: LazyLock<Vec<HistoryStream>> =
            LazyLock::new(|| [load_log::HISTORY, unload_log::HISTORY, quota::HISTORY].concat());
        &ALL
    }

    fn system_views(&self) -> &'static [SystemView] {
        static ALL: LazyLock<Vec<SystemView>> =
            LazyLock::new(|| [load_log::VIEWS, unload_log::VIEWS, quota::VIEWS].concat());
        &ALL
    }
}

fn tables(state: &State) -> impl Iterator<Item = Vec<Cell>> + '_ {
    let row = |relation: &Relation, spec: &TableSpec| {
        let files = state.files(relation.oid).cloned().unwrap_or_default();
        vec![
            text(state.schema_name(relation.schema)),
            text(&relation.name),
            text(&spec.location),
            // The last version of its Delta log.
            number(files.version.saturating_sub(1)),
            number(files.files.len() as u64),
            number(files.bytes()),
            number(files.rows()),
            number(files.outbox.len() as u64),
            number(files.tail_rows()),
        ]
    };
    state.relations().filter_map(move |relation| match &relation.kind {
        RelationKind::Table(spec) => Some(row(relation, spec)),
        _ => None,
    })
}
