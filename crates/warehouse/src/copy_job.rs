//! COPY jobs: a COPY that loads what is new below its prefix, each object once.
//!
//! The ledger is in the catalog, an entry for each object, and commits in one frame with the rows; an entry that is
//! there already cannot be made again, so an object is loaded once whatever dies or runs beside it. An object that is
//! written anew under its old name is not loaded again (Redshift).

use crate::copy::load_files;
use crate::copy_files::{copy_access, files};
use crate::load::File;
use crate::load_log::Loads;
use std::collections::HashSet;
use std::time::Duration;
use tidegate_catalog::{Change, CopiedObject, CopyJob, Object, Space, State, Turns};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::{Copy, CopyJobStatement, CopyLocation, CredentialRef, NewCopyJob, Statement};
use tidegate_query::system_table::{number, table, text};
use tidegate_query::{DATABASE, Engine, Outcome, SystemTable, Work, require_superuser, text_rows};
use tokio_util::sync::CancellationToken;

/// Objects of one run; the next run takes the others.
const OBJECTS_MAX: usize = 1000;
/// How often is asked whether it is time to look for objects.
const TICK: Duration = Duration::from_millis(50);
/// COPY jobs of a server, each of which lists its prefix again and again.
const JOBS_MAX: usize = 1000;

/// COPY … JOB CREATE.
pub async fn create(work: &mut Work<'_>, copy: &Copy, source: &str, job: &NewCopyJob) -> Result<Outcome> {
    work.refuse_in_block("COPY … JOB CREATE")?;
    refuse_options(copy)?;
    // Names and rights are checked now; the options' values when it runs.
    crate::copy::target(work, copy)?;
    copy_access(work, source, &copy.options)?;
    if work.state().all::<CopyJob>().count() >= JOBS_MAX {
        return Err(Error::new(Kind::LimitExceeded, format!("there are {JOBS_MAX} COPY jobs already")));
    }
    let made = CopyJob {
        oid: work.engine().catalog().next_oid()?,
        name: job.name.clone(),
        revision: 1,
        created_ms: work.engine().clock().now_ms(),
        owner: work.scope.user.clone(),
        query: job.query.clone(),
        source: source.to_string(),
        search_path: work.scope.lasting().search_path.join(", "),
        auto: job.auto,
    };
    work.push(vec![Change::put(made)])?;
    Ok(Outcome::Done { tag: "COPY JOB CREATE".to_string() })
}

/// What a job's COPY does not have: its files are told by names, and it must be able to run unasked.
fn refuse_options(copy: &Copy) -> Result<()> {
    let options = &copy.options;
    let refused = [
        ("MANIFEST", options.manifest),
        ("NOLOAD", options.no_load),
        ("MAXERROR", options.max_error.is_some()),
        ("IGNOREALLERRORS", options.ignore_all_errors),
        ("access keys", matches!(options.credential, Some(CredentialRef::Keys(_)))),
    ];
    match refused.iter().find(|(_, given)| *given) {
        Some((what, _)) => {
            Err(Error::new(Kind::Unsupported, format!("COPY JOB: {what} cannot be in the COPY of a job")))
        }
        None => Ok(()),
    }
}

/// COPY JOB RUN and its kin.
pub async fn execute(work: &mut Work<'_>, loads: &Loads, statement: &CopyJobStatement) -> Result<Outcome> {
    let tag = match statement {
        CopyJobStatement::Run(name) => return run(work, loads, name).await,
        CopyJobStatement::List => return shown(work.state(), |_| true),
        CopyJobStatement::Show(name) => {
            let oid = job(work.state(), name)?.oid;
            return shown(work.state(), |job| job.oid == oid);
        }
        CopyJobStatement::Drop(name) => {
            let found = own_job(work, name)?;
            let drop = Change::Drop { oid: found.oid, revision: found.revision };
            work.push(vec![drop])?;
            "COPY JOB DROP"
        }
        CopyJobStatement::Alter(name, auto) => {
            let found = own_job(work, name)?;
            let altered = CopyJob { auto: *auto, revision: found.revision + 1, ..found };
            work.push(vec![Change::put(altered)])?;
            "COPY JOB ALTER"
        }
    };
    Ok(Outcome::Done { tag: tag.to_string() })
}

/// The job of a name, for who made it. 42704, 42501.
fn own_job(work: &Work<'_>, name: &str) -> Result<CopyJob> {
    let found = job(work.state(), name)?;
    if found.owner != work.scope.user {
        require_superuser(&work.scope, "change the COPY jobs of others")?;
    }
    Ok(found.clone())
}

fn job<'s>(state: &'s State, name: &str) -> Result<&'s CopyJob> {
    let missing = || Error::new(Kind::UndefinedObject, format!("COPY job \"{name}\" does not exist"));
    state.named::<CopyJob>(name).ok_or_else(missing)
}

/// Loads what is new, and notes it as loaded.
async fn run(work: &mut Work<'_>, loads: &Loads, name: &str) -> Result<Outcome> {
    work.refuse_in_block("COPY JOB RUN")?;
    let job = own_job(work, name)?;
    let Statement::Copy(copy) = tidegate_parser::parse_one(&job.query)? else {
        return Err(Error::internal(format!("COPY job \"{name}\" holds no COPY")));
    };
    let CopyLocation::Url(url) = &copy.location else { return Err(Error::internal("a COPY job without a URL")) };
    let access = copy_access(work, url, &copy.options)?;
    let found = match files(work, url, &copy.options, &access).await {
        Ok(found) => found,
        // A prefix below which nothing lies yet.
        Err(error) if error.kind() == Kind::UndefinedFile => Vec::new(),
        Err(error) => return Err(error),
    };
    let fresh = unloaded(work.state(), &job, found);
    if fresh.is_empty() {
        return Ok(Outcome::Done { tag: "COPY 0".to_string() });
    }
    let catalog = work.engine().catalog().clone();
    let entry = |file: &File| -> Result<Change> {
        let oid = catalog.next_oid()?;
        let entry = CopiedObject { oid, job: job.oid, name: file.url.clone(), revision: 1 };
        Ok(Change::Put(std::sync::Arc::new(Object::CopiedObject(entry))))
    };
    let ledger = fresh.iter().map(entry).collect::<Result<Vec<_>>>()?;
    let outcome = load_files(work, loads, &copy, url, &fresh, Some(job.oid)).await?;
    work.push(ledger)?;
    Ok(outcome)
}

/// The files that a job has not loaded, at most so many as one run takes.
fn unloaded(state: &State, job: &CopyJob, found: Vec<File>) -> Vec<File> {
    let mut seen = HashSet::new();
    let is_new = |file: &File| state.find(Space::CopiedObject(job.oid), &file.url).is_none();
    found.into_iter().filter(|file| is_new(file) && seen.insert(file.url.clone())).take(OBJECTS_MAX).collect()
}

fn shown(state: &State, which: impl Fn(&CopyJob) -> bool) -> Result<Outcome> {
    let jobs: Vec<&CopyJob> = state.all::<CopyJob>().filter(|job| which(job)).collect();
    let column = |value: fn(&CopyJob) -> String| jobs.iter().map(|job| value(job)).collect::<Vec<_>>();
    let columns = vec![
        column(|job| job.oid.to_string()),
        column(|job| job.name.clone()),
        column(|job| job.source.clone()),
        column(|job| job.query.clone()),
        column(|job| if job.auto { "ON" } else { "OFF" }.to_string()),
    ];
    text_rows(&["job_id", "job_name", "data_source", "copy_query", "auto"], columns)
}

/// `sys_copy_job`.
pub fn system_table() -> SystemTable {
    let (string, long) = (arrow::datatypes::DataType::Utf8, arrow::datatypes::DataType::Int64);
    let columns = [
        ("job_id", long.clone()),
        ("job_name", string.clone()),
        ("job_owner", string.clone()),
        ("data_source", string.clone()),
        ("copy_query", string),
        ("is_auto", long.clone()),
        ("loaded_files", long),
    ];
    table("pg_catalog", "sys_copy_job", &columns, |state| {
        let loaded = |job: &CopyJob| {
            let of_job = |object: &&std::sync::Arc<Object>| object.space() == Space::CopiedObject(job.oid);
            state.objects().filter(of_job).count()
        };
        let row = |job: &CopyJob| {
            vec![
                number(job.oid),
                text(&job.name),
                text(&job.owner),
                text(&job.source),
                text(&job.query),
                number(i64::from(job.auto)),
                number(loaded(job) as u64),
            ]
        };
        state.all::<CopyJob>().map(row).collect()
    })
}

/// Runs jobs by themselves, every `copy_job_interval_ms`, until the token is cancelled.
pub async fn keep_running(engine: Engine, stop: CancellationToken) {
    let (turns, mut looked_ms) = (Turns::default(), i64::MIN);
    while stop.run_until_cancelled(tokio::time::sleep(TICK)).await.is_some() {
        let (state, now_ms) = (engine.catalog().state(), engine.clock().now_ms());
        // The setting may have become shorter meanwhile.
        if now_ms < looked_ms.saturating_add(engine.settings().whole("copy_job_interval_ms")) {
            continue;
        }
        looked_ms = now_ms;
        turns.retain(|oid| state.object(oid).is_some());
        for job in state.all::<CopyJob>().filter(|job| job.auto) {
            let Some(mut turn) = turns.try_take(job.oid).filter(|turn| turn.not_before_ms <= now_ms) else { continue };
            let (engine, job, stop) = (engine.clone(), job.clone(), stop.clone());
            tokio::spawn(async move {
                match stop.run_until_cancelled(run_as_owner(&engine, &job)).await {
                    Some(Err(error)) => {
                        tracing::warn!(job = %job.name, %error, "a COPY job could not load");
                        *turn = turn.after_failure(engine.clock().now_ms());
                    }
                    Some(Ok(())) => *turn = Default::default(),
                    None => {}
                }
            });
        }
    }
}

/// As if its owner had asked for it.
async fn run_as_owner(engine: &Engine, job: &CopyJob) -> Result<()> {
    let path = vec![("search_path".to_string(), job.search_path.clone())];
    let mut session = engine.open_session(&job.owner, DATABASE, path)?;
    let name = job.name.replace('"', "\"\"");
    let ran: Result<()> = async {
        for piece in session.statements(&format!("COPY JOB RUN \"{name}\""))? {
            session.run(&piece, true).await?;
        }
        Ok(())
    }
    .await;
    session.close().await;
    ran
}
