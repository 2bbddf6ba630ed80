//! What `compat_mode = redshift` makes of transaction blocks (DML-04, DDL-18). Without it TRUNCATE is undone by ROLLBACK
//! like all else, and what can be undone is allowed in a block.

use tidegate_core::{Error, Kind, Result};
use tidegate_parser::{Statement, ast};

/// Whether a statement commits what was done so far, itself included.
pub fn commits(statement: &Statement) -> bool {
    matches!(statement, Statement::Sql(sql) if matches!(sql.as_ref(), ast::Statement::Truncate(_)))
}

/// 25001 for what Redshift refuses in a transaction block though it could be undone here.
pub fn refuse_in_block(statement: &Statement) -> Result<()> {
    match statement {
        Statement::CreateExternalTable(_) => {
            let message = "CREATE EXTERNAL TABLE cannot run inside a transaction block";
            Err(Error::new(Kind::ActiveTransaction, message).hint("With compat_mode = tidegate it can."))
        }
        _ => Ok(()),
    }
}
