//! Hive partitions: values in folder names (`y=2013/m=1/`), and the files that filters on them leave.

use super::text_values::ColumnText;
use crate::fault::carried;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::Session;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result as EngineResult, ScalarValue};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};

/// What Hive writes for NULL.
pub const HIVE_NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// The values of the partition columns in an object's path under the table's location.
pub fn hive_partitions(relative: &str, columns: &[Field]) -> Result<Vec<ScalarValue>> {
    let folders: Vec<&str> = relative.rsplit_once('/').map_or("", |(folders, _)| folders).split('/').collect();
    let mut values = Vec::with_capacity(columns.len());
    for column in columns {
        let mut found = None;
        for folder in &folders {
            found = found.or(folder_value(folder, column)?);
        }
        values.push(found.ok_or_else(|| {
            let message = format!("file \"{relative}\" is in no folder \"{}=…\"", column.name());
            Error::new(Kind::InvalidDefinition, message).hint("PARTITIONED BY names the folders of the location")
        })?);
    }
    Ok(values)
}

/// The value in a folder's name; `None` when the folder is of another column.
pub(super) fn folder_value(folder: &str, column: &Field) -> Result<Option<ScalarValue>> {
    let Some((name, text)) = folder.split_once('=') else { return Ok(None) };
    if !url_decoded(name).eq_ignore_ascii_case(column.name()) {
        return Ok(None);
    }
    let text = url_decoded(text);
    if text == HIVE_NULL {
        return ScalarValue::try_from(column.data_type()).map(Some).map_err(Error::internal);
    }
    let bad = |_| {
        let message = format!("folder \"{folder}\" holds no value of type {}", column.data_type());
        Error::new(Kind::InvalidText, message)
    };
    ScalarValue::try_from_string(text, column.data_type()).map(Some).map_err(bad)
}

/// The folder for a value of an array, such as `y=2013`. Booleans are `true` and `false`, as Hive reads them.
pub fn hive_folder_of(column: &str, values: &ArrayRef, row: usize) -> Result<String> {
    let text = if values.is_null(row) {
        HIVE_NULL.to_string()
    } else if let Some(flags) = values.as_boolean_opt() {
        flags.value(row).to_string()
    } else {
        let mut text = Vec::new();
        ColumnText::new(values)?.write(row, &mut text)?;
        String::from_utf8(text).map_err(Error::internal)?
    };
    Ok(hive_folder(column, &text))
}

/// A value as a folder's name: Hive's escapes.
fn hive_folder(column: &str, text: &str) -> String {
    let mut folder = url_encoded(column);
    folder.push('=');
    folder.push_str(&url_encoded(text));
    folder
}

/// The characters that Hive escapes in folder names.
fn url_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_control() || "\"#%'*/:=?\\{}[]^".contains(c) {
            out.push_str(&format!("%{:02X}", c as u32));
        } else {
            out.push(c);
        }
    }
    out
}

fn url_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digit = |at: usize| bytes.get(at).and_then(|&b| char::from(b).to_digit(16));
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_string())
}

/// The partition columns that all files' paths under a location share, with the types that their values suggest.
pub fn inferred_columns<'a>(relative_paths: impl Iterator<Item = &'a str>) -> Vec<Field> {
    let mut shared: Option<Vec<(String, Vec<String>)>> = None;
    for path in relative_paths {
        let folders = path.rsplit_once('/').map_or("", |(folders, _)| folders).split('/');
        let named: Vec<(String, String)> = folders
            .filter_map(|folder| folder.split_once('='))
            .map(|(name, value)| (url_decoded(name), url_decoded(value)))
            .collect();
        match &mut shared {
            None => shared = Some(named.into_iter().map(|(name, value)| (name, vec![value])).collect()),
            Some(shared) if shared.iter().map(|(name, _)| name).eq(named.iter().map(|(name, _)| name)) => {
                for ((_, values), (_, value)) in shared.iter_mut().zip(named) {
                    // Many files share a folder: each run of the same value is kept once.
                    if values.last() != Some(&value) {
                        values.push(value);
                    }
                }
            }
            // Folders that differ are a user's own order, not partitions.
            Some(_) => return Vec::new(),
        }
    }
    let field = |(name, values): (String, Vec<String>)| {
        Field::new(name, inferred_type(values.iter().map(String::as_str)), true)
    };
    shared.unwrap_or_default().into_iter().map(field).collect()
}

/// Whether a filter speaks of partition columns alone, so that pruning decides it exactly.
pub fn only_partition_columns(filter: &Expr, columns: &[Field]) -> bool {
    let mut applies = !filter.is_volatile();
    let mut some = false;
    let walked = filter.apply(|expr| {
        match expr {
            Expr::Column(column) => {
                some = true;
                applies &= columns.iter().any(|field| field.name() == &column.name);
            }
            Expr::Exists(_) | Expr::InSubquery(_) | Expr::ScalarSubquery(_) | Expr::OuterReferenceColumn(..) => {
                applies = false;
            }
            Expr::Placeholder(_) | Expr::AggregateFunction(_) | Expr::WindowFunction(_) => applies = false,
            _ => {}
        }
        Ok(if applies { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    walked.is_ok() && applies && some
}

/// For each partition column the one value that the filters want of it (`column = literal`), if they name one.
pub fn wanted_values(filters: &[Expr], columns: &[Field]) -> Vec<Option<ScalarValue>> {
    let mut wanted = vec![None; columns.len()];
    let conjuncts = filters.iter().flat_map(datafusion::logical_expr::utils::split_conjunction);
    for conjunct in conjuncts {
        let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = conjunct else { continue };
        let (Expr::Column(column), Expr::Literal(value, _)) = (match (left.as_ref(), right.as_ref()) {
            (Expr::Literal(..), Expr::Column(_)) => (right.as_ref(), left.as_ref()),
            other => other,
        }) else {
            continue;
        };
        for (field, slot) in columns.iter().zip(&mut wanted) {
            if field.name() == &column.name && !value.is_null() {
                *slot = value.cast_to(field.data_type()).ok().filter(|v| lossless(value, v));
            }
        }
    }
    wanted
}

/// Whether the literal means the same after the cast to the column's type.
fn lossless(literal: &ScalarValue, cast: &ScalarValue) -> bool {
    cast.cast_to(&literal.data_type()).is_ok_and(|back| back == *literal)
}

/// Leaves the files whose partition values the filters allow. Filters on other columns are passed over.
pub fn prune_partitions(
    state: &dyn Session,
    files: Vec<PartitionedFile>,
    filters: &[Expr],
    columns: &[Field],
) -> EngineResult<Vec<PartitionedFile>> {
    let filters: Vec<&Expr> = filters.iter().filter(|filter| only_partition_columns(filter, columns)).collect();
    if filters.is_empty() || files.is_empty() {
        return Ok(files);
    }
    let batch = partition_values(&files, columns)?;
    let schema = DFSchema::try_from(batch.schema())?;
    let mut keep = vec![true; files.len()];
    for filter in filters {
        let expr = state.create_physical_expr(unqualified(filter)?, &schema)?;
        let result = expr.evaluate(&batch)?.into_array(files.len())?;
        let Some(result) = result.as_any().downcast_ref::<BooleanArray>() else { continue };
        for (row, keep) in keep.iter_mut().enumerate() {
            *keep &= result.is_valid(row) && result.value(row);
        }
    }
    Ok(files.into_iter().zip(keep).filter_map(|(file, keep)| keep.then_some(file)).collect())
}

/// One row for each file.
fn partition_values(files: &[PartitionedFile], columns: &[Field]) -> EngineResult<RecordBatch> {
    let nullable = |field: &Field| Field::new(field.name(), field.data_type().clone(), true);
    let schema = Arc::new(Schema::new(columns.iter().map(nullable).collect::<Vec<_>>()));
    let mut arrays = Vec::with_capacity(columns.len());
    for (at, column) in columns.iter().enumerate() {
        let missing = || {
            let message = format!("a file has no value of partition column \"{}\"", column.name());
            carried(Error::internal(message))
        };
        let values: Vec<ScalarValue> = files
            .iter()
            .map(|file| file.partition_values.get(at).cloned().ok_or_else(missing))
            .collect::<EngineResult<_>>()?;
        arrays.push(ScalarValue::iter_to_array(values)?);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(files.len()));
    Ok(RecordBatch::try_new_with_options(schema, arrays, &options)?)
}

/// Columns without their table's name.
fn unqualified(filter: &Expr) -> EngineResult<Expr> {
    use datafusion::common::{Column, tree_node::Transformed};
    let plain = filter.clone().transform(|expr| {
        Ok(match expr {
            Expr::Column(column) if column.relation.is_some() => {
                Transformed::yes(Expr::Column(Column::new_unqualified(column.name)))
            }
            other => Transformed::no(other),
        })
    })?;
    Ok(plain.data)
}

/// The usual type of a partition column of which no type is declared: whole numbers when all values are, else text.
pub fn inferred_type<'a>(values: impl IntoIterator<Item = &'a str>) -> DataType {
    let mut any = false;
    let whole = values.into_iter().filter(|v| *v != HIVE_NULL).all(|v| {
        any = true;
        // `01` is no number: it would not come back as it was.
        v.parse::<i64>().is_ok_and(|n| n.to_string() == v)
    });
    if any && whole { DataType::Int64 } else { DataType::Utf8View }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::prelude::{SessionContext, col, lit};

    fn columns() -> Vec<Field> {
        vec![Field::new("y", DataType::Int32, true), Field::new("c", DataType::Utf8, true)]
    }

    #[test]
    fn folders_are_read() {
        let cases = [
            ("y=2013/c=a%3Ab/f.csv", Ok(vec![ScalarValue::Int32(Some(2013)), ScalarValue::from("a:b")])),
            ("C=x/Y=01/f", Ok(vec![ScalarValue::Int32(Some(1)), ScalarValue::from("x")])),
            ("y=1/c=__HIVE_DEFAULT_PARTITION__/f", Ok(vec![ScalarValue::Int32(Some(1)), ScalarValue::Utf8(None)])),
            ("y=x/c=a/f", Err(Kind::InvalidText)),
            ("y=1/f", Err(Kind::InvalidDefinition)),
            ("c=a/f/y=1", Err(Kind::InvalidDefinition)),
        ];
        for (path, expected) in cases {
            assert_eq!(hive_partitions(path, &columns()).map_err(|e| e.kind()), expected, "{path}");
        }
        assert_eq!(hive_folder("c", "a/b=c"), "c=a%2Fb%3Dc");
    }

    #[test]
    fn columns_are_told_by_folders() {
        let cases: [(&[&str], &[&str]); 5] = [
            (&["y=1/m=01/a", "y=2/m=02/b"], &["y Int64", "m Utf8View"]),
            (&["y=1/a", "y=__HIVE_DEFAULT_PARTITION__/a"], &["y Int64"]),
            (&["y=1/a", "b"], &[]),
            (&["y=1/a", "z=1/a"], &[]),
            (&["a", "b/c"], &[]),
        ];
        for (paths, expected) in cases {
            let found = inferred_columns(paths.iter().copied());
            let found: Vec<String> = found.iter().map(|f| format!("{} {}", f.name(), f.data_type())).collect();
            assert_eq!(found, expected, "{paths:?}");
        }
    }

    #[test]
    fn files_are_pruned() {
        let state = SessionContext::new().state();
        let file = |y: i32, c: Option<&str>| {
            let values = vec![ScalarValue::Int32(Some(y)), ScalarValue::Utf8(c.map(String::from))];
            PartitionedFile::new(format!("{y}/{c:?}"), 1).with_partition_values(values)
        };
        let files = || vec![file(1, Some("a")), file(2, Some("a")), file(2, None)];
        let cases = [
            (col("y").eq(lit(2i64)), 2),
            (col("y").gt(lit(2)), 0),
            (col("c").is_null(), 1),
            (col("y").eq(lit(2)).and(col("c").eq(lit("a"))), 1),
            (col("other").eq(lit(2)), 3),
        ];
        for (filter, left) in cases {
            let name = filter.to_string();
            assert_eq!(prune_partitions(&state, files(), &[filter], &columns()).unwrap().len(), left, "{name}");
        }
    }

    #[test]
    fn equalities_are_found() {
        let filters = [col("y").eq(lit(2013i64)).and(col("z").eq(lit(1))), lit("a").eq(col("c"))];
        let expected = [Some(ScalarValue::Int32(Some(2013))), Some(ScalarValue::from("a"))];
        assert_eq!(wanted_values(&filters, &columns()), expected);
        assert_eq!(wanted_values(&[col("y").gt(lit(1))], &columns()), [None, None]);
    }
}
