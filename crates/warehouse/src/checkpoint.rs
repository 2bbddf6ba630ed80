//! Checkpoints of the Delta log: all that holds at one version, in one file, so that a reader need not begin at the
//! first; and the clean-up of what lies before them.
//!
//! Protocol: https://github.com/delta-io/delta/blob/master/PROTOCOL.md#checkpoints

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use arrow::json::ReaderBuilder;
use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use serde_json::{Value, json};
use std::sync::Arc;
use tidegate_core::{Error, Result};
use tidegate_query::formats::{FileFormat, WriteOptions, create_writer};
use tidegate_storage::{Place, S3Access, Stores, fault, object_error};

/// Versions from one checkpoint to the next.
const VERSIONS: u64 = 20;

/// Whether a checkpoint is due once these versions are written.
pub fn is_due(first: u64, last: u64) -> bool {
    last > 0 && (first..=last).any(|version| version.is_multiple_of(VERSIONS))
}

/// Writes the checkpoint of a version: each action is a row.
pub async fn write(stores: &Stores, location: &str, version: u64, actions: &[Value]) -> Result<()> {
    let batch = rows(actions)?;
    let Place { store, path, .. } = stores.resolve(&format!("{location}/_delta_log"), &S3Access::default())?;
    let object = path.clone().join(format!("{version:020}.checkpoint.parquet"));
    fault::point("delta.checkpoint")?;
    let options = WriteOptions::default();
    let mut writer = create_writer(&store, &object, &FileFormat::Parquet, &batch.schema(), &options)?;
    writer.write(&batch).await?;
    writer.finish().await?;
    fault::point("delta.checkpointed")?;
    let pointer = json!({"version": version, "size": batch.num_rows()}).to_string();
    let put = store.put(&path.join("_last_checkpoint"), pointer.into()).await;
    put.map(drop).map_err(|error| object_error(error, location))
}

/// Removes versions, and checkpoints, that a checkpoint from before `until_ms` makes superfluous: each version since then
/// can still be read.
pub async fn clean(stores: &Stores, location: &str, until_ms: i64) -> Result<()> {
    let Place { store, path, .. } = stores.resolve(&format!("{location}/_delta_log"), &S3Access::default())?;
    let failed = |error| object_error(error, location);
    let found: Vec<_> = store.list(Some(&path)).try_collect().await.map_err(failed)?;
    let names = found.iter().filter_map(|meta| {
        let (version, is_checkpoint) = version_of(meta.location.filename()?)?;
        Some((version, is_checkpoint, meta.last_modified.timestamp_millis(), &meta.location))
    });
    let names: Vec<_> = names.collect();
    let old = names.iter().filter(|(_, is_checkpoint, at_ms, _)| *is_checkpoint && *at_ms <= until_ms);
    let Some(kept) = old.map(|(version, ..)| *version).max() else { return Ok(()) };
    for (version, _, _, location) in names {
        if version < kept {
            store.delete(location).await.map_err(failed)?;
        }
    }
    Ok(())
}

/// The version that a file of the log belongs to, and whether it is its checkpoint.
fn version_of(name: &str) -> Option<(u64, bool)> {
    let (version, end) = name.split_once('.')?;
    match end {
        "json" => Some((version.parse().ok()?, false)),
        "checkpoint.parquet" => Some((version.parse().ok()?, true)),
        _ => None,
    }
}

fn rows(actions: &[Value]) -> Result<RecordBatch> {
    let reader = ReaderBuilder::new(schema()).with_batch_size(actions.len().max(1));
    let mut decoder = reader.build_decoder().map_err(Error::internal)?;
    decoder.serialize(actions).map_err(Error::internal)?;
    let batch = decoder.flush().map_err(Error::internal)?;
    batch.ok_or_else(|| Error::internal("a checkpoint without an action"))
}

fn schema() -> SchemaRef {
    let (text, long, int, bool) = (DataType::Utf8, DataType::Int64, DataType::Int32, DataType::Boolean);
    let map = || {
        let entry =
            Fields::from(vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Utf8, true)]);
        DataType::Map(Arc::new(Field::new("key_value", DataType::Struct(entry), false)), false)
    };
    let list = || DataType::List(Arc::new(Field::new("element", DataType::Utf8, true)));
    let group = |name: &str, fields: &[(&str, DataType)]| {
        let fields = fields.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), true));
        Field::new(name, DataType::Struct(fields.collect()), true)
    };
    let format = group("format", &[("provider", text.clone()), ("options", map())]);
    let file = |time: &'static str, last: (&'static str, DataType)| {
        let fields = [
            ("path", text.clone()),
            ("partitionValues", map()),
            ("size", long.clone()),
            (time, long.clone()),
            ("dataChange", bool.clone()),
            last,
        ];
        fields.to_vec()
    };
    Arc::new(Schema::new(vec![
        group(
            "protocol",
            &[
                ("minReaderVersion", int.clone()),
                ("minWriterVersion", int),
                ("readerFeatures", list()),
                ("writerFeatures", list()),
            ],
        ),
        group(
            "metaData",
            &[
                ("id", text.clone()),
                ("name", text.clone()),
                ("format", format.data_type().clone()),
                ("schemaString", text.clone()),
                ("partitionColumns", list()),
                ("configuration", map()),
                ("createdTime", long.clone()),
            ],
        ),
        group("add", &file("modificationTime", ("stats", text.clone()))),
        group("remove", &file("deletionTimestamp", ("extendedFileMetadata", bool.clone()))),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Array, AsArray};

    #[test]
    fn one_is_due_where_a_multiple_is_passed() {
        let cases = [((0, 0), false), ((1, 19), false), ((20, 20), true), ((19, 21), true), ((21, 39), false)];
        for ((first, last), expected) in cases {
            assert_eq!(is_due(first, last), expected, "{first} {last}");
        }
    }

    #[test]
    fn files_of_the_log_tell_their_version() {
        let cases = [
            ("00000000000000000007.json", Some((7, false))),
            ("00000000000000000020.checkpoint.parquet", Some((20, true))),
            ("_last_checkpoint", None),
            ("00000000000000000007.json.tmp", None),
        ];
        for (name, expected) in cases {
            assert_eq!(version_of(name), expected, "{name}");
        }
    }

    #[tokio::test]
    async fn what_a_checkpoint_makes_superfluous_goes_when_it_is_old() {
        let folder = tempfile::tempdir().unwrap();
        let location = format!("file://{}", folder.path().display());
        let (stores, log) = (Stores::new(), folder.path().join("_delta_log"));
        std::fs::create_dir_all(&log).unwrap();
        for version in 0..25 {
            std::fs::write(log.join(format!("{version:020}.json")), "{}").unwrap();
        }
        let actions = [json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}})];
        write(&stores, &location, 20, &actions).await.unwrap();
        let left = || std::fs::read_dir(&log).unwrap().count();
        clean(&stores, &location, 0).await.unwrap();
        assert_eq!(left(), 27);
        clean(&stores, &location, i64::MAX).await.unwrap();
        // Five versions, the checkpoint, and what points to it.
        assert_eq!(left(), 7);
    }

    #[test]
    fn each_action_is_a_row() {
        let actions = [
            json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}),
            json!({"add": {"path": "a", "partitionValues": {}, "size": 5, "modificationTime": 6, "dataChange": false}}),
        ];
        let batch = rows(&actions).unwrap();
        assert_eq!((batch.num_rows(), batch.num_columns()), (2, 4));
        let add = batch.column(2).as_struct();
        assert!(add.is_null(0) && add.is_valid(1));
        assert_eq!(add.column(0).as_string::<i32>().value(1), "a");
    }
}
