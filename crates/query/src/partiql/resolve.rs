//! What a plan says of SUPER values made plain, once all types are known: casts, arguments of functions, and the forms
//! of comparison that the engine's planner does not ask about.

use super::expressions::{is_super_expr, null_of};
use super::function::Supers;
use super::{call, rule_of, unnest};
use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, JoinType, ScalarValue};
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::expr::{
    AggregateFunction, Between, Case, InList, InSubquery, Like, ScalarFunction, Sort as SortExpr, WindowFunction,
};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, merge_schema, split_conjunction_owned};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Union, binary_expr, lit};
use std::sync::Arc;
use tidegate_catalog::is_super;
use tidegate_core::{Error, Kind};

/// What a session has set about SUPER values (Redshift's settings).
#[derive(Debug, Clone, Copy)]
pub struct Lenience {
    /// `navigate_super_null_on_error`.
    pub navigate: bool,
    /// `cast_super_null_on_error`.
    pub cast: bool,
    /// `parse_super_null_on_error`.
    pub parse: bool,
}

/// Functions that give one of their arguments.
const CHOOSERS: &[&str] = &["coalesce", "nvl", "nvl2", "nullif", "greatest", "least", "ifnull"];
/// Aggregates whose result depends on the order of values, which text does not have right.
const ORDERED: &[&str] = &["min", "max"];

/// Ends the planning of a query that touches SUPER values.
pub fn resolve(plan: LogicalPlan, lenience: Lenience) -> EngineResult<LogicalPlan> {
    if !touches(&plan)? {
        return Ok(plan);
    }
    let resolved = plan.transform_up_with_subqueries(|plan| {
        let plan = unnest::joined(plan)?;
        node(plan, lenience).map(Transformed::yes)
    })?;
    Ok(resolved.data)
}

fn touches(plan: &LogicalPlan) -> EngineResult<bool> {
    let ours = |expr: &Expr| match expr {
        Expr::ScalarFunction(function) => rule_of(function.name()).is_some() || unnest::is_each(function.name()),
        _ => false,
    };
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        found = node.schema().fields().iter().any(|field| is_super(field));
        if !found {
            node.apply_expressions(|expr| {
                found = found || expr.exists(|part| Ok(ours(part)))?;
                Ok(TreeNodeRecursion::Continue)
            })?;
        }
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

fn node(plan: LogicalPlan, lenience: Lenience) -> EngineResult<LogicalPlan> {
    let rewriter = Rewriter { schema: merge_schema(&plan.inputs()), lenience };
    let names = NamePreserver::new(&plan);
    let rewrite = |expr: Expr| {
        let name = names.save(&expr);
        let rewritten = expr.transform_up(|expr| rewriter.expression(expr))?;
        Ok(rewritten.update_data(|expr| name.restore(expr)))
    };
    let plan = plan.map_expressions(rewrite)?.data;
    let plan = match plan {
        LogicalPlan::Union(union) => one_sort(union)?,
        LogicalPlan::Sort(mut sort) => {
            for by in &mut sort.expr {
                *by = rewriter.ordered(std::mem::replace(by, SortExpr::new(lit(0), true, false)));
            }
            LogicalPlan::Sort(sort)
        }
        LogicalPlan::Filter(mut filter) => {
            filter.predicate = rewriter.hashable(filter.predicate)?;
            LogicalPlan::Filter(filter)
        }
        LogicalPlan::Join(mut join) if join.join_type == JoinType::Inner => {
            join.filter = join.filter.map(|filter| rewriter.hashable(filter)).transpose()?;
            LogicalPlan::Join(join)
        }
        other => other,
    };
    plan.recompute_schema()
}

fn is_super_column(plan: &LogicalPlan, column: usize) -> bool {
    plan.schema().fields().get(column).is_some_and(|field| is_super(field))
}

/// Of a UNION's columns that are SUPER in one input, those of the others as SUPER too.
fn one_sort(mut union: Union) -> EngineResult<LogicalPlan> {
    let wanted: Vec<bool> = (0..union.schema.fields().len())
        .map(|column| union.inputs.iter().any(|input| is_super_column(input, column)))
        .collect();
    let mut changed = false;
    for input in &mut union.inputs {
        let lacks = wanted.iter().enumerate().any(|(column, wanted)| *wanted && !is_super_column(input, column));
        if !lacks {
            continue;
        }
        let made = input.schema().columns().into_iter().zip(&wanted).enumerate().map(|(index, (column, wanted))| {
            let (relation, name) = (column.relation.clone(), column.name.clone());
            match *wanted && !is_super_column(input, index) {
                true => call("to_super", vec![Expr::Column(column)]).alias_qualified(relation, name),
                false => Expr::Column(column),
            }
        });
        let made: Vec<Expr> = made.collect();
        changed = true;
        *input = Arc::new(LogicalPlanBuilder::from(input.as_ref().clone()).project(made)?.build()?);
    }
    Ok(LogicalPlan::Union(if changed { Union::try_new_with_loose_types(union.inputs)? } else { union }))
}

struct Rewriter {
    schema: DFSchema,
    lenience: Lenience,
}

impl Rewriter {
    fn is_super(&self, expr: &Expr) -> bool {
        is_super_expr(expr, &self.schema)
    }

    /// As a SUPER value.
    fn made_super(&self, expr: Expr) -> Expr {
        if self.is_super(&expr) { expr } else { call("to_super", vec![expr]) }
    }

    fn cast(&self, expr: Expr, to: &DataType) -> EngineResult<Expr> {
        Ok(call("super_cast", vec![expr, null_of(to)?, lit(self.lenience.cast)]))
    }

    /// As text, if it is a SUPER value.
    fn plain(&self, expr: Expr) -> EngineResult<Expr> {
        if self.is_super(&expr) { self.cast(expr, &DataType::Utf8View) } else { Ok(expr) }
    }

    fn ordered(&self, by: SortExpr) -> SortExpr {
        let expr = if self.is_super(&by.expr) { call("super_order", vec![by.expr]) } else { by.expr };
        SortExpr { expr, ..by }
    }

    /// Rewrites one expression, its parts being done.
    fn expression(&self, expr: Expr) -> EngineResult<Transformed<Expr>> {
        let made = match expr {
            Expr::Cast(cast) if self.is_super(&cast.expr) => self.cast(*cast.expr, cast.field.data_type())?,
            Expr::TryCast(cast) if self.is_super(&cast.expr) => {
                call("super_cast", vec![*cast.expr, null_of(cast.field.data_type())?, lit(true)])
            }
            Expr::IsNull(inner) if self.is_super(&inner) => call("super_is_null", vec![*inner]),
            Expr::IsNotNull(inner) if self.is_super(&inner) => !call("super_is_null", vec![*inner]),
            Expr::Like(like) => Expr::Like(self.like(like)?),
            Expr::SimilarTo(like) => Expr::SimilarTo(self.like(like)?),
            Expr::Between(between) => self.between(between),
            Expr::InList(list) => self.in_list(list),
            Expr::InSubquery(list) => self.in_subquery(list)?,
            Expr::Case(case) => self.case(case)?,
            Expr::ScalarFunction(function) => self.function(function)?,
            Expr::AggregateFunction(function) => self.aggregate(function)?,
            Expr::WindowFunction(function) => self.window(*function),
            other => return Ok(Transformed::no(other)),
        };
        Ok(Transformed::yes(made))
    }

    fn like(&self, mut like: Like) -> EngineResult<Like> {
        like.expr = Box::new(self.plain(*like.expr)?);
        like.pattern = Box::new(self.plain(*like.pattern)?);
        Ok(like)
    }

    fn between(&self, between: Between) -> Expr {
        if ![&between.expr, &between.low, &between.high].into_iter().any(|part| self.is_super(part)) {
            return Expr::Between(between);
        }
        let value = self.made_super(*between.expr);
        let low = call("super_ge", vec![value.clone(), self.made_super(*between.low)]);
        let high = call("super_le", vec![value, self.made_super(*between.high)]);
        if between.negated { !(low.and(high)) } else { low.and(high) }
    }

    fn in_list(&self, list: InList) -> Expr {
        if !self.is_super(&list.expr) && !list.list.iter().any(|item| self.is_super(item)) {
            return Expr::InList(list);
        }
        let value = self.made_super(*list.expr);
        let each = list.list.into_iter().map(|item| call("super_eq", vec![value.clone(), self.made_super(item)]));
        let any = each.reduce(Expr::or).unwrap_or_else(|| lit(false));
        if list.negated { !any } else { any }
    }

    /// A SUPER value among values of SQL is one of their type, or none.
    fn in_subquery(&self, mut list: InSubquery) -> EngineResult<Expr> {
        let field = list.subquery.subquery.schema().fields().first().cloned();
        if let Some(field) = field.filter(|field| self.is_super(&list.expr) && !is_super(field)) {
            list.expr = Box::new(call("super_typed", vec![*list.expr, null_of(field.data_type())?]));
        }
        Ok(Expr::InSubquery(list))
    }

    fn case(&self, mut case: Case) -> EngineResult<Expr> {
        let compares = case.expr.as_ref().is_some_and(|of| self.is_super(of));
        if compares && let Some(of) = case.expr.take() {
            for (when, _) in &mut case.when_then_expr {
                let value = std::mem::replace(when.as_mut(), lit(false));
                **when = call("super_eq", vec![of.as_ref().clone(), self.made_super(value)]);
            }
        }
        let results = || case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
        if !results().any(|result| self.is_super(result)) {
            return Ok(Expr::Case(case));
        }
        for result in case.when_then_expr.iter_mut().map(|(_, then)| then).chain(&mut case.else_expr) {
            **result = self.made_super(std::mem::replace(result.as_mut(), lit(false)));
        }
        Ok(call("super_of", vec![Expr::Case(case)]))
    }

    fn function(&self, mut function: ScalarFunction) -> EngineResult<Expr> {
        let name = function.name().to_string();
        let Some(rule) = rule_of(&name) else { return self.foreign(function, &name) };
        let of_super = function.args.first().is_some_and(|first| self.is_super(first));
        if of_super && matches!(name.as_str(), "to_super" | "json_parse") {
            return Ok(function.args.swap_remove(0));
        }
        let arguments = function.args.into_iter().enumerate().map(|(index, argument)| match rule.supers {
            supers if supers.has(index) => Ok(self.made_super(argument)),
            // Functions that read JSON in a text read a SUPER value's.
            Supers::None => Ok(argument),
            _ => self.plain(argument),
        });
        let arguments = arguments.collect::<EngineResult<Vec<_>>>()?;
        Ok(match rule.name {
            "super_get" if !self.lenience.navigate => call("super_get_strict", arguments),
            "json_parse" if self.lenience.parse => call("json_parse_or_null", arguments),
            own => call(own, arguments),
        })
    }

    /// Functions that know nothing of SUPER take the text of a scalar; those that choose among their arguments give one.
    fn foreign(&self, mut function: ScalarFunction, name: &str) -> EngineResult<Expr> {
        if !function.args.iter().any(|argument| self.is_super(argument)) {
            return Ok(Expr::ScalarFunction(function));
        }
        if name == "array_concat" {
            let arguments = function.args.into_iter().map(|argument| self.made_super(argument));
            return Ok(call("super_concat", arguments.collect()));
        }
        if CHOOSERS.contains(&name) {
            function.args = function.args.into_iter().map(|argument| self.made_super(argument)).collect();
            return Ok(call("super_of", vec![Expr::ScalarFunction(function)]));
        }
        function.args = function.args.into_iter().map(|argument| self.plain(argument)).collect::<EngineResult<_>>()?;
        Ok(Expr::ScalarFunction(function))
    }

    fn aggregate(&self, mut function: AggregateFunction) -> EngineResult<Expr> {
        let name = function.func.name().to_string();
        if ORDERED.contains(&name.as_str()) && function.params.args.iter().any(|argument| self.is_super(argument)) {
            let error = Error::new(Kind::Unsupported, format!("{name} of SUPER values is not supported"));
            return Err(crate::carried(error.hint(format!("Cast them: {name}(value::int)."))));
        }
        if name == "string_agg" {
            let arguments = function.params.args.into_iter().map(|argument| self.plain(argument));
            function.params.args = arguments.collect::<EngineResult<_>>()?;
        }
        function.params.order_by = function.params.order_by.into_iter().map(|by| self.ordered(by)).collect();
        Ok(Expr::AggregateFunction(function))
    }

    fn window(&self, mut function: WindowFunction) -> Expr {
        function.params.order_by = function.params.order_by.into_iter().map(|by| self.ordered(by)).collect();
        Expr::WindowFunction(Box::new(function))
    }

    /// Of a condition, the equality of a SUPER value and a text or whole number as one that a join can hash by. Where a
    /// row is wanted only if it is true, it does not matter that NULL stands for false.
    fn hashable(&self, condition: Expr) -> EngineResult<Expr> {
        let parts = split_conjunction_owned(condition).into_iter().map(|part| self.hashable_part(part));
        Ok(conjunction(parts.collect::<EngineResult<Vec<_>>>()?).unwrap_or_else(|| lit(true)))
    }

    fn hashable_part(&self, part: Expr) -> EngineResult<Expr> {
        let Expr::ScalarFunction(function) = &part else { return Ok(part) };
        let (true, [left, right]) = (function.name() == "super_eq", function.args.as_slice()) else { return Ok(part) };
        let (value, made) = match (made_of(left), made_of(right)) {
            (None, Some(made)) => (left, made),
            (Some(made), None) => (right, made),
            _ => return Ok(part),
        };
        let has_column = |expr: &Expr| expr.exists(|part| Ok(matches!(part, Expr::Column(_))));
        let of_type = made.get_type(&self.schema)?;
        let typed = match &of_type {
            text if text.is_string() => DataType::Utf8View,
            whole if whole.is_integer() => DataType::Int64,
            _ => return Ok(part),
        };
        if !has_column(made)? || !has_column(value)? {
            return Ok(part);
        }
        let value = call("super_typed", vec![value.clone(), null_of(&typed)?]);
        Ok(binary_expr(value, datafusion::logical_expr::Operator::Eq, made.clone()))
    }
}

/// Whether a condition always holds.
pub fn is_true(condition: &Expr) -> bool {
    matches!(condition, Expr::Literal(ScalarValue::Boolean(Some(true)), _))
}

/// What a value of SQL was before it was made SUPER.
fn made_of(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::ScalarFunction(function) if function.name() == "to_super" => function.args.first(),
        _ => None,
    }
}
