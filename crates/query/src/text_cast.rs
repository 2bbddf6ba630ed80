//! `x::varchar(n)` and `x::char(n)`, which cut a text off after n bytes (TYP-07: a cast truncates, an INSERT refuses).
//!
//! The engine casts to text without a length, so the cast is followed by a function that cuts.

use arrow::array::{ArrayRef, AsArray, StringViewArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use sqlparser::ast::{CharacterLength, DataType as SqlName, Expr, VisitMut, VisitorMut};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use tidegate_catalog::PG_TYPE_KEY;
use tidegate_parser::ast;

/// The functions that cut.
pub fn all() -> Vec<Arc<ScalarUDF>> {
    [Kind::Varchar, Kind::Char].into_iter().map(|kind| Arc::new(ScalarUDF::from(Cut::new(kind)))).collect()
}

/// Puts them around casts to types with a length.
pub fn rewrite(statement: &mut ast::Statement) {
    struct Rewriter;
    impl VisitorMut for Rewriter {
        type Break = ();
        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            if let Expr::Cast { data_type, .. } = expr
                && let Some((kind, length)) = length_of(data_type)
            {
                *data_type = SqlName::Text;
                if let Some(call) = call_of(&format!("{}(NULL, {length})", kind.function()), expr) {
                    *expr = call;
                }
            }
            ControlFlow::Continue(())
        }
    }
    // It never breaks off.
    let _ = statement.visit(&mut Rewriter);
}

/// A call, told as text, with an expression in the place of its first argument: as it is, without a way through text.
pub fn call_of(text: &str, first: &Expr) -> Option<Expr> {
    let mut call = tidegate_parser::parse_expression(text).ok()?;
    put_first(&mut call, first.clone());
    Some(call)
}

fn put_first(call: &mut Expr, argument: Expr) {
    if let Expr::Function(function) = call
        && let ast::FunctionArguments::List(list) = &mut function.args
        && let Some(first) = list.args.first_mut()
    {
        *first = ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(argument));
    }
}

fn length_of(data_type: &SqlName) -> Option<(Kind, u64)> {
    let (kind, length) = match data_type {
        SqlName::Varchar(length)
        | SqlName::CharacterVarying(length)
        | SqlName::CharVarying(length)
        | SqlName::Nvarchar(length) => (Kind::Varchar, length.as_ref()?),
        SqlName::Char(length) | SqlName::Character(length) => (Kind::Char, length.as_ref()?),
        _ => return None,
    };
    match length {
        CharacterLength::IntegerLength { length, .. } => Some((kind, *length)),
        CharacterLength::Max => None,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Varchar,
    Char,
}

impl Kind {
    fn function(self) -> &'static str {
        match self {
            Kind::Varchar => "varchar_of",
            Kind::Char => "char_of",
        }
    }

    fn sql_name(self) -> &'static str {
        match self {
            Kind::Varchar => "character varying",
            Kind::Char => "character",
        }
    }
}

/// One of the functions.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Cut {
    kind: Kind,
    signature: Signature,
}

impl Cut {
    fn new(kind: Kind) -> Self {
        let signature = Signature::exact(vec![DataType::Utf8View, DataType::Int64], Volatility::Immutable);
        Cut { kind, signature }
    }
}

/// The longest beginning of a text that has at most so many bytes and breaks no character.
pub fn cut(text: &str, bytes: usize) -> &str {
    if text.len() <= bytes {
        return text;
    }
    let end = (0..=bytes).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

impl ScalarUDFImpl for Cut {
    fn name(&self) -> &str {
        self.kind.function()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> EngineResult<DataType> {
        Ok(DataType::Utf8View)
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> EngineResult<FieldRef> {
        let field = Field::new(self.name(), DataType::Utf8View, true);
        Ok(Arc::new(match arguments.scalar_arguments.get(1) {
            Some(Some(ScalarValue::Int64(Some(length)))) => {
                let told = format!("{}({length})", self.kind.sql_name());
                field.with_metadata(HashMap::from([(PG_TYPE_KEY.to_string(), told)]))
            }
            _ => field,
        }))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let [text, ColumnarValue::Scalar(ScalarValue::Int64(Some(length)))] = arguments.args.as_slice() else {
            return Err(DataFusionError::Internal("a cast to a length that is no number".to_string()));
        };
        let bytes = usize::try_from(*length).unwrap_or(0);
        let shorter = |text: &str| match self.kind {
            Kind::Varchar => cut(text, bytes).to_string(),
            Kind::Char => cut(text, bytes).trim_end_matches(' ').to_string(),
        };
        let array = text.to_array(arguments.number_rows)?;
        let texts = array.as_string_view_opt().ok_or_else(|| DataFusionError::Internal("a text is expected".into()))?;
        let made: StringViewArray = texts.iter().map(|text| text.map(shorter)).collect();
        let made: ArrayRef = Arc::new(made);
        match text {
            ColumnarValue::Scalar(_) => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&made, 0)?)),
            ColumnarValue::Array(_) => Ok(ColumnarValue::Array(made)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn casts_with_a_length_cut() {
        let cases = [
            ("SELECT a::varchar(3)", "SELECT varchar_of(a::TEXT, 3)"),
            ("SELECT CAST(a AS char(2)) FROM t", "SELECT char_of(CAST(a AS TEXT), 2) FROM t"),
            ("SELECT a::varchar, b::varchar(max), c::text", "SELECT a::VARCHAR, b::VARCHAR(MAX), c::TEXT"),
        ];
        for (sql, expected) in cases {
            let mut statement = ast::Statement::Query(tidegate_parser::parse_query(sql).unwrap());
            rewrite(&mut statement);
            assert_eq!(statement.to_string(), expected);
        }
        for (text, bytes, expected) in
            [("abc", 2, "ab"), ("héé", 2, "h"), ("héé", 3, "hé"), ("a", 9, "a"), ("é", 0, "")]
        {
            assert_eq!(cut(text, bytes), expected, "{text} {bytes}");
        }
    }
}
