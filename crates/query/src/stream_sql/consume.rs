//! `INSERT … SELECT … FROM stream CONSUME AS name`: the rows and the reader's position commit together.

use crate::access::Need;
use crate::insert;
use crate::outcome::{Outcome, RowsTag};
use crate::scope::{Consumed, Scope};
use crate::work::Work;
use datafusion::common::ScalarValue;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidegate_catalog::{Change, Consumer, Object, RelationKind, Rights};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::{Consume, ast, fold};

/// Performs it. 40001 when another reader of that name committed meanwhile.
pub async fn execute(work: &mut Work<'_>, consume: &Consume, values: &[ScalarValue]) -> Result<Outcome> {
    let ast::Statement::Insert(insert) = consume.statement.as_ref() else {
        return Err(Error::new(Kind::Unsupported, "CONSUME is part of an INSERT … SELECT"));
    };
    let stream = work.relation(&consume.stream, Need::All(Rights::SELECT))?;
    if !matches!(stream.kind, RelationKind::Stream(_)) {
        return Err(Error::new(Kind::WrongObjectType, format!("\"{}\" is not a stream", stream.name)));
    }
    let name = fold(&consume.consumer);
    let state = Arc::clone(work.state());
    let known = state.consumer(stream.oid, &name).cloned();
    let from = known.as_ref().map(|consumer| consumer.cursor.clone()).unwrap_or_default();
    let cursor: BTreeMap<u32, u64> = state.shards(stream.oid).map(|shard| (shard.spec.number, shard.next)).collect();
    let before = work.scope.clone();
    work.scope = Scope { consumed: Some(Consumed { stream: stream.oid, from: Arc::new(from), upto: None }), ..before };
    let mut returning = insert::returning(&work.scope, insert)?;
    let rows = insert::run(work, None, insert, values, returning.as_mut()).await;
    work.scope.consumed = None;
    let rows = rows?;
    let consumer = match known {
        Some(known) => Consumer { revision: known.revision + 1, cursor, ..known },
        None => Consumer {
            oid: work.engine().catalog().next_oid()?,
            stream: stream.oid,
            name,
            revision: 1,
            created_ms: work.engine().clock().now_ms(),
            cursor,
        },
    };
    work.push(vec![Change::Put(Arc::new(Object::Consumer(consumer)))])?;
    match returning {
        Some(returning) => returning.outcome(&work.scope, values, RowsTag::Insert).await,
        None => Ok(Outcome::Done { tag: RowsTag::Insert.text(rows) }),
    }
}
