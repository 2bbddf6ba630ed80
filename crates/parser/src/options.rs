//! `WITH (key = value, …)`: names and values as text, for the owner of the statement to read.

use sqlparser::tokenizer::Token;
use tidegate_core::{Error, Kind, Result};

use crate::cursor::Cursor;

/// Options in the order written; keys are in lower case and occur once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options(Vec<(String, String)>);

impl Options {
    /// The value of an option.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Takes an option out, so that what is left over at the end is unknown.
    pub fn take(&mut self, key: &str) -> Option<String> {
        let index = self.0.iter().position(|(name, _)| name == key)?;
        Some(self.0.remove(index).1)
    }

    /// Fails if an option was left over, naming it and the statement.
    pub fn expect_empty(&self, statement: &str) -> Result<()> {
        match self.0.first() {
            None => Ok(()),
            Some((key, _)) => Err(Error::new(Kind::Unsupported, format!("{statement}: unknown option \"{key}\""))),
        }
    }

    /// All of them, in the order written.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts an option in, in place of one of the same name.
    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        self.take(key);
        self.0.push((key.to_ascii_lowercase(), value.into()));
    }

    /// `WITH (…)`, if it is ahead.
    pub(crate) fn with(cursor: &mut Cursor) -> Result<Options> {
        if cursor.accept(&["WITH"]) { Self::parse(cursor) } else { Ok(Options::default()) }
    }

    /// `(key = value, key value, …)`.
    pub(crate) fn parse(cursor: &mut Cursor) -> Result<Options> {
        let mut options = Options::default();
        cursor.parenthesized(|cursor| {
            let position = cursor.position();
            let key = key(cursor)?;
            cursor.take(&Token::Eq);
            let value = value(cursor)?;
            if options.get(&key).is_some() {
                return Err(Error::new(Kind::Syntax, format!("option \"{key}\" is given twice")).at(position));
            }
            options.0.push((key, value));
            Ok(())
        })?;
        Ok(options)
    }
}

/// A key: words joined by dots, or a string.
fn key(cursor: &mut Cursor) -> Result<String> {
    if let Some(key) = cursor.take_string() {
        return Ok(key.to_ascii_lowercase());
    }
    let mut key = cursor.ident()?.value;
    while cursor.take(&Token::Period) {
        key.push('.');
        key.push_str(&cursor.ident()?.value);
    }
    Ok(key.to_ascii_lowercase())
}

/// A value: a string, a number or a word, as text.
pub(crate) fn value(cursor: &mut Cursor) -> Result<String> {
    if let Some(text) = cursor.take_string() {
        return Ok(text);
    }
    let sign = if cursor.take(&Token::Minus) { "-" } else { "" };
    let text = match cursor.peek() {
        Token::Number(digits, _) => format!("{sign}{digits}"),
        Token::Word(word) if sign.is_empty() => word.value.clone(),
        _ => return Err(cursor.syntax_error().detail("Expected a string, a number or a word.")),
    };
    cursor.skip();
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::split;

    fn options(sql: &str) -> Result<Options> {
        Options::with(&mut Cursor::new(&split(sql)?[0]))
    }

    #[test]
    fn values_are_text() {
        let mut found = options("WITH (Shards = 4, mode = on_demand, 'a.b' 'x', c.d = -1.5, e = on)").unwrap();
        let expected = [("shards", "4"), ("mode", "on_demand"), ("a.b", "x"), ("c.d", "-1.5"), ("e", "on")];
        assert_eq!(found.iter().collect::<Vec<_>>(), expected);
        assert_eq!(found.take("shards").as_deref(), Some("4"));
        assert_eq!(found.get("shards"), None);
        assert_eq!(found.expect_empty("X").unwrap_err().message(), "X: unknown option \"mode\"");
        assert!(options("SELECT").unwrap().is_empty());
    }

    #[test]
    fn mistakes_have_a_position() {
        for (sql, position) in [("WITH (a = )", 11), ("WITH (a = 1, A = 2)", 14), ("WITH a", 6), ("WITH (a = 1", 12)] {
            let error = options(sql).unwrap_err();
            assert_eq!((error.kind(), error.position()), (Kind::Syntax, Some(position)), "{sql}");
        }
    }
}
