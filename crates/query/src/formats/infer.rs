//! Columns from files: footers of Parquet and ORC, a sample of text.

use super::compress::Compression;
use super::guard::guarded;
use super::json_rows;
use super::load::LoadOptions;
use super::records::{self, Step};
use super::text_rows::not_lines;
use super::values;
use super::{CsvOptions, FileFormat, engine_error, orc, store_error};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::Session;
use datafusion::datasource::file_format::FileFormat as _;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectMeta, ObjectStore};
use std::collections::HashMap;
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};

/// Footers that are read for a schema; of more files these are spread over the list.
const FOOTERS_MAX: usize = 64;
/// Footers that are read at the same time.
const FOOTERS_IN_FLIGHT_MAX: usize = 16;
/// Text files that are sampled.
const SAMPLES_MAX: usize = 8;
/// Plain bytes of one sample.
const SAMPLE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Rows of one sample.
const SAMPLE_ROWS_MAX: usize = 20_000;

/// The schema that files have in common: the union of their columns. Text columns are `Utf8View`.
pub async fn infer_schema(
    state: &dyn Session,
    store: &Arc<dyn ObjectStore>,
    format: &FileFormat,
    compression: Compression,
    files: &[ObjectMeta],
) -> Result<SchemaRef> {
    let most = if matches!(format, FileFormat::Parquet | FileFormat::Orc) { FOOTERS_MAX } else { SAMPLES_MAX };
    let sample = spread(files, most);
    if sample.is_empty() {
        let message = "there is no file to infer columns from";
        return Err(Error::new(Kind::UndefinedFile, message).hint("check the location, or declare the columns"));
    }
    let schema = guarded(&named(&sample), sampled(state, store, format, compression, sample)).await?;
    Ok(Arc::new(Schema::new(schema.fields().iter().map(settled).collect::<Vec<_>>())))
}

/// What an error calls files: the first by its name.
fn named(files: &[ObjectMeta]) -> String {
    let first = files.first().map(|meta| meta.location.to_string()).unwrap_or_default();
    if files.len() > 1 { format!("{first} or one like it") } else { first }
}

async fn sampled(
    state: &dyn Session,
    store: &Arc<dyn ObjectStore>,
    format: &FileFormat,
    compression: Compression,
    sample: Vec<ObjectMeta>,
) -> Result<SchemaRef> {
    Ok(match format {
        FileFormat::Parquet => {
            // One by one: types that differ are widened here, and errors name the file.
            let footer = |meta: ObjectMeta| async move { parquet_schema(state, store, &meta).await };
            let footers = futures::stream::iter(sample).map(footer).buffered(FOOTERS_IN_FLIGHT_MAX);
            union(&footers.try_collect::<Vec<_>>().await?)
        }
        FileFormat::Orc => {
            let mut schemas = Vec::new();
            for meta in &sample {
                schemas.push(orc::open(store, meta).await?.schema());
            }
            union(&schemas)
        }
        text => {
            let mut schemas = Vec::new();
            for meta in &sample {
                let (bytes, whole) = head(store, compression, meta).await?;
                let name = meta.location.as_ref();
                schemas.push(match text {
                    FileFormat::Csv(csv) => csv_schema(name, csv, &bytes, whole)?,
                    _ => json_schema(name, &bytes)?,
                });
            }
            union(&schemas)
        }
    })
}

async fn parquet_schema(state: &dyn Session, store: &Arc<dyn ObjectStore>, meta: &ObjectMeta) -> Result<SchemaRef> {
    let format = ParquetFormat::default().with_skip_metadata(true);
    let inferred = format.infer_schema(state, store, std::slice::from_ref(meta)).await;
    inferred.map_err(|e| engine_error(e, &format!("file {}", meta.location)))
}

/// At most `most` of the files, from the first to the last.
fn spread(files: &[ObjectMeta], most: usize) -> Vec<ObjectMeta> {
    if files.len() <= most {
        return files.to_vec();
    }
    let last = files.len() - 1;
    (0..most).filter_map(|i| files.get(i * last / (most - 1)).cloned()).collect()
}

/// The type that a column is declared as.
fn settled(field: &FieldRef) -> Field {
    let data_type = match field.data_type() {
        DataType::Null | DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        other => other.clone(),
    };
    Field::new(field.name(), data_type, true)
}

/// Columns of all schemas by name, in the order of their first mention.
fn union(schemas: &[SchemaRef]) -> SchemaRef {
    let mut fields: Vec<Field> = Vec::new();
    for field in schemas.iter().flat_map(|schema| schema.fields()) {
        match fields.iter_mut().find(|known| known.name() == field.name()) {
            Some(known) => {
                let wider = wider(known.data_type(), field.data_type());
                known.set_data_type(wider);
            }
            None => fields.push(field.as_ref().clone().with_nullable(true)),
        }
    }
    Arc::new(Schema::new(fields))
}

/// A type that holds the values of both.
fn wider(a: &DataType, b: &DataType) -> DataType {
    use DataType::{Date32, Float32, Float64, Null, Timestamp, Utf8};
    match (a, b) {
        _ if a == b => a.clone(),
        (Null, other) | (other, Null) => other.clone(),
        (x, y) if x.is_integer() && y.is_integer() => DataType::Int64,
        (x, y)
            if (x.is_integer() || matches!(x, Float32 | Float64))
                && (y.is_integer() || matches!(y, Float32 | Float64)) =>
        {
            Float64
        }
        (Date32, stamp @ Timestamp(..)) | (stamp @ Timestamp(..), Date32) => stamp.clone(),
        (Timestamp(_, Some(zone)), Timestamp(..)) | (Timestamp(..), Timestamp(_, Some(zone))) => {
            Timestamp(TimeUnit::Microsecond, Some(Arc::clone(zone)))
        }
        (Timestamp(..), Timestamp(..)) => Timestamp(TimeUnit::Microsecond, None),
        _ => Utf8,
    }
}

/// The first plain bytes of a file, and whether they are all.
async fn head(store: &Arc<dyn ObjectStore>, compression: Compression, meta: &ObjectMeta) -> Result<(Vec<u8>, bool)> {
    let name = meta.location.as_ref();
    let compression = compression.or_of_name(name);
    let mut stream = compression.open(store, &meta.location).await.map_err(|e| store_error(e, name))?;
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        bytes.extend_from_slice(&chunk.map_err(|e| Error::new(Kind::Io, format!("file {name}: {e}")))?);
        if bytes.len() >= SAMPLE_BYTES_MAX {
            return Ok((bytes, false));
        }
    }
    Ok((bytes, true))
}

fn csv_schema(name: &str, csv: &CsvOptions, bytes: &[u8], whole: bool) -> Result<SchemaRef> {
    let dialect = LoadOptions::of_lake_csv(csv).dialect();
    let mut rest = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    for _ in 0..csv.skip_lines {
        let end = rest.iter().position(|&b| b == b'\n').map_or(rest.len(), |at| at + 1);
        rest = rest.get(end..).unwrap_or_default();
    }
    let (mut names, mut types): (Vec<String>, Vec<DataType>) = (Vec::new(), Vec::new());
    let (mut fields, mut scratch) = (Vec::new(), Vec::new());
    let mut header = csv.header;
    for _ in 0..SAMPLE_ROWS_MAX {
        let Step::Record { bytes: used, .. } = records::next_record(rest, whole, &dialect, &mut fields) else { break };
        if used == 0 || rest.is_empty() {
            break;
        }
        let blank = fields.len() == 1 && fields.iter().all(|f| f.start == f.end);
        for (at, field) in fields.iter().enumerate().filter(|_| !blank) {
            let raw = rest.get(field.start..field.end).unwrap_or_default();
            let null = raw.is_empty() || csv.null.as_ref().is_some_and(|null| null.as_bytes() == raw);
            let text = records::text(rest, *field, &dialect, &mut scratch);
            if types.len() <= at {
                types.push(DataType::Null);
            }
            if header {
                names.push(String::from_utf8_lossy(text).trim().to_string());
            } else if !null && let Some(known) = types.get_mut(at) {
                *known = wider(known, &guess(text));
            }
        }
        header &= blank;
        rest = rest.get(used..).unwrap_or_default();
    }
    if types.is_empty() {
        return Err(Error::new(Kind::BadCopyFormat, format!("file {name}: there is no row to infer columns from")));
    }
    let name_of = |at: usize| {
        let named = names.get(at).filter(|n| !n.is_empty()).cloned();
        named.unwrap_or_else(|| format!("column_{}", at + 1))
    };
    Ok(Arc::new(Schema::new(
        types.into_iter().enumerate().map(|(at, t)| Field::new(name_of(at), t, true)).collect::<Vec<_>>(),
    )))
}

/// The narrowest type that a text reads as.
fn guess(text: &[u8]) -> DataType {
    // Leading zeros are codes (zip codes, account numbers), not numbers.
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let code = digits.len() > 1 && digits.first() == Some(&b'0') && digits.get(1).is_some_and(u8::is_ascii_digit);
    let numeric = digits.first().is_some_and(|b| b.is_ascii_digit() || *b == b'.') && !code;
    if numeric && values::integer(text).is_ok() {
        DataType::Int64
    } else if numeric && values::float(text).is_ok() {
        DataType::Float64
    } else if text.eq_ignore_ascii_case(b"true") || text.eq_ignore_ascii_case(b"false") {
        DataType::Boolean
    } else if text.len() <= 10 && text.contains(&b'-') && values::date(text).is_ok() {
        DataType::Date32
    } else if text.len() > 10 && text.contains(&b'-') && values::timestamp(text, true).is_ok() {
        DataType::Timestamp(TimeUnit::Microsecond, zoned(text).then(|| "UTC".into()))
    } else {
        DataType::Utf8
    }
}

/// Whether a timestamp's text names a zone.
fn zoned(text: &[u8]) -> bool {
    text.get(10..).is_some_and(|time| time.iter().any(|b| matches!(b, b'Z' | b'z' | b'+' | b'-' | b'U' | b'G')))
}

fn json_schema(name: &str, bytes: &[u8]) -> Result<SchemaRef> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    if bytes.first() == Some(&b'[') {
        return Err(not_lines(name));
    }
    // Whole lines only; a file of one line may lack its line end.
    let end = bytes.iter().rposition(|&b| b == b'\n').map_or(bytes.len(), |at| at + 1);
    let lines = bytes.get(..end).unwrap_or_default();
    let bad = |line: usize, e: &dyn std::fmt::Display| {
        Error::new(Kind::BadCopyFormat, format!("file {name}, line {}: invalid JSON: {e}", line + 1))
    };
    // Arrow's inference loses the order of the members, and its errors the line.
    let mut order: HashMap<String, usize> = HashMap::new();
    for (at, line) in lines.split(|&b| b == b'\n').enumerate().take(SAMPLE_ROWS_MAX) {
        let line = std::str::from_utf8(line).map_err(|e| bad(at, &e))?.trim();
        for key in if line.is_empty() { Vec::new() } else { json_rows::keys(line).map_err(|e| bad(at, &e))? } {
            let next = order.len();
            order.entry(key).or_insert(next);
        }
    }
    let inferred = arrow::json::reader::infer_json_schema(lines, Some(SAMPLE_ROWS_MAX));
    let (schema, _) = inferred.map_err(|e| Error::new(Kind::BadCopyFormat, format!("file {name}: {e}")))?;
    let mut fields: Vec<FieldRef> = schema.fields().iter().cloned().collect();
    fields.sort_by_key(|field| order.get(field.name()).copied().unwrap_or(usize::MAX));
    Ok(Arc::new(Schema::new(fields)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_columns() {
        let csv = CsvOptions { header: true, null: Some("NA".into()), skip_lines: 1, ..CsvOptions::default() };
        let text = b"skip me\na,b,,d,e,f,g\n1,2013-01-01,x,NA,007,2013-01-01T05:00:00Z,1\nNA,NA,\"1,2\",,1,NA,2.5\n";
        let schema = csv_schema("f", &csv, text, true).unwrap();
        let found: Vec<String> =
            schema.fields().iter().map(|f| format!("{} {}", f.name(), settled(f).data_type())).collect();
        let expected = [
            "a Int64",
            "b Date32",
            "column_3 Utf8View",
            "d Utf8View",
            "e Utf8View",
            "f Timestamp(µs, \"UTC\")",
            "g Float64",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn json_columns_keep_their_order() {
        let schema = json_schema("f", b"{\"z\":1,\"a\":\"x\"}\n{\"z\":2.5,\"m\":{\"k\":1}}\n").unwrap();
        assert_eq!(schema.fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>(), ["z", "a", "m"]);
        assert_eq!(json_schema("f", b" \n[{\"a\":1}]").unwrap_err().kind(), Kind::BadCopyFormat);
    }
}
