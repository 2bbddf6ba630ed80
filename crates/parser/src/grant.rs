//! GRANT and REVOKE, of rights on objects and of roles, in the forms of Postgres and Redshift (SEC-03, SEC-04).

use sqlparser::ast::{Ident, ObjectName};
use sqlparser::tokenizer::Token;
use tidegate_core::Result;

use crate::cursor::Cursor;
use crate::statement::Statement;

/// GRANT, or REVOKE.
#[derive(Debug, Clone, PartialEq)]
pub struct Grant {
    /// It is a REVOKE.
    pub revokes: bool,
    /// What is given or taken.
    pub what: Granted,
    /// To or from whom.
    pub grantees: Vec<RoleName>,
    /// WITH GRANT OPTION or WITH ADMIN OPTION; of a REVOKE: that the option goes, and nothing else.
    pub option: bool,
    /// CASCADE: what grantees have granted on goes, too.
    pub cascades: bool,
}

/// What is given or taken.
#[derive(Debug, Clone, PartialEq)]
pub enum Granted {
    /// Rights on objects.
    Rights(Vec<RightName>, GrantedOn),
    /// The rights of roles.
    Roles(Vec<Ident>),
}

/// A right, and the columns that it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RightName {
    /// Its word; None for ALL.
    pub word: Option<Ident>,
    /// The columns; none: the whole.
    pub columns: Vec<Ident>,
}

/// The objects.
#[derive(Debug, Clone, PartialEq)]
pub enum GrantedOn {
    /// Tables, streams and views.
    Relations(Vec<ObjectName>),
    /// All of them that there are in schemas.
    RelationsIn(Vec<Ident>),
    /// Schemas.
    Schemas(Vec<Ident>),
    /// Databases.
    Databases(Vec<Ident>),
    /// Functions.
    Functions(Vec<FunctionName>),
    /// All of them that there are in schemas.
    FunctionsIn(Vec<Ident>),
    /// Credentials.
    Credentials(Vec<Ident>),
    /// Languages: everybody may use the one that there is.
    Languages(Vec<Ident>),
}

/// A function, with the types of its arguments where they are given.
pub type FunctionName = sqlparser::ast::FunctionDesc;

/// A role in a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoleName {
    /// PUBLIC.
    Everybody,
    /// CURRENT_USER, CURRENT_ROLE, SESSION_USER.
    Current,
    /// By its name.
    Named(Ident),
}

impl RoleName {
    /// A role, behind `ROLE`, `USER` or `GROUP` or without.
    pub(crate) fn parse(cursor: &mut Cursor) -> Result<RoleName> {
        for noun in ["GROUP", "ROLE", "USER"] {
            // A role may have such a name.
            if cursor.looks(&[noun]) && matches!(cursor.peek_after(), Token::Word(_)) && !cursor.looks_at(1, &["WITH"])
            {
                cursor.skip();
                break;
            }
        }
        let everybody = cursor.accept(&["PUBLIC"]);
        let current = ["CURRENT_USER", "CURRENT_ROLE", "SESSION_USER"].iter().any(|word| cursor.accept(&[word]));
        match (everybody, current) {
            (true, _) => Ok(RoleName::Everybody),
            (_, true) => Ok(RoleName::Current),
            _ => cursor.ident().map(RoleName::Named),
        }
    }
}

impl Grant {
    pub(crate) fn parse_grant(cursor: &mut Cursor) -> Result<Statement> {
        let what = granted(cursor)?;
        cursor.expect(&["TO"])?;
        let grantees = cursor.list(RoleName::parse)?;
        let noun = if matches!(what, Granted::Roles(_)) { "ADMIN" } else { "GRANT" };
        let option = cursor.accept(&["WITH", noun, "OPTION"]);
        granted_by(cursor)?;
        Ok(Statement::Grant(Grant { revokes: false, what, grantees, option, cascades: false }))
    }

    pub(crate) fn parse_revoke(cursor: &mut Cursor) -> Result<Statement> {
        let option = cursor.accept(&["GRANT", "OPTION", "FOR"]) || cursor.accept(&["ADMIN", "OPTION", "FOR"]);
        let what = granted(cursor)?;
        cursor.expect(&["FROM"])?;
        let grantees = cursor.list(RoleName::parse)?;
        granted_by(cursor)?;
        let cascades = cursor.accept(&["CASCADE"]);
        cursor.accept(&["RESTRICT"]);
        Ok(Statement::Grant(Grant { revokes: true, what, grantees, option, cascades }))
    }

    /// `ALTER GROUP g {ADD | DROP} USER u, …`, which says the same of a role.
    pub(crate) fn parse_group(cursor: &mut Cursor) -> Result<Statement> {
        let group = cursor.ident()?;
        let adds = cursor.accept(&["ADD"]);
        if !adds {
            cursor.expect(&["DROP"])?;
        }
        cursor.expect(&["USER"])?;
        let grantees = cursor.list(RoleName::parse)?;
        let what = Granted::Roles(vec![group]);
        Ok(Statement::Grant(Grant { revokes: !adds, what, grantees, option: false, cascades: false }))
    }
}

/// GRANTED BY names who gives, who must be who asks: as in Postgres it changes nothing.
fn granted_by(cursor: &mut Cursor) -> Result<()> {
    if cursor.accept(&["GRANTED", "BY"]) {
        RoleName::parse(cursor)?;
    }
    Ok(())
}

fn granted(cursor: &mut Cursor) -> Result<Granted> {
    if cursor.looks(&["ROLE"]) && !cursor.looks_at(1, &["TO"]) && !cursor.looks_at(1, &["FROM"]) {
        cursor.skip();
        return cursor
            .list(|cursor| {
                cursor.accept(&["ROLE"]);
                cursor.ident()
            })
            .map(Granted::Roles);
    }
    let rights = cursor.list(right)?;
    if cursor.accept(&["ON"]) {
        return Ok(Granted::Rights(rights, on(cursor)?));
    }
    let role = |right: RightName| match right {
        RightName { word: Some(word), columns } if columns.is_empty() => Some(word),
        _ => None,
    };
    let roles: Option<Vec<Ident>> = rights.into_iter().map(role).collect();
    roles.map(Granted::Roles).ok_or_else(|| cursor.syntax_error())
}

pub(crate) fn right(cursor: &mut Cursor) -> Result<RightName> {
    let word = if cursor.accept(&["ALL"]) {
        cursor.accept(&["PRIVILEGES"]);
        None
    } else {
        Some(cursor.ident()?)
    };
    let columns = if *cursor.peek() == Token::LParen { cursor.parenthesized(Cursor::ident)? } else { Vec::new() };
    Ok(RightName { word, columns })
}

/// Objects made of their plain names.
type Plain = fn(Vec<Ident>) -> GrantedOn;

/// The words for objects that have plain names.
const LISTS: &[(&str, Plain)] = &[
    ("SCHEMA", GrantedOn::Schemas),
    ("DATABASE", GrantedOn::Databases),
    ("CREDENTIAL", GrantedOn::Credentials),
    ("LANGUAGE", GrantedOn::Languages),
];

fn on(cursor: &mut Cursor) -> Result<GrantedOn> {
    for noun in ["TABLES", "FUNCTIONS", "PROCEDURES", "ROUTINES", "STREAMS"] {
        if cursor.accept(&["ALL", noun, "IN", "SCHEMA"]) {
            let schemas = cursor.list(Cursor::ident)?;
            let relations = matches!(noun, "TABLES" | "STREAMS");
            return Ok(if relations { GrantedOn::RelationsIn(schemas) } else { GrantedOn::FunctionsIn(schemas) });
        }
    }
    for (noun, made) in LISTS {
        if cursor.accept(&[noun]) {
            return cursor.list(Cursor::ident).map(made);
        }
    }
    if ["FUNCTION", "PROCEDURE", "ROUTINE"].iter().any(|noun| cursor.accept(&[noun])) {
        return cursor.list(function).map(GrantedOn::Functions);
    }
    if !cursor.accept(&["TABLE"]) {
        cursor.accept(&["STREAM"]);
    }
    cursor.list(Cursor::name).map(GrantedOn::Relations)
}

/// A function's name, and the types of its arguments if they are given.
pub(crate) fn function(cursor: &mut Cursor) -> Result<FunctionName> {
    let name = cursor.name()?;
    if !cursor.take(&Token::LParen) {
        return Ok(FunctionName { name, args: None });
    }
    if cursor.take(&Token::RParen) {
        return Ok(FunctionName { name, args: Some(Vec::new()) });
    }
    let args = cursor.list(|cursor| cursor.data_type().map(sqlparser::ast::OperateFunctionArg::unnamed))?;
    cursor.need(&Token::RParen)?;
    Ok(FunctionName { name, args: Some(args) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests_support::{check_errors, one};
    use tidegate_core::Kind;

    fn grant(sql: &str) -> Grant {
        match one(sql) {
            Statement::Grant(grant) => grant,
            other => panic!("{sql}: {other:?}"),
        }
    }

    #[test]
    fn rights() {
        let words = |sql: &str| match grant(sql).what {
            Granted::Rights(rights, _) => rights
                .iter()
                .map(|right| {
                    let columns: Vec<&str> = right.columns.iter().map(|column| column.value.as_str()).collect();
                    format!("{}({})", right.word.as_ref().map_or("all", |word| &word.value), columns.join(" "))
                })
                .collect::<Vec<_>>()
                .join(","),
            other => panic!("{sql}: {other:?}"),
        };
        let cases = [
            ("GRANT SELECT ON t TO u", "SELECT()"),
            ("GRANT SELECT (a, b), UPDATE (c), INSERT ON TABLE s.t, w TO u, PUBLIC", "SELECT(a b),UPDATE(c),INSERT()"),
            ("GRANT ALL PRIVILEGES ON ALL TABLES IN SCHEMA s TO GROUP g WITH GRANT OPTION", "all()"),
            ("REVOKE ALL ON SCHEMA s FROM u CASCADE", "all()"),
            ("REVOKE GRANT OPTION FOR select ON STREAM s FROM ROLE r RESTRICT", "select()"),
            ("GRANT EXECUTE ON FUNCTION f(int, text), g() TO u", "EXECUTE()"),
            ("GRANT USAGE ON LANGUAGE sql TO u GRANTED BY CURRENT_USER", "USAGE()"),
        ];
        for (sql, expected) in cases {
            assert_eq!(words(sql), expected, "{sql}");
        }
        let revoked = grant("REVOKE GRANT OPTION FOR ALL (a) ON t FROM PUBLIC CASCADE");
        assert!(revoked.revokes && revoked.option && revoked.cascades);
        assert_eq!(revoked.grantees, [RoleName::Everybody]);
    }

    #[test]
    fn roles() {
        let cases = [
            ("GRANT readers TO ann, bob WITH ADMIN OPTION", (false, true, 1, 2)),
            ("GRANT ROLE a, ROLE b TO ROLE c", (false, false, 2, 1)),
            ("REVOKE ADMIN OPTION FOR a FROM b", (true, true, 1, 1)),
            ("ALTER GROUP g ADD USER u, w", (false, false, 1, 2)),
            ("ALTER GROUP g DROP USER u", (true, false, 1, 1)),
            ("GRANT role TO user", (false, false, 1, 1)),
        ];
        for (sql, expected) in cases {
            let grant = grant(sql);
            let Granted::Roles(roles) = &grant.what else { panic!("{sql}: {grant:?}") };
            assert_eq!((grant.revokes, grant.option, roles.len(), grant.grantees.len()), expected, "{sql}");
        }
    }

    #[test]
    fn mistakes() {
        check_errors(&[
            ("GRANT SELECT ON t", Kind::Syntax, 18, "syntax error at end of input"),
            ("GRANT SELECT (a) TO u", Kind::Syntax, 18, "syntax error at or near \"TO\""),
            ("GRANT SELECT ON t FROM u", Kind::Syntax, 19, "syntax error at or near \"FROM\""),
            ("REVOKE SELECT ON t TO u", Kind::Syntax, 20, "syntax error at or near \"TO\""),
            ("ALTER GROUP g RENAME TO h", Kind::Syntax, 15, "syntax error at or near \"RENAME\""),
        ]);
    }
}
