//! From a parsed query to a stream of batches.

use crate::fault::carried;
use crate::joins;
use crate::memory;
use crate::movement;
use crate::origin::Origins;
use crate::outcome::{Outcome, RowsTag};
use crate::parameter;
use crate::partiql::{self, Lenience};
use crate::pinned::Pinned;
use crate::scope::Scope;
use crate::spread::Spread;
use crate::sql_function::{self, Calls};
use crate::stream_sql;
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::{ScalarValue, exec_err};
use datafusion::error::Result as EngineResult;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::SessionState;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::memory::MemoryStream;
use datafusion::physical_plan::stream::{EmptyRecordBatchStream, RecordBatchStreamAdapter};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::sql::parser::Statement as EngineStatement;
use futures::{StreamExt, TryStreamExt};
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::ast;

/// Times that a query is planned which loses nodes; the last time it is planned for this node alone.
const TRIES_MAX: usize = 3;

/// One statement's view of the engine: the shared base with a scope's names and settings put in.
pub struct Planner {
    state: SessionState,
    scope: Scope,
    /// Bytes of memory that the statement may hold, and the runtime that counts them.
    limit: usize,
    runtime: Arc<RuntimeEnv>,
}

impl Planner {
    /// For a statement that sees this scope.
    pub fn new(scope: &Scope) -> Result<Self> {
        let mut state = scope.engine.base().clone();
        let limit = memory::query_limit(scope.engine.runtime(), scope.memory_limit);
        let runtime = memory::of_query(scope.engine.runtime(), limit).map_err(crate::from_datafusion)?;
        let options = state.config_mut().options_mut();
        memory::scale(options, limit).map_err(crate::from_datafusion)?;
        // As in Postgres, a literal with a point is exact.
        options.sql_parser.parse_float_as_decimal = true;
        options.execution.time_zone = Some(scope.timezone.clone());
        if scope.partitions > 0 {
            options.execution.target_partitions = scope.partitions;
        }
        state.register_catalog_list(scope.catalogs());
        state.mark_start_execution();
        Ok(Planner { state, scope: scope.clone(), limit, runtime })
    }

    /// The engine's state for this statement.
    pub fn state(&self) -> &SessionState {
        &self.state
    }

    /// What a plan of this statement runs in: its memory is counted as the statement's.
    pub fn task_context(&self) -> Arc<TaskContext> {
        self.context_of(&self.state)
    }

    fn context_of(&self, state: &SessionState) -> Arc<TaskContext> {
        Arc::new(TaskContext::from(state).with_runtime(Arc::clone(&self.runtime)))
    }

    /// Plans a query, its parameters still open.
    pub async fn plan(&self, statement: &ast::Statement) -> Result<LogicalPlan> {
        let mut statement = statement.clone();
        partiql::read(&mut statement, self.scope.switch("enable_case_sensitive_super_attribute", false));
        stream_sql::expand(&mut statement, &self.scope);
        crate::service_table::rewrite(&mut statement, &self.scope.engine);
        let snapshot = crate::pg_snapshot::of(&self.scope);
        crate::pg::rewrite(&mut statement, &snapshot)?;
        crate::builtin::rewrite(&mut statement);
        crate::text_cast::rewrite(&mut statement);
        crate::timetz::rewrite(&mut statement);
        crate::like_escape::rewrite(&mut statement);
        let mut state = self.state.clone();
        for function in crate::pg::functions(Arc::new(snapshot)) {
            use datafusion::execution::FunctionRegistry;
            state.register_udf(function).map_err(crate::from_datafusion)?;
        }
        let calls = Calls::of(&self.scope, &state, &mut statement).await?;
        calls.register(&mut state)?;
        if stream_sql::names_system_columns(&statement) {
            let scope = Scope { system_columns: true, ..self.scope.clone() };
            stream_sql::hide_from_wildcards(&mut statement, &scope);
            state.register_catalog_list(scope.catalogs());
        }
        let statement = EngineStatement::Statement(Box::new(statement));
        let plan = state.statement_to_plan(statement).await.map_err(crate::from_datafusion)?;
        let plan = if calls.is_empty() { plan } else { sql_function::inline(plan).map_err(crate::from_datafusion)? };
        let plan = partiql::resolve(plan, self.lenience()).map_err(crate::from_datafusion)?;
        refuse_writes(&plan)?;
        Ok(plan)
    }

    fn lenience(&self) -> Lenience {
        Lenience {
            navigate: self.scope.switch("navigate_super_null_on_error", true),
            cast: self.scope.switch("cast_super_null_on_error", true),
            parse: self.scope.switch("parse_super_null_on_error", false),
        }
    }

    /// The columns of a plan's rows. What a UNION makes of several types is decided when a plan is analyzed.
    pub fn schema_of(&self, plan: LogicalPlan) -> SchemaRef {
        let planned = Arc::new(plan.schema().as_arrow().clone());
        let analyzed = self.state.analyzer().execute_and_check(plan, self.state.config_options(), |_, _| {});
        analyzed.map_or(planned, |plan| Arc::new(plan.schema().as_arrow().clone()))
    }

    /// Runs a plan whose parameters are bound.
    pub async fn stream(&self, plan: LogicalPlan) -> Result<SendableRecordBatchStream> {
        let rows = match (self.scope.engine.spread(), self.scope.task_bytes) {
            (Some(spread), Some(task_bytes)) => {
                match self.stream_from_nodes(spread, &self.state, &plan, task_bytes).await {
                    Err(error) if joins::ran_out(&error) => {
                        self.stream_from_nodes(spread, &self.without_hash_joins(), &plan, task_bytes).await
                    }
                    begun => begun,
                }
            }
            _ => self.stream_here(plan).await,
        };
        Ok(Pinned::hold(rows.map_err(crate::from_datafusion)?, Arc::clone(&self.scope.state)))
    }

    async fn stream_here(&self, plan: LogicalPlan) -> EngineResult<SendableRecordBatchStream> {
        let physical = self.physical(&plan).await?;
        if !joins::by_hash(&physical) {
            return execute_stream(physical, self.task_context());
        }
        let rows = execute_stream(physical, self.task_context())?;
        let state = self.without_hash_joins();
        let context = self.context_of(&state);
        let again = async move { execute_stream(state.create_physical_plan(&plan).await?, context) };
        Ok(joins::or_else(rows, again))
    }

    /// The plan for this node: without hash joins where it is known that one does not fit.
    async fn physical(&self, plan: &LogicalPlan) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let mut state = self.state.clone();
        joins::hold_whole(state.config_mut().options_mut());
        let (mut physical, mut explained) = planned(&state, plan).await?;
        if joins::does_not_fit(&explained, self.limit) {
            (physical, explained) = planned(&self.without_hash_joins(), plan).await?;
        }
        Ok(movement::told(physical, &explained))
    }

    fn without_hash_joins(&self) -> SessionState {
        let mut state = self.state.clone();
        joins::without_hash(state.config_mut().options_mut());
        state
    }

    /// Runs a plan on all nodes. While its client has seen nothing of it, a query that loses a node is planned again,
    /// at last for this node alone.
    async fn stream_from_nodes(
        &self,
        spread: &Arc<dyn Spread>,
        state: &SessionState,
        plan: &LogicalPlan,
        task_bytes: usize,
    ) -> EngineResult<SendableRecordBatchStream> {
        for tried in 1..=TRIES_MAX {
            let losses = spread.losses();
            let task_bytes = Some(task_bytes).filter(|_| tried < TRIES_MAX);
            let begun = self.begin_on_nodes(spread, state.clone(), plan, task_bytes).await;
            match begun {
                Err(error) if tried < TRIES_MAX && spread.lost_a_node(losses, &error).await => {
                    tracing::warn!(%error, tried, "a query lost a node, and is planned again");
                }
                other => return other,
            }
        }
        exec_err!("a query was tried too often")
    }

    /// Plans and runs until the first rows are there.
    async fn begin_on_nodes(
        &self,
        spread: &Arc<dyn Spread>,
        mut state: SessionState,
        plan: &LogicalPlan,
        task_bytes: Option<usize>,
    ) -> EngineResult<SendableRecordBatchStream> {
        spread.plan_for(state.config_mut(), plan, task_bytes);
        let physical = state.create_physical_plan(plan).await?;
        spread.equip(state.config_mut()).map_err(carried)?;
        let mut rows = execute_stream(physical, self.context_of(&state))?;
        let schema = rows.schema();
        let Some(first) = rows.next().await.transpose()? else {
            return Ok(Box::pin(EmptyRecordBatchStream::new(schema)));
        };
        let spread = Arc::clone(spread);
        let rest = rows.map_err(move |error| spread.told(error));
        let rows = futures::stream::once(async { Ok(first) }).chain(rest);
        let planned = Arc::clone(&schema);
        let rows = rows.map_ok(move |batch| as_planned(batch, &planned));
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }

    /// Runs a plan for a client.
    pub async fn execute(&self, plan: LogicalPlan, values: Vec<ScalarValue>) -> Result<Outcome> {
        let tag = match &plan {
            LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) => RowsTag::Explain,
            _ => RowsTag::Select,
        };
        let origins = Origins::of(&plan, &self.scope);
        let rows = self.stream(parameter::bind(plan, values)?).await?;
        Ok(Outcome::Rows { schema: origins.told(&shown_schema(&rows.schema())), rows, tag })
    }
}

/// A plan, and the one that it explains or else itself.
async fn planned(
    state: &SessionState,
    plan: &LogicalPlan,
) -> EngineResult<(Arc<dyn ExecutionPlan>, Arc<dyn ExecutionPlan>)> {
    let physical = state.create_physical_plan(plan).await?;
    let explained = match plan {
        LogicalPlan::Explain(explain) => state.create_physical_plan(&explain.plan).await?,
        _ => Arc::clone(&physical),
    };
    Ok((physical, explained))
}

/// A batch with what the plan says of its columns: those of another node come without it, and SUPER is told by it.
fn as_planned(batch: RecordBatch, schema: &SchemaRef) -> RecordBatch {
    if batch.schema_ref() == schema {
        return batch;
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), batch.columns().to_vec(), &options).unwrap_or(batch)
}

/// Columns under the names that a client is told.
pub fn shown_schema(schema: &SchemaRef) -> SchemaRef {
    if !schema.fields().iter().any(|field| crate::pg::plain_name(field.name()) != field.name()) {
        return Arc::clone(schema);
    }
    let shown = |field: &Arc<Field>| field.as_ref().clone().with_name(crate::pg::plain_name(field.name()));
    Arc::new(Schema::new(schema.fields().iter().map(shown).collect::<Vec<_>>()))
}

/// Writes go through the services that own what is written, never through the engine's own hooks.
fn refuse_writes(plan: &LogicalPlan) -> Result<()> {
    match plan {
        LogicalPlan::Dml(_) | LogicalPlan::Ddl(_) | LogicalPlan::Copy(_) | LogicalPlan::Statement(_) => {
            Err(Error::new(Kind::Unsupported, format!("{} is not supported", plan.display())))
        }
        _ => Ok(()),
    }
}

/// Rows of text that the session itself knows, such as those of SHOW.
pub fn text_rows(names: &[&str], columns: Vec<Vec<String>>) -> Result<Outcome> {
    let fields: Vec<Field> = names.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let arrays: Vec<ArrayRef> = columns.into_iter().map(|c| Arc::new(StringArray::from(c)) as ArrayRef).collect();
    let batch = RecordBatch::try_new(schema.clone(), arrays).map_err(Error::internal)?;
    let rows = MemoryStream::try_new(vec![batch], schema.clone(), None).map_err(crate::from_datafusion)?;
    Ok(Outcome::Rows { schema, rows: Box::pin(rows), tag: RowsTag::Show })
}
