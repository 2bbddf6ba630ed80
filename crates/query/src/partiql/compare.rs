//! The order of SUPER values: scalars of one sort by their values, others not at all; for ORDER BY all of them.

use super::json::{Sort, items, members, sort, string};
use super::number::Number;
use std::cmp::Ordering;

/// The order of two values as comparison operators see it. None where it is not defined: other sorts, arrays and
/// objects that are not equal, `null`.
pub fn compare(one: &str, two: &str) -> Option<Ordering> {
    match (sort(one), sort(two)) {
        (Sort::Boolean, Sort::Boolean) => Some(one.starts_with('t').cmp(&two.starts_with('t'))),
        (Sort::Number, Sort::Number) => Some(Number::read(one)?.compare(Number::read(two)?)),
        (Sort::String, Sort::String) => Some(string(one).as_ref().cmp(string(two).as_ref())),
        _ => None,
    }
}

/// Whether two values are equal. None where the question has no answer: other sorts, `null`.
pub fn equal(one: &str, two: &str) -> Option<bool> {
    match (sort(one), sort(two)) {
        (Sort::Array, Sort::Array) | (Sort::Object, Sort::Object) => Some(same(one, two)),
        _ => compare(one, two).map(Ordering::is_eq),
    }
}

/// Whether two values are one and the same, part by part; members in any order.
fn same(one: &str, two: &str) -> bool {
    if one == two {
        return true;
    }
    match (sort(one), sort(two)) {
        (Sort::Array, Sort::Array) => {
            items(one).count() == items(two).count() && items(one).zip(items(two)).all(|(one, two)| same(one, two))
        }
        (Sort::Object, Sort::Object) => {
            let found = |(key, value): (&str, &str)| {
                members(two).find(|(other, _)| *other == key).is_some_and(|(_, other)| same(value, other))
            };
            members(one).count() == members(two).count() && members(one).all(found)
        }
        _ => compare(one, two) == Some(Ordering::Equal),
    }
}

/// A text whose order is that of ORDER BY: booleans, numbers, strings, arrays, objects; `null` has none. Text, as windows
/// over a range take no bytes.
pub fn order_key(text: &str) -> Option<String> {
    let sort = sort(text);
    let mut key = (sort as u8).to_string();
    match sort {
        Sort::Null => return None,
        Sort::Boolean => key.push(if text.starts_with('t') { '1' } else { '0' }),
        Sort::Number => {
            let bits = Number::read(text)?.float().to_bits();
            // Of floats the bits are in order when those of negative ones are turned.
            let ordered = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
            key.push_str(&format!("{ordered:016x}"));
        }
        Sort::String => key.push_str(&string(text)),
        Sort::Array | Sort::Object => key.push_str(text),
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equality_is_of_one_sort() {
        let cases = [
            ("1", "1.0", Some(true)),
            ("1", "\"1\"", None),
            ("\"a\"", "\"a\"", Some(true)),
            ("null", "null", None),
            ("[1,2.0]", "[1.0,2]", Some(true)),
            ("[1]", "[2]", Some(false)),
            ("{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}", Some(true)),
            ("{\"a\":1}", "[1]", None),
            ("true", "false", Some(false)),
        ];
        for (one, two, expected) in cases {
            assert_eq!(equal(one, two), expected, "{one} {two}");
        }
    }

    #[test]
    fn keys_are_in_order() {
        let ordered = ["false", "true", "-10", "-9.5", "0", "9", "10", "1e9", "\"\"", "\"a\"", "\"b\"", "[1]", "{}"];
        let keys: Vec<_> = ordered.iter().map(|text| order_key(text).unwrap()).collect();
        assert!(keys.is_sorted(), "{keys:?}");
    }
}
