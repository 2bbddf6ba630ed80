//! The cluster: one leader that plans, workers that join it, and queries that run on all of them.
//!
//! Owns membership, what travels of a plan, and the cluster port. Refuses to schedule: that is the distributed engine's.
//! Keeps nothing durable: who is there says so every second, and a leader that starts anew hears it.
//!
//! 1. `worker` joins and tells that it is there; `membership` holds who belongs to the cluster, in pure steps.
//! 2. `planner` plans a query for all nodes, if it can travel; `scan` deals files out to tasks, `leaf` stands for rows
//!    that only the leader has, `codec` writes both.
//! 3. `stores` and `task`: the session in which a node runs its part, with the buckets and functions that it needs.
//! 4. `channel`: connections, watched so that a silent node is noticed; `port` serves them; `protocol`: what is said beside plans and rows.
//! 5. `chunks`: work that is cut up (COPY, UNLOAD), each part by one node, and by another where that one is lost;
//!    `pieces`: plans that can be cut so.
//! 6. `leader` puts it together behind [`tidegate_query::Spread`]: a query that loses a node before its first row is
//!    planned again. `service`: `tidegate.nodes` and ALTER NODE.

mod channel;
mod chunks;
mod codec;
mod leader;
mod leaf;
mod membership;
mod pieces;
mod planner;
mod port;
mod protocol;
mod scan;
mod service;
mod stores;
mod task;
mod worker;

pub use leader::Cluster;
pub use service::ClusterService;
pub use worker::Worker;
