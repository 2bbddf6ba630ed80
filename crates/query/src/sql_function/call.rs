//! Calls of SQL functions in a statement: offered to the engine's planner as functions, then replaced by their bodies.

use super::body::{self, called, column, renamed};
use super::overload::{Choice, Given, choose};
use crate::access::{Need, denied};
use crate::fault::carried;
use crate::scope::Scope;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result as EngineResult;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, TypeSignature, Volatility, cast,
};
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::ops::ControlFlow;
use std::sync::Arc;
use tidegate_catalog::{Function, Guarded, Rights, SqlType};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::ast::{self, VisitMut, VisitorMut};

/// The functions that a statement calls, ready to be planned.
pub struct Calls {
    functions: Vec<Arc<ScalarUDF>>,
}

impl Calls {
    /// Finds the calls of a statement and gives them names that only these functions have. The engine's own functions
    /// come first, unless a schema is named.
    pub async fn of(scope: &Scope, state: &SessionState, statement: &mut ast::Statement) -> Result<Calls> {
        if scope.state.functions().next().is_none() {
            return Ok(Calls { functions: Vec::new() });
        }
        let mut found: BTreeMap<String, Vec<Function>> = BTreeMap::new();
        for parts in called(statement) {
            let functions = named(scope, state, &parts);
            if !functions.is_empty() {
                found.insert(parts.join("."), functions.into_iter().cloned().collect());
            }
        }
        let _ = statement.visit(&mut Renamer { found: &found });
        let mut functions = Vec::new();
        for (name, overloads) in found {
            let mut planned = Vec::new();
            for function in allowed(scope, overloads)? {
                let body = body::plan(scope, &function).await?;
                planned.push(Overload { function, body });
            }
            functions.push(Arc::new(ScalarUDF::from(SqlFunction::new(name, planned))));
        }
        Ok(Calls { functions })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.functions.is_empty()
    }

    /// Offers them to a planner.
    pub fn register(&self, state: &mut SessionState) -> Result<()> {
        use datafusion::execution::FunctionRegistry;
        for function in &self.functions {
            state.register_udf(Arc::clone(function)).map_err(crate::from_datafusion)?;
        }
        Ok(())
    }
}

/// Those that who asks may call. 42501 where that is none of them.
fn allowed(scope: &Scope, overloads: Vec<Function>) -> Result<Vec<Function>> {
    let need = Need::All(Rights::EXECUTE);
    let (allowed, refused): (Vec<Function>, Vec<Function>) =
        overloads.into_iter().partition(|one| scope.require(&Guarded::Function(one), need).is_ok());
    match (allowed.is_empty(), refused.first()) {
        (true, Some(refused)) => Err(denied(&Guarded::Function(refused), need)),
        _ => Ok(allowed),
    }
}

/// The functions that a name may mean; of those with equal arguments the first along the path.
pub fn named<'a>(scope: &'a Scope, state: &SessionState, parts: &[String]) -> Vec<&'a Function> {
    let in_schema = |schema: &str, name: &str| {
        let schema = scope.state.find(tidegate_catalog::Space::Schema, schema).map(|found| found.oid());
        let name = name.to_string();
        scope.state.functions().filter(move |one| Some(one.schema) == schema && one.called == name)
    };
    match parts {
        [schema, name] => in_schema(schema, name).collect(),
        [name] if !is_engines(state, name) => {
            let mut found: Vec<&Function> = Vec::new();
            for schema in &scope.search_path {
                for function in in_schema(schema, name) {
                    if !found.iter().any(|other| other.name == function.name) {
                        found.push(function);
                    }
                }
            }
            found
        }
        _ => Vec::new(),
    }
}

fn is_engines(state: &SessionState, name: &str) -> bool {
    state.scalar_functions().contains_key(name)
        || state.aggregate_functions().contains_key(name)
        || state.window_functions().contains_key(name)
}

/// A function's name for the planner.
fn planner_name(name: &str) -> String {
    format!("{name}()")
}

struct Renamer<'a> {
    found: &'a BTreeMap<String, Vec<Function>>,
}

impl VisitorMut for Renamer<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut ast::Expr) -> ControlFlow<()> {
        if let ast::Expr::Function(function) = expr {
            let name = tidegate_parser::name_parts(&function.name).join(".");
            if self.found.contains_key(&name) {
                renamed(function, &planner_name(&name));
            }
        }
        ControlFlow::Continue(())
    }
}

/// One of the functions of a name.
#[derive(Debug)]
struct Overload {
    function: Function,
    body: Expr,
}

/// All functions of a name, as the planner sees them until calls have become bodies.
#[derive(Debug)]
struct SqlFunction {
    name: String,
    shown: String,
    overloads: Vec<Overload>,
    signature: Signature,
}

// Within a statement a name means the same everywhere.
impl PartialEq for SqlFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for SqlFunction {}

impl Hash for SqlFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl SqlFunction {
    fn new(shown: String, overloads: Vec<Overload>) -> Self {
        let shapes = vec![TypeSignature::Nullary, TypeSignature::VariadicAny];
        let signature = Signature::one_of(shapes, Volatility::Immutable);
        SqlFunction { name: planner_name(&shown), shown, overloads, signature }
    }

    fn choose(&self, given: &[Given]) -> Result<&Overload> {
        let types = || {
            let shown = given.iter().map(|one| one.sql_type.as_ref().map_or("unknown".to_string(), SqlType::family));
            format!("{}({})", self.shown, shown.collect::<Vec<_>>().join(", "))
        };
        let functions = self.overloads.iter().map(|overload| &overload.function);
        let missing = |what: &str| {
            Error::new(Kind::UndefinedFunction, format!("function {} {what}", types()))
                .hint("You might need to add explicit type casts.")
        };
        match choose(functions, given) {
            Choice::One(place) => self.overloads.get(place).ok_or_else(|| missing("does not exist")),
            Choice::None => Err(missing("does not exist")),
            Choice::Several => Err(missing("is not unique")),
        }
    }
}

impl ScalarUDFImpl for SqlFunction {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> EngineResult<DataType> {
        let given: Vec<Given> =
            arguments.iter().map(|one| Given::of(&Field::new("", one.clone(), true), None)).collect();
        Ok(self.choose(&given).map_err(carried)?.function.returns.arrow())
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> EngineResult<FieldRef> {
        let pairs = arguments.arg_fields.iter().zip(arguments.scalar_arguments);
        let given: Vec<Given> = pairs.map(|(field, constant)| Given::of(field, *constant)).collect();
        let chosen = self.choose(&given).map_err(carried)?;
        Ok(Arc::new(tidegate_catalog::Column::new(&self.name, chosen.function.returns.clone()).field()))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        Err(carried(Error::internal(format!("function {} was not put into the plan", self.shown))))
    }
}

/// Puts the bodies of SQL functions in the place of their calls.
pub fn inline(plan: LogicalPlan) -> EngineResult<LogicalPlan> {
    let inlined = plan.transform_up_with_subqueries(|plan| {
        let schema = merge_schema(&plan.inputs());
        let names = NamePreserver::new(&plan);
        let plan = plan.map_expressions(|expr| {
            let name = names.save(&expr);
            let expr = expr.transform_up(|expr| expression(expr, &schema))?;
            Ok(expr.update_data(|expr| name.restore(expr)))
        })?;
        plan.data.recompute_schema().map(Transformed::yes)
    })?;
    Ok(inlined.data)
}

fn expression(expr: Expr, schema: &DFSchema) -> EngineResult<Transformed<Expr>> {
    match expr {
        Expr::ScalarFunction(call) => match call.func.inner().downcast_ref::<SqlFunction>() {
            Some(function) => bodied(function, &call, schema).map(Transformed::yes),
            None => Ok(Transformed::no(Expr::ScalarFunction(call))),
        },
        other => Ok(Transformed::no(other)),
    }
}

fn bodied(function: &SqlFunction, call: &ScalarFunction, schema: &DFSchema) -> EngineResult<Expr> {
    let given = |argument: &Expr| {
        let (_, field) = argument.to_field(schema)?;
        Ok(Given::of(&field, constant(argument)))
    };
    let given = call.args.iter().map(given).collect::<EngineResult<Vec<_>>>()?;
    let chosen = function.choose(&given).map_err(carried)?;
    for (place, argument) in call.args.iter().enumerate().filter(|(_, argument)| argument.is_volatile()) {
        if uses(&chosen.body, place)? > 1 {
            let message = format!("a volatile argument of function {}, which reads it more than once", function.shown);
            let error = Error::new(Kind::Unsupported, format!("{message}, is not supported: {argument}"));
            return Err(carried(error.hint("Compute it in a subquery first.")));
        }
    }
    let wanted = chosen.function.arguments.iter().map(|argument| &argument.sql_type);
    let arguments: Vec<Expr> = call.args.iter().zip(wanted).map(|(one, wanted)| typed(one.clone(), wanted)).collect();
    let body = chosen.body.clone().transform(|expr| match &expr {
        Expr::Column(found) => match arguments.iter().enumerate().find(|(place, _)| column(*place) == found.name) {
            Some((_, argument)) => Ok(Transformed::yes(argument.clone())),
            None => Ok(Transformed::no(expr)),
        },
        _ => Ok(Transformed::no(expr)),
    })?;
    Ok(typed(body.data, &chosen.function.returns))
}

fn constant(argument: &Expr) -> Option<&ScalarValue> {
    match argument {
        Expr::Literal(value, _) => Some(value),
        _ => None,
    }
}

fn uses(body: &Expr, place: usize) -> EngineResult<usize> {
    let mut count = 0;
    body.apply(|part| {
        count += usize::from(matches!(part, Expr::Column(found) if found.name == column(place)));
        Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
    })?;
    Ok(count)
}

/// As a value of a type, as an assignment casts it.
fn typed(expr: Expr, sql_type: &SqlType) -> Expr {
    match sql_type {
        SqlType::Super => crate::partiql::made_super(expr),
        other => cast(expr, other.arrow()),
    }
}
