//! Which tables a statement must have for itself: those whose rows or definition it changes. Appending and reading need
//! none, so INSERT, COPY and deliveries never wait.

use crate::access::Need;
use crate::scope::Scope;
use std::collections::BTreeSet;
use tidegate_catalog::{Guarded, Oid, Relation, RelationKind, Rights};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::ast::{self, LockTableMode, ObjectName, ObjectType};
use tidegate_parser::{AlterOwner, AlterTable, Owned, Statement, TableChange, changed, name_parts};

/// The tables that a statement must have, by number: taken in that order by all, so that two statements cannot wait for
/// each other. A name that is none is left to the statement itself.
pub fn tables(statement: &Statement, scope: &Scope) -> BTreeSet<Oid> {
    let is_table = |relation: &&Relation| matches!(relation.kind, RelationKind::Table(_));
    if let Some(schemas) = dropped_schemas(statement) {
        let dropped: Vec<String> = schemas.iter().filter_map(|name| name_parts(name).pop()).collect();
        let inside = |relation: &&Relation| dropped.iter().any(|name| scope.state.schema_name(relation.schema) == name);
        return scope.state.relations().filter(is_table).filter(inside).map(|table| table.oid).collect();
    }
    let found = names(statement).into_iter().filter_map(|name| scope.find_parts(&name_parts(name)));
    found.filter(is_table).map(|table| table.oid).collect()
}

/// Whether a statement may need a table for itself.
pub fn may_lock(statement: &Statement) -> bool {
    dropped_schemas(statement).is_some() || !names(statement).is_empty()
}

fn dropped_schemas(statement: &Statement) -> Option<&[ObjectName]> {
    match statement {
        Statement::Sql(sql) => match sql.as_ref() {
            ast::Statement::Drop { object_type: ObjectType::Schema, names, .. } => Some(names),
            _ => None,
        },
        _ => None,
    }
}

/// Whether it would rather fail than wait.
pub fn is_impatient(statement: &Statement) -> bool {
    matches!(statement, Statement::Sql(sql) if matches!(sql.as_ref(), ast::Statement::Lock(lock) if lock.nowait))
}

fn names(statement: &Statement) -> Vec<&ObjectName> {
    let sql = match statement {
        Statement::Sql(sql) => sql.as_ref(),
        Statement::AlterTable(alter) => return altered(alter),
        Statement::AlterOwner(AlterOwner { of: Owned::Relation(name), .. }) => return vec![name],
        _ => return Vec::new(),
    };
    match sql {
        ast::Statement::Drop { object_type: ObjectType::Table, names, .. } => names.iter().collect(),
        ast::Statement::AlterTable(alter) => vec![&alter.name],
        ast::Statement::Lock(lock) => lock.tables.iter().map(|target| &target.name).collect(),
        other => changed(other),
    }
}

/// The table, and the one whose rows it takes.
fn altered(alter: &AlterTable) -> Vec<&ObjectName> {
    let mut names = vec![&alter.name];
    for change in &alter.changes {
        if let TableChange::Append { source, .. } = change {
            names.push(source);
        }
    }
    names
}

/// What LOCK TABLE needs before it waits: a block, a mode that there is, names of tables, and as in Postgres the right to
/// change what is in them.
pub fn check_lock(lock: &ast::Lock, scope: &Scope, in_block: bool) -> Result<()> {
    if !in_block {
        return Err(Error::new(Kind::NoTransaction, "LOCK TABLE can only be used in transaction blocks"));
    }
    if let Some(mode) = lock.lock_mode.as_ref().filter(|mode| !matches!(mode, LockTableMode::AccessExclusive)) {
        let message = format!("LOCK TABLE … IN {mode} MODE is not supported");
        return Err(Error::new(Kind::Unsupported, message).hint("The one mode is ACCESS EXCLUSIVE."));
    }
    for target in &lock.tables {
        let relation = scope.relation(&name_parts(&target.name))?;
        if !matches!(relation.kind, RelationKind::Table(_)) {
            let message = format!("\"{}\" is a {}, not a table", relation.name, relation.kind.noun());
            return Err(Error::new(Kind::WrongObjectType, message));
        }
        scope.require(&Guarded::Relation(relation), Need::Any(Rights::UPDATE | Rights::DELETE | Rights::TRUNCATE))?;
    }
    Ok(())
}

/// 55P03 for a table that another has.
pub fn taken(scope: &Scope, table: Oid) -> Error {
    let name = scope.state.relation(table).map_or_else(|| table.to_string(), |relation| relation.name.clone());
    Error::new(Kind::LockNotAvailable, format!("could not obtain lock on relation \"{name}\""))
}
