//! Jobs: compute environments, job queues and job definitions.

use sqlparser::ast::Ident;
use sqlparser::tokenizer::Token;
use tidegate_core::Result;

use crate::cursor::Cursor;
use crate::ident::fold;
use crate::options::Options;
use crate::statement::Statement;

/// `CREATE COMPUTE ENVIRONMENT name TYPE MANAGED WITH (…)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateComputeEnvironment {
    /// Whether an existing one is left alone.
    pub if_not_exists: bool,
    /// The environment.
    pub name: String,
    /// MANAGED or UNMANAGED, in upper case.
    pub kind: Option<String>,
    /// Runner, vCPUs, …
    pub options: Options,
}

impl CreateComputeEnvironment {
    pub(crate) fn parse(cursor: &mut Cursor) -> Result<Statement> {
        let if_not_exists = cursor.if_not_exists();
        let name = name(cursor)?;
        let kind = if cursor.accept(&["TYPE"]) { Some(cursor.ident()?.value.to_ascii_uppercase()) } else { None };
        let options = Options::with(cursor)?;
        ended(cursor, "CREATE COMPUTE ENVIRONMENT")?;
        Ok(Statement::CreateComputeEnvironment(CreateComputeEnvironment { if_not_exists, name, kind, options }))
    }
}

/// `CREATE JOB QUEUE name PRIORITY n COMPUTE ENVIRONMENTS (…) WITH (…)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateJobQueue {
    /// Whether an existing queue is left alone.
    pub if_not_exists: bool,
    /// The queue.
    pub name: String,
    /// The highest goes first.
    pub priority: u64,
    /// Compute environments, in the order in which they are tried.
    pub environments: Vec<String>,
    /// State.
    pub options: Options,
}

impl CreateJobQueue {
    pub(crate) fn parse(cursor: &mut Cursor) -> Result<Statement> {
        let if_not_exists = cursor.if_not_exists();
        let queue = name(cursor)?;
        let priority = if cursor.accept(&["PRIORITY"]) { cursor.number()? } else { 1 };
        cursor.expect(&["COMPUTE", "ENVIRONMENTS"])?;
        let environments = cursor.parenthesized(name)?;
        let options = Options::with(cursor)?;
        ended(cursor, "CREATE JOB QUEUE")?;
        let create = CreateJobQueue { if_not_exists, name: queue, priority, environments, options };
        Ok(Statement::CreateJobQueue(create))
    }
}

/// `ALTER JOB QUEUE name SET (…)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlterJobQueue {
    /// The queue.
    pub name: String,
    /// State and priority.
    pub options: Options,
}

impl AlterJobQueue {
    pub(crate) fn parse(cursor: &mut Cursor) -> Result<Statement> {
        let name = name(cursor)?;
        if !cursor.accept(&["SET"]) {
            return Err(cursor.unknown_clause("ALTER JOB QUEUE"));
        }
        Ok(Statement::AlterJobQueue(AlterJobQueue { name, options: Options::parse(cursor)? }))
    }
}

/// `CREATE JOB DEFINITION name AS '<AWS JSON>'`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateJobDefinition {
    /// The definition.
    pub name: String,
    /// The AWS request.
    pub text: String,
}

impl CreateJobDefinition {
    pub(crate) fn parse(cursor: &mut Cursor) -> Result<Statement> {
        let name = name(cursor)?;
        cursor.expect(&["AS"])?;
        let text = cursor.string()?;
        ended(cursor, "CREATE JOB DEFINITION")?;
        Ok(Statement::CreateJobDefinition(CreateJobDefinition { name, text }))
    }
}

/// A name to be dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropName {
    /// Whether a missing object is passed over.
    pub if_exists: bool,
    /// The object.
    pub name: String,
}

impl DropName {
    fn parse(cursor: &mut Cursor) -> Result<DropName> {
        let if_exists = cursor.if_exists();
        Ok(DropName { if_exists, name: name(cursor)? })
    }
}

/// `DROP COMPUTE ENVIRONMENT name`.
pub(crate) fn drop_environment(cursor: &mut Cursor) -> Result<Statement> {
    Ok(Statement::DropComputeEnvironment(DropName::parse(cursor)?))
}

/// `DROP JOB QUEUE name`.
pub(crate) fn drop_queue(cursor: &mut Cursor) -> Result<Statement> {
    Ok(Statement::DropJobQueue(DropName::parse(cursor)?))
}

/// `DEREGISTER JOB DEFINITION name`, or `'name:revision'`.
pub(crate) fn deregister(cursor: &mut Cursor) -> Result<Statement> {
    let name = match cursor.take_string() {
        Some(text) => text,
        None => name(cursor)?,
    };
    Ok(Statement::DeregisterJobDefinition(name))
}

fn name(cursor: &mut Cursor) -> Result<String> {
    cursor.ident().map(|ident: Ident| fold(&ident))
}

fn ended(cursor: &Cursor, statement: &str) -> Result<()> {
    match cursor.peek() {
        Token::EOF => Ok(()),
        _ => Err(cursor.unknown_clause(statement)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests_support::{check_errors, one};
    use tidegate_core::Kind;

    #[test]
    fn full_statements() {
        let Statement::CreateComputeEnvironment(create) =
            one("CREATE COMPUTE ENVIRONMENT IF NOT EXISTS Local TYPE managed WITH (runner = 'process', max_vcpus = 2)")
        else {
            panic!()
        };
        assert_eq!(
            (create.if_not_exists, create.name.as_str(), create.kind.as_deref()),
            (true, "local", Some("MANAGED"))
        );
        assert_eq!(create.options.get("max_vcpus"), Some("2"));
        let Statement::CreateJobQueue(create) =
            one("CREATE JOB QUEUE \"my-q\" PRIORITY 10 COMPUTE ENVIRONMENTS (a, b) WITH (state = 'DISABLED')")
        else {
            panic!()
        };
        assert_eq!((create.name.as_str(), create.priority), ("my-q", 10));
        assert_eq!(create.environments, ["a", "b"]);
        let Statement::CreateJobDefinition(create) = one("CREATE JOB DEFINITION hello AS $${\"a\": 1}$$") else {
            panic!()
        };
        assert_eq!((create.name.as_str(), create.text.as_str()), ("hello", "{\"a\": 1}"));
    }

    #[test]
    fn the_others() {
        let dropped = |name: &str, if_exists| DropName { if_exists, name: name.to_owned() };
        assert_eq!(one("DROP JOB QUEUE IF EXISTS q"), Statement::DropJobQueue(dropped("q", true)));
        assert_eq!(one("DROP COMPUTE ENVIRONMENT c"), Statement::DropComputeEnvironment(dropped("c", false)));
        assert_eq!(one("DEREGISTER JOB DEFINITION 'h:1'"), Statement::DeregisterJobDefinition("h:1".into()));
        assert_eq!(one("DEREGISTER JOB DEFINITION H"), Statement::DeregisterJobDefinition("h".into()));
        assert!(matches!(one("ALTER JOB QUEUE q SET (priority = 3)"), Statement::AlterJobQueue(_)));
    }

    #[test]
    fn mistakes() {
        check_errors(&[
            ("CREATE JOB QUEUE q", Kind::Syntax, 19, "syntax error at end of input"),
            ("CREATE JOB QUEUE q PRIORITY x", Kind::Syntax, 29, "syntax error at or near \"x\""),
            (
                "CREATE JOB QUEUE q COMPUTE ENVIRONMENTS (c) COLOUR red",
                Kind::Unsupported,
                45,
                "CREATE JOB QUEUE: clause COLOUR is not supported",
            ),
            ("CREATE JOB DEFINITION d AS x", Kind::Syntax, 28, "syntax error at or near \"x\""),
            ("ALTER JOB QUEUE q RENAME TO r", Kind::Unsupported, 19, "ALTER JOB QUEUE: clause RENAME is not supported"),
        ]);
    }
}
