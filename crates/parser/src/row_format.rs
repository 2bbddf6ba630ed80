//! How a row lies in a text file: Hive's `ROW FORMAT`.

use tidegate_core::Result;

use crate::cursor::Cursor;
use crate::external_table::properties;

/// `ROW FORMAT DELIMITED …` or `ROW FORMAT SERDE '…'`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowFormat {
    /// Values between separators.
    Delimited {
        /// FIELDS TERMINATED BY.
        fields: Option<String>,
        /// ESCAPED BY.
        escaped: Option<String>,
        /// COLLECTION ITEMS TERMINATED BY.
        items: Option<String>,
        /// MAP KEYS TERMINATED BY.
        keys: Option<String>,
        /// LINES TERMINATED BY.
        lines: Option<String>,
        /// NULL DEFINED AS.
        null: Option<String>,
    },
    /// A reader by its Java class, with its properties.
    Serde(String, Vec<(String, String)>),
}

impl RowFormat {
    /// What follows `ROW FORMAT`.
    pub(crate) fn parse(cursor: &mut Cursor) -> Result<RowFormat> {
        if cursor.accept(&["SERDE"]) {
            let class = cursor.string()?;
            let known = if cursor.accept(&["WITH", "SERDEPROPERTIES"]) { properties(cursor)? } else { Vec::new() };
            return Ok(RowFormat::Serde(class, known));
        }
        cursor.expect(&["DELIMITED"])?;
        let (mut fields, mut escaped, mut items, mut keys, mut lines, mut null) = (None, None, None, None, None, None);
        loop {
            let slot = if cursor.accept(&["FIELDS", "TERMINATED", "BY"]) {
                &mut fields
            } else if cursor.accept(&["ESCAPED", "BY"]) {
                &mut escaped
            } else if cursor.accept(&["COLLECTION", "ITEMS", "TERMINATED", "BY"]) {
                &mut items
            } else if cursor.accept(&["MAP", "KEYS", "TERMINATED", "BY"]) {
                &mut keys
            } else if cursor.accept(&["LINES", "TERMINATED", "BY"]) {
                &mut lines
            } else if cursor.accept(&["NULL", "DEFINED", "AS"]) {
                &mut null
            } else {
                return Ok(RowFormat::Delimited { fields, escaped, items, keys, lines, null });
            };
            *slot = Some(cursor.string()?);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_separator() {
        let sql = "DELIMITED FIELDS TERMINATED BY '|' ESCAPED BY '\\' COLLECTION ITEMS TERMINATED BY ';' \
                   MAP KEYS TERMINATED BY ':' LINES TERMINATED BY '\\n' NULL DEFINED AS '-'";
        let pieces = crate::split(sql).unwrap();
        let mut cursor = Cursor::new(&pieces[0]);
        let text = |text: &str| Some(text.to_owned());
        let expected = RowFormat::Delimited {
            fields: text("|"),
            escaped: text("\\"),
            items: text(";"),
            keys: text(":"),
            lines: text("\\n"),
            null: text("-"),
        };
        assert_eq!(RowFormat::parse(&mut cursor).unwrap(), expected);
        cursor.finish().unwrap();
    }
}
