//! The janitor: removes the objects that the state has let go of, once nobody can be reading them.

use crate::catalog::Catalog;
use crate::object::Oid;
use std::sync::Arc;
use std::time::Duration;
use tidegate_core::Result;
use tidegate_storage::Stores;
use tokio_util::sync::CancellationToken;

/// How often it looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// The folders in which each object has one, called by its number.
const FOLDERS: [&str; 2] = ["tables", "streams"];

/// Removes what is no longer needed below one folder.
pub struct Janitor {
    catalog: Catalog,
    stores: Arc<Stores>,
    root: String,
    /// Numbers from this one on are given to objects that may not be committed yet.
    known_below: u64,
}

impl Janitor {
    /// For the folder of this URL, which has no slash at its end. To be made before the first object is.
    pub fn new(catalog: Catalog, stores: Arc<Stores>, root: String) -> Self {
        let known_below = catalog.state().next_id;
        Janitor { catalog, stores, root, known_below }
    }

    /// Removes what an earlier run of the server left behind, and then what this one lets go of, until the token is
    /// cancelled.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        if let Err(error) = self.sweep().await {
            tracing::warn!(%error, "what earlier runs left behind could not be looked for");
        }
        while stop.run_until_cancelled(tokio::time::sleep(LOOK_INTERVAL)).await.is_some() {
            for url in self.catalog.free() {
                self.remove(&url).await;
            }
        }
    }

    /// Removes the folders of objects that were dropped, or never committed, before the server was killed.
    async fn sweep(&self) -> Result<()> {
        let state = self.catalog.state();
        for folder in FOLDERS {
            let folder = format!("{}/{folder}", self.root);
            for name in self.stores.folders(&folder).await? {
                let Ok(oid) = name.parse::<Oid>() else { continue };
                if u64::from(oid) < self.known_below && state.object(oid).is_none() {
                    self.remove(&format!("{folder}/{name}/")).await;
                }
            }
        }
        Ok(())
    }

    async fn remove(&self, url: &str) {
        if let Err(error) = self.stores.remove(url).await {
            tracing::warn!(%error, url, "an object that is no longer needed could not be removed");
        }
    }
}
