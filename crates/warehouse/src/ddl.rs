//! CREATE TABLE, with columns, LIKE another table or AS a query.

use crate::table_def::{self, Declared, DeclaredConstraint, DeclaredKind};
use std::sync::Arc;
use tidegate_catalog::{
    Change, Column, Constraint, ConstraintKind, Guarded, Object, Relation, RelationKind, Rights, SqlType, TableSpec,
};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::{CreateTable, TableAttributes, ast, fold, name_parts};
use tidegate_query::conform::Source;
use tidegate_query::ddl::new_relation;
use tidegate_query::{Need, Outcome, Planner, Work, insert, sql_type, temporary};

/// What makes a table.
struct Definition {
    columns: Vec<Column>,
    spec: TableSpec,
}

/// Performs CREATE TABLE.
pub async fn create_table(work: &mut Work<'_>, create: &CreateTable) -> Result<Outcome> {
    let CreateTable { table, attributes } = create;
    refuse_clauses(table)?;
    if let Some(query) = &table.query {
        return create_as(work, table, attributes, query).await;
    }
    let definition = match &table.like {
        Some(ast::CreateTableLikeKind::Plain(like) | ast::CreateTableLikeKind::Parenthesized(like)) => {
            like_another(work, like, attributes)?
        }
        None => {
            let declared = Declared::of(&table.columns, &table.constraints)?;
            for column in declared.columns.iter().filter(|column| column.default.is_some()) {
                insert::default_of(&work.scope, column).await?;
            }
            let constraints = declared.constraints.clone();
            let mut definition = defined(declared, attributes)?;
            definition.spec.constraints = constrained(work, table, &definition.columns, &constraints)?;
            definition
        }
    };
    make(work, table, definition)?;
    Ok(Outcome::Done { tag: "CREATE TABLE".to_string() })
}

/// The definition that columns and attributes give.
fn defined(mut declared: Declared, attributes: &TableAttributes) -> Result<Definition> {
    table_def::check_columns(&declared.columns)?;
    table_def::place_in_files(&mut declared.columns);
    let Declared { columns, dist_keys, sort_keys, .. } = declared;
    let spec = TableSpec {
        dist: table_def::dist_style(attributes, &dist_keys, &columns)?,
        sort_key: table_def::sort_key(attributes.sort_key.as_ref(), &sort_keys, &columns)?,
        backup: attributes.backup.unwrap_or(true),
        mapped: columns.iter().any(|column| column.physical.is_some()),
        ..TableSpec::new("", "")
    };
    Ok(Definition { columns, spec })
}

/// As Redshift has it: names, types, NOT NULL, encodings, keys and BACKUP; defaults where they are asked for.
fn like_another(work: &Work<'_>, like: &ast::CreateTableLike, attributes: &TableAttributes) -> Result<Definition> {
    if *attributes != (TableAttributes { backup: attributes.backup, ..TableAttributes::default() }) {
        let message = "the distribution and sort key of a table made LIKE another are the other's";
        return Err(Error::new(Kind::InvalidDefinition, message));
    }
    let with_defaults = matches!(like.defaults, Some(ast::CreateTableLikeDefaults::Including));
    let other = work.relation(&like.name, Need::All(Rights::SELECT))?;
    let column = |column: &Column| Column {
        identity: None,
        comment: None,
        default: column.default.clone().filter(|_| with_defaults),
        ..column.clone()
    };
    let columns = other.columns.iter().map(column).collect();
    let RelationKind::Table(spec) = &other.kind else {
        return defined(Declared { columns, ..Declared::default() }, attributes);
    };
    let backup = attributes.backup.unwrap_or(spec.backup);
    let spec = TableSpec { backup, constraints: Vec::new(), dropped: Vec::new(), ..spec.clone() };
    Ok(Definition { columns, spec })
}

async fn create_as(
    work: &mut Work<'_>,
    table: &ast::CreateTable,
    attributes: &TableAttributes,
    query: &ast::Query,
) -> Result<Outcome> {
    let planner = Planner::new(&work.scope)?;
    let plan = planner.plan(&ast::Statement::Query(Box::new(query.clone()))).await?;
    let fields = plan.schema().fields();
    if table.columns.len() > fields.len() {
        return Err(Error::new(Kind::Syntax, "CREATE TABLE AS specifies too many column names"));
    }
    let name = |index: usize, own: &str| table.columns.get(index).map_or(own.to_string(), |column| fold(&column.name));
    let columns = fields
        .iter()
        .enumerate()
        .map(|(index, field)| Column::new(name(index, field.name()), SqlType::of_field(field)));
    let columns = sql_type::distinct(columns.collect())?;
    let definition = defined(Declared { columns, ..Declared::default() }, attributes)?;
    let Some(relation) = make(work, table, definition)? else {
        return Ok(Outcome::Done { tag: "CREATE TABLE AS".to_string() });
    };
    let sources: Vec<Source> = (0..relation.columns.len()).map(Source::Input).collect();
    let rows = planner.stream(plan).await?;
    let rows = insert::pour(work, &relation, &sources, rows, None).await?;
    Ok(Outcome::Done { tag: format!("SELECT {rows}") })
}

fn make(work: &mut Work<'_>, table: &ast::CreateTable, definition: Definition) -> Result<Option<Relation>> {
    let Definition { columns, spec } = definition;
    let (root, delta_id) = (work.engine().objects_url().to_string(), work.engine().rng().uuid());
    let kind = |oid| {
        let location = format!("{root}/tables/{oid}");
        let mut spec = TableSpec { location, delta_id, ..spec };
        for constraint in &mut spec.constraints {
            if let ConstraintKind::ForeignKey(itself @ 0, _) = &mut constraint.kind {
                *itself = oid;
            }
        }
        Ok(RelationKind::Table(spec))
    };
    let mut name = name_parts(&table.name);
    name.last().map_or(Ok(()), |name| table_def::check_name(name))?;
    let shorthand = matches!(name.as_slice(), [only] if only.starts_with('#'));
    let in_alias = name.len() > 1 && name.first().is_some_and(|schema| schema == temporary::ALIAS);
    if table.temporary || shorthand || in_alias {
        name = temporary::place(work, &name)?;
    }
    let made = new_relation(work, &name, table.if_not_exists, columns, kind)?;
    if let Some(relation) = &made {
        work.push(vec![Change::Put(Arc::new(Object::Relation(relation.clone())))])?;
    }
    Ok(made)
}

/// The table's constraints, with the columns' names in files. 42703, 42P01 and 42710 for what they name.
fn constrained(
    work: &Work<'_>,
    table: &ast::CreateTable,
    columns: &[Column],
    declared: &[DeclaredConstraint],
) -> Result<Vec<Constraint>> {
    let own = name_parts(&table.name).pop().unwrap_or_default();
    let mut made: Vec<Constraint> = Vec::with_capacity(declared.len());
    for one in declared {
        let constraint = constraint(work, &own, columns, one)?;
        if made.iter().any(|other| other.name == constraint.name) {
            let message = format!("constraint \"{}\" for relation \"{own}\" already exists", constraint.name);
            return Err(Error::new(Kind::DuplicateObject, message));
        }
        made.push(constraint);
    }
    Ok(made)
}

/// One constraint of a table of this name and these columns.
pub fn constraint(
    work: &Work<'_>,
    table: &str,
    columns: &[Column],
    declared: &DeclaredConstraint,
) -> Result<Constraint> {
    let (suffix, kind) = match &declared.kind {
        DeclaredKind::PrimaryKey => ("pkey".to_string(), ConstraintKind::PrimaryKey),
        DeclaredKind::Unique => (format!("{}_key", declared.columns.join("_")), ConstraintKind::Unique),
        DeclaredKind::References(name, named) => {
            let suffix = format!("{}_fkey", declared.columns.join("_"));
            (suffix, foreign_key(work, table, columns, name, named)?)
        }
    };
    let name = declared.name.clone().unwrap_or_else(|| format!("{table}_{suffix}"));
    let columns = in_files(table, columns, &declared.columns)?;
    Ok(Constraint { name, kind, columns, oid: work.engine().catalog().next_oid()? })
}

/// What REFERENCES names. The table itself, which is not there yet, has the number 0.
fn foreign_key(
    work: &Work<'_>,
    table: &str,
    columns: &[Column],
    name: &ast::ObjectName,
    named: &[String],
) -> Result<ConstraintKind> {
    let other = match work.scope.find_parts(&name_parts(name)) {
        Some(other) => other,
        None if name_parts(name).last().is_some_and(|last| last == table) && !named.is_empty() => {
            return Ok(ConstraintKind::ForeignKey(0, in_files(table, columns, named)?));
        }
        None => return Err(tidegate_query::undefined_table(&name.to_string())),
    };
    work.scope.require(&Guarded::Relation(other), Need::All(Rights::REFERENCES))?;
    let RelationKind::Table(spec) = &other.kind else {
        return Err(Error::new(Kind::WrongObjectType, format!("referenced relation \"{name}\" is not a table")));
    };
    if !named.is_empty() {
        return Ok(ConstraintKind::ForeignKey(other.oid, in_files(&other.name, &other.columns, named)?));
    }
    let primary = spec.constraints.iter().find(|one| one.kind == ConstraintKind::PrimaryKey);
    let missing = || {
        let message = format!("there is no primary key for referenced table \"{}\"", other.name);
        Error::new(Kind::UndefinedObject, message)
    };
    Ok(ConstraintKind::ForeignKey(other.oid, primary.ok_or_else(missing)?.columns.clone()))
}

/// The names in files of columns by name; 42703.
fn in_files(table: &str, columns: &[Column], names: &[String]) -> Result<Vec<String>> {
    let found = |name: &String| {
        let missing = || {
            let message = format!("column \"{name}\" named in a key of relation \"{table}\" does not exist");
            Error::new(Kind::UndefinedColumn, message)
        };
        let column = columns.iter().find(|column| column.name == *name).ok_or_else(missing)?;
        Ok(column.in_files().to_string())
    };
    names.iter().map(found).collect()
}

fn refuse_clauses(table: &ast::CreateTable) -> Result<()> {
    let refused = [
        ("OR REPLACE", table.or_replace),
        ("EXTERNAL", table.external),
        ("PARTITION BY", table.partition_by.is_some()),
        ("PARTITION OF", table.partition_of.is_some()),
        ("INHERITS", table.inherits.is_some()),
        ("ON COMMIT", !matches!(table.on_commit, None | Some(ast::OnCommit::PreserveRows))),
        ("WITH (…)", !matches!(table.table_options, ast::CreateTableOptions::None)),
    ];
    match refused.iter().find(|(_, given)| *given) {
        Some((clause, _)) => Err(Error::new(Kind::Unsupported, format!("CREATE TABLE with {clause} is not supported"))),
        None => Ok(()),
    }
}
