//! IN over groups that pass a HAVING is asked where its rows come from, before they are joined to others.
//!
//! `… WHERE o_orderkey IN (SELECT l_orderkey … GROUP BY l_orderkey HAVING sum(l_quantity) > 300)` becomes a semi join
//! above all joins of the query. Few groups pass, so it is moved down to the table that has the key, and the joins above
//! see few rows. Other semi joins stay: where they keep most rows, they are cheaper after the joins.

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::{Expr, Join, JoinType, LogicalPlan, Projection};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use std::sync::Arc;

/// The rule.
#[derive(Debug, Default)]
pub struct SemiJoinsFirst;

impl OptimizerRule for SemiJoinsFirst {
    fn name(&self) -> &str {
        "semi_joins_first"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Join(semi) = &plan else { return Ok(Transformed::no(plan)) };
        let asks = semi.join_type == JoinType::LeftSemi && semi.filter.is_none() && passes_having(&semi.right);
        match asks.then(|| below(semi, &semi.left)).transpose()?.flatten() {
            Some(moved) => Ok(Transformed::yes(moved)),
            None => Ok(Transformed::no(plan)),
        }
    }
}

/// Whether rows are groups of which a filter lets some pass.
fn passes_having(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => passes_having(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => passes_having(&alias.input),
        LogicalPlan::Filter(filter) => is_grouped(&filter.input),
        _ => false,
    }
}

fn is_grouped(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => is_grouped(&projection.input),
        LogicalPlan::Aggregate(aggregate) => !aggregate.group_expr.is_empty(),
        _ => false,
    }
}

/// The semi join asked of one input of the join that it stood above. None: it cannot be.
fn below(semi: &Join, plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    match plan {
        LogicalPlan::Projection(projection) if projection.expr.iter().all(|one| matches!(one, Expr::Column(_))) => {
            let Some(moved) = below(semi, &projection.input)? else { return Ok(None) };
            let projected = Projection::try_new(projection.expr.clone(), Arc::new(moved))?;
            Ok(Some(LogicalPlan::Projection(projected)))
        }
        LogicalPlan::Join(join) if join.join_type == JoinType::Inner => {
            let of = |side: &LogicalPlan| {
                semi.on.iter().all(|(key, _)| key.column_refs().iter().all(|column| side.schema().has_column(column)))
            };
            let (left, right) = match (of(&join.left), of(&join.right)) {
                (true, _) => (Arc::new(asked(semi, &join.left)?), Arc::clone(&join.right)),
                (false, true) => (Arc::clone(&join.left), Arc::new(asked(semi, &join.right)?)),
                (false, false) => return Ok(None),
            };
            Ok(Some(LogicalPlan::Join(Join { left, right, ..join.clone() })))
        }
        _ => Ok(None),
    }
}

fn asked(semi: &Join, input: &Arc<LogicalPlan>) -> Result<LogicalPlan> {
    let (on, right) = (semi.on.clone(), Arc::clone(&semi.right));
    let join = Join::try_new(
        Arc::clone(input),
        right,
        on,
        None,
        JoinType::LeftSemi,
        semi.join_constraint,
        semi.null_equality,
        false,
    )?;
    Ok(LogicalPlan::Join(join))
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::execution::session_state::SessionStateBuilder;
    use datafusion::prelude::SessionContext;

    async fn optimized(sql: &str) -> String {
        let rule = Arc::new(SemiJoinsFirst);
        let state = SessionStateBuilder::new().with_default_features().with_optimizer_rule(rule).build();
        let context = SessionContext::new_with_state(state);
        for (name, columns) in
            [("customer", "c_key int"), ("orders", "o_key int, o_c int"), ("line", "l_key int, n int")]
        {
            context.sql(&format!("CREATE TABLE {name} ({columns})")).await.unwrap();
        }
        context.sql(sql).await.unwrap().into_optimized_plan().unwrap().display_indent().to_string()
    }

    #[tokio::test]
    async fn only_groups_that_pass_a_having_are_asked_first() {
        let from = "SELECT c_key, n FROM customer, orders, line WHERE c_key = o_c AND o_key = l_key AND o_key IN";
        let having = format!("{from} (SELECT l_key FROM line GROUP BY l_key HAVING sum(n) > 300)");
        let plan = optimized(&having).await;
        let semi = plan.find("LeftSemi").unwrap();
        assert_eq!(plan.matches("LeftSemi").count(), 1, "{plan}");
        assert_eq!(plan[..semi].matches("Inner Join").count(), 2, "{plan}");
        let plan = optimized(&format!("{from} (SELECT l_key FROM line WHERE n > 300)")).await;
        assert_eq!(plan[..plan.find("LeftSemi").unwrap()].matches("Inner Join").count(), 0, "{plan}");
    }
}
