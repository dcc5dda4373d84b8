//! Every finding there is, from the world as it is published and from what was put back.

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use tandem_crds::{Environment, SecurityProfile, Waiver};

use super::Drift;
use super::finding::{self, Finding, FindingKind, Sentence, Severity, Subject};
use crate::check::{World, in_force, violations};

/// How long something is a finding after it is over: a waiver that has ended, drift that has not come back.
pub const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The level of the Multi-Level Protection Scheme from which on findings weigh more.
const STRICT: i64 = 3;

/// Kinds that say who may do or reach what: a change of them may be an attack.
const GUARDING: [&str; 3] = ["NetworkPolicy", "Role", "RoleBinding"];

/// Every finding, by environment, kind, object and rule ([`Finding::place`]). `drifts` are the sites' records of what was
/// put back, each with its site.
#[must_use]
pub fn findings(world: &World<'_>, drifts: &[(String, Drift)]) -> Vec<Finding> {
    let mut found: Vec<Finding> = drifts.iter().filter_map(|(site, drift)| drifted(world, site, drift)).collect();
    // What was never published does not run: it is refused, and says so itself.
    let published = world.applications.iter().filter(|(_, application)| application.spec.id.is_some());
    for ((namespace, name), application) in published {
        // Without an environment or a profile there are no rules to break: the application is not ready, and says so.
        let Some((environment, profile)) = under(world, namespace) else { continue };
        let broken = violations(application, world).into_iter();
        found.extend(broken.map(|breach| Finding {
            id: finding::id(FindingKind::Violation, &[namespace, name, breach.rule.path(), &breach.part]),
            severity: if profile.spec.mlps_level >= STRICT { Severity::High } else { Severity::Medium },
            unit: Some(environment.spec.unit.clone()),
            environment: Some(namespace.clone()),
            application: Some(name.clone()),
            object: Subject { kind: "Application".to_owned(), name: name.clone() },
            profile: Some(profile.name_any()),
            rule: Some(breach.rule.path().to_owned()),
            controls: controls(profile, breach.rule.path()),
            fields: vec![breach.path],
            message: Sentence { en: breach.message, zh: breach.message_zh },
            ..nothing(FindingKind::Violation)
        }));
    }
    for profile in world.profiles.values() {
        found.extend(profile.spec.waivers.iter().filter_map(|waiver| waived(world, profile, waiver)));
    }
    found.sort_by_cached_key(Finding::place);
    found
}

/// The environment and the profile that it is under.
fn under<'a>(world: &'a World<'_>, environment: &str) -> Option<(&'a Environment, &'a SecurityProfile)> {
    let environment = world.environments.get(environment)?;
    Some((environment, world.profile_of(environment)?))
}

/// The numbers of the controls that a rule serves.
fn controls(profile: &SecurityProfile, rule: &str) -> Vec<String> {
    let served = profile.spec.controls.iter().filter(|control| control.rule == rule);
    let mut numbers: Vec<String> = served.map(|control| control.control.clone()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

fn drifted(world: &World<'_>, site: &str, drift: &Drift) -> Option<Finding> {
    if drift.last.saturating_add(KEPT).ok()? <= world.now {
        return None;
    }
    let of_namespace = (drift.kind == "Namespace").then_some(&drift.name);
    let environment = drift.namespace.as_ref().or(of_namespace);
    let Drift { kind, name, by, .. } = drift;
    let what = drift.fields.join(", ");
    Some(Finding {
        id: finding::id(FindingKind::Drift, &[site, kind, drift.namespace.as_deref().unwrap_or_default(), name]),
        severity: if GUARDING.contains(&kind.as_str()) { Severity::High } else { Severity::Medium },
        unit: environment.and_then(|name| Some(world.environments.get(name)?.spec.unit.clone())),
        environment: environment.cloned(),
        object: Subject { kind: kind.clone(), name: name.clone() },
        site: Some(site.to_owned()),
        fields: drift.fields.clone(),
        message: Sentence {
            en: format!(
                "{kind} {name} at {site} was changed by {by} and put back ({what}): find out who uses {by}, and make the \
                 change in Tandem where it is wanted"
            ),
            zh: format!(
                "{site} 的 {kind} {name} 被 {by} 改动，已恢复（{what}）：请查明谁在使用 {by}；如确需更改，请在 Tandem 中进行"
            ),
        },
        since: Some(drift.first),
        last: Some(drift.last),
        times: Some(drift.times),
        ..nothing(FindingKind::Drift)
    })
}

/// A waiver that holds, or did until lately. One of an environment that is not there or is under another profile waives
/// nothing, nor does one whose end cannot be read.
fn waived(world: &World<'_>, profile: &SecurityProfile, waiver: &Waiver) -> Option<Finding> {
    let (environment, above) = under(world, &waiver.environment)?;
    if above.metadata.name != profile.metadata.name {
        return None;
    }
    let until: Timestamp = waiver.until.parse().ok()?;
    let lapsed = !in_force(waiver, world.now);
    if lapsed && until.saturating_add(KEPT).ok()? <= world.now {
        return None;
    }
    let Waiver { rule, environment: place, application, reason, .. } = waiver;
    let (object, whose, whose_zh) = match application {
        Some(name) => ("Application", format!("application {name} of {place}"), format!("{place} 的应用 {name}")),
        None => ("Environment", format!("all of environment {place}"), format!("环境 {place} 的全部应用")),
    };
    let message = if lapsed {
        Sentence {
            en: format!(
                "the waiver of {rule} for {whose} ended at {until}: the rule holds again; take the waiver out of the \
                 profile, or set a later end"
            ),
            zh: format!(
                "{whose_zh}对规则 {rule} 的豁免已于 {until} 到期：该规则重新生效；请从安全策略中删去该豁免，或延长期限"
            ),
        }
    } else {
        Sentence {
            en: format!("{rule} is waived for {whose} until {until}: {reason}"),
            zh: format!("{whose_zh}在 {until} 之前豁免规则 {rule}，理由：{reason}"),
        }
    };
    Some(Finding {
        id: finding::id(FindingKind::Waiver, &[place, application.as_deref().unwrap_or_default(), rule]),
        severity: match profile.spec.mlps_level >= STRICT {
            _ if lapsed => Severity::Info,
            true => Severity::Medium,
            false => Severity::Low,
        },
        unit: Some(environment.spec.unit.clone()),
        environment: Some(place.clone()),
        application: application.clone(),
        object: Subject { kind: object.to_owned(), name: application.clone().unwrap_or_else(|| place.clone()) },
        profile: Some(profile.name_any()),
        rule: Some(rule.clone()),
        controls: controls(profile, rule),
        message,
        until: Some(until),
        lapsed,
        ..nothing(FindingKind::Waiver)
    })
}

/// A finding that says nothing yet.
fn nothing(kind: FindingKind) -> Finding {
    Finding {
        id: String::new(),
        kind,
        severity: Severity::Info,
        unit: None,
        environment: None,
        application: None,
        object: Subject { kind: String::new(), name: String::new() },
        site: None,
        profile: None,
        rule: None,
        controls: Vec::new(),
        fields: Vec::new(),
        message: Sentence { en: String::new(), zh: String::new() },
        since: None,
        last: None,
        times: None,
        until: None,
        lapsed: false,
    }
}
