//! What the options of UNLOAD make of rows: their format, the columns that become folders, and how large a file may be.
//! The same on all nodes.

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::{CopyFormat, Unload, UnloadEncryption, UnloadOptions, ast, fold};
use tidegate_query::formats::{
    Compression, CsvOptions, FileFormat, ParquetCodec, WriteOptions, compression_of, one_byte,
};
use tidegate_storage::{Encryption, S3Access};

/// Redshift's own: 6.2 GB.
const FILE_BYTES_DEFAULT: u64 = 6_200 * (1 << 20);
/// Redshift's own: 32 MB.
const ROW_GROUP_BYTES_DEFAULT: u64 = 32 << 20;

/// How rows become files.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Form {
    /// Where to: the prefix of all names. A folder, with a `/` at its end, where columns become folders.
    pub url: String,
    /// With what it is reached.
    pub access: S3Access,
    /// What the bytes mean.
    pub format: FileFormat,
    /// The writer's choices.
    pub options: WriteOptions,
    /// The end of the files' names.
    pub ending: String,
    /// Bytes at which a file is ended.
    pub bytes_max: u64,
    /// The columns that become folders.
    pub folders: Vec<usize>,
    /// The columns that are in the files.
    pub kept: Vec<usize>,
    /// What all columns are called.
    names: Vec<String>,
    /// The format as Redshift's views call it.
    pub format_word: String,
}

impl Form {
    /// As UNLOAD's options say, for the query's columns.
    pub fn of(unload: &Unload, schema: &SchemaRef, access: S3Access) -> Result<Self> {
        let options = &unload.options;
        let folders = folders(schema, options)?;
        let kept = kept(schema, &folders, options)?;
        let format = format_of(options)?;
        refuse_twins(&format, schema)?;
        let url = match folders.is_empty() || unload.to.ends_with('/') {
            true => unload.to.clone(),
            false => format!("{}/", unload.to),
        };
        let row_group = options.row_group_size.unwrap_or(ROW_GROUP_BYTES_DEFAULT);
        let bytes_max = options.max_file_size.unwrap_or(FILE_BYTES_DEFAULT);
        let compression = compression_of(options.compression).unwrap_or(Compression::None);
        Ok(Form {
            url,
            access: with_options(access, options),
            // A whole number of row groups.
            bytes_max: match format {
                FileFormat::Parquet => (bytes_max / row_group * row_group).max(row_group),
                _ => bytes_max,
            },
            ending: ending(options, &format, compression),
            format,
            options: WriteOptions {
                compression,
                parquet: ParquetCodec::Snappy,
                row_group_rows: None,
                row_group_bytes: usize::try_from(row_group).ok(),
                useful_bounds: true,
                quote_all: options.add_quotes,
                widths: options.fixed_width.clone(),
                redshift_json: true,
            },
            folders,
            kept,
            names: schema.fields().iter().map(|field| field.name().clone()).collect(),
            format_word: options.format.name().to_string(),
        })
    }

    /// The schema of the files, of rows whose columns may have lost their names on the way.
    pub fn file_schema(&self, rows: &SchemaRef) -> Result<SchemaRef> {
        let named = |(field, name): (&Arc<Field>, &String)| field.as_ref().clone().with_name(name);
        let fields: Vec<Field> = rows.fields().iter().zip(&self.names).map(named).collect();
        Schema::new(fields).project(&self.kept).map(Arc::new).map_err(Error::internal)
    }

    /// Whether an UNLOAD of no rows leaves a file: one of text, which can be empty (UNL-14).
    pub fn leaves_empty_file(&self) -> bool {
        self.folders.is_empty() && matches!(self.format, FileFormat::Csv(_))
    }

    /// Lines of a file beside its rows.
    pub fn header_lines(&self) -> u64 {
        u64::from(matches!(&self.format, FileFormat::Csv(csv) if csv.header))
    }
}

fn with_options(access: S3Access, options: &UnloadOptions) -> S3Access {
    let encryption = match &options.encryption {
        UnloadEncryption::Bucket => None,
        UnloadEncryption::S3 => Some(Encryption::S3),
        UnloadEncryption::Kms(key) => Some(Encryption::Kms(key.clone())),
    };
    S3Access { region: options.region.clone().or(access.region), encryption, ..access }
}

fn ending(options: &UnloadOptions, format: &FileFormat, compression: Compression) -> String {
    match &options.extension {
        Some(extension) => format!(".{}", extension.trim_start_matches('.')),
        None if *format == FileFormat::Parquet => ".parquet".to_string(),
        None => compression.extension().to_string(),
    }
}

/// The columns of PARTITION BY. 42703 for one that is not there, 42804 for one whose values are no names.
fn folders(schema: &SchemaRef, options: &UnloadOptions) -> Result<Vec<usize>> {
    let index = |name: &ast::Ident| {
        let name = fold(name);
        let missing =
            || Error::new(Kind::UndefinedColumn, format!("PARTITION BY column \"{name}\" is not in the query"));
        let index = schema.fields().iter().position(|field| *field.name() == name).ok_or_else(missing)?;
        match is_key(schema.field(index).data_type()) {
            true => Ok(index),
            false => {
                let message = format!("PARTITION BY column \"{name}\" is of type {}", schema.field(index).data_type());
                Err(Error::new(Kind::DatatypeMismatch, message)
                    .hint("Folders are named by numbers, booleans, text, dates and timestamps."))
            }
        }
    };
    let folders = options.partition_by.iter().map(index).collect::<Result<Vec<_>>>()?;
    match folders.iter().collect::<BTreeSet<_>>().len() == folders.len() {
        true => Ok(folders),
        false => Err(Error::new(Kind::DuplicateColumn, "PARTITION BY names a column twice")),
    }
}

fn is_key(data_type: &DataType) -> bool {
    data_type.is_numeric()
        || data_type.is_string()
        || matches!(data_type, DataType::Boolean | DataType::Date32 | DataType::Timestamp(..))
}

/// 42P16 where no column would be left for the files: INCLUDE or not, one must not be a folder.
fn kept(schema: &SchemaRef, folders: &[usize], options: &UnloadOptions) -> Result<Vec<usize>> {
    let all = 0..schema.fields().len();
    if all.clone().all(|index| folders.contains(&index)) {
        return Err(Error::new(Kind::InvalidDefinition, "PARTITION BY leaves no column for the files")
            .hint("At least one column of the query must not be a partition column."));
    }
    Ok(all.filter(|index| options.partition_include || !folders.contains(index)).collect())
}

/// 42701 where a format tells columns by names that are not unique.
fn refuse_twins(format: &FileFormat, schema: &SchemaRef) -> Result<()> {
    let mut seen = BTreeSet::new();
    match schema.fields().iter().find(|field| !seen.insert(field.name().as_str())) {
        Some(twin) if !matches!(format, FileFormat::Csv(_)) => {
            let message =
                format!("column \"{}\" is there twice, and {} needs unique names", twin.name(), format.name());
            Err(Error::new(Kind::DuplicateColumn, message).hint("Give the columns names: SELECT a AS x, …"))
        }
        _ => Ok(()),
    }
}

fn format_of(options: &UnloadOptions) -> Result<FileFormat> {
    let is_csv = options.format == CopyFormat::Csv;
    let delimiter = options.delimiter.map(|given| one_byte("DELIMITER", given)).transpose()?;
    let delimiter = delimiter.unwrap_or(if is_csv { b',' } else { b'|' });
    match options.format {
        CopyFormat::Parquet => Ok(FileFormat::Parquet),
        CopyFormat::Json => Ok(FileFormat::Json),
        CopyFormat::Csv | CopyFormat::Text => {
            check_text(delimiter, options)?;
            Ok(FileFormat::Csv(CsvOptions {
                delimiter,
                quote: (is_csv || options.add_quotes).then_some(b'"'),
                // CSV doubles its quotes.
                escape: (options.escape && !is_csv).then_some(b'\\'),
                header: options.header,
                skip_lines: 0,
                null: options.null.clone(),
            }))
        }
        other => Err(Error::new(Kind::Unsupported, format!("UNLOAD as {} is not supported", other.name()))),
    }
}

/// 22023 for what could not be read again.
fn check_text(delimiter: u8, options: &UnloadOptions) -> Result<()> {
    let wrong = |message: &str| Err(Error::new(Kind::InvalidParameter, message));
    if matches!(delimiter, b'\n' | b'\r' | b'"' | b'\\') {
        return wrong("UNLOAD: DELIMITER cannot be a line end, a quote or a backslash");
    }
    let null = options.null.as_deref().unwrap_or_default().as_bytes();
    match null.iter().any(|byte| matches!(byte, b'\n' | b'\r') || *byte == delimiter) {
        true => wrong("UNLOAD: NULL AS cannot hold the delimiter or a line end"),
        false => Ok(()),
    }
}
