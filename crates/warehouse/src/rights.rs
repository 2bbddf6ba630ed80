//! What UPDATE, DELETE and MERGE must be allowed: to change, and as in Postgres to read what they look at.

use tidegate_catalog::{Guarded, Relation, Rights};
use tidegate_core::Result;
use tidegate_parser::ast::{self, AssignmentTarget, MergeAction, MergeInsertKind};
use tidegate_parser::name_parts;
use tidegate_query::{Need, Scope, mentioned, returned};

/// 42501 unless who asks may do this UPDATE.
pub fn update(scope: &Scope, relation: &Relation, update: &ast::Update) -> Result<()> {
    scope.require_columns(relation, Rights::UPDATE, &assigned(relation, &update.assignments))?;
    let values = update.assignments.iter().map(|assignment| &assignment.value);
    let mut read = mentioned(relation, values.chain(&update.selection));
    read.extend(returned(relation, update.returning.iter().flatten()));
    reads(scope, relation, &read)
}

/// 42501 unless who asks may do this DELETE.
pub fn delete(scope: &Scope, relation: &Relation, delete: &ast::Delete) -> Result<()> {
    scope.require(&Guarded::Relation(relation), Need::All(Rights::DELETE))?;
    let mut read = mentioned(relation, &delete.selection);
    read.extend(returned(relation, delete.returning.iter().flatten()));
    reads(scope, relation, &read)
}

/// 42501 unless who asks may do this MERGE.
pub fn merge(scope: &Scope, relation: &Relation, merge: &ast::Merge) -> Result<()> {
    let mut read = mentioned(relation, [merge.on.as_ref()]);
    for clause in &merge.clauses {
        read.extend(mentioned(relation, &clause.predicate));
        match &clause.action {
            MergeAction::Delete { .. } => scope.require(&Guarded::Relation(relation), Need::All(Rights::DELETE))?,
            MergeAction::Update(update) => {
                scope.require_columns(relation, Rights::UPDATE, &assigned(relation, &update.assignments))?;
                read.extend(mentioned(relation, update.assignments.iter().map(|assignment| &assignment.value)));
            }
            MergeAction::Insert(insert) => {
                let named = insert.columns.iter().filter_map(|name| place(relation, name)).collect::<Vec<_>>();
                let all = (0..relation.columns.len()).collect();
                let columns = if insert.columns.is_empty() { all } else { named };
                scope.require_columns(relation, Rights::INSERT, &columns)?;
                if let MergeInsertKind::Values(values) = &insert.kind {
                    read.extend(mentioned(relation, values.rows.iter().flat_map(|row| &row.content)));
                }
            }
        }
    }
    if let Some(ast::OutputClause::Returning { select_items, .. }) = &merge.output {
        read.extend(returned(relation, select_items));
    }
    reads(scope, relation, &read)
}

fn reads(scope: &Scope, relation: &Relation, columns: &[usize]) -> Result<()> {
    match columns {
        [] => Ok(()),
        columns => scope.require_columns(relation, Rights::SELECT, columns),
    }
}

/// The columns that are given values. One that is not there is left to the statement itself.
fn assigned(relation: &Relation, assignments: &[ast::Assignment]) -> Vec<usize> {
    let names = assignments.iter().flat_map(|assignment| match &assignment.target {
        AssignmentTarget::ColumnName(name) => std::slice::from_ref(name),
        AssignmentTarget::Tuple(names) => names.as_slice(),
    });
    names.filter_map(|name| place(relation, name)).collect()
}

fn place(relation: &Relation, name: &ast::ObjectName) -> Option<usize> {
    let name = name_parts(name).pop()?;
    relation.columns.iter().position(|column| column.name == name)
}
