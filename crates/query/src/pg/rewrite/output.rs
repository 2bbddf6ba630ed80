//! Names of columns as Postgres gives them, and `reg…` values as texts where they are shown.

use super::super::functions;
use super::{build, casts};
use sqlparser::ast::{AccessExpr, ArrayElemTypeDef, DataType, Expr, Ident, SelectItem, SetExpr, TimezoneInfo};
use tidegate_parser::fold;

/// What Postgres calls a column that it has no name for.
const NAMELESS: &str = "?column?";

/// The outermost items of a statement: `reg…` values as texts, and our functions under Postgres' names.
pub fn show(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => {
            let others = select.projection.iter().filter(|item| !is_ours(item));
            let mut taken: Vec<String> = others.map(item_name).collect();
            for item in select.projection.iter_mut().filter(|item| is_ours(item)) {
                show_item(item, &mut taken);
            }
        }
        SetExpr::SetOperation { left, right, .. } => {
            show(left);
            show(right);
        }
        _ => {}
    }
}

/// Stands in a name before what tells it from another of the same name; cut off where names are shown.
pub const TWIN: char = '\u{1}';

/// Gives expressions without a name the one that Postgres gives them, at any depth: `count`, `?column?`. The engine
/// refuses two columns of one name, so the second, even if the user named it, gets a mark that [`plain_name`] takes away.
pub fn name_items(body: &mut SetExpr) {
    match body {
        SetExpr::Select(select) => {
            let mut taken: Vec<String> = Vec::new();
            for item in &mut select.projection {
                type_number(item);
                let column = matches!(build::item_expr(item), Some(Expr::Identifier(_) | Expr::CompoundIdentifier(_)));
                let own = item_name(item);
                let twin = taken.contains(&own);
                let name = if twin { format!("{own}{TWIN}{}", taken.len()) } else { own.clone() };
                let alias = Ident::with_quote('"', name);
                match item {
                    SelectItem::UnnamedExpr(expr) if twin || !column => {
                        *item = SelectItem::ExprWithAlias { expr: super::calls::take(expr), alias };
                    }
                    SelectItem::ExprWithAlias { alias: given, .. } if twin => *given = alias,
                    _ => {}
                }
                taken.push(own);
            }
        }
        SetExpr::SetOperation { left, .. } => name_items(left),
        _ => {}
    }
}

/// A whole number that stands alone is an `integer` in Postgres where it fits; the engine's are all `bigint`.
fn type_number(item: &mut SelectItem) {
    let own = item_name(item);
    let Some(Expr::Value(value)) = build::item_expr(item) else { return };
    let sqlparser::ast::Value::Number(digits, _) = &value.value else { return };
    if digits.parse::<i32>().is_err() {
        return;
    }
    let unnamed = matches!(item, SelectItem::UnnamedExpr(_));
    if let Some(expr) = build::item_expr_mut(item) {
        let number = super::calls::take(expr);
        *expr = build::cast(number, DataType::Int(None));
    }
    if unnamed && let Some(expr) = build::item_expr_mut(item) {
        let expr = super::calls::take(expr);
        *item = SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', own) };
    }
}

/// A column's name as it is shown.
pub fn plain_name(name: &str) -> &str {
    name.split(TWIN).next().unwrap_or(name)
}

/// Whether an item is a call of ours.
fn is_ours(item: &SelectItem) -> bool {
    match build::item_expr(item).map(build::bare) {
        Some(Expr::Function(function)) => functions::is_known(&build::function_name(function)),
        _ => false,
    }
}

/// The engine refuses two columns of one name; the second gets a number.
fn show_item(item: &mut SelectItem, taken: &mut Vec<String>) {
    let named = matches!(item, SelectItem::ExprWithAlias { .. });
    let mut name = item_name(item);
    let Some(expr) = build::item_expr_mut(item) else { return };
    let shown = casts::shown(super::calls::take(expr));
    if named {
        *expr = shown;
        return;
    }
    if taken.contains(&name) {
        name = fresh(&name, taken);
    }
    taken.push(name.clone());
    *item = SelectItem::ExprWithAlias { expr: shown, alias: Ident::with_quote('"', name) };
}

/// The names of the columns that items make; nothing where there is a wildcard.
pub fn names(items: &[SelectItem]) -> Option<Vec<String>> {
    let wild = |item: &SelectItem| matches!(item, SelectItem::QualifiedWildcard(..) | SelectItem::Wildcard(_));
    (!items.iter().any(wild)).then(|| items.iter().map(item_name).collect())
}

/// The name of an item's column.
pub fn item_name(item: &SelectItem) -> String {
    match item {
        SelectItem::UnnamedExpr(expr) => name(expr).unwrap_or_else(|| NAMELESS.to_string()),
        SelectItem::ExprWithAlias { alias, .. } => fold(alias),
        _ => NAMELESS.to_string(),
    }
}

/// A name like this one that is not taken yet.
pub fn fresh(name: &str, taken: &[String]) -> String {
    let numbered = (1..).map(|number| format!("{name}_{number}"));
    numbered.into_iter().find(|name| !taken.contains(name)).unwrap_or_else(|| name.to_string())
}

/// The name that Postgres takes from an expression.
fn name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Nested(inner) => name(inner),
        Expr::Identifier(ident) => Some(fold(ident)),
        Expr::CompoundIdentifier(parts) => parts.last().map(fold),
        Expr::CompoundFieldAccess { root, access_chain } => {
            let last = access_chain.iter().rev().find_map(|step| match step {
                AccessExpr::Dot(Expr::Identifier(name)) => Some(fold(name)),
                AccessExpr::Dot(Expr::Value(name)) => name.value.clone().into_string(),
                _ => None,
            });
            last.or_else(|| name(root))
        }
        Expr::Function(function) => {
            let arguments = build::arguments(function);
            if let ("to_super", Some([operand])) = (build::function_name(function).as_str(), arguments.as_deref()) {
                return Some(name(operand).unwrap_or_else(|| "super".to_string()));
            }
            match (casts::reg_of(expr), arguments.as_deref()) {
                // The name of a cast is its operand's, or else the type's.
                (Some(kind), Some([operand])) => Some(name(operand).unwrap_or_else(|| kind.to_string())),
                _ => Some(build::function_name(function)),
            }
        }
        Expr::Cast { expr, data_type, .. } => match name(expr) {
            Some(name) => Some(name),
            None => type_name(data_type),
        },
        Expr::TypedString(typed) => type_name(&typed.data_type),
        Expr::Interval(_) => Some("interval".to_string()),
        Expr::AtTimeZone { .. } => Some("timezone".to_string()),
        Expr::Extract { .. } => Some("extract".to_string()),
        Expr::Case { .. } => Some("case".to_string()),
        Expr::Exists { .. } => Some("exists".to_string()),
        Expr::Array(_) => Some("array".to_string()),
        Expr::Subquery(query) => build::plain_select(query).and_then(|select| select.projection.first()).map(item_name),
        _ => None,
    }
}

/// A type's own name in Postgres (`pg_type.typname`).
fn type_name(data_type: &DataType) -> Option<String> {
    let name = match data_type {
        DataType::Text => "text",
        DataType::BigInt(_) | DataType::Int8(_) => "int8",
        DataType::Int(_) | DataType::Integer(_) | DataType::Int4(_) => "int4",
        DataType::SmallInt(_) | DataType::Int2(_) => "int2",
        DataType::Boolean | DataType::Bool => "bool",
        DataType::Numeric(_) | DataType::Decimal(_) | DataType::Dec(_) => "numeric",
        DataType::Double(_) | DataType::DoublePrecision | DataType::Float8 | DataType::Float(_) => "float8",
        DataType::Real | DataType::Float4 => "float4",
        DataType::Date => "date",
        DataType::Time(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => "time",
        DataType::Time(..) => "timetz",
        DataType::Timestamp(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => "timestamp",
        DataType::Timestamp(..) => "timestamptz",
        DataType::Varchar(_) | DataType::CharacterVarying(_) | DataType::CharVarying(_) => "varchar",
        DataType::Char(_) | DataType::Character(_) => "bpchar",
        DataType::Interval { .. } => "interval",
        DataType::Bytea => "bytea",
        DataType::Uuid => "uuid",
        DataType::JSON => "json",
        DataType::JSONB => "jsonb",
        DataType::Array(ArrayElemTypeDef::SquareBracket(item, _)) => return type_name(item),
        DataType::Custom(name, _) => return name.0.last()?.as_ident().map(fold),
        _ => return None,
    };
    Some(name.to_string())
}
