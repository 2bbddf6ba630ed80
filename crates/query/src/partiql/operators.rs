//! What the operators on SUPER values become: navigation, comparison, arithmetic, order.

use super::compare::{compare, equal, order_key};
use super::function::{Arguments, Gives, Rule, Supers, each_text, text_column};
use super::json::{Sort, item, member, sort};
use super::number::{Arithmetic, Number};
use arrow::array::{Array, ArrayRef, BooleanArray, StringViewArray};
use std::cmp::Ordering;
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};

/// All of them.
pub const RULES: &[Rule] = &[
    Rule {
        name: "super_get",
        takes: (2, 2),
        supers: Supers::First,
        gives: Gives::Super,
        run: |given| navigated(given, false),
    },
    Rule {
        name: "super_get_strict",
        takes: (2, 2),
        supers: Supers::First,
        gives: Gives::Super,
        run: |given| navigated(given, true),
    },
    Rule { name: "super_is_null", takes: (1, 1), supers: Supers::First, gives: Gives::Boolean, run: is_null },
    Rule { name: "super_order", takes: (1, 1), supers: Supers::First, gives: Gives::Text, run: order },
    Rule {
        name: "super_eq",
        takes: (2, 2),
        supers: Supers::All,
        gives: Gives::Boolean,
        run: |given| compared(given, equal),
    },
    Rule {
        name: "super_ne",
        takes: (2, 2),
        supers: Supers::All,
        gives: Gives::Boolean,
        run: |given| compared(given, |one, two| equal(one, two).map(|is| !is)),
    },
    Rule {
        name: "super_lt",
        takes: (2, 2),
        supers: Supers::All,
        gives: Gives::Boolean,
        run: |given| ordered(given, Ordering::is_lt),
    },
    Rule {
        name: "super_le",
        takes: (2, 2),
        supers: Supers::All,
        gives: Gives::Boolean,
        run: |given| ordered(given, Ordering::is_le),
    },
    Rule {
        name: "super_gt",
        takes: (2, 2),
        supers: Supers::All,
        gives: Gives::Boolean,
        run: |given| ordered(given, Ordering::is_gt),
    },
    Rule {
        name: "super_ge",
        takes: (2, 2),
        supers: Supers::All,
        gives: Gives::Boolean,
        run: |given| ordered(given, Ordering::is_ge),
    },
    Rule {
        name: "super_add",
        takes: (2, 2),
        supers: Supers::All,
        gives: Gives::Super,
        run: |given| calculated(given, Arithmetic::Add),
    },
    Rule {
        name: "super_subtract",
        takes: (2, 2),
        supers: Supers::All,
        gives: Gives::Super,
        run: |given| calculated(given, Arithmetic::Subtract),
    },
    Rule {
        name: "super_multiply",
        takes: (2, 2),
        supers: Supers::All,
        gives: Gives::Super,
        run: |given| calculated(given, Arithmetic::Multiply),
    },
    Rule {
        name: "super_divide",
        takes: (2, 2),
        supers: Supers::All,
        gives: Gives::Super,
        run: |given| calculated(given, Arithmetic::Divide),
    },
    Rule {
        name: "super_modulo",
        takes: (2, 2),
        supers: Supers::All,
        gives: Gives::Super,
        run: |given| calculated(given, Arithmetic::Modulo),
    },
];

/// `value.name` or `value[place]`. What is not there is NULL, or with `strict` 22P02 where the value is of the wrong sort.
fn navigated(given: &Arguments, strict: bool) -> Result<ArrayRef> {
    let values = given.texts(0)?;
    let by_name = given.arrays.get(1).is_some_and(|keys| keys.data_type().is_string());
    let wanted = if by_name { Sort::Object } else { Sort::Array };
    let check = |text: &str| match strict && !matches!(sort(text), Sort::Null) && sort(text) != wanted {
        true => {
            let message = format!("a SUPER value is no {}", if by_name { "object" } else { "array" });
            Err(Error::new(Kind::InvalidText, message)
                .hint("With navigate_super_null_on_error what is not there is NULL."))
        }
        false => Ok(()),
    };
    if by_name {
        let keys = given.texts(1)?;
        let found = |row: usize| match (values.is_valid(row), keys.is_valid(row)) {
            (true, true) => check(values.value(row)).map(|()| member(values.value(row), keys.value(row))),
            _ => Ok(None),
        };
        return text_column((0..given.rows).map(found));
    }
    let places = given.whole(1)?;
    let found = |row: usize| match (values.is_valid(row), places.is_valid(row)) {
        (true, true) => check(values.value(row)).map(|()| item(values.value(row), places.value(row))),
        _ => Ok(None),
    };
    text_column((0..given.rows).map(found))
}

/// SQL's IS NULL: of `null` too.
fn is_null(given: &Arguments) -> Result<ArrayRef> {
    let is = |text: Option<&str>| Some(text.is_none_or(|text| sort(text) == Sort::Null));
    Ok(Arc::new(given.texts(0)?.iter().map(is).collect::<BooleanArray>()))
}

fn order(given: &Arguments) -> Result<ArrayRef> {
    text_column(each_text(&given.texts(0)?, |text| Ok(order_key(text))))
}

fn compared(given: &Arguments, test: impl Fn(&str, &str) -> Option<bool>) -> Result<ArrayRef> {
    let (ones, twos) = (given.texts(0)?, given.texts(1)?);
    let pairs = ones.iter().zip(twos.iter());
    Ok(Arc::new(pairs.map(|(one, two)| test(one?, two?)).collect::<BooleanArray>()))
}

fn ordered(given: &Arguments, test: fn(Ordering) -> bool) -> Result<ArrayRef> {
    compared(given, |one, two| compare(one, two).map(test))
}

/// Arithmetic on numbers; of other values there is none, and the result is NULL.
fn calculated(given: &Arguments, op: Arithmetic) -> Result<ArrayRef> {
    let (ones, twos): (StringViewArray, StringViewArray) = (given.texts(0)?, given.texts(1)?);
    let number = |text: Option<&str>| text.filter(|text| sort(text) == Sort::Number).and_then(Number::read);
    let row = |(one, two): (Option<&str>, Option<&str>)| match (number(one), number(two)) {
        (Some(one), Some(two)) => one.calculate(op, two).map(Number::text),
        _ => Ok(None),
    };
    let pairs: Vec<_> = ones.iter().zip(twos.iter()).map(row).collect();
    text_column(pairs.into_iter())
}
