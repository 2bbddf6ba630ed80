//! What is never a matter of taste: the layout, dependency direction, module docs, dead files, size, leftovers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::root;
use crate::s3::files_below;

/// What may lie at the top of the checkout.
const TOP_LEVEL: &[&str] = &[
    ".cargo",
    ".ci",
    ".dockerignore",
    ".editorconfig",
    ".gitattributes",
    ".github",
    ".gitignore",
    ".git",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "clippy.toml",
    "crates",
    "docker",
    "rustfmt.toml",
    "sql",
    "tests",
];

/// What a build or a run leaves there; ignored by git.
const LEFT_BY_RUNS: &[&str] = &["target", "tidegate-data"];

/// Layers from the bottom up. A crate may depend on crates of lower layers only.
const LAYERS: &[&[&str]] = &[
    &["core"],
    &["storage", "parser"],
    &["catalog"],
    &["stream"],
    &["query"],
    &["warehouse", "lake", "delivery", "continuous", "batch", "cluster"],
    &["gateway", "http"],
];

/// Crates that do without the engine, so that they build fast.
const WITHOUT_DATAFUSION: &[&str] = &["core", "storage", "catalog", "stream", "parser"];

/// Lines that one source file may have.
const FILE_LINES_MAX: usize = 900;

/// Words of unfinished work, in two halves so that this file does not hold them.
const UNFINISHED: &[(&str, &str)] =
    &[("todo", "!("), ("unimple", "mented!("), ("TO", "DO"), ("FIX", "ME"), ("XX", "X:"), ("dbg", "!(")];

fn sources() -> Vec<PathBuf> {
    files_below(&root().join("crates")).into_iter().filter(|path| path.extension().is_some_and(|e| e == "rs")).collect()
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// The workspace crates that each crate depends on, by short name, as its manifest says.
fn dependencies() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let path = entry.unwrap().path();
        let Ok(manifest) = fs::read_to_string(path.join("Cargo.toml")) else { continue };
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let needs =
            section_keys(&manifest).filter_map(|key| key.strip_prefix("tidegate-").map(str::to_string)).collect();
        found.insert(name, (manifest, needs));
    }
    found
}

/// The keys of every table of dependencies, whatever its kind.
fn section_keys(manifest: &str) -> impl Iterator<Item = String> + '_ {
    let mut inside = false;
    manifest.lines().filter_map(move |line| {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            let header = header.trim_end_matches(']');
            inside = header.ends_with("dependencies");
            return header.split_once("dependencies.").map(|(_, key)| key.to_string());
        }
        let key = line.split(['=', '.']).next()?.trim();
        (inside && !key.is_empty() && !key.starts_with('#')).then(|| key.to_string())
    })
}

#[test]
fn dependencies_point_down() {
    let layer = |name: &str| LAYERS.iter().position(|names| names.contains(&name));
    let mut wrong = Vec::new();
    let found = dependencies();
    assert!(found.contains_key("core") && found.len() > 5, "the manifests were not found: {:?}", found.keys());
    for (name, (manifest, needs)) in &found {
        let Some(own) = layer(name) else {
            wrong.push(format!("crates/{name} has no layer in tests/tidy.rs"));
            continue;
        };
        for need in needs {
            if layer(need).is_none_or(|other| other >= own) {
                wrong.push(format!("crates/{name} must not depend on {need}"));
            }
        }
        if WITHOUT_DATAFUSION.contains(&name.as_str())
            && section_keys(manifest).any(|key| key.starts_with("datafusion"))
        {
            wrong.push(format!("crates/{name} must do without datafusion"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reader_of_manifests_reads_them() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\na.workspace = true\n# b = 1\nc-d = { path = \"..\" }\n[dev-dependencies]\ne = \"1\"\n[lints]\nworkspace = true\n[dependencies.f]\nversion = \"1\"";
    let keys: Vec<String> = section_keys(manifest).collect();
    assert_eq!(keys, ["a", "c-d", "e", "f"]);
}

#[test]
fn the_top_level_holds_what_it_may() {
    let mut wrong = Vec::new();
    for entry in fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        if !TOP_LEVEL.contains(&name.as_str()) && !LEFT_BY_RUNS.contains(&name.as_str()) {
            wrong.push(name);
        }
    }
    assert!(wrong.is_empty(), "not of the agreed layout: {}", wrong.join(", "));
    for name in ["README.md", "LICENSE", "Cargo.lock"] {
        assert!(root().join(name).exists(), "{name} is missing");
    }
}

#[test]
fn every_file_says_what_it_is_for_and_is_not_too_long() {
    let mut wrong = Vec::new();
    let tests =
        files_below(&root().join("tests")).into_iter().filter(|path| path.extension().is_some_and(|e| e == "rs"));
    for path in sources().into_iter().chain(tests) {
        let text = fs::read_to_string(&path).unwrap();
        if !text.starts_with("//! ") {
            wrong.push(format!("{}: does not begin with //!", shown(&path)));
        }
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            wrong.push(format!("{}: {lines} lines, more than {FILE_LINES_MAX}", shown(&path)));
        }
        for (first, second) in UNFINISHED {
            if text.contains(&format!("{first}{second}")) {
                wrong.push(format!("{}: holds {first}{second}", shown(&path)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_file_is_dead() {
    let mut reached = BTreeSet::new();
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let src = entry.unwrap().path().join("src");
        for start in ["lib.rs", "main.rs"] {
            reach(&src.join(start), &src, &mut reached);
        }
    }
    let dead: Vec<String> = sources().iter().filter(|path| !reached.contains(*path)).map(|path| shown(path)).collect();
    assert!(dead.is_empty(), "no `mod` leads to: {}", dead.join(", "));
}

/// Follows the `mod name;` lines of a file whose submodules lie in `folder`.
fn reach(file: &Path, folder: &Path, reached: &mut BTreeSet<PathBuf>) {
    let Ok(text) = fs::read_to_string(file) else { return };
    if !reached.insert(file.to_path_buf()) {
        return;
    }
    for name in text.lines().filter_map(module) {
        reach(&folder.join(format!("{name}.rs")), &folder.join(name), reached);
        reach(&folder.join(name).join("mod.rs"), &folder.join(name), reached);
    }
}

/// The name in `mod name;`, `pub mod name;` or `pub(crate) mod name;`.
fn module(line: &str) -> Option<&str> {
    let line = line.split("//").next()?.trim();
    let (before, name) = line.strip_suffix(';')?.rsplit_once("mod ")?;
    let before = before.trim();
    let visible = before.is_empty()
        || before == "pub"
        || (before.starts_with("pub(") && before.ends_with(')'))
        || before.ends_with(']');
    visible.then(|| name.trim().trim_start_matches("r#"))
}

#[test]
fn the_reader_of_modules_reads_them() {
    let cases = [
        ("mod a;", Some("a")),
        ("pub(crate) mod b; // why", Some("b")),
        ("    pub mod c;", Some("c")),
        ("#[cfg(test)] mod d;", Some("d")),
        ("mod e {", None),
        ("// mod f;", None),
        ("let x = mod g;", None),
    ];
    for (line, name) in cases {
        assert_eq!(module(line), name, "{line}");
    }
}
