//! Rows as the bytes of records, and back.

use crate::formats::{decode_csv_records, decode_json_records, encode_csv_rows, encode_json_rows};
use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use bytes::Bytes;
use tidegate_catalog::{RecordFormat, Relation, StreamSpec, arrow_schema};
use tidegate_core::{Error, Kind, Result};
use tidegate_stream::Decoder;

/// Reads and writes records in the formats that streams declare.
pub struct RecordCodec;

impl Decoder for RecordCodec {
    fn decode(
        &self,
        relation: &Relation,
        spec: &StreamSpec,
        records: &[&[u8]],
    ) -> Result<(Vec<ArrayRef>, Vec<Option<String>>)> {
        let schema = arrow_schema(&relation.columns);
        let data = records.iter().copied();
        let (batch, errors) = match spec.format {
            Some(RecordFormat::Json) => decode_json_records(&schema, data)?,
            Some(RecordFormat::Csv) => decode_csv_records(&schema, data)?,
            None => {
                let nulls = schema.fields().iter().map(|field| new_null_array(field.data_type(), records.len()));
                return Ok((nulls.collect(), vec![None; records.len()]));
            }
        };
        Ok((batch.columns().to_vec(), errors))
    }
}

/// Rows as the bytes of a stream's records.
pub fn encode(relation: &Relation, spec: &StreamSpec, batch: &RecordBatch) -> Result<Vec<Bytes>> {
    match spec.format {
        Some(RecordFormat::Json) => encode_json_rows(batch),
        Some(RecordFormat::Csv) => encode_csv_rows(batch),
        None => {
            Err(Error::new(Kind::NotInState, format!("stream \"{}\" has no format for typed columns", relation.name)))
        }
    }
}
