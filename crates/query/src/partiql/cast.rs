//! SUPER values as values of SQL types, and SQL values as SUPER.
//!
//! `super_cast(value, NULL::type)` casts as `value::type` does: a number to any type of numbers, rounded, and a string to
//! any type that reads it. `super_typed` is stricter, for comparisons: only a value of the type's own sort has one.

use super::compare::compare;
use super::convert;
use super::function::{Arguments, Gives, Rule, Supers};
use super::json::{Sort, sort, string};
use super::number::Number;
use arrow::array::{Array, ArrayRef, BooleanArray, Decimal128Array, Float64Array, StringViewArray};
use arrow::compute::{CastOptions, can_cast_types, cast_with_options, nullif};
use arrow::datatypes::DataType;
use std::cmp::Ordering;
use std::sync::Arc;
use tidegate_catalog::SqlType;
use tidegate_core::{Error, Kind, Result};

/// Digits of an exact number, and how many of them stand behind its point, that whole numbers are rounded from.
const EXACT: (u8, i8) = (38, 6);

/// All of them.
pub const RULES: &[Rule] = &[
    Rule { name: "to_super", takes: (1, 1), supers: Supers::None, gives: Gives::Super, run: to_super },
    Rule { name: "super_cast", takes: (3, 3), supers: Supers::First, gives: Gives::Asked, run: super_cast },
    Rule { name: "super_typed", takes: (2, 2), supers: Supers::First, gives: Gives::Asked, run: super_typed },
];

fn to_super(given: &Arguments) -> Result<ArrayRef> {
    let array = given.arrays.first().ok_or_else(|| Error::internal("an argument is missing"))?;
    Ok(Arc::new(convert::to_super(array)?))
}

/// A cast; the third argument says whether what cannot be cast is NULL (`cast_super_null_on_error`).
fn super_cast(given: &Arguments) -> Result<ArrayRef> {
    let (values, lenient) = (given.texts(0)?, given.flag(2));
    let cast = cast(&values, &given.gives)?;
    if !lenient {
        let lost =
            (0..values.len()).find(|row| values.is_valid(*row) && values.value(*row) != "null" && cast.is_null(*row));
        if let Some(row) = lost {
            let shown: String = values.value(row).chars().take(100).collect();
            let message = format!("the SUPER value {shown} cannot be cast to {}", SqlType::of_arrow(&given.gives));
            return Err(Error::new(Kind::InvalidText, message).hint("With cast_super_null_on_error it is NULL."));
        }
    }
    Ok(cast)
}

fn super_typed(given: &Arguments) -> Result<ArrayRef> {
    let values = given.texts(0)?;
    let wanted = match &given.gives {
        DataType::Boolean => Sort::Boolean,
        numbers if numbers.is_numeric() => Sort::Number,
        _ => Sort::String,
    };
    let own: StringViewArray = values.iter().map(|text| text.filter(|text| sort(text) == wanted)).collect();
    let made = cast(&own, &given.gives)?;
    if wanted != Sort::Number {
        return Ok(made);
    }
    // What was rounded is another number.
    let back = convert::to_super(&made)?;
    let other = own.iter().zip(back.iter()).map(|(own, back)| Some(compare(own?, back?) != Some(Ordering::Equal)));
    nullif(&made, &other.collect::<BooleanArray>()).map_err(Error::internal)
}

/// Casts each value; what has none of the type is NULL.
fn cast(values: &StringViewArray, to: &DataType) -> Result<ArrayRef> {
    let scalars = || values.iter().map(|text| text.filter(|text| sort(text) < Sort::Array && *text != "null"));
    let numbers = || scalars().map(|text| Number::read(&string(text?)));
    let made: ArrayRef = match to {
        DataType::Boolean => Arc::new(scalars().map(|text| truth(&string(text?))).collect::<BooleanArray>()),
        DataType::Float32 | DataType::Float64 => {
            Arc::new(numbers().map(|one| Some(one?.float())).collect::<Float64Array>())
        }
        DataType::Decimal128(_, scale) => exact(numbers(), (38, (*scale).clamp(0, 38)))?,
        whole if whole.is_integer() => exact(numbers(), EXACT)?,
        _ => Arc::new(scalars().map(|text| text.map(string)).collect::<StringViewArray>()),
    };
    if !can_cast_types(made.data_type(), to) {
        let message = format!("SUPER cannot be cast to {}", SqlType::of_arrow(to));
        return Err(Error::new(Kind::Unsupported, message));
    }
    let lenient = CastOptions { safe: true, ..CastOptions::default() };
    cast_with_options(&rounded(made, to)?, to, &lenient).map_err(Error::internal)
}

fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "1" | "yes" | "on" => Some(true),
        "false" | "f" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// Numbers as digits of one scale, rounded half away from zero; what does not fit is NULL.
fn exact(numbers: impl Iterator<Item = Option<Number>>, (precision, scale): (u8, i8)) -> Result<ArrayRef> {
    let wanted = u32::try_from(scale).unwrap_or(0);
    let digits = |number: Number| match number {
        Number::Whole(whole) => i128::from(whole).checked_mul(10i128.checked_pow(wanted)?),
        Number::Exact(digits, own) if own <= wanted => digits.checked_mul(10i128.checked_pow(wanted - own)?),
        Number::Exact(digits, own) => divided(digits, 10i128.checked_pow(own - wanted)?),
        Number::Float(float) => {
            let digits = (float * 10f64.powi(i32::from(scale))).round();
            (digits.abs() < 1e38).then_some(digits as i128)
        }
    };
    let array: Decimal128Array = numbers.map(|number| number.and_then(digits)).collect();
    // What has more digits than the precision is NULL.
    let array = array.unary_opt::<_, arrow::datatypes::Decimal128Type>(|digits| {
        (digits.unsigned_abs() < 10u128.pow(38)).then_some(digits)
    });
    Ok(Arc::new(array.with_precision_and_scale(precision, scale).map_err(Error::internal)?))
}

fn divided(digits: i128, by: i128) -> Option<i128> {
    let half = by / 2;
    let shifted = if digits < 0 { digits.checked_sub(half)? } else { digits.checked_add(half)? };
    shifted.checked_div(by)
}

/// For whole numbers: without what stands behind the point, rounded.
fn rounded(made: ArrayRef, to: &DataType) -> Result<ArrayRef> {
    if !to.is_integer() {
        return Ok(made);
    }
    let lenient = CastOptions { safe: true, ..CastOptions::default() };
    cast_with_options(&made, &DataType::Decimal128(38, 0), &lenient).map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::util::display::array_value_to_string;

    #[test]
    fn values_are_cast_or_null() {
        let int = DataType::Int32;
        let numeric = DataType::Decimal128(10, 2);
        let cases = [
            ("1", &int, "1"),
            ("1.5", &int, "2"),
            ("-1.5", &int, "-2"),
            ("\"7\"", &int, "7"),
            ("3000000000", &int, ""),
            ("\"x\"", &int, ""),
            ("[1]", &int, ""),
            ("null", &int, ""),
            ("1e2", &int, "100"),
            ("1.005", &numeric, "1.01"),
            ("\"2.5\"", &numeric, "2.50"),
            ("123456789012", &numeric, ""),
            ("1e300", &numeric, ""),
            ("true", &DataType::Boolean, "true"),
            ("\"no\"", &DataType::Boolean, "false"),
            ("\"a\\\"b\"", &DataType::Utf8View, "a\"b"),
            ("12.50", &DataType::Utf8View, "12.50"),
            ("{\"a\":1}", &DataType::Utf8View, ""),
            ("\"2013-01-02\"", &DataType::Date32, "2013-01-02"),
            ("1.25", &DataType::Float64, "1.25"),
        ];
        for (text, to, expected) in cases {
            let made = cast(&StringViewArray::from(vec![text]), to).unwrap();
            assert_eq!(array_value_to_string(&made, 0).unwrap(), expected, "{text} as {to}");
        }
    }
}
