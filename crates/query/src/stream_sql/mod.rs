//! Streams in SQL: their DDL, the rows they take, the rows they give, and the tables that tell of them.

mod append;
mod codec;
mod consume;
mod ddl;
mod external_schema;
mod hidden;
mod table;
mod views;

pub use append::{StreamSink, insertable};
pub use codec::RecordCodec;
pub use external_schema::expand;
pub use hidden::{hide_from_wildcards, names_system_columns};
pub use table::StreamTable;
pub use views::system_tables;

use crate::access::require_superuser;
use crate::engine::Engine;
use crate::outcome::Outcome;
use crate::scope::Scope;
use crate::service::{Service, SystemTable, TableSink};
use crate::work::Work;
use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use datafusion::common::ScalarValue;
use std::sync::Arc;
use tidegate_catalog::{Relation, RelationKind, State};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::{Statement, ast, changed, name_parts};
use tidegate_stream::Streams;

/// Streams as a service of the engine.
pub struct StreamService {
    streams: Streams,
}

impl StreamService {
    /// Over the streams of the server.
    pub fn new(streams: Streams) -> Self {
        StreamService { streams }
    }
}

#[async_trait]
impl Service for StreamService {
    async fn provider(&self, scope: &Scope, relation: &Relation) -> Result<Option<Arc<dyn TableProvider>>> {
        match &relation.kind {
            RelationKind::Stream(spec) => {
                let table = StreamTable::new(&self.streams, scope, relation, spec)?;
                match scope.stand_in.as_ref().filter(|stand_in| stand_in.stream == relation.oid) {
                    Some(stand_in) => Ok(Some(Arc::new(table.stood_in_for(stand_in)?))),
                    None => Ok(Some(Arc::new(table))),
                }
            }
            _ => Ok(None),
        }
    }

    fn sink(&self, engine: &Engine, _: &State, relation: &Relation) -> Result<Option<Box<dyn TableSink>>> {
        match &relation.kind {
            RelationKind::Stream(spec) => Ok(Some(Box::new(StreamSink::new(engine, relation, spec)?))),
            _ => Ok(None),
        }
    }

    async fn execute(
        &self,
        work: &mut Work<'_>,
        statement: &Statement,
        values: &[ScalarValue],
    ) -> Result<Option<Outcome>> {
        let tag = match statement {
            Statement::CreateStream(create) => ddl::create(&self.streams, work, create)?,
            Statement::CreateExternalSchema(create) => external_schema::create(work, create)?,
            Statement::DropStream(drop) => ddl::drop_streams(work, drop)?,
            Statement::AlterStream(alter) => ddl::alter(work, alter)?,
            Statement::Consume(consume) => return consume::execute(work, consume, values).await.map(Some),
            Statement::Checkpoint => {
                require_superuser(&work.scope, "do CHECKPOINT")?;
                for service in work.engine().services() {
                    service.checkpoint().await?;
                }
                work.engine().catalog().export_all().await;
                "CHECKPOINT"
            }
            Statement::Sql(sql) => {
                refuse_changes(work, sql)?;
                return Ok(None);
            }
            _ => return Ok(None),
        };
        Ok(Some(Outcome::Done { tag: tag.to_string() }))
    }

    async fn checkpoint(&self) -> Result<()> {
        self.streams.seal_all().await
    }

    fn system_tables(&self) -> Vec<SystemTable> {
        system_tables()
    }
}

/// UPDATE, DELETE, MERGE and TRUNCATE of a stream are refused: records leave by retention or with the stream.
fn refuse_changes(work: &Work<'_>, statement: &ast::Statement) -> Result<()> {
    for name in changed(statement) {
        if let Some(relation) = work.scope.find_parts(&name_parts(name))
            && matches!(relation.kind, RelationKind::Stream(_))
        {
            let what = Statement::Sql(Box::new(statement.clone())).command_tag();
            let what = what.trim_end_matches(" TABLE");
            let message = format!("{what} is not possible on stream \"{}\"", relation.name);
            return Err(
                Error::new(Kind::WrongObjectType, message).hint("Records leave by retention or with the stream.")
            );
        }
    }
    Ok(())
}
