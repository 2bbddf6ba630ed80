//! `FROM stream CONSUME AS name` inside an INSERT: lifted out before sqlparser sees it.

use sqlparser::ast::{self, Ident, ObjectName};
use sqlparser::tokenizer::{Token, TokenWithSpan};
use tidegate_core::{Error, Kind, Result};

use crate::cursor::Cursor;
use crate::piece::{Piece, is_word};
use crate::statement::Statement;

/// `INSERT INTO t SELECT … FROM stream CONSUME AS consumer`.
#[derive(Debug, Clone, PartialEq)]
pub struct Consume {
    /// The INSERT without the clause.
    pub statement: Box<ast::Statement>,
    /// The stream that is read.
    pub stream: ObjectName,
    /// The name under which its position is kept.
    pub consumer: Ident,
}

impl Consume {
    /// The statement, if the piece has the clause.
    pub(crate) fn parse(piece: &Piece) -> Result<Option<Statement>> {
        let mut found = (0..piece.tokens.len()).filter_map(|index| clause(&piece.tokens, index));
        let Some(clause) = found.next() else { return Ok(None) };
        if let Some(second) = found.next() {
            return Err(refuse(piece, second.at, "more than one CONSUME in a statement is not supported"));
        }
        let tokens = [piece.tokens.get(..clause.at), piece.tokens.get(clause.at + 3..)];
        let mut cursor = Cursor::over(piece, tokens.into_iter().flatten().flatten().cloned().collect());
        let statement = cursor.run(|parser| parser.parse_statement())?;
        cursor.finish()?;
        if !matches!(statement, ast::Statement::Insert(_)) {
            return Err(refuse(piece, clause.at, "CONSUME is only supported in INSERT … SELECT"));
        }
        let Clause { stream, consumer, .. } = clause;
        Ok(Some(Statement::Consume(Consume { statement: Box::new(statement), stream, consumer })))
    }
}

fn refuse(piece: &Piece, index: usize, message: &str) -> Error {
    Error::new(Kind::Unsupported, message).at(piece.char_of(index))
}

/// `CONSUME AS consumer` behind a table's name.
struct Clause {
    at: usize,
    stream: ObjectName,
    consumer: Ident,
}

/// The clause at a token. A word before it alone is not enough: `SELECT consume AS x` names a column.
fn clause(tokens: &[TokenWithSpan], at: usize) -> Option<Clause> {
    let [first, second, third] = tokens.get(at..at + 3)? else { return None };
    if !is_word(&first.token, "CONSUME") || !is_word(&second.token, "AS") {
        return None;
    }
    let consumer = ident(third)?;
    let mut start = at.checked_sub(1)?;
    let mut parts = vec![ident(tokens.get(start)?)?];
    while start >= 2 && tokens.get(start - 1).is_some_and(|token| token.token == Token::Period) {
        start -= 2;
        parts.push(ident(tokens.get(start)?)?);
    }
    let before = &tokens.get(start.checked_sub(1)?)?.token;
    if !["FROM", "JOIN"].iter().any(|word| is_word(before, word)) && *before != Token::Comma {
        return None;
    }
    parts.reverse();
    Some(Clause { at, stream: ObjectName::from(parts), consumer })
}

fn ident(token: &TokenWithSpan) -> Option<Ident> {
    match &token.token {
        Token::Word(word) => Some(word.clone().into_ident(token.span)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests_support::{check_errors, one};

    #[test]
    fn the_clause_is_lifted() {
        let sql = "INSERT INTO sales SELECT a FROM s.clicks CONSUME AS loader WHERE a > 1";
        let Statement::Consume(found) = one(sql) else { panic!() };
        assert_eq!((found.stream.to_string().as_str(), found.consumer.value.as_str()), ("s.clicks", "loader"));
        assert_eq!(found.statement.to_string(), "INSERT INTO sales SELECT a FROM s.clicks WHERE a > 1");
    }

    #[test]
    fn the_word_is_free_elsewhere() {
        for sql in ["SELECT consume AS x FROM t", "SELECT a, consume AS x FROM consume AS y", "SELECT 1 FROM consume"] {
            assert!(matches!(one(sql), Statement::Sql(_)), "{sql}");
        }
    }

    #[test]
    fn mistakes() {
        check_errors(&[
            (
                "INSERT INTO t SELECT FROM a CONSUME AS x, b CONSUME AS y",
                Kind::Unsupported,
                45,
                "more than one CONSUME in a statement is not supported",
            ),
            ("SELECT a FROM s CONSUME AS x", Kind::Unsupported, 17, "CONSUME is only supported in INSERT … SELECT"),
            ("INSERT INTO t SELECT a FROM s CONSUME AS x WHERE", Kind::Syntax, 49, "syntax error at end of input"),
            ("INSERT INTO t SELECT a FROM s CONSUME AS x WHERE )", Kind::Syntax, 50, "syntax error at or near \")\""),
        ]);
    }
}
