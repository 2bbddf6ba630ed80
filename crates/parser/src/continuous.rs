//! Continuous queries: materialized views over streams, and pumps.

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
    /// The query, as written.
    pub query: String,
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
        let mut auto_refresh = false;
        // Redshift's; where backups go and how rows lie says nothing here.
        while !cursor.accept(&["AS"]) {
            if cursor.accept(&["AUTO", "REFRESH"]) {
                auto_refresh = cursor.accept(&["YES"]);
                if !auto_refresh {
                    cursor.expect(&["NO"])?;
                }
            } else {
                return Err(cursor.unknown_clause("CREATE MATERIALIZED VIEW"));
            }
        }
        let query = query(cursor)?;
        Ok(Statement::CreateMaterializedView(CreateMaterializedView { if_not_exists, name, auto_refresh, query }))
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
    cursor.accept(&["RESTRICT"]);
    Ok(Statement::DropMaterializedView(DropContinuous { if_exists, name }))
}

pub(crate) fn refresh(cursor: &mut Cursor) -> Result<Statement> {
    Ok(Statement::RefreshMaterializedView(cursor.name()?))
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
