//! What the kernel knows of processes, as `/proc` tells it. Where there is none, nothing is known.

use std::collections::HashSet;
use std::fs;
use tidegate_catalog::ProcessMark;

/// A process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its number and when it began.
    pub mark: ProcessMark,
    /// The group it is in.
    pub group: u32,
    /// It has ended, and its parent has not looked yet.
    pub ended: bool,
}

/// The process of a number.
pub fn process(pid: u32) -> Option<Process> {
    parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// A line of `/proc/N/stat`. The name, in parentheses, may hold anything; what follows is numbers.
fn parse(pid: u32, line: &str) -> Option<Process> {
    let (_, rest) = line.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let started_ticks = fields.get(19)?.parse().ok()?;
    let ended = matches!(*fields.first()?, "Z" | "X");
    Some(Process { mark: ProcessMark { pid, started_ticks }, group: fields.get(2)?.parse().ok()?, ended })
}

/// All processes that are alive.
fn all() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    entries.flatten().filter_map(number).filter_map(process).filter(|process| !process.ended).collect()
}

/// Bytes of memory that the processes of a group hold.
pub fn group_memory(group: u32) -> u64 {
    all().iter().filter(|process| process.group == group).map(|process| memory(process.mark.pid)).sum()
}

/// Resident memory, which the kernel gives in KiB whatever its page is.
fn memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.unwrap_or(0).saturating_mul(1024)
}

/// The living processes that carry one of these values in a variable of their environment, or are one of these marks,
/// and their groups.
pub fn marked(variable: &str, values: &HashSet<String>, marks: &[ProcessMark]) -> (Vec<u32>, HashSet<u32>) {
    let is_one = |process: &Process| marks.contains(&process.mark) || carries(process.mark.pid, variable, values);
    let found: Vec<Process> = all().into_iter().filter(is_one).collect();
    (found.iter().map(|process| process.mark.pid).collect(), found.iter().map(|process| process.group).collect())
}

fn carries(pid: u32, variable: &str, values: &HashSet<String>) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|entry| {
        let value = std::str::from_utf8(entry).ok().and_then(|text| text.strip_prefix(variable)?.strip_prefix('='));
        value.is_some_and(|value| values.contains(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_hold_anything() {
        let line = "12 (a) R (b) S 1 77 77 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4711 1 2";
        let mark = ProcessMark { pid: 12, started_ticks: 4711 };
        assert_eq!(parse(12, line), Some(Process { mark, group: 77, ended: false }));
        assert_eq!(parse(12, "12 (a) S 1"), None);
        assert!(parse(12, &line.replace(" S 1", " Z 1")).is_some_and(|process| process.ended));
    }

    #[test]
    fn this_process_is_known() {
        let own = process(std::process::id()).unwrap();
        assert!(group_memory(own.group) > 0);
        let (pids, groups) = marked("NO_SUCH_VARIABLE", &HashSet::new(), &[own.mark]);
        assert_eq!((pids, groups), (vec![own.mark.pid], HashSet::from([own.group])));
        let other = ProcessMark { started_ticks: own.mark.started_ticks + 1, ..own.mark };
        assert!(marked("NO_SUCH_VARIABLE", &HashSet::new(), &[other]).0.is_empty());
    }
}
