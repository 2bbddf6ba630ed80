//! The order of an interleaved sort key: the bits of the columns' ranks, taken in turn (Z-order), so that each column
//! weighs the same.
//!
//! A value's rank is its place among those of a sample of the rows, whatever its type and however its values are spread.

use arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::row::{OwnedRow, Row, RowConverter, Rows, SortField};
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};

/// The name of the column that is added: no user's column can have it.
const COLUMN: &str = "$z";
/// Rows of the sample.
const SAMPLE_ROWS: usize = 65_536;
/// Most columns of an interleaved key, as in Redshift.
const COLUMNS_MAX: usize = 8;
/// Bits of a rank.
const BITS: usize = 64 / COLUMNS_MAX;

/// Adds to rows the column that they are sorted by.
pub struct ZOrder {
    shown: SchemaRef,
    schema: SchemaRef,
    columns: Vec<Ranks>,
    sample: Vec<RecordBatch>,
    sampled: usize,
    is_ranked: bool,
}

/// How the values of one column are ranked.
struct Ranks {
    index: usize,
    converter: RowConverter,
    /// Where each rank but the first begins.
    bounds: Vec<OwnedRow>,
}

impl ZOrder {
    /// For rows of a schema. 54000 for more columns than there may be.
    pub fn new(schema: &SchemaRef, columns: &[usize]) -> Result<Self> {
        if columns.len() > COLUMNS_MAX {
            let message = format!("an interleaved sort key has {COLUMNS_MAX} columns at most");
            return Err(Error::new(Kind::ProgramLimit, message));
        }
        let ranks = |index: &usize| {
            let field = SortField::new(schema.field(*index).data_type().clone());
            let converter = RowConverter::new(vec![field]).map_err(Error::internal)?;
            Ok(Ranks { index: *index, converter, bounds: Vec::new() })
        };
        let columns = columns.iter().map(ranks).collect::<Result<_>>()?;
        let fields = schema.fields().iter().cloned();
        let fields = fields.chain([Arc::new(Field::new(COLUMN, DataType::UInt64, false))]);
        let with_z = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        Ok(ZOrder {
            shown: Arc::clone(schema),
            schema: with_z,
            columns,
            sample: Vec::new(),
            sampled: 0,
            is_ranked: false,
        })
    }

    /// The rows' schema.
    pub fn shown(&self) -> SchemaRef {
        Arc::clone(&self.shown)
    }

    /// The same with the column at its end.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The column's index.
    pub fn column(&self) -> usize {
        self.shown.fields().len()
    }

    /// Takes rows; gives those that can be told by now.
    pub fn push(&mut self, batch: RecordBatch) -> Result<Vec<RecordBatch>> {
        if self.is_ranked {
            return Ok(vec![self.with_column(&batch)?]);
        }
        self.sampled += batch.num_rows();
        self.sample.push(batch);
        if self.sampled < SAMPLE_ROWS { Ok(Vec::new()) } else { self.finish() }
    }

    /// Gives the rows that are still held.
    pub fn finish(&mut self) -> Result<Vec<RecordBatch>> {
        let sample = concat_batches(&self.shown, &std::mem::take(&mut self.sample)).map_err(Error::internal)?;
        if !self.is_ranked {
            self.is_ranked = true;
            self.columns.iter_mut().try_for_each(|ranks| ranks.learn(sample.column(ranks.index)))?;
        }
        Ok(vec![self.with_column(&sample)?])
    }

    fn with_column(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let mut z = vec![0_u64; batch.num_rows()];
        for (place, ranks) in self.columns.iter().enumerate() {
            let rows = ranks.rows(batch.column(ranks.index))?;
            for (z, row) in z.iter_mut().zip(rows.iter()) {
                *z |= spread(ranks.rank(row), place, self.columns.len());
            }
        }
        let z: ArrayRef = Arc::new(UInt64Array::from(z));
        let columns = batch.columns().iter().cloned().chain([z]).collect();
        RecordBatch::try_new(self.schema(), columns).map_err(Error::internal)
    }
}

impl Ranks {
    fn rows(&self, column: &ArrayRef) -> Result<Rows> {
        self.converter.convert_columns(std::slice::from_ref(column)).map_err(Error::internal)
    }

    /// Over all bits, however few different values there are: so no column weighs more than another.
    fn rank(&self, row: Row<'_>) -> u64 {
        let place = self.bounds.partition_point(|bound| bound.row() <= row) as u64;
        (place << BITS) / (self.bounds.len() as u64 + 1)
    }

    /// Ranks of as many values each.
    fn learn(&mut self, column: &ArrayRef) -> Result<()> {
        let rows = self.rows(column)?;
        let mut sorted: Vec<_> = rows.iter().collect();
        sorted.sort_unstable();
        let ranks = 1_usize << BITS;
        let bound = |rank: usize| sorted.get(rank * sorted.len() / ranks).map(|row| row.owned());
        let mut bounds: Vec<OwnedRow> = (1..ranks).filter_map(bound).collect();
        bounds.dedup();
        // Nothing lies below the least value.
        bounds.retain(|bound| sorted.first().is_some_and(|least| bound.row() != *least));
        self.bounds = bounds;
        Ok(())
    }
}

/// The bits of a rank, each `of` places from the next, the column at `place` first among its peers where that is 0.
fn spread(rank: u64, place: usize, of: usize) -> u64 {
    let bit = |bit: usize| ((rank >> bit) & 1) << (bit * of + (of - 1 - place));
    (0..BITS).map(bit).fold(0, |z, bit| z | bit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{AsArray, Int64Array, StringViewArray};
    use arrow::datatypes::UInt64Type;

    #[test]
    fn bits_are_taken_in_turn() {
        let cases = [
            ((0b11, 0, 1), 0b11),
            ((0b11, 0, 2), 0b1010),
            ((0b10, 1, 2), 0b0100),
            ((0xff, 7, 8), 0x0101_0101_0101_0101),
        ];
        for ((rank, place, of), expected) in cases {
            assert_eq!(spread(rank, place, of), expected, "{rank} {place} {of}");
        }
    }

    #[test]
    fn values_of_any_type_are_ranked_by_a_sample() {
        let columns: [(&str, ArrayRef, bool); 2] = [
            ("n", Arc::new(Int64Array::from(vec![Some(5), None, Some(-7), Some(5)])), true),
            ("t", Arc::new(StringViewArray::from(vec!["b", "a", "b", "c"])), true),
        ];
        let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        let mut one = ZOrder::new(&batch.schema(), &[0]).unwrap();
        assert!(one.push(batch.clone()).unwrap().is_empty());
        let told = one.finish().unwrap().remove(0);
        let z = told.column(one.column()).as_primitive::<UInt64Type>();
        assert!(z.value(2) < z.value(0) && z.value(0) == z.value(3) && z.value(1) != z.value(0));
        // What comes later is ranked by the same sample.
        assert_eq!(one.push(batch.clone()).unwrap().remove(0), told);
        assert!(ZOrder::new(&batch.schema(), &[0; 9]).is_err());
    }
}
