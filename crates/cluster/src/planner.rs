//! Plans for all nodes, and for the leader alone where a plan cannot travel.

use crate::codec::Codec;
use crate::leaf::Leaves;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::catalog::memory::DataSourceExec;
use datafusion::common::Result as EngineResult;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::execution::context::QueryPlanner;
use datafusion::logical_expr::{Expr, LogicalPlan, PlanType, StringifiedPlan};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::explain::ExplainExec;
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};
use datafusion_distributed::{DistributedExec, display_plan_ascii};
use datafusion_proto::physical_plan::AsExecutionPlan;
use datafusion_proto::protobuf::PhysicalPlanNode;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use tidegate_query::with_movement;
use url::Url;

/// In a statement's configuration: it is planned for all nodes. Takes the object stores that its plan reads, since a
/// plan whose leaves are dealt out does not show them any more.
#[derive(Debug, Default)]
pub struct ForAllNodes {
    /// Their URLs.
    pub stores: Mutex<BTreeSet<String>>,
}

/// Chooses between the two.
#[derive(Debug)]
pub struct LeaderPlanner {
    /// The distributed engine's, over a [`Travelling`].
    pub all_nodes: Arc<dyn QueryPlanner + Send + Sync>,
}

#[async_trait]
impl QueryPlanner for LeaderPlanner {
    async fn create_physical_plan(
        &self,
        logical: &LogicalPlan,
        session: &dyn Session,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let here = DefaultPhysicalPlanner::default();
        if session.config().get_extension::<ForAllNodes>().is_none() {
            return here.create_physical_plan(logical, session).await;
        }
        if let LogicalPlan::Explain(explain) = logical {
            let shown = here.create_physical_plan(logical, session).await?;
            let plan = Box::pin(self.create_physical_plan(&explain.plan, session)).await?;
            return Ok(with_stages(shown, &plan));
        }
        match self.all_nodes.create_physical_plan(logical, session).await {
            Ok(plan) => Ok(plan),
            Err(error) => {
                tracing::debug!(%error, "a plan is for the leader alone");
                here.create_physical_plan(logical, session).await
            }
        }
    }
}

/// Whether a plan has a subquery in the place of a value that may give more than one row. That is an error which only
/// the plan for one node finds: in the other the subquery becomes a join.
pub fn counts_on_one_row(plan: &LogicalPlan) -> bool {
    let several = |expr: &Expr| match expr {
        Expr::ScalarSubquery(inner) => {
            inner.outer_ref_columns.is_empty() && inner.subquery.max_rows().is_none_or(|rows| rows > 1)
        }
        _ => false,
    };
    let mut found = false;
    let looked = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            found |= expr.exists(|expr| Ok(several(expr)))?;
            Ok(TreeNodeRecursion::Continue)
        })
    });
    found || looked.is_err()
}

/// EXPLAIN's answer, with stages and tasks where the plan has them.
fn with_stages(shown: Arc<dyn ExecutionPlan>, plan: &Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    let (Some(explain), true) = (shown.downcast_ref::<ExplainExec>(), plan.is::<DistributedExec>()) else {
        return shown;
    };
    let text = display_plan_ascii(plan.as_ref(), false);
    let replaced = |one: &StringifiedPlan| match one.plan_type {
        PlanType::FinalPhysicalPlan => StringifiedPlan::new(PlanType::FinalPhysicalPlan, text.clone()),
        _ => one.clone(),
    };
    let plans = explain.stringified_plans().iter().map(replaced).collect();
    with_movement(Arc::new(ExplainExec::new(explain.schema(), plans, explain.verbose())), plan)
}

/// Plans such as other nodes can run: what only the leader has is pulled from it. An error names what cannot travel.
#[derive(Debug)]
pub struct Travelling {
    /// What the leader has.
    pub leaves: Leaves,
    /// Where it is asked for it.
    pub leader: Url,
    /// What travels.
    pub codec: Codec,
}

#[async_trait]
impl QueryPlanner for Travelling {
    async fn create_physical_plan(
        &self,
        logical: &LogicalPlan,
        session: &dyn Session,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let plan = DefaultPhysicalPlanner::default().create_physical_plan(logical, session).await?;
        let plan = plan.transform_up(|plan| match is_only_here(plan.as_ref()) {
            true => Ok(Transformed::yes(Arc::new(self.leaves.keep(plan, &self.leader)) as Arc<dyn ExecutionPlan>)),
            false => Ok(Transformed::no(plan)),
        });
        let plan = plan.data()?;
        PhysicalPlanNode::try_from_physical_plan(Arc::clone(&plan), &self.codec)?;
        if let Some(spread) = session.config().get_extension::<ForAllNodes>() {
            spread.stores.lock().extend(stores(&plan)?);
        }
        Ok(plan)
    }
}

/// URLs of the object stores that a plan reads.
fn stores(plan: &Arc<dyn ExecutionPlan>) -> EngineResult<BTreeSet<String>> {
    let mut urls = BTreeSet::new();
    plan.apply(|plan| {
        let scan = plan.downcast_ref::<DataSourceExec>();
        if let Some(config) = scan.and_then(|scan| scan.data_source().downcast_ref::<FileScanConfig>()) {
            urls.insert(config.object_store_url.as_str().to_string());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(urls)
}

/// Whether a leaf's rows are on the leader only.
fn is_only_here(plan: &dyn ExecutionPlan) -> bool {
    let scans_files = |scan: &DataSourceExec| scan.data_source().is::<FileScanConfig>();
    plan.children().is_empty()
        && !plan.downcast_ref::<DataSourceExec>().is_some_and(scans_files)
        && !plan.is::<EmptyExec>()
        && !plan.is::<PlaceholderRowExec>()
}
