//! ANALYZE: how many different values each column has, counted roughly and kept in the catalog for the planner.

use crate::dml::table_spec;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, TimeUnit, UInt64Type};
use futures::TryStreamExt;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidegate_catalog::{Analysis, Change, Column, Guarded, Relation, RelationKind, TableFiles};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::{Analyze, quoted};
use tidegate_query::insert::chosen_idents;
use tidegate_query::{Engine, Need, Planner, Scope, Work, from_datafusion};

/// Columns that one pass counts.
const COLUMNS_MAX: usize = 32;
/// Share of its rows, in percent, that must have changed before a table is looked at by itself.
const AUTO_PERCENT: f64 = 20.0;
/// Longest time that a table goes on changing before it is looked at again, in milliseconds.
const AUTO_INTERVAL_MS: i64 = 600_000;
/// Digits that fit in 64 bits, whatever they are.
const DIGITS_OF_64_BITS: u8 = 18;
/// Largest table that is looked at by itself: it takes time from users.
const AUTO_BYTES_MAX: u64 = 256 << 20;

/// ANALYZE of one table or all. False where nothing had changed enough.
pub async fn analyze(work: &mut Work<'_>, analyze: &Analyze) -> Result<bool> {
    let percent = threshold(&work.scope)?;
    let state = Arc::clone(work.state());
    let relations: Vec<Relation> = match &analyze.table {
        Some(name) => {
            let relation = work.relation(name, Need::Owner)?;
            table_spec(&relation)?;
            vec![relation]
        }
        // Those of others are passed over, as in Postgres.
        None => {
            let asker = work.scope.asker();
            let is_table = |relation: &&Relation| matches!(relation.kind, RelationKind::Table(_));
            let owned = |relation: &&Relation| asker.owns(&Guarded::Relation(relation));
            state.relations().filter(is_table).filter(owned).cloned().collect()
        }
    };
    let mut analyzed = false;
    for relation in relations {
        let columns = chosen_idents(&relation, &analyze.columns)?;
        let is_due = state.files(relation.oid).is_some_and(|files| is_due(files, percent));
        if analyze.columns.is_empty() && !is_due {
            continue;
        }
        let changes = vec![counted(&work.scope, &relation, &columns).await?];
        work.push(changes)?;
        analyzed = true;
    }
    Ok(analyzed)
}

/// The same for a table that has changed much, by itself.
pub async fn auto_analyze(engine: &Engine, relation: &Relation) -> Result<()> {
    let state = engine.catalog().state();
    let scope = Scope { partitions: 1, ..engine.system_scope(state) };
    let columns: Vec<usize> = (0..relation.columns.len()).collect();
    let change = counted(&scope, relation, &columns).await?;
    engine.catalog().commit(vec![change]).await.map(drop)
}

/// Whether a table is worth to be looked at by itself.
pub fn is_due_by_itself(files: &TableFiles, now_ms: i64) -> bool {
    let is_recent = files.analysis.as_ref().is_some_and(|found| found.at_ms > now_ms - AUTO_INTERVAL_MS);
    !files.files.is_empty() && !is_recent && files.bytes() <= AUTO_BYTES_MAX && is_due(files, AUTO_PERCENT)
}

/// Whether so many percent of a table's rows have changed since it was last looked at.
fn is_due(files: &TableFiles, percent: f64) -> bool {
    match &files.analysis {
        None => files.changed > 0,
        Some(analysis) => {
            let changed = files.changed.saturating_sub(analysis.changed);
            changed > 0 && changed as f64 * 100.0 >= analysis.rows as f64 * percent
        }
    }
}

fn threshold(scope: &Scope) -> Result<f64> {
    const NAME: &str = "analyze_threshold_percent";
    let value =
        scope.settings.iter().find(|(name, ..)| name == NAME).map(|(_, value, _)| value.as_str()).unwrap_or_default();
    value.parse().ok().filter(|percent| (0.0..=100.0).contains(percent)).ok_or_else(|| {
        Error::new(Kind::InvalidParameter, format!("invalid value for parameter \"{NAME}\": \"{value}\""))
            .hint("It must be a number from 0 to 100.")
    })
}

/// Counts; what was known of other columns stays.
async fn counted(scope: &Scope, relation: &Relation, columns: &[usize]) -> Result<Change> {
    let files = scope.state.files(relation.oid).cloned().unwrap_or_default();
    let known = files.analysis.as_ref().map(|analysis| analysis.distinct.clone()).unwrap_or_default();
    let mut distinct: BTreeMap<String, u64> = known;
    let columns = columns.iter().filter_map(|index| relation.columns.get(*index));
    let counted: Vec<(&Column, String)> = columns.filter_map(|column| Some((column, counting(column)?))).collect();
    for some in counted.chunks(COLUMNS_MAX) {
        let items: Vec<&str> = some.iter().map(|(_, item)| item.as_str()).collect();
        let schema = scope.state.schema_name(relation.schema);
        let sql = format!("SELECT {} FROM {}.{}", items.join(", "), quoted(schema), quoted(&relation.name));
        let row = one_row(scope, &sql).await?;
        for ((column, _), count) in some.iter().zip(row.columns()) {
            let count = count.as_primitive_opt::<UInt64Type>().filter(|count| !count.is_empty());
            distinct.insert(column.in_files().to_string(), count.map_or(0, |count| count.value(0)));
        }
    }
    let analysis =
        Analysis { at_ms: scope.engine.clock().now_ms(), rows: files.rows(), changed: files.changed, distinct };
    Ok(Change::Analyzed { table: relation.oid, analysis: Arc::new(analysis) })
}

/// What counts a column; None for one whose values are not told apart.
fn counting(column: &Column) -> Option<String> {
    let name = quoted(&column.name);
    match column.sql_type.arrow() {
        DataType::List(_) | DataType::Struct(_) | DataType::Map(..) | DataType::Interval(_) => None,
        DataType::Utf8View
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Date32
        | DataType::Timestamp(TimeUnit::Microsecond, _) => Some(format!("approx_distinct({name})")),
        // As whole numbers, which are counted without being written out.
        DataType::Decimal128(precision, scale) if precision <= DIGITS_OF_64_BITS && scale >= 0 => {
            let unit = format!("1{}", "0".repeat(usize::from(scale.unsigned_abs())));
            Some(format!("approx_distinct(CAST({name} * {unit} AS bigint))"))
        }
        _ => Some(format!("approx_distinct(CAST({name} AS varchar))")),
    }
}

async fn one_row(scope: &Scope, sql: &str) -> Result<RecordBatch> {
    let planner = Planner::new(scope)?;
    let query = tidegate_parser::ast::Statement::Query(tidegate_parser::parse_query(sql)?);
    let rows = planner.stream(planner.plan(&query).await?).await?;
    let batches: Vec<RecordBatch> = rows.try_collect().await.map_err(from_datafusion)?;
    batches.into_iter().find(|batch| batch.num_rows() > 0).ok_or_else(|| Error::internal("a count without a row"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_looked_at_when_enough_has_changed() {
        let table = |changed: u64, known: Option<(u64, u64)>| {
            let found = known.map(|(rows, changed)| Arc::new(Analysis { rows, changed, ..Analysis::default() }));
            let mut files = TableFiles::default();
            (files.changed, files.analysis) = (changed, found);
            files
        };
        let cases = [
            (table(0, None), 0.0, false),
            (table(1, None), 10.0, true),
            (table(109, Some((100, 100))), 10.0, false),
            (table(110, Some((100, 100))), 10.0, true),
            (table(100, Some((100, 100))), 0.0, false),
            (table(101, Some((100, 100))), 0.0, true),
        ];
        for (files, percent, expected) in cases {
            assert_eq!(is_due(&files, percent), expected, "{} {percent}", files.changed);
        }
    }
}
