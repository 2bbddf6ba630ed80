//! Types of moments in microseconds, as years beyond 2262 do not fit nanoseconds; and their literals in ISO 8601, for
//! what reads them before casts become ours: arguments of table functions.

use super::scalar::clock;
use crate::datetime::{self, Reading};
use chrono::Datelike;
use sqlparser::ast::{DataType, Expr, TimezoneInfo, Value, ValueWithSpan};

/// Makes a cast, or a typed text, one of microseconds.
pub fn rewrite(expr: &mut Expr) {
    let (data_type, value) = match expr {
        Expr::Cast { data_type, expr: inner, .. } => match inner.as_mut() {
            Expr::Value(value) => (data_type, Some(value)),
            _ => (data_type, None),
        },
        Expr::TypedString(typed) => (&mut typed.data_type, Some(&mut typed.value)),
        _ => return,
    };
    let Some(zoned) = zone(data_type) else { return };
    *data_type = DataType::Timestamp(Some(6), if zoned { TimezoneInfo::WithTimeZone } else { TimezoneInfo::None });
    // What has a zone is placed in it when it is cast.
    if let Some(value) = value.filter(|_| !zoned) {
        plain(value);
    }
}

/// A text that is none is left to the cast, which says so.
fn plain(value: &mut ValueWithSpan) {
    let Value::SingleQuotedString(text) = &mut value.value else { return };
    let Ok(reading) = Reading::utc() else { return };
    let read = datetime::timestamp(text, &reading).ok().and_then(clock);
    if let Some(moment) = read.filter(|moment| (1..=9999).contains(&moment.year())) {
        *text = moment.format("%Y-%m-%d %H:%M:%S%.6f").to_string();
    }
}

/// Whether a type of moments has a zone; None for another type.
fn zone(data_type: &DataType) -> Option<bool> {
    match data_type {
        DataType::Timestamp(_, zone) => Some(matches!(zone, TimezoneInfo::Tz | TimezoneInfo::WithTimeZone)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write() {
        for (sql, expected) in [
            ("TIMESTAMP 'May 1 2013 10:00'", "TIMESTAMP(6) '2013-05-01 10:00:00.000000'"),
            ("'2013-05-01'::timestamptz", "'2013-05-01'::TIMESTAMP(6) WITH TIME ZONE"),
            ("'none'::timestamp(2)", "'none'::TIMESTAMP(6)"),
            ("a::timestamp", "a::TIMESTAMP(6)"),
            ("'now'::text", "'now'::TEXT"),
        ] {
            let mut expr = tidegate_parser::parse_expression(sql).unwrap();
            rewrite(&mut expr);
            assert_eq!(expr.to_string(), expected, "{sql}");
        }
    }
}
