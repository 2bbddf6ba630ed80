//! The options of UNLOAD: which there are, their bounds, and which exclude each other.

use sqlparser::ast::Ident;
use sqlparser::tokenizer::Token;
use tidegate_core::{Error, Kind, Result};

use crate::copy_options::{Compression, CopyFormat, CredentialRef, format_name};
use crate::cursor::Cursor;

const BYTES_PER_MB: u64 = 1 << 20;
const BYTES_PER_GB: u64 = 1 << 30;
/// MAXFILESIZE, in megabytes: Redshift's own bounds.
const FILE_MB: (f64, f64) = (5.0, 6.2 * 1024.0);
/// ROWGROUPSIZE, in megabytes: Redshift's own bounds.
const ROW_GROUP_MB: (f64, f64) = (32.0, 128.0);

/// The widest column of FIXEDWIDTH, in characters: the longest varchar.
const FIXED_WIDTH_MAX: usize = 65_535;

/// The options of UNLOAD. What was not written is `None` or `false`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnloadOptions {
    /// Text, Csv, Parquet or Json.
    pub format: CopyFormat,
    /// Between values.
    pub delimiter: Option<char>,
    /// Whether each file begins with the names.
    pub header: bool,
    /// How files are compressed.
    pub compression: Option<Compression>,
    /// The columns whose values become folders.
    pub partition_by: Vec<Ident>,
    /// Whether those columns stay in the files too.
    pub partition_include: bool,
    /// Whether files of the same names are replaced.
    pub allow_overwrite: bool,
    /// Whether what lies under the prefix is removed first.
    pub clean_path: bool,
    /// Whether several files may be written at once; one after the other, in order, where false.
    pub parallel: bool,
    /// How large a file may become, in bytes.
    pub max_file_size: Option<u64>,
    /// How large a row group of a Parquet file may become, in bytes.
    pub row_group_size: Option<u64>,
    /// Whether a manifest is written.
    pub manifest: bool,
    /// Whether the manifest has columns, sizes and counts.
    pub manifest_verbose: bool,
    /// Whose keys open the bucket.
    pub credential: Option<CredentialRef>,
    /// How NULL is written.
    pub null: Option<String>,
    /// Whether values are quoted (delimited text).
    pub add_quotes: bool,
    /// Whether delimiters, line ends, quotes and backslashes are escaped (delimited text).
    pub escape: bool,
    /// The width of each column, in characters, in place of a delimiter.
    pub fixed_width: Option<Vec<usize>>,
    /// How the store encrypts the files.
    pub encryption: UnloadEncryption,
    /// The region of the bucket.
    pub region: Option<String>,
    /// The end of the files' names.
    pub extension: Option<String>,
}

impl Default for UnloadOptions {
    fn default() -> Self {
        UnloadOptions {
            format: CopyFormat::Text,
            delimiter: None,
            header: false,
            compression: None,
            partition_by: Vec::new(),
            partition_include: false,
            allow_overwrite: false,
            clean_path: false,
            parallel: true,
            max_file_size: None,
            row_group_size: None,
            manifest: false,
            manifest_verbose: false,
            credential: None,
            null: None,
            add_quotes: false,
            escape: false,
            fixed_width: None,
            encryption: UnloadEncryption::default(),
            region: None,
            extension: None,
        }
    }
}

/// Who encrypts what UNLOAD writes. It is always the store: keys of the client's own are refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum UnloadEncryption {
    /// As the bucket does by itself, which `ENCRYPTED AUTO` asks for, too.
    #[default]
    Bucket,
    /// `ENCRYPTED`: with keys of S3.
    S3,
    /// `KMS_KEY_ID 'key' [ENCRYPTED]`: with this key of KMS.
    Kms(String),
}

impl UnloadOptions {
    /// Whether something may be under the prefix already.
    pub fn rewrites(&self) -> bool {
        self.allow_overwrite || self.clean_path
    }

    /// The option ahead.
    pub(crate) fn clause(&mut self, cursor: &mut Cursor) -> Result<()> {
        if let Some(credential) = CredentialRef::accept(cursor, "UNLOAD")? {
            self.credential = Some(credential);
            return Ok(());
        }
        let word = cursor.peek_word().unwrap_or_default();
        let known = self.layout(cursor, &word)?
            || self.flag(cursor, &word)
            || self.value(cursor, &word)?
            || self.encryption(cursor, &word)?;
        if known { Ok(()) } else { Err(cursor.unknown_clause("UNLOAD")) }
    }

    fn layout(&mut self, cursor: &mut Cursor, word: &str) -> Result<bool> {
        if let Some(compression) = Compression::from_name(word) {
            if self.compression.is_some_and(|given| given != compression) {
                let message = format!("UNLOAD: {word} and another compression exclude each other");
                return Err(Error::new(Kind::Syntax, message).at(cursor.position()));
            }
            cursor.skip();
            self.compression = Some(compression);
            return Ok(true);
        }
        if cursor.accept(&["FORMAT"]) {
            cursor.accept(&["AS"]);
        } else if CopyFormat::from_name(word).is_none() {
            return Ok(false);
        }
        let position = cursor.position();
        self.format = format_name(cursor, "UNLOAD")?;
        match self.format {
            CopyFormat::Text | CopyFormat::Csv | CopyFormat::Parquet | CopyFormat::Json => Ok(true),
            _ => {
                Err(Error::new(Kind::Unsupported, "UNLOAD writes CSV, JSON, Parquet and delimited text only")
                    .at(position))
            }
        }
    }

    fn flag(&mut self, cursor: &mut Cursor, word: &str) -> bool {
        let flag = match word {
            "HEADER" => &mut self.header,
            "ALLOWOVERWRITE" => &mut self.allow_overwrite,
            "CLEANPATH" => &mut self.clean_path,
            "ADDQUOTES" => &mut self.add_quotes,
            "ESCAPE" => &mut self.escape,
            "MANIFEST" => &mut self.manifest,
            _ => return false,
        };
        *flag = true;
        cursor.skip();
        if word == "MANIFEST" {
            self.manifest_verbose = cursor.accept(&["VERBOSE"]);
        }
        true
    }

    fn value(&mut self, cursor: &mut Cursor, word: &str) -> Result<bool> {
        if cursor.accept(&["PARTITION", "BY"]) {
            self.partition_by = cursor.parenthesized(Cursor::ident)?;
            self.partition_include = cursor.accept(&["INCLUDE"]);
            return Ok(true);
        }
        const WORDS: [&str; 8] =
            ["DELIMITER", "NULL", "REGION", "EXTENSION", "PARALLEL", "MAXFILESIZE", "ROWGROUPSIZE", "FIXEDWIDTH"];
        if !WORDS.contains(&word) {
            return Ok(false);
        }
        cursor.skip();
        cursor.accept(&["AS"]);
        match word {
            "DELIMITER" => self.delimiter = Some(cursor.character()?),
            "NULL" => self.null = Some(cursor.string()?),
            "REGION" => self.region = Some(cursor.string()?),
            "EXTENSION" => self.extension = Some(cursor.string()?),
            "PARALLEL" => self.parallel = cursor.take_switch().unwrap_or(true),
            "FIXEDWIDTH" => self.fixed_width = Some(widths(cursor)?),
            "ROWGROUPSIZE" => self.row_group_size = Some(size(cursor, word, ROW_GROUP_MB)?),
            _ => self.max_file_size = Some(size(cursor, word, FILE_MB)?),
        }
        Ok(true)
    }

    /// `ENCRYPTED [AUTO]`, `KMS_KEY_ID [AS] 'key'`.
    fn encryption(&mut self, cursor: &mut Cursor, word: &str) -> Result<bool> {
        match word {
            "ENCRYPTED" => {
                cursor.skip();
                let auto = cursor.accept(&["AUTO"]);
                if !auto && self.encryption == UnloadEncryption::Bucket {
                    self.encryption = UnloadEncryption::S3;
                }
            }
            "KMS_KEY_ID" => {
                cursor.skip();
                cursor.accept(&["AS"]);
                self.encryption = UnloadEncryption::Kms(cursor.string()?);
            }
            "MASTER_SYMMETRIC_KEY" => {
                return Err(cursor.unsupported("UNLOAD: encryption by the client (MASTER_SYMMETRIC_KEY)"));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// 42601 for options that exclude each other, by their names.
    pub(crate) fn check(&self) -> Result<()> {
        let both =
            |one: &str, other: &str| Error::new(Kind::Syntax, format!("UNLOAD: {other} and {one} exclude each other"));
        let compressed = self.compression.map(Compression::name);
        let text_only = [
            ("DELIMITER", self.delimiter.is_some()),
            ("FIXEDWIDTH", self.fixed_width.is_some()),
            ("ADDQUOTES", self.add_quotes),
            ("ESCAPE", self.escape),
            ("NULL AS", self.null.is_some()),
            ("HEADER", self.header),
            (compressed.unwrap_or_default(), compressed.is_some()),
        ];
        let refused: &[&str] = match self.format {
            CopyFormat::Csv => &["FIXEDWIDTH", "ADDQUOTES"],
            CopyFormat::Parquet => {
                &["DELIMITER", "FIXEDWIDTH", "ADDQUOTES", "ESCAPE", "NULL AS", "HEADER", "GZIP", "BZIP2", "ZSTD"]
            }
            CopyFormat::Json => &["DELIMITER", "HEADER", "FIXEDWIDTH", "ADDQUOTES", "ESCAPE", "NULL AS"],
            _ if self.fixed_width.is_some() => &["DELIMITER", "HEADER", "ADDQUOTES", "ESCAPE"],
            _ => &[],
        };
        let format = if self.fixed_width.is_some() && self.format == CopyFormat::Text {
            "FIXEDWIDTH"
        } else {
            self.format.name()
        };
        if let Some((option, _)) = text_only.iter().find(|(option, given)| *given && refused.contains(option)) {
            return Err(both(format, option));
        }
        if self.row_group_size.is_some() && self.format != CopyFormat::Parquet {
            return Err(Error::new(Kind::Syntax, "UNLOAD: ROWGROUPSIZE is for FORMAT PARQUET only"));
        }
        match self.allow_overwrite && self.clean_path {
            true => Err(both("ALLOWOVERWRITE", "CLEANPATH")),
            false => Ok(()),
        }
    }
}

/// `5 MB`, `1.5 GB`, `100` (megabytes), as bytes; 22023 outside of the bounds, which are in megabytes.
fn size(cursor: &mut Cursor, option: &str, (least, most): (f64, f64)) -> Result<u64> {
    let position = cursor.position();
    let wrong = || {
        let most = if most < 1024.0 { format!("{most} MB") } else { format!("{} GB", most / 1024.0) };
        let message = format!("UNLOAD: {option} must be from {least} MB to {most}");
        Error::new(Kind::InvalidParameter, message).at(position)
    };
    let Token::Number(digits, _) = cursor.peek() else { return Err(cursor.syntax_error()) };
    let number: f64 = digits.parse().map_err(|_| wrong())?;
    cursor.skip();
    let unit = if cursor.accept(&["GB"]) {
        BYTES_PER_GB
    } else {
        cursor.accept(&["MB"]);
        BYTES_PER_MB
    };
    let bytes = number * unit as f64;
    let bounds = least * BYTES_PER_MB as f64..=most * BYTES_PER_MB as f64;
    // Far below where a float loses whole bytes.
    if bounds.contains(&bytes) { Ok(bytes as u64) } else { Err(wrong()) }
}

/// `'name:width,name:width'`, of which only the widths count.
fn widths(cursor: &mut Cursor) -> Result<Vec<usize>> {
    let position = cursor.position();
    let text = cursor.string()?;
    let width = |column: &str| column.rsplit_once(':').and_then(|(_, width)| width.trim().parse().ok());
    let widths: Option<Vec<usize>> = text.split(',').map(width).collect();
    widths.filter(|widths| widths.iter().all(|width| (1..=FIXED_WIDTH_MAX).contains(width))).ok_or_else(|| {
        let message = format!("UNLOAD: FIXEDWIDTH is 'name:width,…' with widths from 1 to {FIXED_WIDTH_MAX}");
        Error::new(Kind::InvalidParameter, message).at(position)
    })
}
