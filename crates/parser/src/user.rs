//! Users: CREATE, ALTER and DROP USER or ROLE.

use std::fmt;

use sqlparser::ast::{self, Ident};
use sqlparser::tokenizer::Token;
use tidegate_core::{Error, Kind, Result};

use crate::cursor::Cursor;
use crate::statement::Statement;

/// What a user may do and how they log in; `None` where it was not said.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct UserOptions {
    /// The password; the inner `None` for `PASSWORD NULL` and `PASSWORD DISABLE`.
    pub password: Option<Option<String>>,
    /// SUPERUSER, Redshift's CREATEUSER, or their opposites.
    pub superuser: Option<bool>,
    /// BYPASSRLS or NOBYPASSRLS.
    pub bypasses_policies: Option<bool>,
    /// LOGIN or NOLOGIN.
    pub login: Option<bool>,
    /// VALID UNTIL: until when the password holds.
    pub valid_until: Option<String>,
    /// CONNECTION LIMIT; the inner `None` for -1 and UNLIMITED.
    pub connections_max: Option<Option<u32>>,
    /// IN ROLE, IN GROUP: the roles that it becomes a member of.
    pub in_roles: Vec<Ident>,
    /// ROLE, USER: who become members of it.
    pub members: Vec<Ident>,
    /// Clauses of Postgres that mean nothing here: each gives a NOTICE.
    pub no_ops: Vec<String>,
}

impl fmt::Debug for UserOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserOptions")
            .field("password", &self.password.as_ref().map(|_| "***"))
            .field("superuser", &self.superuser)
            .field("bypasses_policies", &self.bypasses_policies)
            .field("login", &self.login)
            .field("valid_until", &self.valid_until)
            .field("connections_max", &self.connections_max)
            .field("in_roles", &self.in_roles)
            .field("members", &self.members)
            .field("no_ops", &self.no_ops)
            .finish()
    }
}

impl UserOptions {
    fn parse(cursor: &mut Cursor, statement: &str) -> Result<UserOptions> {
        let mut options = UserOptions::default();
        cursor.accept(&["WITH"]);
        while *cursor.peek() != Token::EOF {
            options.clause(cursor, statement)?;
        }
        Ok(options)
    }

    fn clause(&mut self, cursor: &mut Cursor, statement: &str) -> Result<()> {
        let word = cursor.peek_word().unwrap_or_default();
        match word.as_str() {
            "ENCRYPTED" | "PASSWORD" => {
                cursor.accept(&["ENCRYPTED"]);
                cursor.expect(&["PASSWORD"])?;
                let none = cursor.accept(&["NULL"]) || cursor.accept(&["DISABLE"]);
                self.password = Some(if none { None } else { Some(cursor.string()?) });
                return Ok(());
            }
            "VALID" => {
                cursor.skip();
                cursor.expect(&["UNTIL"])?;
                self.valid_until = Some(cursor.string()?);
                return Ok(());
            }
            "CONNECTION" => {
                cursor.skip();
                cursor.expect(&["LIMIT"])?;
                self.connections_max = Some(connections(cursor)?);
                return Ok(());
            }
            "SYSLOG" => {
                cursor.skip();
                cursor.expect(&["ACCESS"])?;
                self.no_ops.push("SYSLOG ACCESS".to_string());
            }
            "IN" => {
                cursor.skip();
                if !cursor.accept(&["ROLE"]) {
                    cursor.expect(&["GROUP"])?;
                }
                self.in_roles = cursor.list(Cursor::ident)?;
                return Ok(());
            }
            "ROLE" | "USER" => {
                cursor.skip();
                self.members = cursor.list(Cursor::ident)?;
                return Ok(());
            }
            "SUPERUSER" | "CREATEUSER" => self.superuser = Some(true),
            "NOSUPERUSER" | "NOCREATEUSER" => self.superuser = Some(false),
            "BYPASSRLS" => self.bypasses_policies = Some(true),
            "NOBYPASSRLS" => self.bypasses_policies = Some(false),
            "LOGIN" => self.login = Some(true),
            "NOLOGIN" => self.login = Some(false),
            "CREATEDB" | "NOCREATEDB" | "CREATEROLE" | "NOCREATEROLE" | "INHERIT" | "NOINHERIT" | "NOREPLICATION" => {
                self.no_ops.push(word);
            }
            _ => return Err(cursor.unknown_clause(statement)),
        }
        cursor.skip();
        Ok(())
    }
}

/// How many; -1 and UNLIMITED are no limit.
fn connections(cursor: &mut Cursor) -> Result<Option<u32>> {
    if cursor.accept(&["UNLIMITED"]) {
        return Ok(None);
    }
    let (place, below) = (cursor.position(), cursor.take(&Token::Minus));
    match (below, cursor.number()?) {
        (true, 1) => Ok(None),
        (false, most) if u32::try_from(most).is_ok() => Ok(u32::try_from(most).ok()),
        (_, most) => Err(Error::new(Kind::InvalidParameter, format!("invalid connection limit: {most}")).at(place)),
    }
}

/// `CREATE USER u PASSWORD 'p'`, `CREATE ROLE r LOGIN …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateUser {
    /// Whether an existing user is left alone.
    pub if_not_exists: bool,
    /// The user.
    pub name: Ident,
    /// Password and rights; `login` is always said: a user may, a role may not unless it says so.
    pub options: UserOptions,
}

impl CreateUser {
    pub(crate) fn parse_user(cursor: &mut Cursor) -> Result<Statement> {
        Self::rest(cursor, "CREATE USER", true)
    }

    pub(crate) fn parse_role(cursor: &mut Cursor) -> Result<Statement> {
        Self::rest(cursor, "CREATE ROLE", false)
    }

    /// `CREATE GROUP g [WITH USER u, …]`: a role that nobody logs in as, as in Postgres.
    pub(crate) fn parse_group(cursor: &mut Cursor) -> Result<Statement> {
        Self::rest(cursor, "CREATE GROUP", false)
    }

    fn rest(cursor: &mut Cursor, statement: &str, login: bool) -> Result<Statement> {
        let if_not_exists = cursor.if_not_exists();
        let name = cursor.ident()?;
        let mut options = UserOptions::parse(cursor, statement)?;
        options.login.get_or_insert(login);
        Ok(Statement::CreateUser(CreateUser { if_not_exists, name, options }))
    }
}

/// `RESET SESSION AUTHORIZATION`, which sqlparser knows as SET … DEFAULT only.
pub(crate) fn reset_authorization(_: &mut Cursor) -> Result<Statement> {
    let kind = ast::SetSessionAuthorizationParamKind::Default;
    let set = ast::SetSessionAuthorizationParam { scope: ast::ContextModifier::Session, kind };
    Ok(Statement::Sql(Box::new(ast::Statement::Set(ast::Set::SetSessionAuthorization(set)))))
}

/// `ALTER USER u PASSWORD 'p'`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlterUser {
    /// The user.
    pub name: Ident,
    /// RENAME TO.
    pub new_name: Option<Ident>,
    /// What changes.
    pub options: UserOptions,
}

impl AlterUser {
    pub(crate) fn parse(cursor: &mut Cursor) -> Result<Statement> {
        let name = cursor.ident()?;
        if *cursor.peek() == Token::EOF {
            return Err(cursor.syntax_error());
        }
        let new_name = if cursor.accept(&["RENAME", "TO"]) { Some(cursor.ident()?) } else { None };
        Ok(Statement::AlterUser(AlterUser { name, new_name, options: UserOptions::parse(cursor, "ALTER USER")? }))
    }
}

/// `DROP USER u, v`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropUser {
    /// Whether missing users are passed over.
    pub if_exists: bool,
    /// The users.
    pub names: Vec<Ident>,
}

impl DropUser {
    pub(crate) fn parse(cursor: &mut Cursor) -> Result<Statement> {
        let if_exists = cursor.if_exists();
        Ok(Statement::DropUser(DropUser { if_exists, names: cursor.list(Cursor::ident)? }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests_support::{check_errors, one};
    use tidegate_core::Kind;

    #[test]
    fn users() {
        let cases = [
            ("CREATE USER u", None, None, Some(true)),
            ("CREATE USER u WITH ENCRYPTED PASSWORD 'p' CREATEUSER", Some(Some("p")), Some(true), Some(true)),
            ("CREATE ROLE u PASSWORD NULL", Some(None), None, Some(false)),
            ("CREATE ROLE u LOGIN PASSWORD 'p' NOSUPERUSER", Some(Some("p")), Some(false), Some(true)),
            ("ALTER USER u PASSWORD 'p'", Some(Some("p")), None, None),
            ("ALTER ROLE u WITH SUPERUSER", None, Some(true), None),
        ];
        for (sql, password, superuser, login) in cases {
            let options = match one(sql) {
                Statement::CreateUser(create) => create.options,
                Statement::AlterUser(alter) => alter.options,
                other => panic!("{other:?}"),
            };
            let password = password.map(|inner| inner.map(str::to_owned));
            assert_eq!((&options.password, options.superuser, options.login), (&password, superuser, login), "{sql}");
            assert!(!format!("{options:?}").contains("\"p\""));
        }
        assert!(
            matches!(one("DROP ROLE IF EXISTS a, b"), Statement::DropUser(drop) if drop.if_exists && drop.names.len() == 2)
        );
    }

    #[test]
    fn mistakes() {
        check_errors(&[
            ("CREATE USER u REPLICATION", Kind::Unsupported, 15, "CREATE USER: clause REPLICATION is not supported"),
            ("CREATE USER u PASSWORD p", Kind::Syntax, 24, "syntax error at or near \"p\""),
            ("ALTER USER u", Kind::Syntax, 13, "syntax error at end of input"),
        ]);
    }
}
