//! COPY … FROM STDIN: the client's bytes become rows of a relation.

use crate::access::{RowCheck, checked};
use crate::conform::{Source, conform};
use crate::datetime::Reading;
use crate::formats::{LoadOptions, RowParser};
use crate::insert;
use crate::outcome::{CopyIn, Outcome};
use crate::service::TableSink;
use crate::stream_sql;
use crate::work::Work;
use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use bytes::Bytes;
use std::sync::Arc;
use tidegate_catalog::{Change, PolicyCommand, Relation};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::{Copy, CopyDirection, CopyFormat, CopyOptions, CopySubject, name_parts};

struct FromClient {
    relation: Relation,
    sources: Vec<Source>,
    reading: Reading,
    schema: SchemaRef,
    /// Reads text and CSV; binary rows are read by who takes them from the client.
    parser: Option<RowParser>,
    sink: Option<Box<dyn TableSink>>,
    check: Option<RowCheck>,
    rows: u64,
}

/// Begins to take rows.
pub async fn begin(work: &Work<'_>, copy: &Copy) -> Result<Outcome> {
    let CopySubject::Table { name, columns } = &copy.subject else {
        return Err(Error::new(Kind::Syntax, "COPY (query) can only be TO"));
    };
    if copy.direction != CopyDirection::From {
        return Err(Error::new(Kind::Syntax, "COPY TO STDIN makes no sense").hint("Use COPY … FROM STDIN."));
    }
    let relation = work.scope.relation(&name_parts(name))?.clone();
    let chosen = insert::insertable_idents(&work.scope, &relation, columns)?;
    let relation = stream_sql::insertable(&relation);
    let sources = insert::sources(&work.scope, &relation, &chosen).await?;
    let fields = chosen.iter().filter_map(|index| relation.columns.get(*index)).map(|column| column.field());
    let schema: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    copy.options.check_binary()?;
    let parser = match copy.options.format {
        Some(CopyFormat::Binary) => None,
        _ => Some(RowParser::new("STDIN", &schema, options(&copy.options, &work.scope.timezone)?)?),
    };
    let sink = Some(work.sink(&relation)?);
    let check = RowCheck::of(&work.scope, &relation, PolicyCommand::Insert, false)?;
    Ok(Outcome::CopyIn(Box::new(FromClient {
        relation,
        sources,
        schema,
        parser,
        sink,
        check,
        reading: work.scope.reading()?,
        rows: 0,
    })))
}

fn options(options: &CopyOptions, zone: &str) -> Result<LoadOptions> {
    let csv = matches!(options.format, Some(CopyFormat::Csv));
    let mut load = if csv { LoadOptions::postgres_csv() } else { LoadOptions::postgres_text() };
    crate::formats::apply_copy_options(&mut load, options)?;
    load.rules.zone = Some(zone.to_string());
    Ok(load)
}

impl FromClient {
    async fn drain(&mut self) -> Result<()> {
        if let Some(error) = self.parser.as_mut().and_then(|parser| parser.take_errors().into_iter().next()) {
            return Err(error.to_error());
        }
        while let Some(batch) = self.parser.as_mut().and_then(RowParser::next_batch) {
            self.write(&batch).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl CopyIn for FromClient {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn is_binary(&self) -> bool {
        self.parser.is_none()
    }

    async fn push(&mut self, bytes: Bytes) -> Result<()> {
        let parser = self.parser.as_mut().ok_or_else(|| Error::internal("binary rows come as text"))?;
        parser.feed(&bytes)?;
        self.drain().await
    }

    async fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        self.rows += rows.num_rows() as u64;
        let fitted = conform(rows, &self.relation, &self.sources, &self.reading)?;
        checked(self.check.as_ref(), &fitted).await?;
        self.sink.as_mut().ok_or_else(|| Error::internal("COPY goes on after its end"))?.write(fitted).await
    }

    async fn finish(mut self: Box<Self>) -> Result<(String, Vec<Change>)> {
        if let Some(parser) = &mut self.parser {
            parser.finish()?;
        }
        if let Err(error) = self.drain().await {
            self.abort().await;
            return Err(error);
        }
        let sink = self.sink.take().ok_or_else(|| Error::internal("COPY goes on after its end"))?;
        Ok((format!("COPY {}", self.rows), sink.finish().await?))
    }

    async fn abort(mut self: Box<Self>) {
        if let Some(sink) = self.sink.take() {
            sink.abort().await;
        }
    }
}
