//! The relations of the system schemas, as Postgres 15 has them: names, object ids, columns and their types.
//!
//! `shapes.txt` has a line for each: `p` (pg_catalog) or `i` (information_schema), name, object id, kind, and the
//! columns as `name:type`, with `!` for one that is never NULL.

use super::cell::Cell;
use super::cell::column;
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, IntervalUnit, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

/// The object id of `pg_catalog`.
pub const PG_CATALOG_OID: u32 = 11;
/// The object id of `information_schema`.
pub const INFORMATION_SCHEMA_OID: u32 = 13207;
/// The metadata key under which a column names its SQL type where the Arrow type does not say it.
const PG_TYPE_KEY: &str = "pg_type";

/// A relation of a system schema.
#[derive(Debug)]
pub struct Shape {
    /// Whether it is in `information_schema`.
    pub information: bool,
    /// Its name.
    pub name: &'static str,
    /// Its object id.
    pub oid: u32,
    /// `r` or `v`.
    pub kind: char,
    /// Its columns.
    pub columns: Vec<ShapeColumn>,
    /// The same for the engine.
    pub schema: SchemaRef,
}

/// A column of such a relation.
#[derive(Debug)]
pub struct ShapeColumn {
    /// Its name.
    pub name: &'static str,
    /// Its type's name in `pg_type`.
    pub type_name: &'static str,
    /// Whether it is never NULL.
    pub not_null: bool,
}

/// All shapes, in the file's order.
pub static SHAPES: LazyLock<Vec<Shape>> =
    LazyLock::new(|| include_str!("shapes.txt").lines().filter_map(Shape::parse).collect());

static BY_NAME: LazyLock<HashMap<(bool, &'static str), &'static Shape>> =
    LazyLock::new(|| SHAPES.iter().map(|shape| ((shape.information, shape.name), shape)).collect());

/// A relation of `pg_catalog`.
pub fn pg(name: &str) -> Option<&'static Shape> {
    BY_NAME.get(&(false, name)).copied()
}

/// A relation of `information_schema`.
pub fn information(name: &str) -> Option<&'static Shape> {
    BY_NAME.get(&(true, name)).copied()
}

impl Shape {
    fn parse(line: &'static str) -> Option<Self> {
        let mut words = line.split(' ');
        let information = words.next()? == "i";
        let (name, oid) = (words.next()?, words.next()?.parse().ok()?);
        let kind = words.next()?.chars().next()?;
        let columns: Vec<ShapeColumn> = words.filter_map(ShapeColumn::parse).collect();
        let schema = Arc::new(Schema::new(columns.iter().map(ShapeColumn::field).collect::<Vec<_>>()));
        Some(Shape { information, name, oid, kind, columns, schema })
    }

    /// The object id of its schema.
    pub fn schema_oid(&self) -> u32 {
        if self.information { INFORMATION_SCHEMA_OID } else { PG_CATALOG_OID }
    }

    /// The name of its schema.
    pub fn schema_name(&self) -> &'static str {
        if self.information { "information_schema" } else { "pg_catalog" }
    }
}

impl ShapeColumn {
    fn parse(word: &'static str) -> Option<Self> {
        let (name, type_name) = word.split_once(':')?;
        let not_null = type_name.ends_with('!');
        Some(ShapeColumn { name, type_name: type_name.trim_end_matches('!'), not_null })
    }

    fn field(&self) -> Field {
        let field = Field::new(self.name, arrow_type(self.type_name), true);
        let named = match self.type_name {
            "char" => "\"char\"",
            name @ ("oid" | "name" | "xid" | "regproc" | "regtype" | "int2vector" | "oidvector") => name,
            _ => return field,
        };
        field.with_metadata(HashMap::from([(PG_TYPE_KEY.to_string(), named.to_string())]))
    }

    /// What stands where a row says nothing.
    fn default(&self) -> Cell {
        match (self.not_null, arrow_type(self.type_name)) {
            (false, _) => Cell::Null,
            (_, DataType::Boolean) => Cell::Bool(false),
            (_, DataType::Utf8) => Cell::Text(String::new()),
            (_, DataType::List(item)) if item.data_type().is_numeric() => Cell::Ints(Vec::new()),
            (_, DataType::List(_)) => Cell::Texts(Vec::new()),
            _ => Cell::Int(0),
        }
    }
}

/// The Arrow type of a type of `pg_type`. Object ids are 64 bits wide, as literals are.
pub fn arrow_type(name: &str) -> DataType {
    match name {
        "bool" => DataType::Boolean,
        "int2" => DataType::Int16,
        "int4" => DataType::Int32,
        "int8" | "oid" | "xid" | "regproc" | "regtype" => DataType::Int64,
        "float4" => DataType::Float32,
        "float8" => DataType::Float64,
        "numeric" => DataType::Decimal128(38, 0),
        "bytea" => DataType::Binary,
        "timestamptz" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        "interval" => DataType::Interval(IntervalUnit::MonthDayNano),
        "int2vector" | "_int2" => list_of(DataType::Int16),
        "oidvector" | "_oid" | "_regtype" => list_of(DataType::Int64),
        "_text" | "_name" | "_char" | "_aclitem" => list_of(DataType::Utf8),
        "_float4" => list_of(DataType::Float32),
        "_float8" => list_of(DataType::Float64),
        _ => DataType::Utf8,
    }
}

/// The type of lists of an item.
pub fn list_of(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(item, true)))
}

/// Rows of a shape, each given as the columns that say something.
pub struct Rows {
    shape: &'static Shape,
    columns: Vec<Vec<Cell>>,
}

impl Rows {
    /// None yet.
    pub fn of(shape: &'static Shape) -> Self {
        Rows { shape, columns: shape.columns.iter().map(|_| Vec::new()).collect() }
    }

    /// One more row. Columns that the shape does not have are left out, and those not given have their default.
    pub fn push<const N: usize>(&mut self, mut row: [(&str, Cell); N]) {
        for (column, cells) in self.shape.columns.iter().zip(&mut self.columns) {
            let given = row.iter_mut().find(|(name, _)| *name == column.name);
            cells.push(given.map_or_else(|| column.default(), |(_, cell)| std::mem::replace(cell, Cell::Null)));
        }
    }

    /// The rows as the engine reads them.
    pub fn finish(self) -> Result<RecordBatch, ArrowError> {
        let schema = &self.shape.schema;
        let typed = self.columns.iter().zip(schema.fields());
        let arrays = typed.map(|(cells, field)| column(cells, field.data_type())).collect::<Result<_, _>>()?;
        RecordBatch::try_new(Arc::clone(schema), arrays)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_line() {
        assert_eq!(SHAPES.len(), include_str!("shapes.txt").lines().count());
        let class = pg("pg_class").unwrap();
        assert_eq!((class.oid, class.kind, class.schema_name()), (1259, 'r', "pg_catalog"));
        let column = |name: &str| class.columns.iter().find(|column| column.name == name).unwrap();
        assert_eq!(column("relkind").type_name, "char");
        assert!(column("oid").not_null && !column("relacl").not_null);
        assert!(information("tables").is_some() && pg("tables").is_none());
    }

    #[test]
    fn rows_get_their_defaults() {
        let mut rows = Rows::of(pg("pg_class").unwrap());
        rows.push([("oid", 7.into()), ("nothing", 1.into())]);
        let batch = rows.finish().unwrap();
        let text = |name: &str| {
            let array = batch.column_by_name(name).unwrap();
            format!("{:?}", super::super::cell::cells(array).unwrap())
        };
        assert_eq!(text("oid"), "[Int(7)]");
        assert_eq!(text("relname"), "[Text(\"\")]");
        assert_eq!(text("relacl"), "[Null]");
    }
}
