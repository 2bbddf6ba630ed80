//! Columns that nobody declared: those in the files, and those in the names of their folders.

use crate::location::Location;
use datafusion::catalog::Session;
use object_store::ObjectMeta;
use tidegate_catalog::{Column, SqlType};
use tidegate_core::Result;
use tidegate_query::formats::partitions::inferred_type;
use tidegate_query::formats::{Compression, FileFormat, infer_schema};

/// The columns of the files, as they are named there.
pub async fn columns(
    state: &dyn Session,
    location: &Location,
    format: &FileFormat,
    files: &[ObjectMeta],
) -> Result<Vec<Column>> {
    let Some(first) = files.first() else { return Err(location.missing()) };
    // One compression tells as much as all of them.
    let compression = Compression::of_name(first.location.as_ref());
    let alike: Vec<ObjectMeta> =
        files.iter().filter(|file| Compression::of_name(file.location.as_ref()) == compression).cloned().collect();
    let schema = infer_schema(state, &location.store, format, compression, &alike).await?;
    let column = |field: &std::sync::Arc<arrow::datatypes::Field>| {
        Column::new(field.name(), SqlType::of_arrow(field.data_type()))
    };
    Ok(schema.fields().iter().map(column).collect())
}

/// The columns that the folders' names give, if all files lie in such folders alike.
pub fn partitions(location: &Location, files: &[ObjectMeta]) -> Vec<Column> {
    partitions_of(&files.iter().map(|file| location.relative(&file.location)).collect::<Vec<_>>())
}

fn partitions_of(paths: &[&str]) -> Vec<Column> {
    let Some(first) = paths.first() else { return Vec::new() };
    let names: Vec<&str> = folders(first).map(|(name, _)| name).collect();
    if !paths.iter().all(|path| folders(path).map(|(name, _)| name).eq(names.iter().copied())) {
        return Vec::new();
    }
    let typed = |(at, name): (usize, &&str)| {
        let values = paths.iter().filter_map(|path| folders(path).nth(at).map(|(_, value)| value));
        Column::new(*name, SqlType::of_arrow(&inferred_type(values)))
    };
    names.iter().enumerate().map(typed).collect()
}

/// Name and value of each folder of the form `name=value`.
fn folders(path: &str) -> impl Iterator<Item = (&str, &str)> {
    let above = path.rsplit_once('/').map_or("", |(above, _)| above);
    above.split('/').filter_map(|folder| folder.split_once('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_what_all_folders_have() {
        let cases: [(&[&str], &str); 5] = [
            (&["y=1/m=02/a", "y=2/m=03/b"], "y bigint, m text"),
            (&["y=1/a", "y=x/a"], "y text"),
            (&["y=1/a", "a"], ""),
            (&["a=1.csv"], ""),
            (&[], ""),
        ];
        for (paths, expected) in cases {
            let found: Vec<_> =
                partitions_of(paths).iter().map(|column| format!("{} {}", column.name, column.sql_type)).collect();
            assert_eq!(found.join(", "), expected, "{paths:?}");
        }
    }
}
