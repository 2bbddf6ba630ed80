//! COPY's binary format, as Postgres' documentation of COPY lays it down: a header, rows of counted fields, and a count of
//! -1 as the end.

use crate::decode::{arrow_type, decode};
use crate::encode::{Format, ROW_BYTES_MAX, wire_types};
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use bytes::{Buf, BytesMut};
use datafusion::common::ScalarValue;
use tidegate_core::{Error, Kind, Result};
use tidegate_query::datetime::Reading;

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// Flags: bits from 16 on change how the rest is read; 16 meant that rows have object ids.
const CRITICAL_FLAGS: u32 = 0xffff_0000;
/// Rows that become one batch.
const BATCH_ROWS: usize = 8192;
/// Bytes of rows that become one batch.
const BATCH_BYTES: usize = 1 << 20;

/// The header: the signature, no flags, no extension.
pub fn put_header(out: &mut Vec<u8>) {
    out.extend_from_slice(SIGNATURE);
    out.extend_from_slice(&[0; 8]);
}

/// The count that no row has.
pub fn put_trailer(out: &mut Vec<u8>) {
    out.extend_from_slice(&(-1i16).to_be_bytes());
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Header,
    /// Bytes of the header's extension that are still to be passed over.
    Extension(usize),
    Rows,
    End,
}

/// Reads the client's rows, whose bytes come cut anywhere.
pub struct BinaryRows {
    schema: SchemaRef,
    told: Vec<u32>,
    reading: Reading,
    stage: Stage,
    rest: BytesMut,
    columns: Vec<Vec<ScalarValue>>,
    rows: usize,
    bytes: usize,
}

/// 22P04.
fn malformed(message: impl Into<String>) -> Error {
    Error::new(Kind::BadCopyFormat, message)
}

impl BinaryRows {
    /// For rows of a schema; `reading` is the session's. 0A000 for a column of a type that has no binary form here.
    pub fn new(schema: &SchemaRef, reading: Reading) -> Result<Self> {
        let told: Vec<u32> = wire_types(schema).iter().map(|wire| wire.oid).collect();
        told.iter().try_for_each(|told| arrow_type(*told).map(drop))?;
        let columns = vec![Vec::new(); told.len()];
        let (stage, rest) = (Stage::Header, BytesMut::new());
        Ok(BinaryRows { schema: schema.clone(), told, reading, stage, rest, columns, rows: 0, bytes: 0 })
    }

    /// Takes some bytes.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<()> {
        self.rest.extend_from_slice(bytes);
        while self.step()? {}
        match self.rest.len() > ROW_BYTES_MAX {
            true => Err(Error::new(Kind::ProgramLimit, format!("a row of COPY is larger than {ROW_BYTES_MAX} bytes"))),
            false => Ok(()),
        }
    }

    /// The rows that are whole, when they are enough for a batch.
    pub fn batch(&mut self) -> Result<Option<RecordBatch>> {
        if self.rows < BATCH_ROWS && self.bytes < BATCH_BYTES { Ok(None) } else { self.take() }
    }

    /// The last rows. 22P04 when the data ends inside of one; the trailer may be missing.
    pub fn finish(&mut self) -> Result<Option<RecordBatch>> {
        match self.stage {
            Stage::Rows | Stage::End if self.rest.is_empty() => self.take(),
            _ => Err(malformed("unexpected EOF in COPY data")),
        }
    }

    /// Whether it got on with what there is.
    fn step(&mut self) -> Result<bool> {
        match self.stage {
            Stage::Header => self.header(),
            Stage::Extension(left) => {
                let passed = left.min(self.rest.len());
                self.rest.advance(passed);
                self.stage = if passed == left { Stage::Rows } else { Stage::Extension(left - passed) };
                Ok(passed == left)
            }
            Stage::Rows => self.row(),
            Stage::End if self.rest.is_empty() => Ok(false),
            Stage::End => Err(malformed("received copy data after EOF marker")),
        }
    }

    fn header(&mut self) -> Result<bool> {
        let begun = self.rest.len().min(SIGNATURE.len());
        if self.rest[..begun] != SIGNATURE[..begun] {
            return Err(malformed("COPY file signature not recognized"));
        }
        if self.rest.len() < SIGNATURE.len() + 8 {
            return Ok(false);
        }
        self.rest.advance(SIGNATURE.len());
        let (flags, extension) = (self.rest.get_u32(), self.rest.get_i32());
        if flags & CRITICAL_FLAGS != 0 {
            return Err(malformed("unrecognized critical flags in COPY file header"));
        }
        let extension = usize::try_from(extension).map_err(|_| malformed("invalid COPY file header (wrong length)"))?;
        self.stage = Stage::Extension(extension);
        Ok(true)
    }

    fn row(&mut self) -> Result<bool> {
        let Some(end) = self.row_end()? else { return Ok(false) };
        let mut row = self.rest.split_to(end);
        if row.get_i16() == -1 {
            self.stage = Stage::End;
            return Ok(true);
        }
        for (index, told) in self.told.iter().enumerate() {
            let length = usize::try_from(row.get_i32()).ok();
            let field = length.map(|length| row.split_to(length));
            let value = decode(*told, Format::Binary, field.as_deref(), &self.reading)?;
            let want = self.schema.field(index).data_type();
            let fits = value.data_type() == *want;
            let value = if fits { value } else { value.cast_to(want).map_err(tidegate_query::from_datafusion)? };
            self.columns[index].push(value);
        }
        (self.rows, self.bytes) = (self.rows + 1, self.bytes + end);
        Ok(true)
    }

    /// Where the row ends that begins here; None when not all of it is here.
    fn row_end(&self) -> Result<Option<usize>> {
        let Some(count) = be::<2>(&self.rest, 0).map(i16::from_be_bytes) else { return Ok(None) };
        if count == -1 {
            return Ok(Some(2));
        }
        let width = self.told.len();
        if usize::try_from(count).ok() != Some(width) {
            return Err(malformed(format!("row field count is {count}, expected {width}")));
        }
        let mut at = 2;
        for _ in 0..width {
            let Some(length) = be::<4>(&self.rest, at).map(i32::from_be_bytes) else { return Ok(None) };
            at += 4 + match length {
                -1 => 0,
                length => usize::try_from(length).map_err(|_| malformed("invalid field size"))?,
            };
        }
        Ok((at <= self.rest.len()).then_some(at))
    }

    fn take(&mut self) -> Result<Option<RecordBatch>> {
        if self.rows == 0 {
            return Ok(None);
        }
        let made = |(values, field): (&mut Vec<ScalarValue>, &arrow::datatypes::FieldRef)| -> Result<ArrayRef> {
            let array = ScalarValue::iter_to_array(std::mem::take(values)).map_err(tidegate_query::from_datafusion)?;
            debug_assert_eq!(array.data_type(), field.data_type());
            Ok(array)
        };
        let arrays = self.columns.iter_mut().zip(self.schema.fields()).map(made).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(std::mem::take(&mut self.rows)));
        self.bytes = 0;
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options);
        batch.map(Some).map_err(|error| malformed(error.to_string()))
    }
}

fn be<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::AsArray;
    use arrow::datatypes::{DataType, Field, Int32Type, Schema};
    use std::sync::Arc;

    fn schema() -> SchemaRef {
        let (id, name) = (Field::new("id", DataType::Int32, false), Field::new("name", DataType::Utf8, true));
        Arc::new(Schema::new(vec![id, name]))
    }

    fn sample() -> Vec<u8> {
        let mut out = Vec::new();
        put_header(&mut out);
        out.extend_from_slice(b"\0\x02\0\0\0\x04\0\0\0\x07\0\0\0\x02ab");
        out.extend_from_slice(b"\0\x02\0\0\0\x04\0\0\0\x08\xff\xff\xff\xff");
        put_trailer(&mut out);
        out
    }

    fn read(pieces: &[&[u8]]) -> Result<Option<RecordBatch>> {
        let mut rows = BinaryRows::new(&schema(), Reading::utc()?)?;
        pieces.iter().try_for_each(|piece| rows.feed(piece))?;
        rows.finish()
    }

    #[test]
    fn rows_are_read_wherever_they_are_cut() {
        let sample = sample();
        for cut in 0..sample.len() {
            let (left, right) = sample.split_at(cut);
            let batch = read(&[left, right]).unwrap().unwrap();
            let ids: Vec<i32> = batch.column(0).as_primitive::<Int32Type>().values().to_vec();
            let names: Vec<_> = batch.column(1).as_string::<i32>().iter().collect();
            assert_eq!((ids, names), (vec![7, 8], vec![Some("ab"), None]));
        }
        let bytes: Vec<&[u8]> = sample.chunks(1).collect();
        assert_eq!(read(&bytes).unwrap().unwrap().num_rows(), 2);
        assert!(read(&[&sample[..sample.len() - 2]]).unwrap().is_some(), "the trailer may be missing");
    }

    #[test]
    fn what_is_malformed_is_refused() {
        let sample = sample();
        let with = |at: usize, byte: u8| {
            let mut changed = sample.clone();
            changed[at] = byte;
            changed
        };
        let long = [sample.as_slice(), b"x"].concat();
        let cases: &[(&[u8], &str)] = &[
            (b"", "unexpected EOF in COPY data"),
            (b"id,name\n", "COPY file signature not recognized"),
            (&sample[..30], "unexpected EOF in COPY data"),
            (&with(12, 1), "unrecognized critical flags in COPY file header"),
            (&with(15, 0xff), "invalid COPY file header (wrong length)"),
            (&with(20, 3), "row field count is 3, expected 2"),
            (&with(21, 0xfe), "invalid field size"),
            (&long, "received copy data after EOF marker"),
        ];
        for (bytes, message) in cases {
            let error = read(&[bytes]).unwrap_err();
            assert_eq!((error.kind(), error.message()), (Kind::BadCopyFormat, *message));
        }
    }
}
