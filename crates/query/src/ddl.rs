//! DDL that relations of all kinds share: schemas, views, names, comments, credentials, users, settings.

use crate::access::{self, Need, require_creation, require_superuser};
use crate::insert;
use crate::outcome::Outcome;
use crate::scope::undefined_schema;
use crate::sql_function;
use crate::view;
use crate::work::Work;
use std::sync::Arc;
use tidegate_catalog::{
    Change, Column, ContinuousQuery, Delivery, Guarded, HISTORY, Object, Relation, RelationKind, Rights, RowSecurity,
    Schema, Space,
};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::ast::{self, ObjectName, ObjectType};
use tidegate_parser::{AlterSchema, CreateSchema, fold, name_parts};

/// Performs what it knows. None: it is not DDL of this kind.
pub async fn execute(work: &mut Work<'_>, statement: &ast::Statement) -> Result<Option<Outcome>> {
    let tag = match statement {
        ast::Statement::CreateFunction(create) => {
            sql_function::create(work, create).await?;
            "CREATE FUNCTION"
        }
        ast::Statement::DropFunction(drop) => {
            sql_function::drop_functions(work, drop)?;
            "DROP FUNCTION"
        }
        ast::Statement::CreateView(view) => {
            view::create(work, view).await?;
            "CREATE VIEW"
        }
        ast::Statement::Drop { object_type, if_exists, names, cascade, .. } => match object_type {
            ObjectType::Schema => drop_schemas(work, names, *if_exists, *cascade)?,
            ObjectType::View => drop_relations(work, names, *if_exists, *cascade, "view", "DROP VIEW")?,
            ObjectType::Table => drop_relations(work, names, *if_exists, *cascade, "table", "DROP TABLE")?,
            _ => return Ok(None),
        },
        ast::Statement::Comment {
            object_type: ast::CommentObject::Table | ast::CommentObject::View,
            object_name,
            comment,
            ..
        } => {
            let relation = work.relation(object_name, Need::Owner)?;
            replace(work, relation, |relation| relation.comment = comment.clone())?;
            "COMMENT"
        }
        ast::Statement::Comment { object_type: ast::CommentObject::Column, object_name, comment, .. } => {
            comment_on_column(work, object_name, comment.clone())?;
            "COMMENT"
        }
        ast::Statement::AlterTable(alter) => alter_table(work, alter)?,
        ast::Statement::CreateIndex(_) => {
            work.notice("indexes have no meaning here: CREATE INDEX did nothing");
            "CREATE INDEX"
        }
        _ => return Ok(None),
    };
    Ok(Some(Outcome::Done { tag: tag.to_string() }))
}

fn comment_on_column(work: &mut Work<'_>, name: &ObjectName, comment: Option<String>) -> Result<()> {
    let parts = name_parts(name);
    let Some((column, relation)) = parts.split_last().filter(|(_, relation)| !relation.is_empty()) else {
        return Err(Error::new(Kind::Syntax, "column name must be qualified"));
    };
    let relation = work.scope.relation(relation)?.clone();
    work.scope.require(&Guarded::Relation(&relation), Need::Owner)?;
    let index = insert::column_index(&relation, column)?;
    replace(work, relation, |relation| {
        if let Some(column) = relation.columns.get_mut(index) {
            column.comment = comment;
        }
    })
}

/// Puts a changed relation in the place of the one that was seen.
pub fn replace(work: &mut Work<'_>, mut relation: Relation, change: impl FnOnce(&mut Relation)) -> Result<()> {
    relation.revision += 1;
    change(&mut relation);
    work.push(vec![Change::Put(Arc::new(Object::Relation(relation)))])
}

/// A new relation's bones, for a name in its parts. 42P07 when the name is taken; None when that does not matter.
pub fn new_relation(
    work: &mut Work<'_>,
    name: &[String],
    if_not_exists: bool,
    columns: Vec<Column>,
    kind: impl FnOnce(u32) -> Result<RelationKind>,
) -> Result<Option<Relation>> {
    let (schema, name) = work.scope.place(name)?;
    if work.state().find(Space::Relation(schema), &name).is_some() {
        if if_not_exists {
            work.skipping("42P07", format!("relation \"{name}\" already exists, skipping"));
            return Ok(None);
        }
        return Err(Error::new(Kind::DuplicateTable, format!("relation \"{name}\" already exists")));
    }
    require_creation(work, schema)?;
    let oid = work.engine().catalog().next_oid()?;
    let owner = work.user_oid();
    Ok(Some(Relation {
        oid,
        schema,
        name,
        revision: 1,
        columns,
        owner,
        comment: None,
        created_ms: work.engine().clock().now_ms(),
        row_security: RowSecurity::default(),
        kind: kind(oid)?,
    }))
}

/// CREATE SCHEMA.
pub fn create_schema(work: &mut Work<'_>, create: &CreateSchema) -> Result<Outcome> {
    const TAG: &str = "CREATE SCHEMA";
    let name = fold(&create.name);
    if name.starts_with("pg_") || ["information_schema", "kinesis", "firehose", "tidegate"].contains(&name.as_str()) {
        return Err(Error::new(Kind::InvalidDefinition, format!("schema name \"{name}\" is reserved")));
    }
    if create.if_not_exists && work.state().find(Space::Schema, &name).is_some() {
        work.skipping("42P06", format!("schema \"{name}\" already exists, skipping"));
        return Ok(Outcome::Done { tag: TAG.to_string() });
    }
    work.scope.require(&Guarded::Database, Need::All(Rights::CREATE))?;
    let owner = match &create.owner {
        Some(owner) => access::owner_to_be(work, owner)?,
        None => work.user_oid(),
    };
    let oid = work.engine().catalog().next_oid()?;
    work.push(vec![Change::put(Schema { oid, name, revision: 1, owner, source: None, quota_mb: create.quota_mb })])?;
    Ok(Outcome::Done { tag: TAG.to_string() })
}

/// ALTER SCHEMA.
pub fn alter_schema(work: &mut Work<'_>, alter: &AlterSchema) -> Result<Outcome> {
    require_superuser(&work.scope, "alter a schema")?;
    let name = fold(&alter.name);
    let found = work.state().all::<Schema>().find(|schema| schema.name == name && schema.oid != HISTORY);
    let schema = found.cloned().ok_or_else(|| undefined_schema(&name))?;
    let revision = schema.revision + 1;
    work.push(vec![Change::put(Schema { revision, quota_mb: alter.quota_mb, ..schema })])?;
    Ok(Outcome::Done { tag: "ALTER SCHEMA".to_string() })
}

fn drop_schemas(work: &mut Work<'_>, names: &[ObjectName], if_exists: bool, cascade: bool) -> Result<&'static str> {
    for name in names {
        let name = name_parts(name).pop().unwrap_or_default();
        let found = work.state().find(Space::Schema, &name).filter(|schema| schema.oid() != HISTORY);
        let Some(schema) = found.cloned() else {
            if if_exists {
                work.notice(format!("schema \"{name}\" does not exist, skipping"));
                continue;
            }
            return Err(undefined_schema(&name));
        };
        if let Some(schema) = work.state().get::<Schema>(schema.oid()) {
            work.scope.require(&Guarded::Schema(schema), Need::Owner)?;
        }
        let inside: Vec<_> =
            work.state().relations().filter(|relation| relation.schema == schema.oid()).cloned().collect();
        let functions = work.state().functions().any(|function| function.schema == schema.oid());
        if (functions || !inside.is_empty()) && !cascade {
            let message = format!("cannot drop schema {name} because other objects depend on it");
            return Err(Error::new(Kind::DependentObjects, message)
                .hint("Use DROP … CASCADE to drop the dependent objects too."));
        }
        view::drop_materialized(work, |query| inside.iter().any(|relation| query.owns(relation.oid)))?;
        for relation in inside {
            if work.state().relation(relation.oid).is_some() {
                view::drop_relation(work, &relation, true)?;
            }
        }
        sql_function::drop_of_schema(work, schema.oid())?;
        work.push(vec![Change::Drop { oid: schema.oid(), revision: schema.revision() }])?;
    }
    Ok("DROP SCHEMA")
}

/// The relation of a name, for who owns it or its schema, or was granted Redshift's DROP. 42P01, 42501.
fn droppable(work: &Work<'_>, name: &ObjectName) -> Result<Relation> {
    let relation = work.scope.relation(&name_parts(name))?;
    let schema = work.state().get::<Schema>(relation.schema);
    if !schema.is_some_and(|schema| work.scope.asker().owns(&Guarded::Schema(schema))) {
        work.scope.require(&Guarded::Relation(relation), Need::OwnerOr(Rights::DROP))?;
    }
    Ok(relation.clone())
}

fn drop_relations(
    work: &mut Work<'_>,
    names: &[ObjectName],
    if_exists: bool,
    cascade: bool,
    noun: &str,
    tag: &'static str,
) -> Result<&'static str> {
    for name in names {
        let relation = match droppable(work, name) {
            Ok(relation) => relation,
            Err(error) if if_exists && error.kind() == Kind::UndefinedTable => {
                work.notice(format!("{noun} \"{name}\" does not exist, skipping"));
                continue;
            }
            Err(error) => return Err(error),
        };
        let is = relation.kind.noun();
        if is != noun && !(noun == "table" && is == "external table") {
            let hint = format!("Use DROP {} to remove it.", is.to_uppercase());
            return Err(Error::new(Kind::WrongObjectType, format!("\"{}\" is not a {noun}", relation.name)).hint(hint));
        }
        view::drop_relation(work, &relation, cascade)?;
    }
    Ok(tag)
}

/// 2BP01 when a delivery, a pump or a materialized view reads or writes the relation.
pub fn refuse_if_needed(work: &Work<'_>, relation: &Relation) -> Result<()> {
    let needs = |delivery: &&Delivery| {
        delivery.spec.source == relation.oid
            || matches!(delivery.spec.target, tidegate_catalog::DeliveryTarget::Table(oid) if oid == relation.oid)
    };
    let reads = |query: &&ContinuousQuery| {
        let spec = &query.spec;
        let reads = spec.source == relation.oid || spec.tables.contains(&relation.oid);
        reads || spec.target == relation.oid || query.owns(relation.oid)
    };
    if let Some(query) = work.state().all::<ContinuousQuery>().find(reads) {
        let (noun, name) = (relation.kind.noun(), &relation.name);
        let what = if query.spec.view { "materialized view" } else { "pump" };
        let message = format!("cannot drop {noun} {name} because {what} {} depends on it", query.name);
        return Err(Error::new(Kind::DependentObjects, message).hint(format!(
            "DROP {} {} first.",
            what.to_uppercase(),
            query.name
        )));
    }
    match work.state().all::<Delivery>().find(needs) {
        Some(delivery) => {
            let message = format!(
                "cannot drop {} {} because delivery stream {} depends on it",
                relation.kind.noun(),
                relation.name,
                delivery.name
            );
            Err(Error::new(Kind::DependentObjects, message)
                .hint(format!("DROP DELIVERY STREAM {} first.", delivery.name)))
        }
        None => Ok(()),
    }
}

/// Drops a relation and retires its objects.
pub fn drop_one(work: &mut Work<'_>, relation: &Relation) -> Result<()> {
    work.push(vec![Change::Drop { oid: relation.oid, revision: relation.revision }])
}

/// 42809 for a materialized view: its columns are its query's.
pub fn refuse_view(work: &Work<'_>, relation: &Relation) -> Result<()> {
    match work.state().all::<ContinuousQuery>().any(|query| query.owns(relation.oid)) {
        true => {
            let message = format!("\"{}\" is a materialized view, which cannot be altered so", relation.name);
            Err(Error::new(Kind::WrongObjectType, message).hint("Drop it and create it again."))
        }
        false => Ok(()),
    }
}

fn alter_table(work: &mut Work<'_>, alter: &ast::AlterTable) -> Result<&'static str> {
    let relation = work.relation(&alter.name, Need::OwnerOr(Rights::ALTER))?;
    refuse_view(work, &relation)?;
    for operation in &alter.operations {
        let relation =
            work.state().relation(relation.oid).cloned().ok_or_else(|| Error::internal("a relation is lost"))?;
        match operation {
            ast::AlterTableOperation::RenameTable {
                table_name: ast::RenameTableNameKind::To(to) | ast::RenameTableNameKind::As(to),
            } => {
                let name = name_parts(to).pop().unwrap_or_default();
                replace(work, relation, |relation| relation.name = name)?;
            }
            other => return Err(Error::new(Kind::Unsupported, format!("ALTER TABLE … {other} is not supported"))),
        }
    }
    Ok("ALTER TABLE")
}
