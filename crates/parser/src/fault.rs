//! Errors as Postgres words them, with the place in the script.

use sqlparser::parser::ParserError;
use sqlparser::tokenizer::Location;
use tidegate_core::{Error, Kind};

use crate::depth;
use crate::piece::Piece;

/// `syntax error at or near "x"`, at a token of the piece.
pub(crate) fn syntax_at(piece: &Piece, index: usize) -> Error {
    let message = match piece.shown(index) {
        "" => "syntax error at end of input".to_owned(),
        text => format!("syntax error at or near \"{text}\""),
    };
    Error::new(Kind::Syntax, message).at(piece.char_of(index))
}

/// An error of sqlparser's, which carries its place at the end of its text only.
pub(crate) fn from_sqlparser(piece: &Piece, error: ParserError) -> Error {
    let text = match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
        ParserError::RecursionLimitExceeded => return depth::too_deep(),
    };
    let (message, location) = cut_location(&text);
    let Some(wanted) = message.strip_prefix("Expected: ") else {
        let error = Error::new(Kind::Syntax, format!("syntax error: {message}"));
        return match location {
            Some(location) => error.at(piece.char_of(piece.index_of(location))),
            None => error,
        };
    };
    let index = location.map_or(piece.tokens.len(), |location| piece.index_of(location));
    let wanted = wanted.split(", found: ").next().unwrap_or(wanted);
    syntax_at(piece, index).detail(format!("Expected {wanted}."))
}

/// Splits ` at Line: 1, Column: 5` off a message.
fn cut_location(text: &str) -> (&str, Option<Location>) {
    let Some((message, place)) = text.rsplit_once(" at Line: ") else {
        return (text, None);
    };
    let numbers = place
        .split_once(", Column: ")
        .and_then(|(line, column)| Some(Location::new(line.trim().parse().ok()?, column.trim().parse().ok()?)));
    match numbers {
        Some(location) => (message, Some(location)),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_location_is_cut_off() {
        let cases = [
            ("Expected: a, found: b at Line: 2, Column: 7", "Expected: a, found: b", Some((2, 7))),
            ("Expected: a, found: EOF", "Expected: a, found: EOF", None),
            ("odd at Line: x, Column: 7", "odd at Line: x, Column: 7", None),
        ];
        for (text, message, location) in cases {
            let expected = (message, location.map(|(line, column)| Location::new(line, column)));
            assert_eq!(cut_location(text), expected);
        }
    }
}
