//! Who belongs to the cluster: pure steps on a list of nodes, and the list as queries see it.

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};
use url::Url;

/// The leader's id among the nodes.
pub const LEADER: &str = "leader";
/// How long a node may be silent before queries do without it.
pub const SILENT_MS: i64 = 4000;
/// How long a node that is gone is still shown.
const SHOWN_MS: i64 = 3_600_000;

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Plans, and takes part in what it plans.
    Leader,
    /// Stays: keeps caches of what it has read.
    Core,
    /// Comes and goes.
    Task,
}

impl Role {
    /// EMR's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Role::Leader => "leader",
            Role::Core => "core",
            Role::Task => "task",
        }
    }

    /// The role that a worker asks for.
    pub fn of_worker(word: &str) -> Result<Role> {
        match word {
            "core" => Ok(Role::Core),
            "task" => Ok(Role::Task),
            other => Err(Error::new(Kind::InvalidParameter, format!("role \"{other}\" is neither core nor task"))),
        }
    }
}

/// Where a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// Was heard, and is asked whether it can be reached.
    Joining,
    /// Takes part in queries.
    Active,
    /// Ends what it has begun, and takes nothing new.
    Draining,
    /// Has ended in order.
    Left,
    /// Does not answer.
    Lost,
}

impl NodeState {
    /// Whether it is part of the cluster.
    fn is_here(self) -> bool {
        matches!(self, NodeState::Joining | NodeState::Active | NodeState::Draining)
    }

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            NodeState::Joining => "JOINING",
            NodeState::Active => "ACTIVE",
            NodeState::Draining => "DRAINING",
            NodeState::Left => "LEFT",
            NodeState::Lost => "LOST",
        }
    }
}

/// What a node tells of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Its id, stable across its restarts.
    pub id: String,
    /// What it does.
    pub role: Role,
    /// Where other nodes reach it.
    pub url: Url,
    /// The zone it stands in.
    pub zone: String,
    /// `on_demand` or `spot`.
    pub market: String,
    /// Parts of a query that it runs at one time.
    pub slots: u32,
    /// Its version; only equals work together, since plans are no stable format.
    pub version: String,
    /// Bytes of its disk in use.
    pub storage_used: u64,
    /// Bytes of its disk that it may use.
    pub storage_limit: u64,
}

/// A node as the leader knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it told last.
    pub told: Told,
    /// Where it stands.
    pub state: NodeState,
    /// Why, for people.
    pub reason: String,
    /// When it was last heard of, in milliseconds of the Unix epoch.
    pub heard_ms: i64,
}

/// All nodes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Nodes {
    by_id: BTreeMap<String, Node>,
    losses: u64,
}

impl Nodes {
    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Node> {
        self.by_id.values()
    }

    /// How many have been lost so far.
    pub fn losses(&self) -> u64 {
        self.losses
    }

    /// Those that take part in queries.
    pub fn active(&self) -> impl Iterator<Item = &Node> {
        self.iter().filter(|node| node.state == NodeState::Active)
    }

    /// Those that were heard, and may be reached or not.
    pub fn joining(&self) -> impl Iterator<Item = &Node> {
        self.iter().filter(|node| node.state == NodeState::Joining)
    }

    /// Workers that are there, draining ones included.
    fn workers(&self) -> usize {
        self.iter().filter(|node| node.state.is_here()).filter(|node| node.told.role != Role::Leader).count()
    }

    /// A node was heard: it joins, or stays as it was. One that was lost joins anew. 53400 when there are as many workers as may be, 0A000 for another version.
    pub fn heard(&mut self, told: Told, ours: &str, workers_max: usize, now_ms: i64) -> Result<NodeState> {
        if told.version != ours {
            let message = format!("node {} runs version {}, the leader {ours}", told.id, told.version);
            return Err(Error::new(Kind::Unsupported, message).hint("Run the same build on every node."));
        }
        let known = self.by_id.get(&told.id).map(|node| node.state);
        let stays = known.filter(|state| state.is_here());
        if stays.is_none() && told.role != Role::Leader && self.workers() >= workers_max {
            let message = format!("node {} cannot join: there are {workers_max} workers already", told.id);
            return Err(Error::new(Kind::LimitExceeded, message).hint("max_workers is the most that may join."));
        }
        let state = stays.unwrap_or(NodeState::Joining);
        // Why it was lost is told until it can be reached.
        let reason = self.by_id.get(&told.id).map(|node| node.reason.clone()).unwrap_or_default();
        let node = Node { state, reason, heard_ms: now_ms, told };
        self.by_id.insert(node.told.id.clone(), node);
        Ok(state)
    }

    /// A node that joins can be reached at its address.
    pub fn reached(&mut self, id: &str) {
        if let Some(node) = self.by_id.get_mut(id).filter(|node| node.state == NodeState::Joining) {
            (node.state, node.reason) = (NodeState::Active, String::new());
        }
    }

    /// A node is to end what it has begun and take nothing new. 42704 when there is none of the id, 55000 for the leader.
    pub fn drain(&mut self, id: &str) -> Result<()> {
        let missing = || {
            Error::new(Kind::UndefinedObject, format!("node \"{id}\" does not exist"))
                .hint("tidegate.nodes lists them.")
        };
        let node = self.by_id.get_mut(id).ok_or_else(missing)?;
        match node.state {
            _ if node.told.role == Role::Leader => {
                let message = "the leader cannot be drained: it plans what the others run";
                Err(Error::new(Kind::NotInState, message).hint("Stop the server instead."))
            }
            here if here.is_here() => {
                (node.state, node.reason) = (NodeState::Draining, "ALTER NODE DRAIN".to_string());
                Ok(())
            }
            gone => Err(Error::new(Kind::NotInState, format!("node \"{id}\" is {}", gone.word()))),
        }
    }

    /// A node says goodbye.
    pub fn left(&mut self, id: &str) {
        if let Some(node) = self.by_id.get_mut(id) {
            node.state = NodeState::Left;
        }
    }

    /// A node did not answer.
    pub fn lost(&mut self, id: &str, reason: &str) {
        if let Some(node) = self.by_id.get_mut(id).filter(|node| node.state.is_here()) {
            (node.state, node.reason) = (NodeState::Lost, reason.to_string());
            self.losses += 1;
        }
    }

    /// Time has passed: who was silent too long is lost, and who has long been gone is forgotten.
    pub fn passed(&mut self, now_ms: i64) {
        let silent = |node: &&Node| node.heard_ms.saturating_add(SILENT_MS) <= now_ms;
        let silent: Vec<String> = self.iter().filter(silent).map(|node| node.told.id.clone()).collect();
        for id in silent.iter().filter(|id| *id != LEADER) {
            self.lost(id, &format!("nothing was heard of it for {SILENT_MS} ms"));
        }
        let gone = |node: &Node| matches!(node.state, NodeState::Left | NodeState::Lost);
        self.by_id.retain(|_, node| !gone(node) || node.heard_ms.saturating_add(SHOWN_MS) > now_ms);
    }
}

/// The nodes as all parts of the leader share them; clones are handles on the same list.
#[derive(Debug, Clone, Default)]
pub struct Membership {
    change: Arc<Mutex<()>>,
    nodes: Arc<ArcSwap<Nodes>>,
}

impl Membership {
    /// The nodes now.
    pub fn nodes(&self) -> Arc<Nodes> {
        self.nodes.load_full()
    }

    /// Whether there is a worker that takes part in queries.
    pub fn has_workers(&self) -> bool {
        self.nodes().active().any(|node| node.told.role != Role::Leader)
    }

    /// Makes a step.
    pub fn step<T>(&self, step: impl FnOnce(&mut Nodes) -> T) -> T {
        let _one_at_a_time = self.change.lock();
        let before = self.nodes.load_full();
        let mut after = Nodes::clone(&before);
        let given = step(&mut after);
        for node in after.iter() {
            let earlier = before.by_id.get(&node.told.id).map(|earlier| earlier.state);
            if earlier != Some(node.state) {
                let (id, role, state) = (&node.told.id, node.told.role.word(), node.state.word());
                tracing::info!(node = %id, role, url = %node.told.url, state, reason = %node.reason, "node");
            }
        }
        self.nodes.store(Arc::new(after));
        given
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(id: &str, role: Role) -> Told {
        Told {
            id: id.into(),
            role,
            url: Url::parse("http://127.0.0.1:1").unwrap(),
            zone: String::new(),
            market: "on_demand".into(),
            slots: 2,
            version: "1".into(),
            storage_used: 0,
            storage_limit: 0,
        }
    }

    fn state(nodes: &Nodes, id: &str) -> Option<NodeState> {
        nodes.by_id.get(id).map(|node| node.state)
    }

    #[test]
    fn a_node_joins_is_silent_and_comes_back() {
        let mut nodes = Nodes::default();
        assert_eq!(nodes.heard(told("a", Role::Core), "1", 8, 0).unwrap(), NodeState::Joining);
        nodes.reached("a");
        assert_eq!(nodes.heard(told("a", Role::Core), "1", 8, 0).unwrap(), NodeState::Active);
        nodes.passed(SILENT_MS - 1);
        assert_eq!(state(&nodes, "a"), Some(NodeState::Active));
        nodes.passed(SILENT_MS);
        assert_eq!(state(&nodes, "a"), Some(NodeState::Lost));
        assert_eq!(nodes.heard(told("a", Role::Core), "1", 8, SILENT_MS + 1).unwrap(), NodeState::Joining);
        assert_eq!((nodes.active().count(), nodes.losses()), (0, 1), "it may be heard and not be reached");
        nodes.left("a");
        nodes.lost("a", "late news");
        assert_eq!(state(&nodes, "a"), Some(NodeState::Left));
        nodes.passed(SHOWN_MS + SILENT_MS + 2);
        assert_eq!(state(&nodes, "a"), None);
    }

    #[test]
    fn as_many_workers_as_may_and_of_one_version() {
        let mut nodes = Nodes::default();
        nodes.heard(told(LEADER, Role::Leader), "1", 1, 0).unwrap();
        nodes.heard(told("a", Role::Core), "1", 1, 0).unwrap();
        nodes.heard(told("a", Role::Core), "1", 1, 5).unwrap();
        assert_eq!(nodes.heard(told("b", Role::Task), "1", 1, 5).unwrap_err().kind(), Kind::LimitExceeded);
        assert_eq!(nodes.heard(told("b", Role::Task), "2", 9, 5).unwrap_err().kind(), Kind::Unsupported);
        nodes.lost("a", "gone");
        nodes.heard(told("b", Role::Task), "1", 1, 5).unwrap();
        assert_eq!(nodes.heard(told("a", Role::Core), "1", 1, 6).unwrap_err().kind(), Kind::LimitExceeded);
    }

    #[test]
    fn a_drained_node_stays_drained() {
        let mut nodes = Nodes::default();
        nodes.heard(told(LEADER, Role::Leader), "1", 1, 0).unwrap();
        nodes.heard(told("a", Role::Core), "1", 1, 0).unwrap();
        assert_eq!(nodes.drain("x").unwrap_err().kind(), Kind::UndefinedObject);
        assert_eq!(nodes.drain(LEADER).unwrap_err().kind(), Kind::NotInState);
        nodes.drain("a").unwrap();
        assert_eq!(nodes.heard(told("a", Role::Core), "1", 1, 9).unwrap(), NodeState::Draining);
        nodes.reached("a");
        assert_eq!(state(&nodes, "a"), Some(NodeState::Draining), "late news");
        nodes.left("a");
        assert_eq!(nodes.drain("a").unwrap_err().kind(), Kind::NotInState);
    }
}
