//! Dates and times as people write them, made plain for the engine: `TIMESTAMP '2013-05-01 10:00'`, a date with a zone
//! behind it; and moments in microseconds, as years beyond 2262 do not fit nanoseconds.

use crate::formats::{date_of_text, moment_of_text};
use chrono::NaiveDate;
use sqlparser::ast::{DataType, Expr, TimezoneInfo, Value, ValueWithSpan};

/// Makes a cast of a text, or a typed text, plain.
pub fn rewrite(expr: &mut Expr) {
    match expr {
        Expr::Cast { data_type, expr: inner, .. } => {
            let Some(zoned) = zone(data_type) else {
                if matches!(data_type, DataType::Date)
                    && let Expr::Value(value) = inner.as_mut()
                {
                    plain_date(value);
                }
                return;
            };
            *data_type = micros(zoned);
            if let Expr::Value(value) = inner.as_mut() {
                plain_moment(value, zoned);
            }
        }
        Expr::TypedString(typed) => match zone(&typed.data_type) {
            Some(zoned) => {
                typed.data_type = micros(zoned);
                plain_moment(&mut typed.value, zoned);
            }
            None if matches!(typed.data_type, DataType::Date) => plain_date(&mut typed.value),
            None => {}
        },
        _ => {}
    }
}

/// Whether a type of moments has a zone; None for another type.
fn zone(data_type: &DataType) -> Option<bool> {
    match data_type {
        DataType::Timestamp(None, zone) => Some(matches!(zone, TimezoneInfo::Tz | TimezoneInfo::WithTimeZone)),
        _ => None,
    }
}

fn micros(zoned: bool) -> DataType {
    DataType::Timestamp(Some(6), if zoned { TimezoneInfo::WithTimeZone } else { TimezoneInfo::None })
}

fn text(value: &mut ValueWithSpan) -> Option<&mut String> {
    match &mut value.value {
        Value::SingleQuotedString(text) => Some(text),
        _ => None,
    }
}

/// A text that is none is left to the engine, which says so.
fn plain_moment(value: &mut ValueWithSpan, zoned: bool) {
    let Some(text) = text(value) else { return };
    // What has a zone is the engine's to place in it.
    let read = if zoned { None } else { moment_of_text(text, false).ok() };
    match read.and_then(super::scalar::clock) {
        Some(clock) if (0..=9999).contains(&chrono::Datelike::year(&clock)) => {
            *text = clock.format("%Y-%m-%d %H:%M:%S%.6f").to_string();
        }
        _ if zoned => spell_out_time(text),
        _ => {}
    }
}

/// `10:00` behind a date is `10:00:00`.
fn spell_out_time(text: &mut String) {
    let Some((date, time)) = text.trim().split_once([' ', 'T']) else { return };
    let end = time.find(|c: char| !c.is_ascii_digit() && c != ':').unwrap_or(time.len());
    let Some((clock, rest)) = time.split_at_checked(end) else { return };
    if clock.split(':').count() == 2 {
        *text = format!("{date} {clock}:00{rest}");
    }
}

fn plain_date(value: &mut ValueWithSpan) {
    let Some(text) = text(value) else { return };
    let days = date_of_text(text).ok();
    let date = days.and_then(|days| NaiveDate::from_num_days_from_ce_opt(days + 719_163));
    if let Some(date) = date.filter(|date| (0..=9999).contains(&chrono::Datelike::year(date))) {
        *text = date.format("%Y-%m-%d").to_string();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write() {
        for (sql, expected) in [
            ("TIMESTAMP '2013-05-01 10:00'", "TIMESTAMP(6) '2013-05-01 10:00:00.000000'"),
            ("'2013-05-01T10:00:00+02'::timestamp", "'2013-05-01 10:00:00.000000'::TIMESTAMP(6)"),
            ("'2013-05-01 10:00+02'::timestamptz", "'2013-05-01 10:00:00+02'::TIMESTAMP(6) WITH TIME ZONE"),
            ("DATE '2013-05-01 +00'", "DATE '2013-05-01'"),
            ("DATE '20130501'", "DATE '2013-05-01'"),
            ("'none'::timestamp", "'none'::TIMESTAMP(6)"),
            ("a::timestamp", "a::TIMESTAMP(6)"),
        ] {
            let mut expr = tidegate_parser::parse_expression(sql).unwrap();
            rewrite(&mut expr);
            assert_eq!(expr.to_string(), expected, "{sql}");
        }
    }
}
