//! One value of a catalog's row, and columns made of them.

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, Int64Builder, ListBuilder, StringArray,
    StringBuilder, new_null_array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use arrow::error::ArrowError;
use std::sync::Arc;

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// NULL.
    Null,
    /// A truth value.
    Bool(bool),
    /// Any integer, and an object id.
    Int(i64),
    /// Any floating-point number.
    Float(f64),
    /// Any text.
    Text(String),
    /// An array or vector of integers.
    Ints(Vec<i64>),
    /// An array of texts.
    Texts(Vec<String>),
}

impl From<bool> for Cell {
    fn from(value: bool) -> Self {
        Cell::Bool(value)
    }
}

impl From<i64> for Cell {
    fn from(value: i64) -> Self {
        Cell::Int(value)
    }
}

impl From<i32> for Cell {
    fn from(value: i32) -> Self {
        Cell::Int(i64::from(value))
    }
}

impl From<u32> for Cell {
    fn from(value: u32) -> Self {
        Cell::Int(i64::from(value))
    }
}

impl From<usize> for Cell {
    fn from(value: usize) -> Self {
        Cell::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<&str> for Cell {
    fn from(value: &str) -> Self {
        Cell::Text(value.to_string())
    }
}

impl From<String> for Cell {
    fn from(value: String) -> Self {
        Cell::Text(value)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Cell::Null, Into::into)
    }
}

impl Cell {
    /// The integer, also of a text that is one.
    pub fn int(&self) -> Option<i64> {
        match self {
            Cell::Int(value) => Some(*value),
            Cell::Float(value) => Some(*value as i64),
            Cell::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// The object id.
    pub fn oid(&self) -> Option<u32> {
        self.int().and_then(|value| u32::try_from(value).ok())
    }

    /// The text.
    pub fn text(&self) -> Option<&str> {
        match self {
            Cell::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// A column of a type, made of cells; a cell of another kind is NULL.
pub fn column(cells: &[Cell], data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    let made: ArrayRef = match data_type {
        DataType::Null => return Ok(new_null_array(data_type, cells.len())),
        DataType::Boolean => Arc::new(BooleanArray::from_iter(cells.iter().map(|cell| match cell {
            Cell::Bool(value) => Some(*value),
            _ => None,
        }))),
        DataType::List(item) if item.data_type().is_numeric() => Arc::new(integer_lists(cells)),
        DataType::List(_) => Arc::new(text_lists(cells)),
        DataType::Float32 | DataType::Float64 => {
            Arc::new(Float64Array::from_iter(cells.iter().map(|cell| match cell {
                Cell::Float(value) => Some(*value),
                Cell::Int(value) => Some(*value as f64),
                _ => None,
            })))
        }
        // Times are microseconds of the Unix epoch.
        numeric if numeric.is_integer() || matches!(numeric, DataType::Timestamp(..)) => {
            Arc::new(Int64Array::from_iter(cells.iter().map(|cell| match cell {
                Cell::Int(value) => Some(*value),
                _ => None,
            })))
        }
        DataType::Utf8 => Arc::new(StringArray::from_iter(cells.iter().map(Cell::text))),
        // Of other types (times of day, bytes, numerics) the catalogs have nothing to show.
        other => return Ok(new_null_array(other, cells.len())),
    };
    if made.data_type() == data_type { Ok(made) } else { cast(&made, data_type) }
}

fn integer_lists(cells: &[Cell]) -> arrow::array::ListArray {
    let mut lists = ListBuilder::new(Int64Builder::new());
    for cell in cells {
        if let Cell::Ints(values) = cell {
            lists.values().append_slice(values);
        }
        lists.append(matches!(cell, Cell::Ints(_)));
    }
    lists.finish()
}

fn text_lists(cells: &[Cell]) -> arrow::array::ListArray {
    let mut lists = ListBuilder::new(StringBuilder::new());
    for cell in cells {
        if let Cell::Texts(values) = cell {
            values.iter().for_each(|value| lists.values().append_value(value));
        }
        lists.append(matches!(cell, Cell::Texts(_)));
    }
    lists.finish()
}

/// The cells of a column. Types that a cell cannot hold are read as text.
pub fn cells(array: &ArrayRef) -> Result<Vec<Cell>, ArrowError> {
    let all = 0..array.len();
    let at = |row: usize, cell: &dyn Fn(usize) -> Cell| if array.is_null(row) { Cell::Null } else { cell(row) };
    Ok(match array.data_type() {
        DataType::Null => vec![Cell::Null; array.len()],
        DataType::Boolean => {
            let values = array.as_boolean();
            all.map(|row| at(row, &|row| Cell::Bool(values.value(row)))).collect()
        }
        DataType::List(item) => {
            let numbers = item.data_type().is_integer();
            let lists = array.as_list::<i32>();
            all.map(|row| if array.is_null(row) { Ok(Cell::Null) } else { list_cell(&lists.value(row), numbers) })
                .collect::<Result<_, _>>()?
        }
        kind if kind.is_integer() => {
            let values = cast(array, &DataType::Int64)?;
            let values = values.as_primitive::<Int64Type>();
            all.map(|row| at(row, &|row| Cell::Int(values.value(row)))).collect()
        }
        kind if kind.is_numeric() => {
            let values = cast(array, &DataType::Float64)?;
            let values = values.as_primitive::<Float64Type>();
            all.map(|row| at(row, &|row| Cell::Float(values.value(row)))).collect()
        }
        _ => {
            let values = cast(array, &DataType::Utf8)?;
            let values = values.as_string::<i32>();
            all.map(|row| at(row, &|row| Cell::Text(values.value(row).to_string()))).collect()
        }
    })
}

fn list_cell(items: &ArrayRef, numbers: bool) -> Result<Cell, ArrowError> {
    let items = cells(items)?;
    Ok(if numbers {
        Cell::Ints(items.iter().filter_map(Cell::int).collect())
    } else {
        Cell::Texts(items.into_iter().filter_map(|item| item.text().map(str::to_string)).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::Field;

    #[test]
    fn columns_keep_their_cells() {
        let list = |item| DataType::List(Arc::new(Field::new_list_field(item, true)));
        let cases = [
            (DataType::Int16, vec![Cell::Int(-3), Cell::Null]),
            (DataType::Int64, vec![Cell::Int(4_000_000_000)]),
            (DataType::Boolean, vec![Cell::Bool(true), Cell::Null]),
            (DataType::Utf8, vec![Cell::from("a"), Cell::Null]),
            (DataType::Float32, vec![Cell::Float(1.5)]),
            (list(DataType::Int16), vec![Cell::Ints(vec![1, 2]), Cell::Null, Cell::Ints(vec![])]),
            (list(DataType::Utf8), vec![Cell::Texts(vec!["a".into()]), Cell::Null]),
        ];
        for (data_type, expected) in cases {
            let made = column(&expected, &data_type).unwrap();
            assert_eq!(made.data_type(), &data_type);
            assert_eq!(cells(&made).unwrap(), expected, "{data_type}");
        }
    }
}
