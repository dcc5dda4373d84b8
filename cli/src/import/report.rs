//! What an import tells: everything that is wrong, and what it comes to.

use super::amounts::Amounts;
use super::build::Resources;
use super::headers::{ALIASES, REQUIRED};
use super::problem::{Problem, Severity, counted};
use super::{Outcome, Sheet};
use std::fmt::Write as _;
use tandem_crds::StandbyClass;

/// All problems, one after the other.
#[must_use]
pub fn problems(problems: &[Problem]) -> String {
    problems.iter().fold(String::new(), |mut text, problem| {
        let _ = writeln!(text, "{problem}");
        text
    })
}

/// How the problems count up, and what that means for the import.
#[must_use]
pub fn verdict(file: &str, sheet: Option<&Sheet>, problems: &[Problem], end: &str) -> String {
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    let warnings = problems.len() - errors;
    let how = sheet.map_or(String::new(), |sheet| {
        let rows = counted(sheet.parsed.len(), "row");
        format!(" ({}, separated by {}, {rows})", sheet.encoding, sheet.table.delimiter)
    });
    format!("{file}{how}: {}, {}. {end}", counted(errors, "error"), counted(warnings, "warning"))
}

/// What an import comes to, for `--dry-run` and after applying.
#[must_use]
pub fn summary(outcome: &Outcome) -> String {
    let resources = &outcome.resources;
    let quotas = total(resources);
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{}, {}, {}",
        counted(resources.units.len(), "unit"),
        counted(resources.environments.len(), "environment"),
        counted(resources.applications.len(), "application")
    );
    let _ = writeln!(
        text,
        "pods           {} at the active site, {} at the other",
        resources.active_pods(),
        resources.standby_pods()
    );
    let _ = writeln!(
        text,
        "quotas in all  {} cores, {} Gi memory, {} Gi storage, {} pods (at each site)",
        quotas.cpu / 1_000,
        quotas.memory >> 30,
        quotas.storage >> 30,
        quotas.pods
    );
    let applications = &resources.applications;
    let tiers = (0..=3).map(|tier| {
        format!("tier {tier}: {}", applications.iter().filter(|application| application.spec.tier == tier).count())
    });
    let classes = [StandbyClass::Hot, StandbyClass::Warm, StandbyClass::Cold].map(|class| {
        let count = applications.iter().filter(|application| application.spec.standby_class == class).count();
        format!("{class:?}: {count}")
    });
    let _ = writeln!(text, "applications   {}; {}", tiers.collect::<Vec<_>>().join(", "), classes.join(", "));
    let hosts: usize = applications
        .iter()
        .flat_map(|application| application.spec.endpoints.iter().flatten())
        .map(|endpoint| endpoint.hosts.len())
        .sum();
    let _ = writeln!(text, "host names     {hosts}");
    text
}

fn total(resources: &Resources) -> Amounts {
    resources
        .environments
        .iter()
        .map(|environment| Amounts::of_quota(&environment.spec.quota))
        .fold(Amounts::default(), Amounts::plus)
}

/// The headers that are known, for `--columns`.
#[must_use]
pub fn columns() -> String {
    let mut text = String::from("Columns of an inventory; each may bear any of its headers (* = required):\n\n");
    for (column, headers) in ALIASES {
        let mark = if REQUIRED.contains(column) { '*' } else { ' ' };
        let _ = writeln!(text, "{mark} {}", headers.join(" | "));
    }
    text.push_str("\nCase, spaces, dashes, underscores and what stands in brackets do not matter; in 内存(MB) the brackets give the unit.\n");
    text
}
