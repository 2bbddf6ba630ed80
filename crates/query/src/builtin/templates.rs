//! Functions that are other SQL: each a row of a table, its arguments `$1`, `$2`, ….
//!
//! An argument stands in a template once at most, unless it may be computed twice.

use sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Value, ValueWithSpan, VisitMut, VisitorMut,
};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::LazyLock;
use tidegate_parser::ast;

/// Name, number of arguments, what it is.
const TEMPLATES: &[(&str, usize, &str)] = &[
    // Redshift
    ("getdate", 0, "CAST(now() AS timestamp(6))"),
    ("sysdate", 0, "CAST(now() AS timestamp(6))"),
    ("len", 1, "character_length($1)"),
    ("textlen", 1, "character_length($1)"),
    ("charindex", 2, "strpos($2, $1)"),
    ("nvl", 2, "coalesce($1, $2)"),
    ("add_months", 2, "dateadd('month', $2, $1)"),
    ("date_part_year", 1, "CAST(date_part('year', $1) AS int)"),
    ("dlog10", 1, "log10($1)"),
    ("dexp", 1, "exp($1)"),
    ("dsqrt", 1, "sqrt($1)"),
    // Postgres
    ("mod", 2, "($1) % ($2)"),
    ("div", 2, "CAST(trunc(CAST($1 AS numeric(38,10)) / CAST($2 AS numeric(38,10))) AS numeric(38,0))"),
    ("sign", 1, "signum($1)"),
    ("every", 1, "bool_and($1)"),
    ("variance", 1, "var_samp($1)"),
    ("gen_random_uuid", 0, "uuid_in(uuid())"),
    ("clock_timestamp", 0, "now()"),
    ("statement_timestamp", 0, "now()"),
    ("transaction_timestamp", 0, "now()"),
    ("timezone", 2, "convert_timezone_pg($1, $2)"),
    ("regexp_substr", 2, "array_element(regexp_match($1, $2), 1)"),
    ("age", 1, "age(CAST(current_date AS timestamp(6)), $1)"),
    ("localtimestamp", 0, "CAST(now() AS timestamp(6))"),
    ("json_agg", 1, "json_join(array_agg(to_json($1)))"),
    ("jsonb_agg", 1, "jsonb_in(json_join(array_agg(to_json($1))))"),
    ("json_object_agg", 2, "json_join_pairs(array_agg($1), array_agg(to_json($2)))"),
    ("jsonb_object_agg", 2, "jsonb_in(json_join_pairs(array_agg($1), array_agg(to_json($2))))"),
];

/// The parameters of MAKE_INTERVAL, which are mostly given by name.
const INTERVAL_PARTS: &[&str] = &["years", "months", "weeks", "days", "hours", "mins", "secs"];

/// Arguments by the places of their names, with 0 for what is not given.
fn in_order(given: Vec<FunctionArg>, names: &[&str]) -> Vec<FunctionArg> {
    let given: Vec<_> = given.into_iter().map(named).collect();
    if given.iter().all(|(name, _)| name.is_none()) {
        return given.into_iter().map(|(_, value)| FunctionArg::Unnamed(value)).collect();
    }
    let zero = || FunctionArgExpr::Expr(crate::pg::build::value(Value::Number("0".into(), false)));
    let mut ordered: Vec<FunctionArgExpr> = names.iter().map(|_| zero()).collect();
    for (place, (name, value)) in given.into_iter().enumerate() {
        let at = name.map_or(Some(place), |name| names.iter().position(|known| *known == name));
        if let Some(slot) = at.and_then(|at| ordered.get_mut(at)) {
            *slot = value;
        }
    }
    ordered.into_iter().map(FunctionArg::Unnamed).collect()
}

/// An argument, and the name that it is given by: `days => 10`, or `days := 10`, which reads as an assignment.
fn named(argument: FunctionArg) -> (Option<String>, FunctionArgExpr) {
    match argument {
        FunctionArg::Named { name, arg, .. } => (Some(tidegate_parser::fold(&name)), arg),
        FunctionArg::ExprNamed { name, arg, .. } => (Some(name.to_string().to_lowercase()), arg),
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::BinaryOp {
            left,
            op: ast::BinaryOperator::Assignment,
            right,
        })) => (Some(left.to_string().to_lowercase()), FunctionArgExpr::Expr(*right)),
        FunctionArg::Unnamed(value) => (None, value),
    }
}

/// Names without parentheses.
const BARE: &[(&str, &str)] =
    &[("sysdate", "CAST(now() AS timestamp(6))"), ("localtimestamp", "CAST(now() AS timestamp(6))")];

/// Functions whose first argument may be a bare word.
const UNITS_FIRST: &[&str] = &["dateadd", "datediff", "date_diff", "datepart", "date_part"];

static PARSED: LazyLock<HashMap<(&'static str, usize), Expr>> = LazyLock::new(|| {
    let parsed = |(name, count, text): &(&'static str, usize, &str)| {
        Some(((*name, *count), tidegate_parser::parse_expression(text).ok()?))
    };
    TEMPLATES.iter().filter_map(parsed).collect()
});

/// Puts the template in the place of a call.
pub fn rewrite(expr: &mut Expr) {
    match expr {
        Expr::Function(function) => {
            let name = crate::pg::build::function_name(function);
            if let Some(made) = aggregate(&name, function) {
                *expr = made;
                return;
            }
            if matches!(function.args, FunctionArguments::None)
                && let Some(template) =
                    PARSED.get(&(BARE.iter().find(|(known, _)| *known == name).map_or("", |(known, _)| known), 0))
            {
                *expr = template.clone();
                return;
            }
            let FunctionArguments::List(list) = &mut function.args else { return };
            if UNITS_FIRST.contains(&name.as_str()) {
                // Of DATE_PART it may be a column, too.
                quote_unit(list.args.first_mut(), name != "date_part");
            }
            if name == "make_interval" {
                list.args = in_order(std::mem::take(&mut list.args), INTERVAL_PARTS);
            }
            if name == "decode" && list.args.len() > 2 {
                if let Some(arguments) = plain(&list.args) {
                    *expr = decoded(arguments);
                }
                return;
            }
            let found = PARSED.iter().find(|((known, count), _)| *known == name && *count == list.args.len());
            let Some((_, template)) = found.filter(|_| function.over.is_none()) else { return };
            let Some(arguments) = plain(&list.args) else { return };
            let mut made = template.clone();
            let mut fill = Fill { arguments: &arguments, clauses: &list.clauses, distinct: list.duplicate_treatment };
            // It never breaks off.
            let _ = VisitMut::visit(&mut made, &mut fill);
            *expr = Expr::Nested(Box::new(made));
        }
        Expr::Extract { field, expr: operand, .. } => {
            let field = crate::pg::build::text(&field.to_string());
            *expr = crate::pg::build::call("extract", vec![field, operand.as_ref().clone()]);
        }
        Expr::UnaryOp { op, expr: operand } => {
            let name = match op {
                ast::UnaryOperator::PGSquareRoot => "sqrt",
                ast::UnaryOperator::PGCubeRoot => "cbrt",
                ast::UnaryOperator::PGAbs => "abs",
                _ => return,
            };
            *expr = crate::pg::build::call(name, vec![operand.as_ref().clone()]);
        }
        Expr::Identifier(word) if word.quote_style.is_none() => {
            let name = word.value.to_lowercase();
            if let Some((_, text)) = BARE.iter().find(|(known, _)| *known == name)
                && let Ok(made) = tidegate_parser::parse_expression(text)
            {
                *expr = made;
            }
        }
        _ => {}
    }
}

/// LISTAGG is STRING_AGG whose order stands behind it; RATIO_TO_REPORT a share of a window's sum.
fn aggregate(name: &str, function: &ast::Function) -> Option<Expr> {
    let mut made = function.clone();
    let FunctionArguments::List(list) = &mut made.args else { return None };
    match name {
        "listagg" => {
            made.name = ast::ObjectName::from(vec![Ident::new("string_agg")]);
            let order = std::mem::take(&mut made.within_group);
            if !order.is_empty() {
                list.clauses.push(ast::FunctionArgumentClause::OrderBy(order));
            }
            if list.args.len() == 1 {
                list.args.push(FunctionArg::Unnamed(FunctionArgExpr::Expr(crate::pg::build::text(""))));
            }
            if let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(item))) = list.args.first_mut() {
                *item = crate::pg::build::cast(item.clone(), ast::DataType::Text);
            }
            Some(Expr::Function(made))
        }
        "ratio_to_report" => {
            let item = plain(&list.args)?.into_iter().next()?;
            made.name = ast::ObjectName::from(vec![Ident::new("sum")]);
            let share = crate::pg::build::cast(item, ast::DataType::DoublePrecision);
            let (left, right) = (Box::new(share), Box::new(Expr::Function(made)));
            Some(Expr::Nested(Box::new(Expr::BinaryOp { left, op: ast::BinaryOperator::Divide, right })))
        }
        _ => None,
    }
}

/// `day` as `'day'`.
fn quote_unit(argument: Option<&mut FunctionArg>, units_only: bool) {
    if let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))) = argument
        && let Expr::Identifier(Ident { value, quote_style: None, .. }) = expr
        && (units_only || super::field::Field::of(value).is_some())
    {
        *expr = crate::pg::build::text(&value.to_lowercase());
    }
}

fn plain(list: &[FunctionArg]) -> Option<Vec<Expr>> {
    let argument = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    list.iter().map(argument).collect()
}

/// Redshift's DECODE(x, a, b, …, otherwise), in which NULL is found by NULL.
fn decoded(mut arguments: Vec<Expr>) -> Expr {
    let operand = arguments.remove(0);
    let otherwise = if arguments.len() % 2 == 1 { arguments.pop() } else { None };
    let when = |pair: &[Expr]| {
        let (wanted, result) = (pair.first()?.clone(), pair.get(1)?.clone());
        let condition = Expr::IsNotDistinctFrom(Box::new(operand.clone()), Box::new(wanted));
        Some(ast::CaseWhen { condition, result })
    };
    Expr::Case {
        case_token: ast::helpers::attached_token::AttachedToken::empty(),
        end_token: ast::helpers::attached_token::AttachedToken::empty(),
        operand: None,
        conditions: arguments.chunks(2).filter_map(when).collect(),
        else_result: otherwise.map(Box::new),
    }
}

/// Puts arguments in the places of `$n`; DISTINCT and ORDER BY go to the aggregate in the template.
struct Fill<'a> {
    arguments: &'a [Expr],
    clauses: &'a [ast::FunctionArgumentClause],
    distinct: Option<ast::DuplicateTreatment>,
}

impl VisitorMut for Fill<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Value(ValueWithSpan { value: Value::Placeholder(name), .. }) = expr
            && let Some(argument) = name.strip_prefix('$').and_then(|number| number.parse::<usize>().ok())
            && let Some(argument) = self.arguments.get(argument.wrapping_sub(1))
        {
            *expr = argument.clone();
        } else if let Expr::Function(function) = expr
            && crate::pg::build::function_name(function) == "array_agg"
            && let FunctionArguments::List(list) = &mut function.args
        {
            list.clauses.extend(self.clauses.iter().cloned());
            list.duplicate_treatment = self.distinct;
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_templates_are_sql() {
        assert_eq!(PARSED.len(), TEMPLATES.len());
    }

    #[test]
    fn calls_become_what_they_are() {
        for (sql, expected) in [
            ("len(a)", "(character_length(a))"),
            ("charindex('b', a)", "(strpos(a, 'b'))"),
            ("dateadd(day, 1, a)", "dateadd('day', 1, a)"),
            (
                "decode(a, 1, 'x', NULL, 'y', 'z')",
                "CASE WHEN a IS NOT DISTINCT FROM 1 THEN 'x' WHEN a IS NOT DISTINCT FROM NULL THEN 'y' ELSE 'z' END",
            ),
            ("mod(a + 1, 2)", "((a + 1) % (2))"),
            ("len(a, b)", "len(a, b)"),
            ("decode(a, 'hex')", "decode(a, 'hex')"),
        ] {
            let mut expr = tidegate_parser::parse_expression(sql).unwrap();
            rewrite(&mut expr);
            assert_eq!(expr.to_string(), expected, "{sql}");
        }
    }
}
