//! Upkeep: CHECKPOINT, VACUUM and ANALYZE.

use sqlparser::ast::{Ident, ObjectName};
use sqlparser::tokenizer::Token;
use tidegate_core::Result;

use crate::cursor::Cursor;
use crate::statement::Statement;

/// `VACUUM [t]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vacuum {
    /// The table; all of them where left out.
    pub table: Option<ObjectName>,
    /// Words of Postgres and Redshift that mean nothing here.
    pub no_ops: Vec<String>,
}

impl Vacuum {
    pub(crate) fn parse(cursor: &mut Cursor) -> Result<Statement> {
        let mut no_ops = words_in_parentheses(cursor)?;
        let modes: &[&[&str]] = &[
            &["FULL"],
            &["FREEZE"],
            &["VERBOSE"],
            &["ANALYZE"],
            &["SORT", "ONLY"],
            &["DELETE", "ONLY"],
            &["REINDEX"],
            &["RECLUSTER"],
        ];
        while let Some(mode) = modes.iter().find(|mode| cursor.accept(mode)) {
            no_ops.push(mode.join(" "));
        }
        let table = table(cursor)?;
        if cursor.accept(&["TO"]) {
            no_ops.push(format!("TO {} PERCENT", cursor.number()?));
            cursor.expect(&["PERCENT"])?;
        }
        if cursor.accept(&["BOOST"]) {
            no_ops.push("BOOST".to_owned());
        }
        Ok(Statement::Vacuum(Vacuum { table, no_ops }))
    }
}

/// `ANALYZE [t [(columns)]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Analyze {
    /// The table; all of them where left out.
    pub table: Option<ObjectName>,
    /// The columns; all of them where left out.
    pub columns: Vec<Ident>,
}

impl Analyze {
    pub(crate) fn parse(cursor: &mut Cursor) -> Result<Statement> {
        words_in_parentheses(cursor)?;
        cursor.accept(&["VERBOSE"]);
        if cursor.looks(&["COMPRESSION"]) {
            return Err(cursor.unsupported("ANALYZE COMPRESSION"));
        }
        let table = table(cursor)?;
        let columns = if *cursor.peek() == Token::LParen { cursor.parenthesized(Cursor::ident)? } else { Vec::new() };
        if !cursor.accept(&["PREDICATE", "COLUMNS"]) {
            cursor.accept(&["ALL", "COLUMNS"]);
        }
        Ok(Statement::Analyze(Analyze { table, columns }))
    }
}

/// `CHECKPOINT`.
pub(crate) fn checkpoint(_: &mut Cursor) -> Result<Statement> {
    Ok(Statement::Checkpoint)
}

/// A table's name, if one is ahead.
fn table(cursor: &mut Cursor) -> Result<Option<ObjectName>> {
    match cursor.peek() {
        Token::Word(_) if !cursor.looks(&["TO"]) && !cursor.looks(&["BOOST"]) => Ok(Some(cursor.name()?)),
        _ => Ok(None),
    }
}

/// Postgres' `(FULL, VERBOSE false)`, if it is ahead.
fn words_in_parentheses(cursor: &mut Cursor) -> Result<Vec<String>> {
    if *cursor.peek() != Token::LParen {
        return Ok(Vec::new());
    }
    cursor.parenthesized(|cursor| {
        let word = cursor.ident()?.value.to_ascii_uppercase();
        cursor.take_switch();
        Ok(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests_support::{check_errors, one};
    use tidegate_core::Kind;

    #[test]
    fn upkeep() {
        let cases: &[(&str, Option<&str>, &[&str])] = &[
            ("VACUUM", None, &[]),
            ("VACUUM s.t", Some("s.t"), &[]),
            ("VACUUM (FULL, VERBOSE false) t", Some("t"), &["FULL", "VERBOSE"]),
            ("VACUUM DELETE ONLY t TO 75 PERCENT BOOST", Some("t"), &["DELETE ONLY", "TO 75 PERCENT", "BOOST"]),
            ("VACUUM FULL", None, &["FULL"]),
        ];
        for (sql, table, no_ops) in cases {
            let Statement::Vacuum(vacuum) = one(sql) else { panic!("{sql}") };
            assert_eq!(vacuum.table.map(|name| name.to_string()).as_deref(), *table, "{sql}");
            assert_eq!(vacuum.no_ops, *no_ops, "{sql}");
        }
        assert!(
            matches!(one("ANALYZE VERBOSE t (a, b)"), Statement::Analyze(a) if a.columns.len() == 2 && a.table.is_some())
        );
        assert!(matches!(one("ANALYZE"), Statement::Analyze(a) if a.table.is_none()));
        assert_eq!(one("checkpoint"), Statement::Checkpoint);
        check_errors(&[
            ("CHECKPOINT now", Kind::Syntax, 12, "syntax error at or near \"now\""),
            ("VACUUM t TO x PERCENT", Kind::Syntax, 13, "syntax error at or near \"x\""),
        ]);
    }
}
