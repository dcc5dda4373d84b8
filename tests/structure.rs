//! The crates depend on each other as the architecture draws them, and on nothing that it forbids.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// What each crate may depend on among Tandem's own, directly or not.
const DRAWN: [(&str, &[&str]); 11] = [
    ("tandem-crds", &[]),
    ("tandem-core", &["tandem-crds"]),
    ("tandem-logs", &[]),
    ("tandem-arbiter", &["tandem-core", "tandem-crds"]),
    ("tandem-operator", &["tandem-arbiter", "tandem-core", "tandem-crds", "tandem-logs"]),
    ("tandem-api", &["tandem-arbiter", "tandem-core", "tandem-crds", "tandem-logs"]),
    ("tandem-agent", &["tandem-arbiter", "tandem-core", "tandem-crds", "tandem-logs"]),
    ("tandem-ledger", &["tandem-logs"]),
    ("tandem-cli", &["tandem-arbiter", "tandem-core", "tandem-crds", "tandem-logs"]),
    ("tandem-lab", &["tandem-crds", "tandem-logs"]),
    ("tandem-sim", &["tandem-arbiter", "tandem-core", "tandem-crds"]),
];

/// What the pure crates must never come to know.
const IMPURE: [&str; 6] = ["kube-client", "kube-runtime", "tokio", "etcd-client", "rand", "reqwest"];

fn tree(package: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}", "--package", package])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != package)
        .map(str::to_owned)
        .collect()
}

#[test]
fn crates_depend_one_way() {
    for (package, allowed) in DRAWN {
        let own: BTreeSet<String> = tree(package).into_iter().filter(|name| name.starts_with("tandem-")).collect();
        let stray: Vec<&String> = own.iter().filter(|name| !allowed.contains(&name.as_str())).collect();
        assert!(stray.is_empty(), "{package} depends on {stray:?}");
    }
}

#[test]
fn the_rules_know_no_client_and_no_runtime() {
    let mut found = BTreeMap::new();
    for package in ["tandem-crds", "tandem-core"] {
        let impure: Vec<String> = tree(package).into_iter().filter(|name| IMPURE.contains(&name.as_str())).collect();
        if !impure.is_empty() {
            found.insert(package, impure);
        }
    }
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn every_crate_is_drawn() {
    let manifest = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml")).unwrap();
    let members = manifest.lines().find(|line| line.starts_with("members")).unwrap();
    let folders = members.split('"').skip(1).step_by(2).filter(|member| *member != "tests");
    let named: Vec<&str> = folders.map(|folder| folder.trim_start_matches("tests/")).collect();
    let drawn: Vec<&str> = DRAWN.iter().map(|(package, _)| package.trim_start_matches("tandem-")).collect();
    assert_eq!(named, drawn);
}
