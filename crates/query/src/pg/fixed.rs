//! Catalog rows that are the same on every server: types, functions, operators, casts.
//!
//! They come as Arrow exports with `datafusion-pg-catalog`; here they get the columns and types of our shapes.

use super::cell::{Cell, cells, column};
use super::shape::{self, Shape};
use arrow::array::{ArrayRef, BooleanArray, RecordBatch, new_null_array};
use arrow::compute::{can_cast_types, cast, concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, Schema};
use arrow::error::ArrowError;
use datafusion::error::Result;
use datafusion_pg_catalog::pg_catalog::{ArrowTable, PgCatalogStaticTables};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, OnceLock};

/// Tables whose rows are shown. What is not here and not made from the snapshot has no rows.
pub const NAMES: &[&str] = &[
    "pg_aggregate",
    "pg_am",
    "pg_cast",
    "pg_collation",
    "pg_conversion",
    "pg_language",
    "pg_opclass",
    "pg_operator",
    "pg_opfamily",
    "pg_proc",
    "pg_range",
    "pg_tablespace",
    "pg_type",
];

static TABLES: LazyLock<Option<PgCatalogStaticTables>> = LazyLock::new(|| PgCatalogStaticTables::try_new().ok());
static CONFORMED: LazyLock<HashMap<&'static str, OnceLock<Option<RecordBatch>>>> =
    LazyLock::new(|| NAMES.iter().map(|name| (*name, OnceLock::new())).collect());

/// The rows of a table of [`NAMES`].
pub fn rows(name: &str) -> Option<RecordBatch> {
    let slot = CONFORMED.get(name)?;
    let read = || {
        let batch = conformed(shape::pg(name)?, table(name)?).ok()?;
        if name == "pg_collation" { by_bytes(&batch) } else { Some(batch) }
    };
    slot.get_or_init(read).clone()
}

/// Texts are compared by bytes here: the hundreds of other collations are not to be had, and psql's `\d` joins them
/// with every type.
fn by_bytes(batch: &RecordBatch) -> Option<RecordBatch> {
    let names = cells(batch.column_by_name("collname")?).ok()?;
    let kept = names.iter().map(|name| matches!(name.text(), Some("default" | "C" | "POSIX")));
    filter_record_batch(batch, &BooleanArray::from(kept.collect::<Vec<_>>())).ok()
}

/// Postgres' keywords: word, catcode, barelabel, catdesc, baredesc.
pub fn keywords() -> Result<Option<RecordBatch>> {
    let Some(tables) = TABLES.as_ref() else { return Ok(None) };
    let table = &tables.pg_get_keywords;
    let plain: Vec<_> =
        table.schema().fields().iter().map(|f| f.as_ref().clone().with_metadata(HashMap::new())).collect();
    let batch = concat_batches(&table.schema(), table.data())?;
    Ok(Some(RecordBatch::try_new(Arc::new(Schema::new(plain)), batch.columns().to_vec())?))
}

fn table(name: &str) -> Option<&'static Arc<ArrowTable>> {
    let tables = TABLES.as_ref()?;
    Some(match name {
        "pg_aggregate" => &tables.pg_aggregate,
        "pg_am" => &tables.pg_am,
        "pg_cast" => &tables.pg_cast,
        "pg_collation" => &tables.pg_collation,
        "pg_conversion" => &tables.pg_conversion,
        "pg_language" => &tables.pg_language,
        "pg_opclass" => &tables.pg_opclass,
        "pg_operator" => &tables.pg_operator,
        "pg_opfamily" => &tables.pg_opfamily,
        "pg_proc" => &tables.pg_proc,
        "pg_range" => &tables.pg_range,
        "pg_tablespace" => &tables.pg_tablespace,
        "pg_type" => &tables.pg_type,
        _ => return None,
    })
}

fn conformed(shape: &Shape, table: &ArrowTable) -> Result<RecordBatch, ArrowError> {
    let batch = concat_batches(&table.schema(), table.data())?;
    let arrays = shape.columns.iter().zip(shape.schema.fields()).map(|(column, field)| {
        match batch.column_by_name(column.name) {
            Some(found) if column.type_name == "regproc" => procedures(found, field.data_type()),
            Some(found) => retyped(found, field.data_type()),
            None => Ok(new_null_array(field.data_type(), batch.num_rows())),
        }
    });
    RecordBatch::try_new(Arc::clone(&shape.schema), arrays.collect::<Result<_, _>>()?)
}

fn retyped(array: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, ArrowError> {
    let from_text = matches!(wanted, DataType::List(_)) && !matches!(array.data_type(), DataType::List(_));
    if !from_text && can_cast_types(array.data_type(), wanted) {
        return cast(array, wanted);
    }
    let numbers = matches!(wanted, DataType::List(item) if item.data_type().is_numeric());
    let read: Vec<Cell> = cells(array)?.into_iter().map(|cell| list_of_text(cell, numbers)).collect();
    column(&read, wanted)
}

/// The exports name functions where the catalogs have their object ids.
fn procedures(array: &ArrayRef, wanted: &DataType) -> Result<ArrayRef, ArrowError> {
    let oids = cells(array)?.into_iter().map(|cell| match &cell {
        Cell::Text(name) => Cell::Int(PROCEDURES.get(name).copied().unwrap_or(0)),
        _ => Cell::Int(cell.int().unwrap_or(0)),
    });
    column(&oids.collect::<Vec<_>>(), wanted)
}

/// The first function of each name.
static PROCEDURES: LazyLock<HashMap<String, i64>> = LazyLock::new(|| {
    let read = || {
        let raw = table("pg_proc")?;
        let batch = concat_batches(&raw.schema(), raw.data()).ok()?;
        let oids = cells(batch.column_by_name("oid")?).ok()?;
        let names = cells(batch.column_by_name("proname")?).ok()?;
        let pairs = names.iter().zip(&oids).rev();
        Some(pairs.filter_map(|(name, oid)| Some((name.text()?.to_string(), oid.int()?))).collect())
    };
    read().unwrap_or_default()
});

/// `{a,b}` and `1 2` as lists.
fn list_of_text(cell: Cell, numbers: bool) -> Cell {
    let Some(text) = cell.text() else { return cell };
    let inside = text.trim_start_matches('{').trim_end_matches('}');
    let words = inside.split([',', ' ']).filter(|word| !word.is_empty());
    if numbers {
        Cell::Ints(words.filter_map(|word| word.parse().ok()).collect())
    } else {
        Cell::Texts(words.map(str::to_string).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_has_rows() {
        for name in NAMES {
            let rows = rows(name).unwrap();
            assert!(rows.num_rows() > 0, "{name}");
            assert_eq!(rows.schema(), shape::pg(name).unwrap().schema, "{name}");
        }
        assert_eq!(rows("pg_collation").unwrap().num_rows(), 3);
        assert!(keywords().unwrap().unwrap().num_rows() > 400);
    }
}
