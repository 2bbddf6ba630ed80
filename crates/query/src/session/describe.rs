//! What statements are before they run: prepared ones, the types of their parameters, and their columns.

use super::Session;
use super::settings::{setting_name, show_schema};
use crate::call::Call;
use crate::dispatch::{done, is_query};
use crate::origin::Origins;
use crate::outcome::Outcome;
use crate::parameter::{self, Prepared};
use crate::planner::{Planner, shown_schema};
use crate::service::Described;
use crate::{insert, prepared, sql_type, table_arguments};
use datafusion::common::ScalarValue;
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::{Piece, Statement, Written, ast, fold, written};

impl Session {
    /// Reads a statement of the extended protocol. `types` are those that the client told of its parameters.
    pub async fn prepare(&mut self, sql: &str, types: &[Option<u32>]) -> Result<Prepared> {
        let Some(piece) = one_piece(sql)? else {
            return Ok(Prepared { text: String::new(), statement: None, parameter_types: Vec::new(), schema: None });
        };
        let statement = self.read(&piece)?;
        self.refuse_after_failure(&statement)?;
        let described = self.describe(statement, types).await.map_err(|error| self.explained(error, &piece))?;
        Ok(Prepared { text: sql.to_string(), ..described })
    }

    pub(super) async fn describe(&self, statement: Statement, types: &[Option<u32>]) -> Result<Prepared> {
        let (parameter_types, schema) = match &statement {
            Statement::Sql(sql) => match (sql.as_ref(), written(sql)) {
                (ast::Statement::ShowVariable { variable }, _) => {
                    (Vec::new(), Some(show_schema(&setting_name(variable))))
                }
                (ast::Statement::Fetch { name, .. }, _) => (Vec::new(), Some(self.cursors.schema(&fold(name))?)),
                (ast::Statement::Execute { name, .. }, _) => {
                    (Vec::new(), self.prepared.find(name.as_ref())?.schema.clone())
                }
                (sql, _) if is_query(sql) => self.describe_query(sql, types).await?,
                (_, Some(written)) => self.describe_written(written, types).await?,
                _ => (Vec::new(), None),
            },
            Statement::Consume(consume) => match written(&consume.statement) {
                Some(written) => self.describe_written(written, types).await?,
                None => (Vec::new(), None),
            },
            _ => (Vec::new(), None),
        };
        Ok(Prepared { text: String::new(), statement: Some(statement), parameter_types, schema })
    }

    async fn describe_query(&self, sql: &ast::Statement, types: &[Option<u32>]) -> Result<Described> {
        if let Some(call) = Call::of(&self.engine, sql)? {
            let (types, schema) = call.describe(&self.scope()?, types).await?;
            return Ok((types, Some(schema)));
        }
        let scope = self.scope()?;
        let planner = Planner::new(&scope)?;
        let plan = planner.plan(&table_arguments::bound(sql, &[])).await?;
        let types = parameter::types_of(&plan, types)?;
        let origins = Origins::of(&plan, &scope);
        let bound = parameter::bind(plan, parameter::nulls_of(&types))?;
        Ok((types, Some(origins.told(&shown_schema(&planner.schema_of(bound))))))
    }

    /// Of a statement that changes rows: its parameters' types, and what its RETURNING gives.
    async fn describe_written(&self, written: Written<'_>, types: &[Option<u32>]) -> Result<Described> {
        let scope = self.scope()?;
        if let ast::Statement::Insert(insert) = written.statement {
            return insert::describe(&scope, written.with, insert, types).await;
        }
        for service in self.engine.services() {
            if let Some(described) = service.describe(&scope, written, types).await? {
                return Ok(described);
            }
        }
        Ok((parameter::of_text(written.statement, types), None))
    }

    /// The statement that EXECUTE names, with its values; another is itself.
    pub(super) async fn named(
        &self,
        statement: Statement,
        values: Vec<ScalarValue>,
    ) -> Result<(Statement, Vec<ScalarValue>)> {
        if let Statement::Sql(sql) = &statement
            && let ast::Statement::Execute { name, parameters, immediate: false, .. } = sql.as_ref()
        {
            let prepared = self.prepared.find(name.as_ref())?;
            let values = prepared::values(&self.scope()?, &prepared, parameters).await?;
            let named = prepared.statement.clone().ok_or_else(|| Error::internal("a prepared statement is empty"))?;
            return Ok((named, values));
        }
        Ok((statement, values))
    }

    /// PREPARE.
    pub(super) async fn prepare_named(
        &mut self,
        name: String,
        types: &[ast::DataType],
        statement: &ast::Statement,
    ) -> Result<Outcome> {
        let told = |told: &ast::DataType| Ok(Some(parameter::oid_of(&sql_type::sql_type(told)?.arrow())));
        let types = types.iter().map(told).collect::<Result<Vec<_>>>()?;
        let prepared = self.describe(Statement::Sql(Box::new(statement.clone())), &types).await?;
        self.prepared.add(name, prepared)?;
        Ok(done("PREPARE"))
    }

    /// The protocol's Parse, under a name or none.
    pub fn keep_prepared(&mut self, name: String, prepared: Prepared) -> Result<()> {
        self.prepared.add(name, prepared)
    }

    /// A prepared statement, whoever prepared it. 26000.
    pub fn prepared(&self, name: &str) -> Result<Arc<Prepared>> {
        self.prepared.named(name)
    }

    /// The protocol's Close.
    pub fn close_prepared(&mut self, name: &str) {
        self.prepared.close(name);
    }
}

fn one_piece(sql: &str) -> Result<Option<Piece>> {
    let mut pieces = tidegate_parser::split(sql)?;
    match pieces.len() {
        0 => Ok(None),
        1 => Ok(pieces.pop()),
        _ => Err(Error::new(Kind::Syntax, "cannot insert multiple commands into a prepared statement")),
    }
}
