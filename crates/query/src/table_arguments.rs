//! Parameters as arguments of table functions, `generate_series(1, $1)`: the engine wants them as literals.

use datafusion::common::ScalarValue;
use sqlparser::ast::{VisitMut, VisitorMut};
use std::borrow::Cow;
use std::ops::ControlFlow;
use tidegate_parser::ast::{self, Expr, TableFactor, Value};

/// The statement with such parameters replaced by their values; by zero while they are not known.
pub fn bound<'a>(statement: &'a ast::Statement, values: &[ScalarValue]) -> Cow<'a, ast::Statement> {
    let mut changed = statement.clone();
    let mut binder = Binder { values, found: false };
    let _ = changed.visit(&mut binder);
    if binder.found { Cow::Owned(changed) } else { Cow::Borrowed(statement) }
}

struct Binder<'a> {
    values: &'a [ScalarValue],
    found: bool,
}

impl VisitorMut for Binder<'_> {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { args: Some(arguments), .. } = factor {
            for argument in &mut arguments.args {
                if let ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) = argument
                    && let Some(literal) = self.literal(expr)
                {
                    *expr = literal;
                    self.found = true;
                }
            }
        }
        ControlFlow::Continue(())
    }
}

impl Binder<'_> {
    fn literal(&self, expr: &Expr) -> Option<Expr> {
        let Expr::Value(value) = expr else { return None };
        let Value::Placeholder(name) = &value.value else { return None };
        let number = name.trim_start_matches('$').parse::<usize>().ok()?;
        let value = match self.values.get(number.checked_sub(1)?) {
            None => Value::Number("0".to_string(), false),
            Some(value) if value.is_null() => Value::Null,
            Some(value) if value.data_type().is_numeric() => Value::Number(value.to_string(), false),
            Some(value) => match value.to_string().parse::<i64>() {
                Ok(number) => Value::Number(number.to_string(), false),
                Err(_) => Value::SingleQuotedString(value.to_string()),
            },
        };
        Some(Expr::Value(value.into()))
    }
}
