//! Which rows of a relation are whose: its policies as conditions of what is read, and as checks of what is written.
//!
//! 1. A relation that is read comes from the scope as [`VisibleRows`]: a scan below the condition. What the query asks
//!    of its rows is asked above a [barrier](RowBarrierExec), so that no error and no function tells of a row that is
//!    not seen; only comparisons, which cannot fail, go below it.
//! 2. Rows that are written pass a [`RowCheck`] before they go to the sink.
//! 3. What adds or removes rows without looking at them ([`Scope::refuse_policies`]) is refused where policies count.
//!
//! A condition is planned where it counts, with the rights of who asks: what it names is looked up there as Postgres does.

use super::barrier::RowBarrierExec;
use crate::planner::Planner;
use crate::returning::RETURNED;
use crate::scope::Scope;
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, FieldRef, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{MemTable, Session, TableProvider};
use datafusion::common::{Column, TableReference};
use datafusion::error::Result as EngineResult;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{
    Expr, LogicalPlan, LogicalPlanBuilder, Operator, TableProviderFilterPushDown, TableType, lit,
};
use datafusion::physical_plan::ExecutionPlan;
use futures::TryStreamExt;
use std::sync::Arc;
use tidegate_catalog::{Policy, PolicyCommand, Relation, SqlType, arrow_schema};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::ast;

impl Scope {
    /// The policies that count for who asks; None: they see and make all rows.
    fn policies(&self, relation: &Relation, command: PolicyCommand) -> Result<Option<Vec<&Policy>>> {
        if !relation.row_security.enabled {
            return Ok(None);
        }
        let asker = self.asker();
        if !asker.is_guarded(relation) {
            return Ok(None);
        }
        if !self.switch("row_security", true) {
            let message =
                format!("query would be affected by row-level security policy for table \"{}\"", relation.name);
            return Err(Error::new(Kind::InsufficientPrivilege, message));
        }
        let policies = self.state.policies(relation.oid);
        Ok(Some(policies.filter(|policy| policy.concerns(command, &asker.roles)).collect()))
    }

    /// Whether policies count for who asks.
    pub fn is_guarded(&self, relation: &Relation) -> Result<bool> {
        Ok(self.policies(relation, PolicyCommand::Select)?.is_some())
    }

    /// 0A000 for what cannot be done row by row, where policies count.
    pub fn refuse_policies(&self, relation: &Relation, what: &str) -> Result<()> {
        match self.is_guarded(relation)? {
            true => {
                let message = format!("{what} is not supported on \"{}\", which has row-level security", relation.name);
                Err(Error::new(Kind::Unsupported, message).hint("Use INSERT, UPDATE or DELETE instead."))
            }
            false => Ok(()),
        }
    }

    /// The rows of a relation that who asks may read and do this with.
    pub(crate) async fn visible(
        &self,
        relation: &Relation,
        command: PolicyCommand,
        rows: Arc<dyn TableProvider>,
    ) -> Result<Arc<dyn TableProvider>> {
        let mut rows = rows;
        let both = [Some(PolicyCommand::Select), Some(command).filter(|command| *command != PolicyCommand::Select)];
        for command in both.into_iter().flatten() {
            if let Some(policies) = self.policies(relation, command)? {
                let condition = Condition::of(&policies, |policy| policy.using.as_deref());
                let schema = rows.schema();
                rows = Arc::new(Guarding::new(self, relation, rows)?.visible(&condition, schema).await?);
            }
        }
        Ok(rows)
    }
}

/// What rows must meet: of the policies that concern who asks, permissive ones are joined by OR and restrictive ones by
/// AND; where none is permissive, no row passes (Postgres).
pub struct Condition<'p> {
    permissive: Vec<Term<'p>>,
    restrictive: Vec<Term<'p>>,
}

/// The condition of one policy. What it names is looked up as it was when the policy was made: another function of the
/// same name would undo it.
struct Term<'p> {
    text: &'p str,
    search_path: &'p [String],
}

impl<'p> Condition<'p> {
    fn of(policies: &[&'p Policy], text: impl Fn(&'p Policy) -> Option<&'p str>) -> Condition<'p> {
        let (mut permissive, mut restrictive) = (Vec::new(), Vec::new());
        for policy in policies {
            let list = if policy.permissive { &mut permissive } else { &mut restrictive };
            list.extend(text(policy).map(|text| Term { text, search_path: &policy.search_path }));
        }
        Condition { permissive, restrictive }
    }

    /// The rows that meet it, as a plan.
    async fn plan(&self, around: &Guarding<'_>) -> Result<LogicalPlanBuilder> {
        let mut terms = [Vec::new(), Vec::new()];
        for (list, made) in [&self.permissive, &self.restrictive].into_iter().zip(&mut terms) {
            for term in list {
                made.push(around.predicate(term).await?);
            }
        }
        let [permissive, restrictive] = terms;
        let rows = LogicalPlanBuilder::from(around.rows().await?);
        rows.filter(joined(permissive, restrictive)).map_err(crate::from_datafusion)
    }
}

fn joined(permissive: Vec<Expr>, restrictive: Vec<Expr>) -> Expr {
    let any = permissive.into_iter().reduce(Expr::or).unwrap_or_else(|| lit(false));
    restrictive.into_iter().fold(any, Expr::and)
}

/// Checks the condition of a policy that is being made. 42804 where it is not a boolean.
pub async fn check_condition(scope: &Scope, relation: &Relation, text: &str) -> Result<()> {
    let none = MemTable::try_new(arrow_schema(&relation.columns), vec![vec![]]).map_err(crate::from_datafusion)?;
    let around = Guarding::new(scope, relation, Arc::new(none))?;
    let value = around.query(&around.scope, &format!("SELECT ({text})"), "").await?;
    match value.schema().fields().first().map(|field| field.data_type()) {
        Some(DataType::Boolean | DataType::Null) => {}
        Some(other) => {
            let shown = SqlType::of_arrow(other);
            let message = format!("argument of POLICY must be type boolean, not type {shown}");
            return Err(Error::new(Kind::DatatypeMismatch, message));
        }
        None => return Err(Error::internal("a condition without a value")),
    }
    around.predicate(&Term { text, search_path: &around.scope.search_path }).await.map(drop)
}

/// A relation whose policies are being asked.
struct Guarding<'a> {
    relation: &'a Relation,
    scope: Scope,
}

impl<'a> Guarding<'a> {
    /// 42P17 inside a policy of the same relation.
    fn new(scope: &Scope, relation: &'a Relation, rows: Arc<dyn TableProvider>) -> Result<Guarding<'a>> {
        if scope.guarding.contains(&relation.oid) {
            let message = format!("infinite recursion detected in policy for relation \"{}\"", relation.name);
            return Err(Error::new(Kind::InvalidObjectDefinition, message));
        }
        let mut guarding = scope.guarding.as_ref().clone();
        guarding.insert(relation.oid);
        let scope = Scope {
            guarding: Arc::new(guarding),
            returned: Some(rows),
            places_of: None,
            system_columns: false,
            consumed: None,
            bound: None,
            // What surrounds the rows is dealt out to nodes, with them.
            task_bytes: None,
            ..scope.clone()
        };
        Ok(Guarding { relation, scope })
    }

    async fn query(&self, scope: &Scope, select: &str, filter: &str) -> Result<LogicalPlan> {
        let name = ast::Ident::with_quote('"', &self.relation.name);
        let text = format!("{select} FROM \"{RETURNED}\" AS {name} {filter}");
        let query = ast::Statement::Query(tidegate_parser::parse_query(&text)?);
        let plan = Box::pin(Planner::new(scope)?.plan(&query)).await;
        plan.map_err(|error| error.context(format_args!("policy for table \"{}\"", self.relation.name)))
    }

    /// All rows, under the relation's name.
    async fn rows(&self) -> Result<LogicalPlan> {
        match self.query(&self.scope, "SELECT 1", "").await? {
            LogicalPlan::Projection(list) => Ok(list.input.as_ref().clone()),
            _ => Err(Error::internal("a SELECT without a list")),
        }
    }

    async fn predicate(&self, term: &Term<'_>) -> Result<Expr> {
        let scope = Scope { search_path: term.search_path.to_vec(), ..self.scope.clone() };
        let plan = self.query(&scope, "SELECT 1", &format!("WHERE ({})", term.text)).await?;
        let filter = match plan {
            LogicalPlan::Projection(list) => match list.input.as_ref() {
                LogicalPlan::Filter(filter) => Some(filter.predicate.clone()),
                _ => None,
            },
            _ => None,
        };
        filter.ok_or_else(|| {
            let message = format!("the policy's condition {} cannot be asked of a row by itself", term.text);
            Error::new(Kind::Unsupported, message)
        })
    }

    /// The rows that meet a condition, under their bare names.
    async fn visible(&self, condition: &Condition<'_>, schema: SchemaRef) -> Result<VisibleRows> {
        let rows = condition.plan(self).await?;
        let bare = |(table, field): (Option<&TableReference>, &FieldRef)| {
            Expr::Column(Column::new(table.cloned(), field.name())).alias(field.name())
        };
        let columns: Vec<Expr> = rows.schema().iter().map(bare).collect();
        let plan = rows.project(columns).and_then(LogicalPlanBuilder::build).map_err(crate::from_datafusion)?;
        Ok(VisibleRows { plan, schema, state: Planner::new(&self.scope)?.state().clone() })
    }
}

/// The rows of a relation that meet a condition.
#[derive(Debug)]
struct VisibleRows {
    plan: LogicalPlan,
    schema: SchemaRef,
    /// Plans for this node: what surrounds the rows is planned for others.
    state: SessionState,
}

#[async_trait]
impl TableProvider for VisibleRows {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> EngineResult<Vec<TableProviderFilterPushDown>> {
        let taken = |filter: &&Expr| match never_fails(filter) {
            true => TableProviderFilterPushDown::Exact,
            false => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(taken).collect())
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let mut plan = LogicalPlanBuilder::from(self.plan.clone());
        if let Some(filter) = filters.iter().cloned().reduce(Expr::and) {
            plan = plan.filter(filter)?;
        }
        if let Some(projection) = projection {
            let field = |at: &usize| self.schema.fields().get(*at);
            let columns =
                projection.iter().filter_map(field).map(|field| Expr::Column(Column::from_name(field.name())));
            plan = plan.project(columns.collect::<Vec<_>>())?;
        }
        if limit.is_some() {
            plan = plan.limit(0, limit)?;
        }
        let rows = self.state.create_physical_plan(&plan.build()?).await?;
        Ok(Arc::new(RowBarrierExec::above(rows)))
    }
}

/// Whether evaluating an expression on any row gives a value: so that it tells nothing of rows that are not seen
/// (Postgres: leakproof).
fn never_fails(expr: &Expr) -> bool {
    match expr {
        Expr::Column(_) | Expr::Literal(..) => true,
        Expr::Not(inner) | Expr::IsNull(inner) | Expr::IsNotNull(inner) => never_fails(inner),
        Expr::BinaryExpr(both) => {
            let compares = matches!(
                both.op,
                Operator::Eq
                    | Operator::NotEq
                    | Operator::Lt
                    | Operator::LtEq
                    | Operator::Gt
                    | Operator::GtEq
                    | Operator::And
                    | Operator::Or
                    | Operator::IsDistinctFrom
                    | Operator::IsNotDistinctFrom
            );
            compares && never_fails(&both.left) && never_fails(&both.right)
        }
        Expr::Between(between) => [&between.expr, &between.low, &between.high].into_iter().all(|one| never_fails(one)),
        Expr::InList(list) => never_fails(&list.expr) && list.list.iter().all(never_fails),
        _ => false,
    }
}

/// Looks at rows before they are written.
pub struct RowCheck {
    /// What the rows must be: made by policies of the command, and seen by policies of SELECT.
    made: Vec<Policy>,
    seen: Option<Vec<Policy>>,
    relation: Relation,
    scope: Scope,
}

impl RowCheck {
    /// For rows that a command makes; those that it also gives back or has read must be visible, too.
    pub fn of(scope: &Scope, relation: &Relation, command: PolicyCommand, reads: bool) -> Result<Option<RowCheck>> {
        let own = |policies: Vec<&Policy>| policies.into_iter().cloned().collect::<Vec<_>>();
        let Some(made) = scope.policies(relation, command)?.map(own) else { return Ok(None) };
        let seen = if reads { scope.policies(relation, PolicyCommand::Select)?.map(own) } else { None };
        Ok(Some(RowCheck { made, seen, relation: relation.clone(), scope: scope.clone() }))
    }

    /// 42501 unless all rows meet the policies.
    async fn pass(&self, rows: &RecordBatch) -> Result<()> {
        let made: Vec<&Policy> = self.made.iter().collect();
        let mut met = self.met(&Condition::of(&made, Policy::made), rows).await?;
        if let Some(seen) = &self.seen {
            let seen: Vec<&Policy> = seen.iter().collect();
            met &= self.met(&Condition::of(&seen, |policy| policy.using.as_deref()), rows).await?;
        }
        match met {
            true => Ok(()),
            false => {
                let message =
                    format!("new row violates row-level security policy for table \"{}\"", self.relation.name);
                Err(Error::new(Kind::InsufficientPrivilege, message))
            }
        }
    }

    async fn met(&self, condition: &Condition<'_>, rows: &RecordBatch) -> Result<bool> {
        let table = MemTable::try_new(rows.schema(), vec![vec![rows.clone()]]).map_err(crate::from_datafusion)?;
        let around = Guarding::new(&self.scope, &self.relation, Arc::new(table))?;
        let passed = condition.plan(&around).await?.build().map_err(crate::from_datafusion)?;
        let mut passed = Planner::new(&around.scope)?.stream(passed).await?;
        let mut count = 0;
        while let Some(batch) = passed.try_next().await.map_err(crate::from_datafusion)? {
            count += batch.num_rows();
        }
        Ok(count == rows.num_rows())
    }
}

/// The check of rows, if there is one.
pub async fn checked(check: Option<&RowCheck>, rows: &RecordBatch) -> Result<()> {
    match check {
        Some(check) => check.pass(rows).await,
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::logical_expr::{cast, col};

    #[test]
    fn how_policies_join() {
        let cases = [
            (vec![], vec![], "Boolean(false)"),
            (vec![], vec![col("b")], "Boolean(false) AND b"),
            (vec![col("a")], vec![], "a"),
            (vec![col("a"), col("c")], vec![col("b"), col("d")], "(a OR c) AND b AND d"),
        ];
        for (permissive, restrictive, expected) in cases {
            assert_eq!(joined(permissive, restrictive).to_string(), expected);
        }
    }

    #[test]
    fn what_tells_nothing_of_hidden_rows() {
        let cases = [
            (col("a").eq(lit(1)), true),
            (col("a").gt(col("b")).and(col("c").is_null()), true),
            (col("a").in_list(vec![lit(1), lit(2)], false), true),
            (col("a").between(lit(1), lit(2)), true),
            ((lit(1) / col("a")).eq(lit(1)), false),
            (cast(col("a"), DataType::Int64).eq(lit(1)), false),
        ];
        for (expr, expected) in cases {
            assert_eq!(never_fails(&expr), expected, "{expr}");
        }
    }
}
