//! Casts between names, object ids and texts, and to types that only the catalogs use.

use super::build;
use super::calls::take;
use crate::datetime;
use sqlparser::ast::{ArrayElemTypeDef, BinaryOperator, DataType, Expr, Interval, ObjectName, Value, ValueWithSpan};

/// The interval that a literal is, in the engine's words. What is none becomes a cast, which says so.
fn interval(literal: &Interval) -> Option<Expr> {
    let Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) = literal.value.as_ref() else {
        return None;
    };
    let last = literal.last_field.as_ref().or(literal.leading_field.as_ref());
    let Ok(read) = datetime::interval_of_fields(text, last.map(ToString::to_string).as_deref()) else {
        return tidegate_parser::parse_expression(&format!("CAST({} AS INTERVAL)", literal.value)).ok();
    };
    let words = format!("{} months {} days {} nanoseconds", read.months, read.days, read.nanoseconds);
    let value = Box::new(Expr::Value(Value::SingleQuotedString(words).into()));
    let (leading_field, last_field) = (None, None);
    Some(Expr::Interval(Interval { value, leading_field, last_field, ..literal.clone() }))
}

/// The digits of a text in bytea's hex format.
fn hex_of(expr: &Expr) -> Option<String> {
    let Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) = expr else { return None };
    let digits = text.strip_prefix("\\x").filter(|digits| digits.len() % 2 == 0)?;
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| digits.to_string())
}

/// Rewrites one expression, its parts being done.
pub fn expression(expr: &mut Expr) {
    match expr {
        Expr::Cast { expr: inner, data_type, .. } => {
            if let Some(kind) = reg_kind(data_type) {
                *expr = looked_up(take(inner), kind);
                return;
            }
            if is_super(data_type) {
                *expr = build::call("to_super", vec![take(inner)]);
                return;
            }
            if let Some(plain) = plain_type(data_type) {
                *data_type = plain;
            }
            if matches!(data_type, DataType::Bytea)
                && let Some(hex) = hex_of(inner)
            {
                **inner = Expr::Value(Value::HexStringLiteral(hex).into());
            } else if is_text(data_type) && is_reg(inner) {
                **inner = shown(take(inner));
            } else if is_array(data_type)
                && let Some(items) = quoted_array(inner)
            {
                **inner = build::array(items);
            }
        }
        Expr::Interval(literal) => {
            if let Some(read) = interval(literal) {
                *expr = read;
            }
        }
        Expr::BinaryOp { left, op: BinaryOperator::StringConcat, right } => {
            for side in [left, right] {
                if is_reg(side) {
                    **side = shown(take(side));
                }
            }
        }
        Expr::AnyOp { right, .. } | Expr::AllOp { right, .. } => {
            if let Some(items) = quoted_array(right) {
                **right = build::array(items);
            }
        }
        _ => {}
    }
}

/// Which `reg…` type it is, as our functions are named.
fn reg_kind(data_type: &DataType) -> Option<&'static str> {
    let name = match data_type {
        DataType::Regclass => "regclass".to_string(),
        DataType::Custom(name, _) => catalog_name(name)?,
        _ => return None,
    };
    Some(match name.as_str() {
        "regclass" => "regclass",
        "regtype" => "regtype",
        "regproc" | "regprocedure" => "regproc",
        "regnamespace" => "regnamespace",
        "regrole" => "regrole",
        "regoper" | "regoperator" | "regcollation" | "regconfig" | "regdictionary" => "regother",
        _ => return None,
    })
}

/// A type's name, when it is bare or of `pg_catalog`.
fn catalog_name(name: &ObjectName) -> Option<String> {
    let parts: Vec<_> = name.0.iter().filter_map(|part| part.as_ident()).collect();
    match parts.as_slice() {
        [name] => Some(name.value.to_lowercase()),
        [schema, name] if schema.value.eq_ignore_ascii_case("pg_catalog") => Some(name.value.to_lowercase()),
        _ => None,
    }
}

/// What the engine has for a type that it does not know by this name.
fn plain_type(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::Custom(name, modifiers) => custom_type(name, modifiers),
        DataType::Array(ArrayElemTypeDef::SquareBracket(item, size)) => {
            let item = plain_type(item)?;
            Some(DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(item), *size)))
        }
        _ => None,
    }
}

fn custom_type(name: &ObjectName, modifiers: &[String]) -> Option<DataType> {
    let qualified = name.0.len() == 2;
    if qualified && name.0.first()?.as_ident()?.value.eq_ignore_ascii_case("information_schema") {
        let domain = name.0.last()?.as_ident()?.value.to_lowercase();
        return Some(if domain == "cardinal_number" { DataType::Integer(None) } else { DataType::Text });
    }
    let quoted = name.0.last()?.as_ident()?.quote_style.is_some();
    Some(match catalog_name(name)?.as_str() {
        "oid" | "xid" | "xid8" | "cid" => DataType::BigInt(None),
        "name" | "aclitem" | "pg_node_tree" | "cstring" => DataType::Text,
        "char" if quoted || qualified => DataType::Text,
        "int2vector" => build::sql_type("int2vector"),
        "oidvector" => build::sql_type("oidvector"),
        _ if !qualified => return None,
        "text" => DataType::Text,
        "varchar" | "bpchar" => DataType::Varchar(length(modifiers)),
        "bool" => DataType::Boolean,
        "int2" => DataType::SmallInt(None),
        "int4" => DataType::Integer(None),
        "int8" => DataType::BigInt(None),
        "float4" => DataType::Real,
        "float8" => DataType::DoublePrecision,
        "bytea" => DataType::Bytea,
        "date" => DataType::Date,
        "numeric" => DataType::Numeric(sqlparser::ast::ExactNumberInfo::None),
        "timestamp" => DataType::Timestamp(None, sqlparser::ast::TimezoneInfo::None),
        "timestamptz" => DataType::Timestamp(None, sqlparser::ast::TimezoneInfo::Tz),
        other => DataType::Custom(ObjectName::from(vec![super::calls::ident(other)]), modifiers.to_vec()),
    })
}

fn length(modifiers: &[String]) -> Option<sqlparser::ast::CharacterLength> {
    let length = modifiers.first()?.parse().ok()?;
    Some(sqlparser::ast::CharacterLength::IntegerLength { length, unit: None })
}

fn is_super(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Custom(name, _) if catalog_name(name).as_deref() == Some("super"))
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Text | DataType::Varchar(_) | DataType::CharacterVarying(_))
}

fn is_array(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Array(_))
}

/// `'t'::regclass` looks a name up; of a number it is the number.
fn looked_up(operand: Expr, kind: &str) -> Expr {
    let operand = match build::bare(&operand) {
        // A parameter has no type of its own.
        Expr::Value(ValueWithSpan { value: Value::Placeholder(_), .. }) => build::cast(operand, DataType::Text),
        _ => operand,
    };
    build::call(&format!("{kind}_in"), vec![operand])
}

/// Whether an expression's value is of a `reg…` type.
pub fn is_reg(expr: &Expr) -> bool {
    reg_of(expr).is_some()
}

/// The `reg…` type of an expression, as it is written.
pub fn reg_of(expr: &Expr) -> Option<&'static str> {
    let Expr::Function(function) = build::bare(expr) else { return None };
    Some(match build::function_name(function).as_str() {
        "regclass_in" | "to_regclass" => "regclass",
        "regtype_in" | "to_regtype" | "pg_typeof_oid" => "regtype",
        "regproc_in" | "to_regproc" | "to_regprocedure" => "regproc",
        "regnamespace_in" | "to_regnamespace" => "regnamespace",
        "regrole_in" | "to_regrole" => "regrole",
        "regother_in" => "regother",
        _ => return None,
    })
}

/// The text of such a value.
pub fn shown(expr: Expr) -> Expr {
    match reg_of(&expr) {
        Some(kind) => build::call(&format!("{kind}_out"), vec![expr]),
        None => expr,
    }
}

/// The items of `'{a,b}'`. NULL is one without quotes.
fn quoted_array(expr: &Expr) -> Option<Vec<Expr>> {
    let Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) = build::bare(expr) else {
        return None;
    };
    let inside = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    if inside.contains(['{', '}']) {
        return None;
    }
    let mut items = Vec::new();
    let mut rest = inside.trim();
    while !rest.is_empty() {
        let (item, after) = item(rest)?;
        items.push(item);
        rest = after.trim_start();
        rest = match rest.strip_prefix(',') {
            Some(more) if !more.trim().is_empty() => more.trim_start(),
            None if rest.is_empty() => rest,
            _ => return None,
        };
    }
    Some(items)
}

fn item(text: &str) -> Option<(Expr, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(',').unwrap_or(text.len());
        let (item, after) = text.split_at_checked(end)?;
        let item = item.trim();
        let null = item.eq_ignore_ascii_case("null");
        return Some((if null { build::value(Value::Null) } else { build::text(item) }, after));
    };
    let mut item = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((build::text(&item), quoted.get(at + 1..)?)),
            '\\' => item.push(chars.next()?.1),
            c => item.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_spelled_out() {
        let cases = [
            ("INTERVAL '1 day 02:03:04'", "INTERVAL '0 months 1 days 7384000000000 nanoseconds'"),
            ("INTERVAL '1-2' YEAR TO MONTH", "INTERVAL '14 months 0 days 0 nanoseconds'"),
            ("INTERVAL '1.5' HOUR", "INTERVAL '0 months 0 days 3600000000000 nanoseconds'"),
            ("INTERVAL 'soon'", "CAST('soon' AS INTERVAL)"),
        ];
        for (sql, expected) in cases {
            let mut expr = tidegate_parser::parse_expression(sql).unwrap();
            expression(&mut expr);
            assert_eq!(expr.to_string(), expected, "{sql}");
        }
    }

    #[test]
    fn arrays_in_quotes() {
        let cases = [
            ("{}", Some("ARRAY[]")),
            ("{a, b}", Some("ARRAY['a', 'b']")),
            ("{\"a,b\",NULL,\"c\\\"d\"}", Some("ARRAY['a,b', NULL, 'c\"d']")),
            ("{1,2}", Some("ARRAY['1', '2']")),
            ("{a,}", None),
            ("{{1},{2}}", None),
            ("a", None),
        ];
        for (text, expected) in cases {
            let made = quoted_array(&build::text(text)).map(|items| build::array(items).to_string());
            assert_eq!(made.as_deref(), expected, "{text}");
        }
    }
}
