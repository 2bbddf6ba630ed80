//! The extended protocol: prepared statements and portals, whose rows are streamed and can be suspended and resumed.

use crate::backend;
use crate::connection::Connection;
use crate::copy;
use crate::decode;
use crate::encode::Format;
use crate::frontend::{Bind, Frontend, Target};
use crate::guard::Guard;
use crate::rows::RowCursor;
use crate::transport::{Failure, Wire};
use arrow::datatypes::{Field, SchemaRef};
use datafusion::common::ScalarValue;
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};
use tidegate_query::datetime::Reading;
use tidegate_query::{Outcome, Prepared, RowsTag};

/// Portals of one connection that are open at one time.
pub const PORTALS_MAX: usize = 1_000;

/// A statement with its parameters, and how far its result has been sent.
pub struct Portal {
    prepared: Arc<Prepared>,
    parameters: Vec<ScalarValue>,
    formats: Vec<i16>,
    progress: Progress,
}

enum Progress {
    Ready,
    Sending(RowCursor, RowsTag),
    Done(String),
}

/// Answers a message of the extended protocol.
pub async fn answer(connection: &mut Connection, message: Frontend) -> Wire<()> {
    match message {
        Frontend::Parse { name, sql, types } => parse(connection, name, &sql, &types).await,
        Frontend::Bind(message) => Ok(bind(connection, message)?),
        Frontend::Describe(target, name) => Ok(describe(connection, target, &name)?),
        Frontend::Execute(name, max_rows) => execute(connection, name, max_rows).await,
        Frontend::Close(target, name) => {
            match target {
                Target::Statement => connection.session.close_prepared(&name),
                Target::Portal => drop(connection.portals.remove(&name)),
            }
            backend::put_bare(&mut connection.outgoing.buffer, b'3');
            Ok(())
        }
        Frontend::Flush => connection.outgoing.flush().await,
        other => Err(Failure::Fatal(Error::new(Kind::Protocol, format!("unexpected message {other:?}")))),
    }
}

/// The end of a group of messages, and of the transaction that they are.
pub async fn sync(connection: &mut Connection) -> Wire<()> {
    connection.session.sync().await?;
    connection.put_news();
    Ok(())
}

async fn parse(connection: &mut Connection, name: String, sql: &str, types: &[u32]) -> Wire<()> {
    let types: Vec<Option<u32>> = types.iter().map(|told| (*told != 0).then_some(*told)).collect();
    let guard = connection.begin_statement(sql);
    let Connection { incoming, session, .. } = connection;
    let work = async { session.prepare(sql, &types).await.map_err(Failure::from) };
    let prepared = guard.run(incoming, work).await?;
    connection.session.keep_prepared(name, prepared)?;
    backend::put_bare(&mut connection.outgoing.buffer, b'1');
    Ok(())
}

fn no_portal(name: &str) -> Error {
    Error::new(Kind::UndefinedCursor, format!("portal \"{name}\" does not exist"))
}

fn bind(connection: &mut Connection, message: Bind) -> Result<()> {
    let prepared = connection.session.prepared(&message.statement)?;
    let named = !message.portal.is_empty();
    if named && connection.portals.contains_key(&message.portal) {
        return Err(Error::new(Kind::DuplicateObject, format!("portal \"{}\" already exists", message.portal)));
    }
    if connection.portals.len() >= PORTALS_MAX {
        return Err(Error::new(Kind::LimitExceeded, format!("a connection may hold {PORTALS_MAX} portals")));
    }
    let parameters = parameters(&message, &prepared.parameter_types, &connection.session.reading()?)?;
    if let Some(schema) = &prepared.schema {
        Format::spread(&message.result_formats, schema.fields().len())?;
    }
    let portal = Portal { prepared, parameters, formats: message.result_formats, progress: Progress::Ready };
    connection.portals.insert(message.portal, portal);
    backend::put_bare(&mut connection.outgoing.buffer, b'2');
    Ok(())
}

fn parameters(message: &Bind, types: &[u32], reading: &Reading) -> Result<Vec<ScalarValue>> {
    let count = message.values.len();
    if count != types.len() {
        let statement = &message.statement;
        let needs = types.len();
        let text = format!(
            "bind message supplies {count} parameters, but prepared statement \"{statement}\" requires {needs}"
        );
        return Err(Error::new(Kind::Protocol, text));
    }
    let formats = Format::spread(&message.formats, count)?;
    let values = message.values.iter().zip(types).zip(formats).enumerate();
    values
        .map(|(index, ((value, told), format))| {
            let read = decode::decode(*told, format, value.as_deref(), reading);
            read.map_err(|e| e.context(format_args!("parameter ${}", index + 1)))
        })
        .collect()
}

fn describe(connection: &mut Connection, target: Target, name: &str) -> Result<()> {
    let (prepared, formats) = match target {
        Target::Statement => (connection.session.prepared(name)?, Vec::new()),
        // A cursor that SQL declared is a portal too, as in Postgres.
        Target::Portal if !connection.portals.contains_key(name) => {
            let schema = connection.session.cursor_schema(name).map_err(|_| no_portal(name))?;
            let formats = Format::spread(&[], schema.fields().len())?;
            backend::put_row_description(&mut connection.outgoing.buffer, &schema, &formats);
            return Ok(());
        }
        Target::Portal => {
            let portal = connection.portals.get(name).ok_or_else(|| no_portal(name))?;
            (portal.prepared.clone(), portal.formats.clone())
        }
    };
    let out = &mut connection.outgoing.buffer;
    if target == Target::Statement {
        backend::put_parameter_description(out, &prepared.parameter_types);
    }
    match &prepared.schema {
        Some(schema) => backend::put_row_description(out, schema, &Format::spread(&formats, schema.fields().len())?),
        None => backend::put_bare(out, b'n'),
    }
    Ok(())
}

async fn execute(connection: &mut Connection, name: String, max_rows: u32) -> Wire<()> {
    let mut portal = connection.portals.remove(&name).ok_or_else(|| no_portal(&name))?;
    let guard = connection.begin_statement(&portal.prepared.text);
    if matches!(portal.progress, Progress::Ready) {
        let parameters = std::mem::take(&mut portal.parameters);
        let (prepared, formats) = (portal.prepared.clone(), portal.formats.clone());
        let Some(progress) = start(connection, &guard, &prepared, parameters, &formats).await? else {
            // Nothing can follow, but the portal stays until it is closed.
            portal.progress = Progress::Done(String::new());
            connection.portals.insert(name, portal);
            return Ok(());
        };
        portal.progress = progress;
    }
    portal.progress = match portal.progress {
        Progress::Sending(cursor, tag) => send(connection, &guard, cursor, tag, max_rows).await?,
        Progress::Done(tag) => {
            connection.complete(&tag);
            Progress::Done(tag)
        }
        Progress::Ready => Progress::Ready,
    };
    connection.portals.insert(name, portal);
    Ok(())
}

/// Begins to execute. None when all has been answered already.
async fn start(
    connection: &mut Connection,
    guard: &Guard,
    prepared: &Prepared,
    parameters: Vec<ScalarValue>,
    formats: &[i16],
) -> Wire<Option<Progress>> {
    let Connection { incoming, session, .. } = &mut *connection;
    let work = async { session.execute(prepared, parameters).await.map_err(Failure::from) };
    match guard.run(incoming, work).await? {
        Outcome::Rows { schema, rows, tag } => {
            refuse_other_columns(prepared, &schema)?;
            let formats = Format::spread(formats, schema.fields().len())?;
            let cursor = RowCursor::new(&schema, formats, connection.zone(), rows);
            Ok(Some(Progress::Sending(cursor, tag)))
        }
        Outcome::Done { tag } => Ok(Some(Progress::Done(tag))),
        Outcome::Empty => {
            backend::put_bare(&mut connection.outgoing.buffer, b'I');
            Ok(None)
        }
        Outcome::CopyIn(sink) => copy::take_in(connection, guard, sink).await.map(|()| None),
        Outcome::CopyOut { schema, rows, options } => {
            copy::send_out(connection, guard, &schema, rows, &options).await.map(|()| None)
        }
    }
}

/// 0A000 when a table has changed since its statement was described: drivers know the sentence, and prepare it anew.
fn refuse_other_columns(prepared: &Prepared, found: &SchemaRef) -> Result<()> {
    let Some(told) = &prepared.schema else { return Ok(()) };
    let column = |field: &Arc<Field>| (field.name().clone(), crate::types::WireType::of_field(field).oid);
    match told.fields().iter().map(column).eq(found.fields().iter().map(column)) {
        true => Ok(()),
        false => Err(Error::new(Kind::Unsupported, "cached plan must not change result type")),
    }
}

async fn send(
    connection: &mut Connection,
    guard: &Guard,
    mut cursor: RowCursor,
    tag: RowsTag,
    max_rows: u32,
) -> Wire<Progress> {
    let limit = (max_rows > 0).then_some(u64::from(max_rows));
    let Connection { incoming, outgoing, .. } = &mut *connection;
    let sent = guard.run(incoming, cursor.send(outgoing, limit)).await?;
    if sent.finished {
        connection.complete(&tag.text(sent.rows));
        return Ok(Progress::Done(tag.text(0)));
    }
    connection.put_news();
    backend::put_bare(&mut connection.outgoing.buffer, b's');
    Ok(Progress::Sending(cursor, tag))
}
