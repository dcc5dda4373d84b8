//! Findings as the report objects that other tools read: `PolicyReport` of wgpolicyk8s.io/v1alpha2 and `Report` of
//! openreports.io/v1alpha1, whose results have the same shape.

use kube::ResourceExt;
use serde_json::{Value, json};
use std::cmp::Reverse;
use tandem_crds::Environment;

use super::{Finding, FindingKind};
use crate::names;
use crate::render::{Manifest, environment_labels};

/// The most results that a report holds, those that weigh most; an object of an API server has an end.
const MOST: usize = 500;

/// A kind of report object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReportKind {
    /// `PolicyReport` of wgpolicyk8s.io/v1alpha2.
    PolicyReport,
    /// `Report` of openreports.io/v1alpha1.
    Report,
}

impl ReportKind {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::PolicyReport, Self::Report];

    /// Group and version.
    #[must_use]
    pub fn api_version(self) -> &'static str {
        match self {
            Self::PolicyReport => "wgpolicyk8s.io/v1alpha2",
            Self::Report => "openreports.io/v1alpha1",
        }
    }

    /// The kind's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PolicyReport => "PolicyReport",
            Self::Report => "Report",
        }
    }

    /// What its path is called.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::PolicyReport => "policyreports",
            Self::Report => "reports",
        }
    }
}

/// The report of an environment; `None` where nothing is found, and for an environment that has no durable id yet. The same
/// findings make the same report: how often drift came back, and when last, are not in it.
#[must_use]
pub fn report(kind: ReportKind, environment: &Environment, findings: &[Finding]) -> Option<Manifest> {
    let name = environment.name_any();
    let id = environment.spec.id.as_deref()?;
    let mut own: Vec<&Finding> = findings.iter().filter(|one| one.environment.as_ref() == Some(&name)).collect();
    if own.is_empty() {
        return None;
    }
    own.sort_by_cached_key(|finding| (Reverse(finding.severity), finding.place()));
    let count = |wanted: &str| own.iter().filter(|finding| result(finding) == wanted).count();
    let body = json!({
        "summary": {"pass": 0, "fail": count("fail"), "warn": count("warn"), "error": 0, "skip": count("skip")},
        "results": own.iter().take(MOST).map(|finding| entry(finding)).collect::<Vec<Value>>(),
    });
    let labels = environment_labels(id, &environment.spec.unit, &name);
    Some(Manifest::new(kind.api_version(), kind.name(), Some(&name), names::FINDINGS, &labels, body))
}

/// What a finding is in a report's words.
fn result(finding: &Finding) -> &'static str {
    match finding.kind {
        FindingKind::Violation => "fail",
        FindingKind::Waiver if !finding.lapsed => "skip",
        FindingKind::Waiver | FindingKind::Drift => "warn",
    }
}

fn entry(finding: &Finding) -> Value {
    let ours = matches!(finding.object.kind.as_str(), "Application" | "Environment");
    let namespaced = !matches!(finding.object.kind.as_str(), "Environment" | "Namespace");
    json!({
        "source": names::MANAGER,
        "policy": finding.profile.as_deref().unwrap_or("drift"),
        "rule": finding.rule,
        "category": finding.kind.name(),
        "severity": finding.severity.name(),
        "result": result(finding),
        "message": format!("{} / {}", finding.message.en, finding.message.zh),
        "resources": [{
            "apiVersion": ours.then(|| format!("{}/{}", tandem_crds::GROUP, tandem_crds::VERSION)),
            "kind": finding.object.kind,
            "name": finding.object.name,
            "namespace": finding.environment.as_ref().filter(|_| namespaced),
        }],
        "timestamp": finding.since.map(|since| json!({"seconds": since.as_second(), "nanos": since.subsec_nanosecond()})),
        "properties": {
            "id": finding.id,
            "site": finding.site,
            "until": finding.until.map(|until| until.to_string()),
            "controls": (!finding.controls.is_empty()).then(|| finding.controls.join(", ")),
            "fields": (!finding.fields.is_empty()).then(|| finding.fields.join(", ")),
        },
    })
}
