//! Which function of a name a call means, by the types of its arguments.

use arrow::datatypes::{DataType, Field};
use datafusion::common::ScalarValue;
use tidegate_catalog::{Function, SqlType};

/// An argument of a call: its type, and its value where it is a constant.
#[derive(Debug, Clone)]
pub struct Given {
    /// The type that it has.
    pub sql_type: Option<SqlType>,
    /// Its value, if it is written out.
    pub constant: Option<ScalarValue>,
}

impl Given {
    /// Of a field; of what is NULL without a type, any.
    pub fn of(field: &Field, constant: Option<&ScalarValue>) -> Given {
        let sql_type = (field.data_type() != &DataType::Null).then(|| SqlType::of_field(field));
        Given { sql_type, constant: constant.cloned() }
    }
}

/// How a choice ends.
#[derive(Debug, PartialEq, Eq)]
pub enum Choice {
    /// One fits best: its place.
    One(usize),
    /// None fits.
    None,
    /// Several fit as well.
    Several,
}

/// Chooses among functions of one name, as Postgres does: most exact matches, then most that widen.
pub fn choose<'a>(functions: impl Iterator<Item = &'a Function>, given: &[Given]) -> Choice {
    let mut best: (u32, Choice) = (0, Choice::None);
    for (place, function) in functions.enumerate() {
        let Some(rank) = rank(function, given) else { continue };
        best = match (&best.1, rank.cmp(&best.0)) {
            (Choice::None, _) | (_, std::cmp::Ordering::Greater) => (rank, Choice::One(place)),
            (_, std::cmp::Ordering::Equal) => (rank, Choice::Several),
            _ => best,
        };
    }
    best.1
}

fn rank(function: &Function, given: &[Given]) -> Option<u32> {
    if function.arguments.len() != given.len() {
        return None;
    }
    let ranks = function.arguments.iter().zip(given).map(|(wanted, given)| fits(&wanted.sql_type, given));
    ranks.sum::<Option<u32>>()
}

/// How well an argument fits: exactly, by widening, or only as what has no type yet. None: not at all.
fn fits(wanted: &SqlType, given: &Given) -> Option<u32> {
    const EXACT: u32 = 100;
    const WIDER: u32 = 10;
    const UNKNOWN: u32 = 1;
    let Some(own) = &given.sql_type else { return Some(UNKNOWN) };
    let written = given.constant.as_ref().and_then(written_as);
    let own = written.as_ref().unwrap_or(own);
    if family(own) == family(wanted) {
        return Some(EXACT);
    }
    if let (Some(own), Some(wanted)) = (width(own), width(wanted)) {
        // The nearest of the wider ones is best.
        return (own < wanted).then(|| WIDER + 6 - (wanted - own));
    }
    match (own, wanted) {
        (SqlType::Date, SqlType::Timestamp | SqlType::Timestamptz) => Some(WIDER),
        (SqlType::Timestamp, SqlType::Timestamptz) => Some(WIDER),
        (_, SqlType::Super) => Some(UNKNOWN),
        // A text in quotes is whatever it reads as.
        (SqlType::Text, _) if given.constant.is_some() => Some(UNKNOWN),
        _ => None,
    }
}

/// The type that a constant has in Postgres: a whole number is an integer where it fits.
fn written_as(constant: &ScalarValue) -> Option<SqlType> {
    match constant {
        ScalarValue::Int64(Some(number)) if i32::try_from(*number).is_ok() => Some(SqlType::Int4),
        _ => None,
    }
}

fn family(sql_type: &SqlType) -> SqlType {
    match sql_type {
        SqlType::Varchar(_) | SqlType::Char(_) => SqlType::Text,
        SqlType::Numeric(..) => SqlType::Numeric(38, 0),
        other => other.clone(),
    }
}

/// The place of a type of numbers among them, from narrow to wide.
fn width(sql_type: &SqlType) -> Option<u32> {
    Some(match sql_type {
        SqlType::Int2 => 0,
        SqlType::Int4 => 1,
        SqlType::Int8 => 2,
        SqlType::Numeric(..) => 3,
        SqlType::Float4 => 4,
        SqlType::Float8 => 5,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_catalog::{Argument, Volatility};

    fn function(types: &[SqlType]) -> Function {
        let arguments: Vec<_> =
            types.iter().map(|sql_type| Argument { name: None, sql_type: sql_type.clone() }).collect();
        Function {
            oid: 1,
            schema: 1,
            name: Function::signature("f", &arguments),
            revision: 1,
            owner: 1,
            created_ms: 0,
            called: "f".into(),
            arguments,
            returns: SqlType::Int4,
            volatility: Volatility::Volatile,
            body: String::new(),
            search_path: Vec::new(),
        }
    }

    #[test]
    fn the_nearest_function_is_chosen() {
        let typed = |sql_type: SqlType| Given { sql_type: Some(sql_type), constant: None };
        let one = Given { sql_type: Some(SqlType::Int8), constant: Some(ScalarValue::Int64(Some(1))) };
        let text = Given { sql_type: Some(SqlType::Text), constant: Some(ScalarValue::from("x")) };
        let null = Given { sql_type: None, constant: None };
        let numbers =
            [vec![SqlType::Int4], vec![SqlType::Float8], vec![SqlType::Varchar(5)]].map(|types| function(&types));
        let dates = [vec![SqlType::Date], vec![SqlType::Timestamp]].map(|types| function(&types));
        let cases = [
            (&numbers[..], vec![one.clone()], Choice::One(0)),
            (&numbers[..], vec![typed(SqlType::Int2)], Choice::One(0)),
            (&numbers[..], vec![typed(SqlType::Int8)], Choice::One(1)),
            (&numbers[..], vec![typed(SqlType::Text)], Choice::One(2)),
            (&numbers[..], vec![text.clone()], Choice::One(2)),
            (&numbers[..], vec![null.clone()], Choice::Several),
            (&numbers[..], vec![typed(SqlType::Date)], Choice::None),
            (&numbers[..], vec![], Choice::None),
            (&dates[..], vec![text], Choice::Several),
            (&dates[1..], vec![typed(SqlType::Date)], Choice::One(0)),
            (&dates[..1], vec![typed(SqlType::Text)], Choice::None),
        ];
        for (functions, given, expected) in cases {
            assert_eq!(choose(functions.iter(), &given), expected, "{given:?}");
        }
    }
}
