//! Command tags: the words with which a server says what it did. Counts are added by who knows them.

use sqlparser::ast;

use crate::copy::CopyDirection;
use crate::dml::written;
use crate::grant::Granted;
use crate::statement::Statement;

impl Statement {
    /// The tag of CommandComplete, without a count.
    pub fn command_tag(&self) -> String {
        let tag = match self {
            Statement::Sql(statement) => return sql_tag(statement),
            Statement::Consume(_) => "INSERT",
            Statement::CreateTable(create) if create.table.query.is_some() => "SELECT",
            Statement::CreateTable(_) => "CREATE TABLE",
            Statement::AlterTable(_) => "ALTER TABLE",
            Statement::CreateStream(_) => "CREATE STREAM",
            Statement::AlterStream(_) => "ALTER STREAM",
            Statement::DropStream(_) => "DROP STREAM",
            Statement::CreateDelivery(_) => "CREATE DELIVERY STREAM",
            Statement::AlterDelivery(_) => "ALTER DELIVERY STREAM",
            Statement::DropDelivery(_) => "DROP DELIVERY STREAM",
            Statement::PauseDelivery(_) => "PAUSE DELIVERY STREAM",
            Statement::ResumeDelivery(_) => "RESUME DELIVERY STREAM",
            Statement::FlushDelivery(_) => "FLUSH DELIVERY STREAM",
            Statement::CreateMaterializedView(_) => "CREATE MATERIALIZED VIEW",
            Statement::AlterMaterializedView(_) => "ALTER MATERIALIZED VIEW",
            Statement::DropMaterializedView(_) => "DROP MATERIALIZED VIEW",
            Statement::RefreshMaterializedView(_) => "REFRESH MATERIALIZED VIEW",
            Statement::CreatePump(_) => "CREATE PUMP",
            Statement::AlterPump(_) => "ALTER PUMP",
            Statement::DropPump(_) => "DROP PUMP",
            Statement::CreateComputeEnvironment(_) => "CREATE COMPUTE ENVIRONMENT",
            Statement::DropComputeEnvironment(_) => "DROP COMPUTE ENVIRONMENT",
            Statement::CreateJobQueue(_) => "CREATE JOB QUEUE",
            Statement::AlterJobQueue(_) => "ALTER JOB QUEUE",
            Statement::DropJobQueue(_) => "DROP JOB QUEUE",
            Statement::CreateJobDefinition(_) => "CREATE JOB DEFINITION",
            Statement::DeregisterJobDefinition(_) => "DEREGISTER JOB DEFINITION",
            Statement::CreateExternalTable(_) => "CREATE EXTERNAL TABLE",
            Statement::AddPartitions(_) => "ALTER TABLE",
            Statement::CreateSchema(_) | Statement::CreateExternalSchema(_) => "CREATE SCHEMA",
            Statement::AlterSchema(_) => "ALTER SCHEMA",
            Statement::CreateCredential(_) => "CREATE CREDENTIAL",
            Statement::DropCredential(_) => "DROP CREDENTIAL",
            Statement::Copy(_) => "COPY",
            Statement::CopyJob(_) => "COPY JOB",
            Statement::Unload(_) => "UNLOAD",
            Statement::Move(_) => "MOVE",
            Statement::Checkpoint => "CHECKPOINT",
            Statement::Vacuum(_) => "VACUUM",
            Statement::Analyze(_) => "ANALYZE",
            Statement::DrainNode(_) => "ALTER NODE",
            Statement::AlterSystem(_) => "ALTER SYSTEM",
            // Postgres has roles only, and says so.
            Statement::CreateUser(_) => "CREATE ROLE",
            Statement::AlterUser(_) => "ALTER ROLE",
            Statement::DropUser(_) => "DROP ROLE",
            Statement::Grant(grant) => match (&grant.what, grant.revokes) {
                (Granted::Rights(..), false) => "GRANT",
                (Granted::Rights(..), true) => "REVOKE",
                (Granted::Roles(_), false) => "GRANT ROLE",
                (Granted::Roles(_), true) => "REVOKE ROLE",
            },
            Statement::AlterOwner(_) => "ALTER",
            Statement::AlterDefaultPrivileges(_) => "ALTER DEFAULT PRIVILEGES",
        };
        tag.to_owned()
    }

    /// Whether the statement only reads: it may run in a read-only transaction.
    pub fn is_read_only(&self) -> bool {
        match self {
            Statement::Sql(statement) => is_query(statement),
            Statement::Copy(copy) => copy.direction == CopyDirection::To,
            _ => false,
        }
    }
}

/// Whether a statement of sqlparser's writes nothing.
fn is_query(statement: &ast::Statement) -> bool {
    match statement {
        ast::Statement::Query(query) => is_plain(query),
        ast::Statement::Explain { analyze, statement, .. } => !analyze || is_query(statement),
        ast::Statement::ExplainTable { .. } | ast::Statement::ShowVariable { .. } => true,
        _ => false,
    }
}

/// A query without SELECT INTO and without writing parts in WITH.
fn is_plain(query: &ast::Query) -> bool {
    fn plain(body: &ast::SetExpr) -> bool {
        match body {
            ast::SetExpr::Select(select) => select.into.is_none(),
            ast::SetExpr::Query(query) => is_plain(query),
            ast::SetExpr::SetOperation { left, right, .. } => plain(left) && plain(right),
            ast::SetExpr::Values(_) | ast::SetExpr::Table(_) => true,
            _ => false,
        }
    }
    query.with.iter().flat_map(|with| &with.cte_tables).all(|table| is_plain(&table.query)) && plain(&query.body)
}

fn sql_tag(statement: &ast::Statement) -> String {
    use ast::Statement as S;
    let statement = written(statement).map_or(statement, |written| written.statement);
    let tag = match statement {
        S::Query(_) => "SELECT",
        S::Insert(_) => "INSERT",
        S::Update(_) => "UPDATE",
        S::Delete(_) => "DELETE",
        S::Merge(_) => "MERGE",
        S::Truncate(_) => "TRUNCATE TABLE",
        S::CreateView(create) if create.materialized => "CREATE MATERIALIZED VIEW",
        S::CreateView(_) => "CREATE VIEW",
        S::CreateIndex(_) => "CREATE INDEX",
        S::CreateDatabase { .. } => "CREATE DATABASE",
        S::Drop { object_type, .. } => return format!("DROP {object_type}"),
        S::AlterTable(_) => "ALTER TABLE",
        S::Explain { .. } | S::ExplainTable { .. } => "EXPLAIN",
        S::StartTransaction { begin: true, .. } => "BEGIN",
        S::StartTransaction { .. } => "START TRANSACTION",
        S::Commit { .. } => "COMMIT",
        S::Rollback { .. } => "ROLLBACK",
        S::Savepoint { .. } => "SAVEPOINT",
        S::ReleaseSavepoint { .. } => "RELEASE",
        S::Set(_) => "SET",
        S::Reset(_) => "RESET",
        S::ShowVariable { .. } => "SHOW",
        S::Prepare { .. } => "PREPARE",
        S::Deallocate { .. } => "DEALLOCATE",
        S::Discard { object_type } => return format!("DISCARD {object_type}"),
        S::Declare { .. } => "DECLARE CURSOR",
        S::Fetch { .. } => "FETCH",
        S::Close { .. } => "CLOSE CURSOR",
        S::Comment { .. } => "COMMENT",
        S::LISTEN { .. } => "LISTEN",
        S::UNLISTEN { .. } => "UNLISTEN",
        S::NOTIFY { .. } => "NOTIFY",
        S::Lock(_) => "LOCK TABLE",
        other => return first_words(&other.to_string()),
    };
    tag.to_owned()
}

/// The first word of a statement's text: the best tag for one that has no other.
fn first_words(text: &str) -> String {
    text.split_whitespace().next().unwrap_or_default().to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use crate::tests_support::one;

    #[test]
    fn tags_and_reading() {
        let cases = [
            ("SELECT 1", "SELECT", true),
            ("SELECT 1 INTO t", "SELECT", false),
            ("WITH a AS (SELECT 1) SELECT * FROM a UNION SELECT 2", "SELECT", true),
            ("INSERT INTO t SELECT 1", "INSERT", false),
            ("CREATE TABLE t AS SELECT 1", "SELECT", false),
            ("DROP TABLE t", "DROP TABLE", false),
            ("BEGIN", "BEGIN", false),
            ("START TRANSACTION", "START TRANSACTION", false),
            ("ABORT", "ROLLBACK", false),
            ("DISCARD ALL", "DISCARD ALL", false),
            ("EXPLAIN INSERT INTO t SELECT 1", "EXPLAIN", true),
            ("EXPLAIN ANALYZE DELETE FROM t", "EXPLAIN", false),
            ("COPY t TO STDOUT", "COPY", true),
            ("COPY t FROM STDIN", "COPY", false),
            ("INSERT INTO t SELECT 1 FROM s CONSUME AS c", "INSERT", false),
            ("CREATE USER u", "CREATE ROLE", false),
        ];
        for (sql, tag, reads) in cases {
            let statement = one(sql);
            assert_eq!((statement.command_tag().as_str(), statement.is_read_only()), (tag, reads), "{sql}");
        }
    }
}
