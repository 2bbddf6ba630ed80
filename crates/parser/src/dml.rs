//! Statements that change rows: found behind a WITH, and with the forms that sqlparser does not know.
//!
//! What it does not know is written on tokens as something that it does, under names that no user can have meant:
//! [`NOTHING`] for DO NOTHING and [`REMOVE_DUPLICATES`] for Redshift's short form of MERGE.

use sqlparser::ast::{self, ObjectName, SetExpr, TableFactor};
use sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::piece::is_word;
use crate::rewrite::put;

/// The column that `WHEN … THEN DO NOTHING` seems to assign.
pub const NOTHING: &str = "$nothing";
/// The column that `MERGE … REMOVE DUPLICATES` seems to assign.
pub const REMOVE_DUPLICATES: &str = "$remove_duplicates";

/// A statement that changes rows, and the WITH before it.
#[derive(Debug, Clone, Copy)]
pub struct Written<'a> {
    /// The WITH.
    pub with: Option<&'a ast::With>,
    /// INSERT, UPDATE, DELETE or MERGE.
    pub statement: &'a ast::Statement,
}

/// INSERT, UPDATE, DELETE or MERGE, with or without WITH before it. None: another statement.
pub fn written(statement: &ast::Statement) -> Option<Written<'_>> {
    use ast::Statement as S;
    match statement {
        S::Insert(_) | S::Update(_) | S::Delete(_) | S::Merge(_) => Some(Written { with: None, statement }),
        S::Query(query) => match query.body.as_ref() {
            SetExpr::Insert(statement)
            | SetExpr::Update(statement)
            | SetExpr::Delete(statement)
            | SetExpr::Merge(statement) => Some(Written { with: query.with.as_ref(), statement }),
            _ => None,
        },
        _ => None,
    }
}

/// The relations whose rows a statement removes or changes, an INSERT's aside.
pub fn changed(statement: &ast::Statement) -> Vec<&ObjectName> {
    match written(statement).map_or(statement, |written| written.statement) {
        ast::Statement::Update(update) => of_factor(&update.table.relation).into_iter().collect(),
        ast::Statement::Delete(delete) => {
            let (ast::FromTable::WithFromKeyword(tables) | ast::FromTable::WithoutKeyword(tables)) = &delete.from;
            tables.iter().filter_map(|table| of_factor(&table.relation)).collect()
        }
        ast::Statement::Merge(merge) => of_factor(&merge.table).into_iter().collect(),
        ast::Statement::Truncate(truncate) => truncate.table_names.iter().map(|target| &target.name).collect(),
        _ => Vec::new(),
    }
}

fn of_factor(factor: &TableFactor) -> Option<&ObjectName> {
    match factor {
        TableFactor::Table { name, .. } => Some(name),
        _ => None,
    }
}

/// Writes what sqlparser does not know as something that it does.
pub(crate) fn rewrite(tokens: &mut Vec<TokenWithSpan>) {
    let word = |tokens: &[TokenWithSpan], at: usize, word: &str| {
        tokens.get(at).is_some_and(|token| is_word(&token.token, word))
    };
    if word(tokens, 0, "DELETE") && !word(tokens, 1, "FROM") && tokens.len() > 1 {
        put(tokens, 1, 0, &[Token::make_keyword("FROM")]);
    }
    if !tokens.iter().any(|token| is_word(&token.token, "MERGE")) {
        return;
    }
    let last = tokens.len().saturating_sub(2);
    if word(tokens, last, "REMOVE") && word(tokens, last + 1, "DUPLICATES") {
        let [when, matched, then] = ["WHEN", "MATCHED", "THEN"].map(Token::make_keyword);
        put(tokens, last, 2, &[&[when, matched, then], assigns(REMOVE_DUPLICATES).as_slice()].concat());
    }
    while let Some(at) = (0..tokens.len())
        .find(|at| word(tokens, *at, "THEN") && word(tokens, at + 1, "DO") && word(tokens, at + 2, "NOTHING"))
    {
        let when = (0..at).rev().find(|at| word(tokens, *at, "WHEN")).unwrap_or(0);
        let with = if word(tokens, when + 1, "NOT") { inserts(NOTHING) } else { assigns(NOTHING) };
        put(tokens, at + 1, 2, &with);
    }
}

fn assigns(column: &str) -> Vec<Token> {
    let one = Token::Number("1".into(), false);
    let column = Token::make_word(column, Some('"'));
    vec![Token::make_keyword("UPDATE"), Token::make_keyword("SET"), column, Token::Eq, one]
}

fn inserts(column: &str) -> Vec<Token> {
    let one = Token::Number("1".into(), false);
    let column = Token::make_word(column, Some('"'));
    let (insert, values) = (Token::make_keyword("INSERT"), Token::make_keyword("VALUES"));
    vec![insert, Token::LParen, column, Token::RParen, values, Token::LParen, one, Token::RParen]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::Statement;
    use crate::tests_support::one;

    fn sql(text: &str) -> ast::Statement {
        let Statement::Sql(statement) = one(text) else { panic!("{text}") };
        *statement
    }

    #[test]
    fn what_is_written_is_found() {
        let cases = [
            ("UPDATE s.t SET a = 1", "UPDATE", "s.t"),
            ("WITH x AS (SELECT 1) DELETE FROM t USING x", "DELETE", "t"),
            ("DELETE t WHERE a = 1", "DELETE", "t"),
            ("WITH x AS (SELECT 1 AS a) MERGE INTO t USING x ON t.a = x.a WHEN MATCHED THEN DELETE", "MERGE", "t"),
            ("WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x", "INSERT", ""),
            ("TRUNCATE a, b", "TRUNCATE TABLE", "a b"),
            ("SELECT 1", "SELECT", ""),
        ];
        for (text, tag, names) in cases {
            let statement = sql(text);
            let found: Vec<String> = changed(&statement).iter().map(ToString::to_string).collect();
            assert_eq!(found.join(" "), names, "{text}");
            assert_eq!(Statement::Sql(Box::new(statement)).command_tag(), tag, "{text}");
        }
    }

    #[test]
    fn forms_that_are_written_otherwise() {
        let cases = [
            (
                "MERGE INTO t USING s ON t.a = s.a REMOVE DUPLICATES",
                "MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN UPDATE SET \"$remove_duplicates\" = 1",
            ),
            (
                "MERGE INTO t USING s ON t.a = s.a WHEN MATCHED AND s.b THEN DO NOTHING WHEN NOT MATCHED THEN DO NOTHING",
                "MERGE INTO t USING s ON t.a = s.a WHEN MATCHED AND s.b THEN UPDATE SET \"$nothing\" = 1 \
                 WHEN NOT MATCHED THEN INSERT (\"$nothing\") VALUES (1)",
            ),
        ];
        for (text, meaning) in cases {
            assert_eq!(sql(text).to_string(), meaning, "{text}");
        }
    }
}
