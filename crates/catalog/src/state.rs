//! The state: everything the catalog knows at one position of the log, as an immutable value.
//!
//! Cloning is cheap (persistent maps); a transaction works on a clone of its own, a running query keeps the one it was
//! planned on.

use crate::change::{AddedRows, Append, Appended, Change};
use crate::function::Function;
use crate::object::{
    ADMIN, Consumer, Credential, HISTORY, HISTORY_SCHEMA, Object, Oid, PUBLIC, Relation, RelationKind, Schema, Space,
    StreamSpec,
};
use crate::records::RecordsBuilder;
use crate::shard::{Chunk, Shard};
use crate::table::{DataFile, TableFiles, TailRows};
use crate::table_spec::TableSpec;
use crate::types::Column;
use crate::user::User;
use imbl::OrdMap;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};

/// Whether a URL begins with a scope. A bucket's name must be whole: keys of one must not be sent to another.
fn lies_in(url: &str, scope: &str) -> bool {
    let Some(rest) = url.strip_prefix(scope) else { return false };
    let names_a_key = scope.split_once("://").is_none_or(|(_, path)| path.contains('/') || path.is_empty());
    names_a_key || rest.is_empty() || rest.starts_with('/')
}

/// Everything, at one position of the log.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// The last frame that is in it.
    pub position: u64,
    /// Objects by number.
    pub(crate) objects: OrdMap<Oid, Arc<Object>>,
    pub(crate) names: OrdMap<(Space, String), Oid>,
    /// Parts of tables.
    pub(crate) tables: OrdMap<Oid, Arc<TableFiles>>,
    /// When the changes were made that are being applied, in milliseconds of the Unix epoch.
    pub(crate) at_ms: i64,
    /// Memory that the tails of all tables take.
    pub(crate) tail_bytes: usize,
    /// Shards of streams.
    pub(crate) streams: OrdMap<Oid, OrdMap<u32, Arc<Shard>>>,
    /// The next number for an object or a file.
    pub(crate) next_id: u64,
}

/// Where a record was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordPlace {
    /// The shard's number.
    pub shard: u32,
    /// When the shard was made, in seconds of the Unix epoch.
    pub created_s: u64,
    /// The record's index in it.
    pub index: u64,
    /// When it came, in milliseconds of the Unix epoch.
    pub arrival_ms: i64,
}

impl State {
    /// What a new server knows: schema `public`, that of the history, and user `admin`.
    pub fn initial() -> Self {
        let mut state = State { next_id: u64::from(crate::object::FIRST_OID), ..State::default() };
        for (oid, name) in [(PUBLIC, "public"), (HISTORY, HISTORY_SCHEMA)] {
            state.put(Arc::new(Object::Schema(Schema {
                oid,
                name: name.into(),
                revision: 1,
                owner: ADMIN,
                source: None,
                quota_mb: None,
            })));
        }
        let admin = User {
            oid: ADMIN,
            name: "admin".into(),
            revision: 1,
            superuser: true,
            bypasses_policies: true,
            login: true,
            password: None,
            valid_until_us: None,
            connections_max: None,
            defaults: Vec::new(),
            member_of: Vec::new(),
        };
        state.put(Arc::new(Object::User(admin)));
        state
    }

    /// The object of a number.
    pub fn object(&self, oid: Oid) -> Option<&Arc<Object>> {
        self.objects.get(&oid)
    }

    /// The object of a name.
    pub fn find(&self, space: Space, name: &str) -> Option<&Arc<Object>> {
        self.object(*self.names.get(&(space, name.to_string()))?)
    }

    /// All objects, by number.
    pub fn objects(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.objects.values()
    }

    /// All functions that users have made, by number.
    pub fn functions(&self) -> impl Iterator<Item = &Function> {
        self.objects.values().filter_map(|object| match object.as_ref() {
            Object::Function(function) => Some(function.as_ref()),
            _ => None,
        })
    }

    /// The relation of a number.
    pub fn relation(&self, oid: Oid) -> Option<&Relation> {
        match self.object(oid)?.as_ref() {
            Object::Relation(relation) => Some(relation),
            _ => None,
        }
    }

    /// The relation of a name in a schema.
    pub fn relation_named(&self, schema: &str, name: &str) -> Option<&Relation> {
        let schema = self.find(Space::Schema, schema)?.oid();
        self.relation(self.find(Space::Relation(schema), name)?.oid())
    }

    /// All relations of users, by number.
    pub fn relations(&self) -> impl Iterator<Item = &Relation> {
        self.all_relations().filter(|relation| relation.schema != HISTORY)
    }

    /// The streams of the server's history.
    pub fn history(&self) -> impl Iterator<Item = &Relation> {
        self.all_relations().filter(|relation| relation.schema == HISTORY)
    }

    fn all_relations(&self) -> impl Iterator<Item = &Relation> {
        self.objects().filter_map(|object| match object.as_ref() {
            Object::Relation(relation) => Some(relation),
            _ => None,
        })
    }

    /// The name of a relation's schema.
    pub fn schema_name(&self, schema: Oid) -> &str {
        self.object(schema).map_or("?", |object| object.name())
    }

    /// A relation's name as messages show it: with its schema unless that is `public`.
    pub fn shown(&self, relation: &Relation) -> String {
        if relation.schema == PUBLIC {
            relation.name.clone()
        } else {
            format!("{}.{}", self.schema_name(relation.schema), relation.name)
        }
    }

    /// A stream and its definition.
    pub fn stream(&self, oid: Oid) -> Option<(&Relation, &StreamSpec)> {
        let relation = self.relation(oid)?;
        match &relation.kind {
            RelationKind::Stream(spec) => Some((relation, spec)),
            _ => None,
        }
    }

    /// A table and its definition.
    pub fn table(&self, oid: Oid) -> Option<(&Relation, &TableSpec)> {
        let relation = self.relation(oid)?;
        match &relation.kind {
            RelationKind::Table(spec) => Some((relation, spec)),
            _ => None,
        }
    }

    /// A table's files and its tail.
    pub fn files(&self, table: Oid) -> Option<&Arc<TableFiles>> {
        self.tables.get(&table)
    }

    /// Files and tails of all tables, by their numbers.
    pub fn all_files(&self) -> impl Iterator<Item = (Oid, &Arc<TableFiles>)> {
        self.tables.iter().map(|(oid, files)| (*oid, files))
    }

    /// Memory that the tails of all tables take.
    pub fn table_tail_bytes(&self) -> usize {
        self.tail_bytes
    }

    /// A stream's shards, by number.
    pub fn shards(&self, stream: Oid) -> impl Iterator<Item = &Arc<Shard>> {
        self.streams.get(&stream).into_iter().flat_map(OrdMap::values)
    }

    /// One shard of a stream.
    pub fn shard(&self, stream: Oid, shard: u32) -> Option<&Arc<Shard>> {
        self.streams.get(&stream)?.get(&shard)
    }

    /// A stream's named reader.
    pub fn consumer(&self, stream: Oid, name: &str) -> Option<&Consumer> {
        match self.find(Space::Consumer(stream), name)?.as_ref() {
            Object::Consumer(consumer) => Some(consumer),
            _ => None,
        }
    }

    /// The credential whose scope is the longest that a path begins with.
    pub fn credential_for(&self, url: &str) -> Option<&Credential> {
        let reaches = |credential: &&Credential| lies_in(url, &credential.scope);
        self.all::<Credential>().filter(reaches).max_by_key(|credential| credential.scope.len())
    }

    /// Whether a change can be made now. 40001 when another transaction was first, 42P07 or 42710 for a name in use.
    pub fn check(&self, change: &Change) -> Result<()> {
        match change {
            Change::Put(object) => self.check_put(object),
            Change::Drop { oid, revision } => match self.object(*oid) {
                Some(object) if object.revision() == *revision => Ok(()),
                _ => Err(conflict("an object that is dropped has been changed by another transaction")),
            },
            Change::AddFiles { table, .. } | Change::AddRows(AddedRows { table, .. }) => {
                match self.tables.contains_key(table) {
                    true => Ok(()),
                    false => Err(conflict("the table has been dropped by another transaction")),
                }
            }
            Change::MadeFor { table, columns } => self.check_columns(*table, *columns),
            Change::RemoveFiles { table, revision, files } => self.check_removal(*table, *revision, files),
            Change::Rewrite { table, parts, .. } => match self.files(*table) {
                Some(files) if parts.iter().all(|part| files.has(*part)) => Ok(()),
                _ => Err(conflict("what was to be rewritten has been changed meanwhile")),
            },
            Change::Append(Append { stream, .. }) | Change::AddShards { stream, .. } => match self.stream(*stream) {
                Some(_) => Ok(()),
                None => Err(Error::new(Kind::UndefinedTable, "the stream has been dropped by another transaction")),
            },
            Change::Seal { stream, shard, segment } => match self.shard(*stream, *shard) {
                Some(shard) if shard.sealed() == segment.first => Ok(()),
                _ => Err(conflict("the records to be sealed are no longer there")),
            },
            Change::Trim { stream, shard, .. } => match self.shard(*stream, *shard) {
                Some(_) => Ok(()),
                None => Err(conflict("the stream has been dropped")),
            },
            Change::Appended(_)
            | Change::Counted { .. }
            | Change::At { .. }
            | Change::Analyzed { .. }
            | Change::Forget { .. }
            | Change::Export { .. }
            | Change::Exported { .. } => Ok(()),
        }
    }

    fn check_put(&self, object: &Object) -> Result<()> {
        if let Some(before) = self.object(object.oid()) {
            if before.revision() + 1 != object.revision() {
                let message =
                    format!("{} \"{}\" has been changed by another transaction", object.noun(), object.name());
                return Err(conflict(&message));
            }
        } else if object.revision() != 1 {
            let message = format!("{} \"{}\" has been dropped by another transaction", object.noun(), object.name());
            return Err(conflict(&message));
        }
        match self.names.get(&(object.space(), object.name().to_string())) {
            Some(oid) if *oid != object.oid() => Err(duplicate(object)),
            _ => Ok(()),
        }
    }

    /// 40001 for rows that lack a column which has a value in each row of the table, and was added since they were made.
    fn check_columns(&self, table: Oid, columns: usize) -> Result<()> {
        let Some(relation) = self.relation(table) else { return Ok(()) };
        let newer = relation.columns_made().saturating_sub(columns);
        let filled = |column: &&Column| column.not_null || column.default.is_some();
        match relation.columns.iter().rev().take(newer).find(filled) {
            Some(column) => Err(conflict(&format!("column \"{}\" has been added by another transaction", column.name))),
            None => Ok(()),
        }
    }

    fn check_removal(&self, table: Oid, revision: u64, files: &[u64]) -> Result<()> {
        let live = self.files(table).filter(|_| self.relation(table).is_some_and(|r| r.revision == revision));
        match live {
            Some(live) if files.iter().all(|file| live.has(*file)) => Ok(()),
            _ => Err(conflict("could not serialize access due to a concurrent update")),
        }
    }

    /// Gives the records of an append their shards and their places there.
    pub fn place(&self, append: &Append, now_ms: i64) -> Result<(Vec<Appended>, Vec<RecordPlace>)> {
        let shards: Vec<&Arc<Shard>> = self.shards(append.stream).collect();
        let mut appended = Vec::new();
        let mut places = Vec::with_capacity(if append.places { append.records.len() } else { 0 });
        let header = |shard: &Shard| Appended {
            stream: append.stream,
            shard: shard.spec.number,
            first: shard.next,
            arrival_ms: now_ms.max(shard.last_ms),
            records: None,
        };
        let place = |header: &Appended, shard: &Shard, nth: u64| RecordPlace {
            shard: header.shard,
            created_s: shard.spec.created_s,
            index: header.first + nth,
            arrival_ms: header.arrival_ms,
        };
        if let [only] = shards.as_slice() {
            let header = header(only);
            if append.places {
                places.extend((0..append.records.len() as u64).map(|nth| place(&header, only, nth)));
            }
            appended.push(Appended { records: Some(append.records.clone()), ..header });
            return Ok((appended, places));
        }
        let mut builders: BTreeMap<usize, (Appended, RecordsBuilder)> = BTreeMap::new();
        for (record, hash) in append.records.iter().zip(append.hashes.iter()) {
            let index = shards.partition_point(|shard| shard.spec.end_hash < *hash);
            let shard = shards.get(index).ok_or_else(|| Error::internal("a hash outside of every shard"))?;
            let (header, builder) = builders.entry(index).or_insert_with(|| (header(shard), RecordsBuilder::default()));
            if append.places {
                places.push(place(header, shard, builder.len() as u64));
            }
            builder.push(record.key, record.data)?;
        }
        appended.extend(
            builders.into_values().map(|(header, builder)| Appended { records: Some(builder.finish()), ..header }),
        );
        Ok((appended, places))
    }

    /// Makes a change that has been checked, or that a frame holds. `position` is the frame's.
    pub fn apply(&mut self, change: &Change, position: u64) {
        match change {
            Change::Put(object) => self.put(Arc::clone(object)),
            Change::Drop { oid, .. } => self.remove(*oid),
            Change::AddShards { stream, shards } => {
                let shards = shards.iter().map(|spec| (spec.number, Arc::new(Shard::new(spec.clone()))));
                self.streams.insert(*stream, shards.collect());
            }
            Change::AddFiles { table, files } => {
                self.add_files(*table, files, position);
                self.note_changed(*table, files.iter().map(|file| file.rows).sum());
            }
            Change::AddRows(added) => {
                self.add_rows(added, position);
                let rows = added.rows.as_ref().map_or(0, |rows| rows.batch().num_rows());
                self.note_changed(added.table, rows as u64);
            }
            Change::RemoveFiles { table, files, .. } => {
                let before = self.files(*table).map_or(0, |table| table.rows());
                self.remove_parts(*table, files, position);
                let after = self.files(*table).map_or(0, |table| table.rows());
                self.note_changed(*table, before - after);
                self.on_table(*table, |table| table.removed = position);
            }
            Change::Rewrite { table, parts, files } => {
                let added = self.remove_parts(*table, parts, position);
                self.add_files(*table, files, added);
            }
            // Readable, and given a place, only by its `Appended`.
            Change::Append(_) | Change::MadeFor { .. } => {}
            Change::Appended(Appended { stream, shard, first, arrival_ms, records }) => {
                if let Some(records) = records {
                    let chunk = Chunk { first: *first, arrival_ms: *arrival_ms, position, records: records.clone() };
                    self.on_shard(*stream, *shard, |shard| shard.append(chunk));
                }
            }
            Change::Seal { stream, shard, segment } => {
                self.on_shard(*stream, *shard, |shard| shard.seal(segment.clone()))
            }
            Change::Trim { stream, shard, oldest } => self.on_shard(*stream, *shard, |shard| {
                shard.trim(*oldest);
            }),
            Change::Counted { table, column, taken } => self.on_table(*table, |table| {
                let known = table.counted.get(column).copied().unwrap_or(0);
                table.counted.insert(column.clone(), known.max(*taken));
            }),
            Change::Analyzed { table, analysis } => {
                self.on_table(*table, |table| table.analysis = Some(Arc::clone(analysis)));
            }
            Change::At { ms } => self.at_ms = *ms,
            Change::Forget { table, files } => self.on_table(*table, |table| {
                files.iter().for_each(|file| drop(table.gone.remove(file)));
            }),
            Change::Export { table, version, text } => self.on_table(*table, |table| {
                table.outbox.insert(*version, Arc::clone(text));
                table.version = table.version.max(*version + 1);
            }),
            Change::Exported { table, version } => self.on_table(*table, |table| {
                while let Some((written, _)) = table.outbox.get_min().cloned() {
                    if written > *version {
                        break;
                    }
                    table.outbox.remove(&written);
                }
            }),
        }
    }

    fn add_files(&mut self, table: Oid, files: &[DataFile], added: u64) {
        self.on_table(table, |table| {
            table.files.extend(files.iter().map(|file| (file.id, Arc::new(DataFile { added, ..file.clone() }))));
        });
        self.next_id = files.iter().fold(self.next_id, |next, file| next.max(file.id + 1));
    }

    /// Puts rows into a table's tail, which may have had them before a start.
    pub(crate) fn add_rows(&mut self, added: &AddedRows, position: u64) {
        let AddedRows { table, id, arrival_ms, rows: Some(rows) } = added else { return };
        let (batch, bytes) = (rows.batch().clone(), rows.bytes());
        let tail = TailRows { id: *id, added: position, arrival_ms: *arrival_ms, batch, bytes };
        self.on_table(*table, |table| table.add_rows(tail));
        self.next_id = self.next_id.max(id + 1);
    }

    fn note_changed(&mut self, table: Oid, rows: u64) {
        self.on_table(table, |table| table.changed += rows);
    }

    /// Gives the last frame that added any of them.
    fn remove_parts(&mut self, table: Oid, parts: &[u64], position: u64) -> u64 {
        let (mut added, at_ms) = (0, self.at_ms);
        self.on_table(table, |table| {
            added = parts.iter().filter_map(|part| table.remove(*part, position, at_ms)).max().unwrap_or(0);
        });
        added
    }

    fn put(&mut self, object: Arc<Object>) {
        let oid = object.oid();
        if let Some(before) = self.objects.get(&oid) {
            self.names.remove(&(before.space(), before.name().to_string()));
        }
        if let Object::Relation(Relation { kind: RelationKind::Table(_), .. }) = object.as_ref()
            && !self.tables.contains_key(&oid)
        {
            self.tables.insert(oid, Arc::default());
        }
        self.next_id = self.next_id.max(u64::from(oid) + 1);
        self.names.insert((object.space(), object.name().to_string()), oid);
        self.objects.insert(oid, object);
    }

    fn remove(&mut self, oid: Oid) {
        if let Some(object) = self.objects.remove(&oid) {
            self.names.remove(&(object.space(), object.name().to_string()));
        }
        if let Some(table) = self.tables.remove(&oid) {
            self.tail_bytes -= table.tail_bytes();
        }
        self.streams.remove(&oid);
        for own in self.owned_by(oid).map(|object| object.oid()).collect::<Vec<_>>() {
            self.remove(own);
        }
    }

    /// What goes with an object: its access list and policies, the readers of a stream, what a COPY job has loaded.
    pub(crate) fn owned_by(&self, oid: Oid) -> impl Iterator<Item = &Arc<Object>> {
        let spaces = [Space::AccessList(oid), Space::Policy(oid), Space::Consumer(oid), Space::CopiedObject(oid)];
        let of = move |space: Space| {
            let named = self.names.range((space.clone(), String::new())..);
            named.take_while(move |((found, _), _)| *found == space).map(|(_, oid)| *oid)
        };
        spaces.into_iter().flat_map(of).filter_map(move |oid| self.objects.get(&oid))
    }

    pub(crate) fn on_table(&mut self, table: Oid, change: impl FnOnce(&mut TableFiles)) {
        if let Some(table) = self.tables.get_mut(&table) {
            let before = table.tail_bytes();
            change(Arc::make_mut(table));
            self.tail_bytes = self.tail_bytes - before + table.tail_bytes();
        }
    }

    fn on_shard(&mut self, stream: Oid, shard: u32, change: impl FnOnce(&mut Shard)) {
        if let Some(shard) = self.streams.get_mut(&stream).and_then(|shards| shards.get_mut(&shard)) {
            change(Arc::make_mut(shard));
        }
    }
}

/// 40001.
pub(crate) fn conflict(message: &str) -> Error {
    Error::new(Kind::Conflict, message).hint("Run the transaction again.")
}

fn duplicate(object: &Object) -> Error {
    let name = object.name();
    match object {
        Object::Relation(_) => Error::new(Kind::DuplicateTable, format!("relation \"{name}\" already exists")),
        Object::Schema(_) => Error::new(Kind::DuplicateSchema, format!("schema \"{name}\" already exists")),
        other => Error::new(Kind::DuplicateObject, format!("{} \"{name}\" already exists", other.noun())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{RecordFormat, Setting};
    use crate::shard::even_shards;

    fn relation(oid: Oid, name: &str, revision: u64, kind: RelationKind) -> Change {
        let relation = Relation {
            oid,
            schema: PUBLIC,
            name: name.into(),
            revision,
            columns: vec![],
            owner: ADMIN,
            comment: None,
            created_ms: 0,
            row_security: crate::policy::RowSecurity::default(),
            kind,
        };
        Change::Put(Arc::new(Object::Relation(relation)))
    }

    fn table(oid: Oid, name: &str, revision: u64) -> Change {
        let spec = TableSpec::new("file:///t", "");
        relation(oid, name, revision, RelationKind::Table(spec))
    }

    fn file(id: u64) -> DataFile {
        DataFile::new(id, format!("{id}.parquet"), 1, 1, 0)
    }

    fn done(state: &mut State, change: Change) {
        state.check(&change).unwrap();
        state.apply(&change, 1);
    }

    #[test]
    fn names_and_revisions_are_guarded() {
        let mut state = State::initial();
        done(&mut state, table(20_000, "t", 1));
        let kinds = [
            (table(20_001, "t", 1), Kind::DuplicateTable),
            (table(20_000, "u", 3), Kind::Conflict),
            (table(20_002, "w", 2), Kind::Conflict),
            (Change::Drop { oid: 20_000, revision: 2 }, Kind::Conflict),
            (Change::AddFiles { table: 7, files: vec![] }, Kind::Conflict),
        ];
        for (change, kind) in kinds {
            assert_eq!(state.check(&change).unwrap_err().kind(), kind, "{change:?}");
        }
        done(&mut state, table(20_000, "renamed", 2));
        assert!(state.relation_named("public", "t").is_none() && state.relation_named("public", "renamed").is_some());
        done(&mut state, Change::Drop { oid: 20_000, revision: 2 });
        assert!(state.relation_named("public", "renamed").is_none() && state.files(20_000).is_none());
    }

    #[test]
    fn only_one_of_two_removals_wins_and_an_append_never_loses() {
        let mut state = State::initial();
        done(&mut state, table(20_000, "t", 1));
        done(&mut state, Change::AddFiles { table: 20_000, files: vec![file(30_000), file(30_001)] });
        let removal = Change::RemoveFiles { table: 20_000, revision: 1, files: vec![30_000] };
        done(&mut state, Change::AddFiles { table: 20_000, files: vec![file(30_002)] });
        done(&mut state, removal.clone());
        assert_eq!(state.check(&removal).unwrap_err().kind(), Kind::Conflict);
        assert_eq!(state.files(20_000).unwrap().files.len(), 2);
        assert_eq!(state.next_id, 30_003);
    }

    #[test]
    fn an_export_waits_until_it_is_ticked_off() {
        let mut state = State::initial();
        done(&mut state, table(20_000, "t", 1));
        for version in 0..3 {
            done(&mut state, Change::Export { table: 20_000, version, text: "x".into() });
        }
        assert_eq!(state.files(20_000).unwrap().version, 3);
        done(&mut state, Change::Exported { table: 20_000, version: 1 });
        assert_eq!(state.files(20_000).unwrap().outbox.keys().copied().collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn records_go_to_the_shard_of_their_hash_in_order() {
        let mut state = State::initial();
        let spec = StreamSpec {
            partition_key: vec![],
            format: Some(RecordFormat::Json),
            watermark: None,
            retention_ms: 1,
            on_demand: false,
            tags: BTreeMap::new(),
            location: String::new(),
        };
        done(&mut state, relation(20_000, "s", 1, RelationKind::Stream(spec)));
        done(&mut state, Change::AddShards { stream: 20_000, shards: even_shards(2, 7).unwrap() });
        let mut builder = RecordsBuilder::default();
        for key in ["a", "b", "c"] {
            builder.push(key, b"").unwrap();
        }
        let append = Append {
            stream: 20_000,
            hashes: vec![u128::MAX, 0, u128::MAX].into(),
            records: builder.finish(),
            places: true,
        };
        for round in 0..2 {
            let (appended, places) = state.place(&append, 100 - round).unwrap();
            let shown: Vec<_> = places.iter().map(|place| (place.shard, place.index)).collect();
            let (low, high) = (round as u64, 2 * round as u64);
            assert_eq!(shown, [(1, high), (0, low), (1, high + 1)]);
            // The clock went back; arrival does not.
            assert!(places.iter().all(|place| place.arrival_ms == 100));
            appended.into_iter().for_each(|records| state.apply(&Change::Appended(records), 9));
        }
        assert_eq!(state.shards(20_000).map(|shard| shard.next).collect::<Vec<_>>(), [2, 4]);
    }

    #[test]
    fn a_setting_is_found_by_name() {
        let mut state = State::initial();
        let setting = Setting { oid: 20_000, name: "x".into(), revision: 1, value: "1".into() };
        done(&mut state, Change::Put(Arc::new(Object::Setting(setting))));
        assert!(state.find(Space::Setting, "x").is_some() && state.find(Space::Schema, "x").is_none());
    }
}
