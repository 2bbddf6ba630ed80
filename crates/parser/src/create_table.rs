//! CREATE TABLE: sqlparser's, and beside it the attributes that Redshift gives a table, which come in any order.

use sqlparser::ast::{self, ColumnDef, DataType, Ident, Visit, Visitor};
use sqlparser::tokenizer::{Token, TokenWithSpan};
use std::ops::ControlFlow;
use tidegate_core::{Error, Kind, Result};

use crate::cursor::Cursor;
use crate::piece::{Piece, is_word};
use crate::statement::Statement;

/// Words with which an attribute of a table begins.
const ATTRIBUTES: &[&str] = &["BACKUP", "DISTSTYLE", "DISTKEY", "COMPOUND", "INTERLEAVED", "SORTKEY", "ENCODE"];

/// CREATE TABLE, with columns, LIKE another table or AS a query.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateTable {
    /// Name, columns, constraints and query.
    pub table: ast::CreateTable,
    /// The table's attributes.
    pub attributes: TableAttributes,
}

/// Attributes as written; None: not given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableAttributes {
    /// BACKUP YES or NO.
    pub backup: Option<bool>,
    /// DISTSTYLE.
    pub dist_style: Option<DistStyleWord>,
    /// DISTKEY (column).
    pub dist_key: Option<Ident>,
    /// SORTKEY.
    pub sort_key: Option<SortKeyClause>,
}

/// The word after DISTSTYLE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DistStyleWord {
    /// AUTO.
    Auto,
    /// EVEN.
    Even,
    /// ALL.
    All,
    /// KEY.
    Key,
}

/// What SORTKEY says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SortKeyClause {
    /// SORTKEY AUTO.
    Auto,
    /// SORTKEY NONE, of ALTER TABLE alone.
    None,
    /// COMPOUND SORTKEY (…), which is meant where neither word is said.
    Compound(Vec<Ident>),
    /// INTERLEAVED SORTKEY (…).
    Interleaved(Vec<Ident>),
}

impl TableAttributes {
    /// Takes the clause ahead if it is one of a table's attributes.
    pub(crate) fn clause(&mut self, cursor: &mut Cursor) -> Result<bool> {
        let position = cursor.position();
        if cursor.accept(&["BACKUP"]) {
            let yes = cursor.accept(&["YES"]);
            if !yes {
                cursor.expect(&["NO"])?;
            }
            once(&mut self.backup, yes, position)?;
        } else if cursor.accept(&["DISTSTYLE"]) {
            once(&mut self.dist_style, DistStyleWord::parse(cursor)?, position)?;
        } else if cursor.accept(&["DISTKEY"]) {
            let columns = cursor.parenthesized(Cursor::ident)?;
            let [column] = columns.as_slice() else { return Err(only_one_dist_key().at(position)) };
            if self.dist_key.replace(column.clone()).is_some() {
                return Err(only_one_dist_key().at(position));
            }
        } else if cursor.accept(&["ENCODE", "AUTO"]) {
            // What is meant where nothing is said.
        } else if let Some(clause) = SortKeyClause::take(cursor)? {
            if clause == SortKeyClause::None {
                return Err(Error::new(Kind::Syntax, "SORTKEY NONE is for ALTER TABLE").at(position));
            }
            once(&mut self.sort_key, clause, position)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }
}

/// 42P16: a table has one distribution key.
pub fn only_one_dist_key() -> Error {
    Error::new(Kind::InvalidDefinition, "a table can have only one DISTKEY column")
}

fn once<T>(slot: &mut Option<T>, value: T, position: usize) -> Result<()> {
    match slot.replace(value) {
        Some(_) => Err(Error::new(Kind::Syntax, "an attribute of a table is given twice").at(position)),
        None => Ok(()),
    }
}

impl DistStyleWord {
    pub(crate) fn parse(cursor: &mut Cursor) -> Result<Self> {
        let words = [("AUTO", Self::Auto), ("EVEN", Self::Even), ("ALL", Self::All), ("KEY", Self::Key)];
        let found = words.into_iter().find(|(word, _)| cursor.accept(&[word]));
        found.map(|(_, style)| style).ok_or_else(|| cursor.syntax_error().detail("Expected AUTO, EVEN, ALL or KEY."))
    }
}

impl SortKeyClause {
    pub(crate) fn take(cursor: &mut Cursor) -> Result<Option<Self>> {
        let interleaved = cursor.accept(&["INTERLEAVED"]);
        let compound = !interleaved && cursor.accept(&["COMPOUND"]);
        if interleaved || compound {
            cursor.expect(&["SORTKEY"])?;
        } else if !cursor.accept(&["SORTKEY"]) {
            return Ok(None);
        } else if cursor.accept(&["AUTO"]) {
            return Ok(Some(SortKeyClause::Auto));
        } else if cursor.accept(&["NONE"]) {
            return Ok(Some(SortKeyClause::None));
        }
        let columns = cursor.parenthesized(Cursor::ident)?;
        Ok(Some(if interleaved { SortKeyClause::Interleaved(columns) } else { SortKeyClause::Compound(columns) }))
    }
}

/// CREATE TABLE, if the piece is one.
pub(crate) fn parse(piece: &Piece, tokens: &[TokenWithSpan]) -> Result<Option<Statement>> {
    let Some(name) = name_of(tokens) else { return Ok(None) };
    let depths = depths(tokens);
    let outside = |index: &usize| depths.get(*index) == Some(&0);
    let word = |index: usize, word: &str| tokens.get(index).is_some_and(|token| is_word(&token.token, word));
    let is_attribute = |index: &usize| ATTRIBUTES.iter().any(|attribute| word(*index, attribute));
    let end = (name..tokens.len()).filter(outside).find(|index| word(*index, "AS")).unwrap_or(tokens.len());
    let first = (name..end).filter(outside).find(is_attribute).unwrap_or(end);
    let names = (end < tokens.len()).then(|| bare_names(tokens, name)).flatten();

    let mut attributes = TableAttributes::default();
    let mut cursor = Cursor::over(piece, tokens.get(first..end).unwrap_or_default().to_vec());
    while *cursor.peek() != Token::EOF {
        if !attributes.clause(&mut cursor)? {
            return Err(cursor.unknown_clause("CREATE TABLE"));
        }
    }
    let head_end = if names.is_some() { name.min(first) } else { first };
    let head = tokens.get(..head_end).unwrap_or_default().iter();
    let rest = head.chain(tokens.get(end..).unwrap_or_default()).cloned().collect();
    let mut cursor = Cursor::over(piece, rest);
    let statement = cursor.run(|parser| parser.parse_statement())?;
    cursor.finish()?;
    let ast::Statement::CreateTable(mut table) = statement else { return Ok(None) };
    if let Some(names) = names {
        let column = |name| ColumnDef { name, data_type: DataType::Unspecified, options: Vec::new() };
        table.columns = names.into_iter().map(column).collect();
    }
    Ok(Some(Statement::CreateTable(Box::new(CreateTable { table, attributes }))))
}

/// The index of the token after the table's name; None where no table is created.
fn name_of(tokens: &[TokenWithSpan]) -> Option<usize> {
    let word = |index: usize, word: &str| tokens.get(index).is_some_and(|token| is_word(&token.token, word));
    let mut index = 1;
    while ["OR", "REPLACE", "LOCAL", "GLOBAL", "TEMP", "TEMPORARY"].iter().any(|known| word(index, known)) {
        index += 1;
    }
    if !word(0, "CREATE") || !word(index, "TABLE") {
        return None;
    }
    index += 1;
    if word(index, "IF") && word(index + 1, "NOT") {
        index += 3;
    }
    while tokens.get(index + 1).is_some_and(|token| token.token == Token::Period) {
        index += 2;
    }
    Some(index + 1)
}

/// How many parentheses are open before each token.
fn depths(tokens: &[TokenWithSpan]) -> Vec<usize> {
    let mut depth = 0_usize;
    let mut depths = Vec::with_capacity(tokens.len());
    for token in tokens {
        if token.token == Token::RParen {
            depth = depth.saturating_sub(1);
        }
        depths.push(depth);
        depth += usize::from(token.token == Token::LParen);
    }
    depths
}

/// The names in parentheses of `CREATE TABLE t (a, b) AS …`, which have no types.
fn bare_names(tokens: &[TokenWithSpan], from: usize) -> Option<Vec<Ident>> {
    let rest = tokens.get(from..)?;
    let close = rest.iter().position(|token| token.token == Token::RParen)?;
    if rest.first()?.token != Token::LParen {
        return None;
    }
    let mut names = Vec::new();
    for (index, token) in rest.get(1..close)?.iter().enumerate() {
        match &token.token {
            Token::Word(word) if index % 2 == 0 => names.push(word.to_ident(token.span)),
            Token::Comma if index % 2 == 1 => {}
            _ => return None,
        }
    }
    Some(names)
}

/// SELECT … INTO [TEMP] t, which is CREATE TABLE t AS SELECT ….
pub(crate) fn of_select_into(query: &mut ast::Query) -> Option<Statement> {
    let into = into_of_first(&mut query.body)?;
    let table = ast::helpers::stmt_create_table::CreateTableBuilder::new(into.name)
        .temporary(into.temporary)
        .query(Some(Box::new(query.clone())))
        .build();
    Some(Statement::CreateTable(Box::new(CreateTable { table, attributes: TableAttributes::default() })))
}

/// The INTO of the first SELECT, which is where Postgres has it in a UNION too, taken out of it.
fn into_of_first(body: &mut ast::SetExpr) -> Option<ast::SelectInto> {
    match body {
        ast::SetExpr::Select(select) => select.into.take(),
        ast::SetExpr::SetOperation { left, .. } => into_of_first(left),
        _ => None,
    }
}

/// 42601 for an INTO in another place, where nothing would come of it.
pub(crate) fn refuse_into(query: &ast::Query) -> Result<()> {
    struct Finder;
    impl Visitor for Finder {
        type Break = ();
        fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<()> {
            if has_into(&query.body) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
    }
    match query.visit(&mut Finder) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::new(Kind::Syntax, "INTO is only allowed in the first SELECT of a query")),
    }
}

fn has_into(body: &ast::SetExpr) -> bool {
    match body {
        ast::SetExpr::Select(select) => select.into.is_some(),
        ast::SetExpr::SetOperation { left, right, .. } => has_into(left) || has_into(right),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column_option::ColumnAttribute;
    use crate::tests_support::{check_errors, one};

    fn create(sql: &str) -> CreateTable {
        match one(sql) {
            Statement::CreateTable(create) => *create,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn attributes_in_any_order() {
        let found = create(
            "CREATE LOCAL TEMP TABLE IF NOT EXISTS s.t (a int ENCODE az64 DISTKEY NOT NULL, b varchar(9) SORTKEY, \
             c bigint IDENTITY(0, -1), d int GENERATED BY DEFAULT AS IDENTITY, backup int DEFAULT 7 ENCODE raw) \
             INTERLEAVED SORTKEY (a, \"B\") BACKUP NO DISTSTYLE KEY DISTKEY (a) ENCODE AUTO",
        );
        assert!(found.table.temporary && found.table.if_not_exists);
        assert_eq!(found.table.columns.len(), 5);
        let attributes = |column: usize| -> Vec<ColumnAttribute> {
            let options = found.table.columns[column].options.iter();
            options.filter_map(|option| ColumnAttribute::of(&option.option)).collect()
        };
        assert_eq!(attributes(0), [ColumnAttribute::Encode("az64".into()), ColumnAttribute::DistKey]);
        assert_eq!(attributes(1), [ColumnAttribute::SortKey]);
        assert_eq!(attributes(2), [ColumnAttribute::Identity { seed: 0, step: -1, by_default: false }]);
        assert_eq!(attributes(3), [ColumnAttribute::Identity { seed: 1, step: 1, by_default: true }]);
        let expected = TableAttributes {
            backup: Some(false),
            dist_style: Some(DistStyleWord::Key),
            dist_key: Some(Ident::new("a")),
            sort_key: Some(SortKeyClause::Interleaved(vec![Ident::new("a"), Ident::with_quote('"', "B")])),
        };
        assert_eq!(found.attributes, expected);
    }

    #[test]
    fn queries_and_names() {
        let found = create("CREATE TABLE backup (x, \"Y\") SORTKEY AUTO AS SELECT 1 AS sortkey, (SELECT 2) AS encode");
        assert_eq!(found.attributes.sort_key, Some(SortKeyClause::Auto));
        assert_eq!(found.table.columns.iter().map(|c| c.name.value.as_str()).collect::<Vec<_>>(), ["x", "Y"]);
        assert!(found.table.query.is_some());
        let found = create("SELECT a INTO TEMP TABLE t FROM u");
        assert!(found.table.temporary);
        assert_eq!(found.table.query.map(|query| query.to_string()).as_deref(), Some("SELECT a FROM u"));
        assert!(create("CREATE TABLE t (LIKE u INCLUDING DEFAULTS)").table.like.is_some());
    }

    #[test]
    fn into_stands_in_the_first_select() {
        for sql in ["SELECT 1 UNION SELECT 2 INTO t", "SELECT * FROM (SELECT 1 INTO t) u"] {
            assert_eq!(crate::parse_one(sql).unwrap_err().kind(), Kind::Syntax, "{sql}");
        }
        assert!(create("SELECT 1 AS a INTO t UNION SELECT 2").table.query.is_some());
    }

    #[test]
    fn mistakes() {
        check_errors(&[
            ("CREATE TABLE t (a int) DISTSTYLE odd", Kind::Syntax, 34, "syntax error at or near \"odd\""),
            (
                "CREATE TABLE t (a int) SORTKEY (a) DISTKEY (a) SORTKEY (a)",
                Kind::Syntax,
                48,
                "an attribute of a table is given twice",
            ),
            (
                "CREATE TABLE t (a int) DISTKEY (a, b)",
                Kind::InvalidDefinition,
                24,
                "a table can have only one DISTKEY column",
            ),
            (
                "CREATE TABLE t (a int) BACKUP NO STRICT",
                Kind::Unsupported,
                34,
                "CREATE TABLE: clause STRICT is not supported",
            ),
        ]);
    }
}
