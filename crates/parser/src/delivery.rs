//! Deliveries: CREATE, ALTER, DROP, PAUSE, RESUME and FLUSH DELIVERY STREAM.

use sqlparser::ast::ObjectName;
use sqlparser::tokenizer::Token;
use tidegate_core::Result;

use crate::cursor::Cursor;
use crate::options::Options;
use crate::statement::Statement;

/// `CREATE DELIVERY STREAM d FROM s AS (SELECT …) TO target FORMAT f WITH (…)`.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateDelivery {
    /// Whether an existing delivery is left alone.
    pub if_not_exists: bool,
    /// The delivery.
    pub name: ObjectName,
    /// The stream it reads; without one it is direct put.
    pub from: Option<ObjectName>,
    /// The query through which records pass, as written.
    pub select: Option<String>,
    /// Where they go.
    pub target: Target,
    /// The format of the objects, as written.
    pub format: Option<String>,
    /// Buffer size and interval, …
    pub options: Options,
}

/// Where a delivery writes.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// Objects or files under a URL, with `!{…}` patterns.
    Url(String),
    /// Rows of a table.
    Table(ObjectName),
    /// Records of a stream.
    Stream(ObjectName),
    /// A service: OPENSEARCH, SPLUNK or HTTP.
    Other {
        /// The kind, in upper case.
        kind: String,
        /// Its address.
        url: String,
    },
}

impl Target {
    fn parse(cursor: &mut Cursor) -> Result<Target> {
        if let Some(url) = cursor.take_string() {
            return Ok(Target::Url(url));
        }
        match cursor.peek_word().as_deref() {
            Some("TABLE") => {
                cursor.skip();
                Ok(Target::Table(cursor.name()?))
            }
            Some("STREAM") => {
                cursor.skip();
                Ok(Target::Stream(cursor.name()?))
            }
            Some(kind @ ("OPENSEARCH" | "SPLUNK" | "HTTP")) => {
                cursor.skip();
                Ok(Target::Other { kind: kind.to_owned(), url: cursor.string()? })
            }
            _ => Err(cursor
                .syntax_error()
                .detail("Expected a URL in quotes, TABLE, STREAM, OPENSEARCH, SPLUNK or HTTP.")),
        }
    }
}

impl CreateDelivery {
    pub(crate) fn parse(cursor: &mut Cursor) -> Result<Statement> {
        let if_not_exists = cursor.if_not_exists();
        let name = cursor.name()?;
        let from = if cursor.accept(&["FROM"]) { Some(cursor.name()?) } else { None };
        if cursor.looks(&["TRANSFORM"]) {
            return Err(cursor.unsupported("CREATE DELIVERY STREAM: clause TRANSFORM"));
        }
        let select = if cursor.accept(&["AS"]) { Some(cursor.query_in_parentheses()?) } else { None };
        cursor.expect(&["TO"])?;
        let target = Target::parse(cursor)?;
        let format = if cursor.accept(&["FORMAT"]) { Some(cursor.ident()?.value) } else { None };
        let options = Options::with(cursor)?;
        if *cursor.peek() != Token::EOF {
            return Err(cursor.unknown_clause("CREATE DELIVERY STREAM"));
        }
        Ok(Statement::CreateDelivery(CreateDelivery { if_not_exists, name, from, select, target, format, options }))
    }
}

/// `ALTER DELIVERY STREAM d SET (…)`.
#[derive(Debug, Clone, PartialEq)]
pub struct AlterDelivery {
    /// The delivery.
    pub name: ObjectName,
    /// The options that change.
    pub options: Options,
}

impl AlterDelivery {
    pub(crate) fn parse(cursor: &mut Cursor) -> Result<Statement> {
        let name = cursor.name()?;
        if !cursor.accept(&["SET"]) {
            return Err(cursor.unknown_clause("ALTER DELIVERY STREAM"));
        }
        Ok(Statement::AlterDelivery(AlterDelivery { name, options: Options::parse(cursor)? }))
    }
}

/// `DROP DELIVERY STREAM d`.
#[derive(Debug, Clone, PartialEq)]
pub struct DropDelivery {
    /// Whether a missing delivery is passed over.
    pub if_exists: bool,
    /// The delivery.
    pub name: ObjectName,
}

impl DropDelivery {
    pub(crate) fn parse(cursor: &mut Cursor) -> Result<Statement> {
        let if_exists = cursor.if_exists();
        Ok(Statement::DropDelivery(DropDelivery { if_exists, name: cursor.name()? }))
    }
}

/// `PAUSE DELIVERY STREAM d`.
pub(crate) fn pause(cursor: &mut Cursor) -> Result<Statement> {
    Ok(Statement::PauseDelivery(cursor.name()?))
}

/// `RESUME DELIVERY STREAM d`.
pub(crate) fn resume(cursor: &mut Cursor) -> Result<Statement> {
    Ok(Statement::ResumeDelivery(cursor.name()?))
}

/// `FLUSH DELIVERY STREAM d`.
pub(crate) fn flush(cursor: &mut Cursor) -> Result<Statement> {
    Ok(Statement::FlushDelivery(cursor.name()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests_support::{check_errors, one};
    use tidegate_core::Kind;

    fn create(sql: &str) -> CreateDelivery {
        match one(sql) {
            Statement::CreateDelivery(create) => create,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_full_delivery() {
        let found = create(
            "CREATE DELIVERY STREAM IF NOT EXISTS d FROM s.clicks AS (SELECT a, (b) FROM clicks) TO \
             's3://b/p/!{timestamp:yyyy/MM}/' FORMAT PARQUET WITH (buffer_size = '64 MB', compact = on)",
        );
        assert!(found.if_not_exists);
        assert_eq!(found.from.unwrap().to_string(), "s.clicks");
        assert_eq!(found.select.as_deref(), Some("SELECT a, (b) FROM clicks"));
        assert_eq!(found.target, Target::Url("s3://b/p/!{timestamp:yyyy/MM}/".into()));
        assert_eq!(found.format.as_deref(), Some("PARQUET"));
        assert_eq!(found.options.get("compact"), Some("on"));
    }

    #[test]
    fn targets() {
        let name = |text: &str| ObjectName::from(vec![sqlparser::ast::Ident::new(text)]);
        let cases = [
            ("'file:///tmp/x'", Target::Url("file:///tmp/x".into())),
            ("TABLE t", Target::Table(name("t"))),
            ("STREAM s", Target::Stream(name("s"))),
            ("HTTP 'https://h'", Target::Other { kind: "HTTP".into(), url: "https://h".into() }),
        ];
        for (text, target) in cases {
            let found = create(&format!("CREATE DELIVERY STREAM d TO {text}"));
            assert_eq!((found.target, found.from), (target, None), "{text}");
        }
    }

    #[test]
    fn the_others() {
        assert!(matches!(one("ALTER DELIVERY STREAM d SET (compact = off)"), Statement::AlterDelivery(_)));
        assert!(matches!(one("DROP DELIVERY STREAM IF EXISTS d"), Statement::DropDelivery(drop) if drop.if_exists));
        assert!(matches!(one("PAUSE DELIVERY STREAM d"), Statement::PauseDelivery(_)));
        assert!(matches!(one("resume delivery stream d"), Statement::ResumeDelivery(_)));
        assert!(
            matches!(one("FLUSH DELIVERY STREAM a.d"), Statement::FlushDelivery(name) if name.to_string() == "a.d")
        );
    }

    #[test]
    fn mistakes() {
        check_errors(&[
            ("CREATE DELIVERY STREAM d FROM s", Kind::Syntax, 32, "syntax error at end of input"),
            ("CREATE DELIVERY STREAM d TO t", Kind::Syntax, 29, "syntax error at or near \"t\""),
            (
                "CREATE DELIVERY STREAM d FROM s TRANSFORM f TO TABLE t",
                Kind::Unsupported,
                33,
                "CREATE DELIVERY STREAM: clause TRANSFORM is not supported",
            ),
            (
                "CREATE DELIVERY STREAM d TO TABLE t PREFIX 'x'",
                Kind::Unsupported,
                37,
                "CREATE DELIVERY STREAM: clause PREFIX is not supported",
            ),
            (
                "CREATE DELIVERY STREAM d AS (SELECT 1 FROM) TO TABLE t",
                Kind::Syntax,
                43,
                "syntax error at or near \")\"",
            ),
            (
                "ALTER DELIVERY STREAM d RENAME TO e",
                Kind::Unsupported,
                25,
                "ALTER DELIVERY STREAM: clause RENAME is not supported",
            ),
        ]);
    }
}
