//! How a city stands, by what one site's cluster shows: what is told, for programs and people. Pure.

use super::problems::{self, Problem, Severity};
use crate::failover::list::{self, MoveRow};
use crate::ready;
use kube::ResourceExt;
use serde::Serialize;
use std::collections::BTreeMap;
use tandem_core::plan::View;
use tandem_crds::{
    Application, DataCentre, DisplayName, Environment, Failover, FailoverMode, Kind, Preference, Protection,
    TandemKind, Unit,
};

/// The condition with which a site tells of the arbiter. Only the cluster's own site has it.
pub(super) const ARBITER_HEALTHY: &str = "ArbiterHealthy";

/// What one cluster shows.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Sites and groups.
    pub view: View,
    /// Agencies.
    pub units: Vec<Unit>,
    /// Their environments.
    pub environments: Vec<Environment>,
    /// Their applications.
    pub applications: Vec<Application>,
    /// Moves, ended ones too.
    pub failovers: Vec<Failover>,
}

impl Seen {
    /// The site whose cluster it is: the one that tells of the arbiter. Nothing where none or more than one does.
    #[must_use]
    pub fn from(&self) -> Option<&str> {
        let tells = |site: &DataCentre| {
            site.status.as_ref().is_some_and(|status| status.conditions.iter().any(|c| c.type_ == ARBITER_HEALTHY))
        };
        let mut own = self.view.sites.iter().filter(|(_, site)| tells(site)).map(|(name, _)| name.as_str());
        let first = own.next()?;
        own.next().is_none().then_some(first)
    }
}

/// How a city stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whether nothing is critical, and nothing to be warned of.
    pub well: bool,
    /// The site whose cluster was asked; absent where it cannot be told.
    pub seen_from: Option<String>,
    /// The site that may publish; absent where none, or more than one, says so.
    pub authority: Option<String>,
    /// The sites.
    pub sites: Vec<SiteRow>,
    /// The failover groups, summed up.
    pub groups: Groups,
    /// Moves that have not ended.
    pub moves: Vec<MoveRow>,
    /// How many objects of each kind are ready.
    pub kinds: Vec<Count>,
    /// What is wrong and what to do, the worst first.
    pub problems: Vec<Problem>,
}

/// One site.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SiteRow {
    /// The site.
    pub name: String,
    /// What people call it.
    pub display_name: DisplayName,
    /// Which site is preferred when both could serve.
    pub preference: Preference,
    /// Whether it may publish.
    pub authority: bool,
    /// The operator replica that acts for it.
    pub leader: Option<String>,
    /// Its operator replicas that are heard.
    pub members: Vec<String>,
    /// Whether its heartbeats move; absent where nobody has looked yet.
    pub heard: Option<bool>,
    /// Whether it has fenced itself.
    pub fenced: Option<bool>,
    /// `Healthy`, or what is worst about the arbiter, as this site sees it; absent for the other site.
    pub arbiter: Option<String>,
    /// Whether it is in order.
    pub ready: bool,
    /// Why it is not, in one word.
    pub reason: Option<String>,
}

/// The failover groups, summed up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Groups {
    /// How many there are.
    pub all: usize,
    /// How many are active at which site.
    pub active_at: BTreeMap<String, usize>,
    /// How many nobody holds, or nobody knows the holder of.
    pub active_nowhere: usize,
    /// How many would survive the loss of their site.
    pub protected: usize,
    /// How many would not.
    pub exposed: usize,
    /// Of how many nobody has said it.
    pub unknown: usize,
    /// How many would fail over by themselves, as far as their mode goes.
    pub automatic: usize,
    /// How many a hold covers.
    pub held: usize,
    /// How many are being moved.
    pub moving: usize,
    /// Of how many the move has ended, while a site has still to follow.
    pub settling: usize,
}

/// Objects of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Count {
    /// The kind.
    pub kind: &'static str,
    /// How many are ready.
    pub ready: usize,
    /// How many there are.
    pub of: usize,
}

/// How the city stands, by what was seen.
#[must_use]
pub fn report(seen: &Seen) -> Report {
    let problems = problems::find(seen);
    let view = &seen.view;
    let mut moves = list::rows(&seen.failovers);
    moves.retain(|row| !row.phase.ended());
    Report {
        well: problems.iter().all(|problem| problem.severity == Severity::Notice),
        seen_from: seen.from().map(str::to_owned),
        authority: view.authority().map(str::to_owned),
        sites: view.sites.values().map(site).collect(),
        groups: groups(view, &seen.failovers),
        moves,
        kinds: vec![
            count(view.sites.values()),
            count(&seen.units),
            count(&seen.environments),
            count(&seen.applications),
            count(view.groups.values()),
        ],
        problems,
    }
}

fn site(site: &DataCentre) -> SiteRow {
    let status = site.status.clone().unwrap_or_default();
    let not_ready = ready::why_not(site);
    let arbiter = status.conditions.iter().find(|condition| condition.type_ == ARBITER_HEALTHY);
    SiteRow {
        name: site.name_any(),
        display_name: site.spec.display_name.clone(),
        preference: site.spec.preference,
        authority: status.authority,
        leader: status.leader,
        members: status.members.into_iter().map(|member| member.name).collect(),
        heard: status.heard,
        fenced: status.fenced,
        arbiter: arbiter.map(|condition| condition.reason.clone()),
        ready: not_ready.is_none(),
        reason: not_ready.map(|why| why.reason),
    }
}

fn groups(view: &View, failovers: &[Failover]) -> Groups {
    let mut sum = Groups { all: view.groups.len(), ..Groups::default() };
    for group in view.groups.values() {
        let status = group.status.clone().unwrap_or_default();
        match status.active_site.filter(|_| status.phase == Some(tandem_crds::GroupPhase::Held)) {
            Some(site) => *sum.active_at.entry(site).or_default() += 1,
            None => sum.active_nowhere += 1,
        }
        match status.readiness.map(|readiness| readiness.state) {
            Some(Protection::Protected) => sum.protected += 1,
            Some(Protection::Unprotected) => sum.exposed += 1,
            None => sum.unknown += 1,
        }
        sum.automatic += usize::from(group.spec.mode == FailoverMode::Automatic);
        sum.held += usize::from(status.hold.is_some());
        if let Some(execution) = status.execution {
            let is_of_it = |failover: &&Failover| failover.execution() == execution;
            let ended = |failover: &Failover| failover.status.as_ref().is_some_and(|status| status.phase.ended());
            // One that is not seen yet has not ended.
            let settles = failovers.iter().find(is_of_it).is_some_and(ended);
            *(if settles { &mut sum.settling } else { &mut sum.moving }) += 1;
        }
    }
    sum
}

fn count<'a, K: TandemKind + 'a>(objects: impl IntoIterator<Item = &'a K>) -> Count {
    let kind: Kind = K::KIND;
    let (mut of, mut ready) = (0, 0);
    for object in objects {
        of += 1;
        ready += usize::from(ready::why_not(object).is_none());
    }
    Count { kind: kind.name(), ready, of }
}
