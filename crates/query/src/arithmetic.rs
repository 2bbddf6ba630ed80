//! Sums, differences and products of integers that fail where the result does not fit its type, instead of wrapping
//! (TYP-01; Postgres: "integer out of range").
//!
//! The engine has operators that check, but does not tell other nodes of it. So the operators become functions, which
//! have the name and the looks of what they stand for.

use crate::fault::carried;
use crate::plan_rewrite;
use arrow::array::{ArrayRef, Datum};
use arrow::compute::kernels::numeric;
use arrow::datatypes::{DataType, Field, FieldRef};
use arrow::error::ArrowError;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, DataFusionError, Result};
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ReturnFieldArgs, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::physical_expr_common::datum;
use std::sync::{Arc, LazyLock};
use tidegate_core::{Error, Kind};

type Kernel = fn(&dyn Datum, &dyn Datum) -> Result<ArrayRef, ArrowError>;

/// What the engine lets wrap.
const OPERATORS: [Operator; 3] = [Operator::Plus, Operator::Minus, Operator::Multiply];

/// A function for each of them.
static FUNCTIONS: LazyLock<[Arc<ScalarUDF>; 3]> =
    LazyLock::new(|| OPERATORS.map(|operator| Arc::new(ScalarUDF::from(Checked::new(operator)))));

/// The functions.
pub fn functions() -> impl Iterator<Item = Arc<ScalarUDF>> {
    FUNCTIONS.iter().cloned()
}

/// Puts the functions in the operators' place. It comes after types have been made the same on both sides.
#[derive(Debug, Default)]
pub struct CheckedArithmetic;

impl AnalyzerRule for CheckedArithmetic {
    fn name(&self) -> &str {
        "checked_arithmetic"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan_rewrite::expressions(plan, |expr| function_of(expr).is_some(), checked_expr)
    }
}

fn checked_expr(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Some(function) = function_of(&expr) else { return Ok(Transformed::no(expr)) };
    match expr {
        // What has no type here is nothing that could be computed.
        Expr::BinaryExpr(both) if is_integer(&both, schema).unwrap_or(false) => {
            Ok(Transformed::yes(function.call(vec![*both.left, *both.right])))
        }
        other => Ok(Transformed::no(other)),
    }
}

fn function_of(expr: &Expr) -> Option<&'static Arc<ScalarUDF>> {
    let Expr::BinaryExpr(both) = expr else { return None };
    let index = OPERATORS.iter().position(|one| *one == both.op)?;
    FUNCTIONS.get(index)
}

fn is_integer(both: &BinaryExpr, schema: &DFSchema) -> Result<bool> {
    let left = both.left.get_type(schema)?;
    Ok(matches!(left, DataType::Int16 | DataType::Int32 | DataType::Int64) && both.right.get_type(schema)? == left)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    operator: Operator,
    signature: Signature,
}

impl Checked {
    fn new(operator: Operator) -> Self {
        let types = vec![DataType::Int16, DataType::Int32, DataType::Int64];
        Checked { operator, signature: Signature::uniform(2, types, Volatility::Immutable) }
    }

    fn kernel(&self) -> Kernel {
        match self.operator {
            Operator::Plus => numeric::add,
            Operator::Minus => numeric::sub,
            _ => numeric::mul,
        }
    }
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &str {
        match self.operator {
            Operator::Plus => "checked_add",
            Operator::Minus => "checked_subtract",
            _ => "checked_multiply",
        }
    }

    fn display_name(&self, arguments: &[Expr]) -> Result<String> {
        let shown = arguments.iter().map(|part| if computes(part) { format!("({part})") } else { part.to_string() });
        Ok(shown.collect::<Vec<_>>().join(&format!(" {} ", self.operator)))
    }

    /// As the operator has it: who asks for a column by its name finds it.
    fn schema_name(&self, arguments: &[Expr]) -> Result<String> {
        let names: Vec<String> = arguments.iter().map(|part| part.schema_name().to_string()).collect();
        Ok(names.join(&format!(" {} ", self.operator)))
    }

    /// NULL where a side is NULL.
    fn is_strict(&self) -> bool {
        true
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let first = types.first().cloned();
        first.ok_or_else(|| DataFusionError::Internal("two arguments are expected".to_string()))
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> Result<FieldRef> {
        let types: Vec<DataType> = arguments.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let nullable = arguments.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.return_type(&types)?, nullable)))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [left, right] = arguments.args.as_slice() else {
            return Err(DataFusionError::Internal("two arguments are expected".to_string()));
        };
        datum::apply(left, right, self.kernel()).map_err(|error| out_of_range(error, &left.data_type()))
    }
}

fn computes(expr: &Expr) -> bool {
    match expr {
        Expr::BinaryExpr(_) => true,
        Expr::ScalarFunction(call) => FUNCTIONS.iter().any(|function| Arc::ptr_eq(function, &call.func)),
        _ => false,
    }
}

/// 22003 for what does not fit, in Postgres' words.
fn out_of_range(error: DataFusionError, of: &DataType) -> DataFusionError {
    let name = match of {
        DataType::Int16 => "smallint",
        DataType::Int32 => "integer",
        _ => "bigint",
    };
    match &error {
        DataFusionError::ArrowError(inner, _) if matches!(inner.as_ref(), ArrowError::ArithmeticOverflow(_)) => {
            carried(Error::new(Kind::OutOfRange, format!("{name} out of range")))
        }
        _ => error,
    }
}
