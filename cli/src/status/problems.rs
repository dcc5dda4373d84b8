//! What is wrong, the worst first: rules over what one cluster shows. Pure.

use super::advice::{Advice, Subject, advice};
use super::report::Seen;
use crate::failover::{hold, list};
use crate::ready;
use kube::ResourceExt;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use tandem_core::plan::View;
use tandem_crds::status::Reason;
use tandem_crds::{
    Application, FailoverGroup, FailoverGroupStatus, FailoverPhase, FailoverType, GroupPhase, PAUSED, Protection,
    TandemKind, Why,
};

/// The conditions of a data centre that are alarms.
const ALARMS: [&str; 3] = [super::report::ARBITER_HEALTHY, "Protected", "Audited"];

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Severity {
    /// Something is not served, or nobody can act.
    Critical,
    /// Something is not as it should be; the next fault may hurt.
    Warning,
    /// Nothing is wrong; good to know before one acts.
    Notice,
}

/// Something that is wrong, of one object or of several that have it alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// Why, in one word.
    pub reason: String,
    /// The objects' kind; absent where it is of none.
    pub kind: Option<&'static str>,
    /// The objects; those in a namespace as `namespace/name`.
    pub objects: Vec<String>,
    /// What the first of them says.
    pub message: String,
    /// The same in Chinese; empty where it is said in English alone.
    pub message_zh: String,
    /// What it means.
    pub meaning: String,
    /// The same in Chinese.
    pub meaning_zh: String,
    /// What mends it.
    pub mend: String,
    /// The same in Chinese.
    pub mend_zh: String,
    /// Where it comes among those that are as bad.
    #[serde(skip)]
    rank: u8,
}

/// What is being gathered: by kind and reason, in both of which problems are alike.
#[derive(Default)]
struct Found(BTreeMap<(u8, Option<&'static str>, String), Problem>);

impl Found {
    fn add(&mut self, subject: Subject, reason: &str, object: &str, why: Why) {
        let Advice { severity, rank, meaning, mend } = advice(subject, reason);
        let key = (rank, subject.kind(), reason.to_owned());
        let problem = self.0.entry(key).or_insert_with(|| Problem {
            severity,
            reason: reason.to_owned(),
            kind: subject.kind(),
            objects: Vec::new(),
            message: why.message,
            message_zh: why.message_zh,
            meaning: meaning[0].to_owned(),
            meaning_zh: meaning[1].to_owned(),
            mend: mend[0].replace("{name}", object),
            mend_zh: mend[1].replace("{name}", object),
            rank,
        });
        if !object.is_empty() {
            problem.objects.push(object.to_owned());
        }
    }
}

fn said(message: impl Into<String>) -> Why {
    Why { message: message.into(), ..Why::default() }
}

/// What is wrong, the worst first; then what is good to know.
#[must_use]
pub fn find(seen: &Seen) -> Vec<Problem> {
    let mut found = Found::default();
    sites(seen, &mut found);
    moves(seen, &mut found);
    groups(seen, &mut found);
    for application in &seen.applications {
        self::application(application, &mut found);
    }
    seen.units.iter().for_each(|unit| not_ready(unit, &mut found));
    seen.environments.iter().for_each(|environment| not_ready(environment, &mut found));
    let mut problems: Vec<Problem> = found.0.into_values().collect();
    problems.sort_by_key(|problem| (problem.severity, problem.rank, Reverse(problem.objects.len())));
    problems
}

fn sites(seen: &Seen, found: &mut Found) {
    let view = &seen.view;
    if view.sites.is_empty() {
        found.add(Subject::City, "NoSites", "", Why::default());
        return;
    }
    if view.authority().is_none() {
        found.add(Subject::City, "NoAuthority", "", Why::default());
    }
    let silent = view.sites.values().any(|site| site.status.as_ref().is_some_and(|s| s.heard == Some(false)));
    for (name, site) in &view.sites {
        let status = site.status.clone().unwrap_or_default();
        let fenced = status.fenced == Some(true);
        if status.heard == Some(false) {
            found.add(Subject::Site, "SiteSilent", name, Why::default());
        } else if fenced {
            found.add(Subject::Site, "Fenced", name, Why::default());
        } else if status.observed_generation.is_some() {
            match status.members.len() {
                _ if status.leader.is_none() => found.add(Subject::Site, "NoLeader", name, Why::default()),
                1 => found.add(Subject::Site, "OneReplica", name, Why::default()),
                _ => {}
            }
        }
        for condition in &status.conditions {
            // That the other site is silent is told above, of that site.
            let told = condition.reason == "Unprotected" && silent;
            if ALARMS.contains(&condition.type_.as_str()) && condition.status == "False" && !told {
                found.add(Subject::Alarm, &condition.reason, name, alarm(&condition.reason, &condition.message));
            }
        }
        if let Some(why) = paused(view, name) {
            found.add(Subject::Site, "Paused", name, said(why));
        }
        if site.spec.maintenance {
            found.add(Subject::Site, Reason::Maintenance.as_str(), name, Why::default());
        }
        // That it is paused is told above.
        if ready::why_not(site).is_none_or(|why| why.reason != Reason::Paused.as_str()) {
            not_ready(site, found);
        }
    }
    for held in hold::list(view) {
        let message = match (held.reason.as_str(), held.by.as_str()) {
            (reason, "") => reason.to_owned(),
            (reason, by) => format!("{by}: {reason}"),
        };
        found.add(Subject::Hold, "Held", &held.scope, said(message));
    }
}

/// That a site is paused, who said so and since when. Its own cluster shows a condition, the other site's that it is not ready;
/// where the annotation stands alone, no operator has seen it yet.
fn paused(view: &View, site: &str) -> Option<String> {
    if let Some(condition) = view.paused(site) {
        return Some(format!("{} (since {})", condition.message, condition.last_transition_time.0));
    }
    let reason = view.sites.get(site)?.annotations().get(PAUSED)?;
    Some(format!("asked for, and not in force yet: {reason}"))
}

/// An alarm's message: an operator writes `what is so (what to do) / 中文（…）`, and what to do is told beside it.
fn alarm(reason: &str, message: &str) -> Why {
    let (english, chinese) = message.split_once(" / ").unwrap_or((message, ""));
    let [mend, mend_zh] = tandem_arbiter::health::mend(reason).unwrap_or_default();
    Why {
        reason: reason.to_owned(),
        message: english.replace(&format!(" ({mend})"), ""),
        message_zh: chinese.replace(&format!("（{mend_zh}）"), ""),
    }
}

fn moves(seen: &Seen, found: &mut Found) {
    for row in list::rows(&seen.failovers) {
        let reason = match row.phase {
            FailoverPhase::NeedsHuman => "NeedsHuman",
            FailoverPhase::Blocked if row.kind == FailoverType::Failover => "FailoverBlocked",
            FailoverPhase::Blocked => "Blocked",
            FailoverPhase::AwaitingApproval => "AwaitingApproval",
            FailoverPhase::Paused => "Paused",
            _ => continue,
        };
        found.add(Subject::Move, reason, &row.name, row.why);
    }
}

fn groups(seen: &Seen, found: &mut Found) {
    let view = &seen.view;
    let silent = |site: &str| {
        view.sites.get(site).is_some_and(|site| site.status.as_ref().is_some_and(|s| s.heard == Some(false)))
    };
    for (name, group) in &view.groups {
        let status = group.status.clone().unwrap_or_default();
        let active = status.active_site.as_deref().unwrap_or_default();
        if status.phase == Some(GroupPhase::Unconfirmed) {
            found.add(Subject::Group, "Unconfirmed", name, Why::default());
        } else if silent(active) && status.execution.is_none() {
            let why = status.why_not_automatic.first().cloned().unwrap_or_default();
            found.add(Subject::Group, "HolderSilent", name, why);
        } else if let Some(readiness) = &status.readiness
            && readiness.state == Protection::Unprotected
        {
            if status.execution.is_some() {
                found.add(Subject::Group, "NotProtectedYet", name, Why::default());
            } else {
                let why = readiness.reasons.first().cloned().unwrap_or_default();
                exposed(name, &why, found);
            }
        }
        away(view, name, active, &status, found);
        group_not_ready(group, found);
    }
}

/// A group that would not survive the loss of its site. That the whole other site is silent, that the arbiter cannot lose a
/// member, and that somebody holds it, is told elsewhere, once.
fn exposed(name: &str, why: &Why, found: &mut Found) {
    if !matches!(why.reason.as_str(), "TargetSilent" | "NoTolerance" | "Held" | "Unconfirmed" | "ReleasedTo") {
        found.add(Subject::Group, &why.reason, name, why.clone());
    }
}

/// A group that is not where it is at home, although it could be.
fn away(view: &View, name: &str, active: &str, status: &FailoverGroupStatus, found: &mut Found) {
    let home = view.preferred().filter(|home| !active.is_empty() && *home != active && view.heard(home));
    if home.is_some() && status.execution.is_none() {
        found.add(Subject::Group, "AwayFromHome", name, Why::default());
    }
}

fn group_not_ready(group: &FailoverGroup, found: &mut Found) {
    // A group that nobody holds at this moment is being moved, or waits to be confirmed: that is told above.
    let told =
        |status: &FailoverGroupStatus| status.execution.is_some() || status.phase == Some(GroupPhase::Unconfirmed);
    if !group.status.as_ref().is_some_and(told) {
        not_ready(group, found);
    }
}

/// An application. One that is not ready where it is active does not serve people.
fn application(application: &Application, found: &mut Found) {
    let Some(status) = &application.status else { return not_ready(application, found) };
    let pods = Reason::PodsNotReady.as_str();
    let down = status
        .sites
        .iter()
        .find(|site| !site.ready && site.reason == pods && status.active_site.as_deref() == Some(site.site.as_str()));
    match down {
        Some(site) => {
            let message = format!("{}: {}", site.site, site.message);
            found.add(Subject::Object("Application"), "NotServed", &ready::full_name(application), said(message));
        }
        None => not_ready(application, found),
    }
}

fn not_ready<K: TandemKind>(object: &K, found: &mut Found) {
    let Some(why) = ready::why_not(object) else { return };
    found.add(Subject::Object(K::KIND.name()), &why.reason, &ready::full_name(object), said(why.message));
}
