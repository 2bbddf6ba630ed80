//! What `compat_mode = redshift` makes of transaction blocks (DML-04, DDL-18) and of types without a length (TYP-02,
//! TYP-06). Without it TRUNCATE is undone by ROLLBACK like all else, what can be undone is allowed in a block, and texts
//! and numerics without a length have none.

use std::ops::ControlFlow;
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::ast::{CharacterLength, DataType, ExactNumberInfo, Expr, VisitMut, VisitorMut};
use tidegate_parser::{Statement, ast};

/// Bytes of a text, and digits of a number, that say none.
const TEXT_BYTES: u64 = 256;
const DIGITS: u64 = 18;

/// Gives columns and casts the lengths that Redshift means: a text has 256 bytes, and a number 18 digits, none of them
/// behind the point.
pub fn complete(statement: &mut Statement) {
    match statement {
        Statement::CreateTable(create) => {
            create.table.columns.iter_mut().for_each(|column| complete_column(&mut column.data_type));
            let _ = create.table.visit(&mut Casts);
        }
        Statement::Sql(sql) => {
            if let ast::Statement::AlterTable(alter) = sql.as_mut() {
                alter.operations.iter_mut().for_each(|operation| {
                    if let ast::AlterTableOperation::AddColumn { column_def, .. } = operation {
                        complete_column(&mut column_def.data_type);
                    }
                });
            }
            let _ = sql.visit(&mut Casts);
        }
        _ => {}
    }
}

fn complete_column(data_type: &mut DataType) {
    match data_type {
        DataType::Text => *data_type = DataType::Varchar(text_length()),
        DataType::Varchar(length @ None)
        | DataType::CharacterVarying(length @ None)
        | DataType::CharVarying(length @ None)
        | DataType::Nvarchar(length @ None) => *length = text_length(),
        other => complete_number(other),
    }
}

fn text_length() -> Option<CharacterLength> {
    Some(CharacterLength::IntegerLength { length: TEXT_BYTES, unit: None })
}

fn complete_number(data_type: &mut DataType) {
    if let DataType::Numeric(digits) | DataType::Decimal(digits) | DataType::Dec(digits) = data_type
        && *digits == ExactNumberInfo::None
    {
        *digits = ExactNumberInfo::PrecisionAndScale(DIGITS, 0);
    }
}

/// Casts to numbers. Those to texts cut nothing off (TYP-07 speaks of lengths that are written).
struct Casts;

impl VisitorMut for Casts {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Cast { data_type, .. } = expr {
            complete_number(data_type);
        }
        ControlFlow::Continue(())
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_that_are_not_written() {
        let cases = [
            (
                "CREATE TABLE t (a text, b varchar, c varchar(9), d numeric, e decimal(5, 2), f int)",
                "a VARCHAR(256), b VARCHAR(256), c VARCHAR(9), d NUMERIC(18,0), e DECIMAL(5,2), f INT",
            ),
            ("CREATE TABLE t AS SELECT a::numeric, a::text FROM s", "a::NUMERIC(18,0), a::TEXT"),
            ("ALTER TABLE t ADD COLUMN a varchar", "a VARCHAR(256)"),
            ("SELECT a::decimal, CAST(a AS numeric(9, 1))", "a::DECIMAL(18,0), CAST(a AS NUMERIC(9,1))"),
        ];
        for (sql, expected) in cases {
            let mut statement = tidegate_parser::parse_one(sql).unwrap();
            complete(&mut statement);
            let text = match &statement {
                Statement::CreateTable(create) => create.table.to_string(),
                Statement::Sql(sql) => sql.to_string(),
                other => panic!("{other:?}"),
            };
            assert!(text.contains(expected), "{text}");
        }
    }
}
