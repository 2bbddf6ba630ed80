//! A place in a piece's tokens, and the small words in which our own statements are parsed: sqlparser's parser
//! underneath, contextual keywords and Postgres' errors on top.

use sqlparser::ast::{DataType, Ident, ObjectName};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan};
use tidegate_core::{Error, Kind, Result};

use crate::dialect::DIALECT;
use crate::fault;
use crate::piece::{Piece, is_word};

/// How deeply expressions and queries may be nested, in sqlparser's levels (a subquery costs about three).
const MAX_NESTING_LEVELS: usize = 120;

/// A parser over one piece.
pub(crate) struct Cursor<'a> {
    piece: &'a Piece,
    parser: Parser<'static>,
}

impl<'a> Cursor<'a> {
    #[cfg(test)]
    /// At the first token of a piece.
    pub fn new(piece: &'a Piece) -> Self {
        Self::over(piece, piece.tokens.clone())
    }

    /// Over some of a piece's tokens: others were lifted out.
    pub fn over(piece: &'a Piece, tokens: Vec<TokenWithSpan>) -> Self {
        let parser = Parser::new(&DIALECT).with_recursion_limit(MAX_NESTING_LEVELS).with_tokens_with_locations(tokens);
        Cursor { piece, parser }
    }

    /// Lets sqlparser parse something from here.
    pub fn run<T>(&mut self, rule: impl FnOnce(&mut Parser<'static>) -> Result<T, ParserError>) -> Result<T> {
        rule(&mut self.parser).map_err(|error| fault::from_sqlparser(self.piece, error))
    }

    /// The token ahead.
    pub fn peek(&self) -> &Token {
        &self.parser.peek_token_ref().token
    }

    /// The token so many behind the one ahead.
    pub fn peek_nth(&self, n: usize) -> &Token {
        &self.parser.peek_nth_token_ref(n).token
    }

    /// The token behind the one ahead.
    pub fn peek_after(&self) -> &Token {
        self.peek_nth(1)
    }

    /// Moves past the token ahead.
    pub fn skip(&mut self) {
        self.parser.advance_token();
    }

    /// The index, in the piece, of the token ahead.
    pub fn index(&self) -> usize {
        self.piece.index_of(self.parser.peek_token_ref().span.start)
    }

    /// The character of the token ahead in the script, from 1.
    pub fn position(&self) -> usize {
        self.piece.char_of(self.index())
    }

    /// The text from a token up to the one ahead.
    pub fn text_since(&self, from: usize) -> String {
        self.piece.slice(from, self.index()).to_owned()
    }

    /// A syntax error at the token ahead.
    pub fn syntax_error(&self) -> Error {
        fault::syntax_at(self.piece, self.index())
    }

    /// A refusal of the clause ahead, by its name.
    pub fn unsupported(&self, what: &str) -> Error {
        Error::new(Kind::Unsupported, format!("{what} is not supported")).at(self.position())
    }

    /// A refusal of the clause of a statement that begins with the word ahead; a syntax error where no word is ahead.
    pub fn unknown_clause(&self, statement: &str) -> Error {
        match self.peek_word() {
            Some(word) => self.unsupported(&format!("{statement}: clause {word}")),
            None => self.syntax_error(),
        }
    }

    /// The unquoted word ahead, in upper case.
    pub fn peek_word(&self) -> Option<String> {
        match self.peek() {
            Token::Word(word) if word.quote_style.is_none() => Some(word.value.to_ascii_uppercase()),
            _ => None,
        }
    }

    /// Whether these words are ahead.
    pub fn looks(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(n, word)| is_word(&self.parser.peek_nth_token_ref(n).token, word))
    }

    /// Whether these words stand so many tokens from here.
    pub fn looks_at(&self, from: usize, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(n, word)| is_word(&self.parser.peek_nth_token_ref(from + n).token, word))
    }

    /// How far from here what follows `ALTER TABLE [IF EXISTS] name` stands; None where that is not ahead.
    pub fn after_altered_name(&self) -> Option<usize> {
        if !self.looks(&["ALTER", "TABLE"]) {
            return None;
        }
        let mut n = if self.looks_at(2, &["IF", "EXISTS"]) { 5 } else { 3 };
        while self.parser.peek_nth_token_ref(n).token == Token::Period {
            n += 2;
        }
        Some(n)
    }

    /// Moves past these words if they are ahead.
    pub fn accept(&mut self, words: &[&str]) -> bool {
        let found = self.looks(words);
        if found {
            words.iter().for_each(|_| self.skip());
        }
        found
    }

    /// Moves past these words, which must be ahead.
    pub fn expect(&mut self, words: &[&str]) -> Result<()> {
        for word in words {
            if !self.accept(&[word]) {
                return Err(self.syntax_error().detail(format!("Expected {word}.")));
            }
        }
        Ok(())
    }

    /// Moves past a symbol if it is ahead.
    pub fn take(&mut self, symbol: &Token) -> bool {
        self.parser.consume_token(symbol)
    }

    /// Moves past a symbol, which must be ahead.
    pub fn need(&mut self, symbol: &Token) -> Result<()> {
        if self.take(symbol) {
            return Ok(());
        }
        Err(self.syntax_error().detail(format!("Expected {symbol}.")))
    }

    /// `IF NOT EXISTS`.
    pub fn if_not_exists(&mut self) -> bool {
        self.accept(&["IF", "NOT", "EXISTS"])
    }

    /// `IF EXISTS`.
    pub fn if_exists(&mut self) -> bool {
        self.accept(&["IF", "EXISTS"])
    }

    /// One identifier.
    pub fn ident(&mut self) -> Result<Ident> {
        match self.peek() {
            Token::Word(_) => self.run(|parser| parser.parse_identifier()),
            _ => Err(self.syntax_error().detail("Expected a name.")),
        }
    }

    /// A possibly qualified name.
    pub fn name(&mut self) -> Result<ObjectName> {
        match self.peek() {
            Token::Word(_) => self.run(|parser| parser.parse_object_name(false)),
            _ => Err(self.syntax_error().detail("Expected a name.")),
        }
    }

    /// A type, as Postgres names it.
    pub fn data_type(&mut self) -> Result<DataType> {
        self.run(|parser| parser.parse_data_type())
    }

    /// A string literal of any kind, if one is ahead.
    pub fn take_string(&mut self) -> Option<String> {
        let value = match self.peek() {
            Token::SingleQuotedString(value)
            | Token::EscapedStringLiteral(value)
            | Token::UnicodeStringLiteral(value) => value.clone(),
            Token::DollarQuotedString(quoted) => quoted.value.clone(),
            _ => return None,
        };
        self.skip();
        Some(value)
    }

    /// A string literal, which must be ahead.
    pub fn string(&mut self) -> Result<String> {
        self.take_string().ok_or_else(|| self.syntax_error().detail("Expected a string in single quotes."))
    }

    /// A string literal that is one character; `\t` and the like stand for the character.
    pub fn character(&mut self) -> Result<char> {
        let position = self.position();
        let text = self.string()?;
        single_character(&text).ok_or_else(|| {
            Error::new(Kind::InvalidParameter, "a delimiter, quote or escape must be one character").at(position)
        })
    }

    /// A whole number, in quotes or not.
    pub fn number(&mut self) -> Result<u64> {
        let error = self.syntax_error().detail("Expected a whole number.");
        let text = match self.peek() {
            Token::Number(digits, _) | Token::SingleQuotedString(digits) => digits.clone(),
            _ => return Err(error),
        };
        let number = text.parse().map_err(|_| error)?;
        self.skip();
        Ok(number)
    }

    /// `ON`, `OFF`, `TRUE`, `FALSE`, `1` or `0`, in quotes or not, if one is ahead.
    pub fn take_switch(&mut self) -> Option<bool> {
        let text = match self.peek() {
            Token::Word(word) => word.value.to_ascii_uppercase(),
            Token::SingleQuotedString(text) | Token::Number(text, _) => text.to_ascii_uppercase(),
            _ => return None,
        };
        let value = match text.as_str() {
            "ON" | "TRUE" | "1" | "YES" => true,
            "OFF" | "FALSE" | "0" | "NO" => false,
            _ => return None,
        };
        self.skip();
        Some(value)
    }

    /// What `rule` reads, one or more times, between commas.
    pub fn list<T>(&mut self, mut rule: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut items = vec![rule(self)?];
        while self.take(&Token::Comma) {
            items.push(rule(self)?);
        }
        Ok(items)
    }

    /// A list in parentheses.
    pub fn parenthesized<T>(&mut self, rule: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        self.need(&Token::LParen)?;
        let items = self.list(rule)?;
        self.need(&Token::RParen)?;
        Ok(items)
    }

    /// The text between a parenthesis ahead and the one that closes it; it must be a query.
    pub fn query_in_parentheses(&mut self) -> Result<String> {
        self.need(&Token::LParen)?;
        if self.looks(&["SUBSCRIBE"]) {
            return Err(self.unsupported("SUBSCRIBE"));
        }
        let from = self.index();
        self.run(|parser| parser.parse_query())?;
        let text = self.text_since(from);
        self.need(&Token::RParen)?;
        Ok(text)
    }

    /// A string alone in parentheses, if it is ahead.
    pub fn quoted_in_parentheses(&mut self) -> Option<String> {
        let is_string = matches!(
            self.parser.peek_nth_token_ref(1).token,
            Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_) | Token::DollarQuotedString(_)
        );
        if *self.peek() != Token::LParen || !is_string || self.parser.peek_nth_token_ref(2).token != Token::RParen {
            return None;
        }
        self.skip();
        let text = self.take_string();
        self.skip();
        text
    }

    /// Whether `ALTER TABLE name ADD [IF NOT EXISTS] PARTITION` is ahead.
    pub fn adds_partition(&self) -> bool {
        let Some(n) = self.after_altered_name() else { return false };
        self.looks_at(n, &["ADD", "PARTITION"]) || self.looks_at(n, &["ADD", "IF", "NOT", "EXISTS", "PARTITION"])
    }

    /// Nothing may follow.
    pub fn finish(self) -> Result<()> {
        match self.peek() {
            Token::EOF => Ok(()),
            _ => Err(self.syntax_error()),
        }
    }
}

/// The one character that a literal stands for, be it `|`, `\t`, `\x01` or `\001`.
pub(crate) fn single_character(text: &str) -> Option<char> {
    let mut chars = text.chars();
    let (first, rest) = (chars.next()?, chars.as_str());
    if rest.is_empty() {
        return Some(first);
    }
    if first != '\\' {
        return None;
    }
    match rest {
        "t" => Some('\t'),
        "n" => Some('\n'),
        "r" => Some('\r'),
        "\\" => Some('\\'),
        hex if hex.starts_with('x') => u8::from_str_radix(hex.get(1..)?, 16).ok().map(char::from),
        octal => u8::from_str_radix(octal, 8).ok().map(char::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_character() {
        let cases = [
            ("|", Some('|')),
            ("\\", Some('\\')),
            ("\\t", Some('\t')),
            ("\\001", Some('\u{1}')),
            ("\\x1F", Some('\u{1f}')),
            ("é", Some('é')),
            ("", None),
            ("||", None),
            ("\\q", None),
        ];
        for (text, expected) in cases {
            assert_eq!(single_character(text), expected, "{text}");
        }
    }
}
