//! Values of columns that come from no file, as they travel to other nodes.

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use datafusion::common::ScalarValue;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tidegate_core::{Error, Result};
use tidegate_query::conform::Source;
use tidegate_query::from_datafusion;

/// Values of columns that come from no file: an Arrow IPC stream of one row, with NULL where a file gives the value.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Defaults(Vec<u8>);

impl Defaults {
    /// Of the sources of a relation's columns.
    pub fn of(sources: &[Source]) -> Result<Self> {
        let value = |source: &Source| match source {
            Source::Input(_) => ScalarValue::Null.to_array(),
            Source::Value(value) => value.to_array(),
        };
        let arrays = sources.iter().map(value).collect::<Result<Vec<_>, _>>().map_err(from_datafusion)?;
        let field = |array: &ArrayRef| Field::new("", array.data_type().clone(), true);
        let schema = Arc::new(Schema::new(arrays.iter().map(field).collect::<Vec<_>>()));
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).map_err(Error::internal)?;
        let mut bytes = Vec::new();
        let mut writer = StreamWriter::try_new(&mut bytes, &schema).map_err(Error::internal)?;
        writer.write(&batch).and_then(|()| writer.finish()).map_err(Error::internal)?;
        drop(writer);
        Ok(Defaults(bytes))
    }

    /// The sources again, with these columns of the files.
    pub fn sources(&self, chosen: &[usize]) -> Result<Vec<Source>> {
        let mut batches = StreamReader::try_new(self.0.as_slice(), None).map_err(Error::internal)?;
        let batch = batches.next().transpose().map_err(Error::internal)?;
        let batch = batch.ok_or_else(|| Error::internal("there are no defaults"))?;
        let source = |(index, array): (usize, &ArrayRef)| match chosen.iter().position(|given| *given == index) {
            Some(given) => Ok(Source::Input(given)),
            None => ScalarValue::try_from_array(array, 0).map(Source::Value).map_err(from_datafusion),
        };
        batch.columns().iter().enumerate().map(source).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_come_back() {
        let sources = [Source::Value(ScalarValue::Int64(Some(7))), Source::Input(0), Source::Value(ScalarValue::Null)];
        let back = Defaults::of(&sources).unwrap().sources(&[1]).unwrap();
        assert!(matches!(back.first(), Some(Source::Value(ScalarValue::Int64(Some(7))))), "{back:?}");
        assert!(matches!(back.get(1), Some(Source::Input(0))), "{back:?}");
        assert!(matches!(back.get(2), Some(Source::Value(ScalarValue::Null))), "{back:?}");
    }
}
