//! A bound on the depth of the tree that a statement becomes.
//!
//! sqlparser bounds its own recursion, but reads `a + a + …` and `… UNION …` in a loop, into a tree as deep as the chain
//! is long. Whoever walks or drops such a tree recurses, and a stack that overflows ends the process; so chains are
//! counted on the tokens, before there is a tree.

use sqlparser::tokenizer::Token;
use tidegate_core::{Error, Kind, Result};

use crate::piece::{Piece, is_word};

/// How many operators may stand in a chain, those of the chains around it included.
const MAX_CHAINED_OPERATORS: usize = 2000;

/// How deeply `[` may be nested; arrays of Postgres have six dimensions. sqlparser reads what follows `ARRAY[` twice when
/// something in it is too deep, so each level would double the time.
const MAX_NESTED_BRACKETS: usize = 10;

/// Words that act as operators between or behind expressions.
const OPERATOR_WORDS: &[&str] = &[
    "AND", "OR", "NOT", "XOR", "IS", "ISNULL", "NOTNULL", "IN", "BETWEEN", "LIKE", "ILIKE", "RLIKE", "REGEXP",
    "SIMILAR", "GLOB", "MATCH", "DIV", "MEMBER", "OVERLAPS", "OPERATOR", "COLLATE", "AT",
];

/// Words between queries.
const SET_WORDS: &[&str] = &["UNION", "INTERSECT", "EXCEPT", "MINUS"];

/// What was counted inside one pair of parentheses.
#[derive(Default)]
struct Frame {
    operators: usize,
    sets: usize,
}

/// The error of a statement whose tree would be too deep.
pub(crate) fn too_deep() -> Error {
    Error::new(Kind::ProgramLimit, "the statement is nested too deeply")
        .hint("Split it; move inner queries into WITH; write x IN (…) for a long chain of OR.")
}

/// Fails where a chain is too long, or brackets are nested too deeply.
pub(crate) fn check(piece: &Piece) -> Result<()> {
    let mut outer = Vec::new();
    let mut frame = Frame::default();
    let (mut depth, mut brackets) = (0, 0_usize);
    for (index, token) in piece.tokens.iter().map(|token| &token.token).enumerate() {
        match token {
            Token::LBracket => brackets += 1,
            Token::RBracket => brackets = brackets.saturating_sub(1),
            _ => {}
        }
        if brackets > MAX_NESTED_BRACKETS {
            return Err(too_deep().at(piece.char_of(index)));
        }
        match token {
            Token::LParen => outer.push(std::mem::take(&mut frame)),
            Token::RParen => {
                depth -= frame.operators + frame.sets;
                frame = outer.pop().unwrap_or_default();
            }
            Token::Comma => depth -= std::mem::take(&mut frame.operators),
            _ if is_set(token) => {
                depth = depth + 1 - std::mem::take(&mut frame.operators);
                frame.sets += 1;
            }
            _ if is_operator(token) => {
                depth += 1;
                frame.operators += 1;
            }
            _ => continue,
        }
        if depth > MAX_CHAINED_OPERATORS {
            return Err(too_deep().at(piece.char_of(index)));
        }
    }
    Ok(())
}

fn is_set(token: &Token) -> bool {
    SET_WORDS.iter().any(|word| is_word(token, word))
}

fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(word) => {
            word.quote_style.is_none() && OPERATOR_WORDS.iter().any(|known| word.value.eq_ignore_ascii_case(known))
        }
        Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::EscapedStringLiteral(_)
        | Token::DollarQuotedString(_)
        | Token::UnicodeStringLiteral(_)
        | Token::HexStringLiteral(_)
        | Token::NationalStringLiteral(_)
        | Token::Placeholder(_)
        | Token::Period
        | Token::RBracket
        | Token::EOF => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_one;

    #[test]
    fn chains_are_bounded() {
        let chain = |link: &str, times: usize| format!("SELECT a{}", link.repeat(times));
        let cases = [
            (chain(" + 1", 1000), true),
            (chain(", a + 1", 5000), true),
            (chain(", (a + 1)", 5000), true),
            (chain(" UNION SELECT a, b + 1", 1000), true),
            (format!("INSERT INTO t VALUES (1, -1){}", ", (1, -1)".repeat(5000)), true),
            (format!("SELECT a WHERE b IN (1{})", ", -1".repeat(50_000)), true),
            (chain(" + 1", 100_000), false),
            (chain(" OR a = 1", 100_000), false),
            (chain("::int", 100_000), false),
            (chain(" IS NULL", 100_000), false),
            (chain(" UNION SELECT a, b", 100_000), false),
            (chain(" || f(1)", 100_000), false),
            (chain("[1]", 100_000), false),
            (format!("SELECT {}1{}", "ARRAY[".repeat(10), "]".repeat(10)), true),
            (format!("SELECT {}1{}", "ARRAY[".repeat(500), "]".repeat(500)), false),
            (format!("SELECT {}{}1{}", "ARRAY[".repeat(10), "- ".repeat(500), "]".repeat(10)), false),
        ];
        for (sql, fits) in cases {
            let start = &sql[..30];
            match parse_one(&sql) {
                Ok(_) => assert!(fits, "{start}"),
                Err(error) => {
                    assert!(!fits, "{start}: {error}");
                    assert_eq!(error.kind(), Kind::ProgramLimit, "{start}");
                }
            }
        }
    }
}
