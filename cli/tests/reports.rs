//! What people are told about files that are wrong, and the exit codes.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

fn tandem(arguments: &[&str]) -> Output {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    Command::new(env!("CARGO_BIN_EXE_tandem"))
        .args(arguments)
        .current_dir(data)
        .env_remove("KUBECONFIG")
        .env("HOME", "/nonexistent")
        .output()
        .unwrap()
}

/// The exit code and everything that was said.
fn told(arguments: &[&str]) -> String {
    let output = tandem(arguments);
    let code = output.status.code().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    format!("exit code {code}\n--- standard error\n{stderr}--- standard output\n{stdout}")
}

macro_rules! report {
    ($($name:ident: $($argument:expr),+;)+) => { $(
        #[test]
        fn $name() {
            insta::assert_snapshot!(told(&["import", "--dry-run", $($argument),+]));
        }
    )+ };
}

report! {
    cells_that_cannot_be_read: "cells.csv";
    cells_in_gb18030: "cells-gb18030.csv";
    columns_missing_twice_and_unknown: "columns.csv";
    a_quote_never_closed: "quote.csv";
    rows_too_wide_and_too_narrow: "widths.csv";
    systems_and_host_names_twice: "duplicates.csv";
    units_that_disagree: "facts.csv";
    names_too_long_or_alike: "names.csv";
    units_and_systems_unknown: "unknown.csv";
    circles: "cycle.csv";
    over_the_budget_of_columns: "budget-columns.csv";
    over_the_budget_of_a_file: "--budgets", "budgets.csv", "good.csv";
    bad_budgets: "--budgets", "columns.csv", "good.csv";
    going_on_without_bad_rows: "--keep-going", "keep-going.csv";
    a_workbook: "workbook.csv";
    utf16: "utf16.csv";
    nothing: "empty.csv";
    semicolons_are_fine: "semicolons.csv";
    a_good_file: "good.csv";
}

#[test]
fn resources_of_a_good_file() {
    let output = tandem(&["import", "good.csv"]);
    assert!(output.status.success());
    insta::assert_snapshot!(String::from_utf8(output.stdout).unwrap());
}

#[test]
fn nothing_is_written_when_a_row_is_bad() {
    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("resources.yaml");
    let output = tandem(&["import", "cycle.csv", "-o", target.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn a_directory_gets_a_file_a_kind() {
    let directory = tempfile::tempdir().unwrap();
    let target = format!("{}/new/", directory.path().display());
    assert!(tandem(&["import", "good.csv", "-o", &target]).status.success());
    let mut names: Vec<_> =
        std::fs::read_dir(&target).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["1-units.yaml", "2-environments.yaml", "3-applications.yaml"]);
}

#[test]
fn exit_codes_tell_usage_from_clusters() {
    assert_eq!(tandem(&["import"]).status.code(), Some(2));
    assert_eq!(tandem(&["import", "no-such-file.csv"]).status.code(), Some(2));
    assert_eq!(tandem(&["import", "good.csv", "--apply", "--output", "x"]).status.code(), Some(2));
    assert_eq!(tandem(&["import", "good.csv", "--apply", "--kubeconfig", "/nonexistent"]).status.code(), Some(3));
    assert_eq!(tandem(&["--version"]).status.code(), Some(0));
    assert_eq!(tandem(&["import", "--columns"]).status.code(), Some(0));
    assert_eq!(tandem(&["completion", "bash"]).status.code(), Some(0));
}

#[test]
fn the_lab_is_the_program_beside_this_one() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("tandem");
    std::fs::copy(env!("CARGO_BIN_EXE_tandem"), &program).unwrap();
    let absent = Command::new(&program).args(["lab", "up"]).output().unwrap();
    assert_eq!(absent.status.code(), Some(2));
    assert!(String::from_utf8(absent.stderr).unwrap().contains("make up"));

    let sibling = directory.path().join("tandem-lab");
    std::fs::write(&sibling, "#!/bin/sh\necho \"$@\"\nexit 7\n").unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&sibling, executable).unwrap();
    let there = Command::new(&program).args(["lab", "up", "--help", "--dir", "x"]).output().unwrap();
    assert_eq!(String::from_utf8(there.stdout).unwrap(), "up --help --dir x\n");
    assert_eq!(there.status.code(), Some(7));
}

#[test]
fn kubectl_finds_it_as_a_plugin() {
    let directory = tempfile::tempdir().unwrap();
    let called = |name: &str, arguments: &[&str]| {
        let program = directory.path().join(name);
        if !program.exists() {
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_tandem"), &program).unwrap();
        }
        Command::new(&program).args(arguments).env("KUBECONFIG", "/nowhere/kubeconfig").output().unwrap()
    };
    let help = called("kubectl-tandem", &["status", "--help"]);
    assert!(String::from_utf8(help.stdout).unwrap().contains("Usage: kubectl tandem status"));
    let status = called("kubectl-tandem", &["status"]);
    assert_eq!(status.status.code(), Some(3), "it runs the command: {}", String::from_utf8_lossy(&status.stderr));
    let wrong = called("kubectl-tandem", &["no-such-command"]);
    assert_eq!(wrong.status.code(), Some(2));
    let completed = called("kubectl_complete-tandem", &["failover", "pl"]);
    assert_eq!(completed.status.code(), Some(0));
    let completed = String::from_utf8(completed.stdout).unwrap();
    assert!(completed.starts_with("plan\t") && completed.ends_with(":4\n"), "{completed}");
}
