//! Redshift's SHOW statements: each is a query of the system's tables, so that clients can describe and prepare it.

use sqlparser::tokenizer::Token;
use tidegate_core::Result;

use crate::cursor::Cursor;
use crate::ident::name_parts;
use crate::statement::{Statement, parse_one};

/// What SHOW COLUMNS tells of a column.
const COLUMNS: [&str; 12] = [
    "database_name",
    "schema_name",
    "table_name",
    "column_name",
    "ordinal_position",
    "column_default",
    "is_nullable",
    "data_type",
    "character_maximum_length",
    "numeric_precision",
    "numeric_scale",
    "remarks",
];

/// A literal in a query.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// SHOW TABLE t.
pub(crate) fn table(cursor: &mut Cursor) -> Result<Statement> {
    ddl_of(cursor, "Show Table DDL statement", "table")
}

/// SHOW VIEW v.
pub(crate) fn view(cursor: &mut Cursor) -> Result<Statement> {
    ddl_of(cursor, "Show View DDL statement", "view")
}

fn ddl_of(cursor: &mut Cursor, title: &str, kind: &str) -> Result<Statement> {
    let name = literal(&cursor.name()?.to_string());
    parse_one(&format!(
        "SELECT ddl AS \"{title}\" FROM tidegate.relation_ddl WHERE oid = {name}::regclass AND kind = '{kind}'"
    ))
}

/// SHOW TABLES FROM SCHEMA [database.]schema [LIKE 'pattern'] [LIMIT n].
pub(crate) fn tables(cursor: &mut Cursor) -> Result<Statement> {
    let parts = name_parts(&cursor.name()?);
    let (database, schema) = match parts.as_slice() {
        [.., database, schema] => (Some(database), schema),
        [schema] => (None, schema),
        [] => return Err(cursor.syntax_error()),
    };
    let mut conditions = vec![format!("schema_name = {}", literal(schema))];
    conditions.extend(database.map(|database| format!("database_name = {}", literal(database))));
    let rest = like_and_limit(cursor, "table_name", &mut conditions)?;
    parse_one(&format!("SELECT * FROM svv_all_tables WHERE {} ORDER BY table_name{rest}", conditions.join(" AND ")))
}

/// SHOW COLUMNS FROM TABLE [[database.]schema.]table [LIKE 'pattern'] [LIMIT n].
pub(crate) fn columns(cursor: &mut Cursor) -> Result<Statement> {
    let mut conditions = vec![format!("r.oid = {}::regclass", literal(&cursor.name()?.to_string()))];
    let rest = like_and_limit(cursor, "c.column_name", &mut conditions)?;
    let columns = COLUMNS.map(|column| format!("c.{column}")).join(", ");
    parse_one(&format!(
        "SELECT {columns} FROM svv_all_columns c JOIN pg_class r ON r.relname = c.table_name \
         JOIN pg_namespace n ON n.oid = r.relnamespace AND n.nspname = c.schema_name \
         WHERE {} ORDER BY c.ordinal_position{rest}",
        conditions.join(" AND ")
    ))
}

/// SHOW SCHEMAS [FROM DATABASE database] [LIKE 'pattern'] [LIMIT n].
pub(crate) fn schemas(cursor: &mut Cursor) -> Result<Statement> {
    let mut conditions = vec!["schema_name NOT LIKE 'pg_temp_%' AND schema_name NOT LIKE '$%'".to_owned()];
    if cursor.accept(&["FROM", "DATABASE"]) {
        let database = name_parts(&cursor.name()?).join(".");
        conditions.push(format!("database_name = {}", literal(&database)));
    }
    let rest = like_and_limit(cursor, "schema_name", &mut conditions)?;
    parse_one(&format!("SELECT * FROM svv_all_schemas WHERE {} ORDER BY schema_name{rest}", conditions.join(" AND ")))
}

/// SHOW DATABASES [LIKE 'pattern'] [LIMIT n].
pub(crate) fn databases(cursor: &mut Cursor) -> Result<Statement> {
    let mut conditions = vec!["true".to_owned()];
    let rest = like_and_limit(cursor, "database_name", &mut conditions)?;
    parse_one(&format!(
        "SELECT * FROM svv_redshift_databases WHERE {} ORDER BY database_name{rest}",
        conditions.join(" AND ")
    ))
}

fn like_and_limit(cursor: &mut Cursor, column: &str, conditions: &mut Vec<String>) -> Result<String> {
    if cursor.accept(&["LIKE"]) {
        conditions.push(format!("{column} ILIKE {}", literal(&cursor.string()?)));
    }
    let limit = if cursor.accept(&["LIMIT"]) { format!(" LIMIT {}", cursor.number()?) } else { String::new() };
    match cursor.peek() {
        Token::EOF => Ok(limit),
        _ => Err(cursor.syntax_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests_support::one;
    use sqlparser::ast;

    #[test]
    fn queries() {
        let cases = [
            (
                "SHOW TABLES FROM SCHEMA dev.public LIKE 'a%' LIMIT 3",
                "SELECT * FROM svv_all_tables WHERE schema_name = 'public' AND database_name = 'dev' AND table_name ILIKE 'a%' \
                 ORDER BY table_name LIMIT 3",
            ),
            (
                "SHOW DATABASES LIKE 'd%'",
                "SELECT * FROM svv_redshift_databases WHERE true AND database_name ILIKE 'd%' ORDER BY database_name",
            ),
        ];
        for (sql, expected) in cases {
            let Statement::Sql(statement) = one(sql) else { panic!("{sql}") };
            assert!(matches!(statement.as_ref(), ast::Statement::Query(_)));
            assert_eq!(statement.to_string(), expected, "{sql}");
        }
        assert!(matches!(one("SHOW timezone"), Statement::Sql(_)));
    }
}
