//! Deliveries in SQL.

use crate::engine::Deliveries;
use crate::spec;
use crate::state::{paused, waiting};
use arrow::datatypes::DataType;
use async_trait::async_trait;
use datafusion::common::ScalarValue;
use std::sync::Arc;
use tidegate_catalog::{Change, Delivery, DeliveryState, DeliveryTarget, Object, Space, State};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::ast::ObjectName;
use tidegate_parser::{AlterDelivery, CreateDelivery, DropDelivery, Statement, name_parts};
use tidegate_query::system_table::{Cell, number, table, text, time_type};
use tidegate_query::{Outcome, Service, SystemTable, Work};

/// Deliveries as a service of the engine.
pub struct DeliveryService {
    deliveries: Deliveries,
}

impl DeliveryService {
    /// Over the deliveries of the server.
    pub fn new(deliveries: Deliveries) -> Self {
        DeliveryService { deliveries }
    }
}

#[async_trait]
impl Service for DeliveryService {
    async fn execute(&self, work: &mut Work<'_>, statement: &Statement, _: &[ScalarValue]) -> Result<Option<Outcome>> {
        let tag = match statement {
            Statement::CreateDelivery(statement) => create(work, statement)?,
            Statement::AlterDelivery(statement) => alter(work, statement)?,
            Statement::DropDelivery(statement) => drop_delivery(work, statement)?,
            Statement::PauseDelivery(name) => set_paused(work, name, true)?,
            Statement::ResumeDelivery(name) => set_paused(work, name, false)?,
            Statement::FlushDelivery(name) => {
                work.refuse_in_block("FLUSH DELIVERY STREAM")?;
                let oid = find(work, name)?.oid;
                self.deliveries.flush(oid).await?;
                "FLUSH DELIVERY STREAM"
            }
            _ => return Ok(None),
        };
        Ok(Some(Outcome::Done { tag: tag.to_string() }))
    }

    fn system_tables(&self) -> Vec<SystemTable> {
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
            ("records_behind", long),
            ("cursor", string.clone()),
            ("attempt", string),
            ("delivered_at", time_type()),
        ];
        vec![table("firehose", "delivery_streams", &columns, |state| {
            state.deliveries().map(|delivery| row(state, delivery)).collect()
        })]
    }
}

fn row(state: &State, delivery: &Delivery) -> Vec<Cell> {
    let DeliveryState { records, flushes, delivered_ms, .. } = delivery.state;
    let destination = match &delivery.spec.target {
        DeliveryTarget::Objects(url) => url.clone(),
        DeliveryTarget::Table(table) => {
            format!("TABLE {}", state.relation(*table).map_or("?".to_string(), |table| state.shown(table)))
        }
    };
    let behind: u64 = waiting(delivery, state).values().map(|(from, end)| end - from).sum();
    vec![
        text(&delivery.name),
        text(state.relation(delivery.spec.source).map_or("?".to_string(), |stream| state.shown(stream))),
        text(destination),
        text(&delivery.spec.format),
        text(if delivery.state.paused { "PAUSED" } else { "ACTIVE" }),
        text(&delivery.state.reason),
        number(records),
        number(flushes),
        number(behind),
        text(serde_json::to_string(&delivery.state.cursor).unwrap_or_default()),
        Cell::Text(delivery.state.attempt.as_ref().map(|attempt| attempt.object.clone())),
        Cell::Time((delivered_ms > 0).then_some(delivered_ms)),
    ]
}

fn bare(name: &ObjectName) -> String {
    name_parts(name).pop().unwrap_or_default()
}

/// The delivery of a name; 42704.
fn find(work: &Work<'_>, name: &ObjectName) -> Result<Delivery> {
    let name = bare(name);
    let missing = || Error::new(Kind::UndefinedObject, format!("delivery stream \"{name}\" does not exist"));
    work.state().delivery(&name).cloned().ok_or_else(missing)
}

fn put(delivery: Delivery) -> Vec<Change> {
    vec![Change::Put(Arc::new(Object::Delivery(delivery)))]
}

fn create(work: &mut Work<'_>, create: &CreateDelivery) -> Result<&'static str> {
    let name = bare(&create.name);
    if create.if_not_exists && work.state().find(Space::Delivery, &name).is_some() {
        work.notice(format!("delivery stream \"{name}\" already exists, skipping"));
        return Ok("CREATE DELIVERY STREAM");
    }
    let spec = spec::of(work, create)?;
    let oid = work.engine().catalog().next_oid()?;
    let created_ms = work.engine().clock().now_ms();
    // From the oldest record that is kept, as Firehose with TRIM_HORIZON.
    let delivery = Delivery { oid, name, revision: 1, created_ms, spec, state: DeliveryState::default() };
    work.push(put(delivery))?;
    Ok("CREATE DELIVERY STREAM")
}

fn alter(work: &mut Work<'_>, alter: &AlterDelivery) -> Result<&'static str> {
    let mut delivery = find(work, &alter.name)?;
    spec::apply(&mut delivery.spec, alter.options.clone(), "ALTER DELIVERY STREAM")?;
    delivery.revision += 1;
    work.push(put(delivery))?;
    Ok("ALTER DELIVERY STREAM")
}

fn set_paused(work: &mut Work<'_>, name: &ObjectName, pause: bool) -> Result<&'static str> {
    let delivery = find(work, name)?;
    work.push(put(paused(&delivery, pause)))?;
    Ok(if pause { "PAUSE DELIVERY STREAM" } else { "RESUME DELIVERY STREAM" })
}

fn drop_delivery(work: &mut Work<'_>, drop: &DropDelivery) -> Result<&'static str> {
    match find(work, &drop.name) {
        Ok(delivery) => work.push(vec![Change::Drop { oid: delivery.oid, revision: delivery.revision }])?,
        Err(_) if drop.if_exists => {
            work.notice(format!("delivery stream \"{}\" does not exist, skipping", bare(&drop.name)))
        }
        Err(error) => return Err(error),
    }
    Ok("DROP DELIVERY STREAM")
}
