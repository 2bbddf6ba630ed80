//! MERGE: the source is joined to the table, and a column says what is to be done with each row that comes of it.
//!
//! WHEN clauses are tried in their order, as in Postgres: the first that fits a row decides. A row of the table that two
//! rows of the source would change is refused (21000).

use crate::assign::{Assigned, assignments, old_values, or_default};
use crate::dml::{Target, literal, of, refuse, target};
use crate::places::FILE_COLUMN;
use crate::rewrite::{Again, DELETE, INSERT, NOTHING, Rewrite, UPDATE, all_of, name_of};
use crate::rights;
use datafusion::common::ScalarValue;
use std::ops::ControlFlow;
use tidegate_catalog::{Column, SqlType};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::ast::{
    self, Expr, MergeAction, MergeClause, MergeClauseKind, MergeInsertKind, TableFactor, VisitMut, VisitorMut,
};
use tidegate_parser::{NOTHING as NOTHING_COLUMN, REMOVE_DUPLICATES, fold, name_parts};
use tidegate_query::conform::Source;
use tidegate_query::insert::{self, column_index};
use tidegate_query::{Outcome, Planner, RowsTag, Scope, Work, number_of};

/// What a WHEN clause comes to.
struct When {
    matched: bool,
    condition: Option<Expr>,
    action: i64,
    /// The values of all columns, where it writes a row.
    values: Option<Vec<Expr>>,
}

/// The query of a MERGE.
pub fn lower(scope: &Scope, with: Option<&ast::With>, merge: &ast::Merge) -> Result<Rewrite> {
    let target = target(scope, &merge.table)?;
    rights::merge(scope, &target.relation, merge)?;
    scope.refuse_policies(&target.relation, "MERGE")?;
    refuse_itself(scope, &target, &merge.source)?;
    let mut parameters = Vec::new();
    let source = name_of(&merge.source);
    let read = |clause| when(&target, clause, source.as_ref(), &mut parameters);
    let whens = merge.clauses.iter().map(read).collect::<Result<Vec<_>>>()?;
    if whens.is_empty() {
        return Err(Error::new(Kind::Syntax, "MERGE needs a WHEN clause"));
    }
    let returning = returning(merge)?;
    let inserts = whens.iter().any(|when| !when.matched && when.action != NOTHING);
    Ok(Rewrite {
        with: with.cloned(),
        action: action(&target, &whens),
        values: Some(values(&target, &whens)?),
        extras: source.filter(|_| returning.is_some()).map(|name| all_of(&name)).into_iter().collect(),
        assigned: parameters,
        from: vec![joined(merge, &target, inserts)?],
        selection: None,
        returning,
        source_first: true,
        again: Again::Refused,
        tag: RowsTag::Merge,
        target,
    })
}

/// The source with the rows of the table that match it; those that match none are needed only to be inserted.
fn joined(merge: &ast::Merge, target: &Target, inserts: bool) -> Result<ast::TableWithJoins> {
    let on = ast::JoinConstraint::On(merge.on.as_ref().clone());
    let join_operator = if inserts { ast::JoinOperator::LeftOuter(on) } else { ast::JoinOperator::Inner(on) };
    let join = ast::Join { relation: target.factor()?, global: false, join_operator };
    Ok(ast::TableWithJoins { relation: merge.source.clone(), joins: vec![join] })
}

fn when(
    target: &Target,
    clause: &MergeClause,
    source: Option<&ast::Ident>,
    parameters: &mut Vec<(usize, Column)>,
) -> Result<When> {
    let matched = match clause.clause_kind {
        MergeClauseKind::Matched => true,
        MergeClauseKind::NotMatched | MergeClauseKind::NotMatchedByTarget => false,
        MergeClauseKind::NotMatchedBySource => {
            let message = "MERGE with WHEN NOT MATCHED BY SOURCE is not supported";
            return Err(Error::new(Kind::Unsupported, message).hint("Redshift has no such clause; use a DELETE."));
        }
    };
    let (action, values) = match &clause.action {
        MergeAction::Delete { .. } => (DELETE, None),
        MergeAction::Update(update) if assigns(update, NOTHING_COLUMN) => (NOTHING, None),
        MergeAction::Insert(insert) if inserts(insert, NOTHING_COLUMN) => (NOTHING, None),
        MergeAction::Update(update) => {
            refuse(
                &[("WHERE", update.update_predicate.is_some()), ("DELETE WHERE", update.delete_predicate.is_some())],
                "MERGE",
            )?;
            let assigned: Assigned = assignments(target, &update.assignments)?;
            parameters.extend(assigned.parameters.iter().cloned());
            (UPDATE, Some(assigned.values(target)))
        }
        MergeAction::Insert(insert) => (INSERT, Some(inserted(target, insert, source, parameters)?)),
    };
    let condition = clause.predicate.as_ref().map(|condition| match matched {
        true => condition.clone(),
        false => of_source(condition, &target.relation.columns, source),
    });
    Ok(When { matched, condition, action, values })
}

fn assigns(update: &ast::MergeUpdateExpr, column: &str) -> bool {
    let is_it = |target: &ast::AssignmentTarget| matches!(target, ast::AssignmentTarget::ColumnName(name) if name_parts(name) == [column]);
    matches!(update.assignments.as_slice(), [only] if is_it(&only.target))
}

fn inserts(insert: &ast::MergeInsertExpr, column: &str) -> bool {
    matches!(insert.columns.as_slice(), [only] if name_parts(only) == [column])
}

/// The values of all columns of a row that is inserted. 42601 when their number is not that of the columns.
fn inserted(
    target: &Target,
    insert: &ast::MergeInsertExpr,
    source: Option<&ast::Ident>,
    parameters: &mut Vec<(usize, Column)>,
) -> Result<Vec<Expr>> {
    refuse(&[("WHERE", insert.insert_predicate.is_some())], "MERGE")?;
    let columns = &target.relation.columns;
    let MergeInsertKind::Values(values) = &insert.kind else {
        return Err(Error::new(Kind::Unsupported, "MERGE with INSERT ROW is not supported"));
    };
    let [row] = values.rows.as_slice() else {
        return Err(Error::new(Kind::Syntax, "INSERT in MERGE takes one row of VALUES"));
    };
    let chosen = match insert.columns.is_empty() {
        true => (0..columns.len().min(row.content.len())).collect(),
        false => {
            let index =
                |name: &ast::ObjectName| column_index(&target.relation, &name_parts(name).pop().unwrap_or_default());
            insert.columns.iter().map(index).collect::<Result<Vec<_>>>()?
        }
    };
    if row.content.len() != chosen.len() {
        let more = if row.content.len() > chosen.len() {
            "expressions than target columns"
        } else {
            "target columns than expressions"
        };
        return Err(Error::new(Kind::Syntax, format!("INSERT has more {more}")));
    }
    let mut all = columns.iter().map(|column| or_default(default_word(), column)).collect::<Result<Vec<_>>>()?;
    for (index, value) in chosen.into_iter().zip(&row.content) {
        if let (Some(place), Some(column)) = (all.get_mut(index), columns.get(index)) {
            parameters.extend(number_of(value).map(|number| (number, column.clone())));
            *place = or_default(of_source(value, columns, source), column)?;
        }
    }
    Ok(all)
}

/// Where no row of the table matches, a bare name is the source's, though the table has a column of the name (Postgres:
/// only the source is seen there).
fn of_source(value: &Expr, columns: &[Column], source: Option<&ast::Ident>) -> Expr {
    struct Qualify<'a> {
        columns: &'a [Column],
        source: &'a ast::Ident,
        queries: usize,
    }
    impl VisitorMut for Qualify<'_> {
        type Break = ();
        fn pre_visit_query(&mut self, _: &mut ast::Query) -> ControlFlow<()> {
            self.queries += 1;
            ControlFlow::Continue(())
        }
        fn post_visit_query(&mut self, _: &mut ast::Query) -> ControlFlow<()> {
            self.queries -= 1;
            ControlFlow::Continue(())
        }
        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            match expr {
                Expr::Identifier(name)
                    if self.queries == 0 && self.columns.iter().any(|column| column.name == fold(name)) =>
                {
                    *expr = Expr::CompoundIdentifier(vec![self.source.clone(), name.clone()]);
                }
                _ => {}
            }
            ControlFlow::Continue(())
        }
    }
    let mut value = value.clone();
    if let Some(source) = source {
        // It never breaks off.
        let _ = value.visit(&mut Qualify { columns, source, queries: 0 });
    }
    value
}

fn default_word() -> Expr {
    Expr::Identifier(ast::Ident::new("default"))
}

/// `CASE WHEN … THEN n … ELSE 0 END`.
fn action(target: &Target, whens: &[When]) -> Expr {
    let cases = whens.iter().map(|when| (fits(target, when), literal(when.action)));
    case(cases.collect(), literal(NOTHING))
}

/// Each column's value, by the clause that decides; of the column's type in each branch, so that no two types meet.
fn values(target: &Target, whens: &[When]) -> Result<Vec<Expr>> {
    let mut all = Vec::new();
    for (index, (old, column)) in old_values(target).into_iter().zip(&target.relation.columns).enumerate() {
        let mut cases = Vec::new();
        for when in whens {
            if let Some(value) = when.values.as_ref().and_then(|values| values.get(index)) {
                let value = if *value == old { old.clone() } else { of_type(value, &column.sql_type)? };
                cases.push((fits(target, when), value));
            } else {
                cases.push((fits(target, when), old.clone()));
            }
        }
        all.push(case(cases, old));
    }
    Ok(all)
}

/// A value cast to a column's type where that cannot lose anything which the assignment would refuse.
fn of_type(value: &Expr, sql_type: &SqlType) -> Result<Expr> {
    match sql_type {
        SqlType::Bool
        | SqlType::Int2
        | SqlType::Int4
        | SqlType::Int8
        | SqlType::Float4
        | SqlType::Float8
        | SqlType::Numeric(..)
        | SqlType::Date
        | SqlType::Time
        | SqlType::Timetz
        | SqlType::Interval
        | SqlType::Timestamp
        | SqlType::Timestamptz => tidegate_parser::parse_expression(&format!("CAST(({value}) AS {sql_type})")),
        _ => Ok(value.clone()),
    }
}

/// Whether a clause is one for the row: what was tried before it stands before it in the CASE.
fn fits(target: &Target, when: &When) -> Expr {
    let place = Box::new(of(&target.alias, FILE_COLUMN));
    let found = if when.matched { Expr::IsNotNull(place) } else { Expr::IsNull(place) };
    match &when.condition {
        Some(condition) => Expr::BinaryOp {
            left: Box::new(found),
            op: ast::BinaryOperator::And,
            right: Box::new(Expr::Nested(Box::new(condition.clone()))),
        },
        None => found,
    }
}

fn case(cases: Vec<(Expr, Expr)>, otherwise: Expr) -> Expr {
    let conditions = cases.into_iter().map(|(condition, result)| ast::CaseWhen { condition, result }).collect();
    Expr::Case {
        case_token: ast::helpers::attached_token::AttachedToken::empty(),
        end_token: ast::helpers::attached_token::AttachedToken::empty(),
        operand: None,
        conditions,
        else_result: Some(Box::new(otherwise)),
    }
}

fn returning(merge: &ast::Merge) -> Result<Option<Vec<ast::SelectItem>>> {
    match &merge.output {
        Some(ast::OutputClause::Returning { select_items, .. }) => Ok(Some(select_items.clone())),
        Some(_) => Err(Error::new(Kind::Unsupported, "MERGE with OUTPUT is not supported").hint("Use RETURNING.")),
        None => Ok(None),
    }
}

/// As in Redshift, a table is not merged into itself.
fn refuse_itself(scope: &Scope, target: &Target, source: &TableFactor) -> Result<()> {
    if let TableFactor::Table { name, .. } = source
        && let Some(relation) = scope.find_parts(&name_parts(name))
        && relation.oid == target.relation.oid
    {
        let message = format!("MERGE: the source is the table \"{}\" itself", relation.name);
        return Err(Error::new(Kind::Unsupported, message).hint("Copy the rows to another table, and merge that."));
    }
    Ok(())
}

/// Whether this is Redshift's short form: all rows of the source take the place of those that they match.
pub fn removes_duplicates(merge: &ast::Merge) -> bool {
    let is_it = |clause: &MergeClause| matches!(&clause.action, MergeAction::Update(update) if assigns(update, REMOVE_DUPLICATES));
    merge.clauses.iter().any(is_it)
}

/// The removal that the short form begins with. Two rows of the source that match one row are refused here, too.
pub fn lower_removal(scope: &Scope, with: Option<&ast::With>, merge: &ast::Merge) -> Result<Rewrite> {
    if merge.clauses.len() > 1 || merge.output.is_some() {
        let message = "MERGE … REMOVE DUPLICATES takes no WHEN and no RETURNING";
        return Err(Error::new(Kind::Unsupported, message));
    }
    let target = target(scope, &merge.table)?;
    rights::merge(scope, &target.relation, merge)?;
    scope.refuse_policies(&target.relation, "MERGE")?;
    refuse_itself(scope, &target, &merge.source)?;
    Ok(Rewrite {
        with: with.cloned(),
        action: literal(DELETE),
        values: None,
        extras: Vec::new(),
        assigned: Vec::new(),
        from: vec![joined(merge, &target, false)?],
        selection: None,
        returning: None,
        source_first: true,
        again: Again::Refused,
        tag: RowsTag::Merge,
        target,
    })
}

/// Performs the short form: the source is read as it was before the removal.
pub async fn replace(
    work: &mut Work<'_>,
    with: Option<&ast::With>,
    merge: &ast::Merge,
    values: &[ScalarValue],
) -> Result<Outcome> {
    let removal = lower_removal(&work.scope, with, merge)?;
    let relation = removal.target.relation.clone();
    let mut query = tidegate_parser::parse_query("SELECT * FROM t")?;
    if let ast::SetExpr::Select(select) = query.body.as_mut() {
        select.from = vec![ast::TableWithJoins { relation: merge.source.clone(), joins: Vec::new() }];
    }
    query.with = with.cloned();
    // On what the statement sees as it begins.
    let planner = Planner::new(&work.scope)?;
    let plan = planner.plan(&ast::Statement::Query(query)).await?;
    if plan.schema().fields().len() != relation.columns.len() {
        let message = "MERGE … REMOVE DUPLICATES needs a source with as many columns as the table";
        return Err(Error::new(Kind::Syntax, message));
    }
    let rows = planner.stream(tidegate_query::bind(plan, values.to_vec())?).await?;
    removal.perform(work, values).await?;
    let sources: Vec<Source> = (0..relation.columns.len()).map(Source::Input).collect();
    let count = insert::pour(work, &relation, &sources, rows, None).await?;
    Ok(Outcome::Done { tag: RowsTag::Merge.text(count) })
}
