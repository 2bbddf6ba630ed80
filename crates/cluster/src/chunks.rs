//! Chunks of work on all nodes: each is tried until it is done, on another node if one is lost, but not for ever.

use crate::channel::Channels;
use crate::membership::{Membership, Role};
use crate::protocol::{self, Done, DoneChunk, WorkAnswers};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use tidegate_core::{Error, Kind, Result};
use tidegate_query::{Bench, ChunkWork, Performed};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use url::Url;

/// Times that a chunk is tried before it is given up: it may be what kills the nodes.
const ATTEMPTS_MAX: usize = 4;

/// What does chunks on a node; clones share it.
#[derive(Clone)]
pub struct Works {
    bench: Bench,
    works: Arc<Vec<Arc<dyn ChunkWork>>>,
}

impl Works {
    /// These kinds of work, on this bench.
    pub fn new(bench: Bench, works: Vec<Arc<dyn ChunkWork>>) -> Self {
        Works { bench, works: Arc::new(works) }
    }

    /// Does a chunk; when it is told to stop, or nobody waits for it any more, it is broken off in order.
    pub async fn perform(&self, kind: &str, chunk: String, stop: CancellationToken) -> Result<String> {
        let found = self.works.iter().find(|work| work.kind() == kind);
        let work = Arc::clone(found.ok_or_else(|| Error::internal(format!("nobody does chunks of {kind}")))?);
        let bench = self.bench.clone();
        let waited_for = stop.clone().drop_guard();
        let done = tokio::spawn(async move { work.perform(&bench, &chunk, &stop).await }).await;
        drop(waited_for);
        done.map_err(Error::internal)?
    }
}

impl WorkAnswers for Works {
    fn chunk(&self, chunk: protocol::Chunk) -> BoxFuture<'static, Result<DoneChunk, Status>> {
        let works = self.clone();
        Box::pin(async move {
            let done = works.perform(&chunk.kind, chunk.body, CancellationToken::new()).await;
            let done = match done {
                Ok(answer) => Done::Answer(answer),
                Err(error) => Done::Error(serde_json::to_string(&error).unwrap_or_default()),
            };
            Ok(DoneChunk { done: Some(done) })
        })
    }
}

/// A node that may take chunks.
#[derive(Debug, Clone, PartialEq)]
struct Taker {
    id: String,
    url: Option<Url>,
    slots: usize,
}

/// Which chunk goes where: pure.
struct Ledger {
    waiting: VecDeque<usize>,
    tries: Vec<usize>,
    busy: BTreeMap<String, usize>,
    /// Nodes that a chunk was lost on: they get no more of these.
    shunned: BTreeSet<String>,
}

impl Ledger {
    fn new(chunks: usize) -> Self {
        Ledger {
            waiting: (0..chunks).collect(),
            tries: vec![0; chunks],
            busy: BTreeMap::new(),
            shunned: BTreeSet::new(),
        }
    }

    /// The next chunk, and the node with the most room for it.
    fn next(&mut self, takers: &[Taker]) -> Option<(usize, Taker)> {
        let free = |taker: &Taker| taker.slots.saturating_sub(self.busy.get(&taker.id).copied().unwrap_or(0));
        let open = takers.iter().filter(|taker| !self.shunned.contains(&taker.id) && free(taker) > 0);
        let taker = open.max_by_key(|taker| free(taker))?.clone();
        let chunk = self.waiting.pop_front()?;
        *self.busy.entry(taker.id.clone()).or_default() += 1;
        if let Some(tries) = self.tries.get_mut(chunk) {
            *tries += 1;
        }
        Some((chunk, taker))
    }

    fn ended(&mut self, taker: &Taker) {
        if let Some(busy) = self.busy.get_mut(&taker.id) {
            *busy = busy.saturating_sub(1);
        }
    }

    /// The node of a chunk is lost: another gets it. 38000 when it was tried too often.
    fn lost(&mut self, chunk: usize, taker: &Taker, why: &str) -> Result<()> {
        self.shunned.insert(taker.id.clone());
        let tries = self.tries.get(chunk).copied().unwrap_or(ATTEMPTS_MAX);
        if tries >= ATTEMPTS_MAX {
            let message =
                format!("a part of the work was lost with its node {tries} times, the last time {}", taker.id);
            return Err(Error::new(Kind::External, message).detail(why).hint("tidegate.nodes tells of the nodes."));
        }
        self.waiting.push_front(chunk);
        Ok(())
    }
}

/// How an attempt failed.
enum Failure {
    /// The work itself: it would fail anywhere.
    Own(Error),
    /// The node, or the way to it.
    Lost(String),
}

/// Does chunks on all nodes that there are while it lasts.
pub async fn perform(
    membership: &Membership,
    channels: &Channels,
    own: &Works,
    kind: &str,
    chunks: Vec<String>,
    stop: &CancellationToken,
) -> Performed {
    let stop = stop.child_token();
    let mut ledger = Ledger::new(chunks.len());
    let mut answers = vec![None; chunks.len()];
    let (mut used, mut error) = (BTreeSet::new(), None);
    let mut running = FuturesUnordered::new();
    while error.is_none() {
        while let Some((chunk, taker)) = ledger.next(&takers(membership)) {
            let body = chunks.get(chunk).cloned().unwrap_or_default();
            let stop = stop.child_token();
            running.push(async move {
                let done = attempt(&taker, channels, own, kind, body, stop).await;
                (chunk, taker, done)
            });
        }
        let ended = tokio::select! {
            ended = running.next() => ended,
            () = stop.cancelled() => {
                error = Some(Error::new(Kind::Cancelled, "the work was broken off"));
                break;
            }
        };
        let Some((chunk, taker, done)) = ended else { break };
        ledger.ended(&taker);
        match done {
            Ok(answer) => {
                used.insert(taker.id);
                if let Some(place) = answers.get_mut(chunk) {
                    *place = Some(answer);
                }
            }
            Err(Failure::Own(own)) => error = Some(own),
            Err(Failure::Lost(why)) => {
                tracing::warn!(node = %taker.id, kind, why, "a chunk of work is lost, and is tried again");
                error = ledger.lost(chunk, &taker, &why).err();
            }
        }
    }
    // What this node still does of a failure may be about to leave something: whoever tidies up afterwards finds all.
    stop.cancel();
    while running.next().await.is_some() {}
    Performed { answers, attempts: ledger.tries.iter().sum(), nodes: used.len(), error }
}

fn takers(membership: &Membership) -> Vec<Taker> {
    let taker = |node: &crate::membership::Node| Taker {
        id: node.told.id.clone(),
        url: (node.told.role != Role::Leader).then(|| node.told.url.clone()),
        slots: node.told.slots as usize,
    };
    membership.nodes().active().map(taker).collect()
}

async fn attempt(
    taker: &Taker,
    channels: &Channels,
    own: &Works,
    kind: &str,
    body: String,
    stop: CancellationToken,
) -> std::result::Result<String, Failure> {
    let Some(url) = &taker.url else { return own.perform(kind, body, stop).await.map_err(Failure::Own) };
    let channel = channels.to(url).map_err(|error| Failure::Lost(error.to_string()))?;
    let chunk = protocol::Chunk { kind: kind.to_string(), body };
    let broken_off = || Err(Status::cancelled("nobody waits for this chunk any more"));
    match stop.run_until_cancelled(protocol::chunk(channel, chunk)).await.unwrap_or_else(broken_off) {
        Ok(DoneChunk { done: Some(Done::Answer(answer)) }) => Ok(answer),
        Ok(DoneChunk { done: Some(Done::Error(text)) }) => {
            Err(Failure::Own(serde_json::from_str(&text).unwrap_or_else(|_| Error::internal(text))))
        }
        Ok(DoneChunk { done: None }) => Err(Failure::Own(Error::internal("a node gave no answer to a chunk"))),
        Err(status) => Err(Failure::Lost(status.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taker(id: &str, slots: usize) -> Taker {
        Taker { id: id.into(), url: None, slots }
    }

    #[test]
    fn chunks_go_where_there_is_room() {
        let nodes = [taker("a", 2), taker("b", 1)];
        let mut ledger = Ledger::new(4);
        let mut given = Vec::new();
        while let Some((chunk, node)) = ledger.next(&nodes) {
            given.push((chunk, node.id));
        }
        given.sort();
        assert_eq!(given.iter().map(|(chunk, _)| *chunk).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(given.iter().filter(|(_, id)| id == "a").count(), 2);
        ledger.ended(&nodes[1]);
        assert_eq!(ledger.next(&nodes), Some((3, nodes[1].clone())));
        ledger.ended(&nodes[0]);
        assert_eq!(ledger.next(&nodes), None);
    }

    #[test]
    fn a_lost_chunk_goes_elsewhere_but_not_for_ever() {
        let nodes: Vec<Taker> = (0..ATTEMPTS_MAX).map(|n| taker(&n.to_string(), 1)).collect();
        let mut ledger = Ledger::new(1);
        for tried in 1..=ATTEMPTS_MAX {
            let (chunk, node) = ledger.next(&nodes).unwrap();
            ledger.ended(&node);
            assert_eq!(ledger.lost(chunk, &node, "gone").is_ok(), tried < ATTEMPTS_MAX, "{tried}");
        }
        assert_eq!(ledger.tries, [ATTEMPTS_MAX]);
    }
}
