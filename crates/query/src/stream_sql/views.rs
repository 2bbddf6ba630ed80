//! `kinesis.streams`, `kinesis.shards` and `kinesis.consumers`.

use crate::service::SystemTable;
use crate::system_table::{Cell, number, table, text, time_type};
use arrow::datatypes::DataType;
use tidegate_catalog::{Object, Relation, RelationKind, Shard, State, StreamSpec};
use tidegate_stream::shard_id;

fn streams(state: &State) -> impl Iterator<Item = (&Relation, &StreamSpec)> {
    state.relations().filter_map(|relation| match &relation.kind {
        RelationKind::Stream(spec) => Some((relation, spec)),
        _ => None,
    })
}

fn records(shard: &Shard) -> u64 {
    shard.next - shard.oldest
}

/// The tables that tell of streams.
pub fn system_tables() -> Vec<SystemTable> {
    let (string, long) = (DataType::Utf8, DataType::Int64);
    let streams_table = table(
        "kinesis",
        "streams",
        &[
            ("stream_name", string.clone()),
            ("schema_name", string.clone()),
            ("stream_status", string.clone()),
            ("stream_mode", string.clone()),
            ("open_shard_count", long.clone()),
            ("retention_period_hours", long.clone()),
            ("records", long.clone()),
            ("stream_creation_timestamp", time_type()),
        ],
        |state| {
            let row = |(relation, spec): (&Relation, &StreamSpec)| {
                vec![
                    text(&relation.name),
                    text(state.schema_name(relation.schema)),
                    text("ACTIVE"),
                    text(if spec.on_demand { "ON_DEMAND" } else { "PROVISIONED" }),
                    number(state.shards(relation.oid).count() as u64),
                    Cell::Number(spec.retention_ms / 3_600_000),
                    number(state.shards(relation.oid).map(|shard| records(shard)).sum::<u64>()),
                    Cell::Time(Some(relation.created_ms)),
                ]
            };
            streams(state).map(row).collect()
        },
    );
    let shards_table = table(
        "kinesis",
        "shards",
        &[
            ("stream_name", string.clone()),
            ("shard_id", string.clone()),
            ("starting_hash_key", string.clone()),
            ("ending_hash_key", string.clone()),
            ("records", long.clone()),
            ("sealed_records", long.clone()),
            ("tail_records", long.clone()),
            ("segments", long.clone()),
        ],
        |state| {
            let row = |relation: &Relation, shard: &Shard| {
                vec![
                    text(&relation.name),
                    text(shard_id(shard.spec.number)),
                    text(shard.spec.start_hash.to_string()),
                    text(shard.spec.end_hash.to_string()),
                    number(records(shard)),
                    number(shard.sealed() - shard.oldest),
                    number(shard.next - shard.sealed()),
                    number(shard.segments.len() as u64),
                ]
            };
            streams(state)
                .flat_map(|(relation, _)| state.shards(relation.oid).map(move |shard| row(relation, shard)))
                .collect()
        },
    );
    let consumers_table = table(
        "kinesis",
        "consumers",
        &[
            ("stream_name", string.clone()),
            ("consumer_name", string.clone()),
            ("shard_id", string),
            ("position", long.clone()),
            ("records_behind", long),
        ],
        |state| {
            let mut rows = Vec::new();
            for object in state.objects() {
                let Object::Consumer(consumer) = object.as_ref() else { continue };
                let name = state.relation(consumer.stream).map_or("?", |relation| relation.name.as_str());
                for (shard, index) in &consumer.cursor {
                    let behind =
                        state.shard(consumer.stream, *shard).map_or(0, |shard| shard.next.saturating_sub(*index));
                    rows.push(vec![
                        text(name),
                        text(&consumer.name),
                        text(shard_id(*shard)),
                        number(*index),
                        number(behind),
                    ]);
                }
            }
            rows
        },
    );
    vec![streams_table, shards_table, consumers_table]
}
