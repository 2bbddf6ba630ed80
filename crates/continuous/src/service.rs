//! Statements of continuous queries.

use crate::engine::Continuous;
use crate::state::{automated, stopped};
use crate::tables::{self, Shape, seen};
use crate::{kept, mv_view, spec, view};
use async_trait::async_trait;
use datafusion::common::ScalarValue;
use std::collections::BTreeMap;
use tidegate_catalog::{
    Change, ContinuousQuery, ContinuousSpec, ContinuousState, Oid, Relation, RelationKind, Rights, Space, State,
};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::ast::ObjectName;
use tidegate_parser::{
    AlterMaterializedView, AlterPump, CreateMaterializedView, CreatePump, DropContinuous, Statement, name_parts,
};
use tidegate_query::{Need, Notice, Outcome, Service, SystemTable, Work, ddl, insert};

/// Continuous queries of a server, each of which takes a turn whenever records come.
const QUERIES_MAX: usize = 1000;

/// Continuous queries as a service of the engine.
pub struct ContinuousService {
    continuous: Continuous,
}

impl ContinuousService {
    /// Over those of the server.
    pub fn new(continuous: Continuous) -> Self {
        ContinuousService { continuous }
    }

    async fn refresh(&self, work: &mut Work<'_>, name: &ObjectName) -> Result<()> {
        work.refuse_in_block("REFRESH MATERIALIZED VIEW")?;
        let (query, table) = view_of(work, name)?;
        let done = self.continuous.refresh(query.oid).await?;
        work.see_newest();
        if !query.spec.tables.is_empty() {
            let (severity, code) = ("INFO".to_string(), "00000".to_string());
            work.notices.push(Notice { severity, code, message: done.told(&table.name), hint: None });
        }
        Ok(())
    }
}

#[async_trait]
impl Service for ContinuousService {
    async fn execute(&self, work: &mut Work<'_>, statement: &Statement, _: &[ScalarValue]) -> Result<Option<Outcome>> {
        match statement {
            Statement::CreateMaterializedView(create) => create_view(work, create).await?,
            Statement::AlterMaterializedView(alter) => alter_view(work, alter).await?,
            Statement::DropMaterializedView(drop) => drop_view(work, drop).await?,
            Statement::RefreshMaterializedView(name) => self.refresh(work, name).await?,
            Statement::CreatePump(create) => create_pump(work, create).await?,
            Statement::AlterPump(alter) => alter_pump(work, alter).await?,
            Statement::DropPump(drop) => drop_pump(work, drop).await?,
            _ => return Ok(None),
        }
        Ok(Some(Outcome::Done { tag: statement.command_tag() }))
    }

    fn system_tables(&self) -> Vec<SystemTable> {
        view::system_tables(&self.continuous).into_iter().chain(mv_view::system_tables()).collect()
    }
}

fn made(work: &Work<'_>, name: String, spec: ContinuousSpec) -> Result<ContinuousQuery> {
    if work.state().all::<ContinuousQuery>().count() >= QUERIES_MAX {
        let message = format!("there are {QUERIES_MAX} materialized views and pumps at most");
        return Err(Error::new(Kind::LimitExceeded, message));
    }
    let oid = work.engine().catalog().next_oid()?;
    // From the oldest record that is kept, as deliveries do.
    let state = ContinuousState { cursor: BTreeMap::new(), ..ContinuousState::default() };
    let (owner, created_ms) = (work.user_oid(), work.engine().clock().now_ms());
    Ok(ContinuousQuery { oid, name, revision: 1, owner, created_ms, spec, state })
}

async fn create_view(work: &mut Work<'_>, create: &CreateMaterializedView) -> Result<()> {
    let what = format!("materialized view {}", create.name);
    if work.scope.find_parts(&name_parts(&create.name)).is_some() && create.if_not_exists {
        work.notice(format!("relation \"{}\" already exists, skipping", create.name));
        return Ok(());
    }
    let scope = work.scope.lasting();
    if let Some(checked) = tables::check(&scope, &what, &create.query, create.auto_refresh).await? {
        return create_over_tables(work, create, checked, scope.search_path).await;
    }
    let checked = spec::check(&scope, &what, &create.query).await?;
    let table = format!("CREATE TABLE {} AS SELECT * FROM ({}) AS made WHERE false", create.name, create.query);
    work.perform(&table).await?;
    let target = work.relation(&create.name, Need::Owner)?;
    let spec = ContinuousSpec {
        view: true,
        auto: create.auto_refresh,
        source: checked.source.oid,
        query: checked.query,
        search_path: scope.search_path,
        target: target.oid,
        columns: Vec::new(),
        window: checked.window,
        tables: Vec::new(),
        incremental: false,
        kept: None,
    };
    let query = made(work, work.state().shown(&target), spec)?;
    work.push(vec![Change::put(query)])
}

/// A view over tables, with the rows that its query gives now.
async fn create_over_tables(
    work: &mut Work<'_>,
    create: &CreateMaterializedView,
    checked: tables::Checked,
    search_path: Vec<String>,
) -> Result<()> {
    // What the transaction has changed itself gets its place in the log later: then the first refresh makes all anew.
    let known = work.transaction.is_empty();
    let seen = if known { seen(work.state(), &checked.tables) } else { BTreeMap::new() };
    let (name, attributes, query) = (&create.name, &create.attributes, &checked.query);
    let create_as = format!("CREATE TABLE {name} {attributes} AS");
    let (target, kept, kept_of) = match &checked.shape {
        Shape::Partials(partials) => {
            work.perform(&format!("{create_as} SELECT * FROM ({query}) AS made WHERE false")).await?;
            let target = work.relation(name, Need::Owner)?;
            let kept = kept::create(work, &target, partials).await?;
            (target, Some(kept.oid), partials.told())
        }
        _ => {
            work.perform(&format!("{create_as} {query}")).await?;
            (work.relation(name, Need::Owner)?, None, String::new())
        }
    };
    let spec = ContinuousSpec {
        view: true,
        auto: create.auto_refresh,
        source: checked.tables.first().copied().unwrap_or_default(),
        query: checked.query,
        search_path,
        target: target.oid,
        columns: Vec::new(),
        window: None,
        tables: checked.tables,
        incremental: checked.shape != Shape::Whole,
        kept,
    };
    let mut query = made(work, work.state().shown(&target), spec)?;
    (query.state.seen, query.state.kept_of) = (seen, kept_of);
    work.push(vec![Change::put(query)])
}

async fn alter_view(work: &mut Work<'_>, alter: &AlterMaterializedView) -> Result<()> {
    let (query, _) = view_of(work, &alter.name)?;
    let what = format!("materialized view {}", alter.name);
    if alter.auto_refresh && !query.spec.tables.is_empty() {
        let scope = tidegate_query::Scope { search_path: query.spec.search_path.clone(), ..work.scope.clone() };
        tables::check(&scope, &what, &query.spec.query, true).await?;
    }
    let changes = |work: &Work<'_>| {
        let step =
            work.state().get::<ContinuousQuery>(query.oid).and_then(|query| automated(query, alter.auto_refresh));
        Ok(step.map(Change::put).into_iter().collect())
    };
    work.change(&what, changes).await
}

async fn create_pump(work: &mut Work<'_>, create: &CreatePump) -> Result<()> {
    if work.state().find(Space::ContinuousQuery, &create.name).is_some() {
        if create.if_not_exists {
            work.notice(format!("pump \"{}\" already exists, skipping", create.name));
            return Ok(());
        }
        return Err(Error::new(Kind::DuplicateObject, format!("pump \"{}\" already exists", create.name)));
    }
    let target = work.relation(&create.target, Need::All(Rights::INSERT))?;
    // 42809 for what takes no rows.
    work.sink(&target)?.abort().await;
    let scope = work.scope.lasting();
    let checked = spec::check(&scope, &format!("pump {}", create.name), &create.query).await?;
    if checked.source.oid == target.oid {
        return Err(Error::new(Kind::InvalidDefinition, format!("pump {} would read what it writes", create.name)));
    }
    let columns = columns(&target, create, checked.width)?;
    let spec = ContinuousSpec {
        view: false,
        auto: true,
        source: checked.source.oid,
        query: checked.query,
        search_path: scope.search_path,
        target: target.oid,
        columns,
        window: checked.window,
        tables: Vec::new(),
        incremental: false,
        kept: None,
    };
    let query = made(work, create.name.clone(), spec)?;
    work.push(vec![Change::put(query)])
}

/// The columns of the target that a pump fills.
fn columns(target: &Relation, create: &CreatePump, width: usize) -> Result<Vec<usize>> {
    let target = tidegate_query::stream_sql::insertable(target);
    let columns = insert::chosen_idents(&target, &create.columns)?;
    if width > columns.len() {
        return Err(Error::new(Kind::Syntax, "INSERT has more expressions than target columns"));
    }
    if width < columns.len() && !create.columns.is_empty() {
        return Err(Error::new(Kind::Syntax, "INSERT has more target columns than expressions"));
    }
    Ok(columns.into_iter().take(width).collect())
}

/// The pump of a name; 42704.
fn pump<'a>(state: &'a State, name: &str) -> Result<&'a ContinuousQuery> {
    let missing = || Error::new(Kind::UndefinedObject, format!("pump \"{name}\" does not exist"));
    state.named::<ContinuousQuery>(name).filter(|query| !query.spec.view).ok_or_else(missing)
}

/// The same for its owner; 42501.
fn own_pump<'a>(work: &'a Work<'_>, name: &str) -> Result<&'a ContinuousQuery> {
    let found = pump(work.state(), name)?;
    work.require_ownership("pump", name, found.owner)?;
    Ok(found)
}

async fn alter_pump(work: &mut Work<'_>, alter: &AlterPump) -> Result<()> {
    let changes = |work: &Work<'_>| {
        let step = stopped(own_pump(work, &alter.name)?, !alter.start);
        Ok(step.map(Change::put).into_iter().collect())
    };
    work.change(&format!("pump \"{}\"", alter.name), changes).await
}

async fn drop_pump(work: &mut Work<'_>, drop: &DropContinuous) -> Result<()> {
    let name = name_parts(&drop.name).pop().unwrap_or_default();
    let changes = |work: &Work<'_>| own_pump(work, &name).map(|query| vec![dropped(query)]);
    match work.change(&format!("pump \"{name}\""), changes).await {
        Err(error) if drop.if_exists && error.kind() == Kind::UndefinedObject => {
            work.notice(format!("pump \"{name}\" does not exist, skipping"));
            Ok(())
        }
        other => other,
    }
}

fn dropped(query: &ContinuousQuery) -> Change {
    Change::Drop { oid: query.oid, revision: query.revision }
}

/// The materialized view of a name, and its table. 42P01, or 42809 for another relation.
fn view_of(work: &Work<'_>, name: &ObjectName) -> Result<(ContinuousQuery, Relation)> {
    let relation = work.relation(name, Need::Owner)?;
    match of_table(work.state(), relation.oid) {
        Some(query) if matches!(relation.kind, RelationKind::Table(_)) => Ok((query.clone(), relation)),
        _ => Err(Error::new(Kind::WrongObjectType, format!("\"{}\" is not a materialized view", relation.name))),
    }
}

fn of_table(state: &State, table: Oid) -> Option<&ContinuousQuery> {
    state.all::<ContinuousQuery>().find(|query| query.spec.view && query.spec.target == table)
}

async fn drop_view(work: &mut Work<'_>, drop: &DropContinuous) -> Result<()> {
    let (query, table) = match view_of(work, &drop.name) {
        Err(error) if drop.if_exists && error.kind() == Kind::UndefinedTable => {
            work.notice(format!("materialized view \"{}\" does not exist, skipping", drop.name));
            return Ok(());
        }
        other => other?,
    };
    let own = || query.spec.kept.into_iter().chain([table.oid]);
    let reads = |other: &&ContinuousQuery| {
        let spec = &other.spec;
        other.oid != query.oid && own().any(|table| spec.source == table || spec.tables.contains(&table))
    };
    if let Some(other) = work.state().all::<ContinuousQuery>().find(reads) {
        let message = format!("cannot drop materialized view {} because {} depends on it", table.name, other.name);
        return Err(Error::new(Kind::DependentObjects, message).hint("Drop that first."));
    }
    let changes = |work: &Work<'_>| Ok(of_table(work.state(), table.oid).map(dropped).into_iter().collect());
    work.change(&format!("materialized view {}", drop.name), changes).await?;
    for oid in own() {
        if let Some(table) = work.state().relation(oid).cloned() {
            ddl::refuse_if_needed(work, &table)?;
            ddl::drop_one(work, &table)?;
        }
    }
    Ok(())
}
