//! The options of COPY: one typed set for both ways of writing them.

use sqlparser::ast::Ident;
use sqlparser::tokenizer::Token;
use tidegate_core::{Error, Kind, Result};

use crate::cursor::Cursor;

/// How the data is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyFormat {
    /// Postgres' text format; for files, Redshift's delimited text.
    Text,
    /// Comma separated values with quotes.
    Csv,
    /// One JSON object a line.
    Json,
    /// Apache Parquet.
    Parquet,
    /// Apache ORC.
    Orc,
    /// Apache Avro.
    Avro,
    /// Postgres' binary format.
    Binary,
}

impl CopyFormat {
    /// A format by its name, in upper case.
    pub fn from_name(name: &str) -> Option<CopyFormat> {
        Some(match name {
            "TEXT" => CopyFormat::Text,
            "CSV" => CopyFormat::Csv,
            "JSON" => CopyFormat::Json,
            "PARQUET" => CopyFormat::Parquet,
            "ORC" => CopyFormat::Orc,
            "AVRO" => CopyFormat::Avro,
            "BINARY" => CopyFormat::Binary,
            _ => return None,
        })
    }

    /// Its name, in upper case.
    pub fn name(self) -> &'static str {
        match self {
            CopyFormat::Text => "TEXT",
            CopyFormat::Csv => "CSV",
            CopyFormat::Json => "JSON",
            CopyFormat::Parquet => "PARQUET",
            CopyFormat::Orc => "ORC",
            CopyFormat::Avro => "AVRO",
            CopyFormat::Binary => "BINARY",
        }
    }
}

/// How files are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// gzip.
    Gzip,
    /// bzip2.
    Bzip2,
    /// Zstandard.
    Zstd,
}

impl Compression {
    /// A compression by its word, in upper case.
    pub fn from_name(name: &str) -> Option<Compression> {
        Some(match name {
            "GZIP" => Compression::Gzip,
            "BZIP2" => Compression::Bzip2,
            "ZSTD" => Compression::Zstd,
            _ => return None,
        })
    }

    /// Its word, in upper case.
    pub fn name(self) -> &'static str {
        match self {
            Compression::Gzip => "GZIP",
            Compression::Bzip2 => "BZIP2",
            Compression::Zstd => "ZSTD",
        }
    }
}

/// Which credential a statement asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialRef {
    /// `IAM_ROLE default`: the one whose scope fits.
    Default,
    /// One by its name, or an IAM role's ARN.
    Named(String),
}

impl CredentialRef {
    /// `IAM_ROLE 'x' | IAM_ROLE default | CREDENTIALS [AS] 'x' | CREDENTIAL x`, if it is ahead.
    pub(crate) fn accept(cursor: &mut Cursor, statement: &str) -> Result<Option<CredentialRef>> {
        if cursor.looks(&["ACCESS_KEY_ID"]) || cursor.looks(&["SECRET_ACCESS_KEY"]) {
            return Err(inline_keys(statement, cursor.position()));
        }
        if !["IAM_ROLE", "CREDENTIALS", "CREDENTIAL"].iter().any(|word| cursor.accept(&[word])) {
            return Ok(None);
        }
        cursor.accept(&["AS"]);
        if cursor.accept(&["DEFAULT"]) {
            return Ok(Some(CredentialRef::Default));
        }
        let position = cursor.position();
        let Some(text) = cursor.take_string() else {
            return Ok(Some(CredentialRef::Named(crate::fold(&cursor.ident()?))));
        };
        if text.to_ascii_lowercase().contains("access_key") {
            return Err(inline_keys(statement, position));
        }
        let name = text.strip_prefix("aws_iam_role=").unwrap_or(&text);
        Ok(Some(CredentialRef::Named(name.to_owned())))
    }
}

fn inline_keys(statement: &str, position: usize) -> Error {
    Error::new(Kind::Unsupported, format!("{statement}: keys in the statement are not supported"))
        .hint("Use CREATE CREDENTIAL once, and name it here.")
        .at(position)
}

/// The options of COPY. What was not written is `None`, `false` or 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopyOptions {
    /// How the data is encoded.
    pub format: Option<CopyFormat>,
    /// Between values.
    pub delimiter: Option<char>,
    /// How NULL is written.
    pub null: Option<String>,
    /// Whether the first line holds names (Postgres).
    pub header: Option<bool>,
    /// How many lines of each file are passed over (Redshift).
    pub ignore_header: u64,
    /// Around values.
    pub quote: Option<char>,
    /// Before a quote within a value.
    pub escape: Option<char>,
    /// Redshift's bare ESCAPE: a backslash escapes delimiter, line end, quote and itself.
    pub backslash_escape: bool,
    /// The encoding, as written.
    pub encoding: Option<String>,
    /// How files are compressed.
    pub compression: Option<Compression>,
    /// Whether the URL names a manifest.
    pub manifest: bool,
    /// How many bad rows are passed over.
    pub max_error: u64,
    /// Whose keys open the files.
    pub credential: Option<CredentialRef>,
    /// The region of the bucket.
    pub region: Option<String>,
    /// JSON and Avro: `auto`, `auto ignorecase`, `noshred` or a JSONPaths file.
    pub json_path: Option<String>,
    /// DATEFORMAT.
    pub date_format: Option<String>,
    /// TIMEFORMAT.
    pub time_format: Option<String>,
    /// Whether empty text is NULL.
    pub empty_as_null: bool,
    /// Whether blank text is NULL.
    pub blanks_as_null: bool,
    /// Whether quotes around values are taken off (delimited text).
    pub remove_quotes: bool,
    /// Whether text that is too long is cut.
    pub truncate_columns: bool,
    /// Whether missing values at the end of a line are NULL.
    pub fill_record: bool,
    /// Whether blanks at the end of text are cut.
    pub trim_blanks: bool,
    /// Whether empty lines are passed over.
    pub ignore_blank_lines: bool,
    /// What stands in for bytes that are not UTF-8.
    pub accept_invalid_chars: Option<char>,
    /// Whether the files are only checked.
    pub no_load: bool,
    /// Columns always quoted; an empty list for `*`.
    pub force_quote: Option<Vec<Ident>>,
    /// Columns in which the NULL text is text; an empty list for `*`.
    pub force_not_null: Option<Vec<Ident>>,
    /// Columns in which the quoted NULL text is NULL; an empty list for `*`.
    pub force_null: Option<Vec<Ident>>,
    /// Clauses that mean nothing here: each gives a NOTICE.
    pub no_ops: Vec<String>,
}

impl CopyOptions {
    /// What follows the location: `[WITH] (…)` or clauses one after the other.
    pub(crate) fn parse(cursor: &mut Cursor) -> Result<CopyOptions> {
        let mut options = CopyOptions::default();
        cursor.accept(&["WITH"]);
        if *cursor.peek() == Token::LParen {
            cursor.parenthesized(|cursor| options.clause(cursor))?;
        } else {
            while *cursor.peek() != Token::EOF {
                options.clause(cursor)?;
            }
        }
        Ok(options)
    }

    fn clause(&mut self, cursor: &mut Cursor) -> Result<()> {
        if let Some(credential) = CredentialRef::accept(cursor, "COPY")? {
            self.credential = Some(credential);
            return Ok(());
        }
        let word = cursor.peek_word().unwrap_or_default();
        let known = self.layout(cursor, &word)?
            || self.flag(cursor, &word)
            || self.value(cursor, &word)?
            || self.columns(cursor)?
            || self.no_op(cursor, &word)?;
        if known { Ok(()) } else { Err(cursor.unknown_clause("COPY")) }
    }

    /// The format and its compression.
    fn layout(&mut self, cursor: &mut Cursor, word: &str) -> Result<bool> {
        if let Some(compression) = Compression::from_name(word) {
            cursor.skip();
            self.compression = Some(compression);
            return Ok(true);
        }
        if word == "FORMAT" {
            cursor.skip();
            cursor.accept(&["AS"]);
            self.format = Some(format_name(cursor, "COPY")?);
        } else if let Some(format) = CopyFormat::from_name(word) {
            cursor.skip();
            self.format = Some(format);
        } else {
            return Ok(false);
        }
        if matches!(self.format, Some(CopyFormat::Json | CopyFormat::Avro)) {
            cursor.accept(&["AS"]);
            self.json_path = cursor.take_string().or(self.json_path.take());
        }
        Ok(true)
    }

    /// Clauses of one word.
    fn flag(&mut self, cursor: &mut Cursor, word: &str) -> bool {
        let flag = match word {
            "MANIFEST" => &mut self.manifest,
            "EMPTYASNULL" => &mut self.empty_as_null,
            "BLANKSASNULL" => &mut self.blanks_as_null,
            "REMOVEQUOTES" => &mut self.remove_quotes,
            "TRUNCATECOLUMNS" => &mut self.truncate_columns,
            "FILLRECORD" => &mut self.fill_record,
            "TRIMBLANKS" => &mut self.trim_blanks,
            "IGNOREBLANKLINES" => &mut self.ignore_blank_lines,
            "NOLOAD" => &mut self.no_load,
            _ => return false,
        };
        *flag = true;
        cursor.skip();
        true
    }

    /// Clauses of a word, perhaps AS, and a value.
    fn value(&mut self, cursor: &mut Cursor, word: &str) -> Result<bool> {
        const WORDS: &[&str] = &[
            "HEADER",
            "DELIMITER",
            "DELIMITERS",
            "NULL",
            "QUOTE",
            "ESCAPE",
            "ENCODING",
            "IGNOREHEADER",
            "MAXERROR",
            "REGION",
            "DATEFORMAT",
            "TIMEFORMAT",
            "ACCEPTINVCHARS",
        ];
        if !WORDS.contains(&word) {
            return Ok(false);
        }
        cursor.skip();
        cursor.accept(&["AS"]);
        match word {
            "HEADER" => self.header = Some(cursor.accept(&["MATCH"]) || cursor.take_switch().unwrap_or(true)),
            "NULL" => self.null = Some(cursor.string()?),
            "QUOTE" => self.quote = Some(cursor.character()?),
            "ESCAPE" if !is_string(cursor.peek()) => self.backslash_escape = true,
            "ESCAPE" => self.escape = Some(cursor.character()?),
            "ENCODING" => self.encoding = Some(crate::options::value(cursor)?),
            "IGNOREHEADER" => self.ignore_header = cursor.number()?,
            "MAXERROR" => self.max_error = cursor.number()?,
            "REGION" => self.region = Some(cursor.string()?),
            "DATEFORMAT" => self.date_format = Some(cursor.string()?),
            "TIMEFORMAT" => self.time_format = Some(cursor.string()?),
            "ACCEPTINVCHARS" if !is_string(cursor.peek()) => self.accept_invalid_chars = Some('?'),
            "ACCEPTINVCHARS" => self.accept_invalid_chars = Some(cursor.character()?),
            _ => self.delimiter = Some(cursor.character()?),
        }
        Ok(true)
    }

    /// `FORCE_QUOTE (a, b)`, `FORCE QUOTE a, b`, `FORCE NOT NULL a`, `FORCE_NULL *`.
    fn columns(&mut self, cursor: &mut Cursor) -> Result<bool> {
        let slot = if cursor.accept(&["FORCE_QUOTE"]) || cursor.accept(&["FORCE", "QUOTE"]) {
            &mut self.force_quote
        } else if cursor.accept(&["FORCE_NOT_NULL"]) || cursor.accept(&["FORCE", "NOT", "NULL"]) {
            &mut self.force_not_null
        } else if cursor.accept(&["FORCE_NULL"]) || cursor.accept(&["FORCE", "NULL"]) {
            &mut self.force_null
        } else {
            return Ok(false);
        };
        let names = if cursor.take(&Token::Mul) {
            Vec::new()
        } else if *cursor.peek() == Token::LParen {
            cursor.parenthesized(Cursor::ident)?
        } else {
            cursor.list(Cursor::ident)?
        };
        *slot = Some(names);
        Ok(true)
    }

    /// Clauses that mean nothing here.
    fn no_op(&mut self, cursor: &mut Cursor, word: &str) -> Result<bool> {
        if !["COMPUPDATE", "STATUPDATE", "FREEZE", "COMPROWS"].contains(&word) {
            return Ok(false);
        }
        cursor.skip();
        if word == "COMPROWS" {
            cursor.number()?;
        } else if !cursor.accept(&["PRESET"]) {
            cursor.take_switch();
        }
        self.no_ops.push(word.to_owned());
        Ok(true)
    }
}

/// A format by its name, quoted or not.
pub(crate) fn format_name(cursor: &mut Cursor, statement: &str) -> Result<CopyFormat> {
    let position = cursor.position();
    let name = match cursor.take_string() {
        Some(name) => name,
        None => cursor.ident()?.value,
    };
    let name = name.to_ascii_uppercase();
    CopyFormat::from_name(&name).ok_or_else(|| {
        Error::new(Kind::Unsupported, format!("{statement}: format {name} is not supported")).at(position)
    })
}

fn is_string(token: &Token) -> bool {
    matches!(token, Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_))
}
