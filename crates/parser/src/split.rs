//! The splitter: a script cut at its semicolons, by tokens, so that an error in one statement leaves the others whole.
//!
//! Tokens keep their place in the script; so do errors.

use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, TokenizerError};
use tidegate_core::{Error, Kind, Result};

use crate::dialect::DIALECT;
use crate::piece::{Mark, Piece};

/// Cuts a script into statements. Empty ones are left out; what cannot be read as tokens is an error for the whole.
pub fn split(sql: &str) -> Result<Vec<Piece>> {
    let tokens = Tokenizer::new(&DIALECT, sql).tokenize_with_location().map_err(|error| unreadable(sql, error))?;
    let mut ruler = Ruler::new(sql);
    let mut pieces = Vec::new();
    let mut current = Draft::default();
    for token in tokens {
        let start = ruler.advance(token.span.start);
        match token.token {
            Token::Whitespace(_) => {}
            Token::SemiColon => pieces.extend(std::mem::take(&mut current).finish(sql)),
            _ => {
                let end = ruler.advance(token.span.end);
                current.push(token, start, end);
            }
        }
    }
    pieces.extend(current.finish(sql));
    Ok(pieces)
}

/// A place in the script: byte from 0, character from 1.
#[derive(Debug, Clone, Copy, Default)]
struct Spot {
    byte: usize,
    char: usize,
}

/// Walks the script once, turning lines and columns into bytes and characters.
struct Ruler<'a> {
    rest: std::str::Chars<'a>,
    at: Location,
    spot: Spot,
}

impl<'a> Ruler<'a> {
    fn new(sql: &'a str) -> Self {
        Ruler { rest: sql.chars(), at: Location::new(1, 1), spot: Spot { byte: 0, char: 1 } }
    }

    /// Moves on to a place, which never lies behind the last one.
    fn advance(&mut self, target: Location) -> Spot {
        while self.at < target {
            let Some(ch) = self.rest.next() else { break };
            self.spot.byte += ch.len_utf8();
            self.spot.char += 1;
            self.at = match ch {
                '\n' => Location::new(self.at.line + 1, 1),
                _ => Location::new(self.at.line, self.at.column + 1),
            };
        }
        self.spot
    }
}

/// A piece being gathered.
#[derive(Default)]
struct Draft {
    tokens: Vec<TokenWithSpan>,
    marks: Vec<Mark>,
    start: usize,
    end: Spot,
}

impl Draft {
    fn push(&mut self, token: TokenWithSpan, start: Spot, end: Spot) {
        if self.tokens.is_empty() {
            self.start = start.byte;
        }
        self.tokens.push(token);
        self.marks.push(Mark { start: start.byte - self.start, end: end.byte - self.start, char: start.char });
        self.end = end;
    }

    fn finish(self, sql: &str) -> Option<Piece> {
        if self.tokens.is_empty() {
            return None;
        }
        let text = sql.get(self.start..self.end.byte).unwrap_or_default().to_owned();
        let Draft { tokens, marks, start, end } = self;
        Some(Piece { text, tokens, marks, start_byte: start, end_char: end.char })
    }
}

/// What the tokenizer could not read, in Postgres' words where it has some.
fn unreadable(sql: &str, error: TokenizerError) -> Error {
    let spot = Ruler::new(sql).advance(error.location);
    let message = match error.message.as_str() {
        "Unterminated string literal" | "Unterminated encoded string literal" => {
            "unterminated quoted string".to_owned()
        }
        "Unterminated dollar-quoted string" => "unterminated dollar-quoted string".to_owned(),
        "Unexpected EOF while in a multi-line comment" => "unterminated /* comment".to_owned(),
        other if other.starts_with("Expected close delimiter") => "unterminated quoted identifier".to_owned(),
        other => format!("syntax error: {other}"),
    };
    Error::new(Kind::Syntax, message).at(spot.char)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_at_semicolons_only() {
        let cases: &[(&str, &[(&str, usize)])] = &[
            ("", &[]),
            (" ;; -- nothing;\n /* ; */ ;", &[]),
            ("SELECT 1", &[("SELECT 1", 1)]),
            ("SELECT 1 ; SELECT ';'", &[("SELECT 1", 1), ("SELECT ';'", 12)]),
            ("BEGIN; COPY t FROM STDIN; COMMIT", &[("BEGIN", 1), ("COPY t FROM STDIN", 8), ("COMMIT", 27)]),
            ("SELECT $$a;b$$, $x$;$x$, \"a;\"; x", &[("SELECT $$a;b$$, $x$;$x$, \"a;\"", 1), ("x", 32)]),
            ("SELECT 'é;ü'; \n  SELECT 2", &[("SELECT 'é;ü'", 1), ("SELECT 2", 18)]),
            ("SELECT 1 -- one;\r\n, 2; x", &[("SELECT 1 -- one;\r\n, 2", 1), ("x", 24)]),
        ];
        for (sql, expected) in cases {
            let pieces = split(sql).unwrap();
            let found: Vec<_> = pieces.iter().map(|piece| (piece.text(), piece.start_char())).collect();
            assert_eq!(&found, expected, "{sql}");
            for piece in &pieces {
                assert!(sql[piece.start_byte()..].starts_with(piece.text()), "{sql}");
            }
        }
    }

    #[test]
    fn unreadable_scripts_name_the_place() {
        let cases = [
            ("SELECT 1; SELECT 'é", "unterminated quoted string", 18),
            ("SELECT \"a", "unterminated quoted identifier", 8),
            ("SELECT $$a", "unterminated dollar-quoted string", 11),
            ("SELECT /* a", "unterminated /* comment", 12),
        ];
        for (sql, message, position) in cases {
            let error = split(sql).unwrap_err();
            assert_eq!(
                (error.kind(), error.message(), error.position()),
                (Kind::Syntax, message, Some(position)),
                "{sql}"
            );
        }
    }
}
