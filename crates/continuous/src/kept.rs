//! The table in which a view over tables keeps what its rows are made of. It stands beside the view's own, under
//! Redshift's name for it, and is the view's: nobody else writes it, and it goes with the view.

use crate::partials::Partials;
use datafusion::logical_expr::LogicalPlan;
use std::sync::Arc;
use tidegate_catalog::{Change, NAME_BYTES_MAX, Relation, State};
use tidegate_core::{Error, Result};
use tidegate_parser::{ast, quoted};
use tidegate_query::conform::{Source, renamed};
use tidegate_query::{Planner, Scope, Work, insert};

/// Makes the state table of a view, and the rows of both.
pub async fn create(work: &mut Work<'_>, view: &Relation, partials: &Partials) -> Result<Relation> {
    let (schema, name) = (work.state().schema_name(view.schema).to_string(), name_of(&view.name));
    let columns: Vec<String> =
        partials.columns().map(|(name, sql_type)| format!("{} {sql_type}", quoted(name))).collect();
    let table = format!("{}.{}", quoted(&schema), quoted(&name));
    work.perform(&format!("CREATE TABLE {table} ({})", columns.join(", "))).await?;
    let missing = || Error::internal("a table that was just made is not there");
    let kept = work.state().relation_named(&schema, &name).cloned().ok_or_else(missing)?;
    pour(work, &kept, partials.rows()?).await?;
    let shown = partials.shown(scan(&work.scope, &kept).await?)?;
    pour(work, view, renamed(shown, &view.columns)?).await?;
    Ok(kept)
}

async fn pour(work: &mut Work<'_>, table: &Relation, plan: LogicalPlan) -> Result<()> {
    let sources: Vec<Source> = (0..table.columns.len()).map(Source::Input).collect();
    let rows = Planner::new(&work.scope)?.stream(plan).await?;
    insert::pour(work, table, &sources, rows, None).await.map(drop)
}

/// The rows of a table as they are in a scope.
pub async fn scan(scope: &Scope, table: &Relation) -> Result<LogicalPlan> {
    let schema = quoted(scope.state.schema_name(table.schema));
    let query = tidegate_parser::parse_query(&format!("SELECT * FROM {schema}.{}", quoted(&table.name)))?;
    Planner::new(scope)?.plan(&ast::Statement::Query(query)).await
}

/// A scope that sees changes which are not committed yet.
pub fn with_changes(scope: &Scope, changes: &[Change]) -> Result<Scope> {
    let mut state = State::clone(&scope.state);
    for change in changes {
        state.check(change)?;
        state.apply(change, state.position);
    }
    Ok(Scope { state: Arc::new(state), ..scope.clone() })
}

/// Redshift's name for the first state table of a view.
fn name_of(view: &str) -> String {
    let most = NAME_BYTES_MAX.saturating_sub("mv_tbl____0".len()).min(view.len());
    let cut = (0..=most).rev().find(|at| view.is_char_boundary(*at)).unwrap_or(0);
    format!("mv_tbl__{}__0", view.get(..cut).unwrap_or(view))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_state_tables() {
        assert_eq!(name_of("by_shop"), "mv_tbl__by_shop__0");
        for view in ["x".repeat(127), "é".repeat(63)] {
            let name = name_of(&view);
            assert!(name.len() <= NAME_BYTES_MAX && name.len() >= NAME_BYTES_MAX - 1, "{name}");
            assert!(name.starts_with("mv_tbl__") && name.ends_with("__0"), "{name}");
        }
    }
}
