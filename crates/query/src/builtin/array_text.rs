//! Arrays as their text says them: `{a,"b c",NULL}`. Beside an array, a text in quotes is one.

use crate::fault::carried;
use arrow::array::{ArrayRef, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, lit};
use sqlparser::ast::BinaryOperator;
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};

/// Plans comparisons of arrays with texts in quotes.
#[derive(Debug)]
pub struct ArrayTextPlanner;

impl ExprPlanner for ArrayTextPlanner {
    fn plan_binary_op(&self, binary: RawBinaryExpr, schema: &DFSchema) -> EngineResult<PlannerResult<RawBinaryExpr>> {
        use BinaryOperator::{ArrowAt, AtArrow, Eq, Gt, GtEq, Lt, LtEq, NotEq};
        let RawBinaryExpr { op, mut left, mut right } = binary;
        if matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | AtArrow | ArrowAt) {
            match (left.get_type(schema), right.get_type(schema)) {
                (Ok(DataType::List(item)), Ok(other)) if other.is_string() => right = read(right, item.data_type())?,
                (Ok(other), Ok(DataType::List(item))) if other.is_string() => left = read(left, item.data_type())?,
                _ => {}
            }
        }
        Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }))
    }
}

/// A text in quotes as an array of such items; everything else as it is.
fn read(expr: Expr, item: &DataType) -> EngineResult<Expr> {
    let Expr::Literal(ScalarValue::Utf8(Some(text)), _) = &expr else { return Ok(expr) };
    let texts: ArrayRef = Arc::new(items(text).map_err(carried)?.into_iter().collect::<StringArray>());
    let list = SingleRowListArrayBuilder::new(cast(&texts, item)?).build_list_scalar();
    Ok(lit(list))
}

/// The items of an array of one dimension. 22P02.
pub fn items(text: &str) -> Result<Vec<Option<String>>> {
    let malformed = || Error::new(Kind::InvalidText, format!("malformed array literal: \"{text}\""));
    let inside = text.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).ok_or_else(malformed)?;
    if inside.trim().is_empty() {
        return Ok(Vec::new());
    }
    let (mut found, mut item) = (Vec::new(), Item::default());
    let mut letters = inside.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => item.put(letters.next().ok_or_else(malformed)?, true),
            '"' => item.toggle(),
            ',' if !item.in_quotes => found.push(std::mem::take(&mut item).finish().ok_or_else(malformed)?),
            '{' | '}' if !item.in_quotes => return Err(malformed()),
            letter => item.put(letter, item.in_quotes),
        }
    }
    match item.in_quotes {
        true => Err(malformed()),
        false => {
            found.push(item.finish().ok_or_else(malformed)?);
            Ok(found)
        }
    }
}

/// An item that is being read.
#[derive(Default)]
struct Item {
    text: String,
    /// The length up to the last letter that is no blank at the end.
    length: usize,
    in_quotes: bool,
    quoted: bool,
}

impl Item {
    fn put(&mut self, letter: char, kept: bool) {
        if self.text.is_empty() && letter.is_whitespace() && !kept {
            return;
        }
        self.text.push(letter);
        if kept || !letter.is_whitespace() {
            self.length = self.text.len();
        }
        self.quoted |= kept;
    }

    fn toggle(&mut self) {
        self.in_quotes = !self.in_quotes;
        self.quoted = true;
    }

    /// The item, which may be NULL. None: there is none between two commas.
    fn finish(mut self) -> Option<Option<String>> {
        self.text.truncate(self.length);
        match self.quoted {
            true => Some(Some(self.text)),
            false if self.text.is_empty() => None,
            false => Some(Some(self.text).filter(|text| !text.eq_ignore_ascii_case("null"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_arrays() {
        let some = |words: &[&str]| Some(words.iter().map(|word| Some((*word).to_string())).collect::<Vec<_>>());
        let cases = [
            ("{}", some(&[])),
            ("{a, b c ,d}", some(&["a", "b c", "d"])),
            (r#"{"a,b","c\"d",e\,f}"#, some(&["a,b", "c\"d", "e,f"])),
            (r#"{""," "}"#, some(&["", " "])),
            ("{a,,b}", None),
            ("{a", None),
            ("a}", None),
            ("{{a}}", None),
            ("{\"a}", None),
        ];
        for (text, expected) in cases {
            assert_eq!(items(text).ok(), expected, "{text}");
        }
        assert_eq!(items("{NULL,\"NULL\"}").unwrap(), [None, Some("NULL".to_string())]);
    }
}
