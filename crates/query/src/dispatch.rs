//! Who performs a statement: the planner, a service, or what every relation has in common.

use crate::outcome::Outcome;
use crate::planner::Planner;
use crate::scope::Scope;
use crate::work::Work;
use crate::{access, ddl, insert, table_arguments};
use datafusion::common::ScalarValue;
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::{CopySubject, Statement, ast, written};

/// Asks the services, then what every relation has in common.
pub(crate) async fn dispatch(work: &mut Work<'_>, statement: &Statement, values: &[ScalarValue]) -> Result<Outcome> {
    if let Statement::Sql(sql) = statement
        && let Some(tag) = access::execute_policy(work, sql).await?
    {
        return Ok(done(tag));
    }
    let engine = work.engine().clone();
    for service in engine.services() {
        if let Some(outcome) = service.execute(work, statement, values).await? {
            return Ok(outcome);
        }
    }
    match statement {
        Statement::Sql(sql) => match (sql.as_ref(), written(sql)) {
            (_, Some(written)) if matches!(written.statement, ast::Statement::Insert(_)) => {
                insert::execute(work, written, values).await
            }
            // The session has taken the tables.
            (ast::Statement::Lock(_), _) => Ok(done("LOCK TABLE")),
            (sql, _) => match ddl::execute(work, sql).await? {
                Some(outcome) => Ok(outcome),
                None => Err(unsupported(&statement.command_tag())),
            },
        },
        Statement::CreateUser(_)
        | Statement::AlterUser(_)
        | Statement::DropUser(_)
        | Statement::Grant(_)
        | Statement::AlterOwner(_)
        | Statement::AlterDefaultPrivileges(_) => match access::execute(work, statement)? {
            Some(outcome) => Ok(outcome),
            None => Err(unsupported(&statement.command_tag())),
        },
        Statement::CreateSchema(create) => ddl::create_schema(work, create),
        Statement::AlterSchema(alter) => ddl::alter_schema(work, alter),
        other => Err(unsupported(&other.command_tag())),
    }
}

pub(crate) async fn query(scope: &Scope, sql: &ast::Statement, values: Vec<ScalarValue>) -> Result<Outcome> {
    let planner = Planner::new(scope)?;
    let plan = planner.plan(&table_arguments::bound(sql, &values)).await?;
    planner.execute(plan, values).await
}

pub(crate) async fn copy_out(scope: &Scope, copy: &tidegate_parser::Copy) -> Result<Outcome> {
    copy.options.check_binary()?;
    let text = match &copy.subject {
        CopySubject::Query(text) => text.clone(),
        CopySubject::Table { name, columns } => {
            let columns: Vec<String> = columns.iter().map(ToString::to_string).collect();
            let list = if columns.is_empty() { "*".to_string() } else { columns.join(", ") };
            format!("SELECT {list} FROM {name}")
        }
    };
    let sql = ast::Statement::Query(tidegate_parser::parse_query(&text)?);
    match query(scope, &sql, Vec::new()).await? {
        Outcome::Rows { schema, rows, .. } => {
            Ok(Outcome::CopyOut { schema, rows, options: Box::new(copy.options.clone()) })
        }
        other => Ok(other),
    }
}

pub(crate) fn is_query(statement: &ast::Statement) -> bool {
    matches!(statement, ast::Statement::Query(_) | ast::Statement::Explain { .. }) && written(statement).is_none()
}

pub(crate) fn unsupported(what: &str) -> Error {
    Error::new(Kind::Unsupported, format!("{what} is not supported"))
}

pub(crate) fn done(tag: &str) -> Outcome {
    Outcome::Done { tag: tag.to_string() }
}
