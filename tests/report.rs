//! Lines for the summary of `tests/run`: what passed, failed or was skipped inside one test of cargo's.

use std::fs::OpenOptions;
use std::io::Write;

/// Notes a check that passed.
pub fn pass(name: &str) {
    line(&format!("PASS {name}"));
}

/// Notes a check that failed; the test itself still has to fail.
pub fn fail(name: &str) {
    line(&format!("FAIL {name}"));
}

/// Notes a check that could not run here, and why.
pub fn skip(name: &str, reason: &str) {
    line(&format!("SKIP {name}: {reason}"));
}

/// Checks of drivers that hold for Postgres and not yet, or never, for this server: a name and the reason on each line.
const DIFFERENCES: &str = include_str!("drivers/differences.txt");

/// The reason for which a check is known to fail.
fn known(name: &str) -> Option<&'static str> {
    let lines = DIFFERENCES.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(": ")).find(|(known, _)| *known == name).map(|(_, reason)| reason)
}

/// Takes over the PASS, FAIL and SKIP lines of a script's output. Gives the numbers of passes and failures; a check that is
/// known to differ must fail, and counts as neither.
pub fn take(area: &str, output: &str) -> (usize, usize) {
    let (mut passed, mut failed) = (0, 0);
    for text in output.lines() {
        match text.split_once(' ') {
            Some(("PASS", name)) => {
                let name = format!("{area}/{name}");
                if known(&name).is_some() {
                    failed += 1;
                    fail(&format!("{name} passes now: it is to be taken off the list of differences"));
                } else {
                    passed += 1;
                    pass(&name);
                }
            }
            Some(("FAIL", name)) => {
                let name = format!("{area}/{name}");
                match known(&name) {
                    Some(reason) => line(&format!("DIFFERS {name}: {reason}")),
                    None => {
                        failed += 1;
                        fail(&name);
                    }
                }
            }
            Some(("SKIP", rest)) => {
                let (name, reason) = rest.split_once(": ").unwrap_or((rest, "no reason given"));
                skip(name, reason);
            }
            _ => {}
        }
    }
    (passed, failed)
}

fn line(text: &str) {
    println!("{text}");
    if let Ok(path) = std::env::var("TIDEGATE_TEST_REPORT") {
        let file = OpenOptions::new().create(true).append(true).open(path);
        file.and_then(|mut file| file.write_all(format!("{text}\n").as_bytes())).expect("the report can be written");
    }
}
