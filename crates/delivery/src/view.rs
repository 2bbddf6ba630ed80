//! `firehose.delivery_streams`: what each delivery does, and why it waits.

use arrow::datatypes::DataType;
use tidegate_catalog::{Delivery, DeliveryState, DeliveryTarget, State};
use tidegate_query::SystemTable;
use tidegate_query::system_table::{Cell, number, table, text, time_type};
use tidegate_stream::backlog::behind;

/// The tables that tell of deliveries.
pub fn system_tables() -> Vec<SystemTable> {
    let (string, long) = (DataType::Utf8, DataType::Int64);
    let columns = [
        ("delivery_stream_name", string.clone()),
        ("source_stream_name", string.clone()),
        ("destination", string.clone()),
        ("format", string.clone()),
        ("state", string.clone()),
        ("reason", string.clone()),
        ("records", long.clone()),
        ("flushes", long.clone()),
        ("records_behind", long.clone()),
        ("cursor", string.clone()),
        ("attempt", string),
        ("delivered_at", time_type()),
        ("buffer_size", long.clone()),
        ("buffer_interval_ms", long),
    ];
    vec![table("firehose", "delivery_streams", &columns, |state| {
        state.all::<Delivery>().map(|delivery| row(state, delivery)).collect()
    })]
}

fn row(state: &State, delivery: &Delivery) -> Vec<Cell> {
    let DeliveryState { records, flushes, delivered_ms, paused, .. } = delivery.state;
    let shown = |oid| state.relation(oid).map_or("?".to_string(), |relation| state.shown(relation));
    let destination = match &delivery.spec.target {
        DeliveryTarget::Objects(url) => url.clone(),
        DeliveryTarget::Table(table) => format!("TABLE {}", shown(*table)),
    };
    vec![
        text(&delivery.name),
        text(shown(delivery.spec.source)),
        text(destination),
        text(&delivery.spec.format),
        text(if paused { "PAUSED" } else { "ACTIVE" }),
        text(&delivery.state.reason),
        number(records),
        number(flushes),
        number(behind(state, delivery.spec.source, &delivery.state.cursor)),
        text(serde_json::to_string(&delivery.state.cursor).unwrap_or_default()),
        Cell::Text(delivery.state.attempt.as_ref().map(|attempt| attempt.object.clone())),
        Cell::Time((delivered_ms > 0).then_some(delivered_ms)),
        number(delivery.spec.buffer_bytes),
        number(delivery.spec.buffer_interval_ms),
    ]
}
