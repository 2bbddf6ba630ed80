//! TUMBLE and HOP, Flink's windows at a table's place, as the subqueries that they mean.
//!
//! `TUMBLE(TABLE s, DESCRIPTOR(at), size)` gives the rows of `s` with `window_start` and `window_end`; `HOP(TABLE s,
//! DESCRIPTOR(at), slide, size)` gives each row once for each window it is in. Windows begin at multiples of their slide
//! since 1970, in UTC. Rows without event time are in none.

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};
use tidegate_core::{Error, Kind, Result};

use crate::piece::{Piece, is_word};
use crate::rewrite::CLAUSE_WORDS;
use crate::split::split;

/// Puts the subqueries in the place of windows. 42601 for one that is not written as it must be.
pub(crate) fn rewrite(piece: &Piece, tokens: &mut Vec<TokenWithSpan>) -> Result<()> {
    let mut at = 0;
    while at < tokens.len() {
        if let Some(hops) = begins(tokens, at) {
            let window = Window::read(piece, tokens, at, hops)?;
            let end = window.end;
            let with = window.tokens(tokens, at)?;
            let grown = with.len();
            tokens.splice(at..end, with);
            at += grown;
        }
        at += 1;
    }
    Ok(())
}

/// Words with which a join begins, or what follows it.
const JOIN_WORDS: &[&str] = &["INNER", "LEFT", "RIGHT", "FULL", "CROSS", "NATURAL", "WINDOW"];

/// A window of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowClause {
    /// The column of event time, as written.
    pub column: String,
    /// From one window's start to the next one's: an interval, as written.
    pub slide: String,
    /// From its start to its end: an interval, as written.
    pub size: String,
}

/// The windows of a query.
pub fn windows_of(sql: &str) -> Result<Vec<WindowClause>> {
    let mut found = Vec::new();
    for piece in split(sql)? {
        for at in 0..piece.tokens.len() {
            if let Some(hops) = begins(&piece.tokens, at) {
                let Window { column, slide, size, .. } = Window::read(&piece, &piece.tokens, at, hops)?;
                found.push(WindowClause { column, slide, size });
            }
        }
    }
    Ok(found)
}

/// Whether a window begins here, and whether it hops.
fn begins(tokens: &[TokenWithSpan], at: usize) -> Option<bool> {
    let [name, open, table] = tokens.get(at..at + 3)? else { return None };
    if open.token != Token::LParen || !is_word(&table.token, "TABLE") {
        return None;
    }
    ["TUMBLE", "HOP"].iter().position(|word| is_word(&name.token, word)).map(|place| place == 1)
}

/// What a window says, as text.
struct Window {
    table: String,
    column: String,
    slide: String,
    size: String,
    /// The token behind its parenthesis.
    end: usize,
    name: &'static str,
}

impl Window {
    fn read(piece: &Piece, tokens: &[TokenWithSpan], at: usize, hops: bool) -> Result<Window> {
        let name = if hops { "HOP" } else { "TUMBLE" };
        let wrong = || {
            let message = format!(
                "{name} is written {name}(TABLE t, DESCRIPTOR(c), INTERVAL '…'{})",
                if hops { ", INTERVAL '…'" } else { "" }
            );
            Error::new(Kind::Syntax, message).at(piece.char_of(at))
        };
        let (arguments, end) = arguments(tokens, at + 3).ok_or_else(wrong)?;
        let text =
            |range: &[TokenWithSpan]| range.iter().map(|token| token.token.to_string()).collect::<Vec<_>>().join(" ");
        let (table, column, sizes) = match arguments.as_slice() {
            [table, column, sizes @ ..] if sizes.len() == if hops { 2 } else { 1 } => (*table, *column, sizes),
            _ => return Err(wrong()),
        };
        let column = match column {
            [word, open, column @ .., close]
                if is_word(&word.token, "DESCRIPTOR")
                    && open.token == Token::LParen
                    && close.token == Token::RParen =>
            {
                text(column)
            }
            _ => return Err(wrong()),
        };
        if !sizes.iter().all(|size| size.first().is_some_and(|token| is_word(&token.token, "INTERVAL"))) {
            return Err(wrong());
        }
        let slide = sizes.first().map(|size| text(size)).unwrap_or_default();
        let size = sizes.last().map(|size| text(size)).unwrap_or_default();
        Ok(Window { table: text(table), column, slide, size, end, name })
    }

    fn tokens(&self, tokens: &[TokenWithSpan], at: usize) -> Result<Vec<TokenWithSpan>> {
        let Window { table, column, slide, size, name, .. } = self;
        let mut text = match *name {
            "TUMBLE" => format!(
                "(SELECT *, date_bin({size}, {column}) AS window_start, date_bin({size}, {column}) + {size} AS window_end \
                 FROM {table} WHERE {column} IS NOT NULL)"
            ),
            _ => format!(
                "(SELECT *, window_start + {size} AS window_end FROM (SELECT *, unnest(generate_series(\
                 date_bin({slide}, {column} - {size}) + {slide}, date_bin({slide}, {column}), {slide})) AS window_start \
                 FROM {table} WHERE {column} IS NOT NULL) AS hops)"
            ),
        };
        if !is_named(tokens, self.end) {
            text.push_str(&format!(" AS {}", name.to_lowercase()));
        }
        let made = Tokenizer::new(&PostgreSqlDialect {}, &text).tokenize().map_err(Error::internal)?;
        let span = tokens.get(at).map(|token| token.span).unwrap_or_else(sqlparser::tokenizer::Span::empty);
        let made = made.into_iter().filter(|token| !matches!(token, Token::Whitespace(_)));
        Ok(made.map(|token| TokenWithSpan::new(token, span)).collect())
    }
}

/// Whether a name follows.
fn is_named(tokens: &[TokenWithSpan], at: usize) -> bool {
    match tokens.get(at).map(|token| &token.token) {
        Some(word @ Token::Word(_)) => !CLAUSE_WORDS.iter().chain(JOIN_WORDS).any(|clause| is_word(word, clause)),
        _ => false,
    }
}

/// The arguments up to the closing parenthesis, and the token behind it.
fn arguments(tokens: &[TokenWithSpan], from: usize) -> Option<(Vec<&[TokenWithSpan]>, usize)> {
    let (mut arguments, mut depth, mut start) = (Vec::new(), 0usize, from);
    for (at, token) in tokens.iter().enumerate().skip(from) {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen if depth == 0 => {
                arguments.push(tokens.get(start..at)?);
                return Some((arguments, at + 1));
            }
            Token::RParen => depth -= 1,
            Token::Comma if depth == 0 => {
                arguments.push(tokens.get(start..at)?);
                start = at + 1;
            }
            Token::EOF => return None,
            _ => {}
        }
    }
    None
}
