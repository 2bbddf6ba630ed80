//! Functions that change something, `SELECT batch.submit_job(…)`: performed as statements, never planned as expressions.
//!
//! A planner may evaluate an expression twice, for no row, or in another order; so such a function must be the whole of
//! its SELECT, and is refused by name anywhere else. Its arguments are any expressions, subqueries included.

use crate::engine::Engine;
use crate::outcome::{Outcome, RowsTag};
use crate::parameter;
use crate::planner::{Planner, text_rows};
use crate::scope::Scope;
use crate::work::Work;
use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use futures::TryStreamExt;
use std::ops::ControlFlow;
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::ast::{self, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, SelectItem, SetExpr};
use tidegate_parser::{fold, name_parts};

/// A function that is called, with its arguments as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// Its schema.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Names, where given, and values; NULL is None.
    pub arguments: Vec<(Option<String>, Option<String>)>,
}

/// A call as it is written.
pub struct Call {
    namespace: String,
    name: String,
    column: String,
    names: Vec<Option<String>>,
    /// The query whose one row is the arguments; None where there are none.
    arguments: Option<ast::Statement>,
}

impl Call {
    /// The call that a statement is. None: it is another statement. 0A000 for a call anywhere else.
    pub fn of(engine: &Engine, statement: &ast::Statement) -> Result<Option<Call>> {
        let ast::Statement::Query(query) = statement else { return Ok(None) };
        let is_known = |function: &ast::Function| matches!(name_parts(&function.name).as_slice(), [schema, name] if is_procedure(engine, schema, name));
        let found = ast::visit_expressions(query, |expr| match expr {
            Expr::Function(function) if is_known(function) => ControlFlow::Break(name_parts(&function.name).join(".")),
            _ => ControlFlow::Continue(()),
        });
        let ControlFlow::Break(found) = found else { return Ok(None) };
        let whole = whole(query).filter(|(function, _)| is_known(function));
        match whole {
            Some((function, alias)) => Call::read(query, function, alias).map(Some),
            None => Err(Error::new(Kind::Unsupported, format!("{found} inside of a query is not supported"))
                .hint(format!("Call it by itself: SELECT {found}(…)."))),
        }
    }

    fn read(query: &ast::Query, function: &ast::Function, alias: Option<&ast::Ident>) -> Result<Call> {
        let parts = name_parts(&function.name);
        let [namespace, name] = parts.as_slice() else { return Err(Error::internal("a call without a schema")) };
        let list: &[FunctionArg] = match &function.args {
            FunctionArguments::List(list) => &list.args,
            _ => &[],
        };
        let (mut names, mut items) = (Vec::new(), Vec::new());
        for argument in list {
            let (given, value) = match argument {
                FunctionArg::Unnamed(value) => (None, value),
                FunctionArg::Named { name, arg, .. } => (Some(fold(name)), arg),
                FunctionArg::ExprNamed { name: Expr::Identifier(name), arg, .. } => (Some(fold(name)), arg),
                FunctionArg::ExprNamed { name: given, .. } => {
                    let message = format!("{namespace}.{name}: \"{given}\" is not the name of an argument");
                    return Err(Error::new(Kind::Syntax, message));
                }
            };
            let FunctionArgExpr::Expr(expr) = value else {
                return Err(Error::new(Kind::Syntax, format!("{namespace}.{name}(*) has no meaning")));
            };
            let alias = ast::Ident::new(format!("a{}", items.len()));
            items.push(SelectItem::ExprWithAlias { expr: expr.clone(), alias });
            names.push(given);
        }
        let arguments = (!items.is_empty()).then(|| with_items(query, items));
        let column = alias.map_or_else(|| name.clone(), fold);
        Ok(Call { namespace: namespace.clone(), name: name.clone(), column, names, arguments })
    }

    /// The types of its parameters and the column that it gives.
    pub async fn describe(&self, scope: &Scope, told: &[Option<u32>]) -> Result<(Vec<u32>, SchemaRef)> {
        let types = match &self.arguments {
            Some(query) => parameter::types_of(&Planner::new(scope)?.plan(query).await?, told)?,
            None => Vec::new(),
        };
        Ok((types, Arc::new(Schema::new(vec![Field::new(&self.column, DataType::Utf8, true)]))))
    }

    /// Performs it: the service that offers it does.
    pub async fn perform(&self, work: &mut Work<'_>, values: Vec<ScalarValue>) -> Result<Outcome> {
        let arguments = self.names.iter().cloned().zip(self.values(&work.scope, values).await?).collect();
        let called = Called { namespace: self.namespace.clone(), name: self.name.clone(), arguments };
        let engine = work.engine().clone();
        let offers = |service: &&Arc<dyn crate::Service>| {
            service.procedures().iter().any(|(schema, name)| *schema == called.namespace && *name == called.name)
        };
        let service = engine.services().iter().find(offers);
        let service = service.ok_or_else(|| Error::internal(format!("nothing performs {}", self.name)))?;
        let answer = service.call(work, &called).await?;
        match text_rows(&[&self.column], vec![vec![answer]])? {
            Outcome::Rows { schema, rows, .. } => Ok(Outcome::Rows { schema, rows, tag: RowsTag::Select }),
            other => Ok(other),
        }
    }

    async fn values(&self, scope: &Scope, values: Vec<ScalarValue>) -> Result<Vec<Option<String>>> {
        let Some(query) = &self.arguments else { return Ok(Vec::new()) };
        let planner = Planner::new(scope)?;
        let plan = parameter::bind(planner.plan(query).await?, values)?;
        let batches: Vec<_> = planner.stream(plan).await?.try_collect().await.map_err(crate::from_datafusion)?;
        let batch = batches.iter().find(|batch| batch.num_rows() > 0);
        let batch = batch.ok_or_else(|| Error::internal("the arguments of a call gave no row"))?;
        let text = |column: &ArrayRef| {
            let value = ScalarValue::try_from_array(column, 0)?.cast_to(&DataType::Utf8)?;
            Ok(if let ScalarValue::Utf8(text) = value { text } else { None })
        };
        let texts: Result<_, DataFusionError> = batch.columns().iter().map(text).collect();
        texts.map_err(crate::from_datafusion)
    }
}

fn is_procedure(engine: &Engine, namespace: &str, name: &str) -> bool {
    let known = |service: &Arc<dyn crate::Service>| service.procedures().contains(&(namespace, name));
    engine.services().iter().any(known)
}

/// The function, and its alias, that is all a query selects.
fn whole(query: &ast::Query) -> Option<(&ast::Function, Option<&ast::Ident>)> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let bare = select.from.is_empty() && select.selection.is_none() && query.limit_clause.is_none();
    if !bare || query.with.is_some() || select.having.is_some() || select.distinct.is_some() {
        return None;
    }
    let (function, alias) = match select.projection.as_slice() {
        [SelectItem::UnnamedExpr(Expr::Function(function))] => (function, None),
        [SelectItem::ExprWithAlias { expr: Expr::Function(function), alias }] => (function, Some(alias)),
        _ => return None,
    };
    (function.over.is_none() && function.filter.is_none()).then_some((function, alias))
}

fn with_items(query: &ast::Query, items: Vec<SelectItem>) -> ast::Statement {
    let mut query = query.clone();
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.projection = items;
    }
    ast::Statement::Query(Box::new(query))
}
