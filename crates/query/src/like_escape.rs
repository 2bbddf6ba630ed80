//! `LIKE … ESCAPE` with another character than the backslash, which is all that the engine knows.
//!
//! The pattern goes through Postgres' own `like_escape(pattern, escape)`, which writes it with backslashes. For a
//! pattern that is written out, the engine does that once, and prunes by the result.

use crate::fault::carried;
use arrow::array::{ArrayRef, AsArray, StringViewArray};
use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use sqlparser::ast::{Expr, VisitMut, VisitorMut};
use std::ops::ControlFlow;
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::ast;

/// The function that writes a pattern anew.
pub fn all() -> Vec<Arc<ScalarUDF>> {
    let signature = Signature::exact(vec![DataType::Utf8View, DataType::Utf8View], Volatility::Immutable);
    vec![Arc::new(ScalarUDF::from(LikeEscape { signature }))]
}

/// Puts it around the patterns that name their escape character.
pub fn rewrite(statement: &mut ast::Statement) {
    struct Rewriter;
    impl VisitorMut for Rewriter {
        type Break = ();
        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            if let Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } = expr
                && let Some(escape) = escape_char.take()
                && let Some(call) = crate::text_cast::call_of(&format!("like_escape(NULL, {escape})"), pattern)
            {
                **pattern = call;
            }
            ControlFlow::Continue(())
        }
    }
    let _ = statement.visit(&mut Rewriter);
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct LikeEscape {
    signature: Signature,
}

impl ScalarUDFImpl for LikeEscape {
    fn name(&self) -> &str {
        "like_escape"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let constant = arguments.args.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let texts = |nth: usize| {
            let array = arrays.get(nth).and_then(|array| array.as_string_view_opt());
            array.ok_or_else(|| DataFusionError::Internal("a text is expected".to_string()))
        };
        let pairs = texts(0)?.iter().zip(texts(1)?.iter());
        let made = pairs.map(|(pattern, escape)| pattern.zip(escape).map(|(p, e)| escaped(p, e)).transpose());
        let made: ArrayRef = Arc::new(made.collect::<Result<StringViewArray>>().map_err(carried)?);
        match constant {
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&made, 0)?)),
            false => Ok(ColumnarValue::Array(made)),
        }
    }
}

/// A pattern with backslashes in the place of another escape character. Of an empty one nothing is escaped. 22025.
fn escaped(pattern: &str, escape: &str) -> Result<String> {
    let mut letters = escape.chars();
    let (letter, none) = (letters.next(), letters.next().is_none());
    if !none {
        let message = format!("invalid escape string \"{escape}\"");
        return Err(Error::new(Kind::InvalidEscape, message).hint("Escape string must be empty or one character."));
    }
    let mut made = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            c if Some(c) == letter => {
                made.push('\\');
                made.extend(chars.next());
            }
            '\\' => made.push_str("\\\\"),
            c => made.push(c),
        }
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_as_postgres_writes_them() {
        for (pattern, escape, expected) in [
            ("a/_b%", "/", "a\\_b%"),
            ("a//b", "/", "a\\/b"),
            ("a\\_b", "\\", "a\\_b"),
            ("a\\_b", "/", "a\\\\_b"),
            ("a\\_b", "", "a\\\\_b"),
            ("é_é_", "é", "\\_\\_"),
        ] {
            assert_eq!(escaped(pattern, escape).unwrap(), expected, "{pattern} ESCAPE '{escape}'");
        }
        assert_eq!(escaped("a", "//").unwrap_err().kind().sqlstate(), "22025");
    }

    #[test]
    fn only_patterns_that_name_their_character() {
        for (sql, expected) in [
            ("SELECT a LIKE 'x/_' ESCAPE '/'", "SELECT a LIKE like_escape('x/_', '/')"),
            ("SELECT a NOT ILIKE b ESCAPE ''", "SELECT a NOT ILIKE like_escape(b, '')"),
            ("SELECT a LIKE 'x%'", "SELECT a LIKE 'x%'"),
        ] {
            let mut statement = ast::Statement::Query(tidegate_parser::parse_query(sql).unwrap());
            rewrite(&mut statement);
            assert_eq!(statement.to_string(), expected);
        }
    }
}
