//! COPY … FROM a URL: files into a table or stream, all or nothing.

use crate::copy_files::{copy_access, files, json_columns};
use crate::copy_plan::{Reading, check, reading};
use crate::defaults::Defaults;
use crate::lanes::{Lanes, Rows, Staged, abort, finish, pieces};
use crate::load::{File, Load, Piece};
use crate::load_log::{Loads, Running};
use crate::{copy_chunk, load_log};
use std::sync::Arc;
use std::time::Duration;
use tidegate_catalog::{Oid, Relation, RelationKind};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::{Copy, CopyFormat, CopyOptions, CopySubject, name_parts};
use tidegate_query::formats::JsonColumns;
use tidegate_query::stream_sql::insertable;
use tidegate_query::{Outcome, Planner, Spread, TableSink, Work, insert};

/// How often a client is told how far its load is.
const PROGRESS: Duration = Duration::from_secs(5);
/// Lanes of one load, whatever the machine has.
const LANES_MAX: usize = 16;

/// Performs COPY … FROM 'url'.
pub async fn copy_from(work: &mut Work<'_>, loads: &Loads, copy: &Copy, url: &str) -> Result<Outcome> {
    copy.options.no_ops.iter().for_each(|option| work.notice(format!("COPY option {option} has no meaning here")));
    // Names are looked up before anything is asked over the network.
    target(work, copy)?;
    check(&copy.options, url)?;
    let access = copy_access(work, url, &copy.options)?;
    let files = files(work, url, &copy.options, &access).await?;
    load_files(work, loads, copy, url, &files, None).await
}

/// Loads files as a COPY says; `job` is the COPY job that does.
pub async fn load_files(
    work: &mut Work<'_>,
    loads: &Loads,
    copy: &Copy,
    url: &str,
    files: &[File],
    job: Option<Oid>,
) -> Result<Outcome> {
    check(&copy.options, url)?;
    let load = plan(work, copy, url).await?;
    let running = loads.begin(work, &load, url, format_word(&copy.options), files, job);
    let staged = stage(work, &load, files, &running).await?;
    let (rows, rejected) = (staged.loaded(), staged.rejected());
    let notes = load_log::notes(work, &running, &staged);
    work.engine().note(notes).await?;
    if let Some(failure) = staged.failure {
        discard(work, &load, staged.rows).await;
        return Err(failed(&load, failure, rejected));
    }
    let changes = match staged.rows {
        Rows::Sinks(sinks) => finish(sinks).await?,
        Rows::Files(files) if files.is_empty() => Vec::new(),
        Rows::Files(files) => vec![tidegate_catalog::Change::AddFiles { table: load.relation.oid, files }],
    };
    work.push(changes)?;
    tell(work, &load, rows, rejected);
    let loaded = if load.no_load { 0 } else { rows };
    work.scope.last.copied(running.query, loaded);
    Ok(Outcome::Done { tag: format!("COPY {loaded}") })
}

/// The relation that takes the rows, and the places of the columns that are given.
pub fn target(work: &Work<'_>, copy: &Copy) -> Result<(Relation, Vec<usize>)> {
    let CopySubject::Table { name, columns } = &copy.subject else {
        return Err(Error::new(Kind::Syntax, "COPY (query) can only be TO"));
    };
    let relation = work.scope.relation(&name_parts(name))?.clone();
    let mut chosen = insert::insertable_idents(&work.scope, &relation, columns)?;
    let relation = insertable(&relation);
    let generated = |index: &usize| {
        let identity = relation.columns.get(*index).and_then(|column| column.identity);
        identity.is_some_and(|identity| !identity.by_default) && !copy.options.explicit_ids
    };
    if columns.is_empty() {
        // Files without their values, unless EXPLICIT_IDS says otherwise.
        chosen.retain(|index| !generated(index));
    } else if let Some(column) = chosen.iter().find(|index| generated(index)).and_then(|at| relation.columns.get(*at)) {
        let message = format!("COPY: the values of identity column \"{}\" are generated", column.name);
        return Err(Error::new(Kind::Syntax, message).hint("EXPLICIT_IDS takes them from the files."));
    }
    Ok((relation, chosen))
}

/// What the statement asks for, with all names looked up.
async fn plan(work: &mut Work<'_>, copy: &Copy, url: &str) -> Result<Load> {
    let (relation, chosen) = target(work, copy)?;
    work.scope.refuse_policies(&relation, "COPY from files")?;
    let access = copy_access(work, url, &copy.options)?;
    let json = match copy.options.format {
        Some(CopyFormat::Json | CopyFormat::Avro) => json_columns(work, &copy.options, chosen.len()).await?,
        _ => JsonColumns::Exact,
    };
    let sources = insert::sources(&work.scope, &relation, &chosen).await?;
    Ok(Load {
        relation,
        chosen,
        defaults: Defaults::of(&sources)?,
        reading: reading(&copy.options, json)?,
        access,
        timezone: work.scope.timezone.clone(),
        no_load: copy.options.no_load,
    })
}

/// Loads the files; large ones in parts, and once more in one piece where a cut may have been wrong.
async fn stage(work: &mut Work<'_>, load: &Load, files: &[File], running: &Running) -> Result<Staged> {
    let can_be_cut = match &load.reading {
        Reading::Text(text) => text.can_be_cut() && text.options.max_errors == 0,
        Reading::Columns(format, _) => *format == tidegate_query::formats::FileFormat::Parquet,
    };
    let staged = stage_pieces(work, load, pieces(files, can_be_cut), running).await?;
    let is_text = matches!(load.reading, Reading::Text(_));
    if !is_text || !staged.is_doubtful() {
        return Ok(staged);
    }
    discard(work, load, staged.rows).await;
    stage_pieces(work, load, pieces(files, false), running).await
}

async fn stage_pieces(work: &mut Work<'_>, load: &Load, pieces: Vec<Piece>, running: &Running) -> Result<Staged> {
    let allowed = match &load.reading {
        Reading::Text(text) => text.options.max_errors as u64,
        Reading::Columns(..) => 0,
    };
    if let Some(spread) = spread_for(work, load, &pieces) {
        return Ok(copy_chunk::copy(work, spread.as_ref(), load, &pieces).await?.judged(allowed));
    }
    let count = lanes(work, load).min(pieces.len()).max(1);
    let sink = |_| if load.no_load { Ok(None) } else { work.sink(&load.relation).map(Some) };
    let sinks: Vec<Option<Box<dyn TableSink>>> = (0..count).map(sink).collect::<Result<_>>()?;
    let lanes = Lanes {
        load: Arc::new(load.clone()),
        session: Planner::new(&work.scope)?.state().clone(),
        stores: Arc::clone(work.engine().stores()),
        progress: Arc::clone(&running.progress),
        allowed,
    };
    told(work, load, running, lanes.run(pieces, sinks)).await
}

/// Waits for a load, and tells the client now and then how far it is.
async fn told<T>(work: &Work<'_>, load: &Load, running: &Running, loading: impl Future<Output = T>) -> T {
    tokio::pin!(loading);
    loop {
        tokio::select! {
            biased;
            done = &mut loading => return done,
            () = tokio::time::sleep(PROGRESS) => {
                work.notice_now(format!("Load into table '{}': {}", load.relation.name, running.told()));
            }
        }
    }
}

/// Lanes that work at one time: one for each core; rows of a stream keep the order of their files.
fn lanes(work: &Work<'_>, load: &Load) -> usize {
    match (&load.relation.kind, work.scope.partitions) {
        (RelationKind::Table(_), 0) => std::thread::available_parallelism().map_or(1, usize::from).min(LANES_MAX),
        (RelationKind::Table(_), asked) => asked.min(LANES_MAX),
        _ => 1,
    }
}

/// What loads the pieces on all nodes, where that is worth it: several, of more than a task's bytes, into a table.
fn spread_for(work: &Work<'_>, load: &Load, pieces: &[Piece]) -> Option<Arc<dyn Spread>> {
    let task_bytes = work.scope.task_bytes? as u64;
    let bytes: u64 = pieces.iter().map(Piece::bytes).sum();
    // Only the leader counts.
    let counts = load.relation.columns.iter().any(|column| column.identity.is_some());
    let is_table = matches!(load.relation.kind, RelationKind::Table(_));
    let is_worth_it = pieces.len() > 1 && bytes > task_bytes && is_table && !counts;
    work.engine().spread().filter(|_| is_worth_it).cloned()
}

async fn discard(work: &Work<'_>, load: &Load, rows: Rows) {
    match rows {
        Rows::Sinks(sinks) => abort(sinks).await,
        Rows::Files(files) => copy_chunk::remove(work, load, &files).await,
    }
}

/// Redshift's words, and the reason behind them.
fn failed(load: &Load, failure: Error, rejected: u64) -> Error {
    let name = &load.relation.name;
    match rejected {
        0 => failure.context(format_args!("Load into table '{name}' failed")),
        _ => failure.context(format_args!(
            "Load into table '{name}' failed.  Check 'stl_load_errors' system table for details. Last"
        )),
    }
}

fn tell(work: &mut Work<'_>, load: &Load, rows: u64, rejected: u64) {
    let name = &load.relation.name;
    if load.no_load {
        work.inform(format!("Load into table '{name}' is checked only (NOLOAD): {rows} record(s) can be loaded."));
    } else {
        work.inform(format!("Load into table '{name}' completed, {rows} record(s) loaded successfully."));
    }
    if rejected > 0 {
        work.inform(format!(
            "Load into table '{name}' completed, {rejected} record(s) could not be loaded.  Check 'stl_load_errors' system table for details."
        ));
    }
}

/// The format as `sys_load_history` tells it.
fn format_word(options: &CopyOptions) -> &'static str {
    match options.format {
        Some(CopyFormat::Csv) => "csv",
        Some(CopyFormat::Json) => "json",
        Some(CopyFormat::Parquet) => "parquet",
        Some(CopyFormat::Orc) => "orc",
        Some(CopyFormat::Avro) => "avro",
        _ if options.read_ratio.is_some() => "dynamodb",
        _ if options.fixed_width.is_some() => "fixedwidth",
        _ => "text",
    }
}
