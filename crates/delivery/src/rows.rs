//! Rows into a table: which column of the query goes where, and the changes that a commit needs to have the rows.

use crate::query;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use futures::TryStreamExt;
use std::sync::Arc;
use tidegate_catalog::{Change, Delivery, Guarded, Oid, PolicyCommand, Relation, Rights, State};
use tidegate_core::{Error, Kind, Result};
use tidegate_query::conform::{Source, conform};
use tidegate_query::datetime::Reading;
use tidegate_query::insert::{column_index, sources};
use tidegate_query::{Engine, Need, RowCheck, Scope, TableSink, checked, from_datafusion, sink_of};
use tidegate_stream::backlog::Range;

/// For each column of the table, where its values come from: the query's column of that name, or its default. 42703 for
/// a column that the table does not have, 42804 for a type that does not fit, 23502 for a column that must be given.
pub async fn fit(scope: &Scope, table: &Relation, schema: &SchemaRef) -> Result<Vec<Source>> {
    let names = schema.fields().iter().map(|field| column_index(table, field.name()));
    let given = names.collect::<Result<Vec<_>>>()?;
    let sources = sources(scope, table, &given).await?;
    check(table, schema, &sources)?;
    Ok(sources)
}

fn check(table: &Relation, schema: &SchemaRef, sources: &[Source]) -> Result<()> {
    let missing = table.columns.iter().zip(sources);
    let missing = missing
        .filter(|(column, _)| column.not_null && column.identity.is_none())
        .filter(|(_, source)| matches!(source, Source::Value(v) if v == &ScalarValue::Null));
    if let Some((column, _)) = missing.into_iter().next() {
        let message =
            format!("column \"{}\" of table \"{}\" may not be NULL and is not delivered", column.name, table.name);
        return Err(Error::new(Kind::NotNullViolation, message).hint("Select it: AS (SELECT …)."));
    }
    // No rows are cast as rows will be.
    conform(&RecordBatch::new_empty(Arc::clone(schema)), table, sources, &Reading::utc()?).map(drop)
}

/// Writes a range of records to the table. Gives the number of rows and what a commit must change to have them.
pub async fn write(
    engine: &Engine,
    state: &Arc<State>,
    delivery: &Delivery,
    table: Oid,
    range: &Range,
) -> Result<(u64, Vec<Change>)> {
    let missing = || Error::new(Kind::UndefinedTable, "the table has been dropped");
    let table = state.relation(table).ok_or_else(missing)?;
    let scope = engine.scope_of(Arc::clone(state), delivery.owner);
    scope.require(&Guarded::Relation(table), Need::All(Rights::INSERT))?;
    let check = RowCheck::of(&scope, table, PolicyCommand::Insert, false)?;
    let mut rows = query::rows(engine, state, delivery, range).await?;
    let sources = fit(&scope, table, &rows.schema()).await?;
    let mut sink = sink(engine, state, table)?;
    let mut count = 0;
    let written: Result<()> = async {
        while let Some(batch) = rows.try_next().await.map_err(from_datafusion)? {
            count += batch.num_rows() as u64;
            let batch = conform(&batch, table, &sources, &Reading::utc()?)?;
            checked(check.as_ref(), &batch).await?;
            sink.write(batch).await?;
        }
        Ok(())
    }
    .await;
    match written {
        Ok(()) => Ok((count, sink.finish().await?)),
        Err(error) => {
            sink.abort().await;
            Err(error)
        }
    }
}

fn sink(engine: &Engine, state: &State, table: &Relation) -> Result<Box<dyn TableSink>> {
    let none = || Error::internal(format!("nothing takes rows for \"{}\"", table.name));
    sink_of(engine, state, table)?.ok_or_else(none)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field, Schema};
    use tidegate_catalog::{Column, RelationKind, SqlType, TableSpec};

    #[test]
    fn what_does_not_fit_is_told_before_any_row() {
        let spec = TableSpec::new("", "");
        let not_null = Column { not_null: true, ..Column::new("a", SqlType::Int4) };
        let table = Relation {
            oid: 1,
            schema: 1,
            name: "t".into(),
            revision: 1,
            columns: vec![not_null, Column::new("b", SqlType::Date)],
            owner: 1,
            comment: None,
            created_ms: 0,
            row_security: tidegate_catalog::RowSecurity::default(),
            kind: RelationKind::Table(spec),
        };
        let null = || Source::Value(ScalarValue::Null);
        let cases = [
            (DataType::Int64, vec![Source::Input(0), null()], None),
            (DataType::Int64, vec![null(), null()], Some(Kind::NotNullViolation)),
            (
                DataType::Boolean,
                vec![Source::Value(ScalarValue::Int32(Some(1))), Source::Input(0)],
                Some(Kind::DatatypeMismatch),
            ),
        ];
        for (data_type, sources, expected) in cases {
            let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("x", data_type.clone(), true)]));
            let found = check(&table, &schema, &sources).err().map(|error| error.kind());
            assert_eq!(found, expected, "{data_type} {sources:?}");
        }
    }
}
