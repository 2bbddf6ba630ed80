//! The options of COPY: one typed set for both ways of writing them.

use sqlparser::ast::Ident;
use sqlparser::tokenizer::Token;
use std::fmt;
use tidegate_core::{Error, Kind, Result};

use crate::copy_job::NewCopyJob;
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
    /// Keys in the statement itself.
    Keys(Keys),
}

/// Keys that a statement holds. They are in no error and no debug print.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// Access key id.
    pub key: String,
    /// Secret access key.
    pub secret: String,
    /// Session token.
    pub token: Option<String>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(***)")
    }
}

impl CredentialRef {
    /// `IAM_ROLE 'x' | IAM_ROLE default | CREDENTIALS [AS] 'x' | CREDENTIAL x | ACCESS_KEY_ID 'x' …`, if it is ahead.
    pub(crate) fn accept(cursor: &mut Cursor, statement: &str) -> Result<Option<CredentialRef>> {
        if cursor.looks(&["ACCESS_KEY_ID"]) {
            return Keys::parse(cursor).map(|keys| Some(CredentialRef::Keys(keys)));
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
        Self::of_text(&text, statement).map(Some).map_err(|error| error.at(position))
    }

    /// `name`, `aws_iam_role=…` or `aws_access_key_id=…;aws_secret_access_key=…;token=…`, as Redshift's CREDENTIALS.
    fn of_text(text: &str, statement: &str) -> Result<CredentialRef> {
        if !text.contains('=') {
            return Ok(CredentialRef::Named(text.to_owned()));
        }
        let (mut role, mut key, mut secret, mut token) = (None, None, None, None);
        for part in text.split(';').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let slot = match name {
                "aws_iam_role" => &mut role,
                "aws_access_key_id" => &mut key,
                "aws_secret_access_key" => &mut secret,
                "token" => &mut token,
                "master_symmetric_key" => return Err(encrypted(statement)),
                // The name alone: a value may be a secret.
                _ => return Err(bad_credentials(statement, "it knows no such name")),
            };
            *slot = Some(value.to_owned());
        }
        match (role, key, secret) {
            (Some(role), None, None) => Ok(CredentialRef::Named(role)),
            (None, Some(key), Some(secret)) => Ok(CredentialRef::Keys(Keys { key, secret, token })),
            (Some(_), _, _) => Err(bad_credentials(statement, "a role and keys exclude each other")),
            _ => Err(bad_credentials(statement, "a key and its secret belong together")),
        }
    }
}

impl Keys {
    /// `ACCESS_KEY_ID 'x' SECRET_ACCESS_KEY 'y' [SESSION_TOKEN 'z']`.
    fn parse(cursor: &mut Cursor) -> Result<Keys> {
        let value = |cursor: &mut Cursor| {
            cursor.accept(&["AS"]);
            cursor.string()
        };
        cursor.expect(&["ACCESS_KEY_ID"])?;
        let key = value(cursor)?;
        cursor.expect(&["SECRET_ACCESS_KEY"])?;
        let secret = value(cursor)?;
        let has_token = cursor.accept(&["SESSION_TOKEN"]);
        let token = if has_token { Some(value(cursor)?) } else { None };
        Ok(Keys { key, secret, token })
    }
}

fn bad_credentials(statement: &str, why: &str) -> Error {
    Error::new(Kind::InvalidParameter, format!("{statement}: CREDENTIALS cannot be read: {why}"))
        .hint("They are 'aws_iam_role=…', or 'aws_access_key_id=…;aws_secret_access_key=…[;token=…]' without spaces.")
}

/// Why client-side encryption is refused: AWS withdraws it, too.
fn encrypted(statement: &str) -> Error {
    Error::new(Kind::Unsupported, format!("{statement}: client-side encryption is not supported"))
        .hint("Encryption by the store (SSE-S3, SSE-KMS) needs no option.")
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
    /// MAXERROR: the load fails with so many bad rows.
    pub max_error: Option<u64>,
    /// Whether any number of bad rows is passed over (IGNOREALLERRORS).
    pub ignore_all_errors: bool,
    /// Whose keys open the files.
    pub credential: Option<CredentialRef>,
    /// The region of the bucket.
    pub region: Option<String>,
    /// Where S3 answers, if that is not AWS.
    pub endpoint: Option<String>,
    /// FIXEDWIDTH: names and widths of the columns, as written.
    pub fixed_width: Option<String>,
    /// READRATIO, in percent: of a DynamoDB table.
    pub read_ratio: Option<u64>,
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
    /// Whether what does not read as a date is NULL.
    pub accept_any_date: bool,
    /// Whether digits beyond a decimal's scale are rounded rather than cut (ROUNDEC).
    pub round_decimals: bool,
    /// Whether the files give the values of identity columns (EXPLICIT_IDS).
    pub explicit_ids: bool,
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
    /// JOB CREATE: it becomes a job.
    pub job: Option<NewCopyJob>,
    /// Clauses that mean nothing here: each gives a NOTICE.
    pub no_ops: Vec<String>,
}

impl CopyOptions {
    /// 42601 for what has no meaning in the binary format.
    pub fn check_binary(&self) -> Result<()> {
        if self.format != Some(CopyFormat::Binary) {
            return Ok(());
        }
        let given = [
            ("DELIMITER", self.delimiter.is_some()),
            ("NULL", self.null.is_some()),
            ("HEADER", self.header.is_some()),
            ("QUOTE", self.quote.is_some()),
            ("ESCAPE", self.escape.is_some()),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((name, _)) => Err(Error::new(Kind::Syntax, format!("cannot specify {name} in BINARY mode"))),
            None => Ok(()),
        }
    }

    /// What follows the location: `[WITH] (…)` or clauses one after the other.
    /// `start` is where the statement begins, behind COPY.
    pub(crate) fn parse(cursor: &mut Cursor, start: usize) -> Result<CopyOptions> {
        let mut options = CopyOptions::default();
        cursor.accept(&["WITH"]);
        if *cursor.peek() == Token::LParen {
            cursor.parenthesized(|cursor| options.clause(cursor))?;
        } else {
            while *cursor.peek() != Token::EOF {
                if cursor.looks(&["JOB"]) {
                    let query = format!("COPY {}", cursor.text_since(start));
                    options.job = Some(NewCopyJob::parse(cursor, query)?);
                    break;
                }
                options.clause(cursor)?;
            }
        }
        Ok(options)
    }

    fn clause(&mut self, cursor: &mut Cursor) -> Result<()> {
        // Redshift lets WITH stand before any of them.
        cursor.accept(&["WITH"]);
        let position = cursor.position();
        if let Some(credential) = CredentialRef::accept(cursor, "COPY")? {
            if self.credential.replace(credential).is_some() {
                let message = "COPY: only one form of authorization may be given";
                return Err(Error::new(Kind::Syntax, message).at(position));
            }
            return Ok(());
        }
        if cursor.looks(&["ENCRYPTED"]) || cursor.looks(&["MASTER_SYMMETRIC_KEY"]) {
            return Err(encrypted("COPY").at(position));
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
            "IGNOREALLERRORS" => &mut self.ignore_all_errors,
            "ACCEPTANYDATE" => &mut self.accept_any_date,
            "ROUNDEC" => &mut self.round_decimals,
            "EXPLICIT_IDS" => &mut self.explicit_ids,
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
            "ENDPOINT",
            "FIXEDWIDTH",
            "READRATIO",
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
            "MAXERROR" => self.max_error = Some(cursor.number()?),
            "ENDPOINT" => self.endpoint = Some(cursor.string()?),
            "FIXEDWIDTH" => self.fixed_width = Some(cursor.string()?),
            "READRATIO" => self.read_ratio = Some(cursor.number()?),
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
