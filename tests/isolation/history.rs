//! A history of transactions over two tables, and whether snapshot isolation could have made it.
//!
//! Every write of a table puts its own number into all rows and notes the number that it found there, so the versions of
//! a table are a chain, and what a transaction read of a table is one version of it. Write skew is allowed: a transaction
//! may write one table on what it read of the other, which another changes meanwhile.

use std::collections::{BTreeMap, BTreeSet};

/// The number of the version that a table begins with.
pub const FIRST: i64 = 0;

/// A transaction that has committed.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// When it was begun, and when its commit was acknowledged, on one clock.
    pub began: u64,
    pub acknowledged: u64,
    /// The versions that it read of the two tables.
    pub read: [i64; 2],
    /// The versions that it made of them.
    pub wrote: [Option<i64>; 2],
}

/// What is wrong with a history; nothing if snapshot isolation could have made it.
pub fn faults(history: &[Seen]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut places = [BTreeMap::new(), BTreeMap::new()];
    for (table, places) in places.iter_mut().enumerate() {
        match chain(history, table) {
            Ok(chain) => *places = chain,
            Err(fault) => faults.push(fault),
        }
    }
    if !faults.is_empty() {
        return faults;
    }
    let place = |table: usize, version: i64| places[table].get(&version).copied();
    let (mut cuts, mut halves) = (BTreeSet::new(), Vec::new());
    let mut timed = Vec::new();
    for seen in history {
        let [Some(left), Some(right)] = [0, 1].map(|table| place(table, seen.read[table])) else {
            faults.push(format!("a version was read that nobody committed: {seen:?}"));
            continue;
        };
        cuts.insert((left, right));
        // What both tables were right after it is known only if it wrote both: nothing lies between.
        let after = [0, 1].map(|table| seen.wrote[table].and_then(|version| place(table, version)));
        if let [Some(left), Some(right)] = after {
            cuts.extend([(left - 1, right - 1), (left, right)]);
            halves.extend([(left - 1, right), (left, right - 1)]);
        }
        timed.push((seen, [left, right], after));
    }
    let half = halves.iter().find(|half| cuts.contains(half));
    faults.extend(half.map(|half| format!("snapshot {half:?} shows half of a commit")));
    faults.extend(crossing(&cuts));
    faults.extend(stale(&timed));
    faults
}

/// The versions of a table with their places, or the two writers that did not see each other.
fn chain(history: &[Seen], table: usize) -> Result<BTreeMap<i64, usize>, String> {
    let mut next = BTreeMap::new();
    for seen in history {
        let Some(version) = seen.wrote[table] else { continue };
        if let Some(other) = next.insert(seen.read[table], version) {
            return Err(format!(
                "a lost update of table {table}: {other} and {version} both follow {}",
                seen.read[table]
            ));
        }
    }
    let mut places = BTreeMap::from([(FIRST, 0)]);
    let mut version = FIRST;
    while let Some(after) = next.remove(&version) {
        places.insert(after, places.len());
        version = after;
    }
    match next.first_key_value() {
        None => Ok(places),
        Some((before, after)) => Err(format!("version {after} of table {table} follows {before}, which nobody made")),
    }
}

/// Two snapshots of which each has a commit that the other lacks.
fn crossing(cuts: &BTreeSet<(usize, usize)>) -> Option<String> {
    let pairs = cuts.iter().zip(cuts.iter().skip(1));
    pairs
        .filter(|(before, after)| before.1 > after.1)
        .map(|(before, after)| format!("no order of commits gives the snapshots {before:?} and {after:?}"))
        .next()
}

type Timed<'a> = (&'a Seen, [usize; 2], [Option<usize>; 2]);

/// A transaction that did not see what had been acknowledged before it began.
fn stale(timed: &[Timed<'_>]) -> Option<String> {
    let mut commits: Vec<(u64, [Option<usize>; 2])> =
        timed.iter().map(|(seen, _, after)| (seen.acknowledged, *after)).collect();
    commits.sort_unstable_by_key(|(at, _)| *at);
    let mut begins: Vec<&Timed<'_>> = timed.iter().collect();
    begins.sort_unstable_by_key(|(seen, _, _)| seen.began);
    let (mut newest, mut commits) = ([0, 0], commits.into_iter().peekable());
    for (seen, read, _) in begins {
        while let Some((_, after)) = commits.next_if(|(at, _)| *at < seen.began) {
            newest = [0, 1].map(|table: usize| newest[table].max(after[table].unwrap_or(0)));
        }
        if (0..2).any(|table| read[table] < newest[table]) {
            return Some(format!("{newest:?} had been acknowledged, and {read:?} was read: {seen:?}"));
        }
    }
    None
}

#[test]
fn faults_are_found() {
    let seen = |read: [i64; 2], wrote: [Option<i64>; 2]| Seen { read, wrote, ..Seen::default() };
    let at = |began: u64, acknowledged: u64, seen: Seen| Seen { began, acknowledged, ..seen };
    let cases: Vec<(&str, Vec<Seen>, Option<&str>)> = vec![
        ("nothing", vec![], None),
        (
            "a chain and who read it",
            vec![
                seen([0, 0], [Some(5), None]),
                seen([5, 0], [Some(3), Some(4)]),
                seen([3, 4], [None, None]),
                seen([5, 0], [None, None]),
            ],
            None,
        ),
        ("write skew", vec![seen([0, 0], [Some(1), None]), seen([0, 0], [None, Some(2)])], None),
        ("a lost update", vec![seen([0, 0], [Some(1), None]), seen([0, 0], [Some(2), None])], Some("lost update")),
        ("what nobody made", vec![seen([7, 0], [None, None])], Some("nobody committed")),
        ("after what nobody made", vec![seen([7, 0], [Some(8), None])], Some("nobody made")),
        (
            "half of a commit",
            vec![seen([0, 0], [Some(1), Some(1)]), seen([1, 0], [None, None])],
            Some("half of a commit"),
        ),
        (
            "two that each see the other's past",
            vec![
                seen([0, 0], [Some(1), None]),
                seen([0, 0], [None, Some(2)]),
                seen([1, 0], [None, None]),
                seen([0, 2], [None, None]),
            ],
            Some("no order of commits"),
        ),
        (
            "an old snapshot",
            vec![at(1, 2, seen([0, 0], [Some(1), None])), at(3, 4, seen([0, 0], [None, None]))],
            Some("had been acknowledged"),
        ),
        (
            "one that was begun meanwhile",
            vec![at(1, 3, seen([0, 0], [Some(1), None])), at(2, 4, seen([0, 0], [None, None]))],
            None,
        ),
    ];
    for (name, history, want) in cases {
        let found = faults(&history);
        match want {
            None => assert!(found.is_empty(), "{name}: {found:?}"),
            Some(want) => assert!(found.first().is_some_and(|fault| fault.contains(want)), "{name}: {found:?}"),
        }
    }
}
