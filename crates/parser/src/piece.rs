//! One statement of a script, in tokens, with its place in the script.

use crate::split::split;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan};
use std::borrow::Cow;

/// Words after which a literal is a secret and is never shown.
const SECRET_WORDS: &[&str] = &[
    "PASSWORD",
    "KEY",
    "SECRET",
    "SESSION_TOKEN",
    "CREDENTIALS",
    "ACCESS_KEY_ID",
    "SECRET_ACCESS_KEY",
    "MASTER_SYMMETRIC_KEY",
];

/// Words that may stand between a secret's word and its literal.
const LINKS: &[&str] = &["AS", "TO"];

/// Where a token lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    /// First byte, within the piece's text.
    pub start: usize,
    /// The byte after the last, within the piece's text.
    pub end: usize,
    /// First character, in the script, from 1.
    pub char: usize,
}

/// One statement of a script: its text, its tokens without whitespace and comments, and its place.
#[derive(Debug, Clone)]
pub struct Piece {
    pub(crate) text: String,
    pub(crate) tokens: Vec<TokenWithSpan>,
    pub(crate) marks: Vec<Mark>,
    pub(crate) start_byte: usize,
    pub(crate) end_char: usize,
}

impl Piece {
    /// The statement as it was written, from its first token to its last, without the semicolon.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The first byte of the statement in the script.
    pub fn start_byte(&self) -> usize {
        self.start_byte
    }

    /// The first character of the statement in the script, from 1.
    pub fn start_char(&self) -> usize {
        self.marks.first().map_or(1, |mark| mark.char)
    }

    /// The first character of a name in the script, from 1: where an error about it points.
    pub fn position_of(&self, name: &str) -> Option<usize> {
        let last = name.rsplit('.').next().unwrap_or(name);
        let is_it = |token: &TokenWithSpan| match &token.token {
            Token::Word(word) if word.quote_style.is_some() => word.value == last,
            Token::Word(word) => word.value.eq_ignore_ascii_case(last),
            _ => false,
        };
        let index = self.tokens.iter().position(is_it)?;
        // A qualified name is pointed at where it begins.
        let dotted = |at: usize| matches!(self.tokens.get(at).map(|token| &token.token), Some(Token::Period));
        let first = if index >= 2 && name.contains('.') && dotted(index - 1) { index - 2 } else { index };
        Some(self.char_of(first))
    }

    /// The statement with passwords and keys blotted out: what logs and views may show.
    pub fn redacted_text(&self) -> String {
        let mut shown = String::with_capacity(self.text.len());
        let mut from = 0;
        for (index, mark) in self.marks.iter().enumerate() {
            if self.is_secret(index) {
                shown.push_str(self.text.get(from..mark.start).unwrap_or_default());
                shown.push_str("'***'");
                from = mark.end;
            }
        }
        shown.push_str(self.text.get(from..).unwrap_or_default());
        shown
    }

    /// The index of the token at a place that the parser named; past the last for the end of input.
    pub(crate) fn index_of(&self, location: Location) -> usize {
        match location.line {
            0 => self.tokens.len(),
            _ => self.tokens.partition_point(|token| token.span.start < location),
        }
    }

    /// The character of a token in the script, from 1; of the end of the piece where there is no such token.
    pub(crate) fn char_of(&self, index: usize) -> usize {
        self.marks.get(index).map_or(self.end_char, |mark| mark.char)
    }

    /// The text from one token up to, and without, another.
    pub(crate) fn slice(&self, from: usize, to: usize) -> &str {
        let start = self.marks.get(from).map_or(self.text.len(), |mark| mark.start);
        let end = to.checked_sub(1).and_then(|last| self.marks.get(last)).map_or(start, |mark| mark.end);
        self.text.get(start..end).unwrap_or_default()
    }

    /// A token's text as an error may quote it.
    pub(crate) fn shown(&self, index: usize) -> &str {
        if self.is_secret(index) { "***" } else { self.slice(index, index + 1) }
    }

    /// Whether a literal follows one of the words that announce a secret.
    fn is_secret(&self, index: usize) -> bool {
        let literal = |token: &Token| {
            matches!(
                token,
                Token::SingleQuotedString(_)
                    | Token::EscapedStringLiteral(_)
                    | Token::DollarQuotedString(_)
                    | Token::UnicodeStringLiteral(_)
            )
        };
        if !self.tokens.get(index).is_some_and(|token| literal(&token.token)) {
            return false;
        }
        let before = self.tokens.get(..index).unwrap_or_default().iter().rev();
        let announced = before
            .map(|token| &token.token)
            .find(|token| !matches!(token, Token::Eq) && !LINKS.iter().any(|link| is_word(token, link)));
        announced.is_some_and(|token| SECRET_WORDS.iter().any(|word| is_word(token, word)))
    }
}

/// A script with passwords and keys blotted out: what logs and views may show. One that announces a secret and cannot be
/// cut into statements is not shown.
pub fn redacted(sql: &str) -> Cow<'_, str> {
    let upper = sql.to_ascii_uppercase();
    if !SECRET_WORDS.iter().any(|word| upper.contains(word)) {
        return Cow::Borrowed(sql);
    }
    match split(sql) {
        Ok(pieces) => Cow::Owned(pieces.iter().map(Piece::redacted_text).collect::<Vec<_>>().join("; ")),
        Err(_) => Cow::Borrowed("***"),
    }
}

/// Whether a token is this word, unquoted.
pub(crate) fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(found) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::redacted;
    use crate::split;

    #[test]
    fn secrets_are_blotted_out() {
        let cases = [
            ("ALTER USER u PASSWORD 'p'", "ALTER USER u PASSWORD '***'"),
            (
                "CREATE CREDENTIAL c (KEY 'a', SECRET = E'b', REGION 'r')",
                "CREATE CREDENTIAL c (KEY '***', SECRET = '***', REGION 'r')",
            ),
            ("COPY t FROM 's3://b' CREDENTIALS AS 'x=é' CSV", "COPY t FROM 's3://b' CREDENTIALS AS '***' CSV"),
            ("SELECT 'password'", "SELECT 'password'"),
        ];
        for (sql, expected) in cases {
            let pieces = split(sql).unwrap();
            assert_eq!(pieces[0].redacted_text(), expected);
            assert_eq!(redacted(sql), expected);
        }
        assert_eq!(redacted("SELECT 1; CREATE USER u PASSWORD 'p';"), "SELECT 1; CREATE USER u PASSWORD '***'");
        assert_eq!(redacted("CREATE USER u PASSWORD 'p"), "***");
    }
}
