//! UNLOAD: a query's result into files.

use sqlparser::ast::Ident;
use sqlparser::tokenizer::Token;
use tidegate_core::{Error, Kind, Result};

use crate::copy_options::{Compression, CopyFormat, CredentialRef, format_name};
use crate::cursor::Cursor;
use crate::statement::Statement;

const BYTES_PER_MB: u64 = 1 << 20;
const BYTES_PER_GB: u64 = 1 << 30;

/// `UNLOAD ('SELECT …') TO 's3://bucket/prefix' …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unload {
    /// The query's text.
    pub query: String,
    /// The prefix of the files' names.
    pub to: String,
    /// Format and the rest.
    pub options: UnloadOptions,
}

impl Unload {
    pub(crate) fn parse(cursor: &mut Cursor) -> Result<Statement> {
        let quoted = cursor.quoted_in_parentheses();
        let query = match quoted {
            Some(query) => query,
            None => cursor.query_in_parentheses()?,
        };
        cursor.expect(&["TO"])?;
        let to = cursor.string()?;
        let mut options = UnloadOptions::default();
        cursor.accept(&["WITH"]);
        while *cursor.peek() != Token::EOF {
            options.clause(cursor)?;
        }
        Ok(Statement::Unload(Unload { query, to, options }))
    }
}

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
            manifest: false,
            manifest_verbose: false,
            credential: None,
            null: None,
            add_quotes: false,
            escape: false,
            region: None,
            extension: None,
        }
    }
}

impl UnloadOptions {
    fn clause(&mut self, cursor: &mut Cursor) -> Result<()> {
        if let Some(credential) = CredentialRef::accept(cursor, "UNLOAD")? {
            self.credential = Some(credential);
            return Ok(());
        }
        let word = cursor.peek_word().unwrap_or_default();
        let known = self.layout(cursor, &word)? || self.flag(cursor, &word) || self.value(cursor, &word)?;
        if known { Ok(()) } else { Err(cursor.unknown_clause("UNLOAD")) }
    }

    fn layout(&mut self, cursor: &mut Cursor, word: &str) -> Result<bool> {
        if let Some(compression) = Compression::from_name(word) {
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
        if !["DELIMITER", "NULL", "REGION", "EXTENSION", "PARALLEL", "MAXFILESIZE"].contains(&word) {
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
            _ => self.max_file_size = Some(file_size(cursor)?),
        }
        Ok(true)
    }
}

/// `5 MB`, `1.5 GB`, `100` (megabytes), as bytes.
fn file_size(cursor: &mut Cursor) -> Result<u64> {
    let position = cursor.position();
    let wrong = || Error::new(Kind::InvalidParameter, "UNLOAD: MAXFILESIZE is not a size").at(position);
    let Token::Number(digits, _) = cursor.peek() else { return Err(cursor.syntax_error()) };
    let number: f64 = digits.parse().map_err(|_| wrong())?;
    cursor.skip();
    let unit = if cursor.accept(&["GB"]) {
        BYTES_PER_GB
    } else {
        cursor.accept(&["MB"]);
        BYTES_PER_MB
    };
    // A float's cast saturates; sizes are far below where it loses whole bytes.
    match (number * unit as f64) as u64 {
        0 => Err(wrong()),
        bytes => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests_support::{check_errors, one};

    fn unload(sql: &str) -> Unload {
        match one(sql) {
            Statement::Unload(unload) => unload,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn queries() {
        for (sql, query) in [
            ("UNLOAD ('select a from t where b = ''x''') TO 's3://b/p'", "select a from t where b = 'x'"),
            ("UNLOAD ($$select 'x'$$) TO 's3://b/p'", "select 'x'"),
            ("UNLOAD (SELECT a, (b) FROM t) TO 's3://b/p'", "SELECT a, (b) FROM t"),
        ] {
            let found = unload(sql);
            assert_eq!((found.query.as_str(), found.to.as_str()), (query, "s3://b/p"), "{sql}");
            assert_eq!(found.options, UnloadOptions::default(), "{sql}");
        }
    }

    #[test]
    fn options() {
        let named = Some(CredentialRef::Named("c".into()));
        for (clauses, expected) in [
            (
                "IAM_ROLE 'c' FORMAT AS PARQUET PARTITION BY (y, m) INCLUDE MAXFILESIZE 1.5 GB PARALLEL OFF CLEANPATH",
                UnloadOptions {
                    credential: named,
                    format: CopyFormat::Parquet,
                    partition_by: vec![Ident::new("y"), Ident::new("m")],
                    partition_include: true,
                    max_file_size: Some(3 << 29),
                    parallel: false,
                    clean_path: true,
                    ..Default::default()
                },
            ),
            (
                "CSV HEADER GZIP ALLOWOVERWRITE MANIFEST VERBOSE NULL AS 'x' REGION 'r' EXTENSION 'csv.gz' MAXFILESIZE AS 5 MB",
                UnloadOptions {
                    format: CopyFormat::Csv,
                    header: true,
                    compression: Some(Compression::Gzip),
                    allow_overwrite: true,
                    manifest: true,
                    manifest_verbose: true,
                    null: Some("x".into()),
                    region: Some("r".into()),
                    extension: Some("csv.gz".into()),
                    max_file_size: Some(5 << 20),
                    ..Default::default()
                },
            ),
            (
                "DELIMITER AS '\\t' ADDQUOTES ESCAPE ZSTD",
                UnloadOptions {
                    delimiter: Some('\t'),
                    add_quotes: true,
                    escape: true,
                    compression: Some(Compression::Zstd),
                    ..Default::default()
                },
            ),
        ] {
            assert_eq!(unload(&format!("UNLOAD ('select 1') TO 's3://b/p' {clauses}")).options, expected, "{clauses}");
        }
    }

    #[test]
    fn mistakes() {
        check_errors(&[
            ("UNLOAD ('x') TO 's3://b' ENCRYPTED", Kind::Unsupported, 26, "UNLOAD: clause ENCRYPTED is not supported"),
            (
                "UNLOAD ('x') TO 's3://b' FORMAT ORC",
                Kind::Unsupported,
                33,
                "UNLOAD writes CSV, JSON, Parquet and delimited text only",
            ),
            ("UNLOAD ('x') TO 's3://b' MAXFILESIZE 0", Kind::InvalidParameter, 38, "UNLOAD: MAXFILESIZE is not a size"),
            ("UNLOAD ('x') 's3://b'", Kind::Syntax, 14, "syntax error at or near \"'s3://b'\""),
            ("UNLOAD (SELEC 1) TO 's3://b'", Kind::Syntax, 9, "syntax error at or near \"SELEC\""),
        ]);
    }
}
