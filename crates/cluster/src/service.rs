//! The cluster in SQL: `tidegate.nodes`, and ALTER NODE.

use crate::leader::Cluster;
use crate::membership::Node;
use arrow::datatypes::DataType;
use async_trait::async_trait;
use datafusion::common::ScalarValue;
use tidegate_core::Result;
use tidegate_parser::Statement;
use tidegate_query::system_table::{Cell, number, table, text, time_type};
use tidegate_query::{Outcome, Service, SystemTable, Work, require_superuser};

/// The cluster as a service of the engine.
pub struct ClusterService {
    cluster: Cluster,
}

impl ClusterService {
    /// Over the cluster of the server.
    pub fn new(cluster: Cluster) -> Self {
        ClusterService { cluster }
    }
}

#[async_trait]
impl Service for ClusterService {
    async fn execute(&self, work: &mut Work<'_>, statement: &Statement, _: &[ScalarValue]) -> Result<Option<Outcome>> {
        let Statement::DrainNode(id) = statement else { return Ok(None) };
        require_superuser(&work.scope, "drain nodes")?;
        work.refuse_in_block("ALTER NODE")?;
        self.cluster.membership().step(|nodes| nodes.drain(id))?;
        Ok(Some(Outcome::Done { tag: statement.command_tag() }))
    }

    fn system_tables(&self) -> Vec<SystemTable> {
        let (string, long) = (DataType::Utf8, DataType::Int64);
        let columns = [
            ("node_id", string.clone()),
            ("role", string.clone()),
            ("address", string.clone()),
            ("zone", string.clone()),
            ("market", string.clone()),
            ("slots", long.clone()),
            ("state", string.clone()),
            ("reason", string.clone()),
            ("version", string),
            ("heartbeat", time_type()),
            ("storage_used", long.clone()),
            ("storage_limit", long),
        ];
        let membership = self.cluster.membership().clone();
        vec![table("tidegate", "nodes", &columns, move |_| membership.nodes().iter().map(row).collect())]
    }
}

fn row(node: &Node) -> Vec<Cell> {
    let told = &node.told;
    vec![
        text(&told.id),
        text(told.role.word()),
        text(told.url.authority()),
        text(&told.zone),
        text(&told.market),
        number(told.slots),
        text(node.state.word()),
        text(&node.reason),
        text(&told.version),
        Cell::Time(Some(node.heard_ms)),
        number(told.storage_used),
        number(told.storage_limit),
    ]
}
