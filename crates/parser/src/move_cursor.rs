//! MOVE, which sqlparser lacks: its words are FETCH's, and so are its rules.

use sqlparser::ast::{self, FetchDirection, Ident};
use tidegate_core::Result;

use crate::cursor::Cursor;
use crate::statement::Statement;

/// `MOVE [direction] [FROM | IN] cursor`, of Postgres.
#[derive(Debug, Clone, PartialEq)]
pub struct Move {
    /// The cursor.
    pub name: Ident,
    /// Where to, and how far.
    pub direction: FetchDirection,
}

impl Move {
    pub(crate) fn parse(cursor: &mut Cursor) -> Result<Statement> {
        match cursor.run(|parser| parser.parse_fetch_statement())? {
            ast::Statement::Fetch { name, direction, into: None, .. } => Ok(Statement::Move(Move { name, direction })),
            _ => Err(cursor.unsupported("MOVE … INTO")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests_support::one;

    #[test]
    fn directions_and_words_that_may_be_left_out() {
        for (sql, direction) in [
            ("MOVE c", "NEXT"),
            ("MOVE FROM c", "NEXT"),
            ("MOVE 5 c", "5"),
            ("MOVE FORWARD 10 c", "FORWARD 10"),
            ("MOVE ALL IN c", "ALL"),
            ("MOVE BACKWARD 2 FROM \"c\"", "BACKWARD 2"),
        ] {
            let Statement::Move(moved) = one(sql) else { panic!("{sql}") };
            assert_eq!((moved.name.value.as_str(), moved.direction.to_string().as_str()), ("c", direction), "{sql}");
        }
    }
}
