//! Casts of texts to dates, times and intervals. The engine's own read ISO 8601 and little else, so that each becomes a
//! function that reads as Postgres does; and values of an INSERT, which are cast as they are written.

use super::{Reading, date, interval, time, timestamp, timestamptz, timetz};
use crate::fault::carried;
use crate::plan_rewrite;
use arrow::array::{
    ArrayRef, AsArray, Date32Array, IntervalMonthDayNanoArray, StringArray, Time64MicrosecondArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalUnit, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue};
use datafusion::functions::datetime::{current_date, now};
use datafusion::logical_expr::{
    Cast, ColumnarValue, Expr, ExprSchemable, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    TypeSignature, Volatility, lit,
};
use datafusion::optimizer::AnalyzerRule;
use std::sync::{Arc, LazyLock};

/// What is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Target {
    Date,
    Time,
    Timestamp,
    Timestamptz,
    Interval,
}

const TARGETS: [Target; 5] = [Target::Date, Target::Time, Target::Timestamp, Target::Timestamptz, Target::Interval];

impl Target {
    fn of(data_type: &DataType) -> Option<Target> {
        Some(match data_type {
            DataType::Date32 => Target::Date,
            DataType::Time64(TimeUnit::Microsecond | TimeUnit::Nanosecond) => Target::Time,
            DataType::Timestamp(_, None) => Target::Timestamp,
            DataType::Timestamp(_, Some(_)) => Target::Timestamptz,
            DataType::Interval(IntervalUnit::MonthDayNano) => Target::Interval,
            _ => return None,
        })
    }

    fn function(self) -> &'static str {
        match self {
            Target::Date => "date_in",
            Target::Time => "time_in",
            Target::Timestamp => "timestamp_in",
            Target::Timestamptz => "timestamptz_in",
            Target::Interval => "interval_in",
        }
    }

    fn arrow(self) -> DataType {
        match self {
            Target::Date => DataType::Date32,
            Target::Time => DataType::Time64(TimeUnit::Microsecond),
            Target::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Target::Timestamptz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Target::Interval => DataType::Interval(IntervalUnit::MonthDayNano),
        }
    }

    fn read(self, texts: &StringArray, reading: &Reading) -> tidegate_core::Result<ArrayRef> {
        let texts = texts.iter();
        macro_rules! array {
            ($array:ty, $read:expr) => {
                texts.map(|text| text.map($read).transpose()).collect::<tidegate_core::Result<$array>>()?
            };
        }
        Ok(match self {
            Target::Date => Arc::new(array!(Date32Array, |text| date(text, reading))),
            Target::Time => Arc::new(array!(Time64MicrosecondArray, |text| time(text, reading))),
            Target::Timestamp => Arc::new(array!(TimestampMicrosecondArray, |text| timestamp(text, reading))),
            Target::Timestamptz => {
                let read = array!(TimestampMicrosecondArray, |text| timestamptz(text, reading));
                Arc::new(read.with_timezone("UTC"))
            }
            Target::Interval => Arc::new(array!(IntervalMonthDayNanoArray, interval)),
        })
    }
}

/// Texts as a type of dates, times or intervals; None for another type, or for what are no texts.
pub fn fitted(
    array: &ArrayRef,
    want: &DataType,
    zoned_time: bool,
    reading: &Reading,
) -> Option<tidegate_core::Result<ArrayRef>> {
    let target = Target::of(want)?;
    if !array.data_type().is_string() {
        return None;
    }
    let texts = arrow::compute::cast(array, &DataType::Utf8).map_err(tidegate_core::Error::internal);
    Some(texts.and_then(|texts| {
        let texts = texts.as_string::<i32>();
        match zoned_time {
            true => {
                let times = texts.iter().map(|text| text.map(|text| timetz(text, reading)).transpose());
                Ok(Arc::new(times.collect::<tidegate_core::Result<Time64MicrosecondArray>>()?) as ArrayRef)
            }
            false => target.read(texts, reading),
        }
    }))
}

static FUNCTIONS: LazyLock<[Arc<ScalarUDF>; 5]> =
    LazyLock::new(|| TARGETS.map(|target| Arc::new(ScalarUDF::from(TextCast::new(target)))));

/// The functions that casts become.
pub fn functions() -> impl Iterator<Item = Arc<ScalarUDF>> {
    FUNCTIONS.iter().cloned()
}

/// The one that reads intervals.
pub fn interval_function() -> Arc<ScalarUDF> {
    let [.., interval] = &*FUNCTIONS;
    Arc::clone(interval)
}

/// Puts them in the place of casts. It comes after types have been made the same on both sides.
#[derive(Debug, Default)]
pub struct TextCasts;

impl AnalyzerRule for TextCasts {
    fn name(&self) -> &str {
        "text_casts"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan_rewrite::expressions(plan, |expr| target_of(expr).is_some(), read_expr)
    }
}

fn target_of(expr: &Expr) -> Option<Target> {
    match expr {
        Expr::Cast(cast) => Target::of(cast.field.data_type()),
        _ => None,
    }
}

fn read_expr(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Some(target) = target_of(&expr) else { return Ok(Transformed::no(expr)) };
    let Expr::Cast(Cast { expr: inner, field }) = expr else { return Ok(Transformed::no(expr)) };
    let is_text = inner.get_type(schema).is_ok_and(|data_type| data_type.is_string());
    let function = FUNCTIONS.iter().find(|function| function.name() == target.function()).filter(|_| is_text);
    let Some(function) = function else { return Ok(Transformed::no(Expr::Cast(Cast { expr: inner, field }))) };
    let call = match named(&inner) {
        Some(moment) => return Ok(Transformed::yes(Expr::Cast(Cast { expr: Box::new(moment), field }))),
        None => function.call(vec![*inner]),
    };
    Ok(Transformed::yes(match *field.data_type() == target.arrow() {
        true => call,
        false => Expr::Cast(Cast { expr: Box::new(call), field }),
    }))
}

/// What a name of a moment stands for that is written in a statement: the statement's own time.
fn named(text: &Expr) -> Option<Expr> {
    let Expr::Literal(text, _) = text else { return None };
    let day = |days: i32| IntervalMonthDayNano::new(0, days, 0);
    let moved = |days| current_date().call(Vec::new()) + lit(ScalarValue::IntervalMonthDayNano(Some(day(days))));
    match text.try_as_str()??.trim().to_ascii_lowercase().as_str() {
        "now" => Some(now(&ConfigOptions::new()).call(Vec::new())),
        "today" => Some(current_date().call(Vec::new())),
        "tomorrow" => Some(moved(1)),
        "yesterday" => Some(moved(-1)),
        _ => None,
    }
}

/// One of the functions.
#[derive(Debug, PartialEq, Eq, Hash)]
struct TextCast {
    target: Target,
    signature: Signature,
}

impl TextCast {
    fn new(target: Target) -> Self {
        let texts = [DataType::Utf8View, DataType::Utf8, DataType::LargeUtf8];
        let forms = texts.map(|text| TypeSignature::Exact(vec![text])).to_vec();
        TextCast { target, signature: Signature::one_of(forms, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for TextCast {
    fn name(&self) -> &str {
        self.target.function()
    }

    fn display_name(&self, arguments: &[Expr]) -> Result<String> {
        let shown: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        Ok(format!("CAST({} AS {})", shown.join(", "), self.target.arrow()))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.target.arrow())
    }

    /// NULL where the text is NULL.
    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let zone = arguments.config_options.execution.time_zone.as_deref().unwrap_or("UTC");
        let reading = Reading::new(zone, None).map_err(carried)?;
        let read = |array: &ArrayRef| -> Result<ArrayRef> {
            let texts = arrow::compute::cast(array, &DataType::Utf8)?;
            self.target.read(texts.as_string::<i32>(), &reading).map_err(carried)
        };
        match arguments.args.first() {
            Some(ColumnarValue::Array(array)) => Ok(ColumnarValue::Array(read(array)?)),
            Some(ColumnarValue::Scalar(scalar)) => {
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&read(&scalar.to_array()?)?, 0)?))
            }
            None => Err(DataFusionError::Internal("a text is expected".to_string())),
        }
    }
}
