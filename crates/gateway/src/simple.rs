//! The simple protocol: a script, each of its statements executed and its rows sent before the next one is begun.

use crate::backend;
use crate::connection::Connection;
use crate::copy;
use crate::encode::Format;
use crate::rows::RowCursor;
use crate::transport::{Failure, Outgoing, Wire};
use tidegate_query::{Notice, Outcome, RowsTag};
use tokio::sync::mpsc;

/// Runs a statement, and sends what it tells meanwhile.
async fn telling<T>(
    mut told: mpsc::Receiver<Notice>,
    outgoing: &mut Outgoing,
    work: impl Future<Output = Wire<T>>,
) -> Wire<T> {
    tokio::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            Some(notice) = told.recv() => {
                let hint = notice.hint.as_deref();
                backend::put_notice(&mut outgoing.buffer, &notice.severity, &notice.code, &notice.message, hint);
                outgoing.flush().await?;
            }
        }
    }
}

/// Runs a script, up to its first error.
pub async fn run(connection: &mut Connection, sql: &str) -> Wire<()> {
    let pieces = connection.session.statements(sql)?;
    if pieces.is_empty() {
        backend::put_bare(&mut connection.outgoing.buffer, b'I');
        return Ok(());
    }
    let count = pieces.len();
    for (index, piece) in pieces.into_iter().enumerate() {
        let last = index + 1 == count;
        let guard = connection.begin_statement(sql);
        let Connection { incoming, outgoing, session, .. } = connection;
        let told = session.listen();
        let work = async { session.run(&piece, last).await.map_err(Failure::from) };
        let outcome = guard.run(incoming, telling(told, outgoing, work)).await?;
        match outcome {
            Outcome::Rows { schema, rows, tag } => {
                let formats = vec![Format::Text; schema.fields().len()];
                let mut cursor = RowCursor::new(&schema, formats, connection.zone(), rows);
                backend::put_row_description(&mut connection.outgoing.buffer, &schema, &[]);
                let Connection { incoming, outgoing, .. } = connection;
                let sent = guard.run(incoming, cursor.send(outgoing, None)).await?;
                if last {
                    connection.session.sync().await?;
                }
                connection.complete(&RowsTag::text(&tag, sent.rows));
            }
            Outcome::Done { tag } => connection.complete(&tag),
            Outcome::Empty => backend::put_bare(&mut connection.outgoing.buffer, b'I'),
            Outcome::CopyIn(sink) => copy::take_in(connection, &guard, sink).await?,
            Outcome::CopyOut { schema, rows, options } => {
                copy::send_out(connection, &guard, &schema, rows, &options).await?;
                if last {
                    connection.session.sync().await?;
                }
            }
        }
        connection.outgoing.flush_if_full().await?;
    }
    Ok(())
}
