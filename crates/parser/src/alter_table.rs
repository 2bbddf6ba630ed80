//! ALTER TABLE where Redshift says what sqlparser does not know: keys, encodings, APPEND, SET SCHEMA.

use sqlparser::ast::{Ident, ObjectName};
use sqlparser::tokenizer::Token;
use tidegate_core::Result;

use crate::create_table::{DistStyleWord, SortKeyClause};
use crate::cursor::Cursor;
use crate::external_table::properties;
use crate::statement::Statement;

/// ALTER TABLE with clauses of Redshift's own.
#[derive(Debug, Clone, PartialEq)]
pub struct AlterTable {
    /// The table.
    pub name: ObjectName,
    /// Whether a missing one is passed over.
    pub if_exists: bool,
    /// What is to change.
    pub changes: Vec<TableChange>,
}

/// One change of a table.
#[derive(Debug, Clone, PartialEq)]
pub enum TableChange {
    /// ALTER DISTKEY column, ALTER DISTSTYLE KEY DISTKEY column.
    DistKey(Ident),
    /// ALTER DISTSTYLE of another kind.
    DistStyle(DistStyleWord),
    /// ALTER SORTKEY.
    SortKey(SortKeyClause),
    /// ALTER ENCODE AUTO.
    EncodeAuto,
    /// ALTER COLUMN column ENCODE encoding.
    Encode(Ident, Ident),
    /// SET SCHEMA.
    Schema(Ident),
    /// SET TABLE PROPERTIES.
    Properties(Vec<(String, String)>),
    /// APPEND FROM another table.
    Append {
        /// The other table.
        source: ObjectName,
        /// IGNOREEXTRA: its columns that this table has not are dropped.
        ignore_extra: bool,
        /// FILLTARGET: this table's columns that it has not get their defaults.
        fill_target: bool,
    },
}

/// How the clauses begin, after the table's name.
const HEADS: &[&[&str]] = &[
    &["ALTER", "DISTKEY"],
    &["ALTER", "DISTSTYLE"],
    &["ALTER", "SORTKEY"],
    &["ALTER", "COMPOUND"],
    &["ALTER", "INTERLEAVED"],
    &["ALTER", "ENCODE"],
    &["SET", "SCHEMA"],
    &["SET", "TABLE", "PROPERTIES"],
    &["APPEND", "FROM"],
    &["ROW", "LEVEL", "SECURITY"],
];

impl AlterTable {
    /// Whether such a statement is ahead.
    pub(crate) fn is_ahead(cursor: &Cursor) -> bool {
        let Some(after) = cursor.after_altered_name() else { return false };
        let encodes = cursor.looks_at(after, &["ALTER", "COLUMN"]) && cursor.looks_at(after + 3, &["ENCODE"]);
        encodes || HEADS.iter().any(|words| cursor.looks_at(after, words))
    }

    pub(crate) fn parse(cursor: &mut Cursor) -> Result<Statement> {
        cursor.expect(&["ALTER", "TABLE"])?;
        let if_exists = cursor.if_exists();
        let name = cursor.name()?;
        let changes = cursor.list(TableChange::parse)?;
        Ok(Statement::AlterTable(Box::new(AlterTable { name, if_exists, changes })))
    }
}

impl TableChange {
    fn parse(cursor: &mut Cursor) -> Result<Self> {
        if cursor.looks(&["ROW", "LEVEL", "SECURITY"]) {
            return Err(cursor.unsupported("ALTER TABLE … ROW LEVEL SECURITY"));
        }
        if cursor.accept(&["SET", "SCHEMA"]) {
            return Ok(TableChange::Schema(cursor.ident()?));
        }
        if cursor.accept(&["SET", "TABLE", "PROPERTIES"]) {
            return Ok(TableChange::Properties(properties(cursor)?));
        }
        if cursor.accept(&["APPEND", "FROM"]) {
            return Self::append(cursor);
        }
        cursor.expect(&["ALTER"])?;
        if cursor.accept(&["DISTKEY"]) {
            Ok(TableChange::DistKey(cursor.ident()?))
        } else if cursor.accept(&["DISTSTYLE"]) {
            match DistStyleWord::parse(cursor)? {
                DistStyleWord::Key => {
                    cursor.expect(&["DISTKEY"])?;
                    Ok(TableChange::DistKey(cursor.ident()?))
                }
                style => Ok(TableChange::DistStyle(style)),
            }
        } else if cursor.accept(&["ENCODE"]) {
            cursor.expect(&["AUTO"])?;
            Ok(TableChange::EncodeAuto)
        } else if cursor.accept(&["COLUMN"]) {
            let column = cursor.ident()?;
            cursor.expect(&["ENCODE"])?;
            Ok(TableChange::Encode(column, cursor.ident()?))
        } else {
            SortKeyClause::take(cursor)?.map(TableChange::SortKey).ok_or_else(|| cursor.syntax_error())
        }
    }

    fn append(cursor: &mut Cursor) -> Result<Self> {
        let source = cursor.name()?;
        let (mut ignore_extra, mut fill_target) = (false, false);
        while *cursor.peek() != Token::EOF {
            if !ignore_extra && cursor.accept(&["IGNOREEXTRA"]) {
                ignore_extra = true;
            } else if !fill_target && cursor.accept(&["FILLTARGET"]) {
                fill_target = true;
            } else {
                return Err(cursor.unknown_clause("ALTER TABLE APPEND"));
            }
        }
        Ok(TableChange::Append { source, ignore_extra, fill_target })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests_support::{check_errors, one};
    use tidegate_core::Kind;

    fn changes(sql: &str) -> Vec<TableChange> {
        match one(sql) {
            Statement::AlterTable(alter) => alter.changes,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn clauses() {
        let (a, b) = (|| Ident::new("a"), || Ident::new("b"));
        let cases = [
            ("ALTER TABLE t ALTER DISTKEY a", vec![TableChange::DistKey(a())]),
            ("ALTER TABLE s.t ALTER DISTSTYLE KEY DISTKEY a", vec![TableChange::DistKey(a())]),
            (
                "ALTER TABLE IF EXISTS t ALTER SORTKEY (a, b), ALTER DISTSTYLE ALL",
                vec![
                    TableChange::SortKey(SortKeyClause::Compound(vec![a(), b()])),
                    TableChange::DistStyle(DistStyleWord::All),
                ],
            ),
            ("ALTER TABLE t ALTER SORTKEY NONE", vec![TableChange::SortKey(SortKeyClause::None)]),
            ("ALTER TABLE t ALTER ENCODE AUTO", vec![TableChange::EncodeAuto]),
            (
                "ALTER TABLE t ALTER COLUMN a ENCODE zstd, ALTER COLUMN b ENCODE raw",
                vec![TableChange::Encode(a(), Ident::new("zstd")), TableChange::Encode(b(), Ident::new("raw"))],
            ),
            ("ALTER TABLE t SET SCHEMA a", vec![TableChange::Schema(a())]),
            (
                "ALTER TABLE t APPEND FROM u FILLTARGET",
                vec![TableChange::Append {
                    source: vec![Ident::new("u")].into(),
                    ignore_extra: false,
                    fill_target: true,
                }],
            ),
        ];
        for (sql, expected) in cases {
            assert_eq!(changes(sql), expected, "{sql}");
        }
    }

    #[test]
    fn the_rest_is_sqlparsers() {
        for sql in [
            "ALTER TABLE t ALTER COLUMN a TYPE varchar(300)",
            "ALTER TABLE t ADD COLUMN a int DEFAULT 7 ENCODE az64",
            "ALTER TABLE t DROP COLUMN a CASCADE",
            "ALTER TABLE t RENAME COLUMN a TO b",
        ] {
            assert!(matches!(one(sql), Statement::Sql(_)), "{sql}");
        }
        check_errors(&[
            ("ALTER TABLE t ALTER DISTSTYLE KEY", Kind::Syntax, 34, "syntax error at end of input"),
            (
                "ALTER TABLE t ROW LEVEL SECURITY ON",
                Kind::Unsupported,
                15,
                "ALTER TABLE … ROW LEVEL SECURITY is not supported",
            ),
        ]);
    }
}
