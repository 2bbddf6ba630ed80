//! Arrays as Postgres writes them: `{1,NULL,"a b"}` in text, dimensions and elements in binary.

use super::column::{Column, Values};
use crate::types::{WireType, oid};
use arrow::buffer::OffsetBuffer;
use std::ops::Range;
use tidegate_core::{Error, Kind, Result};

fn span(offsets: &OffsetBuffer<i64>, row: usize) -> Range<usize> {
    offsets[row] as usize..offsets[row + 1] as usize
}

/// `{…}`, or the bare `1 2 3` of the catalogs' vectors.
pub fn put_text(
    offsets: &OffsetBuffer<i64>,
    items: &Column,
    row: usize,
    vector: bool,
    out: &mut Vec<u8>,
) -> Result<()> {
    if !vector {
        out.push(b'{');
    }
    for (index, item) in span(offsets, row).enumerate() {
        if index > 0 {
            out.push(if vector { b' ' } else { b',' });
        }
        if items.is_null(item) {
            out.extend_from_slice(b"NULL");
            continue;
        }
        let start = out.len();
        items.put_text(item, out)?;
        if !matches!(items.values, Values::List(..)) && must_quote(&out[start..]) {
            quote(out, start);
        }
    }
    if !vector {
        out.push(b'}');
    }
    Ok(())
}

fn must_quote(item: &[u8]) -> bool {
    item.is_empty()
        || item.eq_ignore_ascii_case(b"null")
        || item.iter().any(|b| matches!(b, b'{' | b'}' | b',' | b'"' | b'\\') || b.is_ascii_whitespace())
}

fn quote(out: &mut Vec<u8>, start: usize) {
    let item = out.split_off(start);
    out.push(b'"');
    for byte in item {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// Dimensions, whether there are NULLs, the element's type, the elements.
pub fn put_binary(
    offsets: &OffsetBuffer<i64>,
    items: &Column,
    row: usize,
    wire: WireType,
    out: &mut Vec<u8>,
) -> Result<()> {
    let mut sizes = Vec::new();
    let mut leaves = Vec::new();
    let leaf = collect(offsets, items, row, 0, &mut sizes, &mut leaves)?;
    let element = wire.element.unwrap_or(if wire.oid == oid::INT2VECTOR { oid::INT2 } else { oid::OID });
    let vector = wire.element.is_none();
    let empty = leaves.is_empty();
    let has_null = leaves.iter().any(|at| leaf.is_null(*at));
    out.extend_from_slice(&(if empty { 0 } else { sizes.len() as i32 }).to_be_bytes());
    out.extend_from_slice(&i32::from(has_null).to_be_bytes());
    out.extend_from_slice(&element.to_be_bytes());
    if !empty {
        for size in &sizes {
            out.extend_from_slice(&(*size as i32).to_be_bytes());
            out.extend_from_slice(&i32::from(!vector).to_be_bytes());
        }
    }
    for at in leaves {
        super::put_binary_value(leaf, at, out)?;
    }
    Ok(())
}

/// Gathers the elements of all dimensions, which must be rectangular, and gives the column they are in.
fn collect<'a>(
    offsets: &OffsetBuffer<i64>,
    items: &'a Column,
    row: usize,
    depth: usize,
    sizes: &mut Vec<usize>,
    leaves: &mut Vec<usize>,
) -> Result<&'a Column> {
    let range = span(offsets, row);
    match sizes.get(depth) {
        None => sizes.push(range.len()),
        Some(size) if *size == range.len() => {}
        Some(_) => return Err(ragged()),
    }
    let Values::List(inner, nested) = &items.values else {
        leaves.extend(range);
        return Ok(items);
    };
    let mut leaf = innermost(nested);
    for item in range {
        if items.is_null(item) {
            return Err(ragged());
        }
        leaf = collect(inner, nested, item, depth + 1, sizes, leaves)?;
    }
    Ok(leaf)
}

fn innermost(column: &Column) -> &Column {
    match &column.values {
        Values::List(_, nested) => innermost(nested),
        _ => column,
    }
}

fn ragged() -> Error {
    Error::new(Kind::DatatypeMismatch, "a nested array whose parts differ in length has no binary form")
        .hint("Ask for it in text, or cast it to json.")
}
