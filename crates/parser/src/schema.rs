//! CREATE SCHEMA and ALTER SCHEMA, with Redshift's QUOTA (DDL-19).

use sqlparser::ast::Ident;
use sqlparser::tokenizer::Token;
use tidegate_core::{Error, Kind, Result};

use crate::cursor::Cursor;
use crate::statement::Statement;

/// Megabytes of the units of a quota.
const UNITS: &[(&str, u64)] = &[("MB", 1), ("GB", 1 << 10), ("TB", 1 << 20)];
/// Most megabytes of a quota: what the column `quota` of the views holds.
const QUOTA_MB_MAX: u64 = i32::MAX as u64;

/// `CREATE SCHEMA [IF NOT EXISTS] s [AUTHORIZATION u] [QUOTA {n {MB | GB | TB} | UNLIMITED}]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateSchema {
    /// Whether an existing schema is left alone.
    pub if_not_exists: bool,
    /// The schema; that of its owner's name where left out.
    pub name: Ident,
    /// AUTHORIZATION.
    pub owner: Option<Ident>,
    /// Megabytes that its tables may take; None: any number.
    pub quota_mb: Option<u64>,
}

/// `ALTER SCHEMA s QUOTA {n {MB | GB | TB} | UNLIMITED}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlterSchema {
    /// The schema.
    pub name: Ident,
    /// Megabytes that its tables may take; None: any number.
    pub quota_mb: Option<u64>,
}

impl CreateSchema {
    pub(crate) fn parse(cursor: &mut Cursor) -> Result<Statement> {
        let if_not_exists = cursor.if_not_exists();
        let named = if cursor.looks(&["AUTHORIZATION"]) { None } else { Some(cursor.ident()?) };
        let owner = if cursor.accept(&["AUTHORIZATION"]) { Some(cursor.ident()?) } else { None };
        let quota_mb = if cursor.accept(&["QUOTA"]) { quota(cursor)? } else { None };
        let name = named.or_else(|| owner.clone()).ok_or_else(|| cursor.syntax_error())?;
        Ok(Statement::CreateSchema(CreateSchema { if_not_exists, name, owner, quota_mb }))
    }
}

impl AlterSchema {
    pub(crate) fn parse(cursor: &mut Cursor) -> Result<Statement> {
        let name = cursor.ident()?;
        if !cursor.accept(&["QUOTA"]) {
            return Err(cursor.unknown_clause("ALTER SCHEMA"));
        }
        Ok(Statement::AlterSchema(AlterSchema { name, quota_mb: quota(cursor)? }))
    }
}

/// 22023 for a quota that nothing fits into, or that is beyond what the views show.
fn quota(cursor: &mut Cursor) -> Result<Option<u64>> {
    if cursor.accept(&["UNLIMITED"]) {
        return Ok(None);
    }
    let position = cursor.position();
    let is_negative = cursor.take(&Token::Minus);
    let number = cursor.number()?;
    let Some((_, megabytes)) = UNITS.iter().find(|(unit, _)| cursor.accept(&[unit])) else {
        return Err(cursor.syntax_error().detail("Expected MB, GB or TB."));
    };
    let refused = |message: String| Err(Error::new(Kind::InvalidParameter, message).at(position));
    match number.saturating_mul(*megabytes) {
        quota if is_negative || quota == 0 => refused("a quota is at least 1 MB".to_string()),
        quota if quota > QUOTA_MB_MAX => refused(format!("a quota is at most {QUOTA_MB_MAX} MB")),
        quota => Ok(Some(quota)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests_support::{check_errors, one};

    #[test]
    fn all_forms() {
        let cases = [
            ("CREATE SCHEMA s", (false, "s", None, None)),
            ("CREATE SCHEMA IF NOT EXISTS s AUTHORIZATION u QUOTA 5 GB", (true, "s", Some("u"), Some(5 << 10))),
            ("CREATE SCHEMA AUTHORIZATION u QUOTA 1 tb", (false, "u", Some("u"), Some(1 << 20))),
            ("CREATE SCHEMA quota QUOTA UNLIMITED", (false, "quota", None, None)),
        ];
        for (sql, (if_not_exists, name, owner, quota)) in cases {
            let Statement::CreateSchema(create) = one(sql) else { panic!("{sql}") };
            let owned = create.owner.as_ref().map(|owner| owner.value.as_str());
            assert_eq!((create.if_not_exists, create.name.value.as_str()), (if_not_exists, name), "{sql}");
            assert_eq!((owned, create.quota_mb), (owner, quota), "{sql}");
        }
        let Statement::AlterSchema(alter) = one("ALTER SCHEMA s QUOTA 7 MB") else { panic!() };
        assert_eq!((alter.name.value.as_str(), alter.quota_mb), ("s", Some(7)));
    }

    #[test]
    fn mistakes() {
        check_errors(&[
            ("CREATE SCHEMA", Kind::Syntax, 14, "syntax error at end of input"),
            ("CREATE SCHEMA s QUOTA", Kind::Syntax, 22, "syntax error at end of input"),
            ("CREATE SCHEMA s QUOTA 5", Kind::Syntax, 24, "syntax error at end of input"),
            ("CREATE SCHEMA s QUOTA 5 PB", Kind::Syntax, 25, "syntax error at or near \"PB\""),
            ("CREATE SCHEMA s QUOTA MB", Kind::Syntax, 23, "syntax error at or near \"MB\""),
            ("CREATE SCHEMA s QUOTA 0 MB", Kind::InvalidParameter, 23, "a quota is at least 1 MB"),
            ("CREATE SCHEMA s QUOTA -1 MB", Kind::InvalidParameter, 23, "a quota is at least 1 MB"),
            ("CREATE SCHEMA s QUOTA 2048 TB", Kind::InvalidParameter, 23, "a quota is at most 2147483647 MB"),
            ("ALTER SCHEMA s QUOTA 99999999999999 TB", Kind::InvalidParameter, 22, "a quota is at most 2147483647 MB"),
            ("ALTER SCHEMA s QUOTA", Kind::Syntax, 21, "syntax error at end of input"),
            ("ALTER SCHEMA s RENAME TO t", Kind::Unsupported, 16, "ALTER SCHEMA: clause RENAME is not supported"),
        ]);
    }
}
