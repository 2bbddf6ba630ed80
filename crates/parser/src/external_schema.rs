//! `CREATE EXTERNAL SCHEMA … FROM KINESIS`, Redshift's way to streams.

use sqlparser::ast::Ident;
use tidegate_core::Result;

use crate::copy_options::CredentialRef;
use crate::cursor::Cursor;
use crate::options::Options;
use crate::statement::Statement;

/// In whose name its mistakes are told.
const STATEMENT: &str = "CREATE EXTERNAL SCHEMA";

/// `CREATE EXTERNAL SCHEMA k FROM KINESIS [IAM_ROLE …] [WITH (…)]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateExternalSchema {
    /// Whether an existing schema is left alone.
    pub if_not_exists: bool,
    /// The schema.
    pub name: Ident,
    /// IAM_ROLE.
    pub credential: Option<CredentialRef>,
    /// WITH: of a service elsewhere.
    pub options: Options,
}

impl CreateExternalSchema {
    pub(crate) fn parse(cursor: &mut Cursor) -> Result<Statement> {
        let if_not_exists = cursor.if_not_exists();
        let name = cursor.ident()?;
        cursor.expect(&["FROM"])?;
        if !cursor.accept(&["KINESIS"]) {
            return Err(cursor.unsupported(&format!("{STATEMENT}: this source")).hint("The source is KINESIS."));
        }
        let credential = CredentialRef::accept(cursor, STATEMENT)?;
        let options = Options::with(cursor)?;
        Ok(Statement::CreateExternalSchema(CreateExternalSchema { if_not_exists, name, credential, options }))
    }
}

#[cfg(test)]
mod tests {
    use crate::tests_support::one;
    use crate::{CredentialRef, Statement, parse_one};
    use tidegate_core::Kind;

    #[test]
    fn all_clauses() {
        let text = "CREATE EXTERNAL SCHEMA IF NOT EXISTS k FROM KINESIS IAM_ROLE default WITH (endpoint = 'http://x')";
        let Statement::CreateExternalSchema(create) = one(text) else { panic!() };
        assert!(create.if_not_exists && create.name.value == "k");
        assert_eq!(create.credential, Some(CredentialRef::Default));
        assert_eq!(create.options.get("endpoint"), Some("http://x"));
        assert_eq!(parse_one("CREATE EXTERNAL SCHEMA k FROM KAFKA").unwrap_err().kind(), Kind::Unsupported);
        assert_eq!(parse_one("CREATE EXTERNAL SCHEMA k").unwrap_err().kind(), Kind::Syntax);
    }
}
