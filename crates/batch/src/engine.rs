//! The loop around the pure steps: one task looks at all jobs, and each attempt is a task of its own.

use crate::container::ContainerEngine;
use crate::events::{self, Told};
use crate::log_file::{self, LogFile};
use crate::recovery::LostContainers;
use crate::runner::{self, Gated};
use crate::state::{Cause, End, ended, running};
use crate::watch::Facts;
use crate::{recovery, schedule, spec};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tidegate_catalog::{Catalog, Change, ComputeEnvironment, Job, JobStatus, Object, Rounds, Runner};
use tidegate_core::{Error, Kind, Result};
use tidegate_query::Engine;
use tokio_util::sync::CancellationToken;

/// How often jobs are looked at while something happens.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// Longest time between two looks: what is kept too long is noticed by time alone.
const LOOK_INTERVAL_MAX_MS: i64 = 60_000;
/// Wait after a step could not be made durable.
const RETRY_MS: i64 = 1000;
/// Where jobs find the SQL port: containers share the network of the machine.
const HOST: &str = "127.0.0.1";
/// Wait before orphans are looked for again.
const ORPHANS_INTERVAL: Duration = Duration::from_millis(50);

/// All jobs of a server; clones share them.
#[derive(Clone)]
pub struct Jobs(Arc<Inner>);

struct Inner {
    engine: Engine,
    folder: PathBuf,
    port: u16,
    // Attempts, by id, that have a task.
    begun: Mutex<HashSet<String>>,
    told: Mutex<Told>,
}

impl Jobs {
    /// Of this engine; their files lie in a folder, and they reach the SQL port at this address.
    pub fn new(engine: Engine, folder: PathBuf, sql: SocketAddr) -> Self {
        Jobs(Arc::new(Inner { engine, folder, port: sql.port(), begun: Mutex::default(), told: Mutex::default() }))
    }

    /// Where logs lie.
    pub fn folder(&self) -> &Path {
        &self.0.folder
    }

    fn catalog(&self) -> &Catalog {
        self.0.engine.catalog()
    }

    async fn advance(&self, job: &Job, step: impl Fn(&Job) -> Option<Job>) -> Result<bool> {
        let moved = self.catalog().advance(job.oid, &[], step).await?;
        self.tell();
        Ok(moved)
    }

    /// Tells those who listen what has become of jobs.
    fn tell(&self) {
        let state = self.catalog().state();
        let news = self.0.told.lock().news(&state);
        news.into_iter().for_each(|event| self.0.engine.notifier().tell(events::CHANNEL, event));
    }

    fn now_ms(&self) -> i64 {
        self.0.engine.clock().now_ms()
    }

    /// Runs jobs until the token is cancelled; then ends those that run.
    pub async fn run(self, stop: CancellationToken) {
        let mut rounds = Rounds::new(self.catalog(), LOOK_INTERVAL);
        if stop.run_until_cancelled(self.recover(&mut rounds, &stop)).await.is_none() {
            return;
        }
        while rounds.next(&stop).await {
            let wait_ms = match self.look(&mut rounds, &stop).await {
                Ok(()) => LOOK_INTERVAL_MAX_MS,
                Err(error) => {
                    tracing::warn!(%error, "jobs could not go on, and are tried again");
                    RETRY_MS
                }
            };
            rounds.next_at(self.now_ms().saturating_add(wait_ms));
        }
        rounds.finish().await;
    }

    /// Ends what ran when the server was killed. Processes are gone before anything is scheduled; containers may have to
    /// wait for their engine, and their jobs with them.
    async fn recover(&self, rounds: &mut Rounds, stop: &CancellationToken) {
        let lost = recovery::lost(&self.catalog().state());
        for containers in lost.containers {
            let ids =
                containers.jobs.iter().filter_map(|job| job.state.attempts.last()).map(|attempt| attempt.id.clone());
            self.0.begun.lock().extend(ids);
            let (own, stop) = (self.clone(), stop.clone());
            rounds.spawn(async move {
                stop.run_until_cancelled(own.recover_containers(&containers)).await;
            });
        }
        loop {
            let found = recovery::end_processes(&lost.processes).await;
            if found == 0 {
                break;
            }
            tracing::info!(processes = found, "ending what jobs left running when the server ended");
            tokio::time::sleep(ORPHANS_INTERVAL).await;
        }
        self.note_lost(&lost.processes).await;
    }

    async fn recover_containers(&self, lost: &LostContainers) {
        let jobs = &lost.jobs;
        while let Err(error) = recovery::end_containers(lost).await {
            tracing::warn!(environment = %lost.place.name, %error, jobs = jobs.len(), "what jobs left running cannot be ended yet");
            // One that somebody has given up is not tried again, so that it may be noted all the same.
            let state = self.catalog().state();
            let given_up = |job: &&Job| state.get::<Job>(job.oid).is_some_and(|job| job.state.stop.is_some());
            let given_up: Vec<Job> = jobs.iter().filter(given_up).cloned().collect();
            self.note_lost(&given_up).await;
            tokio::time::sleep(Duration::from_millis(RETRY_MS.unsigned_abs())).await;
        }
        self.note_lost(jobs).await;
    }

    async fn note_lost(&self, jobs: &[Job]) {
        for job in jobs {
            let now_ms = self.now_ms();
            let id = job.state.attempts.last().map(|attempt| attempt.id.clone()).unwrap_or_default();
            while let Err(error) = self.advance(job, |job| recovery::step(job, &id, now_ms)).await {
                tracing::warn!(job = %job.name, %error, "a job that was lost cannot be noted, and is tried again");
                tokio::time::sleep(Duration::from_millis(RETRY_MS.unsigned_abs())).await;
            }
            self.0.begun.lock().remove(&id);
        }
    }

    /// Makes the steps that are due durable, and begins the attempts that have a place.
    async fn look(&self, rounds: &mut Rounds, stop: &CancellationToken) -> Result<()> {
        self.tell();
        let state = self.catalog().state();
        let now_ms = self.now_ms();
        let steps = schedule::steps(&state, now_ms, &mut || self.0.engine.rng().uuid());
        if !steps.is_empty() {
            match self.catalog().commit(steps.into_iter().map(Change::put).collect()).await {
                // A statement was first: the next look sees what it did.
                Err(error) if error.kind() == Kind::Conflict => {}
                other => drop(other?),
            }
            self.tell();
        }
        self.forget(now_ms).await?;
        for job in self.catalog().state().all::<Job>().filter(|job| job.state.status == JobStatus::Starting) {
            let Some(attempt) = job.state.attempts.last() else { continue };
            if self.0.begun.lock().insert(attempt.id.clone()) {
                rounds.spawn(self.clone().attempt(job.clone(), attempt.id.clone(), stop.clone()));
            }
        }
        Ok(())
    }

    /// Drops what ended long ago, with its files.
    async fn forget(&self, now_ms: i64) -> Result<()> {
        let state = self.catalog().state();
        let old = schedule::expired(&state, now_ms);
        if old.is_empty() {
            return Ok(());
        }
        let gone = old.iter().map(|job| Change::Drop { oid: job.oid, revision: job.revision }).collect();
        self.catalog().commit(gone).await?;
        for job in old {
            let folder = log_file::folder(&self.0.folder, job);
            match tokio::fs::remove_dir_all(&folder).await {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(%error, folder = %folder.display(), "a job's log is left behind");
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// One attempt, from its process to what it ended with.
    async fn attempt(self, job: Job, id: String, stop: CancellationToken) {
        let end = self.perform(&job, &id, &stop).await.unwrap_or_else(|error| {
            tracing::warn!(job = %job.name, %error, "an attempt of a job could not be started");
            Some(End { cause: Cause::NotStarted(error.message().to_string()), exit_code: None })
        });
        // What was only being prepared when the server stopped is found by the next start.
        let Some(end) = end else { return };
        let now_ms = self.now_ms();
        while let Err(error) = self.advance(&job, |job| ended(job, &id, &end, now_ms)).await {
            tracing::warn!(job = %job.name, %error, "the end of a job cannot be noted, and is tried again");
            if stop
                .run_until_cancelled(tokio::time::sleep(Duration::from_millis(RETRY_MS.unsigned_abs())))
                .await
                .is_none()
            {
                break;
            }
        }
        self.0.begun.lock().remove(&id);
    }

    /// Fetches, prepares and runs an attempt. None: the server stops, and nothing has begun.
    async fn perform(&self, job: &Job, id: &str, stop: &CancellationToken) -> Result<Option<End>> {
        let number = job.state.attempts.len();
        let place = self.place(job)?;
        if let Some(image) = job.spec.container.image.as_ref().filter(|_| place.runner == Runner::Container) {
            let engine = ContainerEngine::connect(place.docker_host.as_deref()).await?;
            match stop.run_until_cancelled(engine.fetch(image)).await {
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    let cause = Cause::NotPulled(error.message().to_string());
                    return Ok(Some(End { cause, exit_code: None }));
                }
                None => return Ok(None),
            }
        }
        let own = log_file::folder(&self.0.folder, job).join(format!("{number}.dir"));
        tokio::fs::create_dir_all(&own).await.map_err(|error| Error::from(error).context(own.display()))?;
        let log = LogFile::create(&log_file::path(&self.0.folder, job, number), self.0.engine.clock().clone()).await?;
        let pass = self.0.engine.lend(&job.spec.user);
        let variables = spec::variables(&place, job, id, pass.url(HOST, self.0.port));
        let prepared = stop.run_until_cancelled(runner::prepare(&place, &job.spec, &variables, &own)).await;
        let Some(gated) = prepared.transpose()? else { return Ok(None) };
        let end = self.open(job, id, gated, log, stop).await;
        // What is left there keeps nobody from going on.
        drop(tokio::fs::remove_dir_all(&own).await);
        end
    }

    fn place(&self, job: &Job) -> Result<ComputeEnvironment> {
        let oid = job.state.attempts.last().map(|attempt| attempt.environment).unwrap_or_default();
        match self.catalog().state().object(oid).map(|object| object.as_ref()) {
            Some(Object::ComputeEnvironment(place)) => Ok(place.clone()),
            _ => Err(Error::new(Kind::UndefinedObject, "its compute environment has been dropped")),
        }
    }

    /// Notes what runs it, opens its gate, and watches it to its end.
    async fn open(
        &self,
        job: &Job,
        id: &str,
        gated: Gated,
        log: LogFile,
        stop: &CancellationToken,
    ) -> Result<Option<End>> {
        let now_ms = self.now_ms();
        let begin = |job: &Job| running(job, id, gated.mark(), now_ms).filter(|job| job.state.stop.is_none());
        match self.advance(job, begin).await {
            Ok(true) => {}
            other => {
                gated.discard().await;
                return other.map(|_| Some(End { cause: Cause::Stopped, exit_code: None }));
            }
        }
        let deadline_ms = job.spec.timeout_ms.map(|timeout_ms| now_ms.saturating_add(timeout_ms));
        let facts = || Facts {
            now_ms: self.now_ms(),
            memory_bytes: 0,
            stop: self.catalog().state().get::<Job>(job.oid).is_none_or(|job| job.state.stop.is_some()),
            shutdown: stop.is_cancelled(),
        };
        Ok(gated.run(&job.spec, deadline_ms, log, facts).await)
    }
}
