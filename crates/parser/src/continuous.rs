//! Continuous queries: materialized views over streams and tables, and pumps.

use sqlparser::ast::{Ident, ObjectName};
use sqlparser::tokenizer::Token;
use tidegate_core::Result;

use crate::cursor::Cursor;
use crate::ident::fold;
use crate::statement::{Statement, parse_query};

/// `CREATE MATERIALIZED VIEW v AUTO REFRESH YES AS SELECT …`.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateMaterializedView {
    /// Whether an existing one is left alone.
    pub if_not_exists: bool,
    /// The view.
    pub name: ObjectName,
    /// AUTO REFRESH YES.
    pub auto_refresh: bool,
    /// How its rows lie: DISTSTYLE, DISTKEY and SORTKEY, as written.
    pub attributes: String,
    /// The query, as written.
    pub query: String,
}

/// `ALTER MATERIALIZED VIEW v AUTO REFRESH YES`.
#[derive(Debug, Clone, PartialEq)]
pub struct AlterMaterializedView {
    /// The view.
    pub name: ObjectName,
    /// AUTO REFRESH YES.
    pub auto_refresh: bool,
}

/// `CREATE PUMP p AS INSERT INTO t [(columns)] SELECT STREAM …`.
#[derive(Debug, Clone, PartialEq)]
pub struct CreatePump {
    /// Whether an existing one is left alone.
    pub if_not_exists: bool,
    /// The pump.
    pub name: String,
    /// Where its rows go.
    pub target: ObjectName,
    /// The columns that they fill; all where left out.
    pub columns: Vec<Ident>,
    /// The query, without the word STREAM.
    pub query: String,
}

/// `ALTER PUMP p START`, or STOP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlterPump {
    /// The pump.
    pub name: String,
    /// START.
    pub start: bool,
}

/// `DROP PUMP`, `DROP MATERIALIZED VIEW`.
#[derive(Debug, Clone, PartialEq)]
pub struct DropContinuous {
    /// Whether a missing one is passed over.
    pub if_exists: bool,
    /// What.
    pub name: ObjectName,
}

impl CreateMaterializedView {
    pub(crate) fn parse(cursor: &mut Cursor) -> Result<Statement> {
        let if_not_exists = cursor.if_not_exists();
        let name = cursor.name()?;
        let (mut auto_refresh, mut attributes) = (false, Vec::new());
        while !cursor.accept(&["AS"]) {
            if cursor.accept(&["AUTO", "REFRESH"]) {
                auto_refresh = yes_or_no(cursor)?;
            } else if cursor.accept(&["BACKUP"]) {
                // A snapshot holds all tables.
                yes_or_no(cursor)?;
            } else {
                attributes.push(attribute(cursor)?);
            }
        }
        let (query, attributes) = (query(cursor)?, attributes.join(" "));
        let made = CreateMaterializedView { if_not_exists, name, auto_refresh, attributes, query };
        Ok(Statement::CreateMaterializedView(made))
    }
}

impl CreatePump {
    pub(crate) fn parse(cursor: &mut Cursor) -> Result<Statement> {
        let if_not_exists = cursor.if_not_exists();
        let name = fold(&cursor.ident()?);
        cursor.accept(&["STARTED"]);
        cursor.expect(&["AS", "INSERT", "INTO"])?;
        let target = cursor.name()?;
        let columns = match cursor.peek() {
            Token::LParen => cursor.parenthesized(Cursor::ident)?,
            _ => Vec::new(),
        };
        cursor.expect(&["SELECT", "STREAM"])?;
        let query = format!("SELECT {}", rest(cursor));
        parse_query(&query)?;
        Ok(Statement::CreatePump(CreatePump { if_not_exists, name, target, columns, query }))
    }
}

pub(crate) fn alter_pump(cursor: &mut Cursor) -> Result<Statement> {
    let name = fold(&cursor.ident()?);
    let start = cursor.accept(&["START"]);
    if !start {
        cursor.expect(&["STOP"])?;
    }
    Ok(Statement::AlterPump(AlterPump { name, start }))
}

pub(crate) fn drop_pump(cursor: &mut Cursor) -> Result<Statement> {
    let if_exists = cursor.if_exists();
    Ok(Statement::DropPump(DropContinuous { if_exists, name: cursor.name()? }))
}

pub(crate) fn drop_view(cursor: &mut Cursor) -> Result<Statement> {
    let if_exists = cursor.if_exists();
    let name = cursor.name()?;
    if !cursor.accept(&["RESTRICT"]) {
        cursor.accept(&["CASCADE"]);
    }
    Ok(Statement::DropMaterializedView(DropContinuous { if_exists, name }))
}

pub(crate) fn alter_view(cursor: &mut Cursor) -> Result<Statement> {
    let name = cursor.name()?;
    cursor.expect(&["AUTO", "REFRESH"])?;
    Ok(Statement::AlterMaterializedView(AlterMaterializedView { name, auto_refresh: yes_or_no(cursor)? }))
}

fn yes_or_no(cursor: &mut Cursor) -> Result<bool> {
    let yes = cursor.accept(&["YES"]);
    if !yes {
        cursor.expect(&["NO"])?;
    }
    Ok(yes)
}

/// DISTSTYLE, DISTKEY or SORTKEY, as CREATE TABLE has them.
fn attribute(cursor: &mut Cursor) -> Result<String> {
    let from = cursor.index();
    if cursor.accept(&["DISTSTYLE"]) {
        cursor.ident()?;
    } else if cursor.accept(&["DISTKEY"])
        || cursor.accept(&["SORTKEY"])
        || cursor.accept(&["COMPOUND", "SORTKEY"])
        || cursor.accept(&["INTERLEAVED", "SORTKEY"])
    {
        cursor.parenthesized(Cursor::ident)?;
    } else {
        return Err(cursor.unknown_clause("CREATE MATERIALIZED VIEW"));
    }
    Ok(cursor.text_since(from))
}

pub(crate) fn refresh(cursor: &mut Cursor) -> Result<Statement> {
    let name = cursor.name()?;
    cursor.accept(&["RESTRICT"]);
    Ok(Statement::RefreshMaterializedView(name))
}

/// The rest of the statement, which must be a query.
fn query(cursor: &mut Cursor) -> Result<String> {
    let text = rest(cursor);
    parse_query(&text)?;
    Ok(text)
}

fn rest(cursor: &mut Cursor) -> String {
    let from = cursor.index();
    while *cursor.peek() != Token::EOF {
        cursor.skip();
    }
    cursor.text_since(from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests_support::{check_errors, one};
    use tidegate_core::Kind;

    #[test]
    fn views_and_pumps() {
        let sql = "CREATE MATERIALIZED VIEW v AUTO REFRESH YES AS SELECT count(*) FROM TUMBLE(TABLE s, DESCRIPTOR(at), INTERVAL '1 minute') GROUP BY window_start";
        let Statement::CreateMaterializedView(view) = one(sql) else { panic!() };
        assert!(view.auto_refresh && view.query.contains("TUMBLE(TABLE s"), "{view:?}");
        let sql = "CREATE MATERIALIZED VIEW v BACKUP NO DISTSTYLE KEY DISTKEY(a) SORTKEY(a, b) AS SELECT a, b FROM t";
        let Statement::CreateMaterializedView(view) = one(sql) else { panic!() };
        assert_eq!((view.attributes.as_str(), view.auto_refresh), ("DISTSTYLE KEY DISTKEY(a) SORTKEY(a, b)", false));
        let Statement::CreatePump(pump) = one("CREATE PUMP p AS INSERT INTO t (a) SELECT STREAM x FROM s WHERE x > 1")
        else {
            panic!()
        };
        assert_eq!((pump.query.as_str(), pump.columns.len()), ("SELECT x FROM s WHERE x > 1", 1));
        let Statement::AlterPump(alter) = one("ALTER PUMP p STOP") else { panic!() };
        assert!(!alter.start);
    }

    #[test]
    fn windows_become_subqueries() {
        let Statement::Sql(found) =
            one("SELECT a FROM TUMBLE(TABLE s.t, DESCRIPTOR(at), INTERVAL '1' MINUTE) WHERE a > 1")
        else {
            panic!()
        };
        let text = found.to_string();
        assert!(
            text.contains("date_bin(INTERVAL '1' MINUTE, at) AS window_start") && text.contains("AS tumble WHERE"),
            "{text}"
        );
        let Statement::Sql(found) =
            one("SELECT w.a FROM HOP(TABLE t, DESCRIPTOR(at), INTERVAL '1 second', INTERVAL '1 minute') AS w")
        else {
            panic!()
        };
        assert!(found.to_string().contains("generate_series(date_bin(INTERVAL '1 second', at - INTERVAL '1 minute')"));
        check_errors(&[
            (
                "SELECT 1 FROM TUMBLE(TABLE t, at, INTERVAL '1 s')",
                Kind::Syntax,
                15,
                "TUMBLE is written TUMBLE(TABLE t, DESCRIPTOR(c), INTERVAL '…')",
            ),
            (
                "SELECT 1 FROM HOP(TABLE t, DESCRIPTOR(at), INTERVAL '1 s')",
                Kind::Syntax,
                15,
                "HOP is written HOP(TABLE t, DESCRIPTOR(c), INTERVAL '…', INTERVAL '…')",
            ),
        ]);
    }
}
