//! The Delta log of managed tables: an export of what the catalog has committed, never a place of decisions.
//!
//! Protocol: https://github.com/delta-io/delta/blob/master/PROTOCOL.md

use crate::checkpoint;
use async_trait::async_trait;
use bytes::Bytes;
use object_store::{ObjectStoreExt, PutMode, PutOptions, PutPayload};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use tidegate_catalog::{
    Change, Column, DataFile, Exporter, GoneFile, Oid, Relation, SqlType, State, TableFiles, TableSpec,
};
use tidegate_core::{Clock, Error, Kind, Result, Settings};
use tidegate_storage::{Place, S3Access, Stores, fault, object_error};

/// Writes `_delta_log` beside the files of each managed table.
pub struct DeltaLog {
    settings: Settings,
    stores: Arc<Stores>,
    clock: Clock,
    // One writer for each table at a time: versions must appear in order.
    writing: Mutex<HashMap<Oid, Arc<tokio::sync::Mutex<()>>>>,
}

impl DeltaLog {
    /// Over the server's stores.
    pub fn new(settings: Settings, stores: Arc<Stores>, clock: Clock) -> Self {
        DeltaLog { settings, stores, clock, writing: Mutex::default() }
    }

    /// Writes what holds at a table's last version, and removes what lies long before.
    async fn checkpoint(&self, relation: &Relation, spec: &TableSpec, files: &TableFiles, version: u64) -> Result<()> {
        let mut actions = vec![protocol(relation, spec), metadata(relation, spec)];
        actions.extend(files.files.values().map(|file| add(file, false)));
        actions.extend(files.gone.values().map(|gone| removed(gone)));
        checkpoint::write(&self.stores, &spec.location, version, &actions).await?;
        let retention_ms = self.settings.whole("delta_log_retention_ms");
        checkpoint::clean(&self.stores, &spec.location, self.clock.now_ms() - retention_ms).await
    }

    async fn put(&self, location: &str, version: u64, text: &str) -> Result<()> {
        let url = format!("{location}/_delta_log/{version:020}.json");
        let Place { store, path, .. } = self.stores.resolve(&url, &S3Access::default())?;
        let payload = PutPayload::from_bytes(Bytes::copy_from_slice(text.as_bytes()));
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match store.put_opts(&path, payload, options).await {
            Ok(_) => Ok(()),
            Err(object_store::Error::AlreadyExists { .. }) => {
                let there = store.get(&path).await.map_err(|error| object_error(error, &url))?;
                let there = there.bytes().await.map_err(|error| object_error(error, &url))?;
                if there == text.as_bytes() {
                    return Ok(());
                }
                Err(Error::new(Kind::DataCorrupted, format!("{url} was written by somebody else"))
                    .hint("Only this server may write to the folders of its tables."))
            }
            Err(error) => Err(object_error(error, &url)),
        }
    }
}

#[async_trait]
impl Exporter for DeltaLog {
    fn render(&self, table: Oid, before: &State, after: &State, changes: &[Change]) -> Result<Option<Arc<str>>> {
        let Some((relation, spec)) = after.table(table) else { return Ok(None) };
        let now_ms = self.clock.now_ms();
        let mut actions = Vec::new();
        let old = before.table(table);
        let needed = protocol(relation, spec);
        if old.is_none_or(|(old, old_spec)| protocol(old, old_spec) != needed) {
            actions.push(needed);
        }
        if old.is_none_or(|(old, _)| old.columns != relation.columns || old.name != relation.name) {
            actions.push(metadata(relation, spec));
        }
        let (known, live) = (before.files(table).cloned().unwrap_or_default(), after.files(table));
        // What came and went in the same commit is in neither list.
        let is_live = |id: &u64| live.is_some_and(|live| live.files.contains_key(id));
        for change in changes {
            let Some(FileChange { gone, new, data_change }) = FileChange::of(change, table, &known) else { continue };
            let gone = gone.iter().filter(|id| !is_live(id)).filter_map(|id| known.files.get(id));
            actions.extend(gone.map(|file| remove(file, now_ms, data_change)));
            actions.extend(new.iter().filter(|file| is_live(&file.id)).map(|file| add(file, data_change)));
        }
        if actions.is_empty() {
            return Ok(None);
        }
        let engine = format!("tidegate/{}", env!("CARGO_PKG_VERSION"));
        actions.push(json!({"commitInfo": {"timestamp": now_ms, "operation": "WRITE", "engineInfo": engine}}));
        let lines: Vec<String> = actions.iter().map(Value::to_string).collect();
        Ok(Some(lines.join("\n").into()))
    }

    async fn write(&self, table: Oid, state: &State) -> Result<Option<u64>> {
        let lock = Arc::clone(self.writing.lock().entry(table).or_default());
        let _own = lock.lock().await;
        let (Some((relation, spec)), Some(files)) = (state.table(table), state.files(table)) else { return Ok(None) };
        let mut last = None;
        for (version, text) in &files.outbox {
            fault::point("delta.write")?;
            self.put(&spec.location, *version, text).await?;
            fault::point("delta.written")?;
            last = Some(*version);
        }
        if let (Some((first, _)), Some(last)) = (files.outbox.get_min(), last)
            && checkpoint::is_due(*first, last)
            && let Err(error) = self.checkpoint(relation, spec, files, last).await
        {
            tracing::warn!(table = %relation.name, %error, "a checkpoint of its Delta log could not be written");
        }
        Ok(last)
    }
}

/// What a change does to a table's files.
struct FileChange<'a> {
    gone: &'a [u64],
    new: &'a [DataFile],
    /// Whether a reader who follows the table must look at them.
    data_change: bool,
}

impl<'a> FileChange<'a> {
    fn of(change: &'a Change, of_table: Oid, known: &TableFiles) -> Option<Self> {
        let (table, gone, new): (_, &[u64], &[DataFile]) = match change {
            Change::AddFiles { table, files } => (table, &[], files),
            Change::RemoveFiles { table, files, .. } => (table, files, &[]),
            Change::Rewrite { table, parts, files } => (table, parts, files),
            _ => return None,
        };
        // The rows of a tail are new to a reader of files.
        let moved = matches!(change, Change::Rewrite { .. }) && gone.iter().all(|id| known.files.contains_key(id));
        (*table == of_table).then_some(FileChange { gone, new, data_change: !moved })
    }
}

/// Timestamps without a time zone and columns mapped by name are features of the table in Delta; everything else is
/// version 1 and 2.
fn protocol(relation: &Relation, spec: &TableSpec) -> Value {
    let zoneless = relation.columns.iter().any(|column| column.sql_type == SqlType::Timestamp);
    let features = [("columnMapping", spec.mapped), ("timestampNtz", zoneless)];
    let features: Vec<&str> = features.into_iter().filter(|(_, used)| *used).map(|(name, _)| name).collect();
    if !features.is_empty() {
        return json!({"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features, "writerFeatures": features}});
    }
    json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}})
}

fn metadata(relation: &Relation, spec: &TableSpec) -> Value {
    let numbered = relation.columns.iter().enumerate();
    let fields: Vec<Value> = numbered.map(|(index, column)| field(column, spec.mapped.then_some(index + 1))).collect();
    let configuration = match spec.mapped {
        true => {
            json!({"delta.columnMapping.mode": "name", "delta.columnMapping.maxColumnId": fields.len().to_string()})
        }
        false => json!({}),
    };
    let schema = json!({"type": "struct", "fields": fields}).to_string();
    json!({"metaData": {
        "id": spec.delta_id,
        "name": relation.name,
        "format": {"provider": "parquet", "options": {}},
        "schemaString": schema,
        "partitionColumns": [],
        "configuration": configuration,
        "createdTime": relation.created_ms,
    }})
}

/// A column; with its number and its name in files where columns are mapped by name.
fn field(column: &Column, mapped: Option<usize>) -> Value {
    let metadata = match mapped {
        Some(id) => {
            json!({"delta.columnMapping.id": id, "delta.columnMapping.physicalName": column.in_files()})
        }
        None => json!({}),
    };
    json!({"name": column.name, "type": delta_type(&column.sql_type), "nullable": true, "metadata": metadata})
}

/// The nearest type that Delta has.
fn delta_type(sql_type: &SqlType) -> Value {
    let name = match sql_type {
        SqlType::Bool => "boolean",
        SqlType::Int2 => "short",
        SqlType::Int4 => "integer",
        SqlType::Int8 | SqlType::Time | SqlType::Timetz => "long",
        SqlType::Float4 => "float",
        SqlType::Float8 => "double",
        SqlType::Numeric(precision, scale) => return json!(format!("decimal({precision},{scale})")),
        SqlType::Bytea => "binary",
        SqlType::Date => "date",
        SqlType::Timestamp => "timestamp_ntz",
        SqlType::Timestamptz => "timestamp",
        SqlType::Array(item) => {
            return json!({"type": "array", "elementType": delta_type(item), "containsNull": true});
        }
        _ => "string",
    };
    json!(name)
}

fn add(file: &DataFile, data_change: bool) -> Value {
    let stats = file.stats.as_deref().map_or_else(|| json!({"numRecords": file.rows}).to_string(), str::to_string);
    json!({"add": {
        "path": file.path,
        "partitionValues": {},
        "size": file.bytes,
        "modificationTime": file.created_ms,
        "dataChange": data_change,
        "stats": stats,
    }})
}

/// As it stands in a checkpoint, where its size is no longer known.
fn removed(gone: &GoneFile) -> Value {
    json!({"remove": {
        "path": gone.path,
        "deletionTimestamp": gone.since_ms,
        "dataChange": false,
    }})
}

fn remove(file: &DataFile, now_ms: i64, data_change: bool) -> Value {
    json!({"remove": {
        "path": file.path,
        "deletionTimestamp": now_ms,
        "dataChange": data_change,
        "extendedFileMetadata": true,
        "partitionValues": {},
        "size": file.bytes,
    }})
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_catalog::{ADMIN, Object, PUBLIC, RelationKind};
    use tidegate_core::ManualClock;

    fn table(revision: u64, columns: Vec<Column>) -> Change {
        let mapped = columns.iter().any(|column| column.physical.is_some());
        let spec = TableSpec { mapped, ..TableSpec::new("file:///t", "id") };
        let kind = RelationKind::Table(spec);
        let relation = Relation {
            oid: 20_000,
            schema: PUBLIC,
            name: "t".into(),
            revision,
            columns,
            owner: ADMIN,
            comment: None,
            created_ms: 0,
            row_security: tidegate_catalog::RowSecurity::default(),
            kind,
        };
        Change::Put(Arc::new(Object::Relation(relation)))
    }

    fn kinds(log: &DeltaLog, before: &State, changes: &[Change]) -> (Vec<String>, State) {
        let mut after = before.clone();
        changes.iter().for_each(|change| after.apply(change, 1));
        let text = log.render(20_000, before, &after, changes).unwrap();
        let key = |line: &str| {
            serde_json::from_str::<Value>(line).unwrap().as_object().unwrap().keys().next().unwrap().clone()
        };
        (text.map(|text| text.lines().map(key).collect()).unwrap_or_default(), after)
    }

    #[test]
    fn a_version_tells_what_its_commit_did() {
        let log = DeltaLog::new(Settings::default(), Arc::new(Stores::new()), Clock::manual(ManualClock::at_ms(7)));
        let file = DataFile::new(30_000, "a.parquet", 2, 9, 7);
        let columns = vec![Column::new("a", SqlType::Int4)];
        let (made, state) = kinds(&log, &State::initial(), &[table(1, columns.clone())]);
        assert_eq!(made, ["protocol", "metaData", "commitInfo"]);
        let (added, state) = kinds(&log, &state, &[Change::AddFiles { table: 20_000, files: vec![file] }]);
        assert_eq!(added, ["add", "commitInfo"]);
        let removal = Change::RemoveFiles { table: 20_000, revision: 1, files: vec![30_000] };
        let (removed, state) = kinds(&log, &state, &[removal]);
        assert_eq!(removed, ["remove", "commitInfo"]);
        let file = |id: u64| DataFile::new(id, format!("{id}"), 2, 9, 7);
        let passing = [
            Change::AddFiles { table: 20_000, files: vec![file(30_001), file(30_002)] },
            Change::RemoveFiles { table: 20_000, revision: 1, files: vec![30_001] },
        ];
        let (passed, state) = kinds(&log, &state, &passing);
        assert_eq!(passed, ["add", "commitInfo"]);
        let rewrite = Change::Rewrite { table: 20_000, parts: vec![30_002], files: vec![file(30_003)] };
        let (rewritten, state) = kinds(&log, &state, &[rewrite]);
        assert_eq!(rewritten, ["remove", "add", "commitInfo"]);
        let renamed = Column { physical: Some("a".into()), ..Column::new("b", SqlType::Int4) };
        let (mapped, _) = kinds(&log, &state, &[table(2, vec![renamed])]);
        assert_eq!(mapped, ["protocol", "metaData", "commitInfo"]);
        let (silent, state) = kinds(&log, &state, &[table(2, columns)]);
        assert!(silent.is_empty());
        let (dropped, _) = kinds(&log, &state, &[Change::Drop { oid: 20_000, revision: 2 }]);
        assert!(dropped.is_empty());
    }
}
