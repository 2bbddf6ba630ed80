//! Streams: CREATE, ALTER and DROP STREAM.

use sqlparser::ast::{Ident, ObjectName};
use sqlparser::tokenizer::Token;
use tidegate_core::{Error, Kind, Result};

use crate::column::ColumnDef;
use crate::cursor::Cursor;
use crate::options::Options;
use crate::statement::Statement;

/// `CREATE STREAM name (columns, WATERMARK FOR c AS e) PARTITION KEY (c) FORMAT JSON WITH (…)`.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateStream {
    /// Whether an existing stream is left alone.
    pub if_not_exists: bool,
    /// The stream.
    pub name: ObjectName,
    /// Typed columns; none for a stream of plain bytes.
    pub columns: Vec<ColumnDef>,
    /// The column of event time, and the expression (as written) up to which it is complete.
    pub watermark: Option<(Ident, String)>,
    /// The columns whose values are the partition key.
    pub partition_key: Vec<Ident>,
    /// How records are encoded, as written.
    pub format: Option<String>,
    /// Shards, retention, mode …
    pub options: Options,
}

impl CreateStream {
    pub(crate) fn parse(cursor: &mut Cursor) -> Result<Statement> {
        let if_not_exists = cursor.if_not_exists();
        let name = cursor.name()?;
        let (columns, watermark) = columns(cursor)?;
        let mut create = CreateStream {
            if_not_exists,
            name,
            columns,
            watermark,
            partition_key: Vec::new(),
            format: None,
            options: Options::default(),
        };
        while *cursor.peek() != Token::EOF {
            create.clause(cursor)?;
        }
        Ok(Statement::CreateStream(create))
    }

    fn clause(&mut self, cursor: &mut Cursor) -> Result<()> {
        if self.partition_key.is_empty() && cursor.accept(&["PARTITION", "KEY"]) {
            self.partition_key = cursor.parenthesized(Cursor::ident)?;
        } else if self.format.is_none() && cursor.accept(&["FORMAT"]) {
            self.format = Some(cursor.ident()?.value);
        } else if self.options.is_empty() && cursor.looks(&["WITH"]) {
            self.options = Options::with(cursor)?;
        } else {
            return Err(cursor.unknown_clause("CREATE STREAM"));
        }
        Ok(())
    }
}

/// A stream's columns, and its watermark.
type Columns = (Vec<ColumnDef>, Option<(Ident, String)>);

/// `(a int, WATERMARK FOR a AS e)`, or nothing.
fn columns(cursor: &mut Cursor) -> Result<Columns> {
    let (mut columns, mut watermark) = (Vec::new(), None);
    if *cursor.peek() != Token::LParen {
        return Ok((columns, watermark));
    }
    cursor.parenthesized(|cursor| {
        let position = cursor.position();
        if !cursor.accept(&["WATERMARK", "FOR"]) {
            columns.push(ColumnDef::parse(cursor)?);
            return Ok(());
        }
        let column = cursor.ident()?;
        cursor.expect(&["AS"])?;
        let from = cursor.index();
        cursor.run(|parser| parser.parse_expr())?;
        if watermark.replace((column, cursor.text_since(from))).is_some() {
            return Err(Error::new(Kind::InvalidDefinition, "a stream has one watermark at most").at(position));
        }
        Ok(())
    })?;
    Ok((columns, watermark))
}

/// `ALTER STREAM name …`.
#[derive(Debug, Clone, PartialEq)]
pub struct AlterStream {
    /// The stream.
    pub name: ObjectName,
    /// What changes.
    pub action: AlterStreamAction,
}

/// What ALTER STREAM changes.
#[derive(Debug, Clone, PartialEq)]
pub enum AlterStreamAction {
    /// `SET (shards = 8, …)`.
    SetOptions(Options),
    /// `SET COLUMNS (…) [FORMAT f]`: gives a stream of plain bytes typed columns.
    SetColumns {
        /// The columns from now on.
        columns: Vec<ColumnDef>,
        /// How records are encoded, as written.
        format: Option<String>,
    },
    /// `SPLIT SHARD 's' [AT 'hash key']`.
    SplitShard {
        /// The shard.
        shard: String,
        /// The first hash key of the upper half; the middle where left out.
        at: Option<String>,
    },
    /// `MERGE SHARDS 'a', 'b'`.
    MergeShards(String, String),
}

impl AlterStream {
    pub(crate) fn parse(cursor: &mut Cursor) -> Result<Statement> {
        let name = cursor.name()?;
        let action = if cursor.accept(&["SET", "COLUMNS"]) {
            let columns = cursor.parenthesized(ColumnDef::parse)?;
            let format = if cursor.accept(&["FORMAT"]) { Some(cursor.ident()?.value) } else { None };
            AlterStreamAction::SetColumns { columns, format }
        } else if cursor.accept(&["SET"]) {
            AlterStreamAction::SetOptions(Options::parse(cursor)?)
        } else if cursor.accept(&["SPLIT", "SHARD"]) {
            let shard = cursor.string()?;
            let at = if cursor.accept(&["AT"]) { Some(cursor.string()?) } else { None };
            AlterStreamAction::SplitShard { shard, at }
        } else if cursor.accept(&["MERGE", "SHARDS"]) {
            let first = cursor.string()?;
            cursor.need(&Token::Comma)?;
            AlterStreamAction::MergeShards(first, cursor.string()?)
        } else {
            return Err(cursor.unknown_clause("ALTER STREAM"));
        };
        Ok(Statement::AlterStream(AlterStream { name, action }))
    }
}

/// `DROP STREAM a, b`.
#[derive(Debug, Clone, PartialEq)]
pub struct DropStream {
    /// Whether missing streams are passed over.
    pub if_exists: bool,
    /// The streams.
    pub names: Vec<ObjectName>,
    /// Whether what depends on them goes too.
    pub cascade: bool,
}

impl DropStream {
    pub(crate) fn parse(cursor: &mut Cursor) -> Result<Statement> {
        let if_exists = cursor.if_exists();
        let names = cursor.list(Cursor::name)?;
        let cascade = cursor.accept(&["CASCADE"]);
        if !cascade {
            cursor.accept(&["RESTRICT"]);
        }
        Ok(Statement::DropStream(DropStream { if_exists, names, cascade }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests_support::{check_errors, one};

    #[test]
    fn a_full_stream() {
        let sql = "CREATE STREAM IF NOT EXISTS s.clicks (user_id bigint NOT NULL, url text, at timestamptz, WATERMARK FOR at AS \
                   at - INTERVAL '5 seconds') PARTITION KEY (user_id, url) FORMAT JSON WITH (shards = 4, retention = '24 hours')";
        let Statement::CreateStream(stream) = one(sql) else { panic!("{sql}") };
        assert!(stream.if_not_exists);
        assert_eq!(stream.name.to_string(), "s.clicks");
        let columns: Vec<_> =
            stream.columns.iter().map(|c| format!("{} {} {}", c.name, c.data_type, c.not_null)).collect();
        assert_eq!(columns, ["user_id BIGINT true", "url TEXT false", "at TIMESTAMPTZ false"]);
        let (column, expression) = stream.watermark.unwrap();
        assert_eq!((column.value.as_str(), expression.as_str()), ("at", "at - INTERVAL '5 seconds'"));
        assert_eq!(stream.partition_key.len(), 2);
        assert_eq!(stream.format.as_deref(), Some("JSON"));
        assert_eq!(stream.options.get("retention"), Some("24 hours"));
    }

    #[test]
    fn a_bare_stream() {
        let Statement::CreateStream(stream) = one("create stream raw with (mode = 'on_demand')") else { panic!() };
        assert!(stream.columns.is_empty() && stream.watermark.is_none() && !stream.if_not_exists);
    }

    #[test]
    fn alter_and_drop() {
        let action = |sql: &str| match one(sql) {
            Statement::AlterStream(alter) => alter.action,
            other => panic!("{other:?}"),
        };
        assert!(
            matches!(action("ALTER STREAM s SET (shards = 8)"), AlterStreamAction::SetOptions(o) if o.get("shards") == Some("8"))
        );
        assert!(matches!(action("ALTER STREAM s SET COLUMNS (a int) FORMAT JSON"),
            AlterStreamAction::SetColumns { columns, format: Some(f) } if columns.len() == 1 && f == "JSON"));
        assert_eq!(
            action("ALTER STREAM s SPLIT SHARD 'x' AT '9'"),
            AlterStreamAction::SplitShard { shard: "x".into(), at: Some("9".into()) }
        );
        assert_eq!(
            action("ALTER STREAM s MERGE SHARDS 'x', 'y'"),
            AlterStreamAction::MergeShards("x".into(), "y".into())
        );
        let Statement::DropStream(drop) = one("DROP STREAM IF EXISTS a, b.c CASCADE") else { panic!() };
        assert!(drop.if_exists && drop.cascade && drop.names.len() == 2);
    }

    #[test]
    fn mistakes() {
        check_errors(&[
            ("CREATE STREAM", Kind::Syntax, 14, "syntax error at end of input"),
            ("CREATE STREAM s (a int,)", Kind::Syntax, 24, "syntax error at or near \")\""),
            (
                "CREATE STREAM s (a int) SHARDED 4",
                Kind::Unsupported,
                25,
                "CREATE STREAM: clause SHARDED is not supported",
            ),
            (
                "CREATE STREAM s FORMAT JSON FORMAT CSV",
                Kind::Unsupported,
                29,
                "CREATE STREAM: clause FORMAT is not supported",
            ),
            ("ALTER STREAM s RENAME TO t", Kind::Unsupported, 16, "ALTER STREAM: clause RENAME is not supported"),
            ("DROP STREAM a b", Kind::Syntax, 15, "syntax error at or near \"b\""),
        ]);
    }
}
