//! ALTER TABLE of managed tables: each change is a new definition of the table, and of its rows where they need one.

use crate::ddl;
use crate::table_def::{self, Declared, DeclaredConstraint, DeclaredKind};
use std::collections::HashSet;
use tidegate_catalog::{
    Column, ConstraintKind, DistStyle, Encoding, Relation, RelationKind, Rights, SqlType, TableSpec,
};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::ast::{self, AlterColumnOperation, AlterTableOperation};
use tidegate_parser::{AlterTable, DistStyleWord, TableAttributes, TableChange, fold, name_parts, quoted};
use tidegate_query::ddl::{refuse_view, replace};
use tidegate_query::insert::column_index;
use tidegate_query::{Need, Work, sql_type, view};

/// Whom a statement is about.
enum Target {
    Table(Box<Relation>),
    /// Not there, which is passed over.
    Missing,
    /// Another service's.
    Other,
}

/// Performs Redshift's own clauses. False: the relation is no managed table.
pub async fn change(work: &mut Work<'_>, alter: &AlterTable) -> Result<bool> {
    let relation = match target(work, &alter.name, alter.if_exists)? {
        Target::Table(relation) => *relation,
        Target::Missing => return Ok(true),
        Target::Other => return Ok(false),
    };
    for change in &alter.changes {
        let relation = again(work, &relation)?;
        change_one(work, relation, change).await?;
    }
    Ok(true)
}

/// Performs what sqlparser reads. False: the relation is no managed table.
pub async fn alter(work: &mut Work<'_>, alter: &ast::AlterTable) -> Result<bool> {
    let relation = match target(work, &alter.name, alter.if_exists)? {
        Target::Table(relation) => *relation,
        Target::Missing => return Ok(true),
        Target::Other => return Ok(false),
    };
    for operation in &alter.operations {
        let relation = again(work, &relation)?;
        alter_one(work, relation, operation).await?;
    }
    Ok(true)
}

fn target(work: &mut Work<'_>, name: &ast::ObjectName, if_exists: bool) -> Result<Target> {
    match work.relation(name, Need::OwnerOr(Rights::ALTER)) {
        Ok(relation) if matches!(relation.kind, RelationKind::Table(_)) => {
            refuse_view(work, &relation)?;
            Ok(Target::Table(Box::new(relation)))
        }
        Ok(_) => Ok(Target::Other),
        Err(error) if if_exists && error.kind() == Kind::UndefinedTable => {
            work.notice(format!("relation \"{name}\" does not exist, skipping"));
            Ok(Target::Missing)
        }
        Err(error) => Err(error),
    }
}

/// A table as the changes before have left it.
fn again(work: &Work<'_>, relation: &Relation) -> Result<Relation> {
    work.state().relation(relation.oid).cloned().ok_or_else(|| Error::internal("a relation is lost"))
}

/// Puts a changed definition in the place of the one that was seen.
fn redefine(
    work: &mut Work<'_>,
    relation: Relation,
    change: impl FnOnce(&mut Vec<Column>, &mut TableSpec),
) -> Result<()> {
    replace(work, relation, |relation| {
        if let RelationKind::Table(spec) = &mut relation.kind {
            change(&mut relation.columns, spec);
        }
    })
}

fn spec(relation: &Relation) -> Result<&TableSpec> {
    match &relation.kind {
        RelationKind::Table(spec) => Ok(spec),
        _ => Err(Error::internal("a table that is none")),
    }
}

fn unsupported(what: &str) -> Error {
    Error::new(Kind::Unsupported, format!("ALTER TABLE … {what} is not supported"))
}

async fn change_one(work: &mut Work<'_>, relation: Relation, change: &TableChange) -> Result<()> {
    let columns = &relation.columns;
    match change {
        TableChange::DistKey(column) => {
            let attributes = TableAttributes { dist_key: Some(column.clone()), ..TableAttributes::default() };
            let dist = table_def::dist_style(&attributes, &[], columns)?;
            redefine(work, relation, |_, spec| spec.dist = dist)
        }
        TableChange::DistStyle(style) => {
            let dist = match style {
                DistStyleWord::Even => DistStyle::Even,
                DistStyleWord::All => DistStyle::All,
                DistStyleWord::Auto | DistStyleWord::Key => DistStyle::Auto,
            };
            redefine(work, relation, |_, spec| spec.dist = dist)
        }
        TableChange::SortKey(clause) => {
            let sort_key = table_def::sort_key(Some(clause), &[], columns)?;
            redefine(work, relation, |_, spec| spec.sort_key = sort_key)
        }
        TableChange::EncodeAuto => {
            redefine(work, relation, |columns, _| columns.iter_mut().for_each(|column| column.encoding = None))
        }
        TableChange::Encode(name, encoding) => {
            let index = column_index(&relation, &fold(name))?;
            let column = columns.get(index).ok_or_else(|| Error::internal("a column is lost"))?;
            let encoding = table_def::encoding(&encoding.value, column)?;
            on_column(work, relation, index, |column| column.encoding = encoding)
        }
        TableChange::Schema(schema) => set_schema(work, relation, &fold(schema)),
        TableChange::Properties(_) => {
            work.notice("table properties have no meaning for a managed table");
            Ok(())
        }
        TableChange::Append { source, ignore_extra, fill_target } => {
            append(work, relation, source, *ignore_extra, *fill_target).await
        }
    }
}

fn on_column(work: &mut Work<'_>, relation: Relation, index: usize, change: impl FnOnce(&mut Column)) -> Result<()> {
    redefine(work, relation, |columns, _| {
        if let Some(column) = columns.get_mut(index) {
            change(column);
        }
    })
}

fn set_schema(work: &mut Work<'_>, relation: Relation, schema: &str) -> Result<()> {
    let (schema, _) = work.scope.place(&[schema.to_string(), relation.name.clone()])?;
    replace(work, relation, |relation| relation.schema = schema)
}

async fn alter_one(work: &mut Work<'_>, relation: Relation, operation: &AlterTableOperation) -> Result<()> {
    match operation {
        AlterTableOperation::RenameTable {
            table_name: ast::RenameTableNameKind::To(to) | ast::RenameTableNameKind::As(to),
        } => {
            let name = name_parts(to).pop().unwrap_or_default();
            table_def::check_name(&name)?;
            replace(work, relation, |relation| relation.name = name)
        }
        AlterTableOperation::RenameColumn { old_column_name, new_column_name } => {
            rename_column(work, relation, &fold(old_column_name), fold(new_column_name))
        }
        AlterTableOperation::AddColumn { column_def, if_not_exists, .. } => {
            add_column(work, relation, column_def, *if_not_exists).await
        }
        AlterTableOperation::DropColumn { column_names, if_exists, drop_behavior, .. } => {
            let cascade = matches!(drop_behavior, Some(ast::DropBehavior::Cascade));
            for name in column_names {
                let relation = again(work, &relation)?;
                drop_column(work, relation, &fold(name), *if_exists, cascade)?;
            }
            Ok(())
        }
        AlterTableOperation::AlterColumn { column_name, op } => {
            alter_column(work, relation, &fold(column_name), op).await
        }
        AlterTableOperation::AddConstraint { constraint, .. } => add_constraint(work, relation, constraint),
        AlterTableOperation::DropConstraint { if_exists, name, drop_behavior } => {
            let cascade = matches!(drop_behavior, Some(ast::DropBehavior::Cascade));
            drop_constraint(work, relation, &fold(name), *if_exists, cascade)
        }
        other => Err(unsupported(&other.to_string())),
    }
}

fn duplicate(relation: &Relation, column: &str) -> Error {
    let message = format!("column \"{column}\" of relation \"{}\" already exists", relation.name);
    Error::new(Kind::DuplicateColumn, message)
}

fn rename_column(work: &mut Work<'_>, relation: Relation, from: &str, to: String) -> Result<()> {
    let index = column_index(&relation, from)?;
    table_def::check_name(&to)?;
    if relation.columns.iter().any(|column| column.name == to) {
        return Err(duplicate(&relation, &to));
    }
    redefine(work, relation, |columns, spec| {
        if let Some(column) = columns.get_mut(index) {
            let in_files = column.in_files().to_string();
            column.physical = (in_files != to).then_some(in_files);
            column.name = to;
            spec.mapped |= column.physical.is_some();
        }
    })
}

/// Old rows get the default's value of now: they are written anew.
async fn add_column(
    work: &mut Work<'_>,
    relation: Relation,
    definition: &ast::ColumnDef,
    if_not_exists: bool,
) -> Result<()> {
    let declared = Declared::of(std::slice::from_ref(definition), &[])?;
    if !declared.dist_keys.is_empty() || !declared.sort_keys.is_empty() || !declared.constraints.is_empty() {
        return Err(unsupported("ADD COLUMN with a key or a constraint"));
    }
    let Some(mut column) = declared.columns.into_iter().next() else { return Ok(()) };
    if column.identity.is_some() {
        return Err(unsupported("ADD COLUMN with IDENTITY"));
    }
    if relation.columns.iter().any(|own| own.name == column.name) {
        if if_not_exists {
            work.notice(format!("column \"{}\" already exists, skipping", column.name));
            return Ok(());
        }
        return Err(duplicate(&relation, &column.name));
    }
    if column.not_null && column.default.is_none() {
        let message = format!("column \"{}\" is NOT NULL and has no default for the rows that are there", column.name);
        return Err(Error::new(Kind::InvalidColumnDefinition, message).hint("Give it a DEFAULT."));
    }
    let taken: HashSet<String> = relation.columns.iter().map(|own| own.in_files().to_string()).collect();
    let taken = taken.into_iter().chain(spec(&relation)?.dropped.iter().cloned()).collect();
    column.physical = table_def::physical_name(&column.name, &taken);
    tidegate_query::insert::default_of(&work.scope, &column).await?;
    let added = column.clone();
    let table = quoted_name(work, &relation);
    let mut columns = relation.columns.clone();
    columns.push(column.clone());
    table_def::check_columns(&columns)?;
    redefine(work, relation, |columns, spec| {
        spec.mapped |= column.physical.is_some();
        columns.push(column);
    })?;
    if let Some(default) = added.default {
        work.perform(&format!("UPDATE {table} SET {} = {default}", quoted(&added.name))).await?;
    }
    Ok(())
}

fn drop_column(work: &mut Work<'_>, relation: Relation, name: &str, if_exists: bool, cascade: bool) -> Result<()> {
    let index = match column_index(&relation, name) {
        Err(error) if if_exists => {
            work.notice(format!("{}, skipping", error.message()));
            return Ok(());
        }
        found => found?,
    };
    let own = spec(&relation)?;
    let in_files = relation.columns.get(index).map(|column| column.in_files().to_string()).unwrap_or_default();
    if relation.columns.len() == 1 {
        return Err(Error::new(Kind::InvalidDefinition, "a table needs at least one column"));
    }
    let key = [
        ("distribution key", own.dist == DistStyle::Key(in_files.clone())),
        ("sort key", own.sort_key.columns.contains(&in_files)),
    ];
    if let Some((what, _)) = key.iter().find(|(_, is)| *is) {
        let message = format!("cannot drop column \"{name}\": it is in the {what} of \"{}\"", relation.name);
        return Err(Error::new(Kind::DependentObjects, message).hint("ALTER the key first."));
    }
    let refers = |kind: &ConstraintKind| matches!(kind, ConstraintKind::ForeignKey(table, columns) if *table == relation.oid && columns.contains(&in_files));
    let what = format!("column {name} of table {}", relation.name);
    let views = view::dependents_on_column(work.state(), &relation, &in_files);
    view::drop_dependents(work, &what, views, cascade)?;
    drop_references(work, &relation, cascade, &what, refers)?;
    let relation = again(work, &relation)?;
    redefine(work, relation, |columns, spec| {
        columns.remove(index);
        spec.constraints.retain(|constraint| !constraint.columns.contains(&in_files));
        spec.dropped.push(in_files);
    })
}

/// Foreign keys of other tables go with what they refer to, by CASCADE; 2BP01 without.
fn drop_references(
    work: &mut Work<'_>,
    relation: &Relation,
    cascade: bool,
    what: &str,
    refers: impl Fn(&ConstraintKind) -> bool,
) -> Result<()> {
    let is_it = |other: &&Relation| {
        let RelationKind::Table(spec) = &other.kind else { return false };
        other.oid != relation.oid && spec.constraints.iter().any(|one| refers(&one.kind))
    };
    let others: Vec<Relation> = work.state().relations().filter(is_it).cloned().collect();
    if let (Some(other), false) = (others.first(), cascade) {
        return Err(view::depended_on(what, &format!("a foreign key of table {}", other.name)));
    }
    for other in others {
        redefine(work, other, |_, spec| spec.constraints.retain(|one| !refers(&one.kind)))?;
    }
    Ok(())
}

async fn alter_column(
    work: &mut Work<'_>,
    relation: Relation,
    name: &str,
    change: &AlterColumnOperation,
) -> Result<()> {
    let index = column_index(&relation, name)?;
    let column = relation.columns.get(index).cloned().ok_or_else(|| Error::internal("a column is lost"))?;
    match change {
        AlterColumnOperation::SetDefault { value } => {
            let default = Some(table_def::default_text(value)?);
            tidegate_query::insert::default_of(&work.scope, &Column { default: default.clone(), ..column }).await?;
            on_column(work, relation, index, |column| column.default = default)
        }
        AlterColumnOperation::DropDefault => on_column(work, relation, index, |column| column.default = None),
        AlterColumnOperation::DropNotNull => {
            let own = spec(&relation)?;
            let is_key = |one: &tidegate_catalog::Constraint| {
                one.kind == ConstraintKind::PrimaryKey && one.columns.iter().any(|own| own == column.in_files())
            };
            if column.identity.is_some() || own.constraints.iter().any(is_key) {
                let message = format!("column \"{name}\" is in a primary key or counts, and is never NULL");
                return Err(Error::new(Kind::InvalidDefinition, message));
            }
            on_column(work, relation, index, |column| column.not_null = false)
        }
        AlterColumnOperation::SetDataType { data_type, using: None, .. } => {
            let wanted = sql_type::sql_type(data_type)?;
            resize(work, relation, index, &column, wanted).await
        }
        other => Err(unsupported(&format!("ALTER COLUMN {name} {other}"))),
    }
}

/// The length of a varchar, as in Redshift: larger at once, smaller where all values fit.
async fn resize(work: &mut Work<'_>, relation: Relation, index: usize, column: &Column, wanted: SqlType) -> Result<()> {
    let length = |sql_type: &SqlType| match sql_type {
        SqlType::Varchar(length) => Some(*length),
        SqlType::Text => Some(u32::MAX),
        _ => None,
    };
    let (Some(before), Some(after)) = (length(&column.sql_type), length(&wanted)) else {
        let message = format!("column \"{}\" cannot change from {} to {wanted}", column.name, column.sql_type);
        return Err(Error::new(Kind::Unsupported, message).hint("Only the length of a varchar can be changed."));
    };
    if matches!(column.encoding, Some(Encoding::Bytedict | Encoding::Runlength | Encoding::Text255 | Encoding::Text32k))
    {
        let message = format!("the length of column \"{}\" cannot change under its encoding", column.name);
        return Err(Error::new(Kind::Unsupported, message).hint("ALTER COLUMN … ENCODE first."));
    }
    if after < before {
        let (table, name) = (quoted_name(work, &relation), quoted(&column.name));
        let query = format!("SELECT count(*) FROM {table} WHERE octet_length({name}) > {after}");
        if count(work, &query).await? > 0 {
            let message = format!("column \"{}\" has values that are too long for type {wanted}", column.name);
            return Err(Error::new(Kind::StringTooLong, message));
        }
    }
    on_column(work, relation, index, |column| column.sql_type = wanted)
}

/// The number that a query gives.
async fn count(work: &Work<'_>, query: &str) -> Result<i64> {
    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;
    use futures::TryStreamExt;
    let batches: Vec<_> = work.rows(query).await?.try_collect().await.map_err(tidegate_query::from_datafusion)?;
    let number = |batch: &arrow::array::RecordBatch| {
        batch.columns().first()?.as_primitive_opt::<Int64Type>()?.values().first().copied()
    };
    batches.iter().find_map(number).ok_or_else(|| Error::internal("a count without a number"))
}

fn add_constraint(work: &mut Work<'_>, relation: Relation, constraint: &ast::TableConstraint) -> Result<()> {
    let declared = DeclaredConstraint::of(constraint)?;
    let made = ddl::constraint(work, &relation.name, &relation.columns, &declared)?;
    let own = spec(&relation)?;
    if declared.kind == DeclaredKind::PrimaryKey {
        if own.constraints.iter().any(|one| one.kind == ConstraintKind::PrimaryKey) {
            let message = format!("multiple primary keys for table \"{}\" are not allowed", relation.name);
            return Err(Error::new(Kind::InvalidDefinition, message));
        }
        let nullable = |column: &&Column| declared.columns.contains(&column.name) && !column.not_null;
        if let Some(column) = relation.columns.iter().find(nullable) {
            let message = format!("column \"{}\" of a primary key must be NOT NULL", column.name);
            return Err(Error::new(Kind::InvalidDefinition, message));
        }
    }
    if own.constraints.iter().any(|one| one.name == made.name) {
        let message = format!("constraint \"{}\" for relation \"{}\" already exists", made.name, relation.name);
        return Err(Error::new(Kind::DuplicateObject, message));
    }
    redefine(work, relation, |_, spec| spec.constraints.push(made))
}

fn drop_constraint(work: &mut Work<'_>, relation: Relation, name: &str, if_exists: bool, cascade: bool) -> Result<()> {
    let Some(found) = spec(&relation)?.constraints.iter().find(|one| one.name == name).cloned() else {
        let message = format!("constraint \"{name}\" of relation \"{}\" does not exist", relation.name);
        if if_exists {
            work.notice(format!("{message}, skipping"));
            return Ok(());
        }
        return Err(Error::new(Kind::UndefinedObject, message));
    };
    let refers = |kind: &ConstraintKind| matches!(kind, ConstraintKind::ForeignKey(table, columns) if *table == relation.oid && *columns == found.columns);
    if !matches!(found.kind, ConstraintKind::ForeignKey(..)) {
        drop_references(work, &relation, cascade, &format!("constraint {name} of table {}", relation.name), refers)?;
    }
    let relation = again(work, &relation)?;
    redefine(work, relation, |_, spec| spec.constraints.retain(|one| one.name != name))
}

/// APPEND FROM: the other table's rows are this one's, and it is empty, in one step.
async fn append(
    work: &mut Work<'_>,
    relation: Relation,
    source: &ast::ObjectName,
    ignore_extra: bool,
    fill_target: bool,
) -> Result<()> {
    work.refuse_in_block("ALTER TABLE APPEND")?;
    let from = work.relation(source, Need::Owner)?;
    if !matches!(from.kind, RelationKind::Table(_)) || from.oid == relation.oid {
        return Err(Error::new(Kind::WrongObjectType, format!("cannot append from \"{source}\"")));
    }
    let shared = shared_columns(&relation, &from, ignore_extra, fill_target)?;
    let (target, from) = (quoted_name(work, &relation), quoted_name(work, &from));
    let columns = shared.join(", ");
    work.perform(&format!("INSERT INTO {target} ({columns}) SELECT {columns} FROM {from}")).await?;
    work.perform(&format!("DELETE FROM {from}")).await?;
    Ok(())
}

/// The columns that both tables have. 42804 where they do not fit each other.
fn shared_columns(target: &Relation, source: &Relation, ignore_extra: bool, fill_target: bool) -> Result<Vec<String>> {
    let wrong = |message: String| Err(Error::new(Kind::DatatypeMismatch, message));
    let mut shared = Vec::new();
    for column in &source.columns {
        match target.columns.iter().find(|own| own.name == column.name) {
            Some(own) if own.sql_type != column.sql_type => {
                return wrong(format!(
                    "column \"{}\" is of type {} in \"{}\" and of type {} in \"{}\"",
                    column.name, own.sql_type, target.name, column.sql_type, source.name
                ));
            }
            Some(_) => shared.push(quoted(&column.name)),
            None if ignore_extra => {}
            None => {
                return wrong(format!(
                    "table \"{}\" has no column \"{}\"; IGNOREEXTRA leaves it out",
                    target.name, column.name
                ));
            }
        }
    }
    let missing = |own: &&Column| source.columns.iter().all(|column| column.name != own.name);
    match target.columns.iter().find(missing) {
        Some(own) if !fill_target => {
            wrong(format!("table \"{}\" has no column \"{}\"; FILLTARGET fills it", source.name, own.name))
        }
        _ if shared.is_empty() => wrong("the tables have no column in common".to_string()),
        _ => Ok(shared),
    }
}

fn quoted_name(work: &Work<'_>, relation: &Relation) -> String {
    format!("{}.{}", quoted(work.state().schema_name(relation.schema)), quoted(&relation.name))
}
