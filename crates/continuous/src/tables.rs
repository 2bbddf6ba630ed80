//! Materialized views over tables: what they read, and what of them can be kept up by what has been added alone.

use crate::merge::Merge;
use crate::partials::Partials;
use datafusion::common::JoinType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, Volatility};
use std::collections::{BTreeSet, HashSet};
use std::ops::ControlFlow;
use tidegate_catalog::{ContinuousQuery, Oid, RelationKind, Seen, State};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::ast::{self, TableFactor, Visit, Visitor};
use tidegate_parser::{fold, name_parts, path_of, quoted};
use tidegate_query::stream_sql::expand;
use tidegate_query::{Planner, Scope, from_datafusion, plain_name};

/// Views in views: deeper ones are refused.
const DEPTH_MAX: usize = 32;

/// How a view follows its tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// Each added row gives rows of its own.
    Rows,
    /// Rows of groups, which added rows are merged into: for each column, how.
    Groups(Vec<Merge>),
    /// Rows that are made of groups: what is kept of these, added rows are merged into.
    Partials(Box<Partials>),
    /// Only by being made anew.
    Whole,
}

/// What has happened to a view's tables since it was refreshed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// Nothing.
    None,
    /// Rows were added, and no others removed.
    Added,
    /// Something else, or nobody knows.
    Other,
}

/// What a query over tables turned out to be.
pub struct Checked {
    /// What it reads.
    pub tables: Vec<Oid>,
    /// The query, with its columns named one by one: one that a table gets later is not among them.
    pub query: String,
    /// How it follows its tables.
    pub shape: Shape,
}

/// Checks the query of a view over tables. None: it reads a stream. 0A000 for what a materialized view may not hold
/// (Redshift), and with `auto` for what would have to be made anew all the time.
pub async fn check(scope: &Scope, what: &str, text: &str, auto: bool) -> Result<Option<Checked>> {
    let parsed = tidegate_parser::parse_query(text)?;
    let plan = Planner::new(scope)?.plan(&ast::Statement::Query(parsed.clone())).await?;
    let mut named = parsed.clone();
    // A stream of an external schema is one of this server's.
    expand(&mut named, scope);
    let Some(tables) = sources(scope, what, &named)? else { return Ok(None) };
    if parsed.order_by.is_some() || parsed.limit_clause.is_some() {
        return Err(
            refused(what, "ORDER BY and LIMIT are not supported").hint("Do it in the query that reads the result.")
        );
    }
    let names = plan.schema().fields().iter().map(|field| quoted(plain_name(field.name())));
    let query = format!("SELECT {} FROM ({text}) AS \"$made\"", names.collect::<Vec<_>>().join(", "));
    let shape = shape_of(scope, &query, &tables).await?;
    let external = tables.iter().any(|table| scope.state.table(*table).is_none());
    if auto && (external || !is_settled(&plan)?) {
        let error = refused(what, "AUTO REFRESH of external tables or of functions that change is not supported");
        return Err(error.hint("Without AUTO REFRESH, REFRESH MATERIALIZED VIEW makes it anew."));
    }
    Ok(Some(Checked { tables, query, shape }))
}

fn refused(what: &str, why: &str) -> Error {
    Error::new(Kind::Unsupported, format!("{what}: {why}"))
}

/// The tables that a query reads, in views too. None: there is a stream among them.
fn sources(scope: &Scope, what: &str, query: &ast::Query) -> Result<Option<Vec<Oid>>> {
    let mut tables = BTreeSet::new();
    let mut streams = false;
    collect(scope, what, query, 0, &mut tables, &mut streams)?;
    if streams {
        return Ok(None);
    }
    if tables.is_empty() {
        return Err(Error::new(Kind::InvalidDefinition, format!("{what} reads no table and no stream"))
            .hint("A table of a query's rows is CREATE TABLE AS."));
    }
    Ok(Some(tables.into_iter().collect()))
}

fn collect(
    scope: &Scope,
    what: &str,
    query: &ast::Query,
    depth: usize,
    tables: &mut BTreeSet<Oid>,
    streams: &mut bool,
) -> Result<()> {
    let mut names = Names::default();
    let _ = query.visit(&mut names);
    for name in names.tables {
        let Some(relation) = scope.find_parts(&name) else {
            refuse_system(scope, what, &name, &names.ctes)?;
            continue;
        };
        match &relation.kind {
            RelationKind::Stream(_) => *streams = true,
            RelationKind::Table(_) | RelationKind::External(_) => {
                tables.insert(relation.oid);
            }
            RelationKind::View(view) if depth < DEPTH_MAX => {
                let inner = Scope { search_path: view.search_path.clone(), ..scope.clone() };
                let query = tidegate_parser::parse_query(&view.query)?;
                collect(&inner, what, &query, depth + 1, tables, streams)?;
            }
            RelationKind::View(_) => return Err(refused(what, "views nested so deeply are not supported")),
        }
    }
    Ok(())
}

/// 0A000 for a table of the system; a name that WITH gives, or a path into a SUPER value, is none.
fn refuse_system(scope: &Scope, what: &str, name: &[String], ctes: &HashSet<String>) -> Result<()> {
    let (schema, last) = match name {
        [last] if ctes.contains(last) => return Ok(()),
        [last] => ("pg_catalog", last),
        [schema, last, ..] => (schema.as_str(), last),
        [] => return Ok(()),
    };
    let of_system = |table: &tidegate_query::SystemTable| table.namespace == schema && table.name == last;
    let known =
        schema == "pg_catalog" || schema == "information_schema" || scope.engine.system_tables().iter().any(of_system);
    match known {
        true => Err(refused(what, &format!("reading \"{last}\" is not supported"))
            .hint("It reads tables, external tables, streams, and views of them.")),
        false => Ok(()),
    }
}

#[derive(Default)]
struct Names {
    tables: Vec<Vec<String>>,
    ctes: HashSet<String>,
}

impl Visitor for Names {
    type Break = ();

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<()> {
        self.ctes.extend(query.with.iter().flat_map(|with| &with.cte_tables).map(|cte| fold(&cte.alias.name)));
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, args: None, .. } = factor {
            match path_of(name) {
                // Files at a path are of no catalog.
                Some(path) => self.tables.push(vec![path.to_string()]),
                None => self.tables.push(name_parts(name)),
            }
        }
        ControlFlow::Continue(())
    }
}

/// How the rows of a query follow its tables, as they are now.
pub async fn shape_of(scope: &Scope, query: &str, tables: &[Oid]) -> Result<Shape> {
    let planner = Planner::new(scope)?;
    let planned = planner.plan(&ast::Statement::Query(tidegate_parser::parse_query(query)?)).await?;
    let plan = planner.state().optimize(&planned).map_err(from_datafusion)?;
    // A table that is read twice meets its own additions. What changes with time is a constant once it is optimized.
    if scans(&plan)? != tables.len() || !is_settled(&planned)? {
        return Ok(Shape::Whole);
    }
    if is_rows(&plan) {
        return Ok(Shape::Rows);
    }
    if let Some(merges) = groups(&plan) {
        return Ok(Shape::Groups(merges));
    }
    let partials = partials_of(&planner, planned, tables)?;
    Ok(partials.map_or(Shape::Whole, |partials| Shape::Partials(Box::new(partials))))
}

/// What can be kept of the groups of a query, as its tables are in a scope.
pub async fn partials(scope: &Scope, query: &str, tables: &[Oid]) -> Result<Option<Partials>> {
    let planner = Planner::new(scope)?;
    let planned = planner.plan(&ast::Statement::Query(tidegate_parser::parse_query(query)?)).await?;
    partials_of(&planner, planned, tables)
}

fn partials_of(planner: &Planner, planned: LogicalPlan, tables: &[Oid]) -> Result<Option<Partials>> {
    let state = planner.state();
    let plan = state.analyzer().execute_and_check(planned, state.config_options(), |_, _| {});
    let plan = plan.map_err(from_datafusion)?;
    Ok(if scans(&plan)? == tables.len() { Partials::of(&plan) } else { None })
}

fn scans(plan: &LogicalPlan) -> Result<usize> {
    let mut scans = 0;
    plan.apply_with_subqueries(|node| {
        scans += usize::from(matches!(node, LogicalPlan::TableScan(_)));
        Ok(TreeNodeRecursion::Continue)
    })
    .map_err(from_datafusion)?;
    Ok(scans)
}

/// Whether each row of a table, or each pair of a join, gives its rows whatever the others are.
fn is_rows(plan: &LogicalPlan) -> bool {
    let kept = match plan {
        LogicalPlan::TableScan(_)
        | LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Unnest(_) => true,
        LogicalPlan::Join(join) => join.join_type == JoinType::Inner,
        _ => false,
    };
    kept && is_settled_node(plan) && plan.inputs().into_iter().all(is_rows)
}

/// Whether all expressions of a plan give the same for the same rows, for ever.
fn is_settled(plan: &LogicalPlan) -> Result<bool> {
    let mut settled = true;
    plan.apply_with_subqueries(|node| {
        settled &= !has(
            node,
            &|part| matches!(part, Expr::ScalarFunction(call) if !is_immutable(call.func.signature().volatility)),
        );
        Ok(TreeNodeRecursion::Continue)
    })
    .map_err(from_datafusion)?;
    Ok(settled)
}

fn is_immutable(volatility: Volatility) -> bool {
    volatility == Volatility::Immutable
}

/// Whether a node's own expressions look at the row alone.
pub fn is_settled_node(plan: &LogicalPlan) -> bool {
    !has(plan, &|part| match part {
        Expr::ScalarFunction(call) => !is_immutable(call.func.signature().volatility),
        Expr::AggregateFunction(_) => !matches!(plan, LogicalPlan::Aggregate(_)),
        Expr::WindowFunction(_) | Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) => true,
        _ => false,
    })
}

fn has(plan: &LogicalPlan, test: &dyn Fn(&Expr) -> bool) -> bool {
    let mut found = false;
    let walked = plan.apply_expressions(|expr| {
        found |= expr.exists(|part| Ok(test(part)))?;
        Ok(TreeNodeRecursion::Continue)
    });
    found || walked.is_err()
}

/// For a query that groups rows and shows groups and mergeable aggregates as they are: how its columns merge.
fn groups(plan: &LogicalPlan) -> Option<Vec<Merge>> {
    let aggregate = aggregate_of(plan)?;
    if !groups_rows(aggregate) {
        return None;
    }
    let places: Vec<usize> =
        (0..plan.schema().fields().len()).map(|column| place_of(plan, column)).collect::<Option<_>>()?;
    let keys: BTreeSet<usize> = places.iter().copied().filter(|place| *place < aggregate.group_expr.len()).collect();
    // Without one of its keys, a row does not say which group it is.
    if keys.len() != aggregate.group_expr.len() {
        return None;
    }
    places.into_iter().map(|place| merge_of(aggregate, place)).collect()
}

/// Whether an aggregation is of rows each of which counts whatever the others are.
pub fn groups_rows(aggregate: &Aggregate) -> bool {
    let plain = !aggregate.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_)));
    plain && is_settled_node(&LogicalPlan::Aggregate(aggregate.clone())) && is_rows(&aggregate.input)
}

fn aggregate_of(plan: &LogicalPlan) -> Option<&Aggregate> {
    match plan {
        LogicalPlan::Aggregate(aggregate) => Some(aggregate),
        LogicalPlan::Projection(projection) => aggregate_of(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => aggregate_of(&alias.input),
        _ => None,
    }
}

/// Which column of the aggregation a column shows, unchanged.
fn place_of(plan: &LogicalPlan, column: usize) -> Option<usize> {
    match plan {
        LogicalPlan::Aggregate(_) => Some(column),
        LogicalPlan::SubqueryAlias(alias) => place_of(&alias.input, column),
        LogicalPlan::Projection(projection) => match bare(projection.expr.get(column)?) {
            Expr::Column(name) => place_of(&projection.input, projection.input.schema().index_of_column(name).ok()?),
            _ => None,
        },
        _ => None,
    }
}

/// An expression without the names that it is given.
pub fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => bare(&alias.expr),
        other => other,
    }
}

fn merge_of(aggregate: &Aggregate, place: usize) -> Option<Merge> {
    let Some(index) = place.checked_sub(aggregate.group_expr.len()) else { return Some(Merge::Key) };
    let Expr::AggregateFunction(function) = bare(aggregate.aggr_expr.get(index)?) else { return None };
    if function.params.distinct {
        return None;
    }
    match function.func.name() {
        "sum" | "count" => Some(Merge::Sum),
        "min" => Some(Merge::Min),
        "max" => Some(Merge::Max),
        _ => None,
    }
}

/// How much of each table a state holds: what is seen by a view that is made of it.
pub fn seen(state: &State, tables: &[Oid]) -> std::collections::BTreeMap<Oid, Seen> {
    let seen = |table: &Oid| {
        let rows = state.files(*table).map_or(0, |files| files.rows());
        (*table, Seen { position: state.position, rows })
    };
    tables.iter().map(seen).collect()
}

/// What has happened since a view was refreshed. Rows that were there are told by their number: maintenance keeps it, or
/// brings them together with later ones, and then nobody can tell them apart.
pub fn news(state: &State, query: &ContinuousQuery) -> News {
    let mut news = News::None;
    for table in &query.spec.tables {
        let (Some(seen), Some(files)) = (query.state.seen.get(table), state.files(*table)) else { return News::Other };
        let old: u64 = files.parts().filter(|part| part.added() <= seen.position).map(|part| part.rows()).sum();
        if old != seen.rows {
            return News::Other;
        }
        if files.parts().any(|part| part.added() > seen.position && part.rows() > 0) {
            news = News::Added;
        }
    }
    news
}
