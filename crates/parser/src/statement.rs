//! What a piece says: one of our own statements, or whatever sqlparser makes of it.
//!
//! Our own are told by their first words, in one table; what DESIGN names and nothing performs yet is refused by name.

use sqlparser::ast::{self, ObjectName};
use tidegate_core::{Error, Kind, Result};

use crate::alter_table::AlterTable;
use crate::batch::{self, AlterJobQueue, CreateComputeEnvironment, CreateJobDefinition, CreateJobQueue, DropName};
use crate::cluster;
use crate::consume::Consume;
use crate::continuous::{self, AlterMaterializedView, AlterPump, CreateMaterializedView, CreatePump, DropContinuous};
use crate::copy::Copy;
use crate::copy_job::CopyJobStatement;
use crate::create_table::{self, CreateTable};
use crate::credential::{CreateCredential, DropCredential};
use crate::cursor::Cursor;
use crate::default_privileges::AlterDefaultPrivileges;
use crate::delivery::{self, AlterDelivery, CreateDelivery, DropDelivery};
use crate::depth;
use crate::external_schema::CreateExternalSchema;
use crate::external_table::{AddPartitions, CreateExternalTable};
use crate::grant::Grant;
use crate::move_cursor::Move;
use crate::owner::AlterOwner;
use crate::partiql;
use crate::piece::Piece;
use crate::rewrite;
use crate::schema::{AlterSchema, CreateSchema};
use crate::show;
use crate::split::split;
use crate::stream::{AlterStream, CreateStream, DropStream};
use crate::system::AlterSystem;
use crate::unload::Unload;
use crate::upkeep::{self, Analyze, Vacuum};
use crate::user::{self, AlterUser, CreateUser, DropUser};
use crate::window;

/// One statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Statement {
    /// All that sqlparser reads as we mean it.
    Sql(Box<ast::Statement>),
    /// CREATE TABLE, SELECT INTO.
    CreateTable(Box<CreateTable>),
    /// ALTER TABLE with clauses of Redshift's own.
    AlterTable(Box<AlterTable>),
    /// CREATE STREAM.
    CreateStream(CreateStream),
    /// ALTER STREAM.
    AlterStream(AlterStream),
    /// DROP STREAM.
    DropStream(DropStream),
    /// CREATE DELIVERY STREAM.
    CreateDelivery(CreateDelivery),
    /// ALTER DELIVERY STREAM.
    AlterDelivery(AlterDelivery),
    /// DROP DELIVERY STREAM.
    DropDelivery(DropDelivery),
    /// PAUSE DELIVERY STREAM.
    PauseDelivery(ObjectName),
    /// RESUME DELIVERY STREAM.
    ResumeDelivery(ObjectName),
    /// FLUSH DELIVERY STREAM.
    FlushDelivery(ObjectName),
    /// CREATE MATERIALIZED VIEW.
    CreateMaterializedView(CreateMaterializedView),
    /// ALTER MATERIALIZED VIEW.
    AlterMaterializedView(AlterMaterializedView),
    /// DROP MATERIALIZED VIEW.
    DropMaterializedView(DropContinuous),
    /// REFRESH MATERIALIZED VIEW.
    RefreshMaterializedView(ObjectName),
    /// CREATE PUMP.
    CreatePump(CreatePump),
    /// ALTER PUMP.
    AlterPump(AlterPump),
    /// DROP PUMP.
    DropPump(DropContinuous),
    /// CREATE COMPUTE ENVIRONMENT.
    CreateComputeEnvironment(CreateComputeEnvironment),
    /// DROP COMPUTE ENVIRONMENT.
    DropComputeEnvironment(DropName),
    /// CREATE JOB QUEUE.
    CreateJobQueue(CreateJobQueue),
    /// ALTER JOB QUEUE.
    AlterJobQueue(AlterJobQueue),
    /// DROP JOB QUEUE.
    DropJobQueue(DropName),
    /// CREATE JOB DEFINITION.
    CreateJobDefinition(CreateJobDefinition),
    /// DEREGISTER JOB DEFINITION.
    DeregisterJobDefinition(String),
    /// CREATE SCHEMA.
    CreateSchema(CreateSchema),
    /// ALTER SCHEMA.
    AlterSchema(AlterSchema),
    /// CREATE EXTERNAL SCHEMA.
    CreateExternalSchema(CreateExternalSchema),
    /// CREATE EXTERNAL TABLE.
    CreateExternalTable(CreateExternalTable),
    /// ALTER TABLE … ADD PARTITION.
    AddPartitions(AddPartitions),
    /// CREATE CREDENTIAL.
    CreateCredential(CreateCredential),
    /// DROP CREDENTIAL.
    DropCredential(DropCredential),
    /// COPY.
    Copy(Box<Copy>),
    /// COPY JOB.
    CopyJob(CopyJobStatement),
    /// UNLOAD.
    Unload(Unload),
    /// INSERT … SELECT … FROM stream CONSUME AS name.
    Consume(Consume),
    /// MOVE: a FETCH that gives no rows.
    Move(Move),
    /// CHECKPOINT.
    Checkpoint,
    /// VACUUM.
    Vacuum(Vacuum),
    /// ANALYZE.
    Analyze(Analyze),
    /// ALTER NODE … DRAIN.
    DrainNode(String),
    /// ALTER SYSTEM SET and RESET.
    AlterSystem(AlterSystem),
    /// CREATE USER and CREATE ROLE.
    CreateUser(CreateUser),
    /// ALTER USER and ALTER ROLE.
    AlterUser(AlterUser),
    /// DROP USER and DROP ROLE.
    DropUser(DropUser),
    /// GRANT and REVOKE.
    Grant(Grant),
    /// ALTER … OWNER TO.
    AlterOwner(AlterOwner),
    /// `ALTER DEFAULT PRIVILEGES`.
    AlterDefaultPrivileges(AlterDefaultPrivileges),
}

/// Parses what follows the first words of a statement.
type Rule = fn(&mut Cursor) -> Result<Statement>;

/// Our own statements, by their first words.
const HEADS: &[(&[&str], Rule)] = &[
    (&["CREATE", "STREAM"], CreateStream::parse),
    (&["ALTER", "STREAM"], AlterStream::parse),
    (&["DROP", "STREAM"], DropStream::parse),
    (&["CREATE", "DELIVERY", "STREAM"], CreateDelivery::parse),
    (&["ALTER", "DELIVERY", "STREAM"], AlterDelivery::parse),
    (&["DROP", "DELIVERY", "STREAM"], DropDelivery::parse),
    (&["PAUSE", "DELIVERY", "STREAM"], delivery::pause),
    (&["RESUME", "DELIVERY", "STREAM"], delivery::resume),
    (&["FLUSH", "DELIVERY", "STREAM"], delivery::flush),
    (&["CREATE", "MATERIALIZED", "VIEW"], CreateMaterializedView::parse),
    (&["ALTER", "MATERIALIZED", "VIEW"], continuous::alter_view),
    (&["DROP", "MATERIALIZED", "VIEW"], continuous::drop_view),
    (&["REFRESH", "MATERIALIZED", "VIEW"], continuous::refresh),
    (&["CREATE", "PUMP"], CreatePump::parse),
    (&["ALTER", "PUMP"], continuous::alter_pump),
    (&["DROP", "PUMP"], continuous::drop_pump),
    (&["CREATE", "COMPUTE", "ENVIRONMENT"], CreateComputeEnvironment::parse),
    (&["DROP", "COMPUTE", "ENVIRONMENT"], batch::drop_environment),
    (&["CREATE", "JOB", "QUEUE"], CreateJobQueue::parse),
    (&["ALTER", "JOB", "QUEUE"], AlterJobQueue::parse),
    (&["DROP", "JOB", "QUEUE"], batch::drop_queue),
    (&["CREATE", "JOB", "DEFINITION"], CreateJobDefinition::parse),
    (&["DEREGISTER", "JOB", "DEFINITION"], batch::deregister),
    (&["CREATE", "SCHEMA"], CreateSchema::parse),
    (&["ALTER", "SCHEMA"], AlterSchema::parse),
    (&["CREATE", "EXTERNAL", "SCHEMA"], CreateExternalSchema::parse),
    (&["CREATE", "EXTERNAL", "TABLE"], CreateExternalTable::parse),
    (&["CREATE", "CREDENTIAL"], CreateCredential::parse),
    (&["CREATE", "OR", "REPLACE", "CREDENTIAL"], CreateCredential::parse_replace),
    (&["DROP", "CREDENTIAL"], DropCredential::parse),
    (&["SHOW", "TABLE"], show::table),
    (&["SHOW", "VIEW"], show::view),
    (&["SHOW", "TABLES", "FROM", "SCHEMA"], show::tables),
    (&["SHOW", "COLUMNS", "FROM", "TABLE"], show::columns),
    (&["SHOW", "SCHEMAS"], show::schemas),
    (&["SHOW", "DATABASES"], show::databases),
    (&["COPY"], Copy::parse),
    (&["UNLOAD"], Unload::parse),
    (&["MOVE"], Move::parse),
    (&["CHECKPOINT"], upkeep::checkpoint),
    (&["VACUUM"], Vacuum::parse),
    (&["ANALYZE"], Analyze::parse),
    (&["ANALYSE"], Analyze::parse),
    (&["ALTER", "NODE"], cluster::alter_node),
    (&["ALTER", "SYSTEM", "SET"], AlterSystem::set),
    (&["ALTER", "SYSTEM", "RESET"], AlterSystem::reset),
    (&["CREATE", "USER"], CreateUser::parse_user),
    (&["CREATE", "ROLE"], CreateUser::parse_role),
    (&["ALTER", "USER"], AlterUser::parse),
    (&["ALTER", "ROLE"], AlterUser::parse),
    (&["DROP", "USER"], DropUser::parse),
    (&["DROP", "ROLE"], DropUser::parse),
    (&["CREATE", "GROUP"], CreateUser::parse_group),
    (&["ALTER", "GROUP"], Grant::parse_group),
    (&["ALTER", "DEFAULT", "PRIVILEGES"], AlterDefaultPrivileges::parse),
    (&["DROP", "GROUP"], DropUser::parse),
    (&["GRANT"], Grant::parse_grant),
    (&["REVOKE"], Grant::parse_revoke),
    (&["RESET", "SESSION", "AUTHORIZATION"], user::reset_authorization),
];

/// Statements that are understood and refused.
const REFUSED: &[&[&str]] = &[
    &["REPLAY", "DELIVERY", "STREAM"],
    &["CREATE", "CONSUMER"],
    &["ALTER", "CONSUMER"],
    &["DROP", "CONSUMER"],
    &["CREATE", "ACCESS", "KEY"],
    &["DROP", "ACCESS", "KEY"],
    &["CREATE", "SNAPSHOT"],
    &["DROP", "SNAPSHOT"],
    &["RESTORE", "TABLE"],
    &["ALTER", "CLUSTER"],
    &["REINDEX"],
    &["CLUSTER"],
    &["SECURITY", "LABEL"],
    &["REASSIGN", "OWNED"],
    &["IMPORT", "FOREIGN", "SCHEMA"],
];

/// Parses one piece.
pub fn parse(piece: &Piece) -> Result<Statement> {
    depth::check(piece)?;
    if let Some(consume) = Consume::parse(piece)? {
        return Ok(consume);
    }
    rewrite::refuse(piece)?;
    let mut tokens = rewrite::tokens(piece);
    window::rewrite(piece, &mut tokens)?;
    partiql::rewrite(&mut tokens);
    if let Some(create) = create_table::parse(piece, &tokens)? {
        return Ok(create);
    }
    let late = rewrite::late_binding(&mut tokens);
    let mut cursor = Cursor::over(piece, tokens);
    let mut statement = statement(&mut cursor)?;
    cursor.finish()?;
    if let (true, Statement::Sql(sql)) = (late, &mut statement)
        && let ast::Statement::CreateView(view) = sql.as_mut()
    {
        view.with_no_schema_binding = true;
    }
    Ok(statement)
}

/// Parses text that must be one statement: the query of an UNLOAD, of a delivery, of a prepared statement.
pub fn parse_one(sql: &str) -> Result<Statement> {
    let pieces = split(sql)?;
    match pieces.as_slice() {
        [piece] => parse(piece),
        [] => Err(Error::new(Kind::Syntax, "syntax error at end of input").at(1)),
        [_, second, ..] => Err(Error::new(Kind::Syntax, "one statement is expected here").at(second.start_char())),
    }
}

/// Parses text that must be one expression, such as a column's default.
pub fn parse_expression(sql: &str) -> Result<ast::Expr> {
    let query = parse_query(&format!("SELECT {sql}"))?;
    if let ast::SetExpr::Select(select) = *query.body
        && let [ast::SelectItem::UnnamedExpr(expression)] = select.projection.as_slice()
    {
        return Ok(expression.clone());
    }
    Err(Error::new(Kind::Syntax, "one expression is expected here").at(1))
}

/// Parses text that must be one query.
pub fn parse_query(sql: &str) -> Result<Box<ast::Query>> {
    if let Statement::Sql(statement) = parse_one(sql)?
        && let ast::Statement::Query(query) = *statement
    {
        return Ok(query);
    }
    Err(Error::new(Kind::Syntax, "a query is expected here").at(1))
}

fn statement(cursor: &mut Cursor) -> Result<Statement> {
    if let Some(owner) = AlterOwner::parse(cursor)? {
        return Ok(owner);
    }
    if let Some((_, rule)) = HEADS.iter().find(|(words, _)| cursor.accept(words)) {
        return rule(cursor);
    }
    if let Some(words) = REFUSED.iter().find(|words| cursor.looks(words)) {
        return Err(cursor.unsupported(&words.join(" ")));
    }
    if cursor.adds_partition() {
        cursor.expect(&["ALTER", "TABLE"])?;
        return AddPartitions::parse(cursor);
    }
    if AlterTable::is_ahead(cursor) {
        return AlterTable::parse(cursor);
    }
    let mut statement = cursor.run(|parser| parser.parse_statement())?;
    if let ast::Statement::Query(query) = &mut statement {
        let create = create_table::of_select_into(query);
        create_table::refuse_into(query)?;
        if let Some(create) = create {
            return Ok(create);
        }
    }
    Ok(Statement::Sql(Box::new(statement)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests_support::{check_errors, one};

    #[test]
    fn sqlparser_reads_the_rest() {
        let cases = include_str!("statement_cases.sql");
        let wrong =
            cases.lines().filter(|line| !line.is_empty() && !line.starts_with("--")).filter_map(|sql| match parse_one(
                sql,
            ) {
                Ok(Statement::Sql(_)) => None,
                other => Some(format!("{sql}: {other:?}")),
            });
        assert_eq!(wrong.collect::<Vec<_>>(), Vec::<String>::new());
    }

    #[test]
    fn meanings_that_could_get_lost() {
        for (sql, meaning) in [
            ("ABORT", "ROLLBACK"),
            ("TABLE s.t ORDER BY 1", "SELECT * FROM s.t ORDER BY 1"),
            ("FETCH c", "FETCH NEXT FROM c"),
            ("FETCH FROM c", "FETCH NEXT FROM c"),
            ("FETCH 10 \"c\"", "FETCH 10 FROM \"c\""),
            ("DROP EXTERNAL TABLE IF EXISTS s.t", "DROP TABLE IF EXISTS s.t"),
            ("SELECT stream FROM t", "SELECT stream FROM t"),
            ("SELECT 'a'\n'b'", "SELECT 'ab'"),
            ("SELECT * EXCLUDE (a) FROM t", "SELECT * EXCLUDE (a) FROM t"),
        ] {
            let Statement::Sql(statement) = one(sql) else { panic!("{sql}") };
            assert_eq!(statement.to_string(), meaning, "{sql}");
        }
    }

    #[test]
    fn an_error_leaves_the_other_statements_whole() {
        let pieces = split("SELECT 1;\nSELEC 2;\nSELECT 3").unwrap();
        assert_eq!(pieces.len(), 3);
        assert!(parse(&pieces[0]).is_ok() && parse(&pieces[2]).is_ok());
        let error = parse(&pieces[1]).unwrap_err();
        assert_eq!((error.message(), error.position()), ("syntax error at or near \"SELEC\"", Some(11)));
    }

    #[test]
    fn mistakes() {
        check_errors(&[
            ("SELECT * FORM t", Kind::Syntax, 10, "syntax error at or near \"FORM\""),
            ("SELECT 'é' FROM WHERE", Kind::Syntax, 17, "syntax error at or near \"WHERE\""),
            ("SELECT a, FROM t", Kind::Syntax, 11, "syntax error at or near \"FROM\""),
            ("SELECT a FROM t, WHERE b", Kind::Syntax, 18, "syntax error at or near \"WHERE\""),
            ("SELECT a FROM t JOIN ON b", Kind::Syntax, 22, "syntax error at or near \"ON\""),
            ("SELECT a FROM t WHERE", Kind::Syntax, 22, "syntax error at end of input"),
            ("SELECT a FROM t ORDER BY", Kind::Syntax, 25, "syntax error at end of input"),
            ("SELECT a b c FROM t", Kind::Syntax, 12, "syntax error at or near \"c\""),
            ("INSERT INTO t VALUES", Kind::Syntax, 21, "syntax error at end of input"),
            ("UPDATE t SET", Kind::Syntax, 13, "syntax error at end of input"),
            ("", Kind::Syntax, 1, "syntax error at end of input"),
            ("SELECT (1", Kind::Syntax, 10, "syntax error at end of input"),
            ("SELECT 1 2", Kind::Syntax, 10, "syntax error at or near \"2\""),
            ("SELECT STREAM a FROM t", Kind::Unsupported, 8, "SELECT STREAM is not supported"),
            ("DECLARE c CURSOR FOR SUBSCRIBE TO t", Kind::Unsupported, 22, "SUBSCRIBE is not supported"),
            ("CREATE SNAPSHOT s", Kind::Unsupported, 1, "CREATE SNAPSHOT is not supported"),
            ("CREATE TABLE t (a int,, b int)", Kind::Syntax, 23, "syntax error at or near \",\""),
        ]);
        assert_eq!(parse_one("SELECT 1; SELECT 2").unwrap_err().position(), Some(11));
        assert!(parse_query("SELECT 1").is_ok());
        assert!(parse_query("DELETE FROM t").is_err());
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = format!("SELECT {}1{}", "(".repeat(5000), ")".repeat(5000));
        assert_eq!(parse_one(&deep).unwrap_err().kind(), Kind::ProgramLimit);
        let fine = format!("SELECT {}1{}", "(".repeat(40), ")".repeat(40));
        assert!(parse_one(&fine).is_ok());
        let queries = format!("{}SELECT 1{}", "SELECT * FROM (".repeat(20), ") t".repeat(20));
        assert!(parse_one(&queries).is_ok());
    }
}
