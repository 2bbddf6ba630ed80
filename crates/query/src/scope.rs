//! What a statement sees: one version of the state, and the names in it as the session looks them up.
//!
//! The engine's default schema is none of the user's: a bare name is looked up there along the search path.

use crate::access::ReadableColumns;
use crate::datetime::Reading;
use crate::engine::{DATABASE, Engine};
use crate::fault::carried;
use crate::history;
use crate::last::Last;
use crate::notify::Outbox;
use crate::outcome::Notice;
use crate::pg;
use crate::planner::Planner;
use crate::returning::RETURNED;
use crate::service::{SystemTable, SystemView};
use crate::temporary;
use crate::view;
use arrow::array::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, CatalogProviderList, MemTable, SchemaProvider, TableProvider};
use datafusion::datasource::ViewTable;
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::LogicalPlan;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use tidegate_catalog::{
    Column, HISTORY, HISTORY_SCHEMA, Object, Oid, PolicyCommand, Relation, RelationKind, Schema, SqlType, State,
    ViewUse,
};
use tidegate_core::{Error, Kind, Result};
use tokio::sync::mpsc;

/// The engine's name for the schema that stands for the search path.
pub const SEARCH_PATH: &str = "$search_path";
/// The schema of Postgres' and Redshift's own tables, which come first on every path.
const PG_CATALOG: &str = "pg_catalog";
/// The name under which DML finds the table that it changes, each row with its place.
pub const TARGET: &str = "$target";
/// Views in views: deeper ones are refused.
const VIEW_DEPTH_MAX: usize = 32;

/// The part of a stream that is read.
#[derive(Debug, Clone)]
pub struct Consumed {
    /// The stream.
    pub stream: Oid,
    /// By shard, the index at which reading begins; a shard that is not named begins at its oldest record.
    pub from: Arc<BTreeMap<u32, u64>>,
    /// By shard, the index before which reading ends; None reads on to the end.
    pub upto: Option<Arc<BTreeMap<u32, u64>>>,
}

/// Rows that are in memory already, in the place of a stream's.
#[derive(Debug, Clone)]
pub struct StandIn {
    /// The stream.
    pub stream: Oid,
    /// Its rows, with its own columns and then the system columns, in as many parts as may run at one time.
    pub parts: Arc<Vec<Vec<RecordBatch>>>,
}

/// What a statement sees. Clones are cheap.
#[derive(Clone)]
pub struct Scope {
    /// The engine.
    pub engine: Engine,
    /// The version of the state, with the transaction's own changes.
    pub state: Arc<State>,
    /// Schemas in which bare names are looked up.
    pub search_path: Vec<String>,
    /// Who asks.
    pub user: String,
    /// Who has logged in, or taken that user's place by SET SESSION AUTHORIZATION.
    pub session_user: String,
    /// Inside a view: its owner, whose rights count there.
    pub acting: Option<Oid>,
    /// The session's number.
    pub pid: i32,
    /// The session's time zone.
    pub timezone: String,
    /// Parallelism; 0 lets the engine choose.
    pub partitions: usize,
    /// Bytes of memory that the statement may hold on this node; 0 is a share of what all may.
    pub memory_limit: usize,
    /// Name and value and description of all settings.
    pub settings: Arc<Vec<(String, String, String)>>,
    /// Whether streams show their system columns.
    pub system_columns: bool,
    /// For CONSUME and deliveries: the part of a stream that is read.
    pub consumed: Option<Consumed>,
    /// For continuous queries: the rows that have just come.
    pub stand_in: Option<StandIn>,
    /// Inside a view: what its names stand for.
    pub bound: Option<Arc<Vec<ViewUse>>>,
    /// For DML: the table that is changed, and how. By the name [`TARGET`] its rows show their places.
    pub places_of: Option<(Oid, PolicyCommand)>,
    /// For RETURNING the rows that were changed, for a policy those that it is asked about: by the name
    /// [`RETURNED`].
    pub returned: Option<Arc<dyn TableProvider>>,
    /// Inside a policy: the relations whose policies have been opened to get here.
    pub guarding: Arc<BTreeSet<Oid>>,
    /// For refreshes of views over tables: by table, the frames of the log whose rows are read, after the first and up to
    /// the second; all of a table that is not named.
    pub spans: Arc<BTreeMap<Oid, (u64, u64)>>,
    /// Bytes of a scan from which on another task is worth it, on another node; None: this node works alone.
    pub task_bytes: Option<usize>,
    /// How many views have been opened to get here.
    pub depth: usize,
    /// Whether the streams of the history are found: in views of the system.
    pub history: bool,
    /// What the session did last.
    pub last: Arc<Last>,
    /// What the session's transaction sends when it commits.
    pub outbox: Arc<Outbox>,
    /// Takes what the client is told while the statement runs.
    pub live: Option<mpsc::Sender<Notice>>,
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("position", &self.state.position).finish_non_exhaustive()
    }
}

impl Scope {
    /// How the session reads texts of dates and times.
    pub fn reading(&self) -> Result<Reading> {
        Reading::new(&self.timezone, Some(self.engine.clock().now_us()))
    }

    /// The relation of a name as Postgres looks it up.
    pub fn find(&self, schema: Option<&str>, name: &str) -> Option<&Relation> {
        if let Some(used) = self.bound_to(schema, name) {
            return self.state.relation(used.relation);
        }
        match schema {
            Some(HISTORY_SCHEMA) if !self.history => None,
            Some(temporary::ALIAS) => self.state.relation_named(&temporary::schema_of(self.pid), name),
            Some(schema) => self.state.relation_named(schema, name),
            None => self.search_path.iter().find_map(|schema| self.state.relation_named(schema, name)),
        }
    }

    /// What a name inside a view stands for.
    fn bound_to(&self, schema: Option<&str>, name: &str) -> Option<&ViewUse> {
        let is_it = |used: &&ViewUse| used.schema.as_deref() == schema && used.name == name;
        self.bound.as_ref()?.iter().find(is_it)
    }

    /// The same without the schemas of its path whose names who asks may not look up: Postgres passes them over.
    pub fn with_usable_path(mut self) -> Scope {
        let path = std::mem::take(&mut self.search_path);
        let usable = |name: &String| self.state.named::<Schema>(name).is_some_and(|schema| self.may_use(schema));
        let path = path.into_iter().filter(usable).collect();
        Scope { search_path: path, ..self }
    }

    /// A setting of the session.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings.iter().find(|(known, _, _)| known == name).map(|(_, value, _)| value.as_str())
    }

    /// Whether the session has a switch on. `default` is what it is for those who have no session.
    pub fn switch(&self, name: &str, default: bool) -> bool {
        self.setting(name).map_or(default, |value| value == "on")
    }

    /// The relation of a name in its parts.
    pub fn find_parts(&self, parts: &[String]) -> Option<&Relation> {
        match parts {
            [name] => self.find(None, name),
            [schema, name] => self.find(Some(schema), name),
            [database, schema, name] if database == DATABASE => self.find(Some(schema), name),
            _ => None,
        }
    }

    /// The relation of a name; 42P01.
    pub fn relation(&self, parts: &[String]) -> Result<&Relation> {
        self.find_parts(parts).ok_or_else(|| undefined_table(&parts.join(".")))
    }

    /// The schema and the name that a new relation gets. 3F000 for a schema that is not there.
    pub fn place(&self, parts: &[String]) -> Result<(Oid, String)> {
        let (schema, name) = match parts {
            [name] => {
                let none = || Error::new(Kind::UndefinedSchema, "no schema has been selected to create in");
                let mut lasting = self.search_path.iter().filter(|schema| !temporary::is_temporary(schema));
                (lasting.next().ok_or_else(none)?.as_str(), name)
            }
            [schema, name] => (schema.as_str(), name),
            [_, schema, name] => (schema.as_str(), name),
            _ => return Err(Error::new(Kind::Syntax, format!("improper relation name: {}", parts.join(".")))),
        };
        let found = self.state.find(tidegate_catalog::Space::Schema, schema);
        let found = found.filter(|found| found.oid() != HISTORY).ok_or_else(|| undefined_schema(schema))?;
        if matches!(found.as_ref(), Object::Schema(schema) if schema.source.is_some()) {
            let message = format!("schema \"{schema}\" is external: nothing can be made in it");
            return Err(Error::new(Kind::WrongObjectType, message).hint("Make it in a schema of this server's own."));
        }
        let oid = found.oid();
        Ok((oid, name.clone()))
    }

    /// The relation of a name as the engine scans it, with the columns that a view knows if it is read inside one.
    async fn named(&self, schema: Option<&str>, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let Some(relation) = self.find(schema, name) else { return Ok(None) };
        let readable = self.readable(relation)?;
        let provider = self.provider(relation).await?;
        let provider = self.visible(relation, PolicyCommand::Select, provider).await?;
        let provider: Arc<dyn TableProvider> = match readable {
            Some(readable) => {
                let name = format!("{} {}", relation.kind.noun(), relation.name);
                Arc::new(ReadableColumns { inner: provider, name, readable })
            }
            None => provider,
        };
        match self.bound_to(schema, name) {
            Some(used) => view::as_bound(provider, relation, used).map(Some),
            None => Ok(Some(provider)),
        }
    }

    /// A relation that is read, its rows without their places.
    async fn provider(&self, relation: &Relation) -> Result<Arc<dyn TableProvider>> {
        match self.places_of {
            Some(_) => Scope { places_of: None, ..self.clone() }.provider_as_asked(relation).await,
            None => self.provider_as_asked(relation).await,
        }
    }

    async fn provider_as_asked(&self, relation: &Relation) -> Result<Arc<dyn TableProvider>> {
        if let RelationKind::View(view) = &relation.kind {
            return self.view(relation, view).await;
        }
        for service in self.engine.services() {
            if let Some(provider) = service.provider(self, relation).await? {
                return if relation.schema == HISTORY { history::own_notes(self, provider) } else { Ok(provider) };
            }
        }
        Err(Error::internal(format!("nothing reads the {} \"{}\"", relation.kind.noun(), relation.name)))
    }

    async fn view(&self, relation: &Relation, view: &tidegate_catalog::ViewSpec) -> Result<Arc<dyn TableProvider>> {
        let bound = (!view.late).then(|| Arc::new(view.uses.clone()));
        let acting = Some(relation.owner);
        let scope = Scope { search_path: view.search_path.clone(), bound, acting, ..self.clone() };
        let plan = scope.inside_view(&relation.name, &view.query).await?;
        let names = if view.late { late_names(view, plan.schema().fields().len())? } else { relation.columns.clone() };
        let plan = crate::conform::renamed(plan, &names)?;
        Ok(Arc::new(ViewTable::new(plan, Some(view.query.clone()))))
    }

    /// The plan of a view's query, one view deeper.
    async fn inside_view(&self, name: &str, query: &str) -> Result<LogicalPlan> {
        if self.depth >= VIEW_DEPTH_MAX {
            return Err(Error::new(Kind::ProgramLimit, format!("view \"{name}\" is nested too deeply")));
        }
        // A `*` in the view stands for what it stood for when the view was made.
        let inner = Scope { depth: self.depth + 1, system_columns: false, ..self.clone() };
        let query = tidegate_parser::ast::Statement::Query(tidegate_parser::parse_query(query)?);
        let plan = Box::pin(Planner::new(&inner)?.plan(&query)).await;
        plan.map_err(|error| error.context(format_args!("view \"{name}\"")))
    }

    /// The same scope, in which the streams of the history are found.
    pub(crate) fn with_history(&self) -> Scope {
        Scope { history: true, bound: None, ..self.clone() }
    }

    async fn system_view(&self, view: &SystemView) -> Result<Arc<dyn TableProvider>> {
        let plan = self.with_history().inside_view(view.name, view.query).await?;
        Ok(Arc::new(ViewTable::new(plan, Some(view.query.to_string()))))
    }

    /// A table or view of the system that is found without its schema.
    async fn of_the_system(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if let Some(table) = self.system_table(PG_CATALOG, name) {
            return system(table, self).map(Some);
        }
        match self.engine.system_views().iter().find(|view| view.name == name) {
            Some(view) => self.system_view(view).await.map(Some),
            None => Ok(None),
        }
    }

    async fn path(&self, url: &str) -> Result<Arc<dyn TableProvider>> {
        for service in self.engine.services() {
            if let Some(provider) = service.path(self, url).await? {
                return Ok(provider);
            }
        }
        Err(Error::new(Kind::UndefinedTable, format!("\"{url}\" is not a path that can be read")))
    }

    fn system_table(&self, namespace: &str, name: &str) -> Option<&SystemTable> {
        let mut tables = self.engine.system_tables().iter();
        let found = tables.find(|table| table.namespace == namespace && table.name == name);
        found.filter(|_| self.history || namespace != HISTORY_SCHEMA)
    }

    /// The same names for the engine.
    pub fn catalogs(&self) -> Arc<dyn CatalogProviderList> {
        let snapshot = Arc::new(crate::pg_snapshot::of(self));
        Arc::new(Database { scope: self.clone(), snapshot })
    }
}

/// The columns of a late-binding view that lists them; none for one that does not.
fn late_names(view: &tidegate_catalog::ViewSpec, width: usize) -> Result<Vec<Column>> {
    if !view.names.is_empty() && view.names.len() != width {
        let message = "the view names another number of columns than its query gives";
        return Err(Error::new(Kind::InvalidDefinition, message));
    }
    // Only the names count.
    Ok(view.names.iter().map(|name| Column::new(name.clone(), SqlType::Text)).collect())
}

/// 42P01 in Postgres' words.
pub fn undefined_table(name: &str) -> Error {
    Error::new(Kind::UndefinedTable, format!("relation \"{name}\" does not exist"))
}

/// 3F000 in Postgres' words.
pub fn undefined_schema(name: &str) -> Error {
    Error::new(Kind::UndefinedSchema, format!("schema \"{name}\" does not exist"))
}

/// The one database, as the engine's catalog list and as its only catalog.
#[derive(Debug, Clone)]
struct Database {
    scope: Scope,
    snapshot: Arc<pg::PgSnapshot>,
}

impl CatalogProviderList for Database {
    fn register_catalog(&self, _: String, _: Arc<dyn CatalogProvider>) -> Option<Arc<dyn CatalogProvider>> {
        None
    }

    fn catalog_names(&self) -> Vec<String> {
        vec![DATABASE.to_string()]
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        (name == DATABASE).then(|| Arc::new(self.clone()) as Arc<dyn CatalogProvider>)
    }
}

impl CatalogProvider for Database {
    fn schema_names(&self) -> Vec<String> {
        let own = self.scope.state.objects().filter_map(|object| match object.as_ref() {
            Object::Schema(schema) if schema.oid != HISTORY => Some(schema.name.clone()),
            _ => None,
        });
        own.chain([PG_CATALOG.to_string(), "information_schema".to_string()]).collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        match name {
            "information_schema" => Some(pg::information_schema(Arc::clone(&self.snapshot))),
            _ => Some(Arc::new(Namespace { database: self.clone(), name: name.to_string() })),
        }
    }
}

/// A schema, or the search path.
#[derive(Debug)]
struct Namespace {
    database: Database,
    name: String,
}

#[async_trait]
impl SchemaProvider for Namespace {
    fn table_names(&self) -> Vec<String> {
        let scope = &self.database.scope;
        if self.name == PG_CATALOG {
            return self.pg_catalog().table_names();
        }
        let here = scope.state.relations().filter(|relation| scope.state.schema_name(relation.schema) == self.name);
        here.map(|relation| relation.name.clone()).collect()
    }

    async fn table(&self, name: &str) -> EngineResult<Option<Arc<dyn TableProvider>>> {
        let scope = &self.database.scope;
        let found = if self.name == SEARCH_PATH {
            self.along_the_path(name).await
        } else if self.name == PG_CATALOG {
            match scope.of_the_system(name).await {
                Ok(None) => return self.pg_catalog().table(name).await,
                found => found,
            }
        } else if let Some(table) = scope.system_table(&self.name, name) {
            system(table, scope).map(Some)
        } else {
            scope.named(Some(&self.name), name).await
        };
        found.map_err(carried)
    }

    fn table_exist(&self, name: &str) -> bool {
        self.name == SEARCH_PATH
            || self.database.scope.find(Some(&self.name), name).is_some()
            || (self.name == PG_CATALOG && self.pg_catalog().table_exist(name))
    }
}

impl Namespace {
    fn pg_catalog(&self) -> Arc<dyn SchemaProvider> {
        pg::pg_catalog(Arc::clone(&self.database.snapshot))
    }

    /// As in Postgres, `pg_catalog` comes first unless the path names it.
    async fn along_the_path(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let scope = &self.database.scope;
        if let Some(rows) = scope.returned.as_ref().filter(|_| name == RETURNED) {
            return Ok(Some(Arc::clone(rows)));
        }
        if let Some((oid, command)) = scope.places_of.filter(|_| name == TARGET)
            && let Some(changed) = scope.state.relation(oid)
        {
            let rows = scope.provider_as_asked(changed).await?;
            return scope.visible(changed, command, rows).await.map(Some);
        }
        if name.contains("://") || name.starts_with('/') {
            return scope.path(name).await.map(Some);
        }
        if let Some(table) = scope.of_the_system(name).await? {
            return Ok(Some(table));
        }
        let engine = |error| crate::from_datafusion(error);
        if name.starts_with("pg_")
            && let Some(table) = self.pg_catalog().table(name).await.map_err(engine)?
        {
            return Ok(Some(table));
        }
        scope.named(None, name).await
    }
}

fn system(table: &SystemTable, scope: &Scope) -> Result<Arc<dyn TableProvider>> {
    let batch = (table.rows)(scope)?;
    let provider = MemTable::try_new(Arc::clone(&table.schema), vec![vec![batch]]).map_err(crate::from_datafusion)?;
    Ok(Arc::new(provider))
}
