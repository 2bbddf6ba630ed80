//! Fault injection: named points at which a test makes the server die, or a disk fail, at the n-th passage.
//!
//! `TIDEGATE_FAULT=wal.sync=kill@3,wal.write=enospc@1` aborts the process at the third sync and fails the first write.
//! Unset, a point costs one relaxed load.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use tidegate_core::{Error, Kind, Result};

/// The environment variable that sets faults.
pub const FAULT_VARIABLE: &str = "TIDEGATE_FAULT";

/// Whether the variable is set: not looked yet, no, yes.
static ARMED: AtomicU8 = AtomicU8::new(UNKNOWN);
const UNKNOWN: u8 = 0;
const OFF: u8 = 1;
const ON: u8 = 2;

/// Error numbers of Linux, so that an injected error is told apart by exactly the code that sees real ones.
const EIO: i32 = 5;
const ENOSPC: i32 = 28;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Kill,
    Fail(i32),
}

#[derive(Debug)]
struct Fault {
    point: String,
    action: Action,
    /// Acts at this passage, counted from 1, and at no other.
    at: u64,
    passed: AtomicU64,
}

#[derive(Debug)]
struct Faults(Vec<Fault>);

/// Passes a named point: the error, or the end of the process, that is set for this passage.
#[inline]
pub fn point(name: &'static str) -> Result<()> {
    if armed() { pass(name) } else { Ok(()) }
}

/// Whether any fault is set: a writer then splits its writes, so that a point can lie in the middle of one.
#[inline]
pub fn armed() -> bool {
    #[cfg(test)]
    if tests::set() {
        return true;
    }
    match ARMED.load(Ordering::Relaxed) {
        OFF => false,
        ON => true,
        _ => look(),
    }
}

#[cold]
fn look() -> bool {
    let set = std::env::var_os(FAULT_VARIABLE).is_some_and(|value| !value.is_empty());
    ARMED.store(if set { ON } else { OFF }, Ordering::Relaxed);
    set
}

#[cold]
fn pass(name: &str) -> Result<()> {
    #[cfg(test)]
    if let Some(result) = tests::pass(name) {
        return result;
    }
    static FAULTS: OnceLock<Result<Faults>> = OnceLock::new();
    let faults = FAULTS.get_or_init(|| Faults::parse(&std::env::var(FAULT_VARIABLE).unwrap_or_default()));
    match faults {
        Ok(faults) => faults.pass(name),
        Err(error) => Err(error.clone()),
    }
}

impl Faults {
    fn parse(text: &str) -> Result<Self> {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        Ok(Faults(items.map(Fault::parse).collect::<Result<_>>()?))
    }

    fn pass(&self, name: &str) -> Result<()> {
        // All count this passage, whichever acts.
        let due: Vec<_> = self.0.iter().filter(|fault| fault.point == name && fault.count()).collect();
        due.into_iter().try_for_each(Fault::act)
    }
}

impl Fault {
    fn parse(item: &str) -> Result<Self> {
        let malformed = || {
            Error::new(Kind::InvalidParameter, format!("{FAULT_VARIABLE} has the malformed item {item:?}"))
                .hint("Write point=kill@n, point=enospc@n or point=eio@n, with n from 1; separate several by commas.")
        };
        let (point, rest) = item.split_once('=').ok_or_else(malformed)?;
        let (action, at) = rest.split_once('@').unwrap_or((rest, "1"));
        let action = match action {
            "kill" => Action::Kill,
            "enospc" => Action::Fail(ENOSPC),
            "eio" => Action::Fail(EIO),
            _ => return Err(malformed()),
        };
        let at = at.parse().ok().filter(|at| *at > 0).ok_or_else(malformed)?;
        Ok(Fault { point: point.to_string(), action, at, passed: AtomicU64::new(0) })
    }

    /// Counts a passage, and says whether it is the one to act at.
    fn count(&self) -> bool {
        self.passed.fetch_add(1, Ordering::Relaxed) + 1 == self.at
    }

    fn act(&self) -> Result<()> {
        match self.action {
            Action::Kill => std::process::abort(),
            Action::Fail(number) => {
                let error = std::io::Error::from_raw_os_error(number);
                Err(Error::from(error).context(format_args!("fault point {}", self.point)))
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::cell::RefCell;

    thread_local! {
        static HERE: RefCell<Option<Faults>> = const { RefCell::new(None) };
    }

    /// Runs `work` with faults that only this thread meets.
    pub(crate) fn with<T>(text: &str, work: impl FnOnce() -> T) -> T {
        HERE.with(|here| *here.borrow_mut() = Some(Faults::parse(text).unwrap()));
        let result = work();
        HERE.with(|here| *here.borrow_mut() = None);
        result
    }

    pub(super) fn set() -> bool {
        HERE.with(|here| here.borrow().is_some())
    }

    pub(super) fn pass(name: &str) -> Option<Result<()>> {
        HERE.with(|here| here.borrow().as_ref().map(|faults| faults.pass(name)))
    }

    #[test]
    fn a_fault_acts_at_its_passage_and_at_no_other() {
        with("a=enospc@2, b=eio, a=eio@3", || {
            let kinds: Vec<_> = (0..4).map(|_| point("a").err().map(|e| e.kind())).collect();
            assert_eq!(kinds, [None, Some(Kind::DiskFull), Some(Kind::Io), None]);
            assert_eq!(point("b").unwrap_err().kind(), Kind::Io);
            assert!(point("b").is_ok());
            assert!(point("c").is_ok());
        });
        assert!(point("a").is_ok());
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for text in ["a", "a=", "a=boom@1", "a=kill@0", "a=kill@x", "a=kill@1,b"] {
            assert_eq!(Faults::parse(text).unwrap_err().kind(), Kind::InvalidParameter, "{text}");
        }
        for (text, count) in [("", 0), ("a=kill@3", 1), ("a=kill@3,b=eio@1,", 2)] {
            assert_eq!(Faults::parse(text).unwrap().0.len(), count, "{text}");
        }
    }
}
