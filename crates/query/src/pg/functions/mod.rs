//! Postgres' system information functions, as the engine's scalar functions over a snapshot.
//!
//! Each is a row of a table: its name, how many arguments it takes, what it returns and how a row is answered.

mod describe;
mod look_up;
mod privilege;
mod session;
mod signal;
pub mod subscripts;
mod text;

pub use signal::LISTENED;

use super::cell::{Cell, cells, column};
use super::shape::arrow_type;
use super::snapshot::PgSnapshot;
use crate::fault::carried;
use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::ops::RangeInclusive;
use std::sync::Arc;
use tidegate_catalog::PG_TYPE_KEY;

/// Answers one row.
type Answer = fn(&PgSnapshot, &[Cell]) -> tidegate_core::Result<Cell>;

/// One function.
pub struct Definition {
    name: &'static str,
    arguments: RangeInclusive<usize>,
    /// The name of the type it returns in `pg_type`.
    returns: &'static str,
    /// Whether any NULL makes the result NULL.
    strict: bool,
    /// Whether it does something, and so is answered once for each row and not when a statement is planned.
    acts: bool,
    answer: Answer,
}

impl Definition {
    /// Of any argument NULL makes NULL.
    const fn strict(
        name: &'static str,
        arguments: RangeInclusive<usize>,
        returns: &'static str,
        answer: Answer,
    ) -> Self {
        Definition { name, arguments, returns, strict: true, acts: false, answer }
    }

    /// Sees NULL arguments.
    const fn lenient(
        name: &'static str,
        arguments: RangeInclusive<usize>,
        returns: &'static str,
        answer: Answer,
    ) -> Self {
        Definition { name, arguments, returns, strict: false, acts: false, answer }
    }

    /// Does something; of any argument NULL makes NULL.
    const fn acting(
        name: &'static str,
        arguments: RangeInclusive<usize>,
        returns: &'static str,
        answer: Answer,
    ) -> Self {
        Definition { name, arguments, returns, strict: true, acts: true, answer }
    }
}

/// All functions, holding the snapshot.
pub fn functions(snapshot: Arc<PgSnapshot>) -> Vec<Arc<ScalarUDF>> {
    let own = all().map(|definition| Arc::new(ScalarUDF::new_from_impl(Function::new(definition, &snapshot))));
    own.chain(subscripts::functions()).collect()
}

/// Whether a name is one of [`functions`].
pub fn is_known(name: &str) -> bool {
    all().any(|definition| definition.name == name)
}

fn all() -> impl Iterator<Item = &'static Definition> {
    let looking =
        [describe::FUNCTIONS, look_up::FUNCTIONS, privilege::FUNCTIONS, session::FUNCTIONS, signal::FUNCTIONS];
    looking.into_iter().chain([text::FUNCTIONS]).flatten()
}

struct Function {
    definition: &'static Definition,
    snapshot: Arc<PgSnapshot>,
    signature: Signature,
    returns: DataType,
}

impl Function {
    fn new(definition: &'static Definition, snapshot: &Arc<PgSnapshot>) -> Self {
        let forms = definition.arguments.clone().map(|count| match count {
            0 => TypeSignature::Nullary,
            count => TypeSignature::Any(count),
        });
        let signature =
            Signature::one_of(forms.collect(), if definition.acts { Volatility::Volatile } else { Volatility::Stable });
        Function { definition, snapshot: Arc::clone(snapshot), signature, returns: arrow_type(definition.returns) }
    }

    fn answers(&self, arguments: &[Vec<Cell>], count: usize) -> Result<ArrayRef> {
        let mut answers = Vec::with_capacity(count);
        let mut row = Vec::with_capacity(arguments.len());
        for index in 0..count {
            row.clear();
            row.extend(arguments.iter().filter_map(|column| column.get(index).cloned()));
            answers.push(if self.definition.strict && row.contains(&Cell::Null) {
                Cell::Null
            } else {
                (self.definition.answer)(&self.snapshot, &row).map_err(carried)?
            });
        }
        Ok(column(&answers, &self.returns)?)
    }
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Function").field(&self.definition.name).finish()
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.definition.name == other.definition.name && Arc::ptr_eq(&self.snapshot, &other.snapshot)
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.definition.name.hash(state);
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.definition.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.returns.clone())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs) -> Result<FieldRef> {
        let field = Field::new(self.name(), self.returns.clone(), true);
        Ok(Arc::new(match self.definition.returns {
            // To the engine it is a text.
            "json" => field.with_metadata(HashMap::from([(PG_TYPE_KEY.to_string(), "json".to_string())])),
            _ => field,
        }))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let scalar = args.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let count = if scalar { 1 } else { args.number_rows };
        let arrays = args.args.iter().map(|value| value.to_array(count)).collect::<Result<Vec<_>>>()?;
        let arguments = arrays.iter().map(cells).collect::<std::result::Result<Vec<_>, _>>()?;
        let answers = self.answers(&arguments, count)?;
        if scalar {
            return Ok(ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(&answers, 0)?));
        }
        Ok(ColumnarValue::Array(answers))
    }
}

/// The object id of an argument; 0 when it is none.
fn oid(arguments: &[Cell], place: usize) -> u32 {
    arguments.get(place).and_then(Cell::oid).unwrap_or(0)
}

/// The text of an argument; empty when it is none.
fn text(arguments: &[Cell], place: usize) -> &str {
    arguments.get(place).and_then(Cell::text).unwrap_or_default()
}

/// Answers that say nothing, for what no object here has.
fn nothing(_: &PgSnapshot, _: &[Cell]) -> tidegate_core::Result<Cell> {
    Ok(Cell::Null)
}
