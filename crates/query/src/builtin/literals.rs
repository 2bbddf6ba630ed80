//! Types of moments in microseconds, as years beyond 2262 do not fit nanoseconds.

use sqlparser::ast::{DataType, Expr, TimezoneInfo};

/// Makes a cast, or a typed text, one of microseconds.
pub fn rewrite(expr: &mut Expr) {
    let data_type = match expr {
        Expr::Cast { data_type, .. } => data_type,
        Expr::TypedString(typed) => &mut typed.data_type,
        _ => return,
    };
    if let Some(zoned) = zone(data_type) {
        *data_type = DataType::Timestamp(Some(6), if zoned { TimezoneInfo::WithTimeZone } else { TimezoneInfo::None });
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
            ("TIMESTAMP '2013-05-01 10:00'", "TIMESTAMP(6) '2013-05-01 10:00'"),
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
