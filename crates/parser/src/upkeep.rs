//! Upkeep: CHECKPOINT, VACUUM and ANALYZE.

use sqlparser::ast::{Ident, ObjectName};
use sqlparser::tokenizer::Token;
use tidegate_core::{Error, Kind, Result};

use crate::cursor::Cursor;
use crate::statement::Statement;

/// `VACUUM [FULL | SORT ONLY | DELETE ONLY | REINDEX | RECLUSTER] [t] [TO n PERCENT] [BOOST]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vacuum {
    /// What is done.
    pub mode: VacuumMode,
    /// The table; all of them where left out.
    pub table: Option<ObjectName>,
    /// The share of rows that is good enough, 0 to 100; None: the default.
    pub percent: Option<u64>,
    /// Words of Postgres and Redshift that mean nothing here.
    pub no_ops: Vec<String>,
}

/// What VACUUM does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VacuumMode {
    /// Sorts and takes the place of removed rows back.
    #[default]
    Full,
    /// Sorts.
    SortOnly,
    /// Takes the place of removed rows back.
    DeleteOnly,
    /// Sorts all rows anew by an interleaved key.
    Reindex,
    /// Sorts what is not sorted.
    Recluster,
}

impl Vacuum {
    pub(crate) fn parse(cursor: &mut Cursor) -> Result<Statement> {
        let mut no_ops = words_in_parentheses(cursor)?;
        let modes: &[(&[&str], VacuumMode)] = &[
            (&["FULL"], VacuumMode::Full),
            (&["SORT", "ONLY"], VacuumMode::SortOnly),
            (&["DELETE", "ONLY"], VacuumMode::DeleteOnly),
            (&["REINDEX"], VacuumMode::Reindex),
            (&["RECLUSTER"], VacuumMode::Recluster),
        ];
        let found = modes.iter().find(|(words, _)| cursor.accept(words));
        let mode = found.map(|(_, mode)| *mode).unwrap_or_default();
        let postgres: &[&str] = &["FREEZE", "VERBOSE", "ANALYZE"];
        while let Some(word) = postgres.iter().find(|word| cursor.accept(&[word])) {
            no_ops.push((*word).to_owned());
        }
        let table = table(cursor)?;
        let whole_table = matches!(mode, VacuumMode::Reindex | VacuumMode::Recluster);
        if table.is_none() && (whole_table || cursor.looks(&["TO"])) {
            return Err(Error::new(Kind::Syntax, "this form of VACUUM names a table"));
        }
        let mut percent = None;
        if cursor.accept(&["TO"]) {
            percent = Some(cursor.number()?);
            cursor.expect(&["PERCENT"])?;
        }
        if percent.is_some_and(|percent| whole_table || percent > 100) {
            return Err(Error::new(Kind::Syntax, "TO … PERCENT takes 0 to 100, and not with REINDEX or RECLUSTER"));
        }
        if cursor.accept(&["BOOST"]) {
            no_ops.push("BOOST".to_owned());
        }
        Ok(Statement::Vacuum(Vacuum { mode, table, percent, no_ops }))
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
        type Case<'a> = (&'a str, VacuumMode, Option<&'a str>, Option<u64>, &'a [&'a str]);
        let cases: &[Case<'_>] = &[
            ("VACUUM", VacuumMode::Full, None, None, &[]),
            ("VACUUM s.t", VacuumMode::Full, Some("s.t"), None, &[]),
            ("VACUUM (FULL, VERBOSE false) t", VacuumMode::Full, Some("t"), None, &["FULL", "VERBOSE"]),
            ("VACUUM DELETE ONLY t TO 75 PERCENT BOOST", VacuumMode::DeleteOnly, Some("t"), Some(75), &["BOOST"]),
            ("VACUUM SORT ONLY t TO 99 PERCENT", VacuumMode::SortOnly, Some("t"), Some(99), &[]),
            ("VACUUM FULL", VacuumMode::Full, None, None, &[]),
            ("VACUUM REINDEX t", VacuumMode::Reindex, Some("t"), None, &[]),
            ("VACUUM RECLUSTER t BOOST", VacuumMode::Recluster, Some("t"), None, &["BOOST"]),
            ("VACUUM VERBOSE ANALYZE t", VacuumMode::Full, Some("t"), None, &["VERBOSE", "ANALYZE"]),
        ];
        for (sql, mode, table, percent, no_ops) in cases {
            let Statement::Vacuum(vacuum) = one(sql) else { panic!("{sql}") };
            assert_eq!((vacuum.mode, vacuum.percent), (*mode, *percent), "{sql}");
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
