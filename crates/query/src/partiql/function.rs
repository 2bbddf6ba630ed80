//! What the functions over SUPER values have in common: a name, what it takes and gives, and what it does to a batch.

use crate::fault::carried;
use arrow::array::{Array, ArrayRef, AsArray, BinaryViewArray, Int64Array, StringViewArray};
use arrow::compute::{can_cast_types, cast};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use tidegate_catalog::{PG_TYPE_KEY, SUPER, SqlType};
use tidegate_core::{Error, Kind, Result};

/// What a function gives.
#[derive(Debug, Clone, Copy)]
pub enum Gives {
    /// SUPER.
    Super,
    /// `text`.
    Text,
    /// `boolean`.
    Boolean,
    /// `integer`.
    Integer,
    /// `bigint`.
    Whole,
    /// `bytea`.
    Bytes,
    /// An array of SUPER, for UNNEST.
    Values,
    /// An array of `bigint`, for UNNEST.
    Places,
    /// An array of `text`, for UNNEST.
    Keys,
    /// The type of the second argument.
    Asked,
}

/// Which arguments are SUPER: others are made so before the function sees them, when the query is planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supers {
    /// None has to be.
    None,
    /// The first.
    First,
    /// All of them.
    All,
    /// Every second one: names stand between.
    Second,
}

impl Supers {
    /// Whether an argument is one.
    pub fn has(self, index: usize) -> bool {
        match self {
            Supers::None => false,
            Supers::First => index == 0,
            Supers::All => true,
            Supers::Second => index % 2 == 1,
        }
    }
}

/// A function.
#[derive(Clone, Copy)]
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// How many arguments it takes: at least, at most.
    pub takes: (usize, usize),
    /// Which of them are SUPER.
    pub supers: Supers,
    /// What it gives.
    pub gives: Gives,
    /// What it does.
    pub run: fn(&Arguments) -> Result<ArrayRef>,
}

impl Rule {
    /// For the engine.
    pub fn udf(self) -> Arc<ScalarUDF> {
        let signature = Signature::variadic_any(Volatility::Immutable);
        let signature = if self.takes.0 == 0 {
            let shapes = vec![
                datafusion::logical_expr::TypeSignature::Nullary,
                datafusion::logical_expr::TypeSignature::VariadicAny,
            ];
            Signature::one_of(shapes, Volatility::Immutable)
        } else {
            signature
        };
        Arc::new(ScalarUDF::from(Function { rule: self, signature }))
    }

    fn field(&self, arguments: &[FieldRef]) -> EngineResult<Field> {
        if arguments.len() < self.takes.0 || arguments.len() > self.takes.1 {
            let message = format!("function {} does not take {} arguments", self.name, arguments.len());
            return Err(carried(Error::new(Kind::UndefinedFunction, message)));
        }
        let field = |data_type| Field::new(self.name, data_type, true);
        let list = |item: Field| field(DataType::List(Arc::new(item)));
        Ok(match self.gives {
            Gives::Super => super_field(self.name),
            Gives::Text => field(DataType::Utf8View),
            Gives::Boolean => field(DataType::Boolean),
            Gives::Integer => field(DataType::Int32),
            Gives::Whole => field(DataType::Int64),
            Gives::Bytes => field(DataType::Binary),
            Gives::Values => list(super_field("item")),
            Gives::Places => list(Field::new("item", DataType::Int64, true)),
            Gives::Keys => list(Field::new("item", DataType::Utf8View, true)),
            Gives::Asked => field(arguments.get(1).map_or(DataType::Utf8View, |asked| asked.data_type().clone())),
        })
    }
}

/// A field of SUPER values.
pub fn super_field(name: &str) -> Field {
    let says = HashMap::from([(PG_TYPE_KEY.to_string(), SUPER.to_string())]);
    Field::new(name, DataType::Utf8View, true).with_metadata(says)
}

struct Function {
    rule: Rule,
    signature: Signature,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.rule.name)
    }
}

// A function is its name: there is one of each.
impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.rule.name == other.rule.name
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.rule.name.hash(state);
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.rule.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> EngineResult<DataType> {
        let fields: Vec<FieldRef> =
            arguments.iter().map(|data_type| Arc::new(Field::new("", data_type.clone(), true))).collect();
        self.rule.field(&fields).map(|field| field.data_type().clone())
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> EngineResult<FieldRef> {
        self.rule.field(arguments.arg_fields).map(Arc::new)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let rows = arguments.number_rows;
        let arrays = arguments.args.iter().map(|one| one.to_array(rows)).collect::<EngineResult<Vec<_>>>()?;
        let gives = arguments.return_field.data_type().clone();
        let arguments = Arguments { name: self.rule.name, arrays, fields: arguments.arg_fields, gives, rows };
        (self.rule.run)(&arguments).map(ColumnarValue::Array).map_err(carried)
    }
}

/// The arguments of a call on a batch.
pub struct Arguments {
    /// The function.
    pub name: &'static str,
    /// What was given.
    pub arrays: Vec<ArrayRef>,
    /// What the columns are.
    pub fields: Vec<FieldRef>,
    /// The type of what is asked for.
    pub gives: DataType,
    /// Rows of the batch.
    pub rows: usize,
}

impl Arguments {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.arrays.len()
    }

    fn as_type(&self, index: usize, data_type: &DataType) -> Result<ArrayRef> {
        let array = self.arrays.get(index).ok_or_else(|| Error::internal("an argument is missing"))?;
        if array.data_type() == data_type {
            return Ok(Arc::clone(array));
        }
        cast(array, data_type).map_err(|_| self.refused(index))
    }

    /// 42883 for an argument of a type that the function does not take.
    pub fn refused(&self, index: usize) -> Error {
        let sql_type = self.fields.get(index).map(|field| SqlType::of_field(field));
        let sql_type = sql_type.map_or_else(|| "unknown".to_string(), |sql_type| sql_type.to_string());
        Error::new(
            Kind::UndefinedFunction,
            format!("function {}: argument {} is of type {sql_type}", self.name, index + 1),
        )
    }

    /// An argument that is a text, or a SUPER as its JSON.
    pub fn texts(&self, index: usize) -> Result<StringViewArray> {
        let given = self.arrays.get(index).map(|array| array.data_type().clone());
        match given {
            Some(DataType::Null) => {}
            Some(data_type) if data_type.is_string() => {}
            _ => return Err(self.refused(index)),
        }
        Ok(self.as_type(index, &DataType::Utf8View)?.as_string_view().clone())
    }

    /// An argument that is a text or bytes.
    pub fn bytes(&self, index: usize) -> Result<BinaryViewArray> {
        let array = self.arrays.get(index).ok_or_else(|| Error::internal("an argument is missing"))?;
        match array.data_type() {
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
                Ok(self.as_type(index, &DataType::BinaryView)?.as_binary_view().clone())
            }
            _ => Ok(self.texts(index)?.to_binary_view()),
        }
    }

    /// An argument that is a whole number.
    pub fn whole(&self, index: usize) -> Result<Int64Array> {
        let given = self.arrays.get(index).map(|array| array.data_type().clone()).unwrap_or(DataType::Null);
        if !(given.is_integer() || given == DataType::Null) || !can_cast_types(&given, &DataType::Int64) {
            return Err(self.refused(index));
        }
        Ok(self.as_type(index, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
    }

    /// The truth of an argument that is a boolean constant.
    pub fn flag(&self, index: usize) -> bool {
        let array = self.arrays.get(index).and_then(|array| array.as_boolean_opt());
        array.is_some_and(|array| !array.is_empty() && array.is_valid(0) && array.value(0))
    }

    /// Whether an argument is a boolean.
    pub fn is_flag(&self, index: usize) -> bool {
        self.arrays.get(index).is_some_and(|array| array.data_type() == &DataType::Boolean)
    }
}

/// A text's function for each row that has one.
pub fn each_text<T>(
    texts: &StringViewArray,
    mut function: impl FnMut(&str) -> Result<Option<T>>,
) -> impl Iterator<Item = Result<Option<T>>> {
    texts.iter().map(move |text| text.map_or(Ok(None), &mut function))
}

/// Texts as a column.
pub fn text_column<T: AsRef<str>>(texts: impl Iterator<Item = Result<Option<T>>>) -> Result<ArrayRef> {
    Ok(Arc::new(texts.collect::<Result<StringViewArray>>()?))
}
