//! `time with time zone` (TYP-08): kept as the time in UTC, and shown so, as Redshift does.
//!
//! The engine has no such type. A cast to it becomes a function, which reads the offset of a text and whose field says
//! what it is; a cast to `time` becomes one whose field says so no more.

use crate::datetime::{self, Reading};
use crate::text_cast;
use arrow::array::{ArrayRef, AsArray, Time64MicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{ScalarValue, plan_err};
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use sqlparser::ast::{DataType as SqlName, Expr, TimezoneInfo, VisitMut, VisitorMut};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use tidegate_catalog::{PG_TYPE_KEY, TIMETZ};
use tidegate_parser::ast;

/// What such a time is carried by.
const TIME: DataType = DataType::Time64(TimeUnit::Microsecond);
const DAY_US: i64 = 86_400 * 1_000_000;

/// The functions that casts become.
pub fn all() -> Vec<Arc<ScalarUDF>> {
    [true, false].into_iter().map(|zoned| Arc::new(ScalarUDF::from(Time::new(zoned)))).collect()
}

/// Puts them in the place of casts.
pub fn rewrite(statement: &mut ast::Statement) {
    struct Rewriter;
    impl VisitorMut for Rewriter {
        type Break = ();
        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            if let Some(call) = call_of(expr) {
                *expr = call;
            }
            ControlFlow::Continue(())
        }
    }
    // It never breaks off.
    let _ = statement.visit(&mut Rewriter);
}

fn call_of(expr: &Expr) -> Option<Expr> {
    let zoned = |data_type: &SqlName| match data_type {
        SqlName::Time(_, TimezoneInfo::Tz | TimezoneInfo::WithTimeZone) => Some(true),
        SqlName::Time(..) => Some(false),
        _ => None,
    };
    match expr {
        Expr::Cast { data_type, expr: inner, .. } => match zoned(data_type)? {
            true => call(true, inner),
            false => call(false, expr),
        },
        Expr::TypedString(typed) if zoned(&typed.data_type)? => call(true, &Expr::Value(typed.value.clone())),
        _ => None,
    }
}

fn call(zoned: bool, of: &Expr) -> Option<Expr> {
    text_cast::call_of(&format!("{}(NULL)", name(zoned)), of)
}

fn name(zoned: bool) -> &'static str {
    if zoned { "timetz_of" } else { "time_of" }
}

/// One of the functions.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Time {
    zoned: bool,
    signature: Signature,
}

impl Time {
    fn new(zoned: bool) -> Self {
        Time { zoned, signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Time {
    fn name(&self) -> &str {
        name(self.zoned)
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> EngineResult<DataType> {
        match types.first() {
            Some(DataType::Time32(_) | DataType::Time64(_) | DataType::Timestamp(..) | DataType::Null) => {}
            Some(text) if text.is_string() => {}
            other => return plan_err!("cannot cast type {} to {TIMETZ}", other.unwrap_or(&DataType::Null)),
        }
        Ok(TIME)
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> EngineResult<FieldRef> {
        let types: Vec<_> = arguments.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let field = Field::new(self.name(), self.return_type(&types)?, true);
        Ok(Arc::new(match self.zoned {
            true => field.with_metadata(HashMap::from([(PG_TYPE_KEY.to_string(), TIMETZ.to_string())])),
            false => field,
        }))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let zone = arguments.config_options.execution.time_zone.as_deref().unwrap_or("UTC");
        let reading = Reading::new(zone, None).map_err(crate::carried)?;
        let Some(value) = arguments.args.first() else { return plan_err!("{} takes a value", self.name()) };
        match value {
            ColumnarValue::Array(array) => Ok(ColumnarValue::Array(times(array, &reading)?)),
            ColumnarValue::Scalar(scalar) => {
                let times = times(&scalar.to_array()?, &reading)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&times, 0)?))
            }
        }
    }
}

/// Values as microseconds of the day; texts and moments in UTC.
fn times(array: &ArrayRef, reading: &Reading) -> EngineResult<ArrayRef> {
    if let Some(read) = datetime::fitted(array, &TIME, true, reading) {
        return read.map_err(crate::carried);
    }
    match array.data_type() {
        DataType::Timestamp(_, zone) => {
            let moments = cast(array, &DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))?;
            let moments = moments.as_primitive::<TimestampMicrosecondType>();
            let times: Time64MicrosecondArray = moments.unary(|moment| moment.rem_euclid(DAY_US));
            Ok(Arc::new(times))
        }
        _ => Ok(cast(array, &TIME)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn casts_become_calls() {
        let cases = [
            ("SELECT a::timetz", "SELECT timetz_of(a)"),
            ("SELECT CAST('1:00' || z AS TIME WITH TIME ZONE)", "SELECT timetz_of('1:00' || z)"),
            ("SELECT TIMETZ '12:30+02'", "SELECT timetz_of('12:30+02')"),
            ("SELECT a::time, TIME '12:30'", "SELECT time_of(a::TIME), TIME '12:30'"),
            ("SELECT a::timestamp", "SELECT a::TIMESTAMP"),
        ];
        for (sql, expected) in cases {
            let mut statement = ast::Statement::Query(tidegate_parser::parse_query(sql).unwrap());
            rewrite(&mut statement);
            assert_eq!(statement.to_string(), expected);
        }
    }
}
