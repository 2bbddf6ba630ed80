//! The rows of a table's files and tail that a statement touches: a bit for each row of a touched part.

use arrow::array::BooleanBufferBuilder;
use arrow::buffer::BooleanBuffer;
use std::collections::BTreeMap;
use tidegate_catalog::Part;
use tidegate_core::{Error, Result};

/// Rows by their parts and places.
pub struct Touched {
    parts: BTreeMap<u64, Part>,
    rows: BTreeMap<u64, BooleanBufferBuilder>,
}

impl Touched {
    /// None, of these parts.
    pub fn none_of(parts: Vec<Part>) -> Self {
        Touched { parts: parts.into_iter().map(|part| (part.id(), part)).collect(), rows: BTreeMap::new() }
    }

    /// Notes a row. False when it was noted already.
    pub fn note(&mut self, part: u64, row: u64) -> Result<bool> {
        let lost = || Error::internal("a row of a file that is not the table's");
        let rows = self.parts.get(&part).ok_or_else(lost)?.rows();
        if row >= rows {
            return Err(lost());
        }
        let row = usize::try_from(row).map_err(Error::internal)?;
        let bits = self.rows.entry(part).or_insert_with(|| none(rows));
        let new = !bits.get_bit(row);
        bits.set_bit(row, true);
        Ok(new)
    }

    /// The parts with a touched row, each with the rows that are to stay.
    pub fn into_parts(self) -> impl Iterator<Item = (Part, BooleanBuffer)> {
        let parts = self.parts;
        self.rows.into_iter().filter_map(move |(id, mut touched)| Some((parts.get(&id)?.clone(), !&touched.finish())))
    }
}

fn none(rows: u64) -> BooleanBufferBuilder {
    let rows = usize::try_from(rows).unwrap_or(0);
    let mut bits = BooleanBufferBuilder::new(rows);
    bits.append_n(rows, false);
    bits
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tidegate_catalog::DataFile;

    #[test]
    fn a_row_is_noted_once() {
        let file = |id| Part::File(Arc::new(DataFile::new(id, "f", 3, 1, 0)));
        let mut touched = Touched::none_of(vec![file(7), file(8)]);
        let noted: Vec<_> = [(7, 0), (7, 2), (7, 0)].map(|(file, row)| touched.note(file, row).unwrap()).into();
        assert_eq!(noted, [true, true, false]);
        assert!(touched.note(7, 3).is_err() && touched.note(9, 0).is_err());
        let left: Vec<_> =
            touched.into_parts().map(|(part, stay)| (part.id(), stay.iter().collect::<Vec<_>>())).collect();
        assert_eq!(left, [(7, vec![false, true, false])]);
    }
}
