//! COPY, in Postgres' and in Redshift's words.

use sqlparser::ast::{Ident, ObjectName};
use sqlparser::tokenizer::Token;
use tidegate_core::Result;

use crate::copy_job::CopyJobStatement;
use crate::copy_options::CopyOptions;
use crate::cursor::Cursor;
use crate::statement::Statement;

/// `COPY t (a, b) FROM …`, `COPY t TO …`, `COPY (SELECT …) TO …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// What is copied, or copied into.
    pub subject: CopySubject,
    /// Which way.
    pub direction: CopyDirection,
    /// The other end.
    pub location: CopyLocation,
    /// Format and the rest.
    pub options: CopyOptions,
}

/// What COPY is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopySubject {
    /// A table or stream.
    Table {
        /// Its name.
        name: ObjectName,
        /// Its columns; all of them where left out.
        columns: Vec<Ident>,
    },
    /// A query, as written.
    Query(String),
}

/// Which way COPY goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyDirection {
    /// Into the table.
    From,
    /// Out of the table or query.
    To,
}

/// The far end of a COPY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyLocation {
    /// The client sends the data.
    Stdin,
    /// The client takes the data.
    Stdout,
    /// An object, a prefix, a file or a glob.
    Url(String),
}

impl Copy {
    pub(crate) fn parse(cursor: &mut Cursor) -> Result<Statement> {
        if let Some(statement) = CopyJobStatement::accept(cursor)? {
            return Ok(statement);
        }
        let start = cursor.index();
        let subject = Self::subject(cursor)?;
        let direction = match subject {
            CopySubject::Table { .. } if cursor.accept(&["FROM"]) => CopyDirection::From,
            _ => {
                cursor.expect(&["TO"])?;
                CopyDirection::To
            }
        };
        let location = CopyLocation::parse(cursor, direction)?;
        let options = CopyOptions::parse(cursor, start)?;
        Ok(Statement::Copy(Box::new(Copy { subject, direction, location, options })))
    }

    fn subject(cursor: &mut Cursor) -> Result<CopySubject> {
        if *cursor.peek() == Token::LParen {
            return Ok(CopySubject::Query(cursor.query_in_parentheses()?));
        }
        let name = cursor.name()?;
        let columns = match cursor.peek() {
            Token::LParen => cursor.parenthesized(Cursor::ident)?,
            _ => Vec::new(),
        };
        Ok(CopySubject::Table { name, columns })
    }
}

impl CopyLocation {
    fn parse(cursor: &mut Cursor, direction: CopyDirection) -> Result<CopyLocation> {
        if cursor.looks(&["PROGRAM"]) {
            return Err(cursor.unsupported("COPY: PROGRAM"));
        }
        match direction {
            CopyDirection::From if cursor.accept(&["STDIN"]) => Ok(CopyLocation::Stdin),
            CopyDirection::To if cursor.accept(&["STDOUT"]) => Ok(CopyLocation::Stdout),
            _ => Ok(CopyLocation::Url(cursor.string()?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::copy_options::{Compression, CopyFormat, CredentialRef};
    use crate::tests_support::{check_errors, one};
    use tidegate_core::Kind;

    fn copy(sql: &str) -> Copy {
        match one(sql) {
            Statement::Copy(copy) => *copy,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn both_ends() {
        let url = |text: &str| CopyLocation::Url(text.into());
        let cases = [
            ("COPY  t FROM STDIN ", "t", 0, CopyDirection::From, CopyLocation::Stdin),
            ("copy s.t(a, \"B\") from stdin with (format csv)", "s.t", 2, CopyDirection::From, CopyLocation::Stdin),
            ("COPY t TO STDOUT CSV HEADER", "t", 0, CopyDirection::To, CopyLocation::Stdout),
            ("COPY t TO 's3://b/x'", "t", 0, CopyDirection::To, url("s3://b/x")),
            ("COPY t FROM 's3://b/x' CSV", "t", 0, CopyDirection::From, url("s3://b/x")),
        ];
        for (sql, table, count, direction, location) in cases {
            let found = copy(sql);
            let CopySubject::Table { name, columns } = found.subject else { panic!("{sql}") };
            assert_eq!((name.to_string().as_str(), columns.len()), (table, count), "{sql}");
            assert_eq!((found.direction, found.location), (direction, location), "{sql}");
        }
        let found = copy("COPY (SELECT a, (1) FROM t WHERE b = ')') TO STDOUT");
        assert_eq!(found.subject, CopySubject::Query("SELECT a, (1) FROM t WHERE b = ')'".into()));
    }

    #[test]
    fn postgres_options() {
        for (sql, expected) in [
            (
                "COPY t FROM STDIN WITH (FORMAT csv, HEADER, DELIMITER ';', NULL '', QUOTE '''', ESCAPE E'\\\\', ENCODING 'utf8')",
                CopyOptions {
                    format: Some(CopyFormat::Csv),
                    header: Some(true),
                    delimiter: Some(';'),
                    null: Some(String::new()),
                    quote: Some('\''),
                    escape: Some('\\'),
                    encoding: Some("utf8".into()),
                    ..Default::default()
                },
            ),
            (
                "COPY t FROM STDIN (HEADER false, FORCE_NULL (a, b), FREEZE)",
                CopyOptions {
                    header: Some(false),
                    force_null: Some(vec![Ident::new("a"), Ident::new("b")]),
                    no_ops: vec!["FREEZE".into()],
                    ..Default::default()
                },
            ),
            (
                "COPY t TO STDOUT WITH CSV HEADER QUOTE AS '|' FORCE QUOTE *",
                CopyOptions {
                    format: Some(CopyFormat::Csv),
                    header: Some(true),
                    quote: Some('|'),
                    force_quote: Some(vec![]),
                    ..Default::default()
                },
            ),
            (
                "COPY t TO STDOUT (FORMAT binary)",
                CopyOptions { format: Some(CopyFormat::Binary), ..Default::default() },
            ),
            (
                "COPY t TO STDOUT WITH DELIMITER AS E'\\t' NULL AS 'x'",
                CopyOptions { delimiter: Some('\t'), null: Some("x".into()), ..Default::default() },
            ),
        ] {
            assert_eq!(copy(sql).options, expected, "{sql}");
        }
    }

    #[test]
    fn redshift_options() {
        let named = |text: &str| Some(CredentialRef::Named(text.into()));
        for (clauses, expected) in [
            (
                "IAM_ROLE 'x' FORMAT AS CSV DELIMITER '|' IGNOREHEADER AS 1 GZIP MANIFEST MAXERROR 10 REGION AS 'r'",
                CopyOptions {
                    format: Some(CopyFormat::Csv),
                    delimiter: Some('|'),
                    ignore_header: 1,
                    manifest: true,
                    compression: Some(Compression::Gzip),
                    max_error: Some(10),
                    region: Some("r".into()),
                    credential: named("x"),
                    ..Default::default()
                },
            ),
            (
                "IAM_ROLE default FORMAT JSON 'auto' BZIP2 NOLOAD",
                CopyOptions {
                    format: Some(CopyFormat::Json),
                    json_path: Some("auto".into()),
                    compression: Some(Compression::Bzip2),
                    no_load: true,
                    credential: Some(CredentialRef::Default),
                    ..Default::default()
                },
            ),
            (
                "CREDENTIAL c PARQUET",
                CopyOptions { format: Some(CopyFormat::Parquet), credential: named("c"), ..Default::default() },
            ),
            (
                "WITH CREDENTIALS AS 'aws_iam_role=c' FORMAT ORC COMPUPDATE OFF STATUPDATE ON",
                CopyOptions {
                    format: Some(CopyFormat::Orc),
                    credential: named("c"),
                    no_ops: vec!["COMPUPDATE".into(), "STATUPDATE".into()],
                    ..Default::default()
                },
            ),
            (
                "DELIMITER '\\t' ESCAPE REMOVEQUOTES EMPTYASNULL BLANKSASNULL ACCEPTINVCHARS AS '^' TRUNCATECOLUMNS FILLRECORD \
              DATEFORMAT AS 'auto' TIMEFORMAT 'epochsecs' ZSTD TRIMBLANKS IGNOREBLANKLINES",
                CopyOptions {
                    delimiter: Some('\t'),
                    backslash_escape: true,
                    remove_quotes: true,
                    empty_as_null: true,
                    blanks_as_null: true,
                    accept_invalid_chars: Some('^'),
                    truncate_columns: true,
                    fill_record: true,
                    date_format: Some("auto".into()),
                    time_format: Some("epochsecs".into()),
                    compression: Some(Compression::Zstd),
                    trim_blanks: true,
                    ignore_blank_lines: true,
                    ..Default::default()
                },
            ),
        ] {
            assert_eq!(copy(&format!("COPY t FROM 's3://b/x' {clauses}")).options, expected, "{clauses}");
        }
    }

    #[test]
    fn keys_are_read_and_never_shown() {
        for clauses in [
            "ACCESS_KEY_ID 'k' SECRET_ACCESS_KEY AS 'hush' SESSION_TOKEN 't' CSV",
            "CREDENTIALS AS 'aws_access_key_id=k;aws_secret_access_key=hush;token=t' CSV",
            "CSV WITH CREDENTIALS 'aws_access_key_id=k;aws_secret_access_key=hush;token=t'",
        ] {
            let found = copy(&format!("COPY t FROM 's3://b/x' {clauses}"));
            let Some(CredentialRef::Keys(keys)) = &found.options.credential else { panic!("{clauses}") };
            assert_eq!((keys.key.as_str(), keys.secret.as_str(), keys.token.as_deref()), ("k", "hush", Some("t")));
            assert!(!format!("{found:?}").contains("hush"), "{clauses}");
        }
    }

    #[test]
    fn mistakes() {
        check_errors(&[
            ("COPY t FROM 's3://b' CSV SHAPEFILE", Kind::Unsupported, 26, "COPY: clause SHAPEFILE is not supported"),
            (
                "COPY t FROM STDIN (FORMAT csv, ON_ERROR ignore)",
                Kind::Unsupported,
                32,
                "COPY: clause ON_ERROR is not supported",
            ),
            ("COPY t FROM STDIN (FORMAT xml)", Kind::Unsupported, 27, "COPY: format XML is not supported"),
            (
                "COPY t FROM STDIN DELIMITER 'ab'",
                Kind::InvalidParameter,
                29,
                "a delimiter, quote or escape must be one character",
            ),
            ("COPY t FROM PROGRAM 'ls'", Kind::Unsupported, 13, "COPY: PROGRAM is not supported"),
            ("COPY t FROM STDOUT", Kind::Syntax, 13, "syntax error at or near \"STDOUT\""),
            ("COPY (SELECT 1) FROM STDIN", Kind::Syntax, 17, "syntax error at or near \"FROM\""),
            ("COPY (SUBSCRIBE TO x) TO STDOUT", Kind::Unsupported, 7, "SUBSCRIBE is not supported"),
            (
                "COPY t FROM 's3://b' CREDENTIALS 'aws_access_key_id=a;secret=hush'",
                Kind::InvalidParameter,
                34,
                "COPY: CREDENTIALS cannot be read: it knows no such name",
            ),
            (
                "COPY t FROM 's3://b' IAM_ROLE 'x' ACCESS_KEY_ID 'a' SECRET_ACCESS_KEY 'b'",
                Kind::Syntax,
                35,
                "COPY: only one form of authorization may be given",
            ),
            (
                "COPY t FROM 's3://b' MASTER_SYMMETRIC_KEY 'hush' ENCRYPTED",
                Kind::Unsupported,
                22,
                "COPY: client-side encryption is not supported",
            ),
            ("COPY t FROM 's3://b' MAXERROR x", Kind::Syntax, 31, "syntax error at or near \"x\""),
            ("COPY t FROM 's3://b' 5", Kind::Syntax, 22, "syntax error at or near \"5\""),
        ]);
    }
}
