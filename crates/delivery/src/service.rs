//! Deliveries in SQL.

use crate::engine::Deliveries;
use crate::state::paused;
use crate::{spec, view};
use async_trait::async_trait;
use datafusion::common::ScalarValue;
use tidegate_catalog::{Change, Delivery, DeliveryState, Space, State};
use tidegate_core::{Error, Kind, Result};
use tidegate_parser::ast::ObjectName;
use tidegate_parser::{AlterDelivery, CreateDelivery, DropDelivery, Statement, name_parts};
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
            Statement::CreateDelivery(statement) => create(work, statement).await?,
            Statement::AlterDelivery(statement) => alter(work, statement).await?,
            Statement::DropDelivery(statement) => drop_delivery(work, statement).await?,
            Statement::PauseDelivery(name) => set_paused(work, name, true).await?,
            Statement::ResumeDelivery(name) => set_paused(work, name, false).await?,
            Statement::FlushDelivery(name) => {
                refuse_in_block(work)?;
                let oid = own(work, &bare(name))?.oid;
                self.deliveries.flush(oid).await?;
                work.see_newest();
                "FLUSH DELIVERY STREAM"
            }
            _ => return Ok(None),
        };
        Ok(Some(Outcome::Done { tag: tag.to_string() }))
    }

    fn system_tables(&self) -> Vec<SystemTable> {
        view::system_tables()
    }
}

fn bare(name: &ObjectName) -> String {
    name_parts(name).pop().unwrap_or_default()
}

/// The delivery of a name; 42704.
fn find<'a>(state: &'a State, name: &str) -> Result<&'a Delivery> {
    let missing = || Error::new(Kind::UndefinedObject, format!("delivery stream \"{name}\" does not exist"));
    state.named::<Delivery>(name).ok_or_else(missing)
}

/// The same for its owner; 42501.
fn own<'a>(work: &'a Work<'_>, name: &str) -> Result<&'a Delivery> {
    let found = find(work.state(), name)?;
    work.require_ownership("delivery stream", name, found.owner)?;
    Ok(found)
}

/// FLUSH waits for what others see, and what this transaction has put into the stream they do not.
fn refuse_in_block(work: &Work<'_>) -> Result<()> {
    match work.in_block || !work.transaction.is_empty() {
        true => {
            let message = "FLUSH DELIVERY STREAM cannot run inside a transaction block";
            Err(Error::new(Kind::ActiveTransaction, message).hint("Send it by itself, after COMMIT."))
        }
        false => Ok(()),
    }
}

async fn create(work: &mut Work<'_>, create: &CreateDelivery) -> Result<&'static str> {
    let name = bare(&create.name);
    spec::check_name(&name)?;
    if work.state().find(Space::Delivery, &name).is_some() {
        if create.if_not_exists {
            work.notice(format!("delivery stream \"{name}\" already exists, skipping"));
            return Ok("CREATE DELIVERY STREAM");
        }
        return Err(Error::new(Kind::DuplicateObject, format!("delivery stream \"{name}\" already exists")));
    }
    let spec = spec::of(work, create).await?;
    let oid = work.engine().catalog().next_oid()?;
    let created_ms = work.engine().clock().now_ms();
    // From the oldest record that is kept: a Firehose on a stream starts at TRIM_HORIZON.
    let owner = work.user_oid();
    let delivery = Delivery { oid, name, revision: 1, owner, created_ms, spec, state: DeliveryState::default() };
    work.push(vec![Change::put(delivery)])?;
    Ok("CREATE DELIVERY STREAM")
}

/// Changes a delivery as it stands now.
async fn change(
    work: &mut Work<'_>,
    name: &str,
    change: impl Fn(&Work<'_>, &Delivery) -> Result<Option<Change>>,
) -> Result<()> {
    let changes = |work: &Work<'_>| Ok(change(work, own(work, name)?)?.into_iter().collect());
    work.change(&format!("delivery stream \"{name}\""), changes).await
}

async fn alter(work: &mut Work<'_>, alter: &AlterDelivery) -> Result<&'static str> {
    let altered = |work: &Work<'_>, delivery: &Delivery| {
        let mut delivery = Delivery { revision: delivery.revision + 1, ..delivery.clone() };
        spec::apply(work, &mut delivery.spec, alter.options.clone(), "ALTER DELIVERY STREAM")?;
        Ok(Some(Change::put(delivery)))
    };
    change(work, &bare(&alter.name), altered).await?;
    Ok("ALTER DELIVERY STREAM")
}

async fn set_paused(work: &mut Work<'_>, name: &ObjectName, pause: bool) -> Result<&'static str> {
    change(work, &bare(name), |_, delivery| Ok(paused(delivery, pause).map(Change::put))).await?;
    Ok(if pause { "PAUSE DELIVERY STREAM" } else { "RESUME DELIVERY STREAM" })
}

async fn drop_delivery(work: &mut Work<'_>, drop: &DropDelivery) -> Result<&'static str> {
    let name = bare(&drop.name);
    let dropped =
        |_: &Work<'_>, delivery: &Delivery| Ok(Some(Change::Drop { oid: delivery.oid, revision: delivery.revision }));
    match change(work, &name, dropped).await {
        Err(error) if drop.if_exists && error.kind() == Kind::UndefinedObject => {
            work.notice(format!("delivery stream \"{name}\" does not exist, skipping"));
        }
        other => other?,
    }
    Ok("DROP DELIVERY STREAM")
}
