//! `ALTER DEFAULT PRIVILEGES`: what roles grant by themselves on what they will make.

use sqlparser::ast::Ident;
use tidegate_core::Result;

use crate::cursor::Cursor;
use crate::grant::{self, RightName, RoleName};
use crate::statement::Statement;

/// `ALTER DEFAULT PRIVILEGES [FOR ROLE …] [IN SCHEMA …] {GRANT | REVOKE} … ON {TABLES | FUNCTIONS | SCHEMAS} …`.
#[derive(Debug, Clone, PartialEq)]
pub struct AlterDefaultPrivileges {
    /// Who makes the objects; none: who asks.
    pub makers: Vec<RoleName>,
    /// The schemas that they are made in; none: any.
    pub schemas: Vec<Ident>,
    /// It is a REVOKE.
    pub revokes: bool,
    /// The rights.
    pub rights: Vec<RightName>,
    /// On what.
    pub on: MadeObjects,
    /// To or from whom.
    pub grantees: Vec<RoleName>,
    /// WITH GRANT OPTION; of a REVOKE: that the option goes, and nothing else.
    pub option: bool,
}

/// Objects of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MadeObjects {
    /// Tables, streams and views.
    Relations,
    /// Functions.
    Functions,
    /// Schemas.
    Schemas,
}

impl AlterDefaultPrivileges {
    pub(crate) fn parse(cursor: &mut Cursor) -> Result<Statement> {
        let makers = match cursor.accept(&["FOR", "ROLE"]) || cursor.accept(&["FOR", "USER"]) {
            true => cursor.list(RoleName::parse)?,
            false => Vec::new(),
        };
        let schemas = if cursor.accept(&["IN", "SCHEMA"]) { cursor.list(Cursor::ident)? } else { Vec::new() };
        let revokes = cursor.accept(&["REVOKE"]);
        if !revokes {
            cursor.expect(&["GRANT"])?;
        }
        let mut option = revokes && cursor.accept(&["GRANT", "OPTION", "FOR"]);
        let rights = cursor.list(grant::right)?;
        cursor.expect(&["ON"])?;
        let on = objects(cursor)?;
        cursor.expect(&[if revokes { "FROM" } else { "TO" }])?;
        let grantees = cursor.list(RoleName::parse)?;
        if !revokes {
            option = cursor.accept(&["WITH", "GRANT", "OPTION"]);
        } else if !cursor.accept(&["CASCADE"]) {
            cursor.accept(&["RESTRICT"]);
        }
        let alter = AlterDefaultPrivileges { makers, schemas, revokes, rights, on, grantees, option };
        Ok(Statement::AlterDefaultPrivileges(alter))
    }
}

fn objects(cursor: &mut Cursor) -> Result<MadeObjects> {
    for (word, made) in [
        ("TABLES", MadeObjects::Relations),
        ("STREAMS", MadeObjects::Relations),
        ("FUNCTIONS", MadeObjects::Functions),
        ("ROUTINES", MadeObjects::Functions),
        ("PROCEDURES", MadeObjects::Functions),
        ("SCHEMAS", MadeObjects::Schemas),
    ] {
        if cursor.accept(&[word]) {
            return Ok(made);
        }
    }
    Err(cursor.unknown_clause("ALTER DEFAULT PRIVILEGES"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests_support::{check_errors, one};
    use tidegate_core::Kind;

    #[test]
    fn forms() {
        let cases = [
            ("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO ann", (0, 0, false, MadeObjects::Relations, false)),
            (
                "ALTER DEFAULT PRIVILEGES FOR USER a, b IN SCHEMA s GRANT ALL PRIVILEGES ON TABLES TO GROUP g WITH GRANT OPTION",
                (2, 1, false, MadeObjects::Relations, true),
            ),
            (
                "ALTER DEFAULT PRIVILEGES FOR ROLE a REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC CASCADE",
                (1, 0, true, MadeObjects::Functions, false),
            ),
            (
                "ALTER DEFAULT PRIVILEGES REVOKE GRANT OPTION FOR USAGE ON SCHEMAS FROM ann",
                (0, 0, true, MadeObjects::Schemas, true),
            ),
        ];
        for (sql, expected) in cases {
            let Statement::AlterDefaultPrivileges(alter) = one(sql) else { panic!("{sql}") };
            let found = (alter.makers.len(), alter.schemas.len(), alter.revokes, alter.on, alter.option);
            assert_eq!(found, expected, "{sql}");
        }
    }

    #[test]
    fn mistakes() {
        check_errors(&[
            (
                "ALTER DEFAULT PRIVILEGES GRANT USAGE ON SEQUENCES TO a",
                Kind::Unsupported,
                41,
                "ALTER DEFAULT PRIVILEGES: clause SEQUENCES is not supported",
            ),
            ("ALTER DEFAULT PRIVILEGES SELECT", Kind::Syntax, 26, "syntax error at or near \"SELECT\""),
        ]);
    }
}
