//! Alarms: what is wrong with the arbiter, or with what a site could fall back on; as a log line, an Event and a condition on the
//! site's own data centre, told when it begins and when it ends.
//!
//! Every replica looks, since nobody leads a site without the arbiter. Whoever leads tells; while the site is fenced, each replica
//! does, and says the same.

use crate::cluster::{Cluster, ObjectName, REQUEST_TIMEOUT, reference};
use crate::context::Context;
use crate::controllers::own_data_centre;
use crate::metrics::Certificate;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::api::{Patch, PatchParams};
use kube::runtime::events::EventType;
use serde_json::json;
use std::time::Duration;
use tandem_arbiter::health::{Finding, QUOTA, findings, look};
use tandem_crds::Kind;
use tandem_logs::Chain;
use tokio::time::Instant;

/// The condition of a site whose arbiter is in order.
pub const ARBITER_HEALTHY: &str = "ArbiterHealthy";
/// The condition of a site whose audit chain has all that was done there more than a minute ago.
pub const AUDITED: &str = "Audited";
/// The condition of a site that could fall back on the other.
pub const PROTECTED: &str = "Protected";

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(10);
/// For how long what one look found has to stand before it is told: an election is no alarm.
const STANDS: u32 = 2;

/// What is told at present, of one condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Told {
    /// The findings, the worst first; `None` before the first look.
    found: Option<Vec<Finding>>,
    /// What the last looks found instead, and how many of them.
    changing: Option<(Vec<Finding>, u32)>,
}

impl Told {
    /// Takes in what one look found. Gives back what is to be told, where that is news.
    fn take(&mut self, found: Vec<Finding>) -> Option<Vec<Finding>> {
        let same = self.found.as_ref().is_some_and(|told| alike(told, &found));
        if same {
            self.changing = None;
            return None;
        }
        let looks = match self.changing.take() {
            Some((before, looks)) if alike(&before, &found) => looks + 1,
            _ => 1,
        };
        // Nothing wrong at the first look is no news either.
        if looks < STANDS && !(self.found.is_none() && found.is_empty()) {
            self.changing = Some((found, looks));
            return None;
        }
        self.found = Some(found.clone());
        Some(found)
    }
}

/// Whether both say the same but for figures that move by themselves.
fn alike(one: &[Finding], other: &[Finding]) -> bool {
    let figures = |finding: &Finding| match finding {
        Finding::Slow { member, .. } => Finding::Slow { member: member.clone(), millis: 0 },
        Finding::Lagging { member, .. } => Finding::Lagging { member: member.clone(), behind: 0 },
        Finding::NearlyFull { member, .. } => Finding::NearlyFull { member: member.clone(), percent: 0 },
        Finding::AuditBehind { .. } => Finding::AuditBehind { waiting: 0 },
        other => other.clone(),
    };
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| figures(one) == figures(other))
}

/// Looks and tells, for ever.
pub async fn run_alarms(context: Context) {
    let (mut arbiter, mut audited, mut protected) = (Told::default(), Told::default(), Told::default());
    let started = Instant::now();
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let seen = look(context.link.etcd(), context.link.etcd_admin()).await;
        let shown = seen.endpoints.iter().filter_map(|endpoint| endpoint.certificate.as_ref().ok());
        if let Some(first) = shown.map(|certificate| certificate.expires).min() {
            context.cluster.metrics.certificate(Certificate::Member, first);
        }
        if let Some(found) = arbiter.take(findings(&seen, QUOTA, now())) {
            tell(&context, ARBITER_HEALTHY, "Healthy", &found).await;
        }
        // Whoever leads enters, and knows.
        if context.link.leadership().is_some() {
            let waiting = Some(context.behind.get()).filter(|waiting| *waiting > 0);
            let found = waiting.map(|waiting| Finding::AuditBehind { waiting }).into_iter().collect();
            if let Some(found) = audited.take(found) {
                tell(&context, AUDITED, "Audited", &found).await;
            }
        }
        // Who is heard is known once heartbeats could have moved.
        if started.elapsed() < context.link.timing().t() * 2 || !context.link.alive() {
            continue;
        }
        let others: Vec<String> =
            context.config.sites.iter().filter(|site| **site != context.config.site).cloned().collect();
        let silent = context.link.silent_sites(&others);
        for site in &others {
            if context.site.set_heard(site, !silent.contains(site)) && context.link.standing().leads {
                context.queues.fold.add(own_data_centre(site));
            }
        }
        let found = silent.into_iter().map(|silent| Finding::Unprotected { silent }).collect();
        if context.link.leadership().is_some()
            && let Some(found) = protected.take(found)
        {
            tell(&context, PROTECTED, "Protected", &found).await;
        }
    }
}

#[allow(clippy::disallowed_methods)] // an edge: what certificates are compared with, and what people read
fn now() -> Timestamp {
    Timestamp::now()
}

/// What is wrong and what to do, in both languages.
fn message(found: &[Finding]) -> String {
    let english: Vec<String> =
        found.iter().map(|finding| format!("{} ({})", finding.english(), finding.mend())).collect();
    let chinese: Vec<String> =
        found.iter().map(|finding| format!("{}（{}）", finding.chinese(), finding.mend_chinese())).collect();
    if found.is_empty() {
        "nothing is wrong / 正常".to_owned()
    } else {
        format!("{} / {}", english.join("; "), chinese.join("；"))
    }
}

async fn tell(context: &Context, kind: &'static str, good: &'static str, found: &[Finding]) {
    let message = message(found);
    let reason = found.first().map_or(good, Finding::reason);
    if found.is_empty() {
        tracing::info!(alarm = kind, "nothing is wrong");
    }
    for finding in found {
        tracing::error!(alarm = finding.reason(), mend = finding.mend(), "{}", finding.english());
    }
    context.cluster.metrics.alarm.with_label_values(&[kind]).set(i64::from(!found.is_empty()));
    context.site.set_alarm(kind, reason, &message, found.is_empty());
    let key = own_data_centre(&context.config.site);
    let name = ObjectName { kind: Kind::DataCentre.name().to_owned(), namespace: None, name: key.name.clone() };
    let Some(object) = context.cluster.own.get(&name) else { return };
    let type_ = if found.is_empty() { EventType::Normal } else { EventType::Warning };
    context.cluster.tell(reference(&object, &Cluster::own_resource(Kind::DataCentre)), type_, reason, message).await;
    if context.link.standing().leads {
        context.queues.fold.add(key);
    } else if !context.link.alive() && context.link.pause().acts() {
        // Nobody leads a site that is fenced, and this is what it should know of then.
        if let Err(error) = write(context, &object).await {
            tracing::warn!(error, "the alarm is not shown on the data centre");
        }
    }
}

/// Writes the conditions and that the site is fenced, past the lead: there is none, and they are the same whoever writes them.
async fn write(context: &Context, object: &kube::api::DynamicObject) -> Result<(), String> {
    let standing = object.data.pointer("/status/conditions").cloned().unwrap_or_else(|| json!([]));
    let standing: Vec<Condition> = serde_json::from_value(standing).map_err(|error| error.to_string())?;
    let generation = object.metadata.generation.unwrap_or(0);
    let conditions = with_alarms(standing, &context.site.alarms(), generation, now());
    let patch = json!({
        "metadata": {"resourceVersion": object.metadata.resource_version},
        "status": {"conditions": conditions, "fenced": true},
    });
    let resource = Cluster::own_resource(Kind::DataCentre);
    let api = context.cluster.api(&resource, None);
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let parameters = PatchParams { field_manager: Some("tandem/alarms".to_owned()), ..PatchParams::default() };
    context.cluster.metrics.writes.with_label_values(&["status"]).inc();
    match tokio::time::timeout(REQUEST_TIMEOUT, api.patch_status(name, &parameters, &Patch::Merge(&patch))).await {
        Ok(Ok(_)) => Ok(()),
        // The other replica was quicker, and says the same.
        Ok(Err(kube::Error::Api(status))) if status.code == 409 => Ok(()),
        Ok(Err(error)) => Err(Chain(&error).to_string()),
        Err(_) => Err("the API server took too long".to_owned()),
    }
}

/// An alarm as it is told at present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// The condition's type.
    pub kind: &'static str,
    /// Whether nothing is wrong.
    pub good: bool,
    /// The worst, in one word.
    pub reason: &'static str,
    /// All of it, with what to do.
    pub message: String,
}

/// The conditions with those of the alarms: the time of a transition stays where the status did not change.
#[must_use]
pub fn with_alarms(mut standing: Vec<Condition>, alarms: &[Alarm], generation: i64, now: Timestamp) -> Vec<Condition> {
    for alarm in alarms {
        let status = if alarm.good { "True" } else { "False" };
        let before = standing.iter().find(|condition| condition.type_ == alarm.kind && condition.status == status);
        let condition = Condition {
            type_: alarm.kind.to_owned(),
            status: status.to_owned(),
            reason: alarm.reason.to_owned(),
            message: alarm.message.clone(),
            observed_generation: Some(generation),
            last_transition_time: before.map_or(Time(now), |before| before.last_transition_time.clone()),
        };
        match standing.iter_mut().find(|standing| standing.type_ == alarm.kind) {
            Some(slot) => *slot = condition,
            None => standing.push(condition),
        }
    }
    standing.sort_by(|one, other| one.type_.cmp(&other.type_));
    standing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost() -> Vec<Finding> {
        vec![Finding::NoTolerance { lost: vec!["witness".into()] }]
    }

    #[test]
    fn only_transitions_are_told_and_a_moment_is_none() {
        let mut told = Told::default();
        assert_eq!(told.take(Vec::new()), Some(Vec::new()), "the condition is there from the beginning");
        assert_eq!(told.take(lost()), None, "an election, maybe");
        assert_eq!(told.take(Vec::new()), None);
        assert_eq!(told.take(lost()), None);
        assert_eq!(told.take(lost()), Some(lost()));
        assert_eq!(told.take(lost()), None);
        assert_eq!(told.take(Vec::new()), None);
        assert_eq!(told.take(Vec::new()), Some(Vec::new()), "and when it is over");
        let slow = |millis| vec![Finding::Slow { member: "witness".into(), millis }];
        told.take(slow(700));
        assert!(told.take(slow(900)).is_some());
        assert_eq!(told.take(slow(1_200)), None, "another figure is no news");
    }

    #[test]
    fn people_read_what_to_do_in_both_languages() {
        let text = message(&lost());
        for part in ["no tolerance left", "tandem arbiter replace", "无法再承受", "witness"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn the_transition_keeps_its_time_and_other_conditions_stay() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let alarm =
            |good, message: &str| [Alarm { kind: PROTECTED, good, reason: "Unprotected", message: message.to_owned() }];
        let ready = Condition {
            type_: "Ready".into(),
            status: "True".into(),
            reason: "Ready".into(),
            message: "x".into(),
            observed_generation: None,
            last_transition_time: Time(at(1)),
        };
        let first = with_alarms(vec![ready.clone()], &alarm(false, "a"), 3, at(10));
        let second = with_alarms(first, &alarm(false, "b"), 3, at(20));
        assert_eq!((second.len(), &second[1]), (2, &ready));
        assert_eq!((second[0].message.as_str(), &second[0].last_transition_time), ("b", &Time(at(10))));
        let third = with_alarms(second, &alarm(true, "c"), 3, at(30));
        assert_eq!((third[0].status.as_str(), &third[0].last_transition_time), ("True", &Time(at(30))));
    }
}
