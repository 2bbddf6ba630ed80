//! What runs an attempt: a process of this machine, or a container.

use crate::container::{ContainerEngine, GatedContainer};
use crate::log_file::LogFile;
use crate::process::{self, GatedProcess};
use crate::state::End;
use crate::watch::{Facts, Watch};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tidegate_catalog::{AttemptMark, ComputeEnvironment, JobSpec, Runner};
use tidegate_core::Result;

/// An attempt that is prepared and does nothing before its gate is opened.
pub enum Gated {
    /// In a process.
    Process(GatedProcess),
    /// In a container.
    Container(GatedContainer),
}

/// Prepares an attempt in an environment. `own` is the folder that a process begins in.
pub async fn prepare(
    place: &ComputeEnvironment,
    spec: &JobSpec,
    variables: &BTreeMap<String, String>,
    own: &Path,
) -> Result<Gated> {
    match place.runner {
        Runner::Process => process::prepare(&spec.command, variables, own).map(Gated::Process),
        Runner::Container => {
            let engine = ContainerEngine::connect(place.docker_host.as_deref()).await?;
            engine.prepare(spec, variables).await.map(Gated::Container)
        }
    }
}

impl Gated {
    /// By what it is found again.
    pub fn mark(&self) -> AttemptMark {
        match self {
            Gated::Process(process) => AttemptMark::Process(process.mark),
            Gated::Container(container) => AttemptMark::Container(container.id.clone()),
        }
    }

    /// Opens the gate, and stays until all that runs has ended. A container's memory is the kernel's to watch. None: the
    /// server stops, and what runs is for the next start to find.
    pub async fn run(
        self,
        spec: &JobSpec,
        deadline_ms: Option<i64>,
        log: LogFile,
        facts: impl Fn() -> Facts,
    ) -> Option<End> {
        let log = Arc::new(log);
        match self {
            Gated::Process(process) => {
                let memory_bytes_max = spec.memory_mib.map(|mib| mib.saturating_mul(1 << 20));
                Some(process.run(log, Watch::new(deadline_ms, memory_bytes_max), facts).await)
            }
            Gated::Container(container) => container.run(log, Watch::new(deadline_ms, None), facts).await,
        }
    }

    /// Lets it go unused.
    pub async fn discard(self) {
        match self {
            Gated::Process(process) => drop(process),
            Gated::Container(container) => container.discard().await,
        }
    }
}
