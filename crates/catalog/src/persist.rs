//! The state as entries of the key-value store: which entry a change touches, and what it holds.
//!
//! The tails of streams and tables are not among them: they lie in the log until they are in files. Of a table's tail an
//! entry says which of the log's rows still belong to it.

use crate::change::{AddedRows, Change};
use crate::object::{Object, Oid};
use crate::shard::{Segment, Shard, ShardHead};
use crate::state::State;
use crate::table::{Analysis, DataFile, GoneFile, TableFiles};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};
use tidegate_storage::StateStore;

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    NextId,
    Object(Oid),
    Table(Oid),
    File(Oid, u64),
    Rows(Oid, u64),
    Gone(Oid, u64),
    Export(Oid, u64),
    Counted(Oid),
    Shard(Oid, u32),
    Segment(Oid, u32, u64),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::NextId => f.write_str("a/next_id"),
            Key::Object(oid) => write!(f, "o/{oid}"),
            Key::Table(oid) => write!(f, "t/{oid}"),
            Key::File(oid, id) => write!(f, "t/{oid}/f/{id}"),
            Key::Rows(oid, id) => write!(f, "t/{oid}/r/{id}"),
            Key::Gone(oid, id) => write!(f, "t/{oid}/g/{id}"),
            Key::Export(oid, version) => write!(f, "t/{oid}/x/{version}"),
            Key::Counted(oid) => write!(f, "t/{oid}/n"),
            Key::Shard(oid, shard) => write!(f, "u/{oid}/{shard}"),
            Key::Segment(oid, shard, first) => write!(f, "u/{oid}/{shard}/s/{first}"),
        }
    }
}

impl Key {
    fn parse(text: &str) -> Option<Key> {
        let parts: Vec<&str> = text.split('/').collect();
        match parts.as_slice() {
            ["a", "next_id"] => Some(Key::NextId),
            ["o", oid] => Some(Key::Object(oid.parse().ok()?)),
            ["t", oid] => Some(Key::Table(oid.parse().ok()?)),
            ["t", oid, "f", id] => Some(Key::File(oid.parse().ok()?, id.parse().ok()?)),
            ["t", oid, "r", id] => Some(Key::Rows(oid.parse().ok()?, id.parse().ok()?)),
            ["t", oid, "g", id] => Some(Key::Gone(oid.parse().ok()?, id.parse().ok()?)),
            ["t", oid, "x", version] => Some(Key::Export(oid.parse().ok()?, version.parse().ok()?)),
            ["t", oid, "n"] => Some(Key::Counted(oid.parse().ok()?)),
            ["u", oid, shard] => Some(Key::Shard(oid.parse().ok()?, shard.parse().ok()?)),
            ["u", oid, shard, "s", first] => {
                Some(Key::Segment(oid.parse().ok()?, shard.parse().ok()?, first.parse().ok()?))
            }
            _ => None,
        }
    }

    /// What the entry holds in a state; None when it is not there.
    fn value(&self, state: &State) -> Result<Option<Vec<u8>>> {
        match self {
            Key::NextId => json(Some(&state.next_id)),
            Key::Object(oid) => json(state.object(*oid)),
            Key::Table(oid) => json(state.files(*oid).map(|table| TableHead::of(table)).as_ref()),
            Key::File(oid, id) => json(state.files(*oid).and_then(|table| table.files.get(id))),
            Key::Rows(oid, id) => {
                json(state.files(*oid).and_then(|table| table.tail.get(id)).map(|rows| rows.added).as_ref())
            }
            Key::Gone(oid, id) => json(state.files(*oid).and_then(|table| table.gone.get(id))),
            Key::Export(oid, version) => json(state.files(*oid).and_then(|table| table.outbox.get(version))),
            Key::Counted(oid) => json(counted_of(state, *oid).as_ref()),
            Key::Shard(oid, shard) => json(state.shard(*oid, *shard).map(|shard| shard.head()).as_ref()),
            Key::Segment(oid, shard, first) => json(state.shard(*oid, *shard).and_then(|s| s.segments.get(first))),
        }
    }

    /// Puts an entry's value into a state. Keys come in order, so what an entry belongs to is there already.
    fn load(&self, state: &mut State, awaited: &mut Awaited, value: &[u8]) -> Result<()> {
        match self {
            Key::NextId => state.next_id = self.read(value)?,
            Key::Object(_) => {
                let object: Arc<Object> = self.read(value)?;
                state.apply(&Change::Put(object), 0);
            }
            Key::Table(oid) => {
                let head: TableHead = self.read(value)?;
                state.tables.insert(*oid, Arc::new(head.table()));
            }
            Key::File(oid, _) => {
                let file: DataFile = self.read(value)?;
                state.on_table(*oid, |table| drop(table.files.insert(file.id, Arc::new(file))));
            }
            Key::Gone(oid, id) => {
                let gone: GoneFile = self.read(value)?;
                state.on_table(*oid, |table| drop(table.gone.insert(*id, Arc::new(gone))));
            }
            Key::Rows(oid, id) => {
                awaited.0.insert((*oid, *id), self.read(value)?);
            }
            Key::Export(oid, version) => {
                let text: Arc<str> = self.read(value)?;
                state.apply(&Change::Export { table: *oid, version: *version, text }, 0);
            }
            Key::Counted(oid) => {
                let counted: BTreeMap<String, u64> = self.read(value)?;
                for (column, taken) in counted {
                    state.apply(&Change::Counted { table: *oid, column, taken }, 0);
                }
            }
            Key::Shard(oid, number) => {
                let head: ShardHead = self.read(value)?;
                let mut shards = state.streams.get(oid).cloned().unwrap_or_default();
                shards.insert(*number, Arc::new(Shard::from_head(head)));
                state.streams.insert(*oid, shards);
            }
            Key::Segment(oid, shard, _) => {
                let segment: Segment = self.read(value)?;
                state.apply(&Change::Seal { stream: *oid, shard: *shard, segment }, 0);
            }
        }
        Ok(())
    }

    fn read<T: DeserializeOwned>(&self, value: &[u8]) -> Result<T> {
        serde_json::from_slice(value).map_err(|error| {
            Error::new(Kind::DataCorrupted, format!("entry {self} of the state cannot be read: {error}"))
        })
    }
}

/// None for a table that has no IDENTITY column.
fn counted_of(state: &State, table: Oid) -> Option<BTreeMap<String, u64>> {
    let counted = &state.files(table)?.counted;
    let entries = || counted.iter().map(|(column, taken)| (column.clone(), *taken)).collect();
    (!counted.is_empty()).then(entries)
}

fn json<T: Serialize>(value: Option<&T>) -> Result<Option<Vec<u8>>> {
    value.map(|value| serde_json::to_vec(value).map_err(Error::internal)).transpose()
}

/// What is stored of a table beside its parts.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum TableHead {
    /// Its version alone, as it once was.
    Version(u64),
    Whole {
        version: u64,
        changed: u64,
        analysis: Option<Arc<Analysis>>,
    },
}

impl TableHead {
    fn of(table: &TableFiles) -> Self {
        TableHead::Whole { version: table.version, changed: table.changed, analysis: table.analysis.clone() }
    }

    fn table(self) -> TableFiles {
        let (version, changed, analysis) = match self {
            TableHead::Version(version) => (version, 0, None),
            TableHead::Whole { version, changed, analysis } => (version, changed, analysis),
        };
        TableFiles { version, changed, analysis, ..TableFiles::default() }
    }
}

/// Rows of tables' tails that the log is to give back, with the frame that holds them.
#[derive(Debug, Default)]
pub struct Awaited(BTreeMap<(Oid, u64), u64>);

impl Awaited {
    /// Whether these rows still belong to their table. They are awaited no longer.
    pub fn take(&mut self, rows: &AddedRows) -> bool {
        self.0.remove(&(rows.table, rows.id)).is_some()
    }

    /// XX001 when the log did not have all of them.
    pub fn check(&self) -> Result<()> {
        let Some(((table, _), frame)) = self.0.first_key_value() else { return Ok(()) };
        let message = format!("frame {frame} of the log is gone, which holds rows of table {table}");
        Err(Error::new(Kind::DataCorrupted, message).hint("Restore the folder wal from a copy."))
    }
}

/// The entries that changes have touched since they were last written.
#[derive(Debug, Default)]
pub struct Dirty(BTreeSet<Key>);

impl Dirty {
    /// Notes what a change touches. `before` is the state without it: a drop touches what it takes along.
    pub fn note(&mut self, before: &State, change: &Change) {
        match change {
            Change::Put(object) => {
                self.0.insert(Key::NextId);
                self.0.insert(Key::Object(object.oid()));
            }
            Change::Drop { oid, .. } => self.note_drop(before, *oid),
            Change::AddShards { stream, shards } => self.0.extend(shards.iter().map(|s| Key::Shard(*stream, s.number))),
            Change::AddFiles { table, files } => {
                self.0.extend([Key::NextId, Key::Table(*table)]);
                self.0.extend(files.iter().map(|file| Key::File(*table, file.id)));
            }
            Change::AddRows(added) => {
                self.0.extend([Key::NextId, Key::Table(added.table), Key::Rows(added.table, added.id)]);
            }
            Change::RemoveFiles { table, files, .. } => {
                self.0.insert(Key::Table(*table));
                self.note_parts(*table, files);
            }
            Change::Analyzed { table, .. } => self.0.extend([Key::Table(*table)]),
            Change::Rewrite { table, parts, files } => {
                self.note_parts(*table, parts);
                self.0.insert(Key::NextId);
                self.0.extend(files.iter().map(|file| Key::File(*table, file.id)));
            }
            Change::Append(_) | Change::MadeFor { .. } | Change::At { .. } => {}
            Change::Forget { table, files } => self.0.extend(files.iter().map(|id| Key::Gone(*table, *id))),
            Change::Appended(appended) => {
                self.0.insert(Key::Shard(appended.stream, appended.shard));
            }
            Change::Seal { stream, shard, segment } => {
                self.0.extend([Key::Shard(*stream, *shard), Key::Segment(*stream, *shard, segment.first)]);
            }
            Change::Trim { stream, shard, oldest } => self.note_trim(before, *stream, *shard, *oldest),
            Change::Counted { table, .. } => {
                self.0.insert(Key::Counted(*table));
            }
            Change::Export { table, version, .. } => {
                self.0.extend([Key::Table(*table), Key::Export(*table, *version)]);
            }
            Change::Exported { table, version } => {
                let outbox = before.files(*table).map(|table| table.outbox.clone()).unwrap_or_default();
                self.0.extend(outbox.keys().filter(|written| *written <= version).map(|v| Key::Export(*table, *v)));
            }
        }
    }

    /// Parts that go: of the table or of what came since, in a file or not.
    fn note_parts(&mut self, table: Oid, parts: &[u64]) {
        self.0
            .extend(parts.iter().flat_map(|id| [Key::File(table, *id), Key::Rows(table, *id), Key::Gone(table, *id)]));
    }

    fn note_drop(&mut self, before: &State, oid: Oid) {
        self.0.insert(Key::Object(oid));
        if let Some(table) = before.files(oid) {
            self.0.extend([Key::Table(oid), Key::Counted(oid)]);
            self.0.extend(table.files.keys().map(|id| Key::File(oid, *id)));
            self.0.extend(table.gone.keys().map(|id| Key::Gone(oid, *id)));
            self.0.extend(table.tail.keys().map(|id| Key::Rows(oid, *id)));
            self.0.extend(table.outbox.keys().map(|version| Key::Export(oid, *version)));
        }
        for shard in before.shards(oid) {
            self.0.insert(Key::Shard(oid, shard.spec.number));
            self.0.extend(shard.segments.keys().map(|first| Key::Segment(oid, shard.spec.number, *first)));
        }
        self.0.extend(before.owned_by(oid).map(|object| Key::Object(object.oid())));
    }

    fn note_trim(&mut self, before: &State, stream: Oid, number: u32, oldest: u64) {
        self.0.insert(Key::Shard(stream, number));
        if let Some(shard) = before.shard(stream, number) {
            let gone = shard.segments.values().filter(|segment| segment.end <= oldest);
            self.0.extend(gone.map(|segment| Key::Segment(stream, number, segment.first)));
        }
    }

    /// Takes what has been noted.
    pub fn take(&mut self) -> Dirty {
        std::mem::take(self)
    }

    /// Puts back what could not be written.
    pub fn give_back(&mut self, other: Dirty) {
        self.0.extend(other.0);
    }

    /// Whether nothing has been noted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes the entries as they stand in a state, and the oldest frame that is needed beside them.
    pub fn write(&self, store: &StateStore, state: &State, needed: u64) -> Result<()> {
        let entry = |key: &Key| Ok((key.to_string(), key.value(state)?));
        let entries: Vec<_> = self.0.iter().map(entry).collect::<Result<_>>()?;
        store.commit(state.position, needed, &entries)
    }
}

/// Reads the state as it was last written, and which rows it wants from the log.
pub fn load(store: &StateStore) -> Result<(State, Awaited)> {
    let (mut state, mut awaited) = (State::initial(), Awaited::default());
    store.load(|key, value| {
        let unknown =
            || Error::new(Kind::DataCorrupted, format!("the state holds an entry \"{key}\" that is not known"));
        Key::parse(key).ok_or_else(unknown)?.load(&mut state, &mut awaited, value)
    })?;
    state.position = store.applied()?;
    Ok((state, awaited))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_older_directories_are_read() {
        let read = |text: &str| serde_json::from_str::<TableHead>(text).unwrap().table();
        assert_eq!(read("7"), TableFiles { version: 7, ..TableFiles::default() });
        let table = TableFiles { version: 7, changed: 9, analysis: Some(Arc::default()), ..TableFiles::default() };
        assert_eq!(read(&serde_json::to_string(&TableHead::of(&table)).unwrap()), table);
    }

    #[test]
    fn keys_are_read_back() {
        let keys = [
            Key::NextId,
            Key::Object(1),
            Key::Table(2),
            Key::File(2, 3),
            Key::Rows(2, 5),
            Key::Gone(2, 6),
            Key::Export(2, 4),
            Key::Counted(2),
            Key::Shard(5, 6),
            Key::Segment(5, 6, 7),
        ];
        for key in keys {
            assert_eq!(Key::parse(&key.to_string()), Some(key.clone()), "{key}");
        }
        assert_eq!(Key::parse("o/x"), None);
    }
}
