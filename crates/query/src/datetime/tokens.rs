//! A text of a date or time cut into tokens, as Postgres' `ParseDateTime` cuts it.

use super::Fault;
use super::words;
use std::iter::Peekable;
use std::str::Chars;

/// What a token looks like, before it is known what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Digits, perhaps with a point: `1999`, `20011225`, `040506.789`.
    Number,
    /// Fields with `-`, `/` or `.` between: `1999-01-08`, `08-Jan-1999`, `America/New_York`.
    Date,
    /// Fields with `:` between.
    Time,
    /// A sign and digits: `-08:00`.
    Signed,
    /// Letters.
    Word,
    /// A sign and letters: `-infinity`.
    SignedWord,
}

/// One token, in small letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub shape: Shape,
    pub text: String,
}

/// Most tokens of a text (Postgres: `MAXDATEFIELDS`).
const TOKENS_MAX: usize = 25;
/// Most bytes of a text.
const TEXT_MAX: usize = 128;

/// Cuts a text.
pub fn tokens(text: &str) -> Result<Vec<Token>, Fault> {
    if text.len() > TEXT_MAX {
        return Err(Fault::Format);
    }
    let lower = text.to_ascii_lowercase();
    let mut reader = Reader { rest: lower.chars().peekable() };
    let mut found = Vec::new();
    while let Some(token) = reader.next()? {
        if found.len() == TOKENS_MAX {
            return Err(Fault::Format);
        }
        found.push(token);
    }
    Ok(found)
}

struct Reader<'t> {
    rest: Peekable<Chars<'t>>,
}

impl Reader<'_> {
    fn next(&mut self) -> Result<Option<Token>, Fault> {
        loop {
            let Some(&first) = self.rest.peek() else { return Ok(None) };
            return match first {
                '0'..='9' => Ok(Some(self.digits())),
                '.' => {
                    let text = self.take(|c| c == '.' || c.is_ascii_digit());
                    Ok(Some(Token { shape: Shape::Number, text }))
                }
                'a'..='z' => Ok(Some(self.letters())),
                '+' | '-' => self.signed().map(Some),
                c if c.is_ascii_whitespace() || c.is_ascii_punctuation() => {
                    self.rest.next();
                    continue;
                }
                _ => Err(Fault::Format),
            };
        }
    }

    fn take(&mut self, belongs: impl Fn(char) -> bool) -> String {
        std::iter::from_fn(|| self.rest.next_if(|c| belongs(*c))).collect()
    }

    fn digits(&mut self) -> Token {
        let mut text = self.take(|c| c.is_ascii_digit());
        let separator = match self.rest.peek() {
            Some(':') => {
                text += &self.take(|c| c.is_ascii_digit() || matches!(c, ':' | '.'));
                return Token { shape: Shape::Time, text };
            }
            Some(&separator @ ('-' | '/' | '.')) => separator,
            _ => return Token { shape: Shape::Number, text },
        };
        text.extend(self.rest.next());
        let before = text.len();
        text += &self.take(|c| c.is_ascii_digit());
        if text.len() == before {
            text += &self.take(|c| c.is_ascii_alphanumeric() || c == separator);
            return Token { shape: Shape::Date, text };
        }
        if self.rest.peek() == Some(&separator) {
            text += &self.take(|c| c.is_ascii_digit() || c == separator);
            return Token { shape: Shape::Date, text };
        }
        // Two fields with a point between may be a number.
        Token { shape: if separator == '.' { Shape::Number } else { Shape::Date }, text }
    }

    /// A word; with what follows it at once, a date such as `Jan-08-1999` or the name of a zone.
    fn letters(&mut self) -> Token {
        let mut text = self.take(|c| c.is_ascii_lowercase());
        let goes_on = match self.rest.peek() {
            Some('-' | '/' | '.') => true,
            Some('+' | '0'..='9') => words::keyword(&text).is_none(),
            _ => false,
        };
        if !goes_on {
            return Token { shape: Shape::Word, text };
        }
        text += &self.take(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '/' | '_' | '.' | ':'));
        Token { shape: Shape::Date, text }
    }

    fn signed(&mut self) -> Result<Token, Fault> {
        let mut text: String = self.rest.next().into_iter().collect();
        self.take(|c| c.is_ascii_whitespace());
        let shape = match self.rest.peek() {
            Some('0'..='9') => {
                text += &self.take(|c| c.is_ascii_digit() || matches!(c, ':' | '.' | '-'));
                Shape::Signed
            }
            Some('a'..='z') => {
                text += &self.take(|c| c.is_ascii_lowercase());
                Shape::SignedWord
            }
            _ => return Err(Fault::Format),
        };
        Ok(Token { shape, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_as_in_postgres() {
        use Shape::*;
        let cases: [(&str, &[(Shape, &str)]); 9] = [
            ("1999-01-08 04:05:06-8:00", &[(Date, "1999-01-08"), (Time, "04:05:06"), (Signed, "-8:00")]),
            ("January 8, 1999", &[(Word, "january"), (Number, "8"), (Number, "1999")]),
            ("08-Jan-1999", &[(Date, "08-jan-1999")]),
            ("Jan-08-1999", &[(Date, "jan-08-1999")]),
            ("20011225T040506.789", &[(Number, "20011225"), (Word, "t"), (Number, "040506.789")]),
            ("1999.008", &[(Number, "1999.008")]),
            ("J2451187", &[(Word, "j"), (Number, "2451187")]),
            ("America/New_York PST8PDT", &[(Date, "america/new_york"), (Date, "pst8pdt")]),
            ("-infinity", &[(SignedWord, "-infinity")]),
        ];
        for (text, expected) in cases {
            let found = tokens(text).unwrap();
            let found: Vec<_> = found.iter().map(|token| (token.shape, token.text.as_str())).collect();
            assert_eq!(found, expected, "{text}");
        }
        assert_eq!(tokens("1999 + ").unwrap_err(), Fault::Format);
        assert_eq!(tokens("8 März").unwrap_err(), Fault::Format);
    }
}
