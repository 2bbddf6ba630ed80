//! What a continuous query may be: one stream, in a place where each of its records gives its rows once.

use datafusion::catalog::TableProvider;
use datafusion::common::JoinType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::{Join, LogicalPlan, TableScan};
use futures::TryStreamExt;
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use tidegate_catalog::{Relation, RelationKind, Window};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::{WindowClause, ast, name_parts, windows_of};
use tidegate_query::stream_sql::{StreamTable, expand};
use tidegate_query::{Planner, Scope, from_datafusion};

/// What a query turned out to be.
pub struct Checked {
    /// The stream it reads.
    pub source: Relation,
    /// The windows it groups by.
    pub window: Option<Window>,
    /// How many columns it gives.
    pub width: usize,
    /// The query, over the stream itself where it names one of an external schema.
    pub query: String,
}

/// Checks a query. `what` names it in messages. 0A000 for what cannot be kept up record by record, 42P16 where there is no
/// stream, or no watermark for windows.
pub async fn check(scope: &Scope, what: &str, text: &str) -> Result<Checked> {
    let mut query = tidegate_parser::parse_query(text)?;
    let expanded = expand(&mut query, scope);
    let text = if expanded { query.to_string() } else { text.to_string() };
    let source = stream(scope, what, &query)?;
    let planner = Planner::new(scope)?;
    let plan = planner.plan(&ast::Statement::Query(query)).await?;
    let width = plan.schema().fields().len();
    let plan = planner.state().optimize(&plan).map_err(from_datafusion)?;
    let groups = groups(what, &plan, &source)?;
    let window = match (windows_of(&text)?.as_slice(), groups) {
        ([], None) | ([_], None) => None,
        ([clause], Some(names)) => Some(window(scope, what, &source, clause, &names).await?),
        ([], Some(_)) => {
            return Err(refused(what, "GROUP BY without a window is not supported")
                .hint("Group by window_start of TUMBLE(TABLE s, DESCRIPTOR(c), INTERVAL '…') or HOP."));
        }
        _ => return Err(refused(what, "more than one window is not supported")),
    };
    Ok(Checked { source, window, width, query: text })
}

fn refused(what: &str, why: &str) -> Error {
    Error::new(Kind::Unsupported, format!("{what}: {why}"))
}

/// The one stream that a query names.
fn stream(scope: &Scope, what: &str, query: &ast::Query) -> Result<Relation> {
    let mut found: Vec<Relation> = Vec::new();
    let _ = ast::visit_relations(query, |name| {
        let relation = scope.find_parts(&name_parts(name));
        found.extend(relation.filter(|relation| matches!(relation.kind, RelationKind::Stream(_))).cloned());
        ControlFlow::<()>::Continue(())
    });
    match found.as_slice() {
        [stream] => Ok(stream.clone()),
        [] => Err(Error::new(Kind::InvalidDefinition, format!("{what} reads no stream"))
            .hint("A view over tables is CREATE VIEW; a table of a query's rows is CREATE TABLE AS.")),
        _ => Err(refused(what, "reading a stream more than once, or two of them, is not supported")),
    }
}

/// The names of the groups above the stream. None: there is no aggregation there.
fn groups(what: &str, plan: &LogicalPlan, stream: &Relation) -> Result<Option<Vec<String>>> {
    if !reads(plan, stream)? {
        return Ok(None);
    }
    let one = || plan.inputs().into_iter().map(|input| groups(what, input, stream)).collect::<Result<Vec<_>>>();
    match plan {
        LogicalPlan::TableScan(_) => Ok(None),
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Unnest(_) => Ok(one()?.into_iter().flatten().next()),
        LogicalPlan::Aggregate(aggregate) => {
            if one()?.into_iter().flatten().next().is_some() {
                return Err(refused(what, "an aggregation of an aggregation is not supported"));
            }
            let names = aggregate.group_expr.iter().map(|expr| expr.qualified_name().1);
            Ok(Some(names.collect()))
        }
        LogicalPlan::Join(join) => {
            keeps_rows_once(what, join, stream)?;
            match one()?.into_iter().flatten().next() {
                Some(_) => Err(refused(what, "a join of what is aggregated is not supported")
                    .hint("Join below the aggregation, or join the view.")),
                None => Ok(None),
            }
        }
        other => {
            let name = other.display().to_string();
            let name = name.split([':', ' ']).next().unwrap_or_default().to_uppercase();
            Err(refused(what, &format!("{name} is not supported")).hint("Do it in the query that reads the result."))
        }
    }
}

fn reads(plan: &LogicalPlan, stream: &Relation) -> Result<bool> {
    let mut found = false;
    each_scan(plan, stream, |_| found = true)?;
    Ok(found)
}

/// The columns that a plan reads of a stream.
pub fn columns_read(plan: &LogicalPlan, stream: &Relation) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    each_scan(plan, stream, |scan| {
        names.extend(scan.projected_schema.fields().iter().map(|field| field.name().clone()));
    })?;
    Ok(names)
}

fn each_scan(plan: &LogicalPlan, stream: &Relation, mut found: impl FnMut(&TableScan)) -> Result<()> {
    let is_stream = |scan: &TableScan| {
        let provider = source_as_provider(&scan.source).ok();
        let provider: Option<&dyn TableProvider> = provider.as_deref();
        provider
            .and_then(|provider| provider.downcast_ref::<StreamTable>())
            .is_some_and(|table| table.oid() == stream.oid)
    };
    plan.apply(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && is_stream(scan)
        {
            found(scan);
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .map(drop)
    .map_err(from_datafusion)
}

/// A join in which a row of the other side could come without a record would give it again with each batch.
fn keeps_rows_once(what: &str, join: &Join, stream: &Relation) -> Result<()> {
    let left = reads(&join.left, stream)?;
    let once = match join.join_type {
        JoinType::Inner => true,
        JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => left,
        JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => !left,
        JoinType::Full => false,
    };
    match once {
        true => Ok(()),
        false => {
            Err(refused(what, &format!("a {} join that keeps rows of the other side is not supported", join.join_type)))
        }
    }
}

async fn window(
    scope: &Scope,
    what: &str,
    stream: &Relation,
    clause: &WindowClause,
    groups: &[String],
) -> Result<Window> {
    if !groups.iter().any(|name| name == "window_start" || name == "window_end") {
        return Err(refused(what, "a GROUP BY without window_start is not supported"));
    }
    let column = tidegate_parser::parse_expression(&clause.column)?;
    let column = match column {
        ast::Expr::Identifier(name) => tidegate_parser::fold(&name),
        other => return Err(refused(what, &format!("DESCRIPTOR({other}) is not supported"))),
    };
    let RelationKind::Stream(spec) = &stream.kind else { return Err(Error::internal("a stream is none")) };
    match &spec.watermark {
        Some((of, _)) if *of == column => {}
        _ => {
            let message = format!("{what}: stream \"{}\" has no watermark for column \"{column}\"", stream.name);
            return Err(Error::new(Kind::InvalidDefinition, message).hint(format!(
                "Declare it with the stream: WATERMARK FOR {column} AS {column} - INTERVAL '5 seconds'."
            )));
        }
    }
    let (slide_us, size_us) = (microseconds(scope, &clause.slide).await?, microseconds(scope, &clause.size).await?);
    if slide_us <= 0 || size_us <= 0 || slide_us > size_us {
        let message = format!("{what}: a window of {} that slides by {} is not possible", clause.size, clause.slide);
        return Err(Error::new(Kind::InvalidParameter, message));
    }
    Ok(Window { column, slide_us, size_us })
}

/// An interval of a fixed length.
async fn microseconds(scope: &Scope, interval: &str) -> Result<i64> {
    let text = format!("SELECT CAST(date_part('epoch', TIMESTAMP '1970-01-01' + {interval}) * 1000000 AS bigint)");
    let planner = Planner::new(scope)?;
    let plan = planner.plan(&ast::Statement::Query(tidegate_parser::parse_query(&text)?)).await?;
    let rows: Vec<_> = planner.stream(plan).await?.try_collect().await.map_err(from_datafusion)?;
    let value = rows.first().map(|batch| datafusion::common::ScalarValue::try_from_array(batch.column(0), 0));
    match value.transpose().map_err(from_datafusion)? {
        Some(datafusion::common::ScalarValue::Int64(Some(length))) => Ok(length),
        _ => Err(Error::new(Kind::InvalidParameter, format!("{interval} is not a length of time"))),
    }
}
