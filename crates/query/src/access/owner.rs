//! ALTER … OWNER TO: the new owner has what the old one had, and what the old one granted is theirs.

use super::asker::Need;
use super::grant::{keep, role, user};
use crate::ddl::replace;
use crate::scope::undefined_schema;
use crate::sql_function;
use crate::work::Work;
use std::sync::Arc;
use tidegate_catalog::{
    Change, ContinuousQuery, Delivery, EVERYBODY, Guarded, HISTORY, Object, Oid, Rights, Schema, User, handed_over,
};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::ast::Ident;
use tidegate_parser::{AlterOwner, Owned, fold, name_parts};

/// Performs it.
pub fn alter(work: &mut Work<'_>, alter: &AlterOwner) -> Result<&'static str> {
    let to = role(work, &alter.to)?;
    if to == EVERYBODY {
        return Err(Error::new(Kind::Syntax, "PUBLIC cannot own anything"));
    }
    match give(work, &alter.of, to) {
        Err(error) if alter.if_exists && error.kind() == Kind::UndefinedTable => {
            work.notice(format!("{}, skipping", error.message()));
        }
        other => other?,
    }
    Ok(match &alter.of {
        Owned::Relation(_) => "ALTER TABLE",
        Owned::Schema(_) => "ALTER SCHEMA",
        Owned::Function(_) => "ALTER FUNCTION",
        Owned::Delivery(_) => "ALTER DELIVERY STREAM",
        Owned::Pump(_) => "ALTER PUMP",
    })
}

/// The role that CREATE SCHEMA … AUTHORIZATION names; 42501 for one that who asks is no member of.
pub fn owner_to_be(work: &Work<'_>, name: &Ident) -> Result<Oid> {
    let to = user(work.state(), &fold(name))?.oid;
    may_give(work, to, None)?;
    Ok(to)
}

fn give(work: &mut Work<'_>, of: &Owned, to: Oid) -> Result<()> {
    match of {
        Owned::Relation(name) => {
            let relation = work.relation(name, Need::Owner)?;
            may_give(work, to, Some(relation.schema))?;
            let (oid, from) = (relation.oid, relation.owner);
            replace(work, relation, |relation| relation.owner = to)?;
            give_views(work, oid, to)?;
            hand_over(work, oid, from, to)
        }
        Owned::Schema(name) => {
            let name = name_parts(name).pop().unwrap_or_default();
            let found = work.state().named::<Schema>(&name).filter(|schema| schema.oid != HISTORY).cloned();
            let schema = found.ok_or_else(|| undefined_schema(&name))?;
            work.scope.require(&Guarded::Schema(&schema), Need::Owner)?;
            may_give(work, to, None)?;
            let (oid, from, revision) = (schema.oid, schema.owner, schema.revision + 1);
            work.push(vec![Change::put(Schema { owner: to, revision, ..schema })])?;
            hand_over(work, oid, from, to)
        }
        Owned::Function(name) => {
            let function = sql_function::wanted(work, name)?;
            work.scope.require(&Guarded::Function(&function), Need::Owner)?;
            may_give(work, to, Some(function.schema))?;
            let (oid, from) = (function.oid, function.owner);
            let function = tidegate_catalog::Function { owner: to, revision: function.revision + 1, ..function };
            work.push(vec![Change::Put(Arc::new(Object::Function(Box::new(function))))])?;
            hand_over(work, oid, from, to)
        }
        Owned::Delivery(name) => {
            let name = name_parts(name).pop().unwrap_or_default();
            let missing = || Error::new(Kind::UndefinedObject, format!("delivery stream \"{name}\" does not exist"));
            let delivery = work.state().named::<Delivery>(&name).cloned().ok_or_else(missing)?;
            work.require_ownership("delivery stream", &name, delivery.owner)?;
            may_give(work, to, None)?;
            let revision = delivery.revision + 1;
            work.push(vec![Change::put(Delivery { owner: to, revision, ..delivery })])
        }
        Owned::Pump(name) => {
            let name = name_parts(name).pop().unwrap_or_default();
            let missing = || Error::new(Kind::UndefinedObject, format!("pump \"{name}\" does not exist"));
            let pump = work.state().named::<ContinuousQuery>(&name).filter(|query| !query.spec.view).cloned();
            let pump = pump.ok_or_else(missing)?;
            work.require_ownership("pump", &name, pump.owner)?;
            may_give(work, to, None)?;
            let revision = pump.revision + 1;
            work.push(vec![Change::put(ContinuousQuery { owner: to, revision, ..pump })])
        }
    }
}

/// A materialized view runs with the rights of its table's owner.
fn give_views(work: &mut Work<'_>, table: Oid, to: Oid) -> Result<()> {
    let view = work.state().all::<ContinuousQuery>().find(|query| query.owns(table)).cloned();
    match view {
        Some(view) => {
            let revision = view.revision + 1;
            work.push(vec![Change::put(ContinuousQuery { owner: to, revision, ..view })])
        }
        None => Ok(()),
    }
}

/// 42501 unless who asks is a member of the new owner, who may make such an object there: so nobody gets by it what they
/// could not have made themselves (Postgres).
fn may_give(work: &Work<'_>, to: Oid, schema: Option<Oid>) -> Result<()> {
    let asker = work.scope.asker();
    if asker.is_superuser {
        return Ok(());
    }
    let Some(owner) = work.state().get::<User>(to) else { return Ok(()) };
    if !asker.roles.contains(&to) {
        let message = format!("must be member of role \"{}\"", owner.name);
        return Err(Error::new(Kind::InsufficientPrivilege, message));
    }
    let Some(schema) = schema.and_then(|schema| work.state().get::<Schema>(schema)) else { return Ok(()) };
    let roles = work.state().roles_of(to);
    let guarded = Guarded::Schema(schema);
    match owner.superuser || work.state().rights(&roles, &guarded).has(Rights::CREATE) {
        true => Ok(()),
        false => Err(super::denied(&guarded, Need::All(Rights::CREATE))),
    }
}

fn hand_over(work: &mut Work<'_>, object: Oid, from: Oid, to: Oid) -> Result<()> {
    match work.state().access_list(object).cloned() {
        Some(list) => keep(work, object, handed_over(list.items, from, to)),
        // The defaults follow the owner.
        None => Ok(()),
    }
}
