//! PREPARE, EXECUTE and DEALLOCATE in SQL (DML-08): statements under names of one session.

use crate::outcome::Outcome;
use crate::parameter::{self, Prepared};
use crate::planner::Planner;
use crate::scope::Scope;
use datafusion::common::ScalarValue;
use futures::TryStreamExt;
use std::collections::HashMap;
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::ast::{self, Expr, SelectItem};
use tidegate_parser::{fold, name_parts};

/// Most statements that a session has prepared at one time.
const STATEMENTS_MAX: usize = 1000;

/// The statements of a session, by name.
#[derive(Default)]
pub struct PreparedStatements(HashMap<String, Arc<Prepared>>);

impl PreparedStatements {
    /// PREPARE.
    pub fn add(&mut self, name: String, prepared: Prepared) -> Result<Outcome> {
        if self.0.len() >= STATEMENTS_MAX {
            let message = format!("a session has {STATEMENTS_MAX} prepared statements at most");
            return Err(Error::new(Kind::LimitExceeded, message).hint("DEALLOCATE those that are not needed."));
        }
        if self.0.contains_key(&name) {
            let message = format!("prepared statement \"{name}\" already exists");
            return Err(Error::new(Kind::DuplicateObject, message).hint("DEALLOCATE it first."));
        }
        self.0.insert(name, Arc::new(prepared));
        Ok(Outcome::Done { tag: "PREPARE".to_string() })
    }

    /// What EXECUTE names. 26000.
    pub fn find(&self, name: Option<&ast::ObjectName>) -> Result<Arc<Prepared>> {
        let name = name.and_then(|name| name_parts(name).pop()).unwrap_or_default();
        self.0.get(&name).cloned().ok_or_else(|| missing(&name))
    }

    /// DEALLOCATE, of one or of ALL.
    pub fn remove(&mut self, name: &ast::Ident) -> Result<Outcome> {
        if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("all") {
            self.0.clear();
            return Ok(Outcome::Done { tag: "DEALLOCATE ALL".to_string() });
        }
        let name = fold(name);
        match self.0.remove(&name) {
            Some(_) => Ok(Outcome::Done { tag: "DEALLOCATE".to_string() }),
            None => Err(missing(&name)),
        }
    }
}

fn missing(name: &str) -> Error {
    Error::new(Kind::UndefinedStatement, format!("prepared statement \"{name}\" does not exist"))
}

/// The values that EXECUTE gives, as the types of the statement's parameters.
pub async fn values(scope: &Scope, prepared: &Prepared, given: &[Expr]) -> Result<Vec<ScalarValue>> {
    let types = &prepared.parameter_types;
    if given.len() != types.len() {
        let detail = format!("Expected {} parameters but got {}.", types.len(), given.len());
        let message = "wrong number of parameters for the prepared statement";
        return Err(Error::new(Kind::Syntax, message).detail(detail));
    }
    if given.is_empty() {
        return Ok(Vec::new());
    }
    let mut query = tidegate_parser::parse_query("SELECT 1")?;
    if let ast::SetExpr::Select(select) = query.body.as_mut() {
        let item = |(nth, expr): (usize, &Expr)| SelectItem::ExprWithAlias {
            expr: expr.clone(),
            alias: ast::Ident::new(format!("p{nth}")),
        };
        select.projection = given.iter().enumerate().map(item).collect();
    }
    let planner = Planner::new(scope)?;
    let rows = planner.stream(planner.plan(&ast::Statement::Query(query)).await?).await?;
    let batches: Vec<_> = rows.try_collect().await.map_err(crate::from_datafusion)?;
    let batch = batches.iter().find(|batch| batch.num_rows() > 0);
    let batch = batch.ok_or_else(|| Error::internal("the parameters of EXECUTE gave no row"))?;
    let value = |(column, told): (&arrow::array::ArrayRef, &u32)| {
        ScalarValue::try_from_array(column, 0)?.cast_to(&parameter::arrow_of(*told))
    };
    let values: Result<Vec<_>, _> = batch.columns().iter().zip(types).map(value).collect();
    values.map_err(crate::from_datafusion)
}
