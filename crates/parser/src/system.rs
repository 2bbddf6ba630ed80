//! `ALTER SYSTEM SET` and `RESET`.

use sqlparser::tokenizer::Token;
use tidegate_core::Result;

use crate::cursor::Cursor;
use crate::options;
use crate::statement::Statement;

/// `ALTER SYSTEM SET name = value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlterSystem {
    /// The setting, in lower case.
    pub name: String,
    /// Its value as text; `None` for RESET and DEFAULT.
    pub value: Option<String>,
}

impl AlterSystem {
    pub(crate) fn set(cursor: &mut Cursor) -> Result<Statement> {
        let name = setting(cursor)?;
        if !cursor.take(&Token::Eq) {
            cursor.expect(&["TO"])?;
        }
        let value = if cursor.accept(&["DEFAULT"]) { None } else { Some(options::value(cursor)?) };
        Ok(Statement::AlterSystem(AlterSystem { name, value }))
    }

    pub(crate) fn reset(cursor: &mut Cursor) -> Result<Statement> {
        Ok(Statement::AlterSystem(AlterSystem { name: setting(cursor)?, value: None }))
    }
}

/// A setting's name: words joined by dots.
fn setting(cursor: &mut Cursor) -> Result<String> {
    Ok(crate::ident::name_parts(&cursor.name()?).join("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests_support::{check_errors, one};
    use tidegate_core::Kind;

    #[test]
    fn settings() {
        let cases = [
            ("ALTER SYSTEM SET Statement_Timeout = '5s'", "statement_timeout", Some("5s")),
            ("ALTER SYSTEM SET a.b TO -1", "a.b", Some("-1")),
            ("ALTER SYSTEM SET a TO on", "a", Some("on")),
            ("ALTER SYSTEM SET a = DEFAULT", "a", None),
            ("ALTER SYSTEM RESET a", "a", None),
        ];
        for (sql, name, value) in cases {
            let expected = AlterSystem { name: name.into(), value: value.map(str::to_owned) };
            assert_eq!(one(sql), Statement::AlterSystem(expected), "{sql}");
        }
        check_errors(&[
            ("ALTER SYSTEM SET a 1", Kind::Syntax, 20, "syntax error at or near \"1\""),
            ("ALTER SYSTEM SET a =", Kind::Syntax, 21, "syntax error at end of input"),
        ]);
    }
}
