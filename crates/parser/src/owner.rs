//! `ALTER … OWNER TO`, of all that is owned.

use sqlparser::ast::ObjectName;
use sqlparser::tokenizer::Token;
use tidegate_core::Result;

use crate::cursor::Cursor;
use crate::grant::{self, FunctionName, RoleName};
use crate::statement::Statement;

/// `ALTER {TABLE | …} name OWNER TO role`.
#[derive(Debug, Clone, PartialEq)]
pub struct AlterOwner {
    /// What gets another owner.
    pub of: Owned,
    /// Whether one that is missing is passed over.
    pub if_exists: bool,
    /// The owner.
    pub to: RoleName,
}

/// What has an owner.
#[derive(Debug, Clone, PartialEq)]
pub enum Owned {
    /// A table, stream or view of any kind.
    Relation(ObjectName),
    /// A schema.
    Schema(ObjectName),
    /// A function.
    Function(FunctionName),
    /// A delivery stream.
    Delivery(ObjectName),
    /// A pump.
    Pump(ObjectName),
}

/// What is owned, of its name.
type Named = fn(ObjectName) -> Owned;

/// The words behind ALTER, and what they name.
const NOUNS: &[(&[&str], Named)] = &[
    (&["TABLE"], Owned::Relation),
    (&["EXTERNAL", "TABLE"], Owned::Relation),
    (&["FOREIGN", "TABLE"], Owned::Relation),
    (&["VIEW"], Owned::Relation),
    (&["MATERIALIZED", "VIEW"], Owned::Relation),
    (&["STREAM"], Owned::Relation),
    (&["SCHEMA"], Owned::Schema),
    (&["DELIVERY", "STREAM"], Owned::Delivery),
    (&["PUMP"], Owned::Pump),
];

impl AlterOwner {
    /// The statement, if it is one.
    pub(crate) fn parse(cursor: &mut Cursor) -> Result<Option<Statement>> {
        if !cursor.looks(&["ALTER"]) || !cursor.ends_with(&["OWNER", "TO"], 1) {
            return Ok(None);
        }
        cursor.expect(&["ALTER"])?;
        let noun = NOUNS.iter().find(|(words, _)| cursor.accept(words));
        let if_exists = cursor.if_exists();
        let of = match noun {
            Some((_, made)) => made(cursor.name()?),
            None if cursor.accept(&["FUNCTION"]) => Owned::Function(grant::function(cursor)?),
            None => return Err(cursor.unknown_clause("ALTER … OWNER TO")),
        };
        cursor.expect(&["OWNER", "TO"])?;
        let to = RoleName::parse(cursor)?;
        Ok(Some(Statement::AlterOwner(AlterOwner { of, if_exists, to })))
    }
}

impl Cursor<'_> {
    /// Whether the statement ends with these words and so many tokens behind them.
    fn ends_with(&self, words: &[&str], behind: usize) -> bool {
        let mut length = 0;
        while *self.peek_nth(length) != Token::EOF {
            length += 1;
        }
        length.checked_sub(words.len() + behind).is_some_and(|from| self.looks_at(from, words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests_support::{check_errors, one};
    use tidegate_core::Kind;

    #[test]
    fn all_that_is_owned() {
        for sql in [
            "ALTER TABLE s.t OWNER TO u",
            "ALTER TABLE IF EXISTS t OWNER TO CURRENT_USER",
            "ALTER MATERIALIZED VIEW v OWNER TO u",
            "ALTER SCHEMA s OWNER TO \"U\"",
            "ALTER FUNCTION f(int) OWNER TO u",
            "ALTER DELIVERY STREAM d OWNER TO u",
        ] {
            assert!(matches!(one(sql), Statement::AlterOwner(_)), "{sql}");
        }
    }

    #[test]
    fn mistakes() {
        check_errors(&[(
            "ALTER SEQUENCE s OWNER TO u",
            Kind::Unsupported,
            7,
            "ALTER … OWNER TO: clause SEQUENCE is not supported",
        )]);
    }
}
