//! CREATE TABLE, with columns or AS a query.

use std::collections::BTreeMap;
use std::sync::Arc;
use tidegate_catalog::{Change, Column, Object, Relation, RelationKind, SqlType, TableSpec};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::{ast, name_parts};
use tidegate_query::conform::Source;
use tidegate_query::ddl::new_relation;
use tidegate_query::{Outcome, Planner, Work, insert, sql_type, temporary};

/// Performs CREATE TABLE.
pub async fn create_table(work: &mut Work<'_>, create: &ast::CreateTable) -> Result<Outcome> {
    refuse_clauses(create)?;
    if let Some(query) = &create.query {
        return create_as(work, create, query).await;
    }
    let mut notices = Vec::new();
    let columns = match &create.like {
        Some(ast::CreateTableLikeKind::Plain(like) | ast::CreateTableLikeKind::Parenthesized(like)) => {
            work.relation(&like.name)?.columns
        }
        None => sql_type::table_columns(&create.columns, |text| notices.push(text))?,
    };
    if !create.constraints.is_empty() {
        notices.push("constraints of the table are noted and not enforced".to_string());
    }
    make(work, create, columns)?;
    notices.into_iter().for_each(|text| work.notice(text));
    Ok(Outcome::Done { tag: "CREATE TABLE".to_string() })
}

async fn create_as(work: &mut Work<'_>, create: &ast::CreateTable, query: &ast::Query) -> Result<Outcome> {
    let planner = Planner::new(&work.scope)?;
    let plan = planner.plan(&ast::Statement::Query(Box::new(query.clone()))).await?;
    let fields = plan.schema().fields();
    let name = |index: usize, own: &str| {
        create.columns.get(index).map_or(own.to_string(), |column| tidegate_parser::fold(&column.name))
    };
    let columns = fields
        .iter()
        .enumerate()
        .map(|(index, field)| Column::new(name(index, field.name()), SqlType::of_arrow(field.data_type())));
    let columns = sql_type::distinct(columns.collect())?;
    let Some(relation) = make(work, create, columns)? else {
        return Ok(Outcome::Done { tag: "CREATE TABLE AS".to_string() });
    };
    let sources: Vec<Source> = (0..relation.columns.len()).map(Source::Input).collect();
    let rows = planner.stream(plan).await?;
    let rows = insert::pour(work, &relation, &sources, rows).await?;
    Ok(Outcome::Done { tag: format!("SELECT {rows}") })
}

fn make(work: &mut Work<'_>, create: &ast::CreateTable, columns: Vec<Column>) -> Result<Option<Relation>> {
    for column in &columns {
        if matches!(column.sql_type, SqlType::Interval | SqlType::Nested(_)) {
            let message = format!("column \"{}\" of type {} cannot be stored in a table", column.name, column.sql_type);
            return Err(Error::new(Kind::Unsupported, message));
        }
    }
    if columns.is_empty() {
        return Err(Error::new(Kind::InvalidDefinition, "a table needs at least one column"));
    }
    let (root, delta_id) = (work.engine().objects_url().to_string(), work.engine().rng().uuid());
    let kind = |oid| {
        let location = format!("{root}/tables/{oid}");
        Ok(RelationKind::Table(TableSpec { location, delta_id, attributes: BTreeMap::new() }))
    };
    let mut name = name_parts(&create.name);
    if create.temporary || name.first().is_some_and(|schema| name.len() > 1 && schema == temporary::ALIAS) {
        name = temporary::place(work, &name)?;
    }
    let made = new_relation(work, &name, create.if_not_exists, columns, kind)?;
    if let Some(relation) = &made {
        work.push(vec![Change::Put(Arc::new(Object::Relation(relation.clone())))])?;
    }
    Ok(made)
}

fn refuse_clauses(create: &ast::CreateTable) -> Result<()> {
    let refused = [
        ("OR REPLACE", create.or_replace),
        ("EXTERNAL", create.external),
        ("PARTITION BY", create.partition_by.is_some()),
        ("INHERITS", create.inherits.is_some()),
        ("ON COMMIT", !matches!(create.on_commit, None | Some(ast::OnCommit::PreserveRows))),
    ];
    match refused.iter().find(|(_, given)| *given) {
        Some((clause, _)) => Err(Error::new(Kind::Unsupported, format!("CREATE TABLE with {clause} is not supported"))),
        None => Ok(()),
    }
}
