//! JSON as it comes made into the compact text that SUPER values are stored as, and what is no such value told.

use super::json::quote;
use tidegate_core::{Error, Kind};

/// Bytes of a value (Redshift).
pub const VALUE_BYTES_MAX: usize = 16 << 20;
/// Bytes of a string in a value (Redshift).
pub const STRING_BYTES_MAX: usize = 65_535;
/// Arrays and objects in each other (Redshift).
pub const NESTING_MAX: usize = 1000;

/// Why a text is no SUPER value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// It is not JSON from this byte on.
    Syntax(usize),
    /// A string, or all of it, is too long.
    Long,
    /// It is nested too deeply.
    Deep,
}

impl Wrong {
    /// As an error. `what` names the function or the column.
    pub fn error(self, what: &str) -> Error {
        match self {
            Wrong::Syntax(at) => {
                Error::new(Kind::InvalidText, format!("{what}: not JSON from character {} on", at + 1))
            }
            Wrong::Long => {
                Error::new(Kind::ProgramLimit, format!("{what}: a SUPER value or a string in it is too long"))
                    .hint(format!("A value has {VALUE_BYTES_MAX} bytes at most, a string in it {STRING_BYTES_MAX}."))
            }
            Wrong::Deep => {
                let message = format!("{what}: a SUPER value is nested deeper than {NESTING_MAX} levels");
                Error::new(Kind::ProgramLimit, message)
            }
        }
    }
}

/// The compact form: no space between, escapes only where they must be; digits of numbers as they come.
pub fn normalize(text: &str) -> Result<String, Wrong> {
    Reader { text, bytes: text.as_bytes(), at: 0, out: String::with_capacity(text.len()), open: Vec::new() }.read()
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    out: String,
    /// What closes each array and object around this place.
    open: Vec<u8>,
}

impl Reader<'_> {
    fn read(mut self) -> Result<String, Wrong> {
        loop {
            self.value()?;
            while let Some(&close) = self.open.last() {
                // An array or object that has just begun goes on with its first value.
                if self.begun() {
                    break;
                }
                self.space();
                match self.peek() {
                    Some(b',') => {
                        self.at += 1;
                        self.out.push(',');
                        if close == b'}' {
                            self.key()?;
                        }
                        break;
                    }
                    Some(byte) if byte == close => self.close(),
                    _ => return Err(Wrong::Syntax(self.at)),
                }
            }
            if self.open.is_empty() {
                return self.end();
            }
        }
    }

    fn end(mut self) -> Result<String, Wrong> {
        self.space();
        match (self.peek(), self.out.len() > VALUE_BYTES_MAX) {
            (Some(_), _) => Err(Wrong::Syntax(self.at)),
            (None, true) => Err(Wrong::Long),
            (None, false) => Ok(self.out),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Whether the last thing written opens something.
    fn begun(&self) -> bool {
        matches!(self.out.as_bytes().last(), Some(b'[' | b':'))
    }

    fn close(&mut self) {
        if let Some(close) = self.open.pop() {
            self.out.push(char::from(close));
            self.at += 1;
        }
    }

    fn value(&mut self) -> Result<(), Wrong> {
        self.space();
        match self.peek() {
            Some(open @ (b'{' | b'[')) => self.container(open),
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => self.word(),
        }
    }

    fn container(&mut self, open: u8) -> Result<(), Wrong> {
        if self.open.len() >= NESTING_MAX {
            return Err(Wrong::Deep);
        }
        self.at += 1;
        self.out.push(char::from(open));
        let close = if open == b'{' { b'}' } else { b']' };
        self.open.push(close);
        self.space();
        if self.peek() == Some(close) {
            self.close();
            return Ok(());
        }
        if open == b'{' { self.key() } else { Ok(()) }
    }

    fn key(&mut self) -> Result<(), Wrong> {
        self.space();
        if self.peek() != Some(b'"') {
            return Err(Wrong::Syntax(self.at));
        }
        self.string()?;
        self.space();
        if self.peek() != Some(b':') {
            return Err(Wrong::Syntax(self.at));
        }
        self.at += 1;
        self.out.push(':');
        Ok(())
    }

    fn string(&mut self) -> Result<(), Wrong> {
        let start = self.at;
        let mut escaped = false;
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.at += 2;
                }
                Some(byte) if byte >= b' ' => self.at += 1,
                _ => return Err(Wrong::Syntax(self.at.min(self.bytes.len()))),
            }
        }
        self.at += 1;
        let raw = self.text.get(start..self.at).unwrap_or_default();
        if !escaped {
            self.out.push_str(raw);
            return if raw.len() > STRING_BYTES_MAX + 2 { Err(Wrong::Long) } else { Ok(()) };
        }
        let text: String = serde_json::from_str(raw).map_err(|_| Wrong::Syntax(start))?;
        quote(&text, &mut self.out);
        if text.len() > STRING_BYTES_MAX { Err(Wrong::Long) } else { Ok(()) }
    }

    fn number(&mut self) -> Result<(), Wrong> {
        let start = self.at;
        let digits = |reader: &mut Self| {
            let from = reader.at;
            while matches!(reader.peek(), Some(b'0'..=b'9')) {
                reader.at += 1;
            }
            if reader.at > from { Ok(reader.at - from) } else { Err(Wrong::Syntax(reader.at)) }
        };
        self.at += usize::from(self.peek() == Some(b'-'));
        let zero = self.peek() == Some(b'0');
        if digits(self)? > 1 && zero {
            return Err(Wrong::Syntax(start));
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            digits(self)?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            digits(self)?;
        }
        self.out.push_str(self.text.get(start..self.at).unwrap_or_default());
        Ok(())
    }

    fn word(&mut self) -> Result<(), Wrong> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(word) = ["true", "false", "null"].into_iter().find(|word| rest.starts_with(word.as_bytes())) else {
            return Err(Wrong::Syntax(self.at));
        };
        self.at += word.len();
        self.out.push_str(word);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_becomes_compact() {
        let cases = [
            (
                " { \"a\" : [ 1 , -2.50e+3, \"x\\u0041\\/\\n\" ] , \"b\":{ } }",
                Ok("{\"a\":[1,-2.50e+3,\"xA/\\n\"],\"b\":{}}"),
            ),
            ("[[],[[]],{}]", Ok("[[],[[]],{}]")),
            ("\"é 🚀\"", Ok("\"é 🚀\"")),
            ("null", Ok("null")),
            ("[\"[\",\":\"]", Ok("[\"[\",\":\"]")),
            ("", Err(Wrong::Syntax(0))),
            ("[1,]", Err(Wrong::Syntax(3))),
            ("[1 2]", Err(Wrong::Syntax(3))),
            ("{a:1}", Err(Wrong::Syntax(1))),
            ("{\"a\" 1}", Err(Wrong::Syntax(5))),
            ("{\"a\":1,}", Err(Wrong::Syntax(7))),
            ("01", Err(Wrong::Syntax(0))),
            ("1.", Err(Wrong::Syntax(2))),
            ("nul", Err(Wrong::Syntax(0))),
            ("1 x", Err(Wrong::Syntax(2))),
            ("[1}", Err(Wrong::Syntax(2))),
            ("\"a", Err(Wrong::Syntax(2))),
            ("\"\\", Err(Wrong::Syntax(2))),
            ("\"\\q\"", Err(Wrong::Syntax(0))),
            ("[1", Err(Wrong::Syntax(2))),
        ];
        for (text, expected) in cases {
            assert_eq!(normalize(text), expected.map(String::from), "{text}");
        }
    }

    #[test]
    fn limits_hold() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(normalize(&nested(NESTING_MAX)).is_ok());
        assert_eq!(normalize(&nested(NESTING_MAX + 1)), Err(Wrong::Deep));
        let string = |bytes: usize| format!("\"{}\"", "x".repeat(bytes));
        assert!(normalize(&string(STRING_BYTES_MAX)).is_ok());
        assert_eq!(normalize(&string(STRING_BYTES_MAX + 1)), Err(Wrong::Long));
        let many = format!("[{}1]", "1,".repeat(VALUE_BYTES_MAX / 2));
        assert_eq!(normalize(&many), Err(Wrong::Long));
    }
}
