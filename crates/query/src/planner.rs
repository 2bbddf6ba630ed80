//! From a parsed query to a stream of batches.

use crate::engine::Engine;
use crate::outcome::{Outcome, RowsTag};
use crate::parameter;
use crate::variables::Variables;
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::ScalarValue;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execute_stream;
use datafusion::physical_plan::memory::MemoryStream;
use datafusion::sql::parser::Statement as EngineStatement;
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::ast;

/// One statement's view of the engine: the shared base with a session's settings put in.
pub struct Planner {
    state: SessionState,
}

impl Planner {
    /// For the next statement of a session.
    pub fn new(engine: &Engine, variables: &Variables) -> Result<Self> {
        let mut state = engine.base().clone();
        let partitions = variables.get("target_partitions")?.parse::<usize>().unwrap_or(0);
        let options = state.config_mut().options_mut();
        options.execution.time_zone = Some(variables.get("timezone")?);
        if partitions > 0 {
            options.execution.target_partitions = partitions;
        }
        state.mark_start_execution();
        Ok(Planner { state })
    }

    /// Plans a query, its parameters still open.
    pub async fn plan(&self, statement: &ast::Statement) -> Result<LogicalPlan> {
        let statement = EngineStatement::Statement(Box::new(statement.clone()));
        let plan = self.state.statement_to_plan(statement).await.map_err(crate::from_datafusion)?;
        refuse_writes(&plan)?;
        Ok(plan)
    }

    /// Runs a plan.
    pub async fn execute(&self, plan: LogicalPlan, values: Vec<ScalarValue>) -> Result<Outcome> {
        let tag = match &plan {
            LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) => RowsTag::Explain,
            _ => RowsTag::Select,
        };
        let plan = parameter::bind(plan, values)?;
        let physical = self.state.create_physical_plan(&plan).await.map_err(crate::from_datafusion)?;
        let schema = physical.schema();
        let rows = execute_stream(physical, self.state.task_ctx()).map_err(crate::from_datafusion)?;
        Ok(Outcome::Rows { schema, rows, tag })
    }
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
