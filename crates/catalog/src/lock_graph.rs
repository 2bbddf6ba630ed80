//! Who holds which table, who waits for it, and whether a wait could ever end. Pure: [`crate::locks`] does the waiting.

use crate::object::Oid;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The number of a transaction that holds locks or waits for one.
pub type Owner = u64;

/// What comes of asking for a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// It is the owner's, now or already.
    Held,
    /// The owner is in the queue.
    Waits,
    /// The owner would wait for itself.
    Cycle,
    /// So many wait for the table that no more may.
    Full,
}

/// A table that is held, and those who wait for it, the longest first.
#[derive(Debug)]
struct Queue {
    holder: Owner,
    waiting: VecDeque<Owner>,
}

/// All locks and waits. An owner waits for one table at most.
#[derive(Debug, Default)]
pub struct LockGraph {
    tables: BTreeMap<Oid, Queue>,
    /// Tables of each owner, in the order in which they were taken.
    held: BTreeMap<Owner, Vec<Oid>>,
    waits: BTreeMap<Owner, Oid>,
}

impl LockGraph {
    /// Most owners that may wait for one table.
    pub const WAITERS_MAX: usize = 10_000;

    /// Takes the lock, or a place in its queue.
    pub fn ask(&mut self, owner: Owner, table: Oid) -> Asked {
        if self.take(owner, table) {
            return Asked::Held;
        }
        if self.would_wait_for_itself(owner, table) {
            return Asked::Cycle;
        }
        let Some(queue) = self.tables.get_mut(&table) else { return Asked::Held };
        if queue.waiting.len() >= Self::WAITERS_MAX {
            return Asked::Full;
        }
        queue.waiting.push_back(owner);
        self.waits.insert(owner, table);
        Asked::Waits
    }

    /// Takes the lock if nobody else has it.
    pub fn take(&mut self, owner: Owner, table: Oid) -> bool {
        if let Some(queue) = self.tables.get(&table) {
            return queue.holder == owner;
        }
        self.give(owner, table, VecDeque::new());
        true
    }

    /// Leaves the queue that the owner stands in.
    pub fn give_up(&mut self, owner: Owner) {
        let Some(table) = self.waits.remove(&owner) else { return };
        if let Some(queue) = self.tables.get_mut(&table) {
            queue.waiting.retain(|other| *other != owner);
        }
    }

    /// Lets go of what an owner took after its first `keep` tables. Gives those who have waited and hold one now.
    pub fn release(&mut self, owner: Owner, keep: usize) -> Vec<Owner> {
        let Some(held) = self.held.get_mut(&owner) else { return Vec::new() };
        let gone = held.split_off(keep.min(held.len()));
        if held.is_empty() {
            self.held.remove(&owner);
        }
        gone.into_iter().filter_map(|table| self.pass_on(table)).collect()
    }

    /// How many tables an owner holds.
    pub fn count(&self, owner: Owner) -> usize {
        self.held.get(&owner).map_or(0, Vec::len)
    }

    /// Each lock, then each wait: the owner, the table, and whether it is held.
    pub fn entries(&self) -> Vec<(Owner, Oid, bool)> {
        let held = self.held.iter().flat_map(|(owner, tables)| tables.iter().map(|table| (*owner, *table, true)));
        held.chain(self.waits.iter().map(|(owner, table)| (*owner, *table, false))).collect()
    }

    fn give(&mut self, owner: Owner, table: Oid, waiting: VecDeque<Owner>) {
        self.tables.insert(table, Queue { holder: owner, waiting });
        self.held.entry(owner).or_default().push(table);
    }

    fn pass_on(&mut self, table: Oid) -> Option<Owner> {
        let mut queue = self.tables.remove(&table)?;
        let next = queue.waiting.pop_front()?;
        self.waits.remove(&next);
        self.give(next, table, queue.waiting);
        Some(next)
    }

    /// Whether whoever has the table, or is before the owner in its queue, waits, by any number of steps, for the owner.
    /// Only a new wait can close a circle: one who gets a lock waits for nobody any more.
    fn would_wait_for_itself(&self, owner: Owner, table: Oid) -> bool {
        let mut seen = BTreeSet::new();
        let mut next = self.before(owner, table);
        while let Some(other) = next.pop() {
            if other == owner {
                return true;
            }
            if seen.insert(other)
                && let Some(table) = self.waits.get(&other)
            {
                next.extend(self.before(other, *table));
            }
        }
        false
    }

    /// The holder of a table and those who come before an owner in its queue.
    fn before(&self, owner: Owner, table: Oid) -> Vec<Owner> {
        let Some(queue) = self.tables.get(&table) else { return Vec::new() };
        let ahead = queue.waiting.iter().copied().take_while(|other| *other != owner);
        std::iter::once(queue.holder).chain(ahead).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Asked::{Cycle, Held, Waits};

    /// Steps of owners, and what must come of them.
    #[derive(Debug)]
    enum Step {
        Ask(Owner, Oid, Asked),
        Take(Owner, Oid, bool),
        GiveUp(Owner),
        Release(Owner, usize, &'static [Owner]),
    }
    use Step::{Ask, GiveUp, Release, Take};

    #[test]
    fn locks_are_taken_waited_for_and_passed_on() {
        let cases: &[(&str, &[Step])] = &[
            ("free, then held again by the same", &[Ask(1, 7, Held), Ask(1, 7, Held), Release(1, 0, &[])]),
            (
                "in the order in which they came",
                &[Ask(1, 7, Held), Ask(2, 7, Waits), Ask(3, 7, Waits), Release(1, 0, &[2]), Release(2, 0, &[3])],
            ),
            (
                "one who gives up is passed over",
                &[Ask(1, 7, Held), Ask(2, 7, Waits), Ask(3, 7, Waits), GiveUp(2), Release(1, 0, &[3])],
            ),
            ("back to a savepoint", &[Ask(1, 7, Held), Ask(1, 8, Held), Ask(2, 8, Waits), Release(1, 1, &[2])]),
            ("taken in passing", &[Take(1, 7, true), Take(1, 7, true), Take(2, 7, false), Ask(2, 8, Held)]),
            ("two across", &[Ask(1, 7, Held), Ask(2, 8, Held), Ask(1, 8, Waits), Ask(2, 7, Cycle)]),
            (
                "the loser lets go and the other goes on",
                &[Ask(1, 7, Held), Ask(2, 8, Held), Ask(1, 8, Waits), Ask(2, 7, Cycle), Release(2, 0, &[1])],
            ),
            (
                "three around",
                &[
                    Ask(1, 7, Held),
                    Ask(2, 8, Held),
                    Ask(3, 9, Held),
                    Ask(1, 8, Waits),
                    Ask(2, 9, Waits),
                    Ask(3, 7, Cycle),
                ],
            ),
            (
                "around by a place in a queue",
                &[
                    Ask(1, 7, Held),
                    Ask(2, 8, Held),
                    Ask(2, 7, Waits),
                    Ask(3, 9, Held),
                    Ask(3, 7, Waits),
                    Ask(1, 9, Cycle),
                ],
            ),
            (
                "a long chain is no circle",
                &[Ask(1, 7, Held), Ask(2, 8, Held), Ask(2, 7, Waits), Ask(3, 8, Waits), Ask(4, 8, Waits)],
            ),
        ];
        for (name, steps) in cases {
            let mut graph = LockGraph::default();
            for step in *steps {
                let right = match step {
                    Ask(owner, table, want) => graph.ask(*owner, *table) == *want,
                    Take(owner, table, want) => graph.take(*owner, *table) == *want,
                    GiveUp(owner) => {
                        graph.give_up(*owner);
                        true
                    }
                    Release(owner, keep, want) => graph.release(*owner, *keep) == *want,
                };
                assert!(right, "{name}: {step:?} in {graph:?}");
            }
        }
    }

    #[test]
    fn nothing_is_left_when_all_have_let_go() {
        let mut graph = LockGraph::default();
        for owner in 1..5 {
            graph.ask(owner, 7);
            graph.ask(owner, 10 + owner as Oid);
        }
        assert_eq!(graph.count(1), 2);
        for owner in 1..5 {
            graph.give_up(owner);
            graph.release(owner, 0);
        }
        assert!(graph.entries().is_empty() && graph.tables.is_empty(), "{graph:?}");
    }
}
