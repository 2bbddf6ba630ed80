//! UNLOADs that are writing are in the log, so that a start after a crash takes back what they did not complete.

use crate::unload_form::Form;
use crate::unload_target::Target;
use futures::TryStreamExt;
use object_store::path::Path;
use std::time::Duration;
use tidegate_catalog::{Catalog, Change, UnloadAttempt};
use tidegate_core::Result;
use tidegate_query::Engine;
use tidegate_storage::Stores;
use tokio_util::sync::CancellationToken;

/// How long a store that does not answer is left alone.
const PAUSE: Duration = Duration::from_secs(30);

/// One that is writing.
pub struct Attempt {
    catalog: Catalog,
    attempt: UnloadAttempt,
}

impl Attempt {
    /// Notes it, durably, before anything is written. `fresh` says that nothing is under the prefix.
    pub async fn begin(catalog: &Catalog, form: &Form, fresh: bool) -> Result<Self> {
        let oid = catalog.next_oid()?;
        let (url, access) = (form.url.clone(), form.access.clone());
        let attempt = UnloadAttempt { oid, name: oid.to_string(), revision: 1, url, access, fresh };
        catalog.commit(vec![Change::put(attempt.clone())]).await?;
        Ok(Attempt { catalog: catalog.clone(), attempt })
    }

    /// Nothing of it is under way any more.
    pub async fn end(self) {
        end(&self.catalog, &self.attempt).await;
    }
}

async fn end(catalog: &Catalog, attempt: &UnloadAttempt) {
    let UnloadAttempt { oid, revision, .. } = *attempt;
    if let Err(error) = catalog.commit(vec![Change::Drop { oid, revision }]).await {
        tracing::warn!(%error, url = attempt.url, "an UNLOAD that has ended is looked at again at the next start");
    }
}

/// Takes back what earlier runs of the server did not complete. What is to be done is decided at the call, before there
/// are new ones.
pub fn recover(engine: &Engine, stop: CancellationToken) -> impl Future<Output = ()> + use<> {
    let (catalog, stores) = (engine.catalog().clone(), engine.stores().clone());
    let mut left: Vec<UnloadAttempt> = catalog.state().all::<UnloadAttempt>().cloned().collect();
    async move {
        while !left.is_empty() {
            let mut failed = Vec::new();
            for attempt in left {
                match take_back(&stores, &attempt).await {
                    Ok(()) => end(&catalog, &attempt).await,
                    Err(error) => {
                        tracing::warn!(%error, url = attempt.url, "what an UNLOAD did not complete is still there");
                        failed.push(attempt);
                    }
                }
            }
            left = failed;
            if left.is_empty() || stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none() {
                break;
            }
        }
    }
}

async fn take_back(stores: &Stores, attempt: &UnloadAttempt) -> Result<()> {
    let uploads = stores.take_back_uploads(&attempt.url, &attempt.access, is_name).await?;
    let mut files = 0;
    if attempt.fresh {
        let target = Target::at(stores, &attempt.url, &attempt.access)?;
        let there: Vec<Path> = target.below().try_collect().await?;
        let ours: Vec<Path> = there.into_iter().filter(|path| target.name_of(path).is_some_and(is_name)).collect();
        target.remove(&ours).await;
        files = ours.len();
    }
    tracing::info!(uploads, files, url = attempt.url, "what an UNLOAD did not complete was taken back");
    Ok(())
}

/// Whether UNLOAD gives a file such a name behind its prefix: folders, then `0000_part_00` or `000`, and an ending.
fn is_name(name: &str) -> bool {
    let name = name.rsplit_once('/').map_or(name, |(_, name)| name);
    let stem = name.split('.').next().unwrap_or_default();
    let digits = |text: &str, least: usize| text.len() >= least && text.bytes().all(|byte| byte.is_ascii_digit());
    match stem.split_once("_part_") {
        Some((slice, number)) => digits(slice, 4) && digits(number, 2),
        None => digits(stem, 3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_unload_are_told() {
        let cases = [
            ("0000_part_00", true),
            ("a=1/b=x/0012_part_103.parquet", true),
            ("000", true),
            ("007.csv.gz", true),
            ("manifest", false),
            ("00", false),
            ("0000_part_x", false),
            ("report.csv", false),
            ("", false),
        ];
        for (name, expected) in cases {
            assert_eq!(is_name(name), expected, "{name}");
        }
    }
}
