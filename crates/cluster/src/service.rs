//! The cluster in SQL: `tidegate.nodes`, and ALTER NODE.

use crate::leader::Cluster;
use crate::membership::{Membership, Node};
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use datafusion::common::ScalarValue;
use std::sync::Arc;
use tidegate_core::{Error, Result};
use tidegate_parser::Statement;
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
        let (membership, schema) = (self.cluster.membership().clone(), schema());
        let of = Arc::clone(&schema);
        let rows = Arc::new(move |_: &_| rows(&membership, &of));
        vec![SystemTable { namespace: "tidegate", name: "nodes", schema, rows }]
    }
}

fn schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let whole = |name: &str| Field::new(name, DataType::Int64, true);
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        text("node_id"),
        text("role"),
        text("address"),
        text("zone"),
        text("market"),
        whole("slots"),
        text("state"),
        text("reason"),
        text("version"),
        Field::new("heartbeat", time, true),
        whole("storage_used"),
        whole("storage_limit"),
    ]))
}

fn rows(membership: &Membership, schema: &SchemaRef) -> Result<RecordBatch> {
    let nodes = membership.nodes();
    let nodes: Vec<&Node> = nodes.iter().collect();
    let text = |of: &dyn Fn(&Node) -> String| -> ArrayRef {
        Arc::new(nodes.iter().map(|node| Some(of(node)).filter(|text| !text.is_empty())).collect::<StringArray>())
    };
    let whole = |of: &dyn Fn(&Node) -> u64| -> ArrayRef {
        Arc::new(nodes.iter().map(|node| i64::try_from(of(node)).ok()).collect::<Int64Array>())
    };
    let heard: TimestampMicrosecondArray = nodes.iter().map(|node| Some(node.heard_ms * 1000)).collect();
    let address = |node: &Node| node.told.url.authority().to_string();
    let columns = vec![
        text(&|node| node.told.id.clone()),
        text(&|node| node.told.role.word().to_string()),
        text(&address),
        text(&|node| node.told.zone.clone()),
        text(&|node| node.told.market.clone()),
        whole(&|node| u64::from(node.told.slots)),
        text(&|node| node.state.word().to_string()),
        text(&|node| node.reason.clone()),
        text(&|node| node.told.version.clone()),
        Arc::new(heard.with_timezone("UTC")),
        whole(&|node| node.told.storage_used),
        whole(&|node| node.told.storage_limit),
    ];
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(Error::internal)
}
