//! Rows made to fit a relation: cast to its types, defaults put in, and its constraints checked.

use crate::datetime::{self, Reading};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringViewArray, new_null_array};
use arrow::compute::{CastOptions, can_cast_types, cast_with_options};
use arrow::datatypes::DataType;
use arrow::util::display::FormatOptions;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use std::sync::Arc;
use tidegate_catalog::{Column, Relation, SqlType, arrow_schema, is_super};
use tidegate_core::{Error, Kind, Result};

/// Where each column of a relation gets its values from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A column of the input.
    Input(usize),
    /// The same value in each row.
    Value(ScalarValue),
}

/// A batch with a relation's columns. Texts become dates and times as `reading` has it.
pub fn conform(batch: &RecordBatch, relation: &Relation, sources: &[Source], reading: &Reading) -> Result<RecordBatch> {
    let rows = batch.num_rows();
    let column = |(column, source): (&Column, &Source)| -> Result<ArrayRef> {
        let array = match source {
            Source::Input(index) => {
                let given = batch.columns().get(*index).ok_or_else(|| Error::internal("a column is missing"))?;
                let plain = !batch.schema_ref().fields().get(*index).is_some_and(|field| is_super(field));
                match column.sql_type == SqlType::Super && plain {
                    true => super_of(given, column)?,
                    false => without_blanks(fit(given, column, reading)?, column),
                }
            }
            Source::Value(ScalarValue::Null) => new_null_array(&column.sql_type.arrow(), rows),
            Source::Value(value) => {
                let given = value.to_array_of_size(rows).map_err(crate::from_datafusion)?;
                without_blanks(fit(&given, column, reading)?, column)
            }
        };
        // An IDENTITY column that is not given gets its numbers in the sink.
        if column.identity.is_none() || !matches!(source, Source::Value(ScalarValue::Null)) {
            check(&array, column, relation)?;
        }
        Ok(array)
    };
    let columns = relation.columns.iter().zip(sources).map(column).collect::<Result<Vec<_>>>()?;
    let schema = arrow_schema(&relation.columns);
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema, columns, &options).map_err(Error::internal)
}

/// Values of SQL as SUPER: a text is a JSON string.
fn super_of(array: &ArrayRef, column: &Column) -> Result<ArrayRef> {
    let made = crate::partiql::to_super(array);
    Ok(Arc::new(made.map_err(|error| error.context(format_args!("column \"{}\"", column.name)))?))
}

/// A column's values as the column's type, as an assignment casts them.
fn fit(array: &ArrayRef, column: &Column, reading: &Reading) -> Result<ArrayRef> {
    let want = column.sql_type.arrow();
    if *array.data_type() == want {
        return Ok(array.clone());
    }
    if matches!(array.data_type(), DataType::Null) {
        return Ok(new_null_array(&want, array.len()));
    }
    if want == DataType::Binary && array.data_type().is_string() {
        return crate::formats::bytes_of_text(array)
            .map_err(|error| error.context(format_args!("column \"{}\"", column.name)));
    }
    if let Some(read) = datetime::fitted(array, &want, column.sql_type == SqlType::Timetz, reading) {
        return read;
    }
    let column_is = || format!("column \"{}\" is of type {}", column.name, column.sql_type);
    if !can_cast_types(array.data_type(), &want) {
        let message = format!("{} but expression is of type {}", column_is(), array.data_type());
        return Err(
            Error::new(Kind::DatatypeMismatch, message).hint("You will need to rewrite or cast the expression.")
        );
    }
    let options = CastOptions { safe: false, format_options: FormatOptions::default() };
    cast_with_options(array, &want, &options).map_err(|error| {
        let kind = if array.data_type().is_numeric() { Kind::OutOfRange } else { Kind::InvalidText };
        Error::new(kind, format!("{} and does not take this value: {error}", column_is()))
    })
}

fn check(array: &ArrayRef, column: &Column, relation: &Relation) -> Result<()> {
    if column.not_null && array.null_count() > 0 {
        let message = format!(
            "null value in column \"{}\" of relation \"{}\" violates not-null constraint",
            column.name, relation.name
        );
        return Err(Error::new(Kind::NotNullViolation, message));
    }
    match column.sql_type {
        SqlType::Varchar(most) | SqlType::Char(most) => check_length(array, column, most),
        _ => Ok(()),
    }
}

/// Texts without the blanks that their type does not keep: all at the end of a char, which is shown padded, and those
/// beyond the length of a varchar.
fn without_blanks(array: ArrayRef, column: &Column) -> ArrayRef {
    let Some(texts) = array.as_string_view_opt() else { return array };
    let kept = |text: &str| -> usize {
        let bare = text.trim_end_matches(' ').len();
        match column.sql_type {
            SqlType::Char(_) => bare,
            SqlType::Varchar(most) if text.len() > most as usize => bare.max(most as usize).min(text.len()),
            _ => text.len(),
        }
    };
    if texts.iter().flatten().all(|text| kept(text) == text.len()) {
        return array;
    }
    let made = texts.iter().map(|text| text.map(|text| text.get(..kept(text)).unwrap_or(text)));
    Arc::new(made.collect::<StringViewArray>())
}

fn check_length(array: &ArrayRef, column: &Column, most: u32) -> Result<()> {
    let Some(texts) = array.as_string_view_opt() else { return Ok(()) };
    // Lengths are in bytes (TYP-05, TYP-06).
    match texts.iter().flatten().any(|text| text.len() > most as usize) {
        true => Err(Error::new(
            Kind::StringTooLong,
            format!("value too long for type {} (column \"{}\")", column.sql_type, column.name),
        )),
        false => Ok(()),
    }
}

/// A query's columns under other names, those of a relation; under their own where there are none.
pub fn renamed(plan: LogicalPlan, columns: &[Column]) -> Result<LogicalPlan> {
    let names: Vec<_> = plan.schema().columns();
    if columns.is_empty() || names.iter().map(|column| &column.name).eq(columns.iter().map(|column| &column.name)) {
        return Ok(plan);
    }
    let renamed = names.into_iter().zip(columns).map(|(from, to)| Expr::Column(from).alias(&to.name));
    let builder = LogicalPlanBuilder::from(plan).project(renamed.collect::<Vec<_>>());
    builder.and_then(LogicalPlanBuilder::build).map_err(crate::from_datafusion)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, StringArray};
    use tidegate_catalog::{RelationKind, TableSpec};

    fn relation(sql_type: SqlType, not_null: bool) -> Relation {
        let kind = RelationKind::Table(TableSpec::new("", ""));
        let columns = vec![Column { not_null, ..Column::new("c", sql_type) }];
        Relation {
            oid: 1,
            schema: 1,
            name: "t".into(),
            revision: 1,
            columns,
            owner: 1,
            comment: None,
            created_ms: 0,
            row_security: tidegate_catalog::RowSecurity::default(),
            kind,
        }
    }

    #[test]
    fn values_are_cast_or_refused_by_their_own_state() {
        let text = |value: &str| Arc::new(StringArray::from(vec![value])) as ArrayRef;
        let number = |value: i64| Arc::new(Int64Array::from(vec![value])) as ArrayRef;
        let null = || Arc::new(Int64Array::from(vec![None::<i64>])) as ArrayRef;
        let cases: Vec<(ArrayRef, SqlType, bool, Option<Kind>)> = vec![
            (number(7), SqlType::Int2, true, None),
            (number(70_000), SqlType::Int2, false, Some(Kind::OutOfRange)),
            (text("12"), SqlType::Int4, false, None),
            (text("x"), SqlType::Int4, false, Some(Kind::InvalidText)),
            (text("hé"), SqlType::Varchar(3), false, None),
            (text("héé"), SqlType::Varchar(3), false, Some(Kind::StringTooLong)),
            (text("abc  "), SqlType::Varchar(3), false, None),
            (text("abc  "), SqlType::Char(3), false, None),
            (text("abcd "), SqlType::Char(3), false, Some(Kind::StringTooLong)),
            (text("abcd"), SqlType::Varchar(3), false, Some(Kind::StringTooLong)),
            (null(), SqlType::Int8, true, Some(Kind::NotNullViolation)),
            (null(), SqlType::Int8, false, None),
        ];
        for (array, sql_type, not_null, expected) in cases {
            let batch = RecordBatch::try_from_iter_with_nullable([("x", array.clone(), true)]).unwrap();
            let result =
                conform(&batch, &relation(sql_type.clone(), not_null), &[Source::Input(0)], &Reading::utc().unwrap());
            assert_eq!(result.err().map(|error| error.kind()), expected, "{array:?} as {sql_type}");
        }
    }
}
