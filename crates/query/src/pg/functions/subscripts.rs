//! Arrays with the places of their items: `generate_subscripts` and `information_schema._pg_expandarray`, each as a list
//! that the rewriter puts into `unnest`.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, ListArray, StructArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use std::sync::Arc;

/// The subscripts of an array, the first of which is the second argument.
pub const SUBSCRIPTS: &str = "_pg_subscripts";
/// Each item as `x` with its place from 1 as `n`.
pub const EXPANDED: &str = "_pg_expandarray";

/// Both functions.
pub fn functions() -> impl Iterator<Item = Arc<ScalarUDF>> {
    [SUBSCRIPTS, EXPANDED].into_iter().map(|name| Arc::new(ScalarUDF::new_from_impl(Places::new(name))))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Places {
    name: &'static str,
    signature: Signature,
}

impl Places {
    fn new(name: &'static str) -> Places {
        let arguments = if name == SUBSCRIPTS { 2 } else { 1 };
        Places { name, signature: Signature::any(arguments, Volatility::Immutable) }
    }
}

fn item(items: &DataType) -> Result<DataType> {
    match items {
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
            Ok(field.data_type().clone())
        }
        DataType::Null => Ok(DataType::Int64),
        other => plan_err!("an array is needed here, not {other}"),
    }
}

fn expanded_fields(item: DataType) -> Fields {
    vec![Field::new("x", item, true), Field::new("n", DataType::Int64, true)].into()
}

impl ScalarUDFImpl for Places {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        let Some(items) = arguments.first() else { return plan_err!("{} without arguments", self.name) };
        let item = item(items)?;
        let made = if self.name == SUBSCRIPTS { DataType::Int64 } else { DataType::Struct(expanded_fields(item)) };
        Ok(DataType::new_list(made, true))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let count = args.number_rows;
        let arrays = args.args.iter().map(|value| value.to_array(count)).collect::<Result<Vec<_>>>()?;
        let Some(items) = arrays.first() else { return exec_err!("{} without arguments", self.name) };
        let first = match arrays.get(1) {
            Some(first) if count > 0 => {
                cast(first, &DataType::Int64)?.as_primitive::<arrow::datatypes::Int64Type>().value(0)
            }
            _ => 1,
        };
        let item = item(items.data_type())?;
        let list = cast(items, &DataType::new_list(item.clone(), true))?;
        let list = list.as_list::<i32>();
        let places = places(list, first);
        let values: ArrayRef = match self.name {
            SUBSCRIPTS => places,
            _ => Arc::new(StructArray::try_new(expanded_fields(item), vec![Arc::clone(list.values()), places], None)?),
        };
        let field = Arc::new(Field::new_list_field(values.data_type().clone(), true));
        let made = ListArray::try_new(field, list.offsets().clone(), values, list.nulls().cloned())?;
        Ok(ColumnarValue::Array(Arc::new(made)))
    }
}

/// For each item of all lists, its place in its own.
fn places(list: &ListArray, first: i64) -> ArrayRef {
    let mut places = vec![0; list.values().len()];
    for pair in list.offsets().windows(2) {
        let [from, to] = pair else { continue };
        let own = usize::try_from(*from).unwrap_or(0)..usize::try_from(*to).unwrap_or(0);
        for (number, place) in places.get_mut(own).into_iter().flatten().enumerate() {
            *place = first + number as i64;
        }
    }
    Arc::new(Int64Array::from(places))
}
