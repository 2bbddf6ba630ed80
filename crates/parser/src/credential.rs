//! Credentials: CREATE and DROP CREDENTIAL. Secrets never reach a debug print.

use std::fmt;

use sqlparser::ast::Ident;
use tidegate_core::Result;

use crate::cursor::Cursor;
use crate::options::Options;
use crate::statement::Statement;

/// Options that may be shown.
const OPEN_OPTIONS: &[&str] = &["type", "endpoint", "region", "path_style", "scope"];

/// `CREATE CREDENTIAL name (TYPE s3, KEY '…', SECRET '…', …)`.
#[derive(Clone, PartialEq, Eq)]
pub struct CreateCredential {
    /// Whether an existing credential is left alone.
    pub if_not_exists: bool,
    /// Whether an existing credential is replaced.
    pub or_replace: bool,
    /// The credential.
    pub name: Ident,
    /// Type, keys, endpoint, scope; names in lower case.
    pub options: Options,
}

impl fmt::Debug for CreateCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |(key, value)| if OPEN_OPTIONS.contains(&key) { (key, value) } else { (key, "***") };
        f.debug_struct("CreateCredential")
            .field("name", &self.name.value)
            .field("options", &self.options.iter().map(shown).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl CreateCredential {
    pub(crate) fn parse(cursor: &mut Cursor) -> Result<Statement> {
        Self::rest(cursor, false)
    }

    pub(crate) fn parse_replace(cursor: &mut Cursor) -> Result<Statement> {
        Self::rest(cursor, true)
    }

    fn rest(cursor: &mut Cursor, or_replace: bool) -> Result<Statement> {
        let if_not_exists = cursor.if_not_exists();
        let name = cursor.ident()?;
        let options = Options::parse(cursor)?;
        Ok(Statement::CreateCredential(CreateCredential { if_not_exists, or_replace, name, options }))
    }
}

/// `DROP CREDENTIAL name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropCredential {
    /// Whether a missing credential is passed over.
    pub if_exists: bool,
    /// The credential.
    pub name: Ident,
}

impl DropCredential {
    pub(crate) fn parse(cursor: &mut Cursor) -> Result<Statement> {
        let if_exists = cursor.if_exists();
        Ok(Statement::DropCredential(DropCredential { if_exists, name: cursor.ident()? }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests_support::{check_errors, one};
    use tidegate_core::Kind;

    #[test]
    fn a_full_credential() {
        let sql = "CREATE OR REPLACE CREDENTIAL c (TYPE s3, KEY 'k', SECRET 'hush', ENDPOINT 'http://h:9', REGION 'r', \
                   PATH_STYLE true, SCOPE 's3://b/p')";
        let Statement::CreateCredential(create) = one(sql) else { panic!() };
        assert!(create.or_replace && !create.if_not_exists);
        let expected = [
            ("type", "s3"),
            ("key", "k"),
            ("secret", "hush"),
            ("endpoint", "http://h:9"),
            ("region", "r"),
            ("path_style", "true"),
            ("scope", "s3://b/p"),
        ];
        assert_eq!(create.options.iter().collect::<Vec<_>>(), expected);
        let shown = format!("{create:?}");
        assert!(!shown.contains("hush") && shown.contains("http://h:9"), "{shown}");
        assert!(
            matches!(one("CREATE CREDENTIAL IF NOT EXISTS c (TYPE s3)"), Statement::CreateCredential(c) if c.if_not_exists)
        );
        assert!(matches!(one("DROP CREDENTIAL IF EXISTS c"), Statement::DropCredential(drop) if drop.if_exists));
    }

    #[test]
    fn mistakes_do_not_show_secrets() {
        check_errors(&[
            ("CREATE CREDENTIAL c", Kind::Syntax, 20, "syntax error at end of input"),
            ("CREATE CREDENTIAL c (SECRET AS 'hush')", Kind::Syntax, 32, "syntax error at or near \"***\""),
        ]);
    }
}
