//! Prepared statements: their parameters' types, and the values that take the parameters' place.

use arrow::datatypes::{DataType, Field, SchemaRef, TimeUnit};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};
use sqlparser::ast::{Visit, Visitor};
use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;
use tidegate_catalog::Column;
use tidegate_core::Result;
use tidegate_parser::{Statement, ast};

/// A statement that has been parsed, and what it needs and gives.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The statement as the client wrote it, where it came by the protocol.
    pub text: String,
    /// The statement; None for an empty text.
    pub(crate) statement: Option<Statement>,
    /// The types of its parameters, as Postgres numbers types.
    pub parameter_types: Vec<u32>,
    /// The columns of its rows, when it gives rows.
    pub schema: Option<SchemaRef>,
}

/// Postgres' number for `text`: what a parameter is of which nothing is known.
const TEXT: u32 = 25;

/// Postgres' numbers of the types that a parameter can be inferred to be, with the Arrow type of each.
const TYPES: &[(u32, DataType)] = &[
    (16, DataType::Boolean),
    (17, DataType::Binary),
    (20, DataType::Int64),
    (21, DataType::Int16),
    (23, DataType::Int32),
    (TEXT, DataType::Utf8),
    (700, DataType::Float32),
    (701, DataType::Float64),
    (1082, DataType::Date32),
    (1083, DataType::Time64(TimeUnit::Microsecond)),
    (1114, DataType::Timestamp(TimeUnit::Microsecond, None)),
];

/// Postgres' numbers of arrays, with the Arrow type of their items.
const ARRAYS: &[(u32, DataType)] = &[
    (1009, DataType::Utf8),
    (1000, DataType::Boolean),
    (1005, DataType::Int16),
    (1007, DataType::Int32),
    (1016, DataType::Int64),
    (1021, DataType::Float32),
    (1022, DataType::Float64),
];

/// The number of the type that a parameter of an Arrow type has.
pub fn oid_of(arrow: &DataType) -> u32 {
    match arrow {
        DataType::Timestamp(_, Some(_)) => 1184,
        DataType::Timestamp(_, None) => 1114,
        DataType::Decimal128(_, _) | DataType::Decimal256(_, _) | DataType::UInt64 => 1700,
        DataType::Interval(_) => 1186,
        DataType::Time32(_) | DataType::Time64(_) => 1083,
        DataType::UInt32 => 20,
        DataType::Int8 | DataType::UInt8 => 21,
        DataType::UInt16 => 23,
        DataType::List(item) => ARRAYS.iter().find(|(_, of)| of == item.data_type()).map_or(1009, |(oid, _)| *oid),
        other => TYPES.iter().find(|(_, arrow)| arrow == other).map_or(TEXT, |(oid, _)| *oid),
    }
}

/// The Arrow type of a parameter's type.
pub fn arrow_of(oid: u32) -> DataType {
    match oid {
        1184 => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        1700 => DataType::Decimal128(38, 10),
        array if ARRAYS.iter().any(|(oid, _)| *oid == array) => {
            let item = ARRAYS.iter().find(|(oid, _)| *oid == array).map_or(DataType::Utf8, |(_, item)| item.clone());
            DataType::List(Arc::new(Field::new("item", item, true)))
        }
        _ => TYPES.iter().find(|(known, _)| *known == oid).map_or(DataType::Utf8, |(_, arrow)| arrow.clone()),
    }
}

/// The parameters' types: what the client told, else what the plan infers, else text.
pub fn types_of(plan: &LogicalPlan, told: &[Option<u32>]) -> Result<Vec<u32>> {
    let mut inferred = plan.get_parameter_types().map_err(crate::from_datafusion)?;
    inferred.extend(cast_types(plan)?);
    let documents = document_types(plan)?;
    let highest = inferred.keys().filter_map(|name| name.trim_start_matches('$').parse::<usize>().ok()).max();
    let count = highest.unwrap_or(0).max(told.len());
    let type_of = |index: usize| {
        let guess = || inferred.get(&format!("${}", index + 1)).cloned().flatten().map(|arrow| oid_of(&arrow));
        let document = || documents.get(&format!("${}", index + 1)).copied();
        told.get(index).copied().flatten().or_else(document).or_else(guess).unwrap_or(TEXT)
    };
    Ok((0..count).map(type_of).collect())
}

/// The types of the parameters that are cast at once, as in `$1::bigint`: of those the engine infers nothing.
fn cast_types(plan: &LogicalPlan) -> Result<HashMap<String, Option<DataType>>> {
    let mut found = HashMap::new();
    let walk = plan.apply_with_subqueries(|node| {
        for (name, data_type) in limits(node).into_iter().chain(lists(node)?) {
            found.insert(name, Some(data_type));
        }
        node.apply_expressions(|expression| {
            expression.apply(|inner| {
                if let Expr::Cast(cast) = inner
                    && let Expr::Placeholder(parameter) = cast.expr.as_ref()
                {
                    found.insert(parameter.id.clone(), Some(cast.field.data_type().clone()));
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    walk.map_err(crate::from_datafusion)?;
    Ok(found)
}

/// Of parameters cast to what the engine keeps as texts: the object ids of their types.
fn document_types(plan: &LogicalPlan) -> Result<HashMap<String, u32>> {
    const CASTS: [(&str, u32); 3] = [("uuid_in", 2950), ("json_in", 114), ("jsonb_in", 3802)];
    let mut found = HashMap::new();
    let walk = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            expression.apply(|inner| {
                if let Expr::ScalarFunction(call) = inner
                    && let [Expr::Placeholder(parameter)] = call.args.as_slice()
                    && let Some((_, oid)) = CASTS.iter().find(|(name, _)| *name == call.func.name())
                {
                    found.insert(parameter.id.clone(), *oid);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    walk.map_err(crate::from_datafusion)?;
    Ok(found)
}

/// Those of LIMIT and OFFSET.
fn limits(node: &LogicalPlan) -> Vec<(String, DataType)> {
    let LogicalPlan::Limit(limit) = node else { return Vec::new() };
    let parameter = |expr: &Expr| match expr {
        Expr::Placeholder(parameter) => Some((parameter.id.clone(), DataType::Int64)),
        _ => None,
    };
    [&limit.skip, &limit.fetch].into_iter().flatten().filter_map(|expr| parameter(expr)).collect()
}

/// Those of `x = ANY ($1)`: lists of what stands before.
fn lists(node: &LogicalPlan) -> EngineResult<Vec<(String, DataType)>> {
    let mut found = Vec::new();
    node.apply_expressions(|expression| {
        expression.apply(|inner| {
            if let Expr::ScalarFunction(call) = inner
                && call.func.name() == "array_has"
                && let [Expr::Placeholder(parameter), item] = call.args.as_slice()
            {
                let known = node.inputs().into_iter().find_map(|input| item.get_type(input.schema()).ok());
                found.extend(known.map(|item| (parameter.id.clone(), DataType::new_list(item, true))));
            }
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(found)
}

/// The types of the parameters of a statement of which nothing is known: what the client told, else text.
pub fn of_text(statement: &ast::Statement, told: &[Option<u32>]) -> Vec<u32> {
    Known::default().types(statement, told)
}

/// What is known of a statement's parameters before they are bound: by number, from 1.
#[derive(Debug, Default)]
pub struct Known(BTreeMap<usize, u32>);

impl Known {
    /// Parameters that stand for columns.
    pub fn add_columns(&mut self, columns: impl IntoIterator<Item = (usize, Column)>) {
        self.0.extend(columns.into_iter().map(|(number, column)| (number, oid_of(&column.sql_type.arrow()))));
    }

    /// What a plan infers, where nothing is known yet.
    pub fn add_plan(&mut self, plan: &LogicalPlan) -> Result<()> {
        let mut inferred = plan.get_parameter_types().map_err(crate::from_datafusion)?;
        inferred.extend(cast_types(plan)?);
        for (name, oid) in document_types(plan)? {
            if let Ok(number) = name.trim_start_matches('$').parse() {
                self.0.entry(number).or_insert(oid);
            }
        }
        for (name, arrow) in inferred {
            if let (Some(arrow), Ok(number)) = (arrow, name.trim_start_matches('$').parse()) {
                self.0.entry(number).or_insert_with(|| oid_of(&arrow));
            }
        }
        Ok(())
    }

    /// The types, and the columns of the plan of RETURNING.
    pub fn describe(
        mut self,
        statement: &ast::Statement,
        told: &[Option<u32>],
        returned: Option<LogicalPlan>,
    ) -> Result<(Vec<u32>, Option<SchemaRef>)> {
        let Some(plan) = returned else { return Ok((self.types(statement, told), None)) };
        self.add_plan(&plan)?;
        let types = self.types(statement, told);
        let bound = bind(plan, nulls_of(&types))?;
        Ok((types, Some(crate::planner::shown_schema(&Arc::new(bound.schema().as_arrow().clone())))))
    }

    fn types(&self, statement: &ast::Statement, told: &[Option<u32>]) -> Vec<u32> {
        let count = parameters_of(statement).max(told.len()).max(self.0.keys().copied().max().unwrap_or(0));
        let known = |index: usize| self.0.get(&(index + 1)).copied();
        (0..count).map(|index| told.get(index).copied().flatten().or_else(|| known(index)).unwrap_or(TEXT)).collect()
    }
}

/// The number of the parameter that an expression is.
pub fn number_of(expr: &ast::Expr) -> Option<usize> {
    let ast::Expr::Value(value) = expr else { return None };
    let ast::Value::Placeholder(name) = &value.value else { return None };
    name.strip_prefix('$')?.parse().ok()
}

/// The highest number of a parameter in a statement.
fn parameters_of(statement: &ast::Statement) -> usize {
    struct Highest(usize);
    impl Visitor for Highest {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<()> {
            self.0 = self.0.max(number_of(expr).unwrap_or(0));
            ControlFlow::Continue(())
        }
    }
    let mut highest = Highest(0);
    let _ = statement.visit(&mut highest);
    highest.0
}

/// NULLs of these types: to learn a plan's columns before its parameters are known.
pub fn nulls_of(types: &[u32]) -> Vec<ScalarValue> {
    types.iter().map(|oid| ScalarValue::try_from(arrow_of(*oid)).unwrap_or(ScalarValue::Utf8(None))).collect()
}

/// The plan with values in the parameters' place.
pub fn bind(plan: LogicalPlan, values: Vec<ScalarValue>) -> Result<LogicalPlan> {
    if values.is_empty() {
        return Ok(plan);
    }
    plan.with_param_values(ParamValues::from(values)).map_err(crate::from_datafusion)
}
