//! Columns of Parquet files by name, letter case aside where no name fits exactly: unquoted names of SQL are in small
//! letters, those in files often are not.

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::Result as EngineResult;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr_adapter::{
    DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory,
};
use datafusion::physical_plan::PhysicalExpr;
use std::sync::Arc;

/// The declared columns under the names that the file has for them. `None`: it has them all under their own, or not at
/// all.
pub(super) fn named_as_in_file(declared: &Schema, file: &Schema) -> Option<SchemaRef> {
    let mut any = false;
    let renamed = declared.fields().iter().map(|field| {
        let found = file.fields().iter().find(|other| {
            other.name().eq_ignore_ascii_case(field.name())
                // One that a declared column fits exactly is that column's.
                && (other.name() == field.name() || declared.column_with_name(other.name()).is_none())
        });
        match found.filter(|other| other.name() != field.name() && file.column_with_name(field.name()).is_none()) {
            Some(other) => {
                any = true;
                Arc::new(field.as_ref().clone().with_name(other.name()))
            }
            None => Arc::clone(field),
        }
    });
    let renamed: Vec<_> = renamed.collect();
    any.then(|| Arc::new(Schema::new(renamed)))
}

/// Makes what the engine makes, behind a renaming where the file needs one.
#[derive(Debug)]
pub(super) struct AnyCase;

impl PhysicalExprAdapterFactory for AnyCase {
    fn create(&self, declared: SchemaRef, file: SchemaRef) -> EngineResult<Arc<dyn PhysicalExprAdapter>> {
        match named_as_in_file(&declared, &file) {
            None => DefaultPhysicalExprAdapterFactory.create(declared, file),
            Some(renamed) => {
                let inner = DefaultPhysicalExprAdapterFactory.create(Arc::clone(&renamed), file)?;
                Ok(Arc::new(Renaming { declared, renamed, inner }))
            }
        }
    }
}

/// Renames the columns of an expression before the engine fits them to the file.
#[derive(Debug)]
struct Renaming {
    declared: SchemaRef,
    renamed: SchemaRef,
    inner: Arc<dyn PhysicalExprAdapter>,
}

impl PhysicalExprAdapter for Renaming {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> EngineResult<Arc<dyn PhysicalExpr>> {
        let rename = |expr: Arc<dyn PhysicalExpr>| {
            let Some(column) = expr.downcast_ref::<Column>() else { return Ok(Transformed::no(expr)) };
            let found = self.declared.index_of(column.name()).ok();
            let Some((index, name)) = found.and_then(|at| Some((at, self.renamed.fields().get(at)?.name()))) else {
                return Ok(Transformed::no(expr));
            };
            Ok(Transformed::yes(Arc::new(Column::new(name, index)) as Arc<dyn PhysicalExpr>))
        };
        self.inner.rewrite(expr.transform(rename).data()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field};

    fn schema(names: &[&str]) -> Schema {
        Schema::new(names.iter().map(|name| Field::new(*name, DataType::Int64, true)).collect::<Vec<_>>())
    }

    #[test]
    fn names_are_matched_exactly_first() {
        let cases = [
            ("a b", "b a", None),
            ("watchid x", "WatchID", Some("WatchID x")),
            ("a", "A a", None),
            ("a A", "A", None),
            ("a b", "A B", Some("A B")),
        ];
        let words = |text: &'static str| schema(&text.split(' ').collect::<Vec<_>>());
        for (declared, file, expected) in cases {
            let found = named_as_in_file(&words(declared), &words(file));
            assert_eq!(found, expected.map(|names| Arc::new(words(names))), "{declared:?} in {file:?}");
        }
    }

    #[test]
    fn expressions_reach_the_column_of_the_file() {
        let (declared, file) = (Arc::new(schema(&["x", "watchid"])), Arc::new(schema(&["WatchID"])));
        let adapter = AnyCase.create(declared, file).unwrap();
        let column = |name, at| Arc::new(Column::new(name, at)) as Arc<dyn PhysicalExpr>;
        assert_eq!(adapter.rewrite(column("watchid", 1)).unwrap().to_string(), "WatchID@0");
        assert_eq!(adapter.rewrite(column("x", 0)).unwrap().to_string(), "NULL");
    }
}
