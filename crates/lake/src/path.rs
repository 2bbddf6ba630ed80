//! A path in quotes at a table's place: `SELECT … FROM 's3://bucket/**/*.parquet'`.

use crate::inferred;
use crate::location::Location;
use crate::table::FilesTable;
use object_store::ObjectMeta;
use tidegate_core::{Error, Kind, Result};
use tidegate_query::formats::FileFormat;
use tidegate_query::sql_type::distinct;
use tidegate_query::{Planner, Scope, check_outside};

/// The table of the files at a URL as they are now.
pub async fn table(scope: &Scope, url: &str) -> Result<FilesTable> {
    check_outside(scope, url, None)?;
    let location = Location::open(scope, url, None)?;
    let files = location.list().await?;
    if files.is_empty() {
        return Err(location.missing());
    }
    let format = format_of(url, &files)?;
    let planner = Planner::new(scope)?;
    let columns = inferred::columns(planner.state(), &location, &format, &files).await?;
    // What the files hold themselves is not asked of their folders.
    let mut partitions = inferred::partitions(&location, &files);
    partitions.retain(|partition| !columns.iter().any(|own| own.name.eq_ignore_ascii_case(&partition.name)));
    let count = partitions.len();
    let columns = distinct(columns.into_iter().chain(partitions).collect())?;
    Ok(FilesTable::of_files(scope, location, format, &columns, count, files))
}

/// The format that the endings of all the files tell.
fn format_of(url: &str, files: &[ObjectMeta]) -> Result<FileFormat> {
    let mut told: Option<FileFormat> = None;
    for file in files {
        let name = file.location.as_ref();
        let format = FileFormat::of_name(name).ok_or_else(|| {
            let shown = name.rsplit('/').next().unwrap_or(name);
            Error::new(Kind::Unsupported, format!("the ending of \"{shown}\" in {url} tells no format")).hint(
                "Known are .parquet, .csv, .tsv, .json, .jsonl and .orc; for others CREATE EXTERNAL TABLE … STORED AS.",
            )
        })?;
        match &told {
            Some(known) if *known != format => {
                let message =
                    format!("{url} holds files of more than one format: {} and {}", known.name(), format.name());
                return Err(
                    Error::new(Kind::Unsupported, message).hint("Name one of them by a glob, such as **/*.csv.")
                );
            }
            _ => told = Some(format),
        }
    }
    told.ok_or_else(|| Error::new(Kind::UndefinedFile, format!("there is no file at {url}")))
}
