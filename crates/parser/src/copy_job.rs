//! COPY JOB: what is done with a COPY that was given a name by `JOB CREATE`.

use tidegate_core::Result;

use crate::cursor::Cursor;
use crate::statement::Statement;

/// The clause that makes a job of a COPY: `JOB CREATE name [AUTO ON | OFF]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCopyJob {
    /// Its name.
    pub name: String,
    /// Whether it runs by itself; so if nothing is said.
    pub auto: bool,
    /// The COPY statement without this clause.
    pub query: String,
}

/// `COPY JOB RUN name` and its kin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyJobStatement {
    /// Loads what is new.
    Run(String),
    /// Shows the job.
    Show(String),
    /// Drops it.
    Drop(String),
    /// Lets it run by itself, or no longer.
    Alter(String, bool),
    /// Shows all jobs.
    List,
}

impl NewCopyJob {
    /// The clause, of which `JOB` is ahead; `query` is the statement before it.
    pub(crate) fn parse(cursor: &mut Cursor, query: String) -> Result<NewCopyJob> {
        cursor.expect(&["JOB", "CREATE"])?;
        let name = crate::fold(&cursor.ident()?);
        let auto = auto(cursor)?.unwrap_or(true);
        Ok(NewCopyJob { name, auto, query })
    }
}

impl CopyJobStatement {
    /// What follows `COPY`, if it is such a statement.
    pub(crate) fn accept(cursor: &mut Cursor) -> Result<Option<Statement>> {
        let verbs = ["RUN", "SHOW", "DROP", "ALTER", "LIST"];
        let Some(verb) = verbs.into_iter().find(|verb| cursor.looks(&["JOB", *verb])) else { return Ok(None) };
        cursor.expect(&["JOB", verb])?;
        if verb == "LIST" {
            return Ok(Some(Statement::CopyJob(CopyJobStatement::List)));
        }
        let name = crate::fold(&cursor.ident()?);
        let statement = match verb {
            "RUN" => CopyJobStatement::Run(name),
            "SHOW" => CopyJobStatement::Show(name),
            "DROP" => CopyJobStatement::Drop(name),
            _ => {
                let missing = cursor.syntax_error().detail("Expected AUTO ON or AUTO OFF.");
                CopyJobStatement::Alter(name, auto(cursor)?.ok_or(missing)?)
            }
        };
        Ok(Some(Statement::CopyJob(statement)))
    }
}

/// `AUTO [ON | OFF]`, if it is ahead; alone it means ON.
fn auto(cursor: &mut Cursor) -> Result<Option<bool>> {
    Ok(cursor.accept(&["AUTO"]).then(|| cursor.take_switch().unwrap_or(true)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests_support::{check_errors, one};
    use tidegate_core::Kind;

    #[test]
    fn statements() {
        let cases = [
            ("COPY JOB RUN nightly", CopyJobStatement::Run("nightly".into())),
            ("copy job show \"N\"", CopyJobStatement::Show("N".into())),
            ("COPY JOB DROP n", CopyJobStatement::Drop("n".into())),
            ("COPY JOB ALTER n AUTO OFF", CopyJobStatement::Alter("n".into(), false)),
            ("COPY JOB LIST", CopyJobStatement::List),
        ];
        for (sql, expected) in cases {
            assert_eq!(one(sql), Statement::CopyJob(expected), "{sql}");
        }
    }

    #[test]
    fn a_copy_becomes_a_job() {
        let Statement::Copy(copy) = one("COPY  t FROM 's3://b/x/' IAM_ROLE 'r' CSV JOB CREATE n AUTO OFF") else {
            panic!("not a COPY")
        };
        let job = copy.options.job.unwrap();
        assert_eq!((job.name.as_str(), job.auto), ("n", false));
        assert_eq!(job.query, "COPY t FROM 's3://b/x/' IAM_ROLE 'r' CSV");
        // A table may have that name.
        assert!(matches!(one("COPY job FROM 's3://b/x' CSV"), Statement::Copy(_)));
    }

    #[test]
    fn mistakes() {
        check_errors(&[
            ("COPY JOB RUN", Kind::Syntax, 13, "syntax error at end of input"),
            ("COPY JOB ALTER n", Kind::Syntax, 17, "syntax error at end of input"),
            ("COPY t FROM 's3://b' JOB CREATE n CSV", Kind::Syntax, 35, "syntax error at or near \"CSV\""),
        ]);
    }
}
