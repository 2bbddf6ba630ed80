//! The janitor: removes the objects that the state has let go of, once nobody can be reading them; files of tables only
//! when others, who read the tables' logs, have had their time too.

use crate::catalog::Catalog;
use crate::change::Change;
use crate::object::{Oid, Relation, RelationKind};
use crate::table::GoneFile;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tidegate_core::{Result, Settings};
use tidegate_storage::{Stores, fault};
use tokio_util::sync::CancellationToken;

/// How often it looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Most files that one look takes from a table.
const FILES_MAX: usize = 1000;
/// The folders in which each object has one, called by its number.
const FOLDERS: [&str; 2] = ["tables", "streams"];

/// Removes what is no longer needed below one folder.
pub struct Janitor {
    catalog: Catalog,
    settings: Settings,
    stores: Arc<Stores>,
    root: String,
    /// Numbers from this one on are given to objects that may not be committed yet.
    known_below: u64,
}

impl Janitor {
    /// For the folder of this URL, which has no slash at its end. To be made before the first object is.
    pub fn new(settings: Settings, catalog: Catalog, stores: Arc<Stores>, root: String) -> Self {
        let known_below = catalog.state().next_id;
        Janitor { settings, catalog, stores, root, known_below }
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
            if let Err(error) = self.remove_gone().await {
                tracing::warn!(%error, "files that tables have let go of could not be removed");
            }
        }
    }

    /// Removes the files of tables whose retention has ended and that no state in use names.
    async fn remove_gone(&self) -> Result<()> {
        let until_ms = self.catalog.clock().now_ms() - self.settings.whole("deleted_file_retention_ms");
        let (state, oldest) = (self.catalog.state(), self.catalog.oldest_in_use());
        for (relation, location) in state.relations().filter_map(table) {
            let Some(files) = state.files(relation.oid) else { continue };
            let is_due = |gone: &GoneFile| gone.since_ms <= until_ms && gone.position <= oldest;
            let due: Vec<_> = files.gone.iter().filter(|(_, gone)| is_due(gone)).take(FILES_MAX).collect();
            if due.is_empty() {
                continue;
            }
            for (_, gone) in &due {
                self.stores.remove(&format!("{location}/{}", gone.path)).await?;
            }
            fault::point("table.removed")?;
            let files = due.into_iter().map(|(id, _)| *id).collect();
            self.catalog.commit(vec![Change::Forget { table: relation.oid, files }]).await?;
        }
        Ok(())
    }

    /// Removes what was dropped, or never committed, before the server was killed: folders of objects, and files of tables.
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
        for (relation, location) in state.relations().filter_map(table) {
            let files = state.files(relation.oid).cloned().unwrap_or_default();
            let gone = files.gone.values().map(|file| file.path.as_str());
            let listed: HashSet<&str> = files.files.values().map(|file| file.path.as_str()).chain(gone).collect();
            for name in self.stores.names(location).await? {
                if number(&name).is_some_and(|id| id < self.known_below) && !listed.contains(name.as_str()) {
                    self.remove(&format!("{location}/{name}")).await;
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

fn table(relation: &Relation) -> Option<(&Relation, &str)> {
    match &relation.kind {
        RelationKind::Table(spec) => Some((relation, spec.location.as_str())),
        _ => None,
    }
}

/// The number in the name of a table's file, `part-0000000012-….parquet`.
fn number(name: &str) -> Option<u64> {
    name.strip_prefix("part-")?.strip_suffix(".parquet")?.split('-').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_numbers() {
        for (name, found) in [("part-0000000012-a-b.parquet", Some(12)), ("part-x-a.parquet", None), ("a", None)] {
            assert_eq!(number(name), found, "{name}");
        }
    }
}
