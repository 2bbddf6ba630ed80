//! Readers and writers of Parquet, CSV, JSON lines and ORC: one set, for lake, COPY, UNLOAD and deliveries.
//!
//! * [`list`] finds the objects of a location, [`partitions`] reads and prunes Hive folders, [`infer`] reads a schema;
//! * [`scan`] makes a DataFusion scan of files, with [`statistics`] for the join order;
//! * [`load`] turns one text file into batches and knows the line and the column of each bad value;
//! * [`write`] makes objects;
//! * [`decode_json_records`] and its kin read and write the bytes of single records.

mod avro;
mod columns;
pub mod compress;
mod copy_options;
mod encoding;
mod field_rules;
#[cfg(test)]
mod fuzz;
mod guard;
pub mod infer;
mod json_path;
mod json_rows;
mod json_write;
mod letter_case;
pub mod list;
pub mod load;
mod load_error;
mod nested;
pub mod orc;
mod pack;
pub mod partitions;
mod pattern;
pub mod read;
mod record_codec;
mod records;
mod row_parser;
mod sample;
pub mod scan;
mod source_spec;
pub mod statistics;
mod stored_as;
mod text_rows;
pub mod text_source;
mod text_values;
mod text_write;
mod upload;
mod values;
pub mod write;
mod write_orc;
mod write_parquet;

pub use avro::avro_as_json;
pub use columns::{bytes_of_text, plain_date, plain_timestamp};
pub use compress::Compression;
pub use copy_options::{apply_copy_options, compression_of, one_byte, redshift_rules};
pub use encoding::{Encoding, EncodingMismatch};
pub use field_rules::{FieldRules, Lengths};
pub use guard::guarded;
pub use infer::infer_schema;
pub use json_path::{JsonPath, json_paths};
pub use list::{list_files, list_partitioned};
pub use load::{JsonColumns, LoadOptions, Loaded, Loader, TextFormat};
pub use load_error::LoadError;
pub use partitions::{hive_partitions, only_partition_columns, prune_partitions};
pub use pattern::{Pattern, TimeFormat};
pub use record_codec::{decode_csv_records, decode_json_records, encode_csv_rows, encode_json_rows};
pub use row_parser::{REDSHIFT_RECORD_BYTES_MAX, Replaced, RowParser};
pub use scan::{FileScan, row_number};
pub use source_spec::{SourceSpec, settle};
pub use stored_as::format_of;
pub use write::{ColumnStats, FileWriter, ParquetCodec, WriteOptions, WrittenFile, create_writer};
pub use write_parquet::ROW_GROUP_ROWS;

use datafusion::error::DataFusionError;
use serde::{Deserialize, Serialize};
use tidegate_core::{Error, Kind};

/// Columns that every file has beside its own: its URL and its size in bytes. Hidden from `*`.
pub const FILE_COLUMNS: [&str; 2] = ["$path", "$size"];

/// What the bytes of a file mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileFormat {
    /// Apache Parquet.
    Parquet,
    /// Text with a delimiter.
    Csv(CsvOptions),
    /// One JSON object a line.
    Json,
    /// Apache ORC.
    Orc,
}

/// How fields are told apart in delimited text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CsvOptions {
    /// Between fields.
    pub delimiter: u8,
    /// Around fields that hold delimiters or line ends; `None`: a quote is a character like others.
    pub quote: Option<u8>,
    /// Takes the next character as it is; `None`, or the quote itself: only doubled quotes.
    pub escape: Option<u8>,
    /// The first line names the columns.
    pub header: bool,
    /// Lines to pass over before the header.
    pub skip_lines: usize,
    /// The text that means NULL, beside the empty field.
    pub null: Option<String>,
}

impl Default for CsvOptions {
    fn default() -> Self {
        CsvOptions { delimiter: b',', quote: Some(b'"'), escape: None, header: false, skip_lines: 0, null: None }
    }
}

impl FileFormat {
    /// The word of `STORED AS` and `FORMAT`, in small letters; also a file's usual ending.
    pub fn name(&self) -> &'static str {
        match self {
            FileFormat::Parquet => "parquet",
            FileFormat::Csv(_) => "csv",
            FileFormat::Json => "json",
            FileFormat::Orc => "orc",
        }
    }

    /// The format that a file's name tells, a compression's ending aside. `None`: it tells none.
    pub fn of_name(name: &str) -> Option<FileFormat> {
        let lower = name.to_ascii_lowercase();
        let stem = Compression::of_name(&lower).strip(&lower);
        match stem.rsplit_once('.')?.1 {
            "parquet" | "parq" | "pq" => Some(FileFormat::Parquet),
            "csv" => Some(FileFormat::Csv(CsvOptions { header: true, ..CsvOptions::default() })),
            "tsv" => Some(FileFormat::Csv(CsvOptions { header: true, delimiter: b'\t', ..CsvOptions::default() })),
            "json" | "jsonl" | "ndjson" => Some(FileFormat::Json),
            "orc" => Some(FileFormat::Orc),
            _ => None,
        }
    }
}

/// A failure of an object store in the server's terms; `what` names the object.
pub fn store_error(error: object_store::Error, what: &str) -> Error {
    tidegate_storage::object_error(error, what)
}

/// A full disk is worth telling from other failures, however deep it is wrapped.
fn io_cause(error: &(dyn std::error::Error + 'static)) -> Option<Kind> {
    let mut at = Some(error);
    while let Some(error) = at {
        if let Some(io) = error.downcast_ref::<std::io::Error>()
            && matches!(io.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
        {
            return Some(Kind::DiskFull);
        }
        at = error.source();
    }
    None
}

/// A failure of a reader or planner in the server's terms. An error of ours inside keeps its kind.
pub fn engine_error(error: DataFusionError, what: &str) -> Error {
    match error.find_root() {
        DataFusionError::External(inner) => {
            if let Some(ours) = inner.downcast_ref::<Error>() {
                return ours.clone();
            }
        }
        DataFusionError::ObjectStore(inner) => {
            if matches!(**inner, object_store::Error::NotFound { .. }) {
                return Error::new(Kind::UndefinedFile, format!("{what} does not exist"));
            }
        }
        _ => {}
    }
    let kind = io_cause(&error).unwrap_or(match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => Kind::OutOfMemory,
        DataFusionError::NotImplemented(_) => Kind::Unsupported,
        DataFusionError::IoError(_) | DataFusionError::ObjectStore(_) => Kind::Io,
        _ => Kind::DataCorrupted,
    });
    Error::new(kind, format!("{what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_name() {
        let cases = [
            ("a/b.parquet", Some("parquet")),
            ("b.CSV.gz", Some("csv")),
            ("b.jsonl.zst", Some("json")),
            ("b.orc", Some("orc")),
            ("b.gz", None),
            ("noending", None),
        ];
        for (name, expected) in cases {
            assert_eq!(FileFormat::of_name(name).as_ref().map(FileFormat::name), expected, "{name}");
        }
    }
}
