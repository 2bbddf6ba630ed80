//! Statements under names of one session: those of PREPARE (DML-08) and those of the protocol, which are one table as in
//! Postgres. The protocol's nameless statement is among them, under no name.

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
const STATEMENTS_MAX: usize = 10_000;

/// The statements of a session, by name.
#[derive(Default)]
pub struct PreparedStatements(HashMap<String, Arc<Prepared>>);

impl PreparedStatements {
    /// PREPARE, and the protocol's Parse; the nameless one takes the place of the one before. 42710 for a name in use.
    pub fn add(&mut self, name: String, prepared: Prepared) -> Result<()> {
        if self.0.len() >= STATEMENTS_MAX {
            let message = format!("a session has {STATEMENTS_MAX} prepared statements at most");
            return Err(Error::new(Kind::LimitExceeded, message).hint("DEALLOCATE those that are not needed."));
        }
        if !name.is_empty() && self.0.contains_key(&name) {
            let message = format!("prepared statement \"{name}\" already exists");
            return Err(Error::new(Kind::DuplicateObject, message).hint("DEALLOCATE it first."));
        }
        self.0.insert(name, Arc::new(prepared));
        Ok(())
    }

    /// The one of a name. 26000.
    pub fn named(&self, name: &str) -> Result<Arc<Prepared>> {
        self.0.get(name).cloned().ok_or_else(|| missing(name))
    }

    /// The protocol's Close, which a name that is none does not trouble.
    pub fn close(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// What EXECUTE names. 26000.
    pub fn find(&self, name: Option<&ast::ObjectName>) -> Result<Arc<Prepared>> {
        let name = name.and_then(|name| name_parts(name).pop()).unwrap_or_default();
        self.named(&name)
    }

    /// DEALLOCATE, of one or of ALL.
    pub fn remove(&mut self, name: &ast::Ident) -> Result<Outcome> {
        if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("all") {
            self.0.retain(|name, _| name.is_empty());
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
