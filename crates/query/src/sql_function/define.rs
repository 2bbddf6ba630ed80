//! CREATE FUNCTION and DROP FUNCTION.

use super::body::{self, called};
use crate::access::{Need, require_creation};
use crate::sql_type::sql_type;
use crate::work::Work;
use std::sync::Arc;
use tidegate_catalog::{
    ARGUMENTS_MAX, Argument, Change, Function, Guarded, Object, Oid, RelationKind, Space, Volatility,
};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::ast::{self, CreateFunctionBody, DropBehavior, FunctionBehavior, FunctionReturnType};
use tidegate_parser::{fold, name_parts};

/// CREATE FUNCTION. 0A000 for another language than SQL and for clauses that nothing performs, 42723's kin for a function
/// that is there.
pub async fn create(work: &mut Work<'_>, create: &ast::CreateFunction) -> Result<()> {
    let (schema, called) = work.scope.place(&name_parts(&create.name))?;
    refuse_clauses(create)?;
    let arguments = arguments(create.args.as_deref().unwrap_or_default())?;
    let returns = match &create.return_type {
        Some(FunctionReturnType::DataType(data_type)) => sql_type(data_type)?,
        Some(FunctionReturnType::SetOf(_)) => return Err(unsupported("RETURNS SETOF")),
        None => return Err(Error::new(Kind::InvalidDefinition, format!("function {called} has no RETURNS"))),
    };
    let name = Function::signature(&called, &arguments);
    let old = match work.state().find(Space::Function(schema), &name).map(Arc::as_ref) {
        Some(Object::Function(old)) if create.or_replace => Some(old.as_ref().clone()),
        Some(_) => {
            let message = format!("function {name} already exists with same argument types");
            return Err(Error::new(Kind::DuplicateObject, message).hint("CREATE OR REPLACE FUNCTION changes its body."));
        }
        None => None,
    };
    match &old {
        Some(old) => work.scope.require(&Guarded::Function(old), Need::Owner)?,
        None => require_creation(work, schema)?,
    }
    if let Some(old) = old.as_ref().filter(|old| old.returns != returns) {
        let message = format!("cannot change return type of existing function {}", old.name);
        return Err(Error::new(Kind::InvalidDefinition, message).hint(format!("DROP FUNCTION {} first.", old.name)));
    }
    let fresh = work.engine().catalog().next_oid()?;
    let function = Function {
        oid: old.as_ref().map_or(fresh, |old| old.oid),
        schema,
        name,
        revision: old.as_ref().map_or(1, |old| old.revision + 1),
        owner: old.as_ref().map_or(work.user_oid(), |old| old.owner),
        created_ms: work.engine().clock().now_ms(),
        called,
        arguments,
        returns,
        volatility: volatility(create.behavior.as_ref()),
        body: body_text(create)?,
        search_path: work.scope.lasting().search_path,
    };
    work.push(vec![Change::Put(Arc::new(Object::Function(Box::new(function.clone()))))])?;
    // With itself in the state, so that one which calls itself is told.
    body::plan(&work.scope, &function).await.map(drop)
}

fn unsupported(what: &str) -> Error {
    Error::new(Kind::Unsupported, format!("CREATE FUNCTION with {what} is not supported"))
}

fn refuse_clauses(create: &ast::CreateFunction) -> Result<()> {
    let language = create.language.as_ref().map(fold);
    match language.as_deref() {
        Some("sql") => {}
        Some(other) => {
            let error = Error::new(Kind::Unsupported, format!("functions in language {other} are not supported"));
            return Err(error.hint("LANGUAGE sql is, with a body of SELECT and one expression."));
        }
        None => return Err(Error::new(Kind::InvalidDefinition, "no language specified").hint("Add LANGUAGE sql.")),
    }
    let refused = [
        ("TEMPORARY", create.temporary),
        ("SECURITY", create.security.is_some()),
        ("STRICT", create.called_on_null.as_ref().is_some_and(|called| !is_called(called))),
        ("SET", !create.set_params.is_empty()),
    ];
    match refused.iter().find(|(_, given)| *given) {
        Some((what, _)) => Err(unsupported(what)),
        None => Ok(()),
    }
}

fn is_called(called: &ast::FunctionCalledOnNull) -> bool {
    matches!(called, ast::FunctionCalledOnNull::CalledOnNullInput)
}

fn arguments(given: &[ast::OperateFunctionArg]) -> Result<Vec<Argument>> {
    if given.len() > ARGUMENTS_MAX {
        return Err(Error::new(Kind::ProgramLimit, format!("a function has {ARGUMENTS_MAX} arguments at most")));
    }
    let argument = |one: &ast::OperateFunctionArg| {
        if !matches!(one.mode, None | Some(ast::ArgMode::In)) {
            return Err(unsupported("OUT arguments"));
        }
        if one.default_expr.is_some() {
            return Err(unsupported("DEFAULT arguments"));
        }
        Ok(Argument { name: one.name.as_ref().map(fold), sql_type: sql_type(&one.data_type)? })
    };
    given.iter().map(argument).collect()
}

fn volatility(behavior: Option<&FunctionBehavior>) -> Volatility {
    match behavior {
        Some(FunctionBehavior::Immutable) => Volatility::Immutable,
        Some(FunctionBehavior::Stable) => Volatility::Stable,
        Some(FunctionBehavior::Volatile) | None => Volatility::Volatile,
    }
}

fn body_text(create: &ast::CreateFunction) -> Result<String> {
    let body = match &create.function_body {
        Some(
            CreateFunctionBody::AsBeforeOptions { body, link_symbol: None } | CreateFunctionBody::AsAfterOptions(body),
        ) => body,
        _ => return Err(Error::new(Kind::InvalidDefinition, "no function body specified").hint("AS $$ SELECT … $$")),
    };
    match body {
        ast::Expr::Value(value) => value
            .value
            .clone()
            .into_string()
            .ok_or_else(|| Error::new(Kind::Syntax, "the body of a function is a text")),
        _ => Err(Error::new(Kind::Syntax, "the body of a function is a text")),
    }
}

/// DROP FUNCTION. 42883 for one that is not there, 2BP01 while a view or another function calls it.
pub fn drop_functions(work: &mut Work<'_>, drop: &ast::DropFunction) -> Result<()> {
    let cascade = matches!(drop.drop_behavior, Some(DropBehavior::Cascade));
    for wanted in &drop.func_desc {
        let Some(function) = wanted_function(work, wanted)? else {
            let name = name_parts(&wanted.name).join(".");
            if drop.if_exists {
                work.notice(format!("function {name} does not exist, skipping"));
                continue;
            }
            return Err(Error::new(Kind::UndefinedFunction, format!("function {name} does not exist")));
        };
        if let Some(dependent) = dependent(work, &function) {
            let message = format!("cannot drop function {} because {dependent} depends on it", function.name);
            let error = Error::new(Kind::DependentObjects, message);
            return Err(match cascade {
                true => Error::new(
                    Kind::Unsupported,
                    format!("DROP FUNCTION … CASCADE is not supported: {dependent} calls it"),
                )
                .hint("Drop what calls it first."),
                false => error.hint("Drop it first."),
            });
        }
        work.scope.require(&Guarded::Function(&function), Need::Owner)?;
        work.push(vec![Change::Drop { oid: function.oid, revision: function.revision }])?;
    }
    Ok(())
}

/// The function of a name and, where they are given, types. 42883 where there is none.
pub fn wanted(work: &Work<'_>, name: &ast::FunctionDesc) -> Result<Function> {
    let missing = || {
        let shown = name_parts(&name.name).join(".");
        Error::new(Kind::UndefinedFunction, format!("function {shown} does not exist"))
    };
    wanted_function(work, name)?.ok_or_else(missing)
}

/// The function of a name and, where they are given, types. 42725's kin when there are several.
fn wanted_function(work: &Work<'_>, wanted: &ast::FunctionDesc) -> Result<Option<Function>> {
    let parts = name_parts(&wanted.name);
    let schemas: Vec<String> = match parts.as_slice() {
        [schema, _] => vec![schema.clone()],
        _ => work.scope.search_path.clone(),
    };
    let called = parts.last().cloned().unwrap_or_default();
    let signature = match &wanted.args {
        Some(given) => Some(Function::signature(&called, &arguments(given)?)),
        None => None,
    };
    for schema in schemas {
        let schema = work.state().find(Space::Schema, &schema).map(|found| found.oid());
        let fits = |one: &&Function| {
            Some(one.schema) == schema
                && one.called == called
                && signature.as_ref().is_none_or(|name| one.name == *name)
        };
        let found: Vec<&Function> = work.state().functions().filter(fits).collect();
        match found.as_slice() {
            [] => {}
            [one] => return Ok(Some((*one).clone())),
            _ => {
                let message = format!("function name \"{called}\" is not unique");
                return Err(Error::new(Kind::UndefinedFunction, message).hint(format!(
                    "Give the types of its arguments: DROP FUNCTION {}.",
                    found.first().map_or("", |one| &one.name)
                )));
            }
        }
    }
    Ok(None)
}

/// What calls a function, in the words of messages.
fn dependent(work: &Work<'_>, function: &Function) -> Option<String> {
    let schema = work.state().schema_name(function.schema).to_string();
    let calls = |text: &str, path: &[String]| {
        let Ok(query) = tidegate_parser::parse_query(text) else { return false };
        called(&query).iter().any(|parts| match parts.as_slice() {
            [name] => *name == function.called && path.contains(&schema),
            [named, name] => *name == function.called && *named == schema,
            _ => false,
        })
    };
    let view = work.state().relations().find(|relation| match &relation.kind {
        RelationKind::View(view) => calls(&view.query, &view.search_path),
        _ => false,
    });
    let other = |one: &&Function| one.oid != function.oid && calls(&one.body, &one.search_path);
    let view = view.map(|view| format!("view {}", view.name));
    view.or_else(|| work.state().functions().find(other).map(|one| format!("function {}", one.name)))
}

/// Drops the functions of a schema, with the schema.
pub fn drop_of_schema(work: &mut Work<'_>, schema: Oid) -> Result<()> {
    let inside: Vec<(Oid, u64)> = work
        .state()
        .functions()
        .filter(|function| function.schema == schema)
        .map(|function| (function.oid, function.revision))
        .collect();
    work.push(inside.into_iter().map(|(oid, revision)| Change::Drop { oid, revision }).collect())
}
