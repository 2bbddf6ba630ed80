//! Record batches to rows on the wire: each column is downcast once per batch, each value written straight into the
//! connection's buffer.

mod array;
mod column;
mod json;
mod number;
mod numeric;
mod scalar;
mod time;

pub use column::Column;
pub use time::Zone;

use crate::types::WireType;
use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use tidegate_core::{Error, Kind, Result};

/// A value on the wire has a signed length of 32 bits; a row is one message of at most this many bytes.
pub const ROW_BYTES_MAX: usize = 0x3fff_ffff;

/// How a column's values are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// As text.
    Text,
    /// In Postgres' binary form.
    Binary,
}

impl Format {
    /// The code of the protocol.
    pub fn code(self) -> i16 {
        match self {
            Format::Text => 0,
            Format::Binary => 1,
        }
    }

    /// Spreads the format codes of a Bind over its columns: none is text, one is for all.
    pub fn spread(codes: &[i16], columns: usize) -> Result<Vec<Format>> {
        let of = |code: &i16| match code {
            0 => Ok(Format::Text),
            1 => Ok(Format::Binary),
            other => Err(Error::new(Kind::Protocol, format!("unknown format code {other}"))),
        };
        match codes {
            [] => Ok(vec![Format::Text; columns]),
            [one] => Ok(vec![of(one)?; columns]),
            many if many.len() == columns => many.iter().map(of).collect(),
            many => Err(Error::new(
                Kind::Protocol,
                format!("bind message has {} result formats but query has {columns} columns", many.len()),
            )),
        }
    }
}

/// Turns the batches of one result into rows.
pub struct RowEncoder {
    wires: Vec<WireType>,
    formats: Vec<Format>,
    zone: Zone,
}

impl RowEncoder {
    /// For results of a schema.
    pub fn new(schema: &SchemaRef, formats: Vec<Format>, zone: Zone) -> Self {
        RowEncoder { wires: wire_types(schema), formats, zone }
    }

    /// Downcasts a batch's columns.
    pub fn bind(&self, batch: &RecordBatch) -> Result<BoundBatch> {
        if batch.num_columns() != self.wires.len() {
            return Err(Error::internal(format!(
                "a result of {} columns produced a batch of {}",
                self.wires.len(),
                batch.num_columns()
            )));
        }
        let columns = batch.columns().iter().zip(&self.wires).zip(&self.formats);
        let columns = columns
            .map(|((array, wire), format)| Ok((Column::new(array, *wire, self.zone)?, *format)))
            .collect::<Result<Vec<_>>>()?;
        Ok(BoundBatch { columns, rows: batch.num_rows() })
    }
}

/// The types that the columns of a schema are told as.
pub fn wire_types(schema: &Schema) -> Vec<WireType> {
    schema.fields().iter().map(|f| WireType::of_field(f)).collect()
}

/// One batch, ready to be written row by row.
pub struct BoundBatch {
    columns: Vec<(Column, Format)>,
    rows: usize,
}

impl BoundBatch {
    /// Its rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Its columns.
    pub fn columns(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().map(|(column, _)| column)
    }

    /// Appends a DataRow message; on an error the buffer is as it was.
    pub fn put_row(&self, row: usize, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        let written = self.put_message(row, out, start);
        if written.is_err() {
            out.truncate(start);
        }
        written
    }

    /// The number of a row's fields, and each with its length: what a DataRow holds, and a row of a binary COPY.
    pub fn put_fields(&self, row: usize, out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(&(self.columns.len() as u16).to_be_bytes());
        for (column, format) in &self.columns {
            match format {
                Format::Text => put_text_value(column, row, out)?,
                Format::Binary => put_binary_value(column, row, out)?,
            }
        }
        Ok(())
    }

    fn put_message(&self, row: usize, out: &mut Vec<u8>, start: usize) -> Result<()> {
        out.push(b'D');
        out.extend_from_slice(&[0; 4]);
        self.put_fields(row, out)?;
        let length = out.len() - start - 1;
        if length > ROW_BYTES_MAX {
            return Err(Error::new(
                Kind::ProgramLimit,
                format!("a row of {length} bytes is larger than {ROW_BYTES_MAX}"),
            ));
        }
        out[start + 1..start + 5].copy_from_slice(&(length as u32).to_be_bytes());
        Ok(())
    }
}

fn put_text_value(column: &Column, row: usize, out: &mut Vec<u8>) -> Result<()> {
    put_value(column, row, out, Column::put_text)
}

/// Length, or -1 for NULL, and the value in binary.
fn put_binary_value(column: &Column, row: usize, out: &mut Vec<u8>) -> Result<()> {
    put_value(column, row, out, Column::put_binary)
}

#[inline]
fn put_value(
    column: &Column,
    row: usize,
    out: &mut Vec<u8>,
    put: impl FnOnce(&Column, usize, &mut Vec<u8>) -> Result<()>,
) -> Result<()> {
    if column.is_null(row) {
        out.extend_from_slice(&(-1i32).to_be_bytes());
        return Ok(());
    }
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    put(column, row, out)?;
    let length = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

#[cfg(test)]
mod tests;
