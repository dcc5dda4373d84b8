//! What a move would do: which groups, in which order, at what cost, and what would be refused.
//!
//! It is judged by the failover machine's own rules over what a site's API shows ([`View`]): the command line and the REST API
//! show the same. The operators look again before anything moves.

mod error;
mod shape;
mod sight;
#[cfg(test)]
mod tests;
mod view;

pub use error::PlanError;
pub use shape::{Plan, PlannedGroup, PlannedWave, Wanted};
pub use view::View;

use crate::failover::{
    AcceptDataLoss, Expectation, Member, PLATFORM, Reason, Request, Standing, Step, Timing, Turn, approvals_lacking,
    expectation, plan_waves, start_now,
};
use std::collections::{BTreeMap, BTreeSet};
use tandem_crds::{DEFAULT_MAX_PARALLEL, FailoverSelector, FailoverType, Why};

/// How many names an error lists.
const NAMES_MOST: usize = 5;

/// What a move would do, judged by the failover machine's own rules over what the API shows.
///
/// # Errors
/// When it is not clear what is wanted, or names are not known.
pub fn plan(view: &View, wanted: &Wanted) -> Result<Plan, PlanError> {
    let selected = selected(view, &wanted.selector)?;
    let to = target(view, wanted, &selected)?;
    let (there, moving): (BTreeSet<String>, BTreeSet<String>) =
        selected.into_iter().partition(|group| view.active(group) == Some(to.as_str()));
    let kind = wanted.kind.unwrap_or_else(|| {
        let heard = moving.iter().filter_map(|group| view.active(group)).all(|site| view.heard(site));
        if heard { FailoverType::Switchover } else { FailoverType::Failover }
    });
    if kind != FailoverType::Failover {
        let given =
            [("acceptDataLoss", wanted.accept_data_loss.is_some()), ("despiteNotReady", wanted.despite_not_ready)];
        if let Some((field, _)) = given.into_iter().find(|(_, given)| *given) {
            return Err(PlanError::FailoverOnly { field });
        }
    }
    let request = request(wanted);
    let members: Vec<Member> = moving.iter().map(|name| member(view, name)).collect();
    let most = usize::try_from(wanted.max_parallel.unwrap_or(DEFAULT_MAX_PARALLEL)).unwrap_or(1).max(1);
    let order = plan_waves(&members, most);
    let mut groups: BTreeMap<String, PlannedGroup> =
        moving.iter().map(|name| (name.clone(), planned(view, name, kind, &to, &request))).collect();
    // What depends on a group that is refused cannot go on either, though nothing is wrong with it.
    let mut standings: BTreeMap<String, Standing> = groups
        .iter()
        .map(|(name, group)| {
            (name.clone(), if group.refused.is_empty() { Standing::Serving } else { Standing::Blocked })
        })
        .collect();
    loop {
        let stuck = dependents(&members, &standings);
        if stuck.is_empty() {
            break;
        }
        for (name, on) in stuck {
            standings.insert(name.clone(), Standing::Blocked);
            if let Some(group) = groups.get_mut(&name) {
                group.refused.push(Why::from(&Reason::DependsOnStuck { groups: on }));
            }
        }
    }
    // Circles, and what depends on them, are in no wave.
    for (name, turn) in start_now(&order, &members, &standings, most) {
        if let (Turn::Stuck { groups: on }, Some(group)) = (turn, groups.get_mut(&name))
            && group.refused.is_empty()
        {
            group.refused.push(Why::from(&Reason::DependsOnStuck { groups: on.into_iter().collect() }));
        }
    }
    let mut waves: Vec<PlannedWave> = order
        .waves
        .iter()
        .enumerate()
        .map(|(number, wave)| PlannedWave {
            number,
            tier: wave.tier,
            groups: wave.groups.iter().filter_map(|name| groups.remove(name)).collect(),
        })
        .collect();
    let seconds = pass_time(view, kind, &mut waves);
    Ok(Plan {
        kind,
        to,
        waves,
        unmovable: groups.into_values().collect(),
        there: there.into_iter().collect(),
        approvals_wanted: match approvals_lacking(&request) {
            Some(Reason::ApprovalsLacking { wanted, .. }) => wanted,
            _ => 0,
        },
        seconds,
    })
}

fn selected(view: &View, selector: &FailoverSelector) -> Result<BTreeSet<String>, PlanError> {
    if view.sites.is_empty() {
        return Err(PlanError::NoSites);
    }
    if let Some(site) = &selector.site {
        known_site(view, "selector.site", site)?;
    }
    if let Some(unit) = selector.unit.as_ref().filter(|unit| !view.units.contains_key(*unit)) {
        return Err(PlanError::UnknownUnit(unit.clone()));
    }
    let selected = view.selected(selector);
    let unknown: Vec<&String> =
        selected.iter().filter(|group| *group != PLATFORM && !view.groups.contains_key(*group)).collect();
    if !unknown.is_empty() {
        let names = unknown.iter().take(NAMES_MOST).map(|name| (*name).clone()).collect();
        return Err(PlanError::UnknownGroups { names, more: unknown.len().saturating_sub(NAMES_MOST) });
    }
    if selected.is_empty() { Err(PlanError::Nothing) } else { Ok(selected) }
}

fn known_site(view: &View, field: &'static str, site: &str) -> Result<String, PlanError> {
    if view.sites.contains_key(site) {
        return Ok(site.to_owned());
    }
    Err(PlanError::UnknownSite { field, site: site.to_owned(), known: view.sites.keys().cloned().collect() })
}

fn target(view: &View, wanted: &Wanted, selected: &BTreeSet<String>) -> Result<String, PlanError> {
    if let Some(to) = &wanted.to {
        return known_site(view, "to", to);
    }
    if wanted.kind == Some(FailoverType::Failback) {
        return view.preferred().map(str::to_owned).ok_or(PlanError::NoPreferred);
    }
    let active: BTreeSet<&str> = selected.iter().filter_map(|group| view.active(group)).collect();
    let mut sites = active.iter();
    let only = match (sites.next(), sites.next()) {
        (Some(from), None) => view.other(from),
        _ => None,
    };
    only.map(str::to_owned)
        .ok_or_else(|| PlanError::WhereTo { active: active.into_iter().map(str::to_owned).collect() })
}

fn request(wanted: &Wanted) -> Request {
    Request {
        accept_data_loss: wanted.accept_data_loss.map(|loss| AcceptDataLoss {
            max_seconds: loss.max_seconds.map(|seconds| u64::try_from(seconds).unwrap_or(0)),
        }),
        despite_not_ready: wanted.despite_not_ready,
        ..Request::default()
    }
}

fn member(view: &View, name: &str) -> Member {
    let spec = view.groups.get(name).map(|group| &group.spec);
    Member {
        name: name.to_owned(),
        tier: spec.map_or(0, |spec| u8::try_from(spec.tier).unwrap_or(u8::MAX)),
        depends_on: spec.map(|spec| spec.depends_on.iter().cloned().collect()).unwrap_or_default(),
    }
}

fn planned(view: &View, name: &str, kind: FailoverType, to: &str, request: &Request) -> PlannedGroup {
    let from = view.active(name);
    let refused = match from {
        Some(from) => sight::refusals(view, name, kind.into(), (from, to), request),
        None => vec![Why::from(&Reason::StaleView)],
    };
    let Expectation { refused: unserved, refused_most, loss, .. } =
        expectation(kind.into(), &sight::policy(view.groups.get(name)));
    PlannedGroup {
        name: name.to_owned(),
        from: from.map(str::to_owned),
        epoch: view.groups.get(name).and_then(|group| group.status.as_ref()).map(|status| status.epoch),
        refused,
        unserved_seconds: unserved.as_secs_f64(),
        unserved_most_seconds: refused_most.as_secs_f64(),
        loss_seconds: loss.as_secs_f64(),
    }
}

/// Groups that could go on but for those that they depend on, with those.
fn dependents(members: &[Member], standings: &BTreeMap<String, Standing>) -> Vec<(String, Vec<String>)> {
    let blocked = |name: &String| standings.get(name) == Some(&Standing::Blocked);
    let of = |member: &Member| {
        let on: Vec<String> = member.depends_on.iter().filter(|name| blocked(name)).cloned().collect();
        let stuck = !member.is_platform() && !on.is_empty() && !blocked(&member.name);
        stuck.then(|| (member.name.clone(), on))
    };
    members.iter().filter_map(of).collect()
}

/// About how long a wave takes the control plane. A silence is waited for once, not in every wave.
fn seconds(view: &View, kind: FailoverType, number: usize, wave: &PlannedWave) -> f64 {
    let of_group = |group: &PlannedGroup| -> f64 {
        let steps = expectation(kind.into(), &sight::policy(view.groups.get(&group.name))).steps;
        let waited = |step: Step| number > 0 && kind == FailoverType::Failover && step == Step::Fencing;
        steps.iter().filter(|step| !waited(step.step)).map(|step| step.typical.as_secs_f64()).sum()
    };
    let going = wave.groups.iter().filter(|group| group.refused.is_empty());
    going.map(of_group).fold(0.0, f64::max)
}

/// About how long the control plane takes for all waves, one after the other. Groups of a lost site are not served while
/// they wait for their wave: that is added to what they have to expect.
fn pass_time(view: &View, kind: FailoverType, waves: &mut [PlannedWave]) -> f64 {
    let (mut passed, mut number) = (0.0, 0);
    for wave in waves {
        let silence = if number > 0 { Timing::default().take_over.as_secs_f64() } else { 0.0 };
        if kind == FailoverType::Failover {
            for group in &mut wave.groups {
                group.unserved_seconds += f64::max(passed - silence, 0.0);
            }
        }
        let takes = seconds(view, kind, number, wave);
        number += usize::from(takes > 0.0);
        passed += takes;
    }
    passed
}
