//! CREATE EXTERNAL TABLE, and ALTER TABLE … ADD PARTITION.

use crate::location::Location;
use crate::{format, inferred};
use std::sync::Arc;
use tidegate_catalog::{Change, Column, ExternalSpec, Object, RelationKind, Rights};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::{AddPartitions, CreateExternalTable, Partition, fold, name_parts};
use tidegate_query::formats::{FILE_COLUMNS, FileFormat};
use tidegate_query::sql_type::{columns, distinct};
use tidegate_query::{Need, Planner, Work, check_outside, ddl};

/// CREATE EXTERNAL TABLE.
pub async fn create(work: &mut Work<'_>, create: &CreateExternalTable) -> Result<&'static str> {
    let told = format::told(create)?;
    let credential = told.properties.get("credential").map(String::as_str);
    check_outside(&work.scope, &create.location, credential)?;
    let spec = ExternalSpec {
        location: create.location.clone(),
        format: told.format,
        partition_columns: Vec::new(),
        properties: told.properties,
    };
    let kind = |_| Ok(RelationKind::External(spec.clone()));
    let Some(mut relation) =
        ddl::new_relation(work, &name_parts(&create.name), create.if_not_exists, Vec::new(), kind)?
    else {
        return Ok("CREATE TABLE");
    };
    let (own, folders) = told_or_inferred(work, create, &spec).await?;
    let partition_columns = folders.iter().map(|column| column.name.clone()).collect();
    relation.columns = distinct(own.into_iter().chain(folders).collect())?;
    relation.kind = RelationKind::External(ExternalSpec { partition_columns, ..spec });
    check_names(&relation.columns)?;
    for key in told.no_ops {
        work.notice(format!("table property '{key}' has no meaning here"));
    }
    work.push(vec![Change::Put(Arc::new(Object::Relation(relation)))])?;
    Ok("CREATE TABLE")
}

/// The files' columns and those of their folders.
async fn told_or_inferred(
    work: &Work<'_>,
    create: &CreateExternalTable,
    spec: &ExternalSpec,
) -> Result<(Vec<Column>, Vec<Column>)> {
    let credential = spec.properties.get(format::CREDENTIAL).map(String::as_str);
    let location = Location::open(&work.scope, &spec.location, credential)?;
    let mut folders = columns(&create.partitioned_by)?;
    if !create.columns.is_empty() {
        return Ok((columns(&create.columns)?, folders));
    }
    let files = location.list().await?;
    if files.is_empty() {
        return Err(location
            .missing()
            .hint("Columns cannot be inferred from nothing: check the path, or declare them."));
    }
    let format = format::with_header(format::file_format(&spec.format, &spec.properties)?);
    let planner = Planner::new(&work.scope)?;
    let mut own = inferred::columns(planner.state(), &location, &format, &files).await?;
    if folders.is_empty() {
        folders = inferred::partitions(&location, &files);
    }
    // In CSV a column's place counts: there one of both names stays, and is refused as a duplicate.
    if !matches!(format, FileFormat::Csv(_)) {
        own.retain(|column| !folders.iter().any(|folder| folder.name.eq_ignore_ascii_case(&column.name)));
    }
    Ok((own, folders))
}

fn check_names(columns: &[Column]) -> Result<()> {
    match columns.iter().find(|column| FILE_COLUMNS.contains(&column.name.as_str())) {
        Some(column) => {
            let message = format!("column name \"{}\" is taken by a system column of files", column.name);
            Err(Error::new(Kind::InvalidDefinition, message).hint("Choose another name."))
        }
        None => Ok(()),
    }
}

/// ALTER TABLE … ADD PARTITION: folders are found by their names, so there is nothing to add where that is their place.
pub fn add_partitions(work: &mut Work<'_>, add: &AddPartitions) -> Result<&'static str> {
    let relation = work.relation(&add.table, Need::OwnerOr(Rights::ALTER))?;
    let RelationKind::External(spec) = &relation.kind else {
        let message = format!("\"{}\" is not an external table", relation.name);
        return Err(Error::new(Kind::WrongObjectType, message));
    };
    for partition in &add.partitions {
        check_columns(&relation.name, spec, partition)?;
        let place = folder_of(&spec.location, partition);
        if partition.location.as_ref().is_some_and(|elsewhere| elsewhere.trim_end_matches('/') != place) {
            let message = format!("a partition of \"{}\" in a folder of another name is not supported", relation.name);
            return Err(Error::new(Kind::Unsupported, message).hint(format!("Its files belong below {place}/.")));
        }
    }
    work.notice("partitions are found by their folders' names: ADD PARTITION did nothing");
    Ok("ALTER TABLE")
}

fn check_columns(table: &str, spec: &ExternalSpec, partition: &Partition) -> Result<()> {
    let named: Vec<String> = partition.values.iter().map(|(column, _)| fold(column)).collect();
    if named.len() == spec.partition_columns.len() && named.iter().all(|name| spec.partition_columns.contains(name)) {
        return Ok(());
    }
    let message = match spec.partition_columns.as_slice() {
        [] => format!("external table \"{table}\" is not partitioned"),
        columns => format!("external table \"{table}\" is partitioned by ({})", columns.join(", ")),
    };
    Err(Error::new(Kind::InvalidDefinition, message))
}

fn folder_of(location: &str, partition: &Partition) -> String {
    let folders = partition.values.iter().map(|(column, value)| format!("/{}={value}", fold(column)));
    format!("{}{}", location.trim_end_matches('/'), folders.collect::<String>())
}
