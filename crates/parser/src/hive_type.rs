//! Types as Hive names them: `string`, `tinyint`, `binary`, and the nested `array<…>`, `map<…>`, `struct<a:int>`.
//! Every other name is read as Postgres reads it.

use sqlparser::ast::{ArrayElemTypeDef, DataType, StructBracketKind, StructField};
use sqlparser::tokenizer::Token;
use tidegate_core::{Error, Kind, Result};

use crate::cursor::Cursor;

/// How deeply types may be nested.
const MAX_TYPE_NESTING_LEVELS: usize = 32;

/// Reads a type.
pub(crate) fn parse(cursor: &mut Cursor) -> Result<DataType> {
    let mut reader = Reader { cursor, closing: 0, depth: 0 };
    let data_type = reader.data_type()?;
    match reader.closing {
        0 => Ok(data_type),
        _ => Err(Error::new(Kind::Syntax, "syntax error: one \">\" too many").at(cursor.position())),
    }
}

/// Reads nested types. `>>` comes as one token: what a type does not need is kept for the one around it.
struct Reader<'c, 'p> {
    cursor: &'c mut Cursor<'p>,
    closing: usize,
    depth: usize,
}

impl Reader<'_, '_> {
    fn data_type(&mut self) -> Result<DataType> {
        let simple = match self.cursor.peek_word().as_deref() {
            Some("STRING") => DataType::Text,
            Some("TINYINT") => DataType::SmallInt(None),
            Some("BINARY") => DataType::Bytea,
            Some("ARRAY") => return self.nested(Self::array),
            Some("MAP") => return self.nested(Self::map),
            Some("STRUCT") => return self.nested(Self::structure),
            _ => return self.cursor.data_type(),
        };
        self.cursor.skip();
        Ok(simple)
    }

    fn nested(&mut self, rule: fn(&mut Self) -> Result<DataType>) -> Result<DataType> {
        self.depth += 1;
        if self.depth > MAX_TYPE_NESTING_LEVELS {
            return Err(Error::new(Kind::ProgramLimit, "the type is nested too deeply").at(self.cursor.position()));
        }
        self.cursor.skip();
        self.cursor.need(&Token::Lt)?;
        let data_type = rule(self)?;
        self.close()?;
        self.depth -= 1;
        Ok(data_type)
    }

    fn array(&mut self) -> Result<DataType> {
        Ok(DataType::Array(ArrayElemTypeDef::AngleBracket(Box::new(self.data_type()?))))
    }

    fn map(&mut self) -> Result<DataType> {
        let key = self.data_type()?;
        self.cursor.need(&Token::Comma)?;
        Ok(DataType::Map(Box::new(key), Box::new(self.data_type()?)))
    }

    fn structure(&mut self) -> Result<DataType> {
        let mut fields = Vec::new();
        loop {
            let name = self.cursor.ident()?;
            self.cursor.take(&Token::Colon);
            fields.push(StructField { field_name: Some(name), field_type: self.data_type()?, options: None });
            if self.closing > 0 || !self.cursor.take(&Token::Comma) {
                return Ok(DataType::Struct(fields, StructBracketKind::AngleBrackets));
            }
        }
    }

    fn close(&mut self) -> Result<()> {
        if self.closing == 0 {
            let text = self.cursor.peek().to_string();
            if text.is_empty() || !text.chars().all(|ch| ch == '>') {
                return Err(self.cursor.syntax_error().detail("Expected \">\"."));
            }
            self.closing = text.len();
            self.cursor.skip();
        }
        self.closing -= 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::split;

    fn read(sql: &str) -> Result<String> {
        let pieces = split(sql)?;
        let mut cursor = Cursor::new(&pieces[0]);
        let data_type = parse(&mut cursor)?;
        cursor.finish()?;
        Ok(data_type.to_string())
    }

    #[test]
    fn types() {
        let cases = [
            ("string", "TEXT"),
            ("tinyint", "SMALLINT"),
            ("binary", "BYTEA"),
            ("bigint", "BIGINT"),
            ("double", "DOUBLE"),
            ("double precision", "DOUBLE PRECISION"),
            ("decimal(10,2)", "DECIMAL(10,2)"),
            ("varchar(20)", "VARCHAR(20)"),
            ("timestamp with time zone", "TIMESTAMP WITH TIME ZONE"),
            ("array<string>", "ARRAY<TEXT>"),
            ("map<string,array<int>>", "Map(TEXT, ARRAY<INT>)"),
            ("struct<a:int,b:array<array<array<string>>>>", "STRUCT<a INT, b ARRAY<ARRAY<ARRAY<TEXT>>>>"),
            ("array<struct<a:struct<b:int>,c:date>>", "ARRAY<STRUCT<a STRUCT<b INT>, c DATE>>"),
        ];
        for (sql, expected) in cases {
            assert_eq!(read(sql).unwrap(), expected, "{sql}");
        }
    }

    #[test]
    fn mistakes_have_a_position() {
        for (sql, position) in [("array<int", 10), ("array<int>>", 12), ("struct<int>", 11), ("map<int>", 8)] {
            assert_eq!(read(sql).unwrap_err().position(), Some(position), "{sql}");
        }
    }
}
