//! What the API shows of a group, as the failover machine sees things, so that a plan is judged by the machine's own rules.
//!
//! The API shows states, not since when they hold. So everything that lasts is taken to have lasted long, but for what the
//! operators themselves say (`whyNotAutomatic`); they look again before anything moves.

use super::view::View;
use crate::drill;
use crate::failover::{
    Data, ExecutionKind, GroupView, PLATFORM, Phase, Policy, Reason, Request, Role, Silence, SiteView, Situation,
    Timing, planned, unplanned,
};
use std::collections::BTreeMap;
use std::time::Duration;
use tandem_crds::{FailoverGroup, FailoverGroupStatus, GroupPhase, Why};

/// When the plan is made, on a clock that began long before.
const NOW: Duration = Duration::from_secs(365 * 24 * 3600);

/// A group's settings, with the arbiter's times as they are by default: the API does not show them.
pub(super) fn policy(group: Option<&FailoverGroup>) -> Policy {
    group.map_or_else(Policy::default, |group| Policy::of(&group.spec, Timing::default()))
}

/// What keeps a group from moving now.
pub(super) fn refusals(
    view: &View,
    group: &str,
    kind: ExecutionKind,
    (from, to): (&str, &str),
    request: &Request,
) -> Vec<Why> {
    let object = view.groups.get(group);
    let status = object.and_then(|object| object.status.as_ref());
    if group != PLATFORM && status.is_none_or(|status| status.phase.is_none()) {
        return vec![Why::from(&Reason::StaleView)];
    }
    let situation = situation(view, group, from, to);
    if kind == ExecutionKind::Drill {
        let paused =
            (!situation.ready(to) && view.paused(to).is_some()).then(|| Reason::TargetNotReady { site: to.to_owned() });
        return drill::refusals(&situation, to).iter().chain(&paused).map(Why::from).collect();
    }
    let mut wrong = match kind {
        ExecutionKind::Failover => unplanned(&situation, request, to, NOW),
        _ => planned(&situation, kind, from, to, NOW),
    };
    if let Phase::Released { to } = &situation.record.phase {
        wrong.push(Reason::ReleasedTo { site: to.clone() });
    }
    // A failover from a silent site takes over whatever that site was in the middle of.
    let takes_over = kind == ExecutionKind::Failover && !view.heard(from);
    if let Some(execution) = situation.record.execution.as_ref().filter(|_| !takes_over) {
        wrong.push(Reason::OtherExecution { execution: execution.clone() });
    }
    let mut why: Vec<Why> = wrong.iter().map(Why::from).collect();
    if kind == ExecutionKind::Failback {
        let dwelling = |why: &&Why| why.reason == "Dwelling";
        why.extend(status.into_iter().flat_map(|status| &status.why_not_automatic).filter(dwelling).cloned());
    }
    why
}

fn situation(view: &View, group: &str, from: &str, to: &str) -> Situation {
    let object = view.groups.get(group);
    let platform = group == PLATFORM;
    let status = object.and_then(|object| object.status.clone()).unwrap_or_default();
    // It moves nothing, whatever its groups say.
    let paused = |site: &str| view.paused(site).is_some();
    let source = SiteView {
        heard: view.heard(from),
        ready_since: (!paused(from) && (platform || at(&status, from))).then_some(Duration::ZERO),
        room: None,
        data: None,
        trouble: None,
    };
    let target = SiteView {
        heard: view.heard(to) && !says(&status, "TargetSilent"),
        ready_since: (!paused(to) && (platform || (at(&status, to) && !says(&status, "TargetNotReady"))))
            .then_some(Duration::ZERO),
        // The right to publish takes no room.
        room: if platform { Some(true) } else { room(&status) },
        data: status.lag_seconds.and_then(|lag| u64::try_from(lag).ok()).map(|lag| Data {
            role: Role::Standby,
            position: None,
            lag: Some(Duration::from_secs(lag)),
            synchronous: false,
            since: NOW,
            dropped: None,
        }),
        trouble: None,
    };
    // A site that is not heard has been silent for long, one that is heard for no time at all.
    let since = if source.heard { NOW } else { Duration::ZERO };
    Situation {
        me: to.to_owned(),
        leads: true,
        fenced: false,
        generation: 0,
        record: record(&status, from, to),
        hold: view.hold(group, to),
        silence: Some(Silence { newest: 0, since }),
        sites: BTreeMap::from([(from.to_owned(), source), (to.to_owned(), target)]),
        drill: false,
        policy: policy(object),
    }
}

fn record(status: &FailoverGroupStatus, from: &str, to: &str) -> GroupView {
    GroupView {
        active: from.to_owned(),
        epoch: status.epoch,
        phase: match status.phase {
            Some(GroupPhase::Released) => Phase::Released { to: to.to_owned() },
            Some(GroupPhase::Unconfirmed) => Phase::Unconfirmed,
            Some(GroupPhase::Held) | None => Phase::Held,
        },
        execution: status.execution.clone(),
        failovers_lately: 0,
        since: Duration::ZERO,
        epoch_since: Duration::ZERO,
    }
}

/// Whether the group is in order at a site, by that site's own report.
fn at(status: &FailoverGroupStatus, site: &str) -> bool {
    status.sites.iter().any(|report| report.site == site && report.ready)
}

/// Whether the operator gave this reason for the group not to be protected.
fn says(status: &FailoverGroupStatus, reason: &str) -> bool {
    status.readiness.iter().flat_map(|readiness| &readiness.reasons).any(|why| why.reason == reason)
}

/// Whether there is room for the group where it is not active; nobody can tell where the operator has not said.
fn room(status: &FailoverGroupStatus) -> Option<bool> {
    if says(status, "NoRoom") {
        return Some(false);
    }
    let silent = says(status, "RoomUnknown") || says(status, "TargetSilent") || says(status, "NoOtherSite");
    (status.readiness.is_some() && !silent).then_some(true)
}
