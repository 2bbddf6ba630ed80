//! The applied state: what the log amounts to up to one position, in a `redb` file.

use crate::fault;
use parking_lot::Mutex;
use redb::{Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition, TableHandle};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};

const STATE: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("state");
const META: TableDefinition<'static, &str, u64> = TableDefinition::new("meta");
const APPLIED: &str = "applied";
const NEEDED: &str = "needed";

/// Pages of the file kept in memory, in bytes. What is read often is kept by the readers themselves.
const STATE_CACHE_BYTES: usize = 64 << 20;

type Open = Box<dyn Fn(&Path) -> Result<Database, DatabaseError> + Send + Sync>;

/// The applied state on disk: entries by key, and the position of the log up to which they hold.
pub struct StateStore {
    path: PathBuf,
    open: Open,
    /// Empty after a failed read or write: the file is opened anew for the next use.
    database: Mutex<Option<Arc<Database>>>,
}

impl std::fmt::Debug for StateStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StateStore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl StateStore {
    /// Opens or makes the file. XX001 when it is damaged, or the file of something else.
    pub fn open(path: &Path) -> Result<StateStore> {
        Self::over(path, Box::new(open_file))
    }

    fn over(path: &Path, open: Open) -> Result<StateStore> {
        let store = StateStore { path: path.to_path_buf(), open, database: Mutex::new(None) };
        let fresh = store.run(|database| {
            let read = database.begin_read()?;
            let tables: Vec<_> = read.list_tables()?.map(|table| table.name().to_string()).collect();
            if tables.is_empty() {
                return Ok(true);
            }
            read.open_table(STATE)?;
            read.open_table(META)?;
            Ok(false)
        })?;
        if fresh {
            store.commit(0, 1, &[])?;
            sync_parent(path)?;
        }
        Ok(store)
    }

    /// The position of the log up to which the entries hold; 0 at first.
    pub fn applied(&self) -> Result<u64> {
        self.run(|database| {
            let meta = database.begin_read()?.open_table(META)?;
            Ok(meta.get(APPLIED)?.map_or(0, |position| position.value()))
        })
    }

    /// The oldest frame of the log that is needed beside the entries; 1 at first.
    pub fn needed(&self) -> Result<u64> {
        self.run(|database| {
            let meta = database.begin_read()?.open_table(META)?;
            Ok(meta.get(NEEDED)?.map_or(1, |position| position.value()))
        })
    }

    /// Gives all entries in the order of their keys, as they stood at one moment.
    pub fn load(&self, mut each: impl FnMut(&str, &[u8]) -> Result<()>) -> Result<()> {
        self.run(|database| {
            let table = database.begin_read()?.open_table(STATE)?;
            for entry in table.iter()? {
                let (key, value) = entry?;
                if let Err(error) = each(key.value(), value.value()) {
                    return Ok(Err(error));
                }
            }
            Ok(Ok(()))
        })?
    }

    /// Applies changes (`None` deletes) and notes the position up to which they hold and the oldest frame that is needed
    /// beside them, in one durable transaction. After an error nothing of it is there, and the store stays usable.
    pub fn commit(&self, applied: u64, needed: u64, changes: &[(String, Option<Vec<u8>>)]) -> Result<()> {
        self.run(|database| {
            let write = database.begin_write()?;
            {
                let mut state = write.open_table(STATE)?;
                for (key, value) in changes {
                    match value {
                        Some(value) => state.insert(key.as_str(), value.as_slice())?,
                        None => state.remove(key.as_str())?,
                    };
                }
                let mut meta = write.open_table(META)?;
                meta.insert(APPLIED, applied)?;
                meta.insert(NEEDED, needed)?;
            }
            if let Err(error) = fault::point("state.commit") {
                write.abort()?;
                return Ok(Err(error));
            }
            write.commit()?;
            Ok(Ok(()))
        })?
    }

    fn run<T>(&self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T> {
        let database = self.database()?;
        work(&database).map_err(|error| {
            // After a failed read or write redb refuses everything until the file is opened anew.
            if matches!(error, redb::Error::Io(_) | redb::Error::PreviousIo | redb::Error::Backend(_)) {
                *self.database.lock() = None;
            }
            state_error(error, &self.path)
        })
    }

    fn database(&self) -> Result<Arc<Database>> {
        let mut slot = self.database.lock();
        if let Some(database) = &*slot {
            return Ok(database.clone());
        }
        let database = (self.open)(&self.path).map_err(|error| state_error(error.into(), &self.path))?;
        let database = Arc::new(database);
        *slot = Some(database.clone());
        Ok(database)
    }
}

fn open_file(path: &Path) -> Result<Database, DatabaseError> {
    builder().create(path)
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    // Without the check a damaged file is trusted, and may end in a panic much later.
    builder.set_cache_size(STATE_CACHE_BYTES).set_check_integrity_on_open(true);
    builder
}

fn sync_parent(path: &Path) -> Result<()> {
    let Some(folder) = path.parent() else { return Ok(()) };
    std::fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|e| Error::from(e).context(folder.display()))
}

fn state_error(error: redb::Error, path: &Path) -> Error {
    let shown = path.display();
    match error {
        redb::Error::Io(error) => match error.kind() {
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof => damaged(path, &error.to_string()),
            _ => Error::from(error).context(format_args!("state file {shown}")),
        },
        redb::Error::DatabaseAlreadyOpen => {
            Error::new(Kind::NotInState, format!("state file {shown} is open elsewhere")).hint("Try again.")
        }
        redb::Error::UpgradeRequired(version) => {
            Error::new(Kind::NotInState, format!("state file {shown} has the older file format {version}"))
                .hint("Open it once with the server that wrote it.")
        }
        redb::Error::Corrupted(what) => damaged(path, &what),
        redb::Error::TableTypeMismatch { .. }
        | redb::Error::TableIsMultimap(_)
        | redb::Error::TableDoesNotExist(_)
        | redb::Error::TypeDefinitionChanged { .. } => damaged(path, &format!("not a state file: {error}")),
        redb::Error::ValueTooLarge(bytes) => {
            Error::new(Kind::ProgramLimit, format!("an entry of {bytes} bytes is too large for state file {shown}"))
        }
        other => Error::new(Kind::Io, format!("state file {shown}: {other}")),
    }
}

fn damaged(path: &Path, what: &str) -> Error {
    Error::new(Kind::DataCorrupted, format!("state file {} is damaged: {what}", path.display()))
        .hint("Restore it, or the data directory, from a copy.")
}

#[cfg(test)]
mod tests;
