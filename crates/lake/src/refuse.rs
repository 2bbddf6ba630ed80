//! UPDATE, DELETE, MERGE and TRUNCATE of an external table are refused: its files are not ours.

use tidegate_catalog::RelationKind;
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::ast::{FromTable, ObjectName, Statement, TableFactor, TableWithJoins};
use tidegate_parser::name_parts;
use tidegate_query::Work;

/// 42809 when a statement changes an external table.
pub fn changes(work: &Work<'_>, statement: &Statement) -> Result<()> {
    let (what, names) = targets(statement);
    for name in names {
        if let Some(relation) = work.scope.find_parts(&name_parts(name))
            && matches!(relation.kind, RelationKind::External(_))
        {
            let message = format!("{what} is not possible on external table \"{}\"", relation.name);
            return Err(Error::new(Kind::WrongObjectType, message)
                .hint("Its rows are in files that are not the server's. UNLOAD writes files; a table holds rows."));
        }
    }
    Ok(())
}

/// What a statement does, and the relations it changes.
fn targets(statement: &Statement) -> (&'static str, Vec<&ObjectName>) {
    match statement {
        Statement::Update(update) => ("UPDATE", named(&update.table.relation).collect()),
        Statement::Delete(delete) => match &delete.from {
            FromTable::WithFromKeyword(tables) | FromTable::WithoutKeyword(tables) => {
                ("DELETE", tables.iter().flat_map(|TableWithJoins { relation, .. }| named(relation)).collect())
            }
        },
        Statement::Truncate(truncate) => ("TRUNCATE", truncate.table_names.iter().map(|target| &target.name).collect()),
        Statement::Merge(merge) => ("MERGE", named(&merge.table).collect()),
        _ => ("", Vec::new()),
    }
}

fn named(table: &TableFactor) -> impl Iterator<Item = &ObjectName> {
    match table {
        TableFactor::Table { name, .. } => Some(name),
        _ => None,
    }
    .into_iter()
}
