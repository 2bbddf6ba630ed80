//! The walk that our analyzer rules share: over all plans of a statement, those of subqueries too, and the expressions in
//! them, whose columns keep their names.

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, LogicalPlan};

/// Rewrites expressions, from the inside out. `concerns` tells those that may change from the others, without a schema.
pub fn expressions(
    plan: LogicalPlan,
    concerns: fn(&Expr) -> bool,
    rewrite: fn(Expr, &DFSchema) -> Result<Transformed<Expr>>,
) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|plan| of_plan(plan, concerns, rewrite)).data()
}

fn of_plan(
    plan: LogicalPlan,
    concerns: fn(&Expr) -> bool,
    rewrite: fn(Expr, &DFSchema) -> Result<Transformed<Expr>>,
) -> Result<Transformed<LogicalPlan>> {
    // Most plans have nothing to change: they are looked at where they are, as an INSERT may hold very many expressions.
    let mut found = false;
    plan.apply_expressions(|expr| {
        found |= expr.exists(|part| Ok(concerns(part)))?;
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    if !found {
        return Ok(Transformed::no(plan));
    }
    let schema = merge_schema(&plan.inputs());
    let names = NamePreserver::new(&plan);
    let rewritten = |expr: Expr| {
        let name = names.save(&expr);
        let rewritten = expr.transform_up(|part| rewrite(part, &schema))?;
        Ok(rewritten.update_data(|expr| name.restore(expr)))
    };
    plan.map_expressions(rewritten)?.map_data(LogicalPlan::recompute_schema)
}
