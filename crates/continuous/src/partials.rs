//! What is kept of a query's groups so that what is added can be taken in where the shown columns alone do not tell: for
//! an average its sum and count, all keys, and the groups that HAVING leaves out (MV-05).
//!
//! 1. [`Partials::of`] finds the one aggregation of a query's plan, and what must be kept of each of its aggregates.
//! 2. [`Partials::rows`] is that aggregation with the parts in the aggregates' place: the rows of a state table, from all
//!    rows or from those that were added.
//! 3. [`Partials::shown`] is what stands above the aggregation, over a state table: the view's rows.

use crate::merge::Merge;
use crate::tables::{bare, groups_rows, is_settled_node};
use arrow::datatypes::{DECIMAL256_MAX_PRECISION, DataType, Field};
use datafusion::common::{DFSchema, Result as EngineResult};
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Aggregate, Expr, ExprSchemable, LogicalPlan, Projection, cast};
use std::sync::Arc;
use tidegate_catalog::{Column, PG_TYPE_KEY, SqlType};
use tidegate_core::Result;
use tidegate_query::from_datafusion;

/// Digits of a numeric of which an average's sum is kept: with nine more for the number of rows, as the engine's own
/// average has them, the sum fits the widest numeric that a table holds.
const MEAN_DIGITS_MAX: u8 = 29;

/// What a state table keeps of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partials {
    /// The query, with the types of all its expressions.
    plan: LogicalPlan,
    aggregate: Aggregate,
    parts: Vec<Part>,
    /// For each key and aggregate, what it is made of.
    sources: Vec<Source>,
}

/// A column of a state table.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    name: String,
    sql_type: SqlType,
    merge: Merge,
    /// What makes it of the rows that are grouped.
    made: Expr,
}

/// Which parts make a key or an aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// One of them is it.
    Part(usize),
    /// The sum of this place over the count of the next.
    Mean(usize),
}

impl Partials {
    /// Of a plan whose types are settled, and that has not been optimized: what an optimizer makes of constants and
    /// predicates is not the same for ever. None: the query does more than to filter and to show the groups of rows.
    pub fn of(plan: &LogicalPlan) -> Option<Partials> {
        let aggregate = aggregate_of(plan).filter(|aggregate| groups_rows(aggregate))?.clone();
        let input = aggregate.input.schema();
        let (mut parts, mut sources) = (Vec::new(), Vec::new());
        for key in &aggregate.group_expr {
            sources.push(Source::Part(parts.len()));
            parts.push(part(parts.len(), Merge::Key, key.clone(), input)?);
        }
        for expr in &aggregate.aggr_expr {
            let Expr::AggregateFunction(function) = bare(expr) else { return None };
            let made = parts_of(function, input)?;
            sources.push(if made.len() > 1 { Source::Mean(parts.len()) } else { Source::Part(parts.len()) });
            for (merge, expr) in made {
                parts.push(part(parts.len(), merge, expr, input)?);
            }
        }
        Some(Partials { plan: plan.clone(), aggregate, parts, sources })
    }

    /// The columns of a state table.
    pub fn columns(&self) -> impl Iterator<Item = (&str, &SqlType)> {
        self.parts.iter().map(|part| (part.name.as_str(), &part.sql_type))
    }

    /// How its rows become one for each group.
    pub fn merges(&self) -> Vec<(&str, Merge)> {
        self.parts.iter().map(|part| (part.name.as_str(), part.merge)).collect()
    }

    /// Whether a table has these columns.
    pub fn fit(&self, columns: &[Column]) -> bool {
        self.columns().eq(columns.iter().map(|column| (column.name.as_str(), &column.sql_type)))
    }

    /// The query in words: a state table that was made of others holds something else.
    pub fn told(&self) -> String {
        self.plan.display_indent().to_string()
    }

    /// The rows of a state table.
    pub fn rows(&self) -> Result<LogicalPlan> {
        self.grouped().map_err(from_datafusion)
    }

    fn grouped(&self) -> EngineResult<LogicalPlan> {
        let (keys, made): (Vec<&Part>, Vec<&Part>) = self.parts.iter().partition(|part| part.merge == Merge::Key);
        let keys = keys.into_iter().map(|part| part.made.clone()).collect();
        let made = made.into_iter().map(|part| part.made.clone().alias(&part.name)).collect();
        let grouped = LogicalPlan::Aggregate(Aggregate::try_new(Arc::clone(&self.aggregate.input), keys, made)?);
        let columns = grouped.schema().columns().into_iter().map(Expr::Column);
        let named = columns.zip(&self.parts).map(|(column, part)| column.alias(&part.name)).collect();
        Projection::try_new(named, Arc::new(grouped)).map(LogicalPlan::Projection)
    }

    /// The rows of the view, over those of its state table.
    ///
    /// Averages are the engine's own, to the last digit of a numeric. Sums of floating point depend on the order in which
    /// they are added: their last digits may differ from those of a view that is made anew.
    pub fn shown(&self, kept: LogicalPlan) -> Result<LogicalPlan> {
        let shown = self.aggregated(kept).and_then(|aggregated| over(&self.plan, aggregated));
        shown.map_err(from_datafusion)
    }

    /// The columns of the aggregation, by the names under which what is above it knows them.
    fn aggregated(&self, kept: LogicalPlan) -> EngineResult<LogicalPlan> {
        let columns: Vec<Expr> = kept.schema().columns().into_iter().map(Expr::Column).collect();
        let made = self.aggregate.schema.iter().zip(&self.sources).filter_map(|((of, field), source)| {
            let made = match *source {
                Source::Part(place) => as_type(columns.get(place)?.clone(), field.data_type()),
                Source::Mean(place) => {
                    mean(columns.get(place)?.clone(), columns.get(place + 1)?.clone(), field.data_type())
                }
            };
            Some(made.alias_qualified(of.cloned(), field.name()))
        });
        let made = made.collect();
        Projection::try_new(made, Arc::new(kept)).map(LogicalPlan::Projection)
    }
}

/// The one aggregation of a plan, under nodes that look at one of its rows each.
fn aggregate_of(plan: &LogicalPlan) -> Option<&Aggregate> {
    match plan {
        LogicalPlan::Aggregate(aggregate) => Some(aggregate),
        LogicalPlan::Projection(_) | LogicalPlan::Filter(_) | LogicalPlan::SubqueryAlias(_)
            if is_settled_node(plan) =>
        {
            aggregate_of(plan.inputs().into_iter().next()?)
        }
        _ => None,
    }
}

/// What is above the aggregation of a plan, over something else.
fn over(plan: &LogicalPlan, aggregated: LogicalPlan) -> EngineResult<LogicalPlan> {
    let input = plan.inputs().into_iter().next();
    match (plan, input) {
        (LogicalPlan::Aggregate(_), _) | (_, None) => Ok(aggregated),
        (_, Some(input)) => plan.with_new_exprs(plan.expressions(), vec![over(input, aggregated)?]),
    }
}

fn part(place: usize, merge: Merge, made: Expr, input: &DFSchema) -> Option<Part> {
    let (_, field) = made.to_field(input).ok()?;
    // As Redshift names them in its own state tables.
    let prefix = if merge == Merge::Key { "grvar" } else { "aggvar" };
    Some(Part { name: format!("{prefix}_{}", place + 1), sql_type: kept_type(&field)?, merge, made })
}

/// The type of a column that keeps a field's values as they are. None: there is no such type, or more is said of the
/// values than a table of their own would know.
fn kept_type(field: &Field) -> Option<SqlType> {
    if field.metadata().keys().any(|key| key != PG_TYPE_KEY) {
        return None;
    }
    let sql_type = SqlType::of_field(field);
    match sql_type {
        // Blanks at the end tell groups apart here: no length, and no char.
        SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_) | SqlType::Uuid => {
            field.data_type().is_string().then_some(SqlType::Text)
        }
        SqlType::Bool
        | SqlType::Int2
        | SqlType::Int4
        | SqlType::Int8
        | SqlType::Float4
        | SqlType::Float8
        | SqlType::Numeric(..)
        | SqlType::Date
        | SqlType::Time
        | SqlType::Timestamp
        | SqlType::Timestamptz => (sql_type.arrow() == *field.data_type()).then_some(sql_type),
        _ => None,
    }
}

/// What must be kept of an aggregate: itself, or a sum and a count.
fn parts_of(function: &AggregateFunction, input: &DFSchema) -> Option<Vec<(Merge, Expr)>> {
    if function.params.distinct {
        return None;
    }
    let own = || Expr::AggregateFunction(function.clone());
    match function.func.name() {
        "sum" | "count" => Some(vec![(Merge::Sum, own())]),
        "min" => Some(vec![(Merge::Min, own())]),
        "max" => Some(vec![(Merge::Max, own())]),
        "avg" => mean_parts(function, input),
        _ => None,
    }
}

fn mean_parts(function: &AggregateFunction, input: &DFSchema) -> Option<Vec<(Merge, Expr)>> {
    let [value] = function.params.args.as_slice() else { return None };
    let is_kept = match value.get_type(input).ok()? {
        DataType::Float64 => true,
        DataType::Decimal128(precision, scale) => precision <= MEAN_DIGITS_MAX && scale >= 0,
        _ => false,
    };
    let made = |udaf| {
        let (value, filter) = (vec![value.clone()], function.params.filter.clone());
        Expr::AggregateFunction(AggregateFunction::new_udf(udaf, value, false, filter, Vec::new(), None))
    };
    is_kept.then(|| vec![(Merge::Sum, made(sum_udaf())), (Merge::Sum, made(count_udaf()))])
}

/// Texts come back from a table in another of Arrow's layouts; all else is kept as it is.
fn as_type(kept: Expr, data_type: &DataType) -> Expr {
    match data_type.is_string() && *data_type != SqlType::Text.arrow() {
        true => cast(kept, data_type.clone()),
        false => kept,
    }
}

/// A sum over a count, as the engine's own average has it: for a numeric with four digits more after the point, what is
/// beyond them cut off, and for all else of floating point. NULL of no values, whose sum is NULL.
fn mean(sum: Expr, count: Expr, data_type: &DataType) -> Expr {
    match data_type {
        DataType::Decimal128(_, scale) => {
            // A quotient has four digits more after the point than what is divided.
            let wide = DataType::Decimal256(DECIMAL256_MAX_PRECISION, scale - 4);
            let quotient = cast(sum, wide) / cast(count, DataType::Decimal256(20, 0));
            cast(quotient, data_type.clone())
        }
        other => sum / cast(count, other.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merge::{merged, together};
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::prelude::SessionContext;

    async fn engine() -> SessionContext {
        let engine = SessionContext::new();
        let rows = "('a', 1, 1.5, 1.00), ('b', 2, 2.5, 2.00), ('a', 2, NULL, 0.01), (NULL, NULL, 4.0, NULL), ('b', 7, 0.25, 7.77)";
        for (name, from) in [("t", 0), ("old", 0), ("new", 3)] {
            let upto = if name == "old" { 3 } else { 5 };
            let sql = format!(
                "CREATE TABLE {name} AS SELECT k, arrow_cast(i, 'Int32') AS i, arrow_cast(f, 'Float64') AS f,
                        arrow_cast(d, 'Decimal128(8, 2)') AS d
                 FROM (SELECT row_number() OVER () AS n, * FROM (VALUES {rows}) AS v(k, i, f, d)) AS r
                 WHERE n > {from} AND n <= {upto}"
            );
            engine.sql(&sql).await.unwrap().collect().await.unwrap();
        }
        engine
    }

    async fn partials(engine: &SessionContext, query: &str) -> Option<Partials> {
        let plan = engine.state().create_logical_plan(query).await.unwrap();
        let state = engine.state();
        let plan = state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {}).unwrap();
        Partials::of(&plan)
    }

    async fn rows(engine: &SessionContext, plan: LogicalPlan) -> Vec<String> {
        let batches = engine.execute_logical_plan(plan).await.unwrap().collect().await.unwrap();
        let shown = pretty_format_batches(&batches).unwrap().to_string();
        let mut rows: Vec<String> = shown.lines().filter(|line| line.starts_with("| ")).map(String::from).collect();
        rows.sort();
        rows
    }

    #[tokio::test]
    async fn what_is_kept_and_added_gives_what_the_query_gives() {
        let engine = engine().await;
        for query in [
            "SELECT k, avg(i) AS i, avg(f) AS f, avg(d) AS d FROM t GROUP BY k",
            "SELECT avg(d) AS d, count(*) AS n FROM t",
            "SELECT k, sum(i) AS i FROM t GROUP BY k HAVING count(i) > 1 AND min(d) < 2",
            "SELECT upper(k) AS k, sum(i) * 10 + count(*) AS m, max(d) - min(d) AS d FROM t WHERE f IS NOT NULL GROUP BY k",
            "SELECT avg(i) FILTER (WHERE i > 1) AS i FROM t GROUP BY k",
            "SELECT m + 1 AS m FROM (SELECT k, avg(i + 1) AS m FROM t GROUP BY k) AS s WHERE k = 'b'",
        ] {
            let asked = engine.state().create_logical_plan(query).await.unwrap();
            let whole = partials(&engine, query).await.unwrap();
            let old = partials(&engine, &query.replace("FROM t", "FROM old AS t")).await.unwrap();
            let new = partials(&engine, &query.replace("FROM t", "FROM new AS t")).await.unwrap();
            let all = together(old.rows().unwrap(), [new.rows().unwrap()]).unwrap();
            let kept = merged(all, &whole.merges()).unwrap();
            let expected = rows(&engine, asked).await;
            assert_eq!(rows(&engine, whole.shown(kept).unwrap()).await, expected, "{query}");
            let anew = whole.shown(whole.rows().unwrap()).unwrap();
            assert_eq!(rows(&engine, anew).await, expected, "{query}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_kept() {
        let engine = engine().await;
        for query in [
            "SELECT k, i FROM t",
            "SELECT k, count(DISTINCT i) FROM t GROUP BY k",
            "SELECT k, stddev(f) FROM t GROUP BY k",
            "SELECT avg(n) FROM (SELECT count(*) AS n FROM t GROUP BY k) AS s",
            "SELECT avg(t.i) FROM t LEFT JOIN old ON t.k = old.k",
            "SELECT avg(i) FROM t WHERE now() > TIMESTAMP '2020-01-01'",
            "SELECT avg(i) FROM t WHERE k IN (SELECT k FROM old)",
            "SELECT avg(arrow_cast(d, 'Decimal128(38, 2)')) FROM t",
            "SELECT k, avg(i) FROM t GROUP BY ROLLUP (k)",
        ] {
            assert_eq!(partials(&engine, query).await, None, "{query}");
        }
    }

    #[tokio::test]
    async fn the_columns_of_a_state_table() {
        let engine = engine().await;
        let found = partials(&engine, "SELECT k, avg(d), max(i) FROM t GROUP BY k").await.unwrap();
        let columns: Vec<(String, String)> =
            found.columns().map(|(name, sql_type)| (name.to_string(), sql_type.to_string())).collect();
        let expected =
            [("grvar_1", "text"), ("aggvar_2", "numeric(18,2)"), ("aggvar_3", "bigint"), ("aggvar_4", "integer")];
        assert_eq!(columns, expected.map(|(name, sql_type)| (name.to_string(), sql_type.to_string())));
        let mut own: Vec<Column> =
            found.columns().map(|(name, sql_type)| Column::new(name, sql_type.clone())).collect();
        assert!(found.fit(&own));
        own.pop();
        assert!(!found.fit(&own));
        let other = partials(&engine, "SELECT k, avg(d), min(i) FROM t GROUP BY k").await.unwrap();
        assert_ne!(found.told(), other.told());
    }
}
