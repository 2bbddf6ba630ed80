//! UNLOAD: a query's result into files.

use sqlparser::tokenizer::Token;
use tidegate_core::Result;

use crate::cursor::Cursor;
use crate::statement::Statement;
use crate::unload_options::UnloadOptions;

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
        options.check()?;
        Ok(Statement::Unload(Unload { query, to, options }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::copy_options::{Compression, CopyFormat, CredentialRef};
    use crate::tests_support::{check_errors, one};
    use crate::unload_options::UnloadEncryption;
    use sqlparser::ast::Ident;
    use tidegate_core::Kind;

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
                "IAM_ROLE 'c' FORMAT AS PARQUET PARTITION BY (y, m) INCLUDE MAXFILESIZE 1.5 GB ROWGROUPSIZE 64 PARALLEL OFF CLEANPATH",
                UnloadOptions {
                    credential: named,
                    format: CopyFormat::Parquet,
                    partition_by: vec![Ident::new("y"), Ident::new("m")],
                    partition_include: true,
                    max_file_size: Some(3 << 29),
                    row_group_size: Some(64 << 20),
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
            (
                "FIXEDWIDTH AS 'a:3, b : 10' KMS_KEY_ID 'k' ENCRYPTED",
                UnloadOptions {
                    fixed_width: Some(vec![3, 10]),
                    encryption: UnloadEncryption::Kms("k".into()),
                    ..Default::default()
                },
            ),
            ("ENCRYPTED", UnloadOptions { encryption: UnloadEncryption::S3, ..Default::default() }),
            ("ENCRYPTED AUTO", UnloadOptions::default()),
        ] {
            assert_eq!(unload(&format!("UNLOAD ('select 1') TO 's3://b/p' {clauses}")).options, expected, "{clauses}");
        }
    }

    #[test]
    fn mistakes() {
        check_errors(&[
            ("UNLOAD ('x') TO 's3://b' SIDEWAYS", Kind::Unsupported, 26, "UNLOAD: clause SIDEWAYS is not supported"),
            (
                "UNLOAD ('x') TO 's3://b' MASTER_SYMMETRIC_KEY 'k'",
                Kind::Unsupported,
                26,
                "UNLOAD: encryption by the client (MASTER_SYMMETRIC_KEY) is not supported",
            ),
            (
                "UNLOAD ('x') TO 's3://b' FORMAT ORC",
                Kind::Unsupported,
                33,
                "UNLOAD writes CSV, JSON, Parquet and delimited text only",
            ),
            (
                "UNLOAD ('x') TO 's3://b' MAXFILESIZE 4.9",
                Kind::InvalidParameter,
                38,
                "UNLOAD: MAXFILESIZE must be from 5 MB to 6.2 GB",
            ),
            (
                "UNLOAD ('x') TO 's3://b' PARQUET ROWGROUPSIZE 1 GB",
                Kind::InvalidParameter,
                47,
                "UNLOAD: ROWGROUPSIZE must be from 32 MB to 128 MB",
            ),
            (
                "UNLOAD ('x') TO 's3://b' FIXEDWIDTH 'a:0'",
                Kind::InvalidParameter,
                37,
                "UNLOAD: FIXEDWIDTH is 'name:width,…' with widths from 1 to 65535",
            ),
            (
                "UNLOAD ('x') TO 's3://b' GZIP ZSTD",
                Kind::Syntax,
                31,
                "UNLOAD: ZSTD and another compression exclude each other",
            ),
            ("UNLOAD ('x') 's3://b'", Kind::Syntax, 14, "syntax error at or near \"'s3://b'\""),
            ("UNLOAD (SELEC 1) TO 's3://b'", Kind::Syntax, 9, "syntax error at or near \"SELEC\""),
        ]);
    }

    #[test]
    fn exclusions_name_the_options() {
        for (clauses, expected) in [
            ("CSV FIXEDWIDTH 'a:1'", "UNLOAD: FIXEDWIDTH and CSV exclude each other"),
            ("ADDQUOTES FORMAT CSV", "UNLOAD: ADDQUOTES and CSV exclude each other"),
            ("PARQUET GZIP", "UNLOAD: GZIP and PARQUET exclude each other"),
            ("PARQUET NULL AS ''", "UNLOAD: NULL AS and PARQUET exclude each other"),
            ("JSON HEADER", "UNLOAD: HEADER and JSON exclude each other"),
            ("FIXEDWIDTH 'a:1' HEADER", "UNLOAD: HEADER and FIXEDWIDTH exclude each other"),
            ("CSV ROWGROUPSIZE 32", "UNLOAD: ROWGROUPSIZE is for FORMAT PARQUET only"),
            ("CLEANPATH ALLOWOVERWRITE", "UNLOAD: CLEANPATH and ALLOWOVERWRITE exclude each other"),
        ] {
            let error = crate::parse_one(&format!("UNLOAD ('x') TO 's3://b' {clauses}")).unwrap_err();
            assert_eq!((error.kind(), error.message()), (Kind::Syntax, expected), "{clauses}");
        }
    }
}
