//! The sort key of a table, as its files are written and measured by.

use crate::delta_stats;
use crate::sortedness::{self, Span};
use crate::sorter::Sorter;
use arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use datafusion::execution::TaskContext;
use datafusion::execution::runtime_env::RuntimeEnv;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;
use tidegate_catalog::{DataFile, Relation, SortKey, TableFiles, TableSpec, file_schema};
use tidegate_core::Result;

/// A table's sort key.
#[derive(Debug, Clone)]
pub struct Key {
    schema: SchemaRef,
    columns: Vec<usize>,
    interleaved: bool,
    /// How files say that they are in its order.
    text: String,
}

impl Key {
    /// None for a table without one.
    pub fn of(relation: &Relation, spec: &TableSpec) -> Option<Key> {
        let SortKey { columns: names, interleaved, .. } = &spec.sort_key;
        let schema = file_schema(&relation.columns);
        let columns: Vec<usize> = names.iter().filter_map(|name| schema.index_of(name).ok()).collect();
        if columns.is_empty() || columns.len() < names.len() {
            return None;
        }
        let kind = if *interleaved { "interleaved" } else { "compound" };
        Some(Key { schema, columns, interleaved: *interleaved, text: format!("{kind}({})", names.join(",")) })
    }

    /// What a file says that is in its order.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The indexes of its columns.
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// Sorts rows by it.
    pub fn sorter(&self, runtime: &Arc<RuntimeEnv>) -> Result<Sorter> {
        let context = Arc::new(TaskContext::default().with_runtime(Arc::clone(runtime)));
        Sorter::new(&self.schema, &self.columns, self.interleaved, context)
    }

    /// The numbers of the files outside of the sorted region. Of an interleaved key those that are not in its order:
    /// files of it are in no order among each other.
    pub fn outside(&self, files: &[Arc<DataFile>]) -> BTreeSet<u64> {
        match self.interleaved {
            true => files.iter().filter(|file| !self.orders(file)).map(|file| file.id).collect(),
            false => sortedness::unsorted(&self.spans(files)),
        }
    }

    /// What has to be sorted together so that nothing is outside; nothing, if so many percent of the rows are inside.
    pub fn to_sort(&self, files: &[Arc<DataFile>], percent: u64) -> BTreeSet<u64> {
        let outside = self.outside(files);
        let rows =
            |of: &dyn Fn(&DataFile) -> bool| files.iter().filter(|file| of(file)).map(|file| file.rows).sum::<u64>();
        let inside = rows(&|file| !outside.contains(&file.id));
        let is_enough = percent < 100 && inside * 100 >= rows(&|_| true) * percent;
        if is_enough || outside.is_empty() {
            return BTreeSet::new();
        }
        match self.interleaved {
            true => outside,
            false => sortedness::to_sort(&self.spans(files), &outside),
        }
    }

    /// Files in the order of the key, as far as they are in any.
    pub fn arranged(&self, files: Vec<Arc<DataFile>>) -> Vec<Arc<DataFile>> {
        let least = |file: Arc<DataFile>| (self.bounds(&file).map(|(min, _)| min), file);
        let mut files: Vec<_> = files.into_iter().map(least).collect();
        files.sort_by(|(a, _), (b, _)| a.partial_cmp(b).unwrap_or(Ordering::Equal));
        files.into_iter().map(|(_, file)| file).collect()
    }

    fn orders(&self, file: &DataFile) -> bool {
        file.sorted_by.as_deref() == Some(&self.text)
    }

    fn spans(&self, files: &[Arc<DataFile>]) -> Vec<Span> {
        let span = |file: &Arc<DataFile>| Span { id: file.id, rows: file.rows, bounds: self.bounds(file) };
        files.iter().map(span).collect()
    }

    /// The bounds of the first column, of a file that is in the key's order.
    fn bounds(&self, file: &DataFile) -> Option<(ScalarValue, ScalarValue)> {
        let field = self.schema.field(*self.columns.first().filter(|_| self.orders(file))?);
        delta_stats::bounds(file.stats.as_deref()?, field.name(), field.data_type())
    }
}

/// Rows outside of a table's sorted region, its tail among them. None for a table without a sort key.
pub fn unsorted_rows(relation: &Relation, spec: &TableSpec, table: &TableFiles) -> Option<u64> {
    let key = Key::of(relation, spec)?;
    let files: Vec<_> = table.files.values().cloned().collect();
    let outside = key.outside(&files);
    let rows: u64 = files.iter().filter(|file| outside.contains(&file.id)).map(|file| file.rows).sum();
    Some(rows + table.tail_rows())
}
